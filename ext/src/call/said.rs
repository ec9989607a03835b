//! What the server said, in a line.

use std::collections::BTreeSet;

use bigcommerce_sdk::types::ErrorBody;
use reqwest::header::LOCATION;
use serde_json::Value;

const LONGEST: usize = 400;

/// Puts title and field messages of an error answer into a line.
pub(crate) fn by_server(body: &ErrorBody) -> Option<String> {
    let mut parts: Vec<String> = body.title.iter().cloned().collect();
    if let Some(errors) = &body.errors {
        collect(errors, "", &mut parts);
    }
    parts.retain(|part| !part.trim().is_empty());
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Says whether an error answer has messages about fields of what was sent.
pub(crate) fn speaks_of_fields(body: &ErrorBody) -> bool {
    match &body.errors {
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        _ => false,
    }
}

/// Reads which rows an error answer names by their place: keys such as `0.value` or `0`.
pub(crate) fn named_rows(body: &ErrorBody) -> BTreeSet<usize> {
    let Some(Value::Object(fields)) = &body.errors else {
        return BTreeSet::new();
    };
    let place = |key: &String| key.split('.').next()?.parse().ok();
    fields.keys().filter_map(place).collect()
}

/// Names the place that a redirect leads to, without its path and query.
pub(crate) fn redirected_to(response: &reqwest::Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let target = response.url().join(location).ok()?;
    Some(format!(
        "redirect to {}",
        target.origin().ascii_serialization()
    ))
}

fn collect(value: &Value, field: &str, parts: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                collect(inner, name, parts);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, field, parts)),
        Value::Null => {}
        plain => {
            let text = match plain {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            parts.push(match field {
                "" => text,
                field => format!("{field}: {text}"),
            });
        }
    }
}

/// Takes a secret out, in upper or lower case: a host name that a server makes of it is lower case.
fn redact(line: &str, secret: &str) -> String {
    let (lower, secret) = (line.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let mut text = String::with_capacity(line.len());
    let mut from = 0;
    // Both have the same bytes at the same places but for the case of letters.
    for (at, found) in lower.match_indices(&secret) {
        text.push_str(line.get(from..at).unwrap_or_default());
        text.push_str("REDACTED");
        from = at + found.len();
    }
    text.push_str(line.get(from..).unwrap_or_default());
    text
}

/// Makes a line fit for an error: without the secret, which a server may repeat, and then not too
/// long, so that no part of the secret is left at the end.
pub(crate) fn presentable(line: &str, secret: &str) -> String {
    let text = redact(line, secret);
    match text.char_indices().nth(LONGEST) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn title_and_messages_become_a_line() {
        for (body, expected) in [
            (json!({}), None),
            (json!({"title": "", "errors": {}}), None),
            (json!({"title": "Bad", "errors": null}), Some("Bad")),
            (
                json!({"title": "Bad", "errors": {"0.value": "too long", "1.id": ["a", "b"]}}),
                Some("Bad; 0.value: too long; 1.id: a; 1.id: b"),
            ),
            (
                json!({"errors": ["one", {"field": 2}]}),
                Some("one; field: 2"),
            ),
        ] {
            let body: ErrorBody = serde_json::from_value(body).expect("an error body");
            assert_eq!(by_server(&body).as_deref(), expected);
        }
        let naming = json!({"errors": {"0.value": "a", "12": "b", "value": "c", "-1.id": "d"}});
        let naming: ErrorBody = serde_json::from_value(naming).expect("an error body");
        assert_eq!(named_rows(&naming), BTreeSet::from([0, 12]));
        assert!(speaks_of_fields(&naming));
        let long: ErrorBody =
            serde_json::from_value(json!({"title": "é".repeat(5000)})).expect("an error body");
        let line = by_server(&long).expect("a line");
        assert_eq!(presentable(&line, "secret").chars().count(), LONGEST + 1);
        let at_the_end = format!("{}secret", "x".repeat(LONGEST - 3));
        assert!(!presentable(&at_the_end, "secret").contains("xsec"));
        let redacted = presentable("a SeCrEt and é secret", "sEcret");
        assert_eq!(redacted, "a REDACTED and é REDACTED");
    }
}
