use serde_json::{Map, Value, json};

use super::endpoint::{parameters_mut, request_mut};
use crate::bound::{Choice, OPERATIONS, Row};
use crate::error::Problem;
use crate::read::text;

/// Requires of a request what can't be left out, even if the document does not say so: whether a
/// field is required decides its Rust type, and a DELETE without `id:in` is nothing to try. Limits
/// of the list of rows go: they would make a tuple or a set of it, and `ext` keeps its own.
///
/// A field that takes a few values only becomes an enum, whether or not the document lists them.
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
            if operation.query.iter().any(|q| q.always && q.name == name) {
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
        if let Some(choice) = row.choices.iter().find(|choice| choice.field == name) {
            enumerate(field, choice);
        }
    }
}

/// Ours come first, in our order: the order of a Rust enum's variants shows.
fn enumerate(field: &mut Map<String, Value>, choice: &Choice) {
    let mut values: Vec<Value> = choice.values.iter().map(|value| json!(value)).collect();
    if let Some(Value::Array(theirs)) = field.remove("enum") {
        values.extend(
            theirs
                .into_iter()
                .filter(|v| !choice.values.iter().any(|ours| v == ours)),
        );
    }
    field.retain(|key, _| ["type", "description", "example"].contains(&key.as_str()));
    field.insert("enum".to_owned(), values.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::{ATTRIBUTES, VALUES};

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
                "properties": {"value": {"type": "string"}},
                "required": ["attribute_id", "value", "customer_id"],
            }})
        );
        assert_eq!(
            root["paths"][VALUES]["delete"]["parameters"],
            json!([{"name": "id:in", "required": true}, {"name": "name"}])
        );
    }

    #[test]
    fn a_choice_is_an_enum_in_our_order() {
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
}
