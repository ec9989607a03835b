use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use crate::settings::ErrorKeys;
use crate::wire::Answer;

/// What is wrong with a row, and with which of its fields.
#[derive(Debug)]
pub(crate) struct BadRow {
    pub field: &'static str,
    pub message: String,
}

impl BadRow {
    pub(crate) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            message: message.into(),
        }
    }
}

/// A body that has no rows to speak of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BadBody {
    OtherType,
    Malformed,
    NotAnArray,
    Empty,
}

impl BadBody {
    pub(crate) fn into_answer(self) -> Answer {
        let (status, title) = match self {
            Self::OtherType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Content-Type must be application/json",
            ),
            Self::Malformed => (StatusCode::BAD_REQUEST, "The body is not JSON"),
            Self::NotAnArray => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "The body must be an array",
            ),
            Self::Empty => (StatusCode::UNPROCESSABLE_ENTITY, "The body holds no rows"),
        };
        Answer::problem(status, title)
    }
}

pub(crate) fn check_type(headers: &HeaderMap) -> Result<(), BadBody> {
    let sent = headers
        .get(CONTENT_TYPE)
        .and_then(|sent| sent.to_str().ok());
    // Parameters such as a charset may follow.
    let essence = sent.and_then(|sent| sent.split(';').next());
    if essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        Ok(())
    } else {
        Err(BadBody::OtherType)
    }
}

pub(crate) fn array(body: &[u8]) -> Result<Vec<Value>, BadBody> {
    match serde_json::from_slice(body) {
        Ok(Value::Array(rows)) => Ok(rows),
        Ok(_) => Err(BadBody::NotAnArray),
        Err(_) => Err(BadBody::Malformed),
    }
}

/// The 422 for bad rows, each with its index in the body.
pub(crate) fn refuse(keys: ErrorKeys, bad: Vec<(usize, BadRow)>) -> Answer {
    let named = bad
        .into_iter()
        .filter_map(|(index, BadRow { field, message })| {
            let key = match keys {
                ErrorKeys::Indexed => format!("{index}.{field}"),
                ErrorKeys::Field => field.to_owned(),
                ErrorKeys::Empty => return None,
            };
            Some((key, message.into()))
        });
    Answer::problem_with(
        StatusCode::UNPROCESSABLE_ENTITY,
        "The batch has rows that are not valid",
        named.collect(),
    )
}
