use serde_json::{Value, json};

use super::endpoint::{parameters_mut, request_mut, text};
use crate::error::Problem;

/// The fields that a row always has.
const REQUIRED: [&str; 3] = ["attribute_id", "customer_id", "value"];

/// Requires of a request what can't be left out, even if the document does not say so: whether a
/// field is required decides its Rust type, and a DELETE without `id:in` is nothing to try. Limits
/// of the list of rows go: they would make a tuple or a set of it, and `ext` keeps its own.
pub(super) fn fix_requests(root: &mut Value) -> Result<(), Problem> {
    let mut request = request_mut(root).and_then(Value::as_object_mut);
    if let Some(request) = &mut request {
        request.retain(|key, _| key == "type" || key == "items");
    }
    if let Some(item) = request.and_then(|request| request.get_mut("items")) {
        item["required"] = json!(REQUIRED);
        for name in REQUIRED {
            let field = item.get_mut("properties").and_then(|p| p.get_mut(name));
            if let Some(field) = field.and_then(Value::as_object_mut) {
                field.remove("nullable");
            }
        }
    }
    for parameter in parameters_mut(root, "delete").into_iter().flatten() {
        if text(parameter, "name") == "id:in" {
            parameter["required"] = true.into();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::endpoint::PATH;

    #[test]
    fn a_row_and_the_ids_to_delete_are_required() {
        let value = json!({"type": "string", "nullable": true});
        let rows = json!({"maxItems": 10, "items": {"properties": {"value": value}}});
        let mut root = json!({"paths": {PATH: {
            "put": {"requestBody": {"content": {"application/json": {"schema": rows}}}},
            "delete": {"parameters": [{"name": "id:in"}, {"name": "name"}]},
        }}});
        fix_requests(&mut root).expect("never fails");
        assert_eq!(
            request_mut(&mut root),
            Some(&mut json!({"items": {
                "properties": {"value": {"type": "string"}},
                "required": ["attribute_id", "customer_id", "value"],
            }}))
        );
        assert_eq!(
            root["paths"][PATH]["delete"]["parameters"],
            json!([{"name": "id:in", "required": true}, {"name": "name"}])
        );
    }
}
