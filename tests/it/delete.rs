//! Deletes by ID and by filter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bigcommerce_ext::chrono::{DateTime, Utc};
use bigcommerce_ext::{Delete, ErrorKind, Event, Limits, OutcomeKind, Report, RetryPolicy, Store};
use bigcommerce_sandbox::{
    Fault, FaultPlan, Sandbox, SandboxBuilder, StoredValue, TooLarge, UnknownId,
};
use futures::{StreamExt, stream};
use httpmock::{HttpMockRequest, HttpMockResponse, Method, MockServer};
use serde_json::json;
use tokio::time::{Instant, advance, sleep};

use crate::support::{TOKEN, store};

async fn with_values(builder: SandboxBuilder, values: i64) -> (Sandbox, Store) {
    let sandbox = builder.start().await.expect("a sandbox");
    for number in 0..values {
        sandbox.insert(number / 5 + 1, number % 5 + 101, "x");
    }
    let store = store(sandbox.base_url());
    (sandbox, store)
}

fn ids(sandbox: &Sandbox) -> BTreeSet<i64> {
    sandbox.values().into_iter().map(|value| value.id).collect()
}

fn deleted(report: &Report<i64>) -> u64 {
    let summary = report.summary();
    assert_eq!(summary.rows(), report.outcomes().len() as u64);
    summary.deleted
}

#[tokio::test(start_paused = true)]
async fn a_request_deletes_as_many_ids_as_a_url_of_2000_bytes_holds() {
    let (sandbox, store) = with_values(Sandbox::builder(), 6000).await;
    let all: Vec<_> = ids(&sandbox).into_iter().collect();
    let (first, others) = all.split_at(3000);
    let report = store.delete().ids(first.iter().copied()).send().await;
    let report = report.expect("a report");
    assert_eq!(deleted(&report), 3000);
    assert_eq!(ids(&sandbox), others.iter().copied().collect());
    let mut outcomes = store.delete().stream(stream::iter(others.to_vec()));
    while let Some(outcome) = outcomes.next().await {
        assert!(matches!(outcome.kind, OutcomeKind::Deleted));
    }
    assert_eq!(outcomes.done_up_to(), 3000);
    assert_eq!(outcomes.summary().deleted, 3000);
    let counts = sandbox.counts();
    assert_eq!((counts.values, counts.gets), (0, 0));
    // An ID takes 7 or 8 bytes: 4 or 5 digits, and 3 for the encoded comma.
    let longest = counts.longest_url;
    assert!((1_800..=2_000).contains(&longest), "{longest}");
    assert!(
        counts.deletes <= 6000_u64.div_ceil(1_800 / 8) + 2,
        "{counts}"
    );
    assert_eq!(
        report.summary().to_string(),
        "12 requests: 3000 deleted, 0 superseded, 0 rejected, 0 unknown, 0 not sent"
    );
}

#[tokio::test(start_paused = true)]
async fn repeated_ids_are_superseded_and_invalid_ids_are_rejected() {
    let (sandbox, store) = with_values(Sandbox::builder(), 10).await;
    let ids = [5001, 0, 5002, 5001, 5003, -7];
    let report = store.delete().ids(ids).send().await.expect("a report");
    let kinds: Vec<_> = report
        .outcomes()
        .iter()
        .map(|outcome| &outcome.kind)
        .collect();
    assert!(matches!(kinds[0], OutcomeKind::Superseded { by: 3, .. }));
    assert!(matches!(kinds[1], OutcomeKind::Rejected(_)));
    let error = report.outcomes()[5].error().expect("a reason").to_string();
    assert_eq!(error, "row 5: id is -7: an ID is 1 or more");
    assert_eq!(deleted(&report), 3);
    assert_eq!(sandbox.counts().deletes, 1);
    let rows = stream::iter([Ok(5004), Err("no ID in line 2"), Ok(5005)]);
    let outcomes: Vec<_> = store.delete().stream(rows).collect().await;
    let errors: Vec<_> = outcomes.iter().filter_map(|o| o.error()).collect();
    assert_eq!((outcomes.len(), errors.len()), (3, 1));
    assert_eq!(errors[0].to_string(), "no ID in line 2");
    assert_eq!(sandbox.values().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn empty_and_invalid_filters_send_nothing() {
    let (sandbox, store) = with_values(Sandbox::builder(), 20).await;
    let empty: [fn(Delete) -> Delete; 6] = [
        |delete| delete,
        |delete| delete.ids([]),
        |delete| delete.customers([0_i64; 0]),
        |delete| delete.attributes([0_i64; 0]),
        |delete| delete.customers([0_i64; 0]).attributes([101]),
        |delete| delete.customers([1]).attributes([0_i64; 0]),
    ];
    for select in empty {
        let report = select(store.delete()).send().await.expect("a report");
        assert!(report.outcomes().is_empty());
    }
    let error = store.delete().attribute_name("").send().await;
    assert_eq!(error.expect_err("an error").kind(), ErrorKind::InvalidInput);
    let error = store.delete().customers([0]).send().await;
    let error = error.expect_err("an error").to_string();
    assert_eq!(error, "customers contains 0: an ID is 1 or more");
    let streamed = store.delete().customers([1]);
    let mut outcomes = streamed.stream(stream::empty::<i64>());
    assert!(outcomes.next().await.is_none());
    let error = outcomes.stopped_by().expect("an error").to_string();
    assert!(error.contains("can't be streamed"), "{error}");
    let counts = sandbox.counts();
    assert_eq!((counts.requests, counts.values), (0, 20));
}

#[tokio::test(start_paused = true)]
async fn if_the_server_ignores_filters_nothing_is_deleted() {
    let builder = Sandbox::builder()
        .attribute(101, "Tier")
        .ignore_filters(true);
    let (sandbox, store) = with_values(builder, 600).await;
    let long_ago: DateTime<Utc> = "2001-01-01T00:00:00Z".parse().expect("a time");
    let filters: [&dyn Fn(Delete) -> Delete; 5] = [
        &|delete| delete.customers([1]),
        &|delete| delete.attributes([101]),
        &|delete| delete.attribute_name("Tier"),
        &|delete| delete.modified_until(long_ago),
        &|delete| delete.created_on(long_ago.date_naive()),
    ];
    for select in filters {
        let error = select(store.delete()).send().await.expect_err("an error");
        assert!(
            error
                .to_string()
                .contains("values that the filter excludes"),
            "{error}"
        );
    }
    assert_eq!(sandbox.counts().deletes, 0);
}

#[tokio::test]
async fn a_405_or_410_stops_the_run_with_nothing_deleted() {
    for status in [405, 410] {
        let server = MockServer::start_async().await;
        server.mock(|when, then| {
            when.method(Method::DELETE);
            then.status(status);
        });
        server.mock(|when, then| {
            when.method(Method::GET);
            then.json_body(json!({"data": []}));
        });
        let report = store(&server.base_url()).delete().ids(1..=4).send().await;
        let report = report.expect("a report");
        assert_eq!(deleted(&report), 0);
        let stopped_by = report.stopped_by().expect("an error");
        assert_eq!(stopped_by.status(), Some(status));
    }
}

#[tokio::test]
async fn if_the_probe_after_a_404_fails_the_run_goes_on() {
    let server = MockServer::start_async().await;
    server.mock(|when, then| {
        when.method(Method::DELETE);
        then.status(404);
    });
    let probe = server.mock(|when, then| {
        when.method(Method::GET);
        then.status(503);
    });
    let store = Store::builder_with_base_url(server.base_url(), TOKEN)
        .retry(RetryPolicy::default().max_attempts(1))
        .build()
        .expect("a store");
    let delete = store.delete().ids(1..=1000).stop_after_rejected(0);
    let report = delete.send().await.expect("a report");
    assert!(report.stopped_by().is_none());
    assert!(probe.calls() > 1, "one probe per batch");
    for outcome in report.outcomes() {
        let error = outcome.error().expect("an error");
        assert_eq!(error.status(), Some(503), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_filter_prevents_the_delete_of_added_ids() {
    let builder = Sandbox::builder().attribute(101, "Tier");
    let (sandbox, store) = with_values(builder, 20).await;
    let id = *ids(&sandbox).first().expect("has values");
    let delete = || store.delete().ids([id]);
    for delete in [delete().customers([0]), delete().attribute_name("Teir")] {
        let error = delete.send().await.expect_err("an error");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(sandbox.counts().deletes, 0);
}

#[tokio::test(start_paused = true)]
async fn an_undefined_attribute_name_deletes_nothing() {
    let builder = Sandbox::builder()
        .attribute(101, "Tier")
        .attribute(102, "Points");
    let (sandbox, store) = with_values(builder, 20).await;
    let error = store.delete().attribute_name("Teir").send().await;
    let error = error.expect_err("an error").to_string();
    let expected = "attribute \"Teir\" is not defined in this store, which defines \
                    [\"Points\", \"Tier\"]";
    assert_eq!(error, expected);
    let report = store.delete().attribute_name("Tier").attributes([102]);
    assert_eq!(deleted(&report.send().await.expect("a report")), 0);
    assert_eq!(sandbox.counts().deletes, 0);
    let report = store.delete().attribute_name("Tier").attributes([101, 102]);
    assert_eq!(deleted(&report.send().await.expect("a report")), 4);
    assert_eq!(sandbox.values().len(), 16);
}

/// A filter of a delete, and the same filter as a predicate.
struct RandomFilter {
    apply: Box<dyn Fn(Delete) -> Delete>,
    matches: Box<dyn Fn(&StoredValue) -> bool>,
}

fn random_filter(rng: &mut fastrand::Rng, between: DateTime<Utc>) -> RandomFilter {
    let random_ids = |rng: &mut fastrand::Rng, max: i64| -> Vec<i64> {
        (0..rng.usize(0..12)).map(|_| rng.i64(1..=max)).collect()
    };
    let customers = rng.bool().then(|| random_ids(rng, 60));
    let attributes = rng.bool().then(|| random_ids(rng, 5));
    let since = rng.u8(..3) == 0;
    let until = rng.u8(..3) == 0 || (customers.is_none() && attributes.is_none() && !since);
    let (filter_customers, filter_attributes) = (customers.clone(), attributes.clone());
    RandomFilter {
        apply: Box::new(move |mut delete| {
            if let Some(ids) = filter_customers.clone() {
                delete = delete.customers(ids);
            }
            if let Some(ids) = filter_attributes.clone() {
                delete = delete.attributes(ids);
            }
            if since {
                delete = delete.modified_since(between);
            }
            if until {
                delete = delete.created_until(between);
            }
            delete
        }),
        matches: Box::new(move |value| {
            customers
                .as_ref()
                .is_none_or(|ids| ids.contains(&value.customer_id))
                && attributes
                    .as_ref()
                    .is_none_or(|ids| ids.contains(&value.attribute_id))
                && (!since || value.date_modified >= between)
                && (!until || value.date_created <= between)
        }),
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_by_filter_deletes_exactly_the_matching_values() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let between: DateTime<Utc> = "2024-06-10T14:22:00Z".parse().expect("a time");
        let before = between - Duration::from_secs(3600);
        let sandbox = Sandbox::builder()
            .starts_at(before)
            .page_limit(rng.usize(50..100));
        let sandbox = sandbox.start().await.expect("a sandbox");
        let store = store(sandbox.base_url());
        for _ in 0..rng.usize(1..300) {
            sandbox.insert(rng.i64(1..=60), rng.i64(1..=5), "x");
            advance(Duration::from_secs(rng.u64(0..60))).await;
        }
        let filter = random_filter(&mut rng, between);
        let (matching, others): (Vec<_>, Vec<_>) =
            sandbox.values().into_iter().partition(&filter.matches);
        let to_ids = |values: Vec<StoredValue>| values.into_iter().map(|value| value.id).collect();
        let (matching, others): (BTreeSet<_>, BTreeSet<_>) = (to_ids(matching), to_ids(others));

        let dry_run = (filter.apply)(store.delete()).dry_run().send().await;
        let dry_run = dry_run.expect("a report");
        let planned: BTreeSet<_> = dry_run.outcomes().iter().filter_map(|o| o.row).collect();
        assert_eq!(planned, matching, "{seed}");
        assert_eq!(dry_run.summary().planned, matching.len() as u64, "{seed}");
        assert_eq!(sandbox.counts().deletes, 0, "{seed}");

        let report = (filter.apply)(store.delete()).send().await;
        let report = report.expect("a report");
        assert_eq!(deleted(&report), matching.len() as u64, "{seed}");
        assert_eq!(ids(&sandbox), others, "{seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn values_added_during_a_delete_are_deleted_in_another_round_or_reported() {
    let builder = Sandbox::builder().latency(Duration::from_millis(20));
    let (sandbox, store) = with_values(builder, 3000).await;
    for added in [2, 100] {
        sandbox.insert(1, 1, "first");
        let add_values = async {
            for attribute in 2..2 + added {
                sleep(Duration::from_millis(15)).await;
                sandbox.insert(1, attribute, "late");
            }
            std::future::pending().await
        };
        let report = tokio::select! {
            report = store.delete().customers([1]).send() => report.expect("a report"),
            () = add_values => unreachable!("it stays pending"),
        };
        let values = sandbox.values().into_iter();
        let of_customer = values.filter(|value| value.customer_id == 1);
        let remaining: BTreeSet<_> = of_customer.map(|value| value.id).collect();
        let not_sent: BTreeSet<_> = report.retryable().collect();
        assert_eq!(not_sent, remaining, "{added}");
        assert_eq!(remaining.is_empty(), added == 2);
        let again = store
            .delete()
            .customers([1])
            .send()
            .await
            .expect("a report");
        assert_eq!(deleted(&again), remaining.len() as u64);
    }
    assert_eq!(sandbox.values().len(), 2995);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_does_not_prevent_the_delete_of_the_others() {
    for (unknown, is_deleted) in [
        (UnknownId::Ignored, true),
        (UnknownId::NotFound, true),
        (UnknownId::Unprocessable, false),
    ] {
        let (sandbox, store) = with_values(Sandbox::builder().unknown_id(unknown), 300).await;
        let mut all: Vec<_> = ids(&sandbox).into_iter().collect();
        all.insert(123, 9_999_999);
        let report = store.delete().ids(all).send().await.expect("a report");
        assert_eq!(deleted(&report), 300 + u64::from(is_deleted), "{unknown:?}");
        let kind = &report.outcomes()[123].kind;
        assert_eq!(matches!(kind, OutcomeKind::Deleted), is_deleted);
        assert_eq!(matches!(kind, OutcomeKind::Rejected(_)), !is_deleted);
        assert!(sandbox.values().is_empty(), "{unknown:?}");
        let counts = sandbox.counts();
        assert!(counts.requests <= 40, "{unknown:?}: {counts}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_store_or_a_missing_scope_stops_the_run() {
    let (sandbox, _) = with_values(Sandbox::builder(), 1000).await;
    let other_url = sandbox.base_url().replace("sandbox", "other");
    let report = store(&other_url).delete().ids(5001..=6000).send().await;
    let report = report.expect("a report");
    let error = report.stopped_by().expect("an error");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!((report.summary().not_sent, deleted(&report)), (1000, 0));
    assert!(sandbox.counts().requests <= 6);

    let (sandbox, store) = with_values(Sandbox::builder().read_only(), 1000).await;
    let report = store
        .delete()
        .customers([1, 2])
        .send()
        .await
        .expect("a report");
    let error = report.stopped_by().expect("an error").to_string();
    assert!(
        error.contains("store_v2_customers (Customers: modify)"),
        "{error}"
    );
    assert_eq!((deleted(&report), sandbox.values().len()), (0, 1000));
}

#[tokio::test(start_paused = true)]
async fn the_largest_accepted_number_of_ids_is_learned() {
    // A 422 does not say that the batch is too large, so every batch in flight is split until it fits.
    for (too_large, max_rejections) in [(TooLarge::Status413, 10), (TooLarge::Status422, 50)] {
        let builder = Sandbox::builder().delete_limit(50).too_large(too_large);
        let (sandbox, store) = with_values(builder, 2000).await;
        let all = ids(&sandbox);
        let report = store.delete().ids(all).send().await.expect("a report");
        assert_eq!(deleted(&report), 2000, "{too_large:?}");
        let counts = sandbox.counts();
        assert!(counts.rejected <= max_rejections, "{too_large:?}: {counts}");
        assert!(
            counts.deletes <= 2000 / 25 + max_rejections,
            "{too_large:?}: {counts}"
        );
    }
    let (sandbox, store) = with_values(Sandbox::builder().url_limit(500), 1000).await;
    let report = store
        .delete()
        .ids(ids(&sandbox))
        .send()
        .await
        .expect("a report");
    assert_eq!(deleted(&report), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_delete_has_an_outcome_for_every_id() {
    let builder = Sandbox::builder().latency(Duration::from_millis(20));
    let (sandbox, store) = with_values(builder, 3000).await;
    let all = ids(&sandbox);
    let report = store
        .delete()
        .ids(all)
        .stop_when(sleep(Duration::from_millis(50)))
        .send()
        .await
        .expect("a report");
    assert_eq!(report.summary().rows(), 3000);
    assert!(report.summary().not_sent > 0 && deleted(&report) > 0);
    let not_deleted: BTreeSet<_> = report.retryable().collect();
    assert_eq!(ids(&sandbox), not_deleted);
    let stopped = store
        .delete()
        .customers([1])
        .stop_when(async {})
        .send()
        .await;
    assert_eq!(stopped.expect_err("an error").kind(), ErrorKind::Stopped);
}

#[tokio::test(start_paused = true)]
async fn deletes_are_exact_with_faults_of_every_kind() {
    let (mut unknown, mut outcomes) = (0, 0);
    for seed in 1..=16 {
        let unknown_ids = [
            UnknownId::Ignored,
            UnknownId::NotFound,
            UnknownId::Unprocessable,
        ];
        let builder = Sandbox::builder()
            .faults(FaultPlan::seeded(seed).rate(0.15))
            .delete_limit(20)
            .too_large(TooLarge::Status413)
            .unknown_id(unknown_ids[seed as usize % 3]);
        let (sandbox, _) = with_values(builder, 2000).await;
        let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
            .limits(Limits::default().grace_period(Duration::from_secs(120)))
            .build()
            .expect("a store");
        let all = sandbox.values();
        let thirds: Vec<_> = all
            .iter()
            .map(|value| value.id)
            .filter(|id| id % 3 == 0)
            .collect();
        let is_selected = |value: &StoredValue| {
            value.id % 3 == 0 || (value.customer_id <= 200 && value.attribute_id == 102)
        };
        let by_id = store.delete().ids(thirds).send().await.expect("a report");
        let by_filter = store
            .delete()
            .customers(1..=200)
            .attributes([102])
            .send()
            .await;
        sandbox.set_faults(FaultPlan::none());
        sleep(Duration::from_secs(600)).await;
        let remaining = ids(&sandbox);
        let by_filter = match &by_filter {
            Ok(report) => report.outcomes(),
            // A fault made the list incomplete: nothing was deleted by it.
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{seed}: {error}");
                &[]
            }
        };
        for outcome in by_id.outcomes().iter().chain(by_filter) {
            outcomes += 1;
            let id = outcome.row.expect("an ID");
            match &outcome.kind {
                OutcomeKind::Deleted => assert!(!remaining.contains(&id), "{seed}: {id}"),
                // If the response to a delete is lost, some servers reject the ID in the retry.
                OutcomeKind::Rejected(_) if seed % 3 == 2 => {
                    assert!(!remaining.contains(&id), "{seed}: {id}");
                }
                OutcomeKind::Unknown(_) => unknown += 1,
                OutcomeKind::NotSent(_) => assert!(remaining.contains(&id), "{seed}: {id}"),
                other => panic!("{seed}: {id} ended as {other:?}"),
            }
        }
        for other in all.iter().filter(|value| !is_selected(value)) {
            assert!(remaining.contains(&other.id), "{seed}: {}", other.id);
        }
        let counts = sandbox.counts();
        assert!(counts.faults > 0 && counts.peak_in_flight <= 3, "{counts}");
    }
    assert!(unknown * 20 < outcomes, "{unknown} of {outcomes} unknown");
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_rejected_id_has_its_index_among_ids_and_matches() {
    let builder = Sandbox::builder().unknown_id(UnknownId::Unprocessable);
    let (sandbox, store) = with_values(builder, 20).await;
    let sandbox = Arc::new(sandbox);
    let other = Arc::clone(&sandbox);
    // Another app deletes a value after it was listed.
    let delete = store.delete().observe(move |event| {
        if let Event::Page { .. } = event {
            other.remove(5003);
        }
    });
    let report = delete.ids([5020, 5019]).customers([1]).send().await;
    let report = report.expect("a report");
    let outcome = &report.outcomes()[4];
    assert_eq!((outcome.index, outcome.row), (4, Some(5003)));
    let error = outcome.error().expect("a reason");
    assert_eq!(error.row(), Some(4), "{error}");
    assert_eq!((deleted(&report), sandbox.values().len()), (6, 13));
}

#[tokio::test(start_paused = true)]
async fn a_delete_by_time_spares_fresh_values_if_the_server_ignores_filters() {
    let written: DateTime<Utc> = "2024-06-10T14:22:00Z".parse().expect("a time");
    let builder = Sandbox::builder().ignore_filters(true).starts_at(written);
    let (sandbox, store) = with_values(builder, 50).await;
    for seconds in [3600, 1] {
        let until = written - Duration::from_secs(seconds);
        let error = store.delete().modified_until(until).send().await;
        let text = error.expect_err("an error").to_string();
        assert!(text.contains("values that the filter excludes"), "{text}");
    }
    assert_eq!((sandbox.counts().deletes, sandbox.values().len()), (0, 50));
    let report = store.delete().modified_until(written).send().await;
    assert_eq!(deleted(&report.expect("a report")), 50);
}

/// Responds to a GET with these values, and to a DELETE with 204. After the DELETE, only the values
/// from `remaining` on are listed.
async fn with_listed(total: usize, listed: Vec<serde_json::Value>, remaining: usize) -> MockServer {
    let server = MockServer::start_async().await;
    let is_deleted = Arc::new(AtomicBool::new(false));
    let set_deleted = Arc::clone(&is_deleted);
    server
        .mock_async(move |when, then| {
            when.method(Method::DELETE);
            then.respond_with(move |_: &HttpMockRequest| {
                set_deleted.store(true, Ordering::Relaxed);
                HttpMockResponse::builder().status(204).build()
            });
        })
        .await;
    server
        .mock_async(move |when, then| {
            when.method(Method::GET);
            then.respond_with(move |request: &HttpMockRequest| {
                let skipped = match is_deleted.load(Ordering::Relaxed) {
                    true => remaining,
                    false => 0,
                };
                let params = request.query_params();
                let is_first = params
                    .iter()
                    .any(|(name, page)| name == "page" && page == "1");
                let data = if is_first { &listed[skipped..] } else { &[] };
                let pagination = json!({"total": total - skipped, "total_pages": 1});
                let body = json!({"data": data, "meta": {"pagination": pagination}});
                HttpMockResponse::builder()
                    .status(200)
                    .body(body.to_string())
                    .build()
            });
        })
        .await;
    server
}

#[tokio::test]
async fn a_value_without_its_id_or_date_is_not_deleted_but_reported() {
    let value = |id: Option<i64>, date: Option<&str>| {
        json!({
            "id": id, "customer_id": id.unwrap_or(9), "attribute_id": 1, "attribute_value": "x",
            "date_modified": date,
        })
    };
    let date = Some("2024-06-10T14:22:00Z");
    let listed = vec![
        value(Some(5001), date),
        value(Some(5002), None),
        value(None, date),
    ];
    let server = with_listed(3, listed, 1).await;
    let until: DateTime<Utc> = "2024-06-10T14:22:00Z".parse().expect("a time");
    let delete = store(&server.base_url()).delete().modified_until(until);
    let report = delete.send().await.expect("a report");
    assert_eq!((deleted(&report), report.summary().not_sent), (1, 2));
    assert!(report.stopped_by().is_none());
    let rows: Vec<_> = report
        .outcomes()
        .iter()
        .map(|outcome| outcome.row)
        .collect();
    assert_eq!(rows, [Some(5001), Some(5002), None]);
    let errors: Vec<_> = report.outcomes().iter().filter_map(|o| o.error()).collect();
    assert!(
        errors[0].to_string().contains("without the date"),
        "{}",
        errors[0]
    );
    assert!(
        errors[1].to_string().contains("without its ID"),
        "{}",
        errors[1]
    );
}

#[tokio::test]
async fn an_incomplete_list_deletes_nothing_unless_it_is_allowed() {
    let value = json!({"id": 5001, "customer_id": 1, "attribute_id": 1, "attribute_value": "x"});
    let server = with_listed(400, vec![value], 1).await;
    let delete = || store(&server.base_url()).delete().customers([1]);
    let error = delete().send().await.expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(error.to_string().contains("1 of 400"), "{error}");
    let report = delete().allow_incomplete().send().await;
    assert_eq!(deleted(&report.expect("a report")), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_stopped_at_once_makes_no_request() {
    let builder = Sandbox::builder().attribute(101, "Tier");
    let (sandbox, store) = with_values(builder, 20).await;
    let delete = || store.delete().attribute_name("Tier").stop_when(async {});
    let error = delete().send().await.expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::Stopped);
    let report = delete().ids([5001, 5002]).send().await.expect("a report");
    let stopped_by = report.stopped_by().expect("an error");
    assert_eq!(stopped_by.kind(), ErrorKind::Stopped);
    assert_eq!(report.summary().not_sent, 2);
    assert_eq!(sandbox.counts().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_retries_of_the_lookup_before_a_delete() {
    let builder = Sandbox::builder().attribute(101, "Tier");
    let (sandbox, store) = with_values(builder, 20).await;
    sandbox.set_faults(FaultPlan::script([Some(Fault::Unavailable); 20]));
    let delete = store.delete().attribute_name("Tier");
    let began = Instant::now();
    let error = delete
        .stop_when(sleep(Duration::from_millis(300)))
        .send()
        .await;
    assert_eq!(error.expect_err("an error").kind(), ErrorKind::Stopped);
    assert_eq!(began.elapsed(), Duration::from_millis(300));
}
