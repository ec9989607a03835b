use crate::filter::Filter;
use crate::paging::{self, List, Paging, Parameters};
use crate::query::{self, BadParameter};
use crate::state::Shared;
use crate::wire::{Answer, Values};

pub(crate) fn get(shared: &Shared, query: Option<&str>) -> Answer {
    let parameters = query::parameters(query);
    let (paging, filter) = match parse(shared, &parameters) {
        Ok(asked) => asked,
        Err(bad) => return bad.into_answer(),
    };
    let (total, values) = {
        let state = shared.lock();
        let filter = filter.resolve(&state.attributes);
        filter.select(&state.store, paging.offset(), paging.limit)
    };
    let list = List {
        base_url: &shared.base_url,
        path: paging::VALUES,
        parameters: &parameters,
    };
    let pagination = paging.describe(&list, total, values.len());
    Answer::page(Values(&values), pagination)
}

fn parse(shared: &Shared, parameters: &Parameters<'_>) -> Result<(Paging, Filter), BadParameter> {
    let mut paging = Paging::new(&shared.settings);
    let mut filter = Filter::default();
    for (name, text) in parameters {
        if !paging.set(name, text, &shared.settings)? {
            filter.set(name, text)?;
        }
    }
    Ok((paging, filter))
}
