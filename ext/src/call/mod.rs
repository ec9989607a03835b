//! One API call, done well: permit → pace → send → classify → wait, until it succeeds or there is
//! no point in going on.

mod attempt;
mod calls;
mod flight;
mod operation;
mod pace;
mod permits;
mod retry;
mod said;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bigcommerce_sdk::{self as sdk, ResponseValue, types};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::error::{CallRecord, Error, ErrorKind};
use crate::event::{Event, Observer, Wait};
use crate::store::Store;

use attempt::{Missed, attempt};
pub(crate) use calls::{Calls, in_task};
use flight::Flight;
pub(crate) use operation::Operation;
use pace::Hold;
pub(crate) use pace::Pacer;
pub(crate) use permits::Permits;
pub use retry::RetryPolicy;
use retry::{Moment, Next, Seen, decide};

pub(crate) type Sent<T> = Result<ResponseValue<T>, sdk::Error<types::ErrorBody>>;

/// What the calls of a run have in common.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub observer: Observer,
    /// Turns true when calls that wait are to end.
    pub stopping: watch::Sender<bool>,
    /// Calls on their second or later retry of a server error or a failed connection.
    pub in_trouble: AtomicUsize,
}

impl Run {
    pub(crate) fn new(observer: Observer) -> Self {
        Self {
            observer,
            ..Self::default()
        }
    }

    /// Waits unless the run is stopped; says whether the time has passed.
    async fn wait(&self, time: Duration) -> bool {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            () = sleep(time) => true,
            // The sender is in this very struct, so it is never closed.
            _ = stopping.wait_for(|stopping| *stopping) => false,
        }
    }
}

/// Counts a call as being in trouble, as long as it is.
struct Trouble<'a>(&'a AtomicUsize);

impl<'a> Trouble<'a> {
    fn new(calls: &'a AtomicUsize) -> Self {
        calls.fetch_add(1, Ordering::Relaxed);
        Self(calls)
    }
}

impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a call ended, and how many requests it took.
pub(crate) struct Ended<T> {
    pub result: Result<T, Failed>,
    pub attempts: u32,
    /// Until when a request that was given up may be running.
    pub hold: Option<Instant>,
}

impl<T> Ended<T> {
    /// Calls that left nothing running.
    pub(crate) fn of(result: Result<T, Failed>, attempts: u32) -> Self {
        Self {
            result,
            attempts,
            hold: None,
        }
    }

    /// A call whose task has ended without saying how.
    pub(crate) fn lost() -> Self {
        Self {
            result: Err(Failed {
                is_ambiguous: true,
                ..Failed::from(Error::lost_task())
            }),
            attempts: 0,
            hold: None,
        }
    }
}

/// Why a call failed.
pub struct Failed {
    pub error: Error,
    /// Whether the server may have done what it was asked.
    pub is_ambiguous: bool,
    /// Whether not even a first request could be made.
    pub never_left: bool,
    /// Whether the server refuses rows, rather than the call.
    pub blames_rows: bool,
    /// The places of rows that the answer names.
    pub named: BTreeSet<usize>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            error,
            is_ambiguous: false,
            never_left: false,
            blames_rows: false,
            named: BTreeSet::new(),
        }
    }
}

/// Makes a call: `send` is run once per attempt.
pub(crate) async fn call<T, F, Fut>(
    store: &Store,
    run: &Run,
    operation: &Operation,
    number: u64,
    send: F,
) -> Ended<T>
where
    F: Fn(sdk::Client) -> Fut,
    Fut: Future<Output = Sent<T>>,
{
    let policy = &store.shared().retry;
    let mut began = None;
    let mut attempts = 0;
    let mut tried = 0;
    let mut troubles = 0;
    let mut trouble = None;
    let mut is_ambiguous = false;
    let mut hold = None;
    let mut last: Option<Missed> = None;
    let (kind, reason) = loop {
        let time_left = policy.time().saturating_sub(since(began));
        let flight = match take_off(store, run, number, time_left).await {
            Ok(flight) => flight,
            Err(ended) => break ended,
        };
        began.get_or_insert_with(Instant::now);
        attempts += 1;
        let missed = match attempt(store, run, number, attempts, flight, &send).await {
            Ok(value) => {
                return Ended {
                    result: Ok(value),
                    attempts,
                    hold,
                };
            }
            Err(missed) => missed,
        };
        is_ambiguous |= missed.seen.is_ambiguous();
        hold = hold.max(missed.hold);
        if missed.told.is_none() || missed.seen != Seen::Status(429) {
            tried += 1;
        }
        let moment = Moment {
            tried,
            elapsed: since(began),
            told: missed.told,
            dice: fastrand::f64(),
            may_repeat: operation.is_idempotent,
        };
        let next = decide(policy, missed.seen, moment);
        last = Some(missed);
        match next {
            Next::Retry { after, why } => {
                if matches!(why, Wait::Server | Wait::Connection) {
                    troubles += 1;
                    if troubles > 1 && trouble.is_none() {
                        trouble = Some(Trouble::new(&run.in_trouble));
                    }
                }
                tracing::debug!(operation = &*operation.label, attempts, ?after, %why, "trying again");
                run.observer.tell(Event::Waiting {
                    call: number,
                    why,
                    wait: after,
                });
                if !run.wait(after).await {
                    break (ErrorKind::Stopped, Reason::Advice);
                }
            }
            Next::GiveUp { kind, no_time_for } => {
                break (kind, no_time_for.map_or(Reason::Advice, Reason::NoTimeFor));
            }
        }
    };
    let last = last.unwrap_or_else(|| Missed::new(Seen::Unsendable, None));
    let record = CallRecord {
        operation: operation.label.clone(),
        status: last.status,
        said: last.said,
        attempts,
        elapsed: since(began),
    };
    let error = Error::call(kind, advice(kind, reason, operation), record, last.source);
    tracing::debug!(operation = &*operation.label, attempts, %error, "giving up");
    Ended {
        result: Err(Failed {
            is_ambiguous,
            never_left: attempts == 0,
            blames_rows: kind == ErrorKind::Refused && last.blames_rows,
            named: last.named,
            error,
        }),
        attempts,
        hold,
    }
}

fn since(began: Option<Instant>) -> Duration {
    began.map_or(Duration::ZERO, |began| began.elapsed())
}

/// Why a call is not tried again.
enum Reason {
    Advice,
    NoTimeFor(Duration),
}

/// Waits for a permit and for quota, which nobody holds while waiting for the other.
async fn take_off(
    store: &Store,
    run: &Run,
    call: u64,
    time_left: Duration,
) -> Result<Flight, (ErrorKind, Reason)> {
    let shared = store.shared();
    let began = Instant::now();
    loop {
        let mut stopping = run.stopping.subscribe();
        let permit = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => {
                return Err((ErrorKind::Stopped, Reason::Advice));
            }
            permit = shared.permits.acquire() => permit,
        };
        let hold = match Flight::begin(store, permit) {
            Ok(flight) => return Ok(flight),
            Err(hold) => hold,
        };
        let wait = hold.time();
        if let Hold::For(wait) = hold {
            if began.elapsed().saturating_add(wait) > time_left {
                return Err((ErrorKind::RateLimited, Reason::NoTimeFor(wait)));
            }
            let why = Wait::Quota;
            tracing::debug!(call, ?wait, %why, "waiting");
            run.observer.tell(Event::Waiting { call, why, wait });
        }
        if !run.wait(wait).await {
            return Err((ErrorKind::Stopped, Reason::Advice));
        }
    }
}

fn advice(kind: ErrorKind, reason: Reason, operation: &Operation) -> String {
    let open = match operation.is_read {
        true => "",
        false => ", so whether it was done is not known",
    };
    let text = match kind {
        ErrorKind::Unauthorized => {
            "the access token was not accepted: check that it is whole, not revoked, and belongs \
             to this store"
        }
        ErrorKind::Forbidden => &format!(
            "the access token lacks the OAuth scope {}: give it to the API account and make a new \
             token",
            operation.scope()
        ),
        ErrorKind::NotFound => "there is no such endpoint: check the store hash or the base URL",
        ErrorKind::TooLarge => "the call holds more than the endpoint accepts",
        ErrorKind::Refused => "the server refuses what was sent, and would again: correct it",
        ErrorKind::RateLimited => {
            "the quota stayed spent: send again later, or leave this app more of it"
        }
        ErrorKind::Unavailable => "the server can't do it now: send again later",
        ErrorKind::Timeout => &format!("no answer in time{open}: send again later"),
        ErrorKind::Connection => {
            "the connection could not be made or broke: check the network, and send again later"
        }
        ErrorKind::Redirect => {
            "the redirect was not followed, since it would change the request or take the token \
             elsewhere: check the base URL"
        }
        ErrorKind::Answer => &format!("the answer can't be understood{open}: send again later"),
        ErrorKind::Stopped => "the run was stopped while the call waited",
        ErrorKind::Config | ErrorKind::Row | ErrorKind::Input => "it can't be sent",
    };
    match reason {
        Reason::Advice => text.to_owned(),
        Reason::NoTimeFor(wait) => format!(
            "{text}; the next attempt is due in {:.1} s, which RetryPolicy::total_time does not \
             leave",
            wait.as_secs_f64()
        ),
    }
}
