//! The retry loop around the attempts of one call.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bigcommerce_sdk as sdk;
use tokio::time::{Instant, sleep_until};

use super::attempt::{AttemptInfo, RequestFailure, request};
use super::context::{CallFailure, CallOutcome, RunContext, SdkResult};
use super::explain::{Circumstances, explain_kind};
use super::lease::Lease;
use super::outage::{Availability, ProbeGuard};
use super::{Client, Operation, TARGET};
use crate::error::{CallRecord, Error, ErrorKind, Explanation};
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
    let mut call = Call {
        client,
        run,
        operation,
        number,
        started: Instant::now(),
        first_request: None,
        time_down: Duration::ZERO,
        attempts: 0,
        counted_attempts: 0,
        failures_in_a_row: 0,
    };
    let mut requests = 0;
    let mut is_ambiguous = false;
    let mut hold = None;
    let mut last: Option<RequestFailure> = None;
    let end = loop {
        let (lease, probe) = match call.acquire().await {
            Ok(acquired) => acquired,
            Err(end) => break end,
        };
        let sent_at = Instant::now();
        call.first_request.get_or_insert(sent_at);
        call.attempts += 1;
        let attempt = AttemptInfo {
            call: number,
            number: call.attempts,
            previous_failure: last.as_ref().map(|failure| failure.successes),
        };
        let outcome = request(client, run, operation, attempt, lease, &send).await;
        requests += outcome.requests;
        let failure = match outcome.result {
            Ok(value) => {
                client.flush().await;
                return CallOutcome {
                    result: Ok(value),
                    requests,
                    hold,
                };
            }
            Err(failure) => failure,
        };
        is_ambiguous |= failure.is_ambiguous;
        hold = hold.max(failure.held_until);
        let was_probe = probe.is_some() && failure.is_bad;
        drop(probe);
        if was_probe {
            call.time_down += sent_at.elapsed();
        }
        let next = call.next(&failure, was_probe);
        last = Some(failure);
        match next {
            Ok(wait) => {
                if !run.wait(wait).await {
                    break End::Stopped;
                }
            }
            Err(end) => break end,
        }
    };
    client.flush().await;
    let error = call.error(last.as_ref(), end);
    tracing::debug!(
        target: TARGET,
        store = &*client.label(),
        operation = operation.name,
        call = number,
        attempts = call.attempts,
        %error,
        "giving up"
    );
    CallOutcome {
        result: Err(CallFailure {
            is_ambiguous,
            never_sent: call.attempts == 0,
            error,
        }),
        requests,
        hold,
    }
}

/// Why a call ends without success.
#[derive(Clone, Debug)]
enum End {
    /// The latest attempt's failure is final, or the attempts are spent.
    Final,
    /// The server may have executed the latest attempt, and it must not do so twice.
    NotRepeatable,
    /// A wait this long would exceed the retry timeout.
    ExceedsTimeout(Duration),
    /// The quota is spent for longer than the retry timeout allows.
    Throttled(Duration),
    /// The store has been down for this long.
    Outage(Duration),
    /// The shared limits can't be reached.
    Limiter(Error),
    Stopped,
}

/// The state of a call.
struct Call<'a> {
    client: &'a Client,
    run: &'a RunContext,
    operation: &'a Operation,
    number: u64,
    started: Instant,
    first_request: Option<Instant>,
    /// The time since the first request during which the store was down.
    time_down: Duration,
    attempts: u32,
    /// Attempts that count.
    counted_attempts: u32,
    failures_in_a_row: u32,
}

impl Call<'_> {
    /// Returns the time that counts against the retry timeout.
    fn elapsed(&self) -> Duration {
        let since_first = self
            .first_request
            .map(|at| at.elapsed())
            .unwrap_or_default();
        since_first.saturating_sub(self.time_down)
    }

    /// Waits for a lease, and for the end of an outage or the call's turn to probe the store.
    async fn acquire(&mut self) -> Result<(Lease, Option<ProbeGuard>), End> {
        loop {
            let probe = self.await_availability().await?;
            let lease = self.lease().await?;
            // The store may have gone down while the call waited for its lease.
            if probe.is_some() || self.client.availability().is_up() {
                return Ok((lease, probe));
            }
        }
    }

    /// Returns when the store is up, or when it is this call's turn to probe it.
    async fn await_availability(&mut self) -> Result<Option<ProbeGuard>, End> {
        let began = Instant::now();
        let mut watch = self.client.watch_availability();
        let result = loop {
            self.run.report_availability(self.client);
            let Availability::Down { since, probe_at } = self.client.availability() else {
                break Ok(None);
            };
            // An outage that began before the call counts from its start.
            let waited = since.max(self.started).elapsed();
            let max_wait = self.run.on_outage.max_wait();
            let is_too_late = max_wait <= waited;
            if (!is_too_late || self.attempts == 0)
                && let Some(probe) = self.client.try_probe()
            {
                break Ok(Some(probe));
            }
            if is_too_late {
                break Err(End::Outage(since.elapsed()));
            }
            let now = Instant::now();
            let wait = probe_at
                .saturating_duration_since(now)
                .min(max_wait.saturating_sub(waited));
            self.run.notify(Event::Waiting {
                call: self.number,
                operation: self.operation.name,
                reason: WaitReason::Outage,
                wait,
            });
            tokio::select! {
                biased;
                () = self.run.stopped() => break Err(End::Stopped),
                () = watch.changed() => {}
                () = sleep_until(now + wait) => {}
            }
        };
        if self.first_request.is_some() {
            self.time_down += began.elapsed();
        }
        result
    }

    /// Waits for a lease, as long as the retry timeout allows.
    async fn lease(&self) -> Result<Lease, End> {
        let began = Instant::now();
        let policy = self.client.retry();
        let time_left = policy.retry_timeout.saturating_sub(self.elapsed());
        let mut ticket = self.client.ticket();
        let mut reported = None;
        let mut stopped = pin!(self.run.stopped());
        std::future::poll_fn(|cx| {
            if stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(End::Stopped));
            }
            if let Poll::Ready(lease) = ticket.poll_lease(cx, Vec::new) {
                return Poll::Ready(lease.map_err(End::Limiter));
            }
            let until = ticket.blocked_until();
            if let Some(until) = until.filter(|_| until != reported) {
                reported = Some(until);
                let wait = until.saturating_duration_since(Instant::now());
                if began.elapsed().saturating_add(wait) > time_left {
                    return Poll::Ready(Err(End::Throttled(wait)));
                }
                self.run.notify(Event::Waiting {
                    call: self.number,
                    operation: self.operation.name,
                    reason: WaitReason::Quota,
                    wait,
                });
            }
            Poll::Pending
        })
        .await
    }

    /// Decides what follows a failed attempt: a wait, or the end of the call.
    fn next(&mut self, failure: &RequestFailure, was_probe: bool) -> Result<Duration, End> {
        let policy = self.client.retry();
        self.failures_in_a_row += 1;
        let Some(reason) = failure.retry else {
            return Err(End::Final);
        };
        // What it conflicts with may be what it would create.
        let is_conflict = failure.error.status() == Some(409);
        if (failure.is_ambiguous || is_conflict) && !self.operation.is_idempotent {
            return Err(End::NotRepeatable);
        }
        if was_probe {
            return Ok(Duration::ZERO);
        }
        if reason != WaitReason::Quota {
            self.counted_attempts += 1;
            if self.counted_attempts >= policy.max_attempts {
                return Err(End::Final);
            }
        }
        if !self.client.availability().is_up() {
            return Ok(Duration::ZERO);
        }
        let wait = policy.wait(self.failures_in_a_row, failure.retry_after, fastrand::f64());
        let max_wait = match failure.is_bad {
            true => policy.retry_timeout.max(self.run.on_outage.max_wait()),
            false => policy.retry_timeout,
        };
        if self.elapsed().saturating_add(wait) > max_wait {
            return Err(End::ExceedsTimeout(wait));
        }
        self.run.notify(Event::Waiting {
            call: self.number,
            operation: self.operation.name,
            reason,
            wait,
        });
        Ok(wait)
    }

    /// Returns the error of the call.
    fn error(&self, last: Option<&RequestFailure>, end: End) -> Error {
        let operation = self.operation;
        let elapsed = self
            .first_request
            .map(|at| at.elapsed())
            .unwrap_or_default();
        let of_call = |kind, explanation: Explanation| {
            let record = CallRecord {
                operation: last
                    .and_then(|last| last.error.operation())
                    .unwrap_or_else(|| operation.labelled(None, "").label),
                status: last.and_then(|last| last.error.status()),
                server_message: last
                    .and_then(|last| last.error.server_message().map(str::to_owned)),
                request_id: last.and_then(|last| last.error.request_id().map(str::to_owned)),
                attempts: self.attempts,
                elapsed,
                ends_run: false,
            };
            Error::call(kind, explanation, record, None)
        };
        let next_in = |wait: Duration| {
            format!(
                "the next attempt would be in {:.1} s, beyond RetryPolicy::retry_timeout",
                wait.as_secs_f64()
            )
        };
        let host = self.client.host();
        let down_for = |time: Duration| {
            format!(
                "the store {host} has been down for {:.1} s, longer than the run waits (on_outage)",
                time.as_secs_f64()
            )
        };
        let explain = |kind| explain_kind(kind, &Circumstances::new(operation, host));
        match (end, last) {
            (End::Stopped, _) => of_call(ErrorKind::Stopped, explain(ErrorKind::Stopped)),
            (End::Throttled(wait), _) => {
                let Explanation { message, advice } = explain(ErrorKind::RateLimited);
                let message = format!("{message}; {}", next_in(wait)).into();
                of_call(ErrorKind::RateLimited, Explanation { message, advice })
            }
            (End::Limiter(error), _) => error,
            (End::Outage(time), None) => of_call(
                ErrorKind::Unavailable,
                Explanation::new(down_for(time), "try again later"),
            ),
            (End::Outage(time), Some(last)) => {
                let error = last.error.with_attempts(self.attempts, elapsed);
                error.with_note(&down_for(time))
            }
            (End::NotRepeatable, Some(last)) => {
                let error = last.error.with_attempts(self.attempts, elapsed);
                if !operation.is_of_caller() {
                    // The attributes are listed before the request is repeated, or not.
                    return error;
                }
                error.with_note("it was not repeated, because the server may have executed it")
            }
            (End::ExceedsTimeout(wait), Some(last)) => {
                let error = last.error.with_attempts(self.attempts, elapsed);
                error.with_note(&next_in(wait))
            }
            (_, Some(last)) => last.error.with_attempts(self.attempts, elapsed),
            (End::Final | End::NotRepeatable | End::ExceedsTimeout(_), None) => {
                of_call(ErrorKind::Unavailable, explain(ErrorKind::Unavailable))
            }
        }
    }
}
