//! The engine of upserts and deletes: which rows wait, which are in flight, and the outcome of each.

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

/// The settings of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineConfig {
    /// The maximum number of rows that wait.
    pub window: usize,
    pub customers_per_call: usize,
    /// The number of URL bytes that the rows of a call may take.
    pub max_url_len: usize,
    /// How often a row is sent whose calls succeed without confirming it.
    pub max_attempts: u32,
    /// Stops the run when the server has rejected this many rows and stored none (0 for never).
    pub stop_after_rejected: u64,
    /// Whether the store is read first and only changed values are sent.
    pub skips_unchanged: bool,
}

/// An event that follows from the end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchEvent {
    /// A batch of this size was rejected and is sent again in parts.
    Split(Size),
    /// The maximum size of a batch was learned.
    SizeLimitLearned(Size),
}

/// Decides what is sent next and accounts for every row.
#[derive(Debug)]
pub(crate) struct Engine<R: BatchItem> {
    config: EngineConfig,
    window: Window<R>,
    /// Customers in flight or held. No two calls in flight share a customer.
    busy: HashSet<i64>,
    /// What the store holds for the waiting customers.
    snapshot: StoreSnapshot,
    reads: HashMap<u64, ReadRequest>,
    jobs: HashMap<u64, BatchJob<R>>,
    /// The latest ID of a job or a read.
    last_id: u64,
    /// Jobs whose next part can be sent.
    resumable_jobs: VecDeque<u64>,
    /// Customers held after the end of their jobs, by the end of the hold.
    held: BTreeMap<Instant, Vec<i64>>,
    sizes: SizeLearner,
    /// The limit of the latest [`BatchEvent::SizeLimitLearned`].
    reported_limit: Option<Size>,
    outcomes: VecDeque<Outcome<R>>,
    watermark: Watermark,
    summary: Summary,
    /// Rows that the server has rejected.
    rejected_by_server: u64,
    /// The index of the next row of the input.
    next_index: u64,
    /// Rows with a lower index are due even if the window is not full.
    flush_before: u64,
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
            last_id: 0,
            resumable_jobs: VecDeque::new(),
            held: BTreeMap::new(),
            sizes: SizeLearner::default(),
            reported_limit: None,
            outcomes: VecDeque::new(),
            watermark: Watermark::default(),
            summary: Summary::new(R::KIND),
            rejected_by_server: 0,
            next_index: 0,
            flush_before: 0,
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
        self.watermark.position()
    }

    /// Returns `true` if there is room for another row of the input.
    pub(crate) fn wants_input(&self) -> bool {
        !self.input_ended
            && self.stopped_by.is_none()
            && self.window.row_count() < self.config.window
            && self.outcomes.len() < self.config.window
    }

    /// Returns `true` if rows wait for the window to fill up or for the input to become idle.
    pub(crate) fn has_unflushed_rows(&self) -> bool {
        !self.window.is_empty() && self.flush_before < self.next_index
    }

    /// Returns `true` if every outcome was handed out and no more rows will come.
    pub(crate) fn is_done(&self) -> bool {
        (self.input_ended || self.stopped_by.is_some())
            && self.window.is_empty()
            && self.jobs.is_empty()
            && self.reads.is_empty()
            && self.outcomes.is_empty()
    }

    /// Accepts the next item of the input: a row, or an error in its place.
    pub(crate) fn push(&mut self, item: Result<R, Error>) {
        let index = self.next_index;
        let row = match item {
            Err(error) => return self.settle_next(None, OutcomeKind::Rejected(error)),
            Ok(row) => row,
        };
        let wire = match row.to_wire() {
            Err(violation) => return self.reject_invalid(row, &violation),
            Ok(wire) => wire,
        };
        self.next_index += 1;
        let (customer, _) = R::key(&wire);
        self.window.insert(Slot::new(PendingRow {
            index,
            metadata: row.into_metadata(),
            wire,
            may_be_stored: false,
        }));
        self.skip_unchanged_rows(customer);
    }

    /// Rejects the next row of the input, which is invalid.
    pub(crate) fn reject_invalid(&mut self, row: R, violation: &Violation) {
        let error = Error::invalid_row(self.next_index, violation);
        self.settle_next(Some(row), OutcomeKind::Rejected(error));
    }

    /// Settles the next row of the input as not sent, because the run was stopped.
    pub(crate) fn push_unsent(&mut self, row: R, error: &Error) {
        self.settle_next(Some(row), OutcomeKind::NotSent(error.clone()));
    }

    fn settle_next(&mut self, row: Option<R>, kind: OutcomeKind) {
        let index = self.next_index;
        self.next_index += 1;
        self.settle(index, row, kind);
    }

    /// Records the end of the input. All waiting rows are due now.
    pub(crate) fn end_input(&mut self) {
        self.input_ended = true;
        self.flush_before = u64::MAX;
    }

    /// Records that the input is idle. All waiting rows are due now.
    pub(crate) fn mark_idle(&mut self) {
        self.flush_before = self.next_index;
    }

    /// Stops the run. Waiting rows are not sent; calls in flight finish.
    pub(crate) fn stop(&mut self, error: Error) {
        self.stopped_by.get_or_insert(error);
        for id in std::mem::take(&mut self.resumable_jobs) {
            self.end_job(id);
        }
        for slot in self.window.drain() {
            self.requeue(slot);
        }
    }

    /// Returns the next batch to send, and the ID of its job for [`finish_batch`].
    ///
    /// Parts of jobs that have started come first. A new job starts only if `may_start` is set.
    ///
    /// [`finish_batch`]: Self::finish_batch
    pub(crate) fn next_batch(&mut self, may_start: bool) -> Option<(u64, Batch<R>)> {
        while let Some(id) = self.resumable_jobs.pop_front() {
            let job = self.jobs.get_mut(&id);
            match job.and_then(|job| job.next_part(&self.sizes)) {
                Some(batch) => return Some((id, batch)),
                None => self.end_job(id),
            }
        }
        if !may_start {
            return None;
        }
        let Size { customers, rows } = self.sizes.limit();
        let limit = BatchLimit {
            customers: customers.min(self.config.customers_per_call),
            rows,
            // More rows than were accepted so far show whether rows or customers are limited.
            may_exceed_rows: self.sizes.is_undecided(),
            url_len: self.config.max_url_len,
        };
        if !self.has_due_batch(limit.customers) {
            return None;
        }
        let (busy, snapshot) = (&self.busy, &self.snapshot);
        let skips_unchanged = self.config.skips_unchanged;
        let slots = self.window.take_batch(limit, |customer, slots| {
            !busy.contains(&customer) && (!skips_unchanged || covers(snapshot, slots))
        });
        let mut job = BatchJob::new(slots);
        let batch = job.next_part(&self.sizes)?;
        self.busy.extend(job.customers());
        self.last_id += 1;
        self.jobs.insert(self.last_id, job);
        Some((self.last_id, batch))
    }

    /// Returns the next read, and its ID for [`finish_read`](Self::finish_read).
    ///
    /// A read holds as many customers as `max_values` values and `max_url_len` bytes of the URL
    /// allow, but at least one.
    pub(crate) fn next_read(
        &mut self,
        may_start: bool,
        max_values: usize,
        max_url_len: usize,
    ) -> Option<(u64, ReadRequest)> {
        if !may_start || !self.has_due_read() {
            return None;
        }
        let mut read = ReadRequest {
            customers: BTreeSet::new(),
            attributes: BTreeSet::new(),
        };
        let (mut values, mut url_len) = (0, 0);
        for (_, customer, slots) in self.window.oldest_first() {
            if !self.needs_read(customer, slots) {
                continue;
            }
            let attributes = slots.iter().map(|slot| slot.key().1);
            let new = attributes
                .clone()
                .filter(|id| !read.attributes.contains(id));
            values += slots.len();
            url_len += id_len(customer) + new.map(id_len).sum::<usize>();
            if !read.customers.is_empty() && (values > max_values || url_len > max_url_len) {
                break;
            }
            read.customers.insert(customer);
            read.attributes.extend(attributes);
        }
        self.busy.extend(&read.customers);
        self.last_id += 1;
        self.reads.insert(self.last_id, read.clone());
        Some((self.last_id, read))
    }

    /// Records the end of a read. If it failed, all rows of its customers are sent.
    pub(crate) fn finish_read(
        &mut self,
        id: u64,
        result: Result<Vec<types::AttributeValue>, CallFailure>,
    ) {
        let Some(read) = self.reads.remove(&id) else {
            return;
        };
        match result {
            Ok(values) => {
                self.snapshot
                    .record_read(&read.customers, &read.attributes, values);
            }
            Err(failure) => {
                self.snapshot.record_failed_read(&read.customers);
                if failure.error.ends_run() || failure.never_sent {
                    self.stop(failure.error);
                }
            }
        }
        for customer in read.customers {
            self.busy.remove(&customer);
            self.skip_unchanged_rows(customer);
        }
    }

    /// Settles the rows of a customer that the store already holds, unless the customer is busy.
    fn skip_unchanged_rows(&mut self, customer: i64) {
        if !self.config.skips_unchanged || self.busy.contains(&customer) {
            return;
        }
        let snapshot = &self.snapshot;
        let is_unchanged = |slot: &Slot<R>| snapshot.holds(slot.key(), R::value(&slot.row.wire));
        for slot in self.window.extract_if(customer, is_unchanged) {
            let kind = match slot.row.may_be_stored {
                // An earlier call of this run has stored the row without confirming it.
                true => OutcomeKind::Stored(None),
                false => OutcomeKind::Unchanged,
            };
            self.settle_slot(slot, kind);
        }
        if self.window.slots(customer).is_empty() {
            self.snapshot.forget(customer);
        }
    }

    /// Returns `true` if a batch of up to `max_customers` customers is to be sent now.
    fn has_due_batch(&self, max_customers: usize) -> bool {
        let mut sendable =
            self.first_indexes_where(|customer, slots| self.is_sendable(customer, slots));
        let Some(oldest) = sendable.next() else {
            return false;
        };
        if !self.config.skips_unchanged {
            return self.is_due(oldest);
        }
        // A smaller batch waits for the customers that are being read, or are yet to be.
        let others = sendable.take(max_customers).count();
        others + 1 >= max_customers
            || (self.is_due(oldest) && self.reads.is_empty() && !self.has_due_read())
    }

    /// Returns the index of the oldest row of each waiting customer that matches, oldest first.
    fn first_indexes_where(
        &self,
        matches: impl Fn(i64, &[Slot<R>]) -> bool,
    ) -> impl Iterator<Item = u64> {
        self.window
            .oldest_first()
            .filter(move |(_, customer, slots)| matches(*customer, slots))
            .map(|(first_index, ..)| first_index)
    }

    /// Returns `true` if a customer's rows can be sent as soon as they are due.
    fn is_sendable(&self, customer: i64, slots: &[Slot<R>]) -> bool {
        !self.busy.contains(&customer)
            && (!self.config.skips_unchanged || covers(&self.snapshot, slots))
    }

    fn needs_read(&self, customer: i64, slots: &[Slot<R>]) -> bool {
        self.config.skips_unchanged
            && !self.busy.contains(&customer)
            && !covers(&self.snapshot, slots)
    }

    fn has_due_read(&self) -> bool {
        // Saves a search through all waiting customers.
        if !self.config.skips_unchanged {
            return false;
        }
        let mut unread =
            self.first_indexes_where(|customer, slots| self.needs_read(customer, slots));
        unread
            .next()
            .is_some_and(|first_index| self.is_due(first_index))
    }

    fn is_due(&self, first_index: u64) -> bool {
        self.window.row_count() >= self.config.window || first_index < self.flush_before
    }

    /// Adds requests to the summary.
    pub(crate) fn count_requests(&mut self, requests: u32) {
        self.summary.requests += u64::from(requests);
    }

    /// Records the end of the call for a job's batch.
    ///
    /// An abandoned request may still be running until `held_until`. The job's customers stay busy
    /// until then.
    pub(crate) fn finish_batch(
        &mut self,
        id: u64,
        result: Result<R::Response, CallFailure>,
        held_until: Option<Instant>,
    ) -> Option<BatchEvent> {
        let mut job = self.jobs.remove(&id)?;
        job.hold_until(held_until);
        let event = match result {
            Ok(response) => {
                let slots = job.accept(&mut self.sizes);
                self.confirm(slots, response);
                None
            }
            Err(failure) => self.handle_failure(&mut job, &failure),
        };
        let is_resumable = job.has_parts() && self.stopped_by.is_none();
        self.jobs.insert(id, job);
        if is_resumable {
            self.resumable_jobs.push_back(id);
        } else {
            self.end_job(id);
        }
        event.or_else(|| {
            let limit = self.sizes.learned_limit();
            let is_new = limit != self.reported_limit;
            self.reported_limit = limit;
            limit.filter(|_| is_new).map(BatchEvent::SizeLimitLearned)
        })
    }

    /// Settles a job's batch as planned, without a call.
    pub(crate) fn finish_dry_run(&mut self, id: u64) {
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        for slot in job.abandon_in_flight() {
            self.snapshot.record(slot.key(), R::value(&slot.row.wire));
            self.settle_slot(slot, OutcomeKind::Planned);
        }
        self.jobs.insert(id, job);
        self.end_job(id);
    }

    /// Releases the held customers whose hold is over.
    pub(crate) fn release(&mut self, now: Instant) {
        while let Some(entry) = self.held.first_entry()
            && *entry.key() <= now
        {
            for customer in entry.remove() {
                self.busy.remove(&customer);
            }
        }
    }

    /// Returns when the next held customers are released, if any rows wait.
    pub(crate) fn next_release(&self) -> Option<Instant> {
        let (&until, _) = self.held.first_key_value()?;
        (!self.window.is_empty()).then_some(until)
    }

    /// Ends a job: requeues its unsent rows, and releases or holds its customers.
    fn end_job(&mut self, id: u64) {
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        for slot in job.abandon_unsent() {
            self.requeue(slot);
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
                    self.skip_unchanged_rows(customer);
                }
            }
        }
    }

    /// Settles the rows that the response confirms, and requeues the others.
    fn confirm(&mut self, slots: Vec<Slot<R>>, response: R::Response) {
        let keys: Vec<_> = slots.iter().map(Slot::key).collect();
        for (mut slot, kind) in slots.into_iter().zip(R::confirm(response, &keys)) {
            let Some(kind) = kind else {
                slot.unconfirmed_count += 1;
                slot.row.may_be_stored = true;
                self.snapshot.forget(slot.key().0);
                if slot.unconfirmed_count < self.config.max_attempts {
                    self.requeue(slot);
                } else {
                    self.settle_unknown(slot, &Error::unconfirmed());
                }
                continue;
            };
            let value = match &kind {
                OutcomeKind::Stored(Some(record)) => &record.attribute_value,
                _ => R::value(&slot.row.wire),
            };
            self.snapshot.record(slot.key(), value);
            self.settle_slot(slot, kind);
        }
    }

    /// Splits a rejected batch, or settles the rows of a call that failed for another reason.
    fn handle_failure(
        &mut self,
        job: &mut BatchJob<R>,
        failure: &CallFailure,
    ) -> Option<BatchEvent> {
        let error = &failure.error;
        let is_too_large = error.kind() == ErrorKind::TooLarge;
        if is_too_large || failure.blames_rows {
            return match job.reject(is_too_large, &failure.blamed_rows, &mut self.sizes)? {
                SplitResult::Split(size) => Some(BatchEvent::Split(size)),
                SplitResult::BadRow(slot) => {
                    self.settle_rejected(*slot, failure);
                    None
                }
            };
        }
        // The error of a stopped call does not say why the run was stopped.
        let stopped_by = self.stopped_by.clone();
        let reason = match (error.kind(), &stopped_by) {
            (ErrorKind::Stopped, Some(reason)) => reason,
            _ => error,
        };
        for slot in job.abandon_in_flight() {
            match failure.is_ambiguous {
                true => self.settle_unknown(slot, reason),
                false => self.settle_not_sent(slot, reason),
            }
        }
        // If one call can't afford to wait for quota, no other can.
        if error.ends_run() || failure.never_sent {
            self.stop(error.clone());
        }
        None
    }

    /// Puts a slot back into the window, or settles it as not sent if the run was stopped.
    fn requeue(&mut self, slot: Slot<R>) {
        match self.stopped_by.clone() {
            Some(error) => self.settle_not_sent(slot, &error),
            None => self.window.insert(slot),
        }
    }

    /// Settles the latest row of a slot, which supersedes the older ones.
    fn settle_slot(&mut self, slot: Slot<R>, kind: OutcomeKind) {
        let by = slot.row.index;
        for older in slot.older {
            self.settle_pending(older, OutcomeKind::Superseded { by });
        }
        self.settle_pending(slot.row, kind);
    }

    /// Rejects the latest row of a slot, and requeues the older ones.
    fn settle_rejected(&mut self, mut slot: Slot<R>, failure: &CallFailure) {
        let kind = R::rejected(failure, slot.row.index);
        if !matches!(kind, OutcomeKind::Rejected(_)) {
            return self.settle_slot(slot, kind);
        }
        let previous = slot.older.pop();
        self.settle_pending(slot.row, kind);
        self.rejected_by_server += 1;
        let max_rejected = self.config.stop_after_rejected;
        if max_rejected > 0
            && self.summary.confirmed() == 0
            && self.rejected_by_server >= max_rejected
        {
            let error = Error::all_rejected(self.rejected_by_server, &failure.error);
            self.stop(error);
        }
        if let Some(row) = previous {
            self.requeue(Slot {
                older: slot.older,
                ..Slot::new(row)
            });
        }
    }

    /// Settles the rows of a slot whose latest row may have been stored.
    fn settle_unknown(&mut self, mut slot: Slot<R>, error: &Error) {
        slot.row.may_be_stored = true;
        self.snapshot.forget(slot.key().0);
        let Some(slot) = self.merge_into_newer(slot) else {
            return;
        };
        // Not superseded: the caller may send the latest row again and see it rejected.
        for older in slot.older {
            self.settle_pending_not_sent(older, error);
        }
        self.settle_pending(slot.row, OutcomeKind::Unknown(error.clone()));
    }

    /// Settles the rows of a slot that are not sent, or not sent again.
    fn settle_not_sent(&mut self, slot: Slot<R>, error: &Error) {
        if slot.row.may_be_stored {
            self.snapshot.forget(slot.key().0);
        }
        let Some(slot) = self.merge_into_newer(slot) else {
            return;
        };
        for row in slot.older.into_iter().chain([slot.row]) {
            self.settle_pending_not_sent(row, error);
        }
    }

    /// Merges a slot into a newer one that waits for the same customer and attribute. Returns the
    /// slot if there is none.
    ///
    /// If the older row ended as unknown or not sent, a caller that sends it again would undo the
    /// newer one.
    fn merge_into_newer(&mut self, slot: Slot<R>) -> Option<Slot<R>> {
        if self.stopped_by.is_none() && self.window.contains(slot.key()) {
            self.window.insert(slot);
            return None;
        }
        Some(slot)
    }

    fn settle_pending_not_sent(&mut self, row: PendingRow<R>, error: &Error) {
        let kind = match row.may_be_stored {
            true => OutcomeKind::Unknown(error.clone()),
            false => OutcomeKind::NotSent(error.clone()),
        };
        self.settle_pending(row, kind);
    }

    fn settle_pending(&mut self, row: PendingRow<R>, kind: OutcomeKind) {
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
        self.outcomes.push_back(Outcome { index, row, kind });
    }

    /// Returns the next outcome, and advances the watermark over its row.
    pub(crate) fn next_outcome(&mut self) -> Option<Outcome<R>> {
        let outcome = self.outcomes.pop_front()?;
        self.watermark.settle(outcome.index);
        Some(outcome)
    }
}

fn covers<R: BatchItem>(snapshot: &StoreSnapshot, slots: &[Slot<R>]) -> bool {
    slots.iter().all(|slot| snapshot.covers(slot.key()))
}
