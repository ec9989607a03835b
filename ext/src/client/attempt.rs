//! One attempt of a call: one request, and the classification of its response.

use std::collections::BTreeSet;
use std::time::Duration;

use bigcommerce_sdk::{self as sdk, ResponseHead, types};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::Client;
use super::context::{RunContext, SdkResult};
use super::error_body;
use super::in_flight::InFlightGuard;
use super::limiter::RateLimitHeaders;
use super::retry::FailureCause;
use crate::event::Event;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An attempt that did not succeed.
pub(super) struct FailedAttempt {
    pub cause: FailureCause,
    pub status: Option<u16>,
    /// How long the response asks to wait.
    pub retry_after: Option<Duration>,
    /// The server's message, in one line.
    pub server_message: Option<String>,
    pub blames_rows: bool,
    pub blamed_rows: BTreeSet<usize>,
    pub source: Option<Source>,
    /// Until when the server may be running the request.
    pub hold: Option<Instant>,
}

/// Sends one request and reads its response.
pub(super) async fn attempt<T, F, Fut>(
    client: &Client,
    run: &RunContext,
    call: u64,
    attempt: u32,
    guard: InFlightGuard,
    send: &F,
) -> Result<T, FailedAttempt>
where
    F: Fn(sdk::Client) -> Fut,
    Fut: Future<Output = SdkResult<T>>,
{
    run.observer.notify(Event::RequestStarted { call, attempt });
    let sent_at = Instant::now();
    let (sdk, recorder) = client.sdk().recorded();
    let sent = timeout(client.retry().attempt_timeout, send(sdk))
        .instrument(tracing::debug_span!("attempt", attempt))
        .await;
    let head = recorder.take();
    let status = head.as_ref().map(|head| head.status.as_u16());
    let headers = head
        .as_ref()
        .map(|head| RateLimitHeaders::parse(head.status, &head.headers))
        .unwrap_or_default();
    run.observer.notify(Event::RequestFinished {
        call,
        status,
        elapsed: sent_at.elapsed(),
    });
    let mut failed = match sent {
        Ok(Ok(value)) => {
            guard.finish(headers);
            return Ok(value.into_inner());
        }
        Ok(Err(error)) => classify(error, head.as_ref()),
        Err(elapsed) => FailedAttempt::new(
            cause(head.as_ref(), FailureCause::TimedOut),
            Some(elapsed.into()),
        ),
    };
    match &head {
        Some(_) if failed.cause.is_gateway_error() => {
            failed.hold = Some(guard.finish_by_gateway(headers));
        }
        Some(_) => guard.finish(headers),
        None if !failed.cause.is_ambiguous() => guard.cancel(),
        None => failed.hold = Some(guard.abandon()),
    }
    failed.status = status;
    failed.retry_after = headers.retry_after;
    // Even if its body can't be read, a 422 is about the rows.
    failed.blames_rows |= failed.cause == FailureCause::Status(422);
    failed.server_message = failed
        .server_message
        .map(|message| error_body::sanitize(&message, client.token()));
    Err(failed)
}

impl FailedAttempt {
    pub fn new(cause: FailureCause, source: Option<Source>) -> Self {
        Self {
            cause,
            status: None,
            retry_after: None,
            server_message: None,
            blames_rows: false,
            blamed_rows: BTreeSet::new(),
            source,
            hold: None,
        }
    }
}

/// Returns the cause according to the response's status, or `otherwise` without a response.
fn cause(head: Option<&ResponseHead>, otherwise: FailureCause) -> FailureCause {
    match head.map(|head| head.status) {
        Some(status) if status.is_success() => FailureCause::InvalidResponse,
        Some(status) => FailureCause::Status(status.as_u16()),
        None => otherwise,
    }
}

/// Classifies an error by the recorded head: the generated error loses the status of every
/// response whose body breaks or does not parse.
fn classify(error: sdk::Error<types::ErrorBody>, head: Option<&ResponseHead>) -> FailedAttempt {
    let cause = cause(head, FailureCause::ConnectionLost);
    match error {
        sdk::Error::ErrorResponse(body) => FailedAttempt {
            server_message: error_body::summarize(&body),
            blames_rows: cause == FailureCause::Status(400) && error_body::has_field_errors(&body),
            blamed_rows: error_body::row_indices(&body),
            ..FailedAttempt::new(cause, None)
        },
        sdk::Error::CommunicationError(error)
        | sdk::Error::ResponseBodyError(error)
        | sdk::Error::InvalidUpgrade(error) => {
            let cause = match head {
                // Without its body, a 400 does not tell whether it is about the rows.
                Some(_) if cause == FailureCause::Status(400) => FailureCause::InvalidResponse,
                Some(_) => cause,
                None if error.is_connect() => FailureCause::NotConnected,
                None if error.is_timeout() => FailureCause::TimedOut,
                None => FailureCause::ConnectionLost,
            };
            FailedAttempt::new(cause, Some(error.without_url().into()))
        }
        sdk::Error::InvalidResponsePayload(_, error) => {
            FailedAttempt::new(cause, Some(describe_parse_error(&error).into()))
        }
        sdk::Error::UnexpectedResponse(response) => FailedAttempt {
            server_message: error_body::redirect_target(&response),
            ..FailedAttempt::new(cause, None)
        },
        sdk::Error::InvalidRequest(text) | sdk::Error::Custom(text) => {
            FailedAttempt::new(FailureCause::Unsendable, Some(text.into()))
        }
    }
}

/// Describes where a body can't be parsed, without repeating its text.
fn describe_parse_error(error: &serde_json::Error) -> String {
    let problem = match error.classify() {
        serde_json::error::Category::Eof => "the body ends early",
        serde_json::error::Category::Syntax => "the body is not JSON",
        _ => "the body is not as documented",
    };
    format!("{problem}, line {} column {}", error.line(), error.column())
}
