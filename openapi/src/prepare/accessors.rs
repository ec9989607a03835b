//! Access to the parts of a document after [`select`](super::select).

use serde_json::Value;

use crate::contract::Operation;

/// The place of the JSON schema within a request body or a response.
const JSON_SCHEMA: &str = "/content/application~1json/schema";

pub(super) fn operation<'a>(root: &'a Value, spec: &Operation) -> Option<&'a Value> {
    root.get("paths")?.get(spec.path)?.get(spec.method)
}

pub(super) fn operation_mut<'a>(root: &'a mut Value, spec: &Operation) -> Option<&'a mut Value> {
    let paths = root.get_mut("paths")?;
    paths.get_mut(spec.path)?.get_mut(spec.method)
}

pub(super) fn parameters<'a>(root: &'a Value, spec: &Operation) -> &'a [Value] {
    operation(root, spec)
        .and_then(|operation| operation.get("parameters")?.as_array())
        .map_or(&[], Vec::as_slice)
}

pub(super) fn parameters_mut<'a>(
    root: &'a mut Value,
    spec: &Operation,
) -> Option<&'a mut Vec<Value>> {
    operation_mut(root, spec)?
        .get_mut("parameters")?
        .as_array_mut()
}

/// Returns the schema of the request body, an array.
pub(super) fn request<'a>(root: &'a Value, spec: &Operation) -> Option<&'a Value> {
    operation(root, spec)?
        .get("requestBody")?
        .pointer(JSON_SCHEMA)
}

pub(super) fn request_mut<'a>(root: &'a mut Value, spec: &Operation) -> Option<&'a mut Value> {
    operation_mut(root, spec)?
        .get_mut("requestBody")?
        .pointer_mut(JSON_SCHEMA)
}

/// Returns the schema of the response with this status.
pub(super) fn response<'a>(root: &'a Value, spec: &Operation, status: &str) -> Option<&'a Value> {
    operation(root, spec)?
        .get("responses")?
        .get(status)?
        .pointer(JSON_SCHEMA)
}

pub(super) fn response_mut<'a>(
    root: &'a mut Value,
    spec: &Operation,
    status: &str,
) -> Option<&'a mut Value> {
    operation_mut(root, spec)?
        .get_mut("responses")?
        .get_mut(status)?
        .pointer_mut(JSON_SCHEMA)
}

/// Returns the schema of a page's records.
pub(super) fn record_mut(page: &mut Value) -> Option<&mut Value> {
    page.pointer_mut("/properties/data/items")
}
