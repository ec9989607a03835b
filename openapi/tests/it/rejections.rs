//! Tests that an unusable document is rejected with one line that gives the reason.

use std::path::Path;

use bigcommerce_openapi::{Document, VENDORED};
use serde_json::{Value, json};

use crate::support::{
    ATTRIBUTES, CUSTOMERS, OPERATIONS, VALUES, operation, prepare, remove, vendored,
};

#[track_caller]
fn rejected(change: impl Fn(&mut Value)) -> String {
    let mut root = vendored();
    change(&mut root);
    let message = prepare(&root).expect_err("is rejected");
    assert!(!message.contains('\n'), "{message}");
    message
}

/// Returns the error for a text that can't be parsed.
fn parse_error(text: &str) -> String {
    let error = Document::parse("some.yaml", text).expect_err("is rejected");
    assert_eq!(format!("{error:?}"), error.to_string());
    assert!(!error.to_string().contains('\n'), "{error}");
    error.to_string()
}

#[test]
fn a_text_that_is_no_openapi_3_0_document_is_rejected() {
    for (text, message) in [
        ("", "some.yaml: is empty"),
        (" \n", "some.yaml: is empty"),
        ("a: [", "some.yaml: is neither YAML nor JSON: "),
        ("{\"a\": ", "some.yaml: is not valid JSON: "),
        ("just text", "some.yaml: is not an OpenAPI document: "),
        ("[1, 2]", "some.yaml: is not an OpenAPI document: "),
        ("paths: {}", "some.yaml: is not an OpenAPI document: "),
        ("swagger: '2.0'", "some.yaml: is Swagger 2.0, but "),
        ("swagger: 2.0", "some.yaml: is Swagger 2.0, but "),
        (
            "openapi: 3.1.0",
            "some.yaml: is OpenAPI 3.1.0, but only OpenAPI 3.0 is supported",
        ),
        ("openapi: 4", "some.yaml: is OpenAPI 4, but only"),
    ] {
        let actual = parse_error(text);
        assert!(actual.starts_with(message), "{text:?}: {actual}");
    }
}

#[test]
fn a_version_without_its_last_part_is_3_0() {
    for version in ["3.0", "'3.0'", "3.0.0", "3.0.4"] {
        let text = VENDORED.replace("openapi: 3.0.3", &format!("openapi: {version}"));
        assert!(Document::parse("some.yaml", &text).is_ok(), "{version}");
    }
}

#[test]
fn a_missing_file_is_rejected() {
    let error = Document::load(Path::new("/nowhere/customers.yaml")).expect_err("does not exist");
    let message = error.to_string();
    assert!(
        message.starts_with("/nowhere/customers.yaml: can't be read: "),
        "{message}"
    );
}

#[test]
fn a_new_required_request_field_is_named() {
    let message = rejected(|root| {
        let row = &mut root["components"]["schemas"]["AttributeCreate"];
        row["properties"]["group"] = json!({"type": "string"});
        row["required"] = json!(["name", "type", "group"]);
    });
    assert_eq!(
        message,
        "test.json: POST /customers/attributes: request field \"group\" is required, but \
         bigcommerce-ext does not send it; update the SDK, which is older than this document"
    );
}

#[test]
fn a_missing_operation_or_path_is_named() {
    for (path, method) in OPERATIONS {
        let message = rejected(|root| {
            remove(&mut root["paths"][path], method);
        });
        let method = method.to_uppercase();
        assert_eq!(
            message,
            format!("test.json: {path}: {method} is missing, but the SDK needs it")
        );
    }
    for path in [VALUES, ATTRIBUTES, CUSTOMERS] {
        let message = rejected(|root| {
            remove(&mut root["paths"], path);
        });
        assert_eq!(
            message,
            format!(
                "test.json: {path} is missing, but the SDK needs it (with or without the prefix \
                 /stores/{{store_hash}}/v3)"
            )
        );
    }
    let message = rejected(|root| root["paths"] = json!({}));
    assert!(message.contains("/customers/attribute-values is missing"));
}

#[test]
fn a_missing_response_field_or_parameter_is_named() {
    let message = rejected(|root| {
        remove(
            &mut root["components"]["schemas"]["AttributeValue"]["properties"],
            "customer_id",
        );
    });
    assert_eq!(
        message,
        "test.json: GET /customers/attribute-values: response field \"data[].customer_id\" is \
         missing, but the SDK needs it"
    );
    let message = rejected(|root| {
        let customer = &mut root["components"]["schemas"]["Customer"];
        remove(&mut customer["properties"], "email");
    });
    assert_eq!(
        message,
        "test.json: GET /customers: response field \"data[].email\" is missing, but the SDK needs it"
    );
    let message = rejected(|root| {
        operation(root, VALUES, "delete")["parameters"] = json!([]);
    });
    assert!(message.contains("DELETE /customers/attribute-values: query parameter \"id:in\""));
    let message = rejected(|root| {
        operation(root, ATTRIBUTES, "get")["parameters"] = json!([]);
    });
    assert!(message.contains("GET /customers/attributes: query parameter \"page\""));
}

#[test]
fn a_missing_attribute_type_is_named() {
    let message = rejected(|root| {
        root["components"]["schemas"]["AttributeType"]["enum"] = json!(["string", "number"]);
    });
    assert_eq!(
        message,
        "test.json: POST /customers/attributes: request field \"type\" does not allow \"date\", but \
         the SDK needs it"
    );
    let message = rejected(|root| {
        root["components"]["schemas"]["AttributeType"] = json!({"type": "integer"});
    });
    assert!(message.ends_with("request field \"type\" is integer, but the SDK needs string"));
}

#[test]
fn a_parameter_in_an_unknown_place_is_rejected() {
    let message = rejected(|root| {
        root["components"]["parameters"]["Page"]["in"] = "Query".into();
    });
    assert_eq!(
        message,
        "test.json: GET /customers/attribute-values: parameter \"page\" is in \"Query\", which is not \
         valid in OpenAPI 3.0"
    );
}

#[test]
fn dangling_and_circular_references_are_named() {
    let message = rejected(|root| {
        remove(&mut root["components"]["schemas"], "PageMeta");
    });
    assert!(message.starts_with("test.json: #/components/schemas/PageMeta: is referenced"));
    let message = rejected(|root| {
        root["components"]["schemas"]["PageLinks"]["properties"]["up"] =
            json!({"$ref": "#/components/schemas/PageMeta"});
    });
    assert!(message.starts_with("test.json: #/components/schemas/PageMeta: refers back to itself"));
    let message = rejected(|root| {
        root["components"]["parameters"]["Page"] = json!({"$ref": "#/components/parameters/Page"});
    });
    assert!(message.starts_with("test.json: #/components/parameters/Page: refers back"));
}

#[test]
fn a_choice_between_objects_is_rejected() {
    let message = rejected(|root| {
        let row = &mut root["components"]["schemas"]["AttributeValueUpsert"];
        *row = json!({"oneOf": [{"type": "object"}, {"type": "string"}]});
    });
    assert!(message.contains("request is not an array of objects (oneOf and anyOf"));
    let message = rejected(|root| {
        let value = &mut root["components"]["schemas"]["AttributeValue"];
        *value = json!({"anyOf": [value.take(), {"type": "string"}]});
    });
    assert!(message.contains("response field \"data[].attribute_id\" is missing"));
    let message = rejected(|root| {
        let row = &mut root["components"]["schemas"]["AttributeCreate"];
        *row = json!({"oneOf": [{"type": "object"}, {"type": "string"}]});
    });
    assert!(message.contains("POST /customers/attributes: request is not an array of objects"));
}

#[test]
fn documents_nested_too_deeply_are_rejected() {
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    parse_error(&deep);
    parse_error(&format!("{{\"a\": {deep}}}"));
    // Parsing these would take more than a minute.
    for open in ["[", "{\"a\":", "- ", "a: {"] {
        parse_error(&open.repeat(100_000));
    }
    let message = rejected(|root| {
        for level in 0..500 {
            let next = json!({"$ref": format!("#/components/schemas/L{}", level + 1)});
            root["components"]["schemas"][format!("L{level}")] =
                json!({"type": "object", "properties": {"a": next}});
        }
        root["components"]["schemas"]["PageLinks"] = json!({"$ref": "#/components/schemas/L0"});
    });
    assert!(message.contains("nested too deeply"), "{message}");
    assert!(Document::parse("vendored", VENDORED).is_ok());
    // Brackets in descriptions don't count as nesting.
    let mut root = vendored();
    root["info"]["description"] = "[".repeat(1_000).into();
    assert!(prepare(&root).is_ok());
}
