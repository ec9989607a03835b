//! Which page is fetched next, and which is delivered next. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bigcommerce_sdk::types::Pagination;

/// A page's place: the query that it belongs to, and its number, counted from 1.
pub(super) type Place = (usize, u64);

/// The pages of a row of queries, fetched ahead and delivered in order.
#[derive(Debug)]
pub(super) struct Plan<T> {
    queries: usize,
    /// The most pages that are fetched and not delivered.
    ahead: usize,
    in_flight: BTreeSet<Place>,
    fetched: BTreeMap<Place, T>,
    /// The queries that have begun and are not delivered to their end.
    begun: BTreeMap<usize, Query>,
    /// The page to deliver next.
    next: Place,
    /// How many queries have said how many values there are, and how many that is together.
    said: (usize, u64),
}

#[derive(Debug)]
struct Query {
    /// Values per page as it was asked for: pages of different sizes don't fit together.
    limit: u64,
    /// The page to fetch next.
    next: u64,
    /// The last page as far as is known; `None` until the first one is there.
    last: Option<u64>,
    /// The first page that was empty, or more than there can be.
    end: u64,
    /// Whether a page has said which one is the last.
    says: bool,
    total: Option<u64>,
    /// What the page that came last begins with.
    first: Option<Key>,
}

/// The customer and the attribute of a value.
pub(super) type Key = (i64, i64);

/// How many values there were and are, where that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub was: u64,
    pub now: u64,
}

impl<T> Plan<T> {
    pub(super) fn new(queries: usize, ahead: usize) -> Self {
        Self {
            queries,
            ahead,
            in_flight: BTreeSet::new(),
            fetched: BTreeMap::new(),
            begun: BTreeMap::new(),
            next: (0, 1),
            said: (0, 0),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.next.0 >= self.queries
    }

    /// How many values there are on all pages, once the server has said so for each query.
    pub(super) fn total(&self) -> Option<u64> {
        (self.said.0 == self.queries).then_some(self.said.1)
    }

    /// Gives a page to fetch, with the number of values to ask for: `limit`, unless its query has
    /// begun with another one.
    pub(super) fn next_fetch(&mut self, limit: u64) -> Option<(Place, u64)> {
        let place = (self.next.0..self.queries).find_map(|query| {
            let Some(begun) = self.begun.get(&query) else {
                return Some((query, 1));
            };
            let is_due = begun.last.is_some_and(|last| begun.next <= last);
            is_due.then_some((query, begun.next))
        })?;
        let has_room = self.in_flight.len() + self.fetched.len() < self.ahead;
        if place != self.next && !has_room {
            return None;
        }
        let query = self.begun.entry(place.0).or_insert(Query {
            limit,
            next: 1,
            last: None,
            end: u64::MAX,
            says: false,
            total: None,
            first: None,
        });
        query.next += 1;
        self.in_flight.insert(place);
        Some((place, query.limit))
    }

    /// Has a query begin again with smaller pages, since its first one was refused.
    pub(super) fn begin_again(&mut self, place: Place) {
        self.in_flight.remove(&place);
        self.begun.remove(&place.0);
    }

    /// Takes in a page with what it says of itself, and what it begins with.
    pub(super) fn fetched(
        &mut self,
        place: Place,
        page: T,
        said: Option<&Pagination>,
        first: Option<Key>,
    ) -> Option<Changed> {
        self.in_flight.remove(&place);
        self.fetched.insert(place, page);
        let query = self.begun.get_mut(&place.0)?;
        let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        let total = said.and_then(|said| number(said.total));
        let per_page = said.and_then(|said| number(said.per_page));
        let pages = said.and_then(|said| number(said.total_pages));
        let said = pages.or_else(|| match (total, per_page) {
            (Some(total), Some(per_page @ 1..)) => Some(total.div_ceil(per_page)),
            _ => None,
        });
        // Answers come in any order, so that what one says is no reason to leave out a page that
        // another one spoke of. A server that does not say is asked for one page after the other,
        // up to an empty one, or to one that comes again: some know no pages.
        let known = query.last.filter(|_| query.says);
        let last = match said.max(known) {
            Some(last) => last,
            None if first != query.first => place.1 + 1,
            None => place.1,
        };
        if first.is_none() {
            query.end = query.end.min(place.1);
        }
        query.says |= said.is_some();
        query.first = first;
        // What was asked for is delivered.
        query.last = Some(last.min(query.end).max(query.next - 1));
        let was = query.total;
        let now = total?;
        query.total = Some(now);
        self.said.0 += usize::from(was.is_none());
        self.said.1 = (self.said.1 + now).saturating_sub(was.unwrap_or(0));
        was.filter(|&was| was != now)
            .map(|was| Changed { was, now })
    }

    /// Gives the next page in the order of delivery, once it is there.
    pub(super) fn deliver(&mut self) -> Option<(Place, T)> {
        let place = self.next;
        let page = self.fetched.remove(&place)?;
        let last = self.begun.get(&place.0).and_then(|query| query.last);
        if last.is_some_and(|last| place.1 < last) {
            self.next.1 += 1;
        } else {
            self.begun.remove(&place.0);
            self.next = (place.0 + 1, 1);
        }
        Some((place, page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a row of pages to its end; gives the places in the order of delivery.
    fn read(
        queries: usize,
        answer: impl Fn(Place) -> (Option<Pagination>, Option<Key>),
    ) -> Vec<Place> {
        let mut plan = Plan::new(queries, 6);
        let mut delivered = Vec::new();
        let mut in_flight = Vec::new();
        while !plan.is_done() {
            while in_flight.len() < 3
                && let Some((place, _)) = plan.next_fetch(250)
            {
                in_flight.push(place);
            }
            // The one that began last ends first.
            let place = in_flight.pop().expect("a page to wait for");
            let (said, first) = answer(place);
            plan.fetched(place, (), said.as_ref(), first);
            while let Some((place, ())) = plan.deliver() {
                delivered.push(place);
            }
            assert!(delivered.len() < 100, "it ends");
        }
        delivered
    }

    fn says(pages: i64) -> Option<Pagination> {
        let said = Pagination::builder().total_pages(pages).total(pages * 250);
        Some(said.try_into().expect("a pagination"))
    }

    #[test]
    fn pages_are_delivered_in_order_however_they_come() {
        let places = read(3, |(query, page)| {
            let pages = [5, 0, 9][query];
            (says(pages), Some((1, page.cast_signed())))
        });
        let expected = [(0, 5), (1, 1), (2, 9)];
        let expected = expected.map(|(query, pages)| (1..=pages).map(move |page| (query, page)));
        assert_eq!(places, expected.into_iter().flatten().collect::<Vec<_>>());
    }

    #[test]
    fn what_one_page_says_counts_though_others_say_nothing_or_less() {
        let all: Vec<_> = (1..=9).map(|page| (0, page)).collect();
        let first = |page: u64| (page <= 9).then_some((1, page.cast_signed()));
        let once = |(_, page)| (says(9).filter(|_| page == 1), first(page));
        assert_eq!(read(1, once), all);
        let less = |(_, page)| (says(if page == 3 { 9 } else { 4 }), first(page));
        assert_eq!(read(1, less), all);
        // What the first page says is too much by now.
        let gone = |(_, page): Place| (says(9), (page <= 2).then_some((1, page.cast_signed())));
        assert!(read(1, gone).len() <= 5);
    }

    #[test]
    fn a_server_that_says_no_total_is_asked_up_to_an_empty_page() {
        let places = read(1, |(_, page)| {
            (None, (page < 4).then_some((1, page.cast_signed())))
        });
        assert_eq!(places, [(0, 1), (0, 2), (0, 3), (0, 4)]);
    }

    #[test]
    fn a_server_that_knows_no_pages_is_asked_twice() {
        let places = read(2, |_| (None, Some((7, 7))));
        assert_eq!(places, [(0, 1), (0, 2), (1, 1), (1, 2)]);
    }
}
