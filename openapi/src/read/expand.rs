use serde_json::{Value, json};

use super::location::Location;
use super::merge::{LimitPolicy, merge};
use super::source::{Source, circular, reference};
use super::sub_resources::is_sub_resource;
use crate::contract::Record;
use crate::error::Problem;
use crate::schema::{ODD_KEYWORDS, Schema, conjuncts};

/// Bounds on nesting, and on the number and the size in bytes of the schemas with all `$ref`s resolved.
/// A document made to exhaust the stack or memory is rejected.
const MAX_DEPTH: usize = 60;
const MAX_SCHEMAS: usize = 2_000;
const MAX_SIZE: usize = 8 * 1024 * 1024;

/// What an operation's schemas amount to so far.
#[derive(Default)]
struct Extent {
    schemas: usize,
    /// The approximate size of their keywords, in bytes.
    size: usize,
}

/// How much of a schema is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// The keywords that later passes and the generator know. A schema composed by `oneOf`, `anyOf` or
    /// `not` becomes free-form JSON.
    Generation,
    /// Compositions, the values of maps, the number of an object's fields, and keywords that make no
    /// sense, too.
    Comparison,
}

/// Resolves a schema's `$ref`s and `allOf`.
///
/// Each keyword of the expanded schema has a value of the right type.
pub(crate) struct Expander<'a> {
    source: Source<'a>,
    detail: Detail,
    /// The records of the response, whose sub-resources are left out.
    record: Option<&'static Record>,
    trail: Vec<&'a str>,
    depth: usize,
    extent: Extent,
    /// That of the schemas that a document may nest as it likes: members of compositions, values of
    /// maps, other responses.
    extent_aside: Extent,
    is_aside: bool,
}

impl<'a> Expander<'a> {
    pub(crate) fn new(source: Source<'a>, record: Option<&'static Record>, detail: Detail) -> Self {
        Self {
            source,
            detail,
            record,
            trail: Vec::new(),
            depth: 0,
            extent: Extent::default(),
            extent_aside: Extent::default(),
            is_aside: false,
        }
    }

    pub(crate) fn expand(
        &mut self,
        schema: &'a Value,
        location: &Location,
    ) -> Result<Schema, Problem> {
        let mut expanded = self.expand_schema(schema, location)?;
        drop_misplaced_limits(&mut expanded, self.detail, None);
        Ok(expanded)
    }

    /// Expands a schema that the generator never reads. One that can't be expanded is no reason to
    /// reject the document: it becomes a note.
    #[cfg(feature = "cli")]
    pub(crate) fn expand_aside(&mut self, schema: &'a Value, location: &Location) -> Schema {
        let mut expanded = self.expand_inner(schema, location);
        drop_misplaced_limits(&mut expanded, self.detail, None);
        expanded
    }

    fn expand_inner(&mut self, schema: &'a Value, location: &Location) -> Schema {
        let was_aside = std::mem::replace(&mut self.is_aside, true);
        let expanded = self.expand_schema(schema, location);
        self.is_aside = was_aside;
        let unreadable = ("x-unreadable".to_owned(), Value::Bool(true));
        expanded.unwrap_or_else(|_| Schema::from_iter([unreadable]))
    }

    fn expand_schema(&mut self, schema: &'a Value, location: &Location) -> Result<Schema, Problem> {
        let depth = self.depth;
        let extent = self.extent();
        extent.schemas += 1;
        if depth == MAX_DEPTH || extent.schemas > MAX_SCHEMAS || extent.size > MAX_SIZE {
            return Err(Problem::new(format!(
                "{location} has schemas nested too deeply, too many of them, or too large ones"
            )));
        }
        self.depth += 1;
        let expanded = match (reference(schema), schema) {
            (Some(reference), _) => self.expand_reference(reference, location),
            (None, Value::Object(schema)) => self.expand_inline(schema, location),
            (None, _) => Err(Problem::new(format!(
                "{location} has a schema that is not an object"
            ))),
        };
        self.depth -= 1;
        expanded
    }

    fn extent(&mut self) -> &mut Extent {
        match self.is_aside {
            true => &mut self.extent_aside,
            false => &mut self.extent,
        }
    }

    fn expand_reference(
        &mut self,
        reference: &'a str,
        location: &Location,
    ) -> Result<Schema, Problem> {
        if self.trail.contains(&reference) {
            return Err(circular(reference));
        }
        let schema = self.source.resolve(reference)?.value;
        self.trail.push(reference);
        let expanded = self.expand_schema(schema, location);
        self.trail.pop();
        expanded
    }

    fn expand_inline(
        &mut self,
        schema: &'a Schema,
        location: &Location,
    ) -> Result<Schema, Problem> {
        let mut out = Schema::new();
        copy(&mut out, schema, "description", Value::is_string);
        copy(&mut out, schema, "example", |_| true);
        copy(&mut out, schema, "nullable", is_true);
        copy(&mut out, schema, "readOnly", is_true);
        copy(&mut out, schema, "writeOnly", is_true);
        match schema_type(schema, location)? {
            Some("object") => self.expand_object(&mut out, schema, location)?,
            Some("array") => self.expand_array(&mut out, schema, location)?,
            Some(kind) => {
                out.insert("type".to_owned(), kind.into());
            }
            None => (),
        }
        if self.detail == Detail::Comparison {
            self.add_details(&mut out, schema, location);
        }
        // One part of an `allOf` can have the type, and another one the limits.
        copy(&mut out, schema, "required", Value::is_array);
        copy_limits(&mut out, schema);
        self.extent().size += own_size(&out);
        for part in conjuncts(schema).map(|(_, _, part)| part) {
            let part = self.expand_schema(part, location)?;
            merge(
                &mut out,
                part,
                LimitPolicy::Tighter,
                location,
                &|location, one, other| {
                    Problem::new(format!(
                        "{location} is {one} in one part of its allOf and {other} in another"
                    ))
                },
            )?;
        }
        Ok(out)
    }

    fn expand_object(
        &mut self,
        out: &mut Schema,
        schema: &'a Schema,
        location: &Location,
    ) -> Result<(), Problem> {
        out.insert("type".to_owned(), "object".into());
        copy(out, schema, "additionalProperties", |v| v == &json!(false));
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut expanded = Schema::new();
        let record = self.record.filter(|_| location.is_record());
        for (name, property) in properties.into_iter().flatten() {
            if record.is_some_and(|record| is_sub_resource(self.source, record, name, property)) {
                continue;
            }
            let property = self.expand_schema(property, &location.field(name))?;
            expanded.insert(name.clone(), property.into());
        }
        if !expanded.is_empty() {
            out.insert("properties".to_owned(), expanded.into());
        }
        Ok(())
    }

    fn add_details(&mut self, out: &mut Schema, schema: &'a Schema, location: &Location) {
        copy(out, schema, "deprecated", is_true);
        for key in ["minProperties", "maxProperties"] {
            copy_length(out, schema, key);
        }
        for key in ["oneOf", "anyOf"] {
            let members = schema.get(key).and_then(Value::as_array);
            // A single member always applies.
            if let Some(members) = members.filter(|members| members.len() > 1) {
                let expand = |member| Value::Object(self.expand_inner(member, location));
                let members: Vec<_> = members.iter().map(expand).collect();
                out.insert(key.to_owned(), members.into());
            }
        }
        for key in ["additionalProperties", "not"] {
            match schema.get(key) {
                Some(Value::Bool(false)) if key == "additionalProperties" => {
                    out.insert(key.to_owned(), false.into());
                }
                Some(inner @ Value::Object(_)) => {
                    let inner = self.expand_inner(inner, location);
                    if !admits_everything(&inner) {
                        out.insert(key.to_owned(), inner.into());
                    }
                }
                _ => {}
            }
        }
        let odd: Schema = schema
            .iter()
            .filter(|(key, value)| makes_no_sense(key, value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !odd.is_empty() {
            out.insert(ODD_KEYWORDS.to_owned(), odd.into());
        }
    }

    fn expand_array(
        &mut self,
        out: &mut Schema,
        schema: &'a Schema,
        location: &Location,
    ) -> Result<(), Problem> {
        out.insert("type".to_owned(), "array".into());
        let items = match schema.get("items") {
            Some(items) => self.expand_schema(items, &location.item())?,
            None => Schema::new(),
        };
        out.insert("items".to_owned(), items.into());
        Ok(())
    }
}

/// Returns the approximate size of a schema in bytes, without that of the schemas within it.
fn own_size(schema: &Schema) -> usize {
    fn size(value: &Value) -> usize {
        let inner = match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(size).sum(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| key.len() + size(value))
                .sum(),
            _ => 0,
        };
        size_of::<Value>() + inner
    }
    let sizes = schema
        .iter()
        .map(|(key, value)| match (key.as_str(), value) {
            ("properties", Value::Object(fields)) => fields.keys().map(String::len).sum(),
            ("properties" | "items" | "oneOf" | "anyOf" | "not" | "additionalProperties", _) => 0,
            (_, value) => size(value),
        });
    sizes.sum()
}

/// Returns `true` if a keyword has a value that OpenAPI doesn't allow.
fn makes_no_sense(key: &str, value: &Value) -> bool {
    let is_valid = match key {
        "format" | "pattern" => value.is_string(),
        "enum" => value.as_array().is_some_and(|values| !values.is_empty()),
        "allOf" | "anyOf" | "oneOf" => value.is_array(),
        "required" => {
            let names = value.as_array();
            names.is_some_and(|names| names.iter().all(Value::is_string))
        }
        "properties" | "not" => value.is_object(),
        "additionalProperties" => value.is_object() || value.is_boolean(),
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
            let number = value.as_f64();
            number.is_some_and(|number| number >= 0.0 && number.fract() == 0.0)
        }
        "minimum" | "maximum" => value.is_number(),
        "multipleOf" => value.as_f64().is_some_and(|number| number > 0.0),
        "exclusiveMinimum" | "exclusiveMaximum" | "uniqueItems" | "nullable" | "readOnly"
        | "writeOnly" | "deprecated" => value.is_boolean(),
        _ => true,
    };
    !is_valid
}

/// Returns `true` if an expanded schema restricts nothing.
fn admits_everything(schema: &Schema) -> bool {
    let mut keywords = schema.keys().map(String::as_str);
    keywords.all(|key| ["description", "example", "nullable"].contains(&key))
}

fn schema_type<'a>(schema: &'a Schema, location: &Location) -> Result<Option<&'a str>, Problem> {
    match schema.get("type") {
        Some(Value::String(kind)) => match kind.as_str() {
            "object" | "array" | "string" | "integer" | "number" | "boolean" => Ok(Some(kind)),
            _ => Err(unknown_type(location, kind)),
        },
        Some(other) => Err(unknown_type(location, &other.to_string())),
        None if schema.contains_key("properties") => Ok(Some("object")),
        None if schema.contains_key("items") => Ok(Some("array")),
        None if has_string_enum(schema) => Ok(Some("string")),
        None => Ok(None),
    }
}

fn has_string_enum(schema: &Schema) -> bool {
    let values = schema.get("enum").and_then(Value::as_array);
    values.is_some_and(|values| !values.is_empty() && values.iter().all(Value::is_string))
}

fn unknown_type(location: &Location, kind: &str) -> Problem {
    Problem::new(format!(
        "{location} has type {kind}, which is not valid in OpenAPI 3.0"
    ))
}

fn copy_limits(out: &mut Schema, schema: &Schema) {
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

/// Drops limits that don't apply to the schema's type, or to that of the schema that it is a member of.
///
/// The generator knows limits of texts, numbers, lists and objects only. A comparison has those of values
/// of any type, too.
fn drop_misplaced_limits(schema: &mut Schema, detail: Detail, outer: Option<&str>) {
    let kind = schema.get("type").and_then(Value::as_str).or(outer);
    let kind = kind.map(str::to_owned);
    let is_any = kind.is_none() && detail == Detail::Comparison;
    let is = |kinds: &[&str]| is_any || kind.as_deref().is_some_and(|kind| kinds.contains(&kind));
    let has_values = is(&["string", "integer", "number"]) || detail == Detail::Comparison;
    let [has_minimum, has_maximum] = ["minimum", "maximum"].map(|key| schema.contains_key(key));
    schema.retain(|key, _| match key.as_str() {
        "enum" => has_values,
        "format" => is(&["string", "integer", "number"]),
        "pattern" | "minLength" | "maxLength" => is(&["string"]),
        "minimum" | "maximum" | "multipleOf" => is(&["integer", "number"]),
        "exclusiveMinimum" => is(&["integer", "number"]) && has_minimum,
        "exclusiveMaximum" => is(&["integer", "number"]) && has_maximum,
        "minItems" | "maxItems" | "uniqueItems" => is(&["array"]),
        "minProperties" | "maxProperties" | "additionalProperties" => is(&["object"]),
        _ => true,
    });
    for key in ["items", "additionalProperties", "not"] {
        if let Some(Value::Object(inner)) = schema.get_mut(key) {
            let outer = kind.as_deref().filter(|_| key == "not");
            drop_misplaced_limits(inner, detail, outer);
        }
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (_, property) in properties.into_iter().flatten() {
        if let Value::Object(property) = property {
            drop_misplaced_limits(property, detail, None);
        }
    }
    for key in ["oneOf", "anyOf"] {
        let members = schema.get_mut(key).and_then(Value::as_array_mut);
        for member in members.into_iter().flatten() {
            if let Value::Object(member) = member {
                drop_misplaced_limits(member, detail, kind.as_deref());
            }
        }
    }
}

fn is_true(value: &Value) -> bool {
    value == &Value::Bool(true)
}

fn copy(out: &mut Schema, schema: &Schema, key: &str, accept: impl Fn(&Value) -> bool) {
    if let Some(value) = schema.get(key).filter(|value| accept(value)) {
        out.insert(key.to_owned(), value.clone());
    }
}

/// Copies a length limit. A minimum of zero is dropped, because it generates a comparison that the
/// compiler warns about, and so is a length over 32 bits, because the generator truncates it.
fn copy_length(out: &mut Schema, schema: &Schema, key: &str) {
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
        expanded_in(root, Detail::Generation)
    }

    fn expanded_in(root: &Value, detail: Detail) -> Result<Value, String> {
        Expander::new(Source::new(root), None, detail)
            .expand(&root["schema"], &Location::new("PUT /x", "request"))
            .map(Value::Object)
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn references_and_all_of_are_resolved() {
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
    fn limits_apply_only_to_the_types_that_they_fit() {
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
    fn a_composition_of_several_schemas_is_free_form() {
        let root = json!({"schema": {"oneOf": [{"type": "string"}, {"type": "integer"}]}});
        assert_eq!(expanded(&root), Ok(json!({})));
        let in_full = expanded_in(&root, Detail::Comparison);
        assert_eq!(in_full, Ok(root["schema"].clone()));
        let root = json!({"schema": {"anyOf": [{"type": "string"}]}});
        assert_eq!(expanded(&root), Ok(json!({"type": "string"})));
    }

    #[test]
    fn an_error_names_the_contradiction_or_the_circular_reference() {
        let rejected = |root: Value| expanded(&root).expect_err("is rejected");
        let root = json!({"schema": {"allOf": [
            {"properties": {"a": {"type": "string"}}},
            {"properties": {"a": {"type": "integer"}}},
        ]}});
        assert_eq!(
            rejected(root),
            "PUT /x: request field \"a\" is string in one part of its allOf and integer in another"
        );
        let root = json!({"schema": {"properties": {"a": {"$ref": "#/schema"}}}});
        assert!(rejected(root).starts_with("#/schema: refers back to itself"));
        let root = json!({"schema": {"type": ["string", "null"]}});
        assert!(rejected(root).contains("which is not valid in OpenAPI 3.0"));
        let root = json!({"schema": {"properties": {"a": true}}});
        assert!(rejected(root).contains("is not an object"));
    }

    #[test]
    fn a_comparison_reads_what_the_generator_does_not() {
        let root = json!({
            "schema": {
                "type": "object", "deprecated": true, "maxProperties": 3,
                "additionalProperties": {"$ref": "#/text"},
                "properties": {
                    "closed": {"type": "object", "additionalProperties": false},
                    "open": {"type": "object", "additionalProperties": {}},
                    "odd": {"type": "string", "maxLength": "9", "minLength": 1, "pattern": 7},
                    "loop": {"anyOf": [{"$ref": "#/loop"}, {"type": "string"}]},
                    "not": {"not": {"enum": ["a"]}},
                },
            },
            "text": {"type": "string"},
            "loop": {"properties": {"a": {"$ref": "#/loop"}}},
        });
        let text = json!({"type": "string"});
        assert_eq!(
            expanded_in(&root, Detail::Comparison),
            Ok(json!({
                "type": "object", "deprecated": true, "maxProperties": 3,
                "additionalProperties": text,
                "properties": {
                    "closed": {"type": "object", "additionalProperties": false},
                    "open": {"type": "object"},
                    "odd": {
                        "type": "string", "minLength": 1,
                        "x-odd-keywords": {"maxLength": "9", "pattern": 7},
                    },
                    "loop": {"anyOf": [{"x-unreadable": true}, text]},
                    "not": {"not": {"type": "string", "enum": ["a"]}},
                },
            }))
        );
    }

    #[test]
    fn an_enum_of_strings_needs_no_type() {
        let root = json!({"schema": {"enum": ["a"]}});
        assert_eq!(
            expanded(&root),
            Ok(json!({"type": "string", "enum": ["a"]}))
        );
        let root = json!({"schema": {"enum": ["a", 1]}});
        assert_eq!(expanded(&root), Ok(json!({})));
    }

    #[test]
    fn a_schema_that_doubles_with_each_reference_is_rejected() {
        let mut root = json!({"schema": {"$ref": "#/0"}, "40": {"type": "string"}});
        for level in 0..40 {
            let next = json!({"$ref": format!("#/{}", level + 1)});
            root[level.to_string()] = json!({"properties": {"a": next, "b": next}});
        }
        assert!(
            expanded(&root)
                .expect_err("is rejected")
                .contains("too many")
        );
    }

    #[test]
    fn a_large_schema_that_is_referenced_often_is_rejected() {
        let values: Vec<_> = (0..10_000).map(|value| value.to_string()).collect();
        for large in [
            json!({"type": "string", "description": "a".repeat(1_000_000)}),
            json!({"type": "string", "enum": values}),
            json!({"type": "object", "properties": {"a".repeat(1_000_000): {}}}),
        ] {
            let mut root = json!({"schema": {"properties": {}}, "large": large});
            for field in 0..100 {
                root["schema"]["properties"][field.to_string()] = json!({"$ref": "#/large"});
            }
            let error = expanded(&root).expect_err("is rejected");
            assert!(error.contains("too large"), "{error}");
        }
    }
}
