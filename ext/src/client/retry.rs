//! What to do after a failed attempt: a pure decision function.

use std::time::Duration;

use super::limiter::MAX_WAIT;
use crate::error::{Error, ErrorKind};
use crate::event::WaitReason;

/// How often and for how long a call is retried.
///
/// The policy follows the provider's advice. Status 429, 500, 502, 503 and 504, temporary
/// redirects, failed connections and responses that can't be parsed are retried with exponential
/// backoff and full jitter. Upserts and deletes are idempotent, so a retry is safe. A 429 that says
/// how long to wait doesn't count as an attempt.
///
/// ```
/// use std::time::Duration;
/// use bigcommerce_ext::RetryPolicy;
///
/// let patient = RetryPolicy::default().retry_timeout(Duration::from_secs(3600));
/// # let _ = patient;
/// ```
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    pub(crate) max_attempts: u32,
    pub(crate) attempt_timeout: Duration,
    pub(crate) retry_timeout: Duration,
    initial_backoff: Duration,
    max_backoff: Duration,
    jitter: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            attempt_timeout: Duration::from_secs(30),
            retry_timeout: Duration::from_secs(300),
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(30),
            jitter: 1.0,
        }
    }
}

impl RetryPolicy {
    /// Sets the maximum number of attempts per call, including the first (default 10, at least 1).
    ///
    /// A 429 that says how long to wait is not counted.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets how long a single request may take, including its response body (default 30 s,
    /// greater than 0).
    #[must_use]
    pub fn attempt_timeout(mut self, time: Duration) -> Self {
        self.attempt_timeout = time;
        self
    }

    /// Sets for how long a call is retried, counted from its first request (default 5 minutes).
    ///
    /// A call whose next wait would exceed the timeout ends at once.
    #[must_use]
    pub fn retry_timeout(mut self, time: Duration) -> Self {
        self.retry_timeout = time;
        self
    }

    /// Sets the upper bound of the first wait (default 1 s). The bound doubles with each attempt.
    #[must_use]
    pub fn initial_backoff(mut self, time: Duration) -> Self {
        self.initial_backoff = time;
        self
    }

    /// Sets the upper bound of every wait (default 30 s), unless the server asks for a longer one.
    #[must_use]
    pub fn max_backoff(mut self, time: Duration) -> Self {
        self.max_backoff = time;
        self
    }

    /// Sets the random share of a wait, from 0 to 1 (default 1, full jitter).
    ///
    /// Jitter keeps clients that failed together from retrying together.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(Error::invalid_input(format!(
                "retry policy: jitter is {}; it must be from 0 to 1",
                self.jitter
            )));
        }
        if self.max_attempts == 0 {
            return Err(Error::invalid_input(
                "retry policy: max_attempts must be at least 1",
            ));
        }
        if self.attempt_timeout.is_zero() {
            return Err(Error::invalid_input(
                "retry policy: attempt_timeout must be greater than 0",
            ));
        }
        Ok(())
    }

    /// Returns the wait after a number of attempts, for a sample from 0 to 1.
    pub(crate) fn backoff(&self, attempts: u32, jitter_sample: f64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let bound = self.initial_backoff.saturating_mul(1 << doublings);
        bound
            .min(self.max_backoff)
            .min(MAX_WAIT)
            .mul_f64(1.0 - self.jitter * (1.0 - jitter_sample))
    }
}

/// Why an attempt did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureCause {
    /// A response with a status that is not a success.
    Status(u16),
    /// A success whose body broke or can't be parsed.
    InvalidResponse,
    /// No response within the attempt's time.
    TimedOut,
    /// No connection: the request did not leave.
    NotConnected,
    /// The connection broke after the request may have left.
    ConnectionLost,
    /// The request could not be built.
    Unsendable,
}

impl FailureCause {
    /// Returns `true` if the server may have executed the request.
    pub(super) fn is_ambiguous(self) -> bool {
        match self {
            Self::InvalidResponse | Self::TimedOut | Self::ConnectionLost => true,
            Self::Status(status) => status >= 500,
            Self::NotConnected | Self::Unsendable => false,
        }
    }

    /// Returns `true` if a gateway responded while the server may still be running the request.
    pub(super) fn is_gateway_error(self) -> bool {
        matches!(self, Self::Status(502 | 504))
    }
}

/// The state of a call after a failed attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryState {
    /// Attempts that count, including this one.
    pub counted_attempts: u32,
    /// Time since the first request.
    pub elapsed: Duration,
    /// How long the response asks to wait.
    pub retry_after: Option<Duration>,
    /// From 0 to 1.
    pub jitter_sample: f64,
    /// Whether the operation may be executed twice.
    pub may_repeat: bool,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum RetryDecision {
    Retry {
        after: Duration,
        reason: WaitReason,
    },
    GiveUp {
        kind: ErrorKind,
        /// The next wait, if it would have exceeded the retry timeout.
        exceeds_timeout: Option<Duration>,
    },
}

/// Decides what follows a failed attempt.
pub(super) fn decide(
    policy: &RetryPolicy,
    cause: FailureCause,
    state: RetryState,
) -> RetryDecision {
    let give_up = |kind| RetryDecision::GiveUp {
        kind,
        exceeds_timeout: None,
    };
    let (reason, kind) = match cause {
        FailureCause::Status(401) => return give_up(ErrorKind::Unauthorized),
        FailureCause::Status(403) => return give_up(ErrorKind::Forbidden),
        FailureCause::Status(404 | 405 | 410) => return give_up(ErrorKind::NotFound),
        FailureCause::Status(413 | 414) => return give_up(ErrorKind::TooLarge),
        FailureCause::Status(429) if state.retry_after.is_some() => {
            (WaitReason::Quota, ErrorKind::RateLimited)
        }
        FailureCause::Status(429) => (WaitReason::Busy, ErrorKind::RateLimited),
        FailureCause::Status(500 | 502 | 503 | 504) => (WaitReason::Server, ErrorKind::Unavailable),
        // By definition, these redirects are temporary.
        FailureCause::Status(302 | 303 | 307) => (WaitReason::Server, ErrorKind::Redirect),
        FailureCause::Status(300..=399) => return give_up(ErrorKind::Redirect),
        FailureCause::Status(400..=499) => return give_up(ErrorKind::InvalidRequest),
        FailureCause::Status(_) => return give_up(ErrorKind::Unavailable),
        FailureCause::Unsendable => return give_up(ErrorKind::InvalidRequest),
        FailureCause::InvalidResponse => (WaitReason::Server, ErrorKind::InvalidResponse),
        FailureCause::TimedOut => (WaitReason::Connection, ErrorKind::Timeout),
        FailureCause::NotConnected | FailureCause::ConnectionLost => {
            (WaitReason::Connection, ErrorKind::Connection)
        }
    };
    if cause.is_ambiguous() && !state.may_repeat {
        return give_up(kind);
    }
    let after = match state.retry_after {
        Some(wait) if reason == WaitReason::Quota => wait,
        _ if state.counted_attempts >= policy.max_attempts => return give_up(kind),
        _ => policy.backoff(state.counted_attempts, state.jitter_sample),
    };
    if state.elapsed.saturating_add(after) > policy.retry_timeout {
        return RetryDecision::GiveUp {
            kind,
            exceeds_timeout: Some(after),
        };
    }
    RetryDecision::Retry { after, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn state(
        counted_attempts: u32,
        elapsed: Duration,
        retry_after: Option<Duration>,
    ) -> RetryState {
        RetryState {
            counted_attempts,
            elapsed,
            retry_after,
            jitter_sample: 0.5,
            may_repeat: true,
        }
    }

    fn retry(after: Duration, reason: WaitReason) -> RetryDecision {
        RetryDecision::Retry { after, reason }
    }

    fn give_up(kind: ErrorKind) -> RetryDecision {
        RetryDecision::GiveUp {
            kind,
            exceeds_timeout: None,
        }
    }

    #[test]
    fn each_failure_leads_to_its_decision() {
        use ErrorKind as E;
        use FailureCause::*;
        let policy = RetryPolicy::default();
        let first = state(1, S, None);
        let throttled = state(1, S, Some(7 * S));
        let last = state(10, S, None);
        let throttled_last = state(10, S, Some(7 * S));
        let late = state(1, 300 * S, None);
        let once = RetryState {
            may_repeat: false,
            ..first
        };
        let too_late = |kind, after| RetryDecision::GiveUp {
            kind,
            exceeds_timeout: Some(after),
        };
        for (cause, state, expected) in [
            (Status(401), first, give_up(E::Unauthorized)),
            (Status(403), first, give_up(E::Forbidden)),
            (Status(413), first, give_up(E::TooLarge)),
            (Status(414), first, give_up(E::TooLarge)),
            (Status(400), first, give_up(E::InvalidRequest)),
            (Status(404), first, give_up(E::NotFound)),
            (Status(405), first, give_up(E::NotFound)),
            (Status(422), first, give_up(E::InvalidRequest)),
            (Status(423), first, give_up(E::InvalidRequest)),
            (Status(301), first, give_up(E::Redirect)),
            (Status(308), first, give_up(E::Redirect)),
            (Status(307), first, retry(S / 2, WaitReason::Server)),
            (Status(302), last, give_up(E::Redirect)),
            (Status(501), first, give_up(E::Unavailable)),
            (Status(505), first, give_up(E::Unavailable)),
            (Status(429), first, retry(S / 2, WaitReason::Busy)),
            (Status(429), last, give_up(E::RateLimited)),
            (Status(429), throttled, retry(7 * S, WaitReason::Quota)),
            (Status(429), throttled_last, retry(7 * S, WaitReason::Quota)),
            (
                Status(429),
                state(1, 296 * S, Some(7 * S)),
                too_late(E::RateLimited, 7 * S),
            ),
            (Status(500), first, retry(S / 2, WaitReason::Server)),
            (Status(502), first, retry(S / 2, WaitReason::Server)),
            (Status(503), first, retry(S / 2, WaitReason::Server)),
            (Status(504), first, retry(S / 2, WaitReason::Server)),
            (Status(503), throttled, retry(S / 2, WaitReason::Server)),
            (Status(503), last, give_up(E::Unavailable)),
            (Status(503), late, too_late(E::Unavailable, S / 2)),
            (Status(503), once, give_up(E::Unavailable)),
            (ConnectionLost, once, give_up(E::Connection)),
            (Status(429), once, retry(S / 2, WaitReason::Busy)),
            (NotConnected, once, retry(S / 2, WaitReason::Connection)),
            (Unsendable, first, give_up(E::InvalidRequest)),
            (InvalidResponse, first, retry(S / 2, WaitReason::Server)),
            (InvalidResponse, last, give_up(E::InvalidResponse)),
            (TimedOut, first, retry(S / 2, WaitReason::Connection)),
            (TimedOut, last, give_up(E::Timeout)),
            (NotConnected, first, retry(S / 2, WaitReason::Connection)),
            (ConnectionLost, first, retry(S / 2, WaitReason::Connection)),
            (ConnectionLost, last, give_up(E::Connection)),
        ] {
            assert_eq!(
                decide(&policy, cause, state),
                expected,
                "{cause:?} {state:?}"
            );
        }
    }

    #[test]
    fn backoff_doubles_up_to_its_bound_and_jitter_shortens_it() {
        let policy = RetryPolicy::default();
        let waits: Vec<_> = (1..=7)
            .map(|attempts| policy.backoff(attempts, 1.0))
            .collect();
        assert_eq!(waits, [S, 2 * S, 4 * S, 8 * S, 16 * S, 30 * S, 30 * S]);
        assert_eq!(policy.backoff(3, 0.0), Duration::ZERO);
        assert_eq!(policy.backoff(3, 0.25), S);
        assert_eq!(policy.clone().jitter(0.0).backoff(3, 0.25), 4 * S);
        assert_eq!(policy.clone().jitter(0.5).backoff(3, 0.0), 2 * S);
        assert!(policy.clone().jitter(1.5).validate().is_err());
        assert_eq!(policy.backoff(u32::MAX, 1.0), 30 * S);
        let endless = policy
            .initial_backoff(Duration::MAX)
            .max_backoff(Duration::MAX);
        assert_eq!(endless.backoff(9, 1.0), MAX_WAIT);
    }
}
