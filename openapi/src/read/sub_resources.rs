use std::collections::HashSet;

use serde_json::Value;

use super::node::Node;
use super::source::Source;
use crate::contract::Record;
use crate::schema::{conjuncts, text};

/// Returns `true` if a field of a flat record is a sub-resource: an object, an array, or of no single
/// type.
///
/// A response has sub-resources only if the request asks for them (`include=`), and then only in
/// part. Documents differ most in their schemas, some of which refer back to the record, so they are
/// left out before they are read.
pub(super) fn is_sub_resource<'a>(
    source: Source<'a>,
    record: &Record,
    name: &str,
    field: &'a Value,
) -> bool {
    record.is_flat && !record.has_field(name) && !is_scalar(source, field)
}

/// Returns `true` if a schema, or one of those that apply in addition to it, has a scalar type.
fn is_scalar<'a>(source: Source<'a>, schema: &'a Value) -> bool {
    let mut schemas = vec![schema];
    // References can be circular.
    let mut seen: HashSet<*const Value> = HashSet::new();
    while let Some(schema) = schemas.pop() {
        // Without its target, a reference has no type.
        let Ok(Node { value, .. }) = source.follow(Node::root(schema)) else {
            continue;
        };
        let Some(schema) = value.as_object().filter(|_| seen.insert(value)) else {
            continue;
        };
        match text(value, "type") {
            "boolean" | "integer" | "number" | "string" => return true,
            "" if schema.contains_key("properties") || schema.contains_key("items") => {}
            "" if schema.contains_key("enum") => return true,
            "" => schemas.extend(conjuncts(schema).map(|(_, _, part)| part)),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::operation;

    fn is_left_out(operation_name: &str, name: &str, field: Value) -> bool {
        let root = json!({
            "text": {"type": "string"},
            "object": {"properties": {"self": {"$ref": "#/object"}}},
            // Each of its parts has as many parts as it has.
            "loop": {"allOf": vec![json!({"$ref": "#/loop"}); 100]},
        });
        let record = operation(operation_name).returns.expect("has records");
        is_sub_resource(Source::new(&root), record, name, &field)
    }

    #[test]
    fn only_unknown_fields_without_a_scalar_type_are_left_out() {
        for field in [
            json!({"type": "array", "items": {"type": "string"}}),
            json!({"type": "object"}),
            json!({"items": {}}),
            json!({"$ref": "#/object"}),
            json!({"allOf": [{"$ref": "#/object"}, {"description": "More."}]}),
            json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
            json!({"$ref": "#/loop"}),
            json!({"$ref": "#/nowhere"}),
            json!({}),
        ] {
            assert!(
                is_left_out("list_customers", "new", field.clone()),
                "{field}"
            );
            assert!(!is_left_out("list_customers", "channel_ids", field.clone()));
            assert!(!is_left_out("list_customers", "email", field.clone()));
            assert!(!is_left_out("list_attribute_values", "new", field));
        }
        for field in [
            json!({"type": "string", "anyOf": [{}, {}]}),
            json!({"$ref": "#/text"}),
            json!({"allOf": [{"description": "More."}, {"$ref": "#/text"}]}),
            json!({"enum": ["a"]}),
        ] {
            assert!(
                !is_left_out("list_customers", "new", field.clone()),
                "{field}"
            );
        }
    }
}
