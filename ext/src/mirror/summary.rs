//! What a mirror has achieved.

use crate::error::Error;
use crate::outcome::{Outcome, OutcomeKind, RunKind, Summary};
use crate::value::UpsertRow;

/// A value that the input doesn't have, and what became of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeletedValue {
    /// The ID of the value; 0 if the server has listed it without one.
    pub value_id: i64,
    /// The ID of the customer.
    pub customer_id: i64,
    /// The ID of the attribute.
    pub attribute_id: i64,
    /// The outcome of the delete.
    ///
    /// [`Deleted`](OutcomeKind::Deleted): the server has confirmed it.
    /// [`Unchanged`](OutcomeKind::Unchanged): the value was gone already.
    /// [`NotSent`](OutcomeKind::NotSent): the value was kept, and the error says why.
    pub kind: OutcomeKind,
}

/// An outcome of a mirror.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MirrorOutcome<T = ()> {
    /// The outcome of a row of the input.
    Row(Outcome<UpsertRow<T>>),
    /// The outcome of a value that the input doesn't have. A row without a value has an outcome of its
    /// own.
    Delete(DeletedValue),
}

impl<T> MirrorOutcome<T> {
    /// Returns why the row was not stored, or the value not deleted, if there is an error.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Row(outcome) => outcome.error(),
            Self::Delete(DeletedValue { kind, .. }) => match kind {
                OutcomeKind::Rejected(error)
                | OutcomeKind::Unknown(error)
                | OutcomeKind::NotSent(error) => Some(error),
                _ => None,
            },
        }
    }
}

/// What a mirror has done, and whether the store equals the input.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MirrorSummary {
    /// The rows of the input, per outcome. Its requests are those of the upserts.
    pub rows: Summary,
    /// The values that the input doesn't have, per outcome; none if a guard held the deletes back. Its
    /// requests are those of the deletes.
    pub deletes: Summary,
    /// The number of values that were listed.
    pub listed: u64,
    /// The number of listed values that the input doesn't have, as far as it was read.
    pub not_in_input: u64,
    /// The number of values that were not deleted because they may have changed since the list began.
    /// They are part of the deletes that were not sent.
    pub kept: u64,
    /// The number of values beside those that the input doesn't have to which somebody else was seen to
    /// give another text during the run.
    pub changed_by_others: u64,
    /// All requests made, including reads and retries.
    pub requests: u64,
    /// The number of rows that the server has stored as a text of another meaning.
    pub(super) altered: u64,
    /// Whether the store has several values for a customer and attribute of which the input has one.
    pub(super) has_surplus: bool,
    pub(super) doubt: Option<Error>,
    pub(super) held_back: Option<Error>,
    pub(super) stopped_by: Option<Error>,
    pub(super) has_ended: bool,
}

impl Default for MirrorSummary {
    fn default() -> Self {
        Self {
            rows: Summary::new(RunKind::Upsert),
            deletes: Summary::new(RunKind::Delete),
            listed: 0,
            not_in_input: 0,
            kept: 0,
            changed_by_others: 0,
            requests: 0,
            altered: 0,
            has_surplus: false,
            doubt: None,
            held_back: None,
            stopped_by: None,
            has_ended: false,
        }
    }
}

impl MirrorSummary {
    /// Returns `true` if the store's values of the attributes equal the input, as far as the server's
    /// responses show.
    ///
    /// It is `false` if the mirror was stopped, a row was not stored or was stored as another text (other
    /// than `1` for the number `1.0`, or without whitespace around it), a value was not deleted, the
    /// store has several values for a customer and attribute of which the input has one, the list of values
    /// may lack some, or others were seen to change values meanwhile. Changes of others are
    /// looked for only before a delete, and values that others delete are not seen.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.has_ended
            && self.stopped_by.is_none()
            && self.held_back.is_none()
            && self.doubt.is_none()
            && self.rows.is_complete()
            && self.deletes.is_complete()
            && self.rows.planned + self.deletes.planned == 0
            && self.altered == 0
            && !self.has_surplus
            && self.changed_by_others == 0
    }

    /// Returns why nothing was deleted although the store has values that the input doesn't have.
    #[must_use]
    pub fn held_back(&self) -> Option<&Error> {
        self.held_back.as_ref()
    }

    /// Returns the error that ended the mirror early, if one did.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&Error> {
        self.stopped_by.as_ref()
    }

    /// Returns why the list of the store's values may lack some, so that the store may not equal the
    /// input.
    #[must_use]
    pub fn list_doubt(&self) -> Option<&Error> {
        self.doubt.as_ref()
    }
}

/// The result of a mirror.
#[derive(Clone, Debug)]
#[must_use = "rows may have been rejected, and deletes held back: read the report"]
pub struct MirrorReport<T = ()> {
    pub(super) summary: MirrorSummary,
    pub(super) failures: Vec<MirrorOutcome<T>>,
}

impl<T> MirrorReport<T> {
    /// Returns what was done.
    #[must_use]
    pub fn summary(&self) -> &MirrorSummary {
        &self.summary
    }

    /// Returns `true` if the store equals the input; see [`MirrorSummary::is_exact`].
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.summary.is_exact()
    }

    /// Returns the rows that were not stored and the values that were not deleted.
    #[must_use]
    pub fn failures(&self) -> &[MirrorOutcome<T>] {
        &self.failures
    }
}
