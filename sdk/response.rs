use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

/// The status and headers of a response, recorded before its body is read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResponseHead {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
}

/// Keeps the [`ResponseHead`] of the latest response to a client; see [`Client::recorded`](crate::Client::recorded).
#[derive(Clone, Default)]
pub struct ResponseRecorder(Arc<Mutex<Option<ResponseHead>>>);

impl ResponseRecorder {
    pub(crate) fn set(&self, head: ResponseHead) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }

    /// Removes and returns the latest response's head, or returns `None` if no response arrived
    /// since the previous call.
    #[must_use]
    pub fn take(&self) -> Option<ResponseHead> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for ResponseRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseRecorder").finish_non_exhaustive()
    }
}
