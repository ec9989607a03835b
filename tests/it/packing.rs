//! Rows are packed into as few requests as the limits allow, in whatever order they arrive.

use std::collections::BTreeMap;
use std::time::Duration;

use bigcommerce_ext::{Limits, OutcomeKind, Store, UpsertRow};
use bigcommerce_sandbox::Sandbox;
use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use crate::support::{TOKEN, cdnow, sandbox};

/// Stores rows in a sandbox with a latency of 5 ms. Checks that it takes the fewest requests.
async fn store_in_236_requests(rows: Vec<UpsertRow>) {
    let sandbox = Sandbox::builder()
        .latency(Duration::from_millis(5))
        .start()
        .await
        .expect("a sandbox");
    let store = crate::support::store(sandbox.base_url());
    let report = store
        .upsert()
        .rows(rows.clone())
        .send()
        .await
        .expect("a report");

    let summary = report.summary();
    assert_eq!((summary.stored, summary.rows()), (7071, 7071));
    assert_eq!(summary.requests, 236);
    for (index, (outcome, row)) in report.outcomes().iter().zip(&rows).enumerate() {
        assert_eq!(outcome.index, index as u64);
        assert_eq!(outcome.row.as_ref(), Some(row));
        assert!(!outcome.differs());
    }
    let counts = sandbox.counts();
    assert_eq!(counts.puts, 236);
    assert_eq!(counts.peak_in_flight, 3);
    assert_eq!(counts.in_flight_429s + counts.quota_429s, 0);
    assert_eq!(counts.largest_batch_customers, 10);

    let sent: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            (
                (
                    row.customer_id().expect("an ID"),
                    row.attribute().id().expect("an ID"),
                ),
                row.value().expect("a value").to_owned(),
            )
        })
        .collect();
    let stored: BTreeMap<_, _> = sandbox
        .values()
        .into_iter()
        .map(|value| ((value.customer_id, value.attribute_id), value.value))
        .collect();
    assert_eq!(stored, sent);
}

#[tokio::test]
async fn rows_in_order_take_236_requests() {
    store_in_236_requests(cdnow()).await;
}

#[tokio::test]
async fn shuffled_rows_take_236_requests() {
    let mut rows = cdnow();
    fastrand::Rng::with_seed(7).shuffle(&mut rows);
    store_in_236_requests(rows).await;
}

#[tokio::test]
async fn rows_sorted_by_attribute_take_236_requests() {
    let mut rows = cdnow();
    rows.sort_by_key(|row| row.attribute().id());
    store_in_236_requests(rows).await;
}

#[tokio::test]
async fn a_hundred_thousand_customers_in_order_take_ten_thousand_requests() {
    let (sandbox, store) = sandbox().await;
    let rows = (1..=100_000).flat_map(|customer| {
        (1..=5).map(move |attribute| UpsertRow::new(customer, attribute, "Gold"))
    });
    let mut outcomes = store.upsert().stream(stream::iter(rows));
    while let Some(outcome) = outcomes.next().await {
        assert!(matches!(outcome.kind, OutcomeKind::Stored(Some(_))));
    }
    assert_eq!(outcomes.summary().stored, 500_000);
    assert_eq!(outcomes.done_up_to(), 500_000);
    let counts = sandbox.counts();
    assert_eq!(counts.puts, 10_000);
    assert_eq!(counts.largest_batch_customers, 10);
    assert!(counts.peak_in_flight <= 3);
    assert_eq!(counts.in_flight_429s, 0);
}

#[tokio::test(start_paused = true)]
async fn rows_that_arrive_slowly_are_sent_after_the_linger() {
    let (sandbox, store) = sandbox().await;
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let rows = stream::iter(1..=20).then(move |number: u32| async move {
        sleep_until(start + number * second).await;
        UpsertRow::new(i64::from(number), 1, number)
    });
    let mut outcomes = store.upsert().stream(rows);
    let mut number = 0;
    while let Some(outcome) = outcomes.next().await {
        number += 1;
        assert!(matches!(outcome.kind, OutcomeKind::Stored(_)));
        let arrived = start + number * second;
        let lingered = Instant::now() - arrived;
        // The input ends with the last row, which is sent at once.
        assert!(number == 20 || lingered >= Duration::from_millis(100));
        assert!(lingered < second / 2, "row {number}: {lingered:?}");
        assert_eq!(outcomes.done_up_to(), u64::from(number));
    }
    assert_eq!(sandbox.counts().puts, 20);
}

#[tokio::test]
async fn clones_of_a_store_share_its_limits() {
    let sandbox = Sandbox::builder()
        .latency(Duration::from_millis(2))
        .start()
        .await
        .expect("a sandbox");
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .limits(Limits::default().customers_per_call(4).max_in_flight(2))
        .build()
        .expect("a store");
    let run = |first: i64| {
        let rows = (first..first + 100).map(|id| UpsertRow::new(id, 1, id));
        store.clone().upsert().rows(rows).send()
    };
    let (a, b, c) = tokio::join!(run(1), run(1001), run(2001));
    for report in [a, b, c] {
        assert_eq!(report.expect("a report").summary().stored, 100);
    }
    let counts = sandbox.counts();
    assert_eq!(counts.puts, 75);
    assert_eq!(counts.peak_in_flight, 2);
    assert_eq!(counts.largest_batch_customers, 4);
}

#[tokio::test]
async fn the_last_row_wins_across_batches() {
    let (sandbox, store) = sandbox().await;
    // In a window of one row, each row is a batch, and waits while its customer is in flight.
    let rows = (0..60).map(|number| UpsertRow::new(1 + number % 4, 1, number));
    let mut outcomes = store.upsert().window(1).stream(stream::iter(rows));
    let mut seen = vec![0; 60];
    while let Some(outcome) = outcomes.next().await {
        seen[outcome.index as usize] += 1;
    }
    assert_eq!(seen, vec![1; 60]);
    assert!(outcomes.summary().is_complete());
    for customer in 1..=4 {
        let stored = sandbox.value(customer, 1).expect("a value").value;
        assert_eq!(stored, (55 + customer).to_string());
    }
}
