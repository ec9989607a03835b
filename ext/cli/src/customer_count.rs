//! How many customers there are among any number of rows.

use roaring::RoaringTreemap;

/// Counts different customers, in a bit or two each where their IDs are close together.
#[derive(Debug, Default)]
pub struct CustomerCount {
    ids: RoaringTreemap,
    /// The rows of a customer often follow each other.
    last: Option<i64>,
}

impl CustomerCount {
    pub fn add(&mut self, customer: i64) {
        if self.last == Some(customer) {
            return;
        }
        self.last = Some(customer);
        self.ids.insert(customer.unsigned_abs());
    }

    pub fn count(&self) -> u64 {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_counts_once() {
        let mut count = CustomerCount::default();
        for customer in [7, 7, 3_000_000_000, 7, 8] {
            count.add(customer);
        }
        assert_eq!(count.count(), 3);
    }
}
