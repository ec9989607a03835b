//! A simulation of requests within a quota.

use std::collections::BTreeMap;

use super::headers::Quota;
use super::state::tests::{START, TERMS};
use super::state::{LeaseId, LimiterState, Terms};

/// A server with a quota. A window starts with the first request after the previous one.
struct QuotaServer {
    quota: u64,
    window: u64,
    window_start: Option<u64>,
    left: u64,
}

/// A response of the [`QuotaServer`].
#[derive(Clone, Copy)]
struct QuotaResponse {
    quota: Quota,
    is_within_quota: bool,
}

impl QuotaServer {
    fn new(quota: u64, window: u64) -> Self {
        Self {
            quota,
            window,
            window_start: None,
            left: quota,
        }
    }

    fn respond(&mut self, now: u64) -> QuotaResponse {
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
                reset_ms: start + self.window - now,
                window_ms: self.window,
            },
            is_within_quota,
        }
    }
}

enum SimulatedEvent {
    /// The client asks the limiter for a request.
    Acquire,
    /// A request of the client arrives at the server.
    RequestArrives { lease: LeaseId },
    /// A request of another app arrives at the server.
    OtherRequestArrives,
    /// A response arrives at the client.
    ResponseArrives {
        lease: LeaseId,
        quota: Option<Quota>,
        is_within_quota: bool,
    },
}

/// The events to come, in the order of their time, then of their scheduling.
#[derive(Default)]
struct Schedule {
    events: BTreeMap<(u64, u64), SimulatedEvent>,
    scheduled: u64,
}

impl Schedule {
    fn push(&mut self, time: u64, event: SimulatedEvent) {
        self.scheduled += 1;
        self.events.insert((time, self.scheduled), event);
    }

    fn pop(&mut self) -> Option<(u64, SimulatedEvent)> {
        let ((time, _), event) = self.events.pop_first()?;
        Some((time, event))
    }
}

/// A client with 3 requests in flight, which repeats requests that exceed the quota.
#[derive(Clone, Copy)]
struct QuotaSimulation {
    /// Requests within the quota to make.
    requests: u64,
    quota: u64,
    window: u64,
    /// The share that the client leaves to other apps.
    reserved_share: f64,
    /// Requests of another app per window.
    other_requests: u64,
    /// One response in so many has no headers (0 for none).
    headerless_one_in: u8,
}

struct SimulationResult {
    elapsed: u64,
    /// Requests of the client that exceeded the quota.
    over_quota: u64,
}

const STANDARD: QuotaSimulation = QuotaSimulation {
    requests: 1500,
    quota: 150,
    window: 30_000,
    reserved_share: 0.0,
    other_requests: 0,
    headerless_one_in: 0,
};

impl QuotaSimulation {
    fn run(self, seed: u64) -> SimulationResult {
        let mut rng = fastrand::Rng::with_seed(seed);
        let start = START;
        let mut server = QuotaServer::new(self.quota, self.window);
        let mut state = LimiterState::default();
        let mut schedule = Schedule::default();
        let terms = Terms {
            reserved_share: self.reserved_share,
            ..TERMS
        };
        for _ in 0..3 {
            schedule.push(start, SimulatedEvent::Acquire);
        }
        for window in 0..200 {
            for _ in 0..self.other_requests {
                let time = start + self.window * window + (self.window as f64 * rng.f64()) as u64;
                schedule.push(time, SimulatedEvent::OtherRequestArrives);
            }
        }
        let (mut started, mut finished, mut over_quota) = (0, 0, 0);
        let mut end = start;
        while let Some((now, event)) = schedule.pop() {
            match event {
                SimulatedEvent::Acquire if started == self.requests => {}
                SimulatedEvent::Acquire => match state.try_acquire(now, terms) {
                    Ok(lease) => {
                        started += 1;
                        let arrival = now + rng.u64(1..30);
                        schedule.push(arrival, SimulatedEvent::RequestArrives { lease });
                    }
                    Err(throttled) => {
                        schedule.push(now + throttled.ask_again_in, SimulatedEvent::Acquire);
                    }
                },
                SimulatedEvent::RequestArrives { lease } => {
                    let response = server.respond(now);
                    let has_headers =
                        self.headerless_one_in == 0 || rng.u8(..self.headerless_one_in) > 0;
                    schedule.push(
                        now + rng.u64(1..50),
                        SimulatedEvent::ResponseArrives {
                            lease,
                            quota: has_headers.then_some(response.quota),
                            is_within_quota: response.is_within_quota,
                        },
                    );
                }
                SimulatedEvent::OtherRequestArrives => {
                    server.respond(now);
                }
                SimulatedEvent::ResponseArrives {
                    lease,
                    quota,
                    is_within_quota,
                } => {
                    state.answer(now, lease, quota);
                    if is_within_quota {
                        finished += 1;
                        end = now;
                    } else {
                        started -= 1;
                        over_quota += 1;
                        if let Some(quota) = quota {
                            state.block(now, quota.reset_ms);
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
        let bound = 9 * STANDARD.window * 105 / 100;
        assert!(result.elapsed <= bound, "seed {seed}: {}", result.elapsed);
    }
}

#[test]
fn responses_without_headers_cost_at_most_one_more_window() {
    let simulation = QuotaSimulation {
        headerless_one_in: 20,
        ..STANDARD
    };
    for seed in 0..100 {
        let result = simulation.run(seed);
        assert_eq!(result.over_quota, 0, "seed {seed}");
        let bound = 10 * STANDARD.window * 105 / 100;
        assert!(result.elapsed <= bound, "seed {seed}: {}", result.elapsed);
    }
}

#[test]
fn a_small_quota_is_used_up_and_never_exceeded() {
    for quota in 1..8 {
        for seed in 0..20 {
            let simulation = QuotaSimulation {
                requests: 40,
                quota,
                window: 2_000,
                ..STANDARD
            };
            let result = simulation.run(seed);
            assert_eq!(result.over_quota, 0, "quota {quota}, seed {seed}");
            let windows = 40_u64.div_ceil(quota);
            assert!(
                result.elapsed <= simulation.window * 11 / 10 * windows,
                "quota {quota}, seed {seed}: {} ms",
                result.elapsed
            );
        }
    }
}

#[test]
fn other_apps_cause_at_most_three_requests_over_quota_per_window() {
    let simulation = QuotaSimulation {
        other_requests: 50,
        ..STANDARD
    };
    for seed in 0..50 {
        let SimulationResult {
            elapsed,
            over_quota,
        } = simulation.run(seed);
        let windows = elapsed.div_ceil(30_000);
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
    let simulation = QuotaSimulation {
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
        "{elapsed} ms"
    );
}
