//! The hooks that run for each request: headers, tracing, recording, and the body limit.

use std::time::Instant;

use http_body_util::Limited;
use progenitor_client::{ClientHooks, OperationInfo};
use reqwest::header::HeaderName;
use reqwest::{Body, Request, Response, ResponseBuilderExt};
use tracing::Instrument;

use crate::credentials::Credentials;
use crate::generated::{Client, Error};
use crate::response::{ResponseHead, ResponseRecorder};

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

impl ClientHooks<Credentials> for Client {
    async fn pre<E>(&self, request: &mut Request, _: &OperationInfo) -> Result<(), Error<E>> {
        // The documentation doesn't say whether an empty list selects nothing or everything.
        let empty_list = request
            .url()
            .query_pairs()
            .find(|(name, value)| name.ends_with(":in") && value.is_empty());
        if let Some((name, _)) = empty_list {
            return Err(Error::InvalidRequest(format!(
                "the list of IDs in {name} is empty: give at least one ID"
            )));
        }
        let headers = request.headers_mut();
        // The generator adds it, and this API doesn't define it.
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
        Ok(limit_body(response, self.inner.body_limit))
    }
}

/// Limits the response's body to `max_bytes` and leaves everything else as it is.
fn limit_body(response: Response, max_bytes: usize) -> Response {
    // The conversion to `http::Response` drops the URL.
    let mut with_url = http::Response::builder().url(response.url().clone());
    let (mut parts, body) = http::Response::<Body>::from(response).into_parts();
    if let Some(url) = with_url.extensions_mut() {
        parts.extensions.extend(std::mem::take(url));
    }
    http::Response::from_parts(parts, Body::wrap(Limited::new(body, max_bytes))).into()
}

impl Client {
    /// Returns a clone of this client that records response heads, and the recorder to read them
    /// from.
    ///
    /// The generated [`Error`] omits the status and headers of a response whose body breaks off or
    /// can't be parsed. The recorder keeps them. Use the returned client for one request at a time,
    /// since the recorder keeps only the latest response.
    #[must_use]
    pub fn recorded(&self) -> (Self, ResponseRecorder) {
        let recorder = ResponseRecorder::default();
        let mut client = self.clone();
        client.inner.recorder = Some(recorder.clone());
        (client, recorder)
    }
}
