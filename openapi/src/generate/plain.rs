use serde_json::Value;

use crate::said;

/// What the generator would make a type, a dependency or a panic of, though all that it says is
/// which values are valid. The JSON Schema says that.
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

/// The prepared document as the generator gets it: what decides on Rust types, and no more.
pub(super) fn plain(document: &Value) -> Value {
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
    said::forget(schema);
    let is_text = schema.get("type").is_some_and(|kind| kind == "string");
    // What is optional becomes an `Option`, but for lists and maps, where only null makes one.
    let is_single = !schema.contains_key("items")
        && (schema.contains_key("properties") || schema.get("type") != Some(&"object".into()));
    schema.retain(|key, value| match key.as_str() {
        "enum" => is_text,
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
    fn constraints_go_but_those_that_become_a_type() {
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
