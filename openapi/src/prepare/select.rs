use serde_json::{Map, Value, json};

use super::bound::{OPERATIONS, Operation};
use super::endpoint::text;
use super::expand::Expander;
use super::source::Source;
use super::spot::Spot;
use crate::error::Problem;

/// Keeps the operations that we bind and what they reach, each written out in place: the
/// provider's document holds a dozen other paths, and says the same thing by reference in one year
/// and inline in the next. For a year its path carried the prefix that is in the base URL here.
pub(super) fn select(root: &mut Value) -> Result<(), Problem> {
    let source = Source::new(root);
    let mut selected = json!({});
    for bound in &OPERATIONS {
        let Operation { path, method, .. } = bound;
        let item = path_item(source, path)?;
        let Some(operation) = item.get(method) else {
            return Err(Problem::new(format!(
                "{path}: {} is missing, which the SDK needs",
                method.to_uppercase()
            )));
        };
        selected[path][method] = Selection::new(source, bound).operation(item, operation)?;
    }
    *root = json!({
        "openapi": "3.0.3",
        "info": {"title": "BigCommerce Customer Attributes and Their Values", "version": "3"},
        "paths": selected,
        "components": {"schemas": {}},
    });
    Ok(())
}

fn path_item<'a>(source: Source<'a>, ours: &str) -> Result<&'a Value, Problem> {
    let paths = source.root.get("paths").and_then(Value::as_object);
    let mut found = paths
        .into_iter()
        .flatten()
        .filter(|(path, _)| is_ours(path, ours));
    match (found.next(), found.next()) {
        (Some((_, item)), None) => source.follow(item),
        (Some((one, _)), Some((other, _))) => Err(Problem::new(format!(
            "{one} and {other} are the same endpoint; remove one of them"
        ))),
        (None, _) => Err(Problem::new(format!(
            "{ours} is missing; the SDK binds that path, with or without /stores/{{store_hash}}/v3 before it"
        ))),
    }
}

fn is_ours(path: &str, ours: &str) -> bool {
    let unprefixed = || {
        let (store, rest) = path.strip_prefix("/stores/{")?.split_once('}')?;
        rest.strip_prefix("/v3").filter(|_| !store.contains('/'))
    };
    unprefixed().unwrap_or(path).trim_end_matches('/') == ours
}

/// One operation, on its way out of its document.
struct Selection<'a> {
    source: Source<'a>,
    expander: Expander<'a>,
    bound: &'static Operation,
    label: String,
}

impl<'a> Selection<'a> {
    fn new(source: Source<'a>, bound: &'static Operation) -> Self {
        Self {
            source,
            expander: Expander::new(source),
            bound,
            label: bound.label(),
        }
    }

    fn operation(mut self, item: &'a Value, operation: &'a Value) -> Result<Value, Problem> {
        let mut out = Map::new();
        for key in ["summary", "description"] {
            if let Some(text) = operation.get(key).filter(|text| text.is_string()) {
                out.insert(key.to_owned(), text.clone());
            }
        }
        out.insert("parameters".to_owned(), self.parameters(item, operation)?);
        if self.bound.sends.is_some() {
            out.insert("requestBody".to_owned(), self.request_body(operation)?);
        }
        out.insert("responses".to_owned(), self.answer(operation)?);
        Ok(out.into())
    }

    /// The path's parameters and the operation's own, of which the latter win. Our paths hold
    /// no variable, and an HTTP API no cookie that we would send.
    fn parameters(&mut self, item: &'a Value, operation: &'a Value) -> Result<Value, Problem> {
        let list = |owner: &'a Value| owner.get("parameters").and_then(Value::as_array);
        let lists = [list(item), list(operation)];
        let mut out: Vec<Value> = Vec::new();
        for parameter in lists.into_iter().flatten().flatten() {
            let parameter = self.source.follow(parameter)?;
            let place = text(parameter, "in");
            if place == "query" || place == "header" {
                let parameter = self.parameter(parameter)?;
                let key = |p: &Value| (text(p, "in").to_owned(), text(p, "name").to_owned());
                out.retain(|earlier| key(earlier) != key(&parameter));
                out.push(parameter);
            } else if place == "cookie" && parameter.get("required") == Some(&json!(true)) {
                return Err(Problem::new(format!(
                    "{}: cookie \"{}\" is required there, but the SDK sends none",
                    self.label,
                    text(parameter, "name")
                )));
            }
        }
        Ok(out.into())
    }

    fn parameter(&mut self, parameter: &'a Value) -> Result<Value, Problem> {
        let name = text(parameter, "name");
        let spot = Spot::new(&self.label, &format!("parameter \"{name}\""));
        let schema = match parameter.get("schema") {
            Some(schema) => self.expander.expand(schema, &spot)?.into(),
            None => json!({"type": "string"}),
        };
        let mut out = json!({"name": name, "in": text(parameter, "in"), "schema": schema});
        if parameter.get("required") == Some(&json!(true)) {
            out["required"] = true.into();
        }
        if let Some(Value::String(description)) = parameter.get("description") {
            out["description"] = description.as_str().into();
        }
        Ok(out)
    }

    fn request_body(&mut self, operation: &'a Value) -> Result<Value, Problem> {
        let body = operation
            .get("requestBody")
            .map(|body| self.source.follow(body));
        let Some(schema) = body.transpose()?.and_then(json_schema) else {
            return Err(Problem::new(format!(
                "{}: the request has no JSON schema",
                self.label
            )));
        };
        let schema = self
            .expander
            .expand(schema, &Spot::new(&self.label, "request"))?;
        Ok(json!({"required": true, "content": {"application/json": {"schema": schema}}}))
    }

    /// The answer of a request that went well; of the others only the references are followed.
    fn answer(&mut self, operation: &'a Value) -> Result<Value, Problem> {
        let responses = operation.get("responses").and_then(Value::as_object);
        let mut successes = Vec::new();
        for (status, response) in responses.into_iter().flatten() {
            let schema = json_schema(self.source.follow(response)?);
            if status.starts_with('2') || status == "default" {
                successes.extend(schema.map(|schema| (status, schema)));
            }
        }
        if self.bound.returns.is_none() {
            return Ok(json!({"204": {"description": ""}}));
        }
        // 200 comes before 2XX and default: the most precise counts.
        let Some((_, schema)) = successes.into_iter().min_by_key(|(status, _)| *status) else {
            return Err(Problem::new(format!(
                "{}: no answer for success has a JSON schema",
                self.label
            )));
        };
        let spot = Spot::new(&self.label, "answer");
        let schema = self.expander.expand(schema, &spot)?;
        let content = json!({"application/json": {"schema": schema}});
        Ok(json!({"200": {"description": "", "content": content}}))
    }
}

fn json_schema(holder: &Value) -> Option<&Value> {
    let content = holder.get("content")?.as_object()?;
    let is_json = |media: &str| {
        let essence = media.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    };
    let (_, media) = content.iter().find(|(media, _)| is_json(media))?;
    media.get("schema")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::bound::{ATTRIBUTES, VALUES};

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
