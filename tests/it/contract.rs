//! Requests and responses of each operation, as they go over the wire.

use bigcommerce_ext::sdk::{IdList, TextList, types};
use bigcommerce_ext::{OutcomeKind, Store};
use bigcommerce_sdk::httpmock::MockServerExt;
use httpmock::prelude::*;
use serde_json::{Value, json};

use crate::support::TOKEN;

const PATH: &str = "/stores/abc123/v3/customers/attribute-values";
const ATTRIBUTES: &str = "/stores/abc123/v3/customers/attributes";
const CUSTOMERS: &str = "/stores/abc123/v3/customers";

fn store(server: &MockServer) -> Store {
    Store::builder_with_base_url(server.url("/stores/abc123/v3"), TOKEN)
        .user_agent("contract-test/1.0")
        .build()
        .expect("a store")
}

fn example_body() -> Value {
    json!([
        {"attribute_id": 101, "value": "Yes", "customer_id": 2048},
        {"attribute_id": 102, "value": "Blue", "customer_id": 2048},
        {"attribute_id": 103, "value": "Premium Member", "customer_id": 2048}
    ])
}

fn example_response() -> Value {
    let record = |id: i64, attribute: i64, value: &str| {
        json!({
            "attribute_id": attribute,
            "attribute_value": value,
            "customer_id": 2048,
            "id": id,
            "date_modified": "2024-06-10T14:22:00Z",
            "date_created": "2024-06-10T14:22:00Z"
        })
    };
    json!({
        "data": [
            record(5001, 101, "Yes"),
            record(5002, 102, "Blue"),
            record(5003, 103, "Premium Member")
        ],
        "meta": {"pagination": {
            "total": 3, "count": 3, "per_page": 10, "current_page": 1, "total_pages": 1,
            "links": {
                "previous": "",
                "current":
                    "https://api.bigcommerce.com/stores/store_hash/v3/customers/attribute-values?page=1",
                "next": ""
            }
        }}
    })
}

#[tokio::test]
async fn an_upsert() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(PUT)
                .path(PATH)
                .header("X-Auth-Token", TOKEN)
                .header("Accept", "application/json")
                .header("Content-Type", "application/json")
                .header("User-Agent", "contract-test/1.0")
                .header_missing("api-version")
                .query_param_missing("page")
                .json_body(example_body());
            then.status(200).json_body(example_response());
        })
        .await;
    let report = store(&server)
        .upsert()
        .customer(2048, [(101, "Yes"), (102, "Blue"), (103, "Premium Member")])
        .send()
        .await
        .expect("a report");
    mock.assert_async().await;

    let records: Vec<_> = report
        .outcomes()
        .iter()
        .filter_map(|outcome| match &outcome.kind {
            OutcomeKind::Stored(Some(record)) => Some(record),
            _ => None,
        })
        .collect();
    let expected: types::AttributeValuePage =
        serde_json::from_value(example_response()).expect("a page");
    assert_eq!(records, expected.data.iter().collect::<Vec<_>>());
    let first = records.first().expect("a record");
    assert_eq!(first.id, Some(5001));
    let created = first.date_created.expect("a time");
    assert_eq!(created.to_rfc3339(), "2024-06-10T14:22:00+00:00");
    let links = expected.meta.and_then(|meta| meta.pagination?.links);
    assert_eq!(links.and_then(|links| links.next).as_deref(), Some(""));
}

#[tokio::test]
async fn a_delete_with_two_ids() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(DELETE)
                .path(PATH)
                .header("X-Auth-Token", TOKEN)
                .header_missing("api-version")
                .query_param("id:in", "5001,5002");
            then.status(204);
        })
        .await;
    let store = store(&server);
    let client = store.sdk();
    let deleted = client
        .delete_attribute_values()
        .id_in([5001, 5002])
        .send()
        .await
        .expect("a response");
    assert_eq!(deleted.status().as_u16(), 204);
    mock.assert_async().await;
}

#[tokio::test]
async fn a_list_with_all_filters() {
    let server = MockServer::start_async().await;
    let filters = [
        ("page", "2"),
        ("limit", "250"),
        ("customer_id:in", "2048,2049"),
        ("attribute_id:in", "101,102"),
        ("name", "Loyalty tier & more"),
        ("date_created", "2024-06-10"),
        ("date_created:min", "2024-06-10T14:22:00+02:00"),
        ("date_created:max", "2024-06-11T00:00:00Z"),
        ("date_modified", "2024-06-12"),
        ("date_modified:min", "2024-06-12T00:00:00Z"),
        ("date_modified:max", "2024-06-13T00:00:00Z"),
    ];
    let mock = server
        .mock_async(|when, then| {
            let when = when
                .method(GET)
                .path(PATH)
                .header("X-Auth-Token", TOKEN)
                .header("Accept", "application/json")
                .header_missing("api-version");
            filters
                .iter()
                .fold(when, |when, (name, value)| when.query_param(*name, *value));
            then.status(200).json_body(example_response());
        })
        .await;
    let store = store(&server);
    let client = store.sdk();
    let page = client
        .list_attribute_values()
        .page(2)
        .limit(250)
        .customer_id_in([2048, 2049])
        .attribute_id_in(IdList::from([101, 102]))
        .name("Loyalty tier & more")
        .date_created("2024-06-10")
        .date_created_min("2024-06-10T14:22:00+02:00")
        .date_created_max("2024-06-11T00:00:00Z")
        .date_modified("2024-06-12")
        .date_modified_min("2024-06-12T00:00:00Z")
        .date_modified_max("2024-06-13T00:00:00Z")
        .send()
        .await
        .expect("a page");
    assert_eq!(page.data.len(), 3);
    mock.assert_async().await;
}

fn attributes_response() -> Value {
    let record = |id: i64, name: &str, kind: &str| {
        json!({
            "id": id,
            "name": name,
            "type": kind,
            "date_modified": "2024-06-10T14:22:00Z",
            "date_created": "2024-06-10T14:22:00Z"
        })
    };
    json!({
        "data": [record(101, "Loyalty tier", "string"), record(104, "Last visit", "date")],
        "meta": {"pagination": {
            "total": 2, "count": 2, "per_page": 50, "current_page": 1, "total_pages": 1,
            "links": {"previous": "", "current": "?page=1&limit=50", "next": ""}
        }}
    })
}

fn attribute(name: &str, kind: types::AttributeType) -> types::AttributeCreate {
    let attribute = types::AttributeCreate::builder().name(name).type_(kind);
    attribute.try_into().expect("a name and a type")
}

#[tokio::test]
async fn a_list_of_attributes_with_all_filters() {
    let server = MockServer::start_async().await;
    let filters = [
        ("page", "2"),
        ("limit", "50"),
        ("name", "Loyalty tier & more"),
        ("name:like", "tier"),
        ("type", "string"),
        ("date_created", "2024-06-10"),
        ("date_created:min", "2024-06-10T14:22:00+02:00"),
        ("date_created:max", "2024-06-11T00:00:00Z"),
        ("date_modified", "2024-06-12"),
        ("date_modified:min", "2024-06-12T00:00:00Z"),
        ("date_modified:max", "2024-06-13T00:00:00Z"),
    ];
    let mock = server
        .mock_async(|when, then| {
            let when = when
                .method(GET)
                .path(ATTRIBUTES)
                .header("X-Auth-Token", TOKEN)
                .header("Accept", "application/json")
                .header_missing("api-version");
            filters
                .iter()
                .fold(when, |when, (name, value)| when.query_param(*name, *value));
            then.status(200).json_body(attributes_response());
        })
        .await;
    let store = store(&server);
    let page = store
        .sdk()
        .list_attributes()
        .page(2)
        .limit(50)
        .name("Loyalty tier & more")
        .name_like("tier")
        .type_(types::AttributeType::String.to_string())
        .date_created("2024-06-10")
        .date_created_min("2024-06-10T14:22:00+02:00")
        .date_created_max("2024-06-11T00:00:00Z")
        .date_modified("2024-06-12")
        .date_modified_min("2024-06-12T00:00:00Z")
        .date_modified_max("2024-06-13T00:00:00Z")
        .send()
        .await
        .expect("a page");
    mock.assert_async().await;
    let [tier, visit] = &page.data[..] else {
        panic!("not two attributes: {page:?}");
    };
    assert_eq!((tier.id, tier.name.as_str()), (101, "Loyalty tier"));
    assert_eq!(visit.type_.parse().ok(), Some(types::AttributeType::Date));
    let total = page
        .meta
        .as_ref()
        .and_then(|m| m.pagination.as_ref()?.total);
    assert_eq!(total, Some(2));
}

#[tokio::test]
async fn a_creation_of_attributes() {
    // Servers differ in the status for a created resource.
    for status in [200, 201] {
        let server = MockServer::start_async().await;
        let mock = server
            .mock_async(|when, then| {
                when.method(POST)
                    .path(ATTRIBUTES)
                    .header("X-Auth-Token", TOKEN)
                    .header("Accept", "application/json")
                    .header("Content-Type", "application/json")
                    .header("User-Agent", "contract-test/1.0")
                    .header_missing("api-version")
                    .query_param_missing("page")
                    .json_body(json!([
                        {"name": "Loyalty tier", "type": "string"},
                        {"name": "Last visit", "type": "date"}
                    ]));
                then.status(status).json_body(attributes_response());
            })
            .await;
        let store = store(&server);
        let rows = vec![
            attribute("Loyalty tier", types::AttributeType::String),
            attribute("Last visit", types::AttributeType::Date),
        ];
        let created = store.sdk().create_attributes().body(rows).send().await;
        let created = created.expect("a response");
        mock.assert_async().await;
        assert_eq!(created.status().as_u16(), status);
        let ids: Vec<_> = created.data.iter().map(|attribute| attribute.id).collect();
        assert_eq!(ids, [101, 104]);
    }
}

#[tokio::test]
async fn a_rename_of_an_attribute() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(PUT)
                .path(ATTRIBUTES)
                .header("X-Auth-Token", TOKEN)
                .header("Accept", "application/json")
                .header("Content-Type", "application/json")
                .header("User-Agent", "contract-test/1.0")
                .header_missing("api-version")
                .query_param_missing("page")
                .json_body(json!([{"id": 101, "name": "Loyalty tier"}]));
            then.status(200).json_body(attributes_response());
        })
        .await;
    let store = store(&server);
    let row = types::AttributeUpdate::builder()
        .id(101)
        .name("Loyalty tier");
    let rows = vec![row.try_into().expect("an ID and a name")];
    let renamed = store.sdk().update_attributes().body(rows).send().await;
    let renamed = renamed.expect("a page");
    mock.assert_async().await;
    let first = renamed.data.first().expect("an attribute");
    assert_eq!((first.id, first.name.as_str()), (101, "Loyalty tier"));
}

#[tokio::test]
async fn a_delete_of_two_attributes() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(DELETE)
                .path(ATTRIBUTES)
                .header("X-Auth-Token", TOKEN)
                .header_missing("api-version")
                .query_param("id:in", "101,104");
            then.status(204);
        })
        .await;
    let store = store(&server);
    let client = store.sdk();
    let deleted = client.delete_attributes().id_in([101, 104]).send().await;
    assert_eq!(deleted.expect("a response").status().as_u16(), 204);
    mock.assert_async().await;
    // The server's answer to an empty list is not documented: it might delete everything.
    let empty = client.delete_attributes().id_in(IdList::default()).send();
    let error = empty.await.expect_err("is rejected");
    assert!(error.to_string().contains("id:in is empty"), "{error}");
    assert_eq!(mock.calls_async().await, 1);
}

#[test]
fn a_row_without_an_id_of_its_value_has_no_such_field() {
    let row = types::AttributeValueUpsert::builder()
        .customer_id(1)
        .attribute_id(2)
        .value("v");
    let row: types::AttributeValueUpsert = row.try_into().expect("a row");
    let json = serde_json::to_value(row).expect("JSON");
    // The field is an integer, so null would be invalid.
    let expected = json!({"attribute_id": 2, "value": "v", "customer_id": 1});
    assert_eq!(json, expected);
}

#[tokio::test]
async fn the_error_of_a_rejected_attribute_has_the_server_s_field_errors() {
    let server = MockServer::start_async().await;
    server
        .mock_async(|when, then| {
            when.method(POST).path(ATTRIBUTES);
            then.status(422)
                .json_body(json!({"status": 422, "title": "No.", "errors": {"0.name": "Taken."}}));
        })
        .await;
    let store = store(&server);
    let rows = vec![attribute("Loyalty tier", types::AttributeType::Number)];
    let result = store.sdk().create_attributes().body(rows).send().await;
    let Err(bigcommerce_sdk::Error::ErrorResponse(response)) = result else {
        panic!("not an error response: {result:?}");
    };
    assert_eq!(response.status().as_u16(), 422);
    assert_eq!(response.errors, Some(json!({"0.name": "Taken."})));
}

/// HTTP clients follow a 301, 302 or 303 with a GET, which would create nothing.
#[tokio::test]
async fn a_redirect_that_would_turn_a_post_into_a_get_is_not_followed() {
    for (status, expected_posts) in [(301, 0), (302, 0), (303, 0), (307, 1), (308, 1)] {
        let server = MockServer::start_async().await;
        server
            .mock_async(|when, then| {
                when.path(ATTRIBUTES);
                then.status(status).header("Location", "/elsewhere");
            })
            .await;
        let post = server
            .mock_async(|when, then| {
                when.method(POST).path("/elsewhere").json_body(json!([
                    {"name": "Score", "type": "number"}
                ]));
                then.status(200).json_body(attributes_response());
            })
            .await;
        let get = server
            .mock_async(|when, then| {
                when.method(GET).path("/elsewhere");
                then.status(200).json_body(attributes_response());
            })
            .await;
        let store = store(&server);
        let rows = vec![attribute("Score", types::AttributeType::Number)];
        let response = store.sdk().create_attributes().body(rows).send().await;
        assert_eq!(response.is_ok(), expected_posts == 1, "{status}");
        post.assert_calls_async(expected_posts).await;
        get.assert_calls_async(0).await;
    }
}

#[tokio::test]
async fn attributes_with_unknown_missing_or_null_fields_are_parsed() {
    let server = MockServer::start_async().await;
    server
        .mock_async(|when, then| {
            when.method(GET).path(ATTRIBUTES);
            then.status(200).json_body(json!({
                "data": [{
                    "id": 7, "name": "x".repeat(4000), "type": "colour",
                    "date_created": null, "new": {"field": [1]}
                }],
                "meta": {"pagination": null, "cursor": {}}
            }));
        })
        .await;
    let store = store(&server);
    let page = store.sdk().list_attributes().send().await;
    let page = page.expect("a page").into_inner();
    let [attribute] = &page.data[..] else {
        panic!("not one attribute: {page:?}");
    };
    assert_eq!(attribute.type_, "colour");
    assert_eq!(attribute.date_created, None);
    assert_eq!(attribute.name.len(), 4000);
}

#[tokio::test]
async fn values_with_unknown_missing_or_null_fields_are_parsed() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(GET).path(PATH);
            then.status(200).json_body(json!({
                "data": [{
                    "attribute_id": 1, "attribute_value": "x".repeat(4000), "customer_id": 2,
                    "id": null, "new": {"field": [1]}
                }],
                "meta": {"pagination": null, "cursor": {}}
            }));
        })
        .await;
    let store = store(&server);
    let page = store.sdk().list_attribute_values().send().await;
    let page = page.expect("a page").into_inner();
    mock.assert_async().await;
    let [record] = &page.data[..] else {
        panic!("not one record: {page:?}");
    };
    assert_eq!(record.id, None);
    assert_eq!(record.attribute_value.len(), 4000);
}

fn customers_response() -> Value {
    json!({
        "data": [
            {
                "id": 2048,
                "email": "jane@example.com",
                "first_name": "Jane",
                "customer_group_id": 2,
                "date_modified": "2024-06-10T14:22:00Z",
                "attribute_count": 3,
                "accepts_product_review_abandoned_cart_emails": true,
                "channel_ids": [1, 2]
            },
            {"id": 2049, "email": "joe@example.com", "channel_ids": null}
        ],
        "meta": {
            "pagination": {"total": 2, "count": 2, "per_page": 250, "current_page": 2, "total_pages": 2},
            "cursor_pagination": {"start_cursor": "c3RhcnQ", "end_cursor": "ZW5k"}
        }
    })
}

#[tokio::test]
async fn a_list_of_customers_with_all_filters() {
    let server = MockServer::start_async().await;
    let filters = [
        ("page", "2"),
        ("limit", "250"),
        ("after", "YWZ0ZXI="),
        ("before", "YmVmb3Jl"),
        ("id:in", "2048,2049"),
        ("email:in", "jane@example.com,joe@example.com"),
        ("customer_group_id:in", "2,3"),
        ("date_created", "2024-06-10"),
        ("date_created:min", "2024-06-10T14:22:00+02:00"),
        ("date_created:max", "2024-06-11T00:00:00Z"),
        ("date_modified", "2024-06-12"),
        ("date_modified:min", "2024-06-12T00:00:00Z"),
        ("date_modified:max", "2024-06-13T00:00:00Z"),
        ("sort", "date_modified:desc"),
    ];
    let mock = server
        .mock_async(|when, then| {
            let when = when
                .method(GET)
                .path(CUSTOMERS)
                .header("X-Auth-Token", TOKEN)
                .header("Accept", "application/json")
                .header_missing("api-version")
                .query_param_missing("include");
            filters
                .iter()
                .fold(when, |when, (name, value)| when.query_param(*name, *value));
            then.status(200).json_body(customers_response());
        })
        .await;
    let store = store(&server);
    let page = store
        .sdk()
        .list_customers()
        .page(2)
        .limit(250)
        .after("YWZ0ZXI=")
        .before("YmVmb3Jl")
        .id_in([2048, 2049])
        .email_in(["jane@example.com", "joe@example.com"])
        .customer_group_id_in(IdList::from([2, 3]))
        .date_created("2024-06-10")
        .date_created_min("2024-06-10T14:22:00+02:00")
        .date_created_max("2024-06-11T00:00:00Z")
        .date_modified("2024-06-12")
        .date_modified_min("2024-06-12T00:00:00Z")
        .date_modified_max("2024-06-13T00:00:00Z")
        .sort("date_modified:desc")
        .send()
        .await
        .expect("a page")
        .into_inner();
    mock.assert_async().await;
    let [jane, joe] = &page.data[..] else {
        panic!("not two customers: {page:?}");
    };
    let built = types::Customer::builder()
        .id(2049)
        .email("joe@example.com")
        .try_into();
    assert_eq!(Ok(joe), built.as_ref().map_err(|_| ()));
    assert_eq!(
        (jane.id, jane.channel_ids.as_deref()),
        (2048, Some(&[1, 2][..]))
    );
    let meta = page.meta.expect("metadata");
    let cursors = meta.cursor_pagination.expect("cursors");
    assert_eq!(cursors.end_cursor.as_deref(), Some("ZW5k"));
    assert_eq!(
        meta.pagination.and_then(|pagination| pagination.total),
        Some(2)
    );
}

#[tokio::test]
async fn texts_are_encoded_one_by_one_and_joined_by_commas() {
    let texts = [
        "a+b@x.com",
        "a&b@x.com",
        "50%@x.com",
        "m\u{fc}ller@x.com",
        "o'hara@x.com",
        "a,b@x.com",
        "a b%1F=#?@x.com",
    ];
    let encoded = "a%2Bb%40x.com,a%26b%40x.com,50%25%40x.com,m%C3%BCller%40x.com,o%27hara%40x.com,\
                   a%2Cb%40x.com,a%20b%251F%3D%23%3F%40x.com";
    for (texts, encoded) in [
        (&texts[..], encoded),
        (&texts[6..], "a%20b%251F%3D%23%3F%40x.com"),
    ] {
        let server = MockServer::start_async().await;
        let query = format!("email%3Ain={encoded}&sort=a%1Fb+c");
        let mock = server
            .mock_async(|when, then| {
                when.method(GET)
                    .path(CUSTOMERS)
                    .query_param("email:in", texts.join(","))
                    .is_true(move |request| request.uri().query() == Some(&query));
                then.status(200).json_body(customers_response());
            })
            .await;
        let store = store(&server);
        let emails: TextList = texts.iter().copied().collect();
        let list = store.sdk().list_customers().email_in(emails);
        list.sort("a\u{1f}b c").send().await.expect("a page");
        mock.assert_async().await;
    }
}

#[tokio::test]
async fn lists_that_cannot_be_sent_are_rejected() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.path(CUSTOMERS);
            then.status(200).json_body(customers_response());
        })
        .await;
    let store = store(&server);
    let customers = || store.sdk().list_customers();
    let invalid = "has an element that is empty or contains U+001F";
    for (list, expected) in [
        (
            customers().id_in(IdList::default()),
            "the list of IDs in id:in is empty",
        ),
        (
            customers().email_in(TextList::default()),
            "the list of texts in email:in is empty",
        ),
        (customers().email_in([""]), invalid),
        (customers().email_in(["a@x.com", ""]), invalid),
        (customers().email_in(["a@x.com\u{1f}b@x.com"]), invalid),
    ] {
        let error = list.send().await.expect_err("is rejected");
        let bigcommerce_sdk::Error::InvalidRequest(message) = error else {
            panic!("not an invalid request: {error}");
        };
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(mock.calls_async().await, 0);
}

#[test]
fn the_generated_mocks_match_the_generated_client() {
    // The generated mocks are blocking, so they can't be used within a runtime.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = MockServer::start();
    let values: types::AttributeValuePage =
        serde_json::from_value(example_response()).expect("a page");
    let listed = server.list_attribute_values(|when, then| {
        when.customer_id_in(&IdList::from([2048, 2049]));
        then.ok(&values);
    });
    let deleted = server.delete_attribute_values(|when, then| {
        when.id_in(&IdList::from([5001]));
        then.no_content();
    });
    let attributes: types::AttributePage =
        serde_json::from_value(attributes_response()).expect("a page");
    let attributes_listed = server.list_attributes(|when, then| {
        when.name_like("tier").type_("string").limit(50);
        then.ok(&attributes);
    });
    let customers: types::CustomerPage =
        serde_json::from_value(customers_response()).expect("a page");
    let emails = TextList::from(["a+b@x.com", "o'hara@x.com"]);
    let customers_listed = server.list_customers(|when, then| {
        when.email_in(&emails).after("ZW5k");
        then.ok(&customers);
    });
    let rows = vec![attribute("Last visit", types::AttributeType::Date)];
    let created = server.create_attributes(|when, then| {
        when.body(&rows);
        then.created(&attributes);
    });
    let row = types::AttributeUpdate::builder().id(101).name("Level");
    let names = vec![row.try_into().expect("an ID and a name")];
    let renamed = server.update_attributes(|when, then| {
        when.body(&names);
        then.ok(&attributes);
    });
    let attributes_deleted = server.delete_attributes(|when, then| {
        when.id_in(&IdList::from([101, 104]));
        then.no_content();
    });
    // The mocks have the document's paths, without the prefix for a store.
    let store = Store::builder_with_base_url(server.base_url(), TOKEN).build();
    let store = store.expect("a store");
    let client = store.sdk();
    let list = client.list_attribute_values().customer_id_in([2048, 2049]);
    let page = runtime.block_on(list.send()).expect("a page");
    assert_eq!(page.into_inner(), values);
    let delete = client.delete_attribute_values().id_in([5001]);
    runtime.block_on(delete.send()).expect("a response");
    let list = client.list_attributes().name_like("tier").type_("string");
    let page = runtime.block_on(list.limit(50).send()).expect("a page");
    assert_eq!(page.into_inner(), attributes);
    let create = client.create_attributes().body(rows.clone());
    let page = runtime.block_on(create.send()).expect("a response");
    assert_eq!(page.into_inner(), attributes);
    let rename = client.update_attributes().body(names.clone());
    let page = runtime.block_on(rename.send()).expect("a page");
    assert_eq!(page.into_inner(), attributes);
    let delete = client.delete_attributes().id_in([101, 104]);
    runtime.block_on(delete.send()).expect("a response");
    let list = client.list_customers().email_in(emails.clone());
    let page = runtime.block_on(list.after("ZW5k").send());
    assert_eq!(page.expect("a page").into_inner(), customers);
    listed.assert();
    deleted.assert();
    customers_listed.assert();
    attributes_listed.assert();
    created.assert();
    renamed.assert();
    attributes_deleted.assert();
}
