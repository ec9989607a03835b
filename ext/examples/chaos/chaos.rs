//! A bulk upsert with every kind of fault, checked against a simple model.

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

/// The result of the checks.
pub struct Verdict {
    /// The text of each check, and whether it passed.
    pub checks: Vec<(String, bool)>,
    accounted_share: f64,
    is_state_equal: bool,
    counts: Counts,
    requests: u64,
    needed_requests: u64,
}

impl Verdict {
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|(_, passed)| *passed)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "accounted {:.3}, state equal {}, peak in flight {}, largest batch {}, \
             {} requests made, {} needed without faults",
            self.accounted_share,
            self.is_state_equal,
            self.counts.peak_in_flight,
            self.counts.largest_batch_customers,
            self.requests,
            self.needed_requests
        )
    }
}

/// Generates three values per customer, shuffled: 5% of them twice with another value, and 1% of all
/// rows bad.
fn rows(seed: u64, customers: i64) -> Vec<UpsertRow> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut keys: Vec<Key> = (1..=customers)
        .flat_map(|customer| (1..=ATTRIBUTES).map(move |attribute| (customer, attribute)))
        .collect();
    let repeated: Vec<Key> = keys.iter().copied().filter(|_| rng.u8(..20) == 0).collect();
    keys.extend(repeated);
    rng.shuffle(&mut keys);
    let row = |(number, (customer, attribute)): (usize, Key)| {
        let row = |value: String| UpsertRow::new(customer, attribute, value);
        match rng.u8(..100) {
            0 => row(BAD.to_owned()),
            // The server may store these as whole numbers.
            1..50 => row(format!("{number}.0")),
            _ => row(number.to_string()),
        }
    };
    keys.into_iter().enumerate().map(row).collect()
}

/// Runs an upsert with this window (default: all rows), with delays of milliseconds.
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
    let mut outcomes_by_row: BTreeMap<u64, Outcome> = BTreeMap::new();
    let mut repeated = 0;
    while let Some(outcome) = outcomes.next().await {
        repeated += u64::from(outcomes_by_row.insert(outcome.index, outcome).is_some());
    }
    let result = RunResult {
        rows: &rows,
        outcomes: &outcomes_by_row,
        repeated,
        summary: outcomes.summary(),
        settled_up_to: outcomes.settled_up_to(),
        sandbox: &sandbox,
    };
    Ok(result.check(customers))
}

/// The outcomes of a run, and the sandbox after it.
struct RunResult<'a> {
    rows: &'a [UpsertRow],
    outcomes: &'a BTreeMap<u64, Outcome>,
    /// Outcomes of rows that had one already.
    repeated: u64,
    summary: Summary,
    settled_up_to: u64,
    sandbox: &'a Sandbox,
}

impl RunResult<'_> {
    fn check(&self, customers: i64) -> Verdict {
        let rows = self.rows.len() as u64;
        let counts = self.sandbox.counts();
        let fault_counts = self.sandbox.fault_counts();
        let expected = self.last_good_rows();
        let stored: HashMap<Key, String> = self
            .sandbox
            .values()
            .into_iter()
            .map(|value| {
                (
                    (value.customer_id, value.attribute_id),
                    normalize(&value.value),
                )
            })
            .collect();
        let is_state_equal = stored.len() == expected.len()
            && expected.iter().all(|(key, &index)| {
                stored.get(key)
                    == self
                        .rows
                        .get(index)
                        .map(|row| normalize(row.value()))
                        .as_ref()
            });
        let wrong = self.wrong_outcomes(&expected);
        let missing: Vec<_> = Fault::ALL
            .iter()
            .filter(|fault| !fault_counts.contains_key(fault) && **fault != Fault::LateExecution)
            .collect();
        let mut checks = vec![
            (
                format!("{} of {rows} rows have an outcome", self.outcomes.len()),
                self.outcomes.len() as u64 == rows,
            ),
            (
                format!("{} rows have two outcomes", self.repeated),
                self.repeated == 0,
            ),
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
                    stored.len(),
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
                    "{} overlapping requests for the same customer",
                    counts.customer_overlaps
                ),
                counts.customer_overlaps == 0,
            ),
            (
                format!(
                    "{} requests beyond the limit of 3 in flight",
                    counts.in_flight_429s
                ),
                counts.in_flight_429s == 0 && counts.peak_in_flight <= 3,
            ),
            (
                format!(
                    "at most {} customers per call",
                    counts.largest_batch_customers
                ),
                counts.largest_batch_customers <= 10,
            ),
            (
                format!(
                    "{} requests received, {} counted by the client",
                    counts.requests, self.summary.requests
                ),
                counts.requests == self.summary.requests,
            ),
        ];
        // A short run does not draw every kind of fault.
        if customers >= 2000 {
            let kinds = format!("{} faults of {} kinds", counts.faults, fault_counts.len());
            checks.push((format!("{kinds}, missing: {missing:?}"), missing.is_empty()));
            checks.push((
                "the limits of 3 requests in flight and 10 customers per call are reached"
                    .to_owned(),
                counts.peak_in_flight == 3 && counts.largest_batch_customers == 10,
            ));
        }
        Verdict {
            accounted_share: self.outcomes.len() as f64 / rows.max(1) as f64,
            is_state_equal,
            requests: self.summary.requests,
            needed_requests: customers.unsigned_abs().div_ceil(10),
            checks,
            counts,
        }
    }

    /// Returns the index of the last valid row per key: the row that must be stored in the end.
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
                    let has_same_value = record.as_ref().is_none_or(|record| {
                        normalize(&record.attribute_value) == normalize(row.value())
                    });
                    row.value() != BAD && has_same_value
                }
                // A bad row that is superseded before it is sent is never rejected.
                OutcomeKind::Superseded { by, .. } => *by > outcome.index && last >= Some(*by),
                _ => false,
            }
        };
        let outcomes = self.outcomes.values();
        outcomes
            .filter(|outcome| !is_right(outcome))
            .take(5)
            .map(|outcome| format!("row {}: {:?}", outcome.index, outcome.kind))
            .collect()
    }
}

/// Writes numbers as the server does when it normalizes them, for comparison.
fn normalize(value: &str) -> String {
    value.trim().trim_end_matches(".0").to_owned()
}
