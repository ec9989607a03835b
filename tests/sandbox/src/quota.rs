use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::other_app::OtherApp;

/// A quota of requests per window. A window starts with the first request that counts.
pub(crate) struct Quota {
    requests: u64,
    window: Duration,
    started: Option<Instant>,
    used: u64,
    other_app: Option<OtherApp>,
}

impl Quota {
    pub(crate) fn new(requests: u64, window: Duration, other_app: Option<OtherApp>) -> Self {
        Self {
            requests,
            window,
            started: None,
            used: 0,
            other_app,
        }
    }

    /// Returns `true` if [`take`](Self::take) would fail.
    pub(crate) fn is_spent(&mut self, now: Instant) -> bool {
        self.snapshot(now).left == 0
    }

    /// Takes one request out of the quota. Returns `Err` if none is left.
    pub(crate) fn take(&mut self, now: Instant) -> Result<QuotaSnapshot, QuotaSnapshot> {
        if self.window_start(now).is_none() {
            self.started = Some(now);
            self.used = 0;
            if let Some(other_app) = &mut self.other_app {
                other_app.start_window(self.requests, self.window);
            }
        }
        let snapshot = self.snapshot(now);
        if snapshot.left == 0 {
            return Err(snapshot);
        }
        self.used += 1;
        Ok(self.snapshot(now))
    }

    /// Returns the state of the quota and takes nothing.
    pub(crate) fn snapshot(&mut self, now: Instant) -> QuotaSnapshot {
        let started = self.window_start(now);
        if let (Some(other_app), Some(started)) = (&mut self.other_app, started) {
            // Nothing was taken since the last snapshot, so the other app's requests since then
            // succeeded as long as some quota was left, and failed after that.
            let due = other_app.take_due(now.saturating_duration_since(started));
            self.used += due.min(self.requests - self.used);
        }
        let used = if started.is_some() { self.used } else { 0 };
        QuotaSnapshot {
            requests: self.requests,
            left: self.requests - used,
            window: self.window,
            started,
        }
    }

    /// Returns the start of the current window, or `None` if no window is open.
    fn window_start(&self, now: Instant) -> Option<Instant> {
        self.started
            .filter(|started| now.saturating_duration_since(*started) < self.window)
    }
}

/// The quota as one response shows it in its rate-limit headers.
#[derive(Clone, Copy)]
pub(crate) struct QuotaSnapshot {
    requests: u64,
    left: u64,
    window: Duration,
    started: Option<Instant>,
}

impl QuotaSnapshot {
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap, now: Instant) {
        write_headers(
            headers,
            self.requests,
            self.left,
            self.window,
            self.time_to_reset(now),
        );
    }

    pub(crate) fn write_retry_after(&self, headers: &mut HeaderMap, now: Instant) {
        write_retry_after(headers, self.time_to_reset(now));
    }

    /// Returns the time to the window's end, or the whole window if none is open.
    fn time_to_reset(&self, now: Instant) -> Duration {
        let elapsed = self
            .started
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.window.saturating_sub(elapsed)
    }
}

/// Writes the headers of a spent quota, whatever the actual one.
pub(crate) fn write_spent_headers(
    headers: &mut HeaderMap,
    requests: u64,
    window: Duration,
    reset: Duration,
) {
    write_headers(headers, requests, 0, window, reset);
    write_retry_after(headers, reset);
}

fn write_headers(
    headers: &mut HeaderMap,
    requests: u64,
    left: u64,
    window: Duration,
    reset: Duration,
) {
    insert_number(headers, "x-rate-limit-time-window-ms", millis(window));
    insert_number(headers, "x-rate-limit-time-reset-ms", millis(reset));
    insert_number(headers, "x-rate-limit-requests-quota", requests);
    insert_number(headers, "x-rate-limit-requests-left", left);
}

fn write_retry_after(headers: &mut HeaderMap, reset: Duration) {
    insert_number(headers, "x-retry-after", millis(reset).div_ceil(1000));
}

/// Rounds up, so that a client that waits this long meets the new window.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn insert_number(headers: &mut HeaderMap, name: &'static str, value: u64) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_window_starts_with_its_first_request() {
        let mut quota = Quota::new(2, Duration::from_secs(30), None);
        tokio::time::advance(Duration::from_secs(100)).await;
        let start = Instant::now();
        assert_eq!(quota.take(start).ok().map(|r| r.left), Some(1));
        let later = start + Duration::from_millis(29_999);
        assert_eq!(quota.take(later).ok().map(|r| r.left), Some(0));
        let spent = quota.take(later).err().expect("the quota is spent");
        assert_eq!(spent.time_to_reset(later), Duration::from_millis(1));
        let next = start + Duration::from_secs(30);
        assert_eq!(quota.snapshot(next).left, 2);
        let renewed = quota.take(next).ok().expect("a new window");
        assert_eq!(renewed.left, 1);
        assert_eq!(renewed.time_to_reset(next), Duration::from_secs(30));
    }

    #[test]
    fn milliseconds_are_rounded_up() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(30)), 30);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
