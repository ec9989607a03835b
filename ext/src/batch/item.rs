//! What the engine needs to know about a row.

use std::fmt::Debug;

use crate::attributes::Definitions;
use crate::customer_key::CustomerKey;
use crate::error::Violation;
use crate::outcome::{OutcomeKind, RunKind};

/// What a batch does with its rows. All rows of a batch have the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchKind {
    /// Stores values.
    Put,
    /// Deletes values by their IDs.
    Delete,
}

impl BatchKind {
    pub(crate) const ALL: [Self; 2] = [Self::Put, Self::Delete];
}

/// Something that each kind of batch has of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerKind<V> {
    put: V,
    delete: V,
}

impl<V> PerKind<V> {
    pub(crate) fn get(&self, kind: BatchKind) -> &V {
        match kind {
            BatchKind::Put => &self.put,
            BatchKind::Delete => &self.delete,
        }
    }

    pub(crate) fn get_mut(&mut self, kind: BatchKind) -> &mut V {
        match kind {
            BatchKind::Put => &mut self.put,
            BatchKind::Delete => &mut self.delete,
        }
    }
}

/// A row of a run: a value to upsert or to delete, or the ID of a value to delete.
pub trait BatchItem: Send + Sized + 'static {
    /// The row as it is sent.
    type Wire: Debug + Clone + Send + Sync + 'static;
    /// The parts of the row that are not sent and come back with its outcome.
    type Metadata: Debug + Send + 'static;
    /// The response to a successful call.
    type Response: Send + 'static;

    const KIND: RunKind;
    /// Whether rows name customers and attributes, so that their values can be looked up in the
    /// store. The IDs of values can't: the endpoint has no filter for them.
    const HAS_CUSTOMERS: bool;

    /// Returns the kind of the batch that the row is sent in.
    fn batch_kind(wire: &Self::Wire) -> BatchKind;

    /// Returns the customer as it was given, `None` for the ID of a value.
    fn customer(&self) -> Option<&CustomerKey>;

    /// Returns the ID of the attribute, if it is known.
    fn attribute_id(&self) -> Option<i64>;

    /// Sets the ID of a customer that was found.
    fn set_customer_id(&mut self, id: i64);

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

    /// Returns the value to store, `None` if the row deletes one.
    fn value(wire: &Self::Wire) -> Option<&str>;

    /// Returns `true` if the row sends fields that a list of values need not show. A listed value is
    /// then no evidence that the row need not be sent.
    fn has_custom_fields(metadata: &Self::Metadata) -> bool;

    /// Sets the ID of the value to delete, which the store was read for.
    fn set_value_id(wire: &mut Self::Wire, id: i64);

    /// Returns the number of URL bytes that the row takes, if it has the ID of its value.
    fn url_len(wire: &Self::Wire) -> usize;

    /// Returns the number of bytes of the row's texts.
    fn heap_size(&self) -> usize;

    /// Returns the outcome of each row sent, `None` if the response does not confirm the row.
    fn confirm(
        response: Self::Response,
        status: u16,
        keys: &[(i64, i64)],
    ) -> Vec<Option<OutcomeKind>>;
}
