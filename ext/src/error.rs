//! The one error type: opaque, with a kind, predicates and a source.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The error of a run, a call or a row.
///
/// The text names the operation and its status, repeats the server's message, says what failed and
/// what to do, and ends with the number of attempts and the time they took, if there was more than
/// one, and the request's ID, if the server sent one. It contains no access token. Cloning is cheap.
///
/// # Troubleshooting
///
/// - [`is_auth`](Self::is_auth): check the access token and its scopes.
/// - [`is_temporary`](Self::is_temporary): try again later. Retries are already exhausted.
/// - [`row`](Self::row): correct this row of the input.
/// - [`ErrorKind::NotFound`]: check the store hash or the base URL.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
    row: Option<u64>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    advice: Option<Cow<'static, str>>,
    call: Option<CallRecord>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The call that failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallRecord {
    pub operation: Cow<'static, str>,
    pub status: Option<u16>,
    /// The title and the field messages of the response, redacted and shortened.
    pub server_message: Option<String>,
    /// The ID by which the provider can find the last request.
    pub request_id: Option<String>,
    pub attempts: u32,
    pub elapsed: Duration,
    /// Whether every other call would fail in the same way.
    pub ends_run: bool,
}

/// The kind of an [`Error`].
///
/// A kind that is retried is reported once the attempts or the retry timeout are spent, or when an
/// outage has lasted too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or argument is invalid, such as the name of an attribute that the store does not
    /// define; nothing was changed.
    InvalidInput,
    /// A row is invalid; it was not sent.
    InvalidRow,
    /// The input yielded an error instead of a row.
    Input,
    /// 401: the access token is missing, wrong, or belongs to another store.
    Unauthorized,
    /// 403: the access token lacks an OAuth scope.
    Forbidden,
    /// 404, 405 or 410: the endpoint does not exist, so the store hash or the base URL is wrong.
    NotFound,
    /// 413 or 414: the request is larger than the endpoint accepts. If a row has this error, it was
    /// not accepted even when sent alone, which is not the row's fault.
    TooLarge,
    /// Any other 4xx, or a request that can't be built. It is not retried. Also the error of a run
    /// whose first rows were all rejected or not confirmed.
    InvalidRequest,
    /// 429 or a spent quota.
    RateLimited,
    /// 408, 409, 423, 425 or 5xx. 501 and 505 fail at once.
    Unavailable,
    /// No connection or no response within the attempt timeout.
    Timeout,
    /// The host's name does not resolve. It fails at once if no request has succeeded yet.
    Dns,
    /// The host refused the connection.
    ConnectionRefused,
    /// The host's certificate is not trusted, which fails at once if no request has succeeded yet; or
    /// TLS failed otherwise.
    Tls,
    /// The proxy asks for a password (407), which fails at once, or refused to connect.
    Proxy,
    /// The connection could not be established for another reason, or it broke.
    Connection,
    /// A redirect that would change the request or take the token to another origin. A permanent
    /// redirect fails at once, a temporary one when the attempts or the retry timeout are spent.
    Redirect,
    /// The response could not be parsed, is an HTML page, does not confirm the row, or contradicts
    /// the request: an incomplete list, values that the filter excludes, or a value without its ID
    /// or date.
    InvalidResponse,
    /// The place of the limits that processes share can't be reached, and the store is set to stop
    /// then.
    LimiterUnreachable,
    /// The run was stopped, or a value was added to a selection after its last delete round.
    Stopped,
    /// A mirror did not delete a value, or any value, because it may not be meant; see
    /// [`Mirror`](crate::Mirror#guards).
    HeldBack,
}

impl ErrorKind {
    /// Returns the kind's name, such as `rate_limited`. Names don't change.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::InvalidRow => "invalid_row",
            Self::Input => "input",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::InvalidRequest => "invalid_request",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::ConnectionRefused => "connection_refused",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Connection => "connection",
            Self::Redirect => "redirect",
            Self::InvalidResponse => "invalid_response",
            Self::LimiterUnreachable => "limiter_unreachable",
            Self::Stopped => "stopped",
            Self::HeldBack => "held_back",
        }
    }
}

/// What failed and why, and what to do.
#[derive(Clone, Debug)]
pub(crate) struct Explanation {
    pub message: Cow<'static, str>,
    pub advice: Option<Cow<'static, str>>,
}

impl Explanation {
    pub(crate) fn new(
        message: impl Into<Cow<'static, str>>,
        advice: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            message: message.into(),
            advice: Some(advice.into()),
        }
    }
}

impl<T: Into<Cow<'static, str>>> From<T> for Explanation {
    fn from(message: T) -> Self {
        Self {
            message: message.into(),
            advice: None,
        }
    }
}

impl Error {
    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
            row: None,
        }
    }

    /// Returns the same error for one row.
    pub(crate) fn for_row(&self, index: u64) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            row: Some(index),
        }
    }

    fn new(kind: ErrorKind, explanation: impl Into<Explanation>) -> Self {
        Self::with_cause(kind, explanation, None, None)
    }

    fn with_cause(
        kind: ErrorKind,
        explanation: impl Into<Explanation>,
        call: Option<CallRecord>,
        source: Option<Arc<dyn StdError + Send + Sync>>,
    ) -> Self {
        let Explanation { message, advice } = explanation.into();
        Self::of(Inner {
            kind,
            message,
            advice,
            call,
            source,
        })
    }

    pub(crate) fn invalid_input(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn invalid_input_from(
        message: impl Into<Cow<'static, str>>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        let source = Arc::new(source);
        Self::with_cause(ErrorKind::InvalidInput, message, None, Some(source))
    }

    pub(crate) fn input(source: Box<dyn StdError + Send + Sync>) -> Self {
        let message = source.to_string();
        Self::with_cause(ErrorKind::Input, message, None, Some(source.into()))
    }

    pub(crate) fn invalid_row(index: u64, violation: &Violation) -> Self {
        Self::new(ErrorKind::InvalidRow, violation.to_string()).for_row(index)
    }

    pub(crate) fn unconfirmed() -> Self {
        Self::new(
            ErrorKind::InvalidResponse,
            Explanation::new(
                "the server reported success, but no response confirmed the row, although it was \
                 sent repeatedly",
                "look the value up before relying on it",
            ),
        )
    }

    pub(crate) fn attributes_not_created() -> Self {
        Self::new(
            ErrorKind::InvalidResponse,
            Explanation::new(
                "the server reported that the attributes were created, but it does not list them all",
                "look them up before creating them again",
            ),
        )
    }

    /// Creates the error of a change of an attribute that the server confirms and does not show.
    pub(crate) fn attribute_not_changed(change: &str, listed: &str) -> Self {
        Self::new(
            ErrorKind::InvalidResponse,
            Explanation::new(
                format!(
                    "the server reported that the attribute was {change}, but it lists {listed}"
                ),
                "look the attribute up before relying on it",
            ),
        )
    }

    /// Creates the error of a list of `items` that shows others than the filter selects.
    pub(crate) fn filter_ignored(items: &str) -> Self {
        Self::new(
            ErrorKind::InvalidResponse,
            format!(
                "the server listed {items} that the filter excludes, so it seems to ignore a filter: \
                 the list was not used"
            ),
        )
    }

    /// Creates the error of a list of `items` that ended with `received` of `total`. `alternative`
    /// says what else can be done than to read the list again.
    pub(crate) fn incomplete_list(
        items: &str,
        received: u64,
        total: Option<u64>,
        unreadable: u64,
        alternative: &str,
    ) -> Self {
        let of_total = match total {
            Some(total) => format!("the server showed {received} of {total}"),
            None => format!("it ended after {received}, and the server reported no total"),
        };
        let unreadable = match unreadable {
            0 => String::new(),
            records => format!(" ({records} can't be parsed)"),
        };
        Self::new(
            ErrorKind::InvalidResponse,
            Explanation::new(
                format!("the list of {items} is incomplete: {of_total}{unreadable}"),
                format!("read it again{alternative}"),
            ),
        )
    }

    /// Creates the error of a record that was not found in a list without a total.
    pub(crate) fn no_total(items: &str) -> Self {
        Self::new(
            ErrorKind::InvalidResponse,
            format!(
                "the server reported no total of the {items}, so that some may be missing from its list"
            ),
        )
    }

    /// Creates the error of a record that was not found in a list that changed.
    pub(crate) fn changed_during_read(items: &str) -> Self {
        Self::new(
            ErrorKind::InvalidResponse,
            Explanation::new(
                format!(
                    "the list of {items} changed while it was read, so that some may be missing"
                ),
                "try again later",
            ),
        )
    }

    pub(crate) fn missing_id() -> Self {
        Self::new(
            ErrorKind::InvalidResponse,
            "the server listed a value without its ID, and values can only be deleted by ID",
        )
    }

    pub(crate) fn missing_date() -> Self {
        Self::new(
            ErrorKind::InvalidResponse,
            Explanation::new(
                "the server listed the value without the date that the selection needs",
                "check the value and delete it by its ID",
            ),
        )
    }

    pub(crate) fn still_listed() -> Self {
        Self::new(
            ErrorKind::InvalidResponse,
            Explanation::new(
                "the server confirmed the delete, but it still lists the value, although it was \
                 deleted repeatedly",
                "look the value up before relying on it",
            ),
        )
    }

    pub(crate) fn added_during_delete() -> Self {
        Self::new(
            ErrorKind::Stopped,
            Explanation::new(
                "the value was added while others of the selection were being deleted",
                "run the delete again",
            ),
        )
    }

    fn held_back(message: impl Into<Cow<'static, str>>, advice: &'static str) -> Self {
        Self::new(ErrorKind::HeldBack, Explanation::new(message, advice))
    }

    /// Creates the error of a mirror whose run ended early.
    pub(crate) fn mirror_stopped(cause: &Self) -> Self {
        Self::held_back(
            format!("no value was deleted, because the run ended early ({cause})"),
            "run the mirror again",
        )
    }

    pub(crate) fn mirror_input_empty(values: usize) -> Self {
        Self::held_back(
            format!(
                "no value was deleted, because the input is empty: all {values} values would be"
            ),
            "check the input; to delete all values, use a delete",
        )
    }

    pub(crate) fn mirror_row_unresolved(row: &Self) -> Self {
        Self::held_back(
            format!(
                "no value was deleted, because it is not known which value a row means ({row})"
            ),
            "correct the row and run the mirror again",
        )
    }

    pub(crate) fn mirror_list_doubtful(doubt: &Self) -> Self {
        Self::held_back(
            format!("no value was deleted, because a complete list is required ({doubt})"),
            "run the mirror again, or without require_complete_list()",
        )
    }

    pub(crate) fn mirror_too_many_deletes(deletes: usize, values: usize, max: u64) -> Self {
        Self::held_back(
            format!(
                "no value was deleted, because {deletes} of the {values} values would be, and at most \
                 {max} may be"
            ),
            "check the input, or set max_deletes() or max_delete_share()",
        )
    }

    pub(crate) fn mirror_not_checked(cause: &Self) -> Self {
        Self::held_back(
            format!(
                "no value was deleted, because it could not be read which of them have changed since \
                 the list began ({cause})"
            ),
            "run the mirror again",
        )
    }

    pub(crate) fn value_changed() -> Self {
        Self::held_back(
            "the value was not deleted, because it was changed less than a minute before the run or \
             during it, or it is not known when",
            "run the mirror again later",
        )
    }

    pub(crate) fn absent_after_value() -> Self {
        Self::held_back(
            "the value was not deleted, because an earlier row of the input has stored it",
            "run the mirror again, or correct the input",
        )
    }

    pub(crate) fn absent_unseen(doubt: &Self) -> Self {
        Self::held_back(
            format!("the value was not listed, but the list may lack it ({doubt})"),
            "run the mirror again",
        )
    }

    pub(crate) fn stopped() -> Self {
        Self::new(ErrorKind::Stopped, "the run was stopped")
    }

    pub(crate) fn deadline(time: Duration) -> Self {
        Self::new(
            ErrorKind::Stopped,
            format!("the run was stopped at its deadline, after {time:?}"),
        )
    }

    pub(crate) fn all_rejected(rows: u64, last: &Self) -> Self {
        Self::new(
            ErrorKind::InvalidRequest,
            Explanation::new(
                format!(
                    "the server rejected or did not confirm any of the first {rows} rows, so the run \
                     was stopped (the last error: {last})"
                ),
                "correct how the rows are built",
            ),
        )
    }

    pub(crate) fn missing_unconfirmed(response: &Self) -> Self {
        Self::new(
            ErrorKind::InvalidResponse,
            Explanation::new(
                format!(
                    "the server responded that the value does not exist, but it confirmed no delete \
                     of this run, so it may not know the endpoint (the response: {response})"
                ),
                "list the values to be sure",
            ),
        )
    }

    pub(crate) fn outage(lasted: Duration, last: Option<&Self>) -> Self {
        let last = last.map_or(String::new(), |last| format!(" (the last error: {last})"));
        Self::new(
            ErrorKind::Unavailable,
            Explanation::new(
                format!(
                    "nothing has succeeded for {:.0} s, so the store counts as down and the run was \
                     stopped{last}",
                    lasted.as_secs_f64()
                ),
                "send the remaining rows later, or let the run wait longer (on_outage)",
            ),
        )
    }

    pub(crate) fn quota_exhausted(operation: &str, wait: Duration) -> Self {
        Self::new(
            ErrorKind::RateLimited,
            Explanation::new(
                format!(
                    "{operation}: the quota was exhausted; the next attempt would be in {:.1} s, \
                     beyond RetryPolicy::retry_timeout",
                    wait.as_secs_f64()
                ),
                "try again later, or leave more of the quota to this app",
            ),
        )
    }

    pub(crate) fn limiter_unreachable(cause: &str) -> Self {
        Self::new(
            ErrorKind::LimiterUnreachable,
            Explanation::new(
                format!(
                    "the shared limits can't be reached ({cause}), and the store is set to stop then"
                ),
                "check the place that keeps them, and try again later",
            ),
        )
    }

    pub(crate) fn lost_task() -> Self {
        Self::new(
            ErrorKind::Connection,
            Explanation::new(
                "the call's task ended without a result",
                "check whether the runtime was shut down",
            ),
        )
    }

    pub(crate) fn call(
        kind: ErrorKind,
        explanation: impl Into<Explanation>,
        call: CallRecord,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::with_cause(kind, explanation, Some(call), source.map(Arc::from))
    }

    /// Returns the same error for a call that took several attempts.
    pub(crate) fn with_attempts(&self, attempts: u32, elapsed: Duration) -> Self {
        let mut inner = Inner::clone(&self.inner);
        if let Some(call) = &mut inner.call {
            call.attempts = attempts;
            call.elapsed = elapsed;
        }
        Self {
            inner: Arc::new(inner),
            row: self.row,
        }
    }

    /// Returns the same error with a note on why the call is not retried.
    pub(crate) fn with_note(&self, note: &str) -> Self {
        let mut inner = Inner::clone(&self.inner);
        inner.message = format!("{}; {note}", inner.message).into();
        Self {
            inner: Arc::new(inner),
            row: self.row,
        }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Returns the index in the input of the row that the error is about, if it is about one.
    #[must_use]
    pub fn row(&self) -> Option<u64> {
        self.row
    }

    /// Returns the label of the call's operation.
    pub(crate) fn operation(&self) -> Option<Cow<'static, str>> {
        self.inner.call.as_ref().map(|call| call.operation.clone())
    }

    /// Returns the HTTP status of the last response, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.inner.call.as_ref().and_then(|call| call.status)
    }

    /// Returns the server's message: the title and the field messages of its response.
    #[must_use]
    pub fn server_message(&self) -> Option<&str> {
        self.inner
            .call
            .as_ref()
            .and_then(|call| call.server_message.as_deref())
    }

    /// Returns the ID of the last request, if the server sent one: the provider's support can find the
    /// request by it.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.inner
            .call
            .as_ref()
            .and_then(|call| call.request_id.as_deref())
    }

    /// Returns what to do about the error, if there is advice. The error's text contains it.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.inner.advice.as_deref()
    }

    /// Returns the error's text without the index of its row.
    ///
    /// Equal errors of several rows have equal reasons, so they can be counted or grouped.
    #[must_use]
    pub fn reason(&self) -> String {
        match self.row {
            None => self.to_string(),
            Some(_) => Self {
                inner: Arc::clone(&self.inner),
                row: None,
            }
            .to_string(),
        }
    }

    /// Returns the number of requests that were made (0 if none was sent).
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.inner.call.as_ref().map_or(0, |call| call.attempts)
    }

    /// Returns the time from the first request to the end of the call, including the waits.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.inner
            .call
            .as_ref()
            .map_or(Duration::ZERO, |call| call.elapsed)
    }

    /// Returns `true` if the cause is temporary, so that the same request may succeed later.
    ///
    /// Retries are already exhausted, except for [`ErrorKind::Stopped`]. An outer loop should wait
    /// before it tries again.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        if matches!(self.status(), Some(407 | 501 | 505)) || self.ends_run() {
            return false;
        }
        matches!(
            self.inner.kind,
            ErrorKind::RateLimited
                | ErrorKind::Unavailable
                | ErrorKind::Timeout
                | ErrorKind::Dns
                | ErrorKind::ConnectionRefused
                | ErrorKind::Tls
                | ErrorKind::Proxy
                | ErrorKind::Connection
                | ErrorKind::InvalidResponse
                | ErrorKind::Stopped
                | ErrorKind::LimiterUnreachable
        )
    }

    /// Returns `true` if every other call would fail in the same way.
    pub(crate) fn ends_run(&self) -> bool {
        self.inner.call.as_ref().is_some_and(|call| call.ends_run)
    }

    /// Returns `true` if the server answered with a redirect that may be gone at the next attempt.
    pub(crate) fn is_temporary_redirect(&self) -> bool {
        matches!(self.status(), Some(302 | 303 | 307))
    }

    /// Returns `true` if the server does not accept the access token (401 or 403).
    #[must_use]
    pub fn is_auth(&self) -> bool {
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
            advice,
            call,
            source,
            ..
        } = &*self.inner;
        if let Some(row) = self.row {
            write!(f, "row {row}: ")?;
        }
        if let Some(call) = call {
            write!(f, "{}", call.operation)?;
            if let Some(status) = call.status {
                write!(f, " returned {status}")?;
            }
            if let Some(message) = &call.server_message {
                write!(f, " ({message})")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(message)?;
        if let (ErrorKind::InvalidInput, Some(source)) = (self.inner.kind, source) {
            write!(f, ": {source}")?;
        }
        if let Some(advice) = advice {
            write!(f, ": {advice}")?;
        }
        let Some(call) = call else {
            return Ok(());
        };
        if call.attempts > 1 {
            let seconds = call.elapsed.as_secs_f64();
            write!(f, " ({} attempts over {seconds:.1} s)", call.attempts)?;
        }
        match &call.request_id {
            Some(id) => write!(f, " [request {id}]"),
            None => Ok(()),
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

/// Why a row is invalid: the field, and the rule that it violates.
#[derive(Debug)]
pub struct Violation {
    field: Cow<'static, str>,
    text: String,
}

impl Violation {
    pub(crate) fn new(field: impl Into<Cow<'static, str>>, text: String) -> Self {
        Self {
            field: field.into(),
            text,
        }
    }
}

impl Violation {
    pub(crate) fn not_mirrored() -> Self {
        let text = "is none of the mirrored ones: give it to mirror(), or leave the row out";
        Self::new("attribute", text.to_owned())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.text)
    }
}
