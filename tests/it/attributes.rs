//! Attributes: finding and creating them, and using their names in upserts.

use std::sync::atomic::{AtomicU64, Ordering};

use bigcommerce_ext::sdk::types::AttributeType::{Date, Number, String as Text};
use bigcommerce_ext::{ErrorKind, OutcomeKind, RetryPolicy, Store, UpsertRow};
use bigcommerce_sandbox::{AttributeType, BatchRejection, ListMeta, Sandbox, SandboxBuilder};
use futures::{StreamExt, stream};
use httpmock::Method::{GET, POST};
use httpmock::{HttpMockRequest, HttpMockResponse, MockServer};
use serde_json::json;

use crate::support::{TOKEN, store};

async fn start(builder: SandboxBuilder) -> (Sandbox, Store) {
    let sandbox = builder.start().await.expect("a sandbox");
    let store = store(sandbox.base_url());
    (sandbox, store)
}

fn with_attributes() -> SandboxBuilder {
    Sandbox::builder()
        .attribute(101, "Loyalty tier")
        .typed_attribute(102, "Points", AttributeType::Number)
        .typed_attribute(103, "Last order", AttributeType::Date)
}

#[tokio::test(start_paused = true)]
async fn missing_attributes_are_created_by_one_request() {
    let (sandbox, store) = start(with_attributes()).await;
    let wanted = [
        ("Level", Text),
        ("Points", Number),
        ("Since", Date),
        ("Level", Text),
    ];
    for posts in [1, 1] {
        let attributes = store.attributes().ensure(wanted).await.expect("attributes");
        let names: Vec<_> = attributes
            .iter()
            .map(|attribute| attribute.name.as_str())
            .collect();
        assert_eq!(names, ["Level", "Points", "Since", "Level"]);
        assert_eq!(attributes[1].id, 102);
        assert_eq!(sandbox.counts().attribute_posts, posts);
        assert_eq!(sandbox.attributes().len(), 5);
    }
    let found = store.attributes().find("Since").await.expect("a response");
    assert_eq!(found.expect("an attribute").type_, "date");
    assert!(
        store
            .attributes()
            .find("since")
            .await
            .expect("a response")
            .is_none()
    );
    let found = store
        .attributes()
        .find_all(["Since", "Points"])
        .await
        .expect("two attributes");
    assert_eq!(found[1].id, 102);
    let error = store
        .attributes()
        .find_all(["points"])
        .await
        .expect_err("an unknown name");
    assert!(
        error.to_string().contains("did you mean \"Points\"?"),
        "{error}"
    );
    let error = store.attributes().ensure([("Points", Text)]).await;
    let error = error.expect_err("another type").to_string();
    assert_eq!(
        error,
        "attribute \"Points\" is of type number, which can't be changed to string"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejected_attribute_does_not_prevent_the_others() {
    let (sandbox, store) = start(Sandbox::builder()).await;
    let wanted = [("Level", Text), ("  ", Text), ("Since", Date)];
    let error = store
        .attributes()
        .ensure(wanted)
        .await
        .expect_err("a rejected attribute");
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::InvalidRequest, Some(422))
    );
    let text = error.to_string();
    assert!(text.contains("attribute \"  \","), "{text}");
    let names: Vec<_> = sandbox
        .attributes()
        .into_iter()
        .map(|attribute| attribute.name)
        .collect();
    assert_eq!(names, ["Level", "Since"]);
    assert_eq!(sandbox.counts().attribute_posts, 4);
    let many = (0..60).map(|number| (format!("attribute {number}"), Text));
    store
        .attributes()
        .ensure(many)
        .await
        .expect_err("the limit of 50");
    assert_eq!(sandbox.attributes().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn an_attribute_that_a_rejected_request_created_is_not_created_again() {
    let builder = Sandbox::builder().batch_rejection(BatchRejection::Partial);
    let (sandbox, store) = start(builder).await;
    let wanted = [("Level", Text), ("  ", Text), ("Since", Date)];
    let error = store.attributes().ensure(wanted).await;
    let text = error.expect_err("a rejected attribute").to_string();
    assert!(text.contains("attribute \"  \","), "{text}");
    assert_eq!(sandbox.attributes().len(), 2);
    // One request for all three, and one for the attribute that was not created.
    assert_eq!(sandbox.counts().attribute_posts, 2);
}

#[tokio::test(start_paused = true)]
async fn names_are_resolved_by_one_request_per_run() {
    let (sandbox, store) = start(with_attributes()).await;
    let rows = stream::iter((1..=500).flat_map(|customer| {
        [
            ("Loyalty tier", "Gold"),
            ("Points", "12.5"),
            ("Last order", "2024-06-10"),
        ]
        .map(|(name, value)| UpsertRow::new(customer, name, value))
    }));
    let mut outcomes = store.upsert().stream(rows);
    while let Some(outcome) = outcomes.next().await {
        let row = outcome.row.as_ref().expect("a row");
        let is_both = row.attribute().id().is_some() && row.attribute().name().is_some();
        assert!(is_both && matches!(outcome.kind, OutcomeKind::Stored(Some(_))));
    }
    let counts = sandbox.counts();
    assert_eq!((counts.attribute_gets, counts.puts), (1, 50));
    assert_eq!(outcomes.summary().requests, 51);
    assert_eq!(sandbox.value(500, 102).expect("a value").value, "12.5");
    // Rows with attribute IDs need no such request.
    let report = store.upsert().customer(1, [(102, "13")]).send().await;
    assert!(report.expect("a report").summary().is_complete());
    assert_eq!(sandbox.counts().attribute_gets, 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_or_a_value_of_another_type_rejects_its_row() {
    let (sandbox, store) = start(with_attributes()).await;
    let rows = [
        ("Loyalty tier", "Gold"),
        ("Loyalti tier", "Gold"),
        ("Points", "many"),
        ("Last order", "10.6.2024"),
        ("Points", ""),
    ];
    let report = store
        .upsert()
        .customer(1, rows)
        .send()
        .await
        .expect("a report");
    assert_eq!((report.summary().stored, report.summary().rejected), (2, 3));
    let errors: Vec<_> = report.outcomes().iter().filter_map(|o| o.error()).collect();
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "row 1: attribute \"Loyalti tier\" is not defined in this store, which defines \
             [\"Last order\", \"Loyalty tier\", \"Points\"]",
            "row 2: value is not a number: attribute \"Points\" takes numbers such as 12.5",
            "row 3: value is not a date: attribute \"Last order\" takes dates such as 2024-06-10 or \
             2024-06-10T14:22:00Z",
        ]
    );
    assert_eq!(sandbox.counts().rejected, 0, "no invalid row is sent");

    // By default, types are checked for rows with names, and not for rows with IDs.
    for (check_types, by_id, server_rejections) in [
        (None, true, 1),
        (Some(true), true, 0),
        (Some(false), false, 1),
    ] {
        let row = match by_id {
            true => UpsertRow::new(1, 102, "many"),
            false => UpsertRow::new(1, "Points", "many"),
        };
        let before = sandbox.counts().rejected;
        let upsert = store.upsert().rows([row]);
        let upsert = match check_types {
            Some(check_types) => upsert.check_types(check_types),
            None => upsert,
        };
        let report = upsert.send().await.expect("a report");
        assert_eq!(report.summary().rejected, 1);
        let rejections = sandbox.counts().rejected - before;
        assert_eq!(rejections, server_rejections, "{check_types:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn if_names_can_not_be_resolved_every_row_is_not_sent() {
    let (sandbox, _) = start(with_attributes().token("other")).await;
    let store = crate::support::store(sandbox.base_url());
    let report = store
        .upsert()
        .customer(1, [("Points", 1), ("Points", 2)])
        .customer(2, [("Level", 3)])
        .send()
        .await
        .expect("a report");
    assert_eq!((report.summary().not_sent, report.summary().rows()), (3, 3));
    let error = report.stopped_by().expect("an error");
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(
        error
            .to_string()
            .starts_with("GET /customers/attributes returned 401")
    );
    let retryable: Vec<_> = report.retryable().collect();
    assert_eq!(retryable[2].attribute().name(), Some("Level"));
}

#[tokio::test(start_paused = true)]
async fn without_page_counts_the_attributes_are_listed_up_to_an_empty_page() {
    for (list_meta, gets) in [(ListMeta::Full, 1), (ListMeta::None, 2)] {
        let builder = with_attributes().list_meta(list_meta);
        let (sandbox, store) = start(builder).await;
        let attributes = store.attributes().list().await.expect("attributes");
        assert_eq!(attributes.len(), 3, "{list_meta:?}");
        assert_eq!(sandbox.counts().attribute_gets, gets, "{list_meta:?}");
    }
}

#[tokio::test]
async fn a_server_that_ignores_the_page_number_lists_each_attribute_once() {
    let server = MockServer::start_async().await;
    let list = server
        .mock_async(|when, then| {
            when.method(GET).path("/customers/attributes");
            then.status(200).json_body(json!({"data": [
                {"id": 101, "name": "Loyalty tier", "type": "string"},
                {"id": 102, "name": "Points", "type": "number"},
            ]}));
        })
        .await;
    let attributes = store(&server.base_url()).attributes().list().await;
    let attributes = attributes.expect("attributes");
    let ids: Vec<_> = attributes.iter().map(|attribute| attribute.id).collect();
    assert_eq!(ids, [101, 102]);
    assert_eq!(list.calls_async().await, 2);
}

/// Starts a server that rejects the create request with this status. From the second list on it
/// lists the attribute "Tier", which another process has created, with this type.
async fn with_attribute_of_another_process(status: u16, kind: &'static str) -> MockServer {
    let server = MockServer::start_async().await;
    server
        .mock_async(|when, then| {
            when.method(POST).path("/customers/attributes");
            then.status(status)
                .json_body(json!({"status": status, "title": "The name is taken"}));
        })
        .await;
    let lists = AtomicU64::new(0);
    server
        .mock_async(move |when, then| {
            when.method(GET).path("/customers/attributes");
            then.respond_with(move |_: &HttpMockRequest| {
                let attributes = match lists.fetch_add(1, Ordering::Relaxed) {
                    0 => json!([]),
                    _ => json!([{"id": 101, "name": "Tier", "type": kind}]),
                };
                let total = attributes.as_array().map_or(0, Vec::len);
                let meta = json!({"pagination": {"total": total, "total_pages": 1}});
                let body = json!({"data": attributes, "meta": meta}).to_string();
                HttpMockResponse::builder().status(200).body(body).build()
            });
        })
        .await;
    server
}

#[tokio::test]
async fn an_attribute_that_another_process_creates_at_the_same_time_counts_as_created() {
    let store = |server: &MockServer| {
        Store::builder_with_base_url(server.base_url(), TOKEN)
            .retry(RetryPolicy::default().max_attempts(1))
            .build()
            .expect("a store")
    };
    for status in [422, 409] {
        let server = with_attribute_of_another_process(status, "string").await;
        let attributes = store(&server).attributes();
        let attributes = attributes.ensure([("Tier", Text)]).await;
        assert_eq!(attributes.expect("an attribute")[0].id, 101, "{status}");
        let server = with_attribute_of_another_process(status, "date").await;
        let attributes = store(&server).attributes();
        let error = attributes.ensure([("Tier", Text)]).await;
        let error = error.expect_err("another type").to_string();
        assert!(error.contains("is of type date"), "{error}");
        let server = with_attribute_of_another_process(status, "string").await;
        let attributes = store(&server).attributes();
        let error = attributes.ensure([("Points", Text)]).await;
        let error = error.expect_err("a rejected attribute");
        assert_eq!(error.status(), Some(status), "{error}");
    }
}

#[tokio::test]
async fn a_list_of_attributes_does_not_trust_the_page_count() {
    let server = MockServer::start_async().await;
    let list = server
        .mock_async(|when, then| {
            when.method(GET).path("/customers/attributes");
            then.status(200).json_body(json!({
                "data": [],
                "meta": {"pagination": {"total": i64::MAX, "total_pages": i64::MAX}},
            }));
        })
        .await;
    let error = store(&server.base_url()).attributes().list().await;
    let text = error.expect_err("an incomplete list").to_string();
    assert!(
        text.starts_with("the list of attributes is incomplete"),
        "{text}"
    );
    assert_eq!(list.calls_async().await, 4);
}
