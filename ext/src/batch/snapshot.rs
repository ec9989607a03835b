//! What the store holds for the customers whose rows wait.

use std::collections::BTreeSet;
use std::sync::Arc;

use bigcommerce_sdk::types;
use foldhash::{HashMap, HashMapExt};

/// The values read from the store, updated by the values written since.
#[derive(Debug, Default)]
pub(crate) struct StoreSnapshot(HashMap<i64, CustomerValues>);

#[derive(Debug)]
struct CustomerValues {
    /// The attributes that were read, sorted. `None` if the read failed: all of the customer's rows
    /// count as changed then.
    attributes: Option<Arc<[i64]>>,
    values: HashMap<i64, String>,
}

impl StoreSnapshot {
    /// Records the values that a read of some attributes of some customers returned.
    pub(crate) fn record_read(
        &mut self,
        customers: &BTreeSet<i64>,
        attributes: &BTreeSet<i64>,
        values: Vec<types::AttributeValue>,
    ) {
        let attributes: Arc<[i64]> = attributes.iter().copied().collect();
        for &customer in customers {
            let empty = CustomerValues {
                attributes: Some(Arc::clone(&attributes)),
                values: HashMap::new(),
            };
            self.0.insert(customer, empty);
        }
        for value in values {
            self.record(
                (value.customer_id, value.attribute_id),
                &value.attribute_value,
            );
        }
    }

    /// Records that some customers could not be read.
    pub(crate) fn record_failed_read(&mut self, customers: &BTreeSet<i64>) {
        for &customer in customers {
            let empty = CustomerValues {
                attributes: None,
                values: HashMap::new(),
            };
            self.0.insert(customer, empty);
        }
    }

    /// Records a value that the store holds now. Has no effect if the customer was not read.
    pub(crate) fn record(&mut self, (customer, attribute): (i64, i64), value: &str) {
        if let Some(customer) = self.0.get_mut(&customer) {
            customer.values.insert(attribute, value.to_owned());
        }
    }

    /// Removes a customer whose values are uncertain or no longer needed.
    pub(crate) fn forget(&mut self, customer: i64) {
        self.0.remove(&customer);
    }

    /// Returns `true` if the attribute was read for the customer, or if reading the customer
    /// failed.
    pub(crate) fn covers(&self, (customer, attribute): (i64, i64)) -> bool {
        self.0.get(&customer).is_some_and(|customer| {
            let attributes = customer.attributes.as_ref();
            attributes.is_none_or(|read| read.binary_search(&attribute).is_ok())
        })
    }

    /// Returns `true` if the store holds this value.
    pub(crate) fn holds(&self, (customer, attribute): (i64, i64), value: &str) -> bool {
        let customer = self.0.get(&customer);
        customer
            .and_then(|customer| customer.values.get(&attribute))
            .map(String::as_str)
            == Some(value)
    }
}
