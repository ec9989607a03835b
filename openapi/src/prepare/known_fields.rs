use serde_json::Value;

use super::accessors::{record_mut, response_mut};
use crate::contract::OPERATIONS;
use crate::error::Problem;
use crate::schema::text;

/// Forgets the types of response fields that the contract types itself, where a document has others.
///
/// Documents type the channels of a customer and the cursors of a page in different ways, or not at
/// all, while the endpoints send the same.
/// [`relax_responses`](super::responses::relax_responses) then gives the fields the contract's types.
pub(super) fn forget_odd_types(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        let (Some(record), Some(page)) = (operation.returns, response_mut(root, operation, "200"))
        else {
            continue;
        };
        if let Some(cursors) = page.pointer_mut("/properties/meta/properties/cursor_pagination") {
            forget_unless(cursors, "object");
            for cursor in ["start_cursor", "end_cursor"] {
                let cursor = cursors
                    .get_mut("properties")
                    .and_then(|p| p.get_mut(cursor));
                if let Some(cursor) = cursor {
                    forget_unless(cursor, "string");
                }
            }
        }
        let fields = record_mut(page).and_then(|item| item.get_mut("properties"));
        if let Some(Value::Object(fields)) = fields {
            for name in record.id_lists {
                if let Some(list) = fields.get_mut(*name) {
                    forget(list);
                }
            }
        }
    }
    Ok(())
}

fn forget_unless(schema: &mut Value, kind: &str) {
    if text(schema, "type") != kind {
        forget(schema);
    }
}

/// Keeps the description only.
fn forget(schema: &mut Value) {
    if let Value::Object(schema) = schema {
        schema.retain(|key, _| key == "description");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::{CUSTOMERS, operation};
    use crate::prepare::accessors::response;

    fn forgotten(channels: Value, cursors: Value) -> (Value, Value) {
        let item = json!({"properties": {"channel_ids": channels}});
        let meta = json!({"properties": {"cursor_pagination": cursors}});
        let page = json!({"properties": {"data": {"items": item}, "meta": meta}});
        let content = json!({"content": {"application/json": {"schema": page}}});
        let mut root = json!({"paths": {CUSTOMERS: {"get": {"responses": {"200": content}}}}});
        forget_odd_types(&mut root).expect("never fails");
        let page = response(&root, operation("list_customers"), "200").expect("has a schema");
        (
            page["properties"]["data"]["items"]["properties"]["channel_ids"].clone(),
            page["properties"]["meta"]["properties"]["cursor_pagination"].clone(),
        )
    }

    #[test]
    fn channels_lose_any_type() {
        for channels in [
            json!({"type": "array", "items": {"type": "number"}}),
            json!({"type": "array", "items": {"type": "integer", "format": "int32"}}),
            json!({"type": "array", "items": {}}),
            json!({"type": "object", "properties": {"id": {"type": "integer"}}}),
            json!({"type": "string", "nullable": true}),
            json!({}),
        ] {
            assert_eq!(forgotten(channels, json!({})).0, json!({}));
        }
        let described = json!({"type": "array", "description": "Null for all."});
        let (channels, _) = forgotten(described, json!({}));
        assert_eq!(channels, json!({"description": "Null for all."}));
    }

    #[test]
    fn cursors_lose_other_types_only() {
        let text = json!({"type": "string", "nullable": true});
        let cursors = |start: &Value| json!({"type": "object", "properties": {"start_cursor": start, "per_page": text}});
        let same = cursors(&text);
        assert_eq!(forgotten(json!({}), same.clone()).1, same);
        let (_, changed) = forgotten(json!({}), cursors(&json!({"type": "integer"})));
        assert_eq!(changed, cursors(&json!({})));
        let (_, changed) = forgotten(json!({}), json!({"type": "array", "items": {}}));
        assert_eq!(changed, json!({}));
    }
}
