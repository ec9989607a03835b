use std::collections::HashMap;

/// The customers of the PUTs in progress, each with the number of these PUTs.
#[derive(Default)]
pub(crate) struct BusyCustomers(HashMap<i64, usize>);

impl BusyCustomers {
    /// Adds the customers of a PUT, each named once. Returns `true` if another PUT in progress
    /// names one of them.
    pub(crate) fn add(&mut self, customers: &[i64]) -> bool {
        let mut overlaps = false;
        for customer in customers {
            let puts = self.0.entry(*customer).or_insert(0);
            overlaps |= *puts > 0;
            *puts += 1;
        }
        overlaps
    }

    pub(crate) fn remove(&mut self, customers: &[i64]) {
        for customer in customers {
            match self.0.get_mut(customer) {
                Some(puts) if *puts > 1 => *puts -= 1,
                _ => {
                    self.0.remove(customer);
                }
            }
        }
    }
}
