//! Rows, outcomes, errors and events as JSON, and the JSON Schema of them.

use std::time::Duration;

use bigcommerce_ext::testing::{self, events};
use bigcommerce_ext::{
    CustomerKey, Error, ErrorKind, Event, Outcome, OutcomeKind, Report, Summary, UpsertRow,
    WaitReason,
};
use bigcommerce_sandbox::Sandbox;
use futures::StreamExt;
use jsonschema::Validator;
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::{sandbox, store};

fn validator<T: schemars::JsonSchema>() -> Validator {
    let schema = schemars::schema_for!(T).to_value();
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("a JSON Schema")
}

/// Returns what a value writes, after it was validated by the schema of its type.
#[track_caller]
fn valid<T: Serialize + schemars::JsonSchema>(value: &T) -> Value {
    let json = serde_json::to_value(value).expect("JSON");
    let validator = validator::<T>();
    let errors: Vec<_> = validator.iter_errors(&json).collect();
    assert!(errors.is_empty(), "{json}: {errors:?}");
    json
}

#[test]
fn rows_make_a_round_trip() {
    let rows = [
        UpsertRow::new(2048, 101, "Premium Member"),
        UpsertRow::new(2048, "Loyalty tier", "").with_tag("line 7"),
        UpsertRow::new(2048, "Points", "\u{e9}\n\"quoted\""),
        UpsertRow::absent(2048, 102).with_tag(""),
        UpsertRow::new("Jane+x@example.com", 101, "x"),
        UpsertRow::new(CustomerKey::external("D-7"), "Points", 7),
    ];
    for row in rows {
        let json = valid(&row);
        let back: UpsertRow = serde_json::from_value(json.clone()).expect("a row");
        assert_eq!(back, row, "{json}");
        let text = serde_json::to_string(&row).expect("text");
        assert_eq!(
            serde_json::from_str::<UpsertRow>(&text).expect("a row"),
            row
        );
    }
    let row = UpsertRow::new(1, "Tier", "Gold")
        .with_tag("t")
        .with_payload(std::sync::Arc::new(7));
    assert_eq!(
        serde_json::to_value(&row).expect("JSON"),
        json!({"customer": 1, "attribute": "Tier", "value": "Gold", "tag": "t"})
    );
    assert_eq!(
        valid(&UpsertRow::new(CustomerKey::external("D-7"), 101, "x"))["customer"],
        json!({"external": "D-7"})
    );
    assert_eq!(
        valid(&UpsertRow::absent(1, 101)),
        json!({"customer": 1, "attribute": 101, "value": null})
    );
}

#[test]
fn numbers_are_values_and_mistakes_are_named() {
    let validator = validator::<UpsertRow>();
    for (input, expected) in [
        (
            json!({"customer": 1, "attribute": 2, "value": 30.43}),
            "30.43",
        ),
        (json!({"customer": 1, "attribute": 2, "value": -7}), "-7"),
        (
            json!({"customer": 1, "attribute": 2, "value": u64::MAX}),
            "18446744073709551615",
        ),
        (
            json!({"customer": 1, "attribute": 2, "value": "x", "tag": null}),
            "x",
        ),
    ] {
        assert!(validator.is_valid(&input), "{input}");
        let row: UpsertRow = serde_json::from_value(input).expect("a row");
        assert_eq!(row.value(), Some(expected));
    }
    for (input, expected) in [
        (
            json!({"customer": 1, "attribute": 2}),
            "missing field `value`",
        ),
        (
            json!({"attribute": 2, "value": "x"}),
            "missing field `customer`",
        ),
        (
            json!({"customer": 1, "value": "x"}),
            "missing field `attribute`",
        ),
        (
            json!({"customer": 1.5, "attribute": 2, "value": "x"}),
            "the ID or the e-mail address of a customer",
        ),
        (
            json!({"customer": {"externl": "D-7"}, "attribute": 2, "value": "x"}),
            "unknown field `externl`, expected `external`",
        ),
        (
            json!({"customer": {}, "attribute": 2, "value": "x"}),
            "missing field `external`",
        ),
        (
            json!({"customer": 1, "attribute": 2.5, "value": "x"}),
            "the ID or the name",
        ),
        (
            json!({"customer": 1, "attribute": null, "value": "x"}),
            "the ID or the name",
        ),
        (
            json!({"customer": 1, "attribute": 2, "value": true}),
            "text or number, or null",
        ),
        (
            json!({"customer": 1, "attribute": 2, "value": ["x"]}),
            "text or number, or null",
        ),
        (
            json!({"customer": 1, "attribute": 2, "valeu": "x"}),
            "unknown field `valeu`",
        ),
        (
            json!([1, 2, "x"]),
            "a row with customer, attribute and value",
        ),
    ] {
        assert!(!validator.is_valid(&input), "{input}");
        let error = serde_json::from_value::<UpsertRow>(input.clone()).expect_err("a mistake");
        assert!(error.to_string().contains(expected), "{input}: {error}");
    }
    let long = r#"{"customer": 1, "attribute": 2, "value": 12345678901234567890123}"#;
    let error = serde_json::from_str::<UpsertRow>(long).expect_err("a long number");
    assert!(error.to_string().contains("write it as a text"), "{error}");
    let twice = r#"{"customer": 1, "customer": 2, "attribute": 2, "value": "x"}"#;
    let error = serde_json::from_str::<UpsertRow>(twice).expect_err("a mistake");
    assert!(
        error.to_string().contains("duplicate field `customer`"),
        "{error}"
    );
}

fn error() -> Error {
    testing::error(ErrorKind::RateLimited)
        .server_message("too many")
        .request_id("abc-1")
        .attempts(3, Duration::from_millis(1_500))
        .row(4)
        .build()
}

#[test]
fn errors_have_documented_fields() {
    assert_eq!(
        valid(&error()),
        json!({
            "kind": "rate_limited",
            "message": "PUT /customers/attribute-values returned 429 (too many): the quota was \
                        exhausted: try again later, or leave more of the quota to this app \
                        (3 attempts over 1.5 s) [request abc-1]",
            "advice": "try again later, or leave more of the quota to this app",
            "row": 4,
            "status": 429,
            "server_message": "too many",
            "request_id": "abc-1",
            "attempts": 3,
            "elapsed_ms": 1500,
            "is_temporary": true,
        })
    );
    let input = testing::input_error::<UpsertRow>(0, "the cursor broke");
    let json = valid(input.error().expect("an error"));
    assert_eq!(
        (&json["kind"], &json["status"]),
        (&json!("input"), &json!(null))
    );
}

#[test]
fn every_outcome_is_valid_by_its_schema() {
    let record = serde_json::from_value(json!({
        "id": 5001, "attribute_id": 101, "attribute_value": "Yes", "customer_id": 2048,
        "date_created": "2024-06-10T14:22:00Z", "date_modified": "2024-06-10T14:22:00Z",
    }));
    let kinds = [
        testing::stored(Some(record.expect("a record"))),
        testing::stored(None),
        OutcomeKind::Unchanged,
        OutcomeKind::Deleted,
        OutcomeKind::Planned,
        testing::superseded(9),
        testing::rejected(error()),
        testing::unknown(error()),
        testing::not_sent(error()),
    ];
    let mut outcomes = Vec::new();
    for (index, kind) in kinds.into_iter().enumerate() {
        assert_eq!(valid(&kind)["kind"], kind.as_str());
        let outcome = testing::outcome(index as u64, UpsertRow::new(2048, 101, "Yes"), kind);
        let json = valid(&outcome);
        assert_eq!(
            (&json["index"], &json["kind"]),
            (&json!(index), &json!(outcome.kind.as_str()))
        );
        outcomes.push(outcome);
    }
    outcomes.push(testing::input_error(9, "the cursor broke"));
    assert_eq!(valid(&outcomes[0])["record"]["id"], 5001);
    assert_eq!(valid(&outcomes[5])["by"], 9);
    assert_eq!(valid(&outcomes[9])["row"], json!(null));
    let report: Report = testing::report(outcomes)
        .requests(3)
        .stopped_by(error())
        .build();
    let json = valid(&report);
    assert_eq!(json["outcomes"].as_array().map(Vec::len), Some(10));
    assert_eq!(json["stopped_by"]["kind"], "rate_limited");
    assert_eq!(
        json["summary"],
        json!({
            "run": "upsert", "requests": 3, "stored": 2, "differing": 0, "unchanged": 1,
            "deleted": 1, "planned": 1, "superseded": 1, "rejected": 2, "unknown": 1,
            "not_sent": 1, "is_complete": false,
        })
    );
    valid(&Summary::default());
    // Reports of rows and of IDs in one document.
    #[derive(Serialize, schemars::JsonSchema)]
    struct Night {
        upserts: Report,
        deletes: Report<i64>,
    }
    let row = testing::outcome(0, UpsertRow::new(1, 1, "x"), OutcomeKind::Unchanged);
    let id = testing::outcome(0, 5001_i64, OutcomeKind::Deleted);
    valid(&Night {
        upserts: testing::report([row]).build(),
        deletes: testing::report([id]).build(),
    });
    valid(&testing::outcome(0, 5001_i64, OutcomeKind::Deleted));
}

#[test]
fn every_event_is_valid_by_its_schema() {
    const UPSERT: &str = "upsert_attribute_values";
    const LIST: &str = "list_attribute_values";
    let second = Duration::from_secs(1);
    let all: [(Event, &str); 14] = [
        (events::batch_ready(0, UPSERT, 10, 30), "batch_ready"),
        (events::request_started(0, UPSERT, 1), "request_started"),
        (
            events::request_finished(0, UPSERT, Some(200), second),
            "request_finished",
        ),
        (
            events::waiting(0, UPSERT, WaitReason::Quota, second),
            "waiting",
        ),
        (events::split(0, UPSERT, 10, 30), "split"),
        (
            events::size_limit_learned(UPSERT, Some(5), None),
            "size_limit_learned",
        ),
        (events::call_finished(0, UPSERT), "call_finished"),
        (events::page(LIST, 1, 250, Some(300)), "page"),
        (events::total_changed(LIST, 300, 299), "total_changed"),
        (events::outage_started(second), "outage_started"),
        (events::outage_ended(second), "outage_ended"),
        (events::limits_unshared("refused"), "limits_unshared"),
        (events::limits_shared(second), "limits_shared"),
        (events::progress(Summary::default()), "progress"),
    ];
    for (event, name) in &all {
        assert_eq!(valid(event)["event"], *name);
    }
    assert_eq!(
        valid(&all[3].0),
        json!({
            "event": "waiting", "call": 0, "operation": UPSERT, "reason": "quota", "wait_ms": 1000,
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_of_json_rows_reports_json() {
    let (_sandbox, store) = sandbox().await;
    let lines = r#"{"customer": 2048, "attribute": 101, "value": "Yes", "tag": "line 1"}
{"customer": 2048, "attribute": 102, "value": null}
{"customer": 0, "attribute": 102, "value": 7}"#;
    let rows = lines.lines().map(serde_json::from_str::<UpsertRow>);
    let rows = futures::stream::iter(rows.collect::<Vec<_>>());
    let outcomes: Vec<Outcome> = futures::StreamExt::collect(store.upsert().stream(rows)).await;
    let mut kinds: Vec<_> = outcomes
        .iter()
        .map(|outcome| valid(outcome)["kind"].clone())
        .collect();
    kinds.sort_by_key(Value::to_string);
    assert_eq!(kinds, ["rejected", "stored", "unchanged"]);
}

#[tokio::test]
async fn an_outcome_shows_the_customers_key_and_the_id_that_was_found() {
    let sandbox = Sandbox::builder().customer(7, "jane@example.com").start();
    let sandbox = sandbox.await.expect("a sandbox");
    let store = store(sandbox.base_url());
    let rows = ["Jane@example.com", "nobody@example.com"];
    let rows = rows.map(|address| UpsertRow::new(address, 101, "x"));
    let report = store.upsert().rows(rows).send().await.expect("a report");
    let found = valid(&report.outcomes()[0]);
    assert_eq!(
        found["row"],
        json!({"customer": "Jane@example.com", "customer_id": 7, "attribute": 101, "value": "x"})
    );
    // The row of an outcome is read as it was given.
    let row: UpsertRow = serde_json::from_value(found["row"].clone()).expect("a row");
    assert_eq!(row, UpsertRow::new("Jane@example.com", 101, "x"));
    let unknown = valid(&report.outcomes()[1]);
    assert_eq!(unknown["row"].get("customer_id"), None);
    assert_eq!(unknown["error"]["kind"], "invalid_row");
}

#[tokio::test]
async fn a_mirror_and_its_preview_are_valid_by_their_schemas() {
    let sandbox = Sandbox::builder().attribute(101, "Tier").start();
    let sandbox = sandbox.await.expect("a sandbox");
    for (customer, value) in [(1, "Gold"), (2, "Silver"), (3, "Gold")] {
        sandbox.insert(customer, 101, value);
    }
    sandbox.advance(Duration::from_secs(3600));
    let store = store(sandbox.base_url());
    let rows = || {
        let row = |customer: i64| UpsertRow::new(customer, 101, "Gold").with_payload(customer);
        futures::stream::iter([1, 2, 4, 0].map(row))
    };
    let differences: Vec<_> = store.mirror([101]).preview(rows()).collect().await;
    let differences = differences
        .iter()
        .map(|difference| valid(difference.as_ref().expect("a difference")));
    let differences: std::collections::BTreeMap<_, _> = differences
        .map(|json| (json["difference"].to_string(), json))
        .collect();
    let row = |customer| json!({"customer": customer, "attribute": 101, "value": "Gold"});
    assert_eq!(
        differences.values().cloned().collect::<Vec<_>>(),
        [
            json!({"difference": "change", "index": 1, "row": row(2), "old": "Silver"}),
            json!({"difference": "create", "index": 2, "row": row(4)}),
            json!({"difference": "delete", "customer_id": 3, "attribute_id": 101,
                "attribute": "Tier", "value_id": 5003, "old": "Gold"}),
            differences["\"other\""].clone(),
            json!({"difference": "unchanged", "index": 0, "row": row(1)}),
        ]
    );
    assert_eq!(differences["\"other\""]["kind"], "rejected");

    let report = store.mirror([101]).stream(rows()).finish().await;
    let held_back = valid(&report.expect("a report"));
    assert_eq!(held_back["summary"]["held_back"]["kind"], "held_back");
    assert_eq!(held_back["summary"]["held_back"]["row"], json!(null));
    assert_eq!(held_back["failures"][0]["kind"], "rejected");

    let rows = futures::stream::iter([1, 2].map(|customer| UpsertRow::new(customer, 101, "Gold")));
    let mut run = store.mirror([101]).max_deletes(2).stream(rows);
    let mut outcomes = Vec::new();
    while let Some(outcome) = run.next().await {
        outcomes.push(valid(&outcome));
    }
    let deleted = json!({"value_id": 5003, "customer_id": 3, "attribute_id": 101,
        "kind": "deleted"});
    assert!(outcomes.contains(&deleted), "{outcomes:?}");
    let summary = valid(&run.summary());
    assert_eq!(
        (&summary["listed"], &summary["kept"]),
        (&json!(4), &json!(1))
    );
    assert_eq!(summary["is_exact"], false);
}
