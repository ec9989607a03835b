//! The engine's promises over random inputs and schedules, against a simple model.

use std::collections::{BTreeMap, HashMap, HashSet};

use bigcommerce_sdk::types;
use proptest::prelude::*;

use super::report::{OutcomeKind, Summary};
use super::run::{Batch, Engine};
use crate::call::Failed;
use crate::error::{CallRecord, Error, ErrorKind};
use crate::value::AttributeValueUpsert;

/// What happens to the run.
#[derive(Clone, Debug)]
struct Plan {
    /// Customer and attribute; every value is its own.
    rows: Vec<(i64, i64)>,
    window: usize,
    customers_per_call: usize,
    in_flight: usize,
    /// Decides what happens next: reading, an idle input, or the end of a call.
    seed: u64,
    /// Calls with this number and every so many after it fail.
    fail: Option<(usize, Fault)>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Refused,
    Lost,
    Busy,
    LeavesOut,
}

fn plans() -> impl Strategy<Value = Plan> {
    let fault = prop_oneof![
        Just(Fault::Refused),
        Just(Fault::Lost),
        Just(Fault::Busy),
        Just(Fault::LeavesOut),
    ];
    (
        prop::collection::vec((1..40_i64, 1..4_i64), 0..200),
        1..150_usize,
        1..12_usize,
        1..5_usize,
        any::<u64>(),
        prop::option::of((1..6_usize, fault)),
    )
        .prop_map(
            |(rows, window, customers_per_call, in_flight, seed, fail)| Plan {
                rows,
                window,
                customers_per_call,
                in_flight,
                seed,
                fail,
            },
        )
}

fn failed(kind: ErrorKind, ambiguous: bool) -> Failed {
    Failed {
        error: Error::call(kind, "planned", CallRecord::default(), None),
        ambiguous,
    }
}

/// What a run left behind.
struct Left {
    state: BTreeMap<(i64, i64), String>,
    outcomes: Vec<OutcomeKind>,
    summary: Summary,
}

/// Runs a plan, checking on the way what must hold at every moment.
fn run(plan: &Plan) -> Left {
    let mut dice = fastrand::Rng::with_seed(plan.seed);
    let mut engine = Engine::new(plan.window, plan.customers_per_call);
    let mut rows = plan.rows.iter().enumerate();
    let mut in_flight: Vec<(usize, Batch)> = Vec::new();
    let mut state = BTreeMap::new();
    let mut outcomes: BTreeMap<u64, OutcomeKind> = BTreeMap::new();
    let mut calls = 0;
    loop {
        while let Some(outcome) = engine.next_outcome() {
            let twice = outcomes.insert(outcome.index, outcome.kind);
            assert!(twice.is_none(), "row {} has two outcomes", outcome.index);
            let settled = engine.settled_up_to();
            let without_gap = (0..).find(|index| !outcomes.contains_key(index));
            assert_eq!(Some(settled), without_gap);
        }
        if engine.is_done() {
            break;
        }
        match dice.u8(..4) {
            0 | 1 if engine.wants_input() => match rows.next() {
                Some((index, &(customer, attribute))) => {
                    engine.take(Ok(AttributeValueUpsert::new(customer, attribute, index)));
                }
                None => engine.end_input(),
            },
            2 => engine.input_is_idle(),
            _ if !in_flight.is_empty() => {
                let (number, batch) = in_flight.swap_remove(dice.usize(..in_flight.len()));
                let fault = plan
                    .fail
                    .filter(|(every, _)| number % every == 0)
                    .map(|(_, fault)| fault);
                let result = answer(&batch, fault, &mut state, &mut dice);
                engine.finish(batch, result);
            }
            _ => {}
        }
        while in_flight.len() < plan.in_flight
            && let Some(batch) = engine.next_batch()
        {
            calls += 1;
            in_flight.push((calls, batch));
            check_in_flight(&in_flight, plan.customers_per_call);
        }
    }
    Left {
        state,
        outcomes: outcomes.into_values().collect(),
        summary: engine.summary(),
    }
}

fn check_in_flight(in_flight: &[(usize, Batch)], customers_per_call: usize) {
    let mut touched = HashSet::new();
    for (_, batch) in in_flight {
        let customers: HashSet<_> = batch.iter().map(|slot| slot.key().0).collect();
        assert!(!customers.is_empty() && customers.len() <= customers_per_call);
        for customer in customers {
            assert!(touched.insert(customer), "{customer} is twice in flight");
        }
    }
}

/// Plays the server.
fn answer(
    batch: &Batch,
    fault: Option<Fault>,
    state: &mut BTreeMap<(i64, i64), String>,
    dice: &mut fastrand::Rng,
) -> Result<types::AttributeValuePage, Failed> {
    match fault {
        Some(Fault::Refused) => return Err(failed(ErrorKind::Refused, false)),
        Some(Fault::Busy) => return Err(failed(ErrorKind::RateLimited, false)),
        Some(Fault::Lost) if dice.bool() => return Err(failed(ErrorKind::Timeout, true)),
        _ => {}
    }
    let mut data = Vec::new();
    for slot in batch.iter() {
        if matches!(fault, Some(Fault::LeavesOut)) && dice.bool() {
            continue;
        }
        let value = String::from(slot.row.wire.value.clone());
        state.insert(slot.key(), value.clone());
        let (customer_id, attribute_id) = slot.key();
        let record = types::AttributeValue::builder()
            .customer_id(customer_id)
            .attribute_id(attribute_id)
            .attribute_value(value);
        data.push(record.try_into().expect("a whole record"));
    }
    dice.shuffle(&mut data);
    match fault {
        Some(Fault::Lost) => Err(failed(ErrorKind::Timeout, true)),
        _ => Ok(types::AttributeValuePage::builder()
            .data(data)
            .try_into()
            .expect("a whole page")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_row_has_one_outcome_that_fits_the_store(plan in plans()) {
        let left = run(&plan);
        prop_assert_eq!(left.outcomes.len(), plan.rows.len());
        prop_assert_eq!(left.summary.rows(), plan.rows.len() as u64);
        // The last row that the server confirmed, or may have stored, is what the store holds.
        let mut sure: HashMap<(i64, i64), Option<usize>> = HashMap::new();
        for (index, (key, kind)) in plan.rows.iter().zip(&left.outcomes).enumerate() {
            match kind {
                OutcomeKind::Stored(_) => { sure.insert(*key, Some(index)); }
                OutcomeKind::Unknown(_) => { sure.insert(*key, None); }
                OutcomeKind::Superseded { by, .. } => {
                    let by = usize::try_from(*by).expect("an index");
                    prop_assert!(by > index && plan.rows[by] == *key);
                    prop_assert!(matches!(left.outcomes[by], OutcomeKind::Stored(_)));
                }
                OutcomeKind::Rejected(_) | OutcomeKind::NotSent(_) => {}
            }
        }
        for (key, index) in sure {
            if let Some(index) = index {
                prop_assert_eq!(left.state.get(&key), Some(&index.to_string()), "{:?}", key);
            }
        }
    }

    #[test]
    fn without_faults_the_last_row_wins(plan in plans()) {
        let plan = Plan { fail: None, ..plan };
        let left = run(&plan);
        let model: BTreeMap<_, _> = plan.rows.iter().copied().zip((0..).map(|n: usize| n.to_string())).collect();
        prop_assert_eq!(&left.state, &model);
        prop_assert!(left.summary.is_complete());
    }

    #[test]
    fn customers_that_fit_the_window_cost_the_fewest_calls(plan in plans()) {
        let window = plan.rows.len() + 1;
        let plan = Plan { fail: None, window, ..plan };
        let customers: HashSet<_> = plan.rows.iter().map(|(customer, _)| customer).collect();
        let needed = customers.len().div_ceil(plan.customers_per_call);
        prop_assert_eq!(run_without_idling(&plan), needed);
    }
}

/// Reads all input first, as a fast input is read, and counts the calls.
fn run_without_idling(plan: &Plan) -> usize {
    let mut engine = Engine::new(plan.window, plan.customers_per_call);
    for &(customer, attribute) in &plan.rows {
        engine.take(Ok(AttributeValueUpsert::new(customer, attribute, "x")));
        assert!(engine.next_batch().is_none(), "nothing is due yet");
    }
    engine.end_input();
    std::iter::from_fn(|| engine.next_batch()).count()
}
