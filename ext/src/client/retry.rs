//! How often and for how long a call is retried, as pure functions.

use std::time::Duration;

use super::MAX_WAIT;
use crate::error::Error;

/// How often and for how long a call is retried.
///
/// Status 408, 409, 423, 425, 429 and 5xx (except 501 and 505), temporary redirects, failed
/// connections and responses that can't be parsed are retried with exponential backoff and jitter.
/// Upserts and deletes are idempotent, so a retry is safe. A 429 that says how long to wait doesn't
/// count as an attempt, nor does a request during an outage of the store; see
/// [`OnOutage`](crate::OnOutage).
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
    /// A 429 that says how long to wait is not counted. A failed batch of an upsert or a delete
    /// counts only if another request has succeeded since its previous failure: until then, the
    /// store may be the reason, and [`OnOutage`](crate::OnOutage) bounds the wait. A batch that keeps
    /// failing is split (with 4 attempts or more), and each row is then sent alone up to three
    /// times, even beyond this number.
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

    /// Sets for how long a call is retried, counted from its first request (default 5 minutes). An
    /// outage of the store does not count.
    ///
    /// A call whose next wait would exceed the timeout ends at once. A part of a split batch has the
    /// whole timeout again.
    #[must_use]
    pub fn retry_timeout(mut self, time: Duration) -> Self {
        self.retry_timeout = time;
        self
    }

    /// Sets the upper bound of the first wait (default 1 s). The bound doubles with each attempt, and
    /// with jitter a wait is at least half of its bound.
    #[must_use]
    pub fn initial_backoff(mut self, time: Duration) -> Self {
        self.initial_backoff = time;
        self
    }

    /// Sets the upper bound of every wait (default 30 s), unless the server asks for a longer one (at most
    /// 5 minutes).
    #[must_use]
    pub fn max_backoff(mut self, time: Duration) -> Self {
        self.max_backoff = time;
        self
    }

    /// Sets how much of the upper half of a wait is random, from 0 to 1 (default 1).
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

    /// Returns the wait after a number of failures, for a sample from 0 to 1: between half and all
    /// of the backoff, and at least as long as a response asks.
    pub(crate) fn wait(
        &self,
        failures: u32,
        retry_after: Option<Duration>,
        jitter_sample: f64,
    ) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let bound = self.initial_backoff.saturating_mul(1 << doublings);
        let backoff = bound
            .min(self.max_backoff)
            .min(MAX_WAIT)
            .mul_f64(1.0 - self.jitter / 2.0 * (1.0 - jitter_sample));
        backoff.max(retry_after.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_wait_is_at_least_half_the_backoff_and_at_least_what_a_response_asks() {
        let policy = RetryPolicy::default();
        let waits: Vec<_> = (1..=7)
            .map(|failures| policy.wait(failures, None, 1.0))
            .collect();
        assert_eq!(waits, [S, 2 * S, 4 * S, 8 * S, 16 * S, 30 * S, 30 * S]);
        for (failures, retry_after, jitter_sample, expected) in [
            (3, None, 0.0, 2 * S),
            (3, None, 0.5, 3 * S),
            (3, Some(Duration::from_millis(1)), 0.0, 2 * S),
            (3, Some(7 * S), 0.0, 7 * S),
            (3, Some(7 * S), 1.0, 7 * S),
            (0, None, 1.0, S),
            (u32::MAX, None, 1.0, 30 * S),
            (u32::MAX, Some(299 * S), 1.0, 299 * S),
        ] {
            let wait = policy.wait(failures, retry_after, jitter_sample);
            assert_eq!(wait, expected, "{failures} {retry_after:?} {jitter_sample}");
        }
        assert_eq!(policy.clone().jitter(0.0).wait(3, None, 0.0), 4 * S);
        assert_eq!(policy.clone().jitter(0.5).wait(3, None, 0.0), 3 * S);
        assert!(policy.clone().jitter(1.5).validate().is_err());
        let endless = policy
            .initial_backoff(Duration::MAX)
            .max_backoff(Duration::MAX);
        assert_eq!(endless.wait(9, None, 1.0), MAX_WAIT);
    }
}
