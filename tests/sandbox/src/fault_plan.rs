use std::time::Duration;

use crate::fault::{Fault, Operation};
use crate::random;

/// Which requests fail, and how.
///
/// ```
/// use bigcommerce_sandbox::{Fault, FaultPlan, Operation};
///
/// // One request in ten, with any fault but late execution.
/// let plan = FaultPlan::seeded(7).rate(0.1);
/// // The same seed always gives the same plan.
/// assert_eq!(
///     plan.fault_for(42, Operation::Upsert),
///     FaultPlan::seeded(7).rate(0.1).fault_for(42, Operation::Upsert),
/// );
///
/// // The second request only.
/// let plan = FaultPlan::script([None, Some(Fault::Busy)]);
/// assert_eq!(plan.fault_for(1, Operation::List), Some(Fault::Busy));
/// assert_eq!(plan.fault_for(2, Operation::List), None);
/// ```
///
/// # Which requests count
///
/// Requests are numbered from 0 in the order in which they are admitted. Requests that the store
/// rejects before executing them (URL too long, unknown store or path, unsupported method, invalid or
/// read-only token, too many in flight, spent quota) have no number and no fault, and the requests
/// of an [`outage`](Self::outage) have no number. Numbering starts again with each plan that is set.
///
/// The fault of a request depends only on the plan, the request's number and its [`Operation`].
/// Random choices within a fault (which rows are dropped) depend on the seed and the number. A
/// script uses seed 0.
///
/// # Delays
///
/// Delays are short by default (50 ms each), so that tests on a real clock stay quick. They
/// follow tokio's clock.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    source: Source,
    pub(crate) outage_after: Duration,
    pub(crate) outage: Duration,
    pub(crate) slow_by: Duration,
    pub(crate) trickle_over: Duration,
    pub(crate) late_by: Duration,
    pub(crate) stall_for: Duration,
    pub(crate) reset_in: Duration,
    pub(crate) redirect_to: String,
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
    faults: Vec<Fault>,
    operations: Vec<Operation>,
}

impl FaultPlan {
    /// Creates a plan without faults.
    pub fn none() -> Self {
        Self::script([])
    }

    /// Creates a plan of reproducible random faults. By default one request in ten fails, with any
    /// fault but [`Fault::LateExecution`].
    pub fn seeded(seed: u64) -> Self {
        let all = Fault::ALL.iter().copied();
        Self::new(Source::Seeded(Seeded {
            seed,
            rate: 0.1,
            faults: all.filter(|fault| *fault != Fault::LateExecution).collect(),
            operations: Operation::ALL.to_vec(),
        }))
    }

    /// Creates a plan with exactly these faults for the first requests, in order. A request whose
    /// entry is `None` succeeds, and so does every request after the last entry.
    ///
    /// If a fault does not [apply](Fault::applies_to) to the request at its position, the request
    /// is unaffected and the fault is skipped.
    pub fn script(faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        Self::new(Source::Script(faults.into_iter().collect()))
    }

    fn new(source: Source) -> Self {
        let delay = Duration::from_millis(50);
        Self {
            source,
            outage_after: Duration::ZERO,
            outage: Duration::ZERO,
            slow_by: delay,
            trickle_over: delay,
            late_by: delay,
            stall_for: delay,
            reset_in: delay,
            redirect_to: "http://127.0.0.1:1/".to_owned(),
        }
    }

    /// Sets the share of requests that fail, from 0 to 1 (default 0.1). Values outside are clamped.
    /// Has no effect on a script.
    pub fn rate(mut self, rate: f64) -> Self {
        if let Source::Seeded(seeded) = &mut self.source {
            // NaN compares as less than every drawn number, so nothing fails.
            seeded.rate = rate;
        }
        self
    }

    /// Sets the faults to draw from, all equally likely (default all but
    /// [`Fault::LateExecution`]). Has no effect on a script.
    ///
    /// A request to which none of them applies succeeds.
    pub fn only(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        if let Source::Seeded(seeded) = &mut self.source {
            seeded.faults = faults.into_iter().collect();
            seeded.faults.sort_unstable();
            seeded.faults.dedup();
        }
        self
    }

    /// Sets the operations that can fail (default all). Has no effect on a script.
    ///
    /// Requests of other operations are numbered too.
    pub fn operations(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        if let Source::Seeded(seeded) = &mut self.source {
            seeded.operations = operations.into_iter().collect();
        }
        self
    }

    /// Sets how long every request fails with [`Fault::Unavailable`] (default zero), from the
    /// beginning of the outage on: see [`outage_after`](Self::outage_after).
    ///
    /// The requests of an outage have no number, so the rest of the plan goes on after it.
    pub fn outage(mut self, duration: Duration) -> Self {
        self.outage = duration;
        self
    }

    /// Sets how long after the sandbox's start, or after the plan is set, the
    /// [`outage`](Self::outage) begins (default zero, at once).
    pub fn outage_after(mut self, delay: Duration) -> Self {
        self.outage_after = delay;
        self
    }

    /// Returns `true` if the plan's outage lasts at this time after its start.
    pub(crate) fn is_outage_at(&self, elapsed: Duration) -> bool {
        elapsed
            .checked_sub(self.outage_after)
            .is_some_and(|into_outage| into_outage < self.outage)
    }

    /// Sets the longest extra latency of [`Fault::Slow`] (default 50 ms). The shortest is half of
    /// it.
    pub fn slow_by(mut self, latency: Duration) -> Self {
        self.slow_by = latency;
        self
    }

    /// Sets how long sending the body takes with [`Fault::Trickle`] (default 50 ms).
    pub fn trickle_over(mut self, duration: Duration) -> Self {
        self.trickle_over = duration;
        self
    }

    /// Sets how long after the response, or after closing the connection,
    /// [`Fault::LateExecution`], [`Fault::LateBehindGateway`] and [`Fault::Accepted`] execute the
    /// request (default 50 ms).
    pub fn late_by(mut self, delay: Duration) -> Self {
        self.late_by = delay;
        self
    }

    /// Sets how long after the headers [`Fault::StalledBody`] closes the connection (default
    /// 50 ms).
    pub fn stall_for(mut self, duration: Duration) -> Self {
        self.stall_for = duration;
        self
    }

    /// Sets the time to the window's end in the headers of [`Fault::RateLimited`] (default 50 ms).
    ///
    /// `X-Retry-After` is rounded up to whole seconds.
    pub fn reset_in(mut self, time: Duration) -> Self {
        self.reset_in = time;
        self
    }

    /// Sets the `Location` of [`Fault::Redirect`] (default `http://127.0.0.1:1/`, where nothing
    /// listens).
    ///
    /// The header is omitted if the text is not a valid header value.
    pub fn redirect_to(mut self, url: impl Into<String>) -> Self {
        self.redirect_to = url.into();
        self
    }

    /// Returns the fault of the request with this number, counted from 0 without those of the outage.
    pub fn fault_for(&self, number: u64, operation: Operation) -> Option<Fault> {
        self.draw(number, operation).map(|(fault, _)| fault)
    }

    /// Returns the fault and the generator for its own random choices.
    pub(crate) fn draw(&self, number: u64, operation: Operation) -> Option<(Fault, fastrand::Rng)> {
        match &self.source {
            Source::Script(faults) => {
                let fault = (*faults.get(usize::try_from(number).ok()?)?)?;
                let rng = random::generator(0, number);
                fault.applies_to(operation).then_some((fault, rng))
            }
            Source::Seeded(seeded) => {
                let mut rng = random::generator(seeded.seed, number);
                let fails = rng.f64() < seeded.rate;
                if !fails || !seeded.operations.contains(&operation) {
                    return None;
                }
                let faults = seeded.faults.iter().copied();
                let faults: Vec<Fault> =
                    faults.filter(|fault| fault.applies_to(operation)).collect();
                let fault = rng.choice(faults)?;
                Some((fault, rng))
            }
        }
    }

    pub(crate) fn has_faults(&self) -> bool {
        let draws_faults = match &self.source {
            Source::Seeded(seeded) => !seeded.faults.is_empty() && seeded.rate > 0.0,
            Source::Script(faults) => !faults.is_empty(),
        };
        draws_faults || !self.outage.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn drawn(plan: &FaultPlan, operation: Operation, requests: u64) -> Vec<Option<Fault>> {
        (0..requests)
            .map(|number| plan.fault_for(number, operation))
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        for operation in Operation::ALL {
            let plan = |seed| drawn(&FaultPlan::seeded(seed).rate(0.5), *operation, 1000);
            assert_eq!(plan(7), plan(7));
            assert_ne!(plan(7), plan(8));
        }
    }

    #[test]
    fn the_rate_is_met_and_clamped() {
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
    fn applicable_faults_are_equally_likely() {
        for operation in Operation::ALL {
            let plan = FaultPlan::seeded(3).rate(1.0);
            let mut counts = BTreeMap::new();
            for fault in drawn(&plan, *operation, 30_000).into_iter().flatten() {
                *counts.entry(fault).or_insert(0) += 1;
            }
            let applicable = Fault::ALL
                .iter()
                .filter(|fault| fault.applies_to(*operation) && **fault != Fault::LateExecution);
            let applicable: BTreeSet<Fault> = applicable.copied().collect();
            assert_eq!(counts.keys().copied().collect::<BTreeSet<_>>(), applicable);
            assert!(counts.values().all(|count| *count > 800), "{counts:?}");
        }
    }

    #[test]
    fn faults_and_operations_can_be_restricted() {
        let plan = FaultPlan::seeded(1)
            .rate(1.0)
            .only([Fault::LateExecution, Fault::Busy, Fault::Busy])
            .operations([Operation::List, Operation::Upsert]);
        assert_eq!(drawn(&plan, Operation::Delete, 100), [None; 100]);
        assert_eq!(drawn(&plan, Operation::List, 100), [Some(Fault::Busy); 100]);
        let late = drawn(&plan, Operation::Upsert, 1000);
        let late = late.iter().filter(|f| **f == Some(Fault::LateExecution));
        assert!((400..600).contains(&late.count()));
        let none = FaultPlan::seeded(1).rate(1.0).only([Fault::DroppedRows]);
        assert_eq!(drawn(&none, Operation::List, 10), [None; 10]);
    }

    #[test]
    fn a_script_is_followed_in_order() {
        let faults = [None, Some(Fault::Busy), Some(Fault::DroppedRows)];
        let script = FaultPlan::script(faults).rate(0.0).only([]).operations([]);
        assert_eq!(drawn(&script, Operation::Upsert, 3), faults);
        let expected = [None, Some(Fault::Busy), None, None];
        assert_eq!(drawn(&script, Operation::Delete, 4), expected);
        assert_eq!(script.fault_for(u64::MAX, Operation::List), None);
    }
}
