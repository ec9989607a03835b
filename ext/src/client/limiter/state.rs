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
    /// The response to a request in flight decides.
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
    /// Whether any request has finished. Until then requests go one at a time, because the quota is
    /// unknown.
    has_finished_request: bool,
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
    /// The end of the previous window, as long as no response has reported when this one ends.
    assumed_since: Option<Instant>,
}

impl QuotaWindow {
    /// Starts the next window once this one is over. Its quota is full, and a response will report
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
            has_finished_request: false,
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
        if !self.has_finished_request && self.unanswered > 0 {
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
        self.has_finished_request = true;
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
    use std::collections::BTreeMap;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A server with a quota. A window starts with the first request after the previous one.
    struct QuotaServer {
        quota: u64,
        window: Duration,
        window_start: Option<Instant>,
        left: u64,
    }

    /// A response of the [`QuotaServer`].
    #[derive(Clone, Copy)]
    struct QuotaResponse {
        quota: Quota,
        is_within_quota: bool,
    }

    impl QuotaServer {
        fn new(quota: u64, window: Duration) -> Self {
            Self {
                quota,
                window,
                window_start: None,
                left: quota,
            }
        }

        fn respond(&mut self, now: Instant) -> QuotaResponse {
            let start = match self.window_start {
                Some(start) if now < start + self.window => start,
                _ => {
                    self.left = self.quota;
                    now
                }
            };
            self.window_start = Some(start);
            let is_within_quota = self.left > 0;
            self.left = self.left.saturating_sub(1);
            QuotaResponse {
                quota: Quota {
                    limit: self.quota,
                    left: self.left,
                    reset: start + self.window - now,
                    window: self.window,
                },
                is_within_quota,
            }
        }
    }

    enum SimulatedEvent {
        /// The client asks the limiter for a request.
        Acquire,
        /// A request of the client arrives at the server.
        RequestArrives,
        /// A request of another app arrives at the server.
        OtherRequestArrives,
        /// A response arrives at the client.
        ResponseArrives {
            quota: Option<Quota>,
            is_within_quota: bool,
        },
    }

    /// The events to come, in the order of their time, then of their scheduling.
    #[derive(Default)]
    struct Schedule {
        events: BTreeMap<(Instant, u64), SimulatedEvent>,
        scheduled: u64,
    }

    impl Schedule {
        fn push(&mut self, time: Instant, event: SimulatedEvent) {
            self.scheduled += 1;
            self.events.insert((time, self.scheduled), event);
        }

        fn pop(&mut self) -> Option<(Instant, SimulatedEvent)> {
            let ((time, _), event) = self.events.pop_first()?;
            Some((time, event))
        }
    }

    /// A client with 3 requests in flight, which repeats requests that exceed the quota.
    #[derive(Clone, Copy)]
    struct Simulation {
        /// Requests within the quota to make.
        requests: u64,
        quota: u64,
        window: Duration,
        /// The share that the client leaves to other apps.
        reserved_share: f64,
        /// Requests of another app per window.
        other_requests: u64,
        /// One response in so many has no headers (0 for none).
        headerless_one_in: u8,
    }

    struct SimulationResult {
        elapsed: Duration,
        /// Requests of the client that exceeded the quota.
        over_quota: u64,
    }

    const STANDARD: Simulation = Simulation {
        requests: 1500,
        quota: 150,
        window: Duration::from_secs(30),
        reserved_share: 0.0,
        other_requests: 0,
        headerless_one_in: 0,
    };

    impl Simulation {
        fn run(self, seed: u64) -> SimulationResult {
            let mut rng = fastrand::Rng::with_seed(seed);
            let start = Instant::now();
            let mut server = QuotaServer::new(self.quota, self.window);
            let mut state = LimiterState::new(self.reserved_share);
            let mut schedule = Schedule::default();
            for _ in 0..3 {
                schedule.push(start, SimulatedEvent::Acquire);
            }
            for window in 0..200 {
                for _ in 0..self.other_requests {
                    let time = start + self.window * window + self.window.mul_f64(rng.f64());
                    schedule.push(time, SimulatedEvent::OtherRequestArrives);
                }
            }
            let (mut started, mut finished, mut over_quota) = (0, 0, 0);
            let mut end = start;
            while let Some((now, event)) = schedule.pop() {
                match event {
                    SimulatedEvent::Acquire if started == self.requests => {}
                    SimulatedEvent::Acquire => match state.acquire(now) {
                        Ok(()) => {
                            started += 1;
                            let arrival = now + MS * rng.u32(1..30);
                            schedule.push(arrival, SimulatedEvent::RequestArrives);
                        }
                        Err(throttled) => {
                            schedule.push(now + throttled.wait(), SimulatedEvent::Acquire);
                        }
                    },
                    SimulatedEvent::RequestArrives => {
                        let response = server.respond(now);
                        let has_headers =
                            self.headerless_one_in == 0 || rng.u8(..self.headerless_one_in) > 0;
                        schedule.push(
                            now + MS * rng.u32(1..50),
                            SimulatedEvent::ResponseArrives {
                                quota: has_headers.then_some(response.quota),
                                is_within_quota: response.is_within_quota,
                            },
                        );
                    }
                    SimulatedEvent::OtherRequestArrives => {
                        server.respond(now);
                    }
                    SimulatedEvent::ResponseArrives {
                        quota,
                        is_within_quota,
                    } => {
                        state.record_response(now, quota);
                        if is_within_quota {
                            finished += 1;
                            end = now;
                        } else {
                            started -= 1;
                            over_quota += 1;
                            if let Some(quota) = quota {
                                state.block(now, quota.reset);
                            }
                        }
                        schedule.push(now, SimulatedEvent::Acquire);
                    }
                }
                if finished == self.requests {
                    break;
                }
            }
            assert_eq!(finished, self.requests, "not all requests were made");
            SimulationResult {
                elapsed: end - start,
                over_quota,
            }
        }
    }

    #[test]
    fn without_other_apps_the_quota_is_used_up_and_never_exceeded() {
        for seed in 0..100 {
            let result = STANDARD.run(seed);
            assert_eq!(result.over_quota, 0, "seed {seed}");
            let bound = (9 * STANDARD.window).mul_f64(1.05);
            assert!(result.elapsed <= bound, "seed {seed}: {:?}", result.elapsed);
        }
    }

    #[test]
    fn responses_without_headers_cost_at_most_one_more_window() {
        let simulation = Simulation {
            headerless_one_in: 20,
            ..STANDARD
        };
        for seed in 0..100 {
            let result = simulation.run(seed);
            assert_eq!(result.over_quota, 0, "seed {seed}");
            let bound = (10 * STANDARD.window).mul_f64(1.05);
            assert!(result.elapsed <= bound, "seed {seed}: {:?}", result.elapsed);
        }
    }

    #[test]
    fn a_small_quota_is_used_up_and_never_exceeded() {
        for quota in 1..8 {
            for seed in 0..20 {
                let simulation = Simulation {
                    requests: 40,
                    quota,
                    window: Duration::from_secs(2),
                    ..STANDARD
                };
                let result = simulation.run(seed);
                assert_eq!(result.over_quota, 0, "quota {quota}, seed {seed}");
                let windows = 40_u64.div_ceil(quota) as u32;
                assert!(
                    result.elapsed <= simulation.window.mul_f64(1.1) * windows,
                    "quota {quota}, seed {seed}: {:?}",
                    result.elapsed
                );
            }
        }
    }

    #[test]
    fn other_apps_cause_at_most_three_requests_over_quota_per_window() {
        let simulation = Simulation {
            other_requests: 50,
            ..STANDARD
        };
        for seed in 0..50 {
            let SimulationResult {
                elapsed,
                over_quota,
            } = simulation.run(seed);
            let windows = (elapsed.as_secs_f64() / 30.0).ceil() as u64;
            assert!(
                over_quota <= 3 * windows,
                "seed {seed}: {over_quota} in {windows} windows"
            );
            assert!(windows <= 17, "seed {seed}: {windows} windows");
        }
    }

    #[test]
    fn the_reserved_share_is_left_to_other_apps() {
        // With two thirds reserved, 1500 requests take 30 windows of 50.
        let simulation = Simulation {
            reserved_share: 2.0 / 3.0,
            other_requests: 90,
            ..STANDARD
        };
        let SimulationResult {
            elapsed,
            over_quota,
        } = simulation.run(7);
        assert_eq!(over_quota, 0);
        let window = simulation.window;
        assert!(
            elapsed >= window * 29 && elapsed <= window * 31,
            "{elapsed:?}"
        );
    }

    #[test]
    fn a_huge_quota_never_throttles() {
        let mut state = LimiterState::new(0.5);
        let now = Instant::now();
        for (limit, left) in [(16_101_495, 16_101_000), (u64::MAX, u64::MAX)] {
            for _ in 0..1000 {
                assert_eq!(state.acquire(now), Ok(()));
                let quota = Quota {
                    limit,
                    left,
                    reset: MAX_WAIT,
                    window: MAX_WAIT,
                };
                state.record_response(now, Some(quota));
            }
        }
    }

    #[test]
    fn requests_without_a_response_count_against_the_quota() {
        let mut state = LimiterState::new(0.0);
        let now = Instant::now();
        let quota = |left| Quota {
            limit: 150,
            left,
            reset: 9 * MS,
            window: 30 * MS,
        };
        assert_eq!(state.acquire(now), Ok(()));
        // Another app has spent most of the quota.
        state.record_response(now, Some(quota(2)));
        assert_eq!(state.acquire(now), Ok(()));
        assert_eq!(state.acquire(now), Ok(()));
        assert_eq!(state.acquire(now), Err(Throttled::For(9 * MS)));
        // Responses arrive out of order: the smallest number counts.
        state.record_response(now, Some(quota(0)));
        state.record_response(now, Some(quota(1)));
        assert_eq!(state.acquire(now), Err(Throttled::For(9 * MS)));
        // The next window has a full quota.
        assert_eq!(state.acquire(now + 9 * MS), Ok(()));
        // A response for the previous window changes nothing.
        let late = Quota {
            reset: MS,
            ..quota(1)
        };
        state.record_response(now + 9 * MS, Some(late));
        assert_eq!(state.acquire(now + 10 * MS), Ok(()));
        assert_eq!(state.acquire(now + 10 * MS), Ok(()));
    }

    #[test]
    fn a_quota_of_zero_allows_one_request_per_window() {
        let mut state = LimiterState::new(0.0);
        let mut now = Instant::now();
        let start = now;
        for window in [Duration::ZERO, 50 * MS] {
            let quota = Quota {
                limit: 0,
                left: 0,
                reset: window,
                window,
            };
            for _ in 0..20 {
                match state.acquire(now) {
                    Ok(()) => state.record_response(now, Some(quota)),
                    Err(throttled) => now += throttled.wait(),
                }
            }
        }
        assert!(now > start && now < start + 60 * 50 * MS);
    }

    #[test]
    fn a_block_applies_to_all_requests_and_the_longest_counts() {
        let mut state = LimiterState::new(0.0);
        let now = Instant::now();
        state.block(now, 5 * MS);
        state.block(now, 3 * MS);
        assert_eq!(state.acquire(now + MS), Err(Throttled::For(4 * MS)));
        assert_eq!(state.acquire(now + 5 * MS), Ok(()));
    }

    #[test]
    fn responses_without_headers_never_block_for_good() {
        let mut state = LimiterState::new(0.0);
        let mut now = Instant::now();
        assert_eq!(state.acquire(now), Ok(()));
        let quota = Quota {
            limit: 5,
            left: 4,
            reset: 100 * MS,
            window: 100 * MS,
        };
        state.record_response(now, Some(quota));
        let mut requests = 0;
        for _ in 0..1000 {
            match state.acquire(now) {
                Ok(()) => {
                    requests += 1;
                    state.record_response(now, None);
                }
                Err(throttled) => now += throttled.wait(),
            }
        }
        assert!(requests >= 800, "{requests} requests");
    }
}
