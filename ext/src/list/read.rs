//! Lists that are read to their end within one task.

use std::sync::Arc;

use bigcommerce_sdk::types;

use super::filter::{FIXED, Filter, LONGEST_URL, Query};
use super::page_size::PageSize;
use super::pages::{fetch, first_of};
use super::plan::Plan;
use crate::batch::Read;
use crate::call::{Ended, Failed, Run};
use crate::error::Error;
use crate::store::{Shared, Store};

/// How many bytes of a URL lists of IDs can take.
pub(crate) fn room_for_ids(shared: &Shared) -> usize {
    LONGEST_URL.saturating_sub(shared.base_url().len() + FIXED)
}

/// Reads what the store holds for some attributes of some customers.
pub(crate) async fn read(
    store: &Store,
    run: &Run,
    number: u64,
    read: Read,
) -> Ended<Vec<types::AttributeValue>> {
    let filter = Filter {
        customers: Some(read.customers.into_iter().collect()),
        attributes: Some(read.attributes.into_iter().collect()),
        ..Filter::default()
    };
    let filter = match filter.checked() {
        Ok(filter) => filter,
        Err(error) => return Ended::of(Err(Failed::from(error)), 0),
    };
    let queries = filter.queries(store.shared().base_url());
    let mut values = Vec::new();
    let mut attempts = 0;
    let mut page_size = PageSize::new(store, None);
    for (query_number, query) in queries.into_iter().map(Arc::new).enumerate() {
        let mut plan = Plan::new(1, 1);
        while let Some((place, limit)) = plan.next_fetch(page_size.get()) {
            let ended = fetch(store, run, number, &query, None, place.1, limit).await;
            attempts += ended.attempts;
            match ended.result {
                Ok(page) => {
                    page_size.is_accepted(store, query_number, limit);
                    let first = first_of(&page);
                    let said = page.meta.and_then(|meta| meta.pagination);
                    plan.fetched(place, (), said.as_ref(), first);
                    plan.deliver();
                    // A server that leaves a filter out lists the whole store, and values of
                    // customers that are being written meanwhile.
                    if !page.data.iter().all(|value| filter.can_match(value)) {
                        let error = Error::not_selected();
                        return Ended::of(Err(Failed::from(error)), attempts);
                    }
                    values.extend(page.data);
                }
                Err(failed) if place.1 == 1 && page_size.shrinks(query_number, limit, &failed) => {
                    plan.begin_again(place);
                }
                Err(failed) => return Ended::of(Err(failed), attempts),
            }
        }
    }
    Ended::of(Ok(values), attempts)
}

/// Asks for as little as there can be, to know whether the endpoint is there.
pub(crate) async fn probe(
    store: &Store,
    run: &Run,
    number: u64,
) -> Ended<types::AttributeValuePage> {
    let query = Arc::new(Query::all());
    fetch(store, run, number, &query, None, 1, 1).await
}
