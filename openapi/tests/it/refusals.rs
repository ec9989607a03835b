//! Documents that can't be used are refused with one line that says why.

use std::path::Path;

use bigcommerce_openapi::{Document, VENDORED};
use serde_json::{Value, json};

use crate::support::{ATTRIBUTES, OPERATIONS, VALUES, operation, prepare, remove, vendored};

#[track_caller]
fn refused(change: impl Fn(&mut Value)) -> String {
    let mut root = vendored();
    change(&mut root);
    let message = prepare(&root).expect_err("is refused");
    assert!(!message.contains('\n'), "{message}");
    message
}

fn unreadable(text: &str) -> String {
    let error = Document::parse("some.yaml", text).expect_err("is refused");
    assert_eq!(format!("{error:?}"), error.to_string());
    assert!(!error.to_string().contains('\n'), "{error}");
    error.to_string()
}

#[test]
fn what_is_no_openapi_3_0_document() {
    for (text, message) in [
        ("", "some.yaml: is empty"),
        (" \n", "some.yaml: is empty"),
        ("a: [", "some.yaml: is neither YAML nor JSON: "),
        ("{\"a\": ", "some.yaml: is not valid JSON: "),
        ("just text", "some.yaml: is not an OpenAPI document: "),
        ("[1, 2]", "some.yaml: is not an OpenAPI document: "),
        ("paths: {}", "some.yaml: is not an OpenAPI document: "),
        ("swagger: '2.0'", "some.yaml: is Swagger 2.0; "),
        ("swagger: 2.0", "some.yaml: is Swagger 2.0; "),
        (
            "openapi: 3.1.0",
            "some.yaml: is OpenAPI 3.1.0; only OpenAPI 3.0.x",
        ),
        ("openapi: 4", "some.yaml: is OpenAPI 4; only OpenAPI 3.0.x"),
    ] {
        let actual = unreadable(text);
        assert!(actual.starts_with(message), "{text:?}: {actual}");
    }
}

#[test]
fn a_file_that_is_not_there() {
    let error = Document::load(Path::new("/nowhere/customers.yaml")).expect_err("is not there");
    let message = error.to_string();
    assert!(
        message.starts_with("/nowhere/customers.yaml: can't be read: "),
        "{message}"
    );
}

#[test]
fn a_new_required_request_field() {
    let message = refused(|root| {
        let row = &mut root["components"]["schemas"]["AttributeValueUpsert"];
        row["properties"]["customer_group_id"] = json!({"type": "integer"});
        row["required"] = json!(["attribute_id", "value", "customer_id", "customer_group_id"]);
    });
    assert_eq!(
        message,
        "test.json: PUT /customers/attribute-values: request field \"customer_group_id\" is \
         required there, but bigcommerce-ext does not send it: this SDK is older than the document"
    );
    let message = refused(|root| {
        let row = &mut root["components"]["schemas"]["AttributeCreate"];
        row["properties"]["group"] = json!({"type": "string"});
        row["required"] = json!(["name", "type", "group"]);
    });
    assert_eq!(
        message,
        "test.json: POST /customers/attributes: request field \"group\" is required there, but \
         bigcommerce-ext does not send it: this SDK is older than the document"
    );
}

#[test]
fn an_operation_or_path_that_is_missing() {
    for (path, method) in OPERATIONS {
        let message = refused(|root| {
            remove(&mut root["paths"][path], method);
        });
        let method = method.to_uppercase();
        assert_eq!(
            message,
            format!("test.json: {path}: {method} is missing, which the SDK needs")
        );
    }
    for path in [VALUES, ATTRIBUTES] {
        let message = refused(|root| {
            remove(&mut root["paths"], path);
        });
        assert_eq!(
            message,
            format!(
                "test.json: {path} is missing; the SDK binds that path, with or without \
                 /stores/{{store_hash}}/v3 before it"
            )
        );
    }
    let message = refused(|root| root["paths"] = json!({}));
    assert!(message.contains("/customers/attribute-values is missing"));
}

#[test]
fn a_field_or_parameter_that_is_missing() {
    let message = refused(|root| {
        remove(
            &mut root["components"]["schemas"]["AttributeValue"]["properties"],
            "customer_id",
        );
    });
    assert_eq!(
        message,
        "test.json: GET /customers/attribute-values: answer field \"data[].customer_id\" is \
         missing, which the SDK needs"
    );
    let message = refused(|root| {
        operation(root, VALUES, "delete")["parameters"] = json!([]);
    });
    assert!(message.contains("DELETE /customers/attribute-values: query parameter \"id:in\""));
    let message = refused(|root| {
        operation(root, ATTRIBUTES, "get")["parameters"] = json!([]);
    });
    assert!(message.contains("GET /customers/attributes: query parameter \"page\""));
    for name in ["id", "name", "type"] {
        let message = refused(|root| {
            let attribute = &mut root["components"]["schemas"]["Attribute"];
            remove(&mut attribute["properties"], name);
        });
        assert_eq!(
            message,
            format!(
                "test.json: GET /customers/attributes: answer field \"data[].{name}\" is missing, \
                 which the SDK needs"
            )
        );
    }
    for name in ["name", "type"] {
        let message = refused(|root| {
            let row = &mut root["components"]["schemas"]["AttributeCreate"];
            remove(&mut row["properties"], name);
        });
        assert_eq!(
            message,
            format!(
                "test.json: POST /customers/attributes: request field \"{name}\" is missing, \
                 which the SDK needs"
            )
        );
    }
}

#[test]
fn a_type_of_attribute_that_can_not_be_made() {
    let message = refused(|root| {
        root["components"]["schemas"]["AttributeType"]["enum"] = json!(["string", "number"]);
    });
    assert_eq!(
        message,
        "test.json: POST /customers/attributes: request field \"type\" does not take \"date\", which \
         the SDK needs"
    );
    let message = refused(|root| {
        root["components"]["schemas"]["AttributeType"] = json!({"type": "integer"});
    });
    assert!(message.ends_with("request field \"type\" is integer, but the SDK needs string"));
}

#[test]
fn a_parameter_that_is_nowhere() {
    let message = refused(|root| {
        root["components"]["parameters"]["Page"]["in"] = "Query".into();
    });
    assert_eq!(
        message,
        "test.json: GET /customers/attribute-values: parameter \"page\" is in \"Query\", which OpenAPI \
         3.0 does not know"
    );
}

#[test]
fn references_that_lead_nowhere() {
    let message = refused(|root| {
        remove(&mut root["components"]["schemas"], "PageMeta");
    });
    assert!(message.starts_with("test.json: #/components/schemas/PageMeta: is referred to"));
    let message = refused(|root| {
        root["components"]["schemas"]["PageLinks"]["properties"]["up"] =
            json!({"$ref": "#/components/schemas/PageMeta"});
    });
    assert!(message.starts_with("test.json: #/components/schemas/PageMeta: refers back to itself"));
    let message = refused(|root| {
        root["components"]["parameters"]["Page"] = json!({"$ref": "#/components/parameters/Page"});
    });
    assert!(message.starts_with("test.json: #/components/parameters/Page: refers back"));
}

#[test]
fn objects_that_could_be_one_of_several() {
    let message = refused(|root| {
        let row = &mut root["components"]["schemas"]["AttributeValueUpsert"];
        *row = json!({"oneOf": [{"type": "object"}, {"type": "string"}]});
    });
    assert!(message.contains("request is not an array of objects (oneOf and anyOf"));
    let message = refused(|root| {
        let value = &mut root["components"]["schemas"]["AttributeValue"];
        *value = json!({"anyOf": [value.take(), {"type": "string"}]});
    });
    assert!(message.contains("answer field \"data[].attribute_id\" is missing"));
    let message = refused(|root| {
        let row = &mut root["components"]["schemas"]["AttributeCreate"];
        *row = json!({"oneOf": [{"type": "object"}, {"type": "string"}]});
    });
    assert!(message.contains("POST /customers/attributes: request is not an array of objects"));
}

#[test]
fn depth_is_bounded() {
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    unreadable(&deep);
    unreadable(&format!("{{\"a\": {deep}}}"));
    // Far more than a parser could take in a minute.
    for open in ["[", "{\"a\":", "- ", "a: {"] {
        unreadable(&open.repeat(100_000));
    }
    let message = refused(|root| {
        for level in 0..500 {
            let next = json!({"$ref": format!("#/components/schemas/L{}", level + 1)});
            root["components"]["schemas"][format!("L{level}")] =
                json!({"type": "object", "properties": {"a": next}});
        }
        root["components"]["schemas"]["PageLinks"] = json!({"$ref": "#/components/schemas/L0"});
    });
    assert!(message.contains("nested too deep"), "{message}");
    assert!(Document::parse("vendored", VENDORED).is_ok());
    // Brackets in prose are no nesting.
    let mut root = vendored();
    root["info"]["description"] = "[".repeat(1_000).into();
    assert!(prepare(&root).is_ok());
}
