use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper::StatusCode;

use crate::attributes::AttributeType;
use crate::plan::FaultPlan;

/// What becomes of the good rows of a PUT that is answered 422 for its bad ones.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchRejection {
    /// Nothing of the batch is stored.
    #[default]
    Atomic,
    /// The good rows are stored; the answer is a 422 that names the bad ones.
    Partial,
}

/// How the `errors` of a 422 name a bad row.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorKeys {
    /// By index in the body and field: `"0.value"`.
    #[default]
    Indexed,
    /// By field only: `"value"`. Of several bad rows with the same field, the last one's message
    /// is shown.
    Field,
    /// Not at all: `errors` is empty.
    Empty,
}

/// The status that refuses too large a batch or too long a DELETE.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooLarge {
    /// 422, as for a bad row, with empty `errors`.
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

/// What the same customer and attribute twice in one PUT do.
///
/// Where they are accepted, the answer shows the record once, at the place of the first row.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// Rows are stored in order, so the last one stays.
    #[default]
    LastWins,
    /// Later rows are left out.
    FirstWins,
    /// Later rows are bad rows.
    Refused,
}

/// The order of `data` in the answer to a PUT.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerOrder {
    /// As the rows were sent.
    #[default]
    AsSent,
    /// By the values' IDs, ascending.
    ById,
    /// Last row first.
    Reversed,
}

/// What an unknown ID in a DELETE does.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownId {
    /// It is ignored: 204.
    #[default]
    Ignored,
    /// The whole call is refused with 404.
    NotFound,
    /// The whole call is refused with 422.
    Unprocessable,
}

/// The order in which a GET lists values.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// By the values' IDs, ascending: new values come at the end.
    #[default]
    ById,
    /// By customer, then by ID: new values come anywhere.
    ByCustomer,
    /// By the values' IDs, descending: a new value shifts all pages.
    NewestFirst,
    /// By the date of the last change, oldest first, then by ID: a value that is written moves to
    /// the end, and all after it shift.
    ByModified,
}

/// What a GET with a `limit` of more than [`page_limit`](crate::SandboxBuilder::page_limit) does.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitTooLarge {
    /// It is refused with 422.
    #[default]
    Status422,
    /// It is refused with 413.
    Status413,
    /// It is answered with as many as there may be, and `per_page` says so.
    Clamped,
}

/// What the `meta` of a GET's answer says.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListMeta {
    /// All that the reference shows.
    #[default]
    Full,
    /// Its pagination has neither `total` nor `total_pages`.
    NoTotals,
    /// Nothing: there is no `meta`.
    None,
}

pub(crate) type RejectRule = Arc<dyn Fn(i64, i64, &str) -> Option<String> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    pub port: u16,
    pub store_hash: String,
    pub token: Option<String>,
    pub read_only: bool,
    pub starts_at: Option<DateTime<Utc>>,
    pub latency: Duration,
    pub quota: Option<(u64, Duration)>,
    pub other_app: Option<(u64, f64)>,
    pub retry_after: bool,
    pub in_flight: usize,
    pub customers_per_call: usize,
    pub rows_per_call: Option<usize>,
    pub value_length: usize,
    pub page_limit: usize,
    pub delete_limit: Option<usize>,
    pub batch_rejection: BatchRejection,
    pub error_keys: ErrorKeys,
    pub too_large: TooLarge,
    pub duplicates: Duplicates,
    pub answer_order: AnswerOrder,
    pub unknown_id: UnknownId,
    pub list_order: ListOrder,
    pub list_meta: ListMeta,
    pub limit_too_large: LimitTooLarge,
    pub ignore_filters: bool,
    pub url_limit: usize,
    pub attributes: BTreeMap<i64, (String, AttributeType)>,
    pub known_attributes: Option<HashSet<i64>>,
    pub known_customers: Option<HashSet<i64>>,
    pub reject: Option<RejectRule>,
    pub faults: FaultPlan,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            store_hash: "sandbox".to_owned(),
            token: None,
            read_only: false,
            starts_at: None,
            latency: Duration::ZERO,
            quota: None,
            other_app: None,
            retry_after: true,
            in_flight: 3,
            customers_per_call: 10,
            rows_per_call: None,
            value_length: 255,
            page_limit: 250,
            delete_limit: None,
            batch_rejection: BatchRejection::default(),
            error_keys: ErrorKeys::default(),
            too_large: TooLarge::default(),
            duplicates: Duplicates::default(),
            answer_order: AnswerOrder::default(),
            unknown_id: UnknownId::default(),
            list_order: ListOrder::default(),
            list_meta: ListMeta::default(),
            limit_too_large: LimitTooLarge::default(),
            ignore_filters: false,
            url_limit: 8192,
            attributes: BTreeMap::new(),
            known_attributes: None,
            known_customers: None,
            reject: None,
            faults: FaultPlan::none(),
        }
    }
}
