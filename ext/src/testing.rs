//! Errors, outcomes, reports and events from parts, for a program's own unit tests.
//!
//! What a program does after a run, such as its exit code or its table of rejects, is a function of
//! outcomes and errors. Here they are made without a server:
//!
//! ```
//! use bigcommerce_ext::testing;
//! use bigcommerce_ext::{ErrorKind, Report, UpsertRow};
//!
//! /// The function under test.
//! fn exit_code<T>(report: &Report<UpsertRow<T>>) -> u8 {
//!     match report.stopped_by() {
//!         Some(error) if error.is_auth() => 3,
//!         Some(_) => 2,
//!         None if report.summary().is_complete() => 0,
//!         None => 1,
//!     }
//! }
//!
//! let unauthorized = testing::error(ErrorKind::Unauthorized).build();
//! assert_eq!(unauthorized.status(), Some(401));
//! let row = UpsertRow::new(2048, 101, "Gold");
//! let outcomes = [testing::outcome(0, row, testing::not_sent(unauthorized.clone()))];
//! assert_eq!(exit_code(&testing::report(outcomes).stopped_by(unauthorized).build()), 3);
//! ```
//!
//! Use this module for functions of outcomes, errors and events. Use `bigcommerce-sandbox` with a
//! paused clock (`#[tokio::test(start_paused = true)]`) for whole runs: it enforces the limits and
//! plays faults, and waits take no time. Use the typed mocks of `bigcommerce-sdk` (feature `httpmock`)
//! for the requests of a single operation.

use std::time::Duration;

use bigcommerce_sdk::types::AttributeValue;

use crate::client::{Operation, explain_by_kind};
use crate::error::{CallRecord, Error, ErrorKind, Explanation};
use crate::event::{Event, WaitReason};
use crate::outcome::{Outcome, OutcomeKind, Report, RunKind, Summary};

/// Returns a builder of an error of this kind, as an upsert to the provider's host reports it.
///
/// Its text, its status and its advice are those of a real error of the kind.
pub fn error(kind: ErrorKind) -> ErrorBuilder {
    ErrorBuilder {
        kind,
        status: default_status(kind),
        message: None,
        server_message: None,
        request_id: None,
        attempts: 1,
        elapsed: Duration::ZERO,
        row: None,
        ends_run: false,
    }
}

fn default_status(kind: ErrorKind) -> Option<u16> {
    match kind {
        ErrorKind::Unauthorized => Some(401),
        ErrorKind::Forbidden => Some(403),
        ErrorKind::NotFound => Some(404),
        ErrorKind::TooLarge => Some(413),
        ErrorKind::InvalidRequest => Some(422),
        ErrorKind::RateLimited => Some(429),
        ErrorKind::Unavailable => Some(503),
        ErrorKind::InvalidResponse => Some(200),
        _ => None,
    }
}

/// Builds an [`Error`]; see [`error`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ErrorBuilder {
    kind: ErrorKind,
    status: Option<u16>,
    message: Option<String>,
    server_message: Option<String>,
    request_id: Option<String>,
    attempts: u32,
    elapsed: Duration,
    row: Option<u64>,
    ends_run: bool,
}

impl ErrorBuilder {
    /// Sets the HTTP status (default: the usual one of the kind).
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Sets what failed and why (default: the text of the kind). The error has no advice then.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Sets the server's message.
    pub fn server_message(mut self, message: impl Into<String>) -> Self {
        self.server_message = Some(message.into());
        self
    }

    /// Sets the request's ID.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// Sets how many requests were made (default 1), and how long they took (default 0 s).
    pub fn attempts(mut self, attempts: u32, elapsed: Duration) -> Self {
        self.attempts = attempts;
        self.elapsed = elapsed;
        self
    }

    /// Sets the index of the row that the error is about (default: none).
    pub fn row(mut self, index: u64) -> Self {
        self.row = Some(index);
        self
    }

    /// Makes the error one that every other call would have, too, so that it is not temporary.
    pub fn ends_run(mut self) -> Self {
        self.ends_run = true;
        self
    }

    /// Returns the error.
    #[must_use]
    pub fn build(self) -> Error {
        let operation = Operation::upsert();
        let explanation = match self.message {
            Some(message) => Explanation::from(message),
            None => explain_by_kind(self.kind, &operation, "api.bigcommerce.com"),
        };
        let record = CallRecord {
            operation: operation.label,
            status: self.status,
            server_message: self.server_message,
            request_id: self.request_id,
            attempts: self.attempts,
            elapsed: self.elapsed,
            ends_run: self.ends_run,
        };
        let error = Error::call(self.kind, explanation, record, None);
        match self.row {
            Some(index) => error.for_row(index),
            None => error,
        }
    }
}

/// Returns the outcome of a row.
pub fn outcome<R>(index: u64, row: R, kind: OutcomeKind) -> Outcome<R> {
    Outcome {
        index,
        row: Some(row),
        kind,
    }
}

/// Returns the outcome of an error that the input yielded in place of a row.
pub fn input_error<R>(
    index: u64,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Outcome<R> {
    Outcome {
        index,
        row: None,
        kind: OutcomeKind::Rejected(Error::input(error.into())),
    }
}

/// Returns the kind of a stored row, with the server's record.
#[must_use]
pub fn stored(record: impl Into<Option<AttributeValue>>) -> OutcomeKind {
    OutcomeKind::Stored(record.into())
}

/// Returns the kind of a row that a later one superseded.
#[must_use]
pub fn superseded(by: u64) -> OutcomeKind {
    OutcomeKind::Superseded { by }
}

/// Returns the kind of a rejected row.
#[must_use]
pub fn rejected(error: Error) -> OutcomeKind {
    OutcomeKind::Rejected(error)
}

/// Returns the kind of a row that no response confirmed or rejected.
#[must_use]
pub fn unknown(error: Error) -> OutcomeKind {
    OutcomeKind::Unknown(error)
}

/// Returns the kind of a row that was not sent.
#[must_use]
pub fn not_sent(error: Error) -> OutcomeKind {
    OutcomeKind::NotSent(error)
}

/// Returns a builder of the report with these outcomes. Its summary counts them.
pub fn report<R>(outcomes: impl IntoIterator<Item = Outcome<R>>) -> ReportBuilder<R> {
    ReportBuilder {
        outcomes: outcomes.into_iter().collect(),
        requests: 0,
        stopped_by: None,
    }
}

/// Builds a [`Report`]; see [`report`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ReportBuilder<R> {
    outcomes: Vec<Outcome<R>>,
    requests: u64,
    stopped_by: Option<Error>,
}

impl<R> ReportBuilder<R> {
    /// Sets the number of requests (default 0).
    pub fn requests(mut self, requests: u64) -> Self {
        self.requests = requests;
        self
    }

    /// Sets the error that ended the run early (default: none).
    pub fn stopped_by(mut self, error: Error) -> Self {
        self.stopped_by = Some(error);
        self
    }

    /// Returns the report.
    pub fn build(self) -> Report<R> {
        let mut summary = summary(self.outcomes.iter().map(|outcome| &outcome.kind));
        summary.requests = self.requests;
        Report::new(self.outcomes, summary, self.stopped_by)
    }
}

/// Returns the summary of an upsert with these outcomes, without requests.
pub fn summary<'a>(outcomes: impl IntoIterator<Item = &'a OutcomeKind>) -> Summary {
    let mut summary = Summary::new(RunKind::Upsert);
    for kind in outcomes {
        summary.count(kind);
    }
    summary
}

/// Events from parts, in the order of [`Event`]'s variants. Upserts have the operation
/// `upsert_attribute_values`.
pub mod events {
    use super::{Duration, Event, Summary, WaitReason};

    /// Returns [`Event::BatchReady`].
    #[must_use]
    pub fn batch_ready(
        call: u64,
        operation: &'static str,
        customers: usize,
        values: usize,
    ) -> Event {
        Event::BatchReady {
            call,
            operation,
            customers,
            values,
        }
    }

    /// Returns [`Event::RequestStarted`].
    #[must_use]
    pub fn request_started(call: u64, operation: &'static str, attempt: u32) -> Event {
        Event::RequestStarted {
            call,
            operation,
            attempt,
        }
    }

    /// Returns [`Event::RequestFinished`].
    #[must_use]
    pub fn request_finished(
        call: u64,
        operation: &'static str,
        status: Option<u16>,
        elapsed: Duration,
    ) -> Event {
        Event::RequestFinished {
            call,
            operation,
            status,
            elapsed,
        }
    }

    /// Returns [`Event::Waiting`].
    #[must_use]
    pub fn waiting(
        call: u64,
        operation: &'static str,
        reason: WaitReason,
        wait: Duration,
    ) -> Event {
        Event::Waiting {
            call,
            operation,
            reason,
            wait,
        }
    }

    /// Returns [`Event::Split`].
    #[must_use]
    pub fn split(call: u64, operation: &'static str, customers: usize, values: usize) -> Event {
        Event::Split {
            call,
            operation,
            customers,
            values,
        }
    }

    /// Returns [`Event::SizeLimitLearned`].
    #[must_use]
    pub fn size_limit_learned(
        operation: &'static str,
        customers: Option<usize>,
        values: Option<usize>,
    ) -> Event {
        Event::SizeLimitLearned {
            operation,
            customers,
            values,
        }
    }

    /// Returns [`Event::CallFinished`].
    #[must_use]
    pub fn call_finished(call: u64, operation: &'static str) -> Event {
        Event::CallFinished { call, operation }
    }

    /// Returns [`Event::Page`].
    #[must_use]
    pub fn page(operation: &'static str, number: u64, values: usize, total: Option<u64>) -> Event {
        Event::Page {
            operation,
            number,
            values,
            total,
        }
    }

    /// Returns [`Event::TotalChanged`].
    #[must_use]
    pub fn total_changed(operation: &'static str, before: u64, now: u64) -> Event {
        Event::TotalChanged {
            operation,
            before,
            now,
        }
    }

    /// Returns [`Event::OutageStarted`].
    #[must_use]
    pub fn outage_started(lasted: Duration) -> Event {
        Event::OutageStarted { lasted }
    }

    /// Returns [`Event::OutageEnded`].
    #[must_use]
    pub fn outage_ended(lasted: Duration) -> Event {
        Event::OutageEnded { lasted }
    }

    /// Returns [`Event::LimitsUnshared`].
    #[must_use]
    pub fn limits_unshared(cause: impl Into<String>) -> Event {
        Event::LimitsUnshared {
            cause: cause.into(),
        }
    }

    /// Returns [`Event::LimitsShared`].
    #[must_use]
    pub fn limits_shared(lasted: Duration) -> Event {
        Event::LimitsShared { lasted }
    }

    /// Returns [`Event::Progress`].
    #[must_use]
    pub fn progress(summary: Summary) -> Event {
        Event::Progress { summary }
    }
}
