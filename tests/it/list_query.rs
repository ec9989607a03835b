//! Filters of lists that the crate doesn't know.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bigcommerce_ext::{ErrorKind, List, Store, UpsertRow};
use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};
use futures::{StreamExt, TryStreamExt};
use httpmock::{HttpMockRequest, HttpMockResponse, MockServer};
use serde_json::json;

use crate::support::scripted_server::{Response, ScriptedServer};
use crate::support::{TOKEN, sandbox, store as connect};

/// Starts a sandbox in which every third customer has the field `channel_id`, and a store with it.
async fn channels(plan: FaultPlan) -> (Sandbox, Store) {
    let builder = Sandbox::builder().extra_field("channel_id");
    let builder = builder.extra_filter("channel_id").attribute(101, "Tier");
    let sandbox = builder.start().await.expect("a sandbox");
    let http = bigcommerce_ext::reqwest::Client::new();
    for batch in (1..=1_200_i64).collect::<Vec<_>>().chunks(10) {
        let rows: Vec<_> = batch
            .iter()
            .map(|customer| match customer % 3 {
                0 => json!({"customer_id": customer, "attribute_id": 101, "value": "x",
                    "channel_id": "a b&7"}),
                _ => json!({"customer_id": customer, "attribute_id": 101, "value": "x"}),
            })
            .collect();
        let url = format!("{}/customers/attribute-values", sandbox.base_url());
        let request = http.put(url).header("X-Auth-Token", TOKEN).json(&rows);
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), 200);
    }
    sandbox.set_faults(plan);
    let store = connect(sandbox.base_url());
    (sandbox, store)
}

async fn customers(list: List) -> BTreeSet<i64> {
    let values: Vec<_> = list.stream().try_collect().await.expect("values");
    let customers = values.iter().map(|value| value.customer_id);
    customers.collect()
}

#[tokio::test(start_paused = true)]
async fn the_filter_is_sent_with_every_page_and_every_part_of_a_list_of_customers() {
    let plan =
        FaultPlan::seeded(3)
            .rate(0.3)
            .only([Fault::Busy, Fault::InternalError, Fault::Truncated]);
    let (sandbox, store) = channels(plan).await;
    let in_channel = |ids: std::ops::RangeInclusive<i64>| -> BTreeSet<i64> {
        ids.filter(|id| id % 3 == 0).collect()
    };
    let list = || store.list().query("channel_id", "a b&7");
    assert_eq!(customers(list().page_size(50)).await, in_channel(1..=1_200));
    let before = sandbox.counts().gets;
    let some = list().customers(1..=900).attributes(["Tier"]);
    assert_eq!(customers(some).await, in_channel(1..=900));
    assert!(sandbox.counts().gets - before > 3, "the list has parts");
    assert_eq!(customers(store.list()).await.len(), 1_200);
    assert!(sandbox.fault_counts().values().sum::<u64>() > 3);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_the_filter_lists_everything_and_a_short_list_is_incomplete() {
    let (_sandbox, store) = {
        let builder = Sandbox::builder().ignore_filter("channel_id");
        let sandbox = builder.start().await.expect("a sandbox");
        let store = connect(sandbox.base_url());
        (sandbox, store)
    };
    let report = store
        .upsert()
        .rows((1..=3).map(|customer| UpsertRow::new(customer, 101, "x")))
        .send()
        .await
        .expect("a report");
    assert_eq!(report.summary().stored, 3);
    let list = store.list().query("channel_id", 7);
    assert_eq!(customers(list).await.len(), 3);

    let short = ScriptedServer::start(|request| {
        assert_eq!(request.query["channel_id"], "7");
        let record = json!({"id": 1, "customer_id": 1, "attribute_id": 1, "attribute_value": "x"});
        let records = match &*request.query["page"] {
            "1" => vec![record],
            _ => Vec::new(),
        };
        Response::json(
            200,
            &json!({"data": records, "meta": {"pagination": {"total": 3}}}),
        )
    })
    .await;
    let list = connect(&short.base_url()).list();
    let items: Vec<_> = list.query("channel_id", 7).stream().collect().await;
    let error = items.last().and_then(|item| item.as_ref().err());
    assert_eq!(
        error.map(|error| error.kind()),
        Some(ErrorKind::InvalidResponse)
    );
}

/// The URLs, as the server received them.
#[tokio::test]
async fn the_value_is_percent_encoded_and_counts_in_the_length_of_the_url() {
    let server = MockServer::start_async().await;
    let urls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&urls);
    server.mock(|when, then| {
        when.path("/customers/attribute-values");
        then.respond_with(move |request: &HttpMockRequest| {
            let uri = request.uri_str().to_owned();
            seen.lock().expect("no panic").push(uri);
            let body = r#"{"data": [], "meta": {"pagination": {"total": 0}}}"#;
            HttpMockResponse::builder()
                .status(200)
                .header("content-type", "application/json")
                .body(body)
                .build()
        });
    });
    let store = connect(&server.base_url());
    let value = format!("{}\u{1f}é, +&=#%", "x".repeat(900));
    let list = store.list().customers(1_000_000..1_000_300);
    let list = list.query("channel_id:in", "7,8").query("source", value);
    assert!(customers(list).await.is_empty());
    let urls = urls.lock().expect("no panic");
    assert!(urls.len() > 3);
    for url in urls.iter() {
        assert!(url.len() <= 2_000, "{}", url.len());
        let expected = "&channel_id%3Ain=7%2C8&source=xxx";
        assert!(url.contains(expected), "{url}");
        assert!(url.ends_with("x%1F%C3%A9%2C+%2B%26%3D%23%25"), "{url}");
        assert!(url.contains("customer_id%3Ain=1000"), "{url}");
    }
}

#[tokio::test]
async fn what_the_list_sends_itself_is_an_error_and_nothing_is_sent() {
    let (sandbox, store) = sandbox().await;
    for (list, expected) in [
        (
            store.list().query("limit", 7),
            "query \"limit\" is sent by the list itself: use page_size()",
        ),
        (
            store.list().query("source", "s3cr3t").query("source", "x"),
            "query \"source\" is given twice: give it one value",
        ),
    ] {
        assert!(!format!("{list:?}").contains("s3cr3t"));
        let items: Vec<_> = list.stream().collect().await;
        let [Err(error)] = items.as_slice() else {
            panic!("{items:?}");
        };
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(sandbox.counts().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn no_error_contains_the_value_of_a_filter() {
    let echo = ScriptedServer::start(|request| {
        let value = &request.query["source"];
        let encoded = "Jane%20D%C3%B6e%2FX and Jane+d%c3%b6e/X";
        let title = format!("{value} is no source, nor is {encoded}");
        Response::json(
            422,
            &json!({"status": 422, "title": title, "errors": {"source": value}}),
        )
    })
    .await;
    let list = connect(&echo.base_url()).list();
    let items: Vec<_> = list.query("source", "Jane Döe/X").stream().collect().await;
    let [Err(error)] = items.as_slice() else {
        panic!("{items:?}");
    };
    let text = format!("{error} {error:?} {:?}", error.server_message());
    assert!(
        text.contains("REDACTED is no source, nor is REDACTED and REDACTED"),
        "{text}"
    );
    assert!(!text.contains("Jane"), "{text}");

    // A request that fails on its way has its URL in the causes of the error.
    let closed = ScriptedServer::start(|_| Response::error(200).close_before_headers()).await;
    let store = Store::builder_with_base_url(closed.base_url(), TOKEN)
        .retry(bigcommerce_ext::RetryPolicy::default().max_attempts(2));
    let list = store.build().expect("a store").list();
    let items: Vec<_> = list.query("source", "Jane").stream().collect().await;
    let error = items[0].as_ref().expect_err("no response");
    assert!(!format!("{error} {error:?}").contains("Jane"), "{error:?}");
}
