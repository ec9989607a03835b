use heck::ToPascalCase;
use serde_json::{Map, Value, json};

use crate::constraints;
use crate::contract::{OPERATIONS, Operation};
use crate::error::Problem;
use crate::read::{Detail, Endpoint, Lookup, Parameter, Source, endpoint};
use crate::schema::Schema;

/// Keeps the contract's operations only, with their references resolved.
///
/// The provider's document has a dozen other paths, with references between them.
pub(super) fn select(root: &mut Value) -> Result<(), Problem> {
    let source = Source::new(root);
    let mut selected = json!({});
    for spec in &OPERATIONS {
        let Operation { path, method, .. } = spec;
        let endpoint = match endpoint(source, spec, Detail::Generation)? {
            Lookup::Operation(endpoint) => endpoint,
            Lookup::PathOnly => {
                return Err(Problem::new(format!(
                    "{path}: {} is missing, but the SDK needs it",
                    method.to_uppercase()
                )));
            }
            Lookup::Missing => {
                return Err(Problem::new(format!(
                    "{path} is missing, but the SDK needs it (with or without the prefix \
                     /stores/{{store_hash}}/v3)"
                )));
            }
        };
        selected[path][method] = operation(spec, *endpoint)?;
    }
    *root = json!({
        "openapi": "3.0.3",
        "info": {"title": "BigCommerce Customers, Their Attributes and Values", "version": "3"},
        "paths": selected,
        "components": {"schemas": {}},
    });
    Ok(())
}

fn operation(spec: &Operation, endpoint: Endpoint) -> Result<Value, Problem> {
    let mut out = Map::new();
    for key in ["summary", "description"] {
        let text = endpoint.operation.value.get(key);
        if let Some(text) = text.filter(|text| text.is_string()) {
            out.insert(key.to_owned(), text.clone());
        }
    }
    let mut parameters = Vec::new();
    for parameter in &endpoint.parameters {
        parameters.extend(convert(spec, parameter)?);
    }
    out.insert("parameters".to_owned(), parameters.into());
    if spec.sends.is_some() {
        let content = content(endpoint.request, || {
            format!(
                "{}: the request has no JSON schema, but the SDK needs one",
                spec.label()
            )
        })?;
        let body = json!({"required": true, "content": content});
        out.insert("requestBody".to_owned(), body);
    }
    let responses = if spec.returns.is_some() {
        let content = content(endpoint.response, || {
            let label = spec.label();
            format!("{label}: no successful response has a JSON schema, but the SDK needs one")
        })?;
        json!({"200": {"description": "", "content": content}})
    } else {
        let response = |status: &&str| ((*status).to_owned(), json!({"description": ""}));
        spec.success
            .iter()
            .map(response)
            .collect::<Map<_, _>>()
            .into()
    };
    out.insert("responses".to_owned(), responses);
    Ok(out.into())
}

/// Returns the parameter for the prepared document, or `None` for a cookie: the SDK sends none.
fn convert(spec: &Operation, parameter: &Parameter) -> Result<Option<Value>, Problem> {
    let (name, sent_in) = (parameter.name(), parameter.sent_in());
    if sent_in == "cookie" {
        if parameter.is_required() {
            return Err(Problem::new(format!(
                "{}: cookie parameter \"{name}\" is required, but the SDK sends no cookies",
                spec.label()
            )));
        }
        return Ok(None);
    }
    let mut schema = parameter.schema.clone();
    normalize(&mut schema);
    let mut out = json!({"name": name, "in": sent_in, "schema": schema});
    if parameter.is_required() {
        out["required"] = true.into();
    }
    if let Some(Value::String(description)) = parameter.node.value.get("description") {
        out["description"] = description.as_str().into();
    }
    Ok(Some(out))
}

fn content(schema: Option<Schema>, missing: impl Fn() -> String) -> Result<Value, Problem> {
    let Some(mut schema) = schema else {
        return Err(Problem::new(missing()));
    };
    normalize(&mut schema);
    Ok(json!({"application/json": {"schema": schema}}))
}

/// Reduces a schema to the keywords that later passes and the generator know.
///
/// Requests and responses have separate types, so `readOnly` and `writeOnly` go. A read-only field
/// is no longer required.
fn normalize(schema: &mut Schema) {
    let mut read_only = Vec::new();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        if let Some(property) = property.as_object_mut() {
            read_only.extend(property.get("readOnly").map(|_| name.clone()));
            normalize(property);
        }
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !read_only.iter().any(|other| name == other));
    }
    if let Some(Value::Object(items)) = schema.get_mut("items") {
        normalize(items);
    }
    let is_enum = schema.get("type").is_some_and(|kind| kind == "string")
        && schema.get("enum").is_some_and(has_distinct_variants);
    schema.retain(|key, _| !["readOnly", "writeOnly"].contains(&key.as_str()));
    constraints::stash(schema, |key, _| match key {
        "enum" => is_enum,
        "pattern" | "minLength" | "maxLength" => !is_enum,
        _ => true,
    });
}

/// Returns `true` if each value has its own name as a variant of a Rust enum.
fn has_distinct_variants(values: &Value) -> bool {
    let Some(values) = values.as_array() else {
        return false;
    };
    let mut names: Vec<_> = values
        .iter()
        .filter_map(Value::as_str)
        .map(|value| {
            value
                .replace(|c: char| !c.is_ascii_alphanumeric(), "-")
                .to_pascal_case()
        })
        .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect();
    names.sort_unstable();
    names.dedup();
    !names.is_empty() && names.len() == values.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{ATTRIBUTES, CUSTOMERS, VALUES};

    fn page() -> Value {
        json!({"description": "", "content": {"application/json; charset=utf-8": {"schema": {}}}})
    }

    fn document() -> Value {
        json!({
            "paths": {
                "/stores/{hash}/v3/customers/attribute-values/": {
                    "parameters": [
                        {"name": "hash", "in": "path", "required": true, "schema": {}},
                        {"$ref": "#/components/parameters/Page"},
                        {"name": "limit", "in": "query", "schema": {"type": "number"}},
                    ],
                    "get": {
                        "operationId": "theirs",
                        "summary": "Lists.",
                        "x-note": true,
                        "parameters": [
                            {"name": "limit", "in": "query", "schema": {"type": "integer"}, "x-n": 1},
                        ],
                        "responses": {"default": {}, "2XX": page(), "429": {}},
                    },
                    "put": {
                        "requestBody": {"content": {"application/json": {"schema": {}}}},
                        "responses": {"201": page()},
                    },
                    "delete": {"responses": {}},
                    "post": {"responses": {}},
                },
                "/stores/{hash}/v3/customers/attributes": {
                    "get": {"responses": {"200": page()}},
                    "post": {
                        "requestBody": {"content": {"application/json": {"schema": {}}}},
                        "responses": {"201": page()},
                    },
                    "put": {
                        "requestBody": {"content": {"application/json": {"schema": {}}}},
                        "responses": {"200": page()},
                    },
                    "delete": {"responses": {}},
                    "patch": {"responses": {"$ref": "#/dangling, but not ours"}},
                },
                "/customers": {
                    "get": {"responses": {"200": page()}},
                    "put": {"responses": {"$ref": "#/dangling, but not ours"}},
                },
                "/customers/addresses": {
                    "get": {"responses": {"$ref": "#/dangling, but not ours"}},
                },
            },
            "components": {
                "parameters": {
                    "Page": {"name": "page", "in": "query", "schema": {"$ref": "#/components/schemas/N"}},
                },
                "schemas": {"N": {"type": "integer"}, "Unused": {}},
            },
        })
    }

    fn rejected(root: &mut Value) -> String {
        select(root).expect_err("is rejected").to_string()
    }

    #[test]
    fn the_contracts_operations_are_kept_and_expanded() {
        let mut root = document();
        select(&mut root).expect("has every operation");
        assert_eq!(root["paths"].as_object().map(Map::len), Some(3));
        for (path, methods) in [(VALUES, 3), (ATTRIBUTES, 4), (CUSTOMERS, 1)] {
            let methods_kept = root["paths"][path].as_object().map(Map::len);
            assert_eq!(methods_kept, Some(methods), "{path}");
        }
        let post = &root["paths"][ATTRIBUTES]["post"];
        assert!(post["requestBody"].is_object() && post["responses"]["200"].is_object());
        let item = &root["paths"][VALUES];
        assert_eq!(
            item["get"],
            json!({
                "summary": "Lists.",
                "parameters": [
                    {"name": "page", "in": "query", "schema": {"type": "integer"}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                ],
                "responses": {"200": {
                    "description": "",
                    "content": {"application/json": {"schema": {}}},
                }},
            })
        );
        assert_eq!(root["components"], json!({"schemas": {}}));
    }

    fn normalized(schema: Value) -> Value {
        let Value::Object(mut schema) = schema else {
            panic!("is an object");
        };
        normalize(&mut schema);
        constraints::discard(&mut schema);
        schema.into()
    }

    #[test]
    fn a_read_only_field_is_not_required() {
        let item = json!({"type": "array", "items": {
            "required": ["id", "a"],
            "properties": {"id": {"readOnly": true}, "a": {"writeOnly": true}},
        }});
        let flat = json!({"type": "array", "items": {
            "required": ["a"],
            "properties": {"id": {}, "a": {}},
        }});
        assert_eq!(normalized(item), flat);
    }

    #[test]
    fn an_enum_stays_where_rust_can_name_its_values() {
        let with =
            |values: Value| normalized(json!({"type": "string", "maxLength": 9, "enum": values}));
        let two = json!({"type": "string", "enum": ["a", "b c"]});
        assert_eq!(with(json!(["a", "b c"])), two);
        for values in [
            json!(["a", "A"]),
            json!(["+", "-"]),
            json!([1]),
            json!([]),
            json!("a"),
        ] {
            assert_eq!(with(values), json!({"type": "string", "maxLength": 9}));
        }
        let number = json!({"type": "integer", "enum": [1], "maximum": 1});
        assert_eq!(normalized(number), json!({"type": "integer", "maximum": 1}));
    }

    #[test]
    fn an_operation_that_cannot_be_called_or_parsed_is_rejected() {
        let path = "/stores/{hash}/v3/customers/attribute-values/";
        let mut root = document();
        root["paths"][path]["put"]["requestBody"] = json!({});
        assert!(rejected(&mut root).contains("the request has no JSON schema"));

        let mut root = document();
        root["paths"][path]["get"]["responses"] = json!({"200": {}});
        assert!(rejected(&mut root).contains("no successful response"));

        let mut root = document();
        root["paths"][path]["get"]["parameters"] =
            json!([{"name": "session", "in": "cookie", "required": true}]);
        assert!(rejected(&mut root).contains("cookie parameter \"session\" is required"));

        let mut root = document();
        root["paths"][VALUES] = json!({});
        assert!(rejected(&mut root).contains("are the same endpoint"));
    }
}
