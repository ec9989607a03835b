//! When a request may be sent: leases, the queue, and the quota.

mod headers;
mod local;
#[cfg(test)]
mod quota_tests;
mod state;

pub(super) use headers::{Quota, RateLimitHeaders, to_ms};
pub(super) use local::LocalLimiter;
pub(super) use state::{Feedback, LeaseId, MAX_WAIT_MS, Terms, TicketId};
