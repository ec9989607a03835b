//! The streams of a list: its pages, and its values.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bigcommerce_sdk::types;
use futures_util::stream::{FusedStream, Stream};
use tokio::runtime::Handle;
use tracing::Instrument;

use super::filter::{Query, ValidFilter};
use super::resolve::{MAX_RESOLVE_CALLS, resolve};
use crate::client::{
    CallOutcome, CallSet, Client, LIST_VALUES, OnOutage, Operation, PageHead, PageId,
    PageScheduler, PageSize, RunContext, Shortfall, StopFuture, TARGET, TotalChange, call,
    current_runtime,
};
use crate::date_filter::FilterMatch;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::id_set::IdSet;

/// A page of a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The page's number, counted from 1 over the whole list.
    pub number: u64,
    /// The page's values, except those that an earlier page has delivered.
    pub values: Vec<types::AttributeValue>,
}

/// The settings of a list.
#[derive(Default)]
pub(crate) struct ListOptions {
    /// The number of all calls, if they are one call of a run.
    pub call: Option<u64>,
    pub page_size: Option<u64>,
    pub allow_incomplete: bool,
    /// Whether values that the filter excludes are left out (otherwise they end the list).
    pub leave_out_excluded: bool,
    pub on_outage: OnOutage,
    pub stop: Option<StopFuture>,
    pub observer: Observer,
}

impl fmt::Debug for ListOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListOptions")
            .field("page_size", &self.page_size)
            .field("allow_incomplete", &self.allow_incomplete)
            .field("on_outage", &self.on_outage)
            .finish_non_exhaustive()
    }
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
    /// `None` if it is invalid, and while its keys are looked up.
    filter: Option<ValidFilter>,
    queries: Vec<Arc<Query>>,
    allow_incomplete: bool,
    leave_out_excluded: bool,
    /// Whether the server has listed a value that the filter excludes.
    has_excluded: bool,
    scheduler: PageScheduler<Result<types::AttributeValuePage, Error>>,
    page_size: PageSize,
    calls: CallSet<(PageId, u64), CallOutcome<types::AttributeValuePage>>,
    /// The lookup of the filter's keys.
    resolve_calls: CallSet<(), CallOutcome<ValidFilter>>,
    /// Whether keys are to be resolved before the first page.
    must_resolve: bool,
    calls_started: u64,
    /// The number of all calls, if they are one call of a run.
    run_call: Option<u64>,
    requests: u64,
    runtime: Option<Handle>,
    stop: Option<StopFuture>,
    delivered_ids: IdSet,
    /// The customers and attributes of values without an ID.
    delivered_keys: HashSet<(i64, i64)>,
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
        options: ListOptions,
    ) -> Self {
        let (filter, invalid_filter) = match filter {
            Ok(filter) => (Some(filter), None),
            Err(error) => (None, Some(error)),
        };
        let must_resolve = filter
            .as_ref()
            .is_some_and(ValidFilter::has_unresolved_keys);
        let secrets = filter.as_ref().map(ValidFilter::secrets);
        let run = RunContext::new(&client, options.observer)
            .with_on_outage(options.on_outage)
            .with_secrets(secrets.unwrap_or_default());
        let mut pages = Self {
            scheduler: PageScheduler::new(0, 0),
            run: Arc::new(run),
            page_size: PageSize::new(&client, options.page_size),
            client,
            filter,
            queries: Vec::new(),
            resolve_calls: CallSet::default(),
            must_resolve,
            allow_incomplete: options.allow_incomplete,
            leave_out_excluded: options.leave_out_excluded,
            has_excluded: false,
            calls: CallSet::default(),
            calls_started: 0,
            run_call: options.call,
            requests: 0,
            runtime: None,
            stop: options.stop,
            delivered_ids: IdSet::default(),
            delivered_keys: HashSet::new(),
            delivered_pages: 0,
            changed_during_read: false,
            invalid_filter,
            is_done: false,
        };
        if !must_resolve {
            pages.plan();
        }
        pages
    }

    /// Plans the queries of the filter.
    fn plan(&mut self) {
        let filter = self.filter.as_ref();
        let queries = filter.map(|filter| filter.queries(self.client.base_url()));
        self.queries = queries.into_iter().flatten().map(Arc::new).collect();
        // Twice the requests in flight, so that one slow page does not stall the others.
        let max_ahead = self.client.limits().max_in_flight.saturating_mul(2);
        self.scheduler = PageScheduler::new(self.queries.len(), max_ahead);
    }

    /// Finds the customers and attributes that are not given by their IDs. Returns an error if that
    /// fails.
    fn poll_keys(&mut self, cx: &mut Context<'_>, runtime: &Handle) -> Poll<Result<(), Error>> {
        if !self.must_resolve {
            return Poll::Ready(Ok(()));
        }
        if let Some(filter) = self.filter.take() {
            let number = self.calls_started;
            self.calls_started += MAX_RESOLVE_CALLS;
            let (client, run) = (self.client.clone(), Arc::clone(&self.run));
            let task = async move { resolve(&client, &run, number, filter, false).await };
            self.resolve_calls.spawn(runtime, (), number, task);
        }
        let Some(((), _, outcome)) = self.resolve_calls.poll_finished(cx) else {
            return Poll::Pending;
        };
        self.must_resolve = false;
        self.requests += u64::from(outcome.requests);
        self.filter = Some(outcome.result.map_err(|failure| failure.error)?);
        self.plan();
        Poll::Ready(Ok(()))
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
    ///
    /// Such a list is not incomplete: it ends with an error only if it has fewer values than the
    /// smallest total that the server reported.
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
        while self.calls.len() < self.client.limits().max_in_flight {
            let Some((page, size)) = self.scheduler.next_fetch(self.page_size.get()) else {
                break;
            };
            let Some(query) = self.queries.get(page.query).map(Arc::clone) else {
                break;
            };
            started = true;
            let number = self.run_call.unwrap_or(self.calls_started);
            self.calls_started += 1;
            let (client, run) = (self.client.clone(), Arc::clone(&self.run));
            let index = (self.queries.len() > 1).then_some(page.query);
            let task =
                async move { fetch(&client, &run, number, &query, index, page.number, size).await };
            let store = self.client.label();
            let span = tracing::debug_span!(
                target: TARGET,
                "call",
                store = &*store,
                operation = LIST_VALUES,
                call = number,
                page = page.number,
                limit = size
            );
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
            if self.run_call.is_none() {
                self.run.notify(Event::CallFinished {
                    call,
                    operation: LIST_VALUES,
                });
            }
            let Some(result) = self.page_size.review(page, size, outcome.result) else {
                self.scheduler.restart(page);
                continue;
            };
            let change = match result {
                Ok(content) => {
                    let head = PageHead::of_values(&content);
                    self.scheduler.record(page, Ok(content), Some(&head))
                }
                Err(failure) => self.scheduler.record(page, Err(failure.error), None),
            };
            if let Some(TotalChange { before, now }) = change {
                self.changed_during_read = true;
                self.run.notify(Event::TotalChanged {
                    operation: LIST_VALUES,
                    before,
                    now,
                });
            }
        }
    }

    /// Returns the next page in order, once it is there.
    fn deliver(&mut self) -> Option<Result<Page, Error>> {
        let Self {
            filter,
            delivered_ids,
            delivered_keys,
            changed_during_read,
            leave_out_excluded,
            has_excluded,
            ..
        } = self;
        let filter = filter.as_ref();
        let check = |value: &types::AttributeValue| match filter {
            Some(filter) => filter.check(value),
            None => FilterMatch::Matches,
        };
        let delivered = self.scheduler.deliver(|page| {
            let mut values = match page {
                Ok(page) => page.data,
                Err(error) => return (Err(error), 0),
            };
            let is_excluded = |value| check(value) == FilterMatch::Excluded;
            if values.iter().any(is_excluded) {
                *has_excluded = true;
                if !*leave_out_excluded {
                    return (Err(Error::filter_ignored("values")), 0);
                }
            }
            let count = values.len();
            values.retain(|value| match value.id {
                Some(id) => delivered_ids.insert(id),
                None => delivered_keys.insert((value.customer_id, value.attribute_id)),
            });
            *changed_during_read |= values.len() < count;
            let new = values.len() as u64;
            values.retain(|value| {
                !matches!(check(value), FilterMatch::RoundedIn | FilterMatch::Excluded)
            });
            (Ok(values), new)
        });
        let values = match delivered? {
            Ok(values) => values,
            Err(error) => return Some(Err(error)),
        };
        self.delivered_pages += 1;
        self.run.notify(Event::Page {
            operation: LIST_VALUES,
            number: self.delivered_pages,
            values: values.len(),
            total: self.total(),
        });
        Some(Ok(Page {
            number: self.delivered_pages,
            values,
        }))
    }

    /// Returns why values may be missing from the list that has ended.
    fn doubt(&self) -> Option<Error> {
        let no_total = || {
            let has_total = self.queries.is_empty() || self.total().is_some();
            (!has_total).then(|| Error::no_total("values"))
        };
        let change = || {
            self.changed_during_read
                .then(|| Error::changed_during_read("values"))
        };
        self.incomplete().or_else(change).or_else(no_total)
    }

    /// Returns the error of an incomplete list that has ended.
    fn incomplete(&self) -> Option<Error> {
        let shortfall = self.scheduler.shortfall();
        shortfall.map(
            |Shortfall {
                 received,
                 total,
                 unreadable,
             }| {
                Error::incomplete_list("values", received, total, unreadable, ALLOW_INCOMPLETE)
            },
        )
    }
}

/// What else to do about an incomplete list of values.
const ALLOW_INCOMPLETE: &str =
    "; if the server's total counts other values too, use allow_incomplete()";

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
        let current = || current_runtime("lists");
        let runtime = match this.runtime.clone().map_or_else(current, Ok) {
            Ok(runtime) => runtime,
            Err(error) => {
                this.is_done = true;
                return Poll::Ready(Some(Err(error)));
            }
        };
        // For the timers.
        let _entered = runtime.enter();
        this.runtime = Some(runtime.clone());
        if let Some(stop) = &mut this.stop
            && let Poll::Ready(error) = stop.as_mut().poll(cx)
        {
            this.is_done = true;
            this.calls = CallSet::default();
            this.resolve_calls = CallSet::default();
            return Poll::Ready(Some(Err(error)));
        }
        if let Err(error) = ready!(this.poll_keys(cx, &runtime)) {
            this.is_done = true;
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            this.poll_calls(cx);
            let delivered = this.deliver();
            if let Some(Err(error)) = delivered {
                this.is_done = true;
                this.calls = CallSet::default();
                return Poll::Ready(Some(Err(error)));
            }
            // The calls for pages beyond the end finish, and are counted.
            let is_at_end = this.scheduler.is_done();
            if is_at_end {
                this.run.stopping.send_replace(true);
            }
            let started = !is_at_end && this.start_calls(&runtime);
            if delivered.is_some() {
                return Poll::Ready(delivered);
            }
            if is_at_end && this.calls.len() == 0 {
                this.is_done = true;
                let incomplete = this.incomplete().filter(|_| !this.allow_incomplete);
                return Poll::Ready(incomplete.map(Err));
            }
            // A new task wakes this stream only after it has been polled once.
            if !started {
                return Poll::Pending;
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
    pub(crate) fn with_filter(client: Client, filter: ValidFilter, options: ListOptions) -> Self {
        Self::new(Pages::new(client, Ok(filter), options))
    }

    pub(super) fn new(pages: Pages) -> Self {
        Self {
            pages,
            page: Vec::new().into_iter(),
        }
    }

    /// Returns why values may be missing from the list that has ended.
    pub(crate) fn doubt(&self) -> Option<Error> {
        self.pages.doubt()
    }

    /// Returns `true` if the server has listed values that the filter excludes.
    pub(crate) fn has_excluded(&self) -> bool {
        self.pages.has_excluded
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
