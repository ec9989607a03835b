//! The engine under an upsert: packing, order per customer, accounting.

mod chunk;
#[cfg(test)]
mod properties;
mod report;
mod run;
mod settled;

pub use report::{Outcome, OutcomeKind, Report, Summary};
pub(crate) use run::{Batch, Engine};
