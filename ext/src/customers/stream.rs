//! The stream of a list of customers.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bigcommerce_sdk::types::Customer;
use foldhash::HashSet;
use futures_util::stream::{self, FusedStream, Stream};

use super::filter::CustomerFilter;
use super::read::CustomerReader;
use crate::client::{Client, RunContext, RunSettings, StopFuture, in_task};
use crate::customer_key::fold_address;
use crate::error::Error;

type PageStream = Pin<Box<dyn Stream<Item = Result<Vec<Customer>, Error>> + Send>>;

/// The customers of a list; see [`CustomerList::stream`](crate::CustomerList::stream).
///
/// The stream requests the next page when it is polled for it. It ends after the first error.
///
/// Cancel safety: `next()` may be dropped and called again. Dropping the stream cancels the request in
/// flight.
#[must_use = "streams do nothing unless polled"]
pub struct Customers {
    pages: PageStream,
    page: VecDeque<Customer>,
    stop: Option<StopFuture>,
    is_done: bool,
}

impl Customers {
    pub(super) fn new(
        client: Client,
        filter: Result<CustomerFilter, Error>,
        mut settings: RunSettings,
    ) -> Self {
        let stop = settings.take_stop();
        let pages: PageStream = match filter {
            Err(error) => Box::pin(stream::iter([Err(error)])),
            Ok(filter) => {
                let state = ListState::new(client, filter, settings);
                Box::pin(stream::unfold(Some(state), |state| async move {
                    let mut state = state?;
                    // A request goes on while the stream is not polled.
                    let task = in_task(async move {
                        let page = state.next_page().await;
                        (page, state)
                    });
                    match task.await {
                        Ok((page, state)) => Some((page?, Some(state))),
                        Err(error) => Some((Err(error), None)),
                    }
                }))
            }
        };
        Self {
            pages,
            page: VecDeque::new(),
            stop,
            is_done: false,
        }
    }
}

/// The state of a list between two pages.
struct ListState {
    client: Client,
    run: Arc<RunContext>,
    filter: CustomerFilter,
    reader: CustomerReader,
    /// The addresses that were found, in lower case.
    found: HashSet<String>,
    is_second_look: bool,
}

impl ListState {
    fn new(client: Client, filter: CustomerFilter, settings: RunSettings) -> Self {
        let on_outage = settings.on_outage.unwrap_or_default();
        let run = RunContext::new(&client, settings.observer).with_on_outage(on_outage);
        let run = Arc::new(run);
        let queries = filter.queries(client.base_url());
        Self {
            reader: CustomerReader::new(client.clone(), Arc::clone(&run), 0, queries),
            client,
            run,
            filter,
            found: HashSet::default(),
            is_second_look: false,
        }
    }

    async fn next_page(&mut self) -> Option<Result<Vec<Customer>, Error>> {
        loop {
            match self.reader.next_page().await {
                Some(Ok(page)) => {
                    if self.filter.addresses.is_some() {
                        let found = page.iter().map(|customer| fold_address(&customer.email));
                        self.found.extend(found);
                    }
                    return Some(Ok(page));
                }
                Some(Err(failure)) => return Some(Err(failure.error)),
                None => {}
            }
            if let Some(error) = self.reader.incomplete() {
                return Some(Err(error));
            }
            self.start_second_look()?;
        }
    }

    /// Asks in lower case for the addresses that were not found. Returns `None` if there are none.
    fn start_second_look(&mut self) -> Option<()> {
        let addresses = self.filter.addresses.as_ref()?;
        let missing = addresses
            .iter()
            .filter(|address| !address.is_folded() && !self.found.contains(&*address.folded));
        let missing: HashSet<_> = missing.map(|address| Arc::clone(&address.folded)).collect();
        if missing.is_empty() || std::mem::replace(&mut self.is_second_look, true) {
            return None;
        }
        let missing: Vec<_> = missing.into_iter().collect();
        let queries = self
            .filter
            .queries_for(Some(&missing), self.client.base_url());
        self.reader = CustomerReader::new(self.client.clone(), Arc::clone(&self.run), 0, queries);
        Some(())
    }
}

impl Stream for Customers {
    type Item = Result<Customer, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.is_done {
                return Poll::Ready(None);
            }
            if let Some(customer) = this.page.pop_front() {
                return Poll::Ready(Some(Ok(customer)));
            }
            if let Some(stop) = &mut this.stop
                && let Poll::Ready(error) = stop.as_mut().poll(cx)
            {
                this.is_done = true;
                this.pages = Box::pin(stream::empty());
                return Poll::Ready(Some(Err(error)));
            }
            match ready!(this.pages.as_mut().poll_next(cx)) {
                Some(Ok(page)) => this.page = page.into(),
                Some(Err(error)) => {
                    this.is_done = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => this.is_done = true,
            }
        }
    }
}

impl FusedStream for Customers {
    fn is_terminated(&self) -> bool {
        self.is_done
    }
}

impl fmt::Debug for Customers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Customers")
            .field("is_done", &self.is_done)
            .finish_non_exhaustive()
    }
}
