//! Each fault with each operation: what the client sees, and what the store contains afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bigcommerce_sandbox::{Fault, FaultPlan, Operation, Sandbox};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::client::{get, row};
use crate::raw_client::{
    RawClient, RawResponse, insert_old_values, new_rows, send_operation, values_by_customer,
};

async fn start_with(plan: FaultPlan) -> Sandbox {
    let sandbox = Sandbox::builder()
        .quota(100, Duration::from_secs(30))
        .attribute(1, "Old")
        .faults(plan)
        .start()
        .await
        .unwrap();
    insert_old_values(&sandbox);
    sandbox
}

fn once(fault: Fault) -> FaultPlan {
    FaultPlan::script([Some(fault)])
}

#[derive(Debug, PartialEq)]
enum Execution {
    None,
    Complete,
    /// Altered by the fault, in a way that has its own test.
    Altered,
}

struct Expected {
    /// `None` if no byte is sent.
    status: Option<u16>,
    complete: bool,
    execution: Execution,
    uses_quota: bool,
    has_quota_headers: bool,
}

fn expected(fault: Fault, operation: Operation) -> Expected {
    let usual = match operation {
        Operation::Delete | Operation::DeleteAttributes => 204,
        _ => 200,
    };
    let (status, execution) = match fault {
        Fault::RateLimited | Fault::Busy => (Some(429), Execution::None),
        Fault::InternalError => (Some(500), Execution::None),
        Fault::BadGateway => (Some(502), Execution::None),
        Fault::Unavailable | Fault::Maintenance => (Some(503), Execution::None),
        Fault::GatewayTimeout => (Some(504), Execution::None),
        Fault::Redirect => (Some(307), Execution::None),
        Fault::ClosedBeforeWork | Fault::LateExecution => (None, Execution::None),
        // Or 524; the test accepts either.
        Fault::LateBehindGateway => (Some(504), Execution::None),
        Fault::Accepted => (Some(202), Execution::None),
        Fault::TotalTooLarge if operation == Operation::Upsert => (Some(usual), Execution::Altered),
        Fault::ClosedAfterWork => (None, Execution::Complete),
        // Or 504; the test accepts either.
        Fault::ErrorAfterWork => (Some(500), Execution::Complete),
        Fault::HtmlSuccess | Fault::Oversized => (Some(200), Execution::Complete),
        Fault::DroppedRows | Fault::Normalized => (Some(usual), Execution::Altered),
        Fault::Truncated
        | Fault::ClosedDuringResponse
        | Fault::Trickle
        | Fault::HiddenRows
        | Fault::PartialPage
        | Fault::Slow
        | Fault::StalledBody
        | Fault::ShortPage
        | Fault::EmptyPage
        | Fault::TotalTooLarge
        | Fault::TotalTooSmall
        | Fault::IgnoredFilters => (Some(usual), Execution::Complete),
    };
    Expected {
        status,
        complete: status.is_some()
            && !matches!(
                fault,
                Fault::Truncated | Fault::ClosedDuringResponse | Fault::StalledBody
            ),
        execution,
        uses_quota: !matches!(fault, Fault::RateLimited | Fault::Busy),
        has_quota_headers: status.is_some()
            && !matches!(
                fault,
                Fault::Busy
                    | Fault::BadGateway
                    | Fault::GatewayTimeout
                    | Fault::Maintenance
                    | Fault::Redirect
                    | Fault::HtmlSuccess
                    | Fault::ErrorAfterWork
                    | Fault::LateBehindGateway
            ),
    }
}

/// Returns the store's values after an operation.
fn values_after(operation: Operation, execution: &Execution) -> Vec<(i64, String)> {
    let old = (1..=5).map(|n| (n, "old".to_owned()));
    match operation {
        _ if *execution == Execution::None => old.collect(),
        Operation::List
        | Operation::ListAttributes
        | Operation::CreateAttributes
        | Operation::UpdateAttributes
        | Operation::ListCustomers
        | Operation::CreateCustomers => old.collect(),
        Operation::DeleteAttributes => Vec::new(),
        Operation::Delete => old.filter(|(n, _)| *n != 1 && *n != 3).collect(),
        Operation::Upsert => {
            let rows = new_rows();
            let values = rows.as_array().unwrap().iter();
            let values = values.map(|row| row["value"].as_str().unwrap().to_owned());
            (1..).zip(values).collect()
        }
    }
}

/// Returns the names of the attributes and the number of customers after an operation.
fn records_after(operation: Operation, execution: &Execution) -> (Vec<&'static str>, usize) {
    match operation {
        _ if *execution == Execution::None => (vec!["Old"], 5),
        Operation::CreateAttributes => (vec!["Old", "Tier"], 5),
        Operation::UpdateAttributes => (vec!["Renamed"], 5),
        Operation::DeleteAttributes => (Vec::new(), 5),
        Operation::CreateCustomers => (vec!["Old"], 6),
        _ => (vec!["Old"], 5),
    }
}

#[track_caller]
fn assert_records(sandbox: &Sandbox, operation: Operation, execution: &Execution, case: &str) {
    let (names, customers) = records_after(operation, execution);
    let attributes = sandbox.attributes();
    let actual: Vec<_> = attributes.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(actual, names, "{case}");
    assert_eq!(sandbox.customers().len(), customers, "{case}");
}

#[tokio::test(start_paused = true)]
async fn each_fault_has_its_documented_effect_on_each_operation() {
    for (fault, operation) in Fault::ALL
        .iter()
        .flat_map(|fault| Operation::ALL.iter().map(|operation| (*fault, *operation)))
    {
        let case = format!("{fault}, {operation:?}");
        let sandbox = start_with(once(fault)).await;
        let response = send_operation(&sandbox, operation).await;

        // Checked at once: nothing may change after the client has seen the end.
        let (counts, values) = (sandbox.counts(), values_by_customer(&sandbox));
        if !fault.applies_to(operation) {
            assert_eq!(counts.faults, 0, "{case}");
            assert!(response.complete, "{case}");
            assert_eq!(
                values,
                values_after(operation, &Execution::Complete),
                "{case}"
            );
            continue;
        }
        let expected = expected(fault, operation);
        let status = match (fault, response.status()) {
            (Fault::ErrorAfterWork, Some(504)) => Some(500),
            (Fault::LateBehindGateway, Some(524)) => Some(504),
            (_, status) => status,
        };
        assert_eq!(status, expected.status, "{case}");
        assert_eq!(response.complete, expected.complete, "{case}");
        let left = response.header("x-rate-limit-requests-left");
        assert_eq!(left.is_some(), expected.has_quota_headers, "{case}");
        if expected.execution != Execution::Altered {
            assert_eq!(
                values,
                values_after(operation, &expected.execution),
                "{case}"
            );
            assert_records(&sandbox, operation, &expected.execution, &case);
        }
        let is_late = matches!(fault, Fault::LateExecution | Fault::LateBehindGateway);
        assert_eq!(counts.in_flight, usize::from(is_late), "{case}");
        assert_eq!((counts.requests, counts.faults), (1, 1), "{case}");
        assert_eq!(
            sandbox.fault_counts(),
            BTreeMap::from([(fault, 1)]),
            "{case}"
        );
        assert_eq!((counts.in_flight_429s, counts.quota_429s), (0, 0), "{case}");

        // The next request succeeds, and shows whether the faulty one used quota.
        let next = get(sandbox.base_url(), "").await;
        assert_eq!(next.status, 200, "{case}");
        let left = 99 - u64::from(expected.uses_quota);
        assert_eq!(next.rate_limit("Requests-Left"), Some(left), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_response_is_shorter_than_its_content_length() {
    for operation in [
        Operation::Upsert,
        Operation::List,
        Operation::ListAttributes,
        Operation::CreateAttributes,
        Operation::UpdateAttributes,
        Operation::ListCustomers,
        Operation::CreateCustomers,
    ] {
        let usual = send_operation(&start_with(FaultPlan::none()).await, operation).await;
        let length = usual.body().len();

        let truncated = send_operation(&start_with(once(Fault::Truncated)).await, operation).await;
        // The JSON is complete; only the length reveals the fault.
        assert_eq!(truncated.json()["data"], usual.json()["data"]);
        assert!(truncated.number("content-length").unwrap() > truncated.body().len());

        let cut = send_operation(
            &start_with(once(Fault::ClosedDuringResponse)).await,
            operation,
        )
        .await;
        assert_eq!(cut.number("content-length"), Some(length));
        assert_eq!(cut.body().len(), length / 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_response_is_cut_in_half() {
    let sandbox = start_with(once(Fault::ClosedDuringResponse)).await;
    for customer in 10..3000 {
        sandbox.insert(customer, 1, "x".repeat(255));
    }
    let mut client = RawClient::connect(&sandbox).await;
    client.send("GET", "limit=250", "").await;
    let cut = client.read_response().await;
    assert!(cut.body().len() > 40_000);
    assert_eq!(cut.body().len(), cut.number("content-length").unwrap() / 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_stays_open_after_a_complete_response() {
    let closing = [
        Fault::Truncated,
        Fault::ClosedBeforeWork,
        Fault::ClosedAfterWork,
        Fault::ClosedDuringResponse,
        Fault::LateExecution,
        Fault::StalledBody,
    ];
    let others = Fault::ALL.iter().filter(|fault| !closing.contains(fault));
    for fault in others.filter(|fault| fault.applies_to(Operation::Upsert)) {
        let sandbox = start_with(once(*fault)).await;
        let mut client = RawClient::connect(&sandbox).await;
        for _ in 0..2 {
            client.send("PUT", "", &new_rows().to_string()).await;
            assert!(client.read_response().await.complete, "{fault}");
        }
        assert_eq!(sandbox.counts().faults, 1, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_429_for_the_quota_says_when_to_retry() {
    let numbers = |response: &RawResponse| {
        [
            "x-rate-limit-time-window-ms",
            "x-rate-limit-time-reset-ms",
            "x-rate-limit-requests-quota",
            "x-rate-limit-requests-left",
            "x-retry-after",
        ]
        .map(|name| response.number(name))
    };
    let sandbox = start_with(once(Fault::RateLimited)).await;
    let response = send_operation(&sandbox, Operation::List).await;
    assert_eq!(numbers(&response), [30_000, 50, 100, 0, 1].map(Some));

    // The headers are sent without a quota too.
    let plan = once(Fault::RateLimited).reset_in(Duration::from_millis(2_001));
    let sandbox = Sandbox::builder().faults(plan).start().await.unwrap();
    let response = send_operation(&sandbox, Operation::List).await;
    assert_eq!(numbers(&response), [30_000, 2_001, 150, 0, 3].map(Some));

    let sandbox = start_with(once(Fault::Busy)).await;
    let response = send_operation(&sandbox, Operation::List).await;
    assert_eq!(numbers(&response), [None; 5]);
    assert_eq!(
        (response.body(), response.header("content-type")),
        (&b""[..], None)
    );
}

#[tokio::test(start_paused = true)]
async fn gateway_responses_are_html() {
    for (fault, is_html) in [
        (Fault::InternalError, false),
        (Fault::Unavailable, false),
        (Fault::BadGateway, true),
        (Fault::GatewayTimeout, true),
        (Fault::Maintenance, true),
        (Fault::HtmlSuccess, true),
    ] {
        for operation in Operation::ALL {
            let response = send_operation(&start_with(once(fault)).await, *operation).await;
            let content_type = response.header("content-type").unwrap();
            assert_eq!(content_type.starts_with("text/html"), is_html, "{fault}");
            assert_eq!(
                response.body().starts_with(b"<!DOCTYPE html>"),
                is_html,
                "{fault}"
            );
            if !is_html {
                assert_eq!(response.json()["status"], response.status().unwrap());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_gateway_is_random() {
    for (fault, expected) in [
        (Fault::ErrorAfterWork, [500, 504]),
        (Fault::LateBehindGateway, [504, 524]),
    ] {
        let plan = FaultPlan::seeded(1).rate(1.0).only([fault]);
        let sandbox = start_with(plan.late_by(Duration::ZERO)).await;
        let mut statuses = BTreeMap::new();
        for _ in 0..40 {
            let response = send_operation(&sandbox, Operation::Upsert).await;
            *statuses.entry(response.status().unwrap()).or_insert(0) += 1;
            while sandbox.counts().in_flight > 0 {
                tokio::task::yield_now().await;
            }
        }
        assert!(statuses.keys().copied().eq(expected), "{statuses:?}");
        assert!(statuses.values().all(|count| *count > 8), "{statuses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_names_the_location_of_the_plan() {
    for (plan, location) in [
        (once(Fault::Redirect), Some("http://127.0.0.1:1/")),
        (
            once(Fault::Redirect).redirect_to("http://127.0.0.2:8080/x?y=z"),
            Some("http://127.0.0.2:8080/x?y=z"),
        ),
        (once(Fault::Redirect).redirect_to("a\r\nb: c"), None),
    ] {
        let response = send_operation(&start_with(plan).await, Operation::Upsert).await;
        assert_eq!(response.header("location"), location);
    }
}

#[tokio::test(start_paused = true)]
async fn an_oversized_response_ends_with_the_usual_json() {
    for operation in Operation::ALL {
        let usual = send_operation(&start_with(FaultPlan::none()).await, *operation).await;
        let response = send_operation(&start_with(once(Fault::Oversized)).await, *operation).await;
        assert!(response.body().len() > 8 * 1024 * 1024);
        if matches!(operation, Operation::Delete | Operation::DeleteAttributes) {
            assert_eq!(response.json(), json!({}));
        } else {
            assert_eq!(response.json()["data"], usual.json()["data"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unread_oversized_response_holds_no_slot() {
    let sandbox = start_with(once(Fault::Oversized)).await;
    let mut client = RawClient::connect(&sandbox).await;
    client.send("PUT", "", &new_rows().to_string()).await;
    while sandbox.counts().faults == 0 {
        tokio::task::yield_now().await;
    }
    // The client has read nothing of the response.
    assert_eq!(sandbox.counts().in_flight, 0);
    drop(client);
    assert_eq!(get(sandbox.base_url(), "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_trickle_holds_its_slot_until_the_last_piece() {
    let over = Duration::from_secs(2);
    let sandbox = start_with(once(Fault::Trickle).trickle_over(over)).await;
    let mut client = RawClient::connect(&sandbox).await;
    let began = Instant::now();
    client.send("PUT", "", &new_rows().to_string()).await;
    let half = tokio::time::timeout(over / 2, client.read_response()).await;
    assert!(half.is_err());
    // The request has been executed, but still holds its slot.
    assert_eq!(
        values_by_customer(&sandbox),
        values_after(Operation::Upsert, &Execution::Complete)
    );
    assert_eq!(sandbox.counts().in_flight, 1);
    // The bytes of the first half were dropped with the future; the rest is still to come.
    let mut rest = Vec::new();
    while sandbox.counts().in_flight == 1 {
        let piece = client.stream().read_buf(&mut rest).await;
        assert!(piece.unwrap() > 0);
    }
    assert_eq!(began.elapsed(), over);

    let sandbox = start_with(once(Fault::Trickle)).await;
    let began = Instant::now();
    let response = send_operation(&sandbox, Operation::List).await;
    assert_eq!(began.elapsed(), Duration::from_millis(50));
    assert_eq!(response.json()["data"].as_array().unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_trickle_frees_its_slot_when_the_client_disconnects() {
    let plan = once(Fault::Trickle).trickle_over(Duration::MAX);
    let sandbox = start_with(plan).await;
    let mut client = RawClient::connect(&sandbox).await;
    client.send("GET", "", "").await;
    let timeout = Duration::from_secs(10);
    assert!(
        tokio::time::timeout(timeout, client.read_response())
            .await
            .is_err()
    );
    assert_eq!(sandbox.counts().in_flight, 1);
    drop(client);
    while sandbox.counts().in_flight == 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_waits_for_half_of_the_time_or_longer() {
    let max = Duration::from_secs(10);
    let plan = FaultPlan::seeded(1).rate(1.0).only([Fault::Slow]);
    let sandbox = start_with(plan.slow_by(max)).await;
    let mut waits = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        assert!(send_operation(&sandbox, Operation::List).await.complete);
        waits.push(began.elapsed());
    }
    assert!(
        waits.iter().all(|wait| (max / 2..=max).contains(wait)),
        "{waits:?}"
    );
    waits.sort_unstable();
    assert!(waits[19] - waits[0] > max / 4, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_late_upsert_is_executed_after_requests_sent_meanwhile() {
    let late = Duration::from_secs(5);
    for fault in [Fault::LateExecution, Fault::LateBehindGateway] {
        check_late_upsert(fault, late).await;
    }
}

async fn check_late_upsert(fault: Fault, late: Duration) {
    let sandbox = start_with(once(fault).late_by(late)).await;
    send_operation(&sandbox, Operation::Upsert).await;
    assert_eq!(
        values_by_customer(&sandbox),
        values_after(Operation::Upsert, &Execution::None)
    );

    // The client repeats the request, then deletes two values.
    assert!(send_operation(&sandbox, Operation::Upsert).await.complete);
    assert_eq!(sandbox.counts().customer_overlaps, 1);
    assert!(send_operation(&sandbox, Operation::Delete).await.complete);
    assert_eq!(sandbox.counts().values, 3);
    assert_eq!(sandbox.counts().in_flight, 1);

    tokio::time::sleep(late).await;
    while sandbox.counts().in_flight == 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sandbox.counts().values, 5);
    assert_eq!(sandbox.value(1, 1).unwrap().value, "new");
}

#[tokio::test(start_paused = true)]
async fn other_late_writes_are_executed_after_the_delay() {
    let late = [
        Fault::LateExecution,
        Fault::LateBehindGateway,
        Fault::Accepted,
    ];
    for (fault, operation) in late.into_iter().flat_map(|fault| {
        [
            Operation::Delete,
            Operation::CreateAttributes,
            Operation::UpdateAttributes,
            Operation::DeleteAttributes,
            Operation::CreateCustomers,
        ]
        .map(|operation| (fault, operation))
    }) {
        let sandbox = start_with(once(fault)).await;
        send_operation(&sandbox, operation).await;
        assert_eq!(
            values_by_customer(&sandbox),
            values_after(operation, &Execution::None)
        );
        assert_records(&sandbox, operation, &Execution::None, "before");

        tokio::time::sleep(Duration::from_millis(51)).await;
        assert_eq!(
            values_by_customer(&sandbox),
            values_after(operation, &Execution::Complete)
        );
        assert_records(&sandbox, operation, &Execution::Complete, "after");
        assert_eq!(sandbox.counts().in_flight, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_accepted_request_is_no_longer_in_flight_and_executed_late() {
    let late = Duration::from_secs(5);
    let sandbox = start_with(once(Fault::Accepted).late_by(late)).await;
    let response = send_operation(&sandbox, Operation::Upsert).await;
    assert_eq!((response.status(), response.body()), (Some(202), &b""[..]));
    assert_eq!(sandbox.counts().in_flight, 0);
    assert_eq!(sandbox.value(1, 1).unwrap().value, "old");
    // A value that is stored in the meantime is overwritten.
    sandbox.insert(1, 1, "newer");
    tokio::time::sleep(late + Duration::from_millis(1)).await;
    assert_eq!(sandbox.value(1, 1).unwrap().value, "new");
    assert_eq!(sandbox.counts().customer_overlaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_sends_the_headers_and_stays_in_flight() {
    let stall = Duration::from_secs(60);
    let sandbox = start_with(once(Fault::StalledBody).stall_for(stall)).await;
    let began = Instant::now();
    let response = send_operation(&sandbox, Operation::Upsert).await;
    assert_eq!((response.status(), response.body()), (Some(200), &b""[..]));
    assert!(response.number("content-length").unwrap() > 0);
    assert!(began.elapsed() >= stall);

    let sandbox = start_with(once(Fault::StalledBody).stall_for(stall)).await;
    let mut client = RawClient::connect(&sandbox).await;
    client.send("PUT", "", &new_rows().to_string()).await;
    let timeout = Duration::from_secs(10);
    let response = tokio::time::timeout(timeout, client.read_response()).await;
    assert!(response.is_err());
    drop(client);
    // The request has been executed.
    assert_eq!(sandbox.value(1, 1).unwrap().value, "new");
    tokio::time::sleep(timeout).await;
    assert_eq!(sandbox.counts().in_flight, 1);
    tokio::time::sleep(stall).await;
    assert_eq!(sandbox.counts().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_an_admitted_request_waits_for_the_latency() {
    let latency = Duration::from_secs(1);
    for (fault, expected) in [
        (Fault::Busy, Duration::ZERO),
        (Fault::InternalError, latency),
        (Fault::ClosedBeforeWork, latency),
        (Fault::ClosedAfterWork, latency),
    ] {
        let builder = Sandbox::builder().latency(latency).faults(once(fault));
        let sandbox = builder.start().await.unwrap();
        let began = Instant::now();
        send_operation(&sandbox, Operation::Upsert).await;
        assert_eq!(began.elapsed(), expected, "{fault}");
    }
}

/// Three clients send their next request as soon as the last one ends. They run on other threads
/// than the server, so a slot that is freed too late causes a 429.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_frees_its_slot_before_the_client_sees_the_end() {
    let late = [Fault::LateExecution, Fault::LateBehindGateway];
    let others = Fault::ALL.iter().copied();
    let plan = FaultPlan::seeded(3)
        .rate(0.7)
        .only(others.filter(|fault| !late.contains(fault)))
        .late_by(Duration::ZERO)
        .stall_for(Duration::ZERO)
        .slow_by(Duration::ZERO)
        .trickle_over(Duration::ZERO);
    let sandbox = Sandbox::builder().faults(plan).start().await.unwrap();
    let sandbox = Arc::new(sandbox);
    let clients: Vec<_> = (1..=3)
        .map(|customer| {
            let sandbox = Arc::clone(&sandbox);
            tokio::spawn(async move {
                for n in 1..=150 {
                    let mut client = RawClient::connect(&sandbox).await;
                    let rows = json!([row(customer, 1, &n.to_string()), row(customer, 2, "v")]);
                    client.send("PUT", "", &rows.to_string()).await;
                    client.read_response().await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let counts = sandbox.counts();
    assert!(counts.faults > 200);
    assert_eq!((counts.in_flight, counts.in_flight_429s), (0, 0));
    assert_eq!(counts.customer_overlaps, 0);
    assert!(counts.peak_in_flight <= 3);
}
