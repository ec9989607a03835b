//! Attribute definitions: GET, POST, PUT, DELETE, and the validation of values by type.

use std::time::Duration;

use bigcommerce_sandbox::{AttributeType, BatchRejection, ErrorKeys, Sandbox, UnknownId};
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{
    ATTRIBUTES, TestResponse, get, get_attributes, post_attributes, put, request, row, send,
};

fn attribute(name: &str, attribute_type: &str) -> Value {
    json!({"name": name, "type": attribute_type})
}

async fn put_attributes(base_url: &str, rows: Value) -> TestResponse {
    let url = format!("{base_url}{ATTRIBUTES}");
    send(request(Method::PUT, &url, rows.to_string())).await
}

async fn delete_attributes(base_url: &str, query: &str) -> TestResponse {
    let url = format!("{base_url}{ATTRIBUTES}?{query}");
    send(request(Method::DELETE, &url, "")).await
}

/// Returns the IDs and names of the store's attributes.
fn names(sandbox: &Sandbox) -> Vec<(i64, String)> {
    let attributes = sandbox.attributes().into_iter();
    attributes.map(|it| (it.id, it.name)).collect()
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
        // 2024-06-11T14:22:00Z, and a second before.
        ("date_created:min=1718115720", &[101, 103]),
        ("date_created:max=1718115719", &[7, 102]),
        ("date_modified:min=1718115721", &[]),
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
        "date_created=1718115720",
        "date_created:min=-1",
        "page=0",
        "limit=0",
        "limit=251",
    ] {
        let response = get_attributes(sandbox.base_url(), query).await;
        assert_eq!(response.status, 422, "{query}");
        assert_eq!(response.error_keys().len(), 1, "{query}");
    }
    assert_eq!(sandbox.counts().rejected, 11);
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
    let rejected = send(request(Method::PATCH, &url, "[]")).await;
    assert_eq!(rejected.status, 405);
    assert_eq!(rejected.headers["allow"], "GET, POST, PUT, DELETE");
    for method in [Method::POST, Method::PUT] {
        for (body, status) in [("[{", 400), ("{}", 422), ("[]", 422)] {
            let rejected = send(request(method.clone(), &url, body)).await;
            assert_eq!(rejected.status, status);
        }
        let mut untyped = request(method, &url, "[]");
        untyped.headers_mut().remove("Content-Type");
        assert_eq!(send(untyped).await.status, 415);
    }
    let mut no_token = request(Method::GET, &url, "");
    no_token.headers_mut().remove("X-Auth-Token");
    assert_eq!(send(no_token).await.status, 401);
    let counts = sandbox.counts();
    assert_eq!((counts.attribute_gets, counts.attribute_posts), (1, 5));
    assert_eq!((counts.attribute_puts, counts.attribute_deletes), (4, 0));
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

#[tokio::test(start_paused = true)]
async fn a_renamed_attribute_keeps_its_id_type_and_values() {
    let sandbox = start_filled().await;
    let base_url = sandbox.base_url();
    sandbox.insert(1, 102, "7");
    let rows = json!([{"id": 102, "name": "Score"}, {"id": 7, "name": "Tier", "type": "string"}]);
    let renamed = put_attributes(base_url, rows).await;
    assert_eq!(renamed.status, 200);
    let (created, modified) = ("2024-06-10T14:22:00Z", "2024-06-11T14:22:00Z");
    let record = |id: i64, name: &str, kind: &str| {
        json!({
            "id": id, "name": name, "type": kind,
            "date_created": created, "date_modified": modified,
        })
    };
    let expected = json!([record(102, "Score", "number"), record(7, "Tier", "string")]);
    assert_eq!(renamed.json()["data"], expected);
    assert_eq!(renamed.pagination("total"), 2);
    assert_eq!(sandbox.value(1, 102).expect("a value").value, "7");
    assert_eq!(get(base_url, "name=Score").await.column("customer_id"), [1]);
    assert_eq!(sandbox.counts().attribute_puts, 1);
}

#[tokio::test(start_paused = true)]
async fn names_have_1_to_255_characters() {
    let sandbox = start_filled().await;
    let base_url = sandbox.base_url();
    for (length, status) in [(0, 422), (255, 200), (256, 422)] {
        // Four bytes each.
        let name = "\u{1d11e}".repeat(length);
        let renamed = put_attributes(base_url, json!([{"id": 7, "name": name}])).await;
        assert_eq!(renamed.status, status, "{length}");
        let name = "\u{1d122}".repeat(length);
        let created = post_attributes(base_url, json!([attribute(&name, "string")])).await;
        assert_eq!(created.status, status, "{length}");
        if status == 422 {
            assert_eq!(renamed.error_keys(), ["0.name"]);
            assert_eq!(created.error_keys(), ["0.name"]);
        }
    }
    assert_eq!(sandbox.counts().rejected, 4);
}

#[tokio::test(start_paused = true)]
async fn invalid_new_names_are_named_and_valid_ones_stored_as_configured() {
    let rows = json!([
        {"id": 7, "name": "Level"},
        {"id": 102, "name": "Tier"},
        {"id": 102, "name": "Level"},
        {"id": 9, "name": "Other"},
        {"id": 102, "name": " "},
        {"id": 102, "name": 7},
        {"id": 102, "name": null},
        {"id": 102},
        {"id": "102", "name": "Other"},
        {"id": null, "name": "Other"},
        {"name": "Other"},
        {"id": 102, "name": "Other", "type": "date"},
        {"id": 102, "name": "Other", "type": null},
        {"id": 7, "name": "Other"},
        7,
    ]);
    let keys = [
        "1.name", "10.id", "11.type", "12.type", "13.id", "14.id", "2.name", "3.id", "4.name",
        "5.name", "6.name", "7.name", "8.id", "9.id",
    ];
    for (rejection, level) in [
        (BatchRejection::Atomic, "Tier"),
        (BatchRejection::Partial, "Level"),
    ] {
        let sandbox = Sandbox::builder()
            .attribute(7, "Tier")
            .typed_attribute(102, "Points", AttributeType::Number)
            .batch_rejection(rejection)
            .start()
            .await
            .unwrap();
        let rejected = put_attributes(sandbox.base_url(), rows.clone()).await;
        assert_eq!(rejected.status, 422);
        assert_eq!(rejected.error_keys(), keys);
        let expected = [(7, level.to_owned()), (102, "Points".to_owned())];
        assert_eq!(names(&sandbox), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_attribute_takes_the_values_of_all_customers_with_it() {
    let sandbox = start_filled().await;
    let base_url = sandbox.base_url();
    for customer in 1..=3 {
        for attribute in [7, 102, 103] {
            sandbox.insert(customer, attribute, "7");
        }
    }
    for query in ["", "id:in=", "id:in=x", "name=Tier", "id:in=7&color=blue"] {
        let rejected = delete_attributes(base_url, query).await;
        assert_eq!(rejected.status, 422, "{query}");
    }
    assert_eq!(sandbox.counts().values, 9);

    let deleted = delete_attributes(base_url, "id:in=7,103,9").await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    let left: Vec<_> = sandbox
        .values()
        .iter()
        .map(|it| (it.customer_id, it.attribute_id))
        .collect();
    assert_eq!(left, [(1, 102), (2, 102), (3, 102)]);
    assert_eq!(get(base_url, "").await.column("attribute_id"), [102; 3]);
    let ids = get_attributes(base_url, "").await.column("id");
    assert_eq!(ids, [101, 102]);

    // The IDs are not assigned again, and no row can name them.
    let rejected = put(base_url, json!([row(1, 7, "v"), row(1, 8, "v")])).await;
    assert_eq!(rejected.error_keys(), ["0.attribute_id"]);
    let created = post_attributes(base_url, json!([attribute("Tier", "string")])).await;
    assert_eq!(created.column("id"), [104]);
    assert_eq!(sandbox.counts().attribute_deletes, 6);
}

#[tokio::test(start_paused = true)]
async fn deletes_of_attributes_have_the_settings_of_deletes() {
    for (unknown_id, status, left) in [
        (UnknownId::Ignored, 204, 0),
        (UnknownId::NotFound, 404, 1),
        (UnknownId::Unprocessable, 422, 1),
    ] {
        let sandbox = Sandbox::builder()
            .attribute(7, "Tier")
            .unknown_id(unknown_id)
            .delete_limit(2)
            .start()
            .await
            .unwrap();
        let base_url = sandbox.base_url();
        assert_eq!(delete_attributes(base_url, "id:in=7,8,9").await.status, 422);
        assert_eq!(
            delete_attributes(base_url, "id:in=7,9").await.status,
            status
        );
        assert_eq!(sandbox.attributes().len(), left);
    }
    let read_only = Sandbox::builder().attribute(7, "Tier").read_only();
    let sandbox = read_only.start().await.unwrap();
    let base_url = sandbox.base_url();
    assert_eq!(delete_attributes(base_url, "id:in=7").await.status, 403);
    let renamed = put_attributes(base_url, json!([{"id": 7, "name": "Level"}])).await;
    assert_eq!(renamed.status, 403);
    assert_eq!(names(&sandbox), [(7, "Tier".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn undefined_attributes_can_be_rejected() {
    let sandbox = Sandbox::builder()
        .attribute(7, "Tier")
        .reject_undefined_attributes(true)
        .start()
        .await
        .unwrap();
    let base_url = sandbox.base_url();
    let rows = json!([row(1, 7, "v"), row(1, 101, "v")]);
    let rejected = put(base_url, rows.clone()).await;
    assert_eq!(rejected.error_keys(), ["1.attribute_id"]);
    // An attribute that is created meanwhile is known.
    let new = json!([attribute("Points", "string")]);
    assert_eq!(post_attributes(base_url, new).await.column("id"), [101]);
    assert_eq!(put(base_url, rows).await.status, 200);
}
