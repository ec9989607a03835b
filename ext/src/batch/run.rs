//! The engine under an upsert: which rows wait, which are in flight, and what becomes of each.
//!
//! It decides and keeps accounts; it never waits, sends or reads a clock.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bigcommerce_sdk::types;
use tokio::time::Instant;

use super::chunk::{Slot, Taken, Window};
use super::job::{Batch, Job, Refused};
use super::report::{Outcome, OutcomeKind, Summary};
use super::settled::Settled;
use super::sizes::{Size, Sizes};
use crate::call::Failed;
use crate::error::{Error, ErrorKind};
use crate::value::AttributeValueUpsert;

/// What a run may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Values that wait at most.
    pub window: usize,
    pub customers_per_call: usize,
    /// How often a row is sent that answers leave out.
    pub attempts: u32,
    /// Ends the run when this many rows were refused before any was stored; 0 for never.
    pub stop_after_refused: u64,
}

/// What a call's end has led to, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// A call was refused and goes out again in parts.
    Split(Size),
    /// The most that a call may hold was learned.
    Learned(Size),
}

/// The engine; see the module.
#[derive(Debug)]
pub(crate) struct Engine {
    rules: Rules,
    window: Window,
    /// Customers in flight. No two calls in flight touch the same one.
    busy: HashSet<i64>,
    jobs: HashMap<u64, Job>,
    jobs_begun: u64,
    /// Jobs with a part that is to be sent next.
    due: VecDeque<u64>,
    /// Customers that stay in flight although their calls are over, and until when.
    held: BTreeMap<Instant, Vec<i64>>,
    sizes: Sizes,
    learned: Option<Size>,
    ready: VecDeque<Outcome>,
    settled: Settled,
    summary: Summary,
    /// Rows that the server refused, until it stores one.
    refused_at_first: u64,
    taken: u64,
    /// Rows with a lower index are due, whether or not the window is full.
    due_below: u64,
    input_ended: bool,
    stopped_by: Option<Error>,
}

impl Engine {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            window: Window::default(),
            busy: HashSet::new(),
            jobs: HashMap::new(),
            jobs_begun: 0,
            due: VecDeque::new(),
            held: BTreeMap::new(),
            sizes: Sizes::default(),
            learned: None,
            ready: VecDeque::new(),
            settled: Settled::default(),
            summary: Summary::default(),
            refused_at_first: 0,
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
            && self.window.rows() < self.rules.window
            && self.ready.len() < self.rules.window
    }

    /// Says whether rows wait that no pause of the input has made due yet.
    pub(crate) fn has_undue(&self) -> bool {
        !self.window.is_empty() && self.due_below < self.taken
    }

    /// Says whether every row has its outcome and no more will come.
    pub(crate) fn is_done(&self) -> bool {
        (self.input_ended || self.stopped_by.is_some())
            && self.window.is_empty()
            && self.jobs.is_empty()
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
                    self.window.push(Taken {
                        index,
                        tag: row.into_tag(),
                        wire,
                        may_be_stored: false,
                    });
                    return;
                }
                Err(rule) => (Some(row), Error::breaks_rule(index, &rule)),
            },
        };
        self.settle(index, row, OutcomeKind::Rejected(error));
    }

    /// Takes a row that was there when the run stopped.
    pub(crate) fn take_too_late(&mut self, row: AttributeValueUpsert, error: &Error) {
        let index = self.taken;
        self.taken += 1;
        self.settle(index, Some(row), OutcomeKind::NotSent(error.clone()));
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
        self.stopped_by.get_or_insert(error);
        for id in std::mem::take(&mut self.due) {
            self.end_job(id);
        }
        for slot in self.window.drain() {
            self.send_again(slot);
        }
    }

    /// Gives the next batch to send and the number of its job, which takes the answer: a part of
    /// a job that has begun, or else a new one if one is due and may begin.
    pub(crate) fn next_batch(&mut self, may_begin: bool) -> Option<(u64, Batch)> {
        while let Some(id) = self.due.pop_front() {
            match self.jobs.get_mut(&id).and_then(|job| job.next(&self.sizes)) {
                Some(batch) => return Some((id, batch)),
                None => self.end_job(id),
            }
        }
        if !may_begin {
            return None;
        }
        let oldest = self.window.oldest_free(&self.busy)?;
        if self.window.rows() < self.rules.window && oldest >= self.due_below {
            return None;
        }
        let Size { customers, rows } = self.sizes.limit();
        let customers = customers.min(self.rules.customers_per_call);
        // While it is open whether customers or rows are limited, more rows than were seen tell.
        let beyond_rows = self.sizes.is_open();
        let cut = self.window.cut(customers, rows, beyond_rows, &self.busy);
        let mut job = Job::new(cut);
        let batch = job.next(&self.sizes)?;
        self.busy.extend(job.customers());
        self.jobs_begun += 1;
        self.jobs.insert(self.jobs_begun, job);
        Some((self.jobs_begun, batch))
    }

    /// Counts requests that were made.
    pub(crate) fn count_calls(&mut self, calls: u32) {
        self.summary.calls += u64::from(calls);
    }

    /// Hears how the call for a job's batch ended. Its customers stay in flight until `hold`, if
    /// that is given, since a request that was given up may still be running.
    pub(crate) fn finish(
        &mut self,
        id: u64,
        result: Result<types::AttributeValuePage, Failed>,
        hold: Option<Instant>,
    ) -> Option<Note> {
        let mut job = self.jobs.remove(&id)?;
        job.hold_until(hold);
        let note = match result {
            Ok(page) => {
                let slots = job.accept(&mut self.sizes);
                self.confirm(slots, page);
                None
            }
            Err(failed) => self.fail(&mut job, &failed),
        };
        let goes_on = job.has_parts() && self.stopped_by.is_none();
        self.jobs.insert(id, job);
        if goes_on {
            self.due.push_back(id);
        } else {
            self.end_job(id);
        }
        note.or_else(|| {
            let learned = self.sizes.learned();
            let is_news = learned != self.learned;
            self.learned = learned;
            learned.filter(|_| is_news).map(Note::Learned)
        })
    }

    /// Frees the customers whose time of being held is over.
    pub(crate) fn release(&mut self, now: Instant) {
        while let Some(entry) = self.held.first_entry()
            && *entry.key() <= now
        {
            for customer in entry.remove() {
                self.busy.remove(&customer);
            }
        }
    }

    /// Says when customers are freed for whom rows may wait.
    pub(crate) fn next_release(&self) -> Option<Instant> {
        let (&until, _) = self.held.first_key_value()?;
        (!self.window.is_empty()).then_some(until)
    }

    fn end_job(&mut self, id: u64) {
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        for slot in job.abandon() {
            self.send_again(slot);
        }
        job.teach(&mut self.sizes);
        match job.held_until() {
            Some(until) => {
                let held = self.held.entry(until).or_default();
                held.extend_from_slice(job.customers());
            }
            None => {
                for customer in job.customers() {
                    self.busy.remove(customer);
                }
            }
        }
    }

    fn confirm(&mut self, slots: Vec<Slot>, page: types::AttributeValuePage) {
        let stored = page.meta.and_then(|meta| meta.pagination?.total);
        let shows_a_part = stored.is_some_and(|total| {
            usize::try_from(total)
                .is_ok_and(|total| total >= slots.len() && total > page.data.len())
        });
        let mut records: HashMap<_, _> = page
            .data
            .into_iter()
            .map(|record| ((record.customer_id, record.attribute_id), record))
            .collect();
        for mut slot in slots {
            match records.remove(&slot.key()) {
                None if !shows_a_part => {
                    slot.left_out += 1;
                    slot.row.may_be_stored = true;
                    if slot.left_out < self.rules.attempts {
                        self.send_again(slot);
                    } else {
                        self.unknown(slot, &Error::left_out());
                    }
                }
                record => self.stored(slot, record),
            }
        }
    }

    fn fail(&mut self, job: &mut Job, failed: &Failed) -> Option<Note> {
        let error = &failed.error;
        let is_too_large = error.kind() == ErrorKind::TooLarge;
        if is_too_large || failed.blames_rows {
            return match job.refuse(is_too_large, &failed.named, &mut self.sizes)? {
                Refused::Split(size) => Some(Note::Split(size)),
                Refused::Culprit(slot) => {
                    self.rejected(*slot, error);
                    None
                }
            };
        }
        // A call that was told to stop does not know why.
        let stopped_by = self.stopped_by.clone();
        let reason = match (error.kind(), &stopped_by) {
            (ErrorKind::Stopped, Some(reason)) => reason,
            _ => error,
        };
        for slot in job.give_up() {
            match failed.is_ambiguous {
                true => self.unknown(slot, reason),
                false => self.not_sent(slot, reason),
            }
        }
        // A wait for quota that is too long for one call is so for all.
        if error.ends_run() || failed.never_left {
            self.stop(error.clone());
        }
        None
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
        let reason = error.of_row(slot.row.index);
        self.settle_taken(slot.row, OutcomeKind::Rejected(reason));
        self.refused_at_first += 1;
        let most = self.rules.stop_after_refused;
        if most > 0 && self.summary.stored == 0 && self.refused_at_first >= most {
            self.stop(Error::all_refused(self.refused_at_first, error));
        }
        if let Some(row) = older {
            self.send_again(Slot {
                row,
                older: slot.older,
                left_out: 0,
            });
        }
    }

    fn unknown(&mut self, mut slot: Slot, error: &Error) {
        slot.row.may_be_stored = true;
        let Some(slot) = self.below_newer(slot) else {
            return;
        };
        // If the caller sends the latest row again and it is rejected then, the older ones count.
        for older in slot.older {
            self.row_not_sent(older, error);
        }
        self.settle_taken(slot.row, OutcomeKind::Unknown(error.clone()));
    }

    fn not_sent(&mut self, slot: Slot, error: &Error) {
        let Some(slot) = self.below_newer(slot) else {
            return;
        };
        for row in slot.older.into_iter().chain([slot.row]) {
            self.row_not_sent(row, error);
        }
    }

    /// Puts a slot that is given up below a newer row that waits for the same customer and
    /// attribute: to send the older one again after it would undo it.
    fn below_newer(&mut self, slot: Slot) -> Option<Slot> {
        if self.stopped_by.is_none() && self.window.holds(slot.key()) {
            self.window.put_back(slot);
            return None;
        }
        Some(slot)
    }

    fn row_not_sent(&mut self, row: Taken, error: &Error) {
        let kind = match row.may_be_stored {
            true => OutcomeKind::Unknown(error.clone()),
            false => OutcomeKind::NotSent(error.clone()),
        };
        self.settle_taken(row, kind);
    }

    fn settle_taken(&mut self, row: Taken, kind: OutcomeKind) {
        let Taken {
            index, tag, wire, ..
        } = row;
        let row = AttributeValueUpsert::from_wire(wire, tag);
        self.settle(index, Some(row), kind);
    }

    fn settle(&mut self, index: u64, row: Option<AttributeValueUpsert>, kind: OutcomeKind) {
        self.summary.count(&kind);
        self.ready.push_back(Outcome { index, row, kind });
    }

    /// Hands out the next outcome.
    pub(crate) fn next_outcome(&mut self) -> Option<Outcome> {
        let outcome = self.ready.pop_front()?;
        self.settled.settle(outcome.index);
        Some(outcome)
    }
}
