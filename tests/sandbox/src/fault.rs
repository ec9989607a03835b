use std::error::Error;
use std::fmt;
use std::str::FromStr;

use hyper::Method;

use crate::target::Target;

/// A store operation, for choosing the requests that a [`Fault`] affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// PUT of attribute values.
    Upsert,
    /// GET of attribute values.
    List,
    /// DELETE of attribute values.
    Delete,
    /// GET of attribute definitions.
    ListAttributes,
    /// POST of attribute definitions.
    CreateAttributes,
    /// PUT of attribute definitions.
    UpdateAttributes,
    /// DELETE of attribute definitions.
    DeleteAttributes,
    /// GET of customers.
    ListCustomers,
    /// POST of customers.
    CreateCustomers,
}

impl Operation {
    /// All operations.
    pub const ALL: &[Self] = &[
        Self::Upsert,
        Self::List,
        Self::Delete,
        Self::ListAttributes,
        Self::CreateAttributes,
        Self::UpdateAttributes,
        Self::DeleteAttributes,
        Self::ListCustomers,
        Self::CreateCustomers,
    ];

    /// Returns `None` if the target has no such method.
    pub(crate) fn from_request(method: &Method, target: Target) -> Option<Self> {
        match (target, method) {
            (Target::Values, &Method::PUT) => Some(Self::Upsert),
            (Target::Values, &Method::GET) => Some(Self::List),
            (Target::Values, &Method::DELETE) => Some(Self::Delete),
            (Target::Attributes, &Method::GET) => Some(Self::ListAttributes),
            (Target::Attributes, &Method::POST) => Some(Self::CreateAttributes),
            (Target::Attributes, &Method::PUT) => Some(Self::UpdateAttributes),
            (Target::Attributes, &Method::DELETE) => Some(Self::DeleteAttributes),
            (Target::Customers, &Method::GET) => Some(Self::ListCustomers),
            (Target::Customers, &Method::POST) => Some(Self::CreateCustomers),
            _ => None,
        }
    }

    /// Returns `true` if the read-only scope is enough.
    pub(crate) fn is_read(self) -> bool {
        matches!(
            self,
            Self::List | Self::ListAttributes | Self::ListCustomers
        )
    }
}

/// A way in which a request can fail.
///
/// A faulty request costs what it would cost without the fault: one unit of the quota, one
/// in-flight slot, and the latency. Only the two 429s,
/// [`RateLimited`](Self::RateLimited) and [`Busy`](Self::Busy), cost nothing.
///
/// By the time the client sees the response or the end of the connection, the request has made all
/// its changes, and its in-flight slot is released. The exceptions are
/// [`LateExecution`](Self::LateExecution), [`LateBehindGateway`](Self::LateBehindGateway) and
/// [`Accepted`](Self::Accepted).
///
/// "Executed" below means that the store handles the request as usual. If it rejects the request
/// (with a 422, say), the fault applies to that response as well. Faults that alter a successful
/// response leave a rejection as it is and are not counted:
/// [`HtmlSuccess`](Self::HtmlSuccess), [`DroppedRows`](Self::DroppedRows),
/// [`HiddenRows`](Self::HiddenRows), [`PartialPage`](Self::PartialPage),
/// [`Normalized`](Self::Normalized), [`Oversized`](Self::Oversized),
/// [`ShortPage`](Self::ShortPage), [`EmptyPage`](Self::EmptyPage),
/// [`TotalTooLarge`](Self::TotalTooLarge), [`TotalTooSmall`](Self::TotalTooSmall),
/// [`IgnoredFilters`](Self::IgnoredFilters).
///
/// Responses of the store itself carry rate-limit headers if there is a quota. Responses of a
/// gateway carry none: [`Busy`](Self::Busy), [`BadGateway`](Self::BadGateway),
/// [`GatewayTimeout`](Self::GatewayTimeout), [`Maintenance`](Self::Maintenance),
/// [`HtmlSuccess`](Self::HtmlSuccess), [`ErrorAfterWork`](Self::ErrorAfterWork),
/// [`Redirect`](Self::Redirect), [`LateBehindGateway`](Self::LateBehindGateway).
///
/// `Display` and `FromStr` use the variant's name in kebab case: `closed-after-work`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// 429 with all rate-limit headers and `X-Retry-After`. `Requests-Left` is 0, and the window
    /// ends after [`reset_in`](crate::FaultPlan::reset_in). Nothing is executed, and no quota is
    /// used.
    RateLimited,
    /// 429 without a body and without headers that say when to retry, as under platform load.
    /// Nothing is executed, and no quota is used.
    Busy,
    /// 500. Nothing is executed.
    InternalError,
    /// 502 with an HTML body. Nothing is executed.
    BadGateway,
    /// 503 with a JSON body. Nothing is executed.
    Unavailable,
    /// 504 with an HTML body. Nothing is executed.
    GatewayTimeout,
    /// 503 with an HTML body, as from a store that is down for maintenance. Nothing is executed.
    Maintenance,
    /// The request is executed, and the response is a 200 with an HTML body, for a DELETE too.
    HtmlSuccess,
    /// The request is executed and the whole response is sent, but `Content-Length` promises more,
    /// and the connection closes. The body may parse, yet the response is incomplete.
    ///
    /// Not for DELETE, whose response has no body.
    Truncated,
    /// The connection closes once the request has been read. Nothing is executed or sent.
    ClosedBeforeWork,
    /// The request is executed, then the connection closes. Nothing is sent.
    ///
    /// For a GET this is the same as [`ClosedBeforeWork`](Self::ClosedBeforeWork).
    ClosedAfterWork,
    /// The request is executed, the headers and half the body are sent, then the connection
    /// closes.
    ///
    /// Not for DELETE, whose response has no body.
    ClosedDuringResponse,
    /// The request is executed, but the response is a 500 or a 504, at random, as from a gateway
    /// that has lost the store's response.
    ErrorAfterWork,
    /// The request is executed and the usual response is sent: the headers at once, the body in
    /// pieces over [`trickle_over`](crate::FaultPlan::trickle_over). The in-flight slot is
    /// released before the last piece is sent, or when the client disconnects.
    ///
    /// Not for DELETE, whose response has no body.
    Trickle,
    /// 307 to [`redirect_to`](crate::FaultPlan::redirect_to). Nothing is executed.
    Redirect,
    /// 200, but at least one value of the PUT is neither stored nor shown. The pagination counts
    /// the values shown.
    ///
    /// Only for a PUT of values.
    DroppedRows,
    /// All values are stored, but at least one is missing from the response. The pagination counts
    /// the values shown, so it doesn't reveal the omission.
    ///
    /// Only for a PUT of values: in a GET the omission would be undetectable, a DELETE shows no
    /// values, and requests for attributes and customers have none.
    HiddenRows,
    /// All values are stored, but the response shows only the first page of them, at least one
    /// value and never all. The pagination reveals it: `total`, `total_pages`, `per_page` and the
    /// link to the next page.
    ///
    /// Only for a PUT of values: a GET has pages anyway. A response with a single value is left as it is, and
    /// the fault is not counted.
    PartialPage,
    /// Values are stored and shown in another form: without surrounding whitespace, and numbers
    /// without trailing zeros (`1.0` becomes `1`, `2.50` becomes `2.5`).
    ///
    /// Only for a PUT of values. The fault is not counted if no value changes.
    Normalized,
    /// The request is executed, and the response is a 200 with the usual JSON after 9 MiB of
    /// spaces, for a DELETE too.
    Oversized,
    /// The usual response after an extra latency before the execution, at random between half of
    /// [`slow_by`](crate::FaultPlan::slow_by) and all of it.
    Slow,
    /// The connection closes without a response, and the request is executed
    /// [`late_by`](crate::FaultPlan::late_by) later, after requests that the client sends in the
    /// meantime. Until then the request stays in flight.
    ///
    /// Not for GET. Drawn only if selected with [`only`](crate::FaultPlan::only).
    LateExecution,
    /// 504 or 524, at random, with an HTML body, as from a gateway that has stopped waiting for the
    /// store. The request is executed [`late_by`](crate::FaultPlan::late_by) later, after requests
    /// that the client sends in the meantime. Until then the request stays in flight.
    ///
    /// Not for GET.
    LateBehindGateway,
    /// 202 without a body. The request is executed [`late_by`](crate::FaultPlan::late_by) later,
    /// but no longer counts as in flight.
    ///
    /// Not for GET.
    Accepted,
    /// The request is executed and the headers are sent, but none of the body. The connection
    /// closes after [`stall_for`](crate::FaultPlan::stall_for). Until then the request stays in
    /// flight, even if the client disconnects.
    ///
    /// Not for DELETE, whose response has no body.
    StalledBody,
    /// At least one value or customer is missing from the page, and at least one is left. No other
    /// page shows the missing ones. `count` is the number of values or customers shown. The rest of
    /// the pagination, with its cursors, is as usual.
    ///
    /// Only for a GET of values or customers, if the page has more than one.
    ShortPage,
    /// The page shows no values or customers, with the usual pagination but for `count`.
    ///
    /// Only for a GET of values or customers, if the page has any.
    EmptyPage,
    /// `total` is too large, up to twice the actual number, and `total_pages` and the link to the
    /// next page agree with it. In a PUT, at least one value is neither stored nor shown, as in
    /// [`DroppedRows`](Self::DroppedRows), and `total` is larger than the number of values sent.
    ///
    /// Only for a PUT of values and for a GET of values or customers, if the pagination has totals.
    TotalTooLarge,
    /// `total` is too small, and `total_pages` and the link to the next page agree with it. It isn't
    /// the number of items up to the end of the page, with which the list would seem to end there.
    ///
    /// Only for a GET of values or customers, if the pagination has totals and `total` isn't 0.
    TotalTooSmall,
    /// All filters of the request are ignored.
    ///
    /// Only for a GET of values or customers that has a filter.
    IgnoredFilters,
}

impl Fault {
    /// All faults.
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
        Self::ClosedDuringResponse,
        Self::ErrorAfterWork,
        Self::Trickle,
        Self::Redirect,
        Self::DroppedRows,
        Self::HiddenRows,
        Self::PartialPage,
        Self::Normalized,
        Self::Oversized,
        Self::Slow,
        Self::LateExecution,
        Self::LateBehindGateway,
        Self::Accepted,
        Self::StalledBody,
        Self::ShortPage,
        Self::EmptyPage,
        Self::TotalTooLarge,
        Self::TotalTooSmall,
        Self::IgnoredFilters,
    ];

    /// Returns `true` if the fault can happen to the operation.
    ///
    /// If not, a seeded plan never draws it for the operation, and a script that names it leaves
    /// the request unaffected.
    pub fn applies_to(self, operation: Operation) -> bool {
        match self {
            Self::DroppedRows | Self::HiddenRows | Self::PartialPage | Self::Normalized => {
                operation == Operation::Upsert
            }
            Self::Truncated | Self::ClosedDuringResponse | Self::Trickle | Self::StalledBody => {
                !matches!(operation, Operation::Delete | Operation::DeleteAttributes)
            }
            Self::LateExecution | Self::LateBehindGateway | Self::Accepted => !operation.is_read(),
            Self::TotalTooLarge => matches!(
                operation,
                Operation::Upsert | Operation::List | Operation::ListCustomers
            ),
            Self::ShortPage | Self::EmptyPage | Self::TotalTooSmall | Self::IgnoredFilters => {
                matches!(operation, Operation::List | Operation::ListCustomers)
            }
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
            Self::ClosedDuringResponse => "closed-during-response",
            Self::ErrorAfterWork => "error-after-work",
            Self::Trickle => "trickle",
            Self::Redirect => "redirect",
            Self::DroppedRows => "dropped-rows",
            Self::HiddenRows => "hidden-rows",
            Self::PartialPage => "partial-page",
            Self::Normalized => "normalized",
            Self::Oversized => "oversized",
            Self::Slow => "slow",
            Self::LateExecution => "late-execution",
            Self::LateBehindGateway => "late-behind-gateway",
            Self::Accepted => "accepted",
            Self::StalledBody => "stalled-body",
            Self::ShortPage => "short-page",
            Self::EmptyPage => "empty-page",
            Self::TotalTooLarge => "total-too-large",
            Self::TotalTooSmall => "total-too-small",
            Self::IgnoredFilters => "ignored-filters",
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

/// The error of parsing a text that is not the name of a [`Fault`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFault(());

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let example = Fault::ClosedAfterWork.name();
        write!(f, "unknown fault; names look like \"{example}\"")
    }
}

impl Error for UnknownFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_fault_in_order() {
        for (index, fault) in Fault::ALL.iter().enumerate() {
            assert_eq!(*fault as usize, index);
        }
        // Fails when a fault is added to the enum only, before its last variant.
        assert_eq!(Fault::IgnoredFilters as usize + 1, Fault::ALL.len());
    }

    #[test]
    fn a_fault_is_named_like_its_variant_in_kebab_case() {
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
