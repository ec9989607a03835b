//! The GET: filters, pages, links.

use std::time::Duration;

use bigcommerce_sandbox::Sandbox;
use serde_json::json;

use crate::client::{get, put, row};

/// Three customers with three attributes each, a day between one customer and the next.
async fn filled() -> Sandbox {
    let sandbox = Sandbox::builder()
        .starts_at("2024-06-10T14:22:00Z".parse().unwrap())
        .attribute(1, "Tier")
        .attribute(2, "Last order")
        .start()
        .await
        .unwrap();
    for customer in 1..=3 {
        for attribute in 1..=3 {
            sandbox.insert(customer, attribute, "v");
        }
        tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
    }
    // On the 13th: modified, created on the 10th.
    sandbox.insert(1, 1, "w");
    sandbox
}

#[tokio::test(start_paused = true)]
async fn each_filter_selects() {
    let sandbox = filled().await;
    for (query, expected) in [
        (
            "",
            &[5001, 5002, 5003, 5004, 5005, 5006, 5007, 5008, 5009][..],
        ),
        ("customer_id:in=2", &[5004, 5005, 5006]),
        (
            "customer_id%3Ain=3%2C1",
            &[5001, 5002, 5003, 5007, 5008, 5009],
        ),
        ("attribute_id:in=2", &[5002, 5005, 5008]),
        (
            "customer_id:in=2,3&attribute_id:in=1,2",
            &[5004, 5005, 5007, 5008],
        ),
        ("customer_id:in=1&customer_id:in=9", &[]),
        ("name=Tier", &[5001, 5004, 5007]),
        ("name=Last+order&customer_id:in=3", &[5008]),
        ("name=unknown", &[]),
        ("date_created=2024-06-11", &[5004, 5005, 5006]),
        ("date_created=2024-06-11T14:22:00Z", &[5004, 5005, 5006]),
        ("date_created=2024-06-11T14:22:01Z", &[]),
        ("date_created:min=2024-06-12", &[5007, 5008, 5009]),
        ("date_created:min=2024-06-12T14:22:00Z", &[5007, 5008, 5009]),
        ("date_created:min=2024-06-12T14:22:01Z", &[]),
        ("date_created:max=2024-06-10", &[5001, 5002, 5003]),
        (
            "date_created:max=2024-06-10T16:22:00%2B02:00",
            &[5001, 5002, 5003],
        ),
        ("date_created:max=2024-06-10T14:21:59Z", &[]),
        ("date_modified=2024-06-13", &[5001]),
        (
            "date_modified:min=2024-06-12&date_modified:max=2024-06-12",
            &[5007, 5008, 5009],
        ),
        (
            "date_modified:max=2024-06-11",
            &[5002, 5003, 5004, 5005, 5006],
        ),
        ("date_modified:min=2024-06-13&attribute_id:in=1", &[5001]),
    ] {
        let answer = get(sandbox.base_url(), query).await;
        assert_eq!(answer.status, 200, "{query}");
        assert_eq!(answer.column("id"), expected, "{query}");
        assert_eq!(answer.pagination("total"), expected.len(), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_filter_is_refused() {
    let sandbox = filled().await;
    for query in [
        "color=blue",
        "id:in=5001",
        "customer_id=1",
        "customer_id:in[]=1",
        "customer_id:in=",
        "customer_id:in=1.0",
        "attribute_id:in=x",
        "date_created=yesterday",
        "date_modified:min=2024-13-01",
        "page=0",
        "page=1.0",
        "limit=0",
        "limit=50.0",
        "limit=251",
    ] {
        let answer = get(sandbox.base_url(), query).await;
        assert_eq!(answer.status, 422, "{query}");
        assert_eq!(answer.errors().as_object().unwrap().len(), 1, "{query}");
    }
    assert_eq!(sandbox.counts().refused, 14);
}

#[tokio::test(start_paused = true)]
async fn pages_are_linked() {
    let sandbox = filled().await;
    let url = format!("{}/customers/attribute-values", sandbox.base_url());
    let filter = "limit=2&customer_id%3Ain=1%2C2";
    for (page, ids, previous, next) in [
        (1, &[5001, 5002][..], None, Some(2)),
        (2, &[5003, 5004], Some(1), Some(3)),
        (3, &[5005, 5006], Some(2), None),
        (4, &[], Some(3), None),
    ] {
        let answer = get(sandbox.base_url(), &format!("{filter}&page={page}")).await;
        assert_eq!(answer.column("id"), ids);
        let link = |page: Option<u64>| match page {
            Some(page) => format!("{url}?page={page}&{filter}"),
            None => String::new(),
        };
        let expected = json!({
            "total": 6, "count": ids.len(), "per_page": 2, "current_page": page,
            "total_pages": 3,
            "links": {"previous": link(previous), "current": link(Some(page)), "next": link(next)},
        });
        assert_eq!(answer.json()["meta"]["pagination"], expected);
    }
    let far = get(sandbox.base_url(), "page=18446744073709551615").await;
    assert_eq!(far.column("id"), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn following_the_links_reads_everything_once() {
    let sandbox = Sandbox::builder()
        .customers_per_call(1000)
        .start()
        .await
        .unwrap();
    let rows = (1..=520).map(|customer| row(customer, 1, "v")).collect();
    put(sandbox.base_url(), rows).await;
    let mut seen = Vec::new();
    let mut query = "limit=250".to_owned();
    loop {
        let answer = get(sandbox.base_url(), &query).await;
        seen.extend(answer.column("customer_id"));
        let next = answer.pagination("links")["next"]
            .as_str()
            .unwrap()
            .to_owned();
        let Some((_, next)) = next.split_once('?') else {
            break;
        };
        query = next.to_owned();
    }
    assert_eq!(seen, (1..=520).collect::<Vec<i64>>());
    assert_eq!(sandbox.counts().gets, 3);
}

#[tokio::test(start_paused = true)]
async fn an_empty_store_has_no_pages() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let answer = get(sandbox.base_url(), "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.pagination("total_pages"), 0);
    assert_eq!(answer.pagination("links")["next"], "");
}
