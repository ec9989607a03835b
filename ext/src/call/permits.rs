//! The limit of requests in flight.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits to have a request in flight, first come, first served; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Permits(Arc<Semaphore>);

pub(crate) type Permit = OwnedSemaphorePermit;

impl Permits {
    pub(crate) const MOST: usize = Semaphore::MAX_PERMITS;

    pub(crate) fn new(in_flight: usize) -> Self {
        Self(Arc::new(Semaphore::new(in_flight)))
    }

    /// Waits for a permit, which is given back when it is dropped.
    ///
    /// To be awaited in a task of its own only: a place in the queue that nobody polls would hold
    /// up everyone behind it.
    pub(crate) async fn acquire(&self) -> Permit {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        permit.expect("the semaphore is private to this type, which never closes it")
    }
}
