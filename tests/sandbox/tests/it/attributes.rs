//! Attribute definitions: GET, POST, and the validation of values by type.

use std::time::Duration;

use bigcommerce_sandbox::{AttributeType, BatchRejection, ErrorKeys, Sandbox};
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{ATTRIBUTES, get, get_attributes, post_attributes, put, request, row, send};

fn attribute(name: &str, attribute_type: &str) -> Value {
    json!({"name": name, "type": attribute_type})
}

/// Starts a store with four attributes, two of them defined a day later.
async fn start_filled() -> Sandbox {
    let sandbox = Sandbox::builder()
        .starts_at("2024-06-10T14:22:00Z".parse().unwrap())
        .attribute(7, "Tier")
        .typed_attribute(102, "Points", AttributeType::Number)
        .start()
        .await
        .unwrap();
    tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
    let rows = json!([
        attribute("Last order", "date"),
        attribute("Frontier", "string")
    ]);
    let created = post_attributes(sandbox.base_url(), rows).await;
    assert_eq!(created.status, 200);
    sandbox
}

#[tokio::test(start_paused = true)]
async fn created_attributes_are_returned_and_listed() {
    let sandbox = Sandbox::builder()
        .starts_at("2024-06-10T14:22:00Z".parse().unwrap())
        .attribute(102, "Tier")
        .start()
        .await
        .unwrap();
    let base_url = sandbox.base_url();
    let time = "2024-06-10T14:22:00Z";
    let record = |id: i64, name: &str, attribute_type: &str| {
        json!({
            "id": id, "name": name, "type": attribute_type,
            "date_created": time, "date_modified": time,
        })
    };
    let page = |data: Value, per_page: u64| {
        let count = data.as_array().unwrap().len();
        let current = format!("{base_url}{ATTRIBUTES}?page=1");
        json!({"data": data, "meta": {"pagination": {
            "total": count, "count": count, "per_page": per_page, "current_page": 1,
            "total_pages": 1, "links": {"previous": "", "current": current, "next": ""},
        }}})
    };
    let points = record(101, "Points", "number");
    let order = record(103, "Last order", "date");
    let rows = json!([
        attribute("Points", "number"),
        attribute("Last order", "date")
    ]);
    let created = post_attributes(base_url, rows).await;
    assert_eq!(created.status, 200);
    assert_eq!(created.json(), page(json!([points, order]), 10));

    let listed = get_attributes(base_url, "").await;
    assert_eq!(listed.status, 200);
    let tier = record(102, "Tier", "string");
    assert_eq!(listed.json(), page(json!([points, tier, order]), 50));

    let stored = sandbox.attributes();
    let types: Vec<_> = stored
        .iter()
        .map(|attribute| (attribute.id, attribute.attribute_type))
        .collect();
    let expected = [
        (101, AttributeType::Number),
        (102, AttributeType::Text),
        (103, AttributeType::Date),
    ];
    assert_eq!(types, expected);
    let counts = sandbox.counts();
    assert_eq!((counts.attribute_gets, counts.attribute_posts), (1, 1));
    assert_eq!((counts.requests, counts.gets, counts.puts), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn each_filter_selects_its_attributes() {
    let sandbox = start_filled().await;
    for (query, expected) in [
        ("", &[7, 101, 102, 103][..]),
        ("name=Tier", &[7]),
        ("name=tier", &[]),
        ("name:like=TIER", &[7, 103]),
        ("name%3Alike=o", &[101, 102, 103]),
        ("name:like=st+or", &[101]),
        ("type=string", &[7, 103]),
        ("type=number", &[102]),
        ("type=date&name=Tier", &[]),
        ("date_created=2024-06-10", &[7, 102]),
        ("date_created:min=2024-06-11", &[101, 103]),
        ("date_modified:max=2024-06-10T14:22:00Z", &[7, 102]),
        ("date_modified=2024-06-12", &[]),
        ("limit=3", &[7, 101, 102]),
        ("limit=3&page=2", &[103]),
        ("page=18446744073709551615", &[]),
    ] {
        let response = get_attributes(sandbox.base_url(), query).await;
        assert_eq!(response.status, 200, "{query}");
        assert_eq!(response.column("id"), expected, "{query}");
    }
    let first = get_attributes(sandbox.base_url(), "limit=1&type=string").await;
    assert_eq!(first.pagination("total"), 2);
    let next = format!(
        "{}{ATTRIBUTES}?page=2&limit=1&type=string",
        sandbox.base_url()
    );
    assert_eq!(first.pagination("links")["next"], next);
}

#[tokio::test(start_paused = true)]
async fn unknown_and_malformed_filters_are_rejected() {
    let sandbox = start_filled().await;
    for query in [
        "color=blue",
        "id:in=101",
        "customer_id:in=1",
        "type=text",
        "type=",
        "date_created=yesterday",
        "page=0",
        "limit=0",
        "limit=251",
    ] {
        let response = get_attributes(sandbox.base_url(), query).await;
        assert_eq!(response.status, 422, "{query}");
        assert_eq!(response.error_keys().len(), 1, "{query}");
    }
    assert_eq!(sandbox.counts().rejected, 9);
}

#[tokio::test(start_paused = true)]
async fn invalid_definitions_are_named_and_valid_ones_stored_as_configured() {
    let rows = json!([
        attribute("New", "string"),
        attribute("", "string"),
        attribute(" ", "string"),
        attribute("Tier", "number"),
        attribute("New", "string"),
        attribute("Other", "text"),
        {"type": "string"},
        {"name": "Other"},
        {"name": 7, "type": "string"},
        {"name": "Other", "type": null},
        7,
    ]);
    let indexed = [
        "1.name", "10.name", "2.name", "3.name", "4.name", "5.type", "6.name", "7.type", "8.name",
        "9.type",
    ];
    struct Case<'a> {
        error_keys: ErrorKeys,
        rejection: BatchRejection,
        expected_keys: &'a [&'a str],
        /// The attribute that was there before, and the valid one if it is stored.
        attributes: usize,
    }
    for case in [
        Case {
            error_keys: ErrorKeys::Indexed,
            rejection: BatchRejection::Atomic,
            expected_keys: &indexed,
            attributes: 1,
        },
        Case {
            error_keys: ErrorKeys::Field,
            rejection: BatchRejection::Atomic,
            expected_keys: &["name", "type"],
            attributes: 1,
        },
        Case {
            error_keys: ErrorKeys::Empty,
            rejection: BatchRejection::Partial,
            expected_keys: &[],
            attributes: 2,
        },
    ] {
        let sandbox = Sandbox::builder()
            .attribute(101, "Tier")
            .error_keys(case.error_keys)
            .batch_rejection(case.rejection)
            .start()
            .await
            .unwrap();
        let rejected = post_attributes(sandbox.base_url(), rows.clone()).await;
        assert_eq!(rejected.status, 422);
        assert_eq!(rejected.error_keys(), case.expected_keys);
        assert_eq!(sandbox.attributes().len(), case.attributes);
        assert_eq!(sandbox.counts().rejected, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_has_at_most_fifty_attributes() {
    let sandbox = Sandbox::builder()
        .attribute(1, "Tier")
        .start()
        .await
        .unwrap();
    let base_url = sandbox.base_url();
    let rows = |range: std::ops::Range<i32>| -> Value {
        range.map(|n| attribute(&n.to_string(), "string")).collect()
    };
    let rejected = post_attributes(base_url, rows(0..51)).await;
    assert_eq!(rejected.status, 422);
    assert_eq!(rejected.error_keys(), ["49.name", "50.name"]);
    assert_eq!(sandbox.attributes().len(), 1);
    assert_eq!(post_attributes(base_url, rows(0..49)).await.status, 200);
    let rejected = post_attributes(base_url, rows(50..51)).await;
    assert_eq!(
        (rejected.status, rejected.error_keys()),
        (422, vec!["0.name".to_owned()])
    );
    let listed = get_attributes(base_url, "").await;
    assert_eq!(listed.column("id").len(), 50);
}

#[tokio::test(start_paused = true)]
async fn unsupported_methods_and_invalid_bodies_are_rejected() {
    let sandbox = start_filled().await;
    let url = format!("{}{ATTRIBUTES}", sandbox.base_url());
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let rejected = send(request(method, &url, "[]")).await;
        assert_eq!(rejected.status, 405);
        assert_eq!(rejected.headers["allow"], "GET, POST");
    }
    for (body, status) in [("[{", 400), ("{}", 422), ("[]", 422)] {
        assert_eq!(send(request(Method::POST, &url, body)).await.status, status);
    }
    let mut untyped = request(Method::POST, &url, "[]");
    untyped.headers_mut().remove("Content-Type");
    assert_eq!(send(untyped).await.status, 415);
    let mut no_token = request(Method::GET, &url, "");
    no_token.headers_mut().remove("X-Auth-Token");
    assert_eq!(send(no_token).await.status, 401);
    let counts = sandbox.counts();
    assert_eq!((counts.attribute_gets, counts.attribute_posts), (1, 5));
    assert_eq!((counts.puts, counts.gets, counts.deletes), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn attributes_and_values_share_the_limits() {
    let sandbox = Sandbox::builder()
        .latency(Duration::from_millis(20))
        .quota(3, Duration::from_secs(30))
        .in_flight(1)
        .start()
        .await
        .unwrap();
    let base_url = sandbox.base_url();
    let listing = tokio::spawn({
        let base_url = base_url.to_owned();
        async move { get(&base_url, "").await }
    });
    while sandbox.counts().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    let rows = json!([attribute("Tier", "string")]);
    assert_eq!(post_attributes(base_url, rows.clone()).await.status, 429);
    assert_eq!(listing.await.unwrap().status, 200);

    let before = tokio::time::Instant::now();
    let created = post_attributes(base_url, rows).await;
    assert_eq!(before.elapsed(), Duration::from_millis(20));
    assert_eq!(
        (created.status, created.rate_limit("Requests-Left")),
        (200, Some(1))
    );
    let listed = get_attributes(base_url, "").await;
    assert_eq!(
        (listed.status, listed.rate_limit("Requests-Left")),
        (200, Some(0))
    );
    assert_eq!(get_attributes(base_url, "").await.status, 429);
    let counts = sandbox.counts();
    assert_eq!((counts.in_flight_429s, counts.quota_429s), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn values_must_match_their_attributes_type() {
    let sandbox = start_filled().await;
    let base_url = sandbox.base_url();
    // 7 is a text, 101 a date, 102 a number; 9 is undefined.
    let invalid = json!([
        row(1, 7, "any"),
        row(1, 101, "7"),
        row(1, 102, "any"),
        row(1, 9, "any"),
    ]);
    let rejected = put(base_url, invalid).await;
    assert_eq!(
        (rejected.status, rejected.error_keys()),
        (422, vec!["1.value".to_owned(), "2.value".to_owned()])
    );
    assert_eq!(sandbox.counts().values, 0);
    let valid = json!([
        row(1, 7, "any"),
        row(1, 101, "2024-06-10"),
        row(1, 102, "1.50"),
        row(1, 9, "any"),
        row(2, 101, ""),
        row(2, 102, ""),
    ]);
    assert_eq!(put(base_url, valid).await.status, 200);
    // `insert` skips all checks.
    sandbox.insert(3, 102, "any");
    assert_eq!(sandbox.counts().values, 7);
}

#[tokio::test(start_paused = true)]
async fn values_are_found_by_the_name_of_a_created_attribute() {
    let sandbox = start_filled().await;
    let base_url = sandbox.base_url();
    for id in [7, 101, 102, 103] {
        sandbox.insert(1, id, "");
    }
    let found = get(base_url, "name=Last+order").await;
    assert_eq!(found.column("attribute_id"), [101]);
}

#[tokio::test(start_paused = true)]
async fn creating_an_attribute_does_not_make_it_known() {
    let builder = Sandbox::builder().known_attributes([7]);
    let sandbox = builder.start().await.unwrap();
    let base_url = sandbox.base_url();
    let rows = json!([attribute("Tier", "string")]);
    assert_eq!(post_attributes(base_url, rows).await.column("id"), [101]);
    assert_eq!(put(base_url, json!([row(1, 101, "v")])).await.status, 422);
    assert_eq!(put(base_url, json!([row(1, 7, "v")])).await.status, 200);
}
