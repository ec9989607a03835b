use std::sync::Arc;

use crate::state::{Shared, State};

/// A place among the requests in flight, which becomes free when this is dropped.
pub(crate) struct InFlightSlot(Arc<Shared>);

impl InFlightSlot {
    /// Takes a place. The caller holds the lock on `state` and has checked the limit.
    pub(crate) fn take(shared: Arc<Shared>, state: &mut State) -> Self {
        state.counts.in_flight += 1;
        Self(shared)
    }
}

impl Drop for InFlightSlot {
    fn drop(&mut self) {
        self.0.lock().counts.in_flight -= 1;
    }
}
