//! When a request may be sent: leases, the queue, and the quota.

mod headers;
mod local;
mod member;
#[cfg(test)]
mod member_fault_tests;
#[cfg(test)]
mod member_tests;
mod options;
mod place;
#[cfg(test)]
mod quota_tests;
mod shared;
#[cfg(test)]
mod shared_tests;
mod state;
mod status;

use std::sync::Arc;
use std::task::Waker;

use super::changes::Changes;
use super::clock::Clock;
use local::LocalLimiter;
use shared::SharedLimiter;

pub(super) use headers::{Quota, RateLimitHeaders};
pub(super) use member::{Grant, Refusal, Separation};
pub use options::{OnUnreachable, SharedLimits};
pub use place::{LimiterPlace, Notice, Notices, PlaceError, PlaceFuture, PlaceReply, Swap};
pub(super) use state::{Feedback, LeaseId, MAX_WAIT_MS, Terms, TicketId};
pub use status::{LeaseStatus, LimiterStatus, QuotaStatus, Sharing};

/// The limits of a store: those of this process, or those that it shares.
pub(super) enum Limiter {
    Local(LocalLimiter),
    Shared(SharedLimiter),
}

impl Limiter {
    /// Creates the limiter of the store at this base URL.
    pub(super) fn new(
        base_url: &str,
        limits: Option<SharedLimits>,
        clock: Clock,
        changes: &Arc<Changes>,
    ) -> Self {
        match limits {
            None => Self::Local(LocalLimiter::default()),
            Some(limits) => {
                let key = status::key_of(base_url);
                Self::Shared(SharedLimiter::new(limits, key, clock, Arc::clone(changes)))
            }
        }
    }

    /// Returns in what the limits differ from those that a second store asks for, if they do.
    pub(super) fn difference(&self, wanted: &SharedLimits) -> Option<String> {
        let place = wanted.place.name();
        match self {
            Self::Local(_) => Some(format!("keeps its limits in this process, not in {place}")),
            Self::Shared(limiter) => limiter.difference(wanted),
        }
    }

    pub(super) fn next_ticket(&self) -> TicketId {
        match self {
            Self::Local(limiter) => limiter.next_ticket(),
            Self::Shared(limiter) => limiter.next_ticket(),
        }
    }

    /// Takes a lease, or keeps the waker for the moment at which it is worth asking again. `propose`
    /// returns the customers to lease.
    pub(super) fn acquire(
        &self,
        now: u64,
        ticket: TicketId,
        terms: Terms,
        waker: &Waker,
        propose: &mut impl FnMut() -> Vec<i64>,
    ) -> Result<Grant, Refusal> {
        match self {
            Self::Local(limiter) => {
                let lease = limiter
                    .acquire(now, ticket, terms, waker)
                    .map_err(Refusal::Throttled)?;
                Ok(Grant {
                    lease,
                    acquired: now,
                    customers: limiter.claim(now, lease, propose()),
                })
            }
            Self::Shared(limiter) if limiter.leases_customers() => {
                limiter.acquire(now, ticket, terms, propose(), waker)
            }
            Self::Shared(limiter) => {
                let mut grant = limiter.acquire(now, ticket, terms, Vec::new(), waker)?;
                grant.customers = limiter.claim(now, grant.lease, propose());
                Ok(grant)
            }
        }
    }

    pub(super) fn leave(&self, now: u64, ticket: TicketId) {
        match self {
            Self::Local(limiter) => limiter.leave(now, ticket),
            Self::Shared(limiter) => limiter.leave(now, ticket),
        }
    }

    /// Leases customers in place of those that the lease has. Returns those that no other lease holds.
    pub(super) fn claim(&self, now: u64, lease: LeaseId, customers: Vec<i64>) -> Vec<i64> {
        match self {
            Self::Local(limiter) => limiter.claim(now, lease, customers),
            Self::Shared(limiter) => limiter.claim(now, lease, customers),
        }
    }

    /// Ends a lease, and blocks all requests for as long as its response asks.
    pub(super) fn release(&self, now: u64, lease: LeaseId, feedback: Feedback, block_ms: u64) {
        match self {
            Self::Local(limiter) => limiter.release(now, lease, feedback, block_ms),
            Self::Shared(limiter) => limiter.release(now, lease, feedback, block_ms),
        }
    }

    /// Returns `true` if a request that may change the customer may be running.
    pub(super) fn is_held(&self, now: u64, customer: i64) -> bool {
        match self {
            Self::Local(limiter) => limiter.is_held(now, customer),
            Self::Shared(limiter) => limiter.is_held(now, customer),
        }
    }

    /// Returns `true` if a request that may change the customer is in flight, or may be running for
    /// another process.
    pub(super) fn is_taken(&self, now: u64, customer: i64) -> bool {
        match self {
            Self::Local(limiter) => limiter.is_taken(now, customer),
            Self::Shared(limiter) => limiter.is_taken(now, customer),
        }
    }

    /// Returns `true` if an abandoned request of this process may still change the customer.
    pub(super) fn is_abandoned(&self, now: u64, customer: i64) -> bool {
        match self {
            Self::Local(limiter) => limiter.is_abandoned(now, customer),
            Self::Shared(limiter) => limiter.is_abandoned(now, customer),
        }
    }

    /// Returns when the next lease with customers expires.
    pub(super) fn next_hold_end(&self, now: u64) -> Option<u64> {
        match self {
            Self::Local(limiter) => limiter.next_hold_end(now),
            Self::Shared(limiter) => limiter.next_hold_end(now),
        }
    }

    /// Returns `true` if this process does not share its limits although it should, and has tried
    /// lately.
    pub(super) fn is_separate(&self, now: u64) -> bool {
        match self {
            Self::Local(_) => false,
            Self::Shared(limiter) => limiter.is_separate(now),
        }
    }

    /// Returns why and since when this process does not share its limits, although it should.
    pub(super) fn separation(&self) -> Option<Separation> {
        match self {
            Self::Local(_) => None,
            Self::Shared(limiter) => limiter.separation(),
        }
    }

    /// Waits until other processes can know what this one has released.
    pub(super) async fn flush(&self) {
        if let Self::Shared(limiter) = self {
            limiter.flush().await;
        }
    }

    pub(super) async fn status(&self, now: u64) -> LimiterStatus {
        match self {
            Self::Local(limiter) => LimiterStatus::of_local(&limiter.state(), now),
            Self::Shared(limiter) => limiter.status().await,
        }
    }
}
