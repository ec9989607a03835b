//! The batch engine of upserts and deletes: packing, order per customer, splitting, accounting.
//! Pure: it never waits, sends or reads a clock.

mod buffer;
#[cfg(test)]
mod buffer_model_tests;
mod engine;
mod item;
#[cfg(test)]
mod mixed_rows_tests;
#[cfg(test)]
mod model_tests;
mod read_balance;
mod size_learner;
#[cfg(test)]
mod skip_unchanged_tests;
mod slot;
mod split;
mod watermark;

pub(crate) use buffer::StagedRows;
pub(crate) use engine::{BatchEvent, Conditions, Engine, EngineCall, EngineConfig, is_missing};
pub(crate) use item::{BatchItem, BatchKind};
pub(crate) use size_learner::Size;
pub(crate) use split::Batch;
