//! Property tests of the engine: random rows, servers and schedules against a simple model.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use bigcommerce_sdk::types;
use proptest::prelude::*;
use tokio::time::Instant;

use super::engine::{BatchEvent, Engine, EngineConfig};
use super::split;
use crate::client::CallFailure;
use crate::error::{CallRecord, Error, ErrorKind};
use crate::outcome::{OutcomeKind, Summary};
use crate::value::UpsertRow;

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
        window,
        customers_per_call,
        max_url_len: usize::MAX,
        max_attempts: 5,
        stop_after_rejected: 0,
        skips_unchanged: false,
    })
}

pub(super) fn scenarios() -> impl Strategy<Value = Scenario> {
    (
        prop::collection::vec((1..40_i64, 1..4_i64), 0..200),
        prop::collection::btree_set(0..200_usize, 0..12),
        configs(),
        1..5_usize,
        servers(),
        prop::option::of(faults()),
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(
            |(rows, bad, config, max_in_flight, server, faults, stops, seed)| Scenario {
                rows,
                bad,
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
        faults: None,
        server: FakeServer {
            max_customers: usize::MAX,
            max_rows: usize::MAX,
            ..scenario.server
        },
        ..scenario
    }
}

fn failure(kind: ErrorKind, is_ambiguous: bool) -> CallFailure {
    CallFailure {
        is_ambiguous,
        blames_rows: kind == ErrorKind::InvalidRequest,
        ..CallFailure::from(Error::call(kind, "planned", CallRecord::default(), None))
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
}

struct CallInFlight {
    number: usize,
    job: u64,
    batch: UpsertBatch,
    /// Whether the size limit was known when the call started.
    knew_limit: bool,
}

/// The batch of an abandoned request, whose customers are held.
struct HeldBatch {
    until: Instant,
    job: u64,
    batch: UpsertBatch,
}

/// Runs a scenario. Checks what must hold at every moment of a run.
fn run(scenario: &Scenario) -> RunResult {
    let mut rng = fastrand::Rng::with_seed(scenario.seed);
    let mut engine = Engine::<UpsertRow>::new(scenario.config);
    let mut rows = scenario.rows.iter().enumerate();
    let mut in_flight: Vec<CallInFlight> = Vec::new();
    let mut held: Vec<HeldBatch> = Vec::new();
    let mut now = Instant::now();
    let mut stored = StoredValues::new();
    let mut outcomes: BTreeMap<u64, OutcomeKind> = BTreeMap::new();
    let mut calls = 0;
    let mut knows_limit = false;
    let mut too_large_after_learning = 0;
    loop {
        while let Some(outcome) = engine.next_outcome() {
            let previous = outcomes.insert(outcome.index, outcome.kind);
            assert!(previous.is_none(), "row {} has two outcomes", outcome.index);
            let first_unsettled = (0..).find(|index| !outcomes.contains_key(index));
            assert_eq!(Some(engine.settled_up_to()), first_unsettled);
        }
        if engine.is_done() {
            break;
        }
        match rng.u8(..5) {
            0 | 1 if engine.wants_input() => match rows.next() {
                Some((index, &(customer, attribute))) => {
                    engine.push(Ok(UpsertRow::new(customer, attribute, index)));
                }
                None => engine.end_input(),
            },
            2 if scenario.stops && rng.u8(..60) == 0 => engine.stop(Error::stopped()),
            2 => engine.mark_idle(),
            3 => {
                now += Duration::from_millis(rng.u64(..20));
                engine.release(now);
                held.retain(|held| held.until > now);
            }
            _ if !in_flight.is_empty() => {
                let call = in_flight.swap_remove(rng.usize(..in_flight.len()));
                let fault = PeriodicFault::of_call(scenario.faults, call.number);
                let result = respond(scenario, &call.batch, fault, &mut stored, &mut rng);
                let is_too_large =
                    matches!(&result, Err(f) if f.error.kind() == ErrorKind::TooLarge);
                too_large_after_learning +=
                    usize::from(is_too_large && call.knew_limit && call.batch.len() > 1);
                // The server may be running an abandoned request for a while.
                let until = matches!(&result, Err(f) if f.is_ambiguous)
                    .then(|| now + Duration::from_millis(30));
                held.extend(until.map(|until| HeldBatch {
                    until,
                    job: call.job,
                    batch: call.batch,
                }));
                let event = engine.finish_batch(call.job, result, until);
                knows_limit |= matches!(event, Some(BatchEvent::SizeLimitLearned(_)));
            }
            _ => {}
        }
        while in_flight.len() < scenario.max_in_flight
            && let Some((job, batch)) = engine.next_batch(true)
        {
            calls += 1;
            let customers = customers(&batch);
            assert!(!customers.is_empty());
            assert!(customers.len() <= scenario.config.customers_per_call);
            for other in &in_flight {
                assert!(
                    customers.is_disjoint(&self::customers(&other.batch)),
                    "jobs {job} and {} share a customer",
                    other.job
                );
            }
            for other in &held {
                assert!(
                    other.until <= now
                        || other.job == job
                        || customers.is_disjoint(&self::customers(&other.batch)),
                    "job {job} has a customer that job {} holds",
                    other.job
                );
            }
            in_flight.push(CallInFlight {
                number: calls,
                job,
                batch,
                knew_limit: knows_limit,
            });
        }
    }
    RunResult {
        stored,
        outcomes: outcomes.into_values().collect(),
        summary: engine.summary(),
        calls,
        too_large_after_learning,
    }
}

pub(super) fn customers(batch: &UpsertBatch) -> HashSet<i64> {
    batch.iter().map(|slot| slot.key().0).collect()
}

/// Returns the server's response to a batch, and updates the stored values.
pub(super) fn respond(
    scenario: &Scenario,
    batch: &UpsertBatch,
    fault: Option<Fault>,
    stored: &mut StoredValues,
    rng: &mut fastrand::Rng,
) -> Result<types::AttributeValuePage, CallFailure> {
    let server = scenario.server;
    match fault {
        Some(Fault::RateLimited) => return Err(failure(ErrorKind::RateLimited, false)),
        Some(Fault::LostResponse) if rng.bool() => return Err(failure(ErrorKind::Timeout, true)),
        _ => {}
    }
    if customers(batch).len() > server.max_customers || batch.len() > server.max_rows {
        return Err(failure(server.too_large, false));
    }
    let is_bad = |position: usize| {
        let value = batch[position].row.wire.value.parse();
        scenario
            .bad
            .contains(&value.expect("the value is a number"))
    };
    let bad: BTreeSet<usize> = (0..batch.len())
        .filter(|&position| is_bad(position))
        .collect();
    let mut data = Vec::new();
    for (position, slot) in batch.iter().enumerate() {
        let is_stored = match bad.is_empty() {
            true => !(matches!(fault, Some(Fault::UnconfirmedRows)) && rng.bool()),
            false => server.stores_valid_rows && !bad.contains(&position),
        };
        if is_stored {
            let value = String::from(slot.row.wire.value.clone());
            data.push(attribute_value(slot.key(), &value));
            stored.insert(slot.key(), value);
        }
    }
    rng.shuffle(&mut data);
    if matches!(fault, Some(Fault::LostResponse)) {
        return Err(failure(ErrorKind::Timeout, true));
    }
    if !bad.is_empty() {
        let blamed_rows = match server.blame {
            Blame::None => BTreeSet::new(),
            Blame::BadRows => bad,
            // A position beyond the batch if it has no valid row.
            Blame::ValidRow => (0..=batch.len())
                .filter(|position| !bad.contains(position))
                .take(1)
                .collect(),
        };
        return Err(CallFailure {
            blamed_rows,
            ..failure(ErrorKind::InvalidRequest, false)
        });
    }
    Ok(page(data))
}

pub(super) fn attribute_value(
    (customer_id, attribute_id): (i64, i64),
    value: &str,
) -> types::AttributeValue {
    types::AttributeValue::builder()
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

/// Returns the values that a store holds after all rows in order, without the bad ones.
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
        let scenario = Scenario { faults: None, stops: false, ..scenario };
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
    fn batches_keep_to_a_learned_size_limit(scenario in scenarios()) {
        let scenario = Scenario { faults: None, stops: false, bad: BTreeSet::new(), ..scenario };
        let result = run(&scenario);
        prop_assert_eq!(&result.stored, &model(&scenario));
        prop_assert!(result.summary.is_complete());
        // Batches that show whether customers or rows are limited may be rejected, and so may
        // their parts.
        prop_assert!(result.too_large_after_learning <= 4 * scenario.max_in_flight);
    }

    #[test]
    fn learning_a_size_limit_takes_few_calls(scenario in scenarios(), many in 1..20_i64) {
        let scenario = Scenario { faults: None, bad: BTreeSet::new(), ..scenario };
        // Some customers have many values.
        let rows: BTreeSet<_> = scenario.rows.iter().flat_map(|&(customer, _)| {
            let values = if customer % 3 == 0 { many } else { 3 };
            (1..=values).map(move |attribute| (customer, attribute))
        }).collect();
        let rows: Vec<_> = rows.into_iter().collect();
        let config = EngineConfig { window: rows.len() + 1, ..scenario.config };
        let scenario = Scenario { rows, config, ..scenario };
        let result = run_after_input_ended(&scenario);
        prop_assert!(result.summary.is_complete());
        let customers: BTreeSet<_> = scenario.rows.iter().map(|(customer, _)| customer).collect();
        let max_customers = config.customers_per_call.min(scenario.server.max_customers);
        let needed = customers.len().div_ceil(max_customers)
            .max(scenario.rows.len().div_ceil(scenario.server.max_rows));
        prop_assert!(result.calls <= 3 * needed + 16, "{} calls, {} needed", result.calls, needed);
    }

    #[test]
    fn customers_that_fit_into_the_window_take_the_fewest_possible_calls(scenario in scenarios()) {
        let scenario = without_failures(scenario);
        let config = EngineConfig { window: scenario.rows.len() + 1, ..scenario.config };
        let mut engine = Engine::<UpsertRow>::new(config);
        for &(customer, attribute) in &scenario.rows {
            engine.push(Ok(UpsertRow::new(customer, attribute, "x")));
            prop_assert!(engine.next_batch(true).is_none(), "no row is due yet");
        }
        engine.end_input();
        let calls = std::iter::from_fn(|| engine.next_batch(true)).count();
        let customers: HashSet<_> = scenario.rows.iter().map(|(customer, _)| customer).collect();
        prop_assert_eq!(calls, customers.len().div_ceil(config.customers_per_call));
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
            ..valid.config
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
    let mut engine = Engine::<UpsertRow>::new(scenario.config);
    let mut rng = fastrand::Rng::with_seed(scenario.seed);
    for (index, &(customer, attribute)) in scenario.rows.iter().enumerate() {
        engine.push(Ok(UpsertRow::new(customer, attribute, index)));
    }
    engine.end_input();
    let mut stored = StoredValues::new();
    let mut calls = 0;
    while let Some((job, batch)) = engine.next_batch(true) {
        calls += 1;
        let result = respond(scenario, &batch, None, &mut stored, &mut rng);
        engine.finish_batch(job, result, None);
    }
    RunResult {
        stored,
        outcomes: std::iter::from_fn(|| engine.next_outcome())
            .map(|outcome| outcome.kind)
            .collect(),
        summary: engine.summary(),
        calls,
        too_large_after_learning: 0,
    }
}

#[test]
fn a_run_stops_if_the_first_rows_are_all_rejected() {
    let rows: Vec<_> = (1..=400).map(|customer| (customer, 1)).collect();
    let all_bad = Scenario {
        bad: (0..rows.len()).collect(),
        rows,
        config: EngineConfig {
            window: 10_000,
            customers_per_call: 10,
            max_url_len: usize::MAX,
            max_attempts: 5,
            stop_after_rejected: 100,
            skips_unchanged: false,
        },
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
