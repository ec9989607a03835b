//! The POST of customers.

use bigcommerce_sandbox::{BatchRejection, ErrorKeys, Sandbox, TooLarge};
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{CUSTOMERS, get_customers, post_customers, request, send};

#[tokio::test(start_paused = true)]
async fn created_customers_are_returned_and_listed() {
    let sandbox = Sandbox::builder()
        .starts_at("2024-06-10T14:22:00Z".parse().unwrap())
        .customer(2048, "Jane@example.com")
        .start()
        .await
        .unwrap();
    let base_url = sandbox.base_url();
    let rows = json!([
        {"email": "jane@example.com", "first_name": "Jane", "last_name": "Doe", "notes": "new",
         "customer_group_id": 3, "channel_ids": [1, 2], "origin_channel_id": 2},
        {"email": "joe@example.com", "first_name": "Joe", "last_name": null, "channel_ids": null},
    ]);
    let created = post_customers(base_url, rows).await;
    assert_eq!(created.status, 200);
    let time = "2024-06-10T14:22:00Z";
    let expected = json!([
        {"id": 2049, "email": "jane@example.com", "first_name": "Jane", "last_name": "Doe",
         "customer_group_id": 3, "channel_ids": [1, 2], "origin_channel_id": 2,
         "date_created": time, "date_modified": time},
        {"id": 2050, "email": "joe@example.com", "first_name": "Joe", "channel_ids": null,
         "origin_channel_id": 1, "date_created": time, "date_modified": time},
    ]);
    assert_eq!(created.json()["data"], expected);
    assert_eq!(created.pagination("total"), 2);
    let found = get_customers(base_url, "email:in=jane@example.com").await;
    assert_eq!(found.column("id"), [2048, 2049]);

    // The ID of a customer who is gone is not assigned again.
    assert!(sandbox.remove_customer(2050));
    let created = post_customers(base_url, json!([{"email": "joe@example.com"}])).await;
    assert_eq!(created.column("id"), [2051]);
    let counts = sandbox.counts();
    assert_eq!((counts.customer_posts, counts.customer_gets), (2, 1));
    assert_eq!(counts.customers, 3);
}

#[tokio::test(start_paused = true)]
async fn invalid_customers_are_named_and_valid_ones_created_as_configured() {
    let rows = json!([
        {"email": "abc"},
        {"email": "ab"},
        {"email": "é".repeat(255)},
        {"email": "é".repeat(256)},
        {"first_name": "Jane"},
        {"email": 7},
        {"email": "abc", "first_name": 7},
        {"email": "abc", "customer_group_id": "3"},
        {"email": "abc", "channel_ids": [1, "2"]},
        7,
    ]);
    let keys = [
        "1.email",
        "3.email",
        "4.email",
        "5.email",
        "6.first_name",
        "7.customer_group_id",
        "8.channel_ids",
        "9.email",
    ];
    for (rejection, created) in [(BatchRejection::Atomic, 0), (BatchRejection::Partial, 2)] {
        let builder = Sandbox::builder().batch_rejection(rejection);
        let sandbox = builder.start().await.unwrap();
        let rejected = post_customers(sandbox.base_url(), rows.clone()).await;
        assert_eq!(rejected.status, 422);
        assert_eq!(rejected.error_keys(), keys);
        assert_eq!(sandbox.customers().len(), created);
    }
    let builder = Sandbox::builder().error_keys(ErrorKeys::Field);
    let sandbox = builder.start().await.unwrap();
    let rejected = post_customers(sandbox.base_url(), json!([{"email": "a"}])).await;
    assert_eq!(rejected.error_keys(), ["email"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_one_to_ten_customers() {
    let rows = |count: usize| -> Value {
        let row = |n| json!({"email": format!("{n}@example.com")});
        (0..count).map(row).collect()
    };
    for (too_large, status) in [(TooLarge::Status422, 422), (TooLarge::Status413, 413)] {
        let sandbox = Sandbox::builder()
            .too_large(too_large)
            .start()
            .await
            .unwrap();
        let base_url = sandbox.base_url();
        assert_eq!(post_customers(base_url, rows(0)).await.status, 422);
        assert_eq!(post_customers(base_url, rows(11)).await.status, status);
        assert_eq!(post_customers(base_url, json!({})).await.status, 422);
        assert_eq!(sandbox.customers(), []);
        assert_eq!(post_customers(base_url, rows(10)).await.status, 200);
        assert_eq!(sandbox.customers().len(), 10);
        assert_eq!(sandbox.counts().rejected, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_only_token_and_other_methods_are_rejected() {
    let sandbox = Sandbox::builder().read_only().start().await.unwrap();
    let base_url = sandbox.base_url();
    let rows = json!([{"email": "jane@example.com"}]);
    assert_eq!(post_customers(base_url, rows).await.status, 403);
    let url = format!("{base_url}{CUSTOMERS}");
    let rejected = send(request(Method::PUT, &url, "[]")).await;
    assert_eq!(
        (rejected.status, &rejected.headers["allow"]),
        (405, &"GET, POST".parse().unwrap())
    );
    assert_eq!(sandbox.customers(), []);
}
