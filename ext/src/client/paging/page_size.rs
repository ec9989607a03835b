//! How many values to request per page.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::scheduler::PageId;
use crate::client::{CallFailure, Client, TARGET};
use crate::error::ErrorKind;

/// The provider's maximum.
const MAX: u64 = 250;
/// The sizes to try in turn when the server rejects a page for its size. The last one is the
/// provider's default.
const SIZES: [u64; 3] = [MAX, 100, 50];

/// How long a rejected page size is not requested again: the reason may pass.
const MEMORY: Duration = Duration::from_secs(600);

/// The largest page size that the server accepts, as far as is known.
#[derive(Debug, Default)]
pub(in crate::client) struct PageLimit(Mutex<Option<LearnedSize>>);

#[derive(Clone, Copy, Debug)]
struct LearnedSize {
    size: u64,
    until: Instant,
}

impl PageLimit {
    /// Returns the number of values (at most 250).
    pub(in crate::client) fn get(&self, now: Instant) -> u64 {
        self.learned(now).unwrap_or(MAX).min(MAX)
    }

    fn learned(&self, now: Instant) -> Option<u64> {
        let learned = *self.lock();
        learned
            .filter(|learned| now < learned.until)
            .map(|learned| learned.size)
    }

    fn record(&self, size: u64, now: Instant) {
        let size = self.learned(now).unwrap_or(size).min(size);
        let until = now + MEMORY;
        *self.lock() = Some(LearnedSize { size, until });
    }

    fn lock(&self) -> MutexGuard<'_, Option<LearnedSize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let size = requested.unwrap_or(MAX);
        let learned = client.page_limit().learned(Instant::now());
        Self {
            client: client.clone(),
            size: learned.map_or(size, |learned| learned.min(size)),
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
            // A URL that is too long is not the page's fault.
            ErrorKind::TooLarge => failure.error.status() != Some(414),
            ErrorKind::InvalidRequest => failure.error.status() == Some(422),
            _ => false,
        };
        let smaller = SIZES.into_iter().find(|&smaller| smaller < rejected);
        let Some(smaller) = smaller.filter(|_| may_be_size) else {
            return false;
        };
        let store = self.client.label();
        tracing::debug!(
            target: TARGET,
            store = &*store,
            rejected,
            smaller,
            "requesting smaller pages"
        );
        self.size = self.size.min(smaller);
        self.rejected_query = Some(query);
        true
    }

    /// Records an accepted page. If a larger page of the same query was rejected, its size was the
    /// reason, so no list of this store requests that size for a while.
    fn record_accepted(&self, query: usize, size: u64) {
        if self.rejected_query == Some(query) {
            self.client.page_limit().record(size, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learned_page_size_is_forgotten_after_ten_minutes() {
        let limit = PageLimit::default();
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(limit.get(now), 250);
        limit.record(100, now);
        assert_eq!((limit.get(after(599)), limit.get(after(600))), (100, 250));
        limit.record(50, after(300));
        limit.record(100, after(400));
        assert_eq!((limit.get(after(999)), limit.get(after(1000))), (50, 250));
        limit.record(100, after(1000));
        assert_eq!(limit.get(after(1001)), 100);
    }
}
