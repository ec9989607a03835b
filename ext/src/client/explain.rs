//! What errors say: what failed, why, and what to do. Pure.

use super::Operation;
use super::failure::{ConnectProblem, FailureCause};
use crate::error::{ErrorKind, Explanation};

/// What an explanation can mention beside the failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    pub operation: &'a Operation,
    pub host: &'a str,
    /// The innermost cause.
    pub reason: Option<&'a str>,
    /// The requests that are left of the quota, as the response tells.
    pub quota_left: Option<u64>,
}

impl<'a> Circumstances<'a> {
    pub(super) fn new(operation: &'a Operation, host: &'a str) -> Self {
        Self {
            operation,
            host,
            reason: None,
            quota_left: None,
        }
    }

    /// Returns the innermost cause in parentheses, or nothing.
    fn reason(&self) -> String {
        self.reason
            .map_or(String::new(), |reason| format!(" ({reason})"))
    }
}

/// Explains a kind of failure of an operation.
#[cfg(feature = "testing")]
pub(crate) fn explain_by_kind(kind: ErrorKind, operation: &Operation, host: &str) -> Explanation {
    explain_kind(kind, &Circumstances::new(operation, host))
}

/// Explains why an attempt failed.
pub(super) fn explain(
    cause: FailureCause,
    kind: ErrorKind,
    circumstances: &Circumstances<'_>,
) -> Explanation {
    let Circumstances {
        host, quota_left, ..
    } = *circumstances;
    match cause {
        FailureCause::Status(407) | FailureCause::Html(407) => {
            explain_connect(ConnectProblem::ProxyPassword, circumstances)
        }
        FailureCause::Html(_) if kind != ErrorKind::TooLarge => Explanation::new(
            format!("{host} sent an HTML page, which the API never does"),
            "check for a proxy, a firewall or maintenance, and check the base URL",
        ),
        FailureCause::Status(429) if quota_left.is_some_and(|left| left > 0) => Explanation::new(
            format!(
                "the server accepts no more requests now, although {} of the quota are left: another \
                 process or app may be using the store at the same time",
                quota_left.unwrap_or_default()
            ),
            "let all processes share one limiter, or lower Limits::max_in_flight",
        ),
        FailureCause::NotConnected(problem) => explain_connect(problem, circumstances),
        FailureCause::Suspended => Explanation::new(
            "the request was not sent in time, because its task was not run",
            "keep the runtime free of blocking work",
        ),
        _ => explain_kind(kind, circumstances),
    }
}

fn explain_connect(problem: ConnectProblem, circumstances: &Circumstances<'_>) -> Explanation {
    let host = circumstances.host;
    let reason = circumstances.reason();
    match problem {
        ConnectProblem::Dns => Explanation::new(
            format!("the host name of {host} does not resolve{reason}"),
            "check the base URL and the DNS server",
        ),
        ConnectProblem::Refused => Explanation::new(
            format!("{host} refused the connection{reason}"),
            "check the base URL and the network",
        ),
        ConnectProblem::Certificate => Explanation::new(
            format!("the certificate of {host} is not trusted{reason}"),
            "check the base URL, the system's root certificates and its clock",
        ),
        ConnectProblem::Tls => Explanation::new(
            format!("TLS to {host} failed{reason}"),
            "check the base URL and its port, and the TLS versions of both sides",
        ),
        ConnectProblem::ProxyPassword => Explanation::new(
            format!("the proxy on the way to {host} asks for a password{reason}"),
            "add it to the proxy's settings",
        ),
        ConnectProblem::Proxy => Explanation::new(
            format!("the proxy did not connect to {host}{reason}"),
            "check the proxy's settings and what it allows",
        ),
        ConnectProblem::TimedOut => Explanation::new(
            format!("no connection to {host} in time{reason}"),
            "check the network",
        ),
        ConnectProblem::Other => Explanation::new(
            format!("no connection to {host}{reason}"),
            "check the network, and try again later",
        ),
    }
}

/// Explains a kind of failure.
pub(super) fn explain_kind(kind: ErrorKind, circumstances: &Circumstances<'_>) -> Explanation {
    let Circumstances {
        operation, host, ..
    } = *circumstances;
    let reason = circumstances.reason();
    let in_doubt = match operation.is_read {
        true => "",
        false => "; the server may have executed the request",
    };
    match kind {
        ErrorKind::Unauthorized => Explanation::new(
            "the access token was not accepted",
            "check that it is complete, not revoked, and belongs to this store",
        ),
        ErrorKind::Forbidden => match operation.scope() {
            Some(scope) => Explanation::new(
                format!("the access token lacks the OAuth scope {scope}"),
                "add the scope to the API account and create a new token",
            ),
            None => Explanation::new(
                "the access token lacks an OAuth scope",
                "add the scope of the endpoint to the API account and create a new token",
            ),
        },
        ErrorKind::NotFound => {
            Explanation::new("no such endpoint", "check the store hash or the base URL")
        }
        ErrorKind::TooLarge => "the request is larger than the endpoint accepts".into(),
        ErrorKind::InvalidRequest => Explanation::new(
            "the server rejected the request",
            "correct it before sending it again",
        ),
        ErrorKind::RateLimited => Explanation::new(
            "the quota was exhausted",
            "try again later, or leave more of the quota to this app",
        ),
        ErrorKind::Unavailable => Explanation::new("the server is unavailable", "try again later"),
        ErrorKind::Timeout => Explanation::new(
            format!("{host} sent no complete response in time{in_doubt}"),
            "try again later",
        ),
        ErrorKind::Connection
        | ErrorKind::Dns
        | ErrorKind::ConnectionRefused
        | ErrorKind::Tls
        | ErrorKind::Proxy => Explanation::new(
            format!("the connection to {host} failed{reason}{in_doubt}"),
            "check the network, and try again later",
        ),
        ErrorKind::Redirect => Explanation::new(
            "the redirect was not followed, because it would change the request or take the token to \
             another origin",
            "check the base URL",
        ),
        ErrorKind::InvalidResponse => Explanation::new(
            format!("the response can't be parsed{reason}{in_doubt}"),
            "try again later",
        ),
        ErrorKind::Stopped => "the run was stopped while the call waited".into(),
        ErrorKind::LimiterUnreachable => "the shared limits can't be reached".into(),
        ErrorKind::InvalidInput
        | ErrorKind::InvalidRow
        | ErrorKind::Input
        | ErrorKind::HeldBack => "the request can't be sent".into(),
    }
}
