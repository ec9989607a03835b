//! The engine of upserts and deletes: which rows wait, which are in flight, and the outcome of each.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bigcommerce_sdk::types;
use foldhash::{HashMap, HashMapExt};
use tokio::time::Instant;

use super::buffer::{BatchLimit, Buffer, BufferConfig, IsHeld, Settlement, StagedRows};
use super::item::{BatchItem, BatchKind, PerKind};
use super::size_learner::{Size, SizeLearner};
use super::slot::{PendingRow, Slot};
use super::split::{
    Batch, BatchJob, FailedPart, FinishedPart, JobStep, PartFailure, RetryBounds, SplitResult,
};
use super::watermark::Watermark;
use crate::client::{CallFailure, RequestFailure, RequestOutcome, RetryPolicy};
use crate::error::{Error, ErrorKind, Violation};
use crate::event::WaitReason;
use crate::list::{ReadRequest, ReadValues};
use crate::normalization::Normalization;
use crate::outcome::{Outcome, OutcomeKind, Summary};
use crate::resends::Resends;

/// The maximum number of batches that wait for their next attempt. No new batch starts meanwhile.
const MAX_WAITING_JOBS: usize = 10;
/// How often values are looked up that the server has accepted for later (202).
const LOOKUPS_AFTER_ACCEPTED: u32 = 3;
/// The maximum number of bytes of rows that have outcomes and wait to be handed out.
const MAX_OUTCOME_BYTES: usize = 4 * 1024 * 1024;
/// The maximum number of missing IDs whose outcomes wait for the first successful delete.
const MAX_MISSING: usize = 10_000;

/// The number of rows in a row for which the endpoint does not seem to exist that stops the run.
const MAX_NOT_FOUND: u32 = 10;

/// The settings of a run.
#[derive(Clone, Debug)]
pub(crate) struct EngineConfig {
    /// The maximum number of rows that wait.
    pub window: usize,
    pub customers_per_call: usize,
    /// The number of URL bytes that the rows of a call may take.
    pub max_url_len: usize,
    /// How long a row waits for others before it is sent.
    pub max_wait: Duration,
    pub retry: RetryPolicy,
    /// Stops the run when this many rows were rejected or not confirmed and none was stored (0 for
    /// never).
    pub stop_after_rejected: u64,
    /// Whether the store is read first and only changed values are sent.
    pub skips_unchanged: bool,
}

/// The time, and the state of the store, at a decision.
#[derive(Clone, Copy)]
pub(crate) struct Conditions<'a> {
    pub now: Instant,
    /// How long the store was down during the run.
    pub downtime: Duration,
    /// The number of the store's successful responses.
    pub successes: u64,
    /// Returns `true` if a request in flight elsewhere, or an abandoned one, may change the customer's
    /// values.
    pub is_held: IsHeld<'a>,
    /// Returns `true` if a request of another run may. A batch is sent again beside its own abandoned
    /// request: both have the same values.
    pub is_taken: IsHeld<'a>,
    /// Returns `true` if the request may name the customer. It may name all of them before there is a
    /// lease for it.
    pub is_claimed: IsHeld<'a>,
}

/// An event that follows from the end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchEvent {
    /// A batch of this size was rejected, or kept failing, and is sent again in parts.
    Split(Size),
    /// The maximum size of a batch was learned.
    SizeLimitLearned(Size),
    /// A batch is sent again later.
    Retry { reason: WaitReason, wait: Duration },
}

/// A call that the engine wants to be made.
#[derive(Debug)]
pub(crate) enum EngineCall<R: BatchItem> {
    /// Sends a batch, for [`Engine::finish_send`].
    Send {
        job: u64,
        batch: Batch<R>,
        /// The number of the call, if the batch was sent before.
        call: Option<u64>,
        /// The number of requests that were made for the rows before.
        earlier_requests: u32,
        /// The number of the store's successes at the previous failure of the batch.
        previous_failure: Option<u64>,
    },
    /// Looks up values that were sent, for [`Engine::finish_verify`].
    Verify { job: u64, request: ReadRequest },
    /// Lists a single value, for [`Engine::finish_check`]: if it succeeds, the rows of the failing
    /// batches are the reason for their failures, not the store.
    Check,
}

/// A request that shows whether the store is up again.
#[derive(Clone, Copy, Debug)]
enum ProbeChoice {
    /// Lists a single value.
    Check,
    NewBatch,
    Part {
        job: u64,
        part: usize,
    },
}

/// Returns `true` if a delete failed because a value does not exist.
pub(crate) fn is_missing(kind: BatchKind, error: &Error) -> bool {
    kind == BatchKind::Delete && error.status() == Some(404)
}

/// Returns `true` if the store's values can show what became of one of the rows. They don't show the
/// fields of a row's own.
fn can_be_looked_up<R: BatchItem>(slots: &[Slot<R>]) -> bool {
    R::HAS_CUSTOMERS && slots.iter().any(|slot| !slot.has_custom_fields())
}

/// Returns `true` if the customers of the job may be named, and no other run has one of them.
fn is_free<R: BatchItem>(job: &BatchJob<R>, conditions: Conditions<'_>) -> bool {
    let Conditions {
        is_taken,
        is_claimed,
        ..
    } = conditions;
    let mut customers = job.customers().iter();
    customers.all(|&customer| is_claimed(customer) && !is_taken(customer))
}

/// Decides what is sent next and accounts for every row.
#[derive(Debug)]
pub(crate) struct Engine<R: BatchItem> {
    config: EngineConfig,
    /// The time of the latest call of a method.
    now: Instant,
    buffer: Buffer<R>,
    normalization: Normalization,
    /// Oldest first.
    jobs: BTreeMap<u64, BatchJob<R>>,
    last_job: u64,
    /// Whether a [`EngineCall::Check`] is in flight.
    is_checking: bool,
    /// Whether another batch or a check was sent because a failed batch lacked evidence. The failed
    /// batch itself is next.
    has_sought_evidence: bool,
    /// Probes since the store was found to be down.
    probes: usize,
    sizes: PerKind<SizeLearner>,
    /// The limit of the latest [`BatchEvent::SizeLimitLearned`].
    reported_limit: PerKind<Option<Size>>,
    /// Deletes that got a 404, as long as no delete of the run has succeeded.
    missing: VecDeque<(Slot<R>, Error)>,
    /// Rows sent alone that got a 404, 405 or 410 since the last one that was confirmed.
    not_found_in_a_row: u32,
    outcomes: VecDeque<Outcome<R>>,
    outcome_bytes: usize,
    watermark: Watermark,
    resends: Resends,
    summary: Summary,
    /// Rows that were sent and not stored.
    unsuccessful: u64,
    /// The index of the next row of the input.
    next_index: u64,
    input_ended: bool,
    stopped_by: Option<Error>,
}

impl<R: BatchItem> Engine<R> {
    pub(crate) fn new(config: EngineConfig, normalization: Normalization, now: Instant) -> Self {
        let buffer = BufferConfig {
            window: config.window,
            customers_per_call: config.customers_per_call,
            max_url_len: config.max_url_len,
            max_wait: config.max_wait,
            skips_unchanged: config.skips_unchanged,
        };
        Self {
            config,
            now,
            buffer: Buffer::new(buffer, normalization.clone()),
            normalization,
            jobs: BTreeMap::new(),
            last_job: 0,
            is_checking: false,
            has_sought_evidence: false,
            probes: 0,
            sizes: PerKind::default(),
            reported_limit: PerKind::default(),
            missing: VecDeque::new(),
            not_found_in_a_row: 0,
            outcomes: VecDeque::new(),
            outcome_bytes: 0,
            watermark: Watermark::default(),
            resends: Resends::default(),
            summary: Summary::new(R::KIND),
            unsuccessful: 0,
            next_index: 0,
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

    #[cfg(test)]
    pub(crate) fn was_reading_suspended(&self) -> bool {
        self.buffer.was_reading_suspended()
    }

    /// Returns the index below which every row was handed out and needs no sending again.
    pub(crate) fn done_up_to(&self) -> u64 {
        self.watermark.position()
    }

    /// Records that the caller took care of a row, whatever its outcome. A row that was not read yet
    /// is not handled.
    pub(crate) fn record_handled(&mut self, index: u64) {
        if index < self.next_index {
            self.watermark.record_done(index);
            self.resends.remove(index);
        }
    }

    /// Returns `true` if a row that is unknown or was not sent may be sent again.
    pub(crate) fn may_resend(&self, index: u64) -> bool {
        self.resends.contains(index)
    }

    /// Returns `true` if there is room for another row of the input.
    pub(crate) fn wants_input(&self) -> bool {
        !self.input_ended
            && self.stopped_by.is_none()
            && !self.buffer.is_full()
            && self.outcomes.len() < self.config.window
            && self.outcome_bytes < MAX_OUTCOME_BYTES
    }

    /// Sets the rows that were read and are not pushed yet.
    pub(crate) fn set_staged(&mut self, staged: StagedRows) {
        self.buffer.set_staged(staged);
    }

    /// Returns `true` if the window is full, and too many of its rows are staged.
    pub(crate) fn lacks_staged_rows(&self) -> bool {
        self.buffer.lacks_staged_rows()
    }

    /// Returns `true` if rows wait for the window to fill up or for the input to become idle.
    pub(crate) fn has_unflushed_rows(&self) -> bool {
        self.buffer.has_unflushed_rows()
    }

    /// Returns `true` if every outcome was handed out and no more rows will come.
    pub(crate) fn is_done(&self) -> bool {
        self.has_no_rows_left() && self.missing.is_empty() && self.outcomes.is_empty()
    }

    fn has_no_rows_left(&self) -> bool {
        (self.input_ended || self.stopped_by.is_some())
            && self.buffer.is_empty()
            && self.jobs.is_empty()
    }

    /// Accepts the next item of the input: a row, or an error in its place.
    pub(crate) fn push(&mut self, item: Result<R, Error>, now: Instant) {
        self.now = now;
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
        let row = PendingRow {
            index,
            metadata: row.into_metadata(),
            wire,
            may_be_executed: false,
            was_refused: false,
        };
        self.buffer.insert(Slot::new(row), now);
        self.settle_unsent();
    }

    /// Rejects the next row of the input, which is invalid.
    pub(crate) fn reject_invalid(&mut self, row: R, violation: &Violation) {
        let error = Error::invalid_row(self.next_index, violation);
        self.settle_next(Some(row), OutcomeKind::Rejected(error));
    }

    /// Returns the index of the next row of the input.
    pub(crate) fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Settles the next row of the input without sending it.
    pub(crate) fn push_settled(&mut self, row: R, kind: OutcomeKind) {
        self.settle_next(Some(row), kind);
    }

    /// Leaves out the next row of the input: whoever took it accounts for it.
    pub(crate) fn skip(&mut self) {
        self.next_index += 1;
    }

    /// Settles the next row of the input as not sent, because the run was stopped.
    pub(crate) fn push_unsent(&mut self, row: R, error: &Error) {
        self.push_settled(row, OutcomeKind::NotSent(error.clone()));
    }

    /// Settles the next row of the input as not sent, because its customer could not be looked up.
    pub(crate) fn push_unresolved(&mut self, row: R, error: &Error) {
        self.push_unsent(row, error);
        self.count_unsuccessful(error);
    }

    fn settle_next(&mut self, row: Option<R>, kind: OutcomeKind) {
        let index = self.next_index;
        self.next_index += 1;
        let key = row.as_ref().and_then(|row| row.customer());
        let attribute = row.as_ref().and_then(|row| row.attribute_id());
        self.resends
            .record(index, key, (None, attribute), kind.standing());
        self.settle(index, row, kind);
    }

    /// Records the end of the input. All waiting rows are due now.
    pub(crate) fn end_input(&mut self) {
        self.input_ended = true;
        self.buffer.end_input();
        self.settle_missing();
    }

    /// Records that the input is idle. All waiting rows are due now.
    pub(crate) fn mark_idle(&mut self) {
        self.buffer.mark_idle();
    }

    /// Stops the run. Waiting rows are not sent; calls in flight finish.
    pub(crate) fn stop(&mut self, error: Error) {
        if self.stopped_by.is_some() {
            return;
        }
        self.stopped_by = Some(error);
        let waiting: Vec<_> = self.waiting_jobs().collect();
        for id in waiting {
            self.end_job(id);
        }
        for slot in self.buffer.drain() {
            self.requeue(slot, None);
        }
        self.settle_missing();
    }

    fn waiting_jobs(&self) -> impl Iterator<Item = u64> {
        let waiting = self.jobs.iter().filter(|(_, job)| !job.is_in_flight());
        waiting.map(|(&id, _)| id)
    }

    /// Returns `true` if [`next_call`](Self::next_call) has a call to make.
    pub(crate) fn has_call(&self, conditions: Conditions<'_>) -> bool {
        if self.stopped_by.is_some() {
            return false;
        }
        let due = self.due_job(conditions);
        due.is_some_and(|id| !self.lacks_evidence(id, conditions) || self.has_nothing_in_flight())
            || self.can_start_batch(conditions)
    }

    /// Returns the customers that [`next_call`](Self::next_call) may name, and possibly more.
    pub(crate) fn proposed_customers(&self, conditions: Conditions<'_>) -> Vec<i64> {
        let due = self.due_job(conditions);
        let job = due.and_then(|id| self.jobs.get(&id));
        let mut customers = job.map_or(Vec::new(), |job| job.customers().to_vec());
        let is_sent = due.is_some_and(|id| !self.lacks_evidence(id, conditions));
        if !is_sent {
            // A batch may be sent for evidence.
            customers.extend(self.selected(conditions));
        }
        customers
    }

    /// Returns the next call to make while the store is up.
    ///
    /// Parts of batches that have started come first. A part that has failed is sent again once
    /// something has succeeded since, so that its next failure shows that its rows are the reason.
    /// If nothing is in flight that could succeed, another batch or a check is sent first.
    pub(crate) fn next_call(&mut self, conditions: Conditions<'_>) -> Option<EngineCall<R>> {
        if self.stopped_by.is_some() {
            return None;
        }
        self.now = conditions.now;
        self.probes = 0;
        match self.due_job(conditions) {
            Some(id) if !self.lacks_evidence(id, conditions) => self.send_job(id, conditions),
            Some(id) if self.has_nothing_in_flight() => {
                self.has_sought_evidence = true;
                let evidence = self.cut(conditions).or_else(|| self.check());
                evidence.or_else(|| self.send_job(id, conditions))
            }
            _ if self.can_start_batch(conditions) => self.cut(conditions),
            _ => None,
        }
    }

    fn send_job(&mut self, id: u64, conditions: Conditions<'_>) -> Option<EngineCall<R>> {
        self.has_sought_evidence = false;
        let Conditions { now, downtime, .. } = conditions;
        let job = self.jobs.get_mut(&id)?;
        let step = job.next_step(now, downtime, self.sizes.get(job.kind()))?;
        self.call_for(id, step)
    }

    /// Returns the oldest job with a part that is due, whose customers no other run has. A job that
    /// does not lack evidence comes first.
    fn due_job(&self, conditions: Conditions<'_>) -> Option<u64> {
        let due = || {
            let jobs = self.jobs.iter();
            jobs.filter(|(_, job)| job.is_due(conditions.now) && is_free(job, conditions))
                .map(|(&id, _)| id)
        };
        due()
            .find(|&id| !self.lacks_evidence(id, conditions))
            .or_else(|| due().next())
    }

    /// Returns `true` if a job has failed, nothing has succeeded since, and something may.
    fn lacks_evidence(&self, id: u64, conditions: Conditions<'_>) -> bool {
        let job = self.jobs.get(&id);
        let previous_failure = job.and_then(|job| job.previous_failure(conditions.now));
        !self.has_sought_evidence && previous_failure == Some(conditions.successes)
    }

    fn has_nothing_in_flight(&self) -> bool {
        !self.is_checking && !self.jobs.values().any(BatchJob::is_in_flight)
    }

    /// Returns `true` if a new batch is due and few batches wait for their next attempt.
    fn can_start_batch(&self, conditions: Conditions<'_>) -> bool {
        self.waiting_jobs().count() < MAX_WAITING_JOBS && self.due_kind(conditions).is_some()
    }

    /// Returns the kind of the batch that is sent next.
    pub(crate) fn next_kind(&self, conditions: Conditions<'_>) -> BatchKind {
        let due = self.due_job(conditions).and_then(|id| self.jobs.get(&id));
        let due = due.map(BatchJob::kind);
        due.or_else(|| self.due_kind(conditions))
            .unwrap_or(match R::HAS_CUSTOMERS {
                true => BatchKind::Put,
                false => BatchKind::Delete,
            })
    }

    /// Returns the kind of the next new batch: the one that is due and has the oldest row.
    fn due_kind(&self, conditions: Conditions<'_>) -> Option<BatchKind> {
        let Conditions { now, is_held, .. } = conditions;
        let due = |kind| {
            let limit = self.limit(kind);
            let index = self.buffer.due_batch(kind, now, limit, is_held)?;
            Some((index, kind))
        };
        let due = BatchKind::ALL.into_iter().filter_map(due);
        due.min_by_key(|(index, _)| *index).map(|(_, kind)| kind)
    }

    /// Returns the customers of the next batch, if one is due.
    fn selected(&self, conditions: Conditions<'_>) -> Vec<i64> {
        let kind = self.due_kind(conditions);
        kind.map_or(Vec::new(), |kind| {
            let limit = self.limit(kind);
            self.buffer.selected(kind, limit, conditions.is_held)
        })
    }

    /// Starts a check, unless other rows are there to be sent.
    fn check(&mut self) -> Option<EngineCall<R>> {
        if self.is_checking || self.buffer.has_idle_customers() {
            return None;
        }
        self.is_checking = true;
        Some(EngineCall::Check)
    }

    /// Records the end of a check.
    pub(crate) fn finish_check(&mut self) {
        self.is_checking = false;
    }

    /// Cuts the next batch.
    fn cut(&mut self, conditions: Conditions<'_>) -> Option<EngineCall<R>> {
        let Conditions {
            now,
            downtime,
            is_held,
            is_claimed,
            ..
        } = conditions;
        let kind = self.due_kind(conditions)?;
        let limit = self.limit(kind);
        let slots = self
            .buffer
            .next_batch(kind, now, limit, is_held, is_claimed)?;
        let mut job = BatchJob::new(kind, slots);
        let sizes = self.sizes.get_mut(kind);
        let step = job.next_step(now, downtime, sizes)?;
        if let Some(size) = job.sent_size() {
            sizes.record_sent(size);
        }
        self.last_job += 1;
        self.jobs.insert(self.last_job, job);
        self.call_for(self.last_job, step)
    }

    fn call_for(&self, job: u64, step: JobStep<R>) -> Option<EngineCall<R>> {
        match step {
            JobStep::Send(batch) => {
                let history = self.jobs.get(&job)?.history()?;
                Some(EngineCall::Send {
                    job,
                    batch,
                    call: history.call,
                    earlier_requests: history.requests,
                    previous_failure: history.previous_failure,
                })
            }
            JobStep::Verify(batch) => {
                let request = ReadRequest {
                    customers: batch.keys().map(|(customer, _)| customer).collect(),
                    attributes: batch.keys().map(|(_, attribute)| attribute).collect(),
                };
                Some(EngineCall::Verify { job, request })
            }
        }
    }

    fn limit(&self, kind: BatchKind) -> BatchLimit {
        let sizes = self.sizes.get(kind);
        let Size { customers, rows } = sizes.limit();
        BatchLimit {
            customers,
            rows,
            // More rows than were accepted so far show whether rows or customers are limited.
            may_exceed_rows: sizes.is_undecided(),
        }
    }

    /// Returns `true` if [`next_probe`](Self::next_probe) has a call to make.
    pub(crate) fn has_probe(&self, conditions: Conditions<'_>) -> bool {
        self.stopped_by.is_none() && self.choose_probe(conditions).is_some()
    }

    /// Returns the customers that [`next_probe`](Self::next_probe) may name, and possibly more.
    pub(crate) fn proposed_probe_customers(&self, conditions: Conditions<'_>) -> Vec<i64> {
        match self.choose_probe(conditions) {
            None | Some(ProbeChoice::Check) => Vec::new(),
            Some(ProbeChoice::NewBatch) => self.selected(conditions),
            Some(ProbeChoice::Part { job, .. }) => {
                let job = self.jobs.get(&job);
                job.map_or(Vec::new(), |job| job.customers().to_vec())
            }
        }
    }

    /// Returns the next probe of a store that is down.
    pub(crate) fn next_probe(&mut self, conditions: Conditions<'_>) -> Option<EngineCall<R>> {
        if self.stopped_by.is_some() {
            return None;
        }
        let probe = self.choose_probe(conditions)?;
        self.now = conditions.now;
        self.probes += 1;
        match probe {
            ProbeChoice::Check => self.check(),
            ProbeChoice::NewBatch => self.cut(conditions),
            ProbeChoice::Part { job: id, part } => {
                let Conditions { now, downtime, .. } = conditions;
                let job = self.jobs.get_mut(&id)?;
                job.halve_for_probes();
                let step = job.send_part(part, now, downtime)?;
                self.call_for(id, step)
            }
        }
    }

    /// Chooses the next probe of a store that is down.
    ///
    /// The halves of the batch that failed first come first, then a new batch, then the halves of
    /// the other batches. If no other row is there to be sent, every second probe is a check.
    fn choose_probe(&self, conditions: Conditions<'_>) -> Option<ProbeChoice> {
        let turn = self.probes;
        let has_only_failed_rows = !self.buffer.has_idle_customers();
        let can_check = has_only_failed_rows && !self.is_checking;
        if has_only_failed_rows && turn % 2 == 1 {
            return (can_check && self.waiting_jobs().next().is_some())
                .then_some(ProbeChoice::Check);
        }
        let can_start_batch = self.can_start_batch(conditions);
        let new_batch = || can_start_batch.then_some(ProbeChoice::NewBatch);
        let mut candidates = Vec::new();
        for (position, id) in self.waiting_jobs().enumerate() {
            let job = self.jobs.get(&id).filter(|job| is_free(job, conditions));
            let parts = job.map_or(0, BatchJob::parts_for_probes);
            candidates.extend((0..parts).map(|part| ProbeChoice::Part { job: id, part }));
            if position == 0 {
                candidates.extend(new_batch());
            }
        }
        if self.waiting_jobs().next().is_none() {
            candidates.extend(new_batch());
        }
        let turn = match has_only_failed_rows {
            true => turn / 2,
            false => turn,
        };
        let probe = candidates.get(turn % candidates.len().max(1)).copied();
        // Other runs have the customers of all batches.
        let has_waiting = self.waiting_jobs().next().is_some();
        probe.or_else(|| (has_waiting && can_check).then_some(ProbeChoice::Check))
    }

    /// Returns `true` if a value to delete must be read that is older than the next new batch, so that
    /// reads are not held up by a stream of values to store.
    pub(crate) fn prefers_read(&self, conditions: Conditions<'_>) -> bool {
        let Conditions { now, is_held, .. } = conditions;
        let Some(read) = self.buffer.due_identification(now, is_held) else {
            return false;
        };
        let due = |kind| {
            let limit = self.limit(kind);
            self.buffer.due_batch(kind, now, limit, is_held)
        };
        let batch = BatchKind::ALL.into_iter().filter_map(due).min();
        self.stopped_by.is_none() && batch.is_none_or(|batch| read < batch)
    }

    /// Returns the next read, and its ID for [`finish_read`](Self::finish_read).
    pub(crate) fn next_read(
        &mut self,
        conditions: Conditions<'_>,
        max_values: usize,
        max_url_len: usize,
    ) -> Option<(u64, ReadRequest)> {
        if self.stopped_by.is_some() {
            return None;
        }
        let Conditions { now, is_held, .. } = conditions;
        self.buffer.next_read(now, max_values, max_url_len, is_held)
    }

    /// Records the end of a read. If it failed, all values of its customers that are to be stored are
    /// sent, and none is deleted.
    pub(crate) fn finish_read(
        &mut self,
        id: u64,
        result: Result<ReadValues, CallFailure>,
        now: Instant,
    ) {
        self.now = now;
        let values = match result {
            Ok(values) => Ok(values),
            Err(failure) => {
                if failure.error.ends_run() || failure.never_sent {
                    self.stop(failure.error.clone());
                }
                Err(failure.error)
            }
        };
        self.buffer.finish_read(id, values, now);
        self.settle_unsent();
    }

    /// Records the number of the call that sends a job's batch.
    pub(crate) fn record_call(&mut self, job: u64, call: u64) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.record_call(call);
        }
    }

    /// Returns the latest error of a batch that waits for its next attempt.
    pub(crate) fn last_error(&self) -> Option<&Error> {
        self.jobs.values().find_map(BatchJob::last_error)
    }

    /// Returns when the engine is to be asked again, if nothing else happens before.
    pub(crate) fn next_due(&self, conditions: Conditions<'_>) -> Option<Instant> {
        let jobs = self.jobs.values().filter_map(BatchJob::next_due);
        let buffer = self.buffer.next_due(conditions.now, conditions.is_held);
        jobs.filter(|due| *due > conditions.now).chain(buffer).min()
    }

    /// Adds requests to the summary.
    pub(crate) fn count_requests(&mut self, requests: u32) {
        self.summary.requests += u64::from(requests);
    }

    /// Records the end of a request for a job's batch. `jitter_sample` is from 0 to 1.
    pub(crate) fn finish_send(
        &mut self,
        id: u64,
        outcome: RequestOutcome<R::Response>,
        conditions: Conditions<'_>,
        jitter_sample: f64,
    ) -> Option<BatchEvent> {
        self.now = conditions.now;
        self.count_requests(outcome.requests);
        let mut job = self.jobs.remove(&id)?;
        let kind = job.kind();
        job.count_requests(outcome.requests);
        let event = match outcome.result {
            Ok(response) => {
                if let Some(part) = job.accept(self.sizes.get_mut(kind)) {
                    let status = outcome.status.unwrap_or_default();
                    self.confirm(&mut job, part, response, status, conditions, jitter_sample);
                }
                None
            }
            Err(failure) => self.handle_failure(&mut job, failure, conditions, jitter_sample),
        };
        self.put_back(id, job);
        event.or_else(|| {
            let limit = self.sizes.get(kind).learned_limit();
            let reported = self.reported_limit.get_mut(kind);
            let is_new = limit != *reported;
            *reported = limit;
            limit.filter(|_| is_new).map(BatchEvent::SizeLimitLearned)
        })
    }

    fn put_back(&mut self, id: u64, job: BatchJob<R>) {
        let is_over = job.waiting_parts() == 0 || self.stopped_by.is_some();
        self.jobs.insert(id, job);
        if is_over {
            self.end_job(id);
        }
    }

    /// Settles a job's batch as planned, without a call.
    pub(crate) fn finish_dry_run(&mut self, id: u64) {
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        let part = job.abandon_in_flight();
        for slot in part.into_iter().flat_map(|part| part.slots) {
            match R::value(&slot.row.wire) {
                Some(_) if slot.has_custom_fields() => {
                    self.buffer.forget(slot.key().0, self.now);
                }
                Some(value) => self.buffer.record_stored(slot.key(), value, value, None),
                None => self.buffer.record_deleted(slot.key()),
            }
            self.settle_slot(slot, OutcomeKind::Planned);
        }
        self.put_back(id, job);
    }

    /// Ends a job: requeues or settles its unsent rows, and releases its customers.
    fn end_job(&mut self, id: u64) {
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        for (slots, error) in job.abandon_waiting() {
            for slot in slots {
                self.requeue(slot, error.as_ref());
            }
        }
        self.buffer.release(job.customers(), self.now);
        self.settle_unsent();
        self.settle_missing();
    }

    /// Settles the rows that need not or can't be sent.
    fn settle_unsent(&mut self) {
        for (slot, settlement) in self.buffer.take_settled() {
            match settlement {
                Settlement::Unchanged => {
                    let kind = match (slot.row.may_be_executed, R::value(&slot.row.wire)) {
                        (false, _) => OutcomeKind::Unchanged,
                        // An earlier call of this run has executed the row without confirming it.
                        (true, Some(_)) => OutcomeKind::Stored(None),
                        (true, None) => OutcomeKind::Deleted,
                    };
                    self.settle_slot(slot, kind);
                }
                Settlement::Unidentified(error) => {
                    self.settle_abandoned(slot, &error);
                    self.count_unsuccessful(&error);
                }
            }
        }
    }

    /// Settles the rows that the response confirms. The values of the others are looked up.
    fn confirm(
        &mut self,
        job: &mut BatchJob<R>,
        mut part: FinishedPart<R>,
        response: R::Response,
        status: u16,
        conditions: Conditions<'_>,
        jitter_sample: f64,
    ) {
        let slots = std::mem::take(&mut part.slots);
        let keys: Vec<_> = slots.iter().map(Slot::key).collect();
        for (mut slot, kind) in slots.into_iter().zip(R::confirm(response, status, &keys)) {
            match kind {
                Some(kind) => self.settle_confirmed(slot, kind),
                None => {
                    slot.row.may_be_executed = true;
                    self.buffer.forget(slot.key().0, self.now);
                    part.slots.push(slot);
                }
            }
        }
        if part.slots.is_empty() {
            return;
        }
        let wait = self.config.retry.wait(1, None, jitter_sample);
        match (can_be_looked_up(&part.slots), status) {
            // The server executes the request later.
            (true, 202) => {
                job.verify(
                    part,
                    LOOKUPS_AFTER_ACCEPTED,
                    conditions.now.checked_add(wait),
                );
            }
            (true, _) => job.verify(part, 1, None),
            (false, _) => self.resend(job, part, conditions.now, jitter_sample),
        }
    }

    /// Records the values that were looked up.
    pub(crate) fn finish_verify(
        &mut self,
        id: u64,
        result: Result<ReadValues, CallFailure>,
        conditions: Conditions<'_>,
        jitter_sample: f64,
    ) {
        self.now = conditions.now;
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        let Some(mut part) = job.take_verified() else {
            return;
        };
        let mut records: HashMap<_, _> = HashMap::new();
        let mut lookups_left = part.lookups_left;
        let is_complete = matches!(&result, Ok(read) if read.incomplete.is_none());
        match result {
            Ok(ReadValues { values, .. }) => {
                let keyed = |record: types::AttributeValue| {
                    ((record.customer_id, record.attribute_id), record)
                };
                records.extend(values.into_iter().map(keyed));
            }
            // Whatever the lookup failed of, the server accepts requests that send rows.
            Err(_) => lookups_left = 0,
        }
        for mut slot in std::mem::take(&mut part.slots) {
            let record = records.remove(&slot.key());
            let kind = match (R::value(&slot.row.wire), record) {
                // The value may be there from before, without the row's fields.
                (Some(_), _) if slot.has_custom_fields() => None,
                // Only a rewriting that a response to an upsert has shown counts.
                (Some(sent), Some(record))
                    if self.normalization.is_stored_as(
                        record.attribute_id,
                        sent,
                        &record.attribute_value,
                    ) =>
                {
                    Some(OutcomeKind::Stored(Some(record)))
                }
                (None, None) if is_complete => Some(OutcomeKind::Deleted),
                (None, Some(record)) => {
                    // The value may have been stored anew.
                    if let Some(id) = record.id {
                        R::set_value_id(&mut slot.row.wire, id);
                    }
                    None
                }
                _ => None,
            };
            match kind {
                Some(kind) => self.settle_confirmed(slot, kind),
                None => part.slots.push(slot),
            }
        }
        if !part.slots.is_empty() {
            if lookups_left > 0 && can_be_looked_up(&part.slots) {
                let lookups_made = LOOKUPS_AFTER_ACCEPTED.saturating_sub(lookups_left);
                let wait = self
                    .config
                    .retry
                    .wait(lookups_made + 1, None, jitter_sample);
                job.verify(part, lookups_left, conditions.now.checked_add(wait));
            } else {
                self.resend(&mut job, part, conditions.now, jitter_sample);
            }
        }
        self.put_back(id, job);
    }

    /// Sends rows again that nothing confirms, or settles them as unknown after the last time.
    fn resend(
        &mut self,
        job: &mut BatchJob<R>,
        part: FinishedPart<R>,
        now: Instant,
        jitter_sample: f64,
    ) {
        let resends = part.history.resends + 1;
        let wait = self.config.retry.wait(resends, None, jitter_sample);
        let Some(slots) = job.resend(part, now, wait) else {
            return;
        };
        let error = Error::unconfirmed();
        for slot in slots {
            self.settle_unknown(slot, &error);
            self.count_unsuccessful(&error);
        }
    }

    fn settle_confirmed(&mut self, slot: Slot<R>, kind: OutcomeKind) {
        self.not_found_in_a_row = 0;
        match R::value(&slot.row.wire) {
            Some(sent) => {
                let (stored, id) = match &kind {
                    OutcomeKind::Stored(Some(record)) => {
                        (record.attribute_value.as_str(), record.id)
                    }
                    _ => (sent, None),
                };
                self.summary.differing += u64::from(stored != sent);
                if slot.has_custom_fields() {
                    // What the store lists from now on may depend on the fields.
                    self.buffer.forget(slot.key().0, self.now);
                } else {
                    self.buffer.record_stored(slot.key(), sent, stored, id);
                }
            }
            None => self.buffer.record_deleted(slot.key()),
        }
        self.settle_slot(slot, kind);
        if self.summary.deleted > 0 {
            self.settle_missing();
        }
    }

    /// Splits a rejected batch, retries a failed one later, or settles its rows.
    fn handle_failure(
        &mut self,
        job: &mut BatchJob<R>,
        failure: RequestFailure,
        conditions: Conditions<'_>,
        jitter_sample: f64,
    ) -> Option<BatchEvent> {
        let is_too_large = failure.error.kind() == ErrorKind::TooLarge;
        if is_too_large || self.is_about_rows(&failure) {
            let Conditions { now, .. } = conditions;
            let blamed = &failure.blamed_rows;
            let sizes = self.sizes.get_mut(job.kind());
            return match job.reject(is_too_large, blamed, sizes, now)? {
                SplitResult::Split(size) => Some(BatchEvent::Split(size)),
                SplitResult::BadRow {
                    slot,
                    requests,
                    elapsed,
                } => {
                    let error = failure.error.with_attempts(requests, elapsed);
                    self.settle_bad_row(*slot, &failure, &error);
                    None
                }
            };
        }
        let Some(reason) = failure.retry else {
            self.settle_failed(job, &failure);
            return None;
        };
        let is_told_to_wait = reason == WaitReason::Quota;
        let part_failure = PartFailure {
            is_attempt: !failure.is_bad && !is_told_to_wait,
            counts_time: !failure.is_bad,
            is_told_to_wait,
            may_be_rows: !matches!(reason, WaitReason::Quota | WaitReason::Busy),
            is_ambiguous: failure.is_ambiguous,
            successes: failure.successes,
            error: failure.error,
        };
        let bounds = RetryBounds {
            max_attempts: self.config.retry.max_attempts,
            retry_timeout: self.config.retry.retry_timeout,
        };
        let retry = &self.config.retry;
        let wait = |failures| retry.wait(failures, failure.retry_after, jitter_sample);
        let Conditions { now, downtime, .. } = conditions;
        match job.fail(part_failure, now, downtime, bounds, wait)? {
            FailedPart::Retried(wait) => Some(BatchEvent::Retry { reason, wait }),
            FailedPart::Halved(size) => Some(BatchEvent::Split(size)),
            FailedPart::GivenUp(slots, error) => {
                let ends_run = error.ends_run();
                for slot in slots {
                    self.settle_abandoned(slot, &error);
                    if !ends_run {
                        self.count_unsuccessful(&error);
                    }
                }
                if ends_run {
                    self.stop(error);
                }
                None
            }
        }
    }

    /// Settles the rows of a batch that is not sent again.
    fn settle_failed(&mut self, job: &mut BatchJob<R>, failure: &RequestFailure) {
        let Some(part) = job.abandon_in_flight() else {
            return;
        };
        let elapsed = part.history.elapsed(self.now);
        let error = failure.error.with_attempts(part.history.requests, elapsed);
        for mut slot in part.slots {
            slot.row.may_be_executed |= failure.is_ambiguous;
            self.settle_abandoned(slot, &error);
            if !failure.ends_run && !failure.never_sent {
                self.count_unsuccessful(&error);
            }
        }
        if failure.ends_run {
            self.stop(error);
        }
    }

    /// Counts a row that was rejected or not confirmed, and stops the run if all rows are.
    fn count_unsuccessful(&mut self, error: &Error) {
        self.unsuccessful += 1;
        let max_unsuccessful = self.config.stop_after_rejected;
        let has_success = self.summary.confirmed() + self.summary.unchanged > 0;
        if max_unsuccessful > 0 && !has_success && self.unsuccessful >= max_unsuccessful {
            self.stop(Error::all_rejected(self.unsuccessful, error));
        }
    }

    /// Puts a slot back into the buffer, or settles it if the run was stopped. `error` is why its
    /// latest request failed.
    fn requeue(&mut self, slot: Slot<R>, error: Option<&Error>) {
        let Some(stopped_by) = self.stopped_by.clone() else {
            return self.buffer.insert(slot, self.now);
        };
        match error {
            Some(error) if slot.row.may_be_executed => self.settle_abandoned(slot, error),
            _ => self.settle_abandoned(slot, &stopped_by),
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

    /// Returns `true` if the rows of a batch may be the reason for its failure, so that splitting it
    /// shows which. Once rows were stored, a response that refuses the request refuses its rows.
    fn is_about_rows(&self, failure: &RequestFailure) -> bool {
        let kind = failure.error.kind();
        let refuses = matches!(kind, ErrorKind::InvalidRequest | ErrorKind::NotFound);
        let is_response = failure.error.status().is_some() && !failure.is_html;
        failure.blames_rows || (refuses && is_response && self.summary.confirmed() > 0)
    }

    /// Settles a row that failed when it was sent alone.
    fn settle_bad_row(&mut self, slot: Slot<R>, failure: &RequestFailure, error: &Error) {
        match error.kind() {
            _ if self.may_be_gone(&slot, error) => self.read_again(slot),
            _ if is_missing(slot.kind(), error) && failure.blames_rows && !R::HAS_CUSTOMERS => {
                self.settle_missing_row(slot, error);
            }
            // A request with one row is not too large: something is wrong with the endpoint.
            ErrorKind::TooLarge | ErrorKind::NotFound => {
                self.settle_abandoned(slot, error);
                self.count_unsuccessful(error);
                self.not_found_in_a_row += u32::from(error.kind() == ErrorKind::NotFound);
                if self.not_found_in_a_row >= MAX_NOT_FOUND {
                    self.stop(error.clone());
                }
            }
            _ => self.settle_rejected(slot, error),
        }
    }

    /// Returns `true` if the server may have refused to delete a value because it is gone.
    fn may_be_gone(&self, slot: &Slot<R>, error: &Error) -> bool {
        R::HAS_CUSTOMERS
            && slot.kind() == BatchKind::Delete
            && !slot.row.was_refused
            && error.kind() != ErrorKind::TooLarge
    }

    /// Lets a customer be read again before its value is deleted.
    fn read_again(&mut self, mut slot: Slot<R>) {
        slot.row.was_refused = true;
        self.buffer.forget(slot.key().0, self.now);
        self.requeue(slot, None);
    }

    /// Rejects the latest row of a slot, and requeues the older ones.
    fn settle_rejected(&mut self, mut slot: Slot<R>, failure: &Error) {
        let error = failure.for_row(slot.row.index);
        let previous = slot.older.pop();
        if slot.row.may_be_executed {
            // An earlier request, whose response was lost, may have stored it all the same.
            self.buffer.forget(slot.key().0, self.now);
        }
        self.settle_pending(slot.row, OutcomeKind::Rejected(error));
        self.count_unsuccessful(failure);
        if let Some(row) = previous {
            let older = Slot {
                older: slot.older,
                since: slot.since,
                ..Slot::new(row)
            };
            self.requeue(older, None);
        }
    }

    /// Settles a row whose value does not exist as deleted, if any delete of the run has succeeded.
    /// Until then, the server may not know the endpoint.
    fn settle_missing_row(&mut self, slot: Slot<R>, error: &Error) {
        if self.summary.deleted > 0 {
            return self.settle_slot(slot, OutcomeKind::Deleted);
        }
        self.missing.push_back((slot, error.clone()));
        self.count_unsuccessful(error);
        if self.missing.len() > MAX_MISSING
            && let Some((slot, error)) = self.missing.pop_front()
        {
            self.settle_as_missing(slot, &error);
        }
    }

    /// Settles the missing rows once it is known whether any delete of the run succeeds.
    fn settle_missing(&mut self) {
        let is_endpoint_known = self.summary.deleted > 0;
        if !is_endpoint_known && !self.has_no_rows_left() {
            return;
        }
        for (slot, error) in std::mem::take(&mut self.missing) {
            match is_endpoint_known {
                true => self.settle_slot(slot, OutcomeKind::Deleted),
                false => self.settle_as_missing(slot, &error),
            }
        }
    }

    fn settle_as_missing(&mut self, slot: Slot<R>, error: &Error) {
        let error = Error::missing_unconfirmed(error);
        self.settle_slot(slot, OutcomeKind::Unknown(error));
    }

    /// Settles the rows of a slot whose latest row may have been stored.
    fn settle_unknown(&mut self, mut slot: Slot<R>, error: &Error) {
        slot.row.may_be_executed = true;
        self.settle_abandoned(slot, error);
    }

    /// Settles the rows of a slot that are not sent, or not sent again.
    fn settle_abandoned(&mut self, slot: Slot<R>, error: &Error) {
        if slot.row.may_be_executed {
            self.buffer.forget(slot.key().0, self.now);
        }
        let Some(slot) = self.merge_into_newer(slot) else {
            return;
        };
        // Not superseded: the caller may send the latest row again and see it rejected.
        for row in slot.older.into_iter().chain([slot.row]) {
            let kind = match row.may_be_executed {
                true => OutcomeKind::Unknown(error.clone()),
                false => OutcomeKind::NotSent(error.clone()),
            };
            self.settle_pending(row, kind);
        }
    }

    /// Merges a slot into a newer one that waits for the same customer and attribute. Returns the
    /// slot if there is none.
    ///
    /// If the older row ended as unknown or not sent, a caller that sends it again would undo the
    /// newer one.
    fn merge_into_newer(&mut self, slot: Slot<R>) -> Option<Slot<R>> {
        if self.stopped_by.is_none() && self.buffer.contains(slot.key()) {
            self.buffer.insert(slot, self.now);
            return None;
        }
        Some(slot)
    }

    fn settle_pending(&mut self, row: PendingRow<R>, kind: OutcomeKind) {
        let PendingRow {
            index,
            metadata,
            wire,
            ..
        } = row;
        let ids = Some(R::key(&wire)).filter(|_| R::HAS_CUSTOMERS).unzip();
        let row = R::from_wire(wire, metadata);
        self.resends
            .record(index, row.customer(), ids, kind.standing());
        self.settle(index, Some(row), kind);
    }

    fn settle(&mut self, index: u64, row: Option<R>, kind: OutcomeKind) {
        self.summary.count(&kind);
        self.outcome_bytes += row.as_ref().map_or(0, R::heap_size);
        self.outcomes.push_back(Outcome { index, row, kind });
    }

    /// Returns the next outcome, and advances the watermark over its row.
    pub(crate) fn next_outcome(&mut self) -> Option<Outcome<R>> {
        let outcome = self.outcomes.pop_front()?;
        self.outcome_bytes -= outcome.row.as_ref().map_or(0, R::heap_size);
        match outcome.kind {
            OutcomeKind::Stored(_)
            | OutcomeKind::Unchanged
            | OutcomeKind::Deleted
            | OutcomeKind::Rejected(_) => self.watermark.record_done(outcome.index),
            OutcomeKind::Superseded { by } => self.watermark.record_superseded(outcome.index, by),
            OutcomeKind::Planned | OutcomeKind::Unknown(_) | OutcomeKind::NotSent(_) => {}
        }
        Some(outcome)
    }
}
