use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// Separates the texts of a serialized list. A query contains it only until
/// [`join_by_commas`] replaces it.
pub(crate) const SEPARATOR: char = '\u{1f}';

/// A list of texts, such as email addresses, sent as `a,b,c` in one query parameter.
///
/// Each text is percent-encoded by itself, so it can contain any character but U+001F, which
/// separates the texts of a list that is serialized by serde. A request fails without being sent if a
/// list is empty, or if one of its texts is empty or contains U+001F.
///
/// A server that decodes the parameter before it splits it takes a comma within a text for the end
/// of that text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TextList(Vec<String>);

impl TextList {
    /// Returns the texts.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.0
    }
}

impl<S: Into<String>> FromIterator<S> for TextList {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        Self(texts.into_iter().map(Into::into).collect())
    }
}

impl From<Vec<String>> for TextList {
    fn from(texts: Vec<String>) -> Self {
        Self(texts)
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for TextList {
    fn from(texts: [S; N]) -> Self {
        texts.into_iter().collect()
    }
}

impl fmt::Display for TextList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl Serialize for TextList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The query has no other place for an invalid text, which splits into empty texts.
        let invalid = SEPARATOR.to_string();
        let texts = self.0.iter().map(|text| match text.as_str() {
            text if text.is_empty() || text.contains(SEPARATOR) => &invalid,
            text => text,
        });
        let texts: Vec<_> = texts.collect();
        serializer.serialize_str(&texts.join(&invalid))
    }
}

impl JsonSchema for TextList {
    fn schema_name() -> Cow<'static, str> {
        "TextList".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// Returns a form-encoded query with its lists (`…:in`) of texts joined by commas.
///
/// The generated code encodes a whole list, with its separators. A comma that separates stays as it
/// is, so that it differs from one within a text (`%2C`), and a server can split before it decodes
/// or after. A space becomes `%20`, which every server decodes, unlike a form's `+`.
pub(crate) fn join_by_commas(query: &str) -> String {
    let parameters = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, list)) if name.ends_with("%3Ain") => {
                let list = list.replace("%1F", ",").replace('+', "%20");
                format!("{name}={list}").into()
            }
            _ => Cow::from(parameter),
        });
    parameters.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_as_they_are() {
        let list = TextList::from(["a,b@x.com", "m\u{fc}ller@x.com"]);
        assert_eq!(list.texts(), ["a,b@x.com", "m\u{fc}ller@x.com"]);
        assert_eq!(list.to_string(), "a,b@x.com,m\u{fc}ller@x.com");
        assert_eq!(list, list.texts().to_vec().into());
        assert_eq!(list, list.texts().iter().collect());
        let json = serde_json::to_string(&list).expect("a string");
        assert_eq!(json, "\"a,b@x.com\\u001fm\u{fc}ller@x.com\"");
    }

    #[test]
    fn an_invalid_text_leaves_empty_texts() {
        for texts in [vec![""], vec!["a", ""], vec!["", "a"], vec!["a\u{1f}b"]] {
            let list: TextList = texts.iter().copied().collect();
            let json = serde_json::to_value(&list).expect("a string");
            let sent = json.as_str().expect("a string");
            assert!(!sent.is_empty(), "{texts:?}");
            assert!(sent.split(SEPARATOR).any(str::is_empty), "{texts:?}");
        }
    }

    #[test]
    fn only_lists_are_joined() {
        for (encoded, sent) in [
            ("", ""),
            ("page=1", "page=1"),
            ("id%3Ain=4%2C5", "id%3Ain=4%2C5"),
            ("email%3Ain=a%2Cb%1Fc+d%2B", "email%3Ain=a%2Cb,c%20d%2B"),
            ("email%3Ain=a%251Fb&page=1", "email%3Ain=a%251Fb&page=1"),
            ("name=a%1Fb+c&after=x", "name=a%1Fb+c&after=x"),
        ] {
            assert_eq!(join_by_commas(encoded), sent);
        }
    }
}
