//! What a failed attempt means: a pure function of its cause.

use super::health::Verdict;
use crate::error::ErrorKind;
use crate::event::WaitReason;

/// Why an attempt did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureCause {
    /// A response with a status that is not a success.
    Status(u16),
    /// A response of any status whose body is HTML.
    Html(u16),
    /// A success whose body can't be parsed.
    InvalidResponse,
    /// No complete response within the attempt's time.
    TimedOut,
    /// No connection: the request did not leave.
    NotConnected(ConnectProblem),
    /// The connection broke after the request may have left.
    ConnectionLost,
    /// The attempt's time was over before the request was sent.
    Suspended,
    /// The request could not be built.
    Unsendable,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectProblem {
    /// The host's name does not resolve.
    Dns,
    Refused,
    /// The host's certificate is not trusted.
    Certificate,
    /// TLS failed otherwise.
    Tls,
    /// The proxy asks for a password.
    ProxyPassword,
    /// The proxy did not connect.
    Proxy,
    TimedOut,
    Other,
}

/// What is known beside the cause.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// Whether any request to this store has succeeded.
    pub has_succeeded: bool,
    /// Whether the response says how long to wait.
    pub asks_to_wait: bool,
    /// Whether the response says that the quota is spent.
    pub is_quota_spent: bool,
}

/// What a failed attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Assessment {
    pub kind: ErrorKind,
    /// Why to wait before the next attempt, `None` if there is none.
    pub retry: Option<WaitReason>,
    pub verdict: Verdict,
    /// Whether every other call would fail in the same way.
    pub ends_run: bool,
}

impl FailureCause {
    /// Returns `true` if the server may have executed the request, or may yet execute it.
    pub(super) fn is_ambiguous(self) -> bool {
        match self {
            Self::InvalidResponse | Self::TimedOut | Self::ConnectionLost => true,
            Self::Status(status) => matches!(status, 408 | 500..) && !matches!(status, 501 | 505),
            Self::Html(status) => status < 300 || Self::Status(status).is_ambiguous(),
            Self::NotConnected(_) | Self::Suspended | Self::Unsendable => false,
        }
    }

    /// Returns `true` if the server may still be running the request.
    pub(super) fn may_still_run(self) -> bool {
        match self {
            Self::TimedOut | Self::ConnectionLost => true,
            Self::Status(status) | Self::Html(status) => {
                matches!(status, 408 | 502 | 504 | 520..=524 | 530 | 598 | 599)
            }
            _ => false,
        }
    }

    /// Returns `true` if the request did not leave.
    pub(super) fn is_unsent(self) -> bool {
        matches!(
            self,
            Self::NotConnected(_) | Self::Suspended | Self::Unsendable
        )
    }

    /// Decides what follows.
    pub(super) fn assess(self, evidence: Evidence) -> Assessment {
        let last = |kind, verdict| Assessment {
            kind,
            retry: None,
            verdict,
            ends_run: false,
        };
        let ends_run = |kind, verdict| Assessment {
            ends_run: true,
            ..last(kind, verdict)
        };
        let retry = |kind, reason, verdict| Assessment {
            retry: Some(reason),
            ..last(kind, verdict)
        };
        match self {
            Self::Status(407) => ends_run(ErrorKind::Proxy, Verdict::Bad),
            Self::Html(407) => Self::Status(407).assess(evidence),
            // Web servers and gateways report the size of a request in HTML.
            Self::Status(413 | 414) | Self::Html(413 | 414) => {
                last(ErrorKind::TooLarge, Verdict::Neutral)
            }
            Self::Html(status) if !evidence.has_succeeded && is_of_endpoint(status) => Assessment {
                verdict: Verdict::Bad,
                ..Self::Status(status).assess(evidence)
            },
            Self::Html(429) => retry(ErrorKind::RateLimited, WaitReason::Busy, Verdict::Bad),
            Self::Html(500..) => retry(ErrorKind::Unavailable, WaitReason::Server, Verdict::Bad),
            Self::Html(_) => retry(ErrorKind::InvalidResponse, WaitReason::Server, Verdict::Bad),
            Self::Status(401) => ends_run(ErrorKind::Unauthorized, Verdict::Good),
            Self::Status(403) => ends_run(ErrorKind::Forbidden, Verdict::Good),
            Self::Status(404 | 405 | 410) => ends_run(ErrorKind::NotFound, Verdict::Good),
            Self::Status(429) if evidence.asks_to_wait => {
                retry(ErrorKind::RateLimited, WaitReason::Quota, Verdict::Neutral)
            }
            Self::Status(429) => retry(ErrorKind::RateLimited, WaitReason::Busy, Verdict::Bad),
            Self::Status(408) => retry(ErrorKind::Unavailable, WaitReason::Server, Verdict::Bad),
            Self::Status(409 | 423 | 425) => {
                retry(ErrorKind::Unavailable, WaitReason::Server, Verdict::Good)
            }
            // Some servers report a spent quota as 500.
            Self::Status(500) if evidence.is_quota_spent => {
                retry(ErrorKind::Unavailable, WaitReason::Server, Verdict::Neutral)
            }
            Self::Status(501 | 505) => last(ErrorKind::Unavailable, Verdict::Bad),
            Self::Status(500..) => retry(ErrorKind::Unavailable, WaitReason::Server, Verdict::Bad),
            // By definition, these redirects are temporary.
            Self::Status(302 | 303 | 307) => {
                retry(ErrorKind::Redirect, WaitReason::Server, Verdict::Bad)
            }
            Self::Status(..=399) => ends_run(ErrorKind::Redirect, Verdict::Neutral),
            Self::Status(_) => last(ErrorKind::InvalidRequest, Verdict::Good),
            Self::Unsendable => last(ErrorKind::InvalidRequest, Verdict::Neutral),
            Self::InvalidResponse => {
                retry(ErrorKind::InvalidResponse, WaitReason::Server, Verdict::Bad)
            }
            Self::TimedOut => retry(ErrorKind::Timeout, WaitReason::Connection, Verdict::Bad),
            Self::Suspended => retry(ErrorKind::Timeout, WaitReason::Connection, Verdict::Neutral),
            Self::NotConnected(problem) if problem.ends_run(evidence.has_succeeded) => {
                ends_run(problem.kind(), Verdict::Bad)
            }
            Self::NotConnected(problem) => {
                retry(problem.kind(), WaitReason::Connection, Verdict::Bad)
            }
            Self::ConnectionLost => {
                retry(ErrorKind::Connection, WaitReason::Connection, Verdict::Bad)
            }
        }
    }
}

impl ConnectProblem {
    fn ends_run(self, has_succeeded: bool) -> bool {
        match self {
            Self::ProxyPassword => true,
            Self::Dns | Self::Certificate => !has_succeeded,
            Self::Refused | Self::Tls | Self::Proxy | Self::TimedOut | Self::Other => false,
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Self::Dns => ErrorKind::Dns,
            Self::Refused => ErrorKind::ConnectionRefused,
            Self::Certificate | Self::Tls => ErrorKind::Tls,
            Self::ProxyPassword | Self::Proxy => ErrorKind::Proxy,
            Self::TimedOut => ErrorKind::Timeout,
            Self::Other => ErrorKind::Connection,
        }
    }
}

/// Returns `true` for a status that says that the URL or the token is wrong.
fn is_of_endpoint(status: u16) -> bool {
    matches!(status, 401 | 403 | 404 | 405 | 410)
}

#[cfg(test)]
mod tests {
    use ErrorKind as E;
    use FailureCause::*;
    use Verdict::{Bad, Good, Neutral};
    use WaitReason as W;

    use super::*;

    /// What follows a failure: a retry, the end of the call, or the end of the run.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Next {
        Retry(WaitReason),
        Final,
        EndsRun,
    }

    fn assess(cause: FailureCause, evidence: Evidence) -> (ErrorKind, Next, Verdict) {
        let assessment = cause.assess(evidence);
        let next = match (assessment.retry, assessment.ends_run) {
            (Some(reason), false) => Next::Retry(reason),
            (None, false) => Next::Final,
            (None, true) => Next::EndsRun,
            (Some(_), true) => panic!("{cause:?} is retried and ends the run"),
        };
        (assessment.kind, next, assessment.verdict)
    }

    #[test]
    fn each_failure_leads_to_its_decision() {
        let server = Next::Retry(W::Server);
        let connection = Next::Retry(W::Connection);
        let problem = ConnectProblem::Other;
        for (cause, kind, next, verdict) in [
            (Status(401), E::Unauthorized, Next::EndsRun, Good),
            (Status(403), E::Forbidden, Next::EndsRun, Good),
            (Status(404), E::NotFound, Next::EndsRun, Good),
            (Status(405), E::NotFound, Next::EndsRun, Good),
            (Status(410), E::NotFound, Next::EndsRun, Good),
            (Status(407), E::Proxy, Next::EndsRun, Bad),
            (Html(407), E::Proxy, Next::EndsRun, Bad),
            (Status(413), E::TooLarge, Next::Final, Neutral),
            (Html(413), E::TooLarge, Next::Final, Neutral),
            (Status(414), E::TooLarge, Next::Final, Neutral),
            (Status(400), E::InvalidRequest, Next::Final, Good),
            (Status(422), E::InvalidRequest, Next::Final, Good),
            (Status(451), E::InvalidRequest, Next::Final, Good),
            (Status(408), E::Unavailable, server, Bad),
            (Status(409), E::Unavailable, server, Good),
            (Status(423), E::Unavailable, server, Good),
            (Status(425), E::Unavailable, server, Good),
            (Status(429), E::RateLimited, Next::Retry(W::Busy), Bad),
            (Html(429), E::RateLimited, Next::Retry(W::Busy), Bad),
            (Status(301), E::Redirect, Next::EndsRun, Neutral),
            (Status(308), E::Redirect, Next::EndsRun, Neutral),
            (Status(302), E::Redirect, server, Bad),
            (Status(307), E::Redirect, server, Bad),
            (Status(500), E::Unavailable, server, Bad),
            (Status(501), E::Unavailable, Next::Final, Bad),
            (Status(502), E::Unavailable, server, Bad),
            (Status(503), E::Unavailable, server, Bad),
            (Status(504), E::Unavailable, server, Bad),
            (Status(505), E::Unavailable, Next::Final, Bad),
            (Status(507), E::Unavailable, server, Bad),
            (Status(520), E::Unavailable, server, Bad),
            (Status(524), E::Unavailable, server, Bad),
            (Status(530), E::Unavailable, server, Bad),
            (Status(599), E::Unavailable, server, Bad),
            (Html(503), E::Unavailable, server, Bad),
            (Html(200), E::InvalidResponse, server, Bad),
            (Html(400), E::InvalidResponse, server, Bad),
            (Html(422), E::InvalidResponse, server, Bad),
            (InvalidResponse, E::InvalidResponse, server, Bad),
            (TimedOut, E::Timeout, connection, Bad),
            (ConnectionLost, E::Connection, connection, Bad),
            (NotConnected(problem), E::Connection, connection, Bad),
            (Suspended, E::Timeout, connection, Neutral),
            (Unsendable, E::InvalidRequest, Next::Final, Neutral),
        ] {
            for has_succeeded in [false, true] {
                let evidence = Evidence {
                    has_succeeded,
                    ..Evidence::default()
                };
                let expected = (kind, next, verdict);
                assert_eq!(assess(cause, evidence), expected, "{cause:?} {evidence:?}");
            }
        }
    }

    #[test]
    fn a_success_before_makes_some_failures_temporary() {
        let retry = |kind, reason| (kind, Next::Retry(reason), Bad);
        for (cause, before, after) in [
            (
                Html(401),
                (E::Unauthorized, Next::EndsRun, Bad),
                retry(E::InvalidResponse, W::Server),
            ),
            (
                Html(403),
                (E::Forbidden, Next::EndsRun, Bad),
                retry(E::InvalidResponse, W::Server),
            ),
            (
                Html(404),
                (E::NotFound, Next::EndsRun, Bad),
                retry(E::InvalidResponse, W::Server),
            ),
            (
                NotConnected(ConnectProblem::Dns),
                (E::Dns, Next::EndsRun, Bad),
                retry(E::Dns, W::Connection),
            ),
            (
                NotConnected(ConnectProblem::Certificate),
                (E::Tls, Next::EndsRun, Bad),
                retry(E::Tls, W::Connection),
            ),
            (
                NotConnected(ConnectProblem::Tls),
                retry(E::Tls, W::Connection),
                retry(E::Tls, W::Connection),
            ),
            (
                NotConnected(ConnectProblem::Refused),
                retry(E::ConnectionRefused, W::Connection),
                retry(E::ConnectionRefused, W::Connection),
            ),
            (
                NotConnected(ConnectProblem::ProxyPassword),
                (E::Proxy, Next::EndsRun, Bad),
                (E::Proxy, Next::EndsRun, Bad),
            ),
        ] {
            let evidence = |has_succeeded| Evidence {
                has_succeeded,
                ..Evidence::default()
            };
            assert_eq!(assess(cause, evidence(false)), before, "{cause:?} first");
            assert_eq!(assess(cause, evidence(true)), after, "{cause:?} later");
        }
    }

    #[test]
    fn a_spent_quota_says_nothing_about_the_health() {
        let asks_to_wait = Evidence {
            asks_to_wait: true,
            ..Evidence::default()
        };
        let is_quota_spent = Evidence {
            is_quota_spent: true,
            ..Evidence::default()
        };
        let quota = (E::RateLimited, Next::Retry(W::Quota), Neutral);
        assert_eq!(assess(Status(429), asks_to_wait), quota);
        let server = (E::Unavailable, Next::Retry(W::Server), Neutral);
        assert_eq!(assess(Status(500), is_quota_spent), server);
        assert_eq!(assess(Status(503), is_quota_spent).2, Bad);
    }

    #[test]
    fn what_may_have_been_executed_is_told_from_what_may_still_run() {
        for (cause, is_ambiguous, may_still_run) in [
            (Status(408), true, true),
            (Status(500), true, false),
            (Status(501), false, false),
            (Status(502), true, true),
            (Status(503), true, false),
            (Status(504), true, true),
            (Status(507), true, false),
            (Status(520), true, true),
            (Status(524), true, true),
            (Status(525), true, false),
            (Status(530), true, true),
            (Status(429), false, false),
            (Status(409), false, false),
            (Status(400), false, false),
            (Html(200), true, false),
            (Html(403), false, false),
            (Html(504), true, true),
            (InvalidResponse, true, false),
            (TimedOut, true, true),
            (ConnectionLost, true, true),
            (NotConnected(ConnectProblem::Refused), false, false),
            (Suspended, false, false),
            (Unsendable, false, false),
        ] {
            assert_eq!(cause.is_ambiguous(), is_ambiguous, "{cause:?}");
            assert_eq!(cause.may_still_run(), may_still_run, "{cause:?}");
        }
    }
}
