use crate::filter::Filter;
use crate::paging::{self, List, Paging};
use crate::query;
use crate::state::Shared;
use crate::wire::{Answer, Values};

pub(crate) fn get(shared: &Shared, query: Option<&str>) -> Answer {
    let parameters = query::parameters(query);
    let settings = &shared.settings;
    let mut filter = Filter::default();
    let paging = Paging::parse(settings, &parameters, |name, text| filter.set(name, text));
    let paging = match paging {
        Ok(paging) => paging,
        Err(bad) => return bad.into_answer(),
    };
    let (total, values) = {
        let state = &mut *shared.lock();
        let filter = filter.resolve(&state.attributes);
        let (offset, order) = (paging.offset(), settings.list_order);
        state
            .lists
            .page(&state.store, filter, order, offset, paging.limit)
    };
    let list = List {
        base_url: &shared.base_url,
        path: paging::VALUES,
        parameters: &parameters,
    };
    let pagination = paging.describe(settings.list_meta, &list, total, values.len());
    Answer::page(Values(&values), pagination)
}
