use std::sync::Arc;

use tokio::time::Instant;

use crate::active_fault::ActiveFault;
use crate::fault::{Fault, Operation};
use crate::fault_plan::FaultPlan;
use crate::random;

/// A fault plan in progress: numbers the requests, and begins and ends the outage.
pub(crate) struct FaultSchedule {
    plan: Arc<FaultPlan>,
    started: Instant,
    next_number: u64,
}

impl FaultSchedule {
    /// Returns `None` for a plan without faults, so that a sandbox without faults has no overhead.
    pub(crate) fn start(plan: FaultPlan) -> Option<Self> {
        plan.has_faults().then(|| Self {
            plan: Arc::new(plan),
            started: Instant::now(),
            next_number: 0,
        })
    }

    /// Numbers the request and returns its fault.
    pub(crate) fn draw(&mut self, operation: Operation, now: Instant) -> Option<ActiveFault> {
        let elapsed = now.saturating_duration_since(self.started);
        let (fault, rng) = if self.plan.is_outage_at(elapsed) {
            (Fault::Unavailable, random::generator(0, 0))
        } else {
            let number = self.next_number;
            self.next_number += 1;
            self.plan.draw(number, operation)?
        };
        Some(ActiveFault {
            fault,
            plan: Arc::clone(&self.plan),
            rng,
        })
    }
}
