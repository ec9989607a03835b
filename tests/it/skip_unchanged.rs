//! Upserts that skip what the store holds already.

use std::collections::BTreeMap;
use std::time::Duration;

use bigcommerce_ext::{Limits, OutcomeKind, Store, UpsertRow};
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

fn model<'a>(rows: impl IntoIterator<Item = &'a UpsertRow>) -> State {
    let key = |row: &UpsertRow| (row.customer_id(), row.attribute().id());
    let rows = rows
        .into_iter()
        .map(|row| (key(row), row.value().to_owned()));
    rows.map(|((customer, attribute), value)| ((customer, attribute.expect("an ID")), value))
        .collect()
}

/// The bundled customers with some values changed, of customers that lie far apart.
fn changed(customers: usize) -> Vec<UpsertRow> {
    let mut rows = cdnow();
    for row in rows.iter_mut().skip(1).step_by(270).take(customers) {
        *row = UpsertRow::new(row.customer_id(), row.attribute().clone(), "changed");
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn what_is_there_costs_few_reads_and_what_has_changed_the_fewest_calls() {
    let (sandbox, store) = sandbox().await;
    let report = store.upsert().rows(cdnow()).send().await;
    assert_eq!(report.expect("a report").summary().stored, 7071);
    // Ten of the last ones are there by then.
    for (customers, puts) in [(0, 0), (10, 1), (25, 2)] {
        let before = sandbox.counts();
        let rows = changed(customers);
        let run = store.upsert().rows(rows.clone()).skip_unchanged();
        let summary = run.send().await.expect("a report").summary();
        let after = sandbox.counts();
        assert_eq!(summary.stored + summary.unchanged, 7071);
        assert_eq!(after.puts - before.puts, puts, "{summary}");
        assert!(after.gets - before.gets <= 30, "{summary}");
        assert_eq!(summary.requests, after.requests - before.requests);
        assert_eq!(state(&sandbox), model(&rows));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_in_a_dry_run() {
    let (sandbox, store) = sandbox().await;
    sandbox.insert(1, 1, "x");
    let rows = [(1, "x"), (2, "y"), (2, "z")];
    let rows = rows.map(|(customer, value)| UpsertRow::new(customer, 1, value));
    for (skips, expected) in [
        (
            true,
            "1 requests: 0 stored, 1 unchanged, 1 planned, 1 superseded",
        ),
        (false, "0 requests: 0 stored, 2 planned, 1 superseded"),
    ] {
        let run = store.upsert().rows(rows.clone()).dry_run();
        let run = if skips { run.skip_unchanged() } else { run };
        let report = run.send().await.expect("a report");
        let told = report.summary().to_string();
        assert!(told.starts_with(expected), "{told}");
    }
    assert_eq!((sandbox.values().len(), sandbox.counts().puts), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn x_over_y_and_then_y_again_ends_in_y() {
    let sandbox = Sandbox::builder()
        .latency(Duration::from_millis(20))
        .start()
        .await;
    let sandbox = sandbox.expect("a sandbox");
    let store = store(sandbox.base_url());
    sandbox.insert(1, 1, "y");
    // The second row comes at every moment of the first one's way.
    for pause in (0..=200).step_by(10) {
        let rows = stream::iter(["x", "y"]).then(move |value| async move {
            if value == "y" {
                sleep(Duration::from_millis(pause)).await;
            }
            UpsertRow::new(1, 1, value)
        });
        let run = store
            .upsert()
            .skip_unchanged()
            .linger(Duration::from_millis(5));
        let outcomes: Vec<_> = run.stream(rows).collect().await;
        assert_eq!(outcomes.len(), 2, "{pause}");
        assert_eq!(state(&sandbox)[&(1, 1)], "y", "{pause}");
        let is_x_over = |kind: &OutcomeKind| {
            matches!(
                kind,
                OutcomeKind::Stored(_) | OutcomeKind::Superseded { .. }
            )
        };
        let x = outcomes.iter().find(|outcome| outcome.index == 0);
        assert!(is_x_over(&x.expect("an outcome").kind), "{pause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_killed_goes_on_when_it_is_run_again() {
    let (sandbox, store) = sandbox().await;
    let mut outcomes = store.upsert().stream(stream::iter(cdnow()));
    for _ in 0..3000 {
        outcomes.next().await.expect("an outcome");
    }
    drop(outcomes);
    sleep(Duration::from_secs(10)).await;
    let there = sandbox.values().len() as u64;
    assert!((3000..7071).contains(&there), "{there}");
    let before = sandbox.counts();
    let run = store.upsert().rows(cdnow()).skip_unchanged();
    let summary = run.send().await.expect("a report").summary();
    assert_eq!((summary.unchanged, summary.stored), (there, 7071 - there));
    let puts = sandbox.counts().puts - before.puts;
    assert_eq!(puts, (2357 - there / 3).div_ceil(10));
    assert_eq!(state(&sandbox), model(&cdnow()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_leaves_filters_out_has_nothing_skipped() {
    let sandbox = Sandbox::builder().ignore_filters(true).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = store(sandbox.base_url());
    let rows: Vec<_> = cdnow().into_iter().take(900).collect();
    for expected in [900, 900] {
        let run = store.upsert().rows(rows.clone()).skip_unchanged();
        let summary = run.send().await.expect("a report").summary();
        assert_eq!(summary.stored, expected);
    }
    assert_eq!(state(&sandbox), model(&rows));
}

#[tokio::test(start_paused = true)]
async fn smaller_pages_and_reads_that_fail_lose_nothing() {
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
    // Three reads were refused for their size, once.
    assert_eq!(sandbox.counts().refused, 6);
}

#[tokio::test(start_paused = true)]
async fn through_faults_of_all_kinds_the_last_row_wins() {
    for seed in 1..=12 {
        let plan = FaultPlan::seeded(seed).rate(0.15);
        let sandbox = Sandbox::builder().faults(plan).start().await;
        let sandbox = sandbox.expect("a sandbox");
        let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
            // Longer than a late execution takes.
            .limits(Limits::default().grace_period(Duration::from_secs(120)))
            .build()
            .expect("a store");
        let mut dice = fastrand::Rng::with_seed(seed);
        for _ in 0..200 {
            let value = dice.u8(0..3).to_string();
            sandbox.insert(dice.i64(1..150), dice.i64(1..4), value);
        }
        let before = state(&sandbox);
        let row = |dice: &mut fastrand::Rng| {
            UpsertRow::new(dice.i64(1..150), dice.i64(1..4), dice.u8(0..3))
        };
        let rows: Vec<_> = (0..1500).map(|_| row(&mut dice)).collect();
        let run = store.upsert().skip_unchanged().window(dice.usize(60..600));
        let outcomes: Vec<_> = run.stream(stream::iter(rows.clone())).collect().await;
        sandbox.set_faults(FaultPlan::none());
        sleep(Duration::from_secs(600)).await;
        assert_eq!(outcomes.len(), rows.len());
        let unclear = outcomes.iter().filter(|outcome| outcome.error().is_some());
        let unclear: Vec<_> = unclear.map(|outcome| outcome.index).collect();
        assert!(unclear.is_empty(), "{seed}: {unclear:?}");
        let mut expected = before;
        expected.extend(model(&rows));
        assert_eq!(state(&sandbox), expected, "{seed}");
        let counts = sandbox.counts();
        assert!(counts.faults > 0 && counts.peak_in_flight <= 3, "{counts}");
    }
}
