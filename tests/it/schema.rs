//! The types' JSON Schemas say what the document says.

use bigcommerce_sdk::{IdList, types};
use serde_json::{Value, json};

fn schema<T: schemars::JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

#[test]
fn what_is_sent_keeps_its_constraints() {
    let schema = schema::<types::AttributeValueUpsert>();
    let mut required: Vec<_> = schema["required"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    required.sort_unstable();
    assert_eq!(required, ["attribute_id", "customer_id", "value"]);
    let text = schema.to_string();
    assert!(text.contains(r#""maxLength":255"#), "{text}");
    let id = &schema["properties"]["id"];
    assert_eq!(id["type"], "integer", "optional, and not nullable");
    assert_eq!(id["format"], "int64");
}

#[test]
fn an_attribute_to_create_has_one_of_three_types() {
    let schema = schema::<types::AttributeCreate>();
    let mut required: Vec<_> = schema["required"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    required.sort_unstable();
    assert_eq!(required, ["name", "type"]);
    assert_eq!(schema["properties"]["name"]["type"], "string");
    let kind = &schema["$defs"]["AttributeType"];
    assert_eq!(kind["type"], "string");
    assert_eq!(kind["enum"], json!(["string", "number", "date"]));
    let kinds = [
        types::AttributeType::String,
        types::AttributeType::Number,
        types::AttributeType::Date,
    ];
    assert_eq!(json!(kinds), kind["enum"]);
}

#[test]
fn answers_are_described_without_lengths() {
    for text in [
        schema::<types::AttributeValuePage>().to_string(),
        schema::<types::AttributePage>().to_string(),
    ] {
        assert!(!text.contains("maxLength"), "{text}");
        assert!(text.contains(r#""format":"date-time""#), "{text}");
    }
    let attribute = schema::<types::Attribute>();
    assert_eq!(attribute["properties"]["type"]["type"], "string");
    assert_eq!(attribute["properties"]["type"].get("enum"), None);
}

#[test]
fn a_list_of_ids_is_a_text() {
    let schema = schema::<IdList>();
    assert_eq!(schema["type"], json!("string"));
}
