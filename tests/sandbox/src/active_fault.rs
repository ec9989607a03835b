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

    /// Picks a number from a range that must not be empty.
    pub(crate) fn pick(&mut self, range: Range<usize>) -> usize {
        self.rng.usize(range)
    }
}
