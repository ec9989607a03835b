use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::header::HeaderValue;

use crate::response::ResponseRecorder;

/// The access token that a [`Client`](crate::Client) sends, and the size limit of response bodies.
///
/// The `Debug` output contains neither the token nor the values of
/// [added query parameters](crate::Client::with_query), and its header is marked as sensitive. Clones share
/// the token, so that [replacing it](crate::Client::set_access_token) reaches all of them.
#[derive(Clone)]
pub struct Credentials {
    token: Arc<RwLock<HeaderValue>>,
    pub(crate) body_limit: usize,
    pub(crate) recorder: Option<ResponseRecorder>,
    /// Parameters that are added to the query of each request.
    pub(crate) query: Vec<(String, String)>,
}

impl Credentials {
    /// Creates credentials from the access token of one of the store's API accounts or apps.
    ///
    /// # Errors
    ///
    /// Returns an error if the token is empty or contains a character that a header can't carry. The
    /// error does not repeat the token.
    pub fn new(token: &str) -> Result<Self, InvalidToken> {
        Ok(Self {
            token: Arc::new(RwLock::new(header_value(token)?)),
            body_limit: 8 * 1024 * 1024,
            recorder: None,
            query: Vec::new(),
        })
    }

    pub(crate) fn token(&self) -> HeaderValue {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        token.clone()
    }

    pub(crate) fn set_token(&self, token: &str) -> Result<(), InvalidToken> {
        let new = header_value(token)?;
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Sets the maximum size of a response's body in bytes (default 8 MiB). A longer body is an error.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }
}

fn header_value(token: &str) -> Result<HeaderValue, InvalidToken> {
    match HeaderValue::from_str(token) {
        Ok(mut value) if !value.is_empty() => {
            value.set_sensitive(true);
            Ok(value)
        }
        _ => Err(InvalidToken(())),
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
