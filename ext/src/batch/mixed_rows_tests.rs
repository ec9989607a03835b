//! Property tests of runs that store and delete values: random rows with payloads, servers, faults and
//! schedules against a simple model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bigcommerce_sdk::types;
use proptest::prelude::*;
use tokio::time::Instant;

use super::engine::{Conditions, Engine, EngineCall};
use super::item::BatchKind;
use super::model_tests::{config, page, random_time, temporary};
use super::split::Batch;
use crate::client::{CallFailure, RequestFailure, RequestOutcome};
use crate::error::{CallRecord, Error, ErrorKind};
use crate::event::WaitReason;
use crate::list::{ReadRequest, ReadValues};
use crate::normalization::Normalization;
use crate::outcome::{Outcome, OutcomeKind};
use crate::resends::Standing;
use crate::value::{UpsertRow, WireRow};

type Key = (i64, i64);

/// The index of its row: neither `Clone` nor `Sync`.
#[derive(Debug)]
struct Payload(std::cell::Cell<u64>);

type Row = UpsertRow<Payload>;
type MixedResponse = Option<types::AttributeValuePage>;

/// The value that the server rejects.
const BAD: u8 = 9;

#[derive(Clone, Debug)]
struct MixedScenario {
    /// `None` for a value to delete.
    rows: Vec<(Key, Option<u8>)>,
    stored: BTreeMap<Key, u8>,
    window: usize,
    skips_unchanged: bool,
    unknown_ids: UnknownIdReply,
    /// One in so many calls fails.
    fault_every: Option<usize>,
    /// Another program deletes values.
    has_other_program: bool,
    seed: u64,
}

/// How a server responds to a delete with an ID that does not exist.
#[derive(Clone, Copy, Debug)]
enum UnknownIdReply {
    Ignored,
    NotFound,
    Rejected,
}

fn scenarios() -> impl Strategy<Value = MixedScenario> {
    let key = || (1..25_i64, 1..4_i64);
    let value = prop_oneof![3 => Just(None), 8 => (0..3_u8).prop_map(Some), 1 => Just(Some(BAD))];
    let unknown_ids = prop_oneof![
        Just(UnknownIdReply::Ignored),
        Just(UnknownIdReply::NotFound),
        Just(UnknownIdReply::Rejected)
    ];
    (
        prop::collection::vec((key(), value), 0..200),
        prop::collection::btree_map(key(), 0..3_u8, 0..60),
        1..100_usize,
        any::<bool>(),
        unknown_ids,
        prop::option::of(2..8_usize),
        prop::bool::weighted(0.2),
        any::<u64>(),
    )
        .prop_map(
            |(rows, stored, window, skips_unchanged, unknown_ids, fault_every, other, seed)| {
                MixedScenario {
                    rows,
                    stored,
                    window,
                    skips_unchanged,
                    unknown_ids,
                    fault_every,
                    has_other_program: other,
                    seed,
                }
            },
        )
}

/// A store that gives each value an ID of its own. A value that is stored anew has a new one.
#[derive(Clone, Debug, Default)]
struct SimulatedStore {
    values: BTreeMap<Key, (i64, String)>,
    last_id: i64,
}

impl SimulatedStore {
    fn put(&mut self, key: Key, text: &str) -> i64 {
        self.last_id += 1;
        let value = self
            .values
            .entry(key)
            .or_insert((self.last_id, String::new()));
        text.clone_into(&mut value.1);
        value.0
    }

    fn has_id(&self, id: i64) -> bool {
        self.values.values().any(|(other, _)| *other == id)
    }

    fn delete(&mut self, id: i64) {
        self.values.retain(|_, (other, _)| *other != id);
    }

    fn read(&self, request: &ReadRequest) -> ReadValues {
        let is_requested = |(customer, attribute): &Key| {
            request.customers.contains(customer) && request.attributes.contains(attribute)
        };
        let values = self.values.iter().filter(|(key, _)| is_requested(key));
        ReadValues {
            values: values
                .map(|(&key, (id, text))| record(key, *id, text))
                .collect(),
            incomplete: None,
        }
    }

    /// Reads some of the values, and says that it is not all of them.
    fn read_incompletely(&self, request: &ReadRequest, rng: &mut fastrand::Rng) -> ReadValues {
        let mut read = self.read(request);
        read.values.retain(|_| rng.bool());
        read.incomplete = Some(Error::incomplete_list("values", 0, None, 0, ""));
        read
    }

    /// Executes a batch, and returns the records of its response.
    fn execute(&mut self, rows: &[WireRow]) -> MixedResponse {
        let mut data = Vec::new();
        for row in rows {
            match row {
                WireRow::Put(put) => {
                    let id = self.put(row.key(), &put.value);
                    data.push(record(row.key(), id, &put.value));
                }
                WireRow::Delete(value) => self.delete(value.value_id.expect("an ID was read")),
            }
        }
        let is_put = rows.iter().any(|row| matches!(row, WireRow::Put(_)));
        is_put.then(|| page(data))
    }
}

fn record((customer, attribute): Key, id: i64, text: &str) -> types::AttributeValue {
    types::AttributeValue::builder()
        .id(id)
        .customer_id(customer)
        .attribute_id(attribute)
        .attribute_value(text)
        .try_into()
        .expect("the value is complete")
}

enum MixedCall {
    Engine(EngineCall<Row>),
    Read(u64, ReadRequest),
}

impl MixedCall {
    fn customers(&self) -> BTreeSet<i64> {
        match self {
            Self::Engine(EngineCall::Send { batch, .. }) => batch.customers().into_iter().collect(),
            Self::Engine(EngineCall::Verify { .. } | EngineCall::Check) => BTreeSet::new(),
            Self::Read(_, request) => request.customers.clone(),
        }
    }
}

/// A request that the server may still execute.
struct AbandonedBatch {
    until: Instant,
    customers: BTreeSet<i64>,
    rows: Vec<WireRow>,
}

struct MixedSimulation<'a> {
    scenario: &'a MixedScenario,
    engine: Engine<Row>,
    store: SimulatedStore,
    now: Instant,
    rng: fastrand::Rng,
    abandoned: Vec<AbandonedBatch>,
    successes: u64,
    calls: usize,
    puts: usize,
    deletes: usize,
    reads: usize,
    outcomes: BTreeMap<u64, Outcome<Row>>,
    /// Whether another program has deleted a value.
    was_meddled_with: BTreeSet<Key>,
}

impl<'a> MixedSimulation<'a> {
    fn new(scenario: &'a MixedScenario) -> Self {
        let now = Instant::now();
        let mut engine_config = config(scenario.window);
        engine_config.skips_unchanged = scenario.skips_unchanged;
        engine_config.stop_after_rejected = 0;
        // A few IDs per call.
        engine_config.max_url_len = 60;
        let mut store = SimulatedStore::default();
        for (&key, value) in &scenario.stored {
            store.put(key, &value.to_string());
        }
        Self {
            engine: Engine::new(engine_config, Normalization::default(), now),
            store,
            now,
            rng: fastrand::Rng::with_seed(scenario.seed),
            abandoned: Vec::new(),
            successes: 0,
            calls: 0,
            puts: 0,
            deletes: 0,
            reads: 0,
            outcomes: BTreeMap::new(),
            was_meddled_with: BTreeSet::new(),
            scenario,
        }
    }

    fn decide<T>(&mut self, decide: impl FnOnce(&mut Engine<Row>, Conditions<'_>) -> T) -> T {
        let (now, abandoned) = (self.now, &self.abandoned);
        let is_held = |customer| {
            let mut live = abandoned.iter().filter(|request| request.until > now);
            live.any(|request| request.customers.contains(&customer))
        };
        let conditions = Conditions {
            now,
            downtime: Duration::ZERO,
            successes: self.successes,
            is_held: &is_held,
            is_taken: &|_| false,
            is_claimed: &|_| true,
        };
        decide(&mut self.engine, conditions)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for request in &mut self.abandoned {
            if request.until <= self.now || self.rng.bool() {
                self.store.execute(&std::mem::take(&mut request.rows));
            }
        }
        let now = self.now;
        self.abandoned.retain(|request| request.until > now);
    }

    fn meddle(&mut self) {
        let keys: Vec<_> = self.store.values.keys().copied().collect();
        if self.scenario.has_other_program && !keys.is_empty() && self.rng.u8(..6) == 0 {
            let key = keys[self.rng.usize(..keys.len())];
            self.store.values.remove(&key);
            self.was_meddled_with.insert(key);
        }
    }

    fn next_call(&mut self) -> Option<MixedCall> {
        if let Some(call) = self.decide(Engine::next_call) {
            return Some(MixedCall::Engine(call));
        }
        let read = self.decide(|engine, conditions| engine.next_read(conditions, 250, 2_000))?;
        Some(MixedCall::Read(read.0, read.1))
    }

    fn respond(&mut self, batch: &Batch<Row>) -> (Result<MixedResponse, RequestFailure>, u16) {
        self.calls += 1;
        match batch.kind {
            BatchKind::Put => self.puts += 1,
            BatchKind::Delete => self.deletes += 1,
        }
        let ok = match batch.kind {
            BatchKind::Put => 200,
            BatchKind::Delete => 204,
        };
        for row in &batch.rows {
            assert_eq!(<Row as super::BatchItem>::batch_kind(row), batch.kind);
        }
        let is_refused = |row: &WireRow| match row {
            WireRow::Put(put) => put.value.as_str() == BAD.to_string(),
            WireRow::Delete(value) => !self.store.has_id(value.value_id.expect("an ID was read")),
        };
        let refused = batch.rows.iter().any(is_refused);
        let executed = match refused {
            true => &[],
            false => batch.rows.as_slice(),
        };
        let is_faulty = |every: usize| self.calls.is_multiple_of(every);
        if self.scenario.fault_every.is_some_and(is_faulty) {
            match self.rng.u8(..4) {
                0 => {
                    return (
                        Err(temporary(ErrorKind::RateLimited, WaitReason::Quota)),
                        429,
                    );
                }
                1 => {
                    return (
                        Err(temporary(ErrorKind::Unavailable, WaitReason::Server)),
                        500,
                    );
                }
                2 => {
                    self.abandoned.push(AbandonedBatch {
                        until: self.now + Duration::from_millis(30),
                        customers: batch.customers().into_iter().collect(),
                        rows: executed.to_vec(),
                    });
                    return (
                        Err(temporary(ErrorKind::Timeout, WaitReason::Connection)),
                        0,
                    );
                }
                // Accepted for later: executed at once, or never.
                _ => {
                    let is_executed = self.rng.bool();
                    let response = is_executed.then(|| self.store.execute(executed));
                    let empty = (batch.kind == BatchKind::Put).then(|| page(Vec::new()));
                    return (Ok(response.unwrap_or(empty)), 202);
                }
            }
        }
        match (batch.kind, self.scenario.unknown_ids) {
            (BatchKind::Put, _) if refused => (Err(refusal(422)), 422),
            (BatchKind::Delete, UnknownIdReply::NotFound) if refused => (Err(refusal(404)), 404),
            (BatchKind::Delete, UnknownIdReply::Rejected) if refused => (Err(refusal(422)), 422),
            _ => (Ok(self.store.execute(&batch.rows)), ok),
        }
    }

    fn finish(&mut self, call: MixedCall) {
        let jitter = self.rng.f64();
        match call {
            MixedCall::Read(id, request) => {
                self.reads += 1;
                let fails = |every: usize| self.reads.is_multiple_of(every + 2);
                let result = match self.scenario.fault_every.is_some_and(fails) {
                    true if self.rng.bool() => {
                        Ok(self.store.read_incompletely(&request, &mut self.rng))
                    }
                    true => Err(failed_read()),
                    false => Ok(self.store.read(&request)),
                };
                self.engine.finish_read(id, result, self.now);
            }
            MixedCall::Engine(EngineCall::Check) => {
                self.successes += 1;
                self.engine.finish_check();
            }
            MixedCall::Engine(EngineCall::Verify { job, request }) => {
                self.successes += 1;
                let fails = self.scenario.fault_every.is_some() && self.rng.u8(..4) == 0;
                let result = match fails {
                    true if self.rng.bool() => {
                        Ok(self.store.read_incompletely(&request, &mut self.rng))
                    }
                    true => Err(failed_read()),
                    false => Ok(self.store.read(&request)),
                };
                self.decide(|engine, conditions| {
                    engine.finish_verify(job, result, conditions, jitter);
                });
            }
            MixedCall::Engine(EngineCall::Send { job, batch, .. }) => {
                let (mut result, status) = self.respond(&batch);
                match &mut result {
                    Err(failure) if failure.retry.is_some() => failure.successes = self.successes,
                    _ => self.successes += 1,
                }
                let outcome = RequestOutcome {
                    result,
                    requests: 1,
                    status: Some(status),
                };
                self.decide(|engine, conditions| {
                    engine.finish_send(job, outcome, conditions, jitter);
                });
            }
        }
    }

    fn take_outcomes(&mut self) {
        while let Some(outcome) = self.engine.next_outcome() {
            let previous = self.outcomes.insert(outcome.index, outcome);
            assert!(previous.is_none(), "a row has two outcomes");
        }
    }
}

fn failed_read() -> CallFailure {
    let record = CallRecord::default();
    CallFailure::from(Error::call(ErrorKind::Timeout, "", record, None))
}

fn refusal(status: u16) -> RequestFailure {
    let kind = match status {
        404 => ErrorKind::NotFound,
        _ => ErrorKind::InvalidRequest,
    };
    let record = CallRecord {
        status: Some(status),
        ..CallRecord::default()
    };
    RequestFailure {
        error: Error::call(kind, "planned", record, None),
        blames_rows: true,
        retry: None,
        is_ambiguous: false,
        ..temporary(kind, WaitReason::Server)
    }
}

/// Runs a scenario. Checks what must hold at every moment.
fn run(scenario: &MixedScenario) -> MixedSimulation<'_> {
    let mut simulation = MixedSimulation::new(scenario);
    let mut rows = scenario.rows.iter().enumerate();
    let mut in_flight: Vec<MixedCall> = Vec::new();
    let mut rng = fastrand::Rng::with_seed(scenario.seed);
    for steps in 0.. {
        assert!(steps < 40_000, "the run does not end");
        simulation.take_outcomes();
        if simulation.engine.is_done() {
            break;
        }
        match rng.u8(..6) {
            0 | 1 if simulation.engine.wants_input() => match rows.next() {
                Some((index, &((customer, attribute), value))) => {
                    let row = UpsertRow::new(customer, attribute, value)
                        .with_payload(Payload((index as u64).into()));
                    simulation.engine.push(Ok(row), simulation.now);
                }
                None => simulation.engine.end_input(),
            },
            2 => simulation.engine.mark_idle(),
            3 => {
                simulation.pass(random_time(&mut rng));
                simulation.meddle();
            }
            _ if !in_flight.is_empty() => {
                let call = in_flight.swap_remove(rng.usize(..in_flight.len()));
                simulation.finish(call);
            }
            _ => {}
        }
        while in_flight.len() < 3
            && let Some(call) = simulation.next_call()
        {
            let customers = call.customers();
            for other in &in_flight {
                assert!(customers.is_disjoint(&other.customers()));
            }
            if let MixedCall::Engine(EngineCall::Send { batch, .. }) = &call
                && batch.kind == BatchKind::Put
            {
                assert!(customers.len() <= 10);
            }
            in_flight.push(call);
        }
    }
    simulation.pass(Duration::from_secs(1));
    simulation
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_last_row_wins_and_each_outcome_has_its_own_payload(scenario in scenarios()) {
        let simulation = run(&scenario);
        prop_assert_eq!(simulation.outcomes.len(), scenario.rows.len());
        // What the store must hold of each key: `None` if a row is unknown.
        let mut latest: BTreeMap<Key, Option<Option<u8>>> = BTreeMap::new();
        for (index, (key, value)) in scenario.rows.iter().enumerate() {
            let outcome = &simulation.outcomes[&(index as u64)];
            let row = outcome.row.as_ref().expect("the row comes back");
            prop_assert_eq!(row.payload().0.get(), index as u64);
            let text = value.map(|value| value.to_string());
            prop_assert_eq!(row.value(), text.as_deref());
            match &outcome.kind {
                OutcomeKind::Stored(_) => {
                    prop_assert!(value.is_some_and(|value| value != BAD));
                    latest.insert(*key, Some(*value));
                }
                OutcomeKind::Deleted => {
                    prop_assert!(value.is_none());
                    latest.insert(*key, Some(None));
                }
                OutcomeKind::Unchanged => {
                    prop_assert!(value.is_none() || scenario.skips_unchanged);
                    latest.insert(*key, Some(*value));
                }
                OutcomeKind::Superseded { by } => {
                    let later = &simulation.outcomes[by];
                    prop_assert!(*by > index as u64 && scenario.rows[*by as usize].0 == *key);
                    prop_assert!(later.kind.standing() == Standing::InEffect, "{:?}", later.kind);
                }
                OutcomeKind::Rejected(_) => prop_assert_eq!(*value, Some(BAD)),
                OutcomeKind::Unknown(_) => { latest.insert(*key, None); }
                OutcomeKind::NotSent(_) => prop_assert!(scenario.fault_every.is_some()),
                OutcomeKind::Planned => prop_assert!(false, "not a dry run"),
            }
            let may_resend = simulation.engine.may_resend(index as u64);
            prop_assert!(outcome.is_retryable() || !may_resend);
        }
        for (key, value) in &latest {
            let stored = simulation.store.values.get(key).map(|(_, text)| text.as_str());
            if let Some(value) = value && !simulation.was_meddled_with.contains(key) {
                let expected = value.map(|value| value.to_string());
                prop_assert_eq!(stored, expected.as_deref(), "{:?}", key);
            }
        }
        for (key, value) in &scenario.stored {
            if !latest.contains_key(key) && !simulation.was_meddled_with.contains(key) {
                let stored = simulation.store.values.get(key);
                prop_assert_eq!(stored.map(|(_, text)| text), Some(&value.to_string()));
            }
        }
    }

    #[test]
    fn without_faults_every_row_is_in_effect_or_superseded(scenario in scenarios()) {
        let scenario = MixedScenario { fault_every: None, has_other_program: false, ..scenario };
        let simulation = run(&scenario);
        for outcome in simulation.outcomes.values() {
            let is_bad = scenario.rows[outcome.index as usize].1 == Some(BAD);
            prop_assert!(match outcome.kind {
                OutcomeKind::Rejected(_) => is_bad,
                OutcomeKind::Superseded { .. } => true,
                _ => outcome.kind.standing() == Standing::InEffect,
            }, "{:?}", outcome);
        }
        let summary = simulation.engine.summary();
        prop_assert!(summary.unknown + summary.not_sent == 0);
    }
}

/// Runs rows of 100 customers, with one call at a time, after all of them were read.
fn run_after_input_ended(scenario: &MixedScenario) -> MixedSimulation<'_> {
    let mut simulation = MixedSimulation::new(scenario);
    for (index, &((customer, attribute), value)) in scenario.rows.iter().enumerate() {
        let row =
            UpsertRow::new(customer, attribute, value).with_payload(Payload((index as u64).into()));
        simulation.engine.push(Ok(row), simulation.now);
    }
    simulation.engine.end_input();
    while !simulation.engine.is_done() {
        simulation.take_outcomes();
        match simulation.next_call() {
            Some(call) => simulation.finish(call),
            None => simulation.pass(Duration::from_secs(1)),
        }
    }
    simulation
}

#[test]
fn values_to_delete_are_read_in_bulk_and_deleted_in_bulk() {
    let scenario = MixedScenario {
        rows: (1..=200).map(|customer| ((customer, 1), None)).collect(),
        stored: (1..=100).map(|customer| ((customer, 1), 1)).collect(),
        window: 10_000,
        skips_unchanged: false,
        unknown_ids: UnknownIdReply::Rejected,
        fault_every: None,
        has_other_program: false,
        seed: 1,
    };
    let simulation = run_after_input_ended(&scenario);
    let summary = simulation.engine.summary();
    assert_eq!((summary.deleted, summary.unchanged), (100, 100));
    assert_eq!(simulation.reads, 1);
    // 60 bytes are room for about ten IDs.
    assert!(simulation.deletes <= 11, "{} deletes", simulation.deletes);
    assert_eq!(simulation.puts, 0);
}
