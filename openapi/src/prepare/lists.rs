use serde_json::{Map, Value, json};

use super::endpoint::parameters_mut;
use super::names::ID_LIST;
use crate::bound::OPERATIONS;
use crate::error::Problem;
use crate::read::text;

/// Makes `IdList`, our own type that writes `4,5,6`, of lists in the query: progenitor writes an
/// array as a parameter per item, whatever the document says, and the server keeps the last one.
///
/// Commas are what the endpoints take, so `explode` is not asked. A list of other things than
/// numbers is text, to be joined by whoever sends it.
pub(super) fn join_lists(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        for parameter in parameters_mut(root, operation).into_iter().flatten() {
            let name = text(parameter, "name");
            let Some(schema) = parameter.get("schema").and_then(Value::as_object) else {
                continue;
            };
            if is_id_list(name, schema) {
                parameter["schema"] = json!({"$ref": format!("#/components/schemas/{ID_LIST}")});
            } else if is_list(schema) {
                parameter["schema"] = json!({"type": "string"});
            }
        }
    }
    root["components"]["schemas"][ID_LIST] =
        json!({"type": "string", "description": "IDs, joined by commas."});
    Ok(())
}

/// Whether a parameter is a list of IDs, as which its name can tell it, too.
fn is_id_list(name: &str, schema: &Map<String, Value>) -> bool {
    let of = schema.get("items").map(|items| text(items, "type"));
    name.ends_with("id:in") || (is_list(schema) && matches!(of, Some("integer" | "number")))
}

fn is_list(schema: &Map<String, Value>) -> bool {
    schema.get("type").is_some_and(|kind| kind == "array")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::VALUES;

    #[test]
    fn lists_are_joined_whatever_they_are_declared_as() {
        let list = |of: &str| json!({"type": "array", "items": {"type": of}});
        let mut root = json!({
            "paths": {VALUES: {"get": {"parameters": [
                {"name": "customer_id:in", "schema": list("integer")},
                {"name": "attribute_id:in", "schema": {"type": "string"}},
                {"name": "channels", "schema": list("number")},
                {"name": "include", "schema": list("string")},
                {"name": "name:in", "schema": list("string")},
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
        let text = json!({"type": "string"});
        let others = [text.clone(), text, json!({"type": "integer"})];
        assert_eq!(schemas[..3], [id_list.clone(), id_list.clone(), id_list]);
        assert_eq!(schemas[3..], others);
    }
}
