//! What a newer document adds shows in the generated code.

use serde_json::{Value, json};

use crate::support::{code, operation, prepare, vendored};

fn generated(change: impl Fn(&mut Value)) -> (String, String) {
    let mut root = vendored();
    change(&mut root);
    code(&prepare(&root).expect("has all that is needed"))
}

#[test]
fn every_component_has_a_type_and_a_json_schema() {
    let prepared = prepare(&vendored()).expect("has all that is needed");
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
            "AttributeValue",
            "AttributeValuePage",
            "AttributeValueUpsert",
            "AttributeValueUpsertValue",
            "ErrorBody",
            "IdList",
            "PageLinks",
            "PageMeta",
            "Pagination",
        ]
    );
    for name in names {
        let ours = name == "IdList";
        assert_ne!(
            client.contains(&format!("pub struct {name}")),
            ours,
            "{name}"
        );
        let schema = format!("impl ::schemars::JsonSchema for types::{name} ");
        assert_ne!(client.contains(&schema), ours, "{name}");
    }
    for method in ["list", "upsert", "delete"] {
        let method = format!("fn {method}_attribute_values");
        assert!(client.contains(&method) && httpmock.contains(&method));
    }
}

#[test]
fn new_parameters_and_fields_appear() {
    let (client, httpmock) = generated(|root| {
        let get = operation(root, "get")["parameters"].as_array_mut();
        get.expect("is a list").extend([
            json!({"name": "channel_id:in", "in": "query", "schema": {"type": "array"}}),
            json!({"name": "sort", "in": "query", "schema": {"type": "string", "enum": ["a"]}}),
        ]);
        let schemas = &mut root["components"]["schemas"];
        schemas["AttributeValue"]["properties"]["author"] =
            json!({"type": "object", "properties": {"email": {"type": "string"}}});
        schemas["AttributeValue"]["properties"]["tags"] =
            json!({"type": "array", "items": {"type": "string"}});
        schemas["AttributeValue"]["properties"]["labels"] = json!({"type": "object"});
        schemas["AttributeValueUpsert"]["properties"]["mode"] =
            json!({"type": "string", "enum": ["replace", "keep"], "nullable": true});
    });
    for expected in [
        "pub fn channel_id_in<",
        "pub fn sort<",
        "pub author: ::std::option::Option<AttributeValueAuthor>",
        // Null is no reason to refuse an answer.
        "pub tags: ::std::option::Option<::std::vec::Vec<::std::string::String>>",
        "pub labels: ::std::option::Option<",
        "pub mode: ::std::option::Option<AttributeValueUpsertMode>",
        "impl ::schemars::JsonSchema for types::AttributeValueUpsertMode ",
    ] {
        assert!(client.contains(expected), "{expected}");
    }
    assert!(httpmock.contains("pub fn channel_id_in<"));
}

/// Schemas of every kind that the generator is known to panic on, to refuse, or to make a
/// dependency of, in a field that we don't need.
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
        for owner in ["AttributeValue", "AttributeValueUpsert"] {
            let mut root = vendored();
            root["components"]["schemas"][owner]["properties"]["new"] = schema.clone();
            match prepare(&root) {
                Ok(prepared) => {
                    let (client, _) = code(&prepared);
                    assert!(client.contains("pub new:"), "{schema}");
                    assert!(!client.contains("regress::") && !client.contains("::uuid"));
                }
                Err(message) => assert!(message.contains("name of its own"), "{message}"),
            }
        }
    }
}
