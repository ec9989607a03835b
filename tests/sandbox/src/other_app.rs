use std::time::Duration;

use crate::random;

/// The maximum number of points in time per window at which the other app makes requests. If its
/// share is larger, it makes several requests at a time, so that a quota of millions costs no more
/// than one of hundreds.
const MAX_BURSTS: u64 = 512;

/// Another app that uses the same quota, at random times in each window.
///
/// It has no task of its own: its requests are computed when the quota is read.
pub(crate) struct OtherApp {
    seed: u64,
    share: f64,
    windows: u64,
    /// The bursts still to come in the current window, as times since its start, the next one
    /// last.
    bursts: Vec<Duration>,
    requests: u64,
    bursts_made: u64,
}

impl OtherApp {
    pub(crate) fn new(seed: u64, share: f64) -> Self {
        Self {
            seed,
            // NaN stays NaN here, and becomes zero requests in the cast below.
            share: share.clamp(0.0, 1.0),
            windows: 0,
            bursts: Vec::new(),
            requests: 0,
            bursts_made: 0,
        }
    }

    pub(crate) fn start_window(&mut self, quota: u64, window: Duration) {
        // Casts from floats saturate, and turn NaN into zero.
        self.requests = ((quota as f64 * self.share).round() as u64).min(quota);
        self.bursts_made = 0;
        let mut rng = random::generator(self.seed, self.windows);
        self.windows += 1;
        self.bursts.clear();
        for _ in 0..self.requests.min(MAX_BURSTS) {
            let time = random::duration(&mut rng, Duration::ZERO, window);
            self.bursts.push(time);
        }
        self.bursts.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Returns the number of requests made since the last call, `elapsed` into the window.
    pub(crate) fn take_due(&mut self, elapsed: Duration) -> u64 {
        let mut due = 0;
        while self.bursts.last().is_some_and(|time| *time < elapsed) {
            self.bursts.pop();
            self.bursts_made += 1;
            // Rounding down the running total spreads the remainder over the bursts.
            let bursts = self.requests.min(MAX_BURSTS);
            let total_after = |bursts_made: u64| {
                u128::from(self.requests) * u128::from(bursts_made) / u128::from(bursts)
            };
            let requests = total_after(self.bursts_made) - total_after(self.bursts_made - 1);
            due += u64::try_from(requests).unwrap_or(0);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    #[test]
    fn the_share_of_each_window_is_used_at_random_times() {
        let mut app = OtherApp::new(7, 1.0 / 3.0);
        let mut halves = Vec::new();
        for _ in 0..20 {
            app.start_window(150, WINDOW);
            let half = app.take_due(WINDOW / 2);
            let quarter = app.take_due(WINDOW / 4);
            assert_eq!(quarter, 0);
            halves.push(half);
            assert_eq!(half + app.take_due(WINDOW), 50);
        }
        assert!(
            halves.iter().all(|half| (8..42).contains(half)),
            "{halves:?}"
        );
        halves.dedup();
        assert!(halves.len() > 5, "{halves:?}");
    }

    #[test]
    fn the_share_is_exact_for_any_quota() {
        for (quota, share, expected) in [
            (16_101_495, 0.3, 4_830_449),
            (u64::MAX, 1.0, u64::MAX),
            (150, 0.0, 0),
            (150, f64::NAN, 0),
            (150, -1.0, 0),
            (150, 7.0, 150),
        ] {
            let mut app = OtherApp::new(1, share);
            app.start_window(quota, WINDOW);
            assert!(app.bursts.len() <= MAX_BURSTS as usize);
            assert_eq!(app.take_due(WINDOW + WINDOW), expected);
        }
    }
}
