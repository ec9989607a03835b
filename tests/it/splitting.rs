//! One bad row costs one row, and a size that is refused costs none.

use std::collections::HashSet;

use bigcommerce_ext::{Event, OutcomeKind, Store, UpsertRow};
use bigcommerce_sandbox::{BatchRejection, ErrorKeys, Sandbox, SandboxBuilder, TooLarge};

use crate::support::{cdnow, store};

const BAD: &str = "poison";

fn sandbox() -> SandboxBuilder {
    Sandbox::builder().reject(|_, _, value| (value == BAD).then(|| "this value is bad".to_owned()))
}

/// The bundled customers with seven bad values at random places.
fn poisoned(seed: u64) -> (Vec<UpsertRow>, HashSet<usize>) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut rows = cdnow();
    let places: HashSet<usize> = dice.choose_multiple(0..rows.len(), 7).into_iter().collect();
    for &place in &places {
        let row = &rows[place];
        rows[place] = UpsertRow::new(row.customer_id(), row.attribute().clone(), BAD);
    }
    (rows, places)
}

#[tokio::test]
async fn seven_bad_values_among_seven_thousand() {
    for (keys, most_extra) in [
        (ErrorKeys::Indexed, 14),
        (ErrorKeys::Field, 84),
        (ErrorKeys::Empty, 84),
    ] {
        for rejection in [BatchRejection::Atomic, BatchRejection::Partial] {
            for seed in 1..=3 {
                let sandbox = sandbox().error_keys(keys).batch_rejection(rejection);
                let sandbox = sandbox.start().await.expect("a sandbox");
                let (rows, bad) = poisoned(seed);
                let upsert = store(sandbox.base_url()).upsert().rows(rows);
                let report = upsert.send().await.expect("a report");
                let summary = report.summary();
                assert_eq!((summary.stored, summary.rejected), (7064, 7));
                assert_eq!(summary.rows(), 7071);
                let extra = summary.requests - 236;
                assert!(extra <= most_extra, "{keys:?} {rejection:?}: {extra} extra");
                for outcome in report.outcomes() {
                    let is_bad = bad.contains(&(outcome.index as usize));
                    assert_eq!(is_bad, matches!(outcome.kind, OutcomeKind::Rejected(_)));
                }
                if keys != ErrorKeys::Empty {
                    let errors = report
                        .outcomes()
                        .iter()
                        .filter_map(|outcome| outcome.error());
                    for error in errors {
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
async fn a_value_that_a_bad_one_replaced_is_stored_after_all() {
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
        for customer in 1..=30 {
            assert_eq!(sandbox.value(customer, 1).expect("a value").value, "better");
        }
    }
}

#[tokio::test]
async fn a_run_whose_first_rows_are_all_refused_stops_by_itself() {
    let sandbox = sandbox().start().await.expect("a sandbox");
    let rows = (1..=5000).map(|customer| UpsertRow::new(customer, 1, BAD));
    let upsert = store(sandbox.base_url()).upsert().rows(rows);
    let report = upsert.send().await.expect("a report");
    let error = report.stopped_by().expect("it stopped");
    assert!(error.to_string().contains("this value is bad"), "{error}");
    let summary = report.summary();
    assert!((100..=130).contains(&summary.rejected), "{summary}");
    // Rows of a batch that was refused may have been stored, for all that is known.
    assert!(summary.unknown <= 30, "{summary}");
    assert_eq!(summary.rows(), 5000);
    assert!(
        summary.requests <= 500,
        "less than one for ten rows: {summary}"
    );
}

/// Stores the bundled customers, and gives the refused calls after the first `Learned`.
async fn stores_all(sandbox: SandboxBuilder) -> (Sandbox, u64, Vec<Event>) {
    let sandbox = sandbox.start().await.expect("a sandbox");
    let store: Store = store(sandbox.base_url());
    let (sender, events) = std::sync::mpsc::channel();
    let upsert = store.upsert().rows(cdnow());
    let report = upsert
        .observe(move |event| sender.send(event.clone()).unwrap_or_default())
        .send()
        .await
        .expect("a report");
    assert_eq!(report.summary().stored, 7071);
    assert_eq!(sandbox.values().len(), 7071);
    let events: Vec<_> = events.iter().collect();
    let learned = |event: &Event| matches!(event, Event::SizeLimitLearned { .. });
    let first = events.iter().position(learned).expect("a size was learned");
    // Calls that were on their way when the size was learned may still be refused.
    let in_flight: HashSet<_> = events[..first]
        .iter()
        .filter_map(|event| match event {
            Event::BatchReady { call, .. } => Some(*call),
            _ => None,
        })
        .collect();
    let refused = events[first..]
        .iter()
        .filter(|event| match event {
            Event::RequestFinished {
                call,
                status: Some(413 | 422),
                ..
            } => !in_flight.contains(call),
            _ => false,
        })
        .count();
    assert_eq!(refused, 0, "what was learned is kept to");
    (sandbox, report.summary().requests, events)
}

#[tokio::test]
async fn a_server_that_counts_rows() {
    let sandbox = Sandbox::builder()
        .rows_per_call(10)
        .too_large(TooLarge::Status413);
    let (_, calls, _) = stores_all(sandbox).await;
    // Three customers with three values each fit.
    assert!(calls <= 2357_u64.div_ceil(3) + 30, "{calls} calls");
}

#[tokio::test]
async fn a_server_that_takes_five_customers() {
    for too_large in [TooLarge::Status413, TooLarge::Status422] {
        let sandbox = Sandbox::builder()
            .customers_per_call(5)
            .too_large(too_large);
        let (sandbox, calls, _) = stores_all(sandbox).await;
        assert!(calls <= 2357_u64.div_ceil(5) + 30, "{calls} calls");
        assert!(sandbox.counts().refused <= 9);
    }
}

fn row(customer: i64, attribute: i64) -> UpsertRow {
    UpsertRow::new(customer, attribute, customer)
}

#[tokio::test]
async fn customers_with_more_values_than_a_call_may_hold_do_not_make_all_calls_small() {
    for too_large in [TooLarge::Status413, TooLarge::Status422] {
        let sandbox = Sandbox::builder()
            .rows_per_call(10)
            .too_large(too_large)
            .start()
            .await;
        let sandbox = sandbox.expect("a sandbox");
        let many =
            (1..=20).flat_map(|customer| (1..=20).map(move |attribute| row(customer, attribute)));
        let few =
            (101..=400).flat_map(|customer| (1..=3).map(move |attribute| row(customer, attribute)));
        let upsert = store(sandbox.base_url()).upsert().rows(many.chain(few));
        let report = upsert.send().await.expect("a report");
        assert_eq!(report.summary().stored, 1300);
        // 140 would do if all that is asked were known beforehand.
        assert!(
            report.summary().requests <= 280,
            "{too_large:?}: {}",
            report.summary()
        );
    }
}

#[tokio::test]
async fn a_limit_of_customers_is_not_taken_for_one_of_values() {
    for too_large in [TooLarge::Status413, TooLarge::Status422] {
        let sandbox = Sandbox::builder()
            .customers_per_call(5)
            .too_large(too_large)
            .start()
            .await;
        let sandbox = sandbox.expect("a sandbox");
        let thin = (1..=30).map(|customer| row(customer, 1));
        let wide = (101..=1100)
            .flat_map(|customer| (1..=5).map(move |attribute| row(customer, attribute)));
        let upsert = store(sandbox.base_url()).upsert().rows(thin.chain(wide));
        let report = upsert.send().await.expect("a report");
        assert_eq!(report.summary().stored, 5030);
        assert!(
            report.summary().requests <= 206 + 20,
            "{too_large:?}: {}",
            report.summary()
        );
    }
}
