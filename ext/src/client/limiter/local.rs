//! The limiter of one process: the state behind a mutex, and the wakers of those who wait.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::state::{Feedback, LeaseId, LimiterState, MemberId, Terms, Throttled, TicketId};

/// The only member.
const MEMBER: MemberId = 0;

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
    pub(super) fn next_ticket(&self) -> TicketId {
        self.lock().state.next_ticket(MEMBER)
    }

    /// Takes a lease, or keeps the waker for the moment at which there is a place.
    pub(super) fn acquire(
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

    pub(super) fn leave(&self, now: u64, ticket: TicketId) {
        let mut queue = self.lock();
        queue.wakers.remove(&ticket);
        queue.state.leave(now, ticket);
        Self::wake(queue);
    }

    /// Leases customers. Returns those that no other lease holds.
    pub(super) fn claim(&self, now: u64, lease: LeaseId, customers: Vec<i64>) -> Vec<i64> {
        self.lock().state.claim(now, lease, customers)
    }

    /// Ends a lease, and blocks all requests for as long as its response asks.
    pub(super) fn release(&self, now: u64, lease: LeaseId, feedback: Feedback, block_ms: u64) {
        let mut queue = self.lock();
        if block_ms > 0 {
            queue.state.block(now, block_ms);
        }
        queue.state.release(now, lease, feedback);
        Self::wake(queue);
    }

    pub(super) fn is_held(&self, now: u64, customer: i64) -> bool {
        let queue = self.lock();
        queue.state.is_taken(now, customer) || queue.state.is_abandoned(now, customer)
    }

    pub(super) fn is_taken(&self, now: u64, customer: i64) -> bool {
        self.lock().state.is_taken(now, customer)
    }

    pub(super) fn is_abandoned(&self, now: u64, customer: i64) -> bool {
        self.lock().state.is_abandoned(now, customer)
    }

    pub(super) fn next_hold_end(&self, now: u64) -> Option<u64> {
        self.lock().state.next_hold_end(now)
    }

    pub(super) fn state(&self) -> LimiterState {
        self.lock().state.clone()
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
