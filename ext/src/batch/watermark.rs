//! The index below which no row needs sending again.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};

/// The indexes of the rows that are done, as a prefix and the ranges above it.
///
/// A row is done when its outcome was handed out and the row needs no sending again. A superseded
/// row is done when the row that superseded it is.
///
/// Memory grows with the number of rows that are not done, not with the number of rows.
#[derive(Debug)]
pub(crate) struct Watermark {
    /// The end of the prefix.
    position: u64,
    /// Start and end (exclusive) of the ranges above `position`. No two of them touch.
    ranges: BTreeMap<u64, u64>,
    /// The superseded rows that wait for a later row to be done.
    superseded: HashMap<u64, Vec<u64>>,
}

impl Default for Watermark {
    fn default() -> Self {
        Self {
            position: 0,
            ranges: BTreeMap::new(),
            superseded: HashMap::new(),
        }
    }
}

impl Watermark {
    /// Returns the index below which every row is done.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Records that a row is done, and with it the rows that it superseded.
    pub(crate) fn record_done(&mut self, index: u64) {
        let mut done = vec![index];
        while let Some(index) = done.pop() {
            done.extend(self.superseded.remove(&index).into_iter().flatten());
            self.add(index);
        }
    }

    /// Records that a row was superseded by another one.
    pub(crate) fn record_superseded(&mut self, index: u64, by: u64) {
        if self.is_done(by) {
            self.record_done(index);
        } else {
            self.superseded.entry(by).or_default().push(index);
        }
    }

    fn is_done(&self, index: u64) -> bool {
        let range = self.ranges.range(..=index).next_back();
        index < self.position || range.is_some_and(|(_, &end)| index < end)
    }

    fn add(&mut self, index: u64) {
        if self.is_done(index) {
            return;
        }
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
        for (index, expected) in [
            (1, 0),
            (3, 0),
            (0, 2),
            (4, 2),
            (3, 2),
            (6, 2),
            (2, 5),
            (5, 7),
        ] {
            watermark.record_done(index);
            assert_eq!(watermark.position(), expected, "after row {index}");
        }
        assert!(watermark.ranges.is_empty());
    }

    #[test]
    fn a_superseded_row_is_done_when_the_last_row_of_its_chain_is() {
        let mut watermark = Watermark::default();
        watermark.record_superseded(0, 2);
        watermark.record_done(1);
        watermark.record_superseded(2, 3);
        assert_eq!(watermark.position(), 0);
        watermark.record_done(3);
        assert_eq!(watermark.position(), 4);
        watermark.record_superseded(4, 3);
        assert_eq!(watermark.position(), 5);
        assert!(watermark.superseded.is_empty());
    }

    #[test]
    fn the_position_is_the_first_row_that_is_not_done_in_any_order() {
        for seed in 0..50 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut order: Vec<u64> = (0..200).collect();
            rng.shuffle(&mut order);
            let mut watermark = Watermark::default();
            let mut is_done = [false; 200];
            for index in order {
                watermark.record_done(index);
                is_done[index as usize] = true;
                let first = is_done.iter().position(|done| !done).unwrap_or(200);
                assert_eq!(watermark.position(), first as u64);
            }
            assert!(watermark.ranges.is_empty());
        }
    }
}
