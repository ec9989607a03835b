use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::fault::{Fault, Operation};
use crate::play::Play;
use crate::random;

/// Which requests go wrong, and how.
///
/// ```
/// use bigcommerce_sandbox::{Fault, FaultPlan, Operation};
///
/// // One request in ten, at random among all kinds but late execution.
/// let plan = FaultPlan::seeded(7).rate(0.1);
/// // The same, whenever and wherever it is asked.
/// assert_eq!(
///     plan.fault_of(42, Operation::Upsert),
///     FaultPlan::seeded(7).rate(0.1).fault_of(42, Operation::Upsert),
/// );
///
/// // The second request only.
/// let plan = FaultPlan::script([None, Some(Fault::Busy)]);
/// assert_eq!(plan.fault_of(1, Operation::List), Some(Fault::Busy));
/// assert_eq!(plan.fault_of(2, Operation::List), None);
/// ```
///
/// # Which requests count
///
/// Requests have numbers, from 0 up, in the order in which they are admitted. One that the store
/// refuses by itself before any work (another store or path, the token, too many in flight, a
/// spent quota) has none and meets no fault, and so has any method that the
/// path does not have. The numbers begin anew with each plan that is set, and not before its
/// [`outage`](Self::outage) is over.
///
/// What happens to a request depends on the plan, its number and its [`Operation`] alone. Where a
/// fault has choices of its own (which values it leaves out), they come from the seed and the
/// number too; a script has seed 0.
///
/// # Delays
///
/// They are short by default, so that a client with the clock of the real world is not held up:
/// 50 milliseconds each. Time is tokio's.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    source: Source,
    outage: Duration,
    pub(crate) slow: Duration,
    pub(crate) trickle: Duration,
    pub(crate) late: Duration,
    pub(crate) late_behind_gateway: bool,
    pub(crate) reset: Duration,
    pub(crate) redirect: String,
}

#[derive(Clone, Debug)]
enum Source {
    Seeded(Seeded),
    Script(Vec<Option<Fault>>),
}

#[derive(Clone, Debug)]
struct Seeded {
    seed: u64,
    rate: f64,
    kinds: Vec<Fault>,
    operations: Vec<Operation>,
}

impl FaultPlan {
    /// No request goes wrong, unless there is an [`outage`](Self::outage).
    pub fn none() -> Self {
        Self::script([])
    }

    /// Requests go wrong at random, reproducibly; by default one in ten, in any way but
    /// [`Fault::LateExecution`].
    pub fn seeded(seed: u64) -> Self {
        let all = Fault::ALL.iter().copied();
        Self::new(Source::Seeded(Seeded {
            seed,
            rate: 0.1,
            kinds: all.filter(|kind| *kind != Fault::LateExecution).collect(),
            operations: Operation::ALL.to_vec(),
        }))
    }

    /// Exactly these for the first requests, in order; `None` lets one pass, and so do all after
    /// the last.
    ///
    /// A fault that does not [apply](Fault::applies_to) to the request whose turn it is plays
    /// nothing, and its turn is over.
    pub fn script(faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        Self::new(Source::Script(faults.into_iter().collect()))
    }

    fn new(source: Source) -> Self {
        let delay = Duration::from_millis(50);
        Self {
            source,
            outage: Duration::ZERO,
            slow: delay,
            trickle: delay,
            late: delay,
            late_behind_gateway: false,
            reset: delay,
            redirect: "http://127.0.0.1:1/".to_owned(),
        }
    }

    /// The share of requests that go wrong, from 0 to 1; default 0.1. Of a script it changes
    /// nothing.
    ///
    /// Less is taken as 0 and more as 1.
    pub fn rate(mut self, rate: f64) -> Self {
        if let Source::Seeded(seeded) = &mut self.source {
            // Not a number is less than any share that is drawn, so nothing goes wrong.
            seeded.rate = rate;
        }
        self
    }

    /// The only kinds to be drawn, all equally often; default all but [`Fault::LateExecution`].
    /// Of a script it changes nothing.
    ///
    /// A request that none of them applies to goes well.
    pub fn only(mut self, kinds: impl IntoIterator<Item = Fault>) -> Self {
        if let Source::Seeded(seeded) = &mut self.source {
            seeded.kinds = kinds.into_iter().collect();
            seeded.kinds.sort_unstable();
            seeded.kinds.dedup();
        }
        self
    }

    /// The only operations that go wrong; default all. Of a script it changes nothing.
    ///
    /// The others' requests have their numbers all the same.
    pub fn operations(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        if let Source::Seeded(seeded) = &mut self.source {
            seeded.operations = operations.into_iter().collect();
        }
        self
    }

    /// For how long, from the sandbox's start or from when the plan was set, every request is
    /// answered as by [`Fault::Unavailable`]; default not at all.
    ///
    /// The rest of the plan begins after it.
    pub fn outage(mut self, time: Duration) -> Self {
        self.outage = time;
        self
    }

    /// The most that [`Fault::Slow`] adds to the latency; default 50 ms. It adds half of it at
    /// least.
    pub fn slow_by(mut self, time: Duration) -> Self {
        self.slow = time;
        self
    }

    /// How long the body of a [`Fault::Trickle`] takes; default 50 ms.
    pub fn trickle_over(mut self, time: Duration) -> Self {
        self.trickle = time;
        self
    }

    /// How long after it closes the connection [`Fault::LateExecution`] does the work; default
    /// 50 ms.
    pub fn late_by(mut self, time: Duration) -> Self {
        self.late = time;
        self
    }

    /// Has [`Fault::LateExecution`] answer 504, as a gateway that waits no longer, instead of closing
    /// the connection.
    pub fn late_behind_gateway(mut self) -> Self {
        self.late_behind_gateway = true;
        self
    }

    /// The time to the window's end that a [`Fault::RateLimited`] tells; default 50 ms.
    ///
    /// `X-Retry-After` is in seconds, so it says 1 for anything up to a second.
    pub fn reset_in(mut self, time: Duration) -> Self {
        self.reset = time;
        self
    }

    /// The `Location` of a [`Fault::Redirect`], as it is; default `http://127.0.0.1:1/`, where
    /// nobody listens.
    ///
    /// A text that can't be in a header (one with a line break) is left out.
    pub fn redirect_to(mut self, url: impl Into<String>) -> Self {
        self.redirect = url.into();
        self
    }

    /// What this has for the request with a number, from 0 up, outages aside.
    pub fn fault_of(&self, number: u64, operation: Operation) -> Option<Fault> {
        self.draw(number, operation).map(|(fault, _)| fault)
    }

    fn draw(&self, number: u64, operation: Operation) -> Option<(Fault, fastrand::Rng)> {
        match &self.source {
            Source::Script(faults) => {
                let fault = (*faults.get(usize::try_from(number).ok()?)?)?;
                let rng = random::generator(0, number);
                fault.applies_to(operation).then_some((fault, rng))
            }
            Source::Seeded(seeded) => {
                let mut rng = random::generator(seeded.seed, number);
                let goes_wrong = rng.f64() < seeded.rate;
                if !goes_wrong || !seeded.operations.contains(&operation) {
                    return None;
                }
                let kinds = seeded.kinds.iter().copied();
                let kinds: Vec<Fault> = kinds.filter(|kind| kind.applies_to(operation)).collect();
                let fault = rng.choice(kinds)?;
                Some((fault, rng))
            }
        }
    }

    fn is_empty(&self) -> bool {
        let never = match &self.source {
            Source::Seeded(seeded) => seeded.kinds.is_empty() || seeded.rate <= 0.0,
            Source::Script(faults) => faults.is_empty(),
        };
        never && self.outage.is_zero()
    }
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self::none()
    }
}

/// A plan on its way.
pub(crate) struct Faults {
    plan: Arc<FaultPlan>,
    began: Instant,
    next: u64,
}

impl Faults {
    /// `None` where the plan has nothing to play, so that a sandbox without faults has no cost.
    pub(crate) fn begin(plan: FaultPlan) -> Option<Self> {
        (!plan.is_empty()).then(|| Self {
            plan: Arc::new(plan),
            began: Instant::now(),
            next: 0,
        })
    }

    /// Gives the request its number, and says what is to happen to it.
    pub(crate) fn draw(&mut self, operation: Operation, now: Instant) -> Option<Play> {
        let (fault, rng) = if now.saturating_duration_since(self.began) < self.plan.outage {
            (Fault::Unavailable, random::generator(0, 0))
        } else {
            let number = self.next;
            self.next += 1;
            self.plan.draw(number, operation)?
        };
        Some(Play::new(fault, rng, Arc::clone(&self.plan)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn drawn(plan: &FaultPlan, operation: Operation, requests: u64) -> Vec<Option<Fault>> {
        (0..requests)
            .map(|number| plan.fault_of(number, operation))
            .collect()
    }

    #[test]
    fn the_same_seed_is_the_same_plan() {
        for operation in Operation::ALL {
            let plan = |seed| drawn(&FaultPlan::seeded(seed).rate(0.5), *operation, 1000);
            assert_eq!(plan(7), plan(7));
            assert_ne!(plan(7), plan(8));
        }
    }

    #[test]
    fn the_rate_is_kept() {
        for seed in 0..10 {
            for rate in [0.0, 0.05, 0.3, 1.0] {
                let plan = FaultPlan::seeded(seed).rate(rate);
                let drawn = drawn(&plan, Operation::Delete, 10_000);
                let share = drawn.iter().flatten().count() as f64 / 10_000.0;
                assert!((share - rate).abs() < 0.02, "{share} of {rate}");
            }
        }
        for (rate, faults) in [(f64::NAN, 0), (-1.0, 0), (2.0, 100)] {
            let plan = FaultPlan::seeded(1).rate(rate);
            let drawn = drawn(&plan, Operation::List, 100);
            assert_eq!(drawn.iter().flatten().count(), faults);
        }
    }

    #[test]
    fn kinds_are_drawn_equally_where_they_apply() {
        for operation in Operation::ALL {
            let plan = FaultPlan::seeded(3).rate(1.0);
            let mut often = BTreeMap::new();
            for fault in drawn(&plan, *operation, 22_000).into_iter().flatten() {
                *often.entry(fault).or_insert(0) += 1;
            }
            let apply = Fault::ALL
                .iter()
                .filter(|fault| fault.applies_to(*operation) && **fault != Fault::LateExecution);
            let apply: BTreeSet<Fault> = apply.copied().collect();
            assert_eq!(often.keys().copied().collect::<BTreeSet<_>>(), apply);
            assert!(often.values().all(|often| *often > 800), "{often:?}");
        }
    }

    #[test]
    fn kinds_and_operations_can_be_limited() {
        let plan = FaultPlan::seeded(1)
            .rate(1.0)
            .only([Fault::LateExecution, Fault::Busy, Fault::Busy])
            .operations([Operation::List, Operation::Upsert]);
        assert_eq!(drawn(&plan, Operation::Delete, 100), [None; 100]);
        assert_eq!(drawn(&plan, Operation::List, 100), [Some(Fault::Busy); 100]);
        let late = drawn(&plan, Operation::Upsert, 1000);
        let late = late.iter().filter(|f| **f == Some(Fault::LateExecution));
        assert!((400..600).contains(&late.count()));
        let none = FaultPlan::seeded(1).rate(1.0).only([Fault::LeavesOut]);
        assert_eq!(drawn(&none, Operation::List, 10), [None; 10]);
    }

    #[test]
    fn a_script_is_kept_to() {
        let faults = [None, Some(Fault::Busy), Some(Fault::LeavesOut)];
        let script = FaultPlan::script(faults).rate(0.0).only([]).operations([]);
        assert_eq!(drawn(&script, Operation::Upsert, 3), faults);
        let expected = [None, Some(Fault::Busy), None, None];
        assert_eq!(drawn(&script, Operation::Delete, 4), expected);
        assert_eq!(script.fault_of(u64::MAX, Operation::List), None);
    }
}
