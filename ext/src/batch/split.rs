//! Sending one batch: whole at first, and in smaller parts when the server rejects it or keeps
//! failing on it, until each bad row was sent alone. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::item::{BatchItem, BatchKind};
use super::size_learner::{Size, SizeLearner};
use super::slot::Slot;
use crate::error::Error;

/// The rows of one call, as they are sent. The engine keeps the rows themselves, so that none is lost
/// if the call's task is, and no task needs their payloads.
#[derive(Debug)]
pub(crate) struct Batch<R: BatchItem> {
    pub kind: BatchKind,
    pub rows: Vec<R::Wire>,
}

impl<R: BatchItem> Batch<R> {
    fn new(slots: &[Slot<R>]) -> Self {
        let rows: Vec<_> = slots.iter().map(|slot| slot.row.wire.clone()).collect();
        Self {
            // The rows of a job have one kind, and a job has rows.
            kind: rows.first().map_or(BatchKind::Put, R::batch_kind),
            rows,
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = (i64, i64)> {
        self.rows.iter().map(R::key)
    }

    /// Returns the customers, each once.
    pub(crate) fn customers(&self) -> Vec<i64> {
        // The rows of a customer are adjacent.
        let mut customers: Vec<_> = self.keys().map(|(customer, _)| customer).collect();
        customers.dedup();
        customers
    }
}

/// The number of failures after which a batch is halved at each further failure.
const FAILURES_BEFORE_HALVING: u32 = 3;
/// The number of times that a row is sent alone before it is given up.
const ATTEMPTS_ALONE: u32 = 3;
/// How often rows are sent again that no response and no list confirms.
pub(super) const MAX_RESENDS: u32 = 2;

/// A batch and the parts it was split into. One part is in flight at a time.
///
/// If a rejected part is halved and its first half is accepted, the second half contains the bad
/// row. It is halved at once instead of being sent whole. Nothing is inferred from a failure that
/// does not reject the part.
#[derive(Debug)]
pub(crate) struct BatchJob<R: BatchItem> {
    kind: BatchKind,
    customers: Vec<i64>,
    /// The parts to send, the next one first.
    parts: Vec<Part<R>>,
    last_part_id: u32,
    in_flight: Option<SentPart<R>>,
    /// The rejections whose responses did not say that the part was too large.
    rejections: Vec<Rejection>,
    /// Whether a part was rejected as too large.
    was_too_large: bool,
    /// Whether a response blamed a row that was accepted afterwards.
    has_false_blame: bool,
    /// Whether the job was halved for probes.
    is_halved_for_probes: bool,
}

/// The rejection of a part whose response did not say that it was too large.
///
/// If all of its rows are accepted in smaller parts, its size was the reason.
#[derive(Debug)]
struct Rejection {
    size: Size,
    /// The rejection of the part that this one was split from.
    parent: Option<usize>,
    /// The number of slots that were not accepted yet.
    open_slots: usize,
    /// The sizes of the smaller parts that were accepted.
    accepted_sizes: Vec<Size>,
}

/// What has happened to the rows of a part so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Failures that count as attempts.
    pub attempts: u32,
    /// Attempts that consisted of a single row.
    pub attempts_alone: u32,
    /// Failures since the part has its present size, for the backoff.
    pub failures: u32,
    /// The number of the store's successes at the latest failure.
    pub previous_failure: Option<u64>,
    /// When the part, or the part that it was split from, was first sent.
    pub first_sent: Option<Instant>,
    /// The time that the store was known to be down before that.
    pub downtime_before: Duration,
    /// The number of the call that sends the part.
    pub call: Option<u64>,
    /// The requests made for the rows.
    pub requests: u32,
    /// How often the rows were sent again because nothing confirmed them.
    pub resends: u32,
    /// The error of the latest failure.
    pub last_error: Option<Error>,
}

impl History {
    /// Returns the time since the part was first sent.
    pub(crate) fn elapsed(&self, now: Instant) -> Duration {
        let elapsed = |sent| now.saturating_duration_since(sent);
        self.first_sent.map_or(Duration::ZERO, elapsed)
    }
}

#[derive(Debug)]
struct Part<R: BatchItem> {
    id: u32,
    slots: Vec<Slot<R>>,
    /// Whether the part contains a bad row, if the server rejects batches because of rows at all.
    has_bad_row: bool,
    /// The part that contains a bad row if this one is accepted.
    bad_if_accepted: Option<u32>,
    /// Whether a response blamed the part's only row.
    is_blamed: bool,
    /// The latest rejection of the rows, as an index of [`BatchJob::rejections`].
    rejection: Option<usize>,
    /// The part waits until then.
    not_before: Option<Instant>,
    /// How often the values of the rows, which were sent, are looked up before the rows are sent
    /// again. `None` for rows to send.
    lookups_left: Option<u32>,
    history: History,
}

impl<R: BatchItem> Part<R> {
    fn new(id: u32, slots: Vec<Slot<R>>) -> Self {
        Self {
            id,
            slots,
            has_bad_row: false,
            bad_if_accepted: None,
            is_blamed: false,
            rejection: None,
            not_before: None,
            lookups_left: None,
            history: History::default(),
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|time| time <= now)
    }
}

/// The part in flight.
#[derive(Debug)]
struct SentPart<R: BatchItem> {
    /// The part's position among the parts.
    index: usize,
    part: Part<R>,
}

/// A part that is no longer in flight.
#[derive(Debug)]
pub(crate) struct FinishedPart<R: BatchItem> {
    pub slots: Vec<Slot<R>>,
    index: usize,
    /// How often the values may be looked up again before the rows are sent again.
    pub lookups_left: u32,
    pub history: History,
}

/// What a job does next.
#[derive(Debug)]
pub(crate) enum JobStep<R: BatchItem> {
    /// Sends rows.
    Send(Batch<R>),
    /// Looks up the values of rows that were sent.
    Verify(Batch<R>),
}

/// What follows the rejection of a part.
#[derive(Debug)]
pub(crate) enum SplitResult<R: BatchItem> {
    /// The part was a single row, which is rejected after this many requests and this time.
    BadRow {
        slot: Box<Slot<R>>,
        requests: u32,
        elapsed: Duration,
    },
    /// The part, of this size, is sent again in smaller ones.
    Split(Size),
}

/// A failure after which the same rows may succeed.
#[derive(Clone, Debug)]
pub(crate) struct PartFailure {
    pub error: Error,
    /// Whether the failure counts as an attempt.
    pub is_attempt: bool,
    /// Whether the time that passes counts against the retry timeout. It does not while the store
    /// may be down.
    pub counts_time: bool,
    /// Whether the response said how long to wait, so that nothing has to show who is to blame.
    pub is_told_to_wait: bool,
    /// Whether a row of the part may be the reason.
    pub may_be_rows: bool,
    /// Whether the server may have executed the request.
    pub is_ambiguous: bool,
    /// The number of the store's successes.
    pub successes: u64,
}

/// The bounds of retries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryBounds {
    pub max_attempts: u32,
    pub retry_timeout: Duration,
}

/// What follows a failure that does not reject the part.
#[derive(Debug)]
pub(crate) enum FailedPart<R: BatchItem> {
    /// The part is sent again after this time.
    Retried(Duration),
    /// The part, of this size, is sent again in smaller ones.
    Halved(Size),
    /// The part is given up.
    GivenUp(Vec<Slot<R>>, Error),
}

impl<R: BatchItem> BatchJob<R> {
    /// Creates a job. All slots have this kind.
    pub(crate) fn new(kind: BatchKind, slots: Vec<Slot<R>>) -> Self {
        Self {
            kind,
            customers: by_customer(&slots)
                .filter_map(|slots| Some(slots.first()?.key().0))
                .collect(),
            parts: vec![Part::new(0, slots)],
            last_part_id: 0,
            in_flight: None,
            rejections: Vec::new(),
            was_too_large: false,
            has_false_blame: false,
            is_halved_for_probes: false,
        }
    }

    pub(crate) fn kind(&self) -> BatchKind {
        self.kind
    }

    /// Returns the customers of the whole batch.
    pub(crate) fn customers(&self) -> &[i64] {
        &self.customers
    }

    /// Returns the number of parts that wait.
    pub(crate) fn waiting_parts(&self) -> usize {
        self.parts.len()
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Returns `true` if a part can be sent now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.in_flight.is_none() && self.parts.iter().any(|part| part.is_due(now))
    }

    /// Returns when the next part can be sent, if all of them wait.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        if self.in_flight.is_some() {
            return None;
        }
        self.parts.iter().filter_map(|part| part.not_before).min()
    }

    /// Returns the number of the store's successes at the latest failure of the next due part, if
    /// it has failed.
    pub(crate) fn previous_failure(&self, now: Instant) -> Option<u64> {
        let part = self.parts.iter().find(|part| part.is_due(now))?;
        part.history.previous_failure
    }

    /// Returns the size of the part in flight.
    pub(crate) fn sent_size(&self) -> Option<Size> {
        self.in_flight.as_ref().map(|sent| size(&sent.part.slots))
    }

    /// Returns the history of the part in flight.
    pub(crate) fn history(&self) -> Option<&History> {
        self.in_flight.as_ref().map(|sent| &sent.part.history)
    }

    /// Returns the first part that is due, and marks it as in flight.
    pub(crate) fn next_step(
        &mut self,
        now: Instant,
        downtime: Duration,
        sizes: &SizeLearner,
    ) -> Option<JobStep<R>> {
        loop {
            let index = self.parts.iter().position(|part| part.is_due(now))?;
            let part = self.parts.get(index)?;
            let would_be_rejected = part.has_bad_row || !sizes.allows(size(&part.slots));
            if part.lookups_left.is_none() && would_be_rejected && part.slots.len() > 1 {
                let part = self.parts.remove(index);
                let has_bad_row = part.has_bad_row;
                self.halve(index, part, has_bad_row);
                continue;
            }
            return self.send_part(index, now, downtime);
        }
    }

    /// Returns the number of parts after [`halve_for_probes`](Self::halve_for_probes).
    pub(crate) fn parts_for_probes(&self) -> usize {
        match self.parts.as_slice() {
            [part] if self.can_be_halved(part) => 2,
            parts => parts.len(),
        }
    }

    fn can_be_halved(&self, part: &Part<R>) -> bool {
        !self.is_halved_for_probes
            && self.in_flight.is_none()
            && part.slots.len() > 1
            && part.lookups_left.is_none()
    }

    /// Halves a job of one part, once, so that its halves can be probes.
    pub(crate) fn halve_for_probes(&mut self) {
        if let [part] = self.parts.as_slice()
            && self.can_be_halved(part)
        {
            let part = self.parts.remove(0);
            self.halve(0, part, false);
        }
        self.is_halved_for_probes |= self.in_flight.is_none();
    }

    /// Returns a part, whether or not it is due, and marks it as in flight.
    pub(crate) fn send_part(
        &mut self,
        index: usize,
        now: Instant,
        downtime: Duration,
    ) -> Option<JobStep<R>> {
        if index >= self.parts.len() || self.in_flight.is_some() {
            return None;
        }
        let mut part = self.parts.remove(index);
        if part.history.first_sent.is_none() {
            part.history.first_sent = Some(now);
            part.history.downtime_before = downtime;
        }
        let batch = Batch::new(&part.slots);
        let step = match part.lookups_left {
            None => JobStep::Send(batch),
            Some(_) => JobStep::Verify(batch),
        };
        self.in_flight = Some(SentPart { index, part });
        Some(step)
    }

    /// Records the number of the call that sends the part in flight.
    pub(crate) fn record_call(&mut self, call: u64) {
        if let Some(sent) = &mut self.in_flight {
            sent.part.history.call = Some(call);
        }
    }

    /// Returns the latest error of a part that waits.
    pub(crate) fn last_error(&self) -> Option<&Error> {
        self.parts
            .iter()
            .find_map(|part| part.history.last_error.as_ref())
    }

    /// Counts the requests of the part in flight.
    pub(crate) fn count_requests(&mut self, requests: u32) {
        if let Some(sent) = &mut self.in_flight {
            sent.part.history.requests += requests;
        }
    }

    fn take_in_flight(&mut self) -> Option<(usize, Part<R>)> {
        let SentPart { index, part } = self.in_flight.take()?;
        Some((index, part))
    }

    /// Records that the part in flight was accepted, and returns its slots.
    pub(crate) fn accept(&mut self, sizes: &mut SizeLearner) -> Option<FinishedPart<R>> {
        let (index, part) = self.take_in_flight()?;
        let size = size(&part.slots);
        sizes.record_accepted(size, self.was_too_large);
        self.has_false_blame |= part.is_blamed;
        let bad = part.bad_if_accepted;
        if let Some(next) = self.parts.iter_mut().find(|next| Some(next.id) == bad) {
            next.has_bad_row = true;
        }
        self.explain_rejections(&part, size, sizes);
        Some(FinishedPart {
            slots: part.slots,
            index,
            lookups_left: 0,
            history: part.history,
        })
    }

    /// Records the sizes of the rejected parts whose rows are all accepted now.
    fn explain_rejections(&mut self, accepted: &Part<R>, size: Size, sizes: &mut SizeLearner) {
        let mut next = accepted.rejection;
        while let Some(rejection) = next.and_then(|index| self.rejections.get_mut(index)) {
            next = rejection.parent;
            rejection.open_slots = rejection.open_slots.saturating_sub(accepted.slots.len());
            rejection.accepted_sizes.push(size);
            // A size that was accepted before was not the reason.
            if rejection.open_slots > 0 || sizes.was_accepted(rejection.size) {
                continue;
            }
            if sizes.allows(rejection.size) {
                sizes.record_rejected(rejection.size);
                for &size in &rejection.accepted_sizes {
                    sizes.record_accepted(size, true);
                }
            }
            self.was_too_large = true;
            // What was inferred from the rejections of larger parts holds no longer.
            for part in &mut self.parts {
                part.has_bad_row = false;
                part.bad_if_accepted = None;
            }
        }
    }

    /// Looks up rows of an accepted part that its response does not confirm, at most `lookups`
    /// times, before they are sent again.
    pub(crate) fn verify(
        &mut self,
        accepted: FinishedPart<R>,
        lookups: u32,
        not_before: Option<Instant>,
    ) {
        self.last_part_id += 1;
        let part = Part {
            not_before,
            lookups_left: Some(lookups),
            history: History {
                call: None,
                ..accepted.history
            },
            ..Part::new(self.last_part_id, accepted.slots)
        };
        self.insert(accepted.index, part);
    }

    /// Returns the part whose values were looked up.
    pub(crate) fn take_verified(&mut self) -> Option<FinishedPart<R>> {
        let (index, part) = self.take_in_flight()?;
        Some(FinishedPart {
            slots: part.slots,
            index,
            lookups_left: part
                .lookups_left
                .map_or(0, |lookups| lookups.saturating_sub(1)),
            history: part.history,
        })
    }

    /// Sends rows again that no response and no list confirms. Returns the rows if they were sent
    /// again often enough.
    pub(crate) fn resend(
        &mut self,
        accepted: FinishedPart<R>,
        now: Instant,
        wait: Duration,
    ) -> Option<Vec<Slot<R>>> {
        if accepted.history.resends >= MAX_RESENDS {
            return Some(accepted.slots);
        }
        self.last_part_id += 1;
        let part = Part {
            not_before: now.checked_add(wait),
            history: History {
                resends: accepted.history.resends + 1,
                call: None,
                ..accepted.history
            },
            ..Part::new(self.last_part_id, accepted.slots)
        };
        self.insert(accepted.index, part);
        None
    }

    fn insert(&mut self, index: usize, part: Part<R>) {
        self.parts.insert(index.min(self.parts.len()), part);
    }

    /// Records a failure that does not reject the part in flight. `wait` returns how long to wait
    /// after so many failures.
    pub(crate) fn fail(
        &mut self,
        failure: PartFailure,
        now: Instant,
        downtime: Duration,
        bounds: RetryBounds,
        wait: impl FnOnce(u32) -> Duration,
    ) -> Option<FailedPart<R>> {
        let (index, mut part) = self.take_in_flight()?;
        let history = &mut part.history;
        let is_alone = part.slots.len() == 1;
        history.failures += 1;
        if failure.is_attempt {
            // The first failure did not count, as long as the store could have been the reason.
            let is_second = history.attempts == 0 && history.previous_failure.is_some();
            let attempts = 1 + u32::from(is_second);
            history.attempts += attempts;
            if is_alone {
                history.attempts_alone += attempts;
            }
        }
        if !failure.is_told_to_wait {
            history.previous_failure = Some(failure.successes);
        }
        history.last_error = Some(failure.error.clone());
        if failure.is_ambiguous {
            for slot in &mut part.slots {
                slot.row.may_be_executed = true;
            }
        }
        let may_halve = failure.may_be_rows
            && !is_alone
            && part.lookups_left.is_none()
            && bounds.max_attempts > FAILURES_BEFORE_HALVING;
        let is_exhausted = history.attempts >= bounds.max_attempts
            && !may_halve
            && (!is_alone
                || !failure.may_be_rows
                || history.attempts_alone >= ATTEMPTS_ALONE.min(bounds.max_attempts));
        let halves = may_halve && history.attempts >= FAILURES_BEFORE_HALVING;
        let wait = wait(if halves { 1 } else { history.failures });
        // The time of an outage counts against the caller's limit, not the call's.
        let in_outage = downtime.saturating_sub(history.downtime_before);
        let elapsed = history.elapsed(now).saturating_sub(in_outage);
        let exceeds_timeout =
            failure.counts_time && elapsed.saturating_add(wait) > bounds.retry_timeout;
        if is_exhausted || exceeds_timeout {
            let error = failure.error.with_attempts(history.requests, elapsed);
            return Some(FailedPart::GivenUp(part.slots, error));
        }
        part.not_before = now.checked_add(wait);
        if halves {
            let size = size(&part.slots);
            // The time of a part is counted anew.
            history.failures = 0;
            history.first_sent = None;
            self.halve(index, part, false);
            return Some(FailedPart::Halved(size));
        }
        self.insert(index, part);
        Some(FailedPart::Retried(wait))
    }

    /// Abandons the part in flight, and returns its slots and its history.
    pub(crate) fn abandon_in_flight(&mut self) -> Option<FinishedPart<R>> {
        let (index, part) = self.take_in_flight()?;
        Some(FinishedPart {
            slots: part.slots,
            index,
            lookups_left: 0,
            history: part.history,
        })
    }

    /// Abandons the parts that wait, and returns their slots and the error of each.
    pub(crate) fn abandon_waiting(&mut self) -> Vec<(Vec<Slot<R>>, Option<Error>)> {
        self.parts
            .drain(..)
            .map(|part| (part.slots, part.history.last_error))
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
        now: Instant,
    ) -> Option<SplitResult<R>> {
        let (index, mut part) = self.take_in_flight()?;
        let size = size(&part.slots);
        if part.slots.len() == 1 {
            return Some(SplitResult::BadRow {
                slot: Box::new(part.slots.pop()?),
                requests: part.history.requests,
                elapsed: part.history.elapsed(now),
            });
        }
        if is_too_large {
            self.was_too_large = true;
            sizes.record_rejected(size);
            self.halve(index, part, false);
            return Some(SplitResult::Split(size));
        }
        self.rejections.push(Rejection {
            size,
            parent: part.rejection,
            open_slots: part.slots.len(),
            accepted_sizes: Vec::new(),
        });
        part.rejection = Some(self.rejections.len() - 1);
        for slot in &mut part.slots {
            slot.row.may_be_executed = true;
        }
        let blamed: BTreeSet<_> = blamed.range(..part.slots.len()).copied().collect();
        if self.has_false_blame || blamed.is_empty() || blamed.len() == part.slots.len() {
            self.halve(index, part, true);
        } else {
            self.isolate(index, part, &blamed);
        }
        Some(SplitResult::Split(size))
    }

    /// Replaces a part by two halves: splits between customers, or between the values of a single
    /// customer.
    fn halve(&mut self, index: usize, mut part: Part<R>, has_bad_row: bool) {
        let slots_per_customer: Vec<_> = by_customer(&part.slots).map(<[_]>::len).collect();
        let middle = match slots_per_customer.len() {
            0 | 1 => part.slots.len().div_ceil(2),
            customers => slots_per_customer.iter().take(customers.div_ceil(2)).sum(),
        };
        let second = self.new_part(part.slots.split_off(middle), &part);
        let first = Part {
            bad_if_accepted: has_bad_row.then_some(second.id),
            ..self.new_part(std::mem::take(&mut part.slots), &part)
        };
        self.insert(index, second);
        self.insert(index, first);
    }

    /// Replaces a part by the rows that a response blamed, each in a part of its own, and the rest.
    fn isolate(&mut self, index: usize, mut part: Part<R>, blamed: &BTreeSet<usize>) {
        let slots = std::mem::take(&mut part.slots);
        let (blamed, rest): (Vec<_>, Vec<_>) = slots
            .into_iter()
            .enumerate()
            .partition(|(position, _)| blamed.contains(position));
        let rest = rest.into_iter().map(|(_, slot)| slot).collect();
        let rest = self.new_part(rest, &part);
        self.insert(index, rest);
        for (_, slot) in blamed {
            let alone = Part {
                is_blamed: true,
                ..self.new_part(vec![slot], &part)
            };
            self.insert(index, alone);
        }
    }

    /// Creates a part of another part's rows, with its history.
    fn new_part(&mut self, slots: Vec<Slot<R>>, of: &Part<R>) -> Part<R> {
        self.last_part_id += 1;
        Part {
            rejection: of.rejection,
            not_before: of.not_before,
            history: History {
                call: None,
                ..of.history.clone()
            },
            ..Part::new(self.last_part_id, slots)
        }
    }
}

/// Groups slots by customer. The slots of a customer are adjacent in every batch.
fn by_customer<R: BatchItem>(slots: &[Slot<R>]) -> impl Iterator<Item = &[Slot<R>]> {
    slots.chunk_by(|one, next| one.key().0 == next.key().0)
}

/// Returns the size of a call with these slots, in the dimensions that a server may limit: a delete
/// knows only the IDs of values.
fn size<R: BatchItem>(slots: &[Slot<R>]) -> Size {
    let customers = match slots.first().map(Slot::kind) {
        Some(BatchKind::Delete) => 1,
        _ => by_customer(slots).count(),
    };
    Size {
        customers,
        rows: slots.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::PendingRow;
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
                may_be_executed: false,
                was_refused: false,
            })
        };
        BatchJob::new(BatchKind::Put, (0..rows).map(slot).collect())
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
        let now = Instant::now();
        while let Some(JobStep::Send(batch)) = job.next_step(now, Duration::ZERO, &sizes) {
            // The value of each row is its index.
            let rows: Vec<u64> = batch
                .rows
                .iter()
                .filter_map(<UpsertRow as BatchItem>::value)
                .map(|value| value.parse().expect("a number"))
                .collect();
            if rows.iter().any(|row| bad_rows.contains(row)) {
                let blamed = blame(&rows).into_iter().collect();
                let result = job.reject(false, &blamed, &mut sizes, now);
                if let Some(SplitResult::BadRow { slot, .. }) = result {
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
