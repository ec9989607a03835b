//! What became of the rows.

use std::collections::HashMap;
use std::fmt;

use bigcommerce_sdk::types;

use crate::error::Error;
use crate::value::AttributeValueUpsert;

/// What became of one row. Every row that was taken from the input gets exactly one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome<R = AttributeValueUpsert> {
    /// The row's place in the input, counted from 0.
    pub index: u64,
    /// The row with its tag, or the ID of the value to delete; `None` where the input yielded an
    /// error instead.
    pub row: Option<R>,
    /// What became of it.
    pub kind: OutcomeKind,
}

/// What can become of a row.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OutcomeKind {
    /// The server confirmed it, with its record; `None` where the answer says that more was
    /// stored than it shows, or where it took a look at the store to know.
    Stored(Option<types::AttributeValue>),
    /// The store held it already, so it was not sent; see
    /// [`Upsert::skip_unchanged`](crate::Upsert::skip_unchanged).
    Unchanged,
    /// The value with this ID is not there any more: the server confirmed the delete, or said that
    /// there is no such value.
    Deleted,
    /// It would be sent: this was a dry run.
    Planned,
    /// A later row for the same customer and attribute took its place, or the same ID came again.
    #[non_exhaustive]
    Superseded {
        /// The index of the later row.
        by: u64,
    },
    /// It breaks a rule, or the server refused it when it was sent alone. It is not worth sending
    /// again as it is.
    Rejected(Error),
    /// It was sent, but no answer ever said what became of it. Sending it again does no harm, as
    /// long as no later row for the same customer and attribute was stored.
    Unknown(Error),
    /// It was not sent or not taken, so it is not stored: the run stopped first, there was no quota
    /// or no connection for it, the server refused the call without blaming rows, or a later row for
    /// the same customer and attribute ended as [`Unknown`](Self::Unknown) in its place.
    NotSent(Error),
}

impl Outcome {
    /// Returns the tag that was attached to the row, if any.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.row.as_ref()?.tag()
    }

    /// Says whether the server stored another text than was sent, such as `1` for `1.0`.
    #[must_use]
    pub fn differs(&self) -> bool {
        match (&self.kind, &self.row) {
            (OutcomeKind::Stored(Some(record)), Some(row)) => record.attribute_value != row.value(),
            _ => false,
        }
    }
}

impl<R> Outcome<R> {
    /// Says whether the row is worth sending again as it is, unless a later row for the same
    /// customer and attribute was stored: sending the older one again would undo that.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, OutcomeKind::Unknown(_) | OutcomeKind::NotSent(_))
    }

    /// Returns why the row was not stored, where there is a reason.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &self.kind {
            OutcomeKind::Rejected(error)
            | OutcomeKind::Unknown(error)
            | OutcomeKind::NotSent(error) => Some(error),
            OutcomeKind::Stored(_)
            | OutcomeKind::Unchanged
            | OutcomeKind::Deleted
            | OutcomeKind::Planned
            | OutcomeKind::Superseded { .. } => None,
        }
    }
}

/// How many rows ended how, and how many requests it took.
///
/// ```
/// let summary = bigcommerce_ext::Summary::default();
/// assert_eq!(
///     summary.to_string(),
///     "0 calls: 0 stored, 0 superseded, 0 rejected, 0 unknown, 0 not sent"
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Rows that the server stored and confirmed.
    pub stored: u64,
    /// Rows that the store held already.
    pub unchanged: u64,
    /// IDs whose values are deleted.
    pub deleted: u64,
    /// Rows that would be sent, in a dry run.
    pub planned: u64,
    /// Rows that a later row replaced.
    pub superseded: u64,
    /// Rows that break a rule or that the server refused.
    pub rejected: u64,
    /// Rows that were sent without an answer.
    pub unknown: u64,
    /// Rows that were not sent.
    pub not_sent: u64,
    /// Requests made, reads and retries included.
    pub calls: u64,
    does: Does,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Does {
    #[default]
    Upsert,
    Delete,
}

impl Summary {
    pub(crate) fn of(does: Does) -> Self {
        Self {
            does,
            ..Self::default()
        }
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.done()
            + self.unchanged
            + self.planned
            + self.superseded
            + self.rejected
            + self.unknown
            + self.not_sent
    }

    /// Rows that the server confirmed.
    pub(crate) fn done(&self) -> u64 {
        self.stored + self.deleted
    }

    /// Says whether nothing was rejected, left open or not sent.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.rejected + self.unknown + self.not_sent == 0
    }

    pub(crate) fn count(&mut self, kind: &OutcomeKind) {
        *match kind {
            OutcomeKind::Stored(_) => &mut self.stored,
            OutcomeKind::Unchanged => &mut self.unchanged,
            OutcomeKind::Deleted => &mut self.deleted,
            OutcomeKind::Planned => &mut self.planned,
            OutcomeKind::Superseded { .. } => &mut self.superseded,
            OutcomeKind::Rejected(_) => &mut self.rejected,
            OutcomeKind::Unknown(_) => &mut self.unknown,
            OutcomeKind::NotSent(_) => &mut self.not_sent,
        } += 1;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.does {
            Does::Upsert => write!(f, "{} calls: {} stored, ", self.calls, self.stored)?,
            Does::Delete => write!(f, "{} calls: {} deleted, ", self.calls, self.deleted)?,
        }
        // Most runs have none of these.
        for (rows, what) in [(self.unchanged, "unchanged"), (self.planned, "planned")] {
            if rows > 0 {
                write!(f, "{rows} {what}, ")?;
            }
        }
        write!(
            f,
            "{} superseded, {} rejected, {} unknown, {} not sent",
            self.superseded, self.rejected, self.unknown, self.not_sent
        )
    }
}

/// What a run achieved: the outcome of every row, in the order of the input.
#[derive(Clone, Debug)]
#[must_use = "rows may have been rejected: look at the report, or call into_result()"]
pub struct Report<R = AttributeValueUpsert> {
    outcomes: Vec<Outcome<R>>,
    summary: Summary,
    stopped_by: Option<Error>,
}

impl<R> Report<R> {
    pub(crate) fn new(
        mut outcomes: Vec<Outcome<R>>,
        summary: Summary,
        stopped_by: Option<Error>,
    ) -> Self {
        outcomes.sort_unstable_by_key(|outcome| outcome.index);
        Self {
            outcomes,
            summary,
            stopped_by,
        }
    }

    /// Returns the outcomes, in the order of the input.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome<R>] {
        &self.outcomes
    }

    /// Gives the outcomes away, in the order of the input.
    #[must_use]
    pub fn into_outcomes(self) -> Vec<Outcome<R>> {
        self.outcomes
    }

    /// Returns how many rows ended how.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// Returns the error that ended the run early, if one did.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&Error> {
        self.stopped_by.as_ref()
    }

    /// Takes rows that were rejected, left open or not sent for an error.
    ///
    /// # Errors
    ///
    /// The error that ended the run early, or else the reason of the first such row.
    pub fn into_result(self) -> Result<Self, Error> {
        let first = || self.outcomes.iter().find_map(Outcome::error);
        match self.stopped_by.as_ref().or_else(first) {
            Some(error) => Err(error.clone()),
            None => Ok(self),
        }
    }
}

impl Report {
    /// Yields the rows worth sending again as they are, in the order of the input: not those whose
    /// customer and attribute a later row was stored for.
    pub fn retryable(&self) -> impl Iterator<Item = &AttributeValueUpsert> {
        // A name that was resolved stands for its ID; one that was not was never stored.
        let key = |row: &AttributeValueUpsert| (row.customer_id(), row.attribute().id());
        let is_stored = |outcome: &&Outcome| {
            matches!(
                outcome.kind,
                OutcomeKind::Stored(_) | OutcomeKind::Unchanged
            )
        };
        let stored = self.outcomes.iter().filter(is_stored);
        let last_stored: HashMap<_, _> = stored
            .filter_map(|outcome| Some((key(outcome.row.as_ref()?), outcome.index)))
            .collect();
        self.outcomes
            .iter()
            .filter(|outcome| outcome.is_retryable())
            .filter_map(|outcome| Some((outcome.index, outcome.row.as_ref()?)))
            .filter(move |(index, row)| {
                last_stored
                    .get(&key(row))
                    .is_none_or(|stored| stored < index)
            })
            .map(|(_, row)| row)
    }
}

impl Report<i64> {
    /// Yields the IDs worth sending again, in the order of the input.
    pub fn retryable(&self) -> impl Iterator<Item = i64> {
        let retryable = self
            .outcomes
            .iter()
            .filter(|outcome| outcome.is_retryable());
        retryable.filter_map(|outcome| outcome.row)
    }
}
