//! The types' JSON Schemas have the document's constraints: its examples are valid, and values that
//! break a constraint are not.

use bigcommerce_openapi::VENDORED;
use bigcommerce_sdk::{IdList, TextList, types};
use jsonschema::Validator;
use serde_json::{Value, json};

fn schema<T: schemars::JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

fn validator<T: schemars::JsonSchema>() -> Validator {
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema::<T>()).expect("a JSON Schema")
}

/// Checks that the examples are valid, and that each change makes the first one invalid. A change is
/// a JSON pointer and the new value there (`None` removes the field).
#[track_caller]
fn check<T>(examples: &[Value], changes: &[(&str, Option<Value>)])
where
    T: schemars::JsonSchema + serde::Serialize + serde::de::DeserializeOwned,
{
    let validator = validator::<T>();
    for example in examples {
        let errors: Vec<_> = validator.iter_errors(example).collect();
        assert!(errors.is_empty(), "{example}: {errors:?}");
        // The type serializes to what its schema describes.
        let value: T = serde_json::from_value(example.clone()).expect("a value of the type");
        assert!(validator.is_valid(&json!(value)), "{example}");
    }
    for (pointer, value) in changes {
        let mut changed = examples[0].clone();
        let (owner, key) = pointer.rsplit_once('/').expect("a JSON pointer");
        let owner = changed.pointer_mut(owner).expect("a parent");
        let owner = owner.as_object_mut().expect("an object");
        match value {
            Some(value) => owner.insert(key.to_owned(), value.clone()),
            None => owner.remove(key),
        };
        assert!(!validator.is_valid(&changed), "{pointer}: {value:?}");
    }
}

fn text(length: usize) -> Value {
    "\u{e9}".repeat(length).into()
}

#[test]
fn the_schema_of_a_value_to_store() {
    let row = json!({"attribute_id": 101, "value": "Yes", "customer_id": 2048, "id": 5001});
    let mut full = row.clone();
    full["value"] = text(255);
    let empty = json!({"attribute_id": 101, "value": "", "customer_id": 2048});
    check::<types::AttributeValueUpsert>(
        &[row, full, empty],
        &[
            ("/attribute_id", None),
            ("/value", None),
            ("/customer_id", None),
            ("/attribute_id", Some(json!("101"))),
            ("/customer_id", Some(json!(1.5))),
            ("/value", Some(json!(7))),
            ("/value", Some(text(256))),
            // Optional fields are not nullable.
            ("/id", Some(Value::Null)),
            ("/value", Some(Value::Null)),
        ],
    );
}

#[test]
fn the_schema_of_a_stored_value() {
    let value = json!({
        "id": 5001,
        "attribute_id": 101,
        "attribute_value": "Yes",
        "customer_id": 2048,
        "date_created": "2024-06-10T14:22:00Z",
        "date_modified": "2024-06-10T14:22:00Z",
    });
    let mut full = value.clone();
    full["attribute_value"] = text(255);
    check::<types::AttributeValue>(
        &[value, full],
        &[
            ("/attribute_id", None),
            ("/attribute_value", None),
            ("/customer_id", None),
            ("/attribute_value", Some(json!(7))),
            ("/attribute_value", Some(text(256))),
            ("/id", Some(Value::Null)),
            ("/date_created", Some(json!("10 June"))),
            ("/date_modified", Some(Value::Null)),
        ],
    );
    // Responses that break the document's constraints are accepted all the same.
    let other = json!({"attribute_id": 1, "attribute_value": text(300), "customer_id": 2});
    let value: types::AttributeValue = serde_json::from_value(other).expect("a value");
    assert_eq!(value.attribute_value.chars().count(), 300);
    assert_eq!((value.id, value.date_created), (None, None));
}

#[test]
fn the_schemas_of_an_attribute_and_of_one_to_create_or_rename() {
    let kinds = [
        types::AttributeType::String,
        types::AttributeType::Number,
        types::AttributeType::Date,
    ];
    let create = |kind: &types::AttributeType| json!({"name": "Loyalty tier", "type": kind});
    check::<types::AttributeCreate>(
        &kinds.each_ref().map(create),
        &[
            ("/name", None),
            ("/type", None),
            ("/name", Some(Value::Null)),
            ("/name", Some(text(0))),
            ("/name", Some(text(256))),
            ("/type", Some(json!("flag"))),
            ("/type", Some(Value::Null)),
        ],
    );
    check::<types::AttributeUpdate>(
        &[
            json!({"id": 101, "name": text(1)}),
            json!({"id": 101, "name": text(255)}),
        ],
        &[
            ("/id", None),
            ("/name", None),
            ("/id", Some(Value::Null)),
            ("/name", Some(Value::Null)),
            ("/name", Some(text(0))),
            ("/name", Some(text(256))),
        ],
    );
    let attribute = json!({
        "id": 101,
        "name": "Loyalty tier",
        "type": "string",
        "date_created": "2024-06-10T14:22:00Z",
    });
    check::<types::Attribute>(
        &[attribute],
        &[
            ("/id", None),
            ("/name", None),
            ("/type", None),
            ("/id", Some(json!("101"))),
            ("/date_created", Some(json!(2024))),
            ("/date_modified", Some(Value::Null)),
        ],
    );
    let newer = json!({"id": 102, "name": "", "type": "flag"});
    let newer: types::Attribute = serde_json::from_value(newer).expect("an attribute");
    assert_eq!(newer.type_, "flag");
}

#[test]
fn the_schema_of_a_customer() {
    let customer = json!({
        "id": 2048,
        "email": "jane@example.com",
        "first_name": "Jane",
        "last_name": "Example",
        "customer_group_id": 2,
        "date_created": "2024-06-10T14:22:00Z",
        "channel_ids": [1, 2],
    });
    let mut of_all_channels = customer.clone();
    of_all_channels["channel_ids"] = Value::Null;
    check::<types::Customer>(
        &[customer, of_all_channels],
        &[
            ("/id", None),
            ("/email", None),
            ("/id", Some(json!("2048"))),
            ("/email", Some(Value::Null)),
            ("/first_name", Some(json!(7))),
            ("/customer_group_id", Some(json!(1.5))),
            ("/date_created", Some(json!("10 June"))),
            ("/channel_ids", Some(json!(["1"]))),
            ("/channel_ids", Some(json!(1))),
        ],
    );
}

#[test]
fn the_schemas_of_pages() {
    let root: Value = serde_norway::from_str(VENDORED).expect("YAML");
    let example = |name: &str| {
        let pointer = format!("/components/responses/{name}/content/application~1json/example");
        root.pointer(&pointer).expect("an example").clone()
    };
    let changes = [
        ("/data", None),
        ("/data", Some(Value::Null)),
        ("/data", Some(json!([{}]))),
        ("/meta", Some(Value::Null)),
        ("/meta/pagination", Some(Value::Null)),
        ("/meta/pagination/total", Some(json!("3"))),
        ("/meta/pagination/links", Some(Value::Null)),
        ("/meta/pagination/links/next", Some(Value::Null)),
    ];
    let empty = json!({"data": []});
    let page = example("AttributeValuePage");
    check::<types::AttributeValuePage>(&[page.clone(), empty.clone()], &changes);
    check::<types::AttributePage>(&[example("AttributePage"), empty.clone()], &changes);
    check::<types::CustomerPage>(&[example("CustomerPage"), empty], &changes);
    let cursors = example("CustomerPage")["meta"]["cursor_pagination"].clone();
    let end = ("/end_cursor", Some(json!(7)));
    check::<types::CursorPagination>(&[cursors, json!({})], &[end]);
    let meta = page["meta"].clone();
    let total = ("/pagination/total", Some(json!(null)));
    check::<types::PageMeta>(&[meta.clone(), json!({})], &[total]);
    let pagination = meta["pagination"].clone();
    check::<types::Pagination>(
        &[pagination.clone(), json!({})],
        &[("/count", Some(json!([])))],
    );
    let links = pagination["links"].clone();
    check::<types::PageLinks>(&[links, json!({})], &[("/next", Some(json!(0)))]);
}

#[test]
fn the_schema_of_an_error() {
    let error = json!({
        "status": 422,
        "title": "The request could not be processed.",
        "type": "https://example.com",
        "errors": {"0.value": "The value is too long."},
    });
    let mut examples = vec![error.clone()];
    for errors in [json!([]), json!({}), json!(null), json!("text")] {
        let mut other = error.clone();
        other["errors"] = errors;
        examples.push(other);
    }
    examples.push(json!({}));
    check::<types::ErrorBody>(
        &examples,
        &[
            ("/status", Some(json!("422"))),
            ("/title", Some(Value::Null)),
        ],
    );
}

#[test]
fn the_schema_of_a_list_is_a_string() {
    for schema in [schema::<IdList>(), schema::<TextList>()] {
        assert_eq!(schema["type"], json!("string"));
    }
}
