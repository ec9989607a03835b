//! Each kind of fault to each operation: what the client sees, and what the store is like after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bigcommerce_sandbox::{Fault, FaultPlan, Operation, Sandbox};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::client::{get, row};
use crate::raw::{Raw, Seen, ask, fill, kept, rows};

async fn playing(plan: FaultPlan) -> Sandbox {
    let sandbox = Sandbox::builder()
        .quota(100, Duration::from_secs(30))
        .faults(plan)
        .start()
        .await
        .unwrap();
    fill(&sandbox);
    sandbox
}

fn once(fault: Fault) -> FaultPlan {
    FaultPlan::script([Some(fault)])
}

#[derive(Debug, PartialEq)]
enum Work {
    Nothing,
    All,
    /// Something else, which has a test of its own.
    Odd,
}

struct Expected {
    /// `None` where no byte is to come.
    status: Option<u16>,
    complete: bool,
    work: Work,
    takes_quota: bool,
    tells_quota: bool,
}

fn expected(fault: Fault, operation: Operation) -> Expected {
    let usual = if operation == Operation::Delete {
        204
    } else {
        200
    };
    let (status, work) = match fault {
        Fault::RateLimited | Fault::Busy => (Some(429), Work::Nothing),
        Fault::InternalError => (Some(500), Work::Nothing),
        Fault::BadGateway => (Some(502), Work::Nothing),
        Fault::Unavailable | Fault::Maintenance => (Some(503), Work::Nothing),
        Fault::GatewayTimeout => (Some(504), Work::Nothing),
        Fault::Redirect => (Some(307), Work::Nothing),
        Fault::ClosedBeforeWork | Fault::LateExecution => (None, Work::Nothing),
        Fault::ClosedAfterWork => (None, Work::All),
        // Or 504: which one is no matter here.
        Fault::ErrorAfterWork => (Some(500), Work::All),
        Fault::HtmlSuccess | Fault::Oversized => (Some(200), Work::All),
        Fault::LeavesOut | Fault::Normalised => (Some(usual), Work::Odd),
        Fault::Truncated
        | Fault::ClosedDuringAnswer
        | Fault::Trickle
        | Fault::HidesRows
        | Fault::PartialPage
        | Fault::Slow => (Some(usual), Work::All),
    };
    Expected {
        status,
        complete: status.is_some()
            && !matches!(fault, Fault::Truncated | Fault::ClosedDuringAnswer),
        work,
        takes_quota: !matches!(fault, Fault::RateLimited | Fault::Busy),
        tells_quota: status.is_some()
            && !matches!(
                fault,
                Fault::Busy
                    | Fault::BadGateway
                    | Fault::GatewayTimeout
                    | Fault::Maintenance
                    | Fault::Redirect
                    | Fault::HtmlSuccess
                    | Fault::ErrorAfterWork
            ),
    }
}

/// The store's values after an operation.
fn done(operation: Operation, work: &Work) -> Vec<(i64, String)> {
    let old = (1..=5).map(|n| (n, "old".to_owned()));
    match operation {
        _ if *work == Work::Nothing => old.collect(),
        Operation::List | Operation::Attributes | Operation::CreateAttributes => old.collect(),
        Operation::Delete => old.filter(|(n, _)| *n != 1 && *n != 3).collect(),
        Operation::Upsert => {
            let rows = rows();
            let values = rows.as_array().unwrap().iter();
            let values = values.map(|row| row["value"].as_str().unwrap().to_owned());
            (1..).zip(values).collect()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_to_each_operation() {
    for (fault, operation) in Fault::ALL
        .iter()
        .flat_map(|fault| Operation::ALL.iter().map(|operation| (*fault, *operation)))
    {
        let case = format!("{fault}, {operation:?}");
        let sandbox = playing(once(fault)).await;
        let seen = ask(&sandbox, operation).await;

        // At once: nothing is still to be settled when the client has seen the end.
        let (counts, values) = (sandbox.counts(), kept(&sandbox));
        if !fault.applies_to(operation) {
            assert_eq!(counts.faults, 0, "{case}");
            assert!(seen.complete, "{case}");
            assert_eq!(values, done(operation, &Work::All), "{case}");
            continue;
        }
        let expected = expected(fault, operation);
        let status = match (fault, seen.status()) {
            (Fault::ErrorAfterWork, Some(504)) => Some(500),
            (_, status) => status,
        };
        assert_eq!(status, expected.status, "{case}");
        assert_eq!(seen.complete, expected.complete, "{case}");
        let left = seen.header("x-rate-limit-requests-left");
        assert_eq!(left.is_some(), expected.tells_quota, "{case}");
        if expected.work != Work::Odd {
            assert_eq!(values, done(operation, &expected.work), "{case}");
            let is_created = operation == Operation::CreateAttributes && expected.work == Work::All;
            let attributes = sandbox.attributes().len();
            assert_eq!(attributes, usize::from(is_created), "{case}");
        }
        let is_late = fault == Fault::LateExecution;
        assert_eq!(counts.in_flight, usize::from(is_late), "{case}");
        assert_eq!((counts.requests, counts.faults), (1, 1), "{case}");
        assert_eq!(
            sandbox.fault_counts(),
            BTreeMap::from([(fault, 1)]),
            "{case}"
        );
        assert_eq!((counts.in_flight_429s, counts.quota_429s), (0, 0), "{case}");

        // It was the only one, and a unit of the quota is gone or not.
        let next = get(sandbox.base_url(), "").await;
        assert_eq!(next.status, 200, "{case}");
        let left = 99 - u64::from(expected.takes_quota);
        assert_eq!(next.rate_limit("Requests-Left"), Some(left), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_shows_in_its_length() {
    for operation in [
        Operation::Upsert,
        Operation::List,
        Operation::Attributes,
        Operation::CreateAttributes,
    ] {
        let usual = ask(&playing(FaultPlan::none()).await, operation).await;
        let length = usual.body().len();

        let truncated = ask(&playing(once(Fault::Truncated)).await, operation).await;
        // Whole to those who do not count.
        assert_eq!(truncated.json()["data"], usual.json()["data"]);
        assert!(truncated.number("content-length").unwrap() > truncated.body().len());

        let cut = ask(&playing(once(Fault::ClosedDuringAnswer)).await, operation).await;
        assert_eq!(cut.number("content-length"), Some(length));
        assert_eq!(cut.body().len(), length / 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_any_size_can_be_cut() {
    let sandbox = playing(once(Fault::ClosedDuringAnswer)).await;
    for customer in 10..3000 {
        sandbox.insert(customer, 1, "x".repeat(255));
    }
    let mut client = Raw::connect(&sandbox).await;
    client.ask("GET", "limit=250", "").await;
    let cut = client.answer().await;
    assert!(cut.body().len() > 40_000);
    assert_eq!(cut.body().len(), cut.number("content-length").unwrap() / 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_after_a_whole_answer() {
    let cut = [
        Fault::Truncated,
        Fault::ClosedBeforeWork,
        Fault::ClosedAfterWork,
        Fault::ClosedDuringAnswer,
        Fault::LateExecution,
    ];
    for fault in Fault::ALL.iter().filter(|fault| !cut.contains(fault)) {
        let sandbox = playing(once(*fault)).await;
        let mut client = Raw::connect(&sandbox).await;
        for _ in 0..2 {
            client.ask("PUT", "", &rows().to_string()).await;
            assert!(client.answer().await.complete, "{fault}");
        }
        assert_eq!(sandbox.counts().faults, 1, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_tells_when_to_come_again_or_nothing() {
    let numbers = |seen: &Seen| {
        [
            "x-rate-limit-time-window-ms",
            "x-rate-limit-time-reset-ms",
            "x-rate-limit-requests-quota",
            "x-rate-limit-requests-left",
            "x-retry-after",
        ]
        .map(|name| seen.number(name))
    };
    let sandbox = playing(once(Fault::RateLimited)).await;
    let seen = ask(&sandbox, Operation::List).await;
    assert_eq!(numbers(&seen), [30_000, 50, 100, 0, 1].map(Some));

    // Without a quota too.
    let plan = once(Fault::RateLimited).reset_in(Duration::from_millis(2_001));
    let sandbox = Sandbox::builder().faults(plan).start().await.unwrap();
    let seen = ask(&sandbox, Operation::List).await;
    assert_eq!(numbers(&seen), [30_000, 2_001, 150, 0, 3].map(Some));

    let sandbox = playing(once(Fault::Busy)).await;
    let seen = ask(&sandbox, Operation::List).await;
    assert_eq!(numbers(&seen), [None; 5]);
    assert_eq!((seen.body(), seen.header("content-type")), (&b""[..], None));
}

#[tokio::test(start_paused = true)]
async fn gateways_speak_html() {
    for (fault, html) in [
        (Fault::InternalError, false),
        (Fault::Unavailable, false),
        (Fault::BadGateway, true),
        (Fault::GatewayTimeout, true),
        (Fault::Maintenance, true),
        (Fault::HtmlSuccess, true),
    ] {
        for operation in Operation::ALL {
            let seen = ask(&playing(once(fault)).await, *operation).await;
            let content_type = seen.header("content-type").unwrap();
            assert_eq!(content_type.starts_with("text/html"), html, "{fault}");
            assert_eq!(seen.body().starts_with(b"<!DOCTYPE html>"), html, "{fault}");
            if !html {
                assert_eq!(seen.json()["status"], seen.status().unwrap());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_a_500_or_a_504() {
    let plan = FaultPlan::seeded(1).rate(1.0).only([Fault::ErrorAfterWork]);
    let sandbox = playing(plan).await;
    let mut statuses = BTreeMap::new();
    for _ in 0..40 {
        let seen = ask(&sandbox, Operation::List).await;
        *statuses.entry(seen.status().unwrap()).or_insert(0) += 1;
    }
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [500, 504]);
    assert!(statuses.values().all(|often| *often > 8), "{statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_leads_where_it_is_told_to() {
    for (plan, location) in [
        (once(Fault::Redirect), Some("http://127.0.0.1:1/")),
        (
            once(Fault::Redirect).redirect_to("http://127.0.0.2:8080/x?y=z"),
            Some("http://127.0.0.2:8080/x?y=z"),
        ),
        (once(Fault::Redirect).redirect_to("a\r\nb: c"), None),
    ] {
        let seen = ask(&playing(plan).await, Operation::Upsert).await;
        assert_eq!(seen.header("location"), location);
    }
}

#[tokio::test(start_paused = true)]
async fn an_oversized_answer_is_right_behind_its_padding() {
    for operation in Operation::ALL {
        let usual = ask(&playing(FaultPlan::none()).await, *operation).await;
        let seen = ask(&playing(once(Fault::Oversized)).await, *operation).await;
        assert!(seen.body().len() > 8 * 1024 * 1024);
        if *operation == Operation::Delete {
            assert_eq!(seen.json(), json!({}));
        } else {
            assert_eq!(seen.json()["data"], usual.json()["data"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_need_not_read_an_oversized_answer() {
    let sandbox = playing(once(Fault::Oversized)).await;
    let mut client = Raw::connect(&sandbox).await;
    client.ask("PUT", "", &rows().to_string()).await;
    while sandbox.counts().faults == 0 {
        tokio::task::yield_now().await;
    }
    // Nothing of the answer was read.
    assert_eq!(sandbox.counts().in_flight, 0);
    drop(client);
    assert_eq!(get(sandbox.base_url(), "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_trickle_takes_its_time_and_its_place() {
    let over = Duration::from_secs(2);
    let sandbox = playing(once(Fault::Trickle).trickle_over(over)).await;
    let mut client = Raw::connect(&sandbox).await;
    let began = Instant::now();
    client.ask("PUT", "", &rows().to_string()).await;
    let half = tokio::time::timeout(over / 2, client.answer()).await;
    assert!(half.is_err());
    // The store is as it will be, but the request still has its place.
    assert_eq!(kept(&sandbox), done(Operation::Upsert, &Work::All));
    assert_eq!(sandbox.counts().in_flight, 1);
    // What the first half carried is lost on this client, the rest is not.
    let mut rest = Vec::new();
    while sandbox.counts().in_flight == 1 {
        let piece = client.stream().read_buf(&mut rest).await;
        assert!(piece.unwrap() > 0);
    }
    assert_eq!(began.elapsed(), over);

    let sandbox = playing(once(Fault::Trickle)).await;
    let began = Instant::now();
    let seen = ask(&sandbox, Operation::List).await;
    assert_eq!(began.elapsed(), Duration::from_millis(50));
    assert_eq!(seen.json()["data"].as_array().unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_trickle_that_nobody_waits_for_frees_its_place() {
    let plan = once(Fault::Trickle).trickle_over(Duration::MAX);
    let sandbox = playing(plan).await;
    let mut client = Raw::connect(&sandbox).await;
    client.ask("GET", "", "").await;
    let timeout = Duration::from_secs(10);
    assert!(
        tokio::time::timeout(timeout, client.answer())
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
async fn a_slow_request_waits_before_the_work() {
    let most = Duration::from_secs(10);
    let plan = FaultPlan::seeded(1).rate(1.0).only([Fault::Slow]);
    let sandbox = playing(plan.slow_by(most)).await;
    let mut waits = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        assert!(ask(&sandbox, Operation::List).await.complete);
        waits.push(began.elapsed());
    }
    assert!(
        waits.iter().all(|wait| (most / 2..=most).contains(wait)),
        "{waits:?}"
    );
    waits.sort_unstable();
    assert!(waits[19] - waits[0] > most / 4, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn late_execution_comes_after_what_was_sent_meanwhile() {
    let late = Duration::from_secs(5);
    let script = [Some(Fault::LateExecution)];
    let sandbox = playing(FaultPlan::script(script).late_by(late)).await;
    assert_eq!(ask(&sandbox, Operation::Upsert).await.status(), None);
    assert_eq!(kept(&sandbox), done(Operation::Upsert, &Work::Nothing));

    // The client sends it again, and deletes two.
    assert!(ask(&sandbox, Operation::Upsert).await.complete);
    assert_eq!(sandbox.counts().customer_overlaps, 1);
    assert!(ask(&sandbox, Operation::Delete).await.complete);
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
async fn late_execution_deletes_late() {
    let sandbox = playing(once(Fault::LateExecution)).await;
    assert_eq!(ask(&sandbox, Operation::Delete).await.status(), None);
    assert_eq!(sandbox.counts().values, 5);
    tokio::time::sleep(Duration::from_millis(51)).await;
    assert_eq!(kept(&sandbox), done(Operation::Delete, &Work::All));
    assert_eq!(sandbox.counts().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn late_execution_creates_attributes_late() {
    let sandbox = playing(once(Fault::LateExecution)).await;
    let seen = ask(&sandbox, Operation::CreateAttributes).await;
    assert_eq!((seen.status(), sandbox.attributes().len()), (None, 0));
    tokio::time::sleep(Duration::from_millis(51)).await;
    assert_eq!(sandbox.attributes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_latency_comes_before_a_fault() {
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
        ask(&sandbox, Operation::Upsert).await;
        assert_eq!(began.elapsed(), expected, "{fault}");
    }
}

/// Three clients at a time, each with its next request as soon as it has seen how the last one
/// ended: on other threads than the server, a place that is freed late would be missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_fault_settles_it_settles_before_its_client_can_tell() {
    let plan = FaultPlan::seeded(3)
        .rate(0.7)
        .slow_by(Duration::ZERO)
        .trickle_over(Duration::ZERO);
    let sandbox = Sandbox::builder().faults(plan).start().await.unwrap();
    let sandbox = Arc::new(sandbox);
    let clients: Vec<_> = (1..=3)
        .map(|customer| {
            let sandbox = Arc::clone(&sandbox);
            tokio::spawn(async move {
                for n in 1..=150 {
                    let mut client = Raw::connect(&sandbox).await;
                    let rows = json!([row(customer, 1, &n.to_string()), row(customer, 2, "v")]);
                    client.ask("PUT", "", &rows.to_string()).await;
                    client.answer().await;
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
