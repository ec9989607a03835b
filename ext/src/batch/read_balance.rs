//! Whether reading customers before writing them saves more requests than it costs. Pure.

/// The number of requests after which reading is judged.
const JUDGED_REQUESTS: usize = 10;
/// For how many customers reading is suspended at first, and at most.
const MIN_SUSPENSION: u64 = 1_000;
const MAX_SUSPENSION: u64 = 64_000;

/// Weighs the requests of reads against the batches that they save.
///
/// While reading costs clearly more than it saves, it is suspended for a number of customers, twice
/// as many each time in a row. Then it is tried again.
#[derive(Debug)]
pub(crate) struct ReadBalance {
    customers_per_call: usize,
    /// The requests of the reads since the latest judgement.
    requests: usize,
    /// The customers in the batches that these reads saved.
    saved_customers: usize,
    /// For how many more customers reading is suspended.
    suspended_for: u64,
    next_suspension: u64,
}

/// A finished read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FinishedRead {
    pub requests: usize,
    pub customers: usize,
    /// The customers with a changed row.
    pub changed: usize,
    /// Whether the read had no room for another waiting customer.
    pub is_full: bool,
}

impl ReadBalance {
    pub(crate) fn new(customers_per_call: usize) -> Self {
        Self {
            customers_per_call,
            requests: 0,
            saved_customers: 0,
            suspended_for: 0,
            next_suspension: MIN_SUSPENSION,
        }
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended_for > 0
    }

    /// Returns `true` if reading was suspended lately.
    #[cfg(test)]
    pub(crate) fn was_suspended(&self) -> bool {
        self.is_suspended() || self.next_suspension > MIN_SUSPENSION
    }

    /// Records that some customers are sent without having been read.
    pub(crate) fn record_unread(&mut self, customers: usize) {
        let customers = u64::try_from(customers).unwrap_or(u64::MAX);
        self.suspended_for = self.suspended_for.saturating_sub(customers);
    }

    pub(crate) fn record_read(&mut self, read: FinishedRead) {
        // Without the read, the last batch would have been a partial one.
        let unread_customers = match read.is_full {
            true => read.customers,
            false => read
                .customers
                .div_ceil(self.customers_per_call)
                .saturating_mul(self.customers_per_call),
        };
        self.requests += read.requests;
        self.saved_customers = self
            .saved_customers
            .saturating_add(unread_customers.saturating_sub(read.changed));
        if self.requests < JUDGED_REQUESTS {
            return;
        }
        let cost = self.requests.saturating_mul(self.customers_per_call);
        if cost.saturating_mul(4) > self.saved_customers.saturating_mul(5) {
            self.suspended_for = self.next_suspension;
            self.next_suspension = (2 * self.next_suspension).min(MAX_SUSPENSION);
        } else {
            self.next_suspension = MIN_SUSPENSION;
        }
        self.requests = 0;
        self.saved_customers = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_suspended_where_it_costs_more_than_it_saves() {
        for (requests, customers, changed, is_full, is_suspended) in [
            // Three values per customer: a read of 83 customers saves eight batches.
            (1, 83, 0, true, false),
            (1, 83, 70, true, false),
            (1, 83, 80, true, true),
            // 25 values per customer.
            (1, 10, 0, true, false),
            (1, 10, 1, true, false),
            (1, 10, 5, true, true),
            (1, 10, 10, true, true),
            // 60 values per customer, all unchanged: writing them takes 40 % of the requests.
            (1, 4, 0, true, true),
            // A single customer at a time would take a batch of its own.
            (1, 1, 0, false, false),
            (1, 16, 16, false, true),
            // Attributes that the rows of other customers name fill more pages.
            (4, 30, 0, true, true),
        ] {
            let mut balance = ReadBalance::new(10);
            let read = FinishedRead {
                requests,
                customers,
                changed,
                is_full,
            };
            for _ in 1..JUDGED_REQUESTS.div_ceil(requests) {
                balance.record_read(read);
                assert!(!balance.is_suspended(), "{read:?}: judged too early");
            }
            balance.record_read(read);
            assert_eq!(balance.is_suspended(), is_suspended, "{read:?}");
        }
    }

    #[test]
    fn reading_is_tried_again_after_longer_and_longer_suspensions() {
        let read = |changed| FinishedRead {
            requests: JUDGED_REQUESTS,
            customers: 100,
            changed,
            is_full: true,
        };
        let mut balance = ReadBalance::new(10);
        let suspended_for = |balance: &mut ReadBalance, changed| {
            balance.record_read(read(changed));
            let mut customers = 0;
            while balance.is_suspended() {
                balance.record_unread(500);
                customers += 500;
            }
            customers
        };
        let mut suspensions = |changes: &[usize]| -> Vec<usize> {
            let changes = changes.iter();
            changes
                .map(|&changed| suspended_for(&mut balance, changed))
                .collect()
        };
        assert_eq!(
            suspensions(&[100, 100, 100, 0, 100]),
            [1_000, 2_000, 4_000, 0, 1_000]
        );
        assert_eq!(suspensions(&[100; 9]).last(), Some(&64_000));
    }
}
