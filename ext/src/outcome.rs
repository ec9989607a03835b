//! What became of the rows of a run.

use std::fmt;

use bigcommerce_sdk::types;

use crate::error::Error;
use crate::resends::{Resends, Standing};
use crate::value::UpsertRow;

/// The outcome of one row. Every row that was read from the input gets exactly one outcome.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome<R = UpsertRow> {
    /// The row's position in the input, counted from 0.
    pub index: u64,
    /// The row with its tag, or the ID of the value to delete; `None` if the input yielded an error
    /// instead.
    pub row: Option<R>,
    /// The kind of outcome.
    pub kind: OutcomeKind,
}

/// The kinds of outcomes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OutcomeKind {
    /// The server confirmed the row, with its record.
    ///
    /// The record is `None` if the response shows only a part of the records, and its total is
    /// exactly the number of rows that were sent, or if the row was sent without a confirmation and
    /// a later read of the store found its value.
    Stored(Option<types::AttributeValue>),
    /// The store already held the value, so the row was not sent; see
    /// [`Upsert::skip_unchanged`](crate::Upsert::skip_unchanged). For an
    /// [absent value](crate::UpsertRow#absent-values): the store holds none.
    Unchanged,
    /// The value no longer exists: the server confirmed the delete, or lists no value any more after
    /// a delete was sent. For an ID: the server confirmed the delete, or responded 404 to this ID and
    /// confirmed the delete of another one in the same run.
    Deleted,
    /// The row would be sent; this was a dry run.
    Planned,
    /// A later row for the same customer and attribute replaced the row, or the same ID was given
    /// again.
    #[non_exhaustive]
    Superseded {
        /// The index of the later row.
        by: u64,
    },
    /// The row is invalid, no customer or more than one has its e-mail address or external ID, or the
    /// server rejected it when it was sent alone. Sending it again unchanged does not help.
    Rejected(Error),
    /// The row was sent, but no response confirmed or rejected it. Sending it again is safe, as long
    /// as no later row for the same customer and attribute was stored.
    Unknown(Error),
    /// The row was not sent or not executed, so it is not stored.
    ///
    /// Possible reasons: the run was stopped; the row's customer could not be looked up; no quota or connection was available; the server
    /// rejected the call without blaming rows; a later row for the same customer and attribute
    /// became [`Unknown`](Self::Unknown).
    NotSent(Error),
}

impl<T> Outcome<UpsertRow<T>> {
    /// Converts the outcome into the row's payload, `None` if the input yielded an error instead of
    /// a row.
    #[must_use]
    pub fn into_payload(self) -> Option<T> {
        self.row.map(UpsertRow::into_payload)
    }

    /// Returns the tag that was attached to the row, if any.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.row.as_ref()?.tag()
    }

    /// Returns `true` if the server stored another text than was sent, such as `1` for `1.0`.
    #[must_use]
    pub fn differs(&self) -> bool {
        match (&self.kind, &self.row) {
            (OutcomeKind::Stored(Some(record)), Some(row)) => {
                row.value() != Some(record.attribute_value.as_str())
            }
            _ => false,
        }
    }
}

impl OutcomeKind {
    /// Returns the kind's name, such as `not_sent`. Names don't change.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stored(_) => "stored",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::Planned => "planned",
            Self::Superseded { .. } => "superseded",
            Self::Rejected(_) => "rejected",
            Self::Unknown(_) => "unknown",
            Self::NotSent(_) => "not_sent",
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        match self {
            Self::Stored(_) | Self::Unchanged | Self::Deleted => Standing::InEffect,
            Self::Unknown(_) | Self::NotSent(_) => Standing::MayResend,
            Self::Planned | Self::Superseded { .. } | Self::Rejected(_) => Standing::Other,
        }
    }
}

impl<R> Outcome<R> {
    /// Returns `true` if the row is worth sending again unchanged.
    ///
    /// Don't do so if a later row for the same customer and attribute was stored: the older row
    /// would replace it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, OutcomeKind::Unknown(_) | OutcomeKind::NotSent(_))
    }

    /// Returns why the row was not stored or deleted, if there is an error.
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

/// The number of rows per outcome, and the number of requests.
///
/// ```
/// let summary = bigcommerce_ext::Summary::default();
/// assert_eq!(
///     summary.to_string(),
///     "0 requests: 0 stored, 0 superseded, 0 rejected, 0 unknown, 0 not sent"
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Rows that the server stored and confirmed.
    pub stored: u64,
    /// Stored rows whose record has another text than was sent, such as `1` for `1.0`. They are
    /// included in `stored`.
    pub differing: u64,
    /// Rows that the store already held.
    pub unchanged: u64,
    /// IDs whose values are deleted.
    pub deleted: u64,
    /// Rows that a dry run would send.
    pub planned: u64,
    /// Rows that a later row replaced.
    pub superseded: u64,
    /// Rows that are invalid or that the server rejected.
    pub rejected: u64,
    /// Rows that were sent and neither confirmed nor rejected.
    pub unknown: u64,
    /// Rows that were not sent.
    pub not_sent: u64,
    /// Requests made, including reads and retries.
    pub requests: u64,
    pub(crate) run_kind: RunKind,
}

/// The purpose of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunKind {
    #[default]
    Upsert,
    Delete,
}

impl Summary {
    pub(crate) fn new(run_kind: RunKind) -> Self {
        Self {
            run_kind,
            ..Self::default()
        }
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.confirmed()
            + self.unchanged
            + self.planned
            + self.superseded
            + self.rejected
            + self.unknown
            + self.not_sent
    }

    /// Returns the number of rows that the server stored or deleted.
    pub(crate) fn confirmed(&self) -> u64 {
        self.stored + self.deleted
    }

    /// Returns `true` if no row was rejected, unknown or not sent.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.rejected + self.unknown + self.not_sent == 0
    }

    /// Adds the rows and requests of a part of the run.
    pub(crate) fn add(&mut self, part: &Self) {
        self.stored += part.stored;
        self.differing += part.differing;
        self.unchanged += part.unchanged;
        self.deleted += part.deleted;
        self.planned += part.planned;
        self.superseded += part.superseded;
        self.rejected += part.rejected;
        self.unknown += part.unknown;
        self.not_sent += part.not_sent;
        self.requests += part.requests;
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
        match self.run_kind {
            RunKind::Upsert => write!(f, "{} requests: {} stored, ", self.requests, self.stored)?,
            RunKind::Delete => write!(f, "{} requests: {} deleted, ", self.requests, self.deleted)?,
        }
        let deleted = match self.run_kind {
            RunKind::Upsert => self.deleted,
            RunKind::Delete => 0,
        };
        // Most runs have none of these.
        for (rows, what) in [
            (self.differing, "of them as another text"),
            (deleted, "deleted"),
            (self.unchanged, "unchanged"),
            (self.planned, "planned"),
        ] {
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

/// The outcome of every row of a run, in the order of the input.
#[derive(Clone, Debug)]
#[must_use = "rows may have been rejected: read the outcomes, or call into_result()"]
pub struct Report<R = UpsertRow> {
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

    /// Converts the report into the outcomes, in the order of the input.
    #[must_use]
    pub fn into_outcomes(self) -> Vec<Outcome<R>> {
        self.outcomes
    }

    /// Returns the number of rows per outcome.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// Returns the error that ended the run early, if one did.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&Error> {
        self.stopped_by.as_ref()
    }

    /// Returns an error if any row was rejected, unknown or not sent.
    ///
    /// # Errors
    ///
    /// The error that ended the run early, or else the error of the first such row.
    pub fn into_result(self) -> Result<Self, Error> {
        let first = || self.outcomes.iter().find_map(Outcome::error);
        match self.stopped_by.as_ref().or_else(first) {
            Some(error) => Err(error.clone()),
            None => Ok(self),
        }
    }
}

impl<T> Report<UpsertRow<T>> {
    /// Returns the rows that are worth sending again unchanged, in the order of the input.
    ///
    /// A row is left out if a later row for the same customer and attribute was stored, deleted or
    /// unchanged. If the row's customer was not found, a later row for the attribute with a key of another
    /// kind counts as one for the same customer.
    pub fn retryable(&self) -> impl Iterator<Item = &UpsertRow<T>> {
        let mut resends = Resends::default();
        for outcome in &self.outcomes {
            if let Some(row) = &outcome.row {
                let ids = (row.customer_id(), row.attribute().id());
                let standing = outcome.kind.standing();
                resends.record(outcome.index, Some(row.customer()), ids, standing);
            }
        }
        let outcomes = self.outcomes.iter();
        outcomes
            .filter(move |outcome| resends.contains(outcome.index))
            .filter_map(|outcome| outcome.row.as_ref())
    }
}

impl Report<i64> {
    /// Returns the IDs that are worth sending again, in the order of the input.
    pub fn retryable(&self) -> impl Iterator<Item = i64> {
        let retryable = self
            .outcomes
            .iter()
            .filter(|outcome| outcome.is_retryable());
        retryable.filter_map(|outcome| outcome.row)
    }
}
