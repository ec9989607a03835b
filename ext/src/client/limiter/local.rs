//! The limiter of one process: the state behind a mutex, and the wakers of those who wait.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::state::{Feedback, LeaseId, LimiterState, Terms, Throttled, TicketId};

#[derive(Default)]
pub(in crate::client) struct LocalLimiter(Mutex<LimiterQueue>);

#[derive(Default)]
struct LimiterQueue {
    state: LimiterState,
    wakers: HashMap<TicketId, Waker>,
}

impl LimiterQueue {
    fn take_wakers(&mut self) -> Vec<Waker> {
        let wakes = self.state.take_wakes();
        let wakers = wakes.iter().filter_map(|id| self.wakers.remove(id));
        wakers.collect()
    }
}

impl LocalLimiter {
    pub(in crate::client) fn next_ticket(&self) -> TicketId {
        self.lock().state.next_ticket()
    }

    /// Takes a lease, or keeps the waker for the moment at which there is a place.
    pub(in crate::client) fn acquire(
        &self,
        now: u64,
        ticket: TicketId,
        terms: Terms,
        waker: &Waker,
    ) -> Result<LeaseId, Throttled> {
        let mut queue = self.lock();
        let result = queue.state.acquire(now, ticket, terms);
        match result {
            Ok(_) => drop(queue.wakers.remove(&ticket)),
            Err(_) => waker.clone_into(queue.wakers.entry(ticket).or_insert_with(|| waker.clone())),
        }
        Self::wake(queue);
        result
    }

    pub(in crate::client) fn leave(&self, now: u64, ticket: TicketId) {
        let mut queue = self.lock();
        queue.wakers.remove(&ticket);
        queue.state.leave(now, ticket);
        Self::wake(queue);
    }

    /// Names the customers of a lease.
    pub(in crate::client) fn set_customers(&self, lease: LeaseId, customers: Vec<i64>) {
        self.lock().state.set_customers(lease, customers);
    }

    /// Ends a lease, and blocks all requests for as long as its response asks.
    pub(in crate::client) fn release(
        &self,
        now: u64,
        lease: LeaseId,
        feedback: Feedback,
        block_ms: Option<u64>,
    ) {
        let mut queue = self.lock();
        if let Some(wait) = block_ms {
            queue.state.block(now, wait);
        }
        queue.state.release(now, lease, feedback);
        Self::wake(queue);
    }

    pub(in crate::client) fn is_held(&self, now: u64, customer: i64) -> bool {
        self.lock().state.is_held(now, customer)
    }

    pub(in crate::client) fn next_hold_end(&self, now: u64) -> Option<u64> {
        self.lock().state.next_hold_end(now)
    }

    fn wake(mut queue: MutexGuard<'_, LimiterQueue>) {
        let wakers = queue.take_wakers();
        // A waker may run code that asks again.
        drop(queue);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, LimiterQueue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
