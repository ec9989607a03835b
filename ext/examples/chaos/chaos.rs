//! A store with every kind of fault, and a client that upserts, lists and deletes. A model says what
//! must come of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::{Duration, SystemTime};

use bigcommerce_ext::{Limits, Outcome, OutcomeKind, RetryPolicy, Store, UpsertRow};
use bigcommerce_sandbox::{
    BatchRejection, Counts, ErrorKeys, Fault, FaultPlan, Sandbox, StoredValue,
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::channel::oneshot;
use futures::{StreamExt, stream};

#[path = "model.rs"]
mod model;

use model::{BAD, Key, Mistakes, Model};

pub const TOKEN: &str = "ch40s-t0ken";

const ATTRIBUTES: i64 = 3;
/// The sessions of the upsert that are stopped. The next one runs to its end.
const STOPPED_SESSIONS: usize = 6;
/// The sessions after which an upsert that isn't done has failed.
const MAX_SESSIONS: usize = 20;
/// The customers from which on a run draws every kind of fault and reaches every limit.
const LARGE_RUN: i64 = 2000;
/// The customers of a list or a delete.
const SELECTED_CUSTOMERS: i64 = 40;

/// The faults of lists, which a run has too few of to meet them all.
const LIST_FAULTS: [Fault; 5] = [
    Fault::ShortPage,
    Fault::EmptyPage,
    Fault::TotalTooLarge,
    Fault::TotalTooSmall,
    Fault::IgnoredFilters,
];

type Failure = Box<dyn std::error::Error>;

/// The result of the checks.
pub struct Verdict {
    /// The text of each check, and whether it passed.
    pub checks: Vec<(String, bool)>,
    counts: Counts,
    sessions: usize,
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
            "{} sessions, {} requests, {} faults, peak in flight {}, largest batch {}",
            self.sessions,
            self.counts.requests,
            self.counts.faults,
            self.counts.peak_in_flight,
            self.counts.largest_batch_customers,
        )?;
        for (text, _) in self.checks.iter().filter(|(_, passed)| !passed) {
            write!(f, "\nfailed: {text}")?;
        }
        Ok(())
    }
}

/// Generates three values per customer, shuffled: 5% of them twice with another value, and 1% of all
/// rows bad.
fn rows(rng: &mut fastrand::Rng, customers: i64) -> Vec<UpsertRow> {
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

/// How the rows of a run name their customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    ById,
    ByEmail,
}

impl Naming {
    /// Returns the row as it is sent.
    fn of(self, row: &UpsertRow) -> UpsertRow {
        let value = row.value().unwrap_or_default();
        match (self, row.customer_id()) {
            (Self::ByEmail, Some(customer)) => {
                UpsertRow::new(address(customer), row.attribute().clone(), value)
            }
            _ => row.clone(),
        }
    }
}

fn address(customer: i64) -> String {
    format!("Customer+{customer}@example.com")
}

/// Upserts with this window (default: all rows), then skips unchanged values, lists and deletes.
///
/// The delays are milliseconds, but for an outage of three minutes: run it with a paused clock.
pub async fn run(
    seed: u64,
    customers: i64,
    window: Option<usize>,
    naming: Naming,
) -> Result<Verdict, Failure> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let rows = rows(&mut rng, customers);
    let keys = [ErrorKeys::Indexed, ErrorKeys::Field, ErrorKeys::Empty];
    let rejections = [BatchRejection::Atomic, BatchRejection::Partial];
    let choose = |options: usize| usize::try_from(seed).unwrap_or_default() % options;
    let outage = faults(seed)
        .outage_after(Duration::from_millis(rng.u64(50..2000)))
        .outage(Duration::from_secs(180));
    let sandbox = Sandbox::builder()
        .latency(Duration::from_millis(1))
        .quota(300, Duration::from_millis(200))
        .error_keys(keys[choose(keys.len())])
        .batch_rejection(rejections[choose(rejections.len())])
        .reject(|_, _, value| (value == BAD).then(|| "this value is bad".to_owned()))
        .customers((1..=customers).map(|id| (id, address(id).to_lowercase())))
        .faults(outage)
        .start()
        .await?;
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .limits(Limits::default().grace_period(Duration::from_millis(20)))
        .retry(
            RetryPolicy::default()
                .attempt_timeout(Duration::from_millis(15))
                .initial_backoff(Duration::from_millis(4))
                .max_backoff(Duration::from_millis(100)),
        )
        .build()?;
    let mut chaos = Chaos {
        window: window.unwrap_or(rows.len() + 1),
        naming,
        model: Model::new(rows),
        sandbox,
        store,
        rng,
        requests: 0,
        dropped_sessions: 0,
        sessions: 0,
        checks: Vec::new(),
    };
    chaos.upsert().await;
    chaos.skip_unchanged().await;
    if customers >= LARGE_RUN {
        chaos.meet_the_rest(seed).await;
    }
    let list_faults = FaultPlan::seeded(seed).rate(0.2).only(LIST_FAULTS);
    chaos.sandbox.set_faults(list_faults);
    chaos.list(customers).await;
    chaos.sandbox.set_faults(faults(seed + 1_000_000));
    chaos.delete(customers).await?;
    Ok(chaos.judge(customers))
}

/// Returns a plan of all kinds of faults. A request that was abandoned ends within the client's grace
/// period of 20 ms, and a body stalls for longer than the attempt timeout of 15 ms.
fn faults(seed: u64) -> FaultPlan {
    FaultPlan::seeded(seed)
        .rate(0.1)
        .only(Fault::ALL.iter().copied())
        .reset_in(Duration::from_millis(20))
        .slow_by(Duration::from_millis(10))
        .trickle_over(Duration::from_millis(10))
        .late_by(Duration::from_millis(15))
        .stall_for(Duration::from_millis(18))
}

struct Chaos {
    window: usize,
    naming: Naming,
    model: Model,
    sandbox: Sandbox,
    store: Store,
    rng: fastrand::Rng,
    /// The requests that the client has counted.
    requests: u64,
    /// The sessions whose stream was dropped before its end.
    dropped_sessions: u64,
    sessions: usize,
    checks: Vec<(String, bool)>,
}

impl Chaos {
    fn check(&mut self, text: impl Into<String>, passed: bool) {
        self.checks.push((text.into(), passed));
    }

    fn check_mistakes(&mut self, text: &str, mistakes: &Mistakes) {
        let passed = mistakes.count == 0;
        self.check(format!("{text}: {mistakes:?}"), passed);
    }

    /// Sends all rows, as the consumer of a queue does: stops at random, commits what is done, and
    /// goes on from there.
    async fn upsert(&mut self) {
        while self.model.base < self.model.rows().len() && self.sessions < MAX_SESSIONS {
            let is_stopped = self.sessions < STOPPED_SESSIONS;
            let left = self.model.rows().len() - self.model.base;
            // Early and late stops are equally likely.
            let at_most = left >> self.rng.u32(1..10);
            let stop_after = is_stopped.then(|| self.rng.usize(..=at_most));
            let is_dropped = is_stopped && self.rng.bool();
            self.session(stop_after, is_dropped).await;
            self.sessions += 1;
        }
        let (done, rows) = (self.model.base, self.model.rows().len());
        self.check(
            format!(
                "{done} of {rows} rows are done after {} sessions",
                self.sessions
            ),
            done == rows,
        );
        let mistakes = std::mem::take(&mut self.model.mistakes);
        self.check_mistakes(
            "outcomes and commit points differ from the model",
            &mistakes,
        );
        self.settle().await;
        let is_final = self.model.is_final(&self.sandbox.values());
        self.check("the store holds the last good row of each key", is_final);
        let (sent, received) = (self.requests, self.sandbox.counts().requests);
        // A stream that is dropped doesn't tell what becomes of its requests in flight.
        let is_counted = sent.abs_diff(received) <= 3 * self.dropped_sessions;
        self.check(
            format!("{received} requests received, {sent} counted by the client"),
            is_counted,
        );
    }

    async fn session(&mut self, stop_after: Option<usize>, is_dropped: bool) {
        self.model.begin_session();
        let rows = self.model.rows().get(self.model.base..).unwrap_or_default();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut stop = Some(stop);
        let mut outcomes = self
            .store
            .upsert()
            .window(self.window)
            .stop_when(async {
                // Without a stop, the sender lives as long as the session.
                let _ = stopped.await;
            })
            .stream(stream::iter(self.named(rows)));
        let mut read = 0;
        let mut is_read_to_end = true;
        loop {
            if stop_after == Some(read) {
                if is_dropped {
                    is_read_to_end = false;
                    break;
                }
                drop(stop.take());
            }
            let Some(outcome) = outcomes.next().await else {
                break;
            };
            self.model.record(&self.by_id(outcome));
            read += 1;
        }
        let (summary, done_up_to) = (outcomes.summary(), outcomes.done_up_to());
        if is_read_to_end {
            self.model.check_outcomes(summary.rows());
        }
        let values = self.sandbox.values();
        self.model.commit(done_up_to, is_read_to_end, &values);
        self.requests += summary.requests;
        self.dropped_sessions += u64::from(!is_read_to_end);
    }

    /// Returns the rows as they are sent.
    fn named(&self, rows: &[UpsertRow]) -> Vec<UpsertRow> {
        rows.iter().map(|row| self.naming.of(row)).collect()
    }

    /// Returns an outcome with the row as the model has it, if it is the row that was sent.
    fn by_id(&self, mut outcome: Outcome) -> Outcome {
        let index = usize::try_from(outcome.index).unwrap_or(usize::MAX);
        let Some(row) = self.model.rows().get(self.model.base + index) else {
            return outcome;
        };
        let sent = self.naming.of(row);
        let is_same = outcome.row.as_ref().is_some_and(|found| {
            let is_found = found
                .customer_id()
                .is_none_or(|id| Some(id) == row.customer_id());
            let is_sent = found.customer() == sent.customer() && found.value() == sent.value();
            is_found && is_sent && found.attribute() == sent.attribute()
        });
        if is_same {
            outcome.row = Some(row.clone());
        }
        outcome
    }

    /// Waits until the server has executed all requests.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Sends what the store holds already.
    async fn skip_unchanged(&mut self) {
        let rows = self.model.last_good_rows();
        let mut mistakes = Mistakes::default();
        let (mut unchanged, mut unknown) = (0, 0);
        let mut outcomes = self
            .store
            .upsert()
            .skip_unchanged()
            .window(self.window)
            .stream(stream::iter(self.named(&rows)));
        while let Some(outcome) = outcomes.next().await {
            match &outcome.kind {
                OutcomeKind::Unchanged => unchanged += 1,
                OutcomeKind::Stored(_) => {}
                OutcomeKind::Unknown(_) => unknown += 1,
                _ => mistakes.add(|| format!("{outcome:?}")),
            }
        }
        let read = outcomes.summary().rows();
        drop(outcomes);
        mistakes.check(read == rows.len() as u64, || {
            format!("{read} rows were read")
        });
        self.check_mistakes(
            "rows that the store holds are stored or unchanged",
            &mistakes,
        );
        self.check(
            format!("{unchanged} of {read} rows are unchanged, {unknown} unknown"),
            unchanged * 2 > read && unknown * 1000 <= read,
        );
        self.settle().await;
        let is_final = self.model.is_final(&self.sandbox.values());
        self.check("rows that were skipped change nothing", is_final);
    }

    /// Sends some of the rows again, until each kind of fault has happened that an upsert can meet.
    async fn meet_the_rest(&mut self, seed: u64) {
        let rows = self.model.last_good_rows();
        let mut mistakes = Mistakes::default();
        for (round, rows) in (0..).zip(rows.chunks(300)) {
            let drawn = self.sandbox.fault_counts();
            let missing = Fault::ALL
                .iter()
                .filter(|fault| !drawn.contains_key(fault) && !LIST_FAULTS.contains(fault));
            let missing: Vec<_> = missing.copied().collect();
            if missing.is_empty() {
                break;
            }
            let plan = faults(seed + 2_000_000 + round).rate(0.5).only(missing);
            self.sandbox.set_faults(plan);
            let upsert = self.store.upsert().rows(self.named(rows)).send().await;
            let outcomes = upsert.as_ref().map(|report| report.outcomes());
            for outcome in outcomes.into_iter().flatten() {
                let is_right = matches!(
                    outcome.kind,
                    OutcomeKind::Stored(_) | OutcomeKind::Unknown(_)
                );
                mistakes.check(is_right, || format!("{outcome:?}"));
            }
            mistakes.check(upsert.is_ok(), || "nothing was sent".to_owned());
        }
        self.check_mistakes("rows that are sent again are stored or unknown", &mistakes);
        self.settle().await;
        let is_final = self.model.is_final(&self.sandbox.values());
        self.check("rows that are sent again change nothing", is_final);
    }

    fn pick_customers(&mut self, customers: i64) -> BTreeSet<i64> {
        let first = self.rng.i64(1..=customers);
        (first..=customers)
            .take(SELECTED_CUSTOMERS as usize)
            .collect()
    }

    /// Lists some customers at a time. A list is complete, or its last item is an error.
    async fn list(&mut self, customers: i64) {
        let lists = if customers >= LARGE_RUN { 300 } else { 30 };
        let stored = self.sandbox.values();
        let mut mistakes = Mistakes::default();
        let mut complete = 0;
        for _ in 0..lists {
            let wanted = self.pick_customers(customers);
            let mut values = self
                .store
                .list()
                .customers(wanted.iter().copied())
                .page_size(50)
                .stream();
            let mut listed = BTreeMap::new();
            let mut has_failed = false;
            while let Some(value) = values.next().await {
                mistakes.check(!has_failed, || "an item follows an error".to_owned());
                match value {
                    Ok(value) => {
                        let is_wanted = wanted.contains(&value.customer_id);
                        mistakes.check(is_wanted, || format!("not selected: {value:?}"));
                        let id = value.id.unwrap_or_default();
                        let is_first = listed.insert(id, value.attribute_value).is_none();
                        mistakes.check(is_first, || format!("value {id} is listed twice"));
                    }
                    Err(_) => has_failed = true,
                }
            }
            let selected = stored.iter().filter(|v| wanted.contains(&v.customer_id));
            let selected: BTreeMap<_, _> = selected.map(|v| (v.id, v.value.clone())).collect();
            complete += u32::from(!has_failed);
            // Totals that contradict each other look like a change during the list.
            let is_flagged = has_failed || values.changed_during_read();
            mistakes.check(is_flagged || listed == selected, || {
                format!(
                    "{} of {} values, and no error",
                    listed.len(),
                    selected.len()
                )
            });
        }
        self.check_mistakes("lists are complete, or say that they aren't", &mistakes);
        self.check(
            format!("{complete} of {lists} lists are complete"),
            complete * 5 > lists,
        );
    }

    /// Deletes the values of some customers at a time, and what is older than the run: nothing.
    async fn delete(&mut self, customers: i64) -> Result<(), Failure> {
        let deletes = if customers >= LARGE_RUN { 60 } else { 6 };
        let mut mistakes = Mistakes::default();
        let mut complete = 0;
        for _ in 0..deletes {
            let wanted = self.pick_customers(customers);
            let before = self.sandbox.values();
            let result = self
                .store
                .delete()
                .customers(wanted.iter().copied())
                .send()
                .await;
            self.settle().await;
            let after = ids(&self.sandbox.values());
            let others = before.iter().filter(|v| !wanted.contains(&v.customer_id));
            for other in others {
                let is_kept = after.contains_key(&other.id);
                mistakes.check(is_kept, || format!("not selected, but deleted: {other:?}"));
            }
            // An error says that nothing was deleted, or not all.
            let Ok(report) = result else { continue };
            for outcome in report.outcomes() {
                let id = outcome.row.unwrap_or_default();
                let is_right = match outcome.kind {
                    OutcomeKind::Deleted => !after.contains_key(&id),
                    OutcomeKind::Unknown(_) | OutcomeKind::NotSent(_) => true,
                    _ => false,
                };
                mistakes.check(is_right, || format!("{outcome:?}"));
            }
            if report.into_result().is_ok() {
                complete += 1;
                let is_empty = after.values().all(|customer| !wanted.contains(customer));
                mistakes.check(is_empty, || format!("values of {wanted:?} are left"));
            }
        }
        let before = ids(&self.sandbox.values());
        let an_hour_ago = DateTime::<Utc>::from(SystemTime::now()) - TimeDelta::hours(1);
        for _ in 0..deletes {
            // An error is right, too: the server may ignore the filter.
            let old = self.store.delete().modified_until(an_hour_ago);
            drop(old.send().await);
        }
        self.settle().await;
        let is_unchanged = ids(&self.sandbox.values()) == before;
        mistakes.check(is_unchanged, || {
            "fresh values were deleted by time".to_owned()
        });
        self.check_mistakes(
            "deletes hit what was selected, and reports are true",
            &mistakes,
        );
        self.check(
            format!("{complete} of {deletes} deletes are complete"),
            complete * 5 > deletes,
        );
        Ok(())
    }

    fn judge(mut self, customers: i64) -> Verdict {
        let counts = self.sandbox.counts();
        let drawn = self.sandbox.fault_counts();
        let late = [Fault::LateExecution, Fault::LateBehindGateway];
        let late: u64 = late.iter().filter_map(|fault| drawn.get(fault)).sum();
        let (overlaps, too_many) = (counts.customer_overlaps, counts.in_flight_429s);
        // A batch may be sent again several times, and in halves, while its own abandoned request may
        // still be executed.
        self.check(
            format!("{overlaps} requests overlap others of their customers, {late} are late"),
            overlaps <= 8 * late,
        );
        self.check(
            format!("{too_many} requests beyond the limit of 3 in flight"),
            too_many == 0 && counts.peak_in_flight <= 3,
        );
        let largest = counts.largest_batch_customers;
        self.check(
            format!("at most {largest} customers per call"),
            largest <= 10,
        );
        if customers >= LARGE_RUN {
            let missing: Vec<_> = Fault::ALL
                .iter()
                .filter(|fault| !drawn.contains_key(fault))
                .collect();
            let kinds = drawn.len();
            self.check(
                format!("faults of {kinds} kinds, missing: {missing:?}"),
                missing.is_empty(),
            );
            self.check(
                "the limits of 3 requests in flight and 10 customers per call are reached",
                counts.peak_in_flight == 3 && largest == 10,
            );
        }
        Verdict {
            checks: self.checks,
            counts,
            sessions: self.sessions,
        }
    }
}

/// Returns the customer of each value, by the value's ID.
fn ids(values: &[StoredValue]) -> HashMap<i64, i64> {
    values
        .iter()
        .map(|value| (value.id, value.customer_id))
        .collect()
}
