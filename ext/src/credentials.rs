//! The store hash and the access token.

use std::fmt;

use crate::error::Error;

/// An access token. Its `Debug` output is redacted.
///
/// ```
/// let token = bigcommerce_ext::AccessToken::from("s3cr3t");
/// assert_eq!(format!("{token:?}"), "AccessToken(REDACTED)");
/// ```
#[derive(Clone)]
pub struct AccessToken(String);

impl AccessToken {
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl From<String> for AccessToken {
    fn from(token: String) -> Self {
        Self(token)
    }
}

impl From<&str> for AccessToken {
    fn from(token: &str) -> Self {
        Self(token.to_owned())
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(REDACTED)")
    }
}

/// A store's permanent ID, validated: it can't change the URL path that contains it.
#[derive(Clone, Debug)]
pub(crate) struct StoreHash(String);

impl StoreHash {
    pub(crate) fn new(hash: &str) -> Result<Self, Error> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if hash.is_empty() || hash.len() > 64 || !hash.chars().all(is_allowed) {
            // A URL may contain a password.
            let shown = match hash.contains([':', '@']) {
                true => String::new(),
                false => format!(" {:?}", hash.chars().take(64).collect::<String>()),
            };
            return Err(Error::invalid_input(format!(
                "invalid store hash{shown}: it must be 1 to 64 lower-case letters and digits; \
                 copy it from the store's API path, stores/{{store_hash}}/v3"
            )));
        }
        Ok(Self(hash.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_store_hash_that_could_change_the_url_path_is_rejected() {
        for hash in [
            "",
            "../v2",
            "abc/def",
            "abc?x",
            "abc#",
            "a b",
            "ABC",
            "%2e%2e",
            "..",
            &"a".repeat(65),
        ] {
            let error = StoreHash::new(hash).expect_err(hash);
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("store hash"), "{error}");
        }
        assert!(StoreHash::new("abc123").is_ok());
    }
}
