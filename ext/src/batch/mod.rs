//! The batch engine of upserts and deletes: packing, order per customer, splitting, accounting.
//! Pure: it never waits, sends or reads a clock.

mod engine;
mod item;
#[cfg(test)]
mod model_tests;
mod size_learner;
#[cfg(test)]
mod skip_unchanged_tests;
mod snapshot;
mod split;
mod watermark;
mod window;

pub(crate) use engine::{BatchEvent, Engine, EngineConfig};
pub(crate) use item::BatchItem;
pub(crate) use size_learner::Size;
pub(crate) use split::Batch;
