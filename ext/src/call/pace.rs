//! Quota pacing from the headers of every answer: pure, takes `now`.

use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

/// How long a window lasts where no header says so.
const USUAL_WINDOW: Duration = Duration::from_secs(30);
/// No wait is longer than this, whatever a header or a setting says.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon to ask again when only an answer can tell more.
const SOON: Duration = Duration::from_millis(20);

/// Why a request may not go yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// There is no quota for so long.
    For(Duration),
    /// Another request's answer will tell.
    Briefly,
}

impl Hold {
    /// How long to wait before asking again.
    pub(crate) fn time(self) -> Duration {
        match self {
            Self::For(time) => time,
            Self::Briefly => SOON,
        }
    }
}

/// What an answer's headers say about the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    pub quota: u64,
    pub left: u64,
    pub reset: Duration,
    pub window: Duration,
}

impl Quota {
    /// Reads the headers; `None` if the ones that count are missing or not numbers.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        Some(Self {
            quota: number("x-rate-limit-requests-quota")?,
            left: number("x-rate-limit-requests-left")?,
            reset: Duration::from_millis(number("x-rate-limit-time-reset-ms")?).min(LONGEST),
            window: number("x-rate-limit-time-window-ms")
                .map_or(USUAL_WINDOW, Duration::from_millis)
                .min(LONGEST),
        })
    }
}

/// Says when the next request may go, so that the quota is used and not exceeded.
///
/// Answers arrive out of order, and other apps spend from the same quota. So within a window the
/// smallest number of requests left counts, less those not answered yet; an answer for an earlier
/// window changes nothing.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// The share of the quota that other apps can rely on.
    others: f64,
    known: Option<Known>,
    /// Whether any request has ended: the first one goes alone, since nothing is known before.
    has_heard: bool,
    unanswered: u64,
    blocked_until: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    quota: u64,
    left: u64,
    /// Requests of ours in this window.
    spent: u64,
    ends: Instant,
    window: Duration,
    /// When the window before this one ended, as long as no answer has said when this one does.
    assumed_since: Option<Instant>,
}

impl Known {
    /// Turns to the next window once this one is over: its quota is fresh, and an answer will say
    /// when it ends.
    fn turn(&mut self, now: Instant) {
        if self.ends <= now {
            self.assumed_since = Some(self.ends);
            self.ends = now + self.window.max(SOON);
            // A quota of nothing can't be meant: the server is asked again.
            self.left = self.quota.max(1);
            self.spent = 0;
        }
    }

    /// Hears what an answer says, where `ours` requests of this app may belong to its window.
    fn hear(&mut self, said: Quota, ends: Instant, ours: u64) {
        let apart = said.window / 2;
        self.quota = said.quota;
        self.window = said.window;
        match self.assumed_since {
            Some(before) if ends > before + apart => {
                self.left = self.left.min(said.left);
                self.ends = ends;
                self.assumed_since = None;
            }
            None if ends > self.ends + apart => {
                self.left = said.left;
                self.spent = ours;
                self.ends = ends;
            }
            None if ends + apart >= self.ends => {
                self.left = self.left.min(said.left);
                // The time an answer was on its way makes the end look later than it is.
                self.ends = self.ends.min(ends);
            }
            // An answer for an earlier window.
            _ => {}
        }
    }
}

impl Pacer {
    pub(crate) fn new(others: f64) -> Self {
        Self {
            others,
            known: None,
            has_heard: false,
            unanswered: 0,
            blocked_until: None,
        }
    }

    /// Takes one request from the quota, or says how long to wait before asking again.
    pub(crate) fn acquire(&mut self, now: Instant) -> Result<(), Hold> {
        if let Some(until) = self.blocked_until {
            if now < until {
                return Err(Hold::For(until - now));
            }
            self.blocked_until = None;
        }
        if !self.has_heard && self.unanswered > 0 {
            return Err(Hold::Briefly);
        }
        if let Some(known) = &mut self.known {
            known.turn(now);
            let ours = known.quota.saturating_sub(share(known.quota, self.others));
            let usable = known
                .left
                .saturating_sub(self.unanswered)
                .min(ours.max(1).saturating_sub(known.spent));
            if usable == 0 {
                let wait = known.ends - now;
                // An answer may tell more before the window ends.
                let may_learn = known.assumed_since.is_some() && self.unanswered > 0;
                return Err(if may_learn {
                    Hold::Briefly
                } else {
                    Hold::For(wait)
                });
            }
            known.spent += 1;
        }
        self.unanswered += 1;
        Ok(())
    }

    /// Hears that a request has ended, with what its answer said of the quota, if any.
    pub(crate) fn answered(&mut self, now: Instant, said: Option<Quota>) {
        self.has_heard = true;
        self.unanswered = self.unanswered.saturating_sub(1);
        let Some(said) = said else {
            // It may have been counted all the same.
            if let Some(known) = &mut self.known {
                known.left = known.left.saturating_sub(1);
            }
            return;
        };
        let ends = now + said.reset;
        let ours = self.unanswered + 1;
        match &mut self.known {
            Some(known) => known.hear(said, ends, ours),
            None => {
                self.known = Some(Known {
                    quota: said.quota,
                    left: said.left,
                    spent: ours,
                    ends,
                    window: said.window,
                    assumed_since: None,
                });
            }
        }
    }

    /// Hears that the server asks to wait: all requests do.
    pub(crate) fn block(&mut self, now: Instant, wait: Duration) {
        let until = now + wait.min(LONGEST);
        self.blocked_until = self.blocked_until.max(Some(until));
    }
}

fn share(quota: u64, others: f64) -> u64 {
    // Rounded up, and saturating for any quota.
    (quota as f64 * others).ceil() as u64
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
                quota: self.quota,
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
        others: f64,
        /// What another app takes per window.
        eaten: u64,
        /// One answer in so many has no headers; 0 for none.
        bare: u8,
    }

    const STANDARD: Setting = Setting {
        calls: 1500,
        quota: 150,
        window: Duration::from_secs(30),
        others: 0.0,
        eaten: 0,
        bare: 0,
    };

    /// Makes calls with 3 in flight; says how long it took and how many of ours were refused.
    fn simulate(setting: Setting, seed: u64) -> (Duration, u64) {
        let Setting {
            calls,
            quota,
            window,
            others,
            eaten,
            bare,
        } = setting;
        let mut dice = fastrand::Rng::with_seed(seed);
        let start = Instant::now();
        let mut server = Server::new(quota, window);
        let mut pacer = Pacer::new(others);
        let mut queue = BinaryHeap::new();
        let at = |time: Instant, what| std::cmp::Reverse((time, what));
        for _ in 0..3 {
            queue.push(at(start, Happens::Asks));
        }
        for number in 0..200 {
            for _ in 0..eaten {
                let time = start + window * number + window.mul_f64(dice.f64());
                queue.push(at(time, Happens::Other));
            }
        }
        let (mut done, mut started, mut refused, mut last) = (0, 0, 0, start);
        while let Some(std::cmp::Reverse((now, what))) = queue.pop() {
            match what {
                Happens::Asks if started == calls => {}
                Happens::Asks => match pacer.acquire(now) {
                    Ok(()) => {
                        started += 1;
                        queue.push(at(now + MS * dice.u32(1..30), Happens::Arrives));
                    }
                    Err(hold) => queue.push(at(now + hold.time(), Happens::Asks)),
                },
                Happens::Arrives => {
                    let (said, is_within) = server.request(now);
                    let said = (bare == 0 || dice.u8(..bare) > 0).then_some((
                        said.quota,
                        said.left,
                        said.reset,
                        said.window,
                    ));
                    let back = now + MS * dice.u32(1..50);
                    queue.push(at(back, Happens::Answered { said, is_within }));
                }
                Happens::Other => {
                    server.request(now);
                }
                Happens::Answered { said, is_within } => {
                    let said = said.map(|(quota, left, reset, window)| Quota {
                        quota,
                        left,
                        reset,
                        window,
                    });
                    pacer.answered(now, said);
                    if is_within {
                        done += 1;
                        last = now;
                    } else {
                        started -= 1;
                        refused += 1;
                        if let Some(said) = said {
                            pacer.block(now, said.reset);
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
        // With two thirds left to others, 1500 calls need 30 windows of 50.
        let setting = Setting {
            others: 2.0 / 3.0,
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
        let mut pacer = Pacer::new(0.5);
        let now = Instant::now();
        for (quota, left) in [(16_101_495, 16_101_000), (u64::MAX, u64::MAX)] {
            for _ in 0..1000 {
                assert_eq!(pacer.acquire(now), Ok(()));
                let said = Quota {
                    quota,
                    left,
                    reset: LONGEST,
                    window: LONGEST,
                };
                pacer.answered(now, Some(said));
            }
        }
    }

    #[test]
    fn requests_without_an_answer_count_against_what_is_left() {
        let mut pacer = Pacer::new(0.0);
        let now = Instant::now();
        let said = |left| {
            Some(Quota {
                quota: 150,
                left,
                reset: 9 * MS,
                window: 30 * MS,
            })
        };
        assert_eq!(pacer.acquire(now), Ok(()));
        // Another app has spent most of it.
        pacer.answered(now, said(2));
        assert_eq!(pacer.acquire(now), Ok(()));
        assert_eq!(pacer.acquire(now), Ok(()));
        assert_eq!(pacer.acquire(now), Err(Hold::For(9 * MS)));
        // Answers out of order: the smallest counts.
        pacer.answered(now, said(0));
        pacer.answered(now, said(1));
        assert_eq!(pacer.acquire(now), Err(Hold::For(9 * MS)));
        // The window is over: nobody waits for what was refreshed.
        assert_eq!(pacer.acquire(now + 9 * MS), Ok(()));
        // An answer for the window before raises and lowers nothing.
        pacer.answered(
            now + 9 * MS,
            Some(Quota {
                reset: MS,
                ..said(1).expect("one")
            }),
        );
        assert_eq!(pacer.acquire(now + 10 * MS), Ok(()));
        assert_eq!(pacer.acquire(now + 10 * MS), Ok(()));
    }

    #[test]
    fn a_quota_of_nothing_is_asked_again_each_window() {
        let mut pacer = Pacer::new(0.0);
        let mut now = Instant::now();
        let start = now;
        for window in [Duration::ZERO, 50 * MS] {
            for _ in 0..20 {
                match pacer.acquire(now) {
                    Ok(()) => pacer.answered(
                        now,
                        Some(Quota {
                            quota: 0,
                            left: 0,
                            reset: window,
                            window,
                        }),
                    ),
                    Err(hold) => now += hold.time(),
                }
            }
        }
        assert!(now > start && now < start + 60 * 50 * MS);
    }

    #[test]
    fn a_block_holds_everyone_and_the_longest_counts() {
        let mut pacer = Pacer::new(0.0);
        let now = Instant::now();
        pacer.block(now, 5 * MS);
        pacer.block(now, 3 * MS);
        assert_eq!(pacer.acquire(now + MS), Err(Hold::For(4 * MS)));
        assert_eq!(pacer.acquire(now + 5 * MS), Ok(()));
    }

    #[test]
    fn answers_without_headers_never_lead_to_a_wait_for_good() {
        let mut pacer = Pacer::new(0.0);
        let mut now = Instant::now();
        assert_eq!(pacer.acquire(now), Ok(()));
        let said = Quota {
            quota: 5,
            left: 4,
            reset: 100 * MS,
            window: 100 * MS,
        };
        pacer.answered(now, Some(said));
        for _ in 0..1000 {
            match pacer.acquire(now) {
                Ok(()) => pacer.answered(now, None),
                Err(hold) => now += hold.time(),
            }
        }
    }
}
