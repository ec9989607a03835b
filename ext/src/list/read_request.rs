//! Reading the values of some customers within one task, for runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bigcommerce_sdk::types;

use super::filter::{Filter, Query};
use super::pages::fetch;
use crate::client::{
    AttemptInfo, CallFailure, CallOutcome, Client, Lease, Operation, PageHead, PageId, PageSize,
    RequestOutcome, RunContext, Shortfall, read_pages, request,
};
use crate::date_filter::FilterMatch;
use crate::error::Error;

/// A request for the values of these attributes of these customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadRequest {
    pub customers: BTreeSet<i64>,
    pub attributes: BTreeSet<i64>,
}

/// The values that a read has found.
#[derive(Clone, Debug)]
pub(crate) struct ReadValues {
    pub values: Vec<types::AttributeValue>,
    /// Why values may be missing. Then only the values that are there are known.
    pub incomplete: Option<Error>,
}

/// Reads the requested values from the store.
pub(crate) async fn read(
    client: &Client,
    run: &RunContext,
    number: u64,
    request: ReadRequest,
) -> CallOutcome<ReadValues> {
    let filter = Filter {
        customers: Some(request.customers.into_iter().collect()),
        attributes: Some(request.attributes.into_iter().collect()),
        ..Filter::default()
    };
    let filter = match filter.validate() {
        Ok(filter) => filter,
        Err(error) => return CallOutcome::new(Err(CallFailure::from(error)), 0),
    };
    let queries = filter.queries(client.base_url());
    let queries: Vec<_> = queries.into_iter().map(Arc::new).collect();
    let fetch_page = |query: Arc<Query>, page: PageId, size| async move {
        fetch(client, run, number, &query, None, page.number, size).await
    };
    let mut values = BTreeMap::new();
    let accept = |page: types::AttributeValuePage| {
        // A server that ignores the filter lists the whole store, including the customers that the
        // run is writing at the same time.
        if page
            .data
            .iter()
            .any(|value| filter.check(value) == FilterMatch::Excluded)
        {
            return Err(CallFailure::from(Error::filter_ignored("values")));
        }
        let before = values.len();
        for value in page.data {
            values.insert((value.customer_id, value.attribute_id), value);
        }
        Ok((values.len() - before) as u64)
    };
    let page_size = PageSize::new(client, None);
    let outcome = read_pages(&queries, page_size, fetch_page, PageHead::of_values, accept).await;
    let read = |shortfall: Option<Shortfall>| ReadValues {
        values: values.into_values().collect(),
        incomplete: shortfall.map(|shortfall| {
            let Shortfall {
                received,
                total,
                unreadable,
            } = shortfall;
            Error::incomplete_list("values", received, total, unreadable, "")
        }),
    };
    CallOutcome::new(outcome.result.map(read), outcome.requests)
}

/// Requests a single value once, to learn whether the store responds.
pub(crate) async fn check(
    client: &Client,
    run: &RunContext,
    number: u64,
    lease: Lease,
) -> RequestOutcome<types::AttributeValuePage> {
    let attempt = AttemptInfo {
        call: number,
        number: 1,
        previous_failure: None,
    };
    let operation = Operation::list(1, None);
    let query = Query::default();
    let send = |sdk| query.send(sdk, 1, 1);
    request(client, run, &operation, attempt, lease, send).await
}

/// Requests a single value, to learn whether the endpoint exists.
pub(crate) async fn probe(
    client: &Client,
    run: &RunContext,
    number: u64,
) -> CallOutcome<types::AttributeValuePage> {
    fetch(client, run, number, &Arc::new(Query::default()), None, 1, 1).await
}
