//! The error body of a response, in one line.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use bigcommerce_sdk::types::ErrorBody;
use reqwest::header::LOCATION;
use serde_json::Value;

/// The maximum number of characters that an error repeats.
const MAX_LENGTH: usize = 400;
/// A secret of this length is redacted within words, too.
const MIN_SECRET_LENGTH: usize = 8;
const REDACTED: &str = "REDACTED";

/// Joins the title and the field messages.
pub(super) fn summarize(body: &ErrorBody) -> Option<String> {
    let mut parts: Vec<String> = body.title.iter().cloned().collect();
    if let Some(errors) = &body.errors {
        collect(errors, "", &mut parts);
    }
    parts.retain(|part| !part.trim().is_empty());
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Returns `true` if the body has messages about fields of the request.
pub(super) fn has_field_errors(body: &ErrorBody) -> bool {
    match &body.errors {
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        _ => false,
    }
}

/// Returns the positions of the rows that the body names by keys such as `0.value` or `0`.
pub(super) fn row_indices(body: &ErrorBody) -> BTreeSet<usize> {
    let Some(Value::Object(fields)) = &body.errors else {
        return BTreeSet::new();
    };
    let index = |key: &String| key.split('.').next()?.parse().ok();
    fields.keys().filter_map(index).collect()
}

/// Describes the origin that a redirect leads to, without path and query.
pub(super) fn redirect_target(response: &reqwest::Response) -> Option<String> {
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
        scalar => {
            let text = match scalar {
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

/// Replaces a secret in upper, lower or mixed case: a server may use the secret as a host name,
/// whose letters become lower case. It is replaced percent-encoded too, whichever of its characters are.
///
/// A short secret is replaced only where it is a word: as a part of other words it shows nothing.
fn redact(line: &str, secret: &str) -> String {
    if secret.is_empty() {
        return line.to_owned();
    }
    let is_short = secret.len() < MIN_SECRET_LENGTH;
    let is_word = |before: Option<char>, after: &str| {
        let neighbours = [before, after.chars().next()];
        !neighbours.into_iter().flatten().any(char::is_alphanumeric)
    };
    let mut text = String::with_capacity(line.len());
    let (mut rest, mut before) = (line, None);
    while let Some(first) = rest.chars().next() {
        let after = strip_plain(rest, secret).or_else(|| strip_encoded(rest, secret));
        match after.filter(|after| !is_short || is_word(before, after)) {
            Some(after) => {
                text.push_str(REDACTED);
                before = secret.chars().next_back();
                rest = after;
            }
            None => {
                text.push(first);
                before = Some(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
    }
    text
}

/// Returns what follows the secret at the start of the text.
fn strip_plain<'a>(text: &'a str, secret: &str) -> Option<&'a str> {
    let (start, after) = text.split_at_checked(secret.len())?;
    start.eq_ignore_ascii_case(secret).then_some(after)
}

/// Returns what follows the secret at the start of the text, where each character of the secret is
/// plain or percent-encoded, once or twice.
fn strip_encoded<'a>(text: &'a str, secret: &str) -> Option<&'a str> {
    secret.chars().try_fold(text, |text, c| {
        strip_encoded_char(text, c).or_else(|| {
            let first = text.chars().next()?;
            let is_plain = first.eq_ignore_ascii_case(&c) || (c == ' ' && first == '+');
            text.get(first.len_utf8()..).filter(|_| is_plain)
        })
    })
}

fn strip_encoded_char(text: &str, c: char) -> Option<&str> {
    let mut bytes = [0; 4];
    let bytes = c.encode_utf8(&mut bytes).bytes();
    bytes.into_iter().try_fold(text, |text, byte| {
        let digits = text.strip_prefix('%')?;
        [digits.strip_prefix("25"), Some(digits)]
            .into_iter()
            .flatten()
            .find_map(|digits| {
                let (digits, after) = digits.split_at_checked(2)?;
                let encoded = u8::from_str_radix(digits, 16).ok()?;
                encoded.eq_ignore_ascii_case(&byte).then_some(after)
            })
    })
}

/// Replaces e-mail addresses, plain or percent-encoded: a server may repeat a filter.
///
/// What stands before the `@` is replaced up to a space or a character that is rare in addresses:
/// rather too much than too little.
fn redact_addresses(line: &str) -> String {
    let is_in_name = |c: char| !c.is_whitespace() && !r#""`()<>[]{},;"#.contains(c);
    let is_in_domain = |c: char| c.is_alphanumeric() || ".-_%@[]".contains(c);
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, mark, after)) = split_at_sign(rest) {
        let kept = before.trim_end_matches(is_in_name);
        let remaining = after.trim_start_matches(is_in_domain);
        if kept.len() == before.len() || remaining.len() == after.len() {
            text.extend([before, mark]);
            rest = after;
        } else {
            text.extend([kept, REDACTED]);
            rest = remaining;
        }
    }
    text.push_str(rest);
    text
}

/// Splits a text at its first `@`, plain or percent-encoded.
fn split_at_sign(text: &str) -> Option<(&str, &str, &str)> {
    let marks = ["@", "%40", "%2540"].into_iter();
    let splits = marks.filter_map(|mark| {
        let (before, after) = text.split_once(mark)?;
        Some((before, mark, after))
    });
    splits.min_by_key(|(before, ..)| before.len())
}

/// Redacts e-mail addresses and the secrets in a line and then shortens it, so that no part of them
/// is left at the end.
pub(super) fn sanitize<'a>(line: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut secrets: Vec<_> = secrets.into_iter().collect();
    // A secret may begin with another one.
    secrets.sort_unstable_by_key(|secret| Reverse(secret.len()));
    let redacted = secrets
        .into_iter()
        .fold(line.to_owned(), |line, secret| redact(&line, secret));
    let text = redact_addresses(&redacted);
    match text.char_indices().nth(MAX_LENGTH) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn title_and_field_messages_are_joined_redacted_and_shortened() {
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
            assert_eq!(summarize(&body).as_deref(), expected);
        }
        let naming = json!({"errors": {"0.value": "a", "12": "b", "value": "c", "-1.id": "d"}});
        let naming: ErrorBody = serde_json::from_value(naming).expect("an error body");
        assert_eq!(row_indices(&naming), BTreeSet::from([0, 12]));
        assert!(has_field_errors(&naming));
        let long: ErrorBody =
            serde_json::from_value(json!({"title": "é".repeat(5000)})).expect("an error body");
        let line = summarize(&long).expect("a line");
        assert_eq!(
            sanitize(&line, ["s3cr3t-token"]).chars().count(),
            MAX_LENGTH + 1
        );
        let at_the_end = format!("{}longsecret", "x".repeat(MAX_LENGTH - 3));
        assert!(!sanitize(&at_the_end, ["longsecret"]).contains("xlon"));
    }

    #[test]
    fn a_secret_is_redacted_however_it_is_percent_encoded() {
        let secret = "Jane D~\u{f6}e/X, (50%)";
        for repeated in [
            "Jane D~\u{f6}e/X, (50%)",
            "Jane%20D%7E%C3%B6e%2FX%2C%20%2850%25%29",
            "Jane+D%7E%C3%B6e%2FX%2C+%2850%25%29",
            // Other libraries encode less, or with lower-case digits, or what was encoded before.
            "Jane%20D~%c3%b6e/X,%20(50%25)",
            "jane%2520d~%25C3%25B6e%252FX,+(50%2525)",
        ] {
            let line = format!("source={repeated}&x=Jane");
            assert_eq!(sanitize(&line, [secret]), "source=REDACTED&x=Jane");
        }
        for (line, expected) in [
            ("id=7&limit=70, 407", "id=REDACTED&limit=70, 407"),
            ("%37 and %", "REDACTED and %"),
            ("77 7", "77 REDACTED"),
        ] {
            assert_eq!(sanitize(line, ["7"]), expected);
        }
    }

    #[test]
    fn a_secret_that_begins_with_another_one_is_redacted_as_a_whole() {
        let line = "token abcdefghXYZ, before it abcdefgh";
        let expected = "token REDACTED, before it REDACTED";
        assert_eq!(sanitize(line, ["abcdefgh", "abcdefghXYZ"]), expected);
        assert_eq!(sanitize(line, ["abcdefghXYZ", "abcdefgh"]), expected);
    }

    #[test]
    fn addresses_are_redacted() {
        for (line, expected) in [
            ("jane@example.com", "REDACTED"),
            (
                "email:in: Jane+a.b@example.com, 'müller@exämple.de' are unknown",
                "email:in: REDACTED, REDACTED' are unknown",
            ),
            (
                "GET /customers?email:in=jane%2Bx%40example.com%2Cbob%40example.com&page=1",
                "GET REDACTED&page=1",
            ),
            ("x%40ex%C3%A4mple.de is unknown", "REDACTED is unknown"),
            ("<o'hara@example.com>", "<REDACTED>"),
            (
                "jane@@x.de, jane@[10.0.0.1] and jane%2540x.de",
                "REDACTED, REDACTED and REDACTED",
            ),
            ("a=b@x.de a/b@x.de", "REDACTED REDACTED"),
            ("at 5 @ once, @here, a@ b", "at 5 @ once, @here, a@ b"),
        ] {
            assert_eq!(sanitize(line, []), expected, "{line}");
        }
    }

    #[test]
    fn a_secret_is_redacted_in_any_case_and_a_short_one_only_as_a_word() {
        for (line, secret, expected) in [
            (
                "a SeCrEt1x and é secret1x",
                "sEcret1x",
                "a REDACTED and é REDACTED",
            ),
            ("xsecret1xy", "secret1x", "xREDACTEDy"),
            (
                "the token: t, T and \"t\"",
                "t",
                "the token: REDACTED, REDACTED and \"REDACTED\"",
            ),
            ("ét", "t", "ét"),
            ("at", "at", "REDACTED"),
            ("anything", "", "anything"),
        ] {
            assert_eq!(sanitize(line, ["other", secret]), expected);
        }
    }
}
