use std::error::Error;
use std::fmt;
use std::str::FromStr;

use hyper::Method;

use crate::work::Target;

/// What a request asks the store to do, as far as a [`Fault`] is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A PUT of values.
    Upsert,
    /// A GET of values.
    List,
    /// A DELETE of values.
    Delete,
    /// A GET of the attributes' definitions.
    Attributes,
    /// A POST of attributes' definitions.
    CreateAttributes,
}

impl Operation {
    /// All operations.
    pub const ALL: &[Self] = &[
        Self::Upsert,
        Self::List,
        Self::Delete,
        Self::Attributes,
        Self::CreateAttributes,
    ];

    /// What a request with this method to this path asks for, `None` where it is nothing that the
    /// store does.
    pub(crate) fn of(method: &Method, target: Target) -> Option<Self> {
        match (target, method) {
            (Target::Values, &Method::PUT) => Some(Self::Upsert),
            (Target::Values, &Method::GET) => Some(Self::List),
            (Target::Values, &Method::DELETE) => Some(Self::Delete),
            (Target::Attributes, &Method::GET) => Some(Self::Attributes),
            (Target::Attributes, &Method::POST) => Some(Self::CreateAttributes),
            _ => None,
        }
    }

    /// Whether the scope to read is enough for it.
    pub(crate) fn reads(self) -> bool {
        matches!(self, Self::List | Self::Attributes)
    }
}

/// A way in which a request can go wrong.
///
/// Each takes what the request would have taken without it: a unit of the quota and a place among
/// the requests in flight, the latency waited. Only [`RateLimited`](Self::RateLimited) and
/// [`Busy`](Self::Busy) take neither, as every 429.
///
/// Whatever a fault settles, it settles before the client can see the answer or the end of the
/// connection: the store is as it will stay, and the place in flight is free. Only
/// [`LateExecution`](Self::LateExecution) is different, and that is its point.
///
/// Where a kind says "the work is done" and the work comes to a refusal (a 422, say), the refusal
/// meets the same fate; but a kind that makes something else of a *success* lets it pass and
/// counts as not played: [`HtmlSuccess`](Self::HtmlSuccess), [`LeavesOut`](Self::LeavesOut),
/// [`HidesRows`](Self::HidesRows), [`PartialPage`](Self::PartialPage),
/// [`Normalised`](Self::Normalised), [`Oversized`](Self::Oversized).
///
/// Answers that stand for the store's own carry the rate-limit headers, if there is a quota;
/// those that stand for a gateway's do not: [`Busy`](Self::Busy), [`BadGateway`](Self::BadGateway),
/// [`GatewayTimeout`](Self::GatewayTimeout), [`Maintenance`](Self::Maintenance),
/// [`HtmlSuccess`](Self::HtmlSuccess), [`ErrorAfterWork`](Self::ErrorAfterWork),
/// [`Redirect`](Self::Redirect).
///
/// In text a kind is its name in kebab case: `closed-after-work`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// 429 with all rate-limit headers and `X-Retry-After`; nothing is left, and the window ends
    /// after [`reset_in`](crate::FaultPlan::reset_in). Nothing is done, and no quota is taken.
    RateLimited,
    /// 429 without a body and without any header that says when to come again, as under platform
    /// load. Nothing is done, and no quota is taken.
    Busy,
    /// 500, and nothing is done.
    InternalError,
    /// 502 with an HTML body, and nothing is done.
    BadGateway,
    /// 503 with a JSON body, and nothing is done.
    Unavailable,
    /// 504 with an HTML body, and nothing is done.
    GatewayTimeout,
    /// 503 with an HTML body, as of a store that is down for maintenance; nothing is done.
    Maintenance,
    /// The work is done, and the answer is a 200 with an HTML body, to a DELETE too.
    HtmlSuccess,
    /// The work is done and its whole answer is sent, but `Content-Length` promises more, and the
    /// connection closes: what arrives may well parse, yet it is no answer.
    ///
    /// Not for DELETE, whose answer has no body.
    Truncated,
    /// The connection closes once the request was read. Nothing is done, no byte is sent.
    ClosedBeforeWork,
    /// The work is done, then the connection closes. No byte is sent.
    ///
    /// To a GET the same as [`ClosedBeforeWork`](Self::ClosedBeforeWork).
    ClosedAfterWork,
    /// The work is done, the headers and half the body are sent, then the connection closes.
    ///
    /// Not for DELETE, whose answer has no body.
    ClosedDuringAnswer,
    /// The work is done, but a gateway has lost the answer and says 500 or 504, either at random.
    ErrorAfterWork,
    /// The work is done and the right answer is sent: the headers at once, the body bit by bit
    /// over [`trickle_over`](crate::FaultPlan::trickle_over). Its place in flight is free before
    /// the last bit is sent, or when the client hangs up.
    ///
    /// Not for DELETE, whose answer has no body.
    Trickle,
    /// 307 to [`redirect_to`](crate::FaultPlan::redirect_to), and nothing is done.
    Redirect,
    /// 200, but some values of the PUT, at least one, are neither stored nor shown; the pagination
    /// counts those shown.
    ///
    /// Only for PUT: a GET or DELETE stores nothing that could be left out, and a POST is all or
    /// nothing.
    LeavesOut,
    /// All is stored, but the answer leaves out some values, at least one; the pagination counts
    /// those shown, so it does not tell.
    ///
    /// Only for PUT: of a GET no client could tell that values are missing, a DELETE shows none,
    /// and a POST has no values.
    HidesRows,
    /// All is stored, but the answer shows only the first values, at least one and never all, and
    /// the pagination says so: `total` and `total_pages`, `per_page`, a link to the next page.
    ///
    /// Only for PUT: a GET has its pages anyway. One value alone is answered as ever, and that
    /// counts as not played.
    PartialPage,
    /// Values are stored, and shown, in another form: without blanks around them, numbers without
    /// needless zeros after the point (`1.0` becomes `1`, `2.50` becomes `2.5`).
    ///
    /// Only for PUT. Where no value changes by that, it counts as not played.
    Normalised,
    /// The work is done, and the answer is a 200 with the right JSON behind 9 MiB of blanks, to a
    /// DELETE too.
    Oversized,
    /// The right answer after an extra latency before the work, at random from half of
    /// [`slow_by`](crate::FaultPlan::slow_by) to all of it.
    Slow,
    /// The connection closes at once without a byte, and the work is done
    /// [`late_by`](crate::FaultPlan::late_by) after: what the client sends meanwhile comes first.
    /// Until then the request stays in flight.
    ///
    /// Not for GET. Not drawn unless it is asked for with [`only`](crate::FaultPlan::only).
    LateExecution,
}

impl Fault {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::RateLimited,
        Self::Busy,
        Self::InternalError,
        Self::BadGateway,
        Self::Unavailable,
        Self::GatewayTimeout,
        Self::Maintenance,
        Self::HtmlSuccess,
        Self::Truncated,
        Self::ClosedBeforeWork,
        Self::ClosedAfterWork,
        Self::ClosedDuringAnswer,
        Self::ErrorAfterWork,
        Self::Trickle,
        Self::Redirect,
        Self::LeavesOut,
        Self::HidesRows,
        Self::PartialPage,
        Self::Normalised,
        Self::Oversized,
        Self::Slow,
        Self::LateExecution,
    ];

    /// Whether this can be played to a request for `operation`; if not, it is never drawn for
    /// one, and a script that says so plays nothing.
    pub fn applies_to(self, operation: Operation) -> bool {
        match self {
            Self::LeavesOut | Self::HidesRows | Self::PartialPage | Self::Normalised => {
                operation == Operation::Upsert
            }
            Self::Truncated | Self::ClosedDuringAnswer | Self::Trickle => {
                operation != Operation::Delete
            }
            Self::LateExecution => !operation.reads(),
            Self::RateLimited
            | Self::Busy
            | Self::InternalError
            | Self::BadGateway
            | Self::Unavailable
            | Self::GatewayTimeout
            | Self::Maintenance
            | Self::HtmlSuccess
            | Self::ClosedBeforeWork
            | Self::ClosedAfterWork
            | Self::ErrorAfterWork
            | Self::Redirect
            | Self::Oversized
            | Self::Slow => true,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate-limited",
            Self::Busy => "busy",
            Self::InternalError => "internal-error",
            Self::BadGateway => "bad-gateway",
            Self::Unavailable => "unavailable",
            Self::GatewayTimeout => "gateway-timeout",
            Self::Maintenance => "maintenance",
            Self::HtmlSuccess => "html-success",
            Self::Truncated => "truncated",
            Self::ClosedBeforeWork => "closed-before-work",
            Self::ClosedAfterWork => "closed-after-work",
            Self::ClosedDuringAnswer => "closed-during-answer",
            Self::ErrorAfterWork => "error-after-work",
            Self::Trickle => "trickle",
            Self::Redirect => "redirect",
            Self::LeavesOut => "leaves-out",
            Self::HidesRows => "hides-rows",
            Self::PartialPage => "partial-page",
            Self::Normalised => "normalised",
            Self::Oversized => "oversized",
            Self::Slow => "slow",
            Self::LateExecution => "late-execution",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|fault| fault.name() == name);
        known.copied().ok_or(UnknownFault(()))
    }
}

/// A text is not the name of a [`Fault`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFault(());

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no fault has this name; one is \"")?;
        f.write_str(Fault::ClosedAfterWork.name())?;
        f.write_str("\"")
    }
}

impl Error for UnknownFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_in_all() {
        for (place, fault) in Fault::ALL.iter().enumerate() {
            assert_eq!(*fault as usize, place);
        }
        // The last one of the enum: a kind added before it moves it.
        assert_eq!(Fault::LateExecution as usize + 1, Fault::ALL.len());
    }

    #[test]
    fn a_name_is_the_variants_in_kebab_case() {
        for fault in Fault::ALL {
            let mut kebab = String::new();
            for c in format!("{fault:?}").chars() {
                if c.is_uppercase() && !kebab.is_empty() {
                    kebab.push('-');
                }
                kebab.push(c.to_ascii_lowercase());
            }
            assert_eq!(fault.to_string(), kebab);
            assert_eq!(kebab.parse(), Ok(*fault));
        }
        for name in ["", "Busy", "closed_after_work", " busy"] {
            assert_eq!(name.parse::<Fault>(), Err(UnknownFault(())), "{name:?}");
        }
    }
}
