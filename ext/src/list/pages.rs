//! The streams that read a list: its pages, and their values.

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
    /// Its values, without those that an earlier page has shown.
    pub values: Vec<types::AttributeValue>,
}

/// The pages of a list, in order; see [`List::pages`](crate::List::pages).
///
/// Pages are fetched ahead of the one that is delivered, each in a task of its own and only while
/// this is polled: a slow reader slows the list down and breaks nothing. The first error ends the
/// stream.
///
/// Cancel safety: `next()` may be dropped and called again. Dropping the stream itself cancels the
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
    /// Ends the stream before anything is sent.
    invalid: Option<Error>,
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
        let (queries, invalid) = match filter.map(|filter| filter.queries(base_url)) {
            Ok(queries) => (queries.into_iter().map(Arc::new).collect(), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Self {
            // Twice as many as may be in flight, so that one late page does not stall the others.
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
            invalid,
            is_done: false,
        }
    }

    /// Returns how many values there are on all pages, as the server said last; `None` until it
    /// has said so for each query.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.scheduler.total()
    }

    /// Says whether the store was changed in a way that moves values between pages while the list
    /// was read: the total has changed, or a value came twice. Values that were there all the time
    /// may then be missing, since pages are counted by offset; read the list again to be sure.
    ///
    /// A value that went and another one that came between two pages show no such sign.
    #[must_use]
    pub fn changed_during_read(&self) -> bool {
        self.changed_during_read
    }

    /// Returns how many requests were made by now, retries included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Makes tasks of the pages that are to be fetched next; says whether there were any.
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

    /// Hears of the calls that have ended.
    fn poll_calls(&mut self, cx: &mut Context<'_>) {
        while let Some(((page, size), call, outcome)) = self.calls.poll_finished(cx) {
            self.requests += u64::from(outcome.requests);
            self.run.observer.notify(Event::CallFinished { call });
            let change = match outcome.result {
                Ok(content) => {
                    self.page_size.record_accepted(page.query, size);
                    let head = page_head(&content);
                    let pagination = head.pagination.as_ref();
                    self.scheduler
                        .record(page, Ok(content), pagination, head.first)
                }
                Err(failure) => {
                    if page.number == 1 && self.page_size.try_shrink(page.query, size, &failure) {
                        self.scheduler.restart(page);
                        continue;
                    }
                    self.scheduler.record(page, Err(failure.error), None, None)
                }
            };
            if let Some(TotalChange { before, now }) = change {
                self.changed_during_read = true;
                self.run
                    .observer
                    .notify(Event::TotalChanged { before, now });
            }
        }
    }

    fn page(&mut self, page: types::AttributeValuePage) -> Page {
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
    number: u64,
    query: &Arc<Query>,
    query_index: Option<usize>,
    page: u64,
    size: u64,
) -> CallOutcome<types::AttributeValuePage> {
    let operation = Operation::list(page, query_index);
    call(client, run, &operation, number, |sdk| {
        let query = Arc::clone(query);
        async move { query.send(sdk, page, size).await }
    })
    .await
}

impl Stream for Pages {
    type Item = Result<Page, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(error) = this.invalid.take() {
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
                    let page = this.page(page);
                    return Poll::Ready(Some(Ok(page)));
                }
                Some(Err(error)) => {
                    this.is_done = true;
                    this.calls = CallSet::default();
                    return Poll::Ready(Some(Err(error)));
                }
                None if this.is_done => return Poll::Ready(None),
                // Nothing wakes this for a new task before it was asked for.
                None if started => {}
                None => return Poll::Pending,
            }
        }
    }
}

impl FusedStream for Pages {
    fn is_terminated(&self) -> bool {
        self.is_done && self.invalid.is_none()
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
/// Fetches, ends and is cancelled as [`Pages`] is.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Values {
    pages: Pages,
    page: std::vec::IntoIter<types::AttributeValue>,
}

impl Values {
    pub(crate) fn of(client: Client, filter: ValidFilter, observer: Observer) -> Self {
        Self::new(Pages::new(client, Ok(filter), None, observer))
    }

    pub(super) fn new(pages: Pages) -> Self {
        Self {
            pages,
            page: Vec::new().into_iter(),
        }
    }

    /// See [`Pages::total`].
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.pages.total()
    }

    /// See [`Pages::changed_during_read`].
    #[must_use]
    pub fn changed_during_read(&self) -> bool {
        self.pages.changed_during_read()
    }

    /// See [`Pages::requests`].
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
