use std::collections::HashMap;
use std::sync::Arc;

use crate::state::Shared;

/// The customers of the PUTs that are being worked on, each with the number of those PUTs.
#[derive(Default)]
pub(crate) struct Busy(HashMap<i64, usize>);

/// A PUT that is being worked on, until this is dropped.
pub(crate) struct AtWork {
    shared: Arc<Shared>,
    customers: Vec<i64>,
}

impl AtWork {
    /// Counts the PUT if another one with one of its customers, each named once, is at work.
    pub(crate) fn begin(shared: &Arc<Shared>, customers: Vec<i64>) -> Self {
        let mut state = shared.lock();
        let busy = &mut state.busy.0;
        let mut overlaps = false;
        for customer in &customers {
            let puts = busy.entry(*customer).or_insert(0);
            overlaps |= *puts > 0;
            *puts += 1;
        }
        if overlaps {
            state.counts.customer_overlaps += 1;
        }
        drop(state);
        Self {
            shared: Arc::clone(shared),
            customers,
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let busy = &mut self.shared.lock().busy.0;
        for customer in &self.customers {
            match busy.get_mut(customer) {
                Some(puts) if *puts > 1 => *puts -= 1,
                _ => {
                    busy.remove(customer);
                }
            }
        }
    }
}
