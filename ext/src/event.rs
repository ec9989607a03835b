//! The events of a run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::outcome::Summary;

/// An event of a run, for progress displays and logs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A batch, or a part of a rejected batch, is ready to be sent. A dry run does not send it.
    #[non_exhaustive]
    BatchReady {
        /// The number of the call within its run.
        call: u64,
        /// The operation's name, such as `upsert_attribute_values`.
        operation: &'static str,
        /// Customers in the batch (0 for a delete by ID, which doesn't know the customers).
        customers: usize,
        /// Values in the batch.
        values: usize,
    },
    /// A request is about to be sent.
    #[non_exhaustive]
    RequestStarted {
        /// The number of the call within its run.
        call: u64,
        /// The operation's name, such as `upsert_attribute_values`.
        operation: &'static str,
        /// The number of requests made for these rows or this page, including this one. A part of a
        /// split batch counts on from its batch.
        attempt: u32,
    },
    /// A request has ended.
    #[non_exhaustive]
    RequestFinished {
        /// The number of the call within its run.
        call: u64,
        /// The operation's name, such as `upsert_attribute_values`.
        operation: &'static str,
        /// The HTTP status, `None` if no response came.
        status: Option<u16>,
        /// The duration of the request.
        elapsed: Duration,
    },
    /// A call waits before its next attempt. It does not count as being in flight.
    #[non_exhaustive]
    Waiting {
        /// The number of the call within its run.
        call: u64,
        /// The operation's name, such as `upsert_attribute_values`.
        operation: &'static str,
        /// Why the call waits.
        reason: WaitReason,
        /// How long the call waits from now.
        wait: Duration,
    },
    /// A batch was rejected and is sent again in parts, to find the rows to blame.
    #[non_exhaustive]
    Split {
        /// The number of the call within its run.
        call: u64,
        /// The operation's name, such as `upsert_attribute_values`.
        operation: &'static str,
        /// Customers in the batch.
        customers: usize,
        /// Values in the batch.
        values: usize,
    },
    /// The server rejected batches as too large, and the accepted size is known now.
    #[non_exhaustive]
    SizeLimitLearned {
        /// The operation's name, such as `upsert_attribute_values`.
        operation: &'static str,
        /// The maximum number of customers per call, `None` if customers are not limited.
        customers: Option<usize>,
        /// The maximum number of values per call, `None` if values are not limited.
        values: Option<usize>,
    },
    /// A call has finished, with all its attempts.
    #[non_exhaustive]
    CallFinished {
        /// The number of the call within its run.
        call: u64,
        /// The operation's name, such as `upsert_attribute_values`.
        operation: &'static str,
    },
    /// A page of a list is delivered.
    #[non_exhaustive]
    Page {
        /// The operation's name, such as `upsert_attribute_values`.
        operation: &'static str,
        /// The page's number, counted from 1 over the whole list.
        number: u64,
        /// Values on the page, not counting those that an earlier page has delivered.
        values: usize,
        /// Values on all pages, `None` until the server has reported it.
        total: Option<u64>,
    },
    /// The total of a list has changed while it was read. Values may have moved between pages.
    #[non_exhaustive]
    TotalChanged {
        /// The operation's name, such as `upsert_attribute_values`.
        operation: &'static str,
        /// The total before.
        before: u64,
        /// The total now.
        now: u64,
    },
    /// Five requests in a row have failed, so the store counts as down. One request at a time probes
    /// the store.
    #[non_exhaustive]
    OutageStarted {
        /// The time since the first failure.
        lasted: Duration,
    },
    /// A request has succeeded, so the store counts as up again.
    #[non_exhaustive]
    OutageEnded {
        /// The time from the first failure to the success.
        lasted: Duration,
    },
    /// The place of the limits that processes share can't be reached. This process uses its local share,
    /// or stops, as [`OnUnreachable`](crate::limiter::OnUnreachable) says.
    #[non_exhaustive]
    LimitsUnshared {
        /// Why the place can't be reached.
        cause: String,
    },
    /// The limits are shared again.
    #[non_exhaustive]
    LimitsShared {
        /// The time during which they were not.
        lasted: Duration,
    },
    /// Rows have reached their outcomes, with or without a call.
    #[non_exhaustive]
    Progress {
        /// The number of rows per outcome so far.
        summary: Summary,
    },
}

/// The reason why a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitReason {
    /// The quota is spent, or a 429 said how long to wait.
    Quota,
    /// The server responded 429 without saying how long to wait.
    Busy,
    /// The server failed (5xx, 408, 409, 423 or 425), sent a temporary redirect or an HTML page, or
    /// its response could not be parsed.
    Server,
    /// The connection failed, or no response came in time.
    Connection,
    /// The store is down, and the next probe is not due yet.
    Outage,
}

impl WaitReason {
    /// Returns the reason's name, such as `quota`. Names don't change.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Busy => "busy",
            Self::Server => "server",
            Self::Connection => "connection",
            Self::Outage => "outage",
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quota => "the quota is spent",
            Self::Busy => "the server is busy",
            Self::Server => "the server failed",
            Self::Connection => "the connection failed",
            Self::Outage => "the store is down",
        })
    }
}

type Observe = dyn Fn(&Event) + Send + Sync;

/// Passes events to the caller's function, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<Observe>>);

impl Observer {
    pub(crate) fn new(observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    pub(crate) fn notify(&self, event: &Event) {
        if let Some(observe) = &self.0 {
            observe(event);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "Observer(set)",
            None => "Observer(none)",
        })
    }
}
