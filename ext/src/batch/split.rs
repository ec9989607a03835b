//! A batch on its way: sent whole, and in parts where the server refuses it, until its culprits
//! stand alone. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::item::BatchItem;
use super::size_learner::{Size, SizeLearner};
use super::window::Slot;

/// Slots that go out in one call. Shared between the engine and the call's task, so that nothing
/// is lost with the task.
pub(crate) type Batch<R> = Arc<Vec<Slot<R>>>;

/// A batch, one part of which is in flight at a time.
///
/// Where a part is known to hold a culprit and its first half turns out to hold none, the second
/// half does: it is not sent whole to find that out.
#[derive(Debug)]
pub(crate) struct BatchJob<R: BatchItem> {
    customers: Vec<i64>,
    /// Parts yet to be sent; the last one is next.
    parts: Vec<Part<R>>,
    sent: Option<Sent<R>>,
    /// SizeLearner of parts that were refused without saying that size was the reason.
    refused: Vec<Size>,
    accepted: Vec<Size>,
    is_too_large: bool,
    /// Whether every row was stored so far.
    is_clean: bool,
    /// Whether an answer has named a row that turned out to be good.
    names_mislead: bool,
    hold: Option<Instant>,
}

#[derive(Debug)]
struct Part<R: BatchItem> {
    slots: Vec<Slot<R>>,
    /// Whether a row of it is known to be refused, if rows are the reason at all.
    holds_culprit: bool,
    /// Whether it or the part after it holds a culprit.
    shares_culprit: bool,
    /// Whether an answer named its only row.
    is_named: bool,
}

impl<R: BatchItem> Part<R> {
    fn new(slots: Vec<Slot<R>>) -> Self {
        Self {
            slots,
            holds_culprit: false,
            shares_culprit: false,
            is_named: false,
        }
    }
}

#[derive(Debug)]
struct Sent<R: BatchItem> {
    batch: Batch<R>,
    shares_culprit: bool,
    is_named: bool,
}

/// What follows a refusal.
#[derive(Debug)]
pub(crate) enum SplitResult<R: BatchItem> {
    /// The only row of the part is to blame.
    Culprit(Box<Slot<R>>),
    /// The part is sent again in smaller ones.
    Split(Size),
}

impl<R: BatchItem> BatchJob<R> {
    pub(crate) fn new(slots: Vec<Slot<R>>) -> Self {
        Self {
            customers: by_customer(&slots)
                .filter_map(|slots| Some(slots.first()?.key().0))
                .collect(),
            parts: vec![Part::new(slots)],
            sent: None,
            refused: Vec::new(),
            accepted: Vec::new(),
            is_too_large: false,
            is_clean: true,
            names_mislead: false,
            hold: None,
        }
    }

    /// Keeps the customers in flight until then, even if the job is done before.
    pub(crate) fn hold_until(&mut self, until: Option<Instant>) {
        self.hold = self.hold.max(until);
    }

    pub(crate) fn held_until(&self) -> Option<Instant> {
        self.hold
    }

    pub(crate) fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The customers that are in flight until the job is done.
    pub(crate) fn customers(&self) -> &[i64] {
        &self.customers
    }

    /// Gives the next part to send, if there is one.
    pub(crate) fn next(&mut self, sizes: &SizeLearner) -> Option<Batch<R>> {
        loop {
            let part = self.parts.pop()?;
            let is_refusable = part.holds_culprit || !sizes.allow(size(&part.slots));
            if is_refusable && part.slots.len() > 1 {
                self.halve(part.slots, part.holds_culprit);
                continue;
            }
            let batch = Arc::new(part.slots);
            self.sent = Some(Sent {
                batch: Arc::clone(&batch),
                shares_culprit: part.shares_culprit,
                is_named: part.is_named,
            });
            return Some(batch);
        }
    }

    /// Takes the part that was sent, which was accepted.
    pub(crate) fn accept(&mut self, sizes: &mut SizeLearner) -> Vec<Slot<R>> {
        let Some(sent) = self.sent.take() else {
            return Vec::new();
        };
        let slots = Arc::unwrap_or_clone(sent.batch);
        let size = size(&slots);
        sizes.accepted(size, self.is_too_large);
        self.accepted.push(size);
        self.names_mislead |= sent.is_named;
        if sent.shares_culprit
            && let Some(next) = self.parts.last_mut()
        {
            next.holds_culprit = true;
        }
        slots
    }

    /// Takes the part that was sent, of which nothing is known or nothing was done.
    pub(crate) fn give_up(&mut self) -> Vec<Slot<R>> {
        self.is_clean = false;
        let sent = self.sent.take();
        sent.map_or(Vec::new(), |sent| Arc::unwrap_or_clone(sent.batch))
    }

    /// Takes all parts that were not sent yet.
    pub(crate) fn abandon(&mut self) -> Vec<Slot<R>> {
        self.is_clean &= self.parts.is_empty();
        self.parts
            .drain(..)
            .rev()
            .flat_map(|part| part.slots)
            .collect()
    }

    /// Hears that the part that was sent was refused: as too large, or because of rows, some of
    /// which the answer may have named by their place.
    pub(crate) fn refuse(
        &mut self,
        is_too_large: bool,
        named: &BTreeSet<usize>,
        sizes: &mut SizeLearner,
    ) -> Option<SplitResult<R>> {
        let sent = self.sent.take()?;
        let mut slots = Arc::unwrap_or_clone(sent.batch);
        let size = size(&slots);
        if slots.len() == 1 {
            self.is_clean = false;
            return slots.pop().map(|slot| SplitResult::Culprit(Box::new(slot)));
        }
        if is_too_large {
            self.is_too_large = true;
            sizes.refused(size);
            self.halve(slots, false);
            return Some(SplitResult::Split(size));
        }
        self.refused.push(size);
        for slot in &mut slots {
            slot.row.may_be_stored = true;
        }
        let places: BTreeSet<_> = named.range(..slots.len()).copied().collect();
        if self.names_mislead || places.is_empty() || places.len() == slots.len() {
            self.halve(slots, true);
        } else {
            self.take_out(slots, &places);
        }
        Some(SplitResult::Split(size))
    }

    /// Tells what a job teaches that was refused without a word about its size, although no row
    /// of it was at fault.
    pub(crate) fn record_sizes(&self, sizes: &mut SizeLearner) {
        if !self.is_clean || self.refused.is_empty() {
            return;
        }
        // What was accepted before, or as often as this, was not refused for its size.
        let news: Vec<_> = self
            .refused
            .iter()
            .filter(|size| !sizes.has_seen(**size))
            .collect();
        if news.is_empty() {
            return;
        }
        for &refused in news {
            sizes.refused(refused);
        }
        for &accepted in &self.accepted {
            sizes.accepted(accepted, true);
        }
    }

    /// Splits by customers, or by values where there is one customer only.
    fn halve(&mut self, mut slots: Vec<Slot<R>>, holds_culprit: bool) {
        let values_of: Vec<_> = by_customer(&slots).map(<[_]>::len).collect();
        let middle = match values_of.len() {
            0 | 1 => slots.len().div_ceil(2),
            customers => values_of.iter().take(customers.div_ceil(2)).sum(),
        };
        let second = slots.split_off(middle);
        self.parts.push(Part::new(second));
        self.parts.push(Part {
            shares_culprit: holds_culprit,
            ..Part::new(slots)
        });
    }

    /// Splits off the rows that an answer named, each to stand alone.
    fn take_out(&mut self, slots: Vec<Slot<R>>, places: &BTreeSet<usize>) {
        let (named, rest): (Vec<_>, Vec<_>) = slots
            .into_iter()
            .enumerate()
            .partition(|(place, _)| places.contains(place));
        let slots = |part: Vec<(usize, Slot<R>)>| part.into_iter().map(|(_, slot)| slot);
        self.parts.push(Part::new(slots(rest).collect()));
        self.parts.extend(slots(named).map(|slot| Part {
            is_named: true,
            ..Part::new(vec![slot])
        }));
    }
}

/// The slots of each customer, which are next to each other from the cut on.
fn by_customer<R: BatchItem>(slots: &[Slot<R>]) -> impl Iterator<Item = &[Slot<R>]> {
    slots.chunk_by(|one, next| one.key().0 == next.key().0)
}

/// What counts as the size of a call with these slots.
fn size<R: BatchItem>(slots: &[Slot<R>]) -> Size {
    R::batch_size(by_customer(slots).count(), slots.len())
}

#[cfg(test)]
mod tests {
    use super::super::window::PendingRow;
    use super::*;
    use crate::UpsertRow;

    /// One row per place, two per customer.
    fn job(rows: u64) -> BatchJob<UpsertRow> {
        let slot = |index: u64| {
            let customer = i64::try_from(index / 2).expect("small") + 1;
            let attribute = i64::try_from(index % 2).expect("small") + 1;
            let row = UpsertRow::new(customer, attribute, index);
            Slot {
                row: PendingRow {
                    index,
                    metadata: row.clone().into_metadata(),
                    wire: row.to_wire().expect("a good row"),
                    may_be_stored: false,
                },
                older: Vec::new(),
                left_out: 0,
            }
        };
        BatchJob::new((0..rows).map(slot).collect())
    }

    /// Plays a server that refuses these rows; gives the parts that were sent.
    fn sent(
        mut job: BatchJob<UpsertRow>,
        bad: &[u64],
        names: impl Fn(&[u64]) -> Option<usize>,
    ) -> Vec<Vec<u64>> {
        let mut sizes = SizeLearner::default();
        let mut parts = Vec::new();
        while let Some(batch) = job.next(&sizes) {
            let rows: Vec<_> = batch.iter().map(|slot| slot.row.index).collect();
            if rows.iter().any(|row| bad.contains(row)) {
                let named = names(&rows).into_iter().collect();
                if let Some(SplitResult::Culprit(slot)) = job.refuse(false, &named, &mut sizes) {
                    assert!(bad.contains(&slot.row.index));
                }
            } else {
                job.accept(&mut sizes);
            }
            parts.push(rows);
        }
        parts
    }

    #[test]
    fn a_refused_batch_is_halved_by_customers_then_by_values() {
        let parts = sent(job(8), &[0], |_| None);
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
    fn a_half_is_not_sent_whole_once_the_other_has_shown_that_it_holds_the_culprit() {
        let parts = sent(job(8), &[7], |_| None);
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
    fn a_row_that_the_answer_names_stands_alone_at_once() {
        let parts = sent(job(6), &[2], |rows| rows.iter().position(|&row| row == 2));
        let expected: [&[u64]; 3] = [&[0, 1, 2, 3, 4, 5], &[2], &[0, 1, 3, 4, 5]];
        assert_eq!(parts, expected);
    }

    #[test]
    fn answers_that_name_the_wrong_row_are_not_believed_twice() {
        let parts = sent(job(4), &[3], |_| Some(0));
        let expected: [&[u64]; 5] = [&[0, 1, 2, 3], &[0], &[1, 2, 3], &[1], &[2]];
        assert_eq!(parts[..5], expected);
        assert_eq!(parts.last(), Some(&vec![3]));
    }
}
