//! The IDs of the values that a list has delivered.

use std::collections::HashMap;

/// A set of IDs, with one bit for each. 64 neighbouring IDs share one word.
#[derive(Debug, Default)]
pub(crate) struct IdSet(HashMap<i64, u64>);

impl IdSet {
    /// Adds an ID. Returns `true` if it is new.
    pub(crate) fn insert(&mut self, id: i64) -> bool {
        let bits = self.0.entry(id.div_euclid(64)).or_default();
        let bit = 1 << id.rem_euclid(64);
        let is_new = *bits & bit == 0;
        *bits |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(ids in proptest::collection::vec(-200..200_i64, 0..400)) {
            let mut set = IdSet::default();
            let mut model = HashSet::new();
            for id in ids {
                prop_assert_eq!(set.insert(id), model.insert(id));
            }
        }
    }

    #[test]
    fn ids_of_any_size_are_distinct() {
        let mut set = IdSet::default();
        for id in [i64::MIN, -64, -1, 0, 63, 64, i64::MAX] {
            assert!(set.insert(id));
            assert!(!set.insert(id));
        }
    }
}
