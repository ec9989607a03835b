use serde_json::{Value, json};

use super::accessors::{parameters_mut, request_mut};
use crate::contract::{EnumField, OPERATIONS, Row, TextField};
use crate::error::Problem;
use crate::schema::{Schema, text};

/// Requires the fields and parameters that every request has, even if the document doesn't.
///
/// Whether a field is required decides its Rust type, and a DELETE without `id:in` must not be
/// sent. The array of rows loses its limits, which would generate a tuple or a set; `ext` has its
/// own. A field of the contract's enums becomes a Rust enum, even if the document lists no values,
/// and a text of the contract gets its limits, even if the document has none.
pub(super) fn fix_requests(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        if let (Some(row), Some(Value::Object(request))) =
            (operation.sends, request_mut(root, operation))
        {
            request.retain(|key, _| key == "type" || key == "items");
            if let Some(item) = request.get_mut("items") {
                require(item, row);
            }
        }
        for parameter in parameters_mut(root, operation).into_iter().flatten() {
            let name = text(parameter, "name");
            if operation
                .query
                .iter()
                .any(|q| q.is_always_sent && q.name == name)
            {
                parameter["required"] = true.into();
            }
        }
    }
    Ok(())
}

fn require(item: &mut Value, row: &Row) {
    let names: Vec<_> = row.fields.iter().map(|(name, _)| *name).collect();
    item["required"] = json!(names);
    let properties = item.get_mut("properties").and_then(Value::as_object_mut);
    for (name, field) in properties.into_iter().flatten() {
        let Value::Object(field) = field else {
            continue;
        };
        if names.contains(&name.as_str()) {
            field.remove("nullable");
        }
        if let Some(known) = row.enums.iter().find(|known| known.field == name) {
            make_enum(field, known);
        }
        if let Some(known) = row.texts.iter().find(|known| known.field == name) {
            limit(field, known);
        }
    }
}

/// Puts the contract's values first, in its order, which is the order of the Rust enum's variants.
fn make_enum(field: &mut Schema, known: &EnumField) {
    let mut values: Vec<Value> = known.values.iter().map(|value| json!(value)).collect();
    if let Some(Value::Array(theirs)) = field.remove("enum") {
        values.extend(
            theirs
                .into_iter()
                .filter(|v| !known.values.iter().any(|ours| v == ours)),
        );
    }
    field.retain(|key, _| ["type", "description", "example"].contains(&key.as_str()));
    field.insert("enum".to_owned(), values.into());
}

/// Adds the limits that the document doesn't have.
fn limit(field: &mut Schema, known: &TextField) {
    // The generator takes either the values or the limits.
    if field.contains_key("enum") {
        return;
    }
    for (key, length) in [
        ("minLength", known.min_length),
        ("maxLength", known.max_length),
    ] {
        // A comparison with a length of zero would be one that the compiler warns about.
        if length > 0 {
            field.entry(key).or_insert_with(|| length.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{ATTRIBUTES, VALUES};

    #[test]
    fn a_row_and_the_ids_to_delete_are_required() {
        let value = json!({"type": "string", "nullable": true});
        let rows = json!({"maxItems": 10, "items": {"properties": {"value": value}}});
        let mut root = json!({"paths": {VALUES: {
            "put": {"requestBody": {"content": {"application/json": {"schema": rows}}}},
            "delete": {"parameters": [{"name": "id:in"}, {"name": "name"}]},
        }}});
        fix_requests(&mut root).expect("never fails");
        assert_eq!(
            root["paths"][VALUES]["put"]["requestBody"]["content"]["application/json"]["schema"],
            json!({"items": {
                "properties": {"value": {"type": "string", "maxLength": 255}},
                "required": ["attribute_id", "value", "customer_id"],
            }})
        );
        assert_eq!(
            root["paths"][VALUES]["delete"]["parameters"],
            json!([{"name": "id:in", "required": true}, {"name": "name"}])
        );
    }

    #[test]
    fn an_enum_lists_the_contracts_values_first() {
        for (theirs, ours) in [
            (
                json!({"type": "string", "maxLength": 9, "description": "Kind."}),
                json!({
                    "type": "string", "description": "Kind.", "enum": ["string", "number", "date"],
                }),
            ),
            (
                json!({
                    "type": "string",
                    "nullable": true,
                    "enum": ["flag", "date", "number", "string"],
                }),
                json!({"type": "string", "enum": ["string", "number", "date", "flag"]}),
            ),
        ] {
            let rows = json!({"items": {"properties": {"type": theirs}}});
            let content = json!({"content": {"application/json": {"schema": rows}}});
            let mut root = json!({"paths": {ATTRIBUTES: {"post": {"requestBody": content}}}});
            fix_requests(&mut root).expect("never fails");
            let content = &root["paths"][ATTRIBUTES]["post"]["requestBody"]["content"];
            let item = &content["application/json"]["schema"]["items"];
            assert_eq!(item["required"], json!(["name", "type"]));
            assert_eq!(item["properties"]["type"], ours);
        }
    }

    #[test]
    fn a_text_has_the_contracts_limits_unless_the_document_has_others() {
        for (theirs, ours) in [
            (json!({}), json!({"minLength": 1, "maxLength": 255})),
            (
                json!({"maxLength": 50}),
                json!({"minLength": 1, "maxLength": 50}),
            ),
            (json!({"enum": ["a"]}), json!({"enum": ["a"]})),
        ] {
            let rows = json!({"items": {"properties": {"id": {}, "name": theirs}}});
            let content = json!({"content": {"application/json": {"schema": rows}}});
            let mut root = json!({"paths": {ATTRIBUTES: {"put": {"requestBody": content}}}});
            fix_requests(&mut root).expect("never fails");
            let content = &root["paths"][ATTRIBUTES]["put"]["requestBody"]["content"];
            let item = &content["application/json"]["schema"]["items"];
            assert_eq!(item["properties"], json!({"id": {}, "name": ours}));
        }
    }
}
