use serde_json::{Value, json};

use super::accessors::{parameters_mut, request_mut, response_mut};
use crate::constraints;
use crate::contract::{OPERATIONS, is_id_or_count};
use crate::error::Problem;
use crate::schema::text;

/// Keywords that change an integer's Rust type: a minimum of 1 generates a `NonZeroU64`.
const BOUNDS: [&str; 6] = [
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maximum",
    "minimum",
    "multipleOf",
];

/// Makes every integer an `int64`, because documents differ in `format`.
///
/// IDs and counts are integers even if a document declares a `number`, because `limit=50.0` is
/// invalid in a request. Their bounds go, so that a new bound doesn't change the Rust type.
pub(super) fn widen_integers(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        for parameter in parameters_mut(root, operation).into_iter().flatten() {
            let name = text(parameter, "name").to_owned();
            widen(&mut parameter["schema"], &name);
        }
        if let Some(schema) = response_mut(root, operation, "200") {
            widen(schema, "");
        }
        if let Some(schema) = request_mut(root, operation) {
            widen(schema, "");
        }
    }
    Ok(())
}

fn widen(schema: &mut Value, name: &str) {
    if let Some(items) = schema.get_mut("items") {
        widen(items, name);
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        widen(property, name);
    }
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    let kind = schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let is_id_or_count = is_id_or_count(name);
    if kind == "integer" || (kind == "number" && is_id_or_count) {
        schema.insert("type".to_owned(), json!("integer"));
        schema.insert("format".to_owned(), json!("int64"));
        if is_id_or_count {
            constraints::stash(schema, |key, _| !BOUNDS.contains(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_counts_become_int64_without_bounds() {
        let mut schema = json!({"items": {"properties": {
            "id": {"type": "integer"},
            "customer_id": {"type": "integer", "format": "int32", "minimum": 1},
            "total": {"type": "number", "format": "double", "description": "All."},
            "rank": {"type": "integer", "maximum": 9},
            "score": {"type": "number", "format": "float"},
            "external_id": {"type": "string"},
        }}});
        widen(&mut schema, "");
        let int64 = json!({"type": "integer", "format": "int64"});
        assert_eq!(
            schema["items"]["properties"],
            json!({
                "id": int64,
                "customer_id": {"type": "integer", "format": "int64", "x-constraints": {"minimum": 1}},
                "total": {"type": "integer", "format": "int64", "description": "All."},
                "rank": {"type": "integer", "format": "int64", "maximum": 9},
                "score": {"type": "number", "format": "float"},
                "external_id": {"type": "string"},
            })
        );
    }
}
