//! Fields and filters that the sandbox is told to have.

use std::io;

use bigcommerce_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::client::{get, put, row};

fn with(mut row: Value, field: &str, value: Value) -> Value {
    row[field] = value;
    row
}

#[tokio::test]
async fn a_field_is_kept_and_given_back_and_lists_are_filtered_by_it() {
    let sandbox = Sandbox::builder()
        .extra_field("channel_id")
        .extra_field("source")
        .extra_filter("channel_id")
        .extra_filter("source:in")
        .start()
        .await
        .unwrap();
    let url = sandbox.base_url();
    let rows = json!([
        with(row(1, 101, "a"), "channel_id", json!(7)),
        with(row(2, 101, "b"), "channel_id", json!("7")),
        with(row(3, 101, "c"), "source", json!("crm, old")),
        with(row(4, 101, "d"), "source", json!({"nested": [1]})),
        with(row(5, 101, "e"), "unknown", json!(1)),
    ]);
    let stored = put(url, rows).await;
    let listed = get(url, "").await;
    for response in [&stored, &listed] {
        let data = response.json()["data"].clone();
        assert_eq!(data[0]["channel_id"], 7);
        assert_eq!(data[1]["channel_id"], "7");
        assert_eq!(data[2]["channel_id"], Value::Null);
        assert_eq!(data[3]["source"]["nested"], json!([1]));
        assert_eq!(data[4].get("unknown"), None);
    }
    for (query, customers) in [
        ("channel_id=7", &[1, 2][..]),
        ("channel_id=7&customer_id:in=2,3", &[2]),
        ("channel_id=8", &[]),
        ("source:in=x,%7B%22nested%22:%5B1%5D%7D", &[4]),
    ] {
        let listed = get(url, query).await;
        assert_eq!(listed.column("customer_id"), customers, "{query}");
        assert_eq!(listed.pagination("total"), customers.len(), "{query}");
    }
    assert_eq!(get(url, "source=crm").await.error_keys(), ["source"]);
    let value = sandbox.value(3, 101).unwrap();
    assert_eq!(value.extra_field("source").as_deref(), Some("crm, old"));
    assert_eq!(value.extra_field("channel_id"), None);

    // A later row replaces only what it has, and a list that was read before doesn't show old fields.
    let rows = json!([
        row(1, 101, "new"),
        with(row(2, 101, "new"), "channel_id", json!(8)),
    ]);
    assert_eq!(put(url, rows).await.status, 200);
    assert_eq!(get(url, "channel_id=7").await.column("customer_id"), [1]);
    assert_eq!(get(url, "channel_id=8").await.column("customer_id"), [2]);
    // An invalid row is still named.
    let rows = json!([with(row(0, 101, "new"), "channel_id", json!(8))]);
    assert_eq!(put(url, rows).await.error_keys(), ["0.customer_id"]);
}

#[tokio::test]
async fn without_being_told_fields_are_ignored_and_filters_are_rejected() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let url = sandbox.base_url();
    let stored = put(url, json!([with(row(1, 101, "a"), "channel_id", json!(7))])).await;
    assert_eq!(stored.json()["data"][0].get("channel_id"), None);
    assert_eq!(get(url, "channel_id=7").await.error_keys(), ["channel_id"]);
}

#[tokio::test]
async fn names_that_exist_and_filters_without_a_field_are_invalid() {
    let builder = Sandbox::builder;
    for (builder, expected) in [
        (
            builder().extra_field("value"),
            "invalid extra field \"value\"",
        ),
        (builder().extra_field(""), "invalid extra field \"\""),
        (
            builder().extra_filter("page"),
            "invalid extra filter \"page\"",
        ),
        (
            builder()
                .extra_field("source")
                .extra_filter("channel_id:in"),
            "there is no extra field \"channel_id\"",
        ),
    ] {
        let error = builder.start().await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
