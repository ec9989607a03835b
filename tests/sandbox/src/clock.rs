use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// Calendar time that follows tokio's clock, so that a paused clock also pauses the dates.
pub(crate) struct Clock {
    started: Instant,
    started_at: DateTime<Utc>,
    /// By how many milliseconds the dates were moved ahead of tokio's clock.
    advanced_by: AtomicI64,
}

impl Clock {
    pub(crate) fn start(at: DateTime<Utc>) -> Self {
        Self {
            started: Instant::now(),
            started_at: at,
            advanced_by: AtomicI64::new(0),
        }
    }

    /// Moves the dates on.
    pub(crate) fn advance(&self, time: Duration) {
        self.advanced_by
            .fetch_add(to_millis(time), Ordering::Relaxed);
    }

    /// Returns the time in whole seconds. JSON shows dates in seconds, so a date that a client has
    /// read must match exactly when it is used as a filter.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let elapsed = to_millis(self.started.elapsed());
        let millis = self.started_at.timestamp_millis().saturating_add(elapsed);
        let millis = millis.saturating_add(self.advanced_by.load(Ordering::Relaxed));
        DateTime::from_timestamp(millis.div_euclid(1000), 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

fn to_millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
