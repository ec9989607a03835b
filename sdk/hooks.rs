//! The hooks that run for each request: headers, tracing, recording, and the body limit.

use std::time::Instant;

use http_body_util::Limited;
use progenitor_client::{ClientHooks, OperationInfo};
use reqwest::header::{CONTENT_LENGTH, HeaderName};
use reqwest::{Body, Method, Request, Response, ResponseBuilderExt, StatusCode, Url};
use serde_json::Value;
use tracing::Instrument;

use crate::credentials::{Credentials, InvalidToken};
use crate::generated::{Client, Error};
use crate::redirects::count_followed;
use crate::response::{ResponseHead, ResponseRecorder, SentOperation};
use crate::text_list::{SEPARATOR, join_by_commas};

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

impl ClientHooks<Credentials> for Client {
    async fn pre<E>(&self, request: &mut Request, _: &OperationInfo) -> Result<(), Error<E>> {
        check_lists(request.url()).map_err(Error::InvalidRequest)?;
        let query = request.url().query().map(join_by_commas);
        request.url_mut().set_query(query.as_deref());
        if !self.inner.query.is_empty() {
            let mut query = request.url_mut().query_pairs_mut();
            query.extend_pairs(&self.inner.query);
        }
        let headers = request.headers_mut();
        // The generator adds it, and this API doesn't define it.
        headers.remove("api-version");
        headers.insert(AUTH_TOKEN, self.inner.token());
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
        if let Some(recorder) = &self.inner.recorder {
            recorder.set_operation(SentOperation {
                id: info.operation_id,
                method: request.method().clone(),
                path: request.url().path().to_owned(),
            });
        }
        // An empty response to a list stays an error: it does not show that the store is empty.
        let may_lack_page = request.method() != Method::GET;
        let is_delete = request.method() == Method::DELETE;
        let sent = self.client.execute(request).instrument(span.clone());
        let result = count_followed(sent, |redirects| {
            if let Some(recorder) = &self.inner.recorder {
                recorder.add_redirects(redirects);
            }
        })
        .await;
        span.record("elapsed_ms", started.elapsed().as_millis() as u64);
        let response = result?;
        span.record("status", response.status().as_u16());
        if let Some(recorder) = &self.inner.recorder {
            recorder.set(ResponseHead {
                status: response.status(),
                headers: response.headers().clone(),
            });
        }
        let response = limit_body(response, self.inner.body_limit);
        if is_delete && response.status().is_success() {
            // Without its body, the response does not show that the server is done.
            let (response, is_markup) = read_body(response).await?;
            if is_markup && let Some(recorder) = &self.inner.recorder {
                recorder.mark_as_html();
            }
            return Ok(response);
        }
        if may_lack_page && is_undocumented_success(response.status()) {
            return replace_missing_page(response).await;
        }
        Ok(response)
    }
}

/// Rejects empty lists, because the documentation doesn't say whether an empty list selects nothing or
/// everything, and texts that a list can't carry.
fn check_lists(url: &Url) -> Result<(), String> {
    for (name, list) in url.query_pairs() {
        if !name.ends_with(":in") {
            continue;
        }
        let items = if name.ends_with("id:in") {
            "ID"
        } else {
            "text"
        };
        if list.is_empty() {
            return Err(format!(
                "the list of {items}s in {name} is empty: give at least one {items}"
            ));
        }
        if list.split(SEPARATOR).any(str::is_empty) {
            return Err(format!(
                "the list of {items}s in {name} has an element that is empty or contains U+001F, \
                 which separates the elements: leave it out"
            ));
        }
    }
    Ok(())
}

/// Reads the body, which is not documented, to its end. Returns `true` if it is a page of a gateway,
/// whatever its content type.
async fn read_body(response: Response) -> reqwest::Result<(Response, bool)> {
    let (parts, body) = http::Response::<Body>::from(response).into_parts();
    let body = Response::from(http::Response::new(body)).bytes().await?;
    let is_markup = body.trim_ascii_start().starts_with(b"<");
    let response = http::Response::from_parts(parts, Body::from(body)).into();
    Ok((response, is_markup))
}

/// Returns `true` for a success other than 200 and 201, whose body is not documented.
fn is_undocumented_success(status: StatusCode) -> bool {
    status.is_success() && ![StatusCode::OK, StatusCode::CREATED].contains(&status)
}

/// Replaces an empty body, or JSON without `data`, by a page without records.
///
/// The body of a 202, 204 or 207 is not documented, so it may be empty. Any other text, such as HTML,
/// is kept.
async fn replace_missing_page(response: Response) -> reqwest::Result<Response> {
    let (mut parts, body) = http::Response::<Body>::from(response).into_parts();
    let body = Response::from(http::Response::new(body)).bytes().await?;
    let is_page = match serde_json::from_slice::<Value>(&body) {
        Ok(json) => json.get("data").is_some_and(Value::is_array),
        Err(_) => !body.trim_ascii().is_empty(),
    };
    let body = if is_page {
        Body::from(body)
    } else {
        parts.headers.remove(CONTENT_LENGTH);
        Body::from(r#"{"data":[]}"#)
    };
    Ok(http::Response::from_parts(parts, body).into())
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
    /// Replaces the access token, for this client and all clones of it. Requests that are already sent
    /// keep the old one.
    ///
    /// # Errors
    ///
    /// Returns an error if the token is empty or contains a character that a header can't carry. The
    /// error does not repeat the token, and the old one stays.
    pub fn set_access_token(&self, token: &str) -> Result<(), InvalidToken> {
        self.inner.set_token(token)
    }

    /// Returns a clone of this client that adds a parameter to the query of each request, for a
    /// parameter that the document lacks.
    ///
    /// Name and value are percent-encoded and follow the operation's own parameters. A parameter of the
    /// same name is not replaced. The value is in no log record of this crate.
    ///
    /// ```
    /// # use bigcommerce_sdk::{Client, Credentials};
    /// # fn program(client: &Client) {
    /// let request = client.with_query("channel_id", "7");
    /// let request = request.list_attribute_values().page(1);
    /// # }
    /// ```
    #[must_use]
    pub fn with_query(&self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let mut client = self.clone();
        client.inner.query.push((name.into(), value.into()));
        client
    }

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
