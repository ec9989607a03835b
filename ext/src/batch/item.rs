//! What the engine needs to know about a row.

use std::fmt::Debug;

use super::size_learner::Size;
use crate::attributes::Definitions;
use crate::error::{Error, Violation};
use crate::outcome::{OutcomeKind, RunKind};

/// A row of a run: a value to upsert, or the ID of a value to delete.
pub trait BatchItem: Debug + Clone + Send + Sync + Unpin + Sized + 'static {
    /// The row as it is sent.
    type Wire: Debug + Clone + Send + Sync + Unpin + 'static;
    /// The parts of the row that are not sent and come back with its outcome.
    type Metadata: Debug + Clone + Send + Sync + Unpin + 'static;
    /// The response to a successful call.
    type Response: Send + 'static;

    const KIND: RunKind;
    /// Whether the rows that no response confirms can be looked up in the store.
    const CAN_BE_LOOKED_UP: bool;

    /// Returns `true` if the row names an attribute whose ID is not known yet.
    fn is_named(&self) -> bool;

    /// Sets the ID of a named attribute. Validates the value against the attribute's type if
    /// `checks_type` is set.
    fn resolve(&mut self, definitions: &Definitions, checks_type: bool) -> Result<(), Violation>;

    /// Validates the row and converts it for sending.
    fn to_wire(&self) -> Result<Self::Wire, Violation>;

    fn into_metadata(self) -> Self::Metadata;

    fn from_wire(wire: Self::Wire, metadata: Self::Metadata) -> Self;

    /// Returns the row's key: its customer and attribute, or stand-ins for them.
    ///
    /// No two calls in flight share a customer, and the last row per key wins.
    fn key(wire: &Self::Wire) -> (i64, i64);

    /// Returns the value to store.
    fn value(wire: &Self::Wire) -> &str;

    /// Returns the number of URL bytes that the row takes.
    fn url_len(wire: &Self::Wire) -> usize;

    /// Returns the size of a batch in the dimensions that a server may limit.
    fn batch_size(customers: usize, rows: usize) -> Size;

    /// Returns the number of bytes of the row's texts.
    fn heap_size(&self) -> usize;

    /// Returns the outcome of each row sent, `None` if the response does not confirm the row.
    fn confirm(
        response: Self::Response,
        status: u16,
        keys: &[(i64, i64)],
    ) -> Vec<Option<OutcomeKind>>;

    /// Returns `true` if a row that was sent alone failed because its value does not exist.
    fn is_missing(error: &Error) -> bool;
}
