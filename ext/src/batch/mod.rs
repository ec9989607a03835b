//! The engine under upserts and deletes: packing, order per customer, accounting.

mod chunk;
mod job;
mod known;
#[cfg(test)]
mod properties;
mod report;
mod run;
mod settled;
mod sizes;
#[cfg(test)]
mod unchanged;
mod work;

pub(crate) use job::Batch;
pub(crate) use report::Does;
pub use report::{Outcome, OutcomeKind, Report, Summary};
pub(crate) use run::{Engine, Note, Read, Rules};
pub(crate) use sizes::Size;
pub(crate) use work::Work;
