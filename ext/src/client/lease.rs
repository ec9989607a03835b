//! A place in the queue, and the lease of a request in flight.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::clock::to_ms;
use super::limiter::{Feedback, Grant, Quota, Refusal, Terms, TicketId};
use super::{Client, MAX_WAIT};
use crate::error::Error;

/// A place in the queue of a store. Dropping it leaves the queue.
///
/// A ticket that is not polled keeps its place for 10 s. Tickets behind it pass it over as soon as
/// it has ignored a free place for half a second.
pub(crate) struct Ticket {
    client: Client,
    id: TicketId,
    timer: Option<Pin<Box<Sleep>>>,
    blocked_until: Option<Instant>,
}

impl Ticket {
    pub(super) fn new(client: Client) -> Self {
        Self {
            id: client.state().limiter.next_ticket(),
            client,
            timer: None,
            blocked_until: None,
        }
    }

    /// Returns a lease, or wakes `cx` when asking again can help. Needs a runtime with timers.
    ///
    /// `propose` returns the customers that the request may change. The lease has those of them that no
    /// other lease has.
    ///
    /// # Errors
    ///
    /// Returns an error if the shared limits can't be reached, and the store is set to stop then.
    pub(crate) fn poll_lease(
        &mut self,
        cx: &mut Context<'_>,
        mut propose: impl FnMut() -> Vec<i64>,
    ) -> Poll<Result<Lease, Error>> {
        loop {
            let state = self.client.state();
            let now = Instant::now();
            let terms = self.client.terms();
            let ms = state.clock.ms(now);
            let acquired = state
                .limiter
                .acquire(ms, self.id, terms, cx.waker(), &mut propose);
            let throttled = match acquired {
                Ok(grant) => {
                    self.timer = None;
                    self.blocked_until = None;
                    // Each lease needs a place in the queue of its own.
                    self.id = state.limiter.next_ticket();
                    let acquired = match grant.acquired == ms {
                        true => now,
                        false => state.clock.instant(grant.acquired),
                    };
                    return Poll::Ready(Ok(Lease::new(self.client.clone(), grant, acquired)));
                }
                Err(Refusal::Throttled(throttled)) => throttled,
                Err(Refusal::Unreachable(cause)) => {
                    return Poll::Ready(Err(Error::limiter_unreachable(&cause)));
                }
            };
            let later = |wait| state.clock.instant(ms.saturating_add(wait));
            self.blocked_until = throttled.blocked_for.map(later);
            let until = later(throttled.ask_again_in);
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(until)));
            // An earlier timer only asks once more, and resetting one has its price.
            if timer.is_elapsed() || timer.deadline() > until {
                timer.as_mut().reset(until);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Returns until when the quota or a response's demand blocks the next request.
    pub(super) fn blocked_until(&self) -> Option<Instant> {
        self.blocked_until
    }

    /// Returns how long the quota or a response's demand blocks the next request, if that is what
    /// the ticket waits for.
    pub(crate) fn throttled_for(&self) -> Option<Duration> {
        let until = self.blocked_until?;
        Some(until.saturating_duration_since(Instant::now()))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let state = self.client.state();
        state.limiter.leave(state.clock.now(), self.id);
    }
}

/// The right to send one request, until it expires.
///
/// Dropped before its request is sent, it is released. Dropped while its request is in flight, it is
/// held for the grace period, because the server may still be running the request.
pub(crate) struct Lease {
    client: Client,
    grant: Grant,
    acquired: Instant,
    is_sent: bool,
    is_released: bool,
}

impl Lease {
    fn new(client: Client, grant: Grant, acquired: Instant) -> Self {
        Self {
            client,
            grant,
            acquired,
            is_sent: false,
            is_released: false,
        }
    }

    /// Returns `true` if the request may change the customer.
    pub(crate) fn has_customer(&self, customer: i64) -> bool {
        self.grant.customers.binary_search(&customer).is_ok()
    }

    /// Keeps some of the customers that the lease has. They are held as long as the lease.
    pub(crate) fn keep_customers(&mut self, customers: Vec<i64>) {
        let state = self.client.state();
        let had_more = customers.len() < self.grant.customers.len();
        self.grant.customers = state
            .limiter
            .claim(state.clock.now(), self.grant.lease, customers);
        if had_more {
            state.changes.notify();
        }
    }

    /// Returns when the attempt is out of time.
    pub(super) fn deadline(&self) -> Instant {
        self.acquired + self.client.attempt_time()
    }

    pub(super) fn is_sent(&self) -> bool {
        self.is_sent
    }

    pub(super) fn mark_sent(&mut self) {
        self.is_sent = true;
    }

    /// Releases the lease of a request that was not sent.
    pub(super) fn cancel(mut self) {
        self.release(Feedback::Cancelled, None);
    }

    /// Releases the lease of a request that the server is done with, and blocks all requests of the
    /// store for as long as the response asks.
    pub(super) fn finish(mut self, quota: Option<Quota>, block: Option<Duration>) {
        self.release(Feedback::Answered { quota }, block);
    }

    /// Holds the lease of a request that the server may still be running. Returns until when.
    pub(super) fn abandon(mut self, quota: Option<Quota>, block: Option<Duration>) -> Instant {
        self.hold(quota, block);
        Instant::now() + self.client.grace_time()
    }

    fn hold(&mut self, quota: Option<Quota>, block: Option<Duration>) {
        let hold_ms = to_ms(self.client.grace_time());
        self.release(Feedback::Abandoned { quota, hold_ms }, block);
    }

    fn release(&mut self, feedback: Feedback, block: Option<Duration>) {
        self.is_released = true;
        let state = self.client.state();
        let now = state.clock.now();
        let block_ms = block.map_or(0, to_ms);
        state
            .limiter
            .release(now, self.grant.lease, feedback, block_ms);
        if !self.grant.customers.is_empty() {
            state.changes.notify();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match (self.is_released, self.is_sent) {
            (true, _) => {}
            (false, false) => self.release(Feedback::Cancelled, None),
            (false, true) => self.hold(None, None),
        }
    }
}

impl Client {
    fn terms(&self) -> Terms {
        let limits = self.limits();
        Terms {
            max_in_flight: limits.max_in_flight,
            reserved_share: limits.reserved_share,
            lease_ms: to_ms(self.attempt_time() + self.grace_time()),
            local_share: 1,
        }
    }

    pub(super) fn attempt_time(&self) -> Duration {
        self.retry().attempt_timeout.min(MAX_WAIT / 2)
    }

    pub(super) fn grace_time(&self) -> Duration {
        self.limits().grace_period.min(MAX_WAIT / 2)
    }
}
