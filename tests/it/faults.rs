//! The result of each kind of fault for each operation.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bigcommerce_ext::sdk::types::AttributeType;
use bigcommerce_ext::{
    Error, ErrorKind, Event, Limits, OutcomeKind, Report, RetryPolicy, Store, UpsertRow, WaitReason,
};
use bigcommerce_sandbox::{Fault, FaultPlan, Operation, Sandbox};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep};

use crate::support::{TOKEN, store};

const MAX_ATTEMPTS: u32 = 4;

/// The outcomes of an upsert of six rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UpsertResult {
    Stored,
    Unknown,
    NotSent,
    /// Every response leaves out at least one row, which stays unknown. The others are stored.
    SomeUnknown,
}

/// The expected results for some kinds of faults.
struct Case {
    faults: &'static [Fault],
    /// The requests of an upsert if the fault happens once.
    upsert_requests: u64,
    /// The result of an upsert if the fault happens to every request.
    upsert_result: UpsertResult,
    /// The requests of other operations if the fault happens once.
    other_requests: Option<OtherRequests>,
    /// The kind of the error if the fault happens to every request.
    error: Option<ErrorKind>,
    /// Why a call waits before a retry.
    wait: Option<WaitReason>,
}

struct OtherRequests {
    list: u64,
    delete: u64,
    /// Includes the lists of attributes before the creation and after a failure.
    create_attributes: u64,
}

const CASES: &[Case] = &[
    Case {
        faults: &[Fault::RateLimited],
        upsert_requests: 2,
        upsert_result: UpsertResult::NotSent,
        other_requests: Some(OtherRequests {
            list: 2,
            delete: 2,
            create_attributes: 4,
        }),
        error: Some(ErrorKind::RateLimited),
        wait: Some(WaitReason::Quota),
    },
    Case {
        faults: &[Fault::Busy],
        upsert_requests: 2,
        upsert_result: UpsertResult::NotSent,
        other_requests: Some(OtherRequests {
            list: 2,
            delete: 2,
            create_attributes: 4,
        }),
        error: Some(ErrorKind::RateLimited),
        wait: Some(WaitReason::Busy),
    },
    Case {
        faults: &[
            Fault::InternalError,
            Fault::BadGateway,
            Fault::Unavailable,
            Fault::GatewayTimeout,
            Fault::Maintenance,
        ],
        upsert_requests: 2,
        upsert_result: UpsertResult::Unknown,
        other_requests: Some(OtherRequests {
            list: 2,
            delete: 2,
            create_attributes: 5,
        }),
        error: Some(ErrorKind::Unavailable),
        wait: Some(WaitReason::Server),
    },
    Case {
        faults: &[Fault::ErrorAfterWork],
        upsert_requests: 2,
        upsert_result: UpsertResult::Unknown,
        other_requests: Some(OtherRequests {
            list: 2,
            delete: 2,
            create_attributes: 3,
        }),
        error: Some(ErrorKind::Unavailable),
        wait: Some(WaitReason::Server),
    },
    Case {
        faults: &[
            Fault::HtmlSuccess,
            Fault::Truncated,
            Fault::ClosedDuringResponse,
            Fault::Oversized,
        ],
        upsert_requests: 2,
        upsert_result: UpsertResult::Unknown,
        other_requests: Some(OtherRequests {
            list: 2,
            delete: 2,
            create_attributes: 3,
        }),
        error: Some(ErrorKind::InvalidResponse),
        wait: Some(WaitReason::Server),
    },
    Case {
        faults: &[Fault::ClosedBeforeWork],
        upsert_requests: 2,
        upsert_result: UpsertResult::Unknown,
        other_requests: Some(OtherRequests {
            list: 2,
            delete: 2,
            create_attributes: 5,
        }),
        error: Some(ErrorKind::Connection),
        wait: Some(WaitReason::Connection),
    },
    Case {
        faults: &[Fault::ClosedAfterWork, Fault::LateExecution],
        upsert_requests: 2,
        upsert_result: UpsertResult::Unknown,
        other_requests: Some(OtherRequests {
            list: 2,
            delete: 2,
            create_attributes: 3,
        }),
        error: Some(ErrorKind::Connection),
        wait: Some(WaitReason::Connection),
    },
    Case {
        faults: &[Fault::Redirect],
        upsert_requests: 2,
        upsert_result: UpsertResult::NotSent,
        other_requests: Some(OtherRequests {
            list: 2,
            delete: 2,
            create_attributes: 4,
        }),
        error: Some(ErrorKind::Redirect),
        wait: Some(WaitReason::Server),
    },
    Case {
        faults: &[Fault::Trickle, Fault::Slow],
        upsert_requests: 1,
        upsert_result: UpsertResult::Stored,
        other_requests: Some(OtherRequests {
            list: 1,
            delete: 1,
            create_attributes: 3,
        }),
        error: None,
        wait: None,
    },
    Case {
        faults: &[Fault::PartialPage, Fault::Normalized],
        upsert_requests: 1,
        upsert_result: UpsertResult::Stored,
        other_requests: None,
        error: None,
        wait: None,
    },
    Case {
        faults: &[Fault::DroppedRows, Fault::HiddenRows],
        upsert_requests: 2,
        upsert_result: UpsertResult::SomeUnknown,
        other_requests: None,
        error: Some(ErrorKind::InvalidResponse),
        wait: None,
    },
];

/// Returns each fault with its expected results.
fn cases() -> impl Iterator<Item = (Fault, &'static Case)> {
    let with_case = |case: &'static Case| case.faults.iter().map(move |&fault| (fault, case));
    CASES.iter().flat_map(with_case)
}

/// Upserts six rows. Returns the reasons of all waits, too.
async fn upsert(plan: FaultPlan) -> (Sandbox, Report, Vec<WaitReason>) {
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = store_with_short_grace(&sandbox, RetryPolicy::default().max_attempts(MAX_ATTEMPTS));
    let (sender, waits) = std::sync::mpsc::channel();
    let rows = (1..=6).map(|customer| UpsertRow::new(customer, 1, " 1.0 "));
    let upsert = store.upsert().rows(rows).observe(move |event| {
        if let Event::Waiting { reason, .. } = event {
            sender.send(*reason).unwrap_or_default();
        }
    });
    let report = upsert.send().await.expect("a report");
    (sandbox, report, waits.try_iter().collect())
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

#[test]
fn every_kind_of_fault_has_one_case() {
    for &fault in Fault::ALL {
        let cases: Vec<_> = cases().filter(|(other, _)| *other == fault).collect();
        let [(_, case)] = cases[..] else {
            panic!("{fault} has {} cases", cases.len());
        };
        let mut others = Operation::ALL
            .iter()
            .filter(|operation| **operation != Operation::Upsert);
        assert!(fault.applies_to(Operation::Upsert), "{fault}");
        assert_eq!(
            others.any(|&operation| fault.applies_to(operation)),
            case.other_requests.is_some(),
            "{fault}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_upsert_with_one_fault_stores_all_rows() {
    for (fault, case) in cases() {
        let (sandbox, report, waits) = upsert(FaultPlan::script([Some(fault)])).await;
        let summary = report.summary();
        assert_eq!(
            (summary.stored, summary.rows()),
            (6, 6),
            "{fault}: {report:?}"
        );
        assert_eq!(summary.requests, case.upsert_requests, "{fault}");
        assert_eq!(waits, Vec::from_iter(case.wait), "{fault}");
        assert_eq!(sandbox.counts().faults, 1, "{fault}");
        let normalised = fault == Fault::Normalized;
        let expected = if normalised { "1" } else { " 1.0 " };
        assert_eq!(values(&sandbox), [expected; 6], "{fault}");
        let differing = report.outcomes().iter().filter(|o| o.differs()).count();
        assert_eq!(differing, if normalised { 6 } else { 0 }, "{fault}");
        let without_record = report
            .outcomes()
            .iter()
            .filter(|outcome| matches!(outcome.kind, OutcomeKind::Stored(None)))
            .count();
        assert_eq!(without_record > 0, fault == Fault::PartialPage, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upsert_with_a_permanent_fault_ends_with_its_error() {
    for (fault, case) in cases() {
        let plan = FaultPlan::seeded(1).rate(1.0).only([fault]);
        let (_sandbox, report, waits) = upsert(plan).await;
        let summary = report.summary();
        let counts = (summary.stored, summary.unknown, summary.not_sent);
        match case.upsert_result {
            UpsertResult::Stored => assert_eq!(counts, (6, 0, 0), "{fault}"),
            UpsertResult::Unknown => assert_eq!(counts, (0, 6, 0), "{fault}"),
            UpsertResult::NotSent => assert_eq!(counts, (0, 0, 6), "{fault}"),
            // The number of rows that a response leaves out is random.
            UpsertResult::SomeUnknown => {
                assert!(summary.unknown >= 1, "{fault}: {summary}");
                assert_eq!(summary.stored + summary.unknown, 6, "{fault}");
            }
        }
        let stops_run = fault == Fault::Redirect;
        assert_eq!(report.stopped_by().is_some(), stops_run, "{fault}");
        if let Some(reason) = case.wait {
            // A 429 with a time to wait does not count as an attempt.
            if fault != Fault::RateLimited {
                assert_eq!(waits, [reason; MAX_ATTEMPTS as usize - 1], "{fault}");
            }
            assert!(waits.iter().all(|wait| *wait == reason), "{fault}");
            assert_eq!(summary.requests, waits.len() as u64 + 1, "{fault}");
        } else {
            assert_eq!(waits, [], "{fault}");
        }
        for error in report.outcomes().iter().filter_map(|o| o.error()) {
            let text = error.to_string();
            assert_eq!(Some(error.kind()), case.error, "{fault}: {text}");
            assert_eq!(error.status(), status(fault), "{fault}: {text}");
            assert_eq!(error.is_temporary(), !stops_run, "{fault}: {text}");
            let expected = match fault {
                Fault::RateLimited => "beyond RetryPolicy::retry_timeout",
                Fault::DroppedRows | Fault::HiddenRows => "no response confirmed the row",
                _ => "(4 attempts over ",
            };
            assert!(text.contains(expected), "{fault}: {text}");
            if case.wait.is_some() {
                assert_eq!(u64::from(error.attempts()), summary.requests, "{text}");
            } else {
                assert_eq!(summary.requests, u64::from(MAX_ATTEMPTS), "{fault}");
            }
        }
    }
}

/// Returns the status that an error reports if the fault happens to every request.
fn status(fault: Fault) -> Option<u16> {
    match fault {
        Fault::RateLimited | Fault::Busy => Some(429),
        Fault::InternalError => Some(500),
        Fault::BadGateway => Some(502),
        Fault::Unavailable | Fault::Maintenance => Some(503),
        // After the work it is 500 or 504, at random: 504 with the seed of the test.
        Fault::GatewayTimeout | Fault::ErrorAfterWork => Some(504),
        Fault::Redirect => Some(307),
        Fault::HtmlSuccess | Fault::Truncated | Fault::ClosedDuringResponse | Fault::Oversized => {
            Some(200)
        }
        _ => None,
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
    let builder = Sandbox::builder().attribute(101, "Tier").faults(plan);
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
        Operation::ListAttributes => {
            let listed = store.attributes().list().await;
            listed.map_or_else(failed, |attributes| complete(attributes.len() == 1))
        }
        Operation::CreateAttributes => {
            let wanted = ["Points", "Tier", "Level"].map(|name| (name, AttributeType::String));
            let created = store.attributes().ensure(wanted).await;
            created.map_or_else(failed, |created| complete(created.len() == 3))
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
    for (fault, case) in cases() {
        let Some(expected) = &case.other_requests else {
            continue;
        };
        for (operation, requests) in [
            (Operation::List, expected.list),
            (Operation::Delete, expected.delete),
            (Operation::ListAttributes, expected.list),
            (Operation::CreateAttributes, expected.create_attributes),
        ] {
            if fault.applies_to(operation) {
                // Before attributes are created, they are listed.
                let is_second = operation == Operation::CreateAttributes;
                let before = std::iter::repeat_n(None, usize::from(is_second));
                let plan = FaultPlan::script(before.chain([Some(fault)]));
                let (sandbox, result) = run(operation, plan).await;
                let complete = OperationResult::Complete { requests };
                assert_eq!(result, complete, "{fault} {operation:?}");
                assert_eq!(sandbox.counts().faults, 1, "{fault} {operation:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn other_operations_with_a_permanent_fault_end_with_its_error() {
    for (fault, case) in cases() {
        for &operation in Operation::ALL {
            if operation == Operation::Upsert || !fault.applies_to(operation) {
                continue;
            }
            let plan = FaultPlan::seeded(1).rate(1.0).only([fault]);
            let (_sandbox, result) = run(operation, plan).await;
            // If only the response is lost, the next list shows the created attributes.
            let is_created = operation == Operation::CreateAttributes
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
            match case.error.filter(|_| !is_created) {
                None => assert!(
                    matches!(result, OperationResult::Complete { .. }),
                    "{fault} {operation:?}: {result:?}"
                ),
                Some(kind) => {
                    let is_unexecuted =
                        matches!(kind, ErrorKind::RateLimited | ErrorKind::Redirect);
                    let failed = OperationResult::Failed {
                        kind,
                        is_ambiguous: operation == Operation::Delete && !is_unexecuted,
                    };
                    assert_eq!(result, failed, "{fault} {operation:?}");
                }
            }
        }
    }
}

fn fast_retries() -> RetryPolicy {
    RetryPolicy::default().initial_backoff(Duration::from_millis(1))
}

#[tokio::test(start_paused = true)]
async fn the_last_row_wins_over_a_request_that_is_executed_within_the_grace_period() {
    // The first request is abandoned and executed later, while its customer is still held.
    let plan = FaultPlan::script([Some(Fault::LateExecution)]).late_by(Duration::from_millis(800));
    for plan in [plan.clone(), plan.late_behind_gateway()] {
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
    let plan =
        FaultPlan::script([None, Some(Fault::LateExecution)]).late_by(Duration::from_millis(800));
    for plan in [plan.clone(), plan.late_behind_gateway()] {
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
        .only([Fault::LateExecution])
        .late_by(Duration::from_millis(800))
        .late_behind_gateway();
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
    assert_eq!(sandbox.counts().requests, 3);
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
    assert_eq!(report.summary().unknown, 60);
    let counts = sandbox.counts();
    assert!(counts.peak_in_flight <= 3, "{counts}");
    assert_eq!(counts.in_flight_429s, 0);
}

#[tokio::test(start_paused = true)]
async fn no_batch_starts_while_a_call_keeps_failing() {
    let plan = FaultPlan::seeded(4).rate(0.7).only([
        Fault::Unavailable,
        Fault::ClosedBeforeWork,
        Fault::GatewayTimeout,
    ]);
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let (sender, events) = std::sync::mpsc::channel();
    let rows = (1..=2000).map(|customer| UpsertRow::new(customer, 1, "x"));
    let upsert = store(sandbox.base_url()).upsert().rows(rows);
    let upsert = upsert.observe(move |event| {
        sender.send(event.clone()).unwrap_or_default();
    });
    let report = upsert.send().await.expect("a report");
    assert!(report.summary().stored > 1500, "{}", report.summary());
    let mut waits = HashMap::new();
    let mut failing_calls = 0;
    for event in events.iter() {
        match event {
            Event::Waiting { call, .. } => *waits.entry(call).or_insert(0) += 1,
            Event::CallFinished { call, .. } => {
                failing_calls += u32::from(waits.remove(&call).is_some_and(|waits| waits >= 2));
            }
            Event::BatchReady { call, .. } => {
                let is_failing = waits.values().any(|&waits| waits >= 2);
                assert!(
                    !is_failing,
                    "call {call} started while another kept failing"
                );
            }
            _ => {}
        }
    }
    assert!(failing_calls > 10, "{failing_calls} calls kept failing");
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
