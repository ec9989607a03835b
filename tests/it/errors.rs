//! What goes wrong says what, where, and what to do.

use std::time::Duration;

use bigcommerce_ext::{
    ErrorKind, Event, Outcome, OutcomeKind, Report, RetryPolicy, Store, UpsertRow, WaitReason,
};
use bigcommerce_sandbox::Sandbox;
use futures::{StreamExt, stream};
use httpmock::prelude::*;
use serde_json::json;

use crate::support::{TOKEN, sandbox};

const PATH: &str = "/stores/abc123/v3/customers/attribute-values";

/// A policy that waits next to nothing.
fn brisk() -> RetryPolicy {
    RetryPolicy::default()
        .max_attempts(3)
        .initial_backoff(Duration::from_micros(1))
}

fn store(server: &MockServer) -> Store {
    Store::builder_with_base_url(server.url("/stores/abc123/v3"), TOKEN)
        .retry(brisk())
        .build()
        .expect("a store")
}

async fn upsert_one(store: &Store) -> Report {
    let upsert = store.upsert().customer(2048, [(101, "Yes")]);
    upsert.send().await.expect("a report")
}

fn only(report: &Report) -> &Outcome {
    let [outcome] = report.outcomes() else {
        panic!("one outcome: {report:?}");
    };
    outcome
}

#[tokio::test]
async fn a_wrong_token_stops_the_run_and_says_what_to_check() {
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
    // The rest of the input is not read.
    assert!(outcomes.summary().rows() <= 60);
    assert!(sandbox.counts().requests <= 3);
}

#[tokio::test]
async fn a_missing_scope_is_named() {
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
    let strict = report.into_result().expect_err("not stored");
    assert_eq!(strict.kind(), ErrorKind::Forbidden);
}

#[test]
fn a_store_hash_that_changes_the_path_is_refused() {
    for hash in ["../v2", "abc/def", "", "abc?x=y"] {
        let error = Store::builder(hash, TOKEN).build().expect_err(hash);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("store hash"), "{error}");
    }
}

#[tokio::test]
async fn rows_that_break_a_rule_are_rejected_without_a_call() {
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
async fn bad_rows_cost_nothing_else() {
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

/// A store that refuses one value.
async fn picky() -> (Sandbox, Store) {
    let sandbox = Sandbox::builder()
        .reject(|_, _, value| (value == "bad").then(|| "it is bad".to_owned()))
        .start()
        .await
        .expect("a sandbox");
    let store = crate::support::store(sandbox.base_url());
    (sandbox, store)
}

#[tokio::test]
async fn a_refused_row_is_rejected_with_what_the_server_said() {
    let (_sandbox, store) = picky().await;
    let report = store.upsert().customer(1, [(1, "bad")]).send().await;
    let report = report.expect("a report");
    let error = only(&report).error().expect("a reason");
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::InvalidRequest, Some(422))
    );
    assert!(error.to_string().contains("it is bad"), "{error}");
    assert!(!error.is_temporary());
    assert!(report.stopped_by().is_none());
}

#[tokio::test]
async fn a_call_that_is_refused_without_blaming_rows_blames_none() {
    for (status, body) in [
        (423, r#"{"title": "locked"}"#),
        (408, ""),
        (409, "{}"),
        (400, "<html>"),
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
        let report = store(&server).upsert().rows(rows).send().await;
        let report = report.expect("a report");
        assert_eq!(report.summary().not_sent, 300, "{status} {body}");
        assert!(report.stopped_by().is_none(), "{status} {body}");
        assert_eq!(mock.calls_async().await, 30);
    }
}

#[tokio::test]
async fn a_value_that_was_superseded_by_a_rejected_one_is_sent_after_all() {
    let (sandbox, store) = picky().await;
    let values = [(1, "older"), (1, "good"), (1, "bad")];
    let report = store.upsert().customer(1, values).send().await;
    let report = report.expect("a report");
    let kinds: Vec<_> = report.outcomes().iter().map(|o| &o.kind).collect();
    assert!(
        matches!(
            kinds[..],
            [
                OutcomeKind::Superseded { by: 1, .. },
                OutcomeKind::Stored(Some(_)),
                OutcomeKind::Rejected(_)
            ]
        ),
        "{kinds:?}"
    );
    assert_eq!(sandbox.value(1, 1).expect("a value").value, "good");
}

#[tokio::test]
async fn busy_answers_and_server_errors_are_tried_again_until_attempts_run_out() {
    for (status, kind, is_sent) in [
        (429, ErrorKind::RateLimited, false),
        (500, ErrorKind::Unavailable, true),
        (503, ErrorKind::Unavailable, true),
    ] {
        let server = MockServer::start_async().await;
        let mock = server
            .mock_async(|when, then| {
                when.method(PUT).path(PATH);
                then.status(status)
                    .body("<html>down for maintenance</html>");
            })
            .await;
        let (events, seen) = std::sync::mpsc::channel();
        let upsert = store(&server).upsert().customer(2048, [(101, "Yes")]);
        let report = upsert
            .observe(move |event| events.send(event.clone()).unwrap_or_default())
            .send()
            .await
            .expect("a report");
        assert_eq!(mock.calls_async().await, 3);
        assert_eq!(report.summary().requests, 3);
        let outcome = only(&report);
        assert_eq!(matches!(outcome.kind, OutcomeKind::Unknown(_)), is_sent);
        assert_eq!(matches!(outcome.kind, OutcomeKind::NotSent(_)), !is_sent);
        let error = outcome.error().expect("a reason");
        assert_eq!((error.kind(), error.status()), (kind, Some(status)));
        assert_eq!(error.attempts(), 3);
        assert!(error.is_temporary());
        assert!(error.to_string().contains("3 attempts"), "{error}");
        let why = if status == 429 {
            WaitReason::Busy
        } else {
            WaitReason::Server
        };
        let waits: Vec<_> = seen
            .iter()
            .filter_map(|event| match event {
                Event::Waiting { reason, .. } => Some(reason),
                _ => None,
            })
            .collect();
        assert_eq!(waits, [why, why]);
    }
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_tried_again_then_unknown() {
    for body in ["<html>", r#"{"data": 7}"#, ""] {
        let server = MockServer::start_async().await;
        let mock = server
            .mock_async(|when, then| {
                when.method(PUT).path(PATH);
                then.status(200).body(body);
            })
            .await;
        let report = upsert_one(&store(&server)).await;
        assert_eq!(mock.calls_async().await, 3);
        let outcome = only(&report);
        assert!(matches!(outcome.kind, OutcomeKind::Unknown(_)));
        let error = outcome.error().expect("a reason");
        assert_eq!(
            (error.kind(), error.status()),
            (ErrorKind::InvalidResponse, Some(200))
        );
    }
}

#[tokio::test]
async fn a_row_that_answers_leave_out_is_sent_again_then_unknown() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(PUT).path(PATH);
            then.status(200).json_body(json!({"data": []}));
        })
        .await;
    let report = upsert_one(&store(&server)).await;
    assert_eq!(mock.calls_async().await, 3);
    let outcome = only(&report);
    assert!(matches!(outcome.kind, OutcomeKind::Unknown(_)));
    let text = outcome.error().expect("a reason").to_string();
    assert!(text.contains("leaves the row out"), "{text}");
}

#[tokio::test]
async fn an_answer_that_shows_a_part_confirms_the_whole() {
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
    assert!(shown.differs(), "1.0 was stored as 1");
    assert!(matches!(hidden.kind, OutcomeKind::Stored(None)));
    assert!(!hidden.differs());
}

#[tokio::test]
async fn a_redirect_elsewhere_gets_nothing_and_stops_the_run() {
    let elsewhere = MockServer::start_async().await;
    let thief = elsewhere
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
                    then.status(status).header("Location", elsewhere.url("/x"));
                })
                .await;
            let store = Store::builder_with_base_url(server.url("/stores/abc123/v3"), TOKEN);
            let store = match builder.is_some() {
                true => store.http(reqwest::Client::builder()),
                false => store,
            }
            .retry(brisk());
            let report = upsert_one(&store.build().expect("a store")).await;
            let error = report.stopped_by().expect("a reason");
            assert_eq!(
                (error.kind(), error.status()),
                (ErrorKind::Redirect, Some(status))
            );
            let target = elsewhere.base_url();
            assert!(error.to_string().contains(&target), "{error}");
            let is_permanent = matches!(status, 301 | 308);
            let attempts = if is_permanent { 1 } else { 3 };
            assert_eq!(mock.calls_async().await, attempts);
        }
    }
    assert_eq!(thief.calls_async().await, 0);
}

#[tokio::test]
async fn a_redirect_on_the_same_origin_is_followed() {
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
async fn a_body_beyond_the_limit_is_not_read() {
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
async fn rows_that_were_given_at_once_all_have_an_outcome_when_the_run_stops() {
    let sandbox = Sandbox::builder().token("another").start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = crate::support::store(sandbox.base_url());
    let rows = (1..=25_000).map(|id| UpsertRow::new(id, 1, "x"));
    let report = store.upsert().rows(rows).send().await.expect("a report");
    assert_eq!(report.summary().not_sent, 25_000);
    assert_eq!(report.retryable().count(), 25_000);
}

#[tokio::test]
async fn the_input_is_let_go_when_the_run_stops() {
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
    producer.await.expect("the producer hears of it");
    assert!(outcomes.stopped_by().is_some());
}

#[test]
fn outside_a_runtime_the_error_says_so() {
    let store = Store::builder("abc123", TOKEN).build().expect("a store");
    let sent = futures::executor::block_on(store.upsert().customer(1, [(1, "x")]).send());
    let error = sent.expect_err("no runtime");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("tokio runtime"), "{error}");
}
