//! Pages that are read one after the other, within one task.

use super::page_size::PageSize;
use super::scheduler::{PageHead, PageId, PageScheduler, Shortfall};
use crate::client::{CallFailure, CallOutcome};

/// Reads all pages of all queries, and returns what is missing, if anything is.
///
/// `fetch` requests a page of the given size. `head` returns the head of a page. `accept` takes the
/// page and returns the number of its values that no earlier page had, or an error that ends the
/// reading.
pub(crate) async fn read_pages<Q: Clone, T, Fut>(
    queries: &[Q],
    mut page_size: PageSize,
    fetch: impl Fn(Q, PageId, u64) -> Fut,
    head: impl Fn(&T) -> PageHead,
    mut accept: impl FnMut(T) -> Result<u64, CallFailure>,
) -> CallOutcome<Option<Shortfall>>
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
        match result {
            Ok(content) => {
                let head = head(&content);
                scheduler.record(page, content, Some(&head));
            }
            Err(failure) => return CallOutcome::new(Err(failure), requests),
        }
        let delivered = scheduler.deliver(|content| match accept(content) {
            Ok(new) => (Ok(()), new),
            Err(failure) => (Err(failure), 0),
        });
        if let Some(Err(failure)) = delivered {
            return CallOutcome::new(Err(failure), requests);
        }
    }
    CallOutcome::new(Ok(scheduler.shortfall()), requests)
}
