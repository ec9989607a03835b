use serde_json::{Map, Value, json};

use super::merge::{Limits, merge};
use super::node::Node;
use super::source::{Source, circular, reference};
use super::spot::Spot;
use crate::error::Problem;

/// How deep schemas may nest, and how many may come out of all `$ref`s together: a document that
/// was made to overflow a stack or a memory gets a message.
const MAX_DEPTH: usize = 60;
const MAX_SCHEMAS: usize = 2_000;

/// Where a schema says that it is a choice among others.
pub(crate) const CHOICE: &str = "x-choice";

/// Writes schemas out: `$ref`s and `allOf` resolved, and only the keywords left that later passes
/// and the generator know, each with a value of the right kind. What a schema says in other ways
/// (`oneOf`, `anyOf`, `not`) is free-form JSON from here on.
pub(crate) struct Expander<'a> {
    source: Source<'a>,
    trail: Vec<&'a str>,
    depth: usize,
    schemas: usize,
}

impl<'a> Expander<'a> {
    pub(crate) fn new(source: Source<'a>) -> Self {
        Self {
            source,
            trail: Vec::new(),
            depth: 0,
            schemas: 0,
        }
    }

    pub(crate) fn expand(
        &mut self,
        schema: &'a Value,
        spot: &Spot,
    ) -> Result<Map<String, Value>, Problem> {
        let mut expanded = self.expand_whole(schema, spot)?;
        fit(&mut expanded);
        Ok(expanded)
    }

    fn expand_whole(
        &mut self,
        schema: &'a Value,
        spot: &Spot,
    ) -> Result<Map<String, Value>, Problem> {
        self.schemas += 1;
        if self.depth == MAX_DEPTH || self.schemas > MAX_SCHEMAS {
            return Err(Problem::new(format!(
                "{spot} has schemas nested too deep, or too many of them"
            )));
        }
        self.depth += 1;
        let expanded = match (reference(schema), schema) {
            (Some(reference), _) => self.expand_reference(reference, spot),
            (None, Value::Object(schema)) => self.expand_schema(schema, spot),
            (None, _) => Err(Problem::new(format!(
                "{spot} has a schema that is no object"
            ))),
        };
        self.depth -= 1;
        expanded
    }

    fn expand_reference(
        &mut self,
        reference: &'a str,
        spot: &Spot,
    ) -> Result<Map<String, Value>, Problem> {
        if self.trail.contains(&reference) {
            return Err(circular(reference));
        }
        let schema = self.source.at(reference)?.value;
        self.trail.push(reference);
        let expanded = self.expand_whole(schema, spot);
        self.trail.pop();
        expanded
    }

    fn expand_schema(
        &mut self,
        schema: &'a Map<String, Value>,
        spot: &Spot,
    ) -> Result<Map<String, Value>, Problem> {
        let mut out = Map::new();
        copy(&mut out, schema, "description", Value::is_string);
        copy(&mut out, schema, "example", |_| true);
        copy(&mut out, schema, "nullable", is_true);
        copy(&mut out, schema, "readOnly", is_true);
        copy(&mut out, schema, "writeOnly", is_true);
        match kind(schema, spot)? {
            Some("object") => self.expand_object(&mut out, schema, spot)?,
            Some("array") => self.expand_array(&mut out, schema, spot)?,
            Some(kind) => {
                out.insert("type".to_owned(), kind.into());
            }
            None => (),
        }
        if let Some(choice) = choice(schema) {
            out.insert(CHOICE.to_owned(), choice.into());
        }
        // One part of an `allOf` can say the type, and another one the limits, or what is required.
        copy(&mut out, schema, "required", Value::is_array);
        copy_limits(&mut out, schema);
        for part in conjuncts(schema).map(|(_, _, part)| part) {
            let part = self.expand_whole(part, spot)?;
            merge(&mut out, part, Limits::Both, spot, &|spot, one, other| {
                Problem::new(format!(
                    "{spot} is {one} in one part of its allOf and {other} in another"
                ))
            })?;
        }
        Ok(out)
    }

    fn expand_object(
        &mut self,
        out: &mut Map<String, Value>,
        schema: &'a Map<String, Value>,
        spot: &Spot,
    ) -> Result<(), Problem> {
        out.insert("type".to_owned(), "object".into());
        copy(out, schema, "additionalProperties", |v| v == &json!(false));
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut expanded = Map::new();
        for (name, property) in properties.into_iter().flatten() {
            let property = self.expand_whole(property, &spot.field(name))?;
            expanded.insert(name.clone(), property.into());
        }
        if !expanded.is_empty() {
            out.insert("properties".to_owned(), expanded.into());
        }
        Ok(())
    }

    fn expand_array(
        &mut self,
        out: &mut Map<String, Value>,
        schema: &'a Map<String, Value>,
        spot: &Spot,
    ) -> Result<(), Problem> {
        out.insert("type".to_owned(), "array".into());
        let items = match schema.get("items") {
            Some(items) => self.expand_whole(items, &spot.item())?,
            None => Map::new(),
        };
        out.insert("items".to_owned(), items.into());
        Ok(())
    }
}

/// What a schema says by choices, which nothing is made of: each keyword, and of how many.
fn choice(schema: &Map<String, Value>) -> Option<String> {
    let of = |key: &str| {
        let number = match schema.get(key)? {
            Value::Array(list) => list.len(),
            _ => 1,
        };
        (key == "not" || number > 1).then(|| format!("{key} of {number}"))
    };
    let choices: Vec<_> = ["oneOf", "anyOf", "not"]
        .into_iter()
        .filter_map(of)
        .collect();
    (!choices.is_empty()).then(|| choices.join(", "))
}

/// Schemas that hold besides this one: their keyword, their place in its list, and themselves. A
/// choice of one is no choice.
fn conjuncts(schema: &Map<String, Value>) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    let list = |key| {
        let list = schema.get(key).and_then(Value::as_array)?;
        (key == "allOf" || list.len() == 1).then_some((key, list))
    };
    let lists = ["allOf", "oneOf", "anyOf"].into_iter().filter_map(list);
    lists.flat_map(|(key, list)| list.iter().enumerate().map(move |(i, part)| (key, i, part)))
}

/// The schemas that hold besides a schema in a document.
pub(crate) fn parts<'a>(schema: &Node<'a>) -> impl Iterator<Item = Node<'a>> {
    let conjuncts = schema.value.as_object().map(conjuncts);
    let of = |(key, index, _)| schema.get(key)?.items().nth(index);
    conjuncts.into_iter().flatten().filter_map(of)
}

fn kind<'a>(schema: &'a Map<String, Value>, spot: &Spot) -> Result<Option<&'a str>, Problem> {
    match schema.get("type") {
        Some(Value::String(kind)) => match kind.as_str() {
            "object" | "array" | "string" | "integer" | "number" | "boolean" => Ok(Some(kind)),
            _ => Err(unknown_type(spot, kind)),
        },
        Some(other) => Err(unknown_type(spot, &other.to_string())),
        None if schema.contains_key("properties") => Ok(Some("object")),
        None if schema.contains_key("items") => Ok(Some("array")),
        // Whatever else a list of values may hold, these are texts.
        None if lists_texts(schema) => Ok(Some("string")),
        None => Ok(None),
    }
}

fn lists_texts(schema: &Map<String, Value>) -> bool {
    let values = schema.get("enum").and_then(Value::as_array);
    values.is_some_and(|values| !values.is_empty() && values.iter().all(Value::is_string))
}

fn unknown_type(spot: &Spot, kind: &str) -> Problem {
    Problem::new(format!(
        "{spot} has type {kind}, which OpenAPI 3.0 does not know"
    ))
}

fn copy_limits(out: &mut Map<String, Value>, schema: &Map<String, Value>) {
    copy(out, schema, "format", Value::is_string);
    copy(out, schema, "enum", Value::is_array);
    copy(out, schema, "pattern", Value::is_string);
    for key in ["minLength", "maxLength", "minItems", "maxItems"] {
        copy_length(out, schema, key);
    }
    for key in ["minimum", "maximum", "multipleOf"] {
        copy(out, schema, key, Value::is_number);
    }
    for key in ["exclusiveMinimum", "exclusiveMaximum", "uniqueItems"] {
        copy(out, schema, key, is_true);
    }
}

/// Drops limits that say nothing of a value of this type.
fn fit(schema: &mut Map<String, Value>) {
    let kind = schema.get("type").and_then(Value::as_str);
    let is_text = kind == Some("string");
    let is_number = matches!(kind, Some("integer" | "number"));
    let is_list = kind == Some("array");
    let [has_minimum, has_maximum] = ["minimum", "maximum"].map(|key| schema.contains_key(key));
    schema.retain(|key, _| match key.as_str() {
        "format" | "enum" => is_text || is_number,
        "pattern" | "minLength" | "maxLength" => is_text,
        "minimum" | "maximum" | "multipleOf" => is_number,
        "exclusiveMinimum" => is_number && has_minimum,
        "exclusiveMaximum" => is_number && has_maximum,
        "minItems" | "maxItems" | "uniqueItems" => is_list,
        _ => true,
    });
    if let Some(Value::Object(items)) = schema.get_mut("items") {
        fit(items);
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (_, property) in properties.into_iter().flatten() {
        if let Value::Object(property) = property {
            fit(property);
        }
    }
}

fn is_true(value: &Value) -> bool {
    value == &Value::Bool(true)
}

fn copy(
    out: &mut Map<String, Value>,
    schema: &Map<String, Value>,
    key: &str,
    accept: impl Fn(&Value) -> bool,
) {
    if let Some(value) = schema.get(key).filter(|value| accept(value)) {
        out.insert(key.to_owned(), value.clone());
    }
}

/// A minimum of zero says nothing, yet generates a comparison that the compiler warns about;
/// lengths that don't fit 32 bits are cut by the generator.
fn copy_length(out: &mut Map<String, Value>, schema: &Map<String, Value>, key: &str) {
    let length = schema.get(key).and_then(|value| {
        let text = value.to_string();
        text.strip_suffix(".0").unwrap_or(&text).parse::<u32>().ok()
    });
    if let Some(length) = length.filter(|length| *length > 0 || key.starts_with("max")) {
        out.insert(key.to_owned(), length.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(root: &Value) -> Result<Value, String> {
        Expander::new(Source::new(root))
            .expand(&root["schema"], &Spot::new("PUT /x", "request"))
            .map(Value::Object)
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn references_and_all_of_are_written_out() {
        let root = json!({
            "schema": {"allOf": [{"$ref": "#/base"}, {"required": ["a"], "x-note": 1}], "title": "T"},
            "base": {"properties": {"a": {"$ref": "#/text"}}, "discriminator": {}},
            "text": {"type": "string", "minLength": 0, "maxLength": 255.0, "xml": {}},
        });
        let flat = json!({
            "type": "object",
            "properties": {"a": {"type": "string", "maxLength": 255}},
            "required": ["a"],
        });
        assert_eq!(expanded(&root), Ok(flat));
    }

    #[test]
    fn limits_hold_wherever_the_type_is_said_and_only_where_they_fit_it() {
        let root = json!({"schema": {"maximum": 9, "minItems": 1, "allOf": [
            {"type": "string"},
            {"maxLength": 255, "enum": ["a"], "exclusiveMinimum": true},
        ]}});
        let text = json!({"type": "string", "maxLength": 255, "enum": ["a"]});
        assert_eq!(expanded(&root), Ok(text));
        let root = json!({"schema": {"items": {
            "type": "number", "exclusiveMinimum": true, "maximum": 1, "exclusiveMaximum": true,
        }}});
        let items = json!({"type": "number", "maximum": 1, "exclusiveMaximum": true});
        assert_eq!(
            expanded(&root),
            Ok(json!({"type": "array", "items": items}))
        );
        let root = json!({"schema": {"maxLength": 9}});
        assert_eq!(expanded(&root), Ok(json!({})));
    }

    #[test]
    fn what_is_not_understood_is_free_form() {
        let root = json!({"schema": {"oneOf": [{"type": "string"}, {"type": "integer"}]}});
        assert_eq!(expanded(&root), Ok(json!({"x-choice": "oneOf of 2"})));
        let root = json!({"schema": {"anyOf": [{"type": "string"}]}});
        assert_eq!(expanded(&root), Ok(json!({"type": "string"})));
    }

    #[test]
    fn contradictions_and_circles_are_refused_by_name() {
        let refused = |root: Value| expanded(&root).expect_err("is refused");
        let root = json!({"schema": {"allOf": [
            {"properties": {"a": {"type": "string"}}},
            {"properties": {"a": {"type": "integer"}}},
        ]}});
        assert_eq!(
            refused(root),
            "PUT /x: request field \"a\" is string in one part of its allOf and integer in another"
        );
        let root = json!({"schema": {"properties": {"a": {"$ref": "#/schema"}}}});
        assert!(refused(root).starts_with("#/schema: refers back to itself"));
        let root = json!({"schema": {"type": ["string", "null"]}});
        assert!(refused(root).contains("which OpenAPI 3.0 does not know"));
        let root = json!({"schema": {"properties": {"a": true}}});
        assert!(refused(root).contains("is no object"));
    }

    #[test]
    fn texts_need_no_type() {
        let root = json!({"schema": {"enum": ["a"]}});
        assert_eq!(
            expanded(&root),
            Ok(json!({"type": "string", "enum": ["a"]}))
        );
        let root = json!({"schema": {"enum": ["a", 1]}});
        assert_eq!(expanded(&root), Ok(json!({})));
    }

    #[test]
    fn a_schema_that_doubles_with_each_reference_is_refused() {
        let mut root = json!({"schema": {"$ref": "#/0"}, "40": {"type": "string"}});
        for level in 0..40 {
            let next = json!({"$ref": format!("#/{}", level + 1)});
            root[level.to_string()] = json!({"properties": {"a": next, "b": next}});
        }
        assert!(
            expanded(&root)
                .expect_err("is refused")
                .contains("too many")
        );
    }
}
