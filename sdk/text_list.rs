use std::borrow::Cow;
use std::fmt;

use reqwest::Url;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// Stands for the comma between two texts until the query is encoded.
const SEPARATOR: char = '\u{1f}';
/// The separator in an encoded query.
const ENCODED_SEPARATOR: &str = "%1F";

/// A list of texts, such as e-mail addresses, sent as `a,b,c` in one query parameter.
///
/// Each text is percent-encoded by itself, and the commas between them are not. So a server reads the
/// same list whether it splits the parameter before or after it decodes it. A comma within a text is
/// encoded, which only a server of the former kind tells from the others.
///
/// A request with an empty list, an empty text or a control character in a text fails without being
/// sent.
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

/// Joins the texts by separators, which [`write_commas`] replaces.
impl Serialize for TextList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.iter().any(|text| text.is_empty()) {
            return Err(serde::ser::Error::custom("a text of a list is empty"));
        }
        if self.0.iter().any(|text| text.contains(char::is_control)) {
            let message = "a text of a list contains a control character";
            return Err(serde::ser::Error::custom(message));
        }
        let mut joined = String::new();
        for (index, text) in self.0.iter().enumerate() {
            if index > 0 {
                joined.push(SEPARATOR);
            }
            joined.push_str(text);
        }
        serializer.serialize_str(&joined)
    }
}

/// Writes the commas between the texts of lists into an encoded query.
pub(crate) fn write_commas(url: &mut Url) {
    if let Some(query) = url
        .query()
        .filter(|query| query.contains(ENCODED_SEPARATOR))
    {
        let query = query.replace(ENCODED_SEPARATOR, ",");
        url.set_query(Some(&query));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_joined() {
        assert_eq!(TextList::from(["a", "b"]).to_string(), "a,b");
        assert_eq!(TextList::from(vec!["a".to_owned()]).texts(), ["a"]);
        let json = serde_json::to_string(&TextList::from(["a", "b"])).expect("a string");
        assert_eq!(json, r#""a\u001fb""#);
        for texts in [["a", ""], ["a", "b\u{1f}c"]] {
            assert!(serde_json::to_string(&TextList::from(texts)).is_err());
        }
    }

    #[test]
    fn commas_are_written_between_texts_only() {
        let mut url: Url = "http://localhost/?ids=4%2C5&email:in=a%2Bb%1Fc%2Cd%1Fe"
            .parse()
            .expect("a URL");
        write_commas(&mut url);
        assert_eq!(url.query(), Some("ids=4%2C5&email:in=a%2Bb,c%2Cd,e"));
    }
}
