//! Attributes: finding, creating, renaming and deleting them, and using their names in upserts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bigcommerce_ext::sdk::types::AttributeType::{Date, Number, String as Text};
use bigcommerce_ext::{
    AttributeKey, ErrorKind, Limits, OutcomeKind, RetryPolicy, Store, UpsertRow,
};
use bigcommerce_sandbox::{
    AttributeType, BatchRejection, Fault, FaultPlan, ListMeta, Operation, Sandbox, SandboxBuilder,
};
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

/// Returns the names of the attributes by ID, and the number of values of each.
fn state(sandbox: &Sandbox) -> BTreeMap<i64, (String, usize)> {
    let values = sandbox.values();
    let count = |id| values.iter().filter(|it| it.attribute_id == id).count();
    let attributes = sandbox.attributes().into_iter();
    attributes
        .map(|it| (it.id, (it.name, count(it.id))))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_attribute_is_renamed_by_its_id_or_name() {
    let (sandbox, store) = start(with_attributes()).await;
    sandbox.insert(1, 102, "12.5");
    let renamed = store.attributes().rename("Points", "Score").await;
    let renamed = renamed.expect("an attribute");
    assert_eq!((renamed.id, renamed.type_.as_str()), (102, "number"));
    assert_eq!(renamed.name, "Score");
    let renamed = store.attributes().rename(102, "Points (total)").await;
    assert_eq!(renamed.expect("an attribute").name, "Points (total)");
    assert_eq!(state(&sandbox)[&102], ("Points (total)".to_owned(), 1));
    let counts = sandbox.counts();
    assert_eq!((counts.attribute_gets, counts.attribute_puts), (2, 2));

    // Rows use the new name.
    let report = store.upsert().customer(1, [("Points (total)", 13)]).send();
    assert!(report.await.expect("a report").summary().is_complete());
    assert_eq!(sandbox.value(1, 102).expect("a value").value, "13");

    // Its own name needs no request.
    let renamed = store.attributes().rename(102, "Points (total)").await;
    assert_eq!(renamed.expect("an attribute").id, 102);
    assert_eq!(sandbox.counts().attribute_puts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_rename_that_can_not_be_meant_sends_nothing() {
    // The builder accepts a second attribute with the same name.
    let builder = with_attributes()
        .attribute(104, "Twice")
        .attribute(105, "Twice");
    let (sandbox, store) = start(builder).await;
    let defined = "[\"Last order\", \"Loyalty tier\", \"Points\", \"Twice\", \"Twice\"]";
    for (key, name, error) in [
        (
            AttributeKey::from("Points"),
            "Loyalty tier",
            "attribute \"Points\" (ID 102) can't be renamed to \"Loyalty tier\": the attribute with \
             the ID 101 has this name"
                .to_owned(),
        ),
        (
            AttributeKey::from(7),
            "Level",
            format!("attribute 7 is not defined in this store, which defines {defined}"),
        ),
        (
            AttributeKey::from("points"),
            "Level",
            format!(
                "attribute \"points\" is not defined in this store: did you mean \"Points\"? The store \
                 defines {defined}"
            ),
        ),
        (
            AttributeKey::from("Twice"),
            "Level",
            "attribute \"Twice\" is the name of several attributes: give one of the IDs [104, 105]"
                .to_owned(),
        ),
    ] {
        let refused = store.attributes().rename(key.clone(), name).await;
        let refused = refused.expect_err("a refusal");
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        assert_eq!(refused.to_string(), error);
        if !error.contains("can't be renamed") {
            for result in [
                store.attributes().count_values(key.clone()).await.err(),
                store.attributes().delete(key, 0).await.err(),
            ] {
                assert_eq!(result.expect("a refusal").to_string(), error);
            }
        }
    }
    let counts = sandbox.counts();
    let writes = counts.attribute_puts + counts.attribute_deletes + counts.attribute_posts;
    assert_eq!((writes, counts.gets), (0, 0));
    // One of two attributes with the same name can be given by its ID.
    let renamed = store.attributes().rename(105, "Level").await;
    assert_eq!(renamed.expect("an attribute").id, 105);
}

#[tokio::test(start_paused = true)]
async fn names_have_1_to_255_characters() {
    let (sandbox, store) = start(with_attributes()).await;
    // Four bytes each.
    let name = |length| "\u{1d11e}".repeat(length);
    for length in [0, 256] {
        let rule = format!("has {length} characters: a name has 1 to 255");
        let renamed = store.attributes().rename("Points", name(length)).await;
        let created = store
            .attributes()
            .ensure([("New".to_owned(), Text), (name(length), Text)]);
        for error in [renamed.err(), created.await.err()] {
            let error = error.expect("a refusal");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = error.to_string();
            assert!(
                text.starts_with("attribute \"") && text.ends_with(&rule),
                "{text}"
            );
        }
    }
    assert_eq!(sandbox.counts().requests, 0);
    let created = store.attributes().ensure([(name(255), Text)]).await;
    let id = created.expect("an attribute")[0].id;
    let longest = "\u{1d122}".repeat(255);
    let renamed = store.attributes().rename(id, longest.as_str()).await;
    assert_eq!(renamed.expect("an attribute").name, longest);
}

#[tokio::test(start_paused = true)]
async fn a_delete_wants_the_number_of_values_that_go_with_it() {
    let (sandbox, store) = start(with_attributes()).await;
    for customer in 1..=1204 {
        sandbox.insert(customer, 101, "Gold");
    }
    sandbox.insert(1, 102, "7");
    let delete = |key: &'static str, values| store.attributes().delete(key, values);
    for (key, values, error) in [
        (
            "Loyalty tier",
            0,
            "attribute \"Loyalty tier\" (ID 101) has 1204 values, not 0: pass 1204 to delete it with \
             them",
        ),
        (
            "Points",
            1204,
            "attribute \"Points\" (ID 102) has 1 value, not 1204: pass 1 to delete it with its value",
        ),
        (
            "Last order",
            1,
            "attribute \"Last order\" (ID 103) has 0 values, not 1: pass 0 to delete it",
        ),
    ] {
        let refused = delete(key, values).await.expect_err("a refusal");
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        assert_eq!(refused.to_string(), error);
    }
    assert_eq!(sandbox.counts().attribute_deletes, 0);
    let count = |key: &'static str| store.attributes().count_values(key);
    assert_eq!(count("Loyalty tier").await.expect("a count"), 1204);

    // A value that is stored since the count.
    sandbox.insert(1205, 101, "Gold");
    let refused = delete("Loyalty tier", 1204).await.expect_err("a refusal");
    assert!(refused.to_string().contains("has 1205 values, not 1204"));

    let before = sandbox.counts().requests;
    let deleted = delete("Loyalty tier", 1205).await.expect("an attribute");
    assert_eq!((deleted.id, deleted.name.as_str()), (101, "Loyalty tier"));
    // However many values there are.
    assert_eq!(sandbox.counts().requests - before, 7);
    let left = [
        (102, ("Points".to_owned(), 1)),
        (103, ("Last order".to_owned(), 0)),
    ];
    assert_eq!(state(&sandbox), BTreeMap::from(left));
    delete("Last order", 0).await.expect("an attribute");
    assert_eq!(sandbox.counts().attribute_deletes, 2);
    assert_eq!(sandbox.counts().rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn values_are_counted_whatever_the_lists_of_the_server_show() {
    let filters = || Sandbox::builder().ignore_filter("attribute_id:in");
    let everything = || Sandbox::builder().ignore_filters(true);
    let meta = |meta| Sandbox::builder().list_meta(meta);
    for (case, builder) in [
        ("plain", Sandbox::builder()),
        ("ignores the filter", filters()),
        ("ignores all filters", everything()),
        ("no totals", meta(ListMeta::NoTotals)),
        ("no meta", meta(ListMeta::None)),
        ("small pages", Sandbox::builder().page_limit(50)),
    ] {
        let (sandbox, store) = start(builder.attribute(101, "Tier").attribute(7, "Other")).await;
        let count = || store.attributes().count_values("Tier");
        for values in [0, 1, 2, 300] {
            for customer in 1..=values {
                sandbox.insert(customer, 101, "Gold");
                sandbox.insert(customer, 7, "x");
            }
            let counted = count().await.expect("a count");
            assert_eq!(counted, values as u64, "{case}");
        }
    }
}

/// Each fault, at each of the requests that count values.
#[tokio::test(start_paused = true)]
async fn a_fault_while_values_are_counted_does_not_change_their_number() {
    for &fault in Fault::ALL {
        for position in 1..=4 {
            let before = std::iter::repeat_n(None, position);
            let plan = FaultPlan::script(before.chain([Some(fault)]));
            let builder = with_attributes().faults(plan);
            let (sandbox, store) = start(builder).await;
            for customer in 1..=60 {
                sandbox.insert(customer, 102, "7");
                sandbox.insert(customer, 101, "Gold");
            }
            let counted = store.attributes().count_values("Loyalty tier").await;
            let counted = counted.unwrap_or_else(|error| panic!("{fault} {position}: {error}"));
            assert_eq!(counted, 60, "{fault} {position}");
        }
    }
}

/// Changes attributes at random while requests fail. A success is true, a refusal changes nothing,
/// and any other error leaves the store as it was or as it should be.
#[tokio::test(start_paused = true)]
async fn changes_with_faults_are_what_they_say() {
    let (mut succeeded, mut failed) = (0, 0);
    for seed in 0..60 {
        let random = &mut fastrand::Rng::with_seed(seed);
        let plan = FaultPlan::seeded(seed).rate(0.3).operations([
            Operation::ListAttributes,
            Operation::UpdateAttributes,
            Operation::DeleteAttributes,
        ]);
        let sandbox = with_attributes().faults(plan).start().await;
        let sandbox = sandbox.expect("a sandbox");
        let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
            .retry(RetryPolicy::default().max_attempts(3))
            .limits(Limits::default().grace_period(Duration::from_secs(1)))
            .build()
            .expect("a store");
        for step in 0..6 {
            let id = random.i64(101..=103);
            sandbox.insert(random.i64(1..=9), id, "");
            let before = state(&sandbox);
            let mut after = before.clone();
            let error = if random.bool() {
                let name = format!("Name {}", random.u8(0..4));
                let is_taken = before
                    .iter()
                    .any(|(other, it)| *other != id && it.0 == name);
                if let Some((current, _)) = after.get_mut(&id)
                    && !is_taken
                {
                    current.clone_from(&name);
                }
                let renamed = store.attributes().rename(id, name.as_str()).await;
                renamed.map(|renamed| assert_eq!(renamed.name, name)).err()
            } else {
                let values = before.get(&id).map_or(0, |(_, values)| *values as u64);
                let values = values + u64::from(random.u8(0..3) == 0);
                if before
                    .get(&id)
                    .is_some_and(|(_, actual)| *actual as u64 == values)
                {
                    after.remove(&id);
                }
                let deleted = store.attributes().delete(id, values).await;
                deleted.map(|deleted| assert_eq!(deleted.id, id)).err()
            };
            // A request that was accepted or is late has been executed by now.
            tokio::time::sleep(Duration::from_secs(2)).await;
            let now = state(&sandbox);
            let case = format!("seed {seed}, step {step}: {error:?}");
            match error.map(|error| error.kind()) {
                None => assert_eq!(now, after, "{case}"),
                Some(ErrorKind::InvalidInput) => {
                    assert_eq!(after, before, "{case}");
                    assert_eq!(now, before, "{case}");
                }
                Some(_) => assert!(now == before || now == after, "{case}"),
            }
            match now == after && after != before {
                true => succeeded += 1,
                false => failed += 1,
            }
        }
    }
    assert!(succeeded > 100 && failed > 50, "{succeeded}, {failed}");
}
