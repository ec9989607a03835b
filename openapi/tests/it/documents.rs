//! Tests with documents in the provider's style.

use bigcommerce_openapi::{Document, Prepared};
use serde_json::{Map, Value, json};

use crate::support::{
    CUSTOMERS, assert_has_our_names, assert_same, assert_same_types, code, differences, file,
    inline, operation, vendored,
};

fn source(name: &str) -> Value {
    let text = std::fs::read_to_string(file(name)).expect("the file exists");
    serde_norway::from_str(&text).expect("is YAML or JSON")
}

fn prepare(name: &str) -> Result<Prepared, String> {
    Document::load(&file(name))
        .and_then(Document::prepare)
        .map_err(|error| error.to_string())
}

/// Returns the document with our `GET /customers`, because its own has more parameters and fields.
fn with_our_customers(mut root: Value) -> Value {
    let mut ours = vendored();
    inline(&mut ours, "#/components/");
    let get = operation(&mut ours, CUSTOMERS, "get").take();
    let paths = root["paths"].as_object_mut().expect("is an object");
    let item = paths.iter_mut().find(|(path, _)| path.ends_with(CUSTOMERS));
    item.expect("the path exists").1["get"] = get;
    root
}

#[test]
fn the_providers_document_generates_the_same_types() {
    assert_same_types(&with_our_customers(source("provider.yaml")), &vendored());
}

#[test]
fn every_document_of_the_provider_has_our_names() {
    for (name, additions) in [
        (
            "provider.yaml",
            [
                "pub fn registration_ip_address_in<",
                "pub shopper_profile_id:",
            ],
        ),
        (
            "provider-whole.yaml",
            [
                "pub fn name_like<",
                "pub trigger_account_created_notification:",
            ],
        ),
        (
            "provider-prefixed.json",
            ["pub fn include<", "pub per_page:"],
        ),
    ] {
        let document = source(name);
        assert_has_our_names(&document);
        let (client, _) = code(&prepare(name).expect("can be prepared"));
        for addition in additions {
            assert!(client.contains(addition), "{name}: {addition}");
        }
        for sub_resource in ["addresses", "authentication", "form_fields", "segment_ids"] {
            assert!(
                !client.contains(&format!("pub {sub_resource}:")),
                "{name}: {sub_resource}"
            );
        }
    }
}

#[test]
fn the_providers_whole_document_generates_the_same_code() {
    let whole = source("provider-whole.yaml");
    assert_eq!(whole["paths"].as_object().map(Map::len), Some(13));
    // Beside other customers, it types numbers in other ways, and has paths that the SDK doesn't bind.
    let is_expected = |difference: &String| {
        difference.starts_with("ignored: ")
            || difference.contains(": format is ")
            || difference.ends_with(": type is number, was integer")
    };
    let found = differences(&vendored(), &whole);
    let is_of_customers =
        |difference: &String| difference.contains(": GET /customers: ") || is_expected(difference);
    assert!(found.iter().all(is_of_customers), "{found:#?}");
    let whole = with_our_customers(whole);
    assert_same(&whole, &vendored());
    let found = differences(&vendored(), &whole);
    assert!(found.iter().all(is_expected), "{found:#?}");
}

#[test]
fn a_newer_document_adds_only_its_new_request_field() {
    let mut newer = vendored();
    newer["components"]["schemas"]["AttributeValueUpsert"]["properties"]["source"] =
        json!({"type": "string", "maxLength": 64});
    assert_same_types(
        &with_our_customers(source("provider-prefixed.json")),
        &newer,
    );

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
