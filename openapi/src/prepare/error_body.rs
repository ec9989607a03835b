use serde_json::{Value, json};

use super::accessors::operation_mut;
use crate::contract::OPERATIONS;
use crate::error::Problem;

/// Gives every operation the same response for every failure, whatever the document lists.
///
/// progenitor panics on a second type of error response. A strict type would lose the status of a
/// 429 with an unusual body: `errors` can be an object, an array, empty or missing.
pub(super) fn unify_errors(root: &mut Value) -> Result<(), Problem> {
    let response = json!({
        "description": "The request was rejected.",
        "content": {"application/json": {"schema": error_body()}},
    });
    for operation in &OPERATIONS {
        let operation = operation_mut(root, operation);
        if let Some(responses) = operation.and_then(|o| o.get_mut("responses")) {
            responses["4XX"] = response.clone();
            responses["5XX"] = response.clone();
        }
    }
    Ok(())
}

fn error_body() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "description": "The reason why a request was rejected.",
        "properties": {
            "status": {
                "type": "integer",
                "format": "int64",
                "description": "The response's HTTP status.",
            },
            "title": text("What went wrong, in a sentence."),
            "type": text("A link to a page about the error."),
            "instance": text("The subject of the error."),
            "detail": text("Details of the error."),
            "errors": {
                "description": "Messages by field: usually an object, sometimes an array, \
                                and sometimes empty or missing.",
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::accessors::response;

    #[test]
    fn every_failure_has_the_same_type() {
        let mut root = json!({"paths": {}});
        for operation in &OPERATIONS {
            root["paths"][operation.path][operation.method] = json!({"responses": {"200": {}}});
        }
        unify_errors(&mut root).expect("never fails");
        for operation in &OPERATIONS {
            for status in ["4XX", "5XX"] {
                let body = response(&root, operation, status).expect("has a schema");
                assert_eq!(body.get("required"), None);
                assert_eq!(body["properties"]["errors"].get("type"), None);
            }
        }
    }
}
