use serde_json::{Value, json};

use super::accessors::response_mut;
use crate::contract::{RECORDS, Record};
use crate::error::Problem;
use crate::schema::{Schema, text};

/// Leaves out the objects and lists of a customer, other than its lists of IDs, and gives its known
/// fields their known types.
///
/// The objects and lists are sub-resources (addresses, attributes, form fields) that a response has only
/// if the request asks for them by `include`. Documents type the known fields in several ways, or lack
/// them.
pub(super) fn leave_out_sub_resources(root: &mut Value) -> Result<(), Problem> {
    for record in RECORDS {
        for operation in record.operations() {
            let page = response_mut(root, operation, "200").and_then(Value::as_object_mut);
            if let Some(page) = page {
                bind_known_fields(page, record);
            }
        }
    }
    Ok(())
}

/// Reduces the records of a page to what the SDK binds of them.
pub(crate) fn bind_known_fields(page: &mut Schema, record: &Record) {
    let Some(own_lists) = record.own_lists else {
        return;
    };
    let items = page.get_mut("properties").and_then(|fields| {
        let items = fields.get_mut("data")?.get_mut("items")?;
        items.get_mut("properties")?.as_object_mut()
    });
    let Some(fields) = items else {
        return;
    };
    let is_known = |name: &str| {
        let mut optional = record.optional.iter();
        own_lists.contains(&name) || optional.any(|(known, ..)| *known == name)
    };
    fields.retain(|name, field| is_known(name) || !is_sub_resource(field));
    for name in own_lists {
        let list = json!({
            "type": "array",
            "nullable": true,
            "items": {"type": "integer", "format": "int64"},
        });
        declare(fields, name, list);
    }
    for (name, kind, format) in record.optional {
        let field = match *format {
            "" => json!({"type": kind}),
            format => json!({"type": kind, "format": format}),
        };
        declare(fields, name, field);
    }
}

/// Declares a field, and keeps its description.
fn declare(fields: &mut Schema, name: &str, mut field: Value) {
    let declared = fields.get(name);
    if let Some(description) = declared.and_then(|field| field.get("description")) {
        field["description"] = description.clone();
    }
    fields.insert(name.to_owned(), field);
}

fn is_sub_resource(field: &Value) -> bool {
    let has_parts = field.get("properties").is_some() || field.get("items").is_some();
    has_parts || matches!(text(field, "type"), "object" | "array")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{CUSTOMERS, VALUES};

    fn root(path: &str, fields: Value) -> Value {
        let item = json!({"type": "object", "properties": fields});
        let page = json!({"properties": {"data": {"type": "array", "items": item}}});
        let content = json!({"application/json": {"schema": page}});
        json!({"paths": {path: {"get": {"responses": {"200": {"content": content}}}}}})
    }

    fn fields(path: &str, fields: Value) -> Value {
        let mut root = root(path, fields);
        leave_out_sub_resources(&mut root).expect("never fails");
        let page = &root["paths"][path]["get"]["responses"]["200"]["content"];
        page["application/json"]["schema"]["properties"]["data"]["items"]["properties"].clone()
    }

    #[test]
    fn a_customer_keeps_its_own_fields() {
        let ids = json!({
            "type": "array",
            "nullable": true,
            "items": {"type": "integer", "format": "int64"},
        });
        for channel_ids in [
            Some(json!({"type": "array", "items": {"type": "number"}})),
            Some(json!({"type": "array", "items": {"type": "integer", "format": "int32"}})),
            Some(json!({"type": "integer"})),
            None,
        ] {
            let mut declared = json!({
                "id": {"type": "integer"},
                "notes": {"type": "string", "nullable": true, "description": "Kept."},
                "company": {"type": "object"},
                "anything": {},
                "addresses": {"type": "array", "items": {"type": "object"}},
                "authentication": {"type": "object", "properties": {}},
                "store_credit_amounts": {"items": {"type": "object"}},
            });
            if let Some(channel_ids) = channel_ids {
                declared["channel_ids"] = channel_ids;
            }
            let fields = fields(CUSTOMERS, declared);
            for (name, expected) in [
                ("id", json!({"type": "integer"})),
                ("notes", json!({"type": "string", "description": "Kept."})),
                ("company", json!({"type": "string"})),
                (
                    "address_count",
                    json!({"type": "integer", "format": "int64"}),
                ),
                ("anything", json!({})),
                ("channel_ids", ids.clone()),
                ("addresses", Value::Null),
                ("authentication", Value::Null),
                ("store_credit_amounts", Value::Null),
            ] {
                assert_eq!(fields[name], expected, "{name}");
            }
        }
    }

    #[test]
    fn other_records_keep_everything() {
        let declared = json!({"tags": {"type": "array", "items": {"type": "string"}}});
        assert_eq!(fields(VALUES, declared.clone()), declared);
    }
}
