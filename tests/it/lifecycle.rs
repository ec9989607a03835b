//! Stopped runs, dropped runs, slow readers, and runs whose input reads from the same store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bigcommerce_ext::{ErrorKind, Event, Limits, OnOutage, OutcomeKind, Store, UpsertRow};
use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};
use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep};

use crate::support::{TOKEN, sandbox, store};

fn row(number: i64) -> UpsertRow {
    UpsertRow::new(number / 3 + 1, number % 3 + 1, number)
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_at_any_moment_sending_the_rest_completes_the_upsert() {
    for seed in 0..40 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let sandbox = Sandbox::builder()
            .latency(Duration::from_millis(20))
            .start()
            .await
            .expect("a sandbox");
        let store = store(sandbox.base_url());
        let rows_read = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&rows_read);
        let rows = stream::iter((0..3000).map(row)).inspect(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let stop = sleep(Duration::from_millis(rng.u64(0..900)));
        let mut outcomes = store
            .upsert()
            .window(rng.usize(1..400))
            .stop_when(stop)
            .stream(rows);
        let mut not_sent = Vec::new();
        let mut outcome_count = 0;
        while let Some(outcome) = outcomes.next().await {
            outcome_count += 1;
            match outcome.kind {
                OutcomeKind::Stored(_) => {}
                OutcomeKind::NotSent(error) => {
                    assert_eq!(error.kind(), ErrorKind::Stopped);
                    not_sent.push((outcome.index, outcome.row.expect("a row")));
                }
                other => panic!("row {} ended as {other:?}", outcome.index),
            }
        }
        let rows_read = rows_read.load(Ordering::Relaxed);
        assert_eq!(outcome_count, rows_read, "one outcome per row");
        not_sent.sort_by_key(|(index, _)| *index);
        let first_not_sent = not_sent.first().map_or(rows_read, |(index, _)| *index);
        assert_eq!(outcomes.done_up_to(), first_not_sent);
        for (index, _) in &not_sent {
            outcomes.handled(*index);
        }
        assert_eq!(outcomes.done_up_to(), rows_read);
        let unread = (0..3000)
            .skip(usize::try_from(rows_read).expect("a number"))
            .map(row);
        let rest = not_sent.into_iter().map(|(_, row)| row).chain(unread);
        let report = store.upsert().rows(rest).send().await.expect("a report");
        assert!(report.summary().is_complete());
        assert_eq!(sandbox.values().len(), 3000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_after_the_last_outcome_has_no_effect() {
    let (_sandbox, store) = sandbox().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let rows = stream::iter([row(1)]);
    let mut outcomes = store.upsert().stop_when(stopped).stream(rows);
    assert!(outcomes.next().await.is_some());
    stop.send(()).expect("the run still listens");
    assert!(outcomes.next().await.is_none());
    assert!(outcomes.stopped_by().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_calls_that_wait_for_quota() {
    let window = Duration::from_secs(30);
    let sandbox = Sandbox::builder().quota(10, window).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let start = Instant::now();
    let report = store(sandbox.base_url())
        .upsert()
        .rows((0..3000).map(row))
        .stop_when(sleep(Duration::from_secs(5)))
        .send()
        .await
        .expect("a report");
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    let summary = report.summary();
    assert_eq!((summary.stored, summary.not_sent), (300, 2700));
    assert_eq!(
        report.stopped_by().map(|error| error.kind()),
        Some(ErrorKind::Stopped)
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_outcomes_causes_no_timeouts_and_retries() {
    let (sandbox, store) = sandbox().await;
    let mut outcomes = store
        .upsert()
        .window(30)
        .stream(stream::iter((0..200).map(row)));
    while let Some(outcome) = outcomes.next().await {
        assert!(
            matches!(outcome.kind, OutcomeKind::Stored(_)),
            "{outcome:?}"
        );
        sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(outcomes.summary().stored, 200);
    // The server has processed every request.
    assert_eq!(sandbox.counts().puts, outcomes.summary().requests);
}

#[tokio::test]
async fn an_input_that_calls_the_sdk_client_of_the_same_store_does_not_block_the_upsert() {
    let (sandbox, store) = sandbox().await;
    let report = store.upsert().rows((0..3000).map(row)).send().await;
    assert!(report.expect("a report").summary().is_complete());
    // Pages are requested while the upsert has requests in flight.
    let reader = store.clone();
    let pages = stream::unfold(1, move |page| {
        let reader = reader.clone();
        async move {
            let list = reader.sdk().list_attribute_values();
            let list = list.attribute_id_in([1, 2, 3]).page(page).limit(50);
            let values = list.send().await.expect("a page").into_inner().data;
            (!values.is_empty()).then_some((values, page + 1))
        }
    });
    let rows = pages.flat_map(stream::iter).map(|value| {
        UpsertRow::new(
            value.customer_id,
            value.attribute_id + 10,
            value.attribute_value,
        )
    });
    let mut outcomes = store.clone().upsert().window(100).stream(Box::pin(rows));
    while outcomes.next().await.is_some() {}
    assert_eq!(outcomes.summary().stored, 3000);
    assert_eq!(sandbox.values().len(), 6000);
}

#[tokio::test]
async fn an_input_that_upserts_to_the_same_store_shares_a_single_permit() {
    let sandbox = Sandbox::builder().start().await.expect("a sandbox");
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .limits(Limits::default().max_in_flight(1))
        .build()
        .expect("a store");
    let other = store.clone();
    let rows = stream::iter(0..300).then(|number| {
        let first = other.upsert().customer(5000 + number, [(1, number)]);
        async move {
            let report = first.send().await.expect("a report");
            assert!(report.summary().is_complete());
            row(number)
        }
    });
    let mut outcomes = store.upsert().window(100).stream(Box::pin(rows));
    while outcomes.next().await.is_some() {}
    assert_eq!(outcomes.summary().stored, 300);
    assert_eq!(sandbox.values().len(), 600);
    assert_eq!(sandbox.counts().peak_in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn rows_that_arrive_faster_than_the_linger_are_sent_before_the_window_is_full() {
    let (_sandbox, store) = sandbox().await;
    let rows = stream::iter(0..3000).then(|number| async move {
        sleep(Duration::from_millis(50)).await;
        row(number)
    });
    let start = Instant::now();
    let mut outcomes = store.upsert().stream(rows);
    let first = outcomes.next().await.expect("an outcome");
    assert_eq!(first.index, 0);
    assert!(start.elapsed() < Duration::from_secs(1));
    while outcomes.next().await.is_some() {}
    assert_eq!(outcomes.summary().stored, 3000);
    // Ten rows arrive within the longest wait.
    assert!(outcomes.summary().requests <= 330);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_run_releases_its_permits_after_the_grace_period() {
    let sandbox = Sandbox::builder()
        .latency(Duration::from_secs(1))
        .start()
        .await
        .expect("a sandbox");
    let store = store(sandbox.base_url());
    let mut outcomes = store.upsert().stream(stream::iter((0..300).map(row)));
    outcomes.next().await;
    // Three requests are in flight.
    let next = tokio::time::timeout(Duration::from_millis(10), outcomes.next()).await;
    assert!(next.is_ok(), "more outcomes of the first call");
    drop(outcomes);
    let start = Instant::now();
    let report = store.upsert().rows((0..30).map(row)).send().await;
    assert_eq!(report.expect("a report").summary().stored, 30);
    let grace_period = Duration::from_secs(5);
    assert!(
        start.elapsed() < grace_period + Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(sandbox.counts().in_flight_429s, 0);
}

#[tokio::test]
async fn the_last_progress_event_counts_every_row() {
    let (_sandbox, store) = sandbox().await;
    let (sender, events) = std::sync::mpsc::channel();
    let good = (0..30).map(row);
    let bad = (1..=20).map(|customer| UpsertRow::new(-customer, 1, "x"));
    let upsert = store.upsert().rows(good.chain(bad)).observe(move |event| {
        if let Event::Progress { summary, .. } = event {
            sender.send(*summary).unwrap_or_default();
        }
    });
    let report = upsert.send().await.expect("a report");
    assert_eq!(events.iter().last(), Some(report.summary()));
}

#[tokio::test(start_paused = true)]
async fn sending_retryable_rows_again_never_replaces_a_later_row() {
    for window in [1, 10_000] {
        let plan = FaultPlan::script([Some(Fault::Unavailable); 5]);
        let sandbox = Sandbox::builder().faults(plan).start().await;
        let sandbox = sandbox.expect("a sandbox");
        let store = store(sandbox.base_url());
        let rows = ["old", "new"].map(|value| UpsertRow::new(1, 1, value));
        let upsert = store.upsert().window(window).rows(rows);
        let upsert = upsert.on_outage(OnOutage::Stop);
        let report = upsert.send().await.expect("a report");
        let again: Vec<_> = report.retryable().cloned().collect();
        assert!(!again.is_empty(), "{report:?}");
        let report = store.upsert().rows(again).send().await.expect("a report");
        assert!(report.summary().is_complete());
        assert_eq!(sandbox.value(1, 1).expect("a value").value, "new");
    }
}
