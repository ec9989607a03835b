//! One API call, done well: permit → send → classify → wait, until it succeeds or there is no
//! point in going on.

mod permits;
mod retry;
mod said;

use std::future::Future;
use std::time::Duration;

use bigcommerce_sdk::{self as sdk, Answer, ResponseValue, types};
use tokio::time::{Instant, sleep, timeout};

use crate::error::{CallRecord, Error, ErrorKind};
use crate::event::{Event, Observer};
use crate::store::Shared;

pub(crate) use permits::Permits;
pub use retry::RetryPolicy;
use retry::{Moment, Next, Seen, decide, told_to_wait};

type Sent<T> = Result<ResponseValue<T>, sdk::Error<types::ErrorBody>>;
type Source = Box<dyn std::error::Error + Send + Sync>;

/// How a call ended, and how many requests it took.
pub(crate) struct Ended<T> {
    pub result: Result<T, Failed>,
    pub attempts: u32,
}

/// Why a call failed.
pub(crate) struct Failed {
    pub error: Error,
    /// Whether the server may have done what it was asked.
    pub ambiguous: bool,
}

/// Makes a call: `send` is run once per attempt and must be idempotent.
pub(crate) async fn call<T, F, Fut>(
    store: &Shared,
    observer: &Observer,
    operation: &'static str,
    send: F,
) -> Ended<T>
where
    F: Fn(sdk::Client) -> Fut,
    Fut: Future<Output = Sent<T>>,
{
    let began = Instant::now();
    let mut attempts = 0;
    let mut tried = 0;
    let mut ambiguous = false;
    loop {
        attempts += 1;
        let trouble = match attempt(store, observer, attempts, &send).await {
            Ok(value) => {
                return Ended {
                    result: Ok(value),
                    attempts,
                };
            }
            Err(trouble) => trouble,
        };
        ambiguous |= trouble.seen.is_ambiguous();
        if trouble.told.is_none() || trouble.seen != Seen::Status(429) {
            tried += 1;
        }
        let moment = Moment {
            tried,
            elapsed: began.elapsed(),
            told: trouble.told,
            jitter: fastrand::f64(),
        };
        match decide(&store.retry, trouble.seen, moment) {
            Next::Retry { after, why } => {
                tracing::debug!(operation, attempts, ?after, %why, "trying again");
                observer.tell(Event::Waiting { why, wait: after });
                sleep(after).await;
            }
            Next::GiveUp { kind, no_time_for } => {
                let message = advice(kind, no_time_for);
                let record = CallRecord {
                    operation,
                    status: trouble.status,
                    said: trouble.said,
                    attempts,
                    elapsed: began.elapsed(),
                };
                let error = Error::call(kind, message, record, trouble.source);
                tracing::debug!(operation, attempts, %error, "giving up");
                return Ended {
                    result: Err(Failed { error, ambiguous }),
                    attempts,
                };
            }
        }
    }
}

/// What an attempt that did not succeed left behind.
struct Trouble {
    seen: Seen,
    status: Option<u16>,
    told: Option<Duration>,
    said: Option<String>,
    source: Option<Source>,
}

/// Sends one request, holding a permit from before it leaves until its answer was read.
async fn attempt<T, F, Fut>(
    store: &Shared,
    observer: &Observer,
    number: u32,
    send: &F,
) -> Result<T, Trouble>
where
    F: Fn(sdk::Client) -> Fut,
    Fut: Future<Output = Sent<T>>,
{
    let permit = store.permits.acquire().await;
    observer.tell(Event::Sending { attempt: number });
    let sent_at = Instant::now();
    let (client, recorder) = store.client.recorded();
    let sent = timeout(store.retry.timeout(), send(client)).await;
    drop(permit);
    let answer = recorder.take();
    observer.tell(Event::Answered {
        status: answer.as_ref().map(|answer| answer.status.as_u16()),
        elapsed: sent_at.elapsed(),
    });
    let (seen, said, source) = match sent {
        Ok(Ok(value)) => return Ok(value.into_inner()),
        Ok(Err(error)) => classify(error, answer.as_ref()),
        Err(elapsed) => (Seen::TimedOut, None, Some(elapsed.into())),
    };
    Err(Trouble {
        seen,
        status: answer.as_ref().map(|answer| answer.status.as_u16()),
        told: answer.and_then(|answer| told_to_wait(&answer.headers)),
        said: said.map(|said| said.replace(store.token.secret(), "REDACTED")),
        source,
    })
}

/// Tells from the recorded status what happened: the generated error loses it for every answer
/// whose body breaks or does not parse.
fn classify(
    error: sdk::Error<types::ErrorBody>,
    answer: Option<&Answer>,
) -> (Seen, Option<String>, Option<Source>) {
    let (said, source): (_, Option<Source>) = match error {
        sdk::Error::ErrorResponse(body) => (said::by_server(&body), None),
        sdk::Error::CommunicationError(error)
        | sdk::Error::ResponseBodyError(error)
        | sdk::Error::InvalidUpgrade(error) => {
            let seen = if error.is_timeout() {
                Seen::TimedOut
            } else if error.is_connect() {
                Seen::NotConnected
            } else {
                Seen::Broken
            };
            let source: Source = error.without_url().into();
            if answer.is_none() {
                return (seen, None, Some(source));
            }
            (None, Some(source))
        }
        sdk::Error::InvalidResponsePayload(_, error) => (None, Some(error.into())),
        sdk::Error::UnexpectedResponse(response) => (said::redirected_to(&response), None),
        sdk::Error::InvalidRequest(text) | sdk::Error::Custom(text) => {
            return (Seen::Unsendable, None, Some(text.into()));
        }
    };
    let seen = match answer.map(|answer| answer.status) {
        Some(status) if status.is_success() => Seen::Unreadable,
        Some(status) => Seen::Status(status.as_u16()),
        None => Seen::Broken,
    };
    (seen, said, source)
}

fn advice(kind: ErrorKind, no_time_for: Option<Duration>) -> String {
    let text = match kind {
        ErrorKind::Unauthorized => {
            "the access token was not accepted: check that it is whole, not revoked, and belongs \
             to this store"
        }
        ErrorKind::Forbidden => {
            "the access token lacks the OAuth scope store_v2_customers (Customers: modify): give \
             it to the API account and make a new token"
        }
        ErrorKind::TooLarge => {
            "the call holds more than the endpoint accepts: lower Limits::customers_per_call"
        }
        ErrorKind::Refused => "the server refuses what was sent, and would again: correct it",
        ErrorKind::RateLimited => {
            "the quota stayed spent: send again later, or leave this app more of it"
        }
        ErrorKind::Unavailable => "the server can't do it now: send again later",
        ErrorKind::Timeout => {
            "no answer in time, so whether it was done is not known: send again later"
        }
        ErrorKind::Connection => {
            "the connection could not be made or broke: check the network, and send again later"
        }
        ErrorKind::Redirect => {
            "the redirect was not followed, since it would change the request or take the token \
             elsewhere: check the base URL"
        }
        ErrorKind::Answer => {
            "the answer can't be understood, so whether it was done is not known: send again later"
        }
        ErrorKind::Config | ErrorKind::Row | ErrorKind::Input => "it can't be sent",
    };
    match no_time_for {
        None => text.to_owned(),
        Some(wait) => format!(
            "{text}; the next attempt is due in {:.1} s, which RetryPolicy::total_time does not \
             leave",
            wait.as_secs_f64()
        ),
    }
}
