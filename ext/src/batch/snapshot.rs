//! What the store holds for the customers whose rows wait, as far as it was read. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use bigcommerce_sdk::types;
use foldhash::{HashMap, HashMapExt};

/// The values that were read, amended by those that were written since.
#[derive(Debug, Default)]
pub(crate) struct StoreSnapshot(HashMap<i64, Customer>);

#[derive(Debug)]
struct Customer {
    /// The attributes that were read, in order; `None` where they could not be, so that all rows
    /// count as changed.
    attributes: Option<Arc<[i64]>>,
    values: HashMap<i64, String>,
}

impl StoreSnapshot {
    /// Takes in what a read of some attributes of some customers gave.
    pub(crate) fn read(
        &mut self,
        customers: &BTreeSet<i64>,
        attributes: &BTreeSet<i64>,
        values: Vec<types::AttributeValue>,
    ) {
        let attributes: Arc<[i64]> = attributes.iter().copied().collect();
        for &customer in customers {
            let new = Customer {
                attributes: Some(Arc::clone(&attributes)),
                values: HashMap::new(),
            };
            self.0.insert(customer, new);
        }
        for value in values {
            self.record(
                (value.customer_id, value.attribute_id),
                &value.attribute_value,
            );
        }
    }

    /// Hears that customers could not be read.
    pub(crate) fn not_read(&mut self, customers: &BTreeSet<i64>) {
        for &customer in customers {
            let new = Customer {
                attributes: None,
                values: HashMap::new(),
            };
            self.0.insert(customer, new);
        }
    }

    /// Hears that a value is in the store now.
    pub(crate) fn record(&mut self, (customer, attribute): (i64, i64), value: &str) {
        if let Some(known) = self.0.get_mut(&customer) {
            known.values.insert(attribute, value.to_owned());
        }
    }

    /// Hears that what the store holds for a customer is open, or of no use any more.
    pub(crate) fn forget(&mut self, customer: i64) {
        self.0.remove(&customer);
    }

    /// Says whether it is known what the store holds.
    pub(crate) fn covers(&self, (customer, attribute): (i64, i64)) -> bool {
        self.0.get(&customer).is_some_and(|known| {
            let attributes = known.attributes.as_ref();
            attributes.is_none_or(|read| read.binary_search(&attribute).is_ok())
        })
    }

    /// Says whether the store holds this value.
    pub(crate) fn holds(&self, (customer, attribute): (i64, i64), value: &str) -> bool {
        let known = self.0.get(&customer);
        known
            .and_then(|known| known.values.get(&attribute))
            .map(String::as_str)
            == Some(value)
    }
}
