//! The PUT of values: invalid rows, and its settings.

use std::time::Duration;

use bigcommerce_sandbox::{
    BatchRejection, Duplicates, ErrorKeys, ResponseOrder, Sandbox, SandboxBuilder, TooLarge,
};
use serde_json::{Value, json};

use crate::client::{TestResponse, put, row};

async fn put_to(builder: SandboxBuilder, rows: Value) -> (TestResponse, Sandbox) {
    let sandbox = builder.start().await.unwrap();
    let response = put(sandbox.base_url(), rows).await;
    (response, sandbox)
}

#[tokio::test(start_paused = true)]
async fn a_second_write_updates_the_value() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let first = put(sandbox.base_url(), json!([row(1, 1, "a")])).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    let mut again = row(1, 1, "");
    again["id"] = first.json()["data"][0]["id"].clone();
    let second = put(sandbox.base_url(), json!([again])).await;
    assert_eq!(second.status, 200);
    assert_eq!(second.column("id"), first.column("id"));
    let stored = sandbox.value(1, 1).unwrap();
    assert_eq!(stored.value, "");
    assert_eq!(
        (stored.date_modified - stored.date_created).num_seconds(),
        60
    );
    assert_eq!(
        (sandbox.counts().rows_stored, sandbox.counts().values),
        (2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn each_invalid_row_is_named() {
    let long = "x".repeat(256);
    let wide = "ü".repeat(255);
    let rows = json!([
        row(1, 1, &wide),
        row(1, 2, &long),
        {"attribute_id": 3, "value": 7, "customer_id": 1},
        {"attribute_id": 4, "attribute_value": "v", "customer_id": 1},
        row(0, 5, "v"),
        row(1, -6, "v"),
        {"attribute_id": 7, "value": "v", "customer_id": 1, "id": 5001},
        row(1, 8, &(wide.clone() + "ü")),
    ]);
    let (response, sandbox) = put_to(Sandbox::builder(), rows).await;
    assert_eq!(response.status, 422);
    let expected = [
        "1.value",
        "2.value",
        "3.value",
        "4.customer_id",
        "5.attribute_id",
        "6.id",
        "7.value",
    ];
    assert_eq!(response.error_keys(), expected);
    assert_eq!(sandbox.counts().values, 0);
    assert_eq!(sandbox.counts().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn values_of_up_to_255_characters_are_stored() {
    for value in [
        "x".repeat(255),
        "ü".repeat(255),
        "😀".repeat(255),
        String::new(),
    ] {
        let rows = json!([row(1, 1, &value)]);
        let (response, sandbox) = put_to(Sandbox::builder(), rows).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.json()["data"][0]["attribute_value"], value);
        assert_eq!(sandbox.value(1, 1).unwrap().value, value);
    }
}

fn rejecting_bad_values() -> SandboxBuilder {
    Sandbox::builder().reject(|customer_id, _, value| {
        (value == "bad").then(|| format!("customer {customer_id} must not be bad"))
    })
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_rejected_whole_or_in_part() {
    let rows = json!([row(1, 1, "good"), row(2, 1, "bad"), row(3, 1, "good")]);
    let errors = json!({"1.value": "customer 2 must not be bad"});

    let (response, sandbox) = put_to(rejecting_bad_values(), rows.clone()).await;
    assert_eq!((response.status, response.errors()), (422, errors.clone()));
    assert_eq!(sandbox.values(), []);

    let partial = rejecting_bad_values().batch_rejection(BatchRejection::Partial);
    let (response, sandbox) = put_to(partial, rows).await;
    assert_eq!((response.status, response.errors()), (422, errors));
    assert!(sandbox.value(1, 1).is_some() && sandbox.value(3, 1).is_some());
    assert_eq!(sandbox.counts().rows_stored, 2);
}

#[tokio::test(start_paused = true)]
async fn errors_name_the_row_by_the_configured_keys() {
    let rows = json!([row(1, 1, "good"), row(2, 1, "bad"), row(3, 1, "bad")]);
    for (error_keys, expected) in [
        (ErrorKeys::Indexed, &["1.value", "2.value"][..]),
        (ErrorKeys::Field, &["value"]),
        (ErrorKeys::Empty, &[]),
    ] {
        let (response, _) =
            put_to(rejecting_bad_values().error_keys(error_keys), rows.clone()).await;
        assert_eq!(response.status, 422);
        assert_eq!(response.error_keys(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn rows_of_unknown_attributes_are_invalid() {
    let builder = Sandbox::builder()
        .known_attributes([101, 102])
        .batch_rejection(BatchRejection::Partial);
    let rows = json!([row(1, 101, "v"), row(2, 103, "v")]);
    let (response, sandbox) = put_to(builder, rows).await;
    assert_eq!(response.error_keys(), ["1.attribute_id"]);
    assert_eq!(sandbox.counts().values, 1);
}

#[tokio::test(start_paused = true)]
async fn duplicate_rows_are_handled_as_configured() {
    let rows = json!([row(1, 1, "first"), row(1, 2, "v"), row(1, 1, "last")]);
    for (duplicates, kept) in [
        (Duplicates::LastWins, "last"),
        (Duplicates::FirstWins, "first"),
    ] {
        let (response, sandbox) =
            put_to(Sandbox::builder().duplicates(duplicates), rows.clone()).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.column("attribute_id"), [1, 2]);
        assert_eq!(response.json()["data"][0]["attribute_value"], kept);
        assert_eq!(sandbox.value(1, 1).unwrap().value, kept);
    }
    let (response, sandbox) =
        put_to(Sandbox::builder().duplicates(Duplicates::Rejected), rows).await;
    assert_eq!(
        (response.status, response.error_keys()),
        (422, vec!["2.attribute_id".to_owned()])
    );
    assert_eq!(sandbox.counts().values, 0);
}

#[tokio::test(start_paused = true)]
async fn the_response_has_the_configured_order() {
    for (order, expected) in [
        (ResponseOrder::AsSent, [9, 3, 7]),
        (ResponseOrder::ById, [7, 9, 3]),
        (ResponseOrder::Reversed, [7, 3, 9]),
    ] {
        let sandbox = Sandbox::builder()
            .response_order(order)
            .start()
            .await
            .unwrap();
        sandbox.insert(1, 7, "v");
        let rows = json!([row(1, 9, "v"), row(1, 3, "v"), row(1, 7, "v")]);
        let response = put(sandbox.base_url(), rows).await;
        assert_eq!(response.column("attribute_id"), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_ten_customers_are_rejected() {
    let rows = |customers| -> Value {
        (1..=customers)
            .flat_map(|customer| [row(customer, 1, "v"), row(customer, 2, "v")])
            .collect()
    };
    let (response, _) = put_to(Sandbox::builder(), rows(10)).await;
    assert_eq!(response.status, 200);
    assert_eq!(
        (
            response.pagination("count"),
            response.pagination("total_pages")
        ),
        (20.into(), 1.into())
    );

    for (too_large, status) in [(TooLarge::Status422, 422), (TooLarge::Status413, 413)] {
        let (response, sandbox) = put_to(Sandbox::builder().too_large(too_large), rows(11)).await;
        assert_eq!((response.status, response.errors()), (status, json!({})));
        let counts = sandbox.counts();
        assert_eq!(
            (counts.largest_batch_customers, counts.largest_batch_rows),
            (11, 22)
        );
        assert_eq!((counts.rejected, counts.values), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn more_rows_than_the_limit_are_rejected() {
    let rows = json!([row(1, 1, "v"), row(1, 2, "v"), row(1, 3, "v")]);
    let (response, _) = put_to(Sandbox::builder().rows_per_call(3), rows.clone()).await;
    assert_eq!(response.status, 200);
    let (response, _) = put_to(Sandbox::builder().rows_per_call(2), rows).await;
    assert_eq!(response.status, 422);
}
