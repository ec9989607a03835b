use std::fmt;

use reqwest::header::HeaderValue;

use crate::hooks::ResponseRecorder;

/// The access token that a [`Client`](crate::Client) sends, and the size limit of response bodies.
///
/// The `Debug` output does not contain the token, and its header is marked as sensitive.
#[derive(Clone)]
pub struct Credentials {
    pub(crate) token: HeaderValue,
    pub(crate) body_limit: usize,
    pub(crate) recorder: Option<ResponseRecorder>,
}

impl Credentials {
    /// Creates credentials from the access token of one of the store's API accounts or apps.
    ///
    /// # Errors
    ///
    /// Returns an error if the token is empty or contains a character that a header can't carry. The
    /// error does not repeat the token.
    pub fn new(token: &str) -> Result<Self, InvalidToken> {
        let mut token = match HeaderValue::from_str(token) {
            Ok(value) if !value.is_empty() => value,
            _ => return Err(InvalidToken(())),
        };
        token.set_sensitive(true);
        Ok(Self {
            token,
            body_limit: 8 * 1024 * 1024,
            recorder: None,
        })
    }

    /// Sets the maximum size of a response's body in bytes (default 8 MiB). A longer body is an error.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &format_args!("REDACTED"))
            .field("body_limit", &self.body_limit)
            .finish_non_exhaustive()
    }
}

/// The access token is empty or contains a character that a header can't carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidToken(());

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the access token is empty or contains a character that a header can't carry")
    }
}

impl std::error::Error for InvalidToken {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_output_contains_the_token() {
        let credentials = Credentials::new("s3cr3t").expect("a plain token");
        let client = crate::Client::new("http://127.0.0.1:1", credentials.clone());
        let client = client.expect("a client");
        for text in [format!("{credentials:?}"), format!("{client:?}")] {
            assert!(!text.contains("s3cr3t"), "{text}");
            assert!(text.contains("REDACTED"), "{text}");
        }
        for bad in ["", "s3cr3t\n", "s3cr3t\u{0}"] {
            let error = Credentials::new(bad).expect_err("not a header value");
            assert!(!format!("{error} {error:?}").contains("s3cr3t"));
        }
    }
}
