use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::other_app::OtherApp;
use crate::state::Shared;

/// A request's place among those in flight, free again when this is dropped.
pub(crate) struct Place(pub(crate) Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().counts.in_flight -= 1;
    }
}

/// A quota per window, where a window opens with the first request that counts.
pub(crate) struct Quota {
    requests: u64,
    window: Duration,
    opened: Option<Instant>,
    used: u64,
    other_app: Option<OtherApp>,
}

impl Quota {
    pub(crate) fn new(requests: u64, window: Duration, other_app: Option<OtherApp>) -> Self {
        Self {
            requests,
            window,
            opened: None,
            used: 0,
            other_app,
        }
    }

    /// Whether a request would find nothing left.
    pub(crate) fn is_spent(&mut self, now: Instant) -> bool {
        self.read(now).left == 0
    }

    /// Takes one request out of the quota: `Err` when it is spent.
    pub(crate) fn take(&mut self, now: Instant) -> Result<Reading, Reading> {
        if self.current(now).is_none() {
            self.opened = Some(now);
            self.used = 0;
            if let Some(other_app) = &mut self.other_app {
                other_app.renew(self.requests, self.window);
            }
        }
        let reading = self.read(now);
        if reading.left == 0 {
            return Err(reading);
        }
        self.used += 1;
        Ok(self.read(now))
    }

    /// Reads the quota and takes nothing.
    pub(crate) fn read(&mut self, now: Instant) -> Reading {
        let opened = self.current(now);
        if let (Some(other_app), Some(opened)) = (&mut self.other_app, opened) {
            // Nobody has taken anything since the last look, so what the other app found left
            // then is what it found left at each of its moments; beyond that it was refused.
            let due = other_app.catch_up(now.saturating_duration_since(opened));
            self.used += due.min(self.requests - self.used);
        }
        let used = if opened.is_some() { self.used } else { 0 };
        Reading {
            requests: self.requests,
            left: self.requests - used,
            window: self.window,
            opened,
        }
    }

    fn current(&self, now: Instant) -> Option<Instant> {
        self.opened
            .filter(|opened| now.saturating_duration_since(*opened) < self.window)
    }
}

/// What the rate-limit headers of one answer say.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    requests: u64,
    left: u64,
    window: Duration,
    opened: Option<Instant>,
}

impl Reading {
    pub(crate) fn write(&self, headers: &mut HeaderMap, now: Instant) {
        write(
            headers,
            self.requests,
            self.left,
            self.window,
            self.reset(now),
        );
    }

    pub(crate) fn write_retry_after(&self, headers: &mut HeaderMap, now: Instant) {
        write_retry_after(headers, self.reset(now));
    }

    /// The time to the end of the window; the whole window where none is open.
    fn reset(&self, now: Instant) -> Duration {
        let gone = self
            .opened
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.window.saturating_sub(gone)
    }
}

/// Writes the headers of a spent quota, whatever the real one says.
pub(crate) fn write_spent(
    headers: &mut HeaderMap,
    requests: u64,
    window: Duration,
    reset: Duration,
) {
    write(headers, requests, 0, window, reset);
    write_retry_after(headers, reset);
}

fn write(headers: &mut HeaderMap, requests: u64, left: u64, window: Duration, reset: Duration) {
    number(headers, "x-rate-limit-time-window-ms", millis(window));
    number(headers, "x-rate-limit-time-reset-ms", millis(reset));
    number(headers, "x-rate-limit-requests-quota", requests);
    number(headers, "x-rate-limit-requests-left", left);
}

fn write_retry_after(headers: &mut HeaderMap, reset: Duration) {
    number(headers, "x-retry-after", millis(reset).div_ceil(1000));
}

/// Rounded up: a client that waits for as long as it is told must find the new window.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn number(headers: &mut HeaderMap, name: &'static str, value: u64) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_window_opens_with_the_first_request_and_again_after_its_end() {
        let mut quota = Quota::new(2, Duration::from_secs(30), None);
        tokio::time::advance(Duration::from_secs(100)).await;
        let open = Instant::now();
        assert_eq!(quota.take(open).ok().map(|r| r.left), Some(1));
        let later = open + Duration::from_millis(29_999);
        assert_eq!(quota.take(later).ok().map(|r| r.left), Some(0));
        let spent = quota.take(later).err().expect("the quota is spent");
        assert_eq!(spent.reset(later), Duration::from_millis(1));
        let next = open + Duration::from_secs(30);
        assert_eq!(quota.read(next).left, 2);
        let reading = quota.take(next).ok().expect("a new window");
        assert_eq!(reading.left, 1);
        assert_eq!(reading.reset(next), Duration::from_secs(30));
    }

    #[test]
    fn milliseconds_are_rounded_up() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(30)), 30);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
