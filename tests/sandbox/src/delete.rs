use std::collections::HashSet;

use hyper::StatusCode;

use crate::query::{self, InvalidParameter};
use crate::settings::{Settings, UnknownId};
use crate::state::Shared;
use crate::wire::ApiResponse;

/// Deletes values by their IDs.
pub(crate) fn delete(shared: &Shared, query: Option<&str>) -> ApiResponse {
    let settings = &shared.settings;
    let ids = match parse_ids(query) {
        Ok(ids) => ids,
        Err(invalid) => return invalid.into_response(),
    };
    if let Some(rejection) = reject_count(settings, ids.len()) {
        return rejection;
    }
    let store = &mut shared.lock().store;
    let is_unknown = ids.iter().any(|id| store.get(*id).is_none());
    if let Some(rejection) = is_unknown.then(|| reject_unknown(settings)).flatten() {
        return rejection;
    }
    for id in ids {
        store.remove(id);
    }
    ApiResponse::no_content()
}

/// Deletes attributes by their IDs, and the values of all customers for them.
pub(crate) fn delete_attributes(shared: &Shared, query: Option<&str>) -> ApiResponse {
    let settings = &shared.settings;
    let ids = match parse_ids(query) {
        Ok(ids) => ids,
        Err(invalid) => return invalid.into_response(),
    };
    if let Some(rejection) = reject_count(settings, ids.len()) {
        return rejection;
    }
    let state = &mut *shared.lock();
    let is_unknown = ids.iter().any(|id| state.attributes.get(*id).is_none());
    if let Some(rejection) = is_unknown.then(|| reject_unknown(settings)).flatten() {
        return rejection;
    }
    for id in ids {
        if state.attributes.delete(id) {
            state.store.remove_attribute(id);
        }
    }
    ApiResponse::no_content()
}

fn parse_ids(query: Option<&str>) -> Result<HashSet<i64>, InvalidParameter> {
    let mut ids = None;
    for (name, text) in query::parameters(query) {
        ids = match &*name {
            "id:in" => Some(query::ids(&name, &text)?),
            _ => return Err(InvalidParameter::unknown(&name)),
        };
    }
    ids.ok_or_else(|| InvalidParameter::new("id:in", "is required"))
}

/// Returns the rejection if there are more IDs than allowed.
fn reject_count(settings: &Settings, count: usize) -> Option<ApiResponse> {
    let limit = settings.delete_limit.filter(|limit| count > *limit)?;
    let title = format!("The request has {count} IDs; at most {limit} are allowed");
    Some(ApiResponse::problem(settings.too_large.status(), &title))
}

/// Returns the rejection for an unknown ID, unless such IDs are ignored.
fn reject_unknown(settings: &Settings) -> Option<ApiResponse> {
    let status = match settings.unknown_id {
        UnknownId::Ignored => return None,
        UnknownId::NotFound => StatusCode::NOT_FOUND,
        UnknownId::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Some(ApiResponse::problem(status, "An ID is unknown"))
}
