use std::ops::Range;
use std::sync::Arc;

use crate::fault::Fault;
use crate::fault_plan::FaultPlan;

/// A fault that was drawn for one request.
pub(crate) struct ActiveFault {
    pub fault: Fault,
    pub plan: Arc<FaultPlan>,
    pub rng: fastrand::Rng,
}

impl ActiveFault {
    /// Removes items at random, but never all of them.
    pub(crate) fn retain_some<T>(&mut self, items: &mut Vec<T>) {
        if items.is_empty() {
            return;
        }
        let always_kept = self.rng.usize(..items.len());
        let mut index = 0;
        items.retain(|_| {
            let kept = index == always_kept || self.rng.bool();
            index += 1;
            kept
        });
    }

    /// Removes items at random, at least one but not all. Returns `true` unless there are fewer than
    /// two.
    pub(crate) fn remove_some<T>(&mut self, items: &mut Vec<T>) -> bool {
        if items.len() < 2 {
            return false;
        }
        let removed = self.pick(0..items.len());
        items.remove(removed);
        self.retain_some(items);
        true
    }

    /// Picks a number from a range that must not be empty.
    pub(crate) fn pick(&mut self, range: Range<usize>) -> usize {
        self.rng.usize(range)
    }
}
