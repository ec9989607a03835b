use hyper::StatusCode;

use crate::query::{self, BadParameter};
use crate::settings::UnknownId;
use crate::state::Shared;
use crate::wire::Answer;

pub(crate) fn delete(shared: &Shared, query: Option<&str>) -> Answer {
    let settings = &shared.settings;
    let mut ids = None;
    for (name, text) in query::parameters(query) {
        let parsed = match &*name {
            "id:in" => query::ids(&name, &text),
            _ => Err(BadParameter::unknown(&name)),
        };
        match parsed {
            Ok(parsed) => ids = Some(parsed),
            Err(bad) => return bad.into_answer(),
        }
    }
    let Some(ids) = ids else {
        return BadParameter::new("id:in", "is required").into_answer();
    };
    if settings.delete_limit.is_some_and(|limit| ids.len() > limit) {
        return Answer::problem(settings.too_large.status(), "Too many IDs in one call");
    }

    let store = &mut shared.lock().store;
    if ids.iter().any(|id| store.get(*id).is_none()) {
        let title = "An ID is unknown";
        match settings.unknown_id {
            UnknownId::Ignored => {}
            UnknownId::NotFound => return Answer::problem(StatusCode::NOT_FOUND, title),
            UnknownId::Unprocessable => {
                return Answer::problem(StatusCode::UNPROCESSABLE_ENTITY, title);
            }
        }
    }
    for id in ids {
        store.remove(id);
    }
    Answer::no_content()
}
