use serde_json::{Value, json};

use super::accessors::parameters_mut;
use crate::contract::{ID_LIST, OPERATIONS, TEXT_LIST};
use crate::error::Problem;
use crate::schema::{Schema, text};

/// Gives lists in the query the types `IdList` and `TextList`, which join them by commas (`4,5,6`).
///
/// progenitor sends an array as one parameter per item, of which the server keeps the last. The
/// endpoints take commas, whatever the document's `explode` says. A list that isn't a filter
/// (`…:in`) becomes a string, which the caller joins.
pub(super) fn join_lists(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        for parameter in parameters_mut(root, operation).into_iter().flatten() {
            let name = text(parameter, "name");
            let Some(schema) = parameter.get("schema").and_then(Value::as_object) else {
                continue;
            };
            parameter["schema"] = if is_id_list(name, schema) {
                refer(ID_LIST)
            } else if name.ends_with(":in") {
                refer(TEXT_LIST)
            } else if is_list(schema) {
                json!({"type": "string"})
            } else {
                continue;
            };
        }
    }
    for (list, items) in [(ID_LIST, "IDs"), (TEXT_LIST, "Texts")] {
        root["components"]["schemas"][list] =
            json!({"type": "string", "description": format!("{items}, joined by commas.")});
    }
    Ok(())
}

fn refer(list: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{list}")})
}

/// Returns `true` if a parameter's name or type shows that it is a list of IDs.
fn is_id_list(name: &str, schema: &Schema) -> bool {
    let items = schema.get("items").map(|items| text(items, "type"));
    name.ends_with("id:in") || (is_list(schema) && matches!(items, Some("integer" | "number")))
}

fn is_list(schema: &Schema) -> bool {
    schema.get("type").is_some_and(|kind| kind == "array")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::VALUES;

    #[test]
    fn lists_are_joined_however_they_are_declared() {
        let list = |of: &str| json!({"type": "array", "items": {"type": of}});
        let mut root = json!({
            "paths": {VALUES: {"get": {"parameters": [
                {"name": "customer_id:in", "schema": list("integer")},
                {"name": "attribute_id:in", "schema": {"type": "string"}},
                {"name": "channels", "schema": list("number")},
                {"name": "include", "schema": list("string")},
                {"name": "name:in", "schema": list("string")},
                {"name": "email:in", "schema": {"type": "string"}},
                {"name": "email:like", "schema": list("string")},
                {"name": "page", "schema": {"type": "integer"}},
            ]}}},
            "components": {"schemas": {}},
        });
        join_lists(&mut root).expect("never fails");
        let parameters = root["paths"][VALUES]["get"]["parameters"].as_array();
        let schemas: Vec<_> = parameters
            .into_iter()
            .flatten()
            .map(|p| p["schema"].clone())
            .collect();
        let [id_list, text_list] = [ID_LIST, TEXT_LIST].map(refer);
        let text = json!({"type": "string"});
        assert_eq!(
            schemas,
            [
                id_list.clone(),
                id_list.clone(),
                id_list,
                text.clone(),
                text_list.clone(),
                text_list,
                text,
                json!({"type": "integer"}),
            ]
        );
    }
}
