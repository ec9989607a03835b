//! What happens to every request between the generated code and the wire.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http_body_util::Limited;
use progenitor_client::{ClientHooks, OperationInfo};
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Body, Request, Response, ResponseBuilderExt, StatusCode};
use tracing::Instrument;

use crate::{Client, Credentials, Error};

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

impl ClientHooks<Credentials> for Client {
    async fn pre<E>(&self, request: &mut Request, _: &OperationInfo) -> Result<(), Error<E>> {
        // Nobody says what an empty list means: nothing, or everything.
        let is_empty_list = |(name, value): (_, Cow<'_, str>)| {
            let name: Cow<'_, str> = name;
            name.ends_with(":in") && value.is_empty()
        };
        if request.url().query_pairs().any(is_empty_list) {
            return Err(Error::InvalidRequest("a list of IDs is empty".to_owned()));
        }
        let headers = request.headers_mut();
        // The generator's own header, which this API does not know.
        headers.remove("api-version");
        headers.insert(AUTH_TOKEN, self.inner.token.clone());
        Ok(())
    }

    async fn exec(&self, request: Request, info: &OperationInfo) -> reqwest::Result<Response> {
        let span = tracing::debug_span!(
            "bigcommerce_request",
            operation = info.operation_id,
            method = %request.method(),
            status = tracing::field::Empty,
            elapsed_ms = tracing::field::Empty,
        );
        let started = Instant::now();
        let result = self.client.execute(request).instrument(span.clone()).await;
        span.record("elapsed_ms", started.elapsed().as_millis() as u64);
        let response = result?;
        span.record("status", response.status().as_u16());
        if let Some(recorder) = &self.inner.recorder {
            recorder.set(ResponseHead {
                status: response.status(),
                headers: response.headers().clone(),
            });
        }
        Ok(limited(response, self.inner.body_limit))
    }
}

/// Caps what is read of an answer's body; the rest of the answer stays as it is.
fn limited(response: Response, bytes: usize) -> Response {
    let mut with_url = http::Response::builder().url(response.url().clone());
    let (mut parts, body) = http::Response::<Body>::from(response).into_parts();
    if let Some(url) = with_url.extensions_mut() {
        parts.extensions.extend(std::mem::take(url));
    }
    http::Response::from_parts(parts, Body::wrap(Limited::new(body, bytes))).into()
}

impl Client {
    /// Makes a client that writes down what it is answered: for one call at a time.
    ///
    /// The generated [`Error`] loses status and headers of an answer whose body breaks or does not
    /// parse; the recorder keeps them.
    #[must_use]
    pub fn recorded(&self) -> (Self, ResponseRecorder) {
        let recorder = ResponseRecorder::default();
        let mut client = self.clone();
        client.inner.recorder = Some(recorder.clone());
        (client, recorder)
    }
}

/// Status and headers of an answer, whatever became of its body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResponseHead {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
}

/// Keeps the last [`ResponseHead`] to the client that it was made with, by [`Client::recorded`].
#[derive(Clone, Default)]
pub struct ResponseRecorder(Arc<Mutex<Option<ResponseHead>>>);

impl ResponseRecorder {
    fn set(&self, answer: ResponseHead) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }

    /// Takes the last answer out, `None` if no answer's headers arrived since the last time.
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
