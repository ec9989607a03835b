//! The retry loop around the attempts of one call.

use std::time::Duration;

use bigcommerce_sdk as sdk;
use tokio::time::Instant;

use super::attempt::{FailedAttempt, attempt};
use super::context::{CallFailure, CallOutcome, FailingCallGuard, RunContext, SdkResult};
use super::in_flight::InFlightGuard;
use super::limiter::Throttled;
use super::retry::{FailureCause, RetryDecision, RetryState, decide};
use super::{Client, Operation};
use crate::error::{CallRecord, Error, ErrorKind};
use crate::event::{Event, WaitReason};

/// Makes a call: runs `send` once per attempt.
///
/// `number` is the call's number within its run, for events.
pub(crate) async fn call<T, F, Fut>(
    client: &Client,
    run: &RunContext,
    operation: &Operation,
    number: u64,
    send: F,
) -> CallOutcome<T>
where
    F: Fn(sdk::Client) -> Fut,
    Fut: Future<Output = SdkResult<T>>,
{
    let policy = client.retry();
    let mut began = None;
    let mut attempts = 0;
    let mut counted_attempts = 0;
    let mut server_failures = 0;
    let mut failing = None;
    let mut is_ambiguous = false;
    let mut hold = None;
    let mut last: Option<FailedAttempt> = None;
    let (kind, reason) = loop {
        let time_left = policy.retry_timeout.saturating_sub(since(began));
        let guard = match acquire(client, run, number, time_left).await {
            Ok(guard) => guard,
            Err(end) => break end,
        };
        began.get_or_insert_with(Instant::now);
        attempts += 1;
        let failed = match attempt(client, run, number, attempts, guard, &send).await {
            Ok(value) => {
                return CallOutcome {
                    result: Ok(value),
                    requests: attempts,
                    hold,
                };
            }
            Err(failed) => failed,
        };
        is_ambiguous |= failed.cause.is_ambiguous();
        hold = hold.max(failed.hold);
        if failed.retry_after.is_none() || failed.cause != FailureCause::Status(429) {
            counted_attempts += 1;
        }
        let state = RetryState {
            counted_attempts,
            elapsed: since(began),
            retry_after: failed.retry_after,
            jitter_sample: fastrand::f64(),
            may_repeat: operation.is_idempotent,
        };
        let decision = decide(policy, failed.cause, state);
        last = Some(failed);
        match decision {
            RetryDecision::Retry { after, reason } => {
                if matches!(reason, WaitReason::Server | WaitReason::Connection) {
                    server_failures += 1;
                    if server_failures > 1 && failing.is_none() {
                        failing = Some(FailingCallGuard::new(run));
                    }
                }
                tracing::debug!(operation = &*operation.label, attempts, ?after, %reason, "retrying");
                run.observer.notify(Event::Waiting {
                    call: number,
                    reason,
                    wait: after,
                });
                if !run.wait(after).await {
                    break (ErrorKind::Stopped, EndReason::Final);
                }
            }
            RetryDecision::GiveUp {
                kind,
                exceeds_timeout,
            } => {
                break (
                    kind,
                    exceeds_timeout.map_or(EndReason::Final, EndReason::ExceedsTimeout),
                );
            }
        }
    };
    let last = last.unwrap_or_else(|| FailedAttempt::new(FailureCause::Unsendable, None));
    let record = CallRecord {
        operation: operation.label.clone(),
        status: last.status,
        server_message: last.server_message,
        attempts,
        elapsed: since(began),
    };
    let error = Error::call(kind, advice(kind, reason, operation), record, last.source);
    tracing::debug!(operation = &*operation.label, attempts, %error, "giving up");
    CallOutcome {
        result: Err(CallFailure {
            is_ambiguous,
            never_sent: attempts == 0,
            blames_rows: kind == ErrorKind::InvalidRequest && last.blames_rows,
            blamed_rows: last.blamed_rows,
            error,
        }),
        requests: attempts,
        hold,
    }
}

fn since(began: Option<Instant>) -> Duration {
    began.map_or(Duration::ZERO, |began| began.elapsed())
}

/// Why a call is not retried.
enum EndReason {
    Final,
    /// A wait this long would exceed the retry timeout.
    ExceedsTimeout(Duration),
}

/// Acquires a permit and quota, holding neither while waiting for the other.
async fn acquire(
    client: &Client,
    run: &RunContext,
    call: u64,
    time_left: Duration,
) -> Result<InFlightGuard, (ErrorKind, EndReason)> {
    let began = Instant::now();
    loop {
        let mut stopping = run.stopping.subscribe();
        let permit = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => {
                return Err((ErrorKind::Stopped, EndReason::Final));
            }
            permit = client.limiter().permit() => permit,
        };
        let throttled = match InFlightGuard::acquire(client, permit) {
            Ok(guard) => return Ok(guard),
            Err(throttled) => throttled,
        };
        let wait = throttled.wait();
        if let Throttled::For(wait) = throttled {
            if began.elapsed().saturating_add(wait) > time_left {
                return Err((ErrorKind::RateLimited, EndReason::ExceedsTimeout(wait)));
            }
            let reason = WaitReason::Quota;
            tracing::debug!(call, ?wait, %reason, "waiting");
            run.observer.notify(Event::Waiting { call, reason, wait });
        }
        if !run.wait(wait).await {
            return Err((ErrorKind::Stopped, EndReason::Final));
        }
    }
}

/// Describes why the call failed and what to do.
fn advice(kind: ErrorKind, reason: EndReason, operation: &Operation) -> String {
    let in_doubt = match operation.is_read {
        true => "",
        false => "; the server may have executed the request",
    };
    let text = match kind {
        ErrorKind::Unauthorized => {
            "the access token was not accepted: check that it is complete, not revoked, and \
             belongs to this store"
        }
        ErrorKind::Forbidden => &format!(
            "the access token lacks the OAuth scope {}: add the scope to the API account and \
             create a new token",
            operation.scope()
        ),
        ErrorKind::NotFound => "no such endpoint: check the store hash or the base URL",
        ErrorKind::TooLarge => "the request is larger than the endpoint accepts",
        ErrorKind::InvalidRequest => {
            "the server rejected the request: correct it before sending it again"
        }
        ErrorKind::RateLimited => {
            "the quota was exhausted: try again later, or leave more of the quota to this app"
        }
        ErrorKind::Unavailable => "the server is unavailable: try again later",
        ErrorKind::Timeout => &format!("no response in time{in_doubt}: try again later"),
        ErrorKind::Connection => "the connection failed: check the network, and try again later",
        ErrorKind::Redirect => {
            "the redirect was not followed, because it would change the request or take the token \
             to another origin: check the base URL"
        }
        ErrorKind::InvalidResponse => {
            &format!("the response can't be parsed{in_doubt}: try again later")
        }
        ErrorKind::Stopped => "the run was stopped while the call waited",
        ErrorKind::InvalidInput | ErrorKind::InvalidRow | ErrorKind::Input => {
            "the request can't be sent"
        }
    };
    match reason {
        EndReason::Final => text.to_owned(),
        EndReason::ExceedsTimeout(wait) => format!(
            "{text}; the next attempt would be in {:.1} s, beyond RetryPolicy::retry_timeout",
            wait.as_secs_f64()
        ),
    }
}
