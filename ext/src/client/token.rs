//! The access token of a store, which can be replaced.

use std::fmt;
use std::sync::{Mutex, PoisonError, RwLock};

use crate::credentials::AccessToken;

/// How many replaced tokens are still redacted.
const MAX_REPLACED: usize = 16;

/// The present token, and those that it replaced: a server may repeat an old one in a late response.
pub(super) struct Tokens {
    history: RwLock<TokenHistory>,
    /// Held while the token is replaced.
    replacing: Mutex<()>,
}

struct TokenHistory {
    /// The present token is the last one.
    tokens: Vec<AccessToken>,
    replacements: u64,
}

impl Tokens {
    pub(super) fn new(token: AccessToken) -> Self {
        let history = TokenHistory {
            tokens: vec![token],
            replacements: 0,
        };
        Self {
            history: RwLock::new(history),
            replacing: Mutex::default(),
        }
    }

    /// Runs the replacement of the token, one at a time: the last token in the history is the one that
    /// is sent.
    pub(super) fn replace<T>(&self, replace: impl FnOnce() -> T) -> T {
        let _replacing = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        replace()
    }

    /// Keeps a new token out of all output.
    pub(super) fn add(&self, token: AccessToken) {
        let mut history = self.history.write().unwrap_or_else(PoisonError::into_inner);
        if history.tokens.len() > MAX_REPLACED {
            history.tokens.remove(0);
        }
        history.tokens.push(token);
    }

    /// Counts a replacement, after the new token is the one that is sent.
    pub(super) fn count_replacement(&self) {
        let mut history = self.history.write().unwrap_or_else(PoisonError::into_inner);
        history.replacements += 1;
    }

    /// Returns how often the token was replaced.
    pub(super) fn replacements(&self) -> u64 {
        let history = self.history.read().unwrap_or_else(PoisonError::into_inner);
        history.replacements
    }

    /// Returns all tokens that no output may contain.
    pub(super) fn secrets(&self) -> Vec<AccessToken> {
        let history = self.history.read().unwrap_or_else(PoisonError::into_inner);
        history.tokens.clone()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(REDACTED)")
    }
}
