//! Tests with documents in the provider's style.

use bigcommerce_openapi::{Document, Prepared};
use serde_json::{Map, Value, json};

use crate::support::{assert_covers, code, differences, file, vendored};

fn source(name: &str) -> Value {
    let text = std::fs::read_to_string(file(name)).expect("the file exists");
    serde_norway::from_str(&text).expect("is YAML or JSON")
}

fn prepare(name: &str) -> Result<Prepared, String> {
    Document::load(&file(name))
        .and_then(Document::prepare)
        .map_err(|error| error.to_string())
}

#[test]
fn the_providers_document_generates_the_same_items_and_more() {
    assert_covers(&source("provider.yaml"), &vendored());
}

#[test]
fn the_providers_whole_document_generates_the_same_items_and_more() {
    let whole = source("provider-whole.yaml");
    assert_eq!(whole["paths"].as_object().map(Map::len), Some(13));
    assert_covers(&whole, &vendored());
    // The whole document has more of customers than the SDK uses.
    let more = "compatible: GET /customers: ";
    let differences = differences(&vendored(), &whole);
    let others: Vec<_> = differences
        .iter()
        .filter(|text| !text.starts_with(more))
        .collect();
    assert!(
        others.is_empty() && differences.len() > 10,
        "{differences:#?}"
    );
}

#[test]
fn a_newer_document_adds_only_its_new_request_field() {
    let mut newer = vendored();
    newer["components"]["schemas"]["AttributeValueUpsert"]["properties"]["source"] =
        json!({"type": "string", "maxLength": 64});
    assert_covers(&source("provider-prefixed.json"), &newer);

    let (client, _) = code(&prepare("provider-prefixed.json").expect("can be prepared"));
    let field = "pub source: ::std::option::Option<AttributeValueUpsertSource>";
    assert!(client.contains(field));
}

#[test]
fn an_unusable_document_is_rejected_with_its_name_and_the_reason() {
    for (name, message) in [
        (
            "requires-new-field.yaml",
            "request field \"customer_group_id\" is required",
        ),
        ("lacks-delete.yaml", "DELETE is missing"),
        (
            "lacks-customer-id.yaml",
            "request field \"customer_id\" is missing",
        ),
        (
            "lacks-attribute-name.yaml",
            "GET /customers/attributes: response field \"data[].name\" is missing",
        ),
    ] {
        let error = prepare(name).expect_err("is rejected");
        assert!(error.contains(name) && error.contains(message), "{error}");
    }
}
