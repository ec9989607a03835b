//! What an observer of a run is told while it goes on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::Summary;

/// Something that happened during a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A batch, or a part of one that was refused, became a call that stores or deletes values,
    /// which now waits for its turn, or which is not made in a dry run.
    #[non_exhaustive]
    Cut {
        /// The number of the call within its run.
        call: u64,
        /// Customers in the call; 0 of a delete, which does not know them.
        customers: usize,
        /// Values in the call.
        values: usize,
    },
    /// A request is about to be sent.
    #[non_exhaustive]
    Sending {
        /// The number of the call within its run.
        call: u64,
        /// How many requests this call has made, this one included.
        attempt: u32,
    },
    /// A request has ended.
    #[non_exhaustive]
    Answered {
        /// The number of the call within its run.
        call: u64,
        /// The HTTP status, `None` if no answer came.
        status: Option<u16>,
        /// How long it took.
        elapsed: Duration,
    },
    /// A call waits before it is tried again. It holds no place among the requests in flight.
    #[non_exhaustive]
    Waiting {
        /// The number of the call within its run.
        call: u64,
        /// Why it waits.
        why: Wait,
        /// How long it waits, from now.
        wait: Duration,
    },
    /// A call was refused and goes out again in parts, to find the rows that are to blame.
    #[non_exhaustive]
    Split {
        /// The number of the call within its run.
        call: u64,
        /// Customers in the call.
        customers: usize,
        /// Values in the call.
        values: usize,
    },
    /// The server refused calls as too large, and now it is known what it accepts.
    #[non_exhaustive]
    Learned {
        /// The most customers in a call from now on, `None` if they are not limited by this.
        customers: Option<usize>,
        /// The most values in a call from now on, `None` if they are not limited by this.
        values: Option<usize>,
    },
    /// A call has ended for good.
    #[non_exhaustive]
    Ended {
        /// The number of the call within its run.
        call: u64,
    },
    /// A page of a list is delivered.
    #[non_exhaustive]
    Page {
        /// The page's number, counted from 1 over the whole list.
        number: u64,
        /// Values on the page, without those that an earlier page has shown.
        values: usize,
        /// Values on all pages, once the server has said so.
        total: Option<u64>,
    },
    /// While a list was read, the number of values that it holds has changed: values may have
    /// moved between its pages.
    #[non_exhaustive]
    Shifted {
        /// How many values there were.
        was: u64,
        /// How many there are.
        now: u64,
    },
    /// Rows have got their outcomes, with or without a call.
    #[non_exhaustive]
    Settled {
        /// How many rows are known to have ended how by now.
        summary: Summary,
    },
}

/// Why a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wait {
    /// The quota is spent; the server said when it is refreshed.
    Quota,
    /// The server answered 429 without saying how long.
    Busy,
    /// The server answered 5xx or with a temporary redirect, or its answer could not be read.
    Server,
    /// The connection failed, or no answer came in time.
    Connection,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quota => "the quota is spent",
            Self::Busy => "the server is busy",
            Self::Server => "the server had a problem",
            Self::Connection => "the connection failed",
        })
    }
}

type Observe = dyn Fn(&Event) + Send + Sync;

/// Hands events to whoever asked for them.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<Observe>>);

impl Observer {
    pub(crate) fn new(observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    pub(crate) fn tell(&self, event: Event) {
        if let Some(observe) = &self.0 {
            observe(&event);
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
