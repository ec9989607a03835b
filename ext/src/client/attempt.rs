//! One attempt of a call: one request, and the classification of its response.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bigcommerce_sdk::{self as sdk, ResponseHead, types};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

use super::clock::to_ms;
use super::context::{RunContext, SdkResult};
use super::error_body;
use super::explain::{Circumstances, explain};
use super::failure::{ConnectProblem, Evidence, FailureCause};
use super::health::{Finding, HealthChange, Verdict};
use super::lease::Lease;
use super::limiter::RateLimitHeaders;
use super::{Client, Operation, TARGET};
use crate::error::{CallRecord, Error, ErrorKind};
use crate::event::{Event, WaitReason};

type Source = Box<dyn StdError + Send + Sync>;

/// An attempt's place in its call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptInfo {
    /// The number of the call within its run.
    pub call: u64,
    /// The number of the attempt within its call, counted from 1.
    pub number: u32,
    /// [`Client::successes`] when the previous attempt failed.
    pub previous_failure: Option<u64>,
}

/// How an attempt ended.
pub(crate) struct RequestOutcome<T> {
    pub result: Result<T, RequestFailure>,
    /// The number of requests that were sent, redirects included: 0 if there was no connection.
    pub requests: u32,
    pub status: Option<u16>,
}

impl<T> RequestOutcome<T> {
    /// Creates the outcome of an attempt whose task ended without one.
    pub(super) fn lost() -> Self {
        Self {
            result: Err(RequestFailure {
                error: Error::lost_task(),
                retry: None,
                retry_after: None,
                is_ambiguous: true,
                never_sent: false,
                is_html: false,
                blames_rows: false,
                blamed_rows: BTreeSet::new(),
                ends_run: false,
                successes: 0,
                is_bad: false,
                held_until: None,
            }),
            requests: 0,
            status: None,
        }
    }
}

/// Why an attempt failed.
pub(crate) struct RequestFailure {
    pub error: Error,
    /// Why to wait before the next attempt, `None` if there is none.
    pub retry: Option<WaitReason>,
    /// How long the response asks to wait.
    pub retry_after: Option<Duration>,
    /// Whether the server may have executed the request.
    pub is_ambiguous: bool,
    pub never_sent: bool,
    /// Whether the response was an HTML page, which the API never sends.
    pub is_html: bool,
    /// Whether the server rejects rows, rather than the request.
    pub blames_rows: bool,
    /// The positions in the batch of the rows that the response names.
    pub blamed_rows: BTreeSet<usize>,
    /// Whether every other request would fail in the same way.
    pub ends_run: bool,
    /// [`Client::successes`] at this failure.
    pub successes: u64,
    /// Whether the failure counts towards an outage.
    pub is_bad: bool,
    /// Until when the server may be running the request.
    pub held_until: Option<Instant>,
}

/// Sends one request and reads its response. Records quota and health, and releases or holds the
/// lease.
pub(crate) async fn request<T, F, Fut>(
    client: &Client,
    run: &RunContext,
    operation: &Operation,
    attempt: AttemptInfo,
    mut lease: Lease,
    send: F,
) -> RequestOutcome<T>
where
    F: Fn(sdk::Client) -> Fut,
    Fut: Future<Output = SdkResult<T>>,
{
    let AttemptInfo { call, number, .. } = attempt;
    run.notify(Event::RequestStarted {
        call,
        operation: operation.name,
        attempt: number,
    });
    let sent_at = Instant::now();
    let mut requests = 0_u32;
    let mut has_new_token = false;
    let (sent, head, operation) = loop {
        let replacements = client.token_replacements();
        let (sdk, recorder) = client.sdk().recorded();
        let sent = send_in_time(&mut lease, send(sdk))
            .instrument(tracing::debug_span!(
                target: TARGET,
                "attempt",
                store = &*client.label(),
                operation = operation.name,
                call,
                attempt = number
            ))
            .await;
        let redirects = u32::try_from(recorder.redirects()).unwrap_or(u32::MAX);
        requests = requests.saturating_add(redirects).saturating_add(1);
        let head = recorder.take();
        // The token was replaced while the request was on its way.
        let is_outdated = head
            .as_ref()
            .is_some_and(|head| head.status == StatusCode::UNAUTHORIZED)
            && client.token_replacements() != replacements;
        if is_outdated && !has_new_token {
            has_new_token = true;
            continue;
        }
        let operation = operation.labelled(recorder.operation().as_ref(), client.base_url());
        break (sent, head, operation);
    };
    let operation = &operation;
    if let Some(head) = &head {
        run.record_date(&head.headers);
    }
    let status = head.as_ref().map(|head| head.status.as_u16());
    let parse = |head: &ResponseHead| {
        RateLimitHeaders::parse(head.status, &head.headers, SystemTime::now())
    };
    let headers = head.as_ref().map(parse).unwrap_or_default();
    run.notify(Event::RequestFinished {
        call,
        operation: operation.name,
        status,
        elapsed: sent_at.elapsed(),
    });
    let problem = match sent {
        Ok(Ok(value)) => match head.as_ref().filter(|head| is_html(head)) {
            None => {
                lease.finish(headers.quota, None);
                record(client, run, Verdict::Good, sent_at, headers);
                return RequestOutcome {
                    result: Ok(value.into_inner()),
                    requests,
                    status,
                };
            }
            Some(head) => Problem::new(FailureCause::Html(head.status.as_u16()), None),
        },
        Ok(Err(error)) => classify(error, head.as_ref()),
        Err(cause) => Problem::new(cause, None),
    };
    let cause = problem.cause;
    let assessment = cause.assess(Evidence {
        has_succeeded: client.successes() > 0,
        asks_to_wait: headers.retry_after.is_some(),
        is_quota_spent: headers.quota.is_some_and(|quota| quota.left == 0),
    });
    let blocks = matches!(status, Some(429 | 503));
    let block = headers.retry_after.filter(|_| blocks);
    let held_until = match () {
        () if cause.is_unsent() => {
            lease.cancel();
            None
        }
        () if cause.may_still_run() || problem.is_body_lost => {
            Some(lease.abandon(headers.quota, block))
        }
        () => {
            lease.finish(headers.quota, block);
            None
        }
    };
    let successes = client.successes();
    let is_own_trouble = attempt
        .previous_failure
        .is_some_and(|before| before < successes);
    let is_bad = assessment.verdict == Verdict::Bad && !is_own_trouble;
    let verdict = match assessment.verdict {
        Verdict::Bad if is_own_trouble => Verdict::Neutral,
        verdict => verdict,
    };
    record(client, run, verdict, sent_at, headers);
    let sanitize = |text: String| client.sanitize(&text, &run.secrets);
    let reason = problem.source.as_deref().and_then(|source| {
        let innermost = chain(source).last()?;
        Some(sanitize(innermost.to_string()))
    });
    let error = Error::call(
        assessment.kind,
        explain(
            problem.cause,
            assessment.kind,
            &Circumstances {
                operation,
                host: client.host(),
                reason: reason.as_deref(),
                quota_left: headers.quota.map(|quota| quota.left),
            },
        ),
        CallRecord {
            operation: operation.label.clone(),
            status,
            server_message: problem.server_message.map(sanitize),
            request_id: head.as_ref().and_then(request_id).map(sanitize),
            attempts: 1,
            elapsed: sent_at.elapsed(),
            // A temporary redirect is retried first.
            ends_run: assessment.ends_run || assessment.kind == ErrorKind::Redirect,
        },
        problem.source,
    );
    let store = client.label();
    let store = &*store;
    tracing::debug!(
        target: TARGET,
        store, operation = operation.name, call, attempt = number, %error, "request failed"
    );
    // Even if its body can't be read, a 422 is about the rows.
    let blames_rows = problem.blames_rows || cause == FailureCause::Status(422);
    RequestOutcome {
        result: Err(RequestFailure {
            error,
            retry: assessment.retry,
            retry_after: headers.retry_after,
            is_ambiguous: cause.is_ambiguous() || problem.is_body_lost,
            never_sent: cause.is_unsent(),
            is_html: matches!(cause, FailureCause::Html(_)),
            blames_rows: assessment.kind == ErrorKind::InvalidRequest && blames_rows,
            blamed_rows: problem.blamed_rows,
            ends_run: assessment.ends_run,
            successes,
            is_bad,
            held_until,
        }),
        requests: match cause.is_unsent() {
            true => requests - 1,
            false => requests,
        },
        status,
    }
}

/// Polls the request until the lease's attempt is out of time. A task that was suspended must not
/// send after that.
async fn send_in_time<T>(
    lease: &mut Lease,
    request: impl Future<Output = T>,
) -> Result<T, FailureCause> {
    let deadline = lease.deadline();
    let mut request = pin!(request);
    let mut timer = pin!(sleep_until(deadline));
    std::future::poll_fn(|cx| {
        if deadline <= Instant::now() {
            return Poll::Ready(Err(match lease.is_sent() {
                true => FailureCause::TimedOut,
                false => FailureCause::Suspended,
            }));
        }
        lease.mark_sent();
        if let Poll::Ready(result) = request.as_mut().poll(cx) {
            return Poll::Ready(Ok(result));
        }
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(FailureCause::TimedOut))
    })
    .await
}

/// Records a finished request in the health of the store.
fn record(
    client: &Client,
    run: &RunContext,
    verdict: Verdict,
    sent_at: Instant,
    headers: RateLimitHeaders,
) {
    let state = client.state();
    let change = state.record(Finding {
        verdict,
        sent_at: state.clock.ms(sent_at),
        retry_after: headers.retry_after.map_or(0, to_ms),
        jitter_sample: fastrand::f64(),
    });
    match change {
        Some(HealthChange::WentDown) => {
            tracing::warn!(target: TARGET, store = &*client.label(), "the store is down");
        }
        Some(HealthChange::CameUp { since }) => {
            let lasted = state.clock.instant(since).elapsed();
            let store = client.label();
            tracing::info!(target: TARGET, store = &*store, ?lasted, "the store is up again");
        }
        None => {}
    }
    run.report_availability(client);
}

/// What went wrong, before it is judged.
struct Problem {
    cause: FailureCause,
    /// The server's message, in one line.
    server_message: Option<String>,
    blames_rows: bool,
    blamed_rows: BTreeSet<usize>,
    /// Whether the response broke off after its headers.
    is_body_lost: bool,
    source: Option<Source>,
}

impl Problem {
    fn new(cause: FailureCause, source: Option<Source>) -> Self {
        Self {
            cause,
            server_message: None,
            blames_rows: false,
            blamed_rows: BTreeSet::new(),
            is_body_lost: false,
            source,
        }
    }
}

/// The headers in which servers and gateways send the ID of a request, the server's own first.
const REQUEST_ID_HEADERS: [&str; 5] = [
    "x-request-id",
    "request-id",
    "x-correlation-id",
    "x-amzn-requestid",
    "cf-ray",
];
const MAX_REQUEST_ID_LEN: usize = 100;

/// Returns the ID of a request, if the response has one that is fit for a log.
fn request_id(head: &ResponseHead) -> Option<String> {
    REQUEST_ID_HEADERS.iter().find_map(|name| {
        let id = head.headers.get(*name)?.to_str().ok()?.trim();
        let is_fit = !id.is_empty()
            && id.len() <= MAX_REQUEST_ID_LEN
            && id.bytes().all(|byte| byte.is_ascii_graphic());
        is_fit.then(|| id.to_owned())
    })
}

fn is_html(head: &ResponseHead) -> bool {
    let content_type = head.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        let value = value.trim_start().to_ascii_lowercase();
        value.starts_with("text/html") || value.starts_with("application/xhtml")
    })
}

/// Returns the cause according to the head of the response.
fn cause_of_status(head: &ResponseHead) -> FailureCause {
    let status = head.status.as_u16();
    match head.status {
        _ if is_html(head) => FailureCause::Html(status),
        status if status.is_success() => FailureCause::InvalidResponse,
        _ => FailureCause::Status(status),
    }
}

/// Classifies an error by the recorded head: the generated error loses the status of every
/// response whose body breaks or does not parse.
fn classify(error: sdk::Error<types::ErrorBody>, head: Option<&ResponseHead>) -> Problem {
    let cause = head.map_or(FailureCause::ConnectionLost, cause_of_status);
    match error {
        sdk::Error::ErrorResponse(body) => Problem {
            server_message: error_body::summarize(&body),
            blames_rows: cause == FailureCause::Status(400) && error_body::has_field_errors(&body),
            blamed_rows: error_body::row_indices(&body),
            ..Problem::new(cause, None)
        },
        sdk::Error::CommunicationError(error)
        | sdk::Error::ResponseBodyError(error)
        | sdk::Error::InvalidUpgrade(error) => {
            // The URL has words of its own, such as the name of an attribute.
            let error = error.without_url();
            let cause = match head {
                // Without its body, a 400 does not tell whether it is about the rows.
                Some(head) if head.status == StatusCode::BAD_REQUEST => {
                    FailureCause::InvalidResponse
                }
                Some(_) => cause,
                None if error.is_connect() => FailureCause::NotConnected(connect_problem(&error)),
                None if error.is_timeout() => FailureCause::TimedOut,
                None => FailureCause::ConnectionLost,
            };
            Problem {
                is_body_lost: head.is_some(),
                ..Problem::new(cause, Some(error.into()))
            }
        }
        sdk::Error::InvalidResponsePayload(body, error) => {
            let cause = match (cause, body.trim_ascii_start().first()) {
                (FailureCause::InvalidResponse, Some(b'<')) => {
                    FailureCause::Html(head.map_or(200, |head| head.status.as_u16()))
                }
                (FailureCause::Status(status), Some(b'<')) => FailureCause::Html(status),
                (cause, _) => cause,
            };
            Problem::new(cause, Some(describe_parse_error(&error).into()))
        }
        sdk::Error::UnexpectedResponse(response) => Problem {
            server_message: error_body::redirect_target(&response),
            ..Problem::new(cause, None)
        },
        sdk::Error::InvalidRequest(text) | sdk::Error::Custom(text) => {
            Problem::new(FailureCause::Unsendable, Some(text.into()))
        }
    }
}

/// Finds out why there is no connection. The types of most errors of the connector are private, so
/// their text tells.
fn connect_problem(error: &reqwest::Error) -> ConnectProblem {
    if error.is_timeout() {
        return ConnectProblem::TimedOut;
    }
    for error in chain(error) {
        let text = error.to_string();
        if text.contains("dns error") {
            return ConnectProblem::Dns;
        }
        if text.contains("proxy authorization required") {
            return ConnectProblem::ProxyPassword;
        }
        if text.contains("certificate") {
            return ConnectProblem::Certificate;
        }
        if text.contains("tunnel error") {
            return ConnectProblem::Proxy;
        }
        let is_of_tls = ["corrupt message", "fatal alert", "handshake"]
            .iter()
            .any(|words| text.contains(words));
        if is_of_tls {
            return ConnectProblem::Tls;
        }
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return ConnectProblem::Refused;
        }
    }
    ConnectProblem::Other
}

fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
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
