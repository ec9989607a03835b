//! Pages that are read one after the other, within one task.

use super::page_size::PageSize;
use super::scheduler::{PageHead, PageId, PageScheduler, Shortfall};
use crate::client::{CallFailure, CallOutcome};

/// Reads the pages of several queries, one request at a time.
pub(crate) struct PageReader<Q, T> {
    queries: Vec<Q>,
    page_size: PageSize,
    scheduler: PageScheduler<T>,
    requests: u32,
    total_changed: bool,
}

impl<Q: Clone, T> PageReader<Q, T> {
    pub(crate) fn new(queries: Vec<Q>, page_size: PageSize) -> Self {
        Self {
            scheduler: PageScheduler::new(queries.len(), 1),
            queries,
            page_size,
            requests: 0,
            total_changed: false,
        }
    }

    /// Requests the next page, for [`deliver`](Self::deliver). Returns `None` at the end.
    ///
    /// `fetch` requests a page of the given size. `head` returns the head of a page.
    pub(crate) async fn fetch<Fut>(
        &mut self,
        fetch: impl FnOnce(Q, PageId, u64) -> Fut,
        head: impl FnOnce(&T) -> PageHead,
    ) -> Option<Result<(), CallFailure>>
    where
        Fut: Future<Output = CallOutcome<T>>,
    {
        let (page, size) = self.scheduler.next_fetch(self.page_size.get())?;
        let query = self.queries.get(page.query)?.clone();
        let outcome = fetch(query, page, size).await;
        self.requests += outcome.requests;
        let Some(result) = self.page_size.review(page, size, outcome.result) else {
            self.scheduler.restart(page);
            return Some(Ok(()));
        };
        Some(result.map(|content| {
            let head = head(&content);
            let change = self.scheduler.record(page, content, Some(&head));
            self.total_changed |= change.is_some();
        }))
    }

    /// Delivers the next page in order, once it is there; see [`PageScheduler::deliver`].
    pub(crate) fn deliver<R>(&mut self, count_new: impl FnOnce(T) -> (R, u64)) -> Option<R> {
        self.scheduler.deliver(count_new)
    }

    /// Returns what is missing from the queries that have ended, if anything is.
    pub(crate) fn shortfall(&self) -> Option<Shortfall> {
        self.scheduler.shortfall()
    }

    /// Returns the number of records on all pages, once the server has reported it for each query.
    pub(crate) fn total(&self) -> Option<u64> {
        self.scheduler.total()
    }

    /// Returns `true` if the server's total changed between two pages.
    pub(crate) fn has_total_changed(&self) -> bool {
        self.total_changed
    }

    /// Returns the number of requests so far.
    pub(crate) fn requests(&self) -> u32 {
        self.requests
    }
}

/// Reads all pages of all queries, and returns what is missing, if anything is.
///
/// `fetch` and `head` are as for [`PageReader::fetch`]. `accept` takes the page and returns the
/// number of its values that no earlier page had, or an error that ends the reading.
pub(crate) async fn read_pages<Q: Clone, T, Fut>(
    queries: &[Q],
    page_size: PageSize,
    fetch: impl Fn(Q, PageId, u64) -> Fut,
    head: impl Fn(&T) -> PageHead,
    mut accept: impl FnMut(T) -> Result<u64, CallFailure>,
) -> CallOutcome<Option<Shortfall>>
where
    Fut: Future<Output = CallOutcome<T>>,
{
    let mut reader = PageReader::new(queries.to_vec(), page_size);
    while let Some(fetched) = reader.fetch(&fetch, &head).await {
        let delivered = match fetched {
            Ok(()) => reader.deliver(|content| match accept(content) {
                Ok(new) => (Ok(()), new),
                Err(failure) => (Err(failure), 0),
            }),
            Err(failure) => Some(Err(failure)),
        };
        if let Some(Err(failure)) = delivered {
            return CallOutcome::new(Err(failure), reader.requests());
        }
    }
    CallOutcome::new(Ok(reader.shortfall()), reader.requests())
}
