use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper::StatusCode;

use crate::attributes::AttributeType;
use crate::fault_plan::FaultPlan;
use crate::store::SandboxCustomer;

/// What happens to the valid rows of a PUT or POST that is rejected with 422 for its invalid rows.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchRejection {
    /// No row or attribute is stored.
    #[default]
    Atomic,
    /// The valid rows are stored, and the 422 names the invalid ones.
    Partial,
}

/// How the `errors` of a 422 name an invalid row.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorKeys {
    /// By index in the body and field: `"0.value"`.
    #[default]
    Indexed,
    /// By field only: `"value"`. If several rows are invalid in the same field, the last message
    /// is shown.
    Field,
    /// Not at all: `errors` is empty.
    Empty,
}

/// The status that rejects a PUT or DELETE, or a POST of customers, that is too large.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooLarge {
    /// 422 with empty `errors`.
    #[default]
    Status422,
    /// 413.
    Status413,
}

impl TooLarge {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Status422 => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Status413 => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

/// What happens to a PUT that names the same customer and attribute more than once.
///
/// If the rows are accepted, the response shows the value once, at the position of the first row.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// The last row is stored.
    #[default]
    LastWins,
    /// The first row is stored.
    FirstWins,
    /// Rows after the first are invalid.
    Rejected,
}

/// The order of `data` in the response to a PUT.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseOrder {
    /// The order of the rows in the request.
    #[default]
    AsSent,
    /// By the values' IDs, ascending.
    ById,
    /// The reverse order of the rows in the request.
    Reversed,
}

/// What happens to a DELETE that names an unknown ID.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownId {
    /// The ID is ignored, and the response is a 204.
    #[default]
    Ignored,
    /// The DELETE is rejected with 404, and nothing is deleted.
    NotFound,
    /// The DELETE is rejected with 422, and nothing is deleted.
    Unprocessable,
}

/// The order in which a GET lists values.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// By the values' IDs, ascending. New values are added at the end.
    #[default]
    ById,
    /// By customer, then by ID. A new value shifts the values after it.
    ByCustomer,
    /// By the values' IDs, descending. A new value shifts all others.
    NewestFirst,
    /// By the date of the last change, oldest first, then by ID. A written value moves to the end
    /// and shifts the values after it.
    ByModified,
}

/// What happens to a GET whose `limit` exceeds [`page_limit`](crate::SandboxBuilder::page_limit).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitTooLarge {
    /// The GET is rejected with 422.
    #[default]
    Status422,
    /// The GET is rejected with 413.
    Status413,
    /// The page has the largest size allowed, and `per_page` says so.
    Clamped,
}

/// What the response to a GET contains in `meta`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListMeta {
    /// The complete pagination.
    #[default]
    Full,
    /// A pagination without `total` and `total_pages`.
    NoTotals,
    /// No `meta` at all.
    None,
}

/// When a GET of customers splits the list in `email:in` at its commas.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailListSplit {
    /// After the value is decoded: `%2C` separates addresses too, so no address can contain a comma.
    #[default]
    AfterDecoding,
    /// Before the value is decoded: only a literal comma separates addresses, and `%2C` is a part of
    /// an address.
    BeforeDecoding,
}

/// Whether lists of customers have cursors.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cursors {
    /// `after` and `before` select a page, and `meta` contains `cursor_pagination`.
    #[default]
    Supported,
    /// `after` and `before` are rejected with 422, and `meta` contains no cursors.
    Rejected,
    /// `after` and `before` have no effect, and `meta` contains no cursors.
    Ignored,
}

pub(crate) type RejectRule = Arc<dyn Fn(i64, i64, &str) -> Option<String> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    pub port: u16,
    pub store_hash: String,
    pub token: Option<String>,
    pub read_only: bool,
    pub starts_at: Option<DateTime<Utc>>,
    pub date_header: bool,
    pub latency: Duration,
    pub quota: Option<(u64, Duration)>,
    pub other_app: Option<(u64, f64)>,
    pub retry_after: bool,
    pub in_flight: usize,
    pub customers_per_call: usize,
    pub rows_per_call: Option<usize>,
    pub page_limit: usize,
    pub delete_limit: Option<usize>,
    pub batch_rejection: BatchRejection,
    pub error_keys: ErrorKeys,
    pub too_large: TooLarge,
    pub duplicates: Duplicates,
    pub response_order: ResponseOrder,
    pub unknown_id: UnknownId,
    pub list_order: ListOrder,
    pub list_meta: ListMeta,
    pub limit_too_large: LimitTooLarge,
    pub ignore_filters: bool,
    pub ignored_filters: HashSet<String>,
    pub extra_fields: BTreeSet<String>,
    pub extra_filters: BTreeSet<String>,
    pub email_list_split: EmailListSplit,
    pub distinguish_email_case: bool,
    pub cursors: Cursors,
    pub url_limit: usize,
    pub attributes: BTreeMap<i64, (String, AttributeType)>,
    pub customers: Vec<SandboxCustomer>,
    /// Customer, attribute and value of what is stored at the start.
    pub values: Vec<(i64, i64, String)>,
    pub known_attributes: Option<HashSet<i64>>,
    pub reject_undefined_attributes: bool,
    pub reject: Option<RejectRule>,
    pub faults: FaultPlan,
}

impl Settings {
    /// Returns `true` if lists ignore the filter.
    pub(crate) fn ignores_filter(&self, name: &str) -> bool {
        self.ignore_filters || self.ignored_filters.contains(name)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            store_hash: "sandbox".to_owned(),
            token: None,
            read_only: false,
            starts_at: None,
            date_header: true,
            latency: Duration::ZERO,
            quota: None,
            other_app: None,
            retry_after: true,
            in_flight: 3,
            customers_per_call: 10,
            rows_per_call: None,
            page_limit: 250,
            delete_limit: None,
            batch_rejection: BatchRejection::default(),
            error_keys: ErrorKeys::default(),
            too_large: TooLarge::default(),
            duplicates: Duplicates::default(),
            response_order: ResponseOrder::default(),
            unknown_id: UnknownId::default(),
            list_order: ListOrder::default(),
            list_meta: ListMeta::default(),
            limit_too_large: LimitTooLarge::default(),
            ignore_filters: false,
            ignored_filters: HashSet::new(),
            extra_fields: BTreeSet::new(),
            extra_filters: BTreeSet::new(),
            email_list_split: EmailListSplit::default(),
            distinguish_email_case: false,
            cursors: Cursors::default(),
            url_limit: 8192,
            attributes: BTreeMap::new(),
            customers: Vec::new(),
            values: Vec::new(),
            known_attributes: None,
            reject_undefined_attributes: false,
            reject: None,
            faults: FaultPlan::none(),
        }
    }
}
