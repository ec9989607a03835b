//! Pages that are read one after the other, within one task.

use bigcommerce_sdk::types::Pagination;

use super::page_size::PageSize;
use super::scheduler::{FirstKey, PageId, PageScheduler};
use crate::client::{CallFailure, CallOutcome};

/// The pagination and the first item of a page.
pub(crate) struct PageHead {
    pub pagination: Option<Pagination>,
    pub first: Option<FirstKey>,
}

/// Reads all pages of all queries, and returns the number of requests.
///
/// `fetch` requests a page of the given size. `accept` takes the page and returns its head, or an
/// error that ends the reading.
pub(crate) async fn read_pages<Q: Clone, T, Fut>(
    queries: &[Q],
    mut page_size: PageSize,
    fetch: impl Fn(Q, PageId, u64) -> Fut,
    mut accept: impl FnMut(T) -> Result<PageHead, CallFailure>,
) -> CallOutcome<()>
where
    Fut: Future<Output = CallOutcome<T>>,
{
    let mut scheduler = PageScheduler::new(queries.len(), 1);
    let mut requests = 0;
    while let Some((page, size)) = scheduler.next_fetch(page_size.get())
        && let Some(query) = queries.get(page.query).cloned()
    {
        let outcome = fetch(query, page, size).await;
        requests += outcome.requests;
        let Some(result) = page_size.review(page, size, outcome.result) else {
            scheduler.restart(page);
            continue;
        };
        match result.and_then(&mut accept) {
            Ok(head) => {
                scheduler.record(page, (), head.pagination.as_ref(), head.first);
                scheduler.next_delivery();
            }
            Err(failure) => return CallOutcome::new(Err(failure), requests),
        }
    }
    CallOutcome::new(Ok(()), requests)
}
