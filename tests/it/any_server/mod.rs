//! What each operation makes of servers that nobody here wrote: behaviour × operation → outcome,
//! requests, time.
//!
//! Beside the expectations of its row, every row is checked for what holds against any server: a
//! row that counts as stored is stored, a row that counts as deleted is gone, a row that counts as
//! not sent had no effect, every request is counted, and at most three are in flight at once.
//!
//! The items that names of rows and tests begin with are defects that were once seen:
//!
//! 1. A delete by time hits fresh values.
//! 2. A list ends short without an error.
//! 3. An older value overwrites a newer one.
//! 4. A value counts as deleted, and was not.
//! 5. A row counts as stored, and was not.
//! 6. The commit point passes rows that were not sent.
//! 7. A stalled response frees its place in flight.
//! 8. A runtime that is not driven blocks other runs.
//! 9. An outage is worked through instead of waited out.
//! 10. A row that makes the server fail costs its batch.
//! 11. A run goes on though nothing is accepted.
//! 12. Skipping unchanged rows starves changed ones.
//! 13. Rows that arrive slowly wait for seconds.
//! 14. A 429 with a tiny wait makes a storm of requests.
//! 15. A stop is not heard, or other tasks don't get their turn.
//! 16. Absurd headers or page counts are taken at their word.
//! 17. An odd field or status costs a whole request.
//! 18. A size that was rejected once is never tried again.
//! 19. Small things: secrets, overflows, messages, counts.
//! 20. Learning a size limit takes too many requests.

mod attributes;
mod delete;
mod list;
mod outages;
mod scenarios;
mod skip_unchanged;
mod upsert;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bigcommerce_ext::chrono::{DateTime, Utc};
use bigcommerce_ext::sdk::types::AttributeType;
use bigcommerce_ext::{Error, ErrorKind, Outcome, OutcomeKind, Report, Store, UpsertRow};
use futures::StreamExt;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::scripted_server::{Exchange, Request, Response, ScriptedServer};
use crate::support::scripted_store::{MODIFIED, ScriptedStore, VALUES};
use crate::support::store;

/// Beyond this, a client makes a storm.
const MOST_REQUESTS: usize = 3_000;

/// The text that upserts send.
const SENT: &str = "Gold";

/// What a store held before an operation.
const OLD: &str = "Silver";

type Script = fn(&ScriptedStore, &Request) -> Response;

/// A behaviour of a server, an operation, and what is expected.
struct Case {
    /// Begins with the number of a defect that once made the client behave worse, if there is one:
    /// see the list at the top of this module.
    name: &'static str,
    operation: Operation,
    server: Script,
    expected: Expected,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// One row for each customer of an empty store.
    Upsert { customers: i64 },
    /// Skips unchanged rows, all of which the store already holds.
    SkipUnchanged { customers: i64 },
    /// Lists all values.
    List { values: i64 },
    /// Lists the values of two customers.
    ListOfTwo { values: i64 },
    /// Lists the values of two customers, and allows the list to be incomplete.
    ListOfTwoIncomplete { values: i64 },
    /// Deletes all values, by their IDs.
    DeleteIds { values: i64 },
    /// Deletes the values of one attribute: all values.
    DeleteSelection { values: i64 },
    /// Deletes the values of customers 1 and 2.
    DeleteOfTwo { values: i64 },
    /// Deletes the values of customers 1 and 2, and allows their list to be incomplete.
    DeleteOfTwoIncomplete { values: i64 },
    /// Deletes the values that were last modified an hour before any value was.
    DeleteUntil { values: i64 },
    /// Lists the attributes.
    ListAttributes,
    /// Ensures one attribute that exists and one that does not.
    EnsureAttributes,
    /// Renames attribute 1, which another attribute follows.
    RenameAttribute,
    /// Deletes attribute 1, which has this number of values. Another attribute has two.
    DeleteAttribute { values: i64 },
}

/// The new name of attribute 1.
const RENAMED: &str = "Level";

/// How an operation ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Without an error.
    Well,
    /// With an error of this kind.
    Error(ErrorKind),
    SomeError,
    /// With or without an error.
    Any,
}

#[derive(Clone, Copy, Debug)]
enum Requests {
    Exactly(usize),
    AtMost(usize),
}

use Requests::{AtMost, Exactly};

#[derive(Clone, Copy, Debug)]
struct Expected {
    stored: u64,
    unchanged: u64,
    deleted: u64,
    rejected: u64,
    unknown: u64,
    not_sent: u64,
    /// Rows that are rejected, unknown or not sent, where each is honest.
    unconfirmed: u64,
    /// Values or attributes that were delivered.
    listed: u64,
    end: End,
    requests: Requests,
    at_least: Duration,
    at_most: Duration,
}

/// The base of all expectations.
const NOTHING: Expected = Expected {
    stored: 0,
    unchanged: 0,
    deleted: 0,
    rejected: 0,
    unknown: 0,
    not_sent: 0,
    unconfirmed: 0,
    listed: 0,
    end: End::Well,
    requests: AtMost(MOST_REQUESTS),
    at_least: Duration::ZERO,
    at_most: Duration::from_secs(60),
};

/// The result of an operation.
#[derive(Debug, Default)]
struct Observed {
    stored: u64,
    unchanged: u64,
    deleted: u64,
    rejected: u64,
    unknown: u64,
    not_sent: u64,
    listed: u64,
    error: Option<Error>,
    /// The requests that the client counted, where it counts them.
    requests: Option<u64>,
    /// What no server can excuse.
    violations: Vec<String>,
}

impl Observed {
    fn count<R>(&mut self, outcomes: &[Outcome<R>]) {
        for outcome in outcomes {
            *match outcome.kind {
                OutcomeKind::Stored(_) => &mut self.stored,
                OutcomeKind::Unchanged => &mut self.unchanged,
                OutcomeKind::Deleted => &mut self.deleted,
                OutcomeKind::Rejected(_) => &mut self.rejected,
                OutcomeKind::Unknown(_) => &mut self.unknown,
                OutcomeKind::NotSent(_) => &mut self.not_sent,
                _ => {
                    let violation = format!("unexpected outcome: {:?}", outcome.kind);
                    return self.violations.push(violation);
                }
            } += 1;
        }
    }

    fn of_upsert(
        result: Result<Report, Error>,
        memory: &ScriptedStore,
        was_stored_before: bool,
    ) -> Self {
        let report = match result {
            Ok(report) => report,
            Err(error) => return error.into(),
        };
        let mut observed = Self {
            requests: Some(report.summary().requests),
            error: report.stopped_by().cloned(),
            ..Self::default()
        };
        observed.count(report.outcomes());
        let texts = memory.texts();
        for outcome in report.outcomes() {
            let Some(row) = &outcome.row else { continue };
            let key = row.customer_id().zip(row.attribute().id());
            let text = key.and_then(|key| texts.get(&key)).map(String::as_str);
            let is_true = match &outcome.kind {
                OutcomeKind::Stored(Some(record)) => text == Some(&record.attribute_value),
                OutcomeKind::Stored(None) | OutcomeKind::Unchanged => text == row.value(),
                OutcomeKind::NotSent(_) => was_stored_before || text != row.value(),
                _ => true,
            };
            if !is_true {
                let violation = format!("the store holds {text:?}, but: {outcome:?}");
                observed.violations.push(violation);
            }
        }
        observed
    }

    fn of_delete(result: Result<Report<i64>, Error>, memory: &ScriptedStore) -> Self {
        let report = match result {
            Ok(report) => report,
            Err(error) => return error.into(),
        };
        let mut observed = Self {
            requests: Some(report.summary().requests),
            error: report.stopped_by().cloned(),
            ..Self::default()
        };
        observed.count(report.outcomes());
        let ids = memory.ids();
        for outcome in report.outcomes() {
            let Some(id) = outcome.row else { continue };
            let is_there = ids.contains(&id);
            let is_true = match outcome.kind {
                OutcomeKind::Deleted => !is_there,
                OutcomeKind::NotSent(_) => is_there,
                _ => true,
            };
            if !is_true {
                let violation = format!("the value is there: {is_there}, but: {outcome:?}");
                observed.violations.push(violation);
            }
        }
        observed
    }
}

impl From<Error> for Observed {
    fn from(error: Error) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

fn rows(customers: i64, value: &'static str) -> impl Iterator<Item = UpsertRow> + Clone {
    (1..=customers).map(move |customer| UpsertRow::new(customer, 1, value))
}

impl Operation {
    fn prepare(self, memory: &ScriptedStore) {
        match self {
            Self::Upsert { .. } | Self::ListAttributes | Self::EnsureAttributes => {}
            Self::SkipUnchanged { customers } => memory.fill(customers, SENT),
            Self::RenameAttribute => memory.define("Points"),
            Self::DeleteAttribute { values } => {
                memory.define("Points");
                memory.fill(values, OLD);
                for customer in [1, 2] {
                    memory.put(customer, 2, OLD);
                }
            }
            Self::List { values }
            | Self::ListOfTwo { values }
            | Self::ListOfTwoIncomplete { values }
            | Self::DeleteIds { values }
            | Self::DeleteSelection { values }
            | Self::DeleteOfTwo { values }
            | Self::DeleteOfTwoIncomplete { values }
            | Self::DeleteUntil { values } => memory.fill(values, OLD),
        }
    }

    async fn run(self, store: Store, memory: ScriptedStore) -> Observed {
        match self {
            Self::Upsert { customers } => {
                let report = store.upsert().rows(rows(customers, SENT)).send().await;
                Observed::of_upsert(report, &memory, false)
            }
            Self::SkipUnchanged { customers } => {
                let upsert = store.upsert().rows(rows(customers, SENT));
                let report = upsert.skip_unchanged().send().await;
                Observed::of_upsert(report, &memory, true)
            }
            Self::List { .. } | Self::ListOfTwo { .. } | Self::ListOfTwoIncomplete { .. } => {
                let list = match self {
                    Self::ListOfTwo { .. } => store.list().customers([1, 2]),
                    Self::ListOfTwoIncomplete { .. } => {
                        store.list().customers([1, 2]).allow_incomplete()
                    }
                    _ => store.list(),
                };
                let mut values = list.stream();
                let mut observed = Observed::default();
                let mut ids = BTreeSet::new();
                while let Some(value) = values.next().await {
                    match value {
                        Ok(value) if !ids.insert(value.id) => {
                            let violation = format!("value {:?} came twice", value.id);
                            observed.violations.push(violation);
                        }
                        Ok(_) => observed.listed += 1,
                        Err(error) => observed.error = Some(error),
                    }
                }
                observed.requests = Some(values.requests());
                observed
            }
            Self::DeleteIds { values } => {
                Observed::of_delete(store.delete().ids(1..=values).send().await, &memory)
            }
            Self::DeleteSelection { .. } => {
                let delete = store.delete().attributes([1]);
                Observed::of_delete(delete.send().await, &memory)
            }
            Self::DeleteOfTwo { .. } => {
                let delete = store.delete().customers([1, 2]);
                Observed::of_delete(delete.send().await, &memory)
            }
            Self::DeleteOfTwoIncomplete { .. } => {
                let delete = store.delete().customers([1, 2]).allow_incomplete();
                Observed::of_delete(delete.send().await, &memory)
            }
            Self::DeleteUntil { .. } => {
                let modified: DateTime<Utc> = MODIFIED.parse().expect("a time");
                let delete = store
                    .delete()
                    .modified_until(modified - Duration::from_secs(3600));
                Observed::of_delete(delete.send().await, &memory)
            }
            Self::ListAttributes => match store.attributes().list().await {
                Ok(attributes) => Observed {
                    listed: attributes.len() as u64,
                    ..Observed::default()
                },
                Err(error) => error.into(),
            },
            Self::EnsureAttributes => {
                let wanted = ["Tier", "Points"].map(|name| (name, AttributeType::String));
                let mut observed = match store.attributes().ensure(wanted).await {
                    Ok(attributes) => Observed {
                        listed: attributes.len() as u64,
                        ..Observed::default()
                    },
                    Err(error) => error.into(),
                };
                let names = memory.attribute_names();
                let created = names.iter().filter(|name| *name == "Points").count();
                if created > 1 || (created == 0 && observed.error.is_none()) {
                    let violation = format!("the store defines {names:?}");
                    observed.violations.push(violation);
                }
                observed
            }
            Self::RenameAttribute => {
                let renamed = store.attributes().rename("Tier", RENAMED).await;
                let name = memory.attribute_name(1);
                let is_renamed = name.as_deref() == Some(RENAMED);
                let mut observed = match renamed {
                    Ok(attribute) => Observed {
                        stored: u64::from(attribute.id == 1 && attribute.name == RENAMED),
                        ..Observed::default()
                    },
                    Err(error) => error.into(),
                };
                if observed.error.is_none() && !is_renamed {
                    observed.violations.push(format!("the name is {name:?}"));
                }
                observed
            }
            Self::DeleteAttribute { values } => {
                let expected = u64::try_from(values).expect("a number of values");
                let deleted = store.attributes().delete(1, expected).await;
                let is_there = memory.attribute_name(1).is_some();
                let mut observed = match deleted {
                    Ok(attribute) => Observed {
                        deleted: u64::from(attribute.id == 1),
                        ..Observed::default()
                    },
                    Err(error) => error.into(),
                };
                if observed.error.is_none() && is_there {
                    let violation = "attribute 1 is there".to_owned();
                    observed.violations.push(violation);
                }
                let others = memory.texts().into_keys().filter(|(_, id)| *id == 2);
                if others.count() != 2 {
                    let violation = "values of attribute 2 are gone".to_owned();
                    observed.violations.push(violation);
                }
                observed
            }
        }
    }
}

impl Case {
    /// Returns what is not as expected.
    async fn check(&self) -> Vec<String> {
        let memory = ScriptedStore::new();
        self.operation.prepare(&memory);
        let storm = Arc::new(Notify::new());
        let server = ScriptedServer::start({
            let (memory, storm, script) = (memory.clone(), Arc::clone(&storm), self.server);
            move |request| {
                if request.number > MOST_REQUESTS {
                    storm.notify_one();
                }
                script(&memory, request)
            }
        })
        .await;
        let start = Instant::now();
        let mut running = tokio::spawn(self.operation.run(store(&server.base_url()), memory));
        let observed = tokio::select! {
            observed = &mut running => observed,
            () = storm.notified() => {
                running.abort();
                return vec![format!("more than {MOST_REQUESTS} requests")];
            }
        };
        let elapsed = start.elapsed();
        match observed {
            Ok(observed) => {
                let mut wrong = self.expected.differences(&observed, &server, elapsed);
                if !wrong.is_empty() {
                    wrong.push(format!(
                        "error: {:?}",
                        observed.error.map(|e| e.to_string())
                    ));
                    wrong.extend(requests_made(&server, start));
                }
                wrong
            }
            Err(error) => vec![error.to_string()],
        }
    }
}

/// Returns a line for each of the first requests.
fn requests_made(server: &ScriptedServer, start: Instant) -> Vec<String> {
    let line = |exchange: &Exchange| {
        let request = &exchange.request;
        let time = exchange.started - start;
        let rows = request.body.as_array().map_or(0, Vec::len);
        let query: String = format!("{:?}", request.query).chars().take(80).collect();
        let Request { method, path, .. } = request;
        format!("{time:?} {method} {path} {query} {rows} rows")
    };
    server.exchanges().iter().take(12).map(line).collect()
}

impl Expected {
    fn differences(
        &self,
        observed: &Observed,
        server: &ScriptedServer,
        elapsed: Duration,
    ) -> Vec<String> {
        let mut wrong = observed.violations.clone();
        wrong.truncate(3);
        let counts = [
            ("stored", self.stored, observed.stored),
            ("unchanged", self.unchanged, observed.unchanged),
            ("deleted", self.deleted, observed.deleted),
            ("listed", self.listed, observed.listed),
        ];
        let unconfirmed = match self.unconfirmed {
            0 => vec![
                ("rejected", self.rejected, observed.rejected),
                ("unknown", self.unknown, observed.unknown),
                ("not sent", self.not_sent, observed.not_sent),
            ],
            rows => {
                let unconfirmed = observed.rejected + observed.unknown + observed.not_sent;
                vec![("unconfirmed", rows, unconfirmed)]
            }
        };
        for (what, expected, is) in counts.into_iter().chain(unconfirmed) {
            if is != expected {
                wrong.push(format!("{is} {what} instead of {expected}"));
            }
        }
        let kind = observed.error.as_ref().map(Error::kind);
        let ends_well = match self.end {
            End::Well => kind.is_none(),
            End::Error(expected) => kind == Some(expected),
            End::SomeError => kind.is_some(),
            End::Any => true,
        };
        if !ends_well {
            wrong.push(format!("ended with {kind:?} instead of {:?}", self.end));
        }
        let requests = server.requests();
        let (Exactly(bound) | AtMost(bound)) = self.requests;
        if requests > bound || (matches!(self.requests, Exactly(_)) && requests < bound) {
            wrong.push(format!(
                "{requests} requests instead of {:?}",
                self.requests
            ));
        }
        if let Some(counted) = observed.requests
            && counted != requests as u64
        {
            wrong.push(format!("{requests} requests, but {counted} were counted"));
        }
        if elapsed < self.at_least || elapsed > self.at_most {
            wrong.push(format!(
                "took {elapsed:?} instead of {:?} to {:?}",
                self.at_least, self.at_most
            ));
        }
        let in_flight = server.most_in_flight();
        if in_flight > 3 {
            wrong.push(format!("{in_flight} requests were in flight at once"));
        }
        wrong
    }
}

/// Checks all rows before it fails.
async fn check_all(cases: &[Case]) {
    let mut failed = Vec::new();
    for case in cases {
        let wrong = case.check().await;
        if !wrong.is_empty() {
            let name = case.name;
            failed.push(format!(
                "{name} ({:?}):\n    {}",
                case.operation,
                wrong.join("\n    ")
            ));
        }
    }
    let (bad, all) = (failed.len(), cases.len());
    assert!(
        bad == 0,
        "{bad} of {all} rows failed:\n{}",
        failed.join("\n")
    );
}

/// Returns `true` for the first request of its method and path.
fn is_first(request: &Request) -> bool {
    request.number_of_kind == 1
}
