//! What to do after an answer: a pure table.

use std::time::Duration;

use reqwest::header::HeaderMap;

use super::pace::LONGEST;
use crate::error::{Error, ErrorKind};
use crate::event::Wait;

/// How often and how long a call is tried.
///
/// Retries follow the provider's advice: 429, 500, 502, 503, 504, broken connections and answers
/// that can't be read are tried again with exponential backoff and full jitter. Upserts and
/// deletes are idempotent, so a retry never does harm. A 429 that says how long to wait uses up
/// time, not attempts.
///
/// ```
/// use std::time::Duration;
/// use bigcommerce_ext::RetryPolicy;
///
/// let patient = RetryPolicy::default().total_time(Duration::from_secs(3600));
/// # let _ = patient;
/// ```
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    attempts: u32,
    attempt_timeout: Duration,
    total_time: Duration,
    first_wait: Duration,
    longest_wait: Duration,
    jitter: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 10,
            attempt_timeout: Duration::from_secs(30),
            total_time: Duration::from_secs(300),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(30),
            jitter: 1.0,
        }
    }
}

impl RetryPolicy {
    /// Sets how many requests a call may take, the first included; 10 by default, at least 1.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets how long one request may take, until its answer was read; 30 s by default.
    #[must_use]
    pub fn attempt_timeout(mut self, time: Duration) -> Self {
        self.attempt_timeout = time;
        self
    }

    /// Sets for how long a call is tried again, from when its first request could leave; 5 minutes
    /// by default. A wait that is longer than the time left ends the call at once.
    #[must_use]
    pub fn total_time(mut self, time: Duration) -> Self {
        self.total_time = time;
        self
    }

    /// Sets the longest that the first wait can be, 1 s by default; it doubles with each attempt.
    #[must_use]
    pub fn first_wait(mut self, time: Duration) -> Self {
        self.first_wait = time;
        self
    }

    /// Sets the longest that any wait can be, unless the server asks for more; 30 s by default.
    #[must_use]
    pub fn longest_wait(mut self, time: Duration) -> Self {
        self.longest_wait = time;
        self
    }

    /// Sets the share of a wait that is drawn at random, from 0 to 1: 1 by default, which is full
    /// jitter, so that clients that failed together do not come back together.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(Error::config(format!(
                "retry policy: jitter is from 0 to 1, not {}",
                self.jitter
            )));
        }
        if self.attempts == 0 {
            return Err(Error::config("retry policy: attempts is at least 1"));
        }
        if self.attempt_timeout.is_zero() {
            return Err(Error::config("retry policy: attempt_timeout is above 0"));
        }
        Ok(())
    }

    pub(crate) fn most_attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn time(&self) -> Duration {
        self.total_time
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.attempt_timeout
    }

    /// The wait before the attempt that follows the `tried`-th, for `dice` in 0 to 1.
    pub(crate) fn backoff(&self, tried: u32, dice: f64) -> Duration {
        let doublings = tried.saturating_sub(1).min(31);
        let longest = self.first_wait.saturating_mul(1 << doublings);
        longest
            .min(self.longest_wait)
            .min(LONGEST)
            .mul_f64(1.0 - self.jitter * (1.0 - dice))
    }
}

/// What became of one attempt that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// An answer with this status, which is not a success.
    Status(u16),
    /// A success whose body broke or can't be understood.
    Unreadable,
    /// No answer within the time of an attempt.
    TimedOut,
    /// No connection could be made: the request did not leave.
    NotConnected,
    /// The connection broke after the request may have left.
    Broken,
    /// The request could not be put together.
    Unsendable,
}

impl Seen {
    /// Says whether the server may have done what it was asked, for all that can be known.
    pub(crate) fn is_ambiguous(self) -> bool {
        match self {
            Self::Unreadable | Self::TimedOut | Self::Broken => true,
            Self::Status(status) => status >= 500,
            Self::NotConnected | Self::Unsendable => false,
        }
    }

    /// Says whether a gateway has answered for a server that may still be at it.
    pub(crate) fn is_of_gateway(self) -> bool {
        matches!(self, Self::Status(502 | 504))
    }
}

/// When an attempt ended, and what the dice say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Attempts so far that count, this one included.
    pub tried: u32,
    /// Time since the call began.
    pub elapsed: Duration,
    /// How long the answer's headers ask to wait.
    pub told: Option<Duration>,
    /// In 0 to 1.
    pub dice: f64,
    /// Whether it may be done twice.
    pub may_repeat: bool,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Next {
    Retry {
        after: Duration,
        why: Wait,
    },
    GiveUp {
        kind: ErrorKind,
        /// The wait that was due, where there was no time left for it.
        no_time_for: Option<Duration>,
    },
}

/// Decides what follows an attempt that did not succeed.
pub(crate) fn decide(policy: &RetryPolicy, seen: Seen, moment: Moment) -> Next {
    let give_up = |kind| Next::GiveUp {
        kind,
        no_time_for: None,
    };
    let (why, kind) = match seen {
        Seen::Status(401) => return give_up(ErrorKind::Unauthorized),
        Seen::Status(403) => return give_up(ErrorKind::Forbidden),
        Seen::Status(404 | 405 | 410) => return give_up(ErrorKind::NotFound),
        Seen::Status(413 | 414) => return give_up(ErrorKind::TooLarge),
        Seen::Status(429) if moment.told.is_some() => (Wait::Quota, ErrorKind::RateLimited),
        Seen::Status(429) => (Wait::Busy, ErrorKind::RateLimited),
        Seen::Status(500 | 502 | 503 | 504) => (Wait::Server, ErrorKind::Unavailable),
        // These say that they are temporary, such as while something on the way is in trouble.
        Seen::Status(302 | 303 | 307) => (Wait::Server, ErrorKind::Redirect),
        Seen::Status(300..=399) => return give_up(ErrorKind::Redirect),
        Seen::Status(400..=499) => return give_up(ErrorKind::Refused),
        Seen::Status(_) => return give_up(ErrorKind::Unavailable),
        Seen::Unsendable => return give_up(ErrorKind::Refused),
        Seen::Unreadable => (Wait::Server, ErrorKind::Answer),
        Seen::TimedOut => (Wait::Connection, ErrorKind::Timeout),
        Seen::NotConnected | Seen::Broken => (Wait::Connection, ErrorKind::Connection),
    };
    if seen.is_ambiguous() && !moment.may_repeat {
        return give_up(kind);
    }
    let after = match moment.told {
        Some(told) if why == Wait::Quota => told,
        _ if moment.tried >= policy.attempts => return give_up(kind),
        _ => policy.backoff(moment.tried, moment.dice),
    };
    if moment.elapsed.saturating_add(after) > policy.total_time {
        return Next::GiveUp {
            kind,
            no_time_for: Some(after),
        };
    }
    Next::Retry { after, why }
}

/// Reads from an answer's headers how long it asks to wait: the longer one where there are two.
pub(crate) fn told_to_wait(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let reset = number("x-rate-limit-time-reset-ms").map(Duration::from_millis);
    let retry_after = number("x-retry-after").map(Duration::from_secs);
    // To be told to wait for no time at all is not to be told.
    reset.max(retry_after).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn moment(tried: u32, elapsed: Duration, told: Option<Duration>) -> Moment {
        Moment {
            tried,
            elapsed,
            told,
            dice: 0.5,
            may_repeat: true,
        }
    }

    fn retry(after: Duration, why: Wait) -> Next {
        Next::Retry { after, why }
    }

    fn give_up(kind: ErrorKind) -> Next {
        Next::GiveUp {
            kind,
            no_time_for: None,
        }
    }

    #[test]
    fn what_follows_each_kind_of_answer() {
        use ErrorKind as E;
        use Seen::*;
        let policy = RetryPolicy::default();
        let first = moment(1, S, None);
        let told = moment(1, S, Some(7 * S));
        let last = moment(10, S, None);
        let told_last = moment(10, S, Some(7 * S));
        let late = moment(1, 300 * S, None);
        let once = Moment {
            may_repeat: false,
            ..first
        };
        let no_time = |kind, after| Next::GiveUp {
            kind,
            no_time_for: Some(after),
        };
        for (seen, moment, expected) in [
            (Status(401), first, give_up(E::Unauthorized)),
            (Status(403), first, give_up(E::Forbidden)),
            (Status(413), first, give_up(E::TooLarge)),
            (Status(414), first, give_up(E::TooLarge)),
            (Status(400), first, give_up(E::Refused)),
            (Status(404), first, give_up(E::NotFound)),
            (Status(405), first, give_up(E::NotFound)),
            (Status(422), first, give_up(E::Refused)),
            (Status(423), first, give_up(E::Refused)),
            (Status(301), first, give_up(E::Redirect)),
            (Status(308), first, give_up(E::Redirect)),
            (Status(307), first, retry(S / 2, Wait::Server)),
            (Status(302), last, give_up(E::Redirect)),
            (Status(501), first, give_up(E::Unavailable)),
            (Status(505), first, give_up(E::Unavailable)),
            (Status(429), first, retry(S / 2, Wait::Busy)),
            (Status(429), last, give_up(E::RateLimited)),
            (Status(429), told, retry(7 * S, Wait::Quota)),
            (Status(429), told_last, retry(7 * S, Wait::Quota)),
            (
                Status(429),
                moment(1, 296 * S, Some(7 * S)),
                no_time(E::RateLimited, 7 * S),
            ),
            (Status(500), first, retry(S / 2, Wait::Server)),
            (Status(502), first, retry(S / 2, Wait::Server)),
            (Status(503), first, retry(S / 2, Wait::Server)),
            (Status(504), first, retry(S / 2, Wait::Server)),
            (Status(503), told, retry(S / 2, Wait::Server)),
            (Status(503), last, give_up(E::Unavailable)),
            (Status(503), late, no_time(E::Unavailable, S / 2)),
            (Status(503), once, give_up(E::Unavailable)),
            (Broken, once, give_up(E::Connection)),
            (Status(429), once, retry(S / 2, Wait::Busy)),
            (NotConnected, once, retry(S / 2, Wait::Connection)),
            (Unsendable, first, give_up(E::Refused)),
            (Unreadable, first, retry(S / 2, Wait::Server)),
            (Unreadable, last, give_up(E::Answer)),
            (TimedOut, first, retry(S / 2, Wait::Connection)),
            (TimedOut, last, give_up(E::Timeout)),
            (NotConnected, first, retry(S / 2, Wait::Connection)),
            (Broken, first, retry(S / 2, Wait::Connection)),
            (Broken, last, give_up(E::Connection)),
        ] {
            assert_eq!(
                decide(&policy, seen, moment),
                expected,
                "{seen:?} {moment:?}"
            );
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_jitter_takes_from_them() {
        let policy = RetryPolicy::default();
        let waits: Vec<_> = (1..=7).map(|tried| policy.backoff(tried, 1.0)).collect();
        assert_eq!(waits, [S, 2 * S, 4 * S, 8 * S, 16 * S, 30 * S, 30 * S]);
        assert_eq!(policy.backoff(3, 0.0), Duration::ZERO);
        assert_eq!(policy.backoff(3, 0.25), S);
        assert_eq!(policy.clone().jitter(0.0).backoff(3, 0.25), 4 * S);
        assert_eq!(policy.clone().jitter(0.5).backoff(3, 0.0), 2 * S);
        assert!(policy.clone().jitter(1.5).check().is_err());
        assert_eq!(policy.backoff(u32::MAX, 1.0), 30 * S);
        let endless = policy.first_wait(Duration::MAX).longest_wait(Duration::MAX);
        assert_eq!(endless.backoff(9, 1.0), LONGEST);
    }

    #[test]
    fn the_longer_of_the_two_headers_counts() {
        for (reset, after, expected) in [
            (None, None, None),
            (Some("1500"), None, Some(Duration::from_millis(1500))),
            (None, Some("2"), Some(2 * S)),
            (Some("1500"), Some("2"), Some(2 * S)),
            (Some("9000"), Some("2"), Some(9 * S)),
            (Some("soon"), Some(""), None),
            (Some("-1"), None, None),
            (Some("0"), Some("0"), None),
            (Some("0"), Some("2"), Some(2 * S)),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("X-Rate-Limit-Time-Reset-Ms", reset),
                ("X-Retry-After", after),
            ] {
                if let Some(value) = value {
                    let name: reqwest::header::HeaderName = name.parse().expect("a name");
                    headers.insert(name, value.parse().expect("a value"));
                }
            }
            assert_eq!(told_to_wait(&headers), expected, "{reset:?} {after:?}");
        }
    }
}
