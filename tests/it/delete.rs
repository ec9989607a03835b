//! Deletes by ID and by selection.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bigcommerce_ext::chrono::{DateTime, Utc};
use bigcommerce_ext::{Delete, ErrorKind, Event, Limits, OutcomeKind, Report, RetryPolicy, Store};
use bigcommerce_sandbox::{FaultPlan, Sandbox, SandboxBuilder, StoredValue, TooLarge, UnknownId};
use futures::{StreamExt, stream};
use httpmock::{Method, MockServer};
use serde_json::json;
use tokio::time::{advance, sleep};

use crate::support::{TOKEN, store};

async fn filled(builder: SandboxBuilder, values: i64) -> (Sandbox, Store) {
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
async fn as_many_ids_go_in_a_call_as_a_url_surely_holds() {
    let (sandbox, store) = filled(Sandbox::builder(), 6000).await;
    let all: Vec<_> = ids(&sandbox).into_iter().collect();
    let (some, others) = all.split_at(3000);
    let report = store.delete().ids(some.iter().copied()).send().await;
    let report = report.expect("a report");
    assert_eq!(deleted(&report), 3000);
    assert_eq!(ids(&sandbox), others.iter().copied().collect());
    let mut outcomes = store.delete().stream(stream::iter(others.to_vec()));
    while let Some(outcome) = outcomes.next().await {
        assert!(matches!(outcome.kind, OutcomeKind::Deleted));
    }
    assert_eq!(outcomes.settled_up_to(), 3000);
    assert_eq!(outcomes.summary().deleted, 3000);
    let counts = sandbox.counts();
    assert_eq!((counts.values, counts.gets), (0, 0));
    // Four digits and a comma that is encoded are 7 bytes, five digits 8.
    let longest = counts.longest_url;
    assert!((1_800..=2_000).contains(&longest), "{longest}");
    assert!(
        counts.deletes <= 6000_u64.div_ceil(1_800 / 8) + 2,
        "{counts}"
    );
    assert_eq!(
        report.summary().to_string(),
        "12 calls: 3000 deleted, 0 superseded, 0 rejected, 0 unknown, 0 not sent"
    );
}

#[tokio::test(start_paused = true)]
async fn an_id_that_comes_again_goes_once_and_a_bad_one_costs_itself() {
    let (sandbox, store) = filled(Sandbox::builder(), 10).await;
    let given = [5001, 0, 5002, 5001, 5003, -7];
    let report = store.delete().ids(given).send().await.expect("a report");
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
async fn what_selects_nothing_sends_nothing() {
    let (sandbox, store) = filled(Sandbox::builder(), 20).await;
    let nothing: [fn(Delete) -> Delete; 6] = [
        |delete| delete,
        |delete| delete.ids([]),
        |delete| delete.customers([]),
        |delete| delete.attributes([]),
        |delete| delete.customers([]).attributes([101]),
        |delete| delete.customers([1]).attributes([]),
    ];
    for select in nothing {
        let report = select(store.delete()).send().await.expect("a report");
        assert!(report.outcomes().is_empty());
    }
    let error = store.delete().attribute_name("").send().await;
    assert_eq!(
        error.expect_err("is refused").kind(),
        ErrorKind::InvalidInput
    );
    let error = store.delete().customers([0]).send().await;
    let error = error.expect_err("is refused").to_string();
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
async fn a_filter_that_the_server_leaves_out_does_not_widen_a_selection() {
    let builder = Sandbox::builder()
        .attribute(101, "Tier")
        .ignore_filters(true);
    let (sandbox, store) = filled(builder, 600).await;
    let long_ago: DateTime<Utc> = "2001-01-01T00:00:00Z".parse().expect("a time");
    let selections: [&dyn Fn(Delete) -> Delete; 5] = [
        &|delete| delete.customers([1]),
        &|delete| delete.attributes([101]),
        &|delete| delete.attribute_name("Tier"),
        &|delete| delete.modified_until(long_ago),
        &|delete| delete.created_on(long_ago.date_naive()),
    ];
    for select in selections {
        let error = select(store.delete()).send().await.expect_err("is refused");
        assert!(error.to_string().contains("were not selected"), "{error}");
    }
    assert_eq!(sandbox.counts().deletes, 0);
}

#[tokio::test]
async fn a_server_that_does_not_take_deletes_has_deleted_nothing() {
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
        let stopped_by = report.stopped_by().expect("has stopped");
        assert_eq!(stopped_by.status(), Some(status));
    }
}

#[tokio::test]
async fn where_nobody_knows_what_a_404_is_about_the_run_goes_on() {
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
    let report = store.delete().ids(1..=1000).send().await;
    let report = report.expect("a report");
    assert!(report.stopped_by().is_none());
    assert!(probe.calls() > 1, "one for each batch");
    for outcome in report.outcomes() {
        let error = outcome.error().expect("it failed");
        assert_eq!(error.status(), Some(503), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_selection_that_can_not_be_meant_keeps_added_ids_as_they_are() {
    let builder = Sandbox::builder().attribute(101, "Tier");
    let (sandbox, store) = filled(builder, 20).await;
    let id = *ids(&sandbox).first().expect("has values");
    let delete = || store.delete().ids([id]);
    for delete in [delete().customers([0]), delete().attribute_name("Teir")] {
        let error = delete.send().await.expect_err("is refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(sandbox.counts().deletes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_defined_deletes_nothing() {
    let builder = Sandbox::builder()
        .attribute(101, "Tier")
        .attribute(102, "Points");
    let (sandbox, store) = filled(builder, 20).await;
    let error = store.delete().attribute_name("Teir").send().await;
    let error = error.expect_err("is refused").to_string();
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

/// A selection, and whether it selects a value.
type Selection = (
    Box<dyn Fn(Delete) -> Delete>,
    Box<dyn Fn(&StoredValue) -> bool>,
);

fn selection(dice: &mut fastrand::Rng, between: DateTime<Utc>) -> Selection {
    let some = |dice: &mut fastrand::Rng, most: i64| -> Vec<i64> {
        (0..dice.usize(0..12)).map(|_| dice.i64(1..=most)).collect()
    };
    let customers = dice.bool().then(|| some(dice, 60));
    let attributes = dice.bool().then(|| some(dice, 5));
    let since = dice.u8(..3) == 0;
    let until = dice.u8(..3) == 0 || (customers.is_none() && attributes.is_none() && !since);
    let (asked, meant) = (
        (customers.clone(), attributes.clone()),
        (customers, attributes),
    );
    (
        Box::new(move |mut delete| {
            if let Some(ids) = asked.0.clone() {
                delete = delete.customers(ids);
            }
            if let Some(ids) = asked.1.clone() {
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
        Box::new(move |value| {
            meant
                .0
                .as_ref()
                .is_none_or(|ids| ids.contains(&value.customer_id))
                && meant
                    .1
                    .as_ref()
                    .is_none_or(|ids| ids.contains(&value.attribute_id))
                && (!since || value.date_modified >= between)
                && (!until || value.date_created <= between)
        }),
    )
}

#[tokio::test(start_paused = true)]
async fn a_selection_leaves_exactly_its_complement() {
    for seed in 0..60 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let between: DateTime<Utc> = "2024-06-10T14:22:00Z".parse().expect("a time");
        let before = between - Duration::from_secs(3600);
        let sandbox = Sandbox::builder()
            .starts_at(before)
            .page_limit(dice.usize(50..100));
        let sandbox = sandbox.start().await.expect("a sandbox");
        let store = store(sandbox.base_url());
        for _ in 0..dice.usize(1..300) {
            sandbox.insert(dice.i64(1..=60), dice.i64(1..=5), "x");
            advance(Duration::from_secs(dice.u64(0..60))).await;
        }
        let (select, is_selected) = selection(&mut dice, between);
        let (doomed, others): (BTreeSet<_>, BTreeSet<_>) = sandbox
            .values()
            .into_iter()
            .map(|value| (is_selected(&value), value.id))
            .partition(|(is_selected, _)| *is_selected);
        let doomed: BTreeSet<_> = doomed.into_iter().map(|(_, id)| id).collect();
        let others: BTreeSet<_> = others.into_iter().map(|(_, id)| id).collect();

        let planned = select(store.delete())
            .dry_run()
            .send()
            .await
            .expect("a report");
        let would_go: BTreeSet<_> = planned.outcomes().iter().filter_map(|o| o.row).collect();
        assert_eq!(would_go, doomed, "{seed}");
        assert_eq!(planned.summary().planned, doomed.len() as u64, "{seed}");
        assert_eq!(sandbox.counts().deletes, 0, "{seed}");

        let report = select(store.delete()).send().await.expect("a report");
        assert_eq!(deleted(&report), doomed.len() as u64, "{seed}");
        assert_eq!(ids(&sandbox), others, "{seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn values_that_come_meanwhile_go_in_a_later_round_or_are_told() {
    let builder = Sandbox::builder().latency(Duration::from_millis(20));
    let (sandbox, store) = filled(builder, 3000).await;
    for lasts in [2, 100] {
        sandbox.insert(1, 1, "first");
        let comes = async {
            for attribute in 2..2 + lasts {
                sleep(Duration::from_millis(15)).await;
                sandbox.insert(1, attribute, "late");
            }
            std::future::pending().await
        };
        let report = tokio::select! {
            report = store.delete().customers([1]).send() => report.expect("a report"),
            () = comes => unreachable!("it is pending"),
        };
        let values = sandbox.values().into_iter();
        let late = values.filter(|value| value.customer_id == 1);
        let left: BTreeSet<_> = late.map(|value| value.id).collect();
        let not_sent: BTreeSet<_> = report.retryable().collect();
        assert_eq!(not_sent, left, "{lasts}");
        assert_eq!(left.is_empty(), lasts == 2);
        let again = store
            .delete()
            .customers([1])
            .send()
            .await
            .expect("a report");
        assert_eq!(deleted(&again), left.len() as u64);
    }
    assert_eq!(sandbox.values().len(), 2995);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_the_server_does_not_know_costs_itself_at_most() {
    for (unknown, is_deleted) in [
        (UnknownId::Ignored, true),
        (UnknownId::NotFound, true),
        (UnknownId::Unprocessable, false),
    ] {
        let (sandbox, store) = filled(Sandbox::builder().unknown_id(unknown), 300).await;
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
async fn a_wrong_store_or_scope_ends_the_run_at_once() {
    let (sandbox, _) = filled(Sandbox::builder(), 1000).await;
    let elsewhere = sandbox.base_url().replace("sandbox", "other");
    let report = store(&elsewhere).delete().ids(5001..=6000).send().await;
    let report = report.expect("a report");
    let error = report.stopped_by().expect("an error");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!((report.summary().not_sent, deleted(&report)), (1000, 0));
    assert!(sandbox.counts().requests <= 6);

    let (sandbox, store) = filled(Sandbox::builder().read_only(), 1000).await;
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
async fn a_number_of_ids_that_is_refused_is_learned() {
    // Where the status does not tell, each batch that is on its way is split down to what fits.
    for (too_large, refusals) in [(TooLarge::Status413, 10), (TooLarge::Status422, 50)] {
        let builder = Sandbox::builder().delete_limit(50).too_large(too_large);
        let (sandbox, store) = filled(builder, 2000).await;
        let all = ids(&sandbox);
        let report = store.delete().ids(all).send().await.expect("a report");
        assert_eq!(deleted(&report), 2000, "{too_large:?}");
        let counts = sandbox.counts();
        assert!(counts.refused <= refusals, "{too_large:?}: {counts}");
        assert!(
            counts.deletes <= 2000 / 25 + refusals,
            "{too_large:?}: {counts}"
        );
    }
    let (sandbox, store) = filled(Sandbox::builder().url_limit(500), 1000).await;
    let report = store
        .delete()
        .ids(ids(&sandbox))
        .send()
        .await
        .expect("a report");
    assert_eq!(deleted(&report), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_has_an_outcome_for_every_id() {
    let builder = Sandbox::builder().latency(Duration::from_millis(20));
    let (sandbox, store) = filled(builder, 3000).await;
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
    let left: BTreeSet<_> = report.retryable().collect();
    assert_eq!(ids(&sandbox), left);
    let stopped = store
        .delete()
        .customers([1])
        .stop_when(async {})
        .send()
        .await;
    assert_eq!(stopped.expect_err("is stopped").kind(), ErrorKind::Stopped);
}

#[tokio::test(start_paused = true)]
async fn through_faults_of_all_kinds_only_what_was_selected_goes_and_is_told() {
    for seed in 1..=16 {
        let unknown = [
            UnknownId::Ignored,
            UnknownId::NotFound,
            UnknownId::Unprocessable,
        ];
        let builder = Sandbox::builder()
            .faults(FaultPlan::seeded(seed).rate(0.15))
            .delete_limit(20)
            .too_large(TooLarge::Status413)
            .unknown_id(unknown[seed as usize % 3]);
        let (sandbox, _) = filled(builder, 2000).await;
        let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
            .limits(Limits::default().grace_period(Duration::from_secs(120)))
            .build()
            .expect("a store");
        let all = sandbox.values();
        let by_ids: Vec<_> = all
            .iter()
            .map(|value| value.id)
            .filter(|id| id % 3 == 0)
            .collect();
        let selected: Vec<_> = (1..=200).collect();
        let is_doomed = |value: &StoredValue| {
            value.id % 3 == 0 || (value.customer_id <= 200 && value.attribute_id == 102)
        };
        let first = store.delete().ids(by_ids).send().await.expect("a report");
        let then = store
            .delete()
            .customers(selected)
            .attributes([102])
            .send()
            .await;
        let then = then.expect("a report");
        sandbox.set_faults(FaultPlan::none());
        sleep(Duration::from_secs(600)).await;
        let left = ids(&sandbox);
        for outcome in first.outcomes().iter().chain(then.outcomes()) {
            let id = outcome.row.expect("an ID");
            match &outcome.kind {
                OutcomeKind::Deleted => assert!(!left.contains(&id), "{seed}: {id}"),
                // A value whose deletion was lost on the way is unknown to some servers.
                OutcomeKind::Rejected(_) if seed % 3 == 2 => assert!(!left.contains(&id)),
                other => panic!("{seed}: {id} ended as {other:?}"),
            }
        }
        let others = all.iter().filter(|value| !is_doomed(value));
        assert_eq!(left, others.map(|value| value.id).collect(), "{seed}");
        let counts = sandbox.counts();
        assert!(counts.faults > 0 && counts.peak_in_flight <= 3, "{counts}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_refused_is_named_by_its_place_among_all() {
    let builder = Sandbox::builder().unknown_id(UnknownId::Unprocessable);
    let (sandbox, store) = filled(builder, 20).await;
    let sandbox = Arc::new(sandbox);
    let other = Arc::clone(&sandbox);
    // Somebody else deletes it once it was listed.
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
