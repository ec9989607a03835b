//! Sending one batch: whole at first, and in smaller parts when the server rejects it, until each
//! rejected row was sent alone. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::item::BatchItem;
use super::size_learner::{Size, SizeLearner};
use super::window::Slot;

/// The slots of one call. The engine and the call's task share them, so that no row is lost if the
/// task is.
pub(crate) type Batch<R> = Arc<Vec<Slot<R>>>;

/// A batch and the parts it was split into. One part is in flight at a time.
///
/// If a rejected part is halved and its first half is accepted, the second half contains the bad
/// row. It is halved at once instead of being sent whole.
#[derive(Debug)]
pub(crate) struct BatchJob<R: BatchItem> {
    customers: Vec<i64>,
    /// The parts to send, the next one last.
    parts: Vec<Part<R>>,
    in_flight: Option<SentPart<R>>,
    /// The sizes of rejected parts whose responses did not say that they were too large.
    rejected_sizes: Vec<Size>,
    accepted_sizes: Vec<Size>,
    /// Whether a part was rejected as too large.
    was_too_large: bool,
    /// Whether no row was rejected or abandoned so far.
    all_accepted: bool,
    /// Whether a response blamed a row that was accepted afterwards.
    has_false_blame: bool,
    held_until: Option<Instant>,
}

#[derive(Debug)]
struct Part<R: BatchItem> {
    slots: Vec<Slot<R>>,
    /// Whether the part contains a bad row, if the server rejects batches because of rows at all.
    has_bad_row: bool,
    /// Whether the next part contains a bad row if this one is accepted.
    next_is_bad_if_accepted: bool,
    /// Whether a response blamed the part's only row.
    is_blamed: bool,
}

impl<R: BatchItem> Part<R> {
    fn new(slots: Vec<Slot<R>>) -> Self {
        Self {
            slots,
            has_bad_row: false,
            next_is_bad_if_accepted: false,
            is_blamed: false,
        }
    }
}

#[derive(Debug)]
struct SentPart<R: BatchItem> {
    batch: Batch<R>,
    next_is_bad_if_accepted: bool,
    is_blamed: bool,
}

/// What follows the rejection of a part.
#[derive(Debug)]
pub(crate) enum SplitResult<R: BatchItem> {
    /// The part was a single row, which is rejected.
    BadRow(Box<Slot<R>>),
    /// The part, of this size, is sent again in smaller ones.
    Split(Size),
}

impl<R: BatchItem> BatchJob<R> {
    pub(crate) fn new(slots: Vec<Slot<R>>) -> Self {
        Self {
            customers: by_customer(&slots)
                .filter_map(|slots| Some(slots.first()?.key().0))
                .collect(),
            parts: vec![Part::new(slots)],
            in_flight: None,
            rejected_sizes: Vec::new(),
            accepted_sizes: Vec::new(),
            was_too_large: false,
            all_accepted: true,
            has_false_blame: false,
            held_until: None,
        }
    }

    /// Holds the job's customers until a time, even if the job is done earlier. The latest time
    /// counts.
    pub(crate) fn hold_until(&mut self, until: Option<Instant>) {
        self.held_until = self.held_until.max(until);
    }

    pub(crate) fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    pub(crate) fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Returns the customers of the whole batch.
    pub(crate) fn customers(&self) -> &[i64] {
        &self.customers
    }

    /// Returns the next part to send, if there is one, and marks it as in flight.
    pub(crate) fn next_part(&mut self, sizes: &SizeLearner) -> Option<Batch<R>> {
        loop {
            let part = self.parts.pop()?;
            let would_be_rejected = part.has_bad_row || !sizes.allows(size(&part.slots));
            if would_be_rejected && part.slots.len() > 1 {
                self.halve(part.slots, part.has_bad_row);
                continue;
            }
            let batch = Arc::new(part.slots);
            self.in_flight = Some(SentPart {
                batch: Arc::clone(&batch),
                next_is_bad_if_accepted: part.next_is_bad_if_accepted,
                is_blamed: part.is_blamed,
            });
            return Some(batch);
        }
    }

    /// Records that the part in flight was accepted, and returns its slots.
    pub(crate) fn accept(&mut self, sizes: &mut SizeLearner) -> Vec<Slot<R>> {
        let Some(part) = self.in_flight.take() else {
            return Vec::new();
        };
        let slots = Arc::unwrap_or_clone(part.batch);
        let size = size(&slots);
        sizes.record_accepted(size, self.was_too_large);
        self.accepted_sizes.push(size);
        self.has_false_blame |= part.is_blamed;
        if part.next_is_bad_if_accepted
            && let Some(next) = self.parts.last_mut()
        {
            next.has_bad_row = true;
        }
        slots
    }

    /// Abandons the part in flight, which was neither accepted nor rejected, and returns its slots.
    pub(crate) fn abandon_in_flight(&mut self) -> Vec<Slot<R>> {
        self.all_accepted = false;
        let part = self.in_flight.take();
        part.map_or(Vec::new(), |part| Arc::unwrap_or_clone(part.batch))
    }

    /// Abandons the parts that were not sent, and returns their slots.
    pub(crate) fn abandon_unsent(&mut self) -> Vec<Slot<R>> {
        self.all_accepted &= self.parts.is_empty();
        self.parts
            .drain(..)
            .rev()
            .flat_map(|part| part.slots)
            .collect()
    }

    /// Records that the part in flight was rejected, and splits it.
    ///
    /// It was rejected as too large, or because of its rows. `blamed` has the positions of the rows
    /// that the response names.
    pub(crate) fn reject(
        &mut self,
        is_too_large: bool,
        blamed: &BTreeSet<usize>,
        sizes: &mut SizeLearner,
    ) -> Option<SplitResult<R>> {
        let part = self.in_flight.take()?;
        let mut slots = Arc::unwrap_or_clone(part.batch);
        let size = size(&slots);
        if slots.len() == 1 {
            self.all_accepted = false;
            return slots.pop().map(|slot| SplitResult::BadRow(Box::new(slot)));
        }
        if is_too_large {
            self.was_too_large = true;
            sizes.record_rejected(size);
            self.halve(slots, false);
            return Some(SplitResult::Split(size));
        }
        self.rejected_sizes.push(size);
        for slot in &mut slots {
            slot.row.may_be_stored = true;
        }
        let blamed: BTreeSet<_> = blamed.range(..slots.len()).copied().collect();
        if self.has_false_blame || blamed.is_empty() || blamed.len() == slots.len() {
            self.halve(slots, true);
        } else {
            self.isolate(slots, &blamed);
        }
        Some(SplitResult::Split(size))
    }

    /// Records the sizes of a finished job, if it was rejected although all of its rows were
    /// accepted in smaller parts. Its size was the reason then, even if no response said so.
    pub(crate) fn record_sizes(&self, sizes: &mut SizeLearner) {
        if !self.all_accepted || self.rejected_sizes.is_empty() {
            return;
        }
        // A size that was accepted before was not the reason.
        let too_large: Vec<_> = self
            .rejected_sizes
            .iter()
            .filter(|size| !sizes.was_accepted(**size))
            .collect();
        if too_large.is_empty() {
            return;
        }
        for &size in too_large {
            sizes.record_rejected(size);
        }
        for &size in &self.accepted_sizes {
            sizes.record_accepted(size, true);
        }
    }

    /// Splits slots in two: between customers, or between the values of a single customer.
    fn halve(&mut self, mut slots: Vec<Slot<R>>, has_bad_row: bool) {
        let slots_per_customer: Vec<_> = by_customer(&slots).map(<[_]>::len).collect();
        let middle = match slots_per_customer.len() {
            0 | 1 => slots.len().div_ceil(2),
            customers => slots_per_customer.iter().take(customers.div_ceil(2)).sum(),
        };
        let second = slots.split_off(middle);
        self.parts.push(Part::new(second));
        self.parts.push(Part {
            next_is_bad_if_accepted: has_bad_row,
            ..Part::new(slots)
        });
    }

    /// Splits off the rows that a response blamed, each into a part of its own.
    fn isolate(&mut self, slots: Vec<Slot<R>>, blamed: &BTreeSet<usize>) {
        let (blamed, rest): (Vec<_>, Vec<_>) = slots
            .into_iter()
            .enumerate()
            .partition(|(position, _)| blamed.contains(position));
        let slots = |part: Vec<(usize, Slot<R>)>| part.into_iter().map(|(_, slot)| slot);
        self.parts.push(Part::new(slots(rest).collect()));
        self.parts.extend(slots(blamed).map(|slot| Part {
            is_blamed: true,
            ..Part::new(vec![slot])
        }));
    }
}

/// Groups slots by customer. The slots of a customer are adjacent in every batch.
fn by_customer<R: BatchItem>(slots: &[Slot<R>]) -> impl Iterator<Item = &[Slot<R>]> {
    slots.chunk_by(|one, next| one.key().0 == next.key().0)
}

/// Returns the size of a call with these slots.
fn size<R: BatchItem>(slots: &[Slot<R>]) -> Size {
    R::batch_size(by_customer(slots).count(), slots.len())
}

#[cfg(test)]
mod tests {
    use super::super::window::PendingRow;
    use super::*;
    use crate::value::UpsertRow;

    /// Creates a job with two rows per customer.
    fn job(rows: u64) -> BatchJob<UpsertRow> {
        let slot = |index: u64| {
            let customer = i64::try_from(index / 2).expect("the index is small") + 1;
            let attribute = i64::try_from(index % 2).expect("the index is small") + 1;
            let row = UpsertRow::new(customer, attribute, index);
            Slot::new(PendingRow {
                index,
                metadata: row.clone().into_metadata(),
                wire: row.to_wire().expect("the row is valid"),
                may_be_stored: false,
            })
        };
        BatchJob::new((0..rows).map(slot).collect())
    }

    /// Runs a job against a server that rejects some rows, and returns the rows of each part sent.
    ///
    /// `blame` returns the position that the response to a rejected part names.
    fn run(
        mut job: BatchJob<UpsertRow>,
        bad_rows: &[u64],
        blame: impl Fn(&[u64]) -> Option<usize>,
    ) -> Vec<Vec<u64>> {
        let mut sizes = SizeLearner::default();
        let mut parts = Vec::new();
        while let Some(batch) = job.next_part(&sizes) {
            let rows: Vec<_> = batch.iter().map(|slot| slot.row.index).collect();
            if rows.iter().any(|row| bad_rows.contains(row)) {
                let blamed = blame(&rows).into_iter().collect();
                if let Some(SplitResult::BadRow(slot)) = job.reject(false, &blamed, &mut sizes) {
                    assert!(bad_rows.contains(&slot.row.index));
                }
            } else {
                job.accept(&mut sizes);
            }
            parts.push(rows);
        }
        parts
    }

    #[test]
    fn a_rejected_batch_is_halved_by_customer_then_by_value() {
        let parts = run(job(8), &[0], |_| None);
        let expected: [&[u64]; 7] = [
            &[0, 1, 2, 3, 4, 5, 6, 7],
            &[0, 1, 2, 3],
            &[0, 1],
            &[0],
            &[1],
            &[2, 3],
            &[4, 5, 6, 7],
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_second_half_is_not_sent_whole_after_the_first_half_was_accepted() {
        let parts = run(job(8), &[7], |_| None);
        let expected: [&[u64]; 5] = [
            &[0, 1, 2, 3, 4, 5, 6, 7],
            &[0, 1, 2, 3],
            &[4, 5],
            &[6],
            &[7],
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_row_that_the_response_blames_is_sent_alone_at_once() {
        let parts = run(job(6), &[2], |rows| rows.iter().position(|&row| row == 2));
        let expected: [&[u64]; 3] = [&[0, 1, 2, 3, 4, 5], &[2], &[0, 1, 3, 4, 5]];
        assert_eq!(parts, expected);
    }

    #[test]
    fn responses_that_blamed_a_valid_row_are_not_trusted_again() {
        let parts = run(job(4), &[3], |_| Some(0));
        let expected: [&[u64]; 5] = [&[0, 1, 2, 3], &[0], &[1, 2, 3], &[1], &[2]];
        assert_eq!(parts[..5], expected);
        assert_eq!(parts.last(), Some(&vec![3]));
    }
}
