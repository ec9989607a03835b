//! How many values to request per page.

use std::sync::atomic::{AtomicU64, Ordering};

use super::scheduler::PageId;
use crate::client::{CallFailure, Client};
use crate::error::ErrorKind;

/// The provider's maximum.
const MAX: u64 = 250;
/// The sizes to try in turn when the server rejects a page for its size. The last one is the
/// provider's default.
const SIZES: [u64; 3] = [MAX, 100, 50];

/// The largest page size that the server accepts, as far as is known.
#[derive(Debug)]
pub(in crate::client) struct PageLimit(AtomicU64);

impl Default for PageLimit {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl PageLimit {
    /// Returns the number of values (at most 250).
    pub(in crate::client) fn get(&self) -> u64 {
        self.known().min(MAX)
    }

    fn known(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn record(&self, size: u64) {
        self.0.fetch_min(size, Ordering::Relaxed);
    }
}

/// The page size of one list.
#[derive(Debug)]
pub(crate) struct PageSize {
    client: Client,
    size: u64,
    /// The query for which the server rejected a larger page, perhaps for its size.
    rejected_query: Option<usize>,
}

impl PageSize {
    pub(crate) fn new(client: &Client, requested: Option<u64>) -> Self {
        Self {
            client: client.clone(),
            size: requested.unwrap_or(MAX).min(client.page_limit().known()),
            rejected_query: None,
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.size
    }

    /// Takes the result of a fetch into account. Returns `None` if the page's query is to be
    /// restarted with smaller pages.
    pub(crate) fn review<T>(
        &mut self,
        page: PageId,
        size: u64,
        result: Result<T, CallFailure>,
    ) -> Option<Result<T, CallFailure>> {
        match &result {
            Ok(_) => self.record_accepted(page.query, size),
            Err(failure) if page.number == 1 && self.try_shrink(page.query, size, failure) => {
                return None;
            }
            Err(_) => {}
        }
        Some(result)
    }

    /// Shrinks the page after a rejection. Returns `false` if a smaller page is not worth a try.
    fn try_shrink(&mut self, query: usize, rejected: u64, failure: &CallFailure) -> bool {
        let may_be_size = match failure.error.kind() {
            ErrorKind::TooLarge => true,
            ErrorKind::InvalidRequest => failure.error.status() == Some(422),
            _ => false,
        };
        let smaller = SIZES.into_iter().find(|&smaller| smaller < rejected);
        let Some(smaller) = smaller.filter(|_| may_be_size) else {
            return false;
        };
        tracing::debug!(rejected, smaller, "requesting smaller pages");
        self.size = self.size.min(smaller);
        self.rejected_query = Some(query);
        true
    }

    /// Records an accepted page. If a larger page of the same query was rejected, its size was the
    /// reason, so no list of this store requests that size again.
    fn record_accepted(&self, query: usize, size: u64) {
        if self.rejected_query == Some(query) {
            self.client.page_limit().record(size);
        }
    }
}
