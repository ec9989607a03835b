//! The engine under an upsert: which rows wait, which are in flight, and what becomes of each.
//!
//! It decides and keeps accounts; it never waits, sends or reads a clock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bigcommerce_sdk::types;

use super::chunk::{Slot, Taken, Window};
use super::report::{Outcome, OutcomeKind, Summary};
use super::settled::Settled;
use crate::call::Failed;
use crate::error::{Error, ErrorKind};
use crate::value::AttributeValueUpsert;

/// How often a row is sent that answers leave out.
const MOST_LEFT_OUT: u32 = 3;

/// Slots that go out in one call. Shared between the engine and the call's task, so that nothing
/// is lost with the task.
pub(crate) type Batch = Arc<Vec<Slot>>;

/// The engine; see the module.
#[derive(Debug)]
pub(crate) struct Engine {
    window_rows: usize,
    customers_per_call: usize,
    window: Window,
    /// Customers in flight. No two calls in flight touch the same one.
    busy: HashSet<i64>,
    ready: VecDeque<Outcome>,
    settled: Settled,
    summary: Summary,
    taken: u64,
    /// Rows with a lower index are due, whether or not the window is full.
    due_below: u64,
    input_ended: bool,
    stopped_by: Option<Error>,
}

impl Engine {
    pub(crate) fn new(window_rows: usize, customers_per_call: usize) -> Self {
        Self {
            window_rows,
            customers_per_call,
            window: Window::default(),
            busy: HashSet::new(),
            ready: VecDeque::new(),
            settled: Settled::default(),
            summary: Summary::default(),
            taken: 0,
            due_below: 0,
            input_ended: false,
            stopped_by: None,
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        self.summary
    }

    pub(crate) fn stopped_by(&self) -> Option<&Error> {
        self.stopped_by.as_ref()
    }

    pub(crate) fn settled_up_to(&self) -> u64 {
        self.settled.up_to()
    }

    /// Says whether another row may be taken: not when it could only pile up.
    pub(crate) fn wants_input(&self) -> bool {
        !self.input_ended
            && self.stopped_by.is_none()
            && self.window.rows() < self.window_rows
            && self.ready.len() < self.window_rows
    }

    /// Says whether rows wait that no pause of the input has made due yet.
    pub(crate) fn has_undue(&self) -> bool {
        !self.window.is_empty() && self.due_below < self.taken
    }

    /// Says whether every row has its outcome and no more will come.
    pub(crate) fn is_done(&self) -> bool {
        (self.input_ended || self.stopped_by.is_some())
            && self.window.is_empty()
            && self.busy.is_empty()
            && self.ready.is_empty()
    }

    /// Takes what the input yielded next.
    pub(crate) fn take(&mut self, item: Result<AttributeValueUpsert, Error>) {
        let index = self.taken;
        self.taken += 1;
        let (row, error) = match item {
            Err(error) => (None, error),
            Ok(row) => match row.to_wire() {
                Ok(wire) => {
                    let tag = row.into_tag();
                    self.window.push(Taken { index, tag, wire });
                    return;
                }
                Err(rule) => (Some(row), Error::row(index, &rule)),
            },
        };
        self.settle(index, row, OutcomeKind::Rejected(error));
    }

    /// Hears that the input has ended: all that waits is due.
    pub(crate) fn end_input(&mut self) {
        self.input_ended = true;
        self.due_below = u64::MAX;
    }

    /// Hears that the input is idle: all that waits now is due.
    pub(crate) fn input_is_idle(&mut self) {
        self.due_below = self.taken;
    }

    /// Ends the run: what waits is not sent, what is in flight may finish.
    pub(crate) fn stop(&mut self, error: Error) {
        for slot in self.window.drain() {
            self.not_sent(slot, &error);
        }
        self.stopped_by.get_or_insert(error);
    }

    /// Cuts the next batch, if one is due. Its customers are in flight until
    /// [`finish`](Self::finish).
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        let oldest = self.window.oldest_free(&self.busy)?;
        if self.window.rows() < self.window_rows && oldest >= self.due_below {
            return None;
        }
        let batch = self.window.cut(self.customers_per_call, &self.busy);
        self.busy.extend(customers(&batch));
        Some(Arc::new(batch))
    }

    /// Counts requests that were made.
    pub(crate) fn count_calls(&mut self, calls: u32) {
        self.summary.calls += u64::from(calls);
    }

    /// Hears how the call for a batch ended.
    pub(crate) fn finish(
        &mut self,
        batch: Batch,
        result: Result<types::AttributeValuePage, Failed>,
    ) {
        let batch = Arc::unwrap_or_clone(batch);
        for customer in customers(&batch) {
            self.busy.remove(&customer);
        }
        match result {
            Ok(page) => self.confirm(batch, page),
            Err(failed) => self.fail(batch, &failed),
        }
    }

    fn confirm(&mut self, batch: Vec<Slot>, page: types::AttributeValuePage) {
        let stored = page.meta.and_then(|meta| meta.pagination?.total);
        let shows_a_part = stored.is_some_and(|total| {
            usize::try_from(total)
                .is_ok_and(|total| total >= batch.len() && total > page.data.len())
        });
        let mut records: HashMap<_, _> = page
            .data
            .into_iter()
            .map(|record| ((record.customer_id, record.attribute_id), record))
            .collect();
        for mut slot in batch {
            match records.remove(&slot.key()) {
                None if !shows_a_part => {
                    slot.left_out += 1;
                    if slot.left_out < MOST_LEFT_OUT {
                        self.send_again(slot);
                    } else {
                        self.unknown(slot, &Error::left_out());
                    }
                }
                record => self.stored(slot, record),
            }
        }
    }

    fn fail(&mut self, batch: Vec<Slot>, failed: &Failed) {
        let error = &failed.error;
        match error.kind() {
            ErrorKind::Refused | ErrorKind::TooLarge => {
                for slot in batch {
                    self.rejected(slot, error);
                }
            }
            _ if failed.ambiguous => {
                for slot in batch {
                    self.unknown(slot, error);
                }
            }
            _ => {
                for slot in batch {
                    self.not_sent(slot, error);
                }
            }
        }
        if error.is_access() || error.kind() == ErrorKind::Redirect {
            self.stop(error.clone());
        }
    }

    /// Puts a slot back among those that wait, as due as it was.
    fn send_again(&mut self, slot: Slot) {
        match self.stopped_by.clone() {
            Some(error) => self.not_sent(slot, &error),
            None => self.window.put_back(slot),
        }
    }

    fn stored(&mut self, slot: Slot, record: Option<types::AttributeValue>) {
        let by = slot.row.index;
        for older in slot.older {
            self.settle_taken(older, OutcomeKind::Superseded { by });
        }
        self.settle_taken(slot.row, OutcomeKind::Stored(record));
    }

    /// Rejects the latest row of a slot; the one that it replaced is sent after all.
    fn rejected(&mut self, mut slot: Slot, error: &Error) {
        let older = slot.older.pop();
        self.settle_taken(slot.row, OutcomeKind::Rejected(error.clone()));
        if let Some(row) = older {
            self.send_again(Slot {
                row,
                older: slot.older,
                left_out: 0,
            });
        }
    }

    fn unknown(&mut self, slot: Slot, error: &Error) {
        // If the caller sends the latest row again and it is rejected then, the older ones count.
        for older in slot.older {
            self.settle_taken(older, OutcomeKind::NotSent(error.clone()));
        }
        self.settle_taken(slot.row, OutcomeKind::Unknown(error.clone()));
    }

    fn not_sent(&mut self, slot: Slot, error: &Error) {
        for row in slot.older.into_iter().chain([slot.row]) {
            self.settle_taken(row, OutcomeKind::NotSent(error.clone()));
        }
    }

    fn settle_taken(&mut self, row: Taken, kind: OutcomeKind) {
        let Taken { index, tag, wire } = row;
        let row = AttributeValueUpsert::from_wire(wire, tag);
        self.settle(index, Some(row), kind);
    }

    fn settle(&mut self, index: u64, row: Option<AttributeValueUpsert>, kind: OutcomeKind) {
        self.ready.push_back(Outcome { index, row, kind });
    }

    pub(crate) fn has_outcomes(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Hands out the next outcome, which counts from then on.
    pub(crate) fn next_outcome(&mut self) -> Option<Outcome> {
        let outcome = self.ready.pop_front()?;
        self.summary.count(&outcome.kind);
        self.settled.settle(outcome.index);
        Some(outcome)
    }
}

fn customers(batch: &[Slot]) -> impl Iterator<Item = i64> {
    batch.iter().map(|slot| slot.row.wire.customer_id)
}
