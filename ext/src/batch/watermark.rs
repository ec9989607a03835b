//! The index below which every row is settled.

use std::collections::BTreeMap;

/// The indexes of settled rows, as a prefix and the ranges above it.
///
/// Memory grows with the number of gaps, not with the number of settled rows.
#[derive(Debug, Default)]
pub(crate) struct Watermark {
    /// The end of the prefix.
    position: u64,
    /// Start and end (exclusive) of the settled ranges above `position`. No two of them touch.
    ranges: BTreeMap<u64, u64>,
}

impl Watermark {
    /// Returns the index below which every row is settled.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Records that a row is settled.
    pub(crate) fn settle(&mut self, index: u64) {
        let mut start = index;
        let mut end = index + 1;
        if let Some((&previous_start, &previous_end)) = self.ranges.range(..index).next_back()
            && previous_end == index
        {
            self.ranges.remove(&previous_start);
            start = previous_start;
        }
        if let Some(next_end) = self.ranges.remove(&end) {
            end = next_end;
        }
        if start == self.position {
            self.position = end;
        } else {
            self.ranges.insert(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_advances_when_gaps_close() {
        let mut watermark = Watermark::default();
        for (index, expected) in [(1, 0), (3, 0), (0, 2), (4, 2), (6, 2), (2, 5), (5, 7)] {
            watermark.settle(index);
            assert_eq!(watermark.position(), expected, "after row {index}");
        }
        assert!(watermark.ranges.is_empty());
    }

    #[test]
    fn the_position_is_the_first_unsettled_row_in_any_order() {
        for seed in 0..50 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut order: Vec<u64> = (0..200).collect();
            rng.shuffle(&mut order);
            let mut watermark = Watermark::default();
            let mut is_settled = [false; 200];
            for index in order {
                watermark.settle(index);
                is_settled[index as usize] = true;
                let first_unsettled = is_settled.iter().position(|done| !done).unwrap_or(200);
                assert_eq!(watermark.position(), first_unsettled as u64);
            }
            assert!(watermark.ranges.is_empty());
        }
    }
}
