//! Pages that are read one after the other, within one task.

use bigcommerce_sdk::types::Pagination;

use super::page_size::PageSize;
use super::scheduler::{FirstKey, PageId, PageScheduler};
use crate::client::{CallFailure, CallOutcome};

/// A page as [`read_pages`] needs it.
pub(crate) struct PageHead {
    pub pagination: Option<Pagination>,
    pub first: Option<FirstKey>,
}

/// Reads all pages of a number of queries, and returns how many requests that took.
///
/// `fetch` requests a page of the given size. `accept` takes the page and returns its head, or an
/// error that ends the reading.
pub(crate) async fn read_pages<T, Fut>(
    queries: usize,
    mut page_size: PageSize,
    fetch: impl Fn(PageId, u64) -> Fut,
    mut accept: impl FnMut(T) -> Result<PageHead, CallFailure>,
) -> CallOutcome<()>
where
    Fut: Future<Output = CallOutcome<T>>,
{
    let mut scheduler = PageScheduler::new(queries, 1);
    let mut requests = 0;
    while let Some((page, size)) = scheduler.next_fetch(page_size.get()) {
        let outcome = fetch(page, size).await;
        requests += outcome.requests;
        let head = match outcome.result {
            Ok(fetched) => {
                page_size.record_accepted(page.query, size);
                accept(fetched)
            }
            Err(failure)
                if page.number == 1 && page_size.try_shrink(page.query, size, &failure) =>
            {
                scheduler.restart(page);
                continue;
            }
            Err(failure) => Err(failure),
        };
        match head {
            Ok(head) => {
                scheduler.record(page, (), head.pagination.as_ref(), head.first);
                scheduler.next_delivery();
            }
            Err(failure) => return CallOutcome::new(Err(failure), requests),
        }
    }
    CallOutcome::new(Ok(()), requests)
}
