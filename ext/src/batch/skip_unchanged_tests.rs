//! Property tests of skipping unchanged rows: random stores, rows and schedules against a simple
//! model.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::engine::{EngineCall, EngineConfig};
use super::model_tests::{
    CallInFlight, Scenario, Simulation, StoredValues, config, customers, plain_scenario,
    random_time, read_values, scenarios, value_of,
};
use super::split;
use crate::client::CallFailure;
use crate::error::{CallRecord, Error, ErrorKind};
use crate::list::ReadRequest;
use crate::outcome::{OutcomeKind, Summary};
use crate::value::{UpsertRow, WireRow};

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
    /// Every so many rows have fields of their own.
    customized_rows: Option<usize>,
}

impl SkipScenario {
    fn is_customized(&self, index: usize) -> bool {
        self.customized_rows
            .is_some_and(|every| index.is_multiple_of(every))
    }
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
        prop::option::of(1..5_usize),
    )
        .prop_map(
            |(scenario, values, stored, failing_reads, customized_rows)| SkipScenario {
                scenario: Scenario {
                    bad: BTreeSet::from([BAD]),
                    config: EngineConfig {
                        skips_unchanged: true,
                        // Reads that save no calls are suspended.
                        customers_per_call: 10,
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
                customized_rows,
            },
        )
}

fn customized(row: UpsertRow) -> UpsertRow {
    row.customize(|record| record.id(5001))
}

/// The result of a run that skips unchanged rows.
struct SkipRunResult {
    stored: StoredValues,
    outcomes: Vec<OutcomeKind>,
    summary: Summary,
    upsert_calls: usize,
    was_suspended: bool,
}

struct SimulatedRead {
    number: usize,
    id: u64,
    request: ReadRequest,
}

fn failed_read() -> CallFailure {
    let record = CallRecord::default();
    CallFailure::from(Error::call(ErrorKind::Timeout, "", record, None))
}

/// Runs a scenario. Checks what must hold at every moment of a run.
fn run(skip_scenario: &SkipScenario) -> SkipRunResult {
    let SkipScenario { scenario, .. } = skip_scenario;
    let mut rng = fastrand::Rng::with_seed(scenario.seed);
    let mut simulation = Simulation::new(scenario);
    simulation.stored = skip_scenario.stored.clone();
    let mut rows = scenario.rows.iter().zip(&skip_scenario.values).enumerate();
    let mut upserts: Vec<CallInFlight> = Vec::new();
    let mut reads: Vec<SimulatedRead> = Vec::new();
    let mut read_calls = 0;
    // A run stops reading while that saves no calls, and then sends unchanged rows, too.
    let mut was_suspended = false;
    loop {
        simulation.take_outcomes();
        if simulation.engine.is_done() {
            break;
        }
        match rng.u8(..6) {
            0 | 1 if simulation.engine.wants_input() => match rows.next() {
                Some((index, (&(customer, attribute), value))) => {
                    let row = UpsertRow::new(customer, attribute, *value);
                    simulation.push(match skip_scenario.is_customized(index) {
                        true => customized(row),
                        false => row,
                    });
                }
                None => simulation.engine.end_input(),
            },
            2 => simulation.engine.mark_idle(),
            3 => simulation.pass(random_time(&mut rng)),
            4 if !reads.is_empty() => {
                let read = reads.swap_remove(rng.usize(..reads.len()));
                let fails = skip_scenario
                    .failing_reads
                    .is_some_and(|every| read.number.is_multiple_of(every));
                let result = match fails {
                    true => Err(failed_read()),
                    false => Ok(read_values(&simulation.stored, &read.request)),
                };
                simulation
                    .engine
                    .finish_read(read.id, result, simulation.now);
            }
            5 if !upserts.is_empty() => {
                let call = upserts.swap_remove(rng.usize(..upserts.len()));
                simulation.finish(call);
            }
            _ => {}
        }
        while upserts.len() + reads.len() < scenario.max_in_flight {
            if let Some(call) = simulation.next_call() {
                simulation.check_disjoint(&call, &upserts);
                if let EngineCall::Send { batch, .. } = &call.call {
                    was_suspended |= simulation.engine.was_reading_suspended();
                    check_customers(batch, &reads);
                    if !was_suspended {
                        check_values(skip_scenario, &simulation.stored, batch);
                    }
                }
                upserts.push(call);
            } else if let Some((id, request)) =
                simulation.decide(|engine, conditions| engine.next_read(conditions, 250, 2_000))
            {
                read_calls += 1;
                reads.push(SimulatedRead {
                    number: read_calls,
                    id,
                    request,
                });
            } else {
                break;
            }
        }
    }
    simulation.pass(Duration::from_secs(1));
    SkipRunResult {
        was_suspended,
        stored: simulation.stored.clone(),
        upsert_calls: simulation.sends,
        summary: simulation.engine.summary(),
        outcomes: simulation.into_outcomes(),
    }
}

/// Checks that a batch has no customer that is being read.
fn check_customers(batch: &split::Batch<UpsertRow>, reads: &[SimulatedRead]) {
    let customers = customers(batch);
    for read in reads {
        let read_customers = &read.request.customers;
        assert!(customers.iter().all(|id| !read_customers.contains(id)));
    }
}

/// Checks that a batch has no unchanged row, unless it has fields of its own.
fn check_values(
    skip_scenario: &SkipScenario,
    stored: &StoredValues,
    batch: &split::Batch<UpsertRow>,
) {
    let SkipScenario { scenario, .. } = skip_scenario;
    let is_snapshot_exact = scenario.faults.is_none()
        && scenario.poison.is_empty()
        && !scenario.server.stores_valid_rows
        && skip_scenario.failing_reads.is_none();
    if is_snapshot_exact {
        for row in &batch.rows {
            if matches!(row, WireRow::Put(record) if record.id.is_some()) {
                continue;
            }
            assert_ne!(
                stored.get(&row.key()),
                Some(&value_of(row)),
                "an unchanged row is sent"
            );
        }
    }
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
        let rows = rows.iter().zip(&skip_scenario.values).zip(&result.outcomes);
        for (index, ((key, value), kind)) in rows.enumerate() {
            let is_unchanged = matches!(kind, OutcomeKind::Unchanged);
            prop_assert!(!is_unchanged || !skip_scenario.is_customized(index));
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
            scenario: Scenario {
                faults: None,
                bad: BTreeSet::new(),
                poison: BTreeSet::new(),
                ..skip_scenario.scenario
            },
            failing_reads: None,
            customized_rows: None,
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
                config: EngineConfig { window: 1_000, ..first.scenario.config.clone() },
                ..first.scenario
            },
            values,
            stored: first_result.stored,
            failing_reads: None,
            customized_rows: None,
        };
        let second_result = run(&second);
        if second_result.was_suspended {
            return Ok(());
        }
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
fn run_while_due(simulation: &mut Simulation<'_>) -> CallCounts {
    let mut counts = CallCounts::default();
    loop {
        if let Some(call) = simulation.next_call() {
            counts.upserts += 1;
            simulation.finish(call);
        } else if let Some((id, read)) =
            simulation.decide(|engine, conditions| engine.next_read(conditions, 250, 2_000))
        {
            counts.reads.push(read.customers.len());
            let values = read_values(&simulation.stored, &read);
            simulation
                .engine
                .finish_read(id, Ok(values), simulation.now);
        } else {
            return counts;
        }
    }
}

fn skipping(window: usize) -> Scenario {
    plain_scenario(EngineConfig {
        skips_unchanged: true,
        ..config(window)
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
            let scenario = skipping(window);
            let mut simulation = Simulation::new(&scenario);
            simulation.stored = keys.iter().map(|&key| (key, "1".to_owned())).collect();
            let mut counts = CallCounts::default();
            let mut make_calls = |simulation: &mut Simulation<'_>| {
                let more = run_while_due(simulation);
                counts.reads.extend(more.reads);
                counts.upserts += more.upserts;
            };
            for &(customer, attribute) in &keys {
                while !simulation.engine.wants_input() {
                    make_calls(&mut simulation);
                    simulation.take_outcomes();
                }
                let is_changed = changed_rows > 0 && attribute == 2 && customer % 100 == 0;
                let value = if is_changed { "2" } else { "1" };
                simulation.push(UpsertRow::new(customer, attribute, value));
            }
            simulation.engine.end_input();
            make_calls(&mut simulation);
            let CallCounts { reads, upserts } = counts;
            // A changed row waits for others until a window's worth of rows was read after it.
            let max_upserts = if window == 600 { 4 } else { 1 };
            let expected =
                usize::from(changed_rows > 0)..=max_upserts * usize::from(changed_rows > 0);
            assert!(expected.contains(&upserts), "window {window}: {upserts}");
            let max_reads = 1000_usize.div_ceil(80) + 1;
            assert!(reads.len() <= max_reads, "window {window}: {reads:?}");
            assert_eq!(reads.iter().sum::<usize>(), 1000, "{reads:?}");
            let summary = simulation.engine.summary();
            assert_eq!(summary.stored, changed_rows);
            assert_eq!(summary.unchanged, 3000 - changed_rows);
        }
    }
}

#[test]
fn a_row_that_changes_a_value_back_while_the_change_is_in_flight_is_sent() {
    let scenario = skipping(10);
    let mut simulation = Simulation::new(&scenario);
    simulation.stored = StoredValues::from([((1, 1), "2".to_owned())]);
    simulation.push(UpsertRow::new(1, 1, "1"));
    simulation.engine.mark_idle();
    let (id, read) = simulation
        .decide(|engine, conditions| engine.next_read(conditions, 250, 2_000))
        .expect("a read is due");
    let values = read_values(&simulation.stored, &read);
    simulation
        .engine
        .finish_read(id, Ok(values), simulation.now);
    let call = simulation.next_call().expect("1 is sent");
    simulation.push(UpsertRow::new(1, 1, "2"));
    simulation.engine.mark_idle();
    let read = simulation.decide(|engine, conditions| engine.next_read(conditions, 250, 2_000));
    assert!(read.is_none(), "1 is in flight");
    simulation.finish(call);
    let counts = run_while_due(&mut simulation);
    assert!(counts.reads.is_empty());
    assert_eq!(counts.upserts, 1);
    assert_eq!(simulation.stored[&(1, 1)], "2");
    assert_eq!(simulation.engine.summary().stored, 2);
}

#[test]
fn a_row_with_fields_of_its_own_is_sent_without_being_read() {
    let scenario = skipping(10);
    let mut simulation = Simulation::new(&scenario);
    simulation.stored = StoredValues::from([((1, 1), "1".to_owned())]);
    // A plain row would have been read first, and not sent.
    simulation.push(UpsertRow::new(1, 1, "1"));
    simulation.push(customized(UpsertRow::new(1, 1, "1")));
    simulation.engine.end_input();
    let counts = run_while_due(&mut simulation);
    assert!(counts.reads.is_empty());
    assert_eq!(counts.upserts, 1);
    let summary = simulation.engine.summary();
    assert_eq!((summary.stored, summary.superseded), (1, 1));
}

#[test]
fn a_row_after_one_with_fields_of_its_own_is_compared_with_what_the_store_lists_then() {
    for (listed, is_sent) in [("1", false), ("2", true)] {
        let scenario = skipping(10);
        let mut simulation = Simulation::new(&scenario);
        simulation.stored =
            StoredValues::from([((1, 1), "1".to_owned()), ((1, 2), "1".to_owned())]);
        // The second row lets the customer's values be read.
        simulation.push(customized(UpsertRow::new(1, 1, "1")));
        simulation.push(UpsertRow::new(1, 2, "2"));
        simulation.engine.mark_idle();
        let counts = run_while_due(&mut simulation);
        assert_eq!((counts.reads.as_slice(), counts.upserts), (&[1][..], 1));
        // The store may keep a value of its own for records with other fields.
        simulation.stored.insert((1, 1), listed.to_owned());
        simulation.push(UpsertRow::new(1, 1, "1"));
        simulation.engine.end_input();
        let counts = run_while_due(&mut simulation);
        assert_eq!(
            (counts.reads.as_slice(), counts.upserts),
            (&[1][..], usize::from(is_sent))
        );
        assert_eq!(simulation.engine.summary().unchanged, u64::from(!is_sent));
        assert_eq!(simulation.stored[&(1, 1)], "1");
    }
}

#[test]
fn a_plain_row_that_supersedes_one_with_fields_of_its_own_is_read() {
    let scenario = skipping(10);
    let mut simulation = Simulation::new(&scenario);
    simulation.stored = StoredValues::from([((1, 1), "1".to_owned())]);
    simulation.push(customized(UpsertRow::new(1, 1, "2")));
    simulation.push(UpsertRow::new(1, 1, "1"));
    simulation.engine.end_input();
    let counts = run_while_due(&mut simulation);
    assert_eq!((counts.reads.as_slice(), counts.upserts), (&[1][..], 0));
    let summary = simulation.engine.summary();
    assert_eq!((summary.unchanged, summary.superseded), (1, 1));
}
