use serde_json::{Value, json};

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
            let schema = &parameter["schema"];
            let is_list = text(schema, "type") == "array";
            let of_numbers = matches!(text(&schema["items"], "type"), "integer" | "number");
            if text(parameter, "name").ends_with("id:in") || (is_list && of_numbers) {
                parameter["schema"] = json!({"$ref": format!("#/components/schemas/{ID_LIST}")});
            } else if is_list {
                parameter["schema"] = json!({"type": "string"});
            }
        }
    }
    root["components"]["schemas"][ID_LIST] =
        json!({"type": "string", "description": "IDs, joined by commas."});
    Ok(())
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
