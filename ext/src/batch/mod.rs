//! The engine under an upsert: packing, order per customer, accounting.

mod chunk;
mod job;
#[cfg(test)]
mod properties;
mod report;
mod run;
mod settled;
mod sizes;

pub(crate) use job::Batch;
pub use report::{Outcome, OutcomeKind, Report, Summary};
pub(crate) use run::{Engine, Note, Rules};
pub(crate) use sizes::Size;
