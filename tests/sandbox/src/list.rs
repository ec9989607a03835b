pub(crate) mod customers;

use crate::active_fault::ActiveFault;
use crate::fault::Fault;
use crate::filter::ValueFilter;
use crate::paging::{self, ListUrl, PageRequest};
use crate::query;
use crate::response_faults;
use crate::settings::ListMeta;
use crate::state::Shared;
use crate::wire::{ApiResponse, ValueRecords};

pub(crate) fn get(
    shared: &Shared,
    query: Option<&str>,
    mut fault: Option<&mut ActiveFault>,
) -> ApiResponse {
    let parameters = query::parameters(query);
    let settings = &shared.settings;
    let mut filter = ValueFilter::default();
    let request = PageRequest::parse(settings, &parameters, |name, text| {
        if settings.extra_filters.contains(name) {
            filter.set_extra(name, text);
            return Ok(());
        }
        filter.set(name, text)
    });
    let request = match request {
        Ok(request) => request,
        Err(invalid) => return invalid.into_response(),
    };
    let (total, values) = {
        let state = &mut *shared.lock();
        let mut filter = filter.resolve_name(&state.attributes);
        if let Some(fault) = &fault
            && fault.fault == Fault::IgnoredFilters
            && !filter.is_unfiltered()
        {
            filter = ValueFilter::default();
            state.count_fault(fault.fault);
        }
        let (offset, order) = (request.offset(), settings.list_order);
        let (mut total, mut values) =
            state
                .page_cache
                .page(&state.store, filter, order, offset, request.limit);
        let has_totals = settings.list_meta == ListMeta::Full;
        if let Some(fault) = &mut fault
            && response_faults::apply_to_list(fault, offset, &mut values, &mut total, has_totals)
        {
            state.count_fault(fault.fault);
        }
        (total, values)
    };
    let list = ListUrl {
        base_url: &shared.base_url,
        path: paging::VALUES,
        parameters: &parameters,
    };
    let pagination = request.pagination(settings.list_meta, &list, total, values.len());
    ApiResponse::page(ValueRecords(&values), pagination)
}
