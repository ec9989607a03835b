use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::attributes::StoredAttribute;
use crate::extra_fields::ExtraFields;
use crate::store::{StoredCustomer, StoredValue};

/// A response before it is sent.
pub(crate) struct ApiResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl ApiResponse {
    pub(crate) fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// Creates a response without headers and body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Creates the HTML response of a gateway.
    pub(crate) fn html(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        let code = status.as_u16();
        let body = format!(
            "<!DOCTYPE html>\n<html><head><title>{code} {title}</title></head>\
             <body><h1>{title}</h1></body></html>\n"
        );
        let mut response = Self::empty(status);
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers.insert(CONTENT_TYPE, html);
        response.body = body.into();
        response
    }

    pub(crate) fn page(data: impl Serialize, meta: impl Into<Meta>) -> Self {
        let meta = meta.into();
        Self::json(StatusCode::OK, &Page { data, meta })
    }

    /// Creates an error response that names no field.
    pub(crate) fn problem(status: StatusCode, title: &str) -> Self {
        Self::problem_with_errors(status, title, Map::new())
    }

    pub(crate) fn problem_with_errors(
        status: StatusCode,
        title: &str,
        errors: Map<String, Value>,
    ) -> Self {
        Self::json(
            status,
            &Problem {
                status: status.as_u16(),
                title,
                r#type: "https://developer.bigcommerce.com/docs/start/about/status-codes",
                errors,
            },
        )
    }

    fn json(status: StatusCode, body: &impl Serialize) -> Self {
        // Serializing these types can't fail: their keys are strings.
        let (status, body) = match serde_json::to_vec(body) {
            Ok(body) => (status, body),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self {
            status,
            headers,
            body: body.into(),
        }
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    status: u16,
    title: &'a str,
    r#type: &'static str,
    errors: Map<String, Value>,
}

#[derive(Serialize)]
struct Page<D> {
    data: D,
    #[serde(skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

/// Serializes as an array of [`ValueRecord`]s.
pub(crate) struct ValueRecords<'a>(pub &'a [StoredValue]);

impl Serialize for ValueRecords<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|value| ValueRecord {
            id: value.id,
            attribute_id: value.attribute_id,
            attribute_value: &value.value,
            customer_id: value.customer_id,
            date_modified: value.date_modified,
            date_created: value.date_created,
            extra: &value.extra,
        }))
    }
}

/// A value in a response. Requests call `attribute_value` just `value`.
#[derive(Serialize)]
struct ValueRecord<'a> {
    attribute_id: i64,
    attribute_value: &'a str,
    customer_id: i64,
    id: i64,
    #[serde(serialize_with = "serialize_date")]
    date_modified: DateTime<Utc>,
    #[serde(serialize_with = "serialize_date")]
    date_created: DateTime<Utc>,
    #[serde(flatten)]
    extra: &'a ExtraFields,
}

/// Serializes as an array of [`AttributeRecord`]s.
pub(crate) struct AttributeRecords<I>(pub I);

impl<'a, I> Serialize for AttributeRecords<I>
where
    I: Iterator<Item = &'a StoredAttribute> + Clone,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone().map(|attribute| AttributeRecord {
            id: attribute.id,
            name: &attribute.name,
            r#type: attribute.attribute_type.to_string(),
            date_modified: attribute.date_modified,
            date_created: attribute.date_created,
        }))
    }
}

#[derive(Serialize)]
struct AttributeRecord<'a> {
    id: i64,
    name: &'a str,
    r#type: String,
    #[serde(serialize_with = "serialize_date")]
    date_modified: DateTime<Utc>,
    #[serde(serialize_with = "serialize_date")]
    date_created: DateTime<Utc>,
}

/// A customer in a response. Details that the customer doesn't have are absent.
#[derive(Serialize)]
pub(crate) struct CustomerRecord<'a> {
    id: i64,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_group_id: Option<i64>,
    origin_channel_id: i64,
    /// `null` stands for all channels.
    channel_ids: Option<&'a [i64]>,
    #[serde(serialize_with = "serialize_date")]
    date_created: DateTime<Utc>,
    #[serde(serialize_with = "serialize_date")]
    date_modified: DateTime<Utc>,
}

impl<'a> From<&'a StoredCustomer> for CustomerRecord<'a> {
    fn from(customer: &'a StoredCustomer) -> Self {
        Self {
            id: customer.id,
            email: &customer.email,
            first_name: customer.first_name.as_deref(),
            last_name: customer.last_name.as_deref(),
            customer_group_id: customer.customer_group_id,
            origin_channel_id: customer.origin_channel_id,
            channel_ids: customer.channel_ids.as_deref(),
            date_created: customer.date_created,
            date_modified: customer.date_modified,
        }
    }
}

/// Serializes the date as one string. `chrono`'s own implementation writes character by character,
/// which took a quarter of the time of an upsert.
fn serialize_date<S: Serializer>(date: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&date.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The `meta` of a page, omitted if it is empty.
#[derive(Serialize)]
pub(crate) struct Meta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor_pagination: Option<CursorPagination>,
}

impl Meta {
    fn is_empty(&self) -> bool {
        self.pagination.is_none() && self.cursor_pagination.is_none()
    }
}

impl<P: Into<Option<Pagination>>> From<P> for Meta {
    fn from(pagination: P) -> Self {
        Self {
            pagination: pagination.into(),
            cursor_pagination: None,
        }
    }
}

/// The cursors of the first and the last item of a page, both empty if the page is empty.
#[derive(Serialize)]
pub(crate) struct CursorPagination {
    pub start_cursor: String,
    pub end_cursor: String,
}

#[derive(Serialize)]
pub(crate) struct Pagination {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    pub count: usize,
    pub per_page: usize,
    pub current_page: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_pages: Option<usize>,
    pub links: Links,
}

/// Absolute URLs, empty if there is no such page.
#[derive(Serialize)]
pub(crate) struct Links {
    pub previous: String,
    pub current: String,
    pub next: String,
}
