//! The limit of requests in flight, and the quota.

use std::time::Duration;

use bigcommerce_sandbox::Sandbox;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{TestResponse, delete, get, put, row};

#[tokio::test(start_paused = true)]
async fn a_fourth_request_in_flight_is_rejected() {
    let latency = Duration::from_millis(20);
    let sandbox = Sandbox::builder()
        .latency(latency)
        .quota(150, Duration::from_secs(30))
        .start()
        .await
        .unwrap();
    let mut running = JoinSet::new();
    for customer in 1..=3 {
        let base_url = sandbox.base_url().to_owned();
        running.spawn(async move {
            put(&base_url, [row(customer, 1, "v")].into_iter().collect()).await
        });
    }
    while sandbox.counts().in_flight < 3 {
        // The paused clock stands still while a task is ready.
        tokio::task::yield_now().await;
    }
    let fourth = get(sandbox.base_url(), "").await;
    assert_eq!(fourth.status, 429);
    assert!(
        fourth
            .headers
            .keys()
            .all(|name| !name.as_str().starts_with("x-"))
    );
    while let Some(response) = running.join_next().await {
        assert_eq!(response.unwrap().status, 200);
    }
    let fifth = get(sandbox.base_url(), "").await;
    assert_eq!(fifth.status, 200);
    assert_eq!(fifth.rate_limit("Requests-Left"), Some(146));

    let counts = sandbox.counts();
    assert_eq!((counts.peak_in_flight, counts.in_flight_429s), (4, 1));
    assert_eq!((counts.in_flight, counts.values), (0, 3));
}

/// Runs three clients that each send the next request as soon as they see a response.
async fn run_three_clients(latency: Duration) {
    let sandbox = Sandbox::builder().latency(latency).start().await.unwrap();
    let mut running = JoinSet::new();
    for client in 1..=3 {
        let base_url = sandbox.base_url().to_owned();
        running.spawn(async move {
            for n in 0..100 {
                let response =
                    put(&base_url, [row(client, n + 1, "v")].into_iter().collect()).await;
                assert_eq!(response.status, 200);
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    let counts = sandbox.counts();
    assert_eq!((counts.in_flight_429s, counts.rows_stored), (0, 300));
    assert!(counts.peak_in_flight <= 3);
}

#[tokio::test(start_paused = true)]
async fn clients_within_the_limit_are_never_rejected() {
    run_three_clients(Duration::ZERO).await;
    run_three_clients(Duration::from_millis(20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_on_other_threads_are_never_rejected() {
    run_three_clients(Duration::ZERO).await;
}

fn headers(response: &TestResponse) -> [Option<u64>; 4] {
    [
        "Time-Window-Ms",
        "Time-Reset-Ms",
        "Requests-Quota",
        "Requests-Left",
    ]
    .map(|name| response.rate_limit(name))
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_spent_and_renewed() {
    let sandbox = Sandbox::builder()
        .quota(3, Duration::from_secs(30))
        .start()
        .await
        .unwrap();
    let base_url = sandbox.base_url();
    // No window is open before the first request.
    tokio::time::advance(Duration::from_secs(10)).await;
    let expected = |reset, left| [Some(30_000), Some(reset), Some(3), Some(left)];
    assert_eq!(headers(&get(base_url, "").await), expected(30_000, 2));
    tokio::time::advance(Duration::from_millis(500)).await;
    // Rejected requests use quota too.
    let rejected = delete(base_url, "").await;
    assert_eq!(
        (rejected.status, headers(&rejected)),
        (422, expected(29_500, 1))
    );
    assert_eq!(
        headers(&put(base_url, [row(1, 1, "v")].into_iter().collect()).await),
        expected(29_500, 0)
    );

    let spent = get(base_url, "").await;
    assert_eq!((spent.status, headers(&spent)), (429, expected(29_500, 0)));
    assert_eq!(spent.headers["x-retry-after"], "30");
    tokio::time::advance(Duration::from_millis(29_499)).await;
    let spent = get(base_url, "").await;
    assert_eq!((spent.status, headers(&spent)), (429, expected(1, 0)));
    assert_eq!(spent.headers["x-retry-after"], "1");

    tokio::time::advance(Duration::from_millis(1)).await;
    let renewed = get(base_url, "").await;
    assert_eq!(
        (renewed.status, headers(&renewed)),
        (200, expected(30_000, 2))
    );
    assert_eq!(sandbox.counts().quota_429s, 2);
}

#[tokio::test(start_paused = true)]
async fn reset_is_the_time_left_when_the_response_is_sent() {
    let sandbox = Sandbox::builder()
        .quota(3, Duration::from_secs(30))
        .latency(Duration::from_millis(200))
        .start()
        .await
        .unwrap();
    let before = Instant::now();
    let response = get(sandbox.base_url(), "").await;
    assert_eq!(before.elapsed(), Duration::from_millis(200));
    assert_eq!(response.rate_limit("Time-Reset-Ms"), Some(29_800));
}

#[tokio::test(start_paused = true)]
async fn without_a_quota_there_are_no_rate_limit_headers() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    assert_eq!(headers(&get(sandbox.base_url(), "").await), [None; 4]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_can_be_omitted() {
    let sandbox = Sandbox::builder()
        .quota(0, Duration::from_secs(30))
        .retry_after(false)
        .start()
        .await
        .unwrap();
    let spent = get(sandbox.base_url(), "").await;
    assert_eq!(
        (spent.status, spent.headers.get("x-retry-after")),
        (429, None)
    );
    assert_eq!(spent.rate_limit("Requests-Left"), Some(0));
}
