//! Below which index every row has its outcome.

use std::collections::BTreeMap;

/// The indexes that are settled, as a prefix and the ranges above it: as small as the number of
/// rows that are not settled yet, however many were.
#[derive(Debug, Default)]
pub(crate) struct Watermark {
    below: u64,
    /// Start and end (exclusive) of settled ranges, apart from each other and above `below`.
    ranges: BTreeMap<u64, u64>,
}

impl Watermark {
    pub(crate) fn up_to(&self) -> u64 {
        self.below
    }

    pub(crate) fn settle(&mut self, index: u64) {
        let mut start = index;
        let mut end = index + 1;
        if let Some((&before, &until)) = self.ranges.range(..index).next_back()
            && until == index
        {
            self.ranges.remove(&before);
            start = before;
        }
        if let Some(until) = self.ranges.remove(&end) {
            end = until;
        }
        if start == self.below {
            self.below = end;
        } else {
            self.ranges.insert(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_grows_as_gaps_close() {
        let mut settled = Watermark::default();
        for (index, expected) in [(1, 0), (3, 0), (0, 2), (4, 2), (6, 2), (2, 5), (5, 7)] {
            settled.settle(index);
            assert_eq!(settled.up_to(), expected, "after {index}");
        }
        assert!(settled.ranges.is_empty());
    }

    #[test]
    fn any_order_ends_at_the_end() {
        for seed in 0..50 {
            let mut dice = fastrand::Rng::with_seed(seed);
            let mut order: Vec<u64> = (0..200).collect();
            dice.shuffle(&mut order);
            let mut settled = Watermark::default();
            let mut seen = [false; 200];
            for index in order {
                settled.settle(index);
                seen[index as usize] = true;
                let first_open = seen.iter().position(|done| !done).unwrap_or(200);
                assert_eq!(settled.up_to(), first_open as u64);
            }
            assert!(settled.ranges.is_empty());
        }
    }
}
