use std::sync::Arc;

use crate::state::Shared;

/// Marks the customers of a PUT as busy until it is dropped.
pub(crate) struct BusyGuard {
    shared: Arc<Shared>,
    customers: Vec<i64>,
}

impl BusyGuard {
    /// Marks the customers, each named once, and counts an overlap if one is already busy.
    pub(crate) fn new(shared: &Arc<Shared>, customers: Vec<i64>) -> Self {
        let mut state = shared.lock();
        if state.busy_customers.add(&customers) {
            state.counts.customer_overlaps += 1;
        }
        drop(state);
        Self {
            shared: Arc::clone(shared),
            customers,
        }
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.shared.lock().busy_customers.remove(&self.customers);
    }
}
