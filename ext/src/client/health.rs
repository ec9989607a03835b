//! Whether a store responds at all. Pure: takes `now`, in milliseconds.

/// So many bad responses in a row mean an outage.
const MAX_BAD_IN_A_ROW: u32 = 5;
/// The first wait between two probes. It doubles with each probe.
const FIRST_PROBE_WAIT: u64 = 1_000;
const MAX_PROBE_WAIT: u64 = 30_000;
/// The random share of a wait between two probes.
const PROBE_JITTER: f64 = 0.1;

/// What a request shows about the health of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Verdict {
    /// The API responded.
    Good,
    /// No response, one that is not the API's, or a failure of the server.
    Bad,
    /// Nothing either way.
    Neutral,
}

/// A change of the health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum HealthChange {
    WentDown,
    CameUp { since: u64 },
}

/// A finished request, as the health sees it.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct Finding {
    pub verdict: Verdict,
    pub sent_at: u64,
    /// How long the response asks to wait.
    pub retry_after: u64,
    /// From 0 to 1.
    pub jitter_sample: f64,
}

/// The health of a store: five bad responses in a row are an outage, which lasts until a request
/// succeeds. During an outage one request at a time probes the store.
#[derive(Clone, Debug, Default)]
pub(in crate::client) struct Health {
    successes: u64,
    bad_in_a_row: u32,
    first_bad_at: u64,
    outage: Option<Outage>,
    probes_started: u64,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    since: u64,
    probes_failed: u32,
    probe_at: u64,
    probe: Option<Probe>,
}

/// A probe under way.
#[derive(Clone, Copy, Debug)]
struct Probe {
    id: u64,
    started: u64,
    /// When the probe is over at the latest.
    expires: u64,
}

impl Health {
    /// Returns the number of good responses.
    pub(in crate::client) fn successes(&self) -> u64 {
        self.successes
    }

    /// Returns since when the store has been down, and when the next probe may start.
    pub(in crate::client) fn outage(&self) -> Option<(u64, u64)> {
        let outage = self.outage?;
        let busy_until = outage.probe.map_or(0, |probe| probe.expires);
        Some((outage.since, outage.probe_at.max(busy_until)))
    }

    /// Starts a probe, which is over after `longest` at the latest. Returns `None` if the store is
    /// up, if no probe is due, or if one is under way.
    pub(in crate::client) fn try_probe(&mut self, now: u64, longest: u64) -> Option<u64> {
        let outage = self.outage.as_mut()?;
        let is_busy = outage.probe.is_some_and(|probe| now < probe.expires);
        if is_busy || now < outage.probe_at {
            return None;
        }
        self.probes_started += 1;
        outage.probe = Some(Probe {
            id: self.probes_started,
            started: now,
            expires: now.saturating_add(longest),
        });
        Some(self.probes_started)
    }

    /// Records that a probe's driver is done with it. Returns `true` if the next one may start.
    pub(in crate::client) fn end_probe(&mut self, id: u64) -> bool {
        let Some(outage) = &mut self.outage else {
            return false;
        };
        let is_current = outage.probe.is_some_and(|probe| probe.id == id);
        if is_current {
            outage.probe = None;
        }
        is_current
    }

    /// Records a finished request.
    pub(in crate::client) fn record(&mut self, now: u64, finding: Finding) -> Option<HealthChange> {
        if finding.verdict == Verdict::Good {
            self.successes += 1;
            self.bad_in_a_row = 0;
            let outage = self.outage.take()?;
            return Some(HealthChange::CameUp {
                since: outage.since,
            });
        }
        if let Some(outage) = &mut self.outage {
            // A request from before the outage says nothing about the latest probe.
            if outage
                .probe
                .is_some_and(|probe| finding.sent_at >= probe.started)
            {
                if finding.verdict == Verdict::Bad {
                    outage.probes_failed += 1;
                }
                outage.probe = None;
                outage.probe_at = probe_time(now, outage.probes_failed, finding);
            }
            return None;
        }
        if finding.verdict == Verdict::Neutral {
            return None;
        }
        if self.bad_in_a_row == 0 {
            self.first_bad_at = now;
        }
        self.bad_in_a_row += 1;
        if self.bad_in_a_row < MAX_BAD_IN_A_ROW {
            return None;
        }
        let since = self.first_bad_at;
        self.outage = Some(Outage {
            since,
            probes_failed: 0,
            probe_at: probe_time(now, 0, finding),
            probe: None,
        });
        Some(HealthChange::WentDown)
    }
}

/// Returns when the next probe may start: a wait after the sending of the latest request, but not
/// before its response allows it.
fn probe_time(now: u64, probes_failed: u32, finding: Finding) -> u64 {
    let doubled = FIRST_PROBE_WAIT << probes_failed.min(10);
    let longest = doubled.min(MAX_PROBE_WAIT);
    // At most 30 s: exact as a float.
    let wait = longest as f64 * (1.0 - PROBE_JITTER * finding.jitter_sample);
    let after_wait = finding.sent_at.saturating_add(wait as u64);
    after_wait.max(now.saturating_add(finding.retry_after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000;
    const S: u64 = 1_000;

    fn finding(verdict: Verdict, sent_at: u64) -> Finding {
        Finding {
            verdict,
            sent_at,
            retry_after: 0,
            jitter_sample: 0.0,
        }
    }

    impl Health {
        fn down(since: u64) -> Self {
            let mut health = Self::default();
            for _ in 0..MAX_BAD_IN_A_ROW {
                health.record(since, finding(Verdict::Bad, since));
            }
            health
        }
    }

    #[test]
    fn five_bad_responses_in_a_row_are_an_outage_since_the_first() {
        use Verdict::{Bad, Good, Neutral};
        for (verdicts, down_since) in [
            (&[Bad, Bad, Bad, Bad][..], None),
            (&[Bad, Bad, Bad, Bad, Bad], Some(START)),
            (&[Bad, Bad, Bad, Bad, Good, Bad, Bad, Bad, Bad], None),
            (&[Bad, Bad, Neutral, Bad, Neutral, Bad, Bad], Some(START)),
            (&[Good, Bad, Bad, Bad, Bad, Bad], Some(START + S)),
            (&[Bad, Bad, Bad, Bad, Bad, Good], None),
            (&[Neutral; 20], None),
        ] {
            let mut health = Health::default();
            for (now, &verdict) in (START..).step_by(1000).zip(verdicts) {
                health.record(now, finding(verdict, now));
            }
            let since = health.outage().map(|(since, _)| since);
            assert_eq!(since, down_since, "{verdicts:?}");
        }
    }

    #[test]
    fn probes_go_one_at_a_time_and_their_waits_double_up_to_thirty_seconds() {
        let mut health = Health::down(START);
        let mut sent_at = START;
        for wait in [1, 2, 4, 8, 16, 30, 30, 30] {
            let due = sent_at + wait * S;
            assert_eq!(health.outage(), Some((START, due)));
            assert_eq!(health.try_probe(due - 1, 35 * S), None);
            assert!(health.try_probe(due, 35 * S).is_some());
            assert_eq!(
                health.try_probe(due + 34 * S, 35 * S),
                None,
                "one at a time"
            );
            sent_at = due + 5;
            // The wait counts from sending, however long the response takes.
            health.record(sent_at + 300, finding(Verdict::Bad, sent_at));
        }
    }

    #[test]
    fn jitter_shortens_a_wait_by_a_tenth_at_most() {
        let mut health = Health::down(START);
        health.try_probe(START + S, 35 * S).expect("a probe");
        let failed = Finding {
            jitter_sample: 1.0,
            ..finding(Verdict::Bad, START + S)
        };
        health.record(START + S, failed);
        assert_eq!(health.outage(), Some((START, START + S + 1_800)));
    }

    #[test]
    fn a_probe_waits_as_long_as_the_response_asks() {
        let mut health = Health::down(START);
        health.try_probe(START + S, 35 * S).expect("a probe");
        let failed = Finding {
            retry_after: 120 * S,
            ..finding(Verdict::Bad, START + S)
        };
        health.record(START + 2 * S, failed);
        assert_eq!(health.outage(), Some((START, START + 122 * S)));
    }

    #[test]
    fn a_lost_probe_is_over_after_the_longest_time_of_a_request() {
        let mut health = Health::down(START);
        assert!(health.try_probe(START + S, 35 * S).is_some());
        assert_eq!(health.try_probe(START + 35 * S, 35 * S), None);
        assert!(health.try_probe(START + 36 * S, 35 * S).is_some());
    }

    #[test]
    fn a_probe_that_was_not_sent_makes_room_for_the_next_one() {
        let mut health = Health::down(START);
        let first = health.try_probe(START + S, 35 * S).expect("a probe");
        assert!(health.end_probe(first));
        let second = health.try_probe(START + S, 35 * S).expect("a probe");
        assert!(!health.end_probe(first), "over already");
        assert!(health.try_probe(START + S, 35 * S).is_none());
        assert!(health.end_probe(second));
    }

    #[test]
    fn a_request_from_before_the_outage_does_not_count_as_a_probe() {
        let mut health = Health::down(START);
        health.try_probe(START + S, 35 * S).expect("a probe");
        health.record(START + S, finding(Verdict::Bad, START));
        assert!(health.try_probe(START + 2 * S, 35 * S).is_none());
        let change = health.record(START + 2 * S, finding(Verdict::Good, START));
        assert_eq!(change, Some(HealthChange::CameUp { since: START }));
        assert_eq!(health.outage(), None);
    }

    /// Three workers send requests of 100 ms to a store that is down for a while.
    fn simulate(down_for: u64, seed: u64) -> (u64, u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut health = Health::default();
        let end = START + down_for;
        let mut sent_while_down = 0;
        // When each worker's request was sent, and whether it is a probe.
        let mut workers: Vec<Option<(u64, Option<u64>)>> = vec![None; 3];
        for now in (START..).step_by(50) {
            for worker in &mut workers {
                if let Some((sent_at, probe)) = worker.filter(|(sent_at, _)| sent_at + 100 <= now) {
                    let verdict = match sent_at < end {
                        true => Verdict::Bad,
                        false => Verdict::Good,
                    };
                    let finding = Finding {
                        jitter_sample: rng.f64(),
                        ..finding(verdict, sent_at)
                    };
                    health.record(now, finding);
                    probe.map(|id| health.end_probe(id));
                    *worker = None;
                }
                if worker.is_none() {
                    let probe = health.try_probe(now, 35 * S);
                    if probe.is_some() || health.outage().is_none() {
                        *worker = Some((now, probe));
                        sent_while_down += u64::from(now < end);
                    }
                }
            }
            if health.successes() > 0 {
                return (sent_while_down, now - end);
            }
        }
        unreachable!("the loop ends with a success")
    }

    #[test]
    fn an_outage_of_an_hour_costs_few_requests_and_is_noticed_within_thirty_one_seconds() {
        for seed in 0..10 {
            let (requests, late) = simulate(3_600 * S, seed);
            assert!((120..=145).contains(&requests), "seed {seed}: {requests}");
            assert!(late <= 31 * S, "seed {seed}: {late} ms late");
        }
    }

    #[test]
    fn a_store_that_fails_one_request_in_three_is_seldom_down() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut health = Health::default();
        let mut outages = 0;
        for now in (START..).step_by(1000).take(10_000) {
            let verdict = match rng.u8(..10) {
                ..3 => Verdict::Bad,
                _ => Verdict::Good,
            };
            let change = health.record(now, finding(verdict, now));
            outages += u64::from(matches!(change, Some(HealthChange::WentDown)));
        }
        assert!((1..=30).contains(&outages), "{outages} outages");
    }
}
