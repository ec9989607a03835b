//! Property tests of skipping unchanged rows: random stores, rows and schedules against a simple
//! model.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use bigcommerce_sdk::types;
use proptest::prelude::*;
use tokio::time::Instant;

use super::engine::{Engine, EngineConfig};
use super::model_tests::{
    PeriodicFault, Scenario, StoredValues, attribute_value, customers, page, respond, scenarios,
};
use super::split;
use crate::client::CallFailure;
use crate::error::{CallRecord, Error, ErrorKind};
use crate::list::ReadRequest;
use crate::outcome::{OutcomeKind, Summary};
use crate::value::UpsertRow;

/// A scenario with few different values, so that the store already holds many of them.
#[derive(Clone, Debug)]
struct SkipScenario {
    scenario: Scenario,
    /// The value of each row.
    values: Vec<usize>,
    /// The values that the store holds before the run.
    stored: StoredValues,
    /// Every so many reads fail.
    failing_reads: Option<usize>,
}

/// The value that the server rejects.
const BAD: usize = 7;

fn skip_scenarios() -> impl Strategy<Value = SkipScenario> {
    let value = || prop_oneof![9 => 0..3_usize, 1 => Just(BAD)];
    let stored = prop::collection::btree_map((1..40_i64, 1..4_i64), 0..3_usize, 0..100);
    (
        scenarios(),
        prop::collection::vec(value(), 200),
        stored,
        prop::option::of(1..5_usize),
    )
        .prop_map(|(scenario, values, stored, failing_reads)| SkipScenario {
            scenario: Scenario {
                bad: BTreeSet::from([BAD]),
                config: EngineConfig {
                    skips_unchanged: true,
                    ..scenario.config
                },
                ..scenario
            },
            values,
            stored: stored
                .into_iter()
                .map(|(key, value)| (key, value.to_string()))
                .collect(),
            failing_reads,
        })
}

/// The result of a run that skips unchanged rows.
struct SkipRunResult {
    stored: StoredValues,
    outcomes: Vec<OutcomeKind>,
    summary: Summary,
    upsert_calls: usize,
}

struct UpsertInFlight {
    number: usize,
    job: u64,
    batch: split::Batch<UpsertRow>,
}

struct ReadInFlight {
    number: usize,
    id: u64,
    request: ReadRequest,
}

/// What the server may still store for an abandoned request.
struct LateWrites {
    until: Instant,
    values: Vec<((i64, i64), String)>,
}

fn timeout() -> CallFailure {
    let record = CallRecord::default();
    CallFailure {
        is_ambiguous: true,
        ..CallFailure::from(Error::call(ErrorKind::Timeout, "", record, None))
    }
}

/// Runs a scenario. Checks what must hold at every moment of a run.
fn run(skip_scenario: &SkipScenario) -> SkipRunResult {
    let SkipScenario { scenario, .. } = skip_scenario;
    let mut rng = fastrand::Rng::with_seed(scenario.seed);
    let mut engine = Engine::<UpsertRow>::new(scenario.config);
    let mut rows = scenario.rows.iter().zip(&skip_scenario.values);
    let mut stored = skip_scenario.stored.clone();
    let mut upserts: Vec<UpsertInFlight> = Vec::new();
    let mut reads: Vec<ReadInFlight> = Vec::new();
    let mut late_writes: Vec<LateWrites> = Vec::new();
    let mut outcomes = BTreeMap::new();
    let mut now = Instant::now();
    let (mut upsert_calls, mut read_calls) = (0, 0);
    while !engine.is_done() {
        while let Some(outcome) = engine.next_outcome() {
            assert!(outcomes.insert(outcome.index, outcome.kind).is_none());
        }
        match rng.u8(..6) {
            0 | 1 if engine.wants_input() => match rows.next() {
                Some((&(customer, attribute), value)) => {
                    engine.push(Ok(UpsertRow::new(customer, attribute, *value)));
                }
                None => engine.end_input(),
            },
            2 => engine.mark_idle(),
            3 => {
                now += Duration::from_millis(rng.u64(..20));
                late_writes.retain_mut(|writes| {
                    if writes.until <= now || rng.bool() {
                        stored.extend(writes.values.drain(..));
                    }
                    writes.until > now
                });
                engine.release(now);
            }
            4 if !reads.is_empty() => {
                let read = reads.swap_remove(rng.usize(..reads.len()));
                let fails = skip_scenario
                    .failing_reads
                    .is_some_and(|every| read.number.is_multiple_of(every));
                let result = match fails {
                    true => Err(timeout()),
                    false => Ok(read_values(&stored, &read.request)),
                };
                engine.finish_read(read.id, result);
            }
            5 if !upserts.is_empty() => {
                let call = upserts.swap_remove(rng.usize(..upserts.len()));
                let fault = PeriodicFault::of_call(scenario.faults, call.number);
                let mut updated = stored.clone();
                let result = respond(scenario, &call.batch, fault, &mut updated, &mut rng);
                let until = now + Duration::from_millis(30);
                let is_abandoned = matches!(&result, Err(failure) if failure.is_ambiguous);
                if is_abandoned {
                    let values = updated.into_iter();
                    let values = values.filter(|(key, value)| stored.get(key) != Some(value));
                    late_writes.push(LateWrites {
                        until,
                        values: values.collect(),
                    });
                } else {
                    stored = updated;
                }
                engine.finish_batch(call.job, result, is_abandoned.then_some(until));
            }
            _ => {}
        }
        while upserts.len() + reads.len() < scenario.max_in_flight {
            if let Some((job, batch)) = engine.next_batch(true) {
                let customers_in_batch = customers(&batch);
                for other in &upserts {
                    assert!(customers_in_batch.is_disjoint(&customers(&other.batch)));
                }
                for read in &reads {
                    let read_customers = &read.request.customers;
                    assert!(
                        customers_in_batch
                            .iter()
                            .all(|id| !read_customers.contains(id))
                    );
                }
                let is_snapshot_exact =
                    scenario.faults.is_none() && !scenario.server.stores_valid_rows;
                if is_snapshot_exact && skip_scenario.failing_reads.is_none() {
                    for slot in batch.iter() {
                        let value = String::from(slot.row.wire.value.clone());
                        assert_ne!(
                            stored.get(&slot.key()),
                            Some(&value),
                            "an unchanged row is sent"
                        );
                    }
                }
                upsert_calls += 1;
                upserts.push(UpsertInFlight {
                    number: upsert_calls,
                    job,
                    batch,
                });
            } else if let Some((id, request)) = engine.next_read(true, 25, 2_000) {
                read_calls += 1;
                reads.push(ReadInFlight {
                    number: read_calls,
                    id,
                    request,
                });
            } else {
                break;
            }
        }
    }
    for writes in late_writes {
        stored.extend(writes.values);
    }
    SkipRunResult {
        stored,
        outcomes: outcomes.into_values().collect(),
        summary: engine.summary(),
        upsert_calls,
    }
}

/// Returns the stored values that a read asks for.
fn read_values(stored: &StoredValues, read: &ReadRequest) -> Vec<types::AttributeValue> {
    stored
        .iter()
        .filter(|((customer, attribute), _)| {
            read.customers.contains(customer) && read.attributes.contains(attribute)
        })
        .map(|(&key, value)| attribute_value(key, value))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_last_valid_row_wins_whatever_the_store_held(skip_scenario in skip_scenarios()) {
        let result = run(&skip_scenario);
        let rows = &skip_scenario.scenario.rows;
        prop_assert_eq!(result.outcomes.len(), rows.len());
        // The latest value that was stored, `None` if it is unknown.
        let mut latest = BTreeMap::new();
        for ((key, value), kind) in rows.iter().zip(&skip_scenario.values).zip(&result.outcomes) {
            match kind {
                OutcomeKind::Stored(_) | OutcomeKind::Unchanged => {
                    latest.insert(key, Some(value));
                }
                OutcomeKind::Unknown(_) => { latest.insert(key, None); }
                OutcomeKind::Rejected(_) => prop_assert_eq!(*value, BAD),
                OutcomeKind::Superseded { by } => {
                    let by = usize::try_from(*by).expect("the index is small");
                    prop_assert!(matches!(
                        result.outcomes[by],
                        OutcomeKind::Stored(_) | OutcomeKind::Unchanged
                    ));
                }
                OutcomeKind::NotSent(_) => {}
                OutcomeKind::Planned | OutcomeKind::Deleted => {
                    prop_assert!(false, "a row of an upsert ended as {:?}", kind);
                }
            }
        }
        for (key, value) in latest {
            if let Some(value) = value {
                prop_assert_eq!(result.stored.get(key), Some(&value.to_string()), "{:?}", key);
            }
        }
    }

    #[test]
    fn a_second_run_of_the_same_rows_sends_nothing(skip_scenario in skip_scenarios()) {
        let first = SkipScenario {
            scenario: Scenario { faults: None, bad: BTreeSet::new(), ..skip_scenario.scenario },
            failing_reads: None,
            ..skip_scenario
        };
        let first_result = run(&first);
        prop_assert!(first_result.summary.is_complete());
        let keys: HashSet<_> = first.scenario.rows.iter().collect();
        let (rows, values) = first_result.stored.iter()
            .filter(|(key, _)| keys.contains(key))
            .map(|(&key, value)| (key, value.parse::<usize>().expect("the value is a number")))
            .unzip();
        let second = SkipScenario {
            scenario: Scenario {
                rows,
                config: EngineConfig { window: 1_000, ..first.scenario.config },
                ..first.scenario
            },
            values,
            stored: first_result.stored,
            failing_reads: None,
        };
        let second_result = run(&second);
        prop_assert_eq!(second_result.upsert_calls, 0);
        prop_assert_eq!(second_result.summary.unchanged, second.scenario.rows.len() as u64);
    }
}

/// The calls that [`run_while_due`] has made.
#[derive(Default)]
struct CallCounts {
    /// The number of customers per read.
    reads: Vec<usize>,
    upserts: usize,
}

/// Makes calls, one at a time, until none is due.
fn run_while_due(engine: &mut Engine<UpsertRow>, stored: &mut StoredValues) -> CallCounts {
    let mut counts = CallCounts::default();
    loop {
        if let Some((job, batch)) = engine.next_batch(true) {
            counts.upserts += 1;
            let mut data = Vec::new();
            for slot in batch.iter() {
                let value = String::from(slot.row.wire.value.clone());
                data.push(attribute_value(slot.key(), &value));
                stored.insert(slot.key(), value);
            }
            drop(batch);
            engine.finish_batch(job, Ok(page(data)), None);
        } else if let Some((id, read)) = engine.next_read(true, 250, 2_000) {
            counts.reads.push(read.customers.len());
            engine.finish_read(id, Ok(read_values(stored, &read)));
        } else {
            return counts;
        }
    }
}

fn engine(window: usize) -> Engine<UpsertRow> {
    Engine::new(EngineConfig {
        window,
        customers_per_call: 10,
        max_url_len: usize::MAX,
        max_attempts: 5,
        stop_after_rejected: 100,
        skips_unchanged: true,
    })
}

#[test]
fn a_read_covers_80_customers_with_three_values_and_changed_rows_share_one_call() {
    let keys: Vec<_> = (1..=1000)
        .flat_map(|customer| (1..=3).map(move |attribute| (customer, attribute)))
        .collect();
    // The window holds all rows, or a part of them at a time.
    for window in [10_000, 600] {
        // Every hundredth customer has a changed row, or none has.
        for changed_rows in [0, 10] {
            let mut stored: StoredValues = keys.iter().map(|&key| (key, "x".to_owned())).collect();
            let mut engine = engine(window);
            let mut counts = CallCounts::default();
            let mut make_calls = |engine: &mut Engine<UpsertRow>| {
                let more = run_while_due(engine, &mut stored);
                counts.reads.extend(more.reads);
                counts.upserts += more.upserts;
            };
            for &(customer, attribute) in &keys {
                while !engine.wants_input() {
                    make_calls(&mut engine);
                    while engine.next_outcome().is_some() {}
                }
                let is_changed = changed_rows > 0 && attribute == 2 && customer % 100 == 0;
                let value = if is_changed { "y" } else { "x" };
                engine.push(Ok(UpsertRow::new(customer, attribute, value)));
            }
            engine.end_input();
            make_calls(&mut engine);
            let CallCounts { reads, upserts } = counts;
            assert_eq!(upserts, usize::from(changed_rows > 0), "window {window}");
            let max_reads = 1000_usize.div_ceil(80) + 1;
            assert!(reads.len() <= max_reads, "window {window}: {reads:?}");
            assert_eq!(reads.iter().sum::<usize>(), 1000, "{reads:?}");
            let summary = engine.summary();
            assert_eq!(summary.stored, changed_rows);
            assert_eq!(summary.unchanged, 3000 - changed_rows);
        }
    }
}

#[test]
fn a_row_that_changes_a_value_back_while_the_change_is_in_flight_is_sent() {
    let mut engine = engine(10);
    let mut stored = StoredValues::from([((1, 1), "y".to_owned())]);
    engine.push(Ok(UpsertRow::new(1, 1, "x")));
    engine.mark_idle();
    let (id, read) = engine.next_read(true, 250, 2_000).expect("a read is due");
    engine.finish_read(id, Ok(read_values(&stored, &read)));
    let (job, batch) = engine.next_batch(true).expect("x is sent");
    engine.push(Ok(UpsertRow::new(1, 1, "y")));
    engine.mark_idle();
    assert!(
        engine.next_read(true, 250, 2_000).is_none(),
        "x is in flight"
    );
    drop(batch);
    stored.insert((1, 1), "x".to_owned());
    engine.finish_batch(job, Ok(page(vec![attribute_value((1, 1), "x")])), None);
    let counts = run_while_due(&mut engine, &mut stored);
    assert!(counts.reads.is_empty());
    assert_eq!(counts.upserts, 1);
    assert_eq!(stored[&(1, 1)], "y");
    assert_eq!(engine.summary().stored, 2);
}
