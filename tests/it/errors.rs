//! Errors: their kinds and texts.

use std::time::Duration;

use bigcommerce_ext::{ErrorKind, Outcome, OutcomeKind, Report, RetryPolicy, Store, UpsertRow};
use bigcommerce_sandbox::Sandbox;
use futures::{StreamExt, stream};
use httpmock::prelude::*;
use serde_json::json;

use crate::support::{TOKEN, sandbox};

const PATH: &str = "/stores/abc123/v3/customers/attribute-values";

fn fast_retries() -> RetryPolicy {
    RetryPolicy::default()
        .max_attempts(3)
        .initial_backoff(Duration::from_micros(1))
}

fn store(server: &MockServer) -> Store {
    Store::builder_with_base_url(server.url("/stores/abc123/v3"), TOKEN)
        .retry(fast_retries())
        .build()
        .expect("a store")
}

async fn upsert_one(store: &Store) -> Report {
    let upsert = store.upsert().customer(2048, [(101, "Yes")]);
    upsert.send().await.expect("a report")
}

fn only_outcome(report: &Report) -> &Outcome {
    let [outcome] = report.outcomes() else {
        panic!("not one outcome: {report:?}");
    };
    outcome
}

#[tokio::test]
async fn a_wrong_token_stops_the_run_with_advice() {
    let sandbox = Sandbox::builder().token("another").start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = crate::support::store(sandbox.base_url());
    let rows = (1..=1000).map(|id| UpsertRow::new(id, 1, "x"));
    let mut outcomes = store.upsert().window(20).stream(stream::iter(rows));
    while let Some(outcome) = outcomes.next().await {
        assert!(
            matches!(outcome.kind, OutcomeKind::NotSent(_)),
            "{outcome:?}"
        );
        assert!(outcome.is_retryable());
    }
    let error = outcomes.stopped_by().expect("a reason");
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(error.status(), Some(401));
    assert!(error.is_auth());
    let text = error.to_string();
    assert!(text.contains("401") && text.contains("check"), "{text}");
    // The run stops reading its input.
    assert!(outcomes.summary().rows() <= 60);
    assert!(sandbox.counts().requests <= 3);
}

#[tokio::test]
async fn the_error_names_the_missing_scope() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(PUT).path(PATH);
            then.status(403)
                .json_body(json!({"status": 403, "title": "Insufficient scope"}));
        })
        .await;
    let report = upsert_one(&store(&server)).await;
    let error = report.stopped_by().expect("a reason");
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.to_string().contains("store_v2_customers"), "{error}");
    assert_eq!(error.server_message(), Some("Insufficient scope"));
    assert_eq!(mock.calls_async().await, 1);
    assert_eq!(report.retryable().count(), 1);
    let error = report.into_result().expect_err("not stored");
    assert_eq!(error.kind(), ErrorKind::Forbidden);
}

#[test]
fn a_store_hash_that_would_change_the_path_is_rejected() {
    for hash in ["../v2", "abc/def", "", "abc?x=y"] {
        let error = Store::builder(hash, TOKEN).build().expect_err(hash);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("store hash"), "{error}");
    }
}

#[tokio::test]
async fn invalid_rows_are_rejected_without_a_request() {
    let (sandbox, store) = sandbox().await;
    let rows = stream::iter([
        Err("line 7 is not a row".to_owned()),
        Ok(UpsertRow::new(5, 3, "x".repeat(256)).with_tag("line 8")),
        Ok(UpsertRow::new(0, 3, "x")),
        Ok(UpsertRow::new(5, 3, f64::INFINITY)),
    ]);
    let outcomes: Vec<_> = store.upsert().stream(rows).collect().await;
    let expected = [
        (ErrorKind::Input, "line 7 is not a row"),
        (
            ErrorKind::InvalidRow,
            "row 1: value has 256 characters: longer than 255 characters",
        ),
        (
            ErrorKind::InvalidRow,
            "row 2: customer_id is 0: an ID is 1 or more",
        ),
        (
            ErrorKind::InvalidRow,
            "row 3: value is inf: a number must be finite",
        ),
    ];
    assert_eq!(outcomes.len(), expected.len());
    for (index, (outcome, (kind, text))) in outcomes.iter().zip(expected).enumerate() {
        assert_eq!(outcome.index, index as u64);
        let OutcomeKind::Rejected(error) = &outcome.kind else {
            panic!("rejected: {outcome:?}");
        };
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
        assert!(!outcome.is_retryable());
    }
    assert_eq!(outcomes[1].tag(), Some("line 8"));
    assert_eq!(sandbox.counts().requests, 0);
}

#[tokio::test]
async fn invalid_rows_among_valid_ones_take_no_requests() {
    let (sandbox, store) = sandbox().await;
    let rows = (0..100).map(|index| match index % 10 {
        3 => Err("not a row"),
        7 => Ok(UpsertRow::new(index + 1, 1, "x".repeat(256))),
        _ => Ok(UpsertRow::new(index + 1, 1, index)),
    });
    let mut outcomes = store.upsert().stream(stream::iter(rows));
    while let Some(outcome) = outcomes.next().await {
        let bad = matches!(outcome.index % 10, 3 | 7);
        assert_eq!(matches!(outcome.kind, OutcomeKind::Rejected(_)), bad);
    }
    let summary = outcomes.summary();
    assert_eq!(
        (summary.stored, summary.rejected, summary.requests),
        (80, 20, 8)
    );
    assert_eq!(sandbox.values().len(), 80);
}

#[tokio::test]
async fn rows_are_not_rejected_if_the_server_rejects_a_request_without_blaming_rows() {
    for (status, body) in [
        (402, r#"{"title": "payment required"}"#),
        (451, ""),
        (400, "no"),
        (400, r#"{"title": "bad request"}"#),
    ] {
        let server = MockServer::start_async().await;
        let mock = server
            .mock_async(|when, then| {
                when.method(PUT).path(PATH);
                then.status(status).body(body);
            })
            .await;
        let rows = (1..=300).map(|id| UpsertRow::new(id, 1, "x"));
        let upsert = store(&server).upsert().rows(rows).stop_after_rejected(0);
        let report = upsert.send().await.expect("a report");
        assert_eq!(report.summary().not_sent, 300, "{status} {body}");
        assert!(report.stopped_by().is_none(), "{status} {body}");
        assert_eq!(mock.calls_async().await, 30);
    }
}

#[tokio::test]
async fn a_success_with_an_unexpected_body_is_retried_then_unknown() {
    for body in [r#"{"data": 7}"#, ""] {
        let server = MockServer::start_async().await;
        let mock = server
            .mock_async(|when, then| {
                when.method(PUT).path(PATH);
                then.status(200).body(body);
            })
            .await;
        let report = upsert_one(&store(&server)).await;
        assert_eq!(mock.calls_async().await, 3);
        let outcome = only_outcome(&report);
        assert!(matches!(outcome.kind, OutcomeKind::Unknown(_)));
        let error = outcome.error().expect("a reason");
        assert_eq!(
            (error.kind(), error.status()),
            (ErrorKind::InvalidResponse, Some(200))
        );
    }
}

#[tokio::test]
async fn a_row_that_no_response_confirms_is_sent_again_then_unknown() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(PUT).path(PATH);
            then.status(200).json_body(json!({"data": []}));
        })
        .await;
    let report = upsert_one(&store(&server)).await;
    assert_eq!(mock.calls_async().await, 3);
    let outcome = only_outcome(&report);
    assert!(matches!(outcome.kind, OutcomeKind::Unknown(_)));
    let text = outcome.error().expect("a reason").to_string();
    assert!(text.contains("no response confirmed the row"), "{text}");
}

#[tokio::test]
async fn a_response_that_shows_some_of_the_stored_rows_confirms_all() {
    let server = MockServer::start_async().await;
    let record = json!({"customer_id": 1, "attribute_id": 1, "attribute_value": "1"});
    let mock = server
        .mock_async(|when, then| {
            when.method(PUT).path(PATH);
            then.status(200).json_body(json!({
                "data": [record],
                "meta": {"pagination": {"total": 2, "count": 1, "per_page": 1}}
            }));
        })
        .await;
    let upsert = store(&server).upsert().customer(1, [(1, "1.0"), (2, "2")]);
    let report = upsert.send().await.expect("a report");
    assert_eq!(mock.calls_async().await, 1);
    let [shown, hidden] = report.outcomes() else {
        panic!("two outcomes: {report:?}");
    };
    assert!(matches!(shown.kind, OutcomeKind::Stored(Some(_))));
    assert!(shown.differs(), "1.0 is stored as 1");
    assert!(matches!(hidden.kind, OutcomeKind::Stored(None)));
    assert!(!hidden.differs());
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_not_followed_and_stops_the_run() {
    let other_origin = MockServer::start_async().await;
    let other_requests = other_origin
        .mock_async(|when, then| {
            when.any_request();
            then.status(200);
        })
        .await;
    for builder in [None, Some(reqwest::Client::builder())] {
        for status in [301, 302, 303, 307, 308] {
            let server = MockServer::start_async().await;
            let mock = server
                .mock_async(|when, then| {
                    when.method(PUT).path(PATH);
                    then.status(status)
                        .header("Location", other_origin.url("/x"));
                })
                .await;
            let store = Store::builder_with_base_url(server.url("/stores/abc123/v3"), TOKEN);
            let store = match builder.is_some() {
                true => store.http(reqwest::Client::builder()),
                false => store,
            }
            .retry(fast_retries());
            let report = upsert_one(&store.build().expect("a store")).await;
            let error = report.stopped_by().expect("a reason");
            assert_eq!(
                (error.kind(), error.status()),
                (ErrorKind::Redirect, Some(status))
            );
            let target = other_origin.base_url();
            assert!(error.to_string().contains(&target), "{error}");
            let is_permanent = matches!(status, 301 | 308);
            let attempts = if is_permanent { 1 } else { 3 };
            assert_eq!(mock.calls_async().await, attempts);
        }
    }
    assert_eq!(other_requests.calls_async().await, 0);
}

#[tokio::test]
async fn a_redirect_within_the_origin_is_followed() {
    let server = MockServer::start_async().await;
    let first = server
        .mock_async(|when, then| {
            when.method(PUT).path(PATH);
            then.status(307).header("Location", "/moved");
        })
        .await;
    let second = server
        .mock_async(|when, then| {
            when.method(PUT)
                .path("/moved")
                .header("X-Auth-Token", TOKEN)
                .json_body(json!([{"customer_id": 2048, "attribute_id": 101, "value": "Yes"}]));
            then.status(200).json_body(json!({"data": [
                {"customer_id": 2048, "attribute_id": 101, "attribute_value": "Yes"}
            ]}));
        })
        .await;
    let report = upsert_one(&store(&server)).await;
    assert_eq!(report.summary().stored, 1);
    assert_eq!(first.calls_async().await, 1);
    assert_eq!(second.calls_async().await, 1);
}

#[tokio::test]
async fn a_response_body_beyond_the_limit_is_an_error() {
    use bigcommerce_sdk::{Client, Credentials, Error};
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(GET);
            then.status(200)
                .body(format!(r#"{{"data":[{}]}}"#, " ".repeat(4096)));
        })
        .await;
    let list = |limit| {
        let credentials = Credentials::new(TOKEN).expect("a token").body_limit(limit);
        let client = Client::new(&server.base_url(), credentials).expect("a client");
        async move { client.list_attribute_values().send().await.map(|_| ()) }
    };
    assert!(matches!(list(1024).await, Err(Error::ResponseBodyError(_))));
    assert!(list(8192).await.is_ok());
    assert_eq!(mock.calls_async().await, 2);
}

#[tokio::test]
async fn an_empty_list_of_ids_is_not_sent() {
    let (sandbox, store) = sandbox().await;
    let client = store.sdk();
    let deleted = client.delete_attribute_values().id_in(vec![]).send().await;
    assert!(deleted.is_err());
    let list = client.list_attribute_values().customer_id_in(vec![]);
    assert!(list.send().await.is_err());
    assert_eq!(sandbox.counts().requests, 0);
}

#[tokio::test]
async fn when_a_run_stops_every_row_of_its_input_has_an_outcome() {
    let sandbox = Sandbox::builder().token("another").start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = crate::support::store(sandbox.base_url());
    let rows = (1..=25_000).map(|id| UpsertRow::new(id, 1, "x"));
    let report = store.upsert().rows(rows).send().await.expect("a report");
    assert_eq!(report.summary().not_sent, 25_000);
    assert_eq!(report.retryable().count(), 25_000);
}

#[tokio::test]
async fn when_a_run_stops_it_drops_its_input() {
    let sandbox = Sandbox::builder().token("another").start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = crate::support::store(sandbox.base_url());
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let producer = tokio::spawn(async move {
        for id in 1.. {
            let row = UpsertRow::new(id, 1, "x");
            if sender.send(row).await.is_err() {
                return;
            }
        }
    });
    let rows = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|row| (row, receiver))
    });
    let mut outcomes = store.upsert().window(20).stream(rows);
    while outcomes.next().await.is_some() {}
    producer.await.expect("the producer ends");
    assert!(outcomes.stopped_by().is_some());
}

#[test]
fn outside_a_tokio_runtime_an_upsert_returns_an_error() {
    let store = Store::builder("abc123", TOKEN).build().expect("a store");
    let sent = futures::executor::block_on(store.upsert().customer(1, [(1, "x")]).send());
    let error = sent.expect_err("no runtime");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("tokio runtime"), "{error}");
}
