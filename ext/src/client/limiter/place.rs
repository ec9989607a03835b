//! Where processes that share limits keep their state.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;

use futures_util::stream::{self, Stream};

/// The future of a [`LimiterPlace`].
pub type PlaceFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, PlaceError>> + Send + 'a>>;

/// The notices of a [`LimiterPlace`].
pub type Notices<'a> = Pin<Box<dyn Stream<Item = Notice> + Send + 'a>>;

/// A place outside of this process where processes keep the state of the limits that they share.
///
/// `bigcommerce-ext-redis` implements it with Redis. Implement it for another store that can replace
/// a text if it still is what it was, such as a row of a database. The state is a text that only this
/// crate reads. All waiting, retrying and deciding is done by the caller.
///
/// The futures may be dropped at any moment. An error means that the place can't be reached or does
/// not do what it is asked; the caller asks again.
pub trait LimiterPlace: fmt::Debug + Send + Sync + 'static {
    /// Returns the name of the place for messages, such as `Redis at cache.internal:6379`. It contains
    /// no password. Two places with one name are the same place.
    fn name(&self) -> String;

    /// Returns the value of a key and the time.
    fn read<'a>(&'a self, key: &'a str) -> PlaceFuture<'a, PlaceReply>;

    /// Replaces the value of a key, in one step, if it still is the expected one.
    fn swap<'a>(&'a self, key: &'a str, swap: Swap<'a>) -> PlaceFuture<'a, PlaceReply>;

    /// Returns the notices for a member, for as long as the stream is polled. It reconnects by itself.
    ///
    /// Without notices (the default), waiting members ask every 50 ms.
    fn notices<'a>(&'a self, key: &'a str, member: u64) -> Notices<'a> {
        let _ = (key, member);
        Box::pin(stream::pending())
    }
}

/// A change of a value.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Swap<'a> {
    /// The value that is there, `None` if there is none.
    pub expected: Option<&'a str>,
    /// The value that replaces it.
    pub new: &'a str,
    /// For how many milliseconds the value must be kept. After that it may be removed.
    pub keep_ms: u64,
    /// The members to send [`Notice::Woken`] with the new value.
    pub wake: &'a [u64],
}

impl<'a> Swap<'a> {
    /// Creates a change that wakes nobody, whose value is kept for ten minutes.
    #[must_use]
    pub fn new(expected: Option<&'a str>, new: &'a str) -> Self {
        Self {
            expected,
            new,
            keep_ms: 10 * 60 * 1000,
            wake: &[],
        }
    }
}

/// What a place contains.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaceReply {
    /// The time of the place's clock, in milliseconds since any fixed moment. It is read in the same
    /// step as the value.
    pub now_ms: u64,
    /// Whether the value was replaced.
    pub is_swapped: bool,
    /// The value: after a swap that did not replace it, and after a read. `None` if there is none.
    pub value: Option<String>,
    /// Why the members could not be woken, if they could not. The swap counts all the same.
    pub wake_error: Option<String>,
}

impl PlaceReply {
    /// Creates the reply to a read, or to a swap that found another value.
    #[must_use]
    pub fn found(now_ms: u64, value: Option<String>) -> Self {
        Self {
            now_ms,
            is_swapped: false,
            value,
            wake_error: None,
        }
    }

    /// Creates the reply to a swap that replaced the value.
    #[must_use]
    pub fn swapped(now_ms: u64, wake_error: Option<String>) -> Self {
        Self {
            now_ms,
            is_swapped: true,
            value: None,
            wake_error,
        }
    }
}

/// A message from a place to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// From now on, notices arrive.
    Ready,
    /// From now on, notices may be lost, until [`Ready`](Self::Ready).
    Lost,
    /// A member has replaced the value by this one and has named this member.
    Woken(String),
}

/// Why a place can't be reached, or what it refuses.
#[derive(Debug)]
pub struct PlaceError {
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl PlaceError {
    /// Creates an error with a message that names the cause, without passwords.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// Adds the error that caused this one. Its text must contain no password.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for PlaceError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
