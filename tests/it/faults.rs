//! What each kind of fault leads to: a row for each kind and operation.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bigcommerce_ext::sdk::types::AttributeType;
use bigcommerce_ext::{
    Error, ErrorKind, Event, Limits, OutcomeKind, Report, RetryPolicy, Store, UpsertRow,
};
use bigcommerce_sandbox::{Fault, FaultPlan, Operation, Sandbox};
use futures::TryStreamExt;
use tokio::time::Instant;

use crate::support::TOKEN;

/// How the rows of an upsert end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Stored,
    Unknown,
    NotSent,
    /// One row stays unknown, since every answer leaves one out; the others are stored.
    OneUnknown,
}

/// What becomes of an upsert of six rows: if the fault happens once, the requests that it takes;
/// and how it ends if the fault happens to every request.
struct Upserts(Fault, u64, Ends);

const UPSERTS: &[Upserts] = &[
    Upserts(Fault::RateLimited, 2, Ends::NotSent),
    Upserts(Fault::Busy, 2, Ends::NotSent),
    Upserts(Fault::InternalError, 2, Ends::Unknown),
    Upserts(Fault::BadGateway, 2, Ends::Unknown),
    Upserts(Fault::Unavailable, 2, Ends::Unknown),
    Upserts(Fault::GatewayTimeout, 2, Ends::Unknown),
    Upserts(Fault::Maintenance, 2, Ends::Unknown),
    Upserts(Fault::HtmlSuccess, 2, Ends::Unknown),
    Upserts(Fault::Truncated, 2, Ends::Unknown),
    Upserts(Fault::ClosedBeforeWork, 2, Ends::Unknown),
    Upserts(Fault::ClosedAfterWork, 2, Ends::Unknown),
    Upserts(Fault::ClosedDuringResponse, 2, Ends::Unknown),
    Upserts(Fault::ErrorAfterWork, 2, Ends::Unknown),
    Upserts(Fault::Trickle, 1, Ends::Stored),
    Upserts(Fault::DroppedRows, 2, Ends::OneUnknown),
    Upserts(Fault::HiddenRows, 2, Ends::OneUnknown),
    Upserts(Fault::PartialPage, 1, Ends::Stored),
    Upserts(Fault::Normalized, 1, Ends::Stored),
    Upserts(Fault::Oversized, 2, Ends::Unknown),
    Upserts(Fault::Redirect, 2, Ends::NotSent),
    Upserts(Fault::Slow, 1, Ends::Stored),
    Upserts(Fault::LateExecution, 2, Ends::Unknown),
];

/// What becomes of other operations: if the fault happens once to a list, to a delete, and to the
/// creation of attributes, the requests that they take, reads included; and what the error is if it
/// happens to every request.
struct Others(Fault, u64, u64, u64, Option<ErrorKind>);

const OTHERS: &[Others] = &[
    Others(Fault::RateLimited, 2, 2, 4, Some(ErrorKind::RateLimited)),
    Others(Fault::Busy, 2, 2, 4, Some(ErrorKind::RateLimited)),
    Others(Fault::InternalError, 2, 2, 5, Some(ErrorKind::Unavailable)),
    Others(Fault::BadGateway, 2, 2, 5, Some(ErrorKind::Unavailable)),
    Others(Fault::Unavailable, 2, 2, 5, Some(ErrorKind::Unavailable)),
    Others(Fault::GatewayTimeout, 2, 2, 5, Some(ErrorKind::Unavailable)),
    Others(Fault::Maintenance, 2, 2, 5, Some(ErrorKind::Unavailable)),
    Others(
        Fault::HtmlSuccess,
        2,
        2,
        3,
        Some(ErrorKind::InvalidResponse),
    ),
    Others(Fault::Truncated, 2, 2, 3, Some(ErrorKind::InvalidResponse)),
    Others(
        Fault::ClosedBeforeWork,
        2,
        2,
        5,
        Some(ErrorKind::Connection),
    ),
    Others(Fault::ClosedAfterWork, 2, 2, 3, Some(ErrorKind::Connection)),
    Others(
        Fault::ClosedDuringResponse,
        2,
        2,
        3,
        Some(ErrorKind::InvalidResponse),
    ),
    Others(Fault::ErrorAfterWork, 2, 2, 3, Some(ErrorKind::Unavailable)),
    Others(Fault::Trickle, 1, 1, 3, None),
    Others(Fault::Oversized, 2, 2, 3, Some(ErrorKind::InvalidResponse)),
    Others(Fault::Redirect, 2, 2, 4, Some(ErrorKind::Redirect)),
    Others(Fault::Slow, 1, 1, 3, None),
    Others(Fault::LateExecution, 2, 2, 3, Some(ErrorKind::Connection)),
];

async fn upsert(plan: FaultPlan) -> (Sandbox, Report) {
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .retry(RetryPolicy::default().max_attempts(4))
        .limits(Limits::default().grace_period(Duration::from_secs(1)))
        .build()
        .expect("a store");
    let rows = (1..=6).map(|customer| UpsertRow::new(customer, 1, " 1.0 "));
    let report = store.upsert().rows(rows).send().await;
    (sandbox, report.expect("a report"))
}

fn values(sandbox: &Sandbox) -> Vec<String> {
    sandbox
        .values()
        .into_iter()
        .map(|kept| kept.value)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_kind_has_a_row_for_every_operation() {
    for &fault in Fault::ALL {
        let upserts = UPSERTS.iter().filter(|row| row.0 == fault).count();
        let others = OTHERS.iter().filter(|row| row.0 == fault).count();
        for &operation in Operation::ALL {
            let rows = match operation {
                Operation::Upsert => upserts,
                _ => others,
            };
            let expected = usize::from(fault.applies_to(operation));
            assert!(rows >= expected, "{fault} has no row for {operation:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_happens_once_costs_calls_and_no_rows() {
    for &Upserts(fault, calls, _) in UPSERTS {
        let (sandbox, report) = upsert(FaultPlan::script([Some(fault)])).await;
        let summary = report.summary();
        assert_eq!(
            (summary.stored, summary.rows()),
            (6, 6),
            "{fault}: {report:?}"
        );
        assert_eq!(summary.requests, calls, "{fault}");
        assert_eq!(sandbox.counts().faults, 1, "{fault}");
        let normalised = fault == Fault::Normalized;
        let expected = if normalised { "1" } else { " 1.0 " };
        assert_eq!(values(&sandbox), [expected; 6], "{fault}");
        let differing = report.outcomes().iter().filter(|o| o.differs()).count();
        assert_eq!(differing, if normalised { 6 } else { 0 }, "{fault}");
        let hidden = report
            .outcomes()
            .iter()
            .filter(|outcome| matches!(outcome.kind, OutcomeKind::Stored(None)))
            .count();
        assert_eq!(hidden > 0, fault == Fault::PartialPage, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_goes_on_ends_as_promised() {
    for &Upserts(fault, _, ends) in UPSERTS {
        let plan = FaultPlan::seeded(1).rate(1.0).only([fault]);
        let (_sandbox, report) = upsert(plan).await;
        let summary = report.summary();
        let (stored, unknown, not_sent) = match ends {
            Ends::Stored => (6, 0, 0),
            Ends::Unknown => (0, 6, 0),
            Ends::NotSent => (0, 0, 6),
            Ends::OneUnknown => (5, 1, 0),
        };
        let is_as_promised =
            (summary.unknown, summary.not_sent) == (unknown, not_sent) && summary.stored == stored;
        // How many rows an answer leaves out is drawn; one or more stay.
        let is_some_unknown = ends == Ends::OneUnknown
            && summary.unknown >= 1
            && summary.stored + summary.unknown == 6;
        assert!(is_as_promised || is_some_unknown, "{fault}: {summary}");
        let ends_run = fault == Fault::Redirect;
        assert_eq!(report.stopped_by().is_some(), ends_run, "{fault}");
        for outcome in report.outcomes() {
            if let Some(error) = outcome.error() {
                assert_eq!(error.is_temporary(), !ends_run, "{fault}: {error}");
            }
        }
    }
}

/// What an operation came to.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    /// To all that it was to do, by so many requests.
    Whole(u64),
    /// To an error, which leaves it open whether it was done or not.
    Failed(ErrorKind, bool),
}

/// Does an operation in a store whose requests go wrong as planned.
async fn attempt(operation: Operation, plan: FaultPlan) -> (Sandbox, Came) {
    let plan = plan.operations([operation]);
    let builder = Sandbox::builder().attribute(101, "Tier").faults(plan);
    let sandbox = builder.start().await.expect("a sandbox");
    let ids: Vec<_> = (1..=6)
        .map(|customer| sandbox.insert(customer, 101, "x"))
        .collect();
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .retry(RetryPolicy::default().max_attempts(4))
        .limits(Limits::default().grace_period(Duration::from_secs(1)))
        .build()
        .expect("a store");
    let whole = |is_whole: bool| {
        assert!(is_whole, "{operation:?}");
        Came::Whole(sandbox.counts().requests)
    };
    let failed = |error: Error| Came::Failed(error.kind(), false);
    let came = match operation {
        Operation::Upsert => unreachable!("it has a table of its own"),
        Operation::List => {
            let listed = store.list().stream().try_collect::<Vec<_>>().await;
            listed.map_or_else(failed, |values| {
                whole(values.iter().filter_map(|value| value.id).eq(ids))
            })
        }
        Operation::Delete => {
            let report = store.delete().ids(ids).send().await.expect("a report");
            match report.outcomes()[0].error() {
                None => whole(sandbox.values().is_empty() && report.summary().deleted == 6),
                Some(error) => Came::Failed(error.kind(), report.summary().unknown == 6),
            }
        }
        Operation::ListAttributes => {
            let listed = store.attributes().list().await;
            listed.map_or_else(failed, |known| whole(known.len() == 1))
        }
        Operation::CreateAttributes => {
            let wanted = ["Points", "Tier", "Level"].map(|name| (name, AttributeType::String));
            let created = store.attributes().ensure(wanted).await;
            created.map_or_else(failed, |created| whole(created.len() == 3))
        }
    };
    // None was created twice, whatever happened.
    let names = sandbox.attributes().into_iter().map(|known| known.name);
    let distinct: BTreeSet<_> = names.clone().collect();
    assert_eq!(distinct.len(), names.count(), "{operation:?}");
    (sandbox, came)
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_happens_once_costs_other_operations_requests_only() {
    for &Others(fault, list, delete, create, _) in OTHERS {
        for (operation, requests) in [
            (Operation::List, list),
            (Operation::Delete, delete),
            (Operation::ListAttributes, list),
            (Operation::CreateAttributes, create),
        ] {
            if fault.applies_to(operation) {
                // What is there is listed before anything is created.
                let is_second = operation == Operation::CreateAttributes;
                let before = std::iter::repeat_n(None, usize::from(is_second));
                let plan = FaultPlan::script(before.chain([Some(fault)]));
                let (sandbox, came) = attempt(operation, plan).await;
                assert_eq!(came, Came::Whole(requests), "{fault} {operation:?}");
                assert_eq!(sandbox.counts().faults, 1, "{fault} {operation:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_goes_on_ends_other_operations_with_its_error() {
    for &Others(fault, _, _, _, kind) in OTHERS {
        for &operation in Operation::ALL {
            if operation == Operation::Upsert || !fault.applies_to(operation) {
                continue;
            }
            let plan = FaultPlan::seeded(1).rate(1.0).only([fault]);
            let (_sandbox, came) = attempt(operation, plan).await;
            // What was created before its answer was lost is found by the next look.
            let is_found = operation == Operation::CreateAttributes
                && matches!(
                    fault,
                    Fault::HtmlSuccess
                        | Fault::Truncated
                        | Fault::ClosedAfterWork
                        | Fault::ClosedDuringResponse
                        | Fault::ErrorAfterWork
                        | Fault::Oversized
                        | Fault::LateExecution
                );
            match kind.filter(|_| !is_found) {
                None => assert!(
                    matches!(came, Came::Whole(_)),
                    "{fault} {operation:?}: {came:?}"
                ),
                Some(kind) => {
                    let is_refused = matches!(kind, ErrorKind::RateLimited | ErrorKind::Redirect);
                    let is_open = operation == Operation::Delete && !is_refused;
                    assert_eq!(came, Came::Failed(kind, is_open), "{fault} {operation:?}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_execution_within_the_grace_does_no_harm() {
    // The first request is given up and done later, but before the customer is free again.
    let plan = FaultPlan::script([Some(Fault::LateExecution)]).late_by(Duration::from_millis(800));
    for plan in [plan.clone(), plan.late_behind_gateway()] {
        let sandbox = Sandbox::builder().faults(plan).start().await;
        let sandbox = sandbox.expect("a sandbox");
        let store = patient(&sandbox);
        let rows = ["first", "second", "third"].map(|value| UpsertRow::new(1, 1, value));
        let mut outcomes = store.upsert().window(1).stream(futures::stream::iter(rows));
        use futures::StreamExt;
        while outcomes.next().await.is_some() {}
        assert!(outcomes.summary().is_complete());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(sandbox.value(1, 1).expect("a value").value, "third");
    }
}

/// A store that tries again at once, and waits a second for what it has given up.
fn patient(sandbox: &Sandbox) -> Store {
    Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .retry(RetryPolicy::default().initial_backoff(Duration::from_millis(1)))
        .limits(Limits::default().grace_period(Duration::from_secs(1)))
        .build()
        .expect("a store")
}

#[tokio::test(start_paused = true)]
async fn an_attribute_that_is_created_late_is_not_created_again() {
    let plan =
        FaultPlan::script([None, Some(Fault::LateExecution)]).late_by(Duration::from_millis(800));
    for plan in [plan.clone(), plan.late_behind_gateway()] {
        let sandbox = Sandbox::builder().faults(plan).start().await;
        let sandbox = sandbox.expect("a sandbox");
        let wanted = [("Points", AttributeType::Number)];
        let created = patient(&sandbox).attributes().ensure(wanted).await;
        assert_eq!(created.expect("is there").len(), 1);
        let counts = sandbox.counts();
        assert_eq!((counts.attribute_gets, counts.attribute_posts), (2, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_gateway_gave_up_counts_as_being_in_flight() {
    let plan = FaultPlan::seeded(1)
        .rate(1.0)
        .only([Fault::LateExecution])
        .late_by(Duration::from_millis(800))
        .late_behind_gateway();
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .retry(
            RetryPolicy::default()
                .max_attempts(3)
                .initial_backoff(Duration::from_millis(1)),
        )
        .limits(
            Limits::default()
                .max_in_flight(1)
                .grace_period(Duration::from_secs(1)),
        )
        .build()
        .expect("a store");
    let began = tokio::time::Instant::now();
    let report = store.upsert().customer(1, [(1, "x")]).send().await;
    assert_eq!(report.expect("a report").summary().unknown, 1);
    // Three requests, of which each waited for the one before it to be over.
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(sandbox.counts().requests, 3);
}

#[tokio::test(start_paused = true)]
async fn requests_that_were_given_up_count_as_being_in_flight() {
    // Each answer takes longer than an attempt may, so the server is still at it.
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
    assert_eq!(report.summary().unknown, 60);
    let counts = sandbox.counts();
    assert!(counts.peak_in_flight <= 3, "{counts}");
    assert_eq!(counts.in_flight_429s, 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_while_a_call_is_in_trouble() {
    let plan = FaultPlan::seeded(4).rate(0.7).only([
        Fault::Unavailable,
        Fault::ClosedBeforeWork,
        Fault::GatewayTimeout,
    ]);
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let (sender, events) = std::sync::mpsc::channel();
    let rows = (1..=2000).map(|customer| UpsertRow::new(customer, 1, "x"));
    let upsert = crate::support::store(sandbox.base_url())
        .upsert()
        .rows(rows);
    let upsert = upsert.observe(move |event| {
        let _ = sender.send(event.clone());
    });
    let report = upsert.send().await.expect("a report");
    assert!(report.summary().stored > 1500, "{}", report.summary());
    let mut waits = HashMap::new();
    let mut held_back = 0;
    for event in events.iter() {
        match event {
            Event::Waiting { call, .. } => *waits.entry(call).or_insert(0) += 1,
            Event::CallFinished { call, .. } => {
                held_back += u32::from(waits.remove(&call).is_some_and(|waits| waits >= 2));
            }
            Event::BatchReady { call, .. } => {
                let in_trouble = waits.values().any(|&waits| waits >= 2);
                assert!(!in_trouble, "call {call} was begun in trouble");
            }
            _ => {}
        }
    }
    assert!(held_back > 10, "there was trouble");
}

#[tokio::test(start_paused = true)]
async fn a_429_that_says_how_long_makes_everyone_wait_once() {
    let plan = FaultPlan::script([Some(Fault::RateLimited)]);
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let start = Instant::now();
    let (sender, sent) = std::sync::mpsc::channel();
    let rows = (1..=60).map(|customer| UpsertRow::new(customer, 1, "x"));
    let upsert = crate::support::store(sandbox.base_url())
        .upsert()
        .rows(rows);
    let upsert = upsert.observe(move |event| {
        if matches!(event, Event::RequestStarted { .. }) {
            let _ = sender.send(start.elapsed());
        }
    });
    assert_eq!(upsert.send().await.expect("a report").summary().stored, 60);
    let sent: Vec<_> = sent.iter().collect();
    assert_eq!(sent.len(), 7);
    // X-Retry-After says 1 s, the reset header less: the longer counts, for all.
    let second = Duration::from_secs(1);
    assert!(
        sent[1..].iter().all(|&at| at >= second && at < 2 * second),
        "{sent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_nothing_is_piled_up() {
    let plan = FaultPlan::none().outage(Duration::from_secs(20));
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = crate::support::store(sandbox.base_url());
    let (sender, events) = std::sync::mpsc::channel();
    let rows = (1..=3000).map(|customer| UpsertRow::new(customer, 1, "x"));
    let upsert = store.upsert().rows(rows).observe(move |event| {
        let _ = sender.send(event.clone());
    });
    let report = upsert.send().await.expect("a report");
    assert_eq!(report.summary().stored, 3000, "{}", report.summary());
    let mut begun = 0;
    for event in events.iter() {
        match event {
            Event::BatchReady { .. } => begun += 1,
            Event::RequestFinished {
                status: Some(200), ..
            } => break,
            _ => {}
        }
    }
    assert!(begun <= 3, "{begun} calls were begun during the outage");
    // Few requests went into it.
    assert!(report.summary().requests <= 300 + 3 * 10);
}
