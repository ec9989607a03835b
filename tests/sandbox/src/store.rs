mod customers;

use std::collections::HashMap;

use chrono::{DateTime, Utc};

pub(crate) use customers::Customers;
pub use customers::{SandboxCustomer, StoredCustomer};

use crate::extra_fields::ExtraFields;

/// An attribute value in the store.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredValue {
    /// The value's own ID. IDs start at 5001.
    pub id: i64,
    /// The ID of the customer.
    pub customer_id: i64,
    /// The ID of the attribute.
    pub attribute_id: i64,
    /// The value, always a string.
    pub value: String,
    /// When the value was first stored, in whole seconds.
    pub date_created: DateTime<Utc>,
    /// When the value was last written, changed or not, in whole seconds.
    pub date_modified: DateTime<Utc>,
    pub(crate) extra: ExtraFields,
}

impl StoredValue {
    /// Returns an [extra field](crate::SandboxBuilder::extra_field) as text, if a row had it: a JSON
    /// string as it is, anything else as JSON.
    pub fn extra_field(&self, name: &str) -> Option<String> {
        self.extra.text(name)
    }
}

/// The first ID in the reference's example.
const FIRST_ID: i64 = 5001;

/// The number of consecutive IDs that share one count of present values.
const BLOCK: usize = 1024;

/// All values of the store. Neither a page nor a delete scans the values before it, so that a
/// million values stay quick.
#[derive(Default)]
pub(crate) struct Store {
    /// Indexed by `id - FIRST_ID`: IDs are assigned consecutively.
    slots: Vec<Option<StoredValue>>,
    present_per_block: Vec<usize>,
    /// Per customer, the attributes that have a value, with the value's ID. A store has at most 50
    /// attributes, so searching a list is as fast as a map.
    customers: HashMap<i64, Vec<(i64, i64)>>,
    version: u64,
}

impl Store {
    pub(crate) fn len(&self) -> usize {
        self.present_per_block.iter().sum()
    }

    /// Changes with every change of the store.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn get(&self, id: i64) -> Option<&StoredValue> {
        self.slots.get(slot_index(id)?)?.as_ref()
    }

    pub(crate) fn find(&self, customer_id: i64, attribute_id: i64) -> Option<&StoredValue> {
        let attributes = self.customers.get(&customer_id)?;
        let (_, id) = attributes
            .iter()
            .find(|(attribute, _)| *attribute == attribute_id)?;
        self.get(*id)
    }

    /// Iterates in the order of the IDs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &StoredValue> {
        self.slots.iter().flatten()
    }

    /// Iterates like [`iter`](Self::iter), without the first `offset` values.
    pub(crate) fn iter_from(&self, offset: usize) -> impl Iterator<Item = &StoredValue> {
        let mut skip = offset;
        let mut block = 0;
        while let Some(present) = self.present_per_block.get(block)
            && skip >= *present
        {
            skip -= present;
            block += 1;
        }
        let start = (block * BLOCK).min(self.slots.len());
        self.slots[start..].iter().flatten().skip(skip)
    }

    /// Iterates over a customer's values in no particular order.
    pub(crate) fn iter_customer(&self, customer_id: i64) -> impl Iterator<Item = &StoredValue> {
        self.customers
            .get(&customer_id)
            .into_iter()
            .flatten()
            .filter_map(|(_, id)| self.get(*id))
    }

    /// Inserts or updates a value and returns its ID.
    pub(crate) fn upsert(
        &mut self,
        customer_id: i64,
        attribute_id: i64,
        value: String,
        now: DateTime<Utc>,
    ) -> i64 {
        self.version += 1;
        let attributes = self.customers.entry(customer_id).or_default();
        let known = attributes
            .iter()
            .find(|(attribute, _)| *attribute == attribute_id);
        if let Some(&(_, id)) = known
            && let Some(Some(stored)) = slot_index(id).and_then(|index| self.slots.get_mut(index))
        {
            stored.value = value;
            stored.date_modified = now;
            return id;
        }
        // A vector's length is at most `isize::MAX`, so the cast holds.
        let id = FIRST_ID + self.slots.len() as i64;
        attributes.push((attribute_id, id));
        if self.slots.len().is_multiple_of(BLOCK) {
            self.present_per_block.push(0);
        }
        if let Some(present) = self.present_per_block.last_mut() {
            *present += 1;
        }
        self.slots.push(Some(StoredValue {
            id,
            customer_id,
            attribute_id,
            value,
            date_created: now,
            date_modified: now,
            extra: ExtraFields::default(),
        }));
        id
    }

    /// Replaces the extra fields of a value that the row has.
    pub(crate) fn update_extra(&mut self, id: i64, extra: ExtraFields) {
        self.version += 1;
        if let Some(Some(stored)) = slot_index(id).and_then(|index| self.slots.get_mut(index)) {
            stored.extra.update(extra);
        }
    }

    pub(crate) fn remove(&mut self, id: i64) -> Option<StoredValue> {
        let index = slot_index(id)?;
        let removed = self.slots.get_mut(index)?.take()?;
        self.version += 1;
        self.present_per_block[index / BLOCK] -= 1;
        if let Some(attributes) = self.customers.get_mut(&removed.customer_id) {
            attributes.retain(|(attribute, _)| *attribute != removed.attribute_id);
            if attributes.is_empty() {
                self.customers.remove(&removed.customer_id);
            }
        }
        Some(removed)
    }

    /// Removes the values of all customers for an attribute.
    pub(crate) fn remove_attribute(&mut self, attribute_id: i64) {
        let values = self
            .iter()
            .filter(|value| value.attribute_id == attribute_id);
        let ids: Vec<i64> = values.map(|value| value.id).collect();
        for id in ids {
            self.remove(id);
        }
    }
}

fn slot_index(id: i64) -> Option<usize> {
    usize::try_from(id.checked_sub(FIRST_ID)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(values: i64) -> Store {
        let mut store = Store::default();
        for n in 0..values {
            store.upsert(n / 3 + 1, n % 3 + 1, n.to_string(), DateTime::UNIX_EPOCH);
        }
        store
    }

    #[test]
    fn an_offset_skips_present_values_only() {
        let mut store = filled(5000);
        for id in (FIRST_ID..FIRST_ID + 5000).filter(|id| id % 7 < 3) {
            assert!(store.remove(id).is_some());
            assert!(store.remove(id).is_none());
        }
        // An empty block must not end the iteration.
        for id in FIRST_ID + 1024..FIRST_ID + 2048 {
            store.remove(id);
        }
        let all: Vec<i64> = store.iter().map(|value| value.id).collect();
        assert_eq!(store.len(), all.len());
        for offset in [0, 1, 500, 1023, 1024, all.len() - 1, all.len(), usize::MAX] {
            let rest: Vec<i64> = store.iter_from(offset).map(|value| value.id).collect();
            assert_eq!(rest, all[offset.min(all.len())..]);
        }
    }

    #[test]
    fn a_removed_value_gets_a_new_id_when_written_again() {
        let mut store = filled(3);
        assert!(store.remove(5002).is_some());
        assert_eq!(store.find(1, 2), None);
        let id = store.upsert(1, 2, "again".to_owned(), DateTime::UNIX_EPOCH);
        assert_eq!(id, 5004);
        assert_eq!(store.iter_customer(1).count(), 3);
    }

    #[test]
    fn ids_out_of_range_are_unknown() {
        let mut store = filled(3);
        for id in [i64::MIN, -1, 0, 5000, 5004, i64::MAX] {
            assert!(store.get(id).is_none());
            assert!(store.remove(id).is_none());
        }
    }
}
