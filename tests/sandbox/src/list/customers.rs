use crate::active_fault::ActiveFault;
use crate::fault::Fault;
use crate::filter::CustomerFilter;
use crate::paging::{self, Cursor, ListUrl, PageRequest};
use crate::query::{self, InvalidParameter, Parameter};
use crate::response_faults;
use crate::settings::{EmailListSplit, ListMeta, Settings};
use crate::state::{Shared, State};
use crate::store::StoredCustomer;
use crate::wire::{ApiResponse, CustomerRecord, Meta};

pub(crate) fn get(
    shared: &Shared,
    query: Option<&str>,
    mut fault: Option<&mut ActiveFault>,
) -> ApiResponse {
    let settings = &shared.settings;
    let mut parameters = query::parameters(query);
    let mut request = match ListRequest::parse(settings, query, &mut parameters) {
        Ok(request) => request,
        Err(invalid) => return invalid.into_response(),
    };
    let has_pagination = request.cursor.is_none();
    let (total, cursors, customers) = {
        let state = &mut *shared.lock();
        if let Some(fault) = &fault
            && fault.fault == Fault::IgnoredFilters
            && !request.filter.is_unfiltered()
        {
            request.filter = CustomerFilter::default();
            state.count_fault(fault.fault);
        }
        let mut total = request.total(settings, state);
        let mut customers = request.customers(settings, state);
        let ends = customers.first().zip(customers.last());
        let ends = ends.map(|(first, last)| (first.id, last.id));
        let has_totals = has_pagination && settings.list_meta == ListMeta::Full;
        if let Some(fault) = &mut fault
            && response_faults::apply_to_list(
                fault,
                request.page.offset(),
                &mut customers,
                &mut total,
                has_totals,
            )
        {
            state.count_fault(fault.fault);
        }
        (total, Cursor::pagination(settings, ends), customers)
    };
    let list = ListUrl {
        base_url: &shared.base_url,
        path: paging::CUSTOMERS,
        parameters: &parameters,
    };
    let page = &request.page;
    let pagination = has_pagination
        .then(|| page.pagination(settings.list_meta, &list, total, customers.len()))
        .flatten();
    let records: Vec<CustomerRecord<'_>> = customers.iter().map(CustomerRecord::from).collect();
    let meta = Meta {
        pagination,
        cursor_pagination: cursors,
    };
    ApiResponse::page(records, meta)
}

struct ListRequest {
    filter: CustomerFilter,
    page: PageRequest,
    cursor: Option<Cursor>,
}

impl ListRequest {
    /// Parses the parameters, and removes those that the links to other pages don't repeat.
    fn parse(
        settings: &Settings,
        query: Option<&str>,
        parameters: &mut Vec<Parameter<'_>>,
    ) -> Result<Self, InvalidParameter> {
        let cursor = Cursor::take(settings, parameters)?;
        let mut filter = CustomerFilter::default();
        let page = PageRequest::parse(settings, parameters, |name, text| match name {
            "email:in" => filter.set_emails(match settings.email_list_split {
                EmailListSplit::AfterDecoding => text.split(',').map(str::to_owned).collect(),
                EmailListSplit::BeforeDecoding => query::split_then_decode(query, name),
            }),
            _ => filter.set(name, text),
        })?;
        Ok(Self {
            filter,
            page,
            cursor,
        })
    }

    /// Returns the number of matching customers, or 0 for a page by cursor, which doesn't show it.
    fn total(&self, settings: &Settings, state: &State) -> usize {
        if self.cursor.is_some() {
            return 0;
        }
        if self.filter.is_unfiltered() {
            return state.customers.len();
        }
        let all = Cursor::range(None);
        self.filter.select(settings, &state.customers, all).count()
    }

    /// Returns the customers on the page.
    fn customers(&self, settings: &Settings, state: &State) -> Vec<StoredCustomer> {
        let range = Cursor::range(self.cursor);
        let matching = self.filter.select(settings, &state.customers, range);
        let limit = self.page.limit;
        match self.cursor {
            None => {
                let page = matching.skip(self.page.offset()).take(limit);
                page.cloned().collect()
            }
            Some(Cursor::After(_)) => matching.take(limit).cloned().collect(),
            Some(Cursor::Before(_)) => {
                let mut page: Vec<StoredCustomer> = matching.rev().take(limit).cloned().collect();
                page.reverse();
                page
            }
        }
    }
}
