use serde_json::{Value, json};

use super::endpoint::{answer_mut, parameters_mut, request_mut};
use crate::bound::OPERATIONS;
use crate::error::Problem;
use crate::read::text;
use crate::said;

/// What bounds an integer, and thereby changes its Rust type: a minimum of 1 makes a `NonZeroU64`.
const BOUNDS: [&str; 6] = [
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maximum",
    "minimum",
    "multipleOf",
];

/// Makes every integer an `int64`, and integers of IDs and counts also where the document says
/// `number`: `limit=50.0` is wrong on the wire, and documents disagree about `format`.
///
/// Of IDs and counts the bounds go too, so that a document that adds one does not change their
/// Rust type; other integers keep theirs, for the JSON Schema.
pub(super) fn widen_integers(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        for parameter in parameters_mut(root, operation).into_iter().flatten() {
            let name = text(parameter, "name").to_owned();
            widen(&mut parameter["schema"], &name);
        }
        if let Some(schema) = answer_mut(root, operation, "200") {
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
    let counts = counts(name);
    if kind == "integer" || (kind == "number" && counts) {
        schema.insert("type".to_owned(), json!("integer"));
        schema.insert("format".to_owned(), json!("int64"));
        if counts {
            said::keep_back(schema, |key, _| !BOUNDS.contains(&key));
        }
    }
}

/// Whether a field or parameter of this name is an ID or a count.
pub(crate) fn counts(name: &str) -> bool {
    let is_id = name == "id" || name.ends_with("_id");
    let is_count = matches!(
        name,
        "page" | "limit" | "total" | "count" | "per_page" | "current_page" | "total_pages"
    );
    is_id || is_count
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
                "customer_id": {"type": "integer", "format": "int64", "x-said": {"minimum": 1}},
                "total": {"type": "integer", "format": "int64", "description": "All."},
                "rank": {"type": "integer", "format": "int64", "maximum": 9},
                "score": {"type": "number", "format": "float"},
                "external_id": {"type": "string"},
            })
        );
    }
}
