use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde::{Serialize, Serializer};

use crate::attributes::StoredAttribute;
use crate::body::AnswerBody;
use crate::store::StoredValue;

/// An answer that is not on its way yet.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub(crate) fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// A status, and nothing else.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// What a gateway says, where a store would say it in JSON.
    pub(crate) fn html(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        let code = status.as_u16();
        let body = format!(
            "<!DOCTYPE html>\n<html><head><title>{code} {title}</title></head>\
             <body><h1>{title}</h1></body></html>\n"
        );
        let mut answer = Self::empty(status);
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        answer.headers.insert(CONTENT_TYPE, html);
        answer.body = body.into();
        answer
    }

    pub(crate) fn page(data: impl Serialize, pagination: impl Into<Option<Pagination>>) -> Self {
        let meta = pagination.into().map(|pagination| Meta { pagination });
        Self::json(StatusCode::OK, &Page { data, meta })
    }

    /// A refusal that names no field.
    pub(crate) fn problem(status: StatusCode, title: &str) -> Self {
        Self::problem_with(status, title, serde_json::Map::new())
    }

    pub(crate) fn problem_with(
        status: StatusCode,
        title: &str,
        errors: serde_json::Map<String, serde_json::Value>,
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
        // Our own shapes have string keys and nothing that can fail; were it otherwise, a 500 is
        // what a server says.
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

    pub(crate) fn into_response(self) -> Response<AnswerBody> {
        self.into_response_with(|body| AnswerBody::Left(Full::new(body)))
    }

    /// As an answer whose body is sent in a way of its own.
    pub(crate) fn into_response_with(
        self,
        body: impl FnOnce(Bytes) -> AnswerBody,
    ) -> Response<AnswerBody> {
        let mut response = Response::new(body(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    status: u16,
    title: &'a str,
    r#type: &'static str,
    errors: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct Page<D> {
    data: D,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<Meta>,
}

pub(crate) struct Values<'a>(pub &'a [StoredValue]);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|value| Value {
            id: value.id,
            attribute_id: value.attribute_id,
            attribute_value: &value.value,
            customer_id: value.customer_id,
            date_modified: value.date_modified,
            date_created: value.date_created,
        }))
    }
}

/// What a request calls `value` is `attribute_value` here.
#[derive(Serialize)]
struct Value<'a> {
    attribute_id: i64,
    attribute_value: &'a str,
    customer_id: i64,
    id: i64,
    #[serde(serialize_with = "date")]
    date_modified: DateTime<Utc>,
    #[serde(serialize_with = "date")]
    date_created: DateTime<Utc>,
}

pub(crate) struct Definitions<I>(pub I);

impl<'a, I> Serialize for Definitions<I>
where
    I: Iterator<Item = &'a StoredAttribute> + Clone,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone().map(|attribute| Definition {
            id: attribute.id,
            name: &attribute.name,
            r#type: attribute.attribute_type.to_string(),
            date_modified: attribute.date_modified,
            date_created: attribute.date_created,
        }))
    }
}

#[derive(Serialize)]
struct Definition<'a> {
    id: i64,
    name: &'a str,
    r#type: String,
    #[serde(serialize_with = "date")]
    date_modified: DateTime<Utc>,
    #[serde(serialize_with = "date")]
    date_created: DateTime<Utc>,
}

/// As text in one piece: `chrono` hands it over by the character, which took a quarter of an
/// upsert.
fn date<S: Serializer>(date: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&date.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[derive(Serialize)]
struct Meta {
    pagination: Pagination,
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

/// Whole URLs, empty where there is no such page.
#[derive(Serialize)]
pub(crate) struct Links {
    pub previous: String,
    pub current: String,
    pub next: String,
}
