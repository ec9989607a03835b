//! An app that shares the quota.

use std::time::Duration;

use bigcommerce_sandbox::Sandbox;
use tokio::time::advance;

use crate::client::{Answer, get};

const WINDOW: Duration = Duration::from_secs(30);

fn left(answer: &Answer) -> u64 {
    answer.rate_limit("Requests-Left").unwrap()
}

async fn shared(seed: u64, share: f64) -> Sandbox {
    Sandbox::builder()
        .quota(150, WINDOW)
        .other_app(seed, share)
        .start()
        .await
        .unwrap()
}

/// What the other app has taken after each of 29 seconds of a window.
async fn taken(sandbox: &Sandbox) -> Vec<u64> {
    let mut taken = Vec::new();
    for mine in 1..=29 {
        let left = left(&get(sandbox.base_url(), "").await);
        taken.push(150 - left - mine);
        advance(Duration::from_secs(1)).await;
    }
    advance(Duration::from_secs(1)).await;
    taken
}

#[tokio::test(start_paused = true)]
async fn it_takes_its_share_bit_by_bit() {
    let sandbox = shared(7, 1.0 / 3.0).await;
    let first = taken(&sandbox).await;
    assert_eq!(first[0], 0);
    assert!(first.is_sorted());
    assert!((35..=50).contains(&first[28]), "{first:?}");
    let mut steps = first.clone();
    steps.dedup();
    assert!(steps.len() > 10, "{first:?}");
    // Another window, other moments; the same seed, the same.
    let second = taken(&sandbox).await;
    assert_ne!(first, second);
    let again = shared(7, 1.0 / 3.0).await;
    assert_eq!(taken(&again).await, first);
    assert_eq!(taken(&again).await, second);
    assert_ne!(taken(&shared(8, 1.0 / 3.0).await).await, first);
}

#[tokio::test(start_paused = true)]
async fn it_gets_nothing_where_nothing_is_left() {
    let sandbox = shared(1, 0.5).await;
    for left_after in (0..150).rev() {
        let answer = get(sandbox.base_url(), "").await;
        assert_eq!((answer.status, left(&answer)), (200, left_after));
    }
    advance(WINDOW / 2).await;
    let refused = get(sandbox.base_url(), "").await;
    assert_eq!((refused.status, left(&refused)), (429, 0));
    advance(WINDOW / 2).await;
    assert_eq!(left(&get(sandbox.base_url(), "").await), 149);
}

#[tokio::test(start_paused = true)]
async fn it_can_take_the_rest() {
    let sandbox = shared(1, 1.0).await;
    assert_eq!(left(&get(sandbox.base_url(), "").await), 149);
    advance(WINDOW - Duration::from_millis(1)).await;
    // The other app's last request may still be to come, but it has wanted nearly all.
    let answer = get(sandbox.base_url(), "").await;
    assert!(left(&answer) <= 1, "{}", left(&answer));
    assert_eq!(sandbox.counts().requests, 2);
    let mut status = answer.status;
    while status == 200 {
        status = get(sandbox.base_url(), "").await.status;
    }
    assert_eq!((status, sandbox.counts().quota_429s), (429, 1));
}
