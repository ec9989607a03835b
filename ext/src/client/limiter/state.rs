//! The quota as the headers of all responses describe it. Pure: takes `now`.

use std::time::Duration;

use tokio::time::Instant;

use super::headers::Quota;

/// The length of a quota window that no header states.
pub(super) const DEFAULT_WINDOW: Duration = Duration::from_secs(30);
/// The longest wait, whatever a header or a setting says.
pub(in crate::client) const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon to ask again when only another request's response can tell more.
const RECHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Why a request may not be sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Throttled {
    /// The quota is spent for this long.
    For(Duration),
    /// The response to a request in flight will tell.
    Briefly,
}

impl Throttled {
    /// Returns how long to wait before asking again.
    pub(in crate::client) fn wait(self) -> Duration {
        match self {
            Self::For(wait) => wait,
            Self::Briefly => RECHECK_INTERVAL,
        }
    }
}

/// Paces requests so that the quota is used and not exceeded.
///
/// Responses arrive out of order, and other apps spend from the same quota. Within a window the
/// smallest number of requests left counts, less the requests without a response. A response for
/// an earlier window changes nothing.
#[derive(Debug)]
pub(in crate::client) struct LimiterState {
    /// The share of the quota that is left to other apps.
    reserved_share: f64,
    window: Option<QuotaWindow>,
    /// Whether any response came. Until then requests go one at a time, because the quota is
    /// unknown.
    has_response: bool,
    unanswered: u64,
    blocked_until: Option<Instant>,
}

#[derive(Debug)]
struct QuotaWindow {
    limit: u64,
    left: u64,
    /// Requests of this app in this window.
    spent: u64,
    ends: Instant,
    length: Duration,
    /// The end of the previous window, as long as no response has told when this one ends.
    assumed_since: Option<Instant>,
}

impl QuotaWindow {
    /// Starts the next window once this one is over. Its quota is full, and a response will tell
    /// when it ends.
    fn roll_over(&mut self, now: Instant) {
        if self.ends <= now {
            self.assumed_since = Some(self.ends);
            self.ends = now + self.length.max(RECHECK_INTERVAL);
            // A quota of zero would block for good: one request per window asks again.
            self.left = self.limit.max(1);
            self.spent = 0;
        }
    }

    /// Applies a response's quota, where `ours` requests of this app may belong to its window.
    fn observe(&mut self, quota: Quota, ends: Instant, ours: u64) {
        let tolerance = quota.window / 2;
        self.limit = quota.limit;
        self.length = quota.window;
        match self.assumed_since {
            Some(previous_end) if ends > previous_end + tolerance => {
                self.left = self.left.min(quota.left);
                self.ends = ends;
                self.assumed_since = None;
            }
            None if ends > self.ends + tolerance => {
                self.left = quota.left;
                self.spent = ours;
                self.ends = ends;
            }
            None if ends + tolerance >= self.ends => {
                self.left = self.left.min(quota.left);
                // The response's travel time makes the end look later than it is.
                self.ends = self.ends.min(ends);
            }
            // A response for an earlier window.
            _ => {}
        }
    }

    /// Returns how many requests may be sent now.
    fn usable(&self, unanswered: u64, reserved_share: f64) -> u64 {
        let ours = self.limit.saturating_sub(share(self.limit, reserved_share));
        self.left
            .saturating_sub(unanswered)
            .min(ours.max(1).saturating_sub(self.spent))
    }
}

impl LimiterState {
    pub(in crate::client) fn new(reserved_share: f64) -> Self {
        Self {
            reserved_share,
            window: None,
            has_response: false,
            unanswered: 0,
            blocked_until: None,
        }
    }

    /// Takes one request from the quota.
    ///
    /// # Errors
    ///
    /// [`Throttled`] says how long to wait before asking again.
    pub(in crate::client) fn acquire(&mut self, now: Instant) -> Result<(), Throttled> {
        if let Some(until) = self.blocked_until {
            if now < until {
                return Err(Throttled::For(until - now));
            }
            self.blocked_until = None;
        }
        if !self.has_response && self.unanswered > 0 {
            return Err(Throttled::Briefly);
        }
        if let Some(window) = &mut self.window {
            window.roll_over(now);
            if window.usable(self.unanswered, self.reserved_share) == 0 {
                // A response may tell more before the window ends.
                let may_learn = window.assumed_since.is_some() && self.unanswered > 0;
                return Err(if may_learn {
                    Throttled::Briefly
                } else {
                    Throttled::For(window.ends - now)
                });
            }
            window.spent += 1;
        }
        self.unanswered += 1;
        Ok(())
    }

    /// Records the end of a request, with the quota of its response, if it had one.
    pub(in crate::client) fn record_response(&mut self, now: Instant, quota: Option<Quota>) {
        self.has_response = true;
        self.unanswered = self.unanswered.saturating_sub(1);
        let Some(quota) = quota else {
            // The server may have counted the request all the same.
            if let Some(window) = &mut self.window {
                window.left = window.left.saturating_sub(1);
            }
            return;
        };
        let ends = now + quota.reset;
        let ours = self.unanswered + 1;
        match &mut self.window {
            Some(window) => window.observe(quota, ends, ours),
            None => {
                self.window = Some(QuotaWindow {
                    limit: quota.limit,
                    left: quota.left,
                    spent: ours,
                    ends,
                    length: quota.window,
                    assumed_since: None,
                });
            }
        }
    }

    /// Blocks all requests for as long as a response asks. The longest block counts.
    pub(in crate::client) fn block(&mut self, now: Instant, wait: Duration) {
        let until = now + wait.min(MAX_WAIT);
        self.blocked_until = self.blocked_until.max(Some(until));
    }
}

/// Returns a share of the quota, rounded up.
fn share(quota: u64, reserved_share: f64) -> u64 {
    // Rounded up, and saturating for any quota.
    (quota as f64 * reserved_share).ceil() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BinaryHeap;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A server whose window opens with the first request after the last one's end.
    struct Server {
        quota: u64,
        window: Duration,
        opened: Option<Instant>,
        left: u64,
    }

    impl Server {
        fn new(quota: u64, window: Duration) -> Self {
            Self {
                quota,
                window,
                opened: None,
                left: quota,
            }
        }

        /// Takes a request; says what the headers say, and whether it was within the quota.
        fn request(&mut self, now: Instant) -> (Quota, bool) {
            let opened = match self.opened {
                Some(opened) if now < opened + self.window => opened,
                _ => {
                    self.left = self.quota;
                    now
                }
            };
            self.opened = Some(opened);
            let is_within = self.left > 0;
            self.left = self.left.saturating_sub(1);
            let said = Quota {
                limit: self.quota,
                left: self.left,
                reset: opened + self.window - now,
                window: self.window,
            };
            (said, is_within)
        }
    }

    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Happens {
        /// One of our requests reaches the server.
        Arrives,
        /// Another app's request does.
        Other,
        /// An answer reaches us.
        Answered {
            said: Option<(u64, u64, Duration, Duration)>,
            is_within: bool,
        },
        /// We ask for another request.
        Asks,
    }

    #[derive(Clone, Copy)]
    struct Setting {
        calls: u64,
        quota: u64,
        window: Duration,
        /// The share left to other apps.
        reserved_share: f64,
        /// What another app takes per window.
        eaten: u64,
        /// One answer in so many has no headers; 0 for none.
        bare: u8,
    }

    const STANDARD: Setting = Setting {
        calls: 1500,
        quota: 150,
        window: Duration::from_secs(30),
        reserved_share: 0.0,
        eaten: 0,
        bare: 0,
    };

    /// Makes calls with 3 in flight; says how long it took and how many of ours were refused.
    fn simulate(setting: Setting, seed: u64) -> (Duration, u64) {
        let Setting {
            calls,
            quota,
            window,
            reserved_share,
            eaten,
            bare,
        } = setting;
        let mut rng = fastrand::Rng::with_seed(seed);
        let start = Instant::now();
        let mut server = Server::new(quota, window);
        let mut state = LimiterState::new(reserved_share);
        let mut queue = BinaryHeap::new();
        let at = |time: Instant, what| std::cmp::Reverse((time, what));
        for _ in 0..3 {
            queue.push(at(start, Happens::Asks));
        }
        for number in 0..200 {
            for _ in 0..eaten {
                let time = start + window * number + window.mul_f64(rng.f64());
                queue.push(at(time, Happens::Other));
            }
        }
        let (mut done, mut started, mut refused, mut last) = (0, 0, 0, start);
        while let Some(std::cmp::Reverse((now, what))) = queue.pop() {
            match what {
                Happens::Asks if started == calls => {}
                Happens::Asks => match state.acquire(now) {
                    Ok(()) => {
                        started += 1;
                        queue.push(at(now + MS * rng.u32(1..30), Happens::Arrives));
                    }
                    Err(hold) => queue.push(at(now + hold.wait(), Happens::Asks)),
                },
                Happens::Arrives => {
                    let (said, is_within) = server.request(now);
                    let said = (bare == 0 || rng.u8(..bare) > 0).then_some((
                        said.limit,
                        said.left,
                        said.reset,
                        said.window,
                    ));
                    let back = now + MS * rng.u32(1..50);
                    queue.push(at(back, Happens::Answered { said, is_within }));
                }
                Happens::Other => {
                    server.request(now);
                }
                Happens::Answered { said, is_within } => {
                    let said = said.map(|(quota, left, reset, window)| Quota {
                        limit: quota,
                        left,
                        reset,
                        window,
                    });
                    state.record_response(now, said);
                    if is_within {
                        done += 1;
                        last = now;
                    } else {
                        started -= 1;
                        refused += 1;
                        if let Some(said) = said {
                            state.block(now, said.reset);
                        }
                    }
                    queue.push(at(now, Happens::Asks));
                }
            }
            if done == calls {
                break;
            }
        }
        assert_eq!(done, calls, "all calls are made");
        (last - start, refused)
    }

    #[test]
    fn alone_on_a_quota_nothing_is_refused_and_nothing_is_lost() {
        for seed in 0..100 {
            let (took, refused) = simulate(STANDARD, seed);
            assert_eq!(refused, 0, "seed {seed}");
            let bound = 9 * STANDARD.window;
            assert!(took <= bound.mul_f64(1.05), "seed {seed}: {took:?}");
        }
    }

    #[test]
    fn answers_without_headers_cost_little() {
        let setting = Setting {
            bare: 20,
            ..STANDARD
        };
        for seed in 0..100 {
            let (took, refused) = simulate(setting, seed);
            assert_eq!(refused, 0, "seed {seed}");
            let bound = 10 * STANDARD.window;
            assert!(took <= bound.mul_f64(1.05), "seed {seed}: {took:?}");
        }
    }

    #[test]
    fn small_quotas_work_too() {
        for quota in 1..8 {
            for seed in 0..20 {
                let setting = Setting {
                    calls: 40,
                    quota,
                    window: Duration::from_secs(2),
                    ..STANDARD
                };
                let (took, refused) = simulate(setting, seed);
                assert_eq!(refused, 0, "quota {quota} seed {seed}");
                let windows = 40_u64.div_ceil(quota) as u32;
                assert!(
                    took <= setting.window.mul_f64(1.1) * windows,
                    "quota {quota} seed {seed}: {took:?}"
                );
            }
        }
    }

    #[test]
    fn other_apps_cost_at_most_three_refusals_per_window() {
        let setting = Setting {
            eaten: 50,
            ..STANDARD
        };
        for seed in 0..50 {
            let (took, refused) = simulate(setting, seed);
            let windows = (took.as_secs_f64() / 30.0).ceil() as u64;
            assert!(
                refused <= 3 * windows,
                "seed {seed}: {refused} in {windows}"
            );
            assert!(windows <= 17, "seed {seed}: {windows} windows");
        }
    }

    #[test]
    fn a_share_is_left_to_other_apps() {
        // With two thirds left to reserved_share, 1500 calls need 30 windows of 50.
        let setting = Setting {
            reserved_share: 2.0 / 3.0,
            eaten: 90,
            ..STANDARD
        };
        let (took, refused) = simulate(setting, 7);
        assert_eq!(refused, 0);
        let window = setting.window;
        assert!(took >= window * 29 && took <= window * 31, "{took:?}");
    }

    #[test]
    fn a_huge_quota_never_waits() {
        let mut state = LimiterState::new(0.5);
        let now = Instant::now();
        for (quota, left) in [(16_101_495, 16_101_000), (u64::MAX, u64::MAX)] {
            for _ in 0..1000 {
                assert_eq!(state.acquire(now), Ok(()));
                let said = Quota {
                    limit: quota,
                    left,
                    reset: MAX_WAIT,
                    window: MAX_WAIT,
                };
                state.record_response(now, Some(said));
            }
        }
    }

    #[test]
    fn requests_without_an_answer_count_against_what_is_left() {
        let mut state = LimiterState::new(0.0);
        let now = Instant::now();
        let said = |left| {
            Some(Quota {
                limit: 150,
                left,
                reset: 9 * MS,
                window: 30 * MS,
            })
        };
        assert_eq!(state.acquire(now), Ok(()));
        // Another app has spent most of it.
        state.record_response(now, said(2));
        assert_eq!(state.acquire(now), Ok(()));
        assert_eq!(state.acquire(now), Ok(()));
        assert_eq!(state.acquire(now), Err(Throttled::For(9 * MS)));
        // Answers out of order: the smallest counts.
        state.record_response(now, said(0));
        state.record_response(now, said(1));
        assert_eq!(state.acquire(now), Err(Throttled::For(9 * MS)));
        // The window is over: nobody waits for what was refreshed.
        assert_eq!(state.acquire(now + 9 * MS), Ok(()));
        // An answer for the window before raises and lowers nothing.
        state.record_response(
            now + 9 * MS,
            Some(Quota {
                reset: MS,
                ..said(1).expect("one")
            }),
        );
        assert_eq!(state.acquire(now + 10 * MS), Ok(()));
        assert_eq!(state.acquire(now + 10 * MS), Ok(()));
    }

    #[test]
    fn a_quota_of_nothing_is_asked_again_each_window() {
        let mut state = LimiterState::new(0.0);
        let mut now = Instant::now();
        let start = now;
        for window in [Duration::ZERO, 50 * MS] {
            for _ in 0..20 {
                match state.acquire(now) {
                    Ok(()) => state.record_response(
                        now,
                        Some(Quota {
                            limit: 0,
                            left: 0,
                            reset: window,
                            window,
                        }),
                    ),
                    Err(hold) => now += hold.wait(),
                }
            }
        }
        assert!(now > start && now < start + 60 * 50 * MS);
    }

    #[test]
    fn a_block_holds_everyone_and_the_longest_counts() {
        let mut state = LimiterState::new(0.0);
        let now = Instant::now();
        state.block(now, 5 * MS);
        state.block(now, 3 * MS);
        assert_eq!(state.acquire(now + MS), Err(Throttled::For(4 * MS)));
        assert_eq!(state.acquire(now + 5 * MS), Ok(()));
    }

    #[test]
    fn answers_without_headers_never_lead_to_a_wait_for_good() {
        let mut state = LimiterState::new(0.0);
        let mut now = Instant::now();
        assert_eq!(state.acquire(now), Ok(()));
        let said = Quota {
            limit: 5,
            left: 4,
            reset: 100 * MS,
            window: 100 * MS,
        };
        state.record_response(now, Some(said));
        for _ in 0..1000 {
            match state.acquire(now) {
                Ok(()) => state.record_response(now, None),
                Err(hold) => now += hold.wait(),
            }
        }
    }
}
