//! Which page is fetched next, and which is delivered next. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bigcommerce_sdk::types::Pagination;

/// A page: the index of its query, and its number within the query, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PageId {
    pub query: usize,
    pub number: u64,
}

/// The pages of several queries, fetched ahead and delivered in order.
#[derive(Debug)]
pub(crate) struct PageScheduler<T> {
    queries: usize,
    /// The maximum number of pages that are fetched and not delivered.
    read_ahead: usize,
    in_flight: BTreeSet<PageId>,
    fetched: BTreeMap<PageId, T>,
    /// The queries that have started and are not delivered in full.
    started: BTreeMap<usize, QueryProgress>,
    /// The page to deliver next.
    next: PageId,
    /// The number of queries whose total is known.
    queries_with_total: usize,
    /// The sum of the known totals.
    total: u64,
}

#[derive(Debug)]
struct QueryProgress {
    /// The page size of all its pages: pages of different sizes don't fit together.
    page_size: u64,
    /// The number of the page to fetch next.
    next: u64,
    /// The last page as far as is known; `None` until the first one is there.
    last: Option<u64>,
    /// The first page that was empty, or the highest number.
    end: u64,
    /// Whether a response has reported the last page.
    has_page_count: bool,
    total: Option<u64>,
    /// The first value of the latest page.
    first: Option<FirstKey>,
}

/// The customer and the attribute of a page's first value.
pub(crate) type FirstKey = (i64, i64);

/// A total that differs from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TotalChange {
    pub before: u64,
    pub now: u64,
}

impl<T> PageScheduler<T> {
    pub(crate) fn new(queries: usize, read_ahead: usize) -> Self {
        Self {
            queries,
            read_ahead,
            in_flight: BTreeSet::new(),
            fetched: BTreeMap::new(),
            started: BTreeMap::new(),
            next: PageId {
                query: 0,
                number: 1,
            },
            queries_with_total: 0,
            total: 0,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.next.query >= self.queries
    }

    /// Returns the number of values on all pages, once the server has reported it for each query.
    pub(crate) fn total(&self) -> Option<u64> {
        (self.queries_with_total == self.queries).then_some(self.total)
    }

    /// Returns the next page to fetch and its size: `page_size`, unless its query has started with
    /// another one.
    pub(crate) fn next_fetch(&mut self, page_size: u64) -> Option<(PageId, u64)> {
        let page = (self.next.query..self.queries).find_map(|query| {
            let Some(progress) = self.started.get(&query) else {
                return Some(PageId { query, number: 1 });
            };
            let is_due = progress.last.is_some_and(|last| progress.next <= last);
            is_due.then_some(PageId {
                query,
                number: progress.next,
            })
        })?;
        let has_room = self.in_flight.len() + self.fetched.len() < self.read_ahead;
        if page != self.next && !has_room {
            return None;
        }
        let progress = self.started.entry(page.query).or_insert(QueryProgress {
            page_size,
            next: 1,
            last: None,
            end: u64::MAX,
            has_page_count: false,
            total: None,
            first: None,
        });
        progress.next += 1;
        self.in_flight.insert(page);
        Some((page, progress.page_size))
    }

    /// Restarts a query whose first page was rejected, for smaller pages.
    pub(crate) fn restart(&mut self, page: PageId) {
        self.in_flight.remove(&page);
        self.started.remove(&page.query);
    }

    /// Records a fetched page, its pagination and its first value.
    pub(crate) fn record(
        &mut self,
        page: PageId,
        content: T,
        pagination: Option<&Pagination>,
        first: Option<FirstKey>,
    ) -> Option<TotalChange> {
        self.in_flight.remove(&page);
        self.fetched.insert(page, content);
        let progress = self.started.get_mut(&page.query)?;
        let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        let total = pagination.and_then(|pagination| number(pagination.total));
        let per_page = pagination.and_then(|pagination| number(pagination.per_page));
        let page_count = pagination.and_then(|pagination| number(pagination.total_pages));
        let page_count = page_count.or_else(|| match (total, per_page) {
            (Some(total), Some(per_page @ 1..)) => Some(total.div_ceil(per_page)),
            _ => None,
        });
        // Responses come in any order, so one page count is no reason to leave out a page that
        // another one included. A server without page counts is asked for one page after the
        // other, up to an empty page, or up to a repeated one: some servers ignore the page number.
        let known = progress.last.filter(|_| progress.has_page_count);
        let last = match page_count.max(known) {
            Some(last) => last,
            None if first != progress.first => page.number + 1,
            None => page.number,
        };
        if first.is_none() {
            progress.end = progress.end.min(page.number);
        }
        progress.has_page_count |= page_count.is_some();
        progress.first = first;
        // Every page that was requested is delivered.
        progress.last = Some(last.min(progress.end).max(progress.next - 1));
        let before = progress.total;
        let now = total?;
        progress.total = Some(now);
        self.queries_with_total += usize::from(before.is_none());
        self.total = (self.total + now).saturating_sub(before.unwrap_or(0));
        before
            .filter(|&before| before != now)
            .map(|before| TotalChange { before, now })
    }

    /// Returns the next page in the order of delivery, once it is there.
    pub(crate) fn next_delivery(&mut self) -> Option<T> {
        let page = self.next;
        let content = self.fetched.remove(&page)?;
        let progress = self.started.get(&page.query);
        let last = progress.and_then(|progress| progress.last);
        if last.is_some_and(|last| page.number < last) {
            self.next.number += 1;
        } else {
            self.started.remove(&page.query);
            self.next = PageId {
                query: page.query + 1,
                number: 1,
            };
        }
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all pages; returns them in the order of delivery.
    fn read(
        queries: usize,
        respond: impl Fn(PageId) -> (Option<Pagination>, Option<FirstKey>),
    ) -> Vec<(usize, u64)> {
        let mut scheduler = PageScheduler::new(queries, 6);
        let mut delivered = Vec::new();
        let mut in_flight = Vec::new();
        while !scheduler.is_done() {
            while in_flight.len() < 3
                && let Some((page, _)) = scheduler.next_fetch(250)
            {
                in_flight.push(page);
            }
            // The latest request finishes first.
            let page = in_flight.pop().expect("a page in flight");
            let (pagination, first) = respond(page);
            scheduler.record(page, (page.query, page.number), pagination.as_ref(), first);
            while let Some(page) = scheduler.next_delivery() {
                delivered.push(page);
            }
            assert!(delivered.len() < 100, "the list does not end");
        }
        delivered
    }

    fn pagination(pages: i64) -> Option<Pagination> {
        let pagination = Pagination::builder().total_pages(pages).total(pages * 250);
        Some(pagination.try_into().expect("a pagination"))
    }

    /// The first value of a page, a different one for each page.
    fn first(page: u64) -> Option<FirstKey> {
        Some((1, page.cast_signed()))
    }

    #[test]
    fn pages_are_delivered_in_order_whatever_order_they_arrive_in() {
        let pages = read(3, |page| {
            let count = [5, 0, 9][page.query];
            (pagination(count), first(page.number))
        });
        let expected = [(0, 5), (1, 1), (2, 9)];
        let expected = expected.map(|(query, pages)| (1..=pages).map(move |page| (query, page)));
        assert_eq!(pages, expected.into_iter().flatten().collect::<Vec<_>>());
    }

    #[test]
    fn the_highest_page_count_wins() {
        let all: Vec<_> = (1..=9).map(|page| (0, page)).collect();
        let up_to = |last: u64, page: u64| first(page).filter(|_| page <= last);
        let only_on_the_first = |page: PageId| {
            let pagination = pagination(9).filter(|_| page.number == 1);
            (pagination, up_to(9, page.number))
        };
        assert_eq!(read(1, only_on_the_first), all);
        let higher_on_the_third = |page: PageId| {
            let count = if page.number == 3 { 9 } else { 4 };
            (pagination(count), up_to(9, page.number))
        };
        assert_eq!(read(1, higher_on_the_third), all);
    }

    #[test]
    fn an_empty_page_ends_the_list_early() {
        let shrunk = |page: PageId| {
            let first = first(page.number).filter(|_| page.number <= 2);
            (pagination(9), first)
        };
        assert!(read(1, shrunk).len() <= 5);
    }

    #[test]
    fn without_page_counts_the_list_ends_with_an_empty_page() {
        let pages = read(1, |page| {
            (None, first(page.number).filter(|_| page.number < 4))
        });
        assert_eq!(pages, [(0, 1), (0, 2), (0, 3), (0, 4)]);
    }

    #[test]
    fn a_server_that_ignores_the_page_number_is_asked_twice() {
        let pages = read(2, |_| (None, Some((7, 7))));
        assert_eq!(pages, [(0, 1), (0, 2), (1, 1), (1, 2)]);
    }
}
