//! What the SDK makes of responses that have another form than the document says.

use bigcommerce_sdk::types::{
    AttributeCreate, AttributePage, AttributeType, AttributeValuePage, AttributeValueUpsert,
    Customer, CustomerPage, ErrorBody, PageMeta,
};
use bigcommerce_sdk::{Client, Credentials, Error};
use httpmock::prelude::*;
use serde_json::{Value, json};

use crate::support::TOKEN;

const VALUES: &str = "/customers/attribute-values";
const ATTRIBUTES: &str = "/customers/attributes";

fn client(server: &MockServer) -> Client {
    let credentials = Credentials::new(TOKEN).expect("a token");
    Client::new(&server.base_url(), credentials).expect("a client")
}

fn record() -> Value {
    json!({
        "id": 5001, "attribute_id": 101, "attribute_value": "Yes", "customer_id": 2048,
        "date_created": "2024-06-10T14:22:00Z", "date_modified": "2024-06-10T14:22:00+02:00",
    })
}

fn meta() -> Value {
    json!({"pagination": {
        "total": 3, "count": 3, "per_page": 10, "current_page": 1, "total_pages": 1,
        "links": {"previous": "", "current": "?page=1", "next": ""},
    }})
}

fn with(mut value: Value, field: &str, new: Value) -> Value {
    value[field] = new;
    value
}

#[test]
fn an_odd_field_costs_only_itself() {
    let read = |record: Value| {
        let page = json!({"data": [record]});
        let page: AttributeValuePage = serde_json::from_value(page).expect("a page");
        assert_eq!(page.unreadable, 0);
        serde_json::to_value(&page.data[0]).expect("a record")
    };
    let complete = read(record());
    let odd = [json!(null), json!([]), json!({}), json!(true), json!(1.5)];
    for field in ["id", "date_created", "date_modified"] {
        for odd in odd.iter().chain([&json!(""), &json!("soon")]) {
            let mut expected = complete.clone();
            expected.as_object_mut().expect("an object").remove(field);
            let read = read(with(record(), field, odd.clone()));
            assert_eq!(read, expected, "{field}: {odd}");
        }
    }
    let without_zone = with(record(), "date_modified", json!("2024-06-10T14:22:00"));
    assert_eq!(read(without_zone).get("date_modified"), None);
    for field in ["id", "attribute_id", "customer_id"] {
        let mut text = record();
        text[field] = text[field].to_string().into();
        assert_eq!(read(text), complete, "{field}");
    }
}

#[test]
fn an_odd_record_costs_only_itself() {
    let mut odd = vec![json!(null), json!([]), json!({}), json!("x"), json!(7)];
    odd.push(json!([101, "Yes", 2048, null, null, 5001]));
    for field in ["attribute_id", "attribute_value", "customer_id"] {
        odd.push(with(record(), field, json!(null)));
        odd.push(with(record(), field, json!([])));
        let mut without = record();
        without.as_object_mut().expect("an object").remove(field);
        odd.push(without);
    }
    odd.push(with(record(), "customer_id", json!(1.5)));
    odd.push(with(record(), "customer_id", json!(u64::MAX)));
    odd.push(with(record(), "customer_id", json!("")));
    odd.push(with(record(), "attribute_value", json!(5)));
    for odd in odd {
        let page = json!({"data": [record(), odd, record()], "meta": meta()});
        let page: AttributeValuePage = serde_json::from_str(&page.to_string()).expect("a page");
        assert_eq!((page.data.len(), page.unreadable), (2, 1), "{odd}");
        assert!(page.meta.is_some());
    }
    let attributes = json!({"data": [
        {"id": "7", "name": "Tier", "type": "string"},
        {"id": 8, "name": null, "type": "string"},
        {"id": 9, "name": "Tier"},
    ]});
    let page: AttributePage = serde_json::from_value(attributes).expect("a page");
    assert_eq!(
        (page.data[0].id, page.data.len(), page.unreadable),
        (7, 1, 2)
    );
}

fn customer() -> Value {
    json!({
        "id": 2048, "email": "jane@example.com", "first_name": "Jane", "customer_group_id": 2,
        "date_created": "2024-06-10T14:22:00Z", "attribute_count": 3, "origin_channel_id": 1,
        "accepts_product_review_abandoned_cart_emails": true, "channel_ids": [1, 2],
    })
}

#[test]
fn an_odd_field_of_a_customer_costs_only_itself() {
    let read = |customer: Value| {
        let page = json!({"data": [customer]});
        let page: CustomerPage = serde_json::from_value(page).expect("a page");
        assert_eq!(page.unreadable, 0);
        page.data.into_iter().next().expect("a customer")
    };
    let complete = serde_json::to_value(read(customer())).expect("JSON");
    let fields = complete.as_object().expect("an object").keys();
    for field in fields.filter(|field| !["id", "email"].contains(&field.as_str())) {
        for odd in [json!(null), json!({}), json!(1.5)] {
            let mut expected = complete.clone();
            expected.as_object_mut().expect("an object").remove(field);
            let read = read(with(customer(), field, odd.clone()));
            assert_eq!(json!(read), expected, "{field}: {odd}");
        }
    }
    for field in [
        "id",
        "customer_group_id",
        "attribute_count",
        "origin_channel_id",
    ] {
        let mut text = customer();
        text[field] = text[field].to_string().into();
        assert_eq!(json!(read(text)), complete, "{field}");
    }
    for (channels, expected) in [
        (json!(null), None),
        (json!("1"), None),
        (json!([]), Some(vec![])),
        (json!(["1", " 2 "]), Some(vec![1, 2])),
        (json!([1, null, "x", 1.5, [3], 2]), Some(vec![1, 2])),
    ] {
        let Customer { channel_ids, .. } = read(with(customer(), "channel_ids", channels));
        assert_eq!(channel_ids, expected);
    }
}

#[test]
fn an_odd_customer_costs_only_itself() {
    let mut odd = vec![
        json!(null),
        json!([]),
        json!({}),
        json!([2048, "jane@example.com"]),
    ];
    for field in ["id", "email"] {
        odd.push(with(customer(), field, json!(null)));
        odd.push(with(customer(), field, json!([])));
    }
    odd.push(with(customer(), "email", json!(5)));
    odd.push(with(customer(), "id", json!("x")));
    for odd in odd {
        let page = json!({"data": [customer(), odd, customer()], "meta": []});
        let page: CustomerPage = serde_json::from_value(page).expect("a page");
        assert_eq!((page.data.len(), page.unreadable), (2, 1), "{odd}");
        assert_eq!(page.meta, None);
    }
}

#[test]
fn odd_cursors_cost_only_themselves() {
    for odd in [json!(null), json!([]), json!("x"), json!(1)] {
        let read = with(meta(), "cursor_pagination", odd.clone());
        let read: PageMeta = serde_json::from_value(read).expect("metadata");
        assert!(read.pagination.is_some());
        assert_eq!(read.cursor_pagination, None, "{odd}");
    }
    for odd in [json!(null), json!([]), json!(1)] {
        let cursors = json!({"start_cursor": odd, "end_cursor": "ZW5k"});
        let read = with(meta(), "cursor_pagination", cursors);
        let read: PageMeta = serde_json::from_value(read).expect("metadata");
        let cursors = read.cursor_pagination.expect("cursors");
        assert_eq!(cursors.start_cursor, None, "{odd}");
        assert_eq!(cursors.end_cursor.as_deref(), Some("ZW5k"));
    }
}

#[test]
fn a_page_without_an_array_of_records_is_invalid() {
    for body in [
        json!({}),
        json!({"data": null}),
        json!({"data": {}}),
        json!({"data": "x"}),
        json!([]),
        json!([[record()], null]),
        json!(null),
    ] {
        let page = serde_json::from_value::<AttributeValuePage>(body.clone());
        assert!(page.is_err(), "{body}");
    }
}

#[test]
fn odd_metadata_costs_only_what_is_odd() {
    for odd in [json!(null), json!([]), json!([{}]), json!("x"), json!(1)] {
        let page = json!({"data": [record()], "meta": odd});
        let page: AttributeValuePage = serde_json::from_value(page).expect("a page");
        assert_eq!((page.data.len(), page.meta), (1, None), "{odd}");

        let pagination = with(meta()["pagination"].clone(), "links", odd.clone());
        let read = json!({"pagination": pagination});
        let read: PageMeta = serde_json::from_value(read).expect("metadata");
        let pagination = read.pagination.expect("a position");
        assert_eq!(
            (pagination.total, pagination.links),
            (Some(3), None),
            "{odd}"
        );
    }
    for (total, expected) in [
        (json!("3"), Some(3)),
        (json!(" 3 "), Some(3)),
        (json!(i64::MAX), Some(i64::MAX)),
        (json!("many"), None),
        (json!(null), None),
        (json!([]), None),
    ] {
        let mut meta = meta();
        meta["pagination"]["total"] = total.clone();
        let meta: PageMeta = serde_json::from_value(meta).expect("metadata");
        let pagination = meta.pagination.expect("a position");
        assert_eq!(
            (pagination.total, pagination.count),
            (expected, Some(3)),
            "{total}"
        );
    }
}

#[test]
fn odd_fields_of_an_error_leave_its_title_and_messages() {
    for (field, odd) in [
        ("status", json!("unknown")),
        ("status", json!([])),
        ("type", json!(7)),
        ("instance", json!({})),
        ("detail", json!(null)),
    ] {
        let body = json!({"status": 422, "title": "No.", "errors": {"0.value": "Long."}});
        let body: ErrorBody = serde_json::from_value(with(body, field, odd)).expect("an error");
        assert_eq!(body.title.as_deref(), Some("No."));
        assert_eq!(body.errors, Some(json!({"0.value": "Long."})));
    }
    let body = json!({"status": "422", "title": ["No."], "errors": ["Long."]});
    let body: ErrorBody = serde_json::from_value(body).expect("an error");
    assert_eq!((body.status, body.title), (Some(422), None));
    assert_eq!(body.errors, Some(json!(["Long."])));
}

#[tokio::test]
async fn every_2xx_is_a_success_with_its_own_status() {
    let page = json!({"data": [record()]}).to_string();
    for (status, body, expected_records) in [
        (200, page.as_str(), Some(1)),
        (202, page.as_str(), Some(1)),
        (207, page.as_str(), Some(1)),
        (202, "", Some(0)),
        (202, " \n", Some(0)),
        (202, r#"{"status": "accepted"}"#, Some(0)),
        (203, "[]", Some(0)),
        (204, "", Some(0)),
        (207, r#"{"data": null}"#, Some(0)),
        (207, r#"[{"status": 200}]"#, Some(0)),
        (200, "", None),
        (200, "{}", None),
        (200, "<html></html>", None),
        (202, "<html></html>", None),
        (207, r#"{"data": ["#, None),
    ] {
        let server = MockServer::start_async().await;
        for method in [GET, PUT] {
            let then = |when: httpmock::When, then: httpmock::Then| {
                when.method(method).path(VALUES);
                then.status(status).body(body);
            };
            server.mock_async(then).await;
        }
        let row = AttributeValueUpsert::builder()
            .customer_id(2048)
            .attribute_id(101)
            .value("Yes");
        let rows: Vec<AttributeValueUpsert> = vec![row.try_into().expect("a row")];
        let (reader, of_list) = client(&server).recorded();
        let (writer, of_upsert) = client(&server).recorded();
        let listed = reader.list_attribute_values().send().await;
        let upserted = writer.upsert_attribute_values().body(rows).send().await;
        // A list without a page is no evidence of an empty store.
        let listed_records = expected_records.filter(|records| *records > 0);
        for (result, recorder, expected_records) in [
            (listed, of_list, listed_records),
            (upserted, of_upsert, expected_records),
        ] {
            let head = recorder.take().expect("a response");
            assert_eq!(head.status.as_u16(), status);
            match (result, expected_records) {
                (Ok(page), Some(records)) => {
                    assert_eq!(page.data.len(), records, "{status} {body}");
                    assert_eq!(page.status().as_u16(), status);
                }
                (Err(Error::InvalidResponsePayload(..)), None) => {}
                (result, _) => panic!("{status} {body}: {result:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_deletion_succeeds_with_any_2xx_and_a_creation_too() {
    for (status, body) in [(200, "{}"), (202, ""), (204, ""), (207, "<html>")] {
        let server = MockServer::start_async().await;
        server
            .mock_async(|when, then| {
                when.method(DELETE).path(VALUES);
                then.status(status).body(body);
            })
            .await;
        let deleted = client(&server)
            .delete_attribute_values()
            .id_in([1])
            .send()
            .await;
        assert_eq!(deleted.expect("a success").status().as_u16(), status);
    }
    let created = json!({"data": [{"id": 7, "name": "Tier", "type": "string"}]}).to_string();
    for (status, body, expected_attributes) in [
        (200, created.as_str(), 1),
        (201, created.as_str(), 1),
        (202, created.as_str(), 1),
        (202, "", 0),
    ] {
        let server = MockServer::start_async().await;
        server
            .mock_async(|when, then| {
                when.method(POST).path(ATTRIBUTES);
                then.status(status).body(body);
            })
            .await;
        let tier = AttributeCreate::builder()
            .name("Tier")
            .type_(AttributeType::String);
        let rows = vec![tier.try_into().expect("an attribute")];
        let page = client(&server).create_attributes().body(rows).send().await;
        let page = page.expect("a success");
        assert_eq!(page.status().as_u16(), status);
        assert_eq!(page.data.len(), expected_attributes);
    }
}

#[tokio::test]
async fn an_odd_error_body_is_still_an_error_response_with_its_messages() {
    let server = MockServer::start_async().await;
    server
        .mock_async(|when, then| {
            when.path(VALUES);
            then.status(422).json_body(json!({
                "status": "422", "title": "No.", "type": [], "errors": ["Long."], "detail": 7
            }));
        })
        .await;
    let result = client(&server).list_attribute_values().send().await;
    let Err(Error::ErrorResponse(body)) = result else {
        panic!("not an error response: {result:?}");
    };
    assert_eq!(
        (body.status, body.title.as_deref()),
        (Some(422), Some("No."))
    );
    assert_eq!(body.errors, Some(json!(["Long."])));
}

#[tokio::test]
async fn followed_redirects_are_counted_even_without_a_response() {
    let server = MockServer::start_async().await;
    for (from, to) in [
        (VALUES, "/b"),
        ("/b", "/c"),
        (ATTRIBUTES, "/d"),
        ("/d", ATTRIBUTES),
    ] {
        server
            .mock_async(|when, then| {
                when.path(from);
                then.status(307).header("Location", to);
            })
            .await;
    }
    server
        .mock_async(|when, then| {
            when.path("/c");
            then.status(200).json_body(json!({"data": []}));
        })
        .await;
    let (direct, recorder) = client(&server).recorded();
    direct.list_attribute_values().send().await.expect("a page");
    assert_eq!(recorder.redirects(), 2);
    // A loop ends with the last redirect as the response.
    let _redirect = direct
        .list_attributes()
        .send()
        .await
        .expect_err("a redirect");
    assert_eq!(recorder.redirects(), 2 + 5);

    server
        .mock_async(|when, then| {
            when.path("/elsewhere/customers/attributes");
            then.status(308).header("Location", "/slow");
        })
        .await;
    server
        .mock_async(|when, then| {
            when.path("/slow");
            then.status(200).delay(std::time::Duration::from_secs(5));
        })
        .await;
    let credentials = Credentials::new(TOKEN).expect("a token");
    let elsewhere = Client::new(&server.url("/elsewhere"), credentials).expect("a client");
    let (elsewhere, recorder) = elsewhere.recorded();
    let limit = std::time::Duration::from_millis(500);
    let abandoned = tokio::time::timeout(limit, elsewhere.list_attributes().send()).await;
    assert!(abandoned.is_err(), "{abandoned:?}");
    assert!(recorder.take().is_none());
    assert_eq!(recorder.redirects(), 1);
}

#[test]
fn the_rows_of_requests_are_read_strictly() {
    for row in [
        json!({"customer_id": "2048", "attribute_id": 101, "value": "Yes"}),
        json!({"customer_id": 2048, "attribute_id": 101, "value": "Yes", "id": "new"}),
    ] {
        let row = serde_json::from_value::<AttributeValueUpsert>(row.clone());
        assert!(row.is_err(), "{row:?}");
    }
}
