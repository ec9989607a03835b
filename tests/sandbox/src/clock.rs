use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// Calendar time that follows tokio's clock, so that a paused clock also pauses the dates.
pub(crate) struct Clock {
    started: Instant,
    started_at: DateTime<Utc>,
}

impl Clock {
    pub(crate) fn start(at: DateTime<Utc>) -> Self {
        Self {
            started: Instant::now(),
            started_at: at,
        }
    }

    /// Returns the time in whole seconds. JSON shows dates in seconds, so a date that a client has
    /// read must match exactly when it is used as a filter.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        let millis = self.started_at.timestamp_millis().saturating_add(elapsed);
        DateTime::from_timestamp(millis.div_euclid(1000), 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}
