use crate::filter::ValueFilter;
use crate::paging::{self, ListUrl, PageRequest};
use crate::query;
use crate::state::Shared;
use crate::wire::{ApiResponse, ValueRecords};

pub(crate) fn get(shared: &Shared, query: Option<&str>) -> ApiResponse {
    let parameters = query::parameters(query);
    let settings = &shared.settings;
    let mut filter = ValueFilter::default();
    let request = PageRequest::parse(settings, &parameters, |name, text| filter.set(name, text));
    let request = match request {
        Ok(request) => request,
        Err(invalid) => return invalid.into_response(),
    };
    let (total, values) = {
        let state = &mut *shared.lock();
        let filter = filter.resolve_name(&state.attributes);
        let (offset, order) = (request.offset(), settings.list_order);
        state
            .page_cache
            .page(&state.store, filter, order, offset, request.limit)
    };
    let list = ListUrl {
        base_url: &shared.base_url,
        path: paging::VALUES,
        parameters: &parameters,
    };
    let pagination = request.pagination(settings.list_meta, &list, total, values.len());
    ApiResponse::page(ValueRecords(&values), pagination)
}
