//! Behaviours that take more than a row of a table.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use bigcommerce_ext::{Limits, RetryPolicy};
use futures::stream;
use tokio::runtime;
use tokio::time::{sleep, timeout};

use super::*;
use crate::support::TOKEN;
use crate::support::scripted_store::{Page, record};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

fn value(memory: &ScriptedStore) -> Option<String> {
    memory.texts().remove(&(1, 1))
}

/// Returns the error that a run ended with.
fn error_of<R>(result: Result<Report<R>, Error>) -> Option<Error> {
    match result {
        Ok(report) => report.stopped_by().cloned(),
        Err(error) => Some(error),
    }
}

/// Returns a server that executes the first upsert some time after its gateway said 524.
async fn late_server(memory: &ScriptedStore, delay: Duration) -> ScriptedServer {
    let memory = memory.clone();
    ScriptedServer::start(move |request| {
        if request.is("PUT", VALUES) && is_first(request) {
            memory.execute_later(delay, request);
            return Response::error(524);
        }
        memory.respond(request)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn item_3_an_upsert_that_is_executed_late_does_not_undo_a_newer_row() {
    let memory = ScriptedStore::new();
    let server = late_server(&memory, Duration::from_millis(500)).await;
    let newer = async {
        sleep(Duration::from_millis(300)).await;
        UpsertRow::new(1, 1, "newer")
    };
    let rows = stream::iter([UpsertRow::new(1, 1, "older")]).chain(stream::once(newer));
    let store = store(&server.base_url());
    let mut outcomes = store.upsert().stream(rows);
    while outcomes.next().await.is_some() {}
    sleep(10 * SECOND).await;
    assert_eq!(value(&memory).as_deref(), Some("newer"));
}

#[tokio::test(start_paused = true)]
async fn item_3_an_upsert_that_is_executed_late_does_not_undo_a_later_run() {
    let memory = ScriptedStore::new();
    let server = late_server(&memory, 3 * SECOND).await;
    let store = store(&server.base_url());
    for text in ["older", "newer"] {
        let upsert = store.upsert().customer(1, [(1, text)]);
        let report = upsert.send().await.expect("a report");
        assert_eq!(report.summary().stored, 1);
    }
    sleep(10 * SECOND).await;
    assert_eq!(value(&memory).as_deref(), Some("newer"));
}

#[tokio::test(start_paused = true)]
async fn item_19_stores_that_were_built_separately_share_what_is_held() {
    let memory = ScriptedStore::new();
    let server = late_server(&memory, 3 * SECOND).await;
    let stores = [store(&server.base_url()), store(&server.base_url())];
    for (store, text) in stores.iter().zip(["older", "newer"]) {
        let upsert = store.upsert().customer(1, [(1, text)]);
        let report = upsert.send().await.expect("a report");
        assert_eq!(report.summary().stored, 1);
    }
    sleep(10 * SECOND).await;
    assert_eq!(value(&memory).as_deref(), Some("newer"));
}

#[tokio::test(start_paused = true)]
async fn item_19_stores_that_were_built_separately_share_their_limits() {
    let memory = ScriptedStore::new();
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| memory.respond(request).after(SECOND)
    })
    .await;
    let upserts = (0..4).map(|part| {
        let rows = (1..=50).map(move |customer| UpsertRow::new(100 * part + customer, 1, SENT));
        store(&server.base_url()).upsert().rows(rows).send()
    });
    for report in futures::future::join_all(upserts).await {
        assert_eq!(report.expect("a report").summary().stored, 50);
    }
    assert_eq!(server.most_in_flight(), 3);
}

#[tokio::test(start_paused = true)]
async fn item_5_a_text_that_the_server_normalizes_is_not_sent_each_time() {
    let memory = ScriptedStore::new();
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| {
            let mut request = request.clone();
            for row in request.body.as_array_mut().into_iter().flatten() {
                let text = row["value"].as_str().unwrap_or_default().trim();
                row["value"] = text.strip_suffix(".0").unwrap_or(text).into();
            }
            memory.respond(&request)
        }
    })
    .await;
    let store = store(&server.base_url());
    let rows = [UpsertRow::new(1, 1, " Gold "), UpsertRow::new(2, 1, "5.0")];
    let upsert = || store.upsert().rows(rows.clone()).skip_unchanged().send();
    let first = upsert().await.expect("a report").summary();
    assert_eq!((first.stored, first.unchanged), (2, 0));
    let second = upsert().await.expect("a report").summary();
    assert_eq!((second.stored, second.unchanged), (0, 2));
}

/// Returns a server that rejects customer 5, and executes at most 30 upserts before it answers 403.
async fn closing_server(memory: &ScriptedStore) -> ScriptedServer {
    let memory = memory.clone();
    ScriptedServer::start(move |request| {
        let mut rows = request.body.as_array().into_iter().flatten();
        if request.number > 30 {
            return Response::error(403);
        }
        match rows.any(|row| row["customer_id"] == 5) {
            true => Response::error(422),
            false => memory.respond(request),
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn item_6_the_commit_point_counts_no_row_that_needs_sending_again() {
    let memory = ScriptedStore::new();
    let server = closing_server(&memory).await;
    let store = store(&server.base_url());
    let mut outcomes = store.upsert().stream(stream::iter(rows(10_290, SENT)));
    let mut done = BTreeSet::new();
    while let Some(outcome) = outcomes.next().await {
        let is_done = matches!(
            outcome.kind,
            OutcomeKind::Stored(_) | OutcomeKind::Rejected(_)
        );
        if is_done {
            done.insert(outcome.index);
        }
        let commit_point = outcomes.done_up_to();
        assert!(
            (0..commit_point).all(|index| done.contains(&index)),
            "{commit_point}"
        );
    }
    assert!(outcomes.stopped_by().is_some());
    let commit_point = outcomes.done_up_to();
    assert_eq!(done.len() as u64, memory.texts().len() as u64 + 1);
    assert!((200..300).contains(&commit_point), "{commit_point}");
}

#[tokio::test(start_paused = true)]
async fn item_6_a_row_that_was_put_elsewhere_does_not_hold_the_commit_point_back() {
    let memory = ScriptedStore::new();
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| {
            let mut rows = request.body.as_array().into_iter().flatten();
            match rows.any(|row| row["customer_id"] == 5) {
                true => Response::error(500),
                false => memory.respond(request),
            }
        }
    })
    .await;
    let store = store(&server.base_url());
    let mut outcomes = store.upsert().stream(stream::iter(rows(200, SENT)));
    let mut unknown = Vec::new();
    while let Some(outcome) = outcomes.next().await {
        if matches!(outcome.kind, OutcomeKind::Unknown(_)) {
            unknown.push(outcome.index);
        }
    }
    assert_eq!(unknown, [4]);
    assert_eq!(outcomes.done_up_to(), 4);
    outcomes.handled(4);
    assert_eq!(outcomes.done_up_to(), 200);
}

#[tokio::test(start_paused = true)]
async fn item_7_a_request_whose_body_stalls_keeps_its_place() {
    let memory = ScriptedStore::new();
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| match request.number <= 6 {
            true => memory.respond(request).stall_body(4 * SECOND),
            false => memory.respond(request),
        }
    })
    .await;
    let store = Store::builder_with_base_url(server.base_url(), TOKEN)
        .limits(Limits::default().max_in_flight(1))
        .retry(RetryPolicy::default().attempt_timeout(2 * SECOND))
        .build()
        .expect("a store");
    let report = store.upsert().rows(rows(60, SENT)).send().await;
    assert_eq!(server.most_in_flight(), 1);
    assert_eq!(report.expect("a report").summary().stored, 60);
}

/// The run is dropped on a runtime that nobody drives any more.
#[test]
fn item_8_an_abandoned_run_does_not_hold_its_places_for_ever() {
    let memory = ScriptedStore::new();
    let servers = runtime::Runtime::new().expect("a runtime");
    let server = servers.block_on({
        let memory = memory.clone();
        ScriptedServer::start(move |request| match request.number <= 3 {
            true => Response::empty(200).stall_before_headers(Duration::ZERO),
            false => memory.respond(request),
        })
    });
    let quarter = Duration::from_millis(250);
    let store = Store::builder_with_base_url(server.base_url(), TOKEN)
        .limits(Limits::default().grace_period(quarter))
        .retry(RetryPolicy::default().attempt_timeout(quarter))
        .build()
        .expect("a store");
    let new_runtime = || {
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    };
    let abandoned = new_runtime();
    let upsert = store.upsert().rows(rows(60, SENT)).send();
    let cut_off = abandoned.block_on(async { timeout(quarter / 2, upsert).await });
    assert!(cut_off.is_err());
    let (sender, summary) = mpsc::channel();
    thread::spawn(move || {
        let report = new_runtime().block_on(store.upsert().rows(rows(60, SENT)).send());
        sender
            .send(report.map(|report| report.summary()))
            .unwrap_or_default();
    });
    let summary = summary.recv_timeout(10 * SECOND).expect("an end");
    assert_eq!(summary.expect("a report").stored, 60);
    drop(abandoned);
}

/// Upserts rows some of which make the server answer 500. Returns the number of stored rows, of
/// rejected and unknown rows, of requests, and the time taken.
async fn with_poison(customers: i64, poison: &'static [i64]) -> (u64, u64, usize, Duration) {
    let memory = ScriptedStore::new();
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| {
            let mut rows = request.body.as_array().into_iter().flatten();
            let breaks = rows.any(|row| {
                poison
                    .iter()
                    .any(|customer| row["customer_id"] == *customer)
            });
            match breaks {
                true => Response::error(500),
                false => memory.respond(request),
            }
        }
    })
    .await;
    let start = Instant::now();
    let store = store(&server.base_url());
    let report = store.upsert().rows(rows(customers, SENT)).send().await;
    let summary = report.expect("a report").summary();
    assert_eq!(memory.texts().len() as u64, summary.stored);
    let broken = summary.rejected + summary.unknown;
    (summary.stored, broken, server.requests(), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn item_10_ten_rows_that_break_the_server_cost_ten_rows() {
    const APART: [i64; 10] = [7, 311, 612, 915, 1_218, 1_519, 1_820, 2_111, 2_412, 2_999];
    const TOGETHER: [i64; 10] = [
        1_501, 1_502, 1_503, 1_504, 1_505, 1_506, 1_507, 1_508, 1_509, 1_510,
    ];
    for poison in [&APART, &TOGETHER] {
        let (stored, broken, requests, elapsed) = with_poison(3_000, poison).await;
        assert_eq!((stored, broken), (2_990, 10), "{poison:?}");
        assert!(requests <= 500, "{requests} requests: {poison:?}");
        assert!(elapsed <= 90 * SECOND, "{elapsed:?}: {poison:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn item_10_a_run_of_a_single_batch_with_such_a_row_ends() {
    let (stored, broken, requests, elapsed) = with_poison(10, &[4]).await;
    assert_eq!((stored, broken), (9, 1));
    assert!(requests <= 60, "{requests} requests");
    assert!(elapsed <= 330 * SECOND, "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn item_12_changed_rows_do_not_wait_for_the_end_of_unchanged_ones() {
    const CUSTOMERS: i64 = 10_000;
    let memory = ScriptedStore::new();
    memory.fill(CUSTOMERS, OLD);
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| memory.respond(request).after(Duration::from_millis(20))
    })
    .await;
    let text = |customer| if customer < 10 { SENT } else { OLD };
    let rows = (1..=CUSTOMERS).map(|customer| UpsertRow::new(customer, 1, text(customer)));
    let store = store(&server.base_url());
    let upsert = store.upsert().window(1_000).skip_unchanged();
    let mut outcomes = upsert.stream(stream::iter(rows));
    while outcomes.next().await.is_some() {}
    let summary = outcomes.summary();
    assert_eq!((summary.stored, summary.unchanged), (9, 9_991));
    let exchanges = server.exchanges();
    let earlier = exchanges
        .iter()
        .take_while(|exchange| exchange.request.method == "GET");
    let read: usize = earlier
        .filter_map(|exchange| exchange.request.query.get("customer_id:in"))
        .map(|customers| customers.split(',').count())
        .sum();
    assert!(
        read <= 3_000,
        "{read} customers were read before the first upsert"
    );
}

/// Returns the requests, the median and the longest time from a row's arrival to its outcome, for a
/// row each 15 ms.
async fn trickle(quota: Option<u64>) -> (usize, Duration, Duration) {
    const ROWS: i64 = 4_000;
    let memory = ScriptedStore::new();
    let start = Instant::now();
    let window = Arc::new(Mutex::new((0, 0)));
    let server = ScriptedServer::start(move |request| {
        let response = memory.respond(request).after(Duration::from_millis(20));
        let Some(quota) = quota else { return response };
        let now = u64::try_from(start.elapsed().as_millis()).expect("a short test");
        let mut window = window.lock().expect("no panic");
        if window.0 != now / 30_000 {
            *window = (now / 30_000, 0);
        }
        window.1 += 1;
        let response = if window.1 > quota {
            Response::error(429)
        } else {
            response
        };
        response
            .header("X-Rate-Limit-Requests-Left", quota.saturating_sub(window.1))
            .header("X-Rate-Limit-Requests-Quota", quota)
            .header("X-Rate-Limit-Time-Window-Ms", 30_000)
            .header("X-Rate-Limit-Time-Reset-Ms", 30_000 - now % 30_000)
    })
    .await;
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let rows = stream::unfold(1, {
        let arrivals = Arc::clone(&arrivals);
        move |customer| {
            let arrivals = Arc::clone(&arrivals);
            async move {
                sleep(Duration::from_millis(15)).await;
                arrivals.lock().expect("no panic").push(Instant::now());
                Some((UpsertRow::new(customer, 1, SENT), customer + 1))
            }
        }
    });
    let rows = rows.take(usize::try_from(ROWS).expect("a small number"));
    let store = store(&server.base_url());
    let mut outcomes = store.upsert().stream(Box::pin(rows));
    let mut times = Vec::new();
    while let Some(outcome) = outcomes.next().await {
        assert!(
            matches!(outcome.kind, OutcomeKind::Stored(_)),
            "{outcome:?}"
        );
        let index = usize::try_from(outcome.index).expect("a small number");
        times.push(arrivals.lock().expect("no panic")[index].elapsed());
    }
    times.sort_unstable();
    let longest = *times.last().expect("outcomes");
    (server.requests(), times[times.len() / 2], longest)
}

#[tokio::test(start_paused = true)]
async fn item_13_rows_that_trickle_in_are_acknowledged_within_a_second() {
    for quota in [None, Some(450)] {
        let (requests, median, longest) = trickle(quota).await;
        assert!(
            median <= Duration::from_millis(600),
            "median {median:?}, quota {quota:?}"
        );
        assert!(
            longest <= Duration::from_millis(900),
            "longest {longest:?}, quota {quota:?}"
        );
        assert!(requests <= 420, "{requests} requests, quota {quota:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn item_15_a_stop_is_heard_while_a_selection_is_looked_up() {
    let server = ScriptedServer::start(|_| Response::error(500)).await;
    let store = store(&server.base_url());
    let start = Instant::now();
    let delete = store.delete().attribute_name("Tier");
    let result = delete.stop_when(sleep(2 * SECOND)).send().await;
    let error = error_of(result);
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Stopped));
    assert!(start.elapsed() <= 3 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn item_15_a_stop_that_is_ready_at_once_costs_no_requests() {
    let memory = ScriptedStore::new();
    memory.fill(20, OLD);
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| memory.respond(request)
    })
    .await;
    let store = store(&server.base_url());
    let by_name = store.delete().attribute_name("Tier").stop_when(async {});
    let by_id = store.delete().attributes([1]).stop_when(async {});
    let by_value_id = store.delete().ids(1..=20).stop_when(async {});
    for delete in [by_name, by_id, by_value_id] {
        let error = error_of(delete.send().await);
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Stopped));
    }
    let upsert = store.upsert().customer(1, [("Tier", SENT)]);
    let report = upsert.stop_when(async {}).send().await.expect("a report");
    assert_eq!(report.summary().not_sent, 1);
    assert_eq!(server.requests(), 0);
}

/// Polls outcomes until another task of the same runtime ran. Returns the number of outcomes.
async fn outcomes_until_others_run<S>(mut outcomes: bigcommerce_ext::Outcomes<S>) -> usize
where
    bigcommerce_ext::Outcomes<S>: futures::Stream<Item = Outcome> + Unpin,
{
    let others_ran = Arc::new(AtomicBool::new(false));
    tokio::spawn({
        let others_ran = Arc::clone(&others_ran);
        async move { others_ran.store(true, Ordering::Relaxed) }
    });
    let mut count = 0;
    while !others_ran.load(Ordering::Relaxed) && outcomes.next().await.is_some() {
        count += 1;
    }
    count
}

#[tokio::test(start_paused = true)]
async fn item_15_a_dry_run_and_bad_input_let_other_tasks_run() {
    const ROWS: i64 = 200_000;
    let server = ScriptedServer::start(|_| Response::error(500)).await;
    let store = store(&server.base_url());
    let rows = stream::iter(rows(ROWS, SENT));
    let planned = outcomes_until_others_run(store.upsert().dry_run().stream(rows)).await;
    assert!(planned < 50_000, "{planned} rows were planned first");
    let errors = (0..ROWS).map(|_| Err::<UpsertRow, _>("unreadable"));
    let failed = outcomes_until_others_run(store.upsert().stream(stream::iter(errors))).await;
    assert!(failed < 50_000, "{failed} errors were passed on first");
}

#[tokio::test(start_paused = true)]
async fn item_18_a_page_size_that_was_refused_once_is_tried_again_later() {
    let memory = ScriptedStore::new();
    memory.fill(5_000, OLD);
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| match request.number == 1 {
            true => Response::error(413),
            false => memory.respond(request),
        }
    })
    .await;
    let store = store(&server.base_url());
    for most_requests in [53, 22] {
        let before = server.requests();
        let mut values = store.list().stream();
        while let Some(value) = values.next().await {
            value.expect("a value");
        }
        let requests = server.requests() - before;
        assert!(
            requests <= most_requests,
            "{requests} requests instead of {most_requests}"
        );
        sleep(HOUR).await;
    }
}

#[test]
fn item_19_a_password_in_a_url_is_not_repeated() {
    for url in [
        "http://user:geheim@127.0.0.1:port/stores/abc123/v3",
        "https://user:geheim@/v3",
        "user:geheim@example.com",
        "http://user:geheim@127.0.0.1:80/stores/abc123/v3",
    ] {
        let builder = Store::builder_with_base_url(url, TOKEN);
        let mut said = format!("{builder:?}");
        match builder.build() {
            Ok(store) => said += &format!("{store:?}"),
            Err(error) => said += &format!("{error} {error:?}"),
        }
        assert!(!said.contains("geheim"), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn item_19_a_short_token_does_not_garble_messages() {
    let server = ScriptedServer::start(|_| {
        let body = serde_json::json!({"status": 422, "title": "the text of the value is too long"});
        Response::json(422, &body)
    })
    .await;
    let store = Store::builder_with_base_url(server.base_url(), "t").build();
    let upsert = store.expect("a store").upsert().customer(1, [(1, SENT)]);
    let report = upsert.send().await.expect("a report");
    let error = report.outcomes()[0].error().expect("an error").to_string();
    assert!(
        error.contains("the text of the value is too long"),
        "{error}"
    );
}

#[test]
fn item_19_a_runtime_without_timers_is_an_error() {
    let runtime = runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.expect("a runtime");
    let store = store("http://127.0.0.1:9/stores/abc123/v3");
    let result = runtime.block_on(store.upsert().rows(rows(3, SENT)).send());
    let error = error_of(result);
    let error = error.expect("an error").to_string();
    assert!(error.contains("time"), "{error}");
    assert!(runtime.block_on(store.attributes().list()).is_err());
    let deleted = runtime.block_on(store.delete().ids([1]).send());
    assert!(error_of(deleted).is_some());
    let first = runtime.block_on(store.list().stream().next());
    assert!(first.is_some_and(|first| first.is_err()));
}

#[tokio::test(start_paused = true)]
async fn item_19_a_failed_connection_is_told_with_its_host_and_cause() {
    let server = ScriptedServer::start(|_| Response::empty(200)).await;
    server.set_reachable(false).await;
    let address = server.base_url();
    let address = address.split('/').nth(2).expect("an address");
    let policy = RetryPolicy::default().max_attempts(2);
    let refused = Store::builder_with_base_url(server.base_url(), TOKEN).retry(policy.clone());
    let error = refused.build().expect("a store").attributes().list().await;
    let error = error.expect_err("no server").to_string();
    assert!(
        error.contains(address) && error.contains("refused"),
        "{error}"
    );
    let unknown = Store::builder_with_base_url("https://nowhere.invalid/stores/a/v3", TOKEN);
    let start = Instant::now();
    let unknown = unknown.retry(policy).build().expect("a store");
    let error = unknown
        .attributes()
        .list()
        .await
        .expect_err("no such host")
        .to_string();
    assert!(error.contains("nowhere.invalid"), "{error}");
    assert_eq!(
        start.elapsed().as_secs(),
        0,
        "a name that does not resolve was tried again"
    );
}

/// Values of 50 KiB are rejected locally.
#[tokio::test(start_paused = true)]
async fn item_19_rejected_rows_do_not_pile_up() {
    let server = ScriptedServer::start(|_| Response::error(500)).await;
    let store = store(&server.base_url());
    let pulled = Arc::new(AtomicUsize::new(0));
    let rows = (0..12_000).map({
        let pulled = Arc::clone(&pulled);
        move |_| {
            pulled.fetch_add(1, Ordering::Relaxed);
            UpsertRow::new(1, 1, "x".repeat(50 * 1024))
        }
    });
    let mut outcomes = store
        .upsert()
        .stop_after_rejected(0)
        .stream(stream::iter(rows));
    let mut delivered = 0;
    let mut most_waiting = 0;
    while outcomes.next().await.is_some() {
        delivered += 1;
        most_waiting = most_waiting.max(pulled.load(Ordering::Relaxed) - delivered);
    }
    assert_eq!(delivered, 12_000);
    assert!(most_waiting <= 1_000, "{most_waiting} rows were waiting");
}

#[tokio::test(start_paused = true)]
async fn item_20_a_limit_of_rows_with_wide_customers_costs_few_calls() {
    let memory = ScriptedStore::new();
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| match request.body.as_array().is_some_and(|rows| rows.len() > 100) {
            true => Response::error(413),
            false => memory.respond(request),
        }
    })
    .await;
    // Four customers fit into a call: 50 calls for 200 customers, at best.
    let rows = (1..=200).flat_map(|customer| {
        (1..=25).map(move |attribute| UpsertRow::new(customer, attribute, SENT))
    });
    let store = store(&server.base_url());
    let summary = store
        .upsert()
        .rows(rows)
        .send()
        .await
        .expect("a report")
        .summary();
    assert_eq!(summary.stored, 5_000);
    assert!(summary.requests <= 80, "{} requests", summary.requests);
}

#[tokio::test(start_paused = true)]
async fn the_token_follows_no_redirect_to_another_server() {
    let elsewhere = ScriptedServer::start(|_| Response::error(404)).await;
    let location = format!("{}{VALUES}", elsewhere.base_url());
    let server =
        ScriptedServer::start(move |_| Response::empty(307).header("location", &location)).await;
    let report = store(&server.base_url())
        .upsert()
        .rows(rows(3, SENT))
        .send()
        .await;
    assert_eq!(report.expect("a report").summary().stored, 0);
    let first = server.exchanges().swap_remove(0).request;
    assert_eq!(
        first.headers.get("x-auth-token").map(String::as_str),
        Some(TOKEN)
    );
    for exchange in elsewhere.exchanges() {
        assert!(
            !exchange
                .request
                .headers
                .values()
                .any(|value| value.contains(TOKEN))
        );
        assert_eq!(exchange.request.body, serde_json::Value::Null);
    }
}

/// Returns the customers of an upsert.
fn upserted_customers(request: &Request) -> BTreeSet<i64> {
    let rows = request.body.as_array().into_iter().flatten();
    rows.filter_map(|row| row["customer_id"].as_i64()).collect()
}

/// Starts a server that is a store, except that it responds to some upserts with `odd`.
async fn store_except(
    memory: &ScriptedStore,
    is_odd: impl Fn(&Request) -> bool + Send + Sync + 'static,
    odd: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> ScriptedServer {
    let memory = memory.clone();
    ScriptedServer::start(
        move |request| match request.is("PUT", VALUES) && is_odd(request) {
            true => odd(request),
            false => memory.respond(request),
        },
    )
    .await
}

async fn upsert_customers(server: &ScriptedServer, customers: i64) -> Report {
    let rows = (1..=customers).map(|customer| UpsertRow::new(customer, 1, SENT));
    let upsert = store(&server.base_url()).upsert().rows(rows);
    upsert.send().await.expect("a report")
}

#[tokio::test(start_paused = true)]
async fn item_5_records_of_a_207_are_no_evidence() {
    let memory = ScriptedStore::new();
    let echo = |_: &Request| {
        let mut page = Page::whole(vec![record(1, 1, 1, SENT)]).body();
        page["data"][0]["status"] = 422.into();
        Response::json(207, &page)
    };
    let server = store_except(&memory, |_| true, echo).await;
    let summary = upsert_customers(&server, 1).await.summary();
    assert_eq!((summary.stored, summary.unknown), (0, 1), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn item_5_an_old_value_that_looks_like_the_new_one_is_no_evidence() {
    let memory = ScriptedStore::new();
    memory.fill(1, "7");
    let ignores = |_: &Request| Response::json(200, &Page::whole(Vec::new()).body());
    let server = store_except(&memory, |_| true, ignores).await;
    let upsert = store(&server.base_url()).upsert().customer(1, [(1, "007")]);
    let summary = upsert.send().await.expect("a report").summary();
    assert_eq!((summary.stored, summary.unknown), (0, 1), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn item_6_a_413_to_everything_rejects_no_rows() {
    let memory = ScriptedStore::new();
    let is_late = |request: &Request| request.number > 5;
    let server = store_except(&memory, is_late, |_| Response::error(413)).await;
    let report = upsert_customers(&server, 200).await;
    let summary = report.summary();
    assert!(summary.stored >= 30, "{summary}");
    assert_eq!(summary.rejected, 0, "{summary}");
    assert_eq!(summary.stored + summary.not_sent, 200, "{summary}");
}

#[tokio::test(start_paused = true)]
async fn item_10_a_customer_that_gets_429_without_headers_ends() {
    for customers in [1, 300] {
        let memory = ScriptedStore::new();
        let is_busy = |request: &Request| upserted_customers(request).contains(&1);
        let server = store_except(&memory, is_busy, |_| Response::empty(429)).await;
        let summary = upsert_customers(&server, customers).await.summary();
        let batch = u64::try_from(customers.min(10)).expect("a small number");
        assert_eq!(summary.not_sent + summary.unknown, batch, "{summary}");
        assert!(server.requests() <= 100, "{} requests", server.requests());
    }
}

#[tokio::test(start_paused = true)]
async fn item_9_a_503_that_asks_for_an_hour_does_not_stop_a_run_that_may_wait() {
    let memory = ScriptedStore::new();
    let is_second = |request: &Request| (2..=4).contains(&request.number);
    let maintenance = |_: &Request| Response::error(503).header("Retry-After", 3_600);
    let server = store_except(&memory, is_second, maintenance).await;
    let rows = (1..=100).map(|customer| UpsertRow::new(customer, 1, SENT));
    let store = store(&server.base_url());
    let mut outcomes = store.upsert().stream(stream::iter(rows));
    while outcomes.next().await.is_some() {}
    assert_eq!(
        outcomes.summary().stored,
        100,
        "{:?}",
        outcomes.stopped_by()
    );
    let listed = store.list().stream().collect::<Vec<_>>().await;
    assert_eq!(listed.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn item_10_a_row_that_is_not_found_costs_itself() {
    let memory = ScriptedStore::new();
    let has_50 = |request: &Request| upserted_customers(request).contains(&50);
    let not_found = |_: &Request| Response::error(404);
    let server = store_except(&memory, has_50, not_found).await;
    let summary = upsert_customers(&server, 300).await.summary();
    assert_eq!((summary.stored, summary.unknown), (299, 1), "{summary}");
    assert!(server.requests() <= 60, "{} requests", server.requests());
}

#[tokio::test(start_paused = true)]
async fn item_11_unchanged_rows_keep_a_run_from_stopping() {
    let memory = ScriptedStore::new();
    memory.fill(1_000, SENT);
    let server = store_except(&memory, |_| true, |_| Response::error(422)).await;
    let bad = (2_001..=2_150).map(|customer| UpsertRow::new(customer, 1, SENT));
    let good = (1..=1_000).map(|customer| UpsertRow::new(customer, 1, SENT));
    let store = store(&server.base_url());
    let upsert = store.upsert().skip_unchanged().rows(good.chain(bad));
    let report = upsert.send().await.expect("a report");
    let summary = report.summary();
    assert_eq!(
        (summary.unchanged, summary.rejected),
        (1_000, 150),
        "{summary}"
    );
}
