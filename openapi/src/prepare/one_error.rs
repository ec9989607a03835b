use serde_json::{Value, json};

use super::endpoint::operation_mut;
use crate::bound::OPERATIONS;
use crate::error::Problem;

/// Gives every operation the same answer for every failure, whatever a document lists: progenitor
/// panics on a second type of answer, and a strict one would turn a 429 with an unusual body into
/// an error that no longer says 429. `errors` occurs as an object, an array, empty and not at all.
pub(super) fn unify_errors(root: &mut Value) -> Result<(), Problem> {
    let answer = json!({
        "description": "The request was refused.",
        "content": {"application/json": {"schema": error_body()}},
    });
    for operation in &OPERATIONS {
        let operation = operation_mut(root, operation);
        if let Some(responses) = operation.and_then(|o| o.get_mut("responses")) {
            responses["4XX"] = answer.clone();
            responses["5XX"] = answer.clone();
        }
    }
    Ok(())
}

fn error_body() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "description": "Why a request was refused.",
        "properties": {
            "status": {
                "type": "integer",
                "format": "int64",
                "description": "The HTTP status once more.",
            },
            "title": text("What went wrong, in a sentence."),
            "type": text("Link to a page about the error."),
            "instance": text("What the error is about."),
            "detail": text("More about what went wrong."),
            "errors": {
                "description": "Messages by field, where there are any: mostly an object, \
                                but an array or an empty one occurs.",
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::endpoint::answer;

    #[test]
    fn every_failure_has_the_same_type() {
        let mut root = json!({"paths": {}});
        for operation in &OPERATIONS {
            root["paths"][operation.path][operation.method] = json!({"responses": {"200": {}}});
        }
        unify_errors(&mut root).expect("never fails");
        for operation in &OPERATIONS {
            for status in ["4XX", "5XX"] {
                let body = answer(&root, operation, status).expect("has a schema");
                assert_eq!(body.get("required"), None);
                assert_eq!(body["properties"]["errors"].get("type"), None);
            }
        }
    }
}
