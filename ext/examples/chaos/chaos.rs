//! A bulk run through every kind of fault, checked against a simple model.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use bigcommerce_ext::{Limits, Outcome, OutcomeKind, RetryPolicy, Store, Summary, UpsertRow};
use bigcommerce_sandbox::{BatchRejection, Counts, ErrorKeys, Fault, FaultPlan, Sandbox};
use futures::{StreamExt, stream};

pub const TOKEN: &str = "ch40s-t0ken";

const ATTRIBUTES: i64 = 3;
const BAD: &str = "bad";

type Key = (i64, i64);
type Failure = Box<dyn std::error::Error>;

/// What was checked, and what it took.
pub struct Verdict {
    /// What each check says, and whether it holds.
    pub checks: Vec<(String, bool)>,
    accounted: f64,
    is_state_equal: bool,
    counts: Counts,
    calls: u64,
    needed: u64,
}

impl Verdict {
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|(_, holds)| *holds)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "accounted {:.3}, state equal {}, peak in flight {}, largest batch {}, \
             {} calls made over {} needed",
            self.accounted,
            self.is_state_equal,
            self.counts.peak_in_flight,
            self.counts.largest_batch_customers,
            self.calls,
            self.needed
        )
    }
}

/// Three values per customer, 5% of them twice with another value, 1% of all rows bad, shuffled.
fn rows(seed: u64, customers: i64) -> Vec<UpsertRow> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut keys: Vec<Key> = (1..=customers)
        .flat_map(|customer| (1..=ATTRIBUTES).map(move |attribute| (customer, attribute)))
        .collect();
    let again: Vec<Key> = keys
        .iter()
        .copied()
        .filter(|_| dice.u8(..20) == 0)
        .collect();
    keys.extend(again);
    dice.shuffle(&mut keys);
    let row = |(number, (customer, attribute)): (usize, Key)| {
        let row = |value: String| UpsertRow::new(customer, attribute, value);
        match dice.u8(..100) {
            0 => row(BAD.to_owned()),
            // A server may store these as whole numbers.
            1..50 => row(format!("{number}.0")),
            _ => row(number.to_string()),
        }
    };
    keys.into_iter().enumerate().map(row).collect()
}

/// Runs it within a window, or with one that holds all rows, and with delays of milliseconds.
pub async fn run(seed: u64, customers: i64, window: Option<usize>) -> Result<Verdict, Failure> {
    let keys = [ErrorKeys::Indexed, ErrorKeys::Field, ErrorKeys::Empty];
    let rejections = [BatchRejection::Atomic, BatchRejection::Partial];
    let choose = |options: usize| usize::try_from(seed).unwrap_or_default() % options;
    let sandbox = Sandbox::builder()
        .latency(Duration::from_millis(1))
        .quota(300, Duration::from_millis(200))
        .error_keys(keys[choose(keys.len())])
        .batch_rejection(rejections[choose(rejections.len())])
        .reject(|_, _, value| (value == BAD).then(|| "this value is bad".to_owned()))
        .faults(
            FaultPlan::seeded(seed)
                .rate(0.1)
                .reset_in(Duration::from_millis(20))
                .slow_by(Duration::from_millis(10))
                .trickle_over(Duration::from_millis(10)),
        )
        .start()
        .await?;
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .limits(Limits::default().grace_period(Duration::from_millis(20)))
        .retry(
            RetryPolicy::default()
                .initial_backoff(Duration::from_millis(4))
                .max_backoff(Duration::from_millis(100)),
        )
        .build()?;

    let rows = rows(seed, customers);
    let mut outcomes = store
        .upsert()
        .window(window.unwrap_or(rows.len() + 1))
        .stream(stream::iter(rows.clone()));
    let mut ended: BTreeMap<u64, Outcome> = BTreeMap::new();
    let mut twice = 0;
    while let Some(outcome) = outcomes.next().await {
        twice += u64::from(ended.insert(outcome.index, outcome).is_some());
    }
    let left = Left {
        rows: &rows,
        ended: &ended,
        twice,
        summary: outcomes.summary(),
        settled_up_to: outcomes.settled_up_to(),
        sandbox: &sandbox,
    };
    Ok(left.judge(customers))
}

/// What a run left behind.
struct Left<'a> {
    rows: &'a [UpsertRow],
    ended: &'a BTreeMap<u64, Outcome>,
    twice: u64,
    summary: Summary,
    settled_up_to: u64,
    sandbox: &'a Sandbox,
}

impl Left<'_> {
    fn judge(&self, customers: i64) -> Verdict {
        let rows = self.rows.len() as u64;
        let counts = self.sandbox.counts();
        let played = self.sandbox.fault_counts();
        let expected = self.last_good_rows();
        let kept: HashMap<Key, String> = self
            .sandbox
            .values()
            .into_iter()
            .map(|kept| ((kept.customer_id, kept.attribute_id), normal(&kept.value)))
            .collect();
        let is_state_equal = kept.len() == expected.len()
            && expected.iter().all(|(key, &index)| {
                kept.get(key) == self.rows.get(index).map(|row| normal(row.value())).as_ref()
            });
        let wrong = self.wrong_outcomes(&expected);
        let missed: Vec<_> = Fault::ALL
            .iter()
            .filter(|fault| !played.contains_key(fault) && **fault != Fault::LateExecution)
            .collect();
        let mut checks = vec![
            (
                format!("{} of {rows} rows have an outcome", self.ended.len()),
                self.ended.len() as u64 == rows,
            ),
            (format!("{} rows have two", self.twice), self.twice == 0),
            (
                format!("settled up to row {}", self.settled_up_to),
                self.settled_up_to == rows,
            ),
            (
                format!("{} outcomes differ from the model: {wrong:?}", wrong.len()),
                wrong.is_empty(),
            ),
            (
                format!(
                    "{} values are stored, {} expected",
                    kept.len(),
                    expected.len()
                ),
                is_state_equal,
            ),
            (
                format!("the summary adds up: {}", self.summary),
                self.summary.rows() == rows,
            ),
            (
                format!(
                    "{} times a customer was twice in flight",
                    counts.customer_overlaps
                ),
                counts.customer_overlaps == 0,
            ),
            (
                format!("{} requests beyond 3 in flight", counts.in_flight_429s),
                counts.in_flight_429s == 0 && counts.peak_in_flight <= 3,
            ),
            (
                format!(
                    "at most {} customers in a call",
                    counts.largest_batch_customers
                ),
                counts.largest_batch_customers <= 10,
            ),
            (
                format!(
                    "{} requests in all, {} counted here",
                    counts.requests, self.summary.requests
                ),
                counts.requests == self.summary.requests,
            ),
        ];
        // A short run does not meet every kind.
        if customers >= 2000 {
            let kinds = format!("{} faults of {} kinds", counts.faults, played.len());
            checks.push((format!("{kinds}, not met: {missed:?}"), missed.is_empty()));
            checks.push((
                "calls are as many and as large as they may be".to_owned(),
                counts.peak_in_flight == 3 && counts.largest_batch_customers == 10,
            ));
        }
        Verdict {
            accounted: self.ended.len() as f64 / rows.max(1) as f64,
            is_state_equal,
            calls: self.summary.requests,
            needed: customers.unsigned_abs().div_ceil(10),
            checks,
            counts,
        }
    }

    /// The row that each key ends with: the last one that is good.
    fn last_good_rows(&self) -> HashMap<Key, usize> {
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, row)| row.value() != BAD)
            .map(|(index, row)| {
                (
                    (row.customer_id(), row.attribute().id().unwrap_or_default()),
                    index,
                )
            })
            .collect()
    }

    fn wrong_outcomes(&self, expected: &HashMap<Key, usize>) -> Vec<String> {
        let is_right = |outcome: &Outcome| {
            let row = usize::try_from(outcome.index)
                .ok()
                .and_then(|i| self.rows.get(i));
            let (Some(row), true) = (row, outcome.row.as_ref() == row) else {
                return false;
            };
            let last = expected.get(&(row.customer_id(), row.attribute().id().unwrap_or_default()));
            let last = last.map(|&index| index as u64);
            match &outcome.kind {
                OutcomeKind::Rejected(error) => row.value() == BAD && error.status() == Some(422),
                OutcomeKind::Stored(record) => {
                    let is_theirs = record.as_ref().is_none_or(|record| {
                        normal(&record.attribute_value) == normal(row.value())
                    });
                    row.value() != BAD && is_theirs
                }
                // A bad row that was replaced before it was sent was never known to be bad.
                OutcomeKind::Superseded { by, .. } => *by > outcome.index && last >= Some(*by),
                _ => false,
            }
        };
        let outcomes = self.ended.values();
        outcomes
            .filter(|outcome| !is_right(outcome))
            .take(5)
            .map(|outcome| format!("row {}: {:?}", outcome.index, outcome.kind))
            .collect()
    }
}

/// A number as it is compared, whether or not the server has normalised it.
fn normal(value: &str) -> String {
    value.trim().trim_end_matches(".0").to_owned()
}
