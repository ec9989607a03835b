use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use crate::settings::ErrorKeys;
use crate::wire::ApiResponse;

/// The reason why a row is rejected.
#[derive(Debug)]
pub(crate) struct InvalidRow {
    pub field: &'static str,
    pub message: String,
}

impl InvalidRow {
    pub(crate) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            message: message.into(),
        }
    }
}

/// The reason why a whole body is rejected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum InvalidBody {
    ContentType,
    Malformed,
    NotAnArray,
    Empty,
}

impl InvalidBody {
    pub(crate) fn into_response(self) -> ApiResponse {
        let (status, title) = match self {
            Self::ContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Content-Type must be application/json",
            ),
            Self::Malformed => (StatusCode::BAD_REQUEST, "The body is not valid JSON"),
            Self::NotAnArray => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "The body must be an array",
            ),
            Self::Empty => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "The body must contain at least one row",
            ),
        };
        ApiResponse::problem(status, title)
    }
}

pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), InvalidBody> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|header| header.to_str().ok());
    // Parameters such as a charset may follow the media type.
    let media_type = content_type.and_then(|text| text.split(';').next());
    if media_type.is_some_and(|text| text.trim().eq_ignore_ascii_case("application/json")) {
        Ok(())
    } else {
        Err(InvalidBody::ContentType)
    }
}

pub(crate) fn parse_array(body: &[u8]) -> Result<Vec<Value>, InvalidBody> {
    match serde_json::from_slice(body) {
        Ok(Value::Array(rows)) => Ok(rows),
        Ok(_) => Err(InvalidBody::NotAnArray),
        Err(_) => Err(InvalidBody::Malformed),
    }
}

/// Returns the 422 for invalid rows, each given with its index in the body.
pub(crate) fn reject_rows(keys: ErrorKeys, invalid: Vec<(usize, InvalidRow)>) -> ApiResponse {
    let errors = invalid
        .into_iter()
        .filter_map(|(index, InvalidRow { field, message })| {
            let key = match keys {
                ErrorKeys::Indexed => format!("{index}.{field}"),
                ErrorKeys::Field => field.to_owned(),
                ErrorKeys::Empty => return None,
            };
            Some((key, message.into()))
        });
    ApiResponse::problem_with_errors(
        StatusCode::UNPROCESSABLE_ENTITY,
        "The batch contains invalid rows",
        errors.collect(),
    )
}
