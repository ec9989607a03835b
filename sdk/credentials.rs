use std::fmt;

use reqwest::header::HeaderValue;

use crate::response::ResponseRecorder;

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
