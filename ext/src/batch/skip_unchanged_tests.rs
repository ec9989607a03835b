//! What skipping unchanged rows promises, over random inputs and schedules, against a simple model.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use bigcommerce_sdk::types;
use proptest::prelude::*;
use tokio::time::Instant;

use super::engine::{Engine, EngineConfig};
use super::model_tests::{Plan, answer, customers, plans};
use super::split;
use crate::client::CallFailure;
use crate::error::{CallRecord, Error, ErrorKind};
use crate::list::ReadRequest;
use crate::outcome::{OutcomeKind, Summary};
use crate::value::UpsertRow;

type State = BTreeMap<(i64, i64), String>;
/// Writes that a request that was given up may still do.
type Writes = Vec<((i64, i64), String)>;

/// A plan whose values are few, so that many are in the store already.
#[derive(Clone, Debug)]
struct Case {
    plan: Plan,
    values: Vec<usize>,
    before: State,
    /// One read in so many fails.
    failing_reads: Option<usize>,
}

/// The value that the server refuses.
const BAD: usize = 7;

fn cases() -> impl Strategy<Value = Case> {
    let value = || prop_oneof![9 => 0..3_usize, 1 => Just(BAD)];
    let before = prop::collection::btree_map((1..40_i64, 1..4_i64), 0..3_usize, 0..100);
    (
        plans(),
        prop::collection::vec(value(), 200),
        before,
        prop::option::of(1..5_usize),
    )
        .prop_map(|(plan, values, before, failing_reads)| Case {
            plan: Plan {
                bad: BTreeSet::from([BAD]),
                config: EngineConfig {
                    skips_unchanged: true,
                    ..plan.config
                },
                ..plan
            },
            values,
            before: before
                .into_iter()
                .map(|(key, value)| (key, value.to_string()))
                .collect(),
            failing_reads,
        })
}

struct Left {
    state: State,
    outcomes: Vec<OutcomeKind>,
    summary: Summary,
    puts: usize,
}

fn failure(is_ambiguous: bool) -> CallFailure {
    let record = CallRecord::default();
    CallFailure {
        is_ambiguous,
        ..CallFailure::from(Error::call(ErrorKind::Timeout, "", record, None))
    }
}

/// Runs a case, checking on the way what must hold at every moment.
fn run(case: &Case) -> Left {
    let Case { plan, .. } = case;
    let mut dice = fastrand::Rng::with_seed(plan.seed);
    let mut engine = Engine::<UpsertRow>::new(plan.config);
    let mut rows = plan.rows.iter().zip(&case.values);
    let mut state = case.before.clone();
    let mut puts: Vec<(usize, u64, split::Batch<UpsertRow>)> = Vec::new();
    let mut reads: Vec<(usize, u64, ReadRequest)> = Vec::new();
    // What a request that was given up may still do, until it is too late.
    let mut late: Vec<(Instant, Writes)> = Vec::new();
    let mut outcomes = BTreeMap::new();
    let mut now = Instant::now();
    let (mut put, mut read_begun) = (0, 0);
    while !engine.is_done() || engine.next_outcome().is_some() {
        while let Some(outcome) = engine.next_outcome() {
            assert!(outcomes.insert(outcome.index, outcome.kind).is_none());
        }
        match dice.u8(..6) {
            0 | 1 if engine.wants_input() => match rows.next() {
                Some((&(customer, attribute), value)) => {
                    engine.take(Ok(UpsertRow::new(customer, attribute, *value)));
                }
                None => engine.end_input(),
            },
            2 => engine.mark_idle(),
            3 => {
                now += Duration::from_millis(dice.u64(..20));
                late.retain_mut(|(until, writes)| {
                    if *until <= now || dice.bool() {
                        state.extend(writes.drain(..));
                    }
                    *until > now
                });
                engine.release(now);
            }
            4 if !reads.is_empty() => {
                let (number, id, read) = reads.swap_remove(dice.usize(..reads.len()));
                let fails = case.failing_reads.is_some_and(|every| number % every == 0);
                let result = match fails {
                    true => Err(failure(true)),
                    false => Ok(values_of(&state, &read)),
                };
                engine.finish_read(id, result);
            }
            5 if !puts.is_empty() => {
                let (number, id, batch) = puts.swap_remove(dice.usize(..puts.len()));
                let fault = plan.fault.filter(|(every, _)| number % every == 0);
                let fault = fault.map(|(_, fault)| fault);
                let mut done = state.clone();
                let result = answer(plan, &batch, fault, &mut done, &mut dice);
                let until = now + Duration::from_millis(30);
                let is_lost = matches!(&result, Err(failure) if failure.is_ambiguous);
                if is_lost {
                    let writes = done.into_iter();
                    let writes = writes.filter(|(key, value)| state.get(key) != Some(value));
                    late.push((until, writes.collect()));
                } else {
                    state = done;
                }
                engine.finish(id, result, is_lost.then_some(until));
            }
            _ => {}
        }
        while puts.len() + reads.len() < plan.in_flight {
            if let Some((id, batch)) = engine.next_batch(true) {
                for (_, _, other) in &puts {
                    assert!(customers(&batch).is_disjoint(&customers(other)));
                }
                for (_, _, read) in &reads {
                    let mut sent = batch.iter().map(|slot| slot.key().0);
                    assert!(!sent.any(|customer| read.customers.contains(&customer)));
                }
                let is_sure = plan.fault.is_none() && !plan.server.is_partial;
                if is_sure && case.failing_reads.is_none() {
                    for slot in batch.iter() {
                        let value = String::from(slot.row.wire.value.clone());
                        assert_ne!(state.get(&slot.key()), Some(&value), "nothing to send");
                    }
                }
                put += 1;
                puts.push((put, id, batch));
            } else if let Some((id, read)) = engine.next_read(true, 25, 2_000) {
                read_begun += 1;
                reads.push((read_begun, id, read));
            } else {
                break;
            }
        }
    }
    for (_, writes) in late {
        state.extend(writes);
    }
    Left {
        state,
        outcomes: outcomes.into_values().collect(),
        summary: engine.summary(),
        puts: put,
    }
}

fn values_of(state: &State, read: &ReadRequest) -> Vec<types::AttributeValue> {
    let asked = state.iter().filter(|((customer, attribute), _)| {
        read.customers.contains(customer) && read.attributes.contains(attribute)
    });
    let values = asked.map(|(&(customer_id, attribute_id), value)| {
        let value = types::AttributeValue::builder()
            .customer_id(customer_id)
            .attribute_id(attribute_id)
            .attribute_value(value.clone());
        value.try_into().expect("a whole value")
    });
    values.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_last_good_row_wins_whatever_the_store_held(case in cases()) {
        let left = run(&case);
        prop_assert_eq!(left.outcomes.len(), case.plan.rows.len());
        let mut last = BTreeMap::new();
        for ((key, value), kind) in case.plan.rows.iter().zip(&case.values).zip(&left.outcomes) {
            match kind {
                OutcomeKind::Stored(_) | OutcomeKind::Unchanged => { last.insert(key, Some(value)); }
                OutcomeKind::Unknown(_) => { last.insert(key, None); }
                OutcomeKind::Rejected(_) => prop_assert_eq!(*value, BAD),
                OutcomeKind::Superseded { by } => {
                    let by = usize::try_from(*by).expect("an index");
                    prop_assert!(matches!(left.outcomes[by], OutcomeKind::Stored(_) | OutcomeKind::Unchanged));
                }
                OutcomeKind::NotSent(_) => {}
                OutcomeKind::Planned | OutcomeKind::Deleted => prop_assert!(false, "{:?}", kind),
            }
        }
        for (key, value) in last {
            if let Some(value) = value {
                prop_assert_eq!(left.state.get(key), Some(&value.to_string()), "{:?}", key);
            }
        }
    }

    #[test]
    fn an_input_that_is_in_the_store_costs_no_put_and_few_reads(case in cases()) {
        let case = Case {
            plan: Plan { fault: None, bad: BTreeSet::new(), ..case.plan },
            failing_reads: None,
            ..case
        };
        let first = run(&case);
        prop_assert!(first.summary.is_complete());
        let keys: HashSet<_> = case.plan.rows.iter().collect();
        let again = Case {
            plan: Plan {
                rows: first.state.keys().filter(|key| keys.contains(key)).copied().collect(),
                config: EngineConfig { window: 1_000, ..case.plan.config },
                ..case.plan
            },
            values: first.state.iter().filter(|(key, _)| keys.contains(key))
                .map(|(_, value)| value.parse().expect("a number")).collect(),
            before: first.state,
            failing_reads: None,
        };
        let second = run(&again);
        prop_assert_eq!(second.puts, 0);
        prop_assert_eq!(second.summary.unchanged, again.plan.rows.len() as u64);
    }
}

/// Ends all reads and calls of a run at once, until nothing more is due.
fn drive(engine: &mut Engine<UpsertRow>, state: &mut State) -> (Vec<usize>, usize) {
    let mut reads = Vec::new();
    let mut puts = 0;
    loop {
        if let Some((id, batch)) = engine.next_batch(true) {
            puts += 1;
            let mut data = Vec::new();
            for slot in batch.iter() {
                let value = String::from(slot.row.wire.value.clone());
                state.insert(slot.key(), value.clone());
                let (customer_id, attribute_id) = slot.key();
                let record = types::AttributeValue::builder()
                    .customer_id(customer_id)
                    .attribute_id(attribute_id)
                    .attribute_value(value);
                data.push(record.try_into().expect("a whole record"));
            }
            drop(batch);
            let page = types::AttributeValuePage::builder().data(data);
            engine.finish(id, Ok(page.try_into().expect("a whole page")), None);
        } else if let Some((id, read)) = engine.next_read(true, 250, 2_000) {
            reads.push(read.customers.len());
            engine.finish_read(id, Ok(values_of(state, &read)));
        } else {
            return (reads, puts);
        }
    }
}

fn engine(window: usize) -> Engine<UpsertRow> {
    Engine::new(EngineConfig {
        window,
        customers_per_call: 10,
        max_url_len: usize::MAX,
        attempts: 5,
        stop_after_refused: 100,
        skips_unchanged: true,
    })
}

#[test]
fn one_read_is_made_for_83_customers_with_three_values_and_changes_share_a_call() {
    let rows = |customer| (1..=3).map(move |attribute| (customer, attribute));
    let keys: Vec<_> = (1..=1000).flat_map(rows).collect();
    let mut state: State = keys.iter().map(|&key| (key, "x".to_owned())).collect();
    // All customers of the window, and then a part of them at a time.
    for window in [10_000, 600] {
        // Ten changed customers, far apart.
        for changed in [0, 10] {
            let mut engine = engine(window);
            let (mut reads, mut puts) = (Vec::new(), 0);
            for &(customer, attribute) in &keys {
                while !engine.wants_input() {
                    let (more, sent) = drive(&mut engine, &mut state);
                    reads.extend(more);
                    puts += sent;
                    while engine.next_outcome().is_some() {}
                }
                let differs = attribute == 2 && changed > 0 && customer % 100 == 0;
                let value = if differs {
                    format!("{window}")
                } else {
                    "x".to_owned()
                };
                engine.take(Ok(UpsertRow::new(customer, attribute, value)));
            }
            engine.end_input();
            let (more, sent) = drive(&mut engine, &mut state);
            reads.extend(more);
            puts += sent;
            assert_eq!(puts, usize::from(changed > 0), "{window} {reads:?}");
            assert!(
                reads.len() <= 1000_usize.div_ceil(80) + 1,
                "{window} {reads:?}"
            );
            assert_eq!(reads.iter().sum::<usize>(), 1000, "{reads:?}");
            let summary = engine.summary();
            assert_eq!(
                (summary.stored, summary.unchanged),
                (changed, 3000 - changed)
            );
            state = keys.iter().map(|&key| (key, "x".to_owned())).collect();
        }
    }
}

#[test]
fn x_over_y_and_then_y_again_ends_in_y() {
    let mut engine = engine(10);
    let mut state = State::from([((1, 1), "y".to_owned())]);
    engine.take(Ok(UpsertRow::new(1, 1, "x")));
    engine.mark_idle();
    let (id, read) = engine.next_read(true, 250, 2_000).expect("a read");
    engine.finish_read(id, Ok(values_of(&state, &read)));
    let (id, batch) = engine.next_batch(true).expect("x is sent");
    engine.take(Ok(UpsertRow::new(1, 1, "y")));
    engine.mark_idle();
    assert!(
        engine.next_read(true, 250, 2_000).is_none(),
        "x is on its way"
    );
    drop(batch);
    state.insert((1, 1), "x".to_owned());
    let record = types::AttributeValue::builder()
        .customer_id(1)
        .attribute_id(1)
        .attribute_value("x");
    let page = types::AttributeValuePage::builder().data(vec![record.try_into().expect("whole")]);
    engine.finish(id, Ok(page.try_into().expect("a whole page")), None);
    let (reads, puts) = drive(&mut engine, &mut state);
    assert_eq!((reads.len(), puts), (0, 1));
    assert_eq!(state[&(1, 1)], "y");
    assert_eq!(engine.summary().stored, 2);
}
