//! Which values were delivered already.

use std::collections::HashMap;

/// A set of IDs: IDs lie close together, so a word of bits for each 64 of them takes little.
#[derive(Debug, Default)]
pub(super) struct IdSet(HashMap<i64, u64>);

impl IdSet {
    /// Takes an ID in; says whether it is new.
    pub(super) fn insert(&mut self, id: i64) -> bool {
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
        fn an_id_is_new_once(ids in proptest::collection::vec(-200..200_i64, 0..400)) {
            let mut seen = IdSet::default();
            let mut model = HashSet::new();
            for id in ids {
                prop_assert_eq!(seen.insert(id), model.insert(id));
            }
        }
    }

    #[test]
    fn ids_of_any_size_are_kept_apart() {
        let mut seen = IdSet::default();
        for id in [i64::MIN, -64, -1, 0, 63, 64, i64::MAX] {
            assert!(seen.insert(id));
            assert!(!seen.insert(id));
        }
    }
}
