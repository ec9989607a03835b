//! The response format of the reference.

use std::time::Duration;

use bigcommerce_sandbox::Sandbox;
use serde_json::json;

use crate::client::{get, put, row};

#[tokio::test(start_paused = true)]
async fn the_references_example_gets_the_references_response() {
    let sandbox = Sandbox::builder()
        .store_hash("storehash")
        .starts_at("2024-06-10T14:22:00Z".parse().unwrap())
        .start()
        .await
        .unwrap();
    let rows = json!([
        {"attribute_id": 101, "value": "Yes", "customer_id": 2048},
        {"attribute_id": 102, "value": "Blue", "customer_id": 2048},
        {"attribute_id": 103, "value": "Premium Member", "customer_id": 2048},
    ]);
    let value = |id: i64, value| {
        json!({
            "attribute_id": id - 4900, "attribute_value": value, "customer_id": 2048, "id": id,
            "date_modified": "2024-06-10T14:22:00Z", "date_created": "2024-06-10T14:22:00Z",
        })
    };
    let data = json!([
        value(5001, "Yes"),
        value(5002, "Blue"),
        value(5003, "Premium Member")
    ]);
    let current = format!("{}/customers/attribute-values?page=1", sandbox.base_url());
    let links = json!({"previous": "", "current": current, "next": ""});

    let stored = put(sandbox.base_url(), rows).await;
    assert_eq!(stored.status, 200);
    assert_eq!(stored.headers["content-type"], "application/json");
    let pagination = json!({
        "total": 3, "count": 3, "per_page": 10, "current_page": 1, "total_pages": 1,
        "links": links,
    });
    let expected = json!({"data": data, "meta": {"pagination": pagination}});
    assert_eq!(stored.json(), expected);

    let listed = get(sandbox.base_url(), "").await;
    assert_eq!(listed.status, 200);
    let pagination = json!({
        "total": 3, "count": 3, "per_page": 50, "current_page": 1, "total_pages": 1,
        "links": links,
    });
    let expected = json!({"data": data, "meta": {"pagination": pagination}});
    assert_eq!(listed.json(), expected);

    let last = sandbox.value(2048, 103).unwrap();
    assert_eq!((last.id, last.value.as_str()), (5003, "Premium Member"));
    assert_eq!(sandbox.values().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn dates_follow_the_calendar_of_the_store() {
    let start = "2024-06-10T23:59:00Z".parse().unwrap();
    let sandbox = Sandbox::builder().starts_at(start).start().await.unwrap();
    let listed = get(sandbox.base_url(), "").await;
    assert_eq!(listed.headers["date"], "Mon, 10 Jun 2024 23:59:00 GMT");
    sandbox.advance(Duration::from_secs(61));
    let rejected = get(sandbox.base_url(), "?page=x").await;
    assert_eq!(rejected.status, 422);
    assert_eq!(rejected.headers["date"], "Tue, 11 Jun 2024 00:00:01 GMT");
    let stored = put(sandbox.base_url(), json!([row(1, 101, "x")])).await;
    assert_eq!(
        stored.json()["data"][0]["date_modified"],
        "2024-06-11T00:00:01Z"
    );

    let undated = Sandbox::builder().date_header(false).start().await.unwrap();
    let listed = get(undated.base_url(), "").await;
    assert!(!listed.headers.contains_key("date"));
}
