//! The streams of a list: its pages, and its values.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bigcommerce_sdk::types;
use futures_util::stream::{FusedStream, Stream};
use tokio::runtime::Handle;
use tracing::Instrument;

use super::filter::{Query, ValidFilter};
use super::id_set::IdSet;
use crate::client::{
    CallOutcome, CallSet, Client, Operation, PageHead, PageId, PageScheduler, PageSize, RunContext,
    TotalChange, call,
};
use crate::error::Error;
use crate::event::{Event, Observer};

/// A page of a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The page's number, counted from 1 over the whole list.
    pub number: u64,
    /// The page's values, except those that an earlier page has delivered.
    pub values: Vec<types::AttributeValue>,
}

/// The pages of a list, in order; see [`List::pages`](crate::List::pages).
///
/// Pages are fetched ahead, each in a task of its own. New requests start only while the stream is
/// polled: a slow reader slows the list down, but does not make it fail. The stream ends after the
/// first error.
///
/// Cancel safety: `next()` may be dropped and called again. Dropping the stream cancels the
/// requests in flight.
#[must_use = "streams do nothing unless polled"]
pub struct Pages {
    client: Client,
    run: Arc<RunContext>,
    queries: Vec<Arc<Query>>,
    scheduler: PageScheduler<Result<types::AttributeValuePage, Error>>,
    page_size: PageSize,
    calls: CallSet<(PageId, u64), types::AttributeValuePage>,
    calls_started: u64,
    requests: u64,
    runtime: Option<Handle>,
    delivered_ids: IdSet,
    delivered_pages: u64,
    changed_during_read: bool,
    /// The error of an invalid filter, to be yielded before anything is sent.
    invalid_filter: Option<Error>,
    is_done: bool,
}

impl Pages {
    pub(super) fn new(
        client: Client,
        filter: Result<ValidFilter, Error>,
        page_size: Option<u64>,
        observer: Observer,
    ) -> Self {
        let base_url = client.base_url();
        let (queries, invalid_filter) = match filter.map(|filter| filter.queries(base_url)) {
            Ok(queries) => (queries.into_iter().map(Arc::new).collect(), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Self {
            // Twice the requests in flight, so that one slow page does not stall the others.
            scheduler: PageScheduler::new(
                queries.len(),
                client.limits().max_in_flight.saturating_mul(2),
            ),
            run: Arc::new(RunContext::new(observer)),
            page_size: PageSize::new(&client, page_size),
            client,
            queries,
            calls: CallSet::default(),
            calls_started: 0,
            requests: 0,
            runtime: None,
            delivered_ids: IdSet::default(),
            delivered_pages: 0,
            changed_during_read: false,
            invalid_filter,
            is_done: false,
        }
    }

    /// Returns the number of values on all pages, according to the server's latest responses.
    ///
    /// It is `None` until the server has reported it for each query of the list.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.scheduler.total()
    }

    /// Returns `true` if the store changed during the read: the total changed, or a value came
    /// twice.
    ///
    /// Values may then be missing from the list, even values that did not change. Read the list
    /// again to be sure.
    ///
    /// A change goes unnoticed if, between two pages, one value is deleted and another one is added.
    #[must_use]
    pub fn changed_during_read(&self) -> bool {
        self.changed_during_read
    }

    /// Returns the number of requests so far, including retries.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Starts calls for the next pages. Returns `true` if there were any.
    fn start_calls(&mut self, runtime: &Handle) -> bool {
        let mut started = false;
        while self.calls.len() < self.client.limits().max_in_flight && self.run.may_start_call() {
            let Some((page, size)) = self.scheduler.next_fetch(self.page_size.get()) else {
                break;
            };
            let Some(query) = self.queries.get(page.query).map(Arc::clone) else {
                break;
            };
            started = true;
            let number = self.calls_started;
            self.calls_started += 1;
            let (client, run) = (self.client.clone(), Arc::clone(&self.run));
            let index = (self.queries.len() > 1).then_some(page.query);
            let task =
                async move { fetch(&client, &run, number, &query, index, page.number, size).await };
            let span =
                tracing::debug_span!("list_call", call = number, page = page.number, limit = size);
            let key = (page, size);
            self.calls
                .spawn(runtime, key, number, task.instrument(span));
        }
        started
    }

    /// Records the calls that have finished.
    fn poll_calls(&mut self, cx: &mut Context<'_>) {
        while let Some(((page, size), call, outcome)) = self.calls.poll_finished(cx) {
            self.requests += u64::from(outcome.requests);
            self.run.observer.notify(Event::CallFinished { call });
            let Some(result) = self.page_size.review(page, size, outcome.result) else {
                self.scheduler.restart(page);
                continue;
            };
            let change = match result {
                Ok(content) => {
                    let head = page_head(&content);
                    let pagination = head.pagination.as_ref();
                    self.scheduler
                        .record(page, Ok(content), pagination, head.first)
                }
                Err(failure) => self.scheduler.record(page, Err(failure.error), None, None),
            };
            if let Some(TotalChange { before, now }) = change {
                self.changed_during_read = true;
                self.run
                    .observer
                    .notify(Event::TotalChanged { before, now });
            }
        }
    }

    /// Removes the values that an earlier page has delivered.
    fn deliver(&mut self, page: types::AttributeValuePage) -> Page {
        self.delivered_pages += 1;
        let mut values = page.data;
        let count = values.len();
        values.retain(|value| value.id.is_none_or(|id| self.delivered_ids.insert(id)));
        self.changed_during_read |= values.len() < count;
        self.run.observer.notify(Event::Page {
            number: self.delivered_pages,
            values: values.len(),
            total: self.total(),
        });
        Page {
            number: self.delivered_pages,
            values,
        }
    }
}

/// Returns the pagination and the first value of a page.
pub(super) fn page_head(page: &types::AttributeValuePage) -> PageHead {
    let first = page.data.first();
    PageHead {
        pagination: page.meta.as_ref().and_then(|meta| meta.pagination.clone()),
        first: first.map(|first| (first.customer_id, first.attribute_id)),
    }
}

/// Fetches a page, with all retries.
pub(super) async fn fetch(
    client: &Client,
    run: &RunContext,
    call_number: u64,
    query: &Arc<Query>,
    query_index: Option<usize>,
    page: u64,
    size: u64,
) -> CallOutcome<types::AttributeValuePage> {
    let operation = Operation::list(page, query_index);
    call(client, run, &operation, call_number, |sdk| {
        let query = Arc::clone(query);
        async move { query.send(sdk, page, size).await }
    })
    .await
}

impl Stream for Pages {
    type Item = Result<Page, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(error) = this.invalid_filter.take() {
            this.is_done = true;
            return Poll::Ready(Some(Err(error)));
        }
        if this.is_done {
            return Poll::Ready(None);
        }
        let runtime = match this.runtime.clone().map_or_else(Handle::try_current, Ok) {
            Ok(runtime) => runtime,
            Err(error) => {
                this.is_done = true;
                let error = Error::invalid_input_from("lists need a tokio runtime", error);
                return Poll::Ready(Some(Err(error)));
            }
        };
        this.runtime = Some(runtime.clone());
        loop {
            this.poll_calls(cx);
            let started = this.start_calls(&runtime);
            let delivered = this.scheduler.next_delivery();
            this.is_done = this.scheduler.is_done();
            match delivered {
                Some(Ok(page)) => {
                    return Poll::Ready(Some(Ok(this.deliver(page))));
                }
                Some(Err(error)) => {
                    this.is_done = true;
                    this.calls = CallSet::default();
                    return Poll::Ready(Some(Err(error)));
                }
                None if this.is_done => return Poll::Ready(None),
                // A new task wakes this stream only after it has been polled once.
                None if started => {}
                None => return Poll::Pending,
            }
        }
    }
}

impl FusedStream for Pages {
    fn is_terminated(&self) -> bool {
        self.is_done && self.invalid_filter.is_none()
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("client", &self.client)
            .field("queries", &self.queries.len())
            .field("delivered_pages", &self.delivered_pages)
            .field("total", &self.total())
            .field("changed_during_read", &self.changed_during_read)
            .finish_non_exhaustive()
    }
}

/// The values of a list, page by page in order; see [`List::stream`](crate::List::stream).
///
/// Fetching, errors and cancel safety are as for [`Pages`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Values {
    pages: Pages,
    page: std::vec::IntoIter<types::AttributeValue>,
}

impl Values {
    pub(crate) fn with_filter(client: Client, filter: ValidFilter, observer: Observer) -> Self {
        Self::new(Pages::new(client, Ok(filter), None, observer))
    }

    pub(super) fn new(pages: Pages) -> Self {
        Self {
            pages,
            page: Vec::new().into_iter(),
        }
    }

    /// Returns the number of values on all pages; see [`Pages::total`].
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.pages.total()
    }

    /// Returns `true` if the store changed during the read, so that values may be missing; see
    /// [`Pages::changed_during_read`].
    #[must_use]
    pub fn changed_during_read(&self) -> bool {
        self.pages.changed_during_read()
    }

    /// Returns the number of requests so far, including retries.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.pages.requests()
    }
}

impl Stream for Values {
    type Item = Result<types::AttributeValue, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(value) = this.page.next() {
                return Poll::Ready(Some(Ok(value)));
            }
            match ready!(Pin::new(&mut this.pages).poll_next(cx)) {
                Some(Ok(page)) => this.page = page.values.into_iter(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl FusedStream for Values {
    fn is_terminated(&self) -> bool {
        self.page.as_slice().is_empty() && self.pages.is_terminated()
    }
}
