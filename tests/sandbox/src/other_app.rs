use std::time::Duration;

use crate::random;

/// Another app that takes requests out of the same quota, at random moments of each window.
///
/// It has no task of its own: what it has taken by now is worked out when somebody looks.
pub(crate) struct OtherApp {
    seed: u64,
    share: f64,
    windows: u64,
    /// Its moments in the current window, as times since the window opened, the next one last.
    moments: Vec<Duration>,
    requests: u64,
    played: u64,
}

/// At that many moments per window at most; where its share is more requests, it takes several at
/// once, so that a quota of millions costs no more than one of hundreds.
const MOMENTS: u64 = 512;

impl OtherApp {
    pub(crate) fn new(seed: u64, share: f64) -> Self {
        Self {
            seed,
            // Not a number is no share.
            share: share.clamp(0.0, 1.0),
            windows: 0,
            moments: Vec::new(),
            requests: 0,
            played: 0,
        }
    }

    /// A new window opens.
    pub(crate) fn renew(&mut self, quota: u64, window: Duration) {
        // Casts of floats saturate, and make zero of what is not a number.
        self.requests = ((quota as f64 * self.share).round() as u64).min(quota);
        self.played = 0;
        let mut rng = random::generator(self.seed, self.windows);
        self.windows += 1;
        self.moments.clear();
        for _ in 0..self.requests.min(MOMENTS) {
            let moment = random::duration(&mut rng, Duration::ZERO, window);
            self.moments.push(moment);
        }
        self.moments.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// How many requests it has made, `gone` into the window, since this was last asked.
    pub(crate) fn catch_up(&mut self, gone: Duration) -> u64 {
        let mut due = 0;
        while self.moments.last().is_some_and(|moment| *moment < gone) {
            self.moments.pop();
            // Shared out without a rest: the nth moment reaches n / moments of the requests.
            self.played += 1;
            let moments = self.requests.min(MOMENTS);
            let until =
                |played: u64| u128::from(self.requests) * u128::from(played) / u128::from(moments);
            due += u64::try_from(until(self.played) - until(self.played - 1)).unwrap_or(0);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    #[test]
    fn it_takes_its_share_of_each_window_at_random() {
        let mut app = OtherApp::new(7, 1.0 / 3.0);
        let mut halves = Vec::new();
        for _ in 0..20 {
            app.renew(150, WINDOW);
            let half = app.catch_up(WINDOW / 2);
            let quarter = app.catch_up(WINDOW / 4);
            assert_eq!(quarter, 0);
            halves.push(half);
            assert_eq!(half + app.catch_up(WINDOW), 50);
        }
        assert!(
            halves.iter().all(|half| (8..42).contains(half)),
            "{halves:?}"
        );
        halves.dedup();
        assert!(halves.len() > 5, "{halves:?}");
    }

    #[test]
    fn the_same_seed_is_the_same_app() {
        let taken = |seed| {
            let mut app = OtherApp::new(seed, 0.5);
            app.renew(450, WINDOW);
            (1..=30)
                .map(|s| app.catch_up(Duration::from_secs(s)))
                .collect::<Vec<_>>()
        };
        assert_eq!(taken(1), taken(1));
        assert_ne!(taken(1), taken(2));
    }

    #[test]
    fn a_huge_quota_is_shared_without_a_rest() {
        for (quota, share, expected) in [
            (16_101_495, 0.3, 4_830_449),
            (u64::MAX, 1.0, u64::MAX),
            (150, 0.0, 0),
            (150, f64::NAN, 0),
            (150, -1.0, 0),
            (150, 7.0, 150),
        ] {
            let mut app = OtherApp::new(1, share);
            app.renew(quota, WINDOW);
            assert!(app.moments.len() <= 512);
            assert_eq!(app.catch_up(WINDOW + WINDOW), expected);
        }
    }
}
