//! Time in milliseconds.

use std::time::Duration;

use tokio::time::Instant;

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
    pub(super) fn new() -> Self {
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

/// Returns a time in milliseconds, rounded down.
pub(super) fn to_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
