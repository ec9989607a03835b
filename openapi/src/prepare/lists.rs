use serde_json::{Value, json};

use super::accessors::parameters_mut;
use crate::contract::{ID_LIST, OPERATIONS, TEXT_LIST};
use crate::error::Problem;
use crate::schema::{Schema, text};

/// Gives lists of IDs in the query the type `IdList`, and other lists to filter by (`…:in`) the type
/// `TextList`, which join them by commas (`4,5,6`).
///
/// progenitor sends an array as one parameter per item, of which the server keeps the last. The
/// endpoints take commas, whatever the document's `explode` says. A list of anything else becomes
/// a string, which the caller joins.
pub(super) fn join_lists(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        for parameter in parameters_mut(root, operation).into_iter().flatten() {
            let name = text(parameter, "name");
            let Some(schema) = parameter.get("schema").and_then(Value::as_object) else {
                continue;
            };
            if is_id_list(name, schema) {
                parameter["schema"] = reference(ID_LIST);
            } else if name.ends_with(":in") {
                parameter["schema"] = reference(TEXT_LIST);
            } else if is_list(schema) {
                parameter["schema"] = json!({"type": "string"});
            }
        }
    }
    root["components"]["schemas"][ID_LIST] =
        json!({"type": "string", "description": "IDs, joined by commas."});
    root["components"]["schemas"][TEXT_LIST] =
        json!({"type": "string", "description": "Texts, joined by commas."});
    Ok(())
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Returns `true` if a parameter's name, or the type of a list without the name of a filter, shows that
/// it is a list of IDs.
fn is_id_list(name: &str, schema: &Schema) -> bool {
    let items = schema.get("items").map(|items| text(items, "type"));
    let is_list_of_ids = is_list(schema) && matches!(items, Some("integer" | "number"));
    name.ends_with("id:in") || (is_list_of_ids && !name.ends_with(":in"))
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
                {"name": "email:in", "schema": list("string")},
                {"name": "size:in", "schema": list("number")},
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
        let id_list = json!({"$ref": "#/components/schemas/IdList"});
        let text_list = json!({"$ref": "#/components/schemas/TextList"});
        let text = json!({"type": "string"});
        let others = [
            text,
            text_list.clone(),
            text_list,
            json!({"type": "integer"}),
        ];
        assert_eq!(schemas[..3], [id_list.clone(), id_list.clone(), id_list]);
        assert_eq!(schemas[3..], others);
    }
}
