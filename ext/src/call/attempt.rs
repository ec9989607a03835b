//! One attempt of a call: a request, and what is made of its answer.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use bigcommerce_sdk::{self as sdk, Answer, types};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::flight::Flight;
use super::pace::Quota;
use super::retry::{Seen, told_to_wait};
use super::{Run, Sent, said};
use crate::event::Event;
use crate::store::Store;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What an attempt that did not succeed left behind.
pub(super) struct Missed {
    pub seen: Seen,
    pub status: Option<u16>,
    /// How long the answer asks to wait.
    pub told: Option<Duration>,
    /// What the server said, in a line.
    pub said: Option<String>,
    pub blames_rows: bool,
    pub named: BTreeSet<usize>,
    pub source: Option<Source>,
    /// Until when the request may be running.
    pub hold: Option<Instant>,
}

/// Sends one request and reads its answer.
pub(super) async fn attempt<T, F, Fut>(
    store: &Store,
    run: &Run,
    call: u64,
    attempt: u32,
    flight: Flight,
    send: &F,
) -> Result<T, Missed>
where
    F: Fn(sdk::Client) -> Fut,
    Fut: Future<Output = Sent<T>>,
{
    let shared = store.shared();
    run.observer.tell(Event::Sending { call, attempt });
    let sent_at = Instant::now();
    let (client, recorder) = shared.client.recorded();
    let sent = timeout(shared.retry.timeout(), send(client))
        .instrument(tracing::debug_span!("attempt", attempt))
        .await;
    let answer = recorder.take();
    let status = answer.as_ref().map(|answer| answer.status.as_u16());
    let told = answer
        .as_ref()
        .filter(|answer| answer.status.as_u16() == 429)
        .and_then(|answer| told_to_wait(&answer.headers));
    run.observer.tell(Event::Answered {
        call,
        status,
        elapsed: sent_at.elapsed(),
    });
    let mut missed = match sent {
        Ok(Ok(value)) => {
            flight.answered(
                answer
                    .as_ref()
                    .and_then(|answer| Quota::read(&answer.headers)),
                None,
            );
            return Ok(value.into_inner());
        }
        Ok(Err(error)) => classify(error, answer.as_ref()),
        Err(elapsed) => Missed::new(seen(answer.as_ref(), Seen::TimedOut), Some(elapsed.into())),
    };
    match &answer {
        Some(answer) if missed.seen.is_of_gateway() => {
            let said = Quota::read(&answer.headers);
            missed.hold = Some(flight.answered_by_gateway(said, told));
        }
        Some(answer) => flight.answered(Quota::read(&answer.headers), told),
        None if !missed.seen.is_ambiguous() => flight.not_sent(),
        None => missed.hold = Some(flight.given_up()),
    }
    missed.status = status;
    missed.told = told;
    // Whatever became of its body, a 422 is about what was sent.
    missed.blames_rows |= missed.seen == Seen::Status(422);
    missed.said = missed
        .said
        .map(|said| said::presentable(&said, shared.token.secret()));
    Err(missed)
}

impl Missed {
    pub fn new(seen: Seen, source: Option<Source>) -> Self {
        Self {
            seen,
            status: None,
            told: None,
            said: None,
            blames_rows: false,
            named: BTreeSet::new(),
            source,
            hold: None,
        }
    }
}

/// What was seen of an answer whose headers came, or else `otherwise`.
fn seen(answer: Option<&Answer>, otherwise: Seen) -> Seen {
    match answer.map(|answer| answer.status) {
        Some(status) if status.is_success() => Seen::Unreadable,
        Some(status) => Seen::Status(status.as_u16()),
        None => otherwise,
    }
}

/// Tells from the recorded status what happened: the generated error loses it for every answer
/// whose body breaks or does not parse.
fn classify(error: sdk::Error<types::ErrorBody>, answer: Option<&Answer>) -> Missed {
    let seen = seen(answer, Seen::Broken);
    match error {
        sdk::Error::ErrorResponse(body) => Missed {
            said: said::by_server(&body),
            blames_rows: seen == Seen::Status(400) && said::speaks_of_fields(&body),
            named: said::named_rows(&body),
            ..Missed::new(seen, None)
        },
        sdk::Error::CommunicationError(error)
        | sdk::Error::ResponseBodyError(error)
        | sdk::Error::InvalidUpgrade(error) => {
            let seen = match answer {
                // Only its body says what a 400 is about.
                Some(_) if seen == Seen::Status(400) => Seen::Unreadable,
                Some(_) => seen,
                None if error.is_connect() => Seen::NotConnected,
                None if error.is_timeout() => Seen::TimedOut,
                None => Seen::Broken,
            };
            Missed::new(seen, Some(error.without_url().into()))
        }
        sdk::Error::InvalidResponsePayload(_, error) => {
            Missed::new(seen, Some(unreadable(&error).into()))
        }
        sdk::Error::UnexpectedResponse(response) => Missed {
            said: said::redirected_to(&response),
            ..Missed::new(seen, None)
        },
        sdk::Error::InvalidRequest(text) | sdk::Error::Custom(text) => {
            Missed::new(Seen::Unsendable, Some(text.into()))
        }
    }
}

/// Says where an answer can't be understood, without repeating what stands there.
fn unreadable(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "the body ends early",
        serde_json::error::Category::Syntax => "the body is no JSON",
        _ => "the body is not what the document says",
    };
    format!("{what}, line {} column {}", error.line(), error.column())
}
