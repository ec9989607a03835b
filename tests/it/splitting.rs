//! Rejected batches are split: one bad row costs one row, and a batch that is too large costs none.

use std::collections::HashSet;

use bigcommerce_ext::{ErrorKind, Event, OutcomeKind, Summary, UpsertRow};
use bigcommerce_sandbox::{BatchRejection, ErrorKeys, Sandbox, SandboxBuilder, TooLarge};

use crate::support::{cdnow, store};

const BAD: &str = "bad";

fn sandbox() -> SandboxBuilder {
    Sandbox::builder().reject(|_, _, value| (value == BAD).then(|| "this value is bad".to_owned()))
}

/// Returns the rows of the bundled customers with seven bad values, and the indices of these.
fn with_bad_rows(seed: u64) -> (Vec<UpsertRow>, HashSet<usize>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut rows = cdnow();
    let indices: HashSet<usize> = rng.choose_multiple(0..rows.len(), 7).into_iter().collect();
    for &index in &indices {
        let row = &rows[index];
        rows[index] = UpsertRow::new(row.customer().clone(), row.attribute().clone(), BAD);
    }
    (rows, indices)
}

#[tokio::test]
async fn seven_bad_rows_among_seven_thousand_cost_seven_rows() {
    for (keys, max_extra) in [
        (ErrorKeys::Indexed, 14),
        (ErrorKeys::Field, 84),
        (ErrorKeys::Empty, 84),
    ] {
        for rejection in [BatchRejection::Atomic, BatchRejection::Partial] {
            for seed in 1..=3 {
                let sandbox = sandbox().error_keys(keys).batch_rejection(rejection);
                let sandbox = sandbox.start().await.expect("a sandbox");
                let (rows, bad) = with_bad_rows(seed);
                let upsert = store(sandbox.base_url()).upsert().rows(rows);
                let report = upsert.send().await.expect("a report");
                let summary = report.summary();
                assert_eq!((summary.stored, summary.rejected), (7064, 7));
                assert_eq!(summary.rows(), 7071);
                assert!(report.stopped_by().is_none());
                let extra = summary.requests - 236;
                assert!(extra <= max_extra, "{keys:?} {rejection:?}: {extra} extra");
                for outcome in report.outcomes() {
                    let is_bad = bad.contains(&(outcome.index as usize));
                    assert_eq!(is_bad, matches!(outcome.kind, OutcomeKind::Rejected(_)));
                }
                for error in report.outcomes().iter().filter_map(|o| o.error()) {
                    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
                    assert_eq!(error.status(), Some(422), "{error}");
                    assert!(!error.is_temporary(), "{error}");
                    if keys != ErrorKeys::Empty {
                        assert!(error.to_string().contains("this value is bad"), "{error}");
                        let row = error.row().expect("a row");
                        assert!(error.to_string().starts_with(&format!("row {row}: ")));
                    }
                }
                assert_eq!(sandbox.values().len(), 7064);
                assert!(sandbox.counts().peak_in_flight <= 3);
            }
        }
    }
}

#[tokio::test]
async fn if_the_last_row_of_a_key_is_rejected_the_row_before_it_is_stored() {
    for rejection in [BatchRejection::Atomic, BatchRejection::Partial] {
        let sandbox = sandbox().batch_rejection(rejection).start().await;
        let sandbox = sandbox.expect("a sandbox");
        let rows = (1..=30).flat_map(|customer| {
            let row = move |value| UpsertRow::new(customer, 1, value);
            [row("good"), row("better"), row(BAD)]
        });
        let upsert = store(sandbox.base_url()).upsert().stop_after_rejected(0);
        let report = upsert.rows(rows).send().await.expect("a report");
        let summary = report.summary();
        assert_eq!(
            (summary.stored, summary.superseded, summary.rejected),
            (30, 30, 30)
        );
        for (first, outcomes) in (0..).step_by(3).zip(report.outcomes().chunks(3)) {
            let kinds: Vec<_> = outcomes.iter().map(|outcome| &outcome.kind).collect();
            let [
                OutcomeKind::Superseded { by, .. },
                OutcomeKind::Stored(Some(_)),
                OutcomeKind::Rejected(_),
            ] = kinds[..]
            else {
                panic!("{rejection:?}: {kinds:?}");
            };
            assert_eq!(*by, first + 1);
        }
        for customer in 1..=30 {
            assert_eq!(sandbox.value(customer, 1).expect("a value").value, "better");
        }
    }
}

#[tokio::test]
async fn a_run_stops_if_its_first_100_rows_are_all_rejected() {
    let sandbox = sandbox().start().await.expect("a sandbox");
    let rows = (1..=5000).map(|customer| UpsertRow::new(customer, 1, BAD));
    let upsert = store(sandbox.base_url()).upsert().rows(rows);
    let report = upsert.send().await.expect("a report");
    let error = report.stopped_by().expect("an error");
    assert!(error.to_string().contains("this value is bad"), "{error}");
    let summary = report.summary();
    assert!((100..=130).contains(&summary.rejected), "{summary}");
    // The server may have stored rows of a rejected batch.
    assert!(summary.unknown <= 30, "{summary}");
    assert_eq!(summary.rows(), 5000);
    assert!(
        summary.requests <= 500,
        "at most one per ten rows: {summary}"
    );
}

/// Stores the bundled customers. Checks that once a size limit is learned, no new batch is too large.
async fn store_all(sandbox: SandboxBuilder) -> (Sandbox, Summary) {
    let sandbox = sandbox.start().await.expect("a sandbox");
    let (sender, events) = std::sync::mpsc::channel();
    let upsert = store(sandbox.base_url()).upsert().rows(cdnow());
    let report = upsert
        .observe(move |event| sender.send(event.clone()).unwrap_or_default())
        .send()
        .await
        .expect("a report");
    assert_eq!(report.summary().stored, 7071);
    assert_eq!(sandbox.values().len(), 7071);
    let events: Vec<_> = events.iter().collect();
    let learned = |event: &Event| matches!(event, Event::SizeLimitLearned { .. });
    let first = events
        .iter()
        .position(learned)
        .expect("a size limit is learned");
    // Batches that were ready before may still be rejected.
    let earlier_calls: HashSet<_> = events[..first]
        .iter()
        .filter_map(|event| match event {
            Event::BatchReady { call, .. } => Some(*call),
            _ => None,
        })
        .collect();
    let rejected = events[first..]
        .iter()
        .filter(|event| match event {
            Event::RequestFinished {
                call,
                status: Some(413 | 422),
                ..
            } => !earlier_calls.contains(call),
            _ => false,
        })
        .count();
    // A larger batch is tried again now and then.
    assert!(rejected <= 4, "{rejected} batches beyond the learned limit");
    (sandbox, report.summary())
}

#[tokio::test]
async fn a_limit_of_values_is_learned() {
    let sandbox = Sandbox::builder()
        .rows_per_call(10)
        .too_large(TooLarge::Status413);
    let (_, summary) = store_all(sandbox).await;
    // Three customers with three values each fit.
    assert!(summary.requests <= 2357_u64.div_ceil(3) + 30, "{summary}");
}

#[tokio::test]
async fn a_limit_of_customers_is_learned() {
    for too_large in [TooLarge::Status413, TooLarge::Status422] {
        let sandbox = Sandbox::builder()
            .customers_per_call(5)
            .too_large(too_large);
        let (sandbox, summary) = store_all(sandbox).await;
        assert!(summary.requests <= 2357_u64.div_ceil(5) + 30, "{summary}");
        assert!(sandbox.counts().rejected <= 9);
    }
}

fn row(customer: i64, attribute: i64) -> UpsertRow {
    UpsertRow::new(customer, attribute, customer)
}

#[tokio::test]
async fn customers_with_more_values_than_the_limit_do_not_make_all_batches_small() {
    for too_large in [TooLarge::Status413, TooLarge::Status422] {
        let sandbox = Sandbox::builder()
            .rows_per_call(10)
            .too_large(too_large)
            .start()
            .await;
        let sandbox = sandbox.expect("a sandbox");
        let with_many_values =
            (1..=20).flat_map(|customer| (1..=20).map(move |attribute| row(customer, attribute)));
        let with_few_values =
            (101..=400).flat_map(|customer| (1..=3).map(move |attribute| row(customer, attribute)));
        let upsert = store(sandbox.base_url())
            .upsert()
            .rows(with_many_values.chain(with_few_values));
        let report = upsert.send().await.expect("a report");
        assert_eq!(report.summary().stored, 1300);
        // 140 requests would be enough if the limit were known at the start.
        assert!(
            report.summary().requests <= 280,
            "{too_large:?}: {}",
            report.summary()
        );
    }
}

#[tokio::test]
async fn a_limit_of_customers_is_not_mistaken_for_one_of_values() {
    for too_large in [TooLarge::Status413, TooLarge::Status422] {
        let sandbox = Sandbox::builder()
            .customers_per_call(5)
            .too_large(too_large)
            .start()
            .await;
        let sandbox = sandbox.expect("a sandbox");
        let with_one_value = (1..=30).map(|customer| row(customer, 1));
        let with_five_values = (101..=1100)
            .flat_map(|customer| (1..=5).map(move |attribute| row(customer, attribute)));
        let upsert = store(sandbox.base_url())
            .upsert()
            .rows(with_one_value.chain(with_five_values));
        let report = upsert.send().await.expect("a report");
        assert_eq!(report.summary().stored, 5030);
        assert!(
            report.summary().requests <= 206 + 20,
            "{too_large:?}: {}",
            report.summary()
        );
    }
}
