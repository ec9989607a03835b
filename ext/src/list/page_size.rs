//! How many values to ask for in a page.

use std::sync::atomic::Ordering;

use crate::call::Failed;
use crate::error::ErrorKind;
use crate::store::{Shared, Store};

/// The most that the provider's lists give in a page.
const LARGEST: u64 = 250;
/// What to fall back on where the server refuses a page for its size; the last is its default.
const SMALLER: [u64; 3] = [LARGEST, 100, 50];

/// The number of values to ask for, as far as the server takes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSize {
    limit: u64,
    /// The query of which a larger one was refused, maybe for its size.
    refused: Option<usize>,
}

/// The most values that a page can hold, as far as the server has shown.
pub(crate) fn largest_page(shared: &Shared) -> u64 {
    shared.page_size.load(Ordering::Relaxed).min(LARGEST)
}

impl PageSize {
    pub(super) fn new(store: &Store, asked: Option<u64>) -> Self {
        let most = store.shared().page_size.load(Ordering::Relaxed);
        Self {
            limit: asked.unwrap_or(LARGEST).min(most),
            refused: None,
        }
    }

    pub(super) fn get(self) -> u64 {
        self.limit
    }

    /// Hears that a page was refused; says whether a smaller one is worth a try.
    pub(super) fn shrinks(&mut self, query: usize, refused: u64, failed: &Failed) -> bool {
        let can_be_size = match failed.error.kind() {
            ErrorKind::TooLarge => true,
            ErrorKind::Refused => failed.error.status() == Some(422),
            _ => false,
        };
        let smaller = SMALLER.into_iter().find(|&smaller| smaller < refused);
        let Some(smaller) = smaller.filter(|_| can_be_size) else {
            return false;
        };
        tracing::debug!(refused, smaller, "asking for smaller pages");
        self.limit = self.limit.min(smaller);
        self.refused = Some(query);
        true
    }

    /// Hears that a page was given: if a larger one of the same query was not, that was for its
    /// size, and no list of this store needs to ask for it again.
    pub(super) fn is_accepted(self, store: &Store, query: usize, limit: u64) {
        if self.refused == Some(query) {
            let page_size = &store.shared().page_size;
            page_size.fetch_min(limit, Ordering::Relaxed);
        }
    }
}
