//! The engine under upserts and deletes: which rows wait, which are in flight, and what becomes of each.
//!
//! It decides and keeps accounts; it never waits, sends or reads a clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bigcommerce_sdk::types;
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use tokio::time::Instant;

use super::item::BatchItem;
use super::size_learner::{Size, SizeLearner};
use super::snapshot::StoreSnapshot;
use super::split::{Batch, BatchJob, SplitResult};
use super::watermark::Watermark;
use super::window::{BatchLimit, PendingRow, Slot, Window};
use crate::client::CallFailure;
use crate::client::url_budget::id_len;
use crate::error::{Error, ErrorKind, Violation};
use crate::list::ReadRequest;
use crate::outcome::{Outcome, OutcomeKind, Summary};

/// What a run may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineConfig {
    /// Rows that wait at most.
    pub window: usize,
    pub customers_per_call: usize,
    /// Bytes that the rows of a call may take of its URL.
    pub max_url_len: usize,
    /// How often a row is sent that answers leave out.
    pub attempts: u32,
    /// Ends the run when this many rows were refused before any was stored; 0 for never.
    pub stop_after_refused: u64,
    /// Whether to read what the store holds, and to send only what differs.
    pub skips_unchanged: bool,
}

/// What a call's end has led to, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchEvent {
    /// A call was refused and goes out again in parts.
    Split(Size),
    /// The most that a call may hold was learned.
    Learned(Size),
}

/// The engine; see the module.
#[derive(Debug)]
pub(crate) struct Engine<R: BatchItem> {
    config: EngineConfig,
    window: Window<R>,
    /// Customers in flight. No two calls in flight touch the same one.
    busy: HashSet<i64>,
    /// What the store holds; only what the rows that wait are compared with.
    snapshot: StoreSnapshot,
    reads: HashMap<u64, ReadRequest>,
    jobs: HashMap<u64, BatchJob<R>>,
    /// Jobs and reads.
    jobs_started: u64,
    /// Jobs with a part that is to be sent next.
    due: VecDeque<u64>,
    /// Customers that stay in flight although their calls are over, and until when.
    held: BTreeMap<Instant, Vec<i64>>,
    sizes: SizeLearner,
    learned: Option<Size>,
    ready: VecDeque<Outcome<R>>,
    watermark: Watermark,
    summary: Summary,
    /// Rows that the server refused, until it stores one.
    refused_at_first: u64,
    taken: u64,
    /// Rows with a lower index are due, whether or not the window is full.
    due_below: u64,
    input_ended: bool,
    stopped_by: Option<Error>,
}

impl<R: BatchItem> Engine<R> {
    pub(crate) fn new(config: EngineConfig) -> Self {
        Self {
            config,
            window: Window::default(),
            busy: HashSet::new(),
            snapshot: StoreSnapshot::default(),
            reads: HashMap::new(),
            jobs: HashMap::new(),
            jobs_started: 0,
            due: VecDeque::new(),
            held: BTreeMap::new(),
            sizes: SizeLearner::default(),
            learned: None,
            ready: VecDeque::new(),
            watermark: Watermark::default(),
            summary: Summary::new(R::KIND),
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
        self.watermark.up_to()
    }

    /// Says whether another row may be taken: not when it could only pile up.
    pub(crate) fn wants_input(&self) -> bool {
        !self.input_ended
            && self.stopped_by.is_none()
            && self.window.rows() < self.config.window
            && self.ready.len() < self.config.window
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
            && self.reads.is_empty()
            && self.ready.is_empty()
    }

    /// Takes what the input yielded next.
    pub(crate) fn take(&mut self, item: Result<R, Error>) {
        let index = self.taken;
        let row = match item {
            Err(error) => return self.reject(None, error),
            Ok(row) => row,
        };
        let wire = match row.to_wire() {
            Err(rule) => return self.refuse(row, &rule),
            Ok(wire) => wire,
        };
        self.taken += 1;
        let (customer, _) = R::key(&wire);
        self.window.push(PendingRow {
            index,
            metadata: row.into_metadata(),
            wire,
            may_be_stored: false,
        });
        self.leave_out_unchanged(customer);
    }

    /// Takes a row that breaks a rule.
    pub(crate) fn refuse(&mut self, row: R, rule: &Violation) {
        let error = Error::invalid_row(self.taken, rule);
        self.reject(Some(row), error);
    }

    fn reject(&mut self, row: Option<R>, error: Error) {
        let index = self.taken;
        self.taken += 1;
        self.settle(index, row, OutcomeKind::Rejected(error));
    }

    /// Takes a row that was there when the run stopped.
    pub(crate) fn take_too_late(&mut self, row: R, error: &Error) {
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
    pub(crate) fn mark_idle(&mut self) {
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
    pub(crate) fn next_batch(&mut self, may_begin: bool) -> Option<(u64, Batch<R>)> {
        while let Some(id) = self.due.pop_front() {
            match self.jobs.get_mut(&id).and_then(|job| job.next(&self.sizes)) {
                Some(batch) => return Some((id, batch)),
                None => self.end_job(id),
            }
        }
        if !may_begin {
            return None;
        }
        let Size { customers, rows } = self.sizes.limit();
        let most = BatchLimit {
            customers: customers.min(self.config.customers_per_call),
            rows,
            // While it is open whether customers or rows are limited, more rows than were seen tell.
            beyond_rows: self.sizes.is_open(),
            length: self.config.max_url_len,
        };
        if !self.has_due_batch(most.customers) {
            return None;
        }
        let (busy, known) = (&self.busy, &self.snapshot);
        let skips = self.config.skips_unchanged;
        let cut = self.window.cut(most, |customer, slots| {
            !busy.contains(&customer) && (!skips || covers(known, slots))
        });
        let mut job = BatchJob::new(cut);
        let batch = job.next(&self.sizes)?;
        self.busy.extend(job.customers());
        self.jobs_started += 1;
        self.jobs.insert(self.jobs_started, job);
        Some((self.jobs_started, batch))
    }

    /// Gives what is to be read next, as much as so many values and so many bytes of a URL may
    /// hold, and the number that takes the answer.
    pub(crate) fn next_read(
        &mut self,
        may_begin: bool,
        max_values: usize,
        max_url_len: usize,
    ) -> Option<(u64, ReadRequest)> {
        if !may_begin || !self.has_due_read() {
            return None;
        }
        let mut read = ReadRequest {
            customers: BTreeSet::new(),
            attributes: BTreeSet::new(),
        };
        let (mut values, mut length) = (0, 0);
        for (_, customer, slots) in self.window.oldest_first() {
            if !self.is_unread(customer, slots) {
                continue;
            }
            let attributes = slots.iter().map(|slot| slot.key().1);
            let new = attributes
                .clone()
                .filter(|id| !read.attributes.contains(id));
            values += slots.len();
            length += id_len(customer) + new.map(id_len).sum::<usize>();
            if !read.customers.is_empty() && (values > max_values || length > max_url_len) {
                break;
            }
            read.customers.insert(customer);
            read.attributes.extend(attributes);
        }
        self.busy.extend(&read.customers);
        self.jobs_started += 1;
        self.reads.insert(self.jobs_started, read.clone());
        Some((self.jobs_started, read))
    }

    /// Hears how a read ended. Of customers that could not be read, all rows are sent.
    pub(crate) fn finish_read(
        &mut self,
        id: u64,
        result: Result<Vec<types::AttributeValue>, CallFailure>,
    ) {
        let Some(read) = self.reads.remove(&id) else {
            return;
        };
        match result {
            Ok(values) => self
                .snapshot
                .read(&read.customers, &read.attributes, values),
            Err(failure) => {
                self.snapshot.not_read(&read.customers);
                if failure.error.ends_run() || failure.never_sent {
                    self.stop(failure.error);
                }
            }
        }
        for customer in read.customers {
            self.busy.remove(&customer);
            self.leave_out_unchanged(customer);
        }
    }

    /// Settles the rows of a customer that the store holds already, unless the customer is in
    /// flight.
    fn leave_out_unchanged(&mut self, customer: i64) {
        if !self.config.skips_unchanged || self.busy.contains(&customer) {
            return;
        }
        let known = &self.snapshot;
        let is_known = |slot: &Slot<R>| known.holds(slot.key(), R::value(&slot.row.wire));
        for slot in self.window.take(customer, is_known) {
            let kind = match slot.row.may_be_stored {
                // An earlier call of this run has stored it after all.
                true => OutcomeKind::Stored(None),
                false => OutcomeKind::Unchanged,
            };
            self.done(slot, kind);
        }
        if self.window.of_customer(customer).is_empty() {
            self.snapshot.forget(customer);
        }
    }

    /// Says whether a batch is to be cut, of so many customers at most.
    fn has_due_batch(&self, max_customers: usize) -> bool {
        let mut ready = self.waiting_if(|customer, slots| self.may_go(customer, slots));
        let Some(oldest) = ready.next() else {
            return false;
        };
        if !self.config.skips_unchanged {
            return self.is_due(oldest);
        }
        // Who may go waits for company as long as there is somebody to read.
        let others = ready.take(max_customers).count();
        others + 1 >= max_customers
            || (self.is_due(oldest) && self.reads.is_empty() && !self.has_due_read())
    }

    /// The places of customers that wait and fulfil a condition, oldest first.
    fn waiting_if(&self, is: impl Fn(i64, &[Slot<R>]) -> bool) -> impl Iterator<Item = u64> {
        self.window
            .oldest_first()
            .filter(move |(_, customer, slots)| is(*customer, slots))
            .map(|(place, ..)| place)
    }

    /// Says whether nothing but being due keeps a customer's rows from being sent.
    fn may_go(&self, customer: i64, slots: &[Slot<R>]) -> bool {
        !self.busy.contains(&customer)
            && (!self.config.skips_unchanged || covers(&self.snapshot, slots))
    }

    fn is_unread(&self, customer: i64, slots: &[Slot<R>]) -> bool {
        self.config.skips_unchanged
            && !self.busy.contains(&customer)
            && !covers(&self.snapshot, slots)
    }

    fn has_due_read(&self) -> bool {
        // Without reads nobody is worth looking for among all who wait.
        if !self.config.skips_unchanged {
            return false;
        }
        let mut unread = self.waiting_if(|customer, slots| self.is_unread(customer, slots));
        unread.next().is_some_and(|place| self.is_due(place))
    }

    fn is_due(&self, place: u64) -> bool {
        self.window.rows() >= self.config.window || place < self.due_below
    }

    /// Counts requests that were made.
    pub(crate) fn count_requests(&mut self, requests: u32) {
        self.summary.requests += u64::from(requests);
    }

    /// Hears how the call for a job's batch ended. Its customers stay in flight until `hold`, if
    /// that is given, since a request that was given up may still be running.
    pub(crate) fn finish(
        &mut self,
        id: u64,
        result: Result<R::Response, CallFailure>,
        hold: Option<Instant>,
    ) -> Option<BatchEvent> {
        let mut job = self.jobs.remove(&id)?;
        job.hold_until(hold);
        let note = match result {
            Ok(answer) => {
                let slots = job.accept(&mut self.sizes);
                self.confirm(slots, answer);
                None
            }
            Err(failure) => self.fail(&mut job, &failure),
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
            learned.filter(|_| is_news).map(BatchEvent::Learned)
        })
    }

    /// Takes a job's batch, which is not to be sent, for done.
    pub(crate) fn finish_dry_run(&mut self, id: u64) {
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        for slot in job.give_up() {
            self.snapshot.record(slot.key(), R::value(&slot.row.wire));
            self.done(slot, OutcomeKind::Planned);
        }
        self.jobs.insert(id, job);
        self.end_job(id);
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
        job.record_sizes(&mut self.sizes);
        match job.held_until() {
            Some(until) => {
                let held = self.held.entry(until).or_default();
                held.extend_from_slice(job.customers());
                for &customer in job.customers() {
                    self.snapshot.forget(customer);
                }
            }
            None => {
                for &customer in job.customers() {
                    self.busy.remove(&customer);
                    self.leave_out_unchanged(customer);
                }
            }
        }
    }

    fn confirm(&mut self, slots: Vec<Slot<R>>, answer: R::Response) {
        let keys: Vec<_> = slots.iter().map(Slot::key).collect();
        for (mut slot, kind) in slots.into_iter().zip(R::confirm(answer, &keys)) {
            let Some(kind) = kind else {
                slot.left_out += 1;
                slot.row.may_be_stored = true;
                self.snapshot.forget(slot.key().0);
                if slot.left_out < self.config.attempts {
                    self.send_again(slot);
                } else {
                    self.unknown(slot, &Error::unconfirmed());
                }
                continue;
            };
            let value = match &kind {
                OutcomeKind::Stored(Some(record)) => &record.attribute_value,
                _ => R::value(&slot.row.wire),
            };
            self.snapshot.record(slot.key(), value);
            self.done(slot, kind);
        }
    }

    fn fail(&mut self, job: &mut BatchJob<R>, failure: &CallFailure) -> Option<BatchEvent> {
        let error = &failure.error;
        let is_too_large = error.kind() == ErrorKind::TooLarge;
        if is_too_large || failure.blames_rows {
            return match job.refuse(is_too_large, &failure.blamed_rows, &mut self.sizes)? {
                SplitResult::Split(size) => Some(BatchEvent::Split(size)),
                SplitResult::Culprit(slot) => {
                    self.rejected(*slot, failure);
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
            match failure.is_ambiguous {
                true => self.unknown(slot, reason),
                false => self.not_sent(slot, reason),
            }
        }
        // A wait for quota that is too long for one call is so for all.
        if error.ends_run() || failure.never_sent {
            self.stop(error.clone());
        }
        None
    }

    /// Puts a slot back among those that wait, as due as it was.
    fn send_again(&mut self, slot: Slot<R>) {
        match self.stopped_by.clone() {
            Some(error) => self.not_sent(slot, &error),
            None => self.window.put_back(slot),
        }
    }

    fn done(&mut self, slot: Slot<R>, kind: OutcomeKind) {
        let by = slot.row.index;
        for older in slot.older {
            self.settle_taken(older, OutcomeKind::Superseded { by });
        }
        self.settle_taken(slot.row, kind);
    }

    /// Rejects the latest row of a slot; the one that it replaced is sent after all.
    fn rejected(&mut self, mut slot: Slot<R>, failure: &CallFailure) {
        let kind = R::rejected(failure, slot.row.index);
        if !matches!(kind, OutcomeKind::Rejected(_)) {
            return self.done(slot, kind);
        }
        let older = slot.older.pop();
        self.settle_taken(slot.row, kind);
        self.refused_at_first += 1;
        let most = self.config.stop_after_refused;
        if most > 0 && self.summary.confirmed() == 0 && self.refused_at_first >= most {
            self.stop(Error::all_rejected(self.refused_at_first, &failure.error));
        }
        if let Some(row) = older {
            self.send_again(Slot {
                row,
                older: slot.older,
                left_out: 0,
            });
        }
    }

    fn unknown(&mut self, mut slot: Slot<R>, error: &Error) {
        slot.row.may_be_stored = true;
        self.snapshot.forget(slot.key().0);
        let Some(slot) = self.below_newer(slot) else {
            return;
        };
        // If the caller sends the latest row again and it is rejected then, the older ones count.
        for older in slot.older {
            self.row_not_sent(older, error);
        }
        self.settle_taken(slot.row, OutcomeKind::Unknown(error.clone()));
    }

    fn not_sent(&mut self, slot: Slot<R>, error: &Error) {
        if slot.row.may_be_stored {
            self.snapshot.forget(slot.key().0);
        }
        let Some(slot) = self.below_newer(slot) else {
            return;
        };
        for row in slot.older.into_iter().chain([slot.row]) {
            self.row_not_sent(row, error);
        }
    }

    /// Puts a slot that is given up below a newer row that waits for the same customer and
    /// attribute: to send the older one again after it would undo it.
    fn below_newer(&mut self, slot: Slot<R>) -> Option<Slot<R>> {
        if self.stopped_by.is_none() && self.window.holds(slot.key()) {
            self.window.put_back(slot);
            return None;
        }
        Some(slot)
    }

    fn row_not_sent(&mut self, row: PendingRow<R>, error: &Error) {
        let kind = match row.may_be_stored {
            true => OutcomeKind::Unknown(error.clone()),
            false => OutcomeKind::NotSent(error.clone()),
        };
        self.settle_taken(row, kind);
    }

    fn settle_taken(&mut self, row: PendingRow<R>, kind: OutcomeKind) {
        let PendingRow {
            index,
            metadata,
            wire,
            ..
        } = row;
        let row = R::from_wire(wire, metadata);
        self.settle(index, Some(row), kind);
    }

    fn settle(&mut self, index: u64, row: Option<R>, kind: OutcomeKind) {
        self.summary.count(&kind);
        self.ready.push_back(Outcome { index, row, kind });
    }

    /// Hands out the next outcome.
    pub(crate) fn next_outcome(&mut self) -> Option<Outcome<R>> {
        let outcome = self.ready.pop_front()?;
        self.watermark.settle(outcome.index);
        Some(outcome)
    }
}

fn covers<R: BatchItem>(snapshot: &StoreSnapshot, slots: &[Slot<R>]) -> bool {
    slots.iter().all(|slot| snapshot.covers(slot.key()))
}
