//! Reading customers page by page: by cursor where the server has one.

use std::sync::Arc;

use bigcommerce_sdk::types::{Customer, CustomerPage};
use foldhash::{HashMap, HashMapExt};

use super::filter::{CustomerQuery, PageStart};
use crate::client::{
    CallFailure, CallOutcome, Client, LIST_CUSTOMERS, Operation, PageHead, PageId, PageReader,
    PageSize, RunContext, Shortfall, call,
};
use crate::date_filter::FilterMatch;
use crate::error::Error;
use crate::event::Event;
use crate::id_set::IdSet;

/// The pages of several queries, read one after the other.
///
/// A page is requested by the cursor of the page before it. Where the server shows no cursor, and to
/// request a page that came short once more, it is requested by its number.
pub(super) struct CustomerReader {
    client: Client,
    run: Arc<RunContext>,
    /// The number of the call, for events.
    call: u64,
    pages: PageReader<Arc<CustomerQuery>, CustomerPage>,
    queries: Vec<Arc<CustomerQuery>>,
    /// The cursors at the ends of the latest pages, as far as the server shows them.
    cursors: Cursors,
    /// The page that was requested last.
    last: Option<PageId>,
    delivered_ids: IdSet,
    delivered: u64,
    delivered_pages: u64,
    has_cursors: bool,
}

type Cursors = HashMap<PageId, Option<String>>;

impl CustomerReader {
    pub(super) fn new(
        client: Client,
        run: Arc<RunContext>,
        call: u64,
        queries: Vec<CustomerQuery>,
    ) -> Self {
        let queries: Vec<_> = queries.into_iter().map(Arc::new).collect();
        let page_size = PageSize::new(&client, None);
        Self {
            pages: PageReader::new(queries.clone(), page_size),
            client,
            run,
            call,
            queries,
            cursors: HashMap::new(),
            last: None,
            delivered_ids: IdSet::default(),
            delivered: 0,
            delivered_pages: 0,
            has_cursors: false,
        }
    }

    /// Returns the customers of the next page that no earlier page had, `None` at the end.
    pub(super) async fn next_page(&mut self) -> Option<Result<Vec<Customer>, CallFailure>> {
        loop {
            if let Err(failure) = self.fetch().await? {
                return Some(Err(failure));
            }
            if let Some(page) = self.deliver() {
                return Some(page);
            }
        }
    }

    async fn fetch(&mut self) -> Option<Result<(), CallFailure>> {
        let Self {
            client,
            run,
            call: number,
            cursors,
            last,
            pages,
            has_cursors,
            ..
        } = self;
        let (client, run, number) = (&*client, &**run, *number);
        let mut end = None;
        let fetched = pages.fetch(
            |query, page, size| {
                let start = start_of(cursors, page);
                *last = Some(page);
                async move { fetch(client, run, number, &query, page.number, start, size).await }
            },
            |page| {
                end = end_cursor(page);
                head(page)
            },
        );
        let fetched = fetched.await?;
        if let Some(last) = last.filter(|_| fetched.is_ok()) {
            // Only the cursor before a page is needed, and the one at its end.
            cursors.retain(|page, _| page.query == last.query && page.number + 1 >= last.number);
            *has_cursors |= end.is_some();
            cursors.insert(last, end);
        }
        Some(fetched)
    }

    fn deliver(&mut self) -> Option<Result<Vec<Customer>, CallFailure>> {
        let query = self.last.and_then(|page| self.queries.get(page.query))?;
        let checker = query.checker();
        let ids = &mut self.delivered_ids;
        let customers = self.pages.deliver(|page| {
            let mut customers = page.data;
            let is_excluded = |customer| checker.check(customer) == FilterMatch::Excluded;
            if customers.iter().any(is_excluded) {
                return (
                    Err(CallFailure::from(Error::filter_ignored("customers"))),
                    0,
                );
            }
            customers.retain(|customer| ids.insert(customer.id));
            let new = customers.len() as u64;
            customers.retain(|customer| checker.check(customer) != FilterMatch::RoundedIn);
            (Ok(customers), new)
        })?;
        if let Ok(customers) = &customers {
            self.delivered += customers.len() as u64;
            self.delivered_pages += 1;
            self.run.notify(Event::Page {
                operation: LIST_CUSTOMERS,
                number: self.delivered_pages,
                values: customers.len(),
                total: self.pages.total(),
            });
        }
        Some(customers)
    }

    /// Returns the error of a list that has ended and is incomplete.
    pub(super) fn incomplete(&self) -> Option<Error> {
        self.pages.shortfall().map(incomplete)
    }

    /// Returns why a list that has ended does not show for certain that it has all customers.
    ///
    /// Pages by number shift while customers come and go; pages by cursor don't.
    pub(super) fn doubt(&self) -> Option<Error> {
        let Some(total) = self.total() else {
            return Some(Error::no_total("customers"));
        };
        let is_certain = match self.has_cursors {
            true => self.delivered >= total,
            false => self.delivered == total && !self.pages.has_total_changed(),
        };
        (!is_certain).then(|| Error::changed_during_read("customers"))
    }

    /// Returns the number of customers on all pages, if the server has reported it.
    pub(super) fn total(&self) -> Option<u64> {
        self.pages.total()
    }

    /// Returns the number of requests so far.
    pub(super) fn requests(&self) -> u32 {
        self.pages.requests()
    }
}

/// Returns how a page is requested.
fn start_of(cursors: &Cursors, page: PageId) -> PageStart {
    let before = PageId {
        number: page.number.saturating_sub(1),
        ..page
    };
    // A second request goes by number: its response has the present total.
    let is_first_request = !cursors.contains_key(&page);
    let before = cursors.get(&before).filter(|_| is_first_request);
    match before.cloned().flatten() {
        Some(cursor) => PageStart::After(cursor),
        None => PageStart::Number(page.number),
    }
}

/// Requests a page of customers, with all retries.
pub(super) async fn fetch(
    client: &Client,
    run: &RunContext,
    call_number: u64,
    query: &Arc<CustomerQuery>,
    page: u64,
    start: PageStart,
    size: u64,
) -> CallOutcome<CustomerPage> {
    let operation = Operation::list_customers(page);
    call(client, run, &operation, call_number, |sdk| {
        let (query, start) = (Arc::clone(query), start.clone());
        async move { query.send(sdk, &start, size).await }
    })
    .await
}

pub(super) fn head(page: &CustomerPage) -> PageHead {
    PageHead {
        pagination: page.meta.as_ref().and_then(|meta| meta.pagination.clone()),
        first: page.data.first().map(|first| (first.id, 0)),
        values: page.data.len() as u64,
        unreadable: page.unreadable,
    }
}

fn end_cursor(page: &CustomerPage) -> Option<String> {
    let cursors = page.meta.as_ref()?.cursor_pagination.as_ref()?;
    cursors.end_cursor.clone().filter(|end| !end.is_empty())
}

pub(super) fn incomplete(shortfall: Shortfall) -> Error {
    let Shortfall {
        received,
        total,
        unreadable,
    } = shortfall;
    Error::incomplete_list("customers", received, total, unreadable, "")
}
