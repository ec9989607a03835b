//! The quota is used and not exceeded. The clock is paused, and the sandbox runs on the same runtime.

use std::collections::BTreeMap;
use std::time::Duration;

use bigcommerce_ext::{ErrorKind, Event, Limits, RetryPolicy, Store, UpsertRow, WaitReason};
use bigcommerce_sandbox::Sandbox;
use futures::StreamExt;
use tokio::time::Instant;

use crate::support::{TOKEN, store};

const WINDOW: Duration = Duration::from_secs(30);

/// Returns rows that fill this many requests.
fn rows(requests: i64) -> impl Iterator<Item = UpsertRow> {
    (1..=requests * 10).map(|customer| UpsertRow::new(customer, 1, customer))
}

#[tokio::test(start_paused = true)]
async fn a_quota_bound_run_gets_no_429_and_takes_at_most_5_percent_longer_than_its_windows() {
    for latency in [0, 20, 100] {
        let sandbox = Sandbox::builder()
            .quota(150, WINDOW)
            .latency(Duration::from_millis(latency))
            .start()
            .await
            .expect("a sandbox");
        let start = Instant::now();
        let (sender, waits) = std::sync::mpsc::channel();
        let report = store(sandbox.base_url())
            .upsert()
            .rows(rows(1500))
            .observe(move |event| {
                if let Event::Waiting { reason, .. } = event {
                    sender.send(*reason).unwrap_or_default();
                }
            })
            .send()
            .await
            .expect("a report");
        let elapsed = start.elapsed();
        assert_eq!(report.summary().stored, 15_000);
        assert_eq!(report.summary().requests, 1500);
        assert_eq!(sandbox.counts().quota_429s, 0);
        let bound = 9 * WINDOW;
        assert!(
            elapsed >= bound && elapsed <= bound.mul_f64(1.05),
            "{elapsed:?}"
        );
        let waits: Vec<_> = waits.iter().collect();
        assert!(!waits.is_empty() && waits.iter().all(|reason| *reason == WaitReason::Quota));
    }
}

#[tokio::test(start_paused = true)]
async fn clones_of_a_store_share_the_quota() {
    let sandbox = Sandbox::builder().quota(60, WINDOW).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = store(sandbox.base_url());
    let run = || store.clone().upsert().rows(rows(90)).send();
    let start = Instant::now();
    let (a, b) = tokio::join!(run(), run());
    for report in [a, b] {
        assert_eq!(report.expect("a report").summary().stored, 900);
    }
    assert_eq!(sandbox.counts().quota_429s, 0);
    assert!(start.elapsed() <= (2 * WINDOW).mul_f64(1.05));
}

#[tokio::test(start_paused = true)]
async fn the_reserved_share_of_the_quota_is_not_used() {
    let sandbox = Sandbox::builder().quota(150, WINDOW).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .limits(Limits::default().reserve_quota(0.8))
        .build()
        .expect("a store");
    let start = Instant::now();
    let report = store.upsert().rows(rows(120)).send().await;
    assert_eq!(report.expect("a report").summary().requests, 120);
    // 30 of 150 requests per window.
    let elapsed = start.elapsed();
    assert!(
        elapsed >= 3 * WINDOW && elapsed <= (3 * WINDOW).mul_f64(1.05),
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_other_apps_have_spent_costs_one_429() {
    let sandbox = Sandbox::builder().quota(5, WINDOW).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let other = store(sandbox.base_url());
    for _ in 0..5 {
        let listed = other.sdk().list_attribute_values().send().await;
        listed.expect("within the quota");
    }
    let start = Instant::now();
    let report = store(sandbox.base_url())
        .upsert()
        .rows(rows(5))
        .send()
        .await;
    assert_eq!(report.expect("a report").summary().stored, 50);
    assert_eq!(
        sandbox.counts().quota_429s,
        1,
        "the first request goes alone"
    );
    assert!(start.elapsed() <= WINDOW.mul_f64(1.05));
}

#[tokio::test(start_paused = true)]
async fn a_huge_quota_causes_no_waits() {
    let sandbox = Sandbox::builder().quota(16_101_495, WINDOW).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let start = Instant::now();
    let report = store(sandbox.base_url())
        .upsert()
        .rows(rows(300))
        .send()
        .await;
    assert_eq!(report.expect("a report").summary().requests, 300);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_retry_timeout_ends_the_call_with_an_error() {
    let sandbox = Sandbox::builder().quota(5, 100 * WINDOW).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let start = Instant::now();
    let report = store(sandbox.base_url())
        .upsert()
        .rows(rows(8))
        .send()
        .await;
    let report = report.expect("a report");
    let summary = report.summary();
    assert_eq!((summary.stored, summary.not_sent), (50, 30));
    assert!(start.elapsed() < WINDOW, "{:?}", start.elapsed());
    let error = report
        .retryable()
        .next()
        .and(report.outcomes().iter().find_map(|o| o.error()));
    let text = error.expect("a reason").to_string();
    assert!(text.contains("retry_timeout"), "{text}");
    assert_eq!(report.retryable().count(), 30);
}

#[tokio::test(start_paused = true)]
async fn requests_of_another_app_cost_few_429s_and_no_rows() {
    for seed in 1..=5 {
        let sandbox = Sandbox::builder()
            .quota(150, WINDOW)
            .latency(Duration::from_millis(50))
            .other_app(seed, 1.0 / 3.0)
            .start()
            .await
            .expect("a sandbox");
        let start = Instant::now();
        let (sender, times_of_429s) = std::sync::mpsc::channel();
        let upsert = store(sandbox.base_url()).upsert().rows(rows(1500));
        let upsert = upsert.observe(move |event| {
            if matches!(
                event,
                Event::RequestFinished {
                    status: Some(429),
                    ..
                }
            ) {
                sender.send(start.elapsed()).unwrap_or_default();
            }
        });
        let report = upsert.send().await.expect("a report");
        assert_eq!(report.summary().stored, 15_000);
        let window = |at: Duration| at.div_duration_f64(WINDOW).floor() as u64;
        let mut per_window = BTreeMap::new();
        for at in times_of_429s.iter() {
            *per_window.entry(window(at)).or_insert(0) += 1;
        }
        assert!(
            per_window.values().all(|&responses| responses <= 3),
            "{per_window:?}"
        );
        // The other app leaves 100 of 150 requests per window.
        assert!(window(start.elapsed()) < 16, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_retry_timeout_costs_no_rows_on_a_healthy_server() {
    let sandbox = Sandbox::builder()
        .latency(Duration::from_millis(20))
        .start()
        .await;
    let sandbox = sandbox.expect("a sandbox");
    for retry_timeout in [Duration::ZERO, Duration::from_millis(15)] {
        let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
            .retry(RetryPolicy::default().retry_timeout(retry_timeout))
            .build()
            .expect("a store");
        let report = store.upsert().rows(rows(100)).send().await;
        assert_eq!(report.expect("a report").summary().stored, 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_stays_spent_beyond_the_retry_timeout_stops_the_run() {
    let sandbox = Sandbox::builder().quota(10, 100 * WINDOW).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let upsert = store(sandbox.base_url()).upsert().window(100);
    let mut outcomes = upsert.stream(futures::stream::iter(rows(5000)));
    while outcomes.next().await.is_some() {}
    let summary = outcomes.summary();
    assert_eq!(summary.stored, 100);
    assert!(summary.not_sent <= 200, "{summary}");
    let error = outcomes.stopped_by().expect("a reason");
    assert_eq!(error.kind(), ErrorKind::RateLimited);
}
