//! Who the store is, and the token that opens it.

use std::fmt;

use crate::error::Error;

/// An access token that no output shows.
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

/// A store's permanent ID, known not to change the path that it becomes a part of.
#[derive(Clone, Debug)]
pub(crate) struct StoreHash(String);

impl StoreHash {
    pub(crate) fn new(hash: &str) -> Result<Self, Error> {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if hash.is_empty() || hash.len() > 64 || !hash.chars().all(is_part) {
            let shown: String = hash.chars().take(64).collect();
            return Err(Error::invalid_input(format!(
                "{shown:?} is not a store hash: it has 1 to 64 lower-case letters and digits, as \
                 in the store's API path, stores/{{store_hash}}/v3"
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

    #[test]
    fn a_hash_that_could_change_the_path_is_refused() {
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
            assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("store hash"), "{error}");
        }
        assert!(StoreHash::new("abc123").is_ok());
    }
}
