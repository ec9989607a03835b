//! What all stores with one base URL share: the limiter, the health, and one clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::health::{Finding, Health, HealthChange};
use super::limiter::{LocalLimiter, to_ms};
use super::outage::Availability;

/// The states in use, by base URL.
static REGISTRY: Mutex<BTreeMap<String, Weak<SharedState>>> = Mutex::new(BTreeMap::new());

/// The time of the clock's origin: a runtime with a paused clock may be behind the one that created
/// the clock.
const ORIGIN_MS: u64 = 1000 * 60 * 60 * 24 * 365;

/// Milliseconds since an origin.
///
/// Runtimes with paused clocks can disagree about the time. The limiter moves its deadlines when the
/// time goes back; one runtime that is far ahead of another lets its leases expire early. Only tests
/// pause clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.ms(Instant::now())
    }

    pub(super) fn ms(&self, at: Instant) -> u64 {
        match at.checked_duration_since(self.origin) {
            Some(after) => ORIGIN_MS.saturating_add(to_ms(after)),
            None => ORIGIN_MS.saturating_sub(to_ms(self.origin.duration_since(at))),
        }
    }

    /// Returns the first instant at which [`now`](Self::now) returns at least `ms`.
    pub(super) fn instant(&self, ms: u64) -> Instant {
        match ms.checked_sub(ORIGIN_MS) {
            Some(after) => self.origin + Duration::from_millis(after),
            None => {
                let before = Duration::from_millis(ORIGIN_MS.saturating_sub(ms));
                self.origin.checked_sub(before).unwrap_or(self.origin)
            }
        }
    }
}

/// The shared state.
pub(super) struct SharedState {
    pub clock: Clock,
    pub limiter: LocalLimiter,
    health: Mutex<Health>,
    changes: Mutex<Changes>,
}

/// A counter of the changes that drivers wait for, and the wakers of those drivers.
#[derive(Default)]
struct Changes {
    count: u64,
    last_watcher: u64,
    wakers: HashMap<u64, Waker>,
}

impl SharedState {
    fn new() -> Self {
        Self {
            clock: Clock::new(),
            limiter: LocalLimiter::default(),
            health: Mutex::default(),
            changes: Mutex::default(),
        }
    }

    /// Returns the state of all stores with this base URL.
    pub(super) fn of(base_url: &str) -> Arc<Self> {
        let mut states = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get(base_url).and_then(Weak::upgrade) {
            return state;
        }
        states.retain(|_, state| state.strong_count() > 0);
        let state = Arc::new(Self::new());
        states.insert(base_url.to_owned(), Arc::downgrade(&state));
        state
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
            self.notify();
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
        self.notify();
        change
    }

    /// Wakes the drivers that watch for changes.
    pub(super) fn notify(&self) {
        let wakers = {
            let mut changes = self.changes();
            changes.count += 1;
            std::mem::take(&mut changes.wakers)
        };
        wakers.into_values().for_each(Waker::wake);
    }

    pub(super) fn new_watcher(&self) -> (u64, u64) {
        let mut changes = self.changes();
        changes.last_watcher += 1;
        (changes.last_watcher, changes.count)
    }

    pub(super) fn remove_watcher(&self, id: u64) {
        self.changes().wakers.remove(&id);
    }

    pub(super) fn poll_changed(&self, id: u64, seen: &mut u64, cx: &Context<'_>) -> Poll<()> {
        let mut changes = self.changes();
        if changes.count != *seen {
            *seen = changes.count;
            return Poll::Ready(());
        }
        changes.wakers.insert(id, cx.waker().clone());
        Poll::Pending
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
