use heck::ToPascalCase;
use serde_json::{Map, Value, json};

use crate::bound::{OPERATIONS, Operation};
use crate::error::Problem;
use crate::read::{Body, CHOICE, Endpoint, Found, Parameter, Source, endpoint};
use crate::said;

/// Keeps the operations that we bind, each written out in place: the provider's document holds a
/// dozen other paths, and much that refers from one to another.
pub(super) fn select(root: &mut Value) -> Result<(), Problem> {
    let source = Source::new(root);
    let mut selected = json!({});
    for bound in &OPERATIONS {
        let Operation { path, method, .. } = bound;
        let endpoint = match endpoint(source, bound)? {
            Found::Whole(endpoint) => endpoint,
            Found::Path(_) => {
                return Err(Problem::new(format!(
                    "{path}: {} is missing, which the SDK needs",
                    method.to_uppercase()
                )));
            }
            Found::Nothing(_) => {
                return Err(Problem::new(format!(
                    "{path} is missing; the SDK binds that path, with or without \
                     /stores/{{store_hash}}/v3 before it"
                )));
            }
        };
        selected[path][method] = operation(bound, *endpoint)?;
    }
    *root = json!({
        "openapi": "3.0.3",
        "info": {"title": "BigCommerce Customer Attributes and Their Values", "version": "3"},
        "paths": selected,
        "components": {"schemas": {}},
    });
    Ok(())
}

fn operation(bound: &Operation, endpoint: Endpoint) -> Result<Value, Problem> {
    let mut out = Map::new();
    for key in ["summary", "description"] {
        let text = endpoint.operation.value.get(key);
        if let Some(text) = text.filter(|text| text.is_string()) {
            out.insert(key.to_owned(), text.clone());
        }
    }
    let mut parameters = Vec::new();
    for parameter in &endpoint.parameters {
        parameters.extend(written(bound, parameter)?);
    }
    out.insert("parameters".to_owned(), parameters.into());
    if bound.sends.is_some() {
        let content = content(endpoint.request, || {
            format!("{}: the request has no JSON schema", bound.label())
        })?;
        let body = json!({"required": true, "content": content});
        out.insert("requestBody".to_owned(), body);
    }
    let answers = if bound.returns.is_some() {
        let content = content(endpoint.answer, || {
            format!("{}: no answer for success has a JSON schema", bound.label())
        })?;
        json!({"200": {"description": "", "content": content}})
    } else {
        json!({"204": {"description": ""}})
    };
    out.insert("responses".to_owned(), answers);
    Ok(out.into())
}

/// A parameter as the prepared document has it; an HTTP API has no cookie that we would send.
fn written(bound: &Operation, parameter: &Parameter) -> Result<Option<Value>, Problem> {
    let (name, place) = (parameter.name(), parameter.place());
    if place == "cookie" {
        if parameter.is_required() {
            return Err(Problem::new(format!(
                "{}: cookie \"{name}\" is required there, but the SDK sends none",
                bound.label()
            )));
        }
        return Ok(None);
    }
    let mut schema = parameter.schema.clone();
    settle(&mut schema);
    let mut out = json!({"name": name, "in": place, "schema": schema});
    if parameter.is_required() {
        out["required"] = true.into();
    }
    if let Some(Value::String(description)) = parameter.node.value.get("description") {
        out["description"] = description.as_str().into();
    }
    Ok(Some(out))
}

fn content(body: Option<Body>, missing: impl Fn() -> String) -> Result<Value, Problem> {
    let Some(Body { mut schema, .. }) = body else {
        return Err(Problem::new(missing()));
    };
    settle(&mut schema);
    Ok(json!({"application/json": {"schema": schema}}))
}

/// Leaves what later passes and the generator know. Requests and answers have types of their own,
/// so nothing says any more which fields are for one way only; but what only answers carry can't be
/// required of a request.
fn settle(schema: &mut Map<String, Value>) {
    let mut not_sent = Vec::new();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        if let Some(property) = property.as_object_mut() {
            not_sent.extend(property.get("readOnly").map(|_| name.clone()));
            settle(property);
        }
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !not_sent.iter().any(|other| name == other));
    }
    if let Some(Value::Object(items)) = schema.get_mut("items") {
        settle(items);
    }
    let is_enum = schema.get("type").is_some_and(|kind| kind == "string")
        && schema.get("enum").is_some_and(has_distinct_variants);
    schema.retain(|key, _| !["readOnly", "writeOnly", CHOICE].contains(&key.as_str()));
    said::keep_back(schema, |key, _| match key {
        "enum" => is_enum,
        "pattern" | "minLength" | "maxLength" => !is_enum,
        _ => true,
    });
}

/// Rust's enum needs a name for each value.
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
    use crate::bound::{ATTRIBUTES, VALUES};

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
                    "put": {"responses": {"$ref": "#/dangling, but not ours"}},
                    "delete": {"responses": {}},
                },
                "/customers": {"get": {"responses": {"$ref": "#/dangling, but not ours"}}},
            },
            "components": {
                "parameters": {
                    "Page": {"name": "page", "in": "query", "schema": {"$ref": "#/components/schemas/N"}},
                },
                "schemas": {"N": {"type": "integer"}, "Unused": {}},
            },
        })
    }

    fn refused(root: &mut Value) -> String {
        select(root).expect_err("is refused").to_string()
    }

    #[test]
    fn what_we_bind_is_kept_and_written_out() {
        let mut root = document();
        select(&mut root).expect("has all that we bind");
        assert_eq!(root["paths"].as_object().map(Map::len), Some(2));
        for (path, methods) in [(VALUES, 3), (ATTRIBUTES, 2)] {
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

    fn settled(schema: Value) -> Value {
        let Value::Object(mut schema) = schema else {
            panic!("is an object");
        };
        settle(&mut schema);
        said::forget(&mut schema);
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
        assert_eq!(settled(item), flat);
    }

    #[test]
    fn an_enum_stays_where_rust_can_name_its_values() {
        let of = |values: Value| settled(json!({"type": "string", "maxLength": 9, "enum": values}));
        let two = json!({"type": "string", "enum": ["a", "b c"]});
        assert_eq!(of(json!(["a", "b c"])), two);
        for values in [
            json!(["a", "A"]),
            json!(["+", "-"]),
            json!([1]),
            json!([]),
            json!("a"),
        ] {
            assert_eq!(of(values), json!({"type": "string", "maxLength": 9}));
        }
        let number = json!({"type": "integer", "enum": [1], "maximum": 1});
        assert_eq!(settled(number), json!({"type": "integer", "maximum": 1}));
    }

    #[test]
    fn an_operation_that_is_missing_is_named() {
        let path = "/stores/{hash}/v3/customers/attribute-values/";
        let mut root = document();
        root["paths"][path]
            .as_object_mut()
            .and_then(|item| item.remove("delete"))
            .expect("was there");
        let missing = "/customers/attribute-values: DELETE is missing, which the SDK needs";
        assert_eq!(refused(&mut root), missing);

        let mut root = document();
        root["paths"]["/stores/{hash}/v3/customers/attributes"]
            .as_object_mut()
            .and_then(|item| item.remove("post"))
            .expect("was there");
        let missing = "/customers/attributes: POST is missing, which the SDK needs";
        assert_eq!(refused(&mut root), missing);

        root["paths"]
            .as_object_mut()
            .and_then(|paths| paths.remove("/stores/{hash}/v3/customers/attributes"))
            .expect("was there");
        assert!(refused(&mut root).starts_with("/customers/attributes is missing"));

        root["paths"] = json!({"/customers": {}});
        assert!(refused(&mut root).starts_with("/customers/attribute-values is missing"));
    }

    #[test]
    fn an_operation_that_cannot_be_called_or_read_is_refused() {
        let path = "/stores/{hash}/v3/customers/attribute-values/";
        let mut root = document();
        root["paths"][path]["put"]["requestBody"] = json!({});
        assert!(refused(&mut root).contains("the request has no JSON schema"));

        let mut root = document();
        root["paths"][path]["get"]["responses"] = json!({"200": {}});
        assert!(refused(&mut root).contains("no answer for success"));

        let mut root = document();
        root["paths"][path]["get"]["parameters"] =
            json!([{"name": "session", "in": "cookie", "required": true}]);
        assert!(refused(&mut root).contains("cookie \"session\" is required"));

        let mut root = document();
        root["paths"][VALUES] = json!({});
        assert!(refused(&mut root).contains("are the same endpoint"));
    }
}
