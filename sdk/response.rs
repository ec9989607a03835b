use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};

/// The status and headers of a response, recorded before its body is read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResponseHead {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
}

/// The operation of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SentOperation {
    /// The operation's ID in the OpenAPI document.
    pub id: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path of the URL, without its query.
    pub path: String,
}

/// Keeps the [`ResponseHead`] of the latest response to a client, and counts the redirects that the
/// client followed; see [`Client::recorded`](crate::Client::recorded).
#[derive(Clone, Default)]
pub struct ResponseRecorder(Arc<Recorded>);

#[derive(Default)]
struct Recorded {
    head: Mutex<Option<ResponseHead>>,
    operation: Mutex<Option<SentOperation>>,
    redirects: AtomicU64,
}

impl ResponseRecorder {
    pub(crate) fn set(&self, head: ResponseHead) {
        *self.0.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }

    /// Records that the body is HTML, although the headers don't say so.
    pub(crate) fn mark_as_html(&self) {
        let mut head = self.0.head.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(head) = head.as_mut() {
            let html = HeaderValue::from_static("text/html");
            head.headers.insert(CONTENT_TYPE, html);
        }
    }

    pub(crate) fn set_operation(&self, operation: SentOperation) {
        let recorded = self.0.operation.lock();
        *recorded.unwrap_or_else(PoisonError::into_inner) = Some(operation);
    }

    /// Returns the operation of the latest request, `None` if none was sent.
    #[must_use]
    pub fn operation(&self) -> Option<SentOperation> {
        let recorded = self.0.operation.lock();
        recorded.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add_redirects(&self, redirects: u64) {
        self.0.redirects.fetch_add(redirects, Ordering::Relaxed);
    }

    /// Removes and returns the latest response's head, or returns `None` if no response arrived
    /// since the previous call.
    #[must_use]
    pub fn take(&self) -> Option<ResponseHead> {
        let mut head = self.0.head.lock().unwrap_or_else(PoisonError::into_inner);
        head.take()
    }

    /// Returns the number of redirects that the client followed, each of them with a request of its
    /// own, since the recorder was created.
    ///
    /// A redirect counts even if no response came in the end. A client whose HTTP client isn't
    /// [hardened](crate::harden) counts none.
    #[must_use]
    pub fn redirects(&self) -> u64 {
        self.0.redirects.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for ResponseRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseRecorder").finish_non_exhaustive()
    }
}
