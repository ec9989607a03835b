//! Property tests of the engine: random rows, servers and schedules against a simple model.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use bigcommerce_sdk::types;
use proptest::prelude::*;
use tokio::time::Instant;

use super::engine::{BatchEvent, Conditions, Engine, EngineCall, EngineConfig};
use super::item::BatchItem;
use super::split;
use crate::client::{RequestFailure, RequestOutcome, RetryPolicy};
use crate::error::{CallRecord, Error, ErrorKind};
use crate::event::WaitReason;
use crate::list::{ReadRequest, ReadValues};
use crate::normalization::Normalization;
use crate::outcome::{OutcomeKind, Summary};
use crate::value::{UpsertRow, WireRow};

type UpsertBatch = split::Batch<UpsertRow>;

/// The values of a store, by customer and attribute.
pub(super) type StoredValues = BTreeMap<(i64, i64), String>;

/// The input, the server and the schedule of a run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    /// The customer and the attribute of each row. The value of a row is its index.
    pub(super) rows: Vec<(i64, i64)>,
    /// The values that the server rejects.
    pub(super) bad: BTreeSet<usize>,
    /// The values that make the server respond 500.
    pub(super) poison: BTreeSet<usize>,
    pub(super) config: EngineConfig,
    pub(super) max_in_flight: usize,
    pub(super) server: FakeServer,
    pub(super) faults: Option<PeriodicFault>,
    /// Whether the run is stopped at a random moment.
    pub(super) stops: bool,
    /// The seed of the schedule: when rows are read, the input is idle, and calls end.
    pub(super) seed: u64,
}

/// How a server responds to batches that it rejects.
#[derive(Clone, Copy, Debug)]
pub(super) struct FakeServer {
    /// Whether the valid rows of a rejected batch are stored.
    pub(super) stores_valid_rows: bool,
    blame: Blame,
    max_customers: usize,
    max_rows: usize,
    /// The kind of error for a batch that is too large.
    too_large: ErrorKind,
}

/// The rows that the response to a rejected batch names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Blame {
    None,
    BadRows,
    ValidRow,
}

/// A fault that every so many calls have.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeriodicFault {
    every: usize,
    fault: Fault,
}

impl PeriodicFault {
    /// Returns the fault of a call, if it has one.
    pub(super) fn of_call(faults: Option<Self>, number: usize) -> Option<Fault> {
        let fault = faults.filter(|fault| number.is_multiple_of(fault.every))?;
        Some(fault.fault)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// No response, whether or not the request was executed.
    LostResponse,
    /// The quota is spent.
    RateLimited,
    /// The response is a success, but some rows are neither stored nor confirmed.
    UnconfirmedRows,
}

fn servers() -> impl Strategy<Value = FakeServer> {
    let blame = prop_oneof![
        Just(Blame::None),
        Just(Blame::BadRows),
        Just(Blame::ValidRow)
    ];
    let too_large = prop_oneof![Just(ErrorKind::TooLarge), Just(ErrorKind::InvalidRequest)];
    let limit = || prop_oneof![Just(usize::MAX), 1..12_usize];
    (any::<bool>(), blame, limit(), limit(), too_large).prop_map(
        |(stores_valid_rows, blame, max_customers, max_rows, too_large)| FakeServer {
            stores_valid_rows,
            blame,
            max_customers,
            max_rows,
            too_large,
        },
    )
}

fn faults() -> impl Strategy<Value = PeriodicFault> {
    let fault = prop_oneof![
        Just(Fault::LostResponse),
        Just(Fault::RateLimited),
        Just(Fault::UnconfirmedRows)
    ];
    (2..9_usize, fault).prop_map(|(every, fault)| PeriodicFault { every, fault })
}

fn configs() -> impl Strategy<Value = EngineConfig> {
    (1..150_usize, 1..12_usize).prop_map(|(window, customers_per_call)| EngineConfig {
        customers_per_call,
        stop_after_rejected: 0,
        ..config(window)
    })
}

pub(super) fn scenarios() -> impl Strategy<Value = Scenario> {
    (
        prop::collection::vec((1..40_i64, 1..4_i64), 0..200),
        prop::collection::btree_set(0..200_usize, 0..12),
        prop::collection::btree_set(0..200_usize, 0..3),
        configs(),
        1..5_usize,
        servers(),
        prop::option::of(faults()),
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(
            |(rows, bad, poison, config, max_in_flight, server, faults, stops, seed)| Scenario {
                rows,
                bad,
                poison,
                config,
                max_in_flight,
                server,
                faults,
                stops,
                seed,
            },
        )
}

/// Returns the scenario with a server that accepts everything.
fn without_failures(scenario: Scenario) -> Scenario {
    Scenario {
        bad: BTreeSet::new(),
        poison: BTreeSet::new(),
        faults: None,
        server: FakeServer {
            max_customers: usize::MAX,
            max_rows: usize::MAX,
            ..scenario.server
        },
        ..scenario
    }
}

/// Creates the failure of a request that rejects the batch, or its rows.
fn rejection(kind: ErrorKind) -> RequestFailure {
    RequestFailure {
        blames_rows: kind == ErrorKind::InvalidRequest,
        retry: None,
        is_ambiguous: false,
        ..temporary(kind, WaitReason::Server)
    }
}

/// Creates the failure of a request after which the same rows may succeed.
pub(super) fn temporary(kind: ErrorKind, reason: WaitReason) -> RequestFailure {
    RequestFailure {
        error: Error::call(kind, "planned", CallRecord::default(), None),
        retry: Some(reason),
        retry_after: None,
        is_ambiguous: reason != WaitReason::Quota,
        never_sent: false,
        is_html: false,
        blames_rows: false,
        blamed_rows: BTreeSet::new(),
        ends_run: false,
        successes: 0,
        is_bad: false,
        held_until: None,
    }
}

pub(super) fn config(window: usize) -> EngineConfig {
    EngineConfig {
        window,
        customers_per_call: 10,
        max_url_len: usize::MAX,
        max_wait: Duration::from_millis(500),
        retry: RetryPolicy::default(),
        stop_after_rejected: 100,
        skips_unchanged: false,
    }
}

/// The result of a run.
struct RunResult {
    stored: StoredValues,
    outcomes: Vec<OutcomeKind>,
    summary: Summary,
    calls: usize,
    /// Calls that started after the size limit was learned and were rejected as too large.
    too_large_after_learning: usize,
    elapsed: Duration,
}

pub(super) struct CallInFlight {
    number: usize,
    pub(super) call: EngineCall<UpsertRow>,
    previous_failure: Option<u64>,
    /// Whether the size limit was known when the call started.
    knew_limit: bool,
}

/// The customers of an abandoned request, and what the server may still store for it.
struct HeldBatch {
    until: Instant,
    job: u64,
    customers: HashSet<i64>,
    late: StoredValues,
}

/// A simulated store, and the driver of an engine that keeps it in step.
pub(super) struct Simulation<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) engine: Engine<UpsertRow>,
    pub(super) now: Instant,
    pub(super) stored: StoredValues,
    pub(super) successes: u64,
    pub(super) rng: fastrand::Rng,
    held: Vec<HeldBatch>,
    /// Whether other runs have customers in flight at random.
    has_other_runs: bool,
    /// The customers of another run, and until when it has them.
    taken: (HashSet<i64>, Instant),
    outcomes: BTreeMap<u64, OutcomeKind>,
    calls: usize,
    pub(super) sends: usize,
    too_large_after_learning: usize,
    knows_limit: bool,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        let now = Instant::now();
        Self {
            engine: Engine::new(scenario.config.clone(), Normalization::default(), now),
            now,
            stored: StoredValues::new(),
            successes: 0,
            rng: fastrand::Rng::with_seed(scenario.seed),
            held: Vec::new(),
            has_other_runs: false,
            taken: (HashSet::new(), now),
            outcomes: BTreeMap::new(),
            calls: 0,
            sends: 0,
            too_large_after_learning: 0,
            knows_limit: false,
            scenario,
        }
    }

    pub(super) fn decide<T>(
        &mut self,
        decide: impl FnOnce(&mut Engine<UpsertRow>, Conditions<'_>) -> T,
    ) -> T {
        self.decide_within(|_| true, decide)
    }

    /// Runs a decision that may name only the customers for which `is_claimed` is true.
    fn decide_within<T>(
        &mut self,
        is_claimed: impl Fn(i64) -> bool,
        decide: impl FnOnce(&mut Engine<UpsertRow>, Conditions<'_>) -> T,
    ) -> T {
        let (now, held) = (self.now, &self.held);
        let (taken, until) = &self.taken;
        let is_taken = |customer| now < *until && taken.contains(&customer);
        let is_held = |customer| {
            let mut live = held.iter().filter(|held| held.until > now);
            is_taken(customer) || live.any(|held| held.customers.contains(&customer))
        };
        let conditions = Conditions {
            now,
            downtime: Duration::ZERO,
            successes: self.successes,
            is_held: &is_held,
            is_taken: &is_taken,
            is_claimed: &is_claimed,
        };
        decide(&mut self.engine, conditions)
    }

    /// Lets another run take some customers, now and then.
    fn let_others_take(&mut self) {
        if self.has_other_runs && self.taken.1 <= self.now && self.rng.u8(..4) == 0 {
            let count = self.rng.usize(..30);
            let customers = (0..count).map(|_| self.rng.i64(1..40)).collect();
            let time = Duration::from_millis(self.rng.u64(1..40));
            self.taken = (customers, self.now + time);
        }
    }

    pub(super) fn push(&mut self, row: UpsertRow) {
        self.engine.push(Ok(row), self.now);
    }

    /// Hands out the outcomes, and checks the commit point.
    pub(super) fn take_outcomes(&mut self) {
        let mut is_new = false;
        while let Some(outcome) = self.engine.next_outcome() {
            is_new = true;
            let previous = self.outcomes.insert(outcome.index, outcome.kind);
            assert!(previous.is_none(), "row {} has two outcomes", outcome.index);
        }
        if is_new {
            let first_left = (0..).find(|index| !self.is_done(*index));
            assert_eq!(Some(self.engine.done_up_to()), first_left);
        }
    }

    /// Returns `true` if a row was handed out and needs no sending again.
    fn is_done(&self, index: u64) -> bool {
        match self.outcomes.get(&index) {
            None
            | Some(OutcomeKind::Unknown(_) | OutcomeKind::NotSent(_) | OutcomeKind::Planned) => {
                false
            }
            Some(OutcomeKind::Superseded { by }) => self.is_done(*by),
            Some(_) => true,
        }
    }

    /// Lets time pass. The server executes some of the abandoned requests meanwhile.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        for held in &mut self.held {
            if held.until <= self.now || self.rng.bool() {
                self.stored.append(&mut held.late);
            }
        }
        let now = self.now;
        self.held.retain(|held| held.until > now);
    }

    /// Lets time pass until the engine has something to do.
    fn pass_until_due(&mut self) {
        let next = self.decide(|engine, conditions| engine.next_due(conditions));
        let holds = self.held.iter().map(|held| held.until);
        let holds = holds.chain([self.taken.1]);
        let due = holds.chain(next).filter(|due| *due > self.now);
        let due = due.min().unwrap_or(self.now + Duration::from_secs(1));
        self.pass(due - self.now);
    }

    pub(super) fn next_call(&mut self) -> Option<CallInFlight> {
        self.let_others_take();
        let has_call = self.decide(|engine, conditions| engine.has_call(conditions));
        let proposed = self.decide(|engine, conditions| engine.proposed_customers(conditions));
        let mut claimed: HashSet<_> = proposed.into_iter().collect();
        // Another run is quicker.
        let is_refused = self.has_other_runs && !claimed.is_empty() && self.rng.u8(..8) == 0;
        if is_refused {
            claimed.retain(|_| self.rng.bool());
        }
        let call = self.decide_within(
            |customer| claimed.contains(&customer),
            |engine, conditions| engine.next_call(conditions),
        );
        assert!(is_refused || has_call == call.is_some());
        let call = call?;
        if let EngineCall::Send { batch, .. } = &call {
            assert!(customers(batch).is_subset(&claimed));
            let (taken, until) = &self.taken;
            assert!(*until <= self.now || customers(batch).is_disjoint(taken));
        }
        self.calls += 1;
        let previous_failure = match &call {
            EngineCall::Send {
                previous_failure, ..
            } => {
                self.sends += 1;
                *previous_failure
            }
            EngineCall::Verify { .. } | EngineCall::Check => None,
        };
        Some(CallInFlight {
            number: self.sends,
            call,
            previous_failure,
            knew_limit: self.knows_limit,
        })
    }

    /// Ends a call as the server responds to it.
    pub(super) fn finish(&mut self, call: CallInFlight) {
        let jitter = self.rng.f64();
        match call.call {
            EngineCall::Check => {
                self.successes += 1;
                self.engine.finish_check();
            }
            EngineCall::Verify { job, request } => {
                self.successes += 1;
                let values = read_values(&self.stored, &request);
                self.decide(|engine, conditions| {
                    engine.finish_verify(job, Ok(values), conditions, jitter);
                });
            }
            EngineCall::Send { job, batch, .. } => {
                let fault = PeriodicFault::of_call(self.scenario.faults, call.number);
                let mut after = self.stored.clone();
                let mut result = respond(self.scenario, &batch, fault, &mut after, &mut self.rng);
                let is_too_large =
                    matches!(&result, Err(f) if f.error.kind() == ErrorKind::TooLarge);
                self.too_large_after_learning +=
                    usize::from(is_too_large && call.knew_limit && batch.rows.len() > 1);
                if let Err(failure) = &mut result
                    && failure.retry.is_some()
                {
                    let previous = call.previous_failure;
                    let is_own_trouble = previous.is_some_and(|previous| previous < self.successes);
                    failure.is_bad = failure.retry != Some(WaitReason::Quota) && !is_own_trouble;
                } else {
                    self.successes += 1;
                }
                if let Err(failure) = &mut result {
                    failure.successes = self.successes;
                }
                let is_abandoned = matches!(&result, Err(failure) if failure.is_ambiguous);
                if is_abandoned {
                    let late = after.into_iter();
                    let late = late.filter(|(key, value)| self.stored.get(key) != Some(value));
                    self.held.push(HeldBatch {
                        until: self.now + Duration::from_millis(30),
                        job,
                        customers: customers(&batch),
                        late: late.collect(),
                    });
                } else {
                    self.stored = after;
                }
                let outcome = RequestOutcome {
                    result,
                    requests: 1,
                    status: Some(200),
                };
                let event = self.decide(|engine, conditions| {
                    engine.finish_send(job, outcome, conditions, jitter)
                });
                self.knows_limit |= matches!(event, Some(BatchEvent::SizeLimitLearned(_)));
            }
        }
    }

    /// Checks that a new call touches no customer of another one.
    pub(super) fn check_disjoint(&self, call: &CallInFlight, in_flight: &[CallInFlight]) {
        let EngineCall::Send { job, batch, .. } = &call.call else {
            return;
        };
        let customers = customers(batch);
        assert!(!customers.is_empty());
        assert!(customers.len() <= self.scenario.config.customers_per_call);
        for other in in_flight {
            if let EngineCall::Send { batch, .. } = &other.call {
                assert!(customers.is_disjoint(&self::customers(batch)));
            }
        }
        for other in &self.held {
            assert!(
                other.until <= self.now
                    || other.job == *job
                    || customers.is_disjoint(&other.customers),
                "job {job} has a customer that job {} holds",
                other.job
            );
        }
    }

    pub(super) fn into_outcomes(self) -> Vec<OutcomeKind> {
        self.outcomes.into_values().collect()
    }

    fn into_result(mut self, started: Instant) -> RunResult {
        self.take_outcomes();
        RunResult {
            stored: self.stored,
            outcomes: self.outcomes.into_values().collect(),
            summary: self.engine.summary(),
            calls: self.calls,
            too_large_after_learning: self.too_large_after_learning,
            elapsed: self.now - started,
        }
    }
}

/// Returns a time shorter than a hold, or now and then one as long as a wait before a retry.
pub(super) fn random_time(rng: &mut fastrand::Rng) -> Duration {
    let max_ms = if rng.u8(..8) == 0 { 20_000 } else { 20 };
    Duration::from_millis(rng.u64(..max_ms))
}

/// Runs a scenario. Checks what must hold at every moment of a run.
fn run(scenario: &Scenario) -> RunResult {
    run_simulation(Simulation::new(scenario))
}

fn run_simulation(mut simulation: Simulation<'_>) -> RunResult {
    let scenario = simulation.scenario;
    let started = simulation.now;
    let mut rows = scenario.rows.iter().enumerate();
    let mut in_flight: Vec<CallInFlight> = Vec::new();
    let mut rng = fastrand::Rng::with_seed(scenario.seed);
    for steps in 0.. {
        assert!(steps < 20_000, "the run does not end");
        simulation.take_outcomes();
        if simulation.engine.is_done() {
            break;
        }
        match rng.u8(..5) {
            0 | 1 if simulation.engine.wants_input() => match rows.next() {
                Some((index, &(customer, attribute))) => {
                    simulation.push(UpsertRow::new(customer, attribute, index));
                }
                None => simulation.engine.end_input(),
            },
            2 if scenario.stops && rng.u8(..60) == 0 => simulation.engine.stop(Error::stopped()),
            2 => simulation.engine.mark_idle(),
            3 => simulation.pass(random_time(&mut rng)),
            _ if !in_flight.is_empty() => {
                let call = in_flight.swap_remove(rng.usize(..in_flight.len()));
                simulation.finish(call);
            }
            _ => {}
        }
        while in_flight.len() < scenario.max_in_flight
            && let Some(call) = simulation.next_call()
        {
            simulation.check_disjoint(&call, &in_flight);
            in_flight.push(call);
        }
    }
    // What the server still executes changes nothing any more.
    simulation.pass(Duration::from_secs(1));
    simulation.into_result(started)
}

pub(super) fn customers(batch: &UpsertBatch) -> HashSet<i64> {
    batch.customers().into_iter().collect()
}

/// Returns the server's response to a batch, and updates the stored values.
pub(super) fn respond(
    scenario: &Scenario,
    batch: &UpsertBatch,
    fault: Option<Fault>,
    stored: &mut StoredValues,
    rng: &mut fastrand::Rng,
) -> Result<Option<types::AttributeValuePage>, RequestFailure> {
    let server = scenario.server;
    match fault {
        Some(Fault::RateLimited) => {
            return Err(temporary(ErrorKind::RateLimited, WaitReason::Quota));
        }
        Some(Fault::LostResponse) if rng.bool() => {
            return Err(temporary(ErrorKind::Timeout, WaitReason::Connection));
        }
        _ => {}
    }
    if customers(batch).len() > server.max_customers || batch.rows.len() > server.max_rows {
        return Err(rejection(server.too_large));
    }
    let positions_of = |values: &BTreeSet<usize>| -> BTreeSet<usize> {
        let is_one = |position: &usize| {
            values.contains(&value_of(&batch.rows[*position]).parse().expect("a number"))
        };
        (0..batch.rows.len()).filter(is_one).collect()
    };
    if !positions_of(&scenario.poison).is_empty() {
        return Err(temporary(ErrorKind::Unavailable, WaitReason::Server));
    }
    let bad = positions_of(&scenario.bad);
    let mut data = Vec::new();
    for (position, row) in batch.rows.iter().enumerate() {
        let is_stored = match bad.is_empty() {
            true => !(matches!(fault, Some(Fault::UnconfirmedRows)) && rng.bool()),
            false => server.stores_valid_rows && !bad.contains(&position),
        };
        if is_stored {
            let value = value_of(row);
            data.push(attribute_value(row.key(), &value));
            stored.insert(row.key(), value);
        }
    }
    rng.shuffle(&mut data);
    if matches!(fault, Some(Fault::LostResponse)) {
        return Err(temporary(ErrorKind::Timeout, WaitReason::Connection));
    }
    if !bad.is_empty() {
        let blamed_rows = match server.blame {
            Blame::None => BTreeSet::new(),
            Blame::BadRows => bad,
            // A position beyond the batch if it has no valid row.
            Blame::ValidRow => (0..=batch.rows.len())
                .filter(|position| !bad.contains(position))
                .take(1)
                .collect(),
        };
        return Err(RequestFailure {
            blamed_rows,
            ..rejection(ErrorKind::InvalidRequest)
        });
    }
    Ok(Some(page(data)))
}

/// Returns the value that a row stores.
pub(super) fn value_of(row: &WireRow) -> String {
    <UpsertRow as BatchItem>::value(row)
        .expect("the row has a value")
        .to_owned()
}

/// Returns the stored values that a read asks for.
pub(super) fn read_values(stored: &StoredValues, read: &ReadRequest) -> ReadValues {
    let values = stored
        .iter()
        .filter(|((customer, attribute), _)| {
            read.customers.contains(customer) && read.attributes.contains(attribute)
        })
        .map(|(&key, value)| attribute_value(key, value))
        .collect();
    ReadValues {
        values,
        incomplete: None,
    }
}

pub(super) fn attribute_value(
    (customer_id, attribute_id): (i64, i64),
    value: &str,
) -> types::AttributeValue {
    types::AttributeValue::builder()
        .id(1_000 * customer_id + attribute_id)
        .customer_id(customer_id)
        .attribute_id(attribute_id)
        .attribute_value(value)
        .try_into()
        .expect("the value is complete")
}

pub(super) fn page(data: Vec<types::AttributeValue>) -> types::AttributeValuePage {
    types::AttributeValuePage::builder()
        .data(data)
        .try_into()
        .expect("the page is complete")
}

/// Returns the values that a store holds after all rows in order, without the bad ones. Poison is
/// not modelled.
fn model(scenario: &Scenario) -> StoredValues {
    let rows = scenario.rows.iter().enumerate();
    rows.filter(|(index, _)| !scenario.bad.contains(index))
        .map(|(index, &key)| (key, index.to_string()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_row_has_one_outcome_and_the_store_agrees_with_it(scenario in scenarios()) {
        let result = run(&scenario);
        prop_assert!(scenario.stops || result.outcomes.len() == scenario.rows.len());
        prop_assert_eq!(result.summary.rows(), result.outcomes.len() as u64);
        // The latest row that was stored, `None` if it is unknown.
        let mut latest = BTreeMap::new();
        for (index, (key, kind)) in scenario.rows.iter().zip(&result.outcomes).enumerate() {
            match kind {
                OutcomeKind::Stored(_) => { latest.insert(*key, Some(index)); }
                OutcomeKind::Unknown(_) => { latest.insert(*key, None); }
                OutcomeKind::Superseded { by, .. } => {
                    let by = usize::try_from(*by).expect("the index is small");
                    prop_assert!(by > index && scenario.rows[by] == *key);
                    prop_assert!(matches!(result.outcomes[by], OutcomeKind::Stored(_)));
                }
                OutcomeKind::Rejected(_) => prop_assert!(scenario.bad.contains(&index)),
                OutcomeKind::Unchanged | OutcomeKind::Deleted | OutcomeKind::Planned => {
                    prop_assert!(false, "a row of an upsert ended as {:?}", kind);
                }
                OutcomeKind::NotSent(_) => {
                    let stored = result.stored.get(key);
                    prop_assert!(stored != Some(&index.to_string()), "row {} is stored", index);
                }
            }
        }
        for (key, index) in latest {
            if let Some(index) = index {
                prop_assert_eq!(result.stored.get(&key), Some(&index.to_string()), "{:?}", key);
            }
        }
    }

    #[test]
    fn only_bad_rows_are_rejected_and_the_last_valid_row_wins(scenario in scenarios()) {
        let scenario = Scenario { faults: None, stops: false, poison: BTreeSet::new(), ..scenario };
        let result = run(&scenario);
        prop_assert_eq!(&result.stored, &model(&scenario));
        for (index, kind) in result.outcomes.iter().enumerate() {
            let is_bad = scenario.bad.contains(&index);
            prop_assert!(match kind {
                OutcomeKind::Stored(_) => !is_bad,
                OutcomeKind::Rejected(_) => is_bad,
                OutcomeKind::Superseded { .. } => true,
                _ => false,
            }, "row {} (bad: {}) ended as {:?}", index, is_bad, kind);
        }
    }

    #[test]
    fn customers_of_other_runs_are_sent_later(scenario in scenarios()) {
        let scenario = Scenario { faults: None, stops: false, poison: BTreeSet::new(), ..scenario };
        let mut simulation = Simulation::new(&scenario);
        simulation.has_other_runs = true;
        let result = run_simulation(simulation);
        prop_assert_eq!(&result.stored, &model(&scenario));
        prop_assert_eq!(result.summary.unknown + result.summary.not_sent, 0);
    }

    #[test]
    fn batches_keep_to_a_learned_size_limit(scenario in scenarios()) {
        let scenario = Scenario {
            faults: None,
            stops: false,
            bad: BTreeSet::new(),
            poison: BTreeSet::new(),
            ..scenario
        };
        let result = run(&scenario);
        prop_assert_eq!(&result.stored, &model(&scenario));
        prop_assert!(result.summary.is_complete());
        // Batches that show whether customers or rows are limited may be rejected, and so may
        // their parts.
        prop_assert!(result.too_large_after_learning <= 4 * scenario.max_in_flight);
    }

    #[test]
    fn learning_a_size_limit_takes_few_calls(scenario in scenarios(), many in 1..20_i64) {
        let scenario = Scenario {
            faults: None,
            bad: BTreeSet::new(),
            poison: BTreeSet::new(),
            ..scenario
        };
        // Some customers have many values.
        let rows: BTreeSet<_> = scenario.rows.iter().flat_map(|&(customer, _)| {
            let values = if customer % 3 == 0 { many } else { 3 };
            (1..=values).map(move |attribute| (customer, attribute))
        }).collect();
        let rows: Vec<_> = rows.into_iter().collect();
        let config = EngineConfig { window: rows.len() + 1, ..scenario.config.clone() };
        let scenario = Scenario { rows, config, ..scenario };
        let result = run_after_input_ended(&scenario);
        prop_assert!(result.summary.is_complete());
        let customers: BTreeSet<_> = scenario.rows.iter().map(|(customer, _)| customer).collect();
        let max_customers = scenario.config.customers_per_call.min(scenario.server.max_customers);
        let needed = customers.len().div_ceil(max_customers)
            .max(scenario.rows.len().div_ceil(scenario.server.max_rows));
        prop_assert!(result.calls <= 2 * needed + 24, "{} calls, {} needed", result.calls, needed);
    }

    #[test]
    fn customers_that_fit_into_the_window_take_the_fewest_possible_calls(scenario in scenarios()) {
        let scenario = without_failures(scenario);
        let config = EngineConfig { window: scenario.rows.len() + 1, ..scenario.config.clone() };
        let scenario = Scenario { config, ..scenario };
        let mut simulation = Simulation::new(&scenario);
        for &(customer, attribute) in &scenario.rows {
            simulation.push(UpsertRow::new(customer, attribute, "x"));
            prop_assert!(simulation.next_call().is_none(), "no row is due yet");
        }
        simulation.engine.end_input();
        let calls = std::iter::from_fn(|| simulation.next_call()).count();
        let customers: HashSet<_> = scenario.rows.iter().map(|(customer, _)| customer).collect();
        prop_assert_eq!(calls, customers.len().div_ceil(scenario.config.customers_per_call));
    }

    #[test]
    fn few_bad_rows_take_few_extra_calls(
        scenario in scenarios(),
        bad in prop::collection::btree_set(0..200_usize, 1..4),
    ) {
        let keys: BTreeSet<_> = scenario.rows.iter().copied().collect();
        let rows: Vec<_> = keys.into_iter().collect();
        let bad: BTreeSet<_> = bad.into_iter().filter(|&index| index < rows.len()).collect();
        let valid = without_failures(Scenario { rows, ..scenario });
        let config = EngineConfig {
            window: valid.rows.len() + 1,
            customers_per_call: 10,
            ..valid.config.clone()
        };
        let valid = Scenario { config, seed: 1, ..valid };
        let needed = run_after_input_ended(&valid).calls;
        let result = run_after_input_ended(&Scenario { bad: bad.clone(), ..valid.clone() });
        prop_assert_eq!(result.summary.rejected, bad.len() as u64);
        let extra = result.calls - needed;
        // A batch has at most 10 customers with 3 values each. Halving takes up to 2 · log2(30)
        // calls, rounded up, after the rejected one; a response that blames the row saves that.
        let max_extra_per_row = match valid.server.blame {
            Blame::None => 2 * 5 + 2,
            Blame::BadRows => 2,
            Blame::ValidRow => 2 * 5 + 4,
        };
        prop_assert!(
            extra <= max_extra_per_row * bad.len(),
            "{} extra calls for the rows {:?}", extra, bad
        );
    }
}

/// Runs a scenario with one call at a time, after all of its input was read.
fn run_after_input_ended(scenario: &Scenario) -> RunResult {
    let mut simulation = Simulation::new(scenario);
    let started = simulation.now;
    for (index, &(customer, attribute)) in scenario.rows.iter().enumerate() {
        simulation.push(UpsertRow::new(customer, attribute, index));
    }
    simulation.engine.end_input();
    let mut steps = 0;
    while !simulation.engine.is_done() {
        steps += 1;
        assert!(steps < 20_000, "the run does not end");
        simulation.take_outcomes();
        match simulation.next_call() {
            Some(call) => simulation.finish(call),
            None => simulation.pass_until_due(),
        }
    }
    simulation.into_result(started)
}

#[test]
fn a_run_stops_if_the_first_rows_are_all_rejected() {
    let rows: Vec<_> = (1..=400).map(|customer| (customer, 1)).collect();
    let all_bad = Scenario {
        bad: (0..rows.len()).collect(),
        rows,
        ..plain_scenario(config(10_000))
    };
    let result = run_after_input_ended(&all_bad);
    assert_eq!(result.summary.rejected, 100);
    assert_eq!(result.summary.not_sent, 300);
    assert_eq!(result.outcomes.len(), 400);
    assert!(result.calls <= 200, "{} calls", result.calls);

    // The run goes on once a row was stored.
    let first_valid = Scenario {
        bad: (1..400).collect(),
        ..all_bad
    };
    let result = run_after_input_ended(&first_valid);
    assert_eq!(result.summary.rejected, 399);
    assert_eq!(result.summary.stored, 1);
}

/// Returns a scenario without rows, whose server accepts everything.
pub(super) fn plain_scenario(config: EngineConfig) -> Scenario {
    Scenario {
        rows: Vec::new(),
        bad: BTreeSet::new(),
        poison: BTreeSet::new(),
        config,
        max_in_flight: 3,
        server: FakeServer {
            stores_valid_rows: false,
            blame: Blame::None,
            max_customers: usize::MAX,
            max_rows: usize::MAX,
            too_large: ErrorKind::TooLarge,
        },
        faults: None,
        stops: false,
        seed: 3,
    }
}

/// Returns a scenario of up to 3,000 rows of 1,000 customers, with rows that make the server
/// respond 500.
fn poisoned(rows: usize, poison: impl IntoIterator<Item = usize>) -> Scenario {
    let customers = 1..=1000_i64;
    let keys = customers.flat_map(|customer| (1..=3).map(move |attribute| (customer, attribute)));
    Scenario {
        rows: keys.take(rows).collect(),
        poison: poison.into_iter().collect(),
        ..plain_scenario(config(10_000))
    }
}

#[test]
fn a_row_that_breaks_the_server_costs_itself_only() {
    let spread = (0..10).map(|n| n * 300 + 7);
    let adjacent = 1000..1010;
    let last = 2990..3000;
    let mut rng = fastrand::Rng::with_seed(5);
    let random = (0..10).map(|n| n * 300 + rng.usize(..300));
    for poison in [
        spread.collect::<BTreeSet<_>>(),
        adjacent.collect(),
        last.collect(),
        random.collect(),
    ] {
        let result = run_after_input_ended(&poisoned(3000, poison.clone()));
        let summary = result.summary;
        assert_eq!((summary.stored, summary.unknown), (2990, 10), "{poison:?}");
        for (index, kind) in result.outcomes.iter().enumerate() {
            let is_unknown = matches!(kind, OutcomeKind::Unknown(_));
            assert_eq!(is_unknown, poison.contains(&index), "row {index}");
        }
        assert!(result.calls <= 300, "{} calls for {poison:?}", result.calls);
        let longest = Duration::from_secs(90);
        assert!(
            result.elapsed <= longest,
            "{:?} for {poison:?}",
            result.elapsed
        );
    }
    for (rows, poison) in [(30, 17), (10, 0), (1, 0)] {
        let result = run_after_input_ended(&poisoned(rows, [poison]));
        assert_eq!(result.summary.unknown, 1);
        assert_eq!(result.summary.stored, rows as u64 - 1);
        assert!(result.calls <= 40, "{} calls for {rows} rows", result.calls);
    }
}

#[test]
fn customers_with_many_values_teach_a_limit_of_rows_before_their_batch_is_over() {
    // Every third customer has 18 values, the others have 3.
    let rows = (1..=16).flat_map(|customer| {
        let values = if customer % 3 == 0 { 18 } else { 3 };
        (1..=values).map(move |attribute| (customer, attribute))
    });
    let plain = plain_scenario(config(10_000));
    let scenario = Scenario {
        rows: rows.collect(),
        server: FakeServer {
            max_rows: 8,
            too_large: ErrorKind::InvalidRequest,
            ..plain.server
        },
        ..plain
    };
    let result = run_after_input_ended(&scenario);
    assert!(result.summary.is_complete());
    // 123 rows take at least 16 calls.
    assert!(result.calls <= 36, "{} calls", result.calls);
}
