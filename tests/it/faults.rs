//! The result of each kind of fault for each operation.

use std::collections::BTreeSet;
use std::time::Duration;

use bigcommerce_ext::sdk::types::AttributeType;
use bigcommerce_ext::{
    Error, ErrorKind, Event, Limits, OutcomeKind, Report, RetryPolicy, Store, UpsertRow,
};
use bigcommerce_sandbox::{Fault, FaultPlan, Operation, Sandbox, SandboxCustomer};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep};

use crate::support::{TOKEN, store};

const MAX_ATTEMPTS: u32 = 4;

/// Upserts six rows.
async fn upsert(plan: FaultPlan) -> (Sandbox, Report) {
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = store_with_short_grace(&sandbox, RetryPolicy::default().max_attempts(MAX_ATTEMPTS));
    let rows = (1..=6).map(|customer| UpsertRow::new(customer, 1, " 1.0 "));
    let report = store.upsert().rows(rows).send().await.expect("a report");
    (sandbox, report)
}

/// Returns a store with a grace period of 1 s (default 5 s).
fn store_with_short_grace(sandbox: &Sandbox, policy: RetryPolicy) -> Store {
    Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .retry(policy)
        .limits(Limits::default().grace_period(Duration::from_secs(1)))
        .build()
        .expect("a store")
}

fn values(sandbox: &Sandbox) -> Vec<String> {
    let values = sandbox.values().into_iter();
    values.map(|stored| stored.value).collect()
}

#[tokio::test(start_paused = true)]
async fn an_upsert_with_one_fault_stores_all_rows() {
    for &fault in Fault::ALL {
        if !fault.applies_to(Operation::Upsert) {
            continue;
        }
        let (sandbox, report) = upsert(FaultPlan::script([Some(fault)])).await;
        let summary = report.summary();
        assert_eq!(
            (summary.stored, summary.rows()),
            (6, 6),
            "{fault}: {report:?}"
        );
        // A retry, and a list that shows whether the store or the rows failed.
        assert!(summary.requests <= 4, "{fault}: {summary}");
        assert_eq!(sandbox.counts().faults, 1, "{fault}");
        let normalised = fault == Fault::Normalized;
        let expected = if normalised { "1" } else { " 1.0 " };
        assert_eq!(values(&sandbox), [expected; 6], "{fault}");
        let differing = report.outcomes().iter().filter(|o| o.differs()).count();
        assert_eq!(differing, if normalised { 6 } else { 0 }, "{fault}");
        assert_eq!(summary.differing, differing as u64, "{fault}");
        let without_record = report
            .outcomes()
            .iter()
            .filter(|outcome| matches!(outcome.kind, OutcomeKind::Stored(None)))
            .count();
        assert_eq!(without_record > 0, fault == Fault::PartialPage, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upsert_with_a_permanent_fault_claims_nothing_without_evidence() {
    for &fault in Fault::ALL {
        if !fault.applies_to(Operation::Upsert) {
            continue;
        }
        let plan = FaultPlan::seeded(1).rate(1.0).only([fault]);
        let (sandbox, report) = upsert(plan).await;
        let summary = report.summary();
        assert_eq!(summary.rows(), 6, "{fault}: {summary}");
        assert!(summary.requests <= 60, "{fault}: {summary}");
        let stored: BTreeSet<_> = sandbox
            .values()
            .into_iter()
            .map(|stored| stored.customer_id)
            .collect();
        for outcome in report.outcomes() {
            let customer = outcome
                .row
                .as_ref()
                .expect("a row")
                .customer_id()
                .expect("an ID");
            match &outcome.kind {
                OutcomeKind::Stored(_) => assert!(stored.contains(&customer), "{fault}"),
                OutcomeKind::NotSent(_) => assert!(!stored.contains(&customer), "{fault}"),
                OutcomeKind::Unknown(_) => {}
                other => panic!("{fault}: {other:?}"),
            }
        }
        for error in report.outcomes().iter().filter_map(|o| o.error()) {
            assert!(error.is_temporary(), "{fault}: {error}");
        }
    }
}

/// The result of an operation.
#[derive(Debug, PartialEq, Eq)]
enum OperationResult {
    Complete {
        requests: u64,
    },
    Failed {
        kind: ErrorKind,
        /// Whether the operation may have been executed.
        is_ambiguous: bool,
    },
}

/// Runs an operation in a store with these faults.
async fn run(operation: Operation, plan: FaultPlan) -> (Sandbox, OperationResult) {
    let plan = plan.operations([operation]);
    let customers = (1..=6).map(|id| SandboxCustomer::new(id, format!("c{id}@example.com")));
    let builder = Sandbox::builder()
        .attribute(101, "Tier")
        .customers(customers)
        .faults(plan);
    let sandbox = builder.start().await.expect("a sandbox");
    let ids: Vec<_> = (1..=6)
        .map(|customer| sandbox.insert(customer, 101, "x"))
        .collect();
    let store = store_with_short_grace(&sandbox, RetryPolicy::default().max_attempts(MAX_ATTEMPTS));
    let complete = |is_complete: bool| {
        assert!(is_complete, "{operation:?}");
        OperationResult::Complete {
            requests: sandbox.counts().requests,
        }
    };
    let failed = |error: Error| OperationResult::Failed {
        kind: error.kind(),
        is_ambiguous: false,
    };
    let result = match operation {
        Operation::Upsert => unreachable!("upserts have tests of their own"),
        Operation::CreateCustomers => unreachable!("the store creates no customers"),
        Operation::List => {
            let listed = store.list().stream().try_collect::<Vec<_>>().await;
            listed.map_or_else(failed, |values| {
                complete(values.iter().filter_map(|value| value.id).eq(ids))
            })
        }
        Operation::Delete => {
            let report = store.delete().ids(ids).send().await.expect("a report");
            match report.outcomes()[0].error() {
                None => complete(sandbox.values().is_empty() && report.summary().deleted == 6),
                Some(error) => OperationResult::Failed {
                    kind: error.kind(),
                    is_ambiguous: report.summary().unknown == 6,
                },
            }
        }
        Operation::ListCustomers => {
            let listed = store.customers().stream().try_collect::<Vec<_>>().await;
            listed.map_or_else(failed, |customers| {
                complete(customers.iter().map(|customer| customer.id).eq(1..=6))
            })
        }
        Operation::ListAttributes => {
            let listed = store.attributes().list().await;
            listed.map_or_else(failed, |attributes| complete(attributes.len() == 1))
        }
        Operation::CreateAttributes => {
            let wanted = ["Points", "Tier", "Level"].map(|name| (name, AttributeType::String));
            let created = store.attributes().ensure(wanted).await;
            created.map_or_else(failed, |created| complete(created.len() == 3))
        }
        Operation::UpdateAttributes => {
            let renamed = store.attributes().rename("Tier", "Level").await;
            renamed.map_or_else(failed, |renamed| {
                complete(renamed.name == "Level" && sandbox.attributes()[0].name == "Level")
            })
        }
        Operation::DeleteAttributes => {
            let deleted = store.attributes().delete("Tier", 6).await;
            deleted.map_or_else(failed, |deleted| {
                let is_gone = sandbox.attributes().is_empty() && sandbox.values().is_empty();
                complete(deleted.id == 101 && is_gone)
            })
        }
    };
    let names = sandbox.attributes().into_iter().map(|known| known.name);
    let distinct: BTreeSet<_> = names.clone().collect();
    assert_eq!(
        distinct.len(),
        names.count(),
        "{operation:?}: no attribute is created twice"
    );
    (sandbox, result)
}

#[tokio::test(start_paused = true)]
async fn other_operations_with_one_fault_complete() {
    for &fault in Fault::ALL {
        for operation in [
            Operation::List,
            Operation::Delete,
            Operation::ListAttributes,
            Operation::CreateAttributes,
            Operation::UpdateAttributes,
            Operation::DeleteAttributes,
            Operation::ListCustomers,
        ] {
            // A total that is too large can't be told from a list that is incomplete. Attributes
            // that are not listed after their creation are not created again.
            let may_fail = fault == Fault::TotalTooLarge
                || (fault == Fault::Accepted && operation == Operation::CreateAttributes);
            if !fault.applies_to(operation) || may_fail {
                continue;
            }
            let requests_before = match operation {
                // The attributes are listed.
                Operation::CreateAttributes | Operation::UpdateAttributes => 1,
                // Their values are counted too.
                Operation::DeleteAttributes => 5,
                _ => 0,
            };
            let before = std::iter::repeat_n(None, requests_before);
            let max_requests = 5 + 2 * requests_before as u64;
            let plan = FaultPlan::script(before.chain([Some(fault)]));
            let (_sandbox, result) = run(operation, plan).await;
            assert!(
                matches!(result, OperationResult::Complete { requests } if requests <= max_requests),
                "{fault} {operation:?}: {result:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn other_operations_with_a_permanent_fault_end_with_its_error() {
    for (fault, kind) in [
        (Fault::RateLimited, ErrorKind::RateLimited),
        (Fault::Unavailable, ErrorKind::Unavailable),
        (Fault::HtmlSuccess, ErrorKind::InvalidResponse),
        (Fault::ClosedBeforeWork, ErrorKind::Connection),
        (Fault::Redirect, ErrorKind::Redirect),
    ] {
        for operation in [
            Operation::List,
            Operation::Delete,
            Operation::ListAttributes,
            Operation::ListCustomers,
        ] {
            let plan = FaultPlan::seeded(1).rate(1.0).only([fault]);
            let (_sandbox, result) = run(operation, plan).await;
            let OperationResult::Failed { kind: actual, .. } = result else {
                panic!("{fault} {operation:?}: {result:?}");
            };
            // The error of a run that an outage has stopped is about the outage.
            let is_outage = actual == ErrorKind::Unavailable && operation == Operation::Delete;
            assert!(
                actual == kind || is_outage,
                "{fault} {operation:?}: {actual:?}"
            );
        }
    }
}

fn fast_retries() -> RetryPolicy {
    RetryPolicy::default().initial_backoff(Duration::from_millis(1))
}

#[tokio::test(start_paused = true)]
async fn the_last_row_wins_over_a_request_that_is_executed_within_the_grace_period() {
    // The first request is abandoned and executed later, while its customer is still held.
    for fault in [Fault::LateExecution, Fault::LateBehindGateway] {
        let plan = FaultPlan::script([Some(fault)]).late_by(Duration::from_millis(800));
        let sandbox = Sandbox::builder().faults(plan).start().await;
        let sandbox = sandbox.expect("a sandbox");
        let store = store_with_short_grace(&sandbox, fast_retries());
        let rows = ["first", "second", "third"].map(|value| UpsertRow::new(1, 1, value));
        let mut outcomes = store.upsert().window(1).stream(stream::iter(rows));
        while outcomes.next().await.is_some() {}
        assert!(outcomes.summary().is_complete());
        sleep(Duration::from_secs(5)).await;
        assert_eq!(sandbox.value(1, 1).expect("a value").value, "third");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attribute_that_is_created_late_is_not_created_again() {
    for fault in [Fault::LateExecution, Fault::LateBehindGateway] {
        let plan = FaultPlan::script([None, Some(fault)]).late_by(Duration::from_millis(800));
        let sandbox = Sandbox::builder().faults(plan).start().await;
        let sandbox = sandbox.expect("a sandbox");
        let store = store_with_short_grace(&sandbox, fast_retries());
        let wanted = [("Points", AttributeType::Number)];
        let created = store.attributes().ensure(wanted).await;
        assert_eq!(created.expect("an attribute").len(), 1);
        let counts = sandbox.counts();
        assert_eq!((counts.attribute_gets, counts.attribute_posts), (2, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_a_gateway_abandons_counts_as_in_flight_for_the_grace_period() {
    let plan = FaultPlan::seeded(1)
        .rate(1.0)
        .only([Fault::LateBehindGateway])
        .late_by(Duration::from_millis(800));
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .retry(fast_retries().max_attempts(3))
        .limits(
            Limits::default()
                .max_in_flight(1)
                .grace_period(Duration::from_secs(1)),
        )
        .build()
        .expect("a store");
    let began = Instant::now();
    let report = store.upsert().customer(1, [(1, "x")]).send().await;
    assert_eq!(report.expect("a report").summary().unknown, 1);
    // Each of three requests waits for the grace period of the one before.
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(sandbox.counts().peak_in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_times_out_counts_as_in_flight_for_the_grace_period() {
    // The server takes longer than the attempt timeout, so it still works on the request.
    let sandbox = Sandbox::builder()
        .latency(Duration::from_secs(3))
        .start()
        .await
        .expect("a sandbox");
    let policy = RetryPolicy::default()
        .max_attempts(4)
        .attempt_timeout(Duration::from_secs(2));
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .retry(policy)
        .limits(Limits::default().grace_period(Duration::from_secs(2)))
        .build()
        .expect("a store");
    let rows = (1..=60).map(|customer| UpsertRow::new(customer, 1, "x"));
    let report = store.upsert().rows(rows).send().await.expect("a report");
    let summary = report.summary();
    assert_eq!(summary.unknown + summary.not_sent, 60);
    let counts = sandbox.counts();
    assert!(counts.peak_in_flight <= 3, "{counts}");
    assert_eq!(counts.in_flight_429s, 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_429_with_a_time_all_calls_wait_that_long() {
    let plan = FaultPlan::script([Some(Fault::RateLimited)]);
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let start = Instant::now();
    let (sender, sent) = std::sync::mpsc::channel();
    let rows = (1..=60).map(|customer| UpsertRow::new(customer, 1, "x"));
    let upsert = store(sandbox.base_url()).upsert().rows(rows);
    let upsert = upsert.observe(move |event| {
        if matches!(event, Event::RequestStarted { .. }) {
            sender.send(start.elapsed()).unwrap_or_default();
        }
    });
    assert_eq!(upsert.send().await.expect("a report").summary().stored, 60);
    let sent: Vec<_> = sent.iter().collect();
    assert_eq!(sent.len(), 7);
    // X-Retry-After is 1 s and the reset header is shorter: the longer time counts.
    let second = Duration::from_secs(1);
    assert!(
        sent[1..].iter().all(|&at| at >= second && at < 2 * second),
        "{sent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_20_seconds_costs_no_rows_and_few_requests() {
    let plan = FaultPlan::none().outage(Duration::from_secs(20));
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let rows = (1..=3000).map(|customer| UpsertRow::new(customer, 1, "x"));
    let report = store(sandbox.base_url()).upsert().rows(rows).send().await;
    let summary = report.expect("a report").summary();
    assert_eq!(summary.stored, 3000, "{summary}");
    assert!(summary.requests <= 300 + 3 * 10, "{summary}");
}
