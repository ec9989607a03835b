//! Where things are in a document once [`select`](super::select) has run.

use serde_json::Value;

/// The one path that we bind, relative to a store's base URL.
pub(super) const PATH: &str = "/customers/attribute-values";

/// The operations that we bind: method, and the name of the Rust method.
pub(super) const OPERATIONS: [(&str, &str); 3] = [
    ("get", "list_attribute_values"),
    ("put", "upsert_attribute_values"),
    ("delete", "delete_attribute_values"),
];

/// Where an operation's JSON schema is, within its request body or within an answer.
const JSON_SCHEMA: &str = "/content/application~1json/schema";

/// An operation as messages call it.
pub(super) fn label(method: &str) -> String {
    format!("{} {PATH}", method.to_uppercase())
}

pub(super) fn operation<'a>(root: &'a Value, method: &str) -> Option<&'a Value> {
    root.get("paths")?.get(PATH)?.get(method)
}

pub(super) fn operation_mut<'a>(root: &'a mut Value, method: &str) -> Option<&'a mut Value> {
    root.get_mut("paths")?.get_mut(PATH)?.get_mut(method)
}

pub(super) fn parameters<'a>(root: &'a Value, method: &str) -> &'a [Value] {
    operation(root, method)
        .and_then(|operation| operation.get("parameters")?.as_array())
        .map_or(&[], Vec::as_slice)
}

pub(super) fn parameters_mut<'a>(root: &'a mut Value, method: &str) -> Option<&'a mut Vec<Value>> {
    operation_mut(root, method)?
        .get_mut("parameters")?
        .as_array_mut()
}

/// The schema of PUT's request: an array.
pub(super) fn request(root: &Value) -> Option<&Value> {
    operation(root, "put")?
        .get("requestBody")?
        .pointer(JSON_SCHEMA)
}

pub(super) fn request_mut(root: &mut Value) -> Option<&mut Value> {
    operation_mut(root, "put")?
        .get_mut("requestBody")?
        .pointer_mut(JSON_SCHEMA)
}

/// The schema of an operation's answer with this status.
pub(super) fn answer<'a>(root: &'a Value, method: &str, status: &str) -> Option<&'a Value> {
    operation(root, method)?
        .get("responses")?
        .get(status)?
        .pointer(JSON_SCHEMA)
}

pub(super) fn answer_mut<'a>(
    root: &'a mut Value,
    method: &str,
    status: &str,
) -> Option<&'a mut Value> {
    operation_mut(root, method)?
        .get_mut("responses")?
        .get_mut(status)?
        .pointer_mut(JSON_SCHEMA)
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
