//! The GET of customers: records, filters, counts.

use std::time::Duration;

use bigcommerce_sandbox::{Sandbox, SandboxCustomer};
use chrono::{DateTime, Utc};
use hyper::Method;
use serde_json::json;

use crate::client::{CUSTOMERS, get_customers, put, request, row, send};

fn date(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Starts a store with four customers, two of them with one address.
async fn start_filled() -> Sandbox {
    let customers = [
        SandboxCustomer::new(11, "Jane@Example.com")
            .in_channels([1, 2])
            .group(3),
        SandboxCustomer::new(4, " jane@example.com")
            .group(5)
            .created(date("2024-05-01T10:00:00Z")),
        SandboxCustomer::new(7, "joe+shop@example.com")
            .created(date("2024-05-02T10:00:00Z"))
            .modified(date("2024-05-09T10:00:00Z")),
    ];
    Sandbox::builder()
        .starts_at(date("2024-06-10T14:22:00Z"))
        .customers(customers)
        .customer(9, "o'neil,jr@example.com")
        .start()
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_record_has_the_details_that_the_customer_has() {
    let customer = SandboxCustomer::new(8, " Jane@Example.com ")
        .first_name("Jane")
        .last_name("Doe")
        .group(3)
        .in_channels([1, 2])
        .origin_channel(2)
        .created(date("2024-05-01T10:00:00.9Z"))
        .modified(date("2024-05-02T10:00:00Z"));
    let builder = Sandbox::builder()
        .starts_at(date("2024-06-10T14:22:00Z"))
        .customers([customer]);
    let sandbox = builder
        .customer(7, "joe@example.com")
        .start()
        .await
        .unwrap();
    let response = get_customers(sandbox.base_url(), "").await;
    assert_eq!(response.status, 200);
    let expected = json!([
        {
            "id": 7, "email": "joe@example.com", "origin_channel_id": 1, "channel_ids": null,
            "date_created": "2024-06-10T14:22:00Z", "date_modified": "2024-06-10T14:22:00Z",
        },
        {
            "id": 8, "email": " Jane@Example.com ", "first_name": "Jane", "last_name": "Doe",
            "customer_group_id": 3, "origin_channel_id": 2, "channel_ids": [1, 2],
            "date_created": "2024-05-01T10:00:00Z", "date_modified": "2024-05-02T10:00:00Z",
        },
    ]);
    assert_eq!(response.json()["data"], expected);
    let stored = sandbox.customers();
    assert_eq!(stored[1].email, " Jane@Example.com ");
    assert_eq!(stored[0].channel_ids, None);
}

#[tokio::test(start_paused = true)]
async fn each_filter_selects_its_customers() {
    let sandbox = start_filled().await;
    for (query, expected) in [
        ("", &[4, 7, 9, 11][..]),
        ("id:in=9,4,99", &[4, 9]),
        ("id%3Ain=11%2C7", &[7, 11]),
        ("email:in=JANE@example.com", &[4, 11]),
        ("email:in=jane%40example.com,nobody@example.com", &[4, 11]),
        ("email:in=jane@example.com&id:in=11,9", &[11]),
        ("email:in=jane@example.com&customer_group_id:in=5", &[4]),
        ("email:in=joe%2Bshop@example.com", &[7]),
        ("email:in=joe+shop@example.com", &[]),
        ("email:in=nobody@example.com", &[]),
        ("customer_group_id:in=3,5", &[4, 11]),
        ("customer_group_id:in=0", &[]),
        ("date_created=2024-05-01", &[4]),
        ("date_created:min=2024-05-02", &[7, 9, 11]),
        ("date_created:max=2024-05-02", &[4, 7]),
        (
            "date_modified:min=2024-05-09&date_modified:max=2024-05-10",
            &[7],
        ),
        ("sort=date_created:asc", &[4, 7, 9, 11]),
        ("sort=last_name:desc&id:in=4,7", &[4, 7]),
        ("limit=3", &[4, 7, 9]),
        ("limit=3&page=2", &[11]),
        ("page=18446744073709551615", &[]),
    ] {
        let response = get_customers(sandbox.base_url(), query).await;
        assert_eq!(response.status, 200, "{query}");
        assert_eq!(response.column("id"), expected, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_and_malformed_filters_are_rejected() {
    let sandbox = start_filled().await;
    let queries = [
        "color=blue",
        "email=jane@example.com",
        "email:in[]=jane@example.com",
        "email:in=",
        "email:in=jane@example.com,",
        "email:in=+,jane@example.com",
        "id:in=",
        "id:in=x",
        "id=4",
        "customer_group_id:in=1.0",
        "date_created=yesterday",
        "sort=id:asc",
        "sort=date_created",
        "sort=date_created:up",
        "page=0",
        "limit=0",
        "limit=251",
    ];
    for query in queries {
        let response = get_customers(sandbox.base_url(), query).await;
        assert_eq!(response.status, 422, "{query}");
        assert_eq!(response.error_keys().len(), 1, "{query}");
    }
    assert_eq!(sandbox.counts().rejected, queries.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn customers_come_and_go_while_the_sandbox_runs() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let base_url = sandbox.base_url();
    let found = async || {
        let query = "email:in=jane@example.com";
        get_customers(base_url, query).await.column("id")
    };
    assert_eq!(found().await, [0; 0]);
    sandbox.insert_customer((2, "jane@example.com"));
    sandbox.insert_customer(SandboxCustomer::new(1, "Jane@example.com"));
    assert_eq!(found().await, [1, 2]);
    sandbox.insert_customer((2, "joe@example.com"));
    assert_eq!(found().await, [1]);
    assert_eq!(sandbox.counts().customers, 2);
    assert!(sandbox.remove_customer(1));
    assert!(!sandbox.remove_customer(1));
    assert_eq!(found().await, [0; 0]);
    // Rows may name customers that the store doesn't have.
    assert_eq!(put(base_url, json!([row(1, 1, "v")])).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_and_their_queries_kept() {
    let sandbox = start_filled().await;
    let base_url = sandbox.base_url();
    get_customers(base_url, "email:in=jane%40example.com").await;
    get_customers(base_url, "color=blue").await;
    send(request(Method::GET, &format!("{base_url}{CUSTOMERS}"), "")).await;
    let counts = sandbox.counts();
    assert_eq!((counts.requests, counts.customer_gets), (3, 3));
    assert_eq!((counts.gets, counts.attribute_gets), (0, 0));
    let expected = ["email:in=jane%40example.com", "color=blue", ""];
    assert_eq!(sandbox.customer_queries(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_store_limits_apply() {
    let sandbox = Sandbox::builder()
        .token("secret")
        .read_only()
        .quota(2, Duration::from_secs(30))
        .url_limit(100)
        .start()
        .await
        .unwrap();
    let base_url = sandbox.base_url();
    assert_eq!(get_customers(base_url, "").await.status, 401);
    let url = format!("{base_url}{CUSTOMERS}");
    let with_token = async |method, url: &str| {
        let mut request = request(method, url, "");
        let headers = request.headers_mut();
        headers.insert("X-Auth-Token", "secret".parse().unwrap());
        send(request).await
    };
    let first = with_token(Method::GET, &url).await;
    assert_eq!(
        (first.status, first.rate_limit("Requests-Left")),
        (200, Some(1))
    );
    assert_eq!(with_token(Method::DELETE, &url).await.status, 405);
    assert_eq!(with_token(Method::GET, &url).await.status, 429);
    let long = format!("{url}?email:in={}", "x".repeat(100));
    assert_eq!(with_token(Method::GET, &long).await.status, 414);
}

#[tokio::test(start_paused = true)]
async fn lookups_in_a_large_store_are_complete() {
    let customers = (1..=100_000).map(|id| (id, format!("{id}@example.com")));
    let sandbox = Sandbox::builder()
        .customers(customers)
        .start()
        .await
        .unwrap();
    for n in 0..250 {
        let ids = [n + 1, n * 7 + 20_000, n * 11 + 50_000];
        let emails = ids.map(|id| format!("{id}@Example.com")).join(",");
        let found = get_customers(sandbox.base_url(), &format!("email:in={emails}")).await;
        assert_eq!(found.column("id"), ids);
        assert_eq!(found.pagination("total"), 3);
        let ids = ids.map(|id| id.to_string()).join(",");
        let found = get_customers(sandbox.base_url(), &format!("id:in={ids}")).await;
        assert_eq!(found.column("id").len(), 3);
    }
}
