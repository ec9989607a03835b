//! The one error type: opaque, with a kind, predicates and a source.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a run, a call or a row did not succeed.
///
/// Its text says what was refused, what the server said about it, what to do, and, where there was
/// more than one attempt, how many were made over how long. It holds no access token and is cheap to clone.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
    row: Option<u64>,
}

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    call: Option<CallRecord>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What is known of the call that failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallRecord {
    pub operation: Cow<'static, str>,
    pub status: Option<u16>,
    /// Title and field messages of the answer, already cut to a sensible length.
    pub said: Option<String>,
    pub attempts: u32,
    pub elapsed: Duration,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is missing or can't be used, or what is asked for can't be meant, such as an
    /// attribute that is not defined; nothing was changed.
    Config,
    /// A row breaks a rule that is known here; it was not sent.
    Row,
    /// The input yielded an error instead of a row.
    Input,
    /// 401: the access token is missing, wrong, or of another store.
    Unauthorized,
    /// 403: the access token lacks an OAuth scope.
    Forbidden,
    /// 404, 405 or 410: the endpoint is not there, so the store hash or the URL is wrong.
    NotFound,
    /// 413 or 414: more than the endpoint accepts in a call; of a row, that it is refused even
    /// alone.
    TooLarge,
    /// Any other 4xx: the server refuses what was sent, and would again.
    Refused,
    /// 429, until attempts or time were used up.
    RateLimited,
    /// 5xx, until attempts or time were used up, or at once where trying again is no use (501,
    /// 505).
    Unavailable,
    /// No answer within the time of an attempt, until attempts or time were used up.
    Timeout,
    /// The connection could not be made or broke, until attempts or time were used up.
    Connection,
    /// A redirect that would change the request or take the token to another origin: at once where
    /// it is permanent, or else when attempts or time were used up.
    Redirect,
    /// The answer could not be read or understood, or left the row out.
    Answer,
    /// The run was asked to stop.
    Stopped,
}

impl Error {
    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
            row: None,
        }
    }

    /// The same error, as the reason of one row.
    pub(crate) fn of_row(&self, index: u64) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            row: Some(index),
        }
    }

    fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Inner {
            kind,
            message: message.into(),
            call: None,
            source: None,
        })
    }

    pub(crate) fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn config_by(
        message: impl Into<Cow<'static, str>>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::of(Inner {
            kind: ErrorKind::Config,
            message: message.into(),
            call: None,
            source: Some(Box::new(source)),
        })
    }

    pub(crate) fn input(source: Box<dyn StdError + Send + Sync>) -> Self {
        Self::of(Inner {
            kind: ErrorKind::Input,
            message: source.to_string().into(),
            call: None,
            source: Some(source),
        })
    }

    pub(crate) fn breaks_rule(index: u64, rule: &Rule) -> Self {
        Self::new(ErrorKind::Row, rule.to_string()).of_row(index)
    }

    pub(crate) fn left_out() -> Self {
        Self::new(
            ErrorKind::Answer,
            "the server said the call succeeded, but its answer leaves the row out, however often \
             it is sent: look the value up before relying on it",
        )
    }

    pub(crate) fn not_created() -> Self {
        Self::new(
            ErrorKind::Answer,
            "the server said that the attributes were created, but it does not list them all",
        )
    }

    pub(crate) fn not_selected() -> Self {
        Self::new(
            ErrorKind::Answer,
            "the server lists values that were not selected, as if it left a filter out: nothing is \
             done on the strength of this list",
        )
    }

    pub(crate) fn without_id() -> Self {
        Self::new(
            ErrorKind::Answer,
            "the server lists values without their IDs, by which alone they can be deleted",
        )
    }

    pub(crate) fn still_listed() -> Self {
        Self::new(
            ErrorKind::Answer,
            "the server confirmed the delete, but it still lists the value, however often it is \
             deleted: look it up before relying on it",
        )
    }

    pub(crate) fn came_meanwhile() -> Self {
        Self::new(
            ErrorKind::Stopped,
            "the value came while others of the selection were deleted, each time: delete again",
        )
    }

    pub(crate) fn stopped() -> Self {
        Self::new(ErrorKind::Stopped, "the run was asked to stop")
    }

    pub(crate) fn all_refused(rows: u64, last: &Self) -> Self {
        Self::new(
            ErrorKind::Refused,
            format!(
                "the first {rows} rows that were sent were all refused, so the run was stopped: \
                 correct how the rows are made; the last one: {last}"
            ),
        )
    }

    pub(crate) fn lost_task() -> Self {
        Self::new(
            ErrorKind::Connection,
            "the call's task was ended from outside, so its answer is not known: was the runtime \
             shut down?",
        )
    }

    pub(crate) fn call(
        kind: ErrorKind,
        message: impl Into<Cow<'static, str>>,
        call: CallRecord,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::of(Inner {
            kind,
            message: message.into(),
            call: Some(call),
            source,
        })
    }

    /// Says what kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Returns the index in the input of the row that was rejected, if it was one.
    #[must_use]
    pub fn row(&self) -> Option<u64> {
        self.row
    }

    /// Returns the HTTP status of the last answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.inner.call.as_ref().and_then(|call| call.status)
    }

    /// Returns what the server said: the title and the field messages of its answer.
    #[must_use]
    pub fn server_message(&self) -> Option<&str> {
        self.inner
            .call
            .as_ref()
            .and_then(|call| call.said.as_deref())
    }

    /// Returns how many requests were made before giving up; 0 if nothing was sent.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.inner.call.as_ref().map_or(0, |call| call.attempts)
    }

    /// Returns how long was tried, waits between attempts included.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.inner
            .call
            .as_ref()
            .map_or(Duration::ZERO, |call| call.elapsed)
    }

    /// Says whether the cause was temporary: the same may succeed later. The retries that the
    /// policy allows are spent already, so an outer loop should not try again at once.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        if matches!(self.status(), Some(501 | 505)) {
            return false;
        }
        matches!(
            self.inner.kind,
            ErrorKind::RateLimited
                | ErrorKind::Unavailable
                | ErrorKind::Timeout
                | ErrorKind::Connection
                | ErrorKind::Answer
                | ErrorKind::Stopped
        )
    }

    /// Says whether every other call would end the same way.
    pub(crate) fn ends_run(&self) -> bool {
        self.is_access() || matches!(self.inner.kind, ErrorKind::NotFound | ErrorKind::Redirect)
    }

    /// Says whether the access token is the trouble, by 401 or 403: no call can succeed with it.
    #[must_use]
    pub fn is_access(&self) -> bool {
        matches!(
            self.inner.kind,
            ErrorKind::Unauthorized | ErrorKind::Forbidden
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            message,
            call,
            source,
            ..
        } = &*self.inner;
        if let Some(row) = self.row {
            write!(f, "row {row}: ")?;
        }
        let Some(call) = call else {
            f.write_str(message)?;
            return match (self.inner.kind, source) {
                (ErrorKind::Config, Some(source)) => write!(f, ": {source}"),
                _ => Ok(()),
            };
        };
        write!(f, "{}", call.operation)?;
        if let Some(status) = call.status {
            write!(f, " was answered {status}")?;
        }
        if let Some(said) = &call.said {
            write!(f, " ({said})")?;
        }
        write!(f, ": {message}")?;
        let seconds = call.elapsed.as_secs_f64();
        match call.attempts {
            0 | 1 => Ok(()),
            attempts => write!(f, " ({attempts} attempts over {seconds:.1} s)"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("message", &self.to_string())
            .field("source", &self.inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// A rule that a row breaks: the field, and what is wrong with it.
#[derive(Debug)]
pub struct Rule {
    field: &'static str,
    text: String,
}

impl Rule {
    pub(crate) fn new(field: &'static str, text: String) -> Self {
        Self { field, text }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.text)
    }
}
