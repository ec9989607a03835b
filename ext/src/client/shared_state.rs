//! What all stores with one base URL share: the limiter, the health, and one clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::changes::Changes;
use super::clock::{Clock, to_ms};
use super::health::{Finding, Health, HealthChange};
use super::limiter::{Limiter, SharedLimits};
use super::outage::Availability;
use crate::error::Error;

/// The states in use, by base URL.
static REGISTRY: Mutex<BTreeMap<String, Weak<SharedState>>> = Mutex::new(BTreeMap::new());

/// The shared state.
pub(super) struct SharedState {
    pub clock: Clock,
    pub limiter: Limiter,
    pub changes: Arc<Changes>,
    health: Mutex<Health>,
}

impl SharedState {
    fn new(base_url: &str, limits: Option<SharedLimits>) -> Self {
        let clock = Clock::new();
        let changes = Arc::default();
        Self {
            clock,
            limiter: Limiter::new(base_url, limits, clock, &changes),
            health: Mutex::default(),
            changes,
        }
    }

    /// Returns the state of all stores with this base URL. The first of them decides where the limits
    /// are kept.
    ///
    /// # Errors
    ///
    /// Returns an error if `limits` are to be kept in another place than those of the first store, or in
    /// another way.
    pub(super) fn of(base_url: &str, limits: Option<SharedLimits>) -> Result<Arc<Self>, Error> {
        let mut states = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get(base_url).and_then(Weak::upgrade) {
            return match limits.and_then(|limits| state.limiter.difference(&limits)) {
                Some(difference) => Err(Error::invalid_input(format!(
                    "another Store with the base URL {base_url} {difference}: give all of them the same \
                     shared limits"
                ))),
                None => Ok(state),
            };
        }
        states.retain(|_, state| state.strong_count() > 0);
        let state = Arc::new(Self::new(base_url, limits));
        states.insert(base_url.to_owned(), Arc::downgrade(&state));
        Ok(state)
    }

    pub(super) fn availability(&self) -> Availability {
        match self.health().outage() {
            None => Availability::Up,
            Some((since, probe_at)) => Availability::Down {
                since: self.clock.instant(since),
                probe_at: self.clock.instant(probe_at),
            },
        }
    }

    pub(super) fn successes(&self) -> u64 {
        self.health().successes()
    }

    pub(super) fn try_probe(&self, longest: Duration) -> Option<u64> {
        self.health().try_probe(self.clock.now(), to_ms(longest))
    }

    pub(super) fn end_probe(&self, id: u64) {
        if self.health().end_probe(id) {
            self.changes.notify();
        }
    }

    /// Records a finished request in the health.
    pub(super) fn record(&self, finding: Finding) -> Option<HealthChange> {
        let change = {
            let mut health = self.health();
            let before = health.outage();
            let change = health.record(self.clock.now(), finding);
            if health.outage() == before {
                return None;
            }
            change
        };
        self.changes.notify();
        change
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
