//! Upserts that skip unchanged values.

use std::collections::BTreeMap;
use std::time::Duration;

use bigcommerce_ext::{Limits, Store, UpsertRow};
use bigcommerce_sandbox::{FaultPlan, Sandbox};
use futures::{StreamExt, stream};
use tokio::time::sleep;

use crate::support::{TOKEN, cdnow, sandbox, store};

type State = BTreeMap<(i64, i64), String>;

fn state(sandbox: &Sandbox) -> State {
    let values = sandbox.values().into_iter();
    let values = values.map(|value| ((value.customer_id, value.attribute_id), value.value));
    values.collect()
}

/// Returns the state in which the last row per customer and attribute wins.
fn expected_state<'a>(rows: impl IntoIterator<Item = &'a UpsertRow>) -> State {
    let key = |row: &UpsertRow| (row.customer_id(), row.attribute().id());
    let rows = rows
        .into_iter()
        .map(|row| (key(row), row.value().expect("a value").to_owned()));
    rows.map(|((customer, attribute), value)| {
        let key = customer.zip(attribute);
        (key.expect("two IDs"), value)
    })
    .collect()
}

/// Returns the rows of the bundled customers with one changed value for some customers, far apart.
fn with_changes(customers: usize) -> Vec<UpsertRow> {
    let mut rows = cdnow();
    for row in rows.iter_mut().skip(1).step_by(270).take(customers) {
        *row = UpsertRow::new(row.customer().clone(), row.attribute().clone(), "changed");
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn unchanged_values_take_few_reads_and_changed_ones_the_fewest_requests() {
    let (sandbox, store) = sandbox().await;
    let report = store.upsert().rows(cdnow()).send().await;
    assert_eq!(report.expect("a report").summary().stored, 7071);
    // In the last round, ten of the 25 values were changed in the round before.
    for (customers, puts) in [(0, 0), (10, 1), (25, 2)] {
        let before = sandbox.counts();
        let rows = with_changes(customers);
        let run = store.upsert().rows(rows.clone()).skip_unchanged();
        let summary = run.send().await.expect("a report").summary();
        let after = sandbox.counts();
        assert_eq!(summary.stored + summary.unchanged, 7071);
        assert_eq!(after.puts - before.puts, puts, "{summary}");
        assert!(after.gets - before.gets <= 30, "{summary}");
        assert_eq!(summary.requests, after.requests - before.requests);
        assert_eq!(state(&sandbox), expected_state(&rows));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing() {
    let (sandbox, store) = sandbox().await;
    sandbox.insert(1, 1, "x");
    let rows = [(1, "x"), (2, "y"), (2, "z")];
    let rows = rows.map(|(customer, value)| UpsertRow::new(customer, 1, value));
    for (skip_unchanged, expected) in [
        (
            true,
            "1 requests: 0 stored, 1 unchanged, 1 planned, 1 superseded",
        ),
        (false, "0 requests: 0 stored, 2 planned, 1 superseded"),
    ] {
        let run = store.upsert().rows(rows.clone()).dry_run();
        let run = if skip_unchanged {
            run.skip_unchanged()
        } else {
            run
        };
        let report = run.send().await.expect("a report");
        let summary = report.summary().to_string();
        assert!(summary.starts_with(expected), "{summary}");
    }
    assert_eq!((sandbox.values().len(), sandbox.counts().puts), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn running_a_dropped_run_again_sends_only_the_missing_rows() {
    let (sandbox, store) = sandbox().await;
    let mut outcomes = store.upsert().stream(stream::iter(cdnow()));
    for _ in 0..3000 {
        outcomes.next().await.expect("an outcome");
    }
    drop(outcomes);
    sleep(Duration::from_secs(10)).await;
    let stored = sandbox.values().len() as u64;
    assert!((3000..7071).contains(&stored), "{stored}");
    let before = sandbox.counts();
    let run = store.upsert().rows(cdnow()).skip_unchanged();
    let summary = run.send().await.expect("a report").summary();
    assert_eq!((summary.unchanged, summary.stored), (stored, 7071 - stored));
    let puts = sandbox.counts().puts - before.puts;
    assert_eq!(puts, (2357 - stored / 3).div_ceil(10));
    assert_eq!(state(&sandbox), expected_state(&cdnow()));
}

#[tokio::test(start_paused = true)]
async fn if_the_server_ignores_filters_all_rows_are_sent() {
    let sandbox = Sandbox::builder().ignore_filters(true).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = store(sandbox.base_url());
    let rows: Vec<_> = cdnow().into_iter().take(900).collect();
    for expected in [900, 900] {
        let run = store.upsert().rows(rows.clone()).skip_unchanged();
        let summary = run.send().await.expect("a report").summary();
        assert_eq!(summary.stored, expected);
    }
    assert_eq!(state(&sandbox), expected_state(&rows));
}

#[tokio::test(start_paused = true)]
async fn smaller_pages_and_rejected_reads_cost_no_rows() {
    let sandbox = Sandbox::builder().page_limit(50).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = store(sandbox.base_url());
    let rows: Vec<_> = cdnow().into_iter().take(900).collect();
    for (expected, puts) in [(900, 30), (0, 0)] {
        let before = sandbox.counts().puts;
        let run = store.upsert().rows(rows.clone()).skip_unchanged();
        let summary = run.send().await.expect("a report").summary();
        assert_eq!(
            (summary.stored, summary.unchanged),
            (expected, 900 - expected)
        );
        assert_eq!(sandbox.counts().puts - before, puts);
    }
    // Only the first reads were rejected for their page size.
    assert_eq!(sandbox.counts().rejected, 6);
}

#[tokio::test(start_paused = true)]
async fn the_last_row_wins_with_faults_of_every_kind() {
    for seed in 1..=12 {
        let plan = FaultPlan::seeded(seed).rate(0.15);
        let sandbox = Sandbox::builder().faults(plan).start().await;
        let sandbox = sandbox.expect("a sandbox");
        let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
            // Longer than the delay of a late execution.
            .limits(Limits::default().grace_period(Duration::from_secs(120)))
            .build()
            .expect("a store");
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..200 {
            let value = rng.u8(0..3).to_string();
            sandbox.insert(rng.i64(1..150), rng.i64(1..4), value);
        }
        let before = state(&sandbox);
        let row =
            |rng: &mut fastrand::Rng| UpsertRow::new(rng.i64(1..150), rng.i64(1..4), rng.u8(0..3));
        let rows: Vec<_> = (0..1500).map(|_| row(&mut rng)).collect();
        let run = store.upsert().skip_unchanged().window(rng.usize(60..600));
        let outcomes: Vec<_> = run.stream(stream::iter(rows.clone())).collect().await;
        sandbox.set_faults(FaultPlan::none());
        sleep(Duration::from_secs(600)).await;
        assert_eq!(outcomes.len(), rows.len());
        let failed = outcomes.iter().filter(|outcome| outcome.error().is_some());
        let failed: Vec<_> = failed.map(|outcome| outcome.index).collect();
        assert!(failed.is_empty(), "{seed}: {failed:?}");
        let mut expected = before;
        expected.extend(expected_state(&rows));
        assert_eq!(state(&sandbox), expected, "{seed}");
        let counts = sandbox.counts();
        assert!(counts.faults > 0 && counts.peak_in_flight <= 3, "{counts}");
    }
}
