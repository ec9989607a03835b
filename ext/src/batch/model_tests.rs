//! The engine's promises over random inputs and schedules, against a simple model.

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

type Batch = split::Batch<UpsertRow>;

/// What happens to a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Customer and attribute; every value is its own.
    pub(super) rows: Vec<(i64, i64)>,
    /// Which rows the server refuses.
    pub(super) bad: BTreeSet<usize>,
    pub(super) config: EngineConfig,
    pub(super) in_flight: usize,
    pub(super) server: Server,
    /// One call in so many fails.
    pub(super) fault: Option<(usize, Fault)>,
    /// Whether the run is asked to stop at some moment.
    pub(super) stops: bool,
    /// Decides what happens next: reading, an idle input, or the end of a call.
    pub(super) seed: u64,
}

/// How the server deals with what it does not like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    /// Whether the good rows of a bad batch are stored.
    pub(super) is_partial: bool,
    names: Names,
    max_customers: usize,
    most_rows: usize,
    /// What it answers when a call is too large.
    too_large: ErrorKind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Names {
    Nothing,
    /// The rows that are bad.
    Rows,
    /// A row that is not to blame.
    Wrong,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// No answer, whether or not it was done.
    Lost,
    /// SplitResult for now.
    Busy,
    /// Some rows are neither stored nor shown.
    LeavesOut,
}

fn servers() -> impl Strategy<Value = Server> {
    let names = prop_oneof![Just(Names::Nothing), Just(Names::Rows), Just(Names::Wrong)];
    let too_large = prop_oneof![Just(ErrorKind::TooLarge), Just(ErrorKind::InvalidRequest)];
    let most = || prop_oneof![Just(usize::MAX), 1..12_usize];
    (any::<bool>(), names, most(), most(), too_large).prop_map(
        |(is_partial, names, max_customers, most_rows, too_large)| Server {
            is_partial,
            names,
            max_customers,
            most_rows,
            too_large,
        },
    )
}

pub(super) fn plans() -> impl Strategy<Value = Plan> {
    let fault = prop_oneof![Just(Fault::Lost), Just(Fault::Busy), Just(Fault::LeavesOut)];
    (
        prop::collection::vec((1..40_i64, 1..4_i64), 0..200),
        prop::collection::btree_set(0..200_usize, 0..12),
        (1..150_usize, 1..12_usize, 1..5_usize),
        servers(),
        prop::option::of((2..9_usize, fault)),
        (any::<bool>(), any::<u64>()),
    )
        .prop_map(
            |(rows, bad, (window, customers_per_call, in_flight), server, fault, (stops, seed))| {
                Plan {
                    rows,
                    bad,
                    config: EngineConfig {
                        window,
                        customers_per_call,
                        max_url_len: usize::MAX,
                        attempts: 5,
                        stop_after_refused: 0,
                        skips_unchanged: false,
                    },
                    in_flight,
                    server,
                    fault,
                    stops,
                    seed,
                }
            },
        )
}

/// The plan, but for a server that likes everything.
fn untroubled(plan: Plan) -> Plan {
    Plan {
        bad: BTreeSet::new(),
        fault: None,
        server: Server {
            max_customers: usize::MAX,
            most_rows: usize::MAX,
            ..plan.server
        },
        ..plan
    }
}

fn failure(kind: ErrorKind, is_ambiguous: bool) -> CallFailure {
    CallFailure {
        is_ambiguous,
        blames_rows: kind == ErrorKind::InvalidRequest,
        ..CallFailure::from(Error::call(kind, "planned", CallRecord::default(), None))
    }
}

/// What a run left behind.
struct Left {
    state: BTreeMap<(i64, i64), String>,
    outcomes: Vec<OutcomeKind>,
    summary: Summary,
    calls: usize,
    /// CallSet that were refused as too large after the limit was learned.
    refused_after_learning: usize,
}

/// Runs a plan, checking on the way what must hold at every moment.
fn run(plan: &Plan) -> Left {
    let mut dice = fastrand::Rng::with_seed(plan.seed);
    let mut engine = Engine::<UpsertRow>::new(plan.config);
    let mut rows = plan.rows.iter().enumerate();
    let mut in_flight: Vec<(usize, u64, Batch, bool)> = Vec::new();
    let mut held: Vec<(Instant, u64, Batch)> = Vec::new();
    let mut now = Instant::now();
    let mut state = BTreeMap::new();
    let mut outcomes: BTreeMap<u64, OutcomeKind> = BTreeMap::new();
    let mut calls = 0;
    let mut learned = false;
    let mut refused_after_learning = 0;
    loop {
        while let Some(outcome) = engine.next_outcome() {
            let twice = outcomes.insert(outcome.index, outcome.kind);
            assert!(twice.is_none(), "row {} has two outcomes", outcome.index);
            let without_gap = (0..).find(|index| !outcomes.contains_key(index));
            assert_eq!(Some(engine.settled_up_to()), without_gap);
        }
        if engine.is_done() {
            break;
        }
        match dice.u8(..5) {
            0 | 1 if engine.wants_input() => match rows.next() {
                Some((index, &(customer, attribute))) => {
                    engine.take(Ok(UpsertRow::new(customer, attribute, index)));
                }
                None => engine.end_input(),
            },
            2 if plan.stops && dice.u8(..60) == 0 => engine.stop(Error::stopped()),
            2 => engine.mark_idle(),
            3 => {
                now += Duration::from_millis(dice.u64(..20));
                engine.release(now);
                held.retain(|&(until, _, _)| until > now);
            }
            _ if !in_flight.is_empty() => {
                let chosen = dice.usize(..in_flight.len());
                let (number, job, batch, knew) = in_flight.swap_remove(chosen);
                let fault = plan.fault.filter(|(every, _)| number % every == 0);
                let result = answer(plan, &batch, fault.map(|(_, f)| f), &mut state, &mut dice);
                let is_refused = matches!(&result, Err(f) if f.error.kind() == ErrorKind::TooLarge);
                refused_after_learning += usize::from(is_refused && knew && batch.len() > 1);
                // A request that was given up may be running for a while.
                let hold = matches!(&result, Err(f) if f.is_ambiguous)
                    .then(|| now + Duration::from_millis(30));
                held.extend(hold.map(|until| (until, job, batch)));
                let note = engine.finish(job, result, hold);
                learned |= matches!(note, Some(BatchEvent::Learned(_)));
            }
            _ => {}
        }
        while in_flight.len() < plan.in_flight
            && let Some((job, batch)) = engine.next_batch(true)
        {
            calls += 1;
            let customers = customers(&batch);
            assert!(!customers.is_empty());
            assert!(customers.len() <= plan.config.customers_per_call);
            for (_, other, there, _) in &in_flight {
                assert!(
                    customers.is_disjoint(&self::customers(there)),
                    "{job} {other}"
                );
            }
            for (until, other, there) in &held {
                let is_free = *until <= now || *other == job;
                assert!(
                    is_free || customers.is_disjoint(&self::customers(there)),
                    "held"
                );
            }
            in_flight.push((calls, job, batch, learned));
        }
    }
    Left {
        state,
        outcomes: outcomes.into_values().collect(),
        summary: engine.summary(),
        calls,
        refused_after_learning,
    }
}

pub(super) fn customers(batch: &Batch) -> HashSet<i64> {
    batch.iter().map(|slot| slot.key().0).collect()
}

/// Plays the server.
pub(super) fn answer(
    plan: &Plan,
    batch: &Batch,
    fault: Option<Fault>,
    state: &mut BTreeMap<(i64, i64), String>,
    dice: &mut fastrand::Rng,
) -> Result<types::AttributeValuePage, CallFailure> {
    let server = plan.server;
    match fault {
        Some(Fault::Busy) => return Err(failure(ErrorKind::RateLimited, false)),
        Some(Fault::Lost) if dice.bool() => return Err(failure(ErrorKind::Timeout, true)),
        _ => {}
    }
    if customers(batch).len() > server.max_customers || batch.len() > server.most_rows {
        return Err(failure(server.too_large, false));
    }
    let is_bad = |place: usize| {
        let value = String::from(batch[place].row.wire.value.clone());
        plan.bad.contains(&value.parse().expect("an index"))
    };
    let bad: BTreeSet<usize> = (0..batch.len()).filter(|&place| is_bad(place)).collect();
    let mut data = Vec::new();
    for (place, slot) in batch.iter().enumerate() {
        let is_stored = match bad.is_empty() {
            true => !(matches!(fault, Some(Fault::LeavesOut)) && dice.bool()),
            false => server.is_partial && !bad.contains(&place),
        };
        if !is_stored {
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
    if matches!(fault, Some(Fault::Lost)) {
        return Err(failure(ErrorKind::Timeout, true));
    }
    if !bad.is_empty() {
        let named = match server.names {
            Names::Nothing => BTreeSet::new(),
            Names::Rows => bad,
            Names::Wrong => (0..=batch.len())
                .filter(|place| !bad.contains(place))
                .take(1)
                .collect(),
        };
        return Err(CallFailure {
            blamed_rows: named,
            ..failure(ErrorKind::InvalidRequest, false)
        });
    }
    let page = types::AttributeValuePage::builder().data(data);
    Ok(page.try_into().expect("a whole page"))
}

/// What the store holds when each customer's rows arrive in order and the bad ones are refused.
fn model(plan: &Plan) -> BTreeMap<(i64, i64), String> {
    let rows = plan.rows.iter().enumerate();
    rows.filter(|(index, _)| !plan.bad.contains(index))
        .map(|(index, &key)| (key, index.to_string()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_row_has_one_outcome_that_fits_the_store(plan in plans()) {
        let left = run(&plan);
        prop_assert!(plan.stops || left.outcomes.len() == plan.rows.len());
        prop_assert_eq!(left.summary.rows(), left.outcomes.len() as u64);
        let mut last_known = BTreeMap::new();
        for (index, (key, kind)) in plan.rows.iter().zip(&left.outcomes).enumerate() {
            match kind {
                OutcomeKind::Stored(_) => { last_known.insert(*key, Some(index)); }
                OutcomeKind::Unknown(_) => { last_known.insert(*key, None); }
                OutcomeKind::Superseded { by, .. } => {
                    let by = usize::try_from(*by).expect("an index");
                    prop_assert!(by > index && plan.rows[by] == *key);
                    prop_assert!(matches!(left.outcomes[by], OutcomeKind::Stored(_)));
                }
                OutcomeKind::Rejected(_) => prop_assert!(plan.bad.contains(&index)),
                OutcomeKind::Unchanged | OutcomeKind::Deleted | OutcomeKind::Planned => {
                    prop_assert!(false, "an upsert does not end as {:?}", kind);
                }
                OutcomeKind::NotSent(_) => {
                    prop_assert!(left.state.get(key) != Some(&index.to_string()), "{} is stored", index);
                }
            }
        }
        for (key, index) in last_known {
            if let Some(index) = index {
                prop_assert_eq!(left.state.get(&key), Some(&index.to_string()), "{:?}", key);
            }
        }
    }

    #[test]
    fn bad_rows_cost_themselves_only_and_the_last_good_row_wins(plan in plans()) {
        let plan = Plan { fault: None, stops: false, ..plan };
        let left = run(&plan);
        prop_assert_eq!(&left.state, &model(&plan));
        for (index, kind) in left.outcomes.iter().enumerate() {
            let is_bad = plan.bad.contains(&index);
            prop_assert!(match kind {
                OutcomeKind::Stored(_) => !is_bad,
                OutcomeKind::Rejected(_) => is_bad,
                OutcomeKind::Superseded { .. } => true,
                _ => false,
            }, "row {} (bad: {}) ended as {:?}", index, is_bad, kind);
        }
    }

    #[test]
    fn a_size_that_was_learned_is_kept_to(plan in plans()) {
        let plan = Plan { fault: None, stops: false, bad: BTreeSet::new(), ..plan };
        let left = run(&plan);
        prop_assert_eq!(&left.state, &model(&plan));
        prop_assert!(left.summary.is_complete());
        // Only a call that is to tell whether customers or rows are limited, and what is made of
        // it, is refused after that.
        prop_assert!(left.refused_after_learning <= 4 * plan.in_flight);
    }

    #[test]
    fn a_size_that_is_refused_costs_few_calls(plan in plans(), wide in 1..20_i64) {
        let plan = Plan { fault: None, bad: BTreeSet::new(), ..plan };
        // Some customers have many values.
        let rows: BTreeSet<_> = plan.rows.iter().flat_map(|&(customer, _)| {
            let values = if customer % 3 == 0 { wide } else { 3 };
            (1..=values).map(move |attribute| (customer, attribute))
        }).collect();
        let rows: Vec<_> = rows.into_iter().collect();
        let config = EngineConfig { window: rows.len() + 1, ..plan.config };
        let plan = Plan { rows, config, ..plan };
        let left = run_at_once(&plan);
        prop_assert!(left.summary.is_complete());
        let customers: BTreeSet<_> = plan.rows.iter().map(|(customer, _)| customer).collect();
        let most = config.customers_per_call.min(plan.server.max_customers);
        let needed = customers.len().div_ceil(most).max(plan.rows.len().div_ceil(plan.server.most_rows));
        prop_assert!(left.calls <= 3 * needed + 16, "{} calls, {} needed", left.calls, needed);
    }

    #[test]
    fn customers_that_fit_the_window_cost_the_fewest_calls(plan in plans()) {
        let plan = untroubled(plan);
        let config = EngineConfig { window: plan.rows.len() + 1, ..plan.config };
        let mut engine = Engine::<UpsertRow>::new(config);
        for &(customer, attribute) in &plan.rows {
            engine.take(Ok(UpsertRow::new(customer, attribute, "x")));
            prop_assert!(engine.next_batch(true).is_none(), "nothing is due yet");
        }
        engine.end_input();
        let calls = std::iter::from_fn(|| engine.next_batch(true)).count();
        let customers: HashSet<_> = plan.rows.iter().map(|(customer, _)| customer).collect();
        prop_assert_eq!(calls, customers.len().div_ceil(config.customers_per_call));
    }

    #[test]
    fn few_bad_rows_cost_few_calls(plan in plans(), bad in prop::collection::btree_set(0..200_usize, 1..4)) {
        let keys: BTreeSet<_> = plan.rows.iter().copied().collect();
        let rows: Vec<_> = keys.into_iter().collect();
        let bad: BTreeSet<_> = bad.into_iter().filter(|&index| index < rows.len()).collect();
        let clean = untroubled(Plan { rows, ..plan });
        let config = EngineConfig { window: clean.rows.len() + 1, customers_per_call: 10, ..clean.config };
        let clean = Plan { config, seed: 1, ..clean };
        let needed = run_at_once(&clean).calls;
        let left = run_at_once(&Plan { bad: bad.clone(), ..clean.clone() });
        prop_assert_eq!(left.summary.rejected, bad.len() as u64);
        let extra = left.calls - needed;
        // At most 10 customers with 3 values each in a batch: 2 · log2(30), rounded up, and the
        // refusal that starts it; 2 where the answer names the row.
        let each = match clean.server.names {
            Names::Nothing => 2 * 5 + 2,
            Names::Rows => 2,
            Names::Wrong => 2 * 5 + 4,
        };
        prop_assert!(extra <= each * bad.len(), "{} extra for {:?}", extra, bad);
    }
}

/// Runs a plan whose input is read to its end before anything is sent.
fn run_at_once(plan: &Plan) -> Left {
    let mut engine = Engine::<UpsertRow>::new(plan.config);
    let mut dice = fastrand::Rng::with_seed(plan.seed);
    for (index, &(customer, attribute)) in plan.rows.iter().enumerate() {
        engine.take(Ok(UpsertRow::new(customer, attribute, index)));
    }
    engine.end_input();
    let mut state = BTreeMap::new();
    let mut calls = 0;
    while let Some((job, batch)) = engine.next_batch(true) {
        calls += 1;
        let result = answer(plan, &batch, None, &mut state, &mut dice);
        engine.finish(job, result, None);
    }
    Left {
        state,
        outcomes: std::iter::from_fn(|| engine.next_outcome())
            .map(|o| o.kind)
            .collect(),
        summary: engine.summary(),
        calls,
        refused_after_learning: 0,
    }
}

#[test]
fn a_run_whose_first_rows_are_all_refused_stops_by_itself() {
    let rows: Vec<_> = (1..=400).map(|customer| (customer, 1)).collect();
    let plan = Plan {
        bad: (0..rows.len()).collect(),
        rows,
        config: EngineConfig {
            window: 10_000,
            customers_per_call: 10,
            max_url_len: usize::MAX,
            attempts: 5,
            stop_after_refused: 100,
            skips_unchanged: false,
        },
        in_flight: 3,
        server: Server {
            is_partial: false,
            names: Names::Nothing,
            max_customers: usize::MAX,
            most_rows: usize::MAX,
            too_large: ErrorKind::TooLarge,
        },
        fault: None,
        stops: false,
        seed: 3,
    };
    let left = run_at_once(&plan);
    assert_eq!((left.summary.rejected, left.summary.not_sent), (100, 300));
    assert!(left.calls <= 200, "{} calls", left.calls);
    assert_eq!(left.outcomes.len(), 400);

    // One good row at the start, and the run goes on.
    let plan = Plan {
        bad: (1..400).collect(),
        ..plan
    };
    let left = run_at_once(&plan);
    assert_eq!((left.summary.rejected, left.summary.stored), (399, 1));
}
