//! When a request may be sent: a permit per request in flight, and the quota.

mod headers;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::Limits;

pub(super) use headers::RateLimitHeaders;
pub(super) use state::{LimiterState, MAX_WAIT, Throttled};

/// Permits, first come, first served, and the state of the quota.
pub(super) struct Limiter {
    permits: Arc<Semaphore>,
    state: Mutex<LimiterState>,
}

pub(super) type Permit = OwnedSemaphorePermit;

impl Limiter {
    pub(super) const MAX_IN_FLIGHT: usize = Semaphore::MAX_PERMITS;

    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits.max_in_flight)),
            state: Mutex::new(LimiterState::new(limits.reserved_share)),
        }
    }

    /// Waits for a permit. Dropping the permit releases it.
    ///
    /// Await this in a task of its own only: a place in the queue that nobody polls would block
    /// everyone behind it.
    pub(super) async fn permit(&self) -> Permit {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.expect("the semaphore is private to this type, which never closes it")
    }

    pub(super) fn state(&self) -> MutexGuard<'_, LimiterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
