//! The command `doctor`.

mod finding;
mod probe;

use std::time::Duration;

use bigcommerce_ext::limiter::{LimiterStatus, Sharing};
use bigcommerce_ext::{Error, ErrorKind, RetryPolicy};
use clap::Args;

use crate::args::Global;
use crate::connection::Connection;
use crate::session::Session;
use crate::status::{Failure, Status};
use finding::{Finding, Grade};
use probe::{Probe, Seen};

/// A clock that differs by more is worth a warning.
const MAX_CLOCK_DIFFERENCE: u64 = 60;
/// A slower store is worth a warning.
const MAX_LATENCY: Duration = Duration::from_secs(2);
/// A quota with a smaller part left is worth a warning: one in this number.
const QUOTA_PART: u64 = 10;

const NEEDS_READ: &str = "give the API account the OAuth scope Customers, read-only or modify \
                          (store_v2_customers_read_only or store_v2_customers)";
const NEEDS_MODIFY: &str = "to import, sync or delete, give the API account the OAuth scope \
                            Customers, modify (store_v2_customers)";

/// Check the access to the store: token, scopes, quota, latency, clock and Redis
///
/// Writes a line per check. Changes nothing: the right to modify is tried with an empty list. The exit
/// status is 0 if all is well, 1 if something needs attention, 3 if the store refused access to what is
/// read, and 5 if it can't be reached.
#[derive(Debug, Args)]
pub struct Doctor {}

impl Doctor {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        // A check is worth no long wait.
        let retry = RetryPolicy::default()
            .max_attempts(2)
            .attempt_timeout(Duration::from_secs(10))
            .retry_timeout(Duration::from_secs(15))
            .initial_backoff(Duration::from_millis(500));
        let session = Session::start_with(global, |builder| {
            let observer = global.run.observer(&global.run.start_part());
            builder.retry(retry).observe(observer)
        });
        let session = session.await?;
        let checks = Checks {
            session: &session,
            json: global.json,
            grade: Grade::Ok,
        };
        let status = tokio::select! {
            status = checks.run() => status,
            // The end of the run knows the signal's status.
            () = session.stop() => Status::Incomplete,
        };
        Ok(session.end(status))
    }
}

struct Checks<'a> {
    session: &'a Session,
    json: bool,
    /// The worst one so far.
    grade: Grade,
}

impl Checks<'_> {
    async fn run(mut self) -> Status {
        let store = self.session.store();
        let Connection {
            label,
            max_in_flight,
            ..
        } = self.session.connection();
        self.tell(Finding::ok("store", label));
        // First, because all requests wait for it.
        if let Some(finding) = redis(&store.limiter_status().await) {
            self.tell(finding);
        }

        let probe = Probe::new(store);
        let values = probe.call(async |sdk| sdk.list_attribute_values().send().await);
        let values = values.await.map(drop);
        if let Err(error) = &values {
            match error.kind() {
                ErrorKind::Forbidden => self.tell(Finding::ok("token", "it is accepted")),
                ErrorKind::Unauthorized => {
                    self.tell(Finding::error("token", error));
                    return Status::Refused;
                }
                _ => {
                    self.tell(Finding::error("reach", error));
                    return match Status::from(error) {
                        Status::Incomplete => Status::Incomplete,
                        _ => Status::Unreachable,
                    };
                }
            }
        } else {
            self.tell(Finding::ok("token", "it is accepted"));
        }
        let customers = probe.call(async |sdk| sdk.list_customers().send().await);
        let customers = customers.await.map(drop);
        let attributes = probe.call(async |sdk| sdk.list_attributes().send().await);
        let attributes = attributes.await.map(drop);
        let reads = [
            ("values", "they can be read", values),
            ("attributes", "they can be read", attributes),
            (
                "customers",
                "they can be read, and looked up by e-mail address",
                customers,
            ),
        ];
        let mut is_refused = false;
        for (check, text, result) in reads {
            is_refused |= result.as_ref().is_err_and(Error::is_auth);
            self.tell(match result {
                Ok(()) => Finding::ok(check, text),
                Err(error) if error.kind() == ErrorKind::Forbidden => {
                    Finding::fail(check, "they must not be read (403)", NEEDS_READ)
                }
                Err(error) => Finding::error(check, &error),
            });
        }
        let write = probe.call(async |sdk| {
            let request = sdk.upsert_attribute_values();
            request.body(Vec::new()).send().await
        });
        let finding = modify(&write.await.map(drop));
        self.tell(finding);
        let limits = store.limiter_status().await;
        self.tell(quota(&limits, *max_in_flight));
        for finding in speed_and_clock(&probe.seen()) {
            self.tell(finding);
        }
        match self.grade {
            _ if is_refused => Status::Refused,
            Grade::Ok | Grade::Unknown => Status::Done,
            Grade::Warn | Grade::Fail => Status::Incomplete,
        }
    }

    fn tell(&mut self, finding: Finding) {
        self.grade = self.grade.max(finding.grade);
        match self.json {
            true => self.session.json(&finding),
            false => self.session.println(&finding),
        }
    }
}

/// Judges the response to a PUT of an empty list, which stores nothing.
fn modify(result: &Result<(), Error>) -> Finding {
    let check = "modify";
    let error = match result {
        Ok(()) => return Finding::ok(check, "values may be stored"),
        Err(error) => error,
    };
    match error.status() {
        // The list was looked at, and found empty.
        Some(400 | 422) => Finding::ok(
            check,
            "values may be stored, as far as an empty list shows: it was refused for being empty",
        ),
        Some(status @ (401 | 403)) => Finding::warn(
            check,
            format!("values must not be stored ({status})"),
            NEEDS_MODIFY,
        ),
        _ => Finding::unknown(
            check,
            format!("an empty list doesn't show whether values may be stored: {error}"),
        ),
    }
}

/// Judges the place that the limits are shared in, if there is one.
fn redis(status: &LimiterStatus) -> Option<Finding> {
    let check = "redis";
    match &status.sharing {
        Sharing::Local => None,
        Sharing::Shared => {
            let in_flight = status.leases.len();
            let waiting = status.waiting;
            Some(Finding::ok(
                check,
                format!("the limits are shared: {in_flight} requests in flight, {waiting} waiting"),
            ))
        }
        Sharing::Unreachable { cause, .. } => Some(Finding::fail(
            check,
            format!("the limits are not shared: {cause}"),
            "until they are, each process sends one request at a time",
        )),
        _ => Some(Finding::unknown(
            check,
            "the limits are kept in an unknown place",
        )),
    }
}

fn quota(status: &LimiterStatus, max_in_flight: usize) -> Finding {
    let check = "quota";
    if let Some(wait) = status.blocked_for {
        return Finding::warn(
            check,
            format!("the store asks to wait for {} s", wait.as_secs_f64().ceil()),
            "run at another time, or find the app that uses up the quota",
        );
    }
    let Some(quota) = status.quota else {
        return Finding::unknown(
            check,
            format!("the store shows none; at most {max_in_flight} requests are in flight"),
        );
    };
    let seconds = quota.resets_in.as_secs_f64().ceil();
    let text = format!(
        "{} of {} requests are left for {seconds} s; at most {max_in_flight} are in flight",
        quota.left, quota.limit
    );
    match quota.left < quota.limit / QUOTA_PART {
        true => Finding::warn(
            check,
            text,
            "other apps use it up: run at another time, or leave them a share with reserve_quota",
        ),
        false => Finding::ok(check, text),
    }
}

fn speed_and_clock(seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(latency) = seen.latency() {
        let text = format!(
            "{} ms per request, the median of {}",
            latency.as_millis(),
            seen.latencies.len()
        );
        findings.push(match latency > MAX_LATENCY {
            true => Finding::warn(
                "latency",
                text,
                "look for a slow proxy or network: a run of many rows takes as much longer",
            ),
            false => Finding::ok("latency", text),
        });
    }
    findings.push(match seen.clock_ahead {
        None => Finding::unknown(
            "clock",
            "the store's responses have no date to compare with",
        ),
        Some(seconds) if seconds.unsigned_abs() > MAX_CLOCK_DIFFERENCE => {
            let direction = if seconds > 0 { "ahead of" } else { "behind" };
            Finding::warn(
                "clock",
                format!(
                    "this machine is {} s {direction} the store",
                    seconds.unsigned_abs()
                ),
                "set its clock, for example by NTP: filters by date select other values",
            )
        }
        Some(_) => Finding::ok("clock", "it agrees with the store's to a minute"),
    });
    findings
}
