//! Which page is fetched next, which is delivered next, and what a list has shown when it ends.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use bigcommerce_sdk::types::{AttributeValuePage, Pagination};

/// The number of short pages that come equally short a second time, after which short pages of the
/// query are not requested again.
const MAX_FUTILE_RECHECKS: u32 = 2;

/// The page sizes of servers that ignore the requested one.
const USUAL_SIZES: [u64; 3] = [50, 100, 250];

/// A page: the index of its query, and its number within the query, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PageId {
    pub query: usize,
    pub number: u64,
}

/// The pagination and the values of a page, as far as the order of pages depends on them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageHead {
    pub pagination: Option<Pagination>,
    pub first: Option<FirstKey>,
    /// The number of values.
    pub values: u64,
    /// The number of records that can't be parsed.
    pub unreadable: u64,
}

impl PageHead {
    /// Returns the head of a page of values.
    pub(crate) fn of_values(page: &AttributeValuePage) -> Self {
        let first = page.data.first();
        Self {
            pagination: page.meta.as_ref().and_then(|meta| meta.pagination.clone()),
            first: first.map(|first| (first.customer_id, first.attribute_id)),
            values: page.data.len() as u64,
            unreadable: page.unreadable,
        }
    }
}

/// The customer and the attribute of a page's first value.
pub(crate) type FirstKey = (i64, i64);

/// A total that differs from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TotalChange {
    pub before: u64,
    pub now: u64,
}

/// What is missing from a list that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shortfall {
    /// The number of distinct values that the list has shown.
    pub received: u64,
    /// The server's total (`None` if it did not report any).
    pub total: Option<u64>,
    /// The number of records that could not be parsed.
    pub unreadable: u64,
}

/// The pages of several queries, fetched ahead and delivered in order.
///
/// A page count is only a hint. A query ends where its values are all there by the server's total,
/// after two pages in a row without a new value, or after a repeated page. An empty or short page
/// before the end by the total is requested once more.
#[derive(Debug)]
pub(crate) struct PageScheduler<T> {
    queries: usize,
    /// The maximum number of pages that are fetched and not delivered.
    read_ahead: usize,
    in_flight: BTreeSet<PageId>,
    fetched: BTreeMap<PageId, FetchedPage<T>>,
    /// The queries that have started and are not delivered in full.
    started: BTreeMap<usize, QueryProgress>,
    /// The page to deliver next.
    next: PageId,
    /// The number of queries whose total is known.
    queries_with_total: usize,
    /// The sum of the known totals.
    total: u128,
    delivered: Delivered,
}

#[derive(Debug)]
struct FetchedPage<T> {
    content: T,
    /// `None` if the fetch failed.
    facts: Option<PageFacts>,
    recheck: Recheck,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recheck {
    No,
    Due,
    InFlight,
}

/// What a response tells about its page and its query.
#[derive(Clone, Copy, Debug)]
struct PageFacts {
    /// The number of records, including those that can't be parsed.
    shown: u64,
    values: u64,
    unreadable: u64,
    first: Option<FirstKey>,
    total: Option<u64>,
    per_page: Option<u64>,
    page_count: Option<u64>,
}

impl PageFacts {
    fn new(head: &PageHead) -> Self {
        let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        let pagination = head.pagination.as_ref();
        Self {
            shown: head.values.saturating_add(head.unreadable),
            values: head.values,
            unreadable: head.unreadable,
            first: head.first,
            total: pagination.and_then(|pagination| number(pagination.total)),
            per_page: pagination
                .and_then(|pagination| number(pagination.per_page))
                .filter(|&per_page| per_page > 0),
            page_count: pagination.and_then(|pagination| number(pagination.total_pages)),
        }
    }
}

/// The reading of one query.
#[derive(Debug)]
struct QueryProgress {
    /// The page size of all its requests: pages of different sizes don't fit together.
    requested_size: u64,
    /// The page size of the server, as far as it is known.
    server_size: Option<u64>,
    /// The number of the page to fetch next.
    next: u64,
    /// The highest page count of the responses.
    last: Option<u64>,
    total: Option<u64>,
    total_changed: bool,
    futile_rechecks: u32,
    evidence: QueryEvidence,
}

/// What the delivered pages of a query have shown, in their order.
#[derive(Debug, Default)]
struct QueryEvidence {
    /// The number of distinct values.
    received: u64,
    /// The number of values that came again.
    repeated: u64,
    unreadable: u64,
    min_total: Option<u64>,
    max_total: Option<u64>,
    /// The smallest total of the pages without records at the end.
    min_total_at_end: Option<u64>,
    /// The number of pages without a new value at the end.
    pages_without_news: u32,
    /// The first value of the latest page.
    first: Option<FirstKey>,
}

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QueryEnd {
    /// By the server's total or page count, or by an empty page if it reports neither.
    AtEnd,
    /// Before the end that the server reports, or without a sign of the end.
    Early,
}

/// What the queries that have ended have shown.
#[derive(Debug, Default)]
struct Delivered {
    received: u64,
    /// `None` once a query has ended without a total.
    total: Option<u128>,
    has_query_without_total: bool,
    unreadable: u64,
    is_short: bool,
}

impl QueryProgress {
    fn new(requested_size: u64) -> Self {
        Self {
            requested_size,
            server_size: None,
            next: 1,
            last: None,
            total: None,
            total_changed: false,
            futile_rechecks: 0,
            evidence: QueryEvidence::default(),
        }
    }

    /// Takes a response into account, whatever order the responses arrive in.
    fn observe(&mut self, number: u64, facts: &PageFacts) -> Option<TotalChange> {
        let size = match number {
            1 => facts
                .per_page
                .max(Some(facts.shown).filter(|&shown| shown > 0)),
            _ => facts.per_page,
        };
        self.server_size = self.server_size.max(size);
        let before = self.total;
        self.total = facts.total.or(before);
        let by_total = facts.total.map(|total| total.div_ceil(self.size()));
        self.last = self.last.max(facts.page_count).max(by_total);
        let change = before.zip(facts.total);
        let change = change.filter(|(before, now)| before != now);
        self.total_changed |= change.is_some();
        change.map(|(before, now)| TotalChange { before, now })
    }

    /// Returns the page size (at least 1).
    fn size(&self) -> u64 {
        self.server_size.unwrap_or(self.requested_size).max(1)
    }

    /// Returns `true` if the page shows fewer records than the total or the page count tells.
    fn is_short(&self, number: u64, facts: &PageFacts) -> bool {
        let expected = match self.total {
            Some(total) => {
                let before = self.size().saturating_mul(number - 1);
                total.saturating_sub(before).min(self.size())
            }
            None => u64::from(self.last.is_some_and(|last| number <= last)),
        };
        let may_recheck = facts.shown == 0 || self.futile_rechecks < MAX_FUTILE_RECHECKS;
        facts.shown < expected && may_recheck
    }

    /// Takes a page into account that is delivered with `new` values that no earlier page had.
    /// Returns how the query ends, if it does.
    fn deliver(&mut self, number: u64, facts: &PageFacts, new: u64) -> Option<QueryEnd> {
        let is_repeated = facts.first.is_some() && facts.first == self.evidence.first;
        // Values without an ID are new wherever they come.
        self.evidence.add(facts, if is_repeated { 0 } else { new });
        let without_news = self.evidence.pages_without_news;
        let end = |is_complete| match is_complete {
            true => QueryEnd::AtEnd,
            false => QueryEnd::Early,
        };
        if is_repeated || (without_news > 1 && facts.shown > 0) {
            // A server that ignores the page number may show all values on one page.
            let may_show_all = is_repeated
                && self.last.is_none()
                && facts.shown != self.requested_size
                && !USUAL_SIZES.contains(&facts.shown);
            return Some(end(may_show_all || self.has_all_of_total()));
        }
        let Some(last) = self.last else {
            return (facts.shown == 0).then_some(QueryEnd::AtEnd);
        };
        if self.total.is_none() {
            let latest = facts.page_count.unwrap_or(last);
            return match number >= last {
                true => Some(QueryEnd::AtEnd),
                false => (without_news > 1).then(|| end(latest <= number)),
            };
        }
        if number < last {
            return (without_news > 1).then(|| end(self.has_all()));
        }
        if self.evidence.max_total < Some(self.evidence.received) {
            // More values than the total: only a page that is not full shows the end.
            return (facts.shown < self.size()).then_some(QueryEnd::AtEnd);
        }
        (self.has_all() || without_news > 0).then(|| end(self.has_all()))
    }

    fn has_all_of_total(&self) -> bool {
        let total = self.evidence.smallest_total();
        total.is_some_and(|total| self.evidence.received >= total)
    }

    /// Returns `true` if the delivered values are as many as the smallest total.
    ///
    /// While values are added and deleted, values move between pages. One that comes again then
    /// stands for one that moved to a page that was read before: the change is reported, but the
    /// pages were all there.
    fn has_all(&self) -> bool {
        let QueryEvidence {
            received, repeated, ..
        } = self.evidence;
        let moved = if self.total_changed { repeated } else { 0 };
        let total = self.evidence.smallest_total();
        total.is_some_and(|total| received.saturating_add(moved) >= total)
    }
}

impl QueryEvidence {
    fn add(&mut self, facts: &PageFacts, new: u64) {
        self.received += new;
        self.repeated += facts.values.saturating_sub(new);
        self.unreadable += facts.unreadable;
        self.first = facts.first;
        self.pages_without_news = match new.saturating_add(facts.unreadable) {
            0 => self.pages_without_news + 1,
            _ => 0,
        };
        self.max_total = self.max_total.max(facts.total);
        // A total is believed only as far as the page does not contradict it. Beyond an offset
        // limit some servers report 0, so that 0 is no sign that the store was emptied.
        let total = match facts.shown {
            0 => facts.total.filter(|&total| total > 0 || self.received == 0),
            shown => facts.total.filter(|&total| total >= shown),
        };
        if facts.shown == 0 {
            self.min_total_at_end = min(self.min_total_at_end, total);
        } else {
            self.min_total_at_end = None;
            self.min_total = min(self.min_total, total);
        }
    }

    fn smallest_total(&self) -> Option<u64> {
        min(self.min_total, self.min_total_at_end)
    }
}

/// Returns the smaller one of the numbers that are there.
fn min(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
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
            delivered: Delivered::default(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.next.query >= self.queries
    }

    /// Returns the number of values on all pages, once the server has reported it for each query.
    pub(crate) fn total(&self) -> Option<u64> {
        let total = u64::try_from(self.total).unwrap_or(u64::MAX);
        (self.queries_with_total == self.queries).then_some(total)
    }

    /// Returns what is missing from the queries that have ended, if anything is.
    pub(crate) fn shortfall(&self) -> Option<Shortfall> {
        let Delivered {
            received,
            total,
            has_query_without_total,
            unreadable,
            is_short,
        } = self.delivered;
        let total = total.filter(|_| !has_query_without_total);
        (is_short || unreadable > 0).then_some(Shortfall {
            received,
            total: total.map(|total| u64::try_from(total).unwrap_or(u64::MAX)),
            unreadable,
        })
    }

    /// Returns the next page to fetch and its size: `page_size`, unless its query has started with
    /// another one.
    pub(crate) fn next_fetch(&mut self, page_size: u64) -> Option<(PageId, u64)> {
        // Only the next page: the query may end there.
        let next = self.fetched.get_mut(&self.next);
        if let Some(fetched) = next.filter(|page| page.recheck == Recheck::Due) {
            fetched.recheck = Recheck::InFlight;
            self.in_flight.insert(self.next);
            let size = self.started.get(&self.next.query)?.requested_size;
            return Some((self.next, size));
        }
        let page = (self.next.query..self.queries).find_map(|query| {
            let Some(progress) = self.started.get(&query) else {
                return Some(PageId { query, number: 1 });
            };
            let page = PageId {
                query,
                number: progress.next,
            };
            let is_expected = progress.last.is_some_and(|last| page.number <= last);
            let is_due = page == self.next || (is_expected && !self.is_doubtful(query));
            is_due.then_some(page)
        })?;
        let has_room = self.in_flight.len() + self.fetched.len() < self.read_ahead;
        if page != self.next && !has_room {
            return None;
        }
        let progress = self.started.entry(page.query);
        let progress = progress.or_insert_with(|| QueryProgress::new(page_size));
        progress.next += 1;
        self.in_flight.insert(page);
        Some((page, progress.requested_size))
    }

    /// Returns `true` if a page of the query shows nothing, or fewer values than expected, so that
    /// the query may end before its other pages.
    fn is_doubtful(&self, query: usize) -> bool {
        let progress = self.started.get(&query);
        let mut pages = self.fetched.iter().filter(|(page, _)| page.query == query);
        progress.is_some_and(|progress| progress.evidence.pages_without_news > 0)
            || pages.any(|(_, page)| {
                page.recheck != Recheck::No || page.facts.is_none_or(|facts| facts.shown == 0)
            })
    }

    /// Restarts a query whose first page was rejected, for smaller pages.
    pub(crate) fn restart(&mut self, page: PageId) {
        self.in_flight.remove(&page);
        self.fetched.remove(&page);
        if let Some(total) = self
            .started
            .remove(&page.query)
            .and_then(|query| query.total)
        {
            self.queries_with_total -= 1;
            self.total -= u128::from(total);
        }
    }

    /// Records a fetched page, or a failed fetch, which has no head.
    pub(crate) fn record(
        &mut self,
        page: PageId,
        content: T,
        head: Option<&PageHead>,
    ) -> Option<TotalChange> {
        self.in_flight.remove(&page);
        // The query may have ended before the page arrived.
        let progress = self.started.get_mut(&page.query)?;
        let facts = head.map(PageFacts::new);
        let before = progress.total;
        let change = facts.and_then(|facts| progress.observe(page.number, &facts));
        if let Some(now) = progress.total {
            self.queries_with_total += usize::from(before.is_none());
            self.total = self.total + u128::from(now) - u128::from(before.unwrap_or(0));
        }
        let shown = facts.map(|facts| facts.shown);
        if let Some(first_try) = self.fetched.get_mut(&page) {
            first_try.recheck = Recheck::No;
            let before = first_try.facts.map(|facts| facts.shown);
            match shown > before {
                true => progress.futile_rechecks = 0,
                false => progress.futile_rechecks += 1,
            }
            if shown.is_none() || shown > before {
                (first_try.content, first_try.facts) = (content, facts);
            } else if let (Some(first), Some(facts)) = (&mut first_try.facts, facts) {
                // A page by cursor has no total of its own.
                first.total = first.total.or(facts.total);
            }
            if progress.futile_rechecks >= MAX_FUTILE_RECHECKS {
                self.accept_short_pages(page.query);
            }
            return change;
        }
        let recheck = match facts.is_some_and(|facts| progress.is_short(page.number, &facts)) {
            true => Recheck::Due,
            false => Recheck::No,
        };
        let fetched = FetchedPage {
            content,
            facts,
            recheck,
        };
        self.fetched.insert(page, fetched);
        change
    }

    /// Cancels the second requests of the query's short pages, except for empty ones.
    fn accept_short_pages(&mut self, query: usize) {
        for (page, fetched) in &mut self.fetched {
            let is_short = fetched.facts.is_some_and(|facts| facts.shown > 0);
            if page.query == query && is_short && fetched.recheck == Recheck::Due {
                fetched.recheck = Recheck::No;
            }
        }
    }

    /// Delivers the next page in order, once it is there. `count_new` returns the number of its
    /// values that no earlier page had.
    pub(crate) fn deliver<R>(&mut self, count_new: impl FnOnce(T) -> (R, u64)) -> Option<R> {
        let page = self.next;
        if self.fetched.get(&page)?.recheck != Recheck::No {
            return None;
        }
        let FetchedPage { content, facts, .. } = self.fetched.remove(&page)?;
        let (result, new) = count_new(content);
        let end = match (self.started.get_mut(&page.query), facts) {
            (Some(progress), Some(facts)) => progress.deliver(page.number, &facts, new),
            // The caller ends the list at a page that failed.
            _ => None,
        };
        match end {
            Some(end) => self.end_query(page.query, end),
            None => self.next.number += 1,
        }
        Some(result)
    }

    fn end_query(&mut self, query: usize, end: QueryEnd) {
        self.next = PageId {
            query: query + 1,
            number: 1,
        };
        self.fetched.retain(|page, _| page.query != query);
        self.in_flight.retain(|page| page.query != query);
        let Some(progress) = self.started.remove(&query) else {
            return;
        };
        let evidence = progress.evidence;
        let delivered = &mut self.delivered;
        delivered.received += evidence.received;
        delivered.unreadable += evidence.unreadable;
        delivered.is_short |= end == QueryEnd::Early;
        match evidence.smallest_total() {
            Some(total) => {
                delivered.total = Some(delivered.total.unwrap_or(0) + u128::from(total));
            }
            None => delivered.has_query_without_total = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response: the values of a page, its total and its page count.
    #[derive(Clone, Debug)]
    struct Response {
        values: Vec<i64>,
        total: Option<i64>,
        per_page: Option<i64>,
        page_count: Option<i64>,
    }

    #[derive(Debug)]
    struct Reading {
        /// The distinct values in the order of delivery.
        values: Vec<i64>,
        requests: Vec<PageId>,
        shortfall: Option<Shortfall>,
    }

    const SIZE: u64 = 10;

    /// Reads all pages. `respond` is told how often the page was requested before.
    fn read(queries: usize, mut respond: impl FnMut(PageId, u32) -> Response) -> Reading {
        let mut scheduler = PageScheduler::new(queries, 6);
        let mut in_flight = Vec::new();
        let mut tries = BTreeMap::<PageId, u32>::new();
        let (mut values, mut requests) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        while !scheduler.is_done() {
            while in_flight.len() < 3
                && let Some((page, size)) = scheduler.next_fetch(SIZE)
            {
                assert_eq!(size, SIZE);
                in_flight.push(page);
                requests.push(page);
            }
            // The latest request finishes first.
            let page = in_flight.pop().expect("a page in flight");
            let count = tries.entry(page).or_default();
            let response = respond(page, *count);
            *count += 1;
            let head = head(&response);
            scheduler.record(page, response.values, Some(&head));
            while let Some(delivered) = scheduler.deliver(|page: Vec<i64>| {
                let new: Vec<_> = page.into_iter().filter(|&id| seen.insert(id)).collect();
                let count = new.len() as u64;
                (new, count)
            }) {
                values.extend(delivered);
            }
            assert!(requests.len() < 1000, "the list does not end");
        }
        Reading {
            values,
            requests,
            shortfall: scheduler.shortfall(),
        }
    }

    fn head(response: &Response) -> PageHead {
        let pagination = Pagination::builder()
            .total(response.total)
            .per_page(response.per_page)
            .total_pages(response.page_count);
        PageHead {
            pagination: Some(pagination.try_into().expect("a pagination")),
            first: response.values.first().map(|&id| (id, 1)),
            values: response.values.len() as u64,
            unreadable: 0,
        }
    }

    /// Returns the response of an honest server that has the values from 1 to `total`.
    fn honest(total: u64, number: u64) -> Response {
        let first = (number - 1) * SIZE + 1;
        Response {
            values: (first..first + SIZE)
                .filter(|&id| id <= total)
                .map(u64::cast_signed)
                .collect(),
            total: Some(total.cast_signed()),
            per_page: Some(SIZE.cast_signed()),
            page_count: Some(total.div_ceil(SIZE).cast_signed()),
        }
    }

    fn without_meta(response: Response) -> Response {
        Response {
            total: None,
            per_page: None,
            page_count: None,
            ..response
        }
    }

    fn empty(response: Response) -> Response {
        Response {
            values: Vec::new(),
            ..response
        }
    }

    #[test]
    fn pages_are_delivered_in_order_whatever_order_they_arrive_in() {
        let totals = [45, 0, 87];
        let reading = read(3, |page, _| {
            let response = honest(totals[page.query], page.number);
            let offset = 1000 * i64::try_from(page.query).expect("a small number");
            let values = response.values.iter().map(|id| id + offset).collect();
            Response { values, ..response }
        });
        let expected = (1..=45).chain(2001..=2087);
        assert_eq!(reading.values, expected.collect::<Vec<_>>());
        assert_eq!(reading.requests.len(), 5 + 1 + 9);
        assert_eq!(reading.shortfall, None);
    }

    /// What a server does to a list of 87 values on 9 pages, and what the list makes of it.
    struct Case {
        server: &'static str,
        respond: fn(u64, u32) -> Response,
        received: u64,
        /// The total of the shortfall, if there is one.
        missing_of: Option<Option<u64>>,
        max_requests: usize,
    }

    #[test]
    fn a_list_ends_by_evidence_and_says_what_is_missing() {
        let complete = None;
        let cases = [
            Case {
                server: "is honest",
                respond: |page, _| honest(87, page),
                received: 87,
                missing_of: complete,
                max_requests: 9,
            },
            Case {
                server: "reports no totals",
                respond: |page, _| without_meta(honest(87, page)),
                received: 87,
                missing_of: complete,
                max_requests: 10,
            },
            Case {
                server: "reports totals on the first page only",
                respond: |page, _| match page {
                    1 => honest(87, page),
                    _ => without_meta(honest(87, page)),
                },
                received: 87,
                missing_of: complete,
                max_requests: 9,
            },
            Case {
                server: "reports a page count that is too low",
                respond: |page, _| Response {
                    page_count: Some(4),
                    ..honest(87, page)
                },
                received: 87,
                missing_of: complete,
                max_requests: 9,
            },
            Case {
                server: "reports no total, and the page count late",
                respond: |page, _| Response {
                    page_count: Some(if page < 3 { 4 } else { 9 }),
                    ..without_meta(honest(87, page))
                },
                received: 87,
                missing_of: complete,
                max_requests: 9,
            },
            Case {
                server: "repeats the requested size but shows at most 5 values",
                respond: |page, _| Response {
                    values: (1..=87).skip((page as usize - 1) * 5).take(5).collect(),
                    ..honest(87, page)
                },
                received: 87,
                missing_of: complete,
                max_requests: 18 + 2,
            },
            Case {
                server: "shows an empty page once",
                respond: |page, tries| match (page, tries) {
                    (4, 0) => empty(honest(87, page)),
                    _ => honest(87, page),
                },
                received: 87,
                missing_of: complete,
                max_requests: 10,
            },
            Case {
                server: "shows an empty first page once",
                respond: |page, tries| match (page, tries) {
                    (1, 0) => empty(honest(87, page)),
                    _ => honest(87, page),
                },
                received: 87,
                missing_of: complete,
                max_requests: 10,
            },
            Case {
                server: "shows a short page once",
                respond: |page, tries| {
                    let mut response = honest(87, page);
                    if (page, tries) == (4, 0) {
                        response.values.pop();
                    }
                    response
                },
                received: 87,
                missing_of: complete,
                max_requests: 10,
            },
            Case {
                server: "always shows page 4 empty",
                respond: |page, _| match page {
                    4 => empty(honest(87, page)),
                    _ => honest(87, page),
                },
                received: 77,
                missing_of: Some(Some(87)),
                max_requests: 9 + 2,
            },
            Case {
                server: "always shows page 4 short",
                respond: |page, _| {
                    let mut response = honest(87, page);
                    if page == 4 {
                        response.values.pop();
                    }
                    response
                },
                received: 86,
                missing_of: Some(Some(87)),
                max_requests: 9 + 2,
            },
            Case {
                server: "shows the last page short",
                respond: |page, _| {
                    let mut response = honest(87, page);
                    if page == 9 {
                        response.values.pop();
                    }
                    response
                },
                received: 86,
                missing_of: Some(Some(87)),
                max_requests: 9 + 2,
            },
            Case {
                server: "has an offset limit",
                respond: |page, _| match page {
                    1..=4 => honest(87, page),
                    _ => empty(honest(87, page)),
                },
                received: 40,
                missing_of: Some(Some(87)),
                max_requests: 4 + 3 * 2,
            },
            Case {
                server: "has an offset limit, beyond which it reports a total of 0",
                respond: |page, _| match page {
                    1..=4 => honest(87, page),
                    _ => honest(0, page),
                },
                received: 40,
                missing_of: Some(Some(87)),
                max_requests: 4 + 3 * 2,
            },
            Case {
                server: "has an offset limit, beyond which it repeats the last page",
                respond: |page, _| honest(87, page.min(4)),
                received: 40,
                missing_of: Some(Some(87)),
                max_requests: 8,
            },
            Case {
                server: "ignores the page number",
                respond: |_, _| honest(87, 1),
                received: 10,
                missing_of: Some(Some(87)),
                max_requests: 7,
            },
            Case {
                server: "ignores the page number and reports no totals",
                respond: |_, _| without_meta(honest(87, 1)),
                received: 10,
                missing_of: Some(None),
                max_requests: 2,
            },
            Case {
                server: "ignores the page number and shows all values",
                respond: |_, _| Response {
                    values: (1..=87).collect(),
                    ..without_meta(honest(87, 1))
                },
                received: 87,
                missing_of: complete,
                max_requests: 2,
            },
            Case {
                server: "alternates between two pages and reports a total without end",
                respond: |page, _| Response {
                    total: Some(i64::MAX),
                    page_count: Some(i64::MAX),
                    ..honest(87, 1 + page % 2)
                },
                received: 20,
                missing_of: Some(Some(i64::MAX.cast_unsigned())),
                max_requests: 8,
            },
            Case {
                server: "counts the whole store",
                respond: |page, _| Response {
                    total: Some(5000),
                    page_count: Some(500),
                    ..honest(13, page)
                },
                received: 13,
                missing_of: Some(Some(5000)),
                max_requests: 10,
            },
            Case {
                server: "shows nothing but a page count without end",
                respond: |page, _| Response {
                    page_count: Some(i64::MAX),
                    ..without_meta(honest(0, page))
                },
                received: 0,
                missing_of: Some(None),
                max_requests: 4,
            },
            Case {
                server: "reports a total of 0",
                respond: |page, _| Response {
                    total: Some(0),
                    page_count: Some(0),
                    ..honest(87, page)
                },
                received: 87,
                missing_of: complete,
                max_requests: 9,
            },
            Case {
                server: "loses 50 values after the second page",
                respond: |page, _| honest(if page > 2 { 37 } else { 87 }, page),
                received: 37,
                missing_of: complete,
                max_requests: 9,
            },
            Case {
                server: "gains 3 values before all others after the first page",
                respond: |page, _| {
                    let response = honest(if page > 1 { 90 } else { 87 }, page);
                    let shift = if page > 1 { 3 } else { 0 };
                    let values = response.values.iter().map(|id| id - shift).collect();
                    Response { values, ..response }
                },
                received: 87,
                missing_of: complete,
                max_requests: 9,
            },
        ];
        for case in cases {
            let reading = read(1, |page, tries| (case.respond)(page.number, tries));
            let Reading {
                values,
                requests,
                shortfall,
            } = reading;
            let server = case.server;
            assert_eq!(values.len() as u64, case.received, "the server {server}");
            let expected = case.missing_of.map(|total| Shortfall {
                received: case.received,
                total,
                unreadable: 0,
            });
            assert_eq!(shortfall, expected, "the server {server}");
            let count = requests.len();
            assert!(
                count <= case.max_requests,
                "the server {server}: {count} requests"
            );
        }
    }

    #[test]
    fn an_unreadable_record_is_missing_and_not_a_short_page() {
        let mut scheduler = PageScheduler::new(1, 1);
        let (page, _) = scheduler.next_fetch(SIZE).expect("a page");
        let mut response = honest(8, 1);
        response.values.pop();
        let head = PageHead {
            unreadable: 1,
            ..head(&response)
        };
        scheduler.record(page, 7, Some(&head));
        scheduler.deliver(|values| ((), values)).expect("a page");
        let mut requests = 1;
        while let Some((page, _)) = scheduler.next_fetch(SIZE) {
            let head = self::head(&honest(8, page.number));
            scheduler.record(page, 0, Some(&head));
            scheduler.deliver(|values| ((), values)).expect("a page");
            requests += 1;
        }
        assert!(scheduler.is_done() && requests <= 2, "{requests} requests");
        let expected = Shortfall {
            received: 7,
            total: Some(8),
            unreadable: 1,
        };
        assert_eq!(scheduler.shortfall(), Some(expected));
    }

    #[test]
    fn huge_totals_of_several_queries_do_not_overflow() {
        let reading = read(3, |page, _| Response {
            total: Some(i64::MAX),
            ..honest(0, page.number)
        });
        assert!(reading.requests.len() <= 12, "{:?}", reading.requests);
        assert_eq!(
            reading.shortfall.and_then(|missing| missing.total),
            Some(u64::MAX)
        );
    }
}
