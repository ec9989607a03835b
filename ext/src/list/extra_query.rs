//! Query parameters of a list that this crate doesn't know.

use std::fmt;

use bigcommerce_sdk as sdk;

use crate::error::Error;

/// The maximum number of bytes of the URL that the parameters take. The rest is for the others.
const MAX_LEN: usize = 1_000;
const PERCENT_ENCODED_BYTE_LEN: usize = 3;

/// The parameters that this crate sends itself, and how to set them.
const KNOWN: &[(&str, &str)] = &[
    ("page", "pages are requested one after the other"),
    ("limit", "use page_size()"),
    ("customer_id:in", "use customers()"),
    ("attribute_id:in", "use attributes()"),
    ("name", "use attribute_name()"),
    ("date_created", "use created_on()"),
    ("date_created:min", "use created_since()"),
    ("date_created:max", "use created_until()"),
    ("date_modified", "use modified_on()"),
    ("date_modified:min", "use modified_since()"),
    ("date_modified:max", "use modified_until()"),
];

/// Parameters by name. Their values may be personal data: `Debug` doesn't show them.
#[derive(Clone, Default)]
pub(super) struct ExtraQuery(Vec<(String, String)>);

impl ExtraQuery {
    pub(super) fn add(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// Returns an error if a parameter is one that this crate sends, or is given twice, or can't be
    /// sent.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let invalid = |text: String| Err(Error::invalid_input(text));
        for (position, (name, value)) in self.0.iter().enumerate() {
            if name.trim().is_empty() {
                return invalid("query has an empty name".to_owned());
            }
            let before = self.0.get(..position).unwrap_or_default();
            if before.iter().any(|(other, _)| is_same(name, other)) {
                return invalid(format!("query {name:?} is given twice: give it one value"));
            }
            if let Some((_, advice)) = KNOWN.iter().find(|(known, _)| is_same(name, known)) {
                return invalid(format!(
                    "query {name:?} is sent by the list itself: {advice}"
                ));
            }
            if value.is_empty() {
                // Servers differ: an empty value selects no values or all of them.
                return invalid(format!("query {name:?} has an empty value"));
            }
        }
        match self.url_len() {
            ..=MAX_LEN => Ok(()),
            len => invalid(format!(
                "query takes {len} bytes of the URL: at most {MAX_LEN} are left for it"
            )),
        }
    }

    /// Returns the number of bytes of the URL that the parameters take.
    pub(super) fn url_len(&self) -> usize {
        let pairs = self.0.iter();
        pairs
            .map(|(name, value)| "&=".len() + encoded_len(name) + encoded_len(value))
            .sum()
    }

    /// Returns the values, which no output may contain.
    pub(super) fn secrets(&self) -> Vec<String> {
        self.0.iter().map(|(_, value)| value.clone()).collect()
    }

    /// Returns a client that sends the parameters.
    pub(super) fn apply(&self, client: sdk::Client) -> sdk::Client {
        self.0.iter().fold(client, |client, (name, value)| {
            client.with_query(name.clone(), value.clone())
        })
    }
}

impl fmt::Debug for ExtraQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Returns `true` if a server may take both names for one. Case and what looks like an index (`page[]`)
/// make no difference to some of them, nor do spaces in front.
fn is_same(one: &str, other: &str) -> bool {
    let folded = |name: &str| {
        let name = name.split('[').next().unwrap_or(name);
        name.trim().to_ascii_lowercase()
    };
    folded(one) == folded(other)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"*-._".contains(&byte)
}

fn encoded_len(text: &str) -> usize {
    let lens = text.bytes().map(|byte| match byte {
        b' ' => 1,
        byte if is_unreserved(byte) => 1,
        _ => PERCENT_ENCODED_BYTE_LEN,
    });
    lens.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> ExtraQuery {
        let mut query = ExtraQuery::default();
        for (name, value) in pairs {
            query.add((*name).to_owned(), (*value).to_owned());
        }
        query
    }

    #[test]
    fn the_length_is_that_of_the_encoded_query() {
        let pairs = [("channel_id:in", "7,8"), ("q", "a b+c & é/~*-._Z")];
        let encoded = reqwest::Url::parse_with_params("http://localhost/", pairs);
        let encoded = encoded.expect("a URL");
        let encoded = encoded.query().expect("a query");
        // The first pair has a question mark where the others have an ampersand.
        assert_eq!(query(&pairs).url_len(), "&".len() + encoded.len());
    }

    #[test]
    fn what_the_list_sends_itself_is_refused_with_the_method_to_use() {
        for (name, advice) in KNOWN {
            for name in [
                (*name).to_owned(),
                name.to_uppercase(),
                format!(" {name}[]"),
            ] {
                let error = query(&[(&name, "s3cr3t")]).validate().expect_err(&name);
                let error = error.to_string();
                assert!(error.ends_with(advice), "{error}");
                assert!(!error.contains("s3cr3t"), "{error}");
            }
        }
        for (pairs, expected) in [
            (&[(" ", "x")][..], "query has an empty name"),
            (
                &[("channel_id", "")],
                "query \"channel_id\" has an empty value",
            ),
            (
                &[("channel_id", "7"), ("source", "x"), ("channel_id", "8")],
                "query \"channel_id\" is given twice: give it one value",
            ),
            (
                &[("source", "é".repeat(170).as_str())],
                "query takes 1028 bytes of the URL: at most 1000 are left for it",
            ),
        ] {
            let error = query(pairs).validate().expect_err(expected);
            assert_eq!(error.to_string(), expected);
        }
        let valid = query(&[("channel_id", "7"), ("names", "x"), ("id:in", "1,2")]);
        assert!(valid.validate().is_ok());
        assert_eq!(format!("{valid:?}"), r#"["channel_id", "names", "id:in"]"#);
    }
}
