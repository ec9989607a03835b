//! The streams that read a list: its pages, and their values.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bigcommerce_sdk::types;
use futures_util::stream::{FusedStream, Stream};
use tokio::runtime::Handle;
use tracing::Instrument;

use super::filter::{Checked, Query};
use super::page_size::PageSize;
use super::plan::{Changed, Key, Place, Plan};
use super::seen::Seen;
use crate::call::{Calls, Ended, Operation, Run, call};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::store::Store;

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
    store: Store,
    run: Arc<Run>,
    queries: Vec<Arc<Query>>,
    plan: Plan<Result<types::AttributeValuePage, Error>>,
    page_size: PageSize,
    calls: Calls<(Place, u64), types::AttributeValuePage>,
    calls_begun: u64,
    requests: u64,
    runtime: Option<Handle>,
    seen: Seen,
    delivered: u64,
    has_shifted: bool,
    /// What ends the stream before it begins.
    refused: Option<Error>,
    is_done: bool,
}

impl Pages {
    pub(super) fn new(
        store: Store,
        filter: Result<Checked, Error>,
        page_size: Option<u64>,
        observer: Observer,
    ) -> Self {
        let base_url = &store.shared().base_url();
        let (queries, refused) = match filter.map(|filter| filter.queries(base_url)) {
            Ok(queries) => (queries.into_iter().map(Arc::new).collect(), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Self {
            // As many again as may be in flight, for a page that is late.
            plan: Plan::new(
                queries.len(),
                store.shared().limits.in_flight.saturating_mul(2),
            ),
            run: Arc::new(Run::new(observer)),
            page_size: PageSize::new(&store, page_size),
            store,
            queries,
            calls: Calls::default(),
            calls_begun: 0,
            requests: 0,
            runtime: None,
            seen: Seen::default(),
            delivered: 0,
            has_shifted: false,
            refused,
            is_done: false,
        }
    }

    /// Returns how many values there are on all pages, as the server said last; `None` until it
    /// has said so for each query.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.plan.total()
    }

    /// Says whether the store was changed in a way that moves values between pages while the list
    /// was read: the total has changed, or a value came twice. Values that were there all the time
    /// may then be missing, since pages are counted by offset; read the list again to be sure.
    ///
    /// A value that went and another one that came between two pages show no such sign.
    #[must_use]
    pub fn has_shifted(&self) -> bool {
        self.has_shifted
    }

    /// Returns how many requests were made by now, retries included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.requests
    }

    /// Makes tasks of the pages that are to be fetched next; says whether there were any.
    fn start_calls(&mut self, runtime: &Handle) -> bool {
        let mut started = false;
        while self.calls.len() < self.store.shared().limits.in_flight
            // In an outage nothing new is begun.
            && self.run.in_trouble.load(Ordering::Relaxed) == 0
        {
            let Some((place, limit)) = self.plan.next_fetch(self.page_size.get()) else {
                break;
            };
            let Some(query) = self.queries.get(place.0).map(Arc::clone) else {
                break;
            };
            started = true;
            let number = self.calls_begun;
            self.calls_begun += 1;
            let (store, run) = (self.store.clone(), Arc::clone(&self.run));
            let of = (self.queries.len() > 1).then_some(place.0);
            let task = async move { fetch(&store, &run, number, &query, of, place.1, limit).await };
            let span = tracing::debug_span!("list_call", call = number, page = place.1, limit);
            let key = (place, limit);
            self.calls
                .spawn(runtime, key, number, task.instrument(span));
        }
        started
    }

    /// Hears of the calls that have ended.
    fn poll_calls(&mut self, cx: &mut Context<'_>) {
        while let Some(((place, limit), call, ended)) = self.calls.poll_ended(cx) {
            self.requests += u64::from(ended.attempts);
            self.run.observer.tell(Event::Ended { call });
            let changed = match ended.result {
                Ok(page) => {
                    self.page_size.is_accepted(&self.store, place.0, limit);
                    let said = page.meta.as_ref().and_then(|meta| meta.pagination.clone());
                    let first = first_of(&page);
                    self.plan.fetched(place, Ok(page), said.as_ref(), first)
                }
                Err(failed) => {
                    if place.1 == 1 && self.page_size.shrinks(place.0, limit, &failed) {
                        self.plan.begin_again(place);
                        continue;
                    }
                    self.plan.fetched(place, Err(failed.error), None, None)
                }
            };
            if let Some(Changed { was, now }) = changed {
                self.has_shifted = true;
                self.run.observer.tell(Event::Shifted { was, now });
            }
        }
    }

    fn page(&mut self, page: types::AttributeValuePage) -> Page {
        self.delivered += 1;
        let mut values = page.data;
        let count = values.len();
        values.retain(|value| value.id.is_none_or(|id| self.seen.insert(id)));
        self.has_shifted |= values.len() < count;
        self.run.observer.tell(Event::Page {
            number: self.delivered,
            values: values.len(),
            total: self.total(),
        });
        Page {
            number: self.delivered,
            values,
        }
    }
}

/// What a page begins with.
pub(super) fn first_of(page: &types::AttributeValuePage) -> Option<Key> {
    let first = page.data.first()?;
    Some((first.customer_id, first.attribute_id))
}

/// Fetches a page, with all retries.
pub(super) async fn fetch(
    store: &Store,
    run: &Run,
    number: u64,
    query: &Arc<Query>,
    of: Option<usize>,
    page: u64,
    limit: u64,
) -> Ended<types::AttributeValuePage> {
    call(store, run, &Operation::list(page, of), number, |client| {
        let query = Arc::clone(query);
        async move { query.send(client, page, limit).await }
    })
    .await
}

impl Stream for Pages {
    type Item = Result<Page, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(error) = this.refused.take() {
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
                let error = Error::config_by("lists are read on a tokio runtime", error);
                return Poll::Ready(Some(Err(error)));
            }
        };
        this.runtime = Some(runtime.clone());
        loop {
            this.poll_calls(cx);
            let started = this.start_calls(&runtime);
            let delivered = this.plan.deliver();
            this.is_done = this.plan.is_done();
            match delivered {
                Some((_, Ok(page))) => {
                    let page = this.page(page);
                    return Poll::Ready(Some(Ok(page)));
                }
                Some((_, Err(error))) => {
                    this.is_done = true;
                    this.calls = Calls::default();
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
        self.is_done && self.refused.is_none()
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("store", &self.store)
            .field("queries", &self.queries.len())
            .field("delivered", &self.delivered)
            .field("total", &self.total())
            .field("has_shifted", &self.has_shifted)
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
    pub(crate) fn of(store: Store, filter: Checked, observer: Observer) -> Self {
        Self::new(Pages::new(store, Ok(filter), None, observer))
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

    /// See [`Pages::has_shifted`].
    #[must_use]
    pub fn has_shifted(&self) -> bool {
        self.pages.has_shifted()
    }

    /// See [`Pages::calls`].
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.pages.calls()
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
