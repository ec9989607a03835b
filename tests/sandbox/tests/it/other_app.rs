//! Another app that uses the same quota.

use std::time::Duration;

use bigcommerce_sandbox::Sandbox;
use tokio::time::advance;

use crate::client::{TestResponse, get};

const WINDOW: Duration = Duration::from_secs(30);

fn left(response: &TestResponse) -> u64 {
    response.rate_limit("Requests-Left").unwrap()
}

async fn start_shared(seed: u64, share: f64) -> Sandbox {
    Sandbox::builder()
        .quota(150, WINDOW)
        .other_app(seed, share)
        .start()
        .await
        .unwrap()
}

/// Returns the requests that the other app has made after each of 29 seconds of a window.
async fn requests_by_second(sandbox: &Sandbox) -> Vec<u64> {
    let mut requests = Vec::new();
    for mine in 1..=29 {
        let left = left(&get(sandbox.base_url(), "").await);
        requests.push(150 - left - mine);
        advance(Duration::from_secs(1)).await;
    }
    advance(Duration::from_secs(1)).await;
    requests
}

#[tokio::test(start_paused = true)]
async fn the_share_is_used_over_the_window() {
    let sandbox = start_shared(7, 1.0 / 3.0).await;
    let first = requests_by_second(&sandbox).await;
    assert_eq!(first[0], 0);
    assert!(first.is_sorted());
    assert!((35..=50).contains(&first[28]), "{first:?}");
    let mut steps = first.clone();
    steps.dedup();
    assert!(steps.len() > 10, "{first:?}");
    // Each window has different times, and the same seed gives the same ones.
    let second = requests_by_second(&sandbox).await;
    assert_ne!(first, second);
    let again = start_shared(7, 1.0 / 3.0).await;
    assert_eq!(requests_by_second(&again).await, first);
    assert_eq!(requests_by_second(&again).await, second);
    assert_ne!(
        requests_by_second(&start_shared(8, 1.0 / 3.0).await).await,
        first
    );
}

#[tokio::test(start_paused = true)]
async fn the_quota_is_never_exceeded() {
    let sandbox = start_shared(1, 0.5).await;
    for left_after in (0..150).rev() {
        let response = get(sandbox.base_url(), "").await;
        assert_eq!((response.status, left(&response)), (200, left_after));
    }
    advance(WINDOW / 2).await;
    let rejected = get(sandbox.base_url(), "").await;
    assert_eq!((rejected.status, left(&rejected)), (429, 0));
    advance(WINDOW / 2).await;
    assert_eq!(left(&get(sandbox.base_url(), "").await), 149);
}

#[tokio::test(start_paused = true)]
async fn the_share_can_be_the_whole_quota() {
    let sandbox = start_shared(1, 1.0).await;
    assert_eq!(left(&get(sandbox.base_url(), "").await), 149);
    advance(WINDOW - Duration::from_millis(1)).await;
    // The other app has used all but one or two requests.
    let response = get(sandbox.base_url(), "").await;
    assert!(left(&response) <= 1, "{}", left(&response));
    assert_eq!(sandbox.counts().requests, 2);
    let mut status = response.status;
    while status == 200 {
        status = get(sandbox.base_url(), "").await.status;
    }
    assert_eq!((status, sandbox.counts().quota_429s), (429, 1));
}
