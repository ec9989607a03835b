//! Tests that a newer document's additions appear in the generated code.

use serde_json::{Value, json};

use crate::support::{ATTRIBUTES, VALUES, code, operation, prepare, vendored};

fn generated(change: impl Fn(&mut Value)) -> (String, String) {
    let mut root = vendored();
    change(&mut root);
    code(&prepare(&root).expect("can be prepared"))
}

#[test]
fn every_component_has_a_type_and_a_json_schema() {
    let prepared = prepare(&vendored()).expect("can be prepared");
    let (client, httpmock) = code(&prepared);
    let components = prepared.document()["components"]["schemas"].as_object();
    let names: Vec<_> = components
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        [
            "Attribute",
            "AttributeCreate",
            "AttributeCreateName",
            "AttributePage",
            "AttributeType",
            "AttributeUpdate",
            "AttributeUpdateName",
            "AttributeValue",
            "AttributeValuePage",
            "AttributeValueUpsert",
            "AttributeValueUpsertValue",
            "CursorPagination",
            "Customer",
            "CustomerPage",
            "ErrorBody",
            "IdList",
            "PageLinks",
            "PageMeta",
            "Pagination",
            "TextList",
        ]
    );
    for name in names {
        let is_ours = name == "IdList" || name == "TextList";
        let is_defined = ["struct", "enum"].into_iter().any(|kind| {
            let definition = format!("pub {kind} {name} {{");
            let tuple = format!("pub {kind} {name}(");
            client.contains(&definition) || client.contains(&tuple)
        });
        assert_ne!(is_defined, is_ours, "{name}");
        let schema = format!("impl ::schemars::JsonSchema for types::{name} ");
        assert_ne!(client.contains(&schema), is_ours, "{name}");
    }
    for method in [
        "list_attribute_values",
        "upsert_attribute_values",
        "delete_attribute_values",
        "list_attributes",
        "create_attributes",
        "update_attributes",
        "delete_attributes",
        "list_customers",
    ] {
        let method = format!("fn {method}");
        for signature in [format!("{method}(&self)"), format!("{method}<F>(&self")] {
            assert!(client.contains(&signature) || httpmock.contains(&signature));
        }
    }
}

#[test]
fn new_parameters_and_fields_appear() {
    let (client, httpmock) = generated(|root| {
        for (path, sort) in [(VALUES, "sort"), (ATTRIBUTES, "order")] {
            let get = operation(root, path, "get")["parameters"].as_array_mut();
            get.expect("is a list").extend([
                json!({"name": "channel_id:in", "in": "query", "schema": {"type": "array"}}),
                json!({"name": sort, "in": "query", "schema": {"type": "string", "enum": ["a"]}}),
            ]);
        }
        let schemas = &mut root["components"]["schemas"];
        schemas["AttributeValue"]["properties"]["author"] =
            json!({"type": "object", "properties": {"email": {"type": "string"}}});
        schemas["AttributeValue"]["properties"]["tags"] =
            json!({"type": "array", "items": {"type": "string"}});
        schemas["AttributeValue"]["properties"]["labels"] = json!({"type": "object"});
        schemas["AttributeValueUpsert"]["properties"]["mode"] =
            json!({"type": "string", "enum": ["replace", "keep"], "nullable": true});
        schemas["Attribute"]["properties"]["group"] =
            json!({"type": "object", "properties": {"rank": {"type": "integer"}}});
        schemas["AttributeCreate"]["properties"]["note"] =
            json!({"type": "string", "maxLength": 9});
        schemas["AttributeType"]["enum"] = json!(["flag", "number", "date", "string"]);
        schemas["PageMeta"]["properties"]["cursor"] =
            json!({"type": "object", "properties": {"after": {"type": "string"}}});
    });
    for expected in [
        "pub fn channel_id_in<",
        "pub fn sort<",
        "pub author: ::std::option::Option<AttributeValueAuthor>",
        // A response with null is accepted.
        "pub tags: ::std::option::Option<::std::vec::Vec<::std::string::String>>",
        "pub labels: ::std::option::Option<",
        "pub mode: ::std::option::Option<AttributeValueUpsertMode>",
        "impl ::schemars::JsonSchema for types::AttributeValueUpsertMode ",
        "pub fn order<",
        "pub group: ::std::option::Option<AttributeGroup>",
        "pub note: ::std::option::Option<AttributeCreateNote>",
        "pub type_: AttributeType,",
        "Date,\n        #[serde(rename = \"flag\")]\n        Flag,",
        // Both page types share it.
        "pub cursor: ::std::option::Option<PageMetaCursor>",
    ] {
        assert!(client.contains(expected), "{expected}");
    }
    assert_eq!(client.matches("pub fn channel_id_in<").count(), 2);
    assert_eq!(client.matches("pub struct PageMeta ").count(), 2);
    assert_eq!(httpmock.matches("pub fn channel_id_in<").count(), 2);
}

/// Each of these schemas makes the bare generator panic, fail or add a dependency.
#[test]
fn a_schema_of_any_kind_can_be_generated() {
    let string = |key: &str, value: Value| json!({"type": "string", key: value});
    for schema in [
        json!({}),
        json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"not": {"type": "string"}}),
        json!({"type": "object", "additionalProperties": {"type": "integer"}}),
        json!({"type": "object", "required": ["ghost"], "properties": {"a": {}}}),
        json!({"type": "array", "minItems": 2, "maxItems": 2, "uniqueItems": true}),
        json!({"type": "array", "items": {"type": "array", "items": {"properties": {"a": {}}}}}),
        json!({"type": "integer", "minimum": 9, "maximum": 1, "multipleOf": 0}),
        json!({"type": "integer", "enum": [1, 2], "default": "three"}),
        json!({"type": "number", "exclusiveMinimum": true}),
        json!({"type": "boolean", "enum": ["yes"]}),
        json!({"type": "object", "title": "AttributeValue", "properties": {"": {"type": "string"}}}),
        string("enum", json!(["a", "A", "+", "", null])),
        string("enum", json!(["1", "two three", "self"])),
        string("pattern", json!("(")),
        string("format", json!("uuid")),
        string("format", json!("ipv4")),
        string("maxLength", json!(1e30)),
        string("maxLength", json!(4_294_967_296_u64)),
        string("minLength", json!(-1)),
        string("default", json!(7)),
    ] {
        for owners in [
            ["AttributeValue", "Attribute"],
            ["AttributeValueUpsert", "AttributeCreate"],
        ] {
            let mut root = vendored();
            for owner in owners {
                root["components"]["schemas"][owner]["properties"]["new"] = schema.clone();
            }
            match prepare(&root) {
                Ok(prepared) => {
                    let (client, _) = code(&prepared);
                    assert!(client.matches("pub new:").count() >= 2, "{schema}");
                    assert!(!client.contains("regress::") && !client.contains("::uuid"));
                }
                Err(message) => assert!(message.contains("unique name"), "{message}"),
            }
        }
    }
}

#[test]
fn unused_parameters_can_be_missing() {
    let (client, _) = generated(|root| {
        let parameters = operation(root, ATTRIBUTES, "get")["parameters"].as_array_mut();
        parameters.expect("is a list").retain(|parameter| {
            let reference = parameter["$ref"].as_str().unwrap_or_default();
            reference.ends_with("/Page") || reference.ends_with("/Limit")
        });
    });
    let (_, builder) = client
        .split_once("impl<'a> ListAttributes<'a>")
        .expect("the builder exists");
    let (builder, _) = builder.split_once("pub async fn send").expect("has send");
    let setters: Vec<_> = builder
        .split("pub fn ")
        .filter_map(|setter| setter.split_once("<V>"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(setters, ["limit", "page"]);
}
