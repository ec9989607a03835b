//! What the calls of one run share, and how a call ends.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bigcommerce_sdk::{self as sdk, ResponseValue, types};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::event::Observer;

pub(crate) type SdkResult<T> = Result<ResponseValue<T>, sdk::Error<types::ErrorBody>>;

/// What the calls of a run share.
#[derive(Debug, Default)]
pub(crate) struct RunContext {
    pub observer: Observer,
    /// Set to `true` to end the calls that wait.
    pub stopping: watch::Sender<bool>,
    /// The number of calls on their second or later retry of a server error or a failed connection.
    failing_calls: AtomicUsize,
}

impl RunContext {
    pub(crate) fn new(observer: Observer) -> Self {
        Self {
            observer,
            ..Self::default()
        }
    }

    /// Returns `true` if a new call may start: not during an outage.
    pub(crate) fn may_start_call(&self) -> bool {
        self.failing_calls.load(Ordering::Relaxed) == 0
    }

    /// Waits. Returns `false` if the run was stopped before the time had elapsed.
    pub(super) async fn wait(&self, time: Duration) -> bool {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            () = sleep(time) => true,
            // The sender is in this struct, so the channel is never closed.
            _ = stopping.wait_for(|stopping| *stopping) => false,
        }
    }
}

/// Counts a call as failing until dropped.
pub(super) struct FailingCallGuard<'a>(&'a RunContext);

impl<'a> FailingCallGuard<'a> {
    pub(super) fn new(run: &'a RunContext) -> Self {
        run.failing_calls.fetch_add(1, Ordering::Relaxed);
        Self(run)
    }
}

impl Drop for FailingCallGuard<'_> {
    fn drop(&mut self) {
        self.0.failing_calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a call ended, and how many requests it took.
pub(crate) struct CallOutcome<T> {
    pub result: Result<T, CallFailure>,
    pub requests: u32,
    /// Until when the server may be running an abandoned request.
    pub hold: Option<Instant>,
}

impl<T> CallOutcome<T> {
    /// Creates the outcome of a call that left no abandoned request.
    pub(crate) fn new(result: Result<T, CallFailure>, requests: u32) -> Self {
        Self {
            result,
            requests,
            hold: None,
        }
    }

    /// Creates the outcome of a call whose task ended without one.
    pub(crate) fn lost() -> Self {
        let failure = CallFailure {
            is_ambiguous: true,
            ..CallFailure::from(Error::lost_task())
        };
        Self::new(Err(failure), 0)
    }
}

/// Why a call failed.
pub struct CallFailure {
    pub error: Error,
    /// Whether the server may have executed a request.
    pub is_ambiguous: bool,
    /// Whether no request was sent at all.
    pub never_sent: bool,
    /// Whether the server rejects rows, rather than the call.
    pub blames_rows: bool,
    /// The positions in the batch of the rows that the response names.
    pub blamed_rows: BTreeSet<usize>,
}

impl From<Error> for CallFailure {
    fn from(error: Error) -> Self {
        Self {
            error,
            is_ambiguous: false,
            never_sent: false,
            blames_rows: false,
            blamed_rows: BTreeSet::new(),
        }
    }
}
