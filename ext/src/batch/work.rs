//! What differs between an upsert and a delete, as far as the engine is concerned.

use std::fmt::Debug;
use std::future::Future;

use super::report::{Does, OutcomeKind};
use super::sizes::Size;
use crate::attributes::Definitions;
use crate::call::{Failed, Operation, Sent};
use crate::error::Rule;
use crate::sdk;

/// A row as a caller has it, and what is done with it.
pub trait Work: Debug + Clone + Send + Sync + Unpin + Sized + 'static {
    /// The row as it is sent.
    type Wire: Debug + Clone + Send + Sync + Unpin + 'static;
    /// What comes back with the row and is not sent.
    type Mark: Debug + Clone + Send + Sync + Unpin + 'static;
    /// What a successful call answers.
    type Answer: Send + 'static;

    const DOES: Does;
    /// Whether the server may answer 404 for a row that it does not know.
    const CAN_BE_MISSING: bool;

    /// Says whether it names an attribute whose ID is not known yet.
    fn is_named(&self) -> bool;

    /// Puts in the ID of a named attribute, and holds the value against the attribute's type if
    /// that is asked for.
    fn resolve(&mut self, definitions: &Definitions, checks_type: bool) -> Result<(), Rule>;

    /// Checks the row by the rules that are known here.
    fn to_wire(&self) -> Result<Self::Wire, Rule>;

    fn into_mark(self) -> Self::Mark;

    fn from_wire(wire: Self::Wire, mark: Self::Mark) -> Self;

    /// The customer and the attribute, or what stands for them: no two calls in flight have the
    /// first in common, and of rows that have both in common the last one counts.
    fn key(wire: &Self::Wire) -> (i64, i64);

    /// The value to store.
    fn value(wire: &Self::Wire) -> &str;

    /// How many bytes of a URL it takes.
    fn length(wire: &Self::Wire) -> usize;

    /// The size of a call with so many customers and rows, as far as a server may limit it.
    fn size(customers: usize, rows: usize) -> Size;

    fn operation() -> Operation;

    fn send(
        client: sdk::Client,
        batch: Vec<Self::Wire>,
    ) -> impl Future<Output = Sent<Self::Answer>> + Send;

    /// What an answer says of each row that was sent; `None` of one that it leaves out.
    fn confirm(answer: Self::Answer, keys: &[(i64, i64)]) -> Vec<Option<OutcomeKind>>;

    /// What became of a row that the server refused when it was sent alone.
    fn refused(failed: &Failed, index: u64) -> OutcomeKind;
}
