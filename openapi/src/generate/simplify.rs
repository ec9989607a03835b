use serde_json::Value;

use crate::constraints;

/// Keywords that only restrict values, but from which the generator would make a type, a dependency
/// or a panic. They go into the JSON Schema alone.
const CONSTRAINTS: [&str; 10] = [
    "additionalProperties",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "multipleOf",
    "pattern",
    "uniqueItems",
];

/// Returns the document for the generator, with only the keywords that decide on Rust types.
pub(super) fn for_codegen(document: &Value) -> Value {
    let mut document = document.clone();
    let components = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut);
    for (_, schema) in components.into_iter().flatten() {
        simplify(schema);
    }
    document
}

fn simplify(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    constraints::discard(schema);
    let is_string = schema.get("type").is_some_and(|kind| kind == "string");
    // The generator makes optional lists and maps an `Option` only if they are nullable.
    let is_single = !schema.contains_key("items")
        && (schema.contains_key("properties") || schema.get("type") != Some(&"object".into()));
    schema.retain(|key, value| match key.as_str() {
        "enum" => is_string,
        "nullable" => !is_single,
        "format" => ["int64", "date-time", "date"]
            .iter()
            .any(|known| value == known),
        key => !CONSTRAINTS.contains(&key),
    });
    if let Some(items) = schema.get_mut("items") {
        simplify(items);
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (_, property) in properties.into_iter().flatten() {
        simplify(property);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_constraints_that_become_a_type_stay() {
        let mut schema = json!({
            "additionalProperties": false,
            "properties": {
                "a": {"type": "string", "maxLength": 9, "pattern": "^a", "format": "email"},
                "b": {"type": "array", "maxItems": 2, "items": {"type": "integer", "minimum": 1}},
                "c": {"nullable": true, "allOf": [{"$ref": "#/c"}]},
                "d": {"type": "string", "enum": ["x"], "nullable": true},
                "e": {"type": "object", "nullable": true},
            },
        });
        simplify(&mut schema);
        assert_eq!(
            schema,
            json!({"properties": {
                "a": {"type": "string", "maxLength": 9},
                "b": {"type": "array", "items": {"type": "integer"}},
                "c": {"allOf": [{"$ref": "#/c"}]},
                "d": {"type": "string", "enum": ["x"]},
                "e": {"type": "object", "nullable": true},
            }})
        );
    }
}
