//! The rows that may be sent again.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};

use crate::outcome::OutcomeKind;

/// The customer and the attribute of a row.
type Key = (i64, i64);

/// The rows that are unknown or were not sent, as long as no later row of the same customer and
/// attribute was stored or deleted.
#[derive(Debug)]
pub(crate) struct Resends {
    /// The keys of the rows, `None` for a row that no later one can replace.
    keys: BTreeMap<u64, Option<Key>>,
    /// The rows of each key.
    indexes: HashMap<Key, Vec<u64>>,
}

impl Default for Resends {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            indexes: HashMap::new(),
        }
    }
}

impl Resends {
    /// Records the outcome of a row.
    pub(crate) fn record(&mut self, index: u64, key: Option<Key>, kind: &OutcomeKind) {
        match kind {
            OutcomeKind::Unknown(_) | OutcomeKind::NotSent(_) => self.insert(index, key),
            _ if kind.is_in_effect() => {
                let replaced = key.and_then(|key| {
                    let indexes = self.indexes.get_mut(&key)?;
                    let replaced: Vec<_> = indexes
                        .iter()
                        .copied()
                        .filter(|&older| older < index)
                        .collect();
                    Some(replaced)
                });
                for older in replaced.into_iter().flatten() {
                    self.remove(older);
                }
            }
            _ => {}
        }
    }

    fn insert(&mut self, index: u64, key: Option<Key>) {
        self.keys.insert(index, key);
        if let Some(key) = key {
            self.indexes.entry(key).or_default().push(index);
        }
    }

    /// Forgets a row.
    pub(crate) fn remove(&mut self, index: u64) {
        let Some(Some(key)) = self.keys.remove(&index) else {
            return;
        };
        if let Some(indexes) = self.indexes.get_mut(&key) {
            indexes.retain(|other| *other != index);
            if indexes.is_empty() {
                self.indexes.remove(&key);
            }
        }
    }

    /// Returns `true` if the row may be sent again.
    pub(crate) fn contains(&self, index: u64) -> bool {
        self.keys.contains_key(&index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn not_sent() -> OutcomeKind {
        OutcomeKind::NotSent(Error::stopped())
    }

    #[test]
    fn a_row_may_be_sent_again_until_a_later_one_of_its_key_is_in_effect() {
        let mut resends = Resends::default();
        for (index, key) in [(0, (1, 1)), (1, (1, 1)), (2, (1, 2)), (5, (1, 1))] {
            resends.record(index, Some(key), &not_sent());
        }
        resends.record(3, Some((1, 1)), &OutcomeKind::Deleted);
        let left: Vec<_> = (0..6).filter(|&index| resends.contains(index)).collect();
        assert_eq!(left, [2, 5]);
        resends.remove(2);
        resends.record(6, Some((1, 1)), &OutcomeKind::Stored(None));
        assert!(resends.keys.is_empty() && resends.indexes.is_empty());
    }
}
