//! As few calls as possible, within the limits, whatever order the rows come in.

use std::collections::BTreeMap;
use std::time::Duration;

use bigcommerce_ext::{Limits, OutcomeKind, Store, UpsertRow};
use bigcommerce_sandbox::Sandbox;
use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use crate::support::{TOKEN, cdnow, sandbox};

/// Stores rows in a sandbox of 5 ms per answer, and checks that all arrive in the fewest calls.
async fn arrives_in_236_calls(rows: Vec<UpsertRow>) {
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
                (row.customer_id(), row.attribute().id().expect("an ID")),
                row.value().to_owned(),
            )
        })
        .collect();
    let kept: BTreeMap<_, _> = sandbox
        .values()
        .into_iter()
        .map(|kept| ((kept.customer_id, kept.attribute_id), kept.value))
        .collect();
    assert_eq!(kept, sent);
}

#[tokio::test]
async fn rows_in_order() {
    arrives_in_236_calls(cdnow()).await;
}

#[tokio::test]
async fn rows_shuffled() {
    let mut rows = cdnow();
    fastrand::Rng::with_seed(7).shuffle(&mut rows);
    arrives_in_236_calls(rows).await;
}

#[tokio::test]
async fn rows_column_by_column() {
    let mut rows = cdnow();
    rows.sort_by_key(|row| row.attribute().id());
    arrives_in_236_calls(rows).await;
}

#[tokio::test]
async fn a_hundred_thousand_customers_in_order_cost_ten_thousand_calls() {
    let (sandbox, store) = sandbox().await;
    let rows = (1..=100_000).flat_map(|customer| {
        (1..=5).map(move |attribute| UpsertRow::new(customer, attribute, "Gold"))
    });
    let mut outcomes = store.upsert().stream(stream::iter(rows));
    while let Some(outcome) = outcomes.next().await {
        assert!(matches!(outcome.kind, OutcomeKind::Stored(Some(_))));
    }
    assert_eq!(outcomes.summary().stored, 500_000);
    assert_eq!(outcomes.settled_up_to(), 500_000);
    let counts = sandbox.counts();
    assert_eq!(counts.puts, 10_000);
    assert_eq!(counts.largest_batch_customers, 10);
    assert!(counts.peak_in_flight <= 3);
    assert_eq!(counts.in_flight_429s, 0);
}

#[tokio::test(start_paused = true)]
async fn a_row_per_second_is_sent_without_waiting_for_more() {
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
        let came = start + number * second;
        let lingered = Instant::now() - came;
        // The input ends with the last row, so there is nothing to linger for.
        assert!(number == 20 || lingered >= Duration::from_millis(100));
        assert!(lingered < second / 2, "row {number} waited for more");
        assert_eq!(outcomes.settled_up_to(), u64::from(number));
    }
    assert_eq!(sandbox.counts().puts, 20);
}

#[tokio::test]
async fn clones_share_the_limit_and_settings_change_it() {
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
async fn the_last_row_wins_across_calls() {
    let (sandbox, store) = sandbox().await;
    // A window of one value: each row becomes a call, and rows of a customer in flight wait.
    let rows = (0..60).map(|number| UpsertRow::new(1 + number % 4, 1, number));
    let mut outcomes = store.upsert().window(1).stream(stream::iter(rows));
    let mut seen = vec![0; 60];
    while let Some(outcome) = outcomes.next().await {
        seen[outcome.index as usize] += 1;
    }
    assert_eq!(seen, vec![1; 60]);
    assert!(outcomes.summary().is_complete());
    for customer in 1..=4 {
        let kept = sandbox.value(customer, 1).expect("a value").value;
        assert_eq!(kept, (55 + customer).to_string());
    }
}
