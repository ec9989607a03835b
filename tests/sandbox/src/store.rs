use std::collections::HashMap;

use chrono::{DateTime, Utc};

/// A value as the store holds it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredValue {
    /// The value's own ID; the first one is 5001.
    pub id: i64,
    /// The customer that the value belongs to.
    pub customer_id: i64,
    /// The attribute that it is a value of.
    pub attribute_id: i64,
    /// The value, always a string.
    pub value: String,
    /// When it was first stored, in whole seconds.
    pub date_created: DateTime<Utc>,
    /// When it was last written, in whole seconds, whether or not that changed it.
    pub date_modified: DateTime<Utc>,
}

/// As in the reference's own example.
const FIRST_ID: i64 = 5001;

/// How many neighbouring IDs share a count of those that still live.
const BLOCK: usize = 1024;

/// All values. A million of them are listed page by page and deleted without a scan of all before.
#[derive(Default)]
pub(crate) struct Store {
    /// By ID: IDs are given out one after the other, so a value's place is `id - FIRST_ID`.
    slots: Vec<Option<StoredValue>>,
    live: Vec<usize>,
    /// Per customer, the attributes that have a value, with its ID. A store has 50 attributes at
    /// most, so a list is searched as fast as a map.
    customers: HashMap<i64, Vec<(i64, i64)>>,
    version: u64,
}

impl Store {
    pub(crate) fn len(&self) -> usize {
        self.live.iter().sum()
    }

    /// Another one after each change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn get(&self, id: i64) -> Option<&StoredValue> {
        self.slots.get(place(id)?)?.as_ref()
    }

    pub(crate) fn find(&self, customer_id: i64, attribute_id: i64) -> Option<&StoredValue> {
        let owned = self.customers.get(&customer_id)?;
        let (_, id) = owned
            .iter()
            .find(|(attribute, _)| *attribute == attribute_id)?;
        self.get(*id)
    }

    /// In the order of their IDs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &StoredValue> {
        self.slots.iter().flatten()
    }

    /// As [`iter`](Self::iter), without the first `offset` values.
    pub(crate) fn iter_from(&self, offset: usize) -> impl Iterator<Item = &StoredValue> {
        let mut skip = offset;
        let mut block = 0;
        while let Some(live) = self.live.get(block)
            && skip >= *live
        {
            skip -= live;
            block += 1;
        }
        let start = (block * BLOCK).min(self.slots.len());
        self.slots[start..].iter().flatten().skip(skip)
    }

    /// A customer's values, in no particular order.
    pub(crate) fn of_customer(&self, customer_id: i64) -> impl Iterator<Item = &StoredValue> {
        self.customers
            .get(&customer_id)
            .into_iter()
            .flatten()
            .filter_map(|(_, id)| self.get(*id))
    }

    /// Inserts or updates, and returns the value's ID.
    pub(crate) fn upsert(
        &mut self,
        customer_id: i64,
        attribute_id: i64,
        value: String,
        now: DateTime<Utc>,
    ) -> i64 {
        self.version += 1;
        let owned = self.customers.entry(customer_id).or_default();
        let known = owned
            .iter()
            .find(|(attribute, _)| *attribute == attribute_id);
        if let Some(&(_, id)) = known
            && let Some(Some(stored)) = place(id).and_then(|place| self.slots.get_mut(place))
        {
            stored.value = value;
            stored.date_modified = now;
            return id;
        }
        // A vector is never longer than `isize::MAX`, so the cast holds.
        let id = FIRST_ID + self.slots.len() as i64;
        owned.push((attribute_id, id));
        if self.slots.len().is_multiple_of(BLOCK) {
            self.live.push(0);
        }
        if let Some(live) = self.live.last_mut() {
            *live += 1;
        }
        self.slots.push(Some(StoredValue {
            id,
            customer_id,
            attribute_id,
            value,
            date_created: now,
            date_modified: now,
        }));
        id
    }

    pub(crate) fn remove(&mut self, id: i64) -> Option<StoredValue> {
        let place = place(id)?;
        let removed = self.slots.get_mut(place)?.take()?;
        self.version += 1;
        self.live[place / BLOCK] -= 1;
        if let Some(owned) = self.customers.get_mut(&removed.customer_id) {
            owned.retain(|(attribute, _)| *attribute != removed.attribute_id);
            if owned.is_empty() {
                self.customers.remove(&removed.customer_id);
            }
        }
        Some(removed)
    }
}

fn place(id: i64) -> Option<usize> {
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
    fn an_offset_skips_the_living_only() {
        let mut store = filled(5000);
        for id in (FIRST_ID..FIRST_ID + 5000).filter(|id| id % 7 < 3) {
            assert!(store.remove(id).is_some());
            assert!(store.remove(id).is_none());
        }
        // A block without a living value must not end the walk.
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
    fn a_removed_value_comes_back_under_a_new_id() {
        let mut store = filled(3);
        assert!(store.remove(5002).is_some());
        assert_eq!(store.find(1, 2), None);
        let id = store.upsert(1, 2, "again".to_owned(), DateTime::UNIX_EPOCH);
        assert_eq!(id, 5004);
        assert_eq!(store.of_customer(1).count(), 3);
    }

    #[test]
    fn strange_ids_are_unknown() {
        let mut store = filled(3);
        for id in [i64::MIN, -1, 0, 5000, 5004, i64::MAX] {
            assert!(store.get(id).is_none());
            assert!(store.remove(id).is_none());
        }
    }
}
