//! GET of customers: filters, pages and cursors.

use bigcommerce_sandbox::{EmailSplit, Sandbox, SandboxBuilder, SandboxCustomer};
use chrono::DateTime;
use serde_json::json;

use crate::client::{TestResponse, get_customers};

fn builder() -> SandboxBuilder {
    let day = |day: i64| DateTime::from_timestamp(day * 86_400, 0).unwrap();
    Sandbox::builder().customers([
        SandboxCustomer::new(1, "Jane@example.com").created(day(10)),
        SandboxCustomer::new(2, "bob+x@example.com")
            .in_group(3)
            .created(day(20)),
        SandboxCustomer::new(3, "JANE@example.com")
            .in_channels([1, 2])
            .created(day(30)),
        SandboxCustomer::new(4, " müller@example.com").created(day(40)),
        SandboxCustomer::new(5, "eve@example.com").created(day(50)),
    ])
}

async fn ids(sandbox: &Sandbox, query: &str) -> Vec<i64> {
    let response = get_customers(sandbox.base_url(), query).await;
    assert_eq!(response.status, 200, "{query}");
    response.column("id")
}

fn end_cursor(response: &TestResponse) -> String {
    let cursor = &response.json()["meta"]["cursor_pagination"]["end_cursor"];
    cursor.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn customers_are_filtered() {
    let sandbox = builder().start().await.unwrap();
    for (query, expected) in [
        ("", vec![1, 2, 3, 4, 5]),
        ("id:in=5,2,9", vec![2, 5]),
        ("customer_group_id:in=3", vec![2]),
        ("customer_group_id:in=0,3", vec![1, 2, 3, 4, 5]),
        ("email:in=jane%40example.com", vec![1, 3]),
        ("email:in=bob%2Bx@example.com,eve@example.com", vec![2, 5]),
        ("email:in=bob%2Bx@example.com%2Ceve@example.com", vec![2, 5]),
        // A plus sign is a space.
        ("email:in=bob+x@example.com", vec![]),
        ("email:in=m%C3%BCller@example.com", vec![4]),
        ("email:in=jane@example.com&id:in=3,4", vec![3]),
        ("date_created:min=1970-02-01", vec![4, 5]),
        ("date_created:max=1970-01-21T00:00:00Z&limit=1", vec![1]),
        ("sort=date_created:asc&limit=2&page=2", vec![3, 4]),
    ] {
        assert_eq!(ids(&sandbox, query).await, expected, "{query}");
    }
    for query in ["name=x", "sort=shoe_size", "after=7", "id:in=", "limit=251"] {
        let response = get_customers(sandbox.base_url(), query).await;
        assert_eq!(response.status, 422, "{query}");
    }
    assert_eq!(sandbox.counts().customer_gets, 13 + 5);
    assert_eq!(sandbox.customer_queries()[1], "id:in=5,2,9");
    sandbox.insert_customer(SandboxCustomer::new(1, "new@example.com"));
    assert!(sandbox.remove_customer(3) && !sandbox.remove_customer(3));
    assert_eq!(ids(&sandbox, "email:in=jane@example.com").await, [0_i64; 0]);
    assert_eq!(ids(&sandbox, "email:in=new@example.com").await, [1]);
}

#[tokio::test]
async fn a_record_shows_what_the_store_keeps() {
    let sandbox = builder().start().await.unwrap();
    let response = get_customers(sandbox.base_url(), "id:in=1,3").await;
    let data = &response.json()["data"];
    assert_eq!(
        data[0],
        json!({
            "id": 1,
            "email": "Jane@example.com",
            "customer_group_id": 0,
            "channel_ids": null,
            "date_created": "1970-01-11T00:00:00Z",
            "date_modified": "1970-01-11T00:00:00Z",
        })
    );
    assert_eq!(data[1]["channel_ids"], json!([1, 2]));
    assert_eq!(response.pagination("total"), 2);
}

#[tokio::test]
async fn pages_go_by_number_and_by_cursor() {
    let sandbox = builder().start().await.unwrap();
    let first = get_customers(sandbox.base_url(), "limit=2").await;
    assert_eq!(first.pagination("total"), 5);
    let mut query = format!("limit=2&after={}", end_cursor(&first));
    // A customer who is deleted shifts no page.
    sandbox.remove_customer(1);
    let mut pages = vec![first.column("id")];
    loop {
        let page = get_customers(sandbox.base_url(), &query).await;
        assert!(page.json()["meta"].get("pagination").is_none());
        if page.column("id").is_empty() {
            assert_eq!(end_cursor(&page), "");
            break;
        }
        query = format!("limit=2&page=9&after={}", end_cursor(&page));
        pages.push(page.column("id"));
    }
    assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5]]);
    let before = first.json()["meta"]["cursor_pagination"]["end_cursor"].clone();
    let before = format!("before={}", before.as_str().unwrap());
    assert_eq!(ids(&sandbox, &before).await, [0_i64; 0]);
    let filtered = get_customers(sandbox.base_url(), "id:in=2,4,5&limit=1").await;
    let after = format!("id:in=2,4,5&after={}", end_cursor(&filtered));
    assert_eq!(ids(&sandbox, &after).await, [4, 5]);
    let before = format!("id:in=2,4,5&limit=1&before={}", "c5");
    assert_eq!(ids(&sandbox, &before).await, [4]);
}

#[tokio::test]
async fn what_the_provider_leaves_open_is_a_setting() {
    let list = "email:in=bob%2Bx@example.com%2Ceve@example.com";
    let raw_list = "email:in=bob%2Bx@example.com,eve@example.com";
    let sandbox = builder().email_split(EmailSplit::BeforeDecoding);
    let sandbox = sandbox.start().await.unwrap();
    assert_eq!(ids(&sandbox, list).await, [0_i64; 0]);
    assert_eq!(ids(&sandbox, raw_list).await, [2, 5]);

    let sandbox = builder().distinguish_case().start().await.unwrap();
    assert_eq!(ids(&sandbox, "email:in=JANE@example.com").await, [3]);
    assert_eq!(ids(&sandbox, "email:in=jane@example.com").await, [0_i64; 0]);

    let sandbox = builder().ignore_emails().start().await.unwrap();
    assert_eq!(ids(&sandbox, list).await, [1, 2, 3, 4, 5]);

    let sandbox = builder().without_cursors().start().await.unwrap();
    let response = get_customers(sandbox.base_url(), "limit=2").await;
    assert!(response.json()["meta"].get("cursor_pagination").is_none());
    let response = get_customers(sandbox.base_url(), "after=c2").await;
    assert_eq!(response.status, 422);
}
