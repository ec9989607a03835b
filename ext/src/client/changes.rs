//! Tells drivers that something has changed that they may wait for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Tells the drivers of changes.
#[derive(Default)]
pub(super) struct Changes(Mutex<Watchers>);

/// A counter of the changes that drivers wait for, and the wakers of those drivers.
#[derive(Default)]
struct Watchers {
    count: u64,
    last_watcher: u64,
    wakers: HashMap<u64, Waker>,
}

impl Changes {
    /// Wakes the drivers that watch for changes.
    pub(super) fn notify(&self) {
        let wakers = {
            let mut watchers = self.lock();
            watchers.count += 1;
            std::mem::take(&mut watchers.wakers)
        };
        wakers.into_values().for_each(Waker::wake);
    }

    pub(super) fn new_watcher(&self) -> (u64, u64) {
        let mut watchers = self.lock();
        watchers.last_watcher += 1;
        (watchers.last_watcher, watchers.count)
    }

    pub(super) fn remove_watcher(&self, id: u64) {
        self.lock().wakers.remove(&id);
    }

    pub(super) fn poll_changed(&self, id: u64, seen: &mut u64, cx: &Context<'_>) -> Poll<()> {
        let mut watchers = self.lock();
        if watchers.count != *seen {
            *seen = watchers.count;
            return Poll::Ready(());
        }
        watchers.wakers.insert(id, cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
