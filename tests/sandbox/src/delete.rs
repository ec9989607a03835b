use hyper::StatusCode;

use crate::query::{self, InvalidParameter};
use crate::settings::UnknownId;
use crate::state::Shared;
use crate::wire::ApiResponse;

pub(crate) fn delete(shared: &Shared, query: Option<&str>) -> ApiResponse {
    let settings = &shared.settings;
    let mut ids = None;
    for (name, text) in query::parameters(query) {
        let parsed = match &*name {
            "id:in" => query::ids(&name, &text),
            _ => Err(InvalidParameter::unknown(&name)),
        };
        match parsed {
            Ok(parsed) => ids = Some(parsed),
            Err(invalid) => return invalid.into_response(),
        }
    }
    let Some(ids) = ids else {
        return InvalidParameter::new("id:in", "is required").into_response();
    };
    if let Some(limit) = settings.delete_limit
        && ids.len() > limit
    {
        let count = ids.len();
        let title = format!("The request has {count} IDs; at most {limit} are allowed");
        return ApiResponse::problem(settings.too_large.status(), &title);
    }

    let store = &mut shared.lock().store;
    if ids.iter().any(|id| store.get(*id).is_none()) {
        let title = "An ID is unknown";
        match settings.unknown_id {
            UnknownId::Ignored => {}
            UnknownId::NotFound => return ApiResponse::problem(StatusCode::NOT_FOUND, title),
            UnknownId::Unprocessable => {
                return ApiResponse::problem(StatusCode::UNPROCESSABLE_ENTITY, title);
            }
        }
    }
    for id in ids {
        store.remove(id);
    }
    ApiResponse::no_content()
}
