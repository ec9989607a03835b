//! The run of a mirror: list, send, look for changes, delete.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use chrono::{DateTime, Utc};
use futures_util::stream::{self, FusedStream, Stream, StreamExt};

use super::admission::SharedKnowledge;
use super::guards::{DeleteEvidence, Guards};
use super::listed::{ListedValue, Mark};
use super::reading::{Beginning, Reader};
use super::summary::{DeletedValue, MirrorOutcome, MirrorReport, MirrorSummary};
use crate::delete::Delete;
use crate::error::{Error, ErrorKind};
use crate::outcome::{Outcome, OutcomeKind, Summary};
use crate::row::IntoRow;
use crate::run::Outcomes;
use crate::upsert::Upsert;
use crate::value::{AttributeKey, UpsertRow};

type IdStream = stream::Iter<std::vec::IntoIter<i64>>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a mirror is to do.
pub(super) struct Plan {
    pub upsert: Upsert,
    pub attributes: Vec<AttributeKey>,
    pub reader: Reader,
    pub guards: Guards,
    pub customers_in_input: bool,
    /// Whether nothing is changed in the store.
    pub is_preview: bool,
    /// Why the plan can't be carried out.
    pub invalid: Option<Error>,
}

/// The outcomes of a mirror, in the order in which they become known; see
/// [`Mirror::stream`](crate::Mirror::stream).
///
/// Like [`Outcomes`], it advances only while it is polled.
///
/// Cancel safety: `next()` may be dropped and called again. Dropping the stream cancels the requests in
/// flight and loses the outcomes that were not read.
#[must_use = "streams do nothing unless polled"]
pub struct Mirroring<S, T: Send + 'static = ()> {
    reader: Reader,
    guards: Guards,
    customers_in_input: bool,
    is_preview: bool,
    phase: Phase<S, T>,
    knowledge: Option<SharedKnowledge<T>>,
    since: Option<DateTime<Utc>>,
    ready: VecDeque<MirrorOutcome<T>>,
    summary: MirrorSummary,
    /// The rows that the upserts know nothing of, per outcome.
    own_rows: Summary,
}

enum Phase<S, T: Send + 'static> {
    Beginning {
        beginning: BoxFuture<Result<Beginning<T>, Error>>,
        upsert: Box<Upsert>,
        rows: S,
    },
    Sending(Box<Outcomes<S, UpsertRow<T>>>),
    Checking(BoxFuture<Result<Checked, Error>>),
    Judging(Judging),
    Deleting(Box<Outcomes<IdStream, i64>>),
    Ended,
}

/// What the look at the changes has shown.
struct Checked {
    changed_by_others: u64,
    /// Whether the candidates were read again.
    is_verified: bool,
}

/// How far the candidates are judged: one by one, since each may have an outcome.
#[derive(Default)]
struct Judging {
    /// The position of the next candidate.
    position: usize,
    is_verified: bool,
    /// The values to delete.
    ids: Vec<i64>,
}

impl<S, T> Mirroring<S, T>
where
    S: Stream,
    S::Item: IntoRow<UpsertRow<T>>,
    T: Send + 'static,
{
    pub(super) fn new(plan: Plan, rows: S) -> Self {
        let Plan {
            upsert,
            attributes,
            reader,
            guards,
            customers_in_input,
            is_preview,
            invalid,
        } = plan;
        let beginning_reader = reader.clone();
        let beginning = async move {
            match invalid {
                Some(error) => Err(error),
                None => beginning_reader.begin(attributes).await,
            }
        };
        Self {
            reader,
            guards,
            customers_in_input,
            is_preview,
            phase: Phase::Beginning {
                beginning: Box::pin(beginning),
                upsert: Box::new(upsert),
                rows,
            },
            knowledge: None,
            since: None,
            ready: VecDeque::new(),
            summary: MirrorSummary::default(),
            own_rows: Summary::default(),
        }
    }

    /// Runs the mirror to its end, and keeps the outcomes that have an error: memory grows with their
    /// number.
    ///
    /// ```
    /// use bigcommerce_ext::{Store, UpsertRow};
    /// use futures::stream;
    /// # use bigcommerce_sandbox::Sandbox;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = Sandbox::builder().attribute(101, "Loyalty tier").start().await?;
    /// # sandbox.insert(2048, 101, "Silver");
    /// # sandbox.insert(4096, 101, "Gold");
    /// # sandbox.advance(std::time::Duration::from_secs(3600));
    /// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
    /// let rows = stream::iter([UpsertRow::new(2048, "Loyalty tier", "Gold")]);
    /// let report = store.mirror(["Loyalty tier"]).max_deletes(500).stream(rows).finish().await?;
    /// assert!(report.is_exact());
    /// assert_eq!((report.summary().rows.stored, report.summary().deletes.deleted), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the error that ended the mirror before it read a row: an attribute is not defined, or the
    /// values could not be listed. Any later error is in the report.
    pub async fn finish(mut self) -> Result<MirrorReport<T>, Error> {
        let mut failures = Vec::new();
        while let Some(outcome) = self.next().await {
            if outcome.error().is_some() {
                failures.push(outcome);
            }
        }
        let summary = self.summary();
        match summary.stopped_by() {
            Some(error) if summary.rows.rows() == 0 => Err(error.clone()),
            _ => Ok(MirrorReport { summary, failures }),
        }
    }

    fn start_sending(&mut self, beginning: Beginning<T>, mut upsert: Upsert, rows: S) {
        let Beginning {
            knowledge,
            definitions,
            since,
        } = beginning;
        {
            let known = knowledge.lock();
            self.summary.listed = known.listed.len() as u64;
            self.summary.doubt = known.doubt.clone();
        }
        upsert.set_definitions(definitions);
        let run = upsert.into_run(rows, Some(Box::new(knowledge.clone())));
        self.knowledge = Some(knowledge);
        self.since = since;
        self.phase = Phase::Sending(Box::new(run));
    }

    /// Decides on the deletes, once all rows have their outcomes.
    fn decide(&mut self) {
        self.phase = Phase::Ended;
        let Some(knowledge) = self.knowledge.clone() else {
            return;
        };
        let in_input = self.customers_in_input;
        let (candidates, decision) = {
            let known = knowledge.lock();
            let candidates = known.listed.candidates(in_input).count();
            self.summary.has_surplus = known.listed.has_surplus();
            let decision = self.guards.check(DeleteEvidence {
                values: known.listed.scope_len(in_input),
                candidates,
                rows: self.summary.rows.rows() + known.absent_row_count() as u64,
                stopped_by: self.summary.stopped_by.as_ref(),
                unresolved: known.unresolved.as_ref(),
                doubt: known.doubt.as_ref(),
            });
            (candidates, decision)
        };
        self.summary.not_in_input = candidates as u64;
        if candidates == 0 {
            return;
        }
        let held_back = decision.err();
        self.summary.held_back.clone_from(&held_back);
        // What the input lacks is not known if it was not read to its end.
        let is_planned = self.is_preview && self.summary.stopped_by.is_none();
        match held_back {
            Some(error) if !is_planned => self.hold_back(&error),
            _ if is_planned => {
                knowledge.lock().listed.retain_candidates(in_input);
                self.phase = Phase::Judging(Judging::default());
            }
            _ => {
                let (reader, since) = (self.reader.clone(), self.since);
                let checking = async move { check(&reader, &knowledge, since, in_input).await };
                self.phase = Phase::Checking(Box::pin(checking));
            }
        }
    }

    /// Deletes nothing.
    fn hold_back(&mut self, error: &Error) {
        self.summary.held_back = Some(error.clone());
        let Some(knowledge) = self.knowledge.clone() else {
            return;
        };
        let rows = knowledge.lock().take_absent_rows();
        for (index, row) in rows {
            self.settle_row(index, row, OutcomeKind::NotSent(error.clone()));
        }
    }

    /// Judges candidates until there is an outcome.
    fn judge(&mut self) {
        while self.ready.is_empty() {
            let (Phase::Judging(judging), Some(knowledge)) = (&mut self.phase, &self.knowledge)
            else {
                return;
            };
            let position = judging.position;
            judging.position += 1;
            let is_verified = judging.is_verified;
            let value = knowledge.lock().listed.values().get(position).copied();
            let Some(value) = value else {
                self.start_deleting();
                return;
            };
            let verdict = match self.is_preview {
                true => Some(OutcomeKind::Planned),
                false => self.verdict(&value, is_verified),
            };
            match (verdict, &mut self.phase) {
                (None, Phase::Judging(judging)) => judging.ids.push(value.value_id),
                (Some(kind), _) => {
                    self.summary.kept += u64::from(matches!(kind, OutcomeKind::NotSent(_)));
                    self.settle_value(position, kind);
                }
                (None, _) => {}
            }
        }
    }

    /// Deletes the candidates that are to be deleted.
    fn start_deleting(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        let (Phase::Judging(judging), Some(knowledge)) = (phase, &self.knowledge) else {
            return;
        };
        if judging.ids.is_empty() {
            return;
        }
        knowledge.lock().listed.sort_by_id();
        let mut delete = Delete::new(self.reader.client.clone());
        let settings = delete.settings_mut();
        settings.on_outage = Some(self.reader.on_outage);
        settings.observer = self.reader.observer.clone();
        settings.shared_stop = self.reader.stop.clone();
        let run = delete.stream(stream::iter(judging.ids));
        self.phase = Phase::Deleting(Box::new(run));
    }

    /// Returns the outcome of a candidate that is not deleted.
    fn verdict(&self, value: &ListedValue, is_verified: bool) -> Option<OutcomeKind> {
        if is_verified && value.has(Mark::Gone) {
            return Some(OutcomeKind::Unchanged);
        }
        if value.value_id < 1 {
            return Some(OutcomeKind::NotSent(Error::missing_id()));
        }
        let is_own = value.has(Mark::Stored);
        // A request of the run may still write it after the delete.
        let is_held = || self.reader.client.is_held(value.customer_id);
        let may_be_written = value.has(Mark::Sent) && (!is_own || is_held());
        let is_recent = self
            .since
            .is_some_and(|since| value.is_changed_since(since));
        let is_kept = value.has(Mark::Changed)
            || !value.is_dated()
            || may_be_written
            || (is_recent && !is_own)
            || (is_verified && !value.has(Mark::Verified));
        is_kept.then(|| OutcomeKind::NotSent(Error::value_changed()))
    }

    /// Records the outcome of a candidate, and of the row without a value that means it.
    fn settle_value(&mut self, position: usize, kind: OutcomeKind) {
        let Some(knowledge) = &self.knowledge else {
            return;
        };
        let mut known = knowledge.lock();
        let Some(value) = known.listed.values().get(position) else {
            return;
        };
        let deleted = DeletedValue {
            value_id: value.value_id,
            customer_id: value.customer_id,
            attribute_id: known.listed.attribute(value).id,
            kind: kind.clone(),
        };
        let key = (deleted.customer_id, deleted.attribute_id);
        let row = known.settle_absent_row(key, &kind);
        drop(known);
        self.summary.deletes.count(&kind);
        self.ready.push_back(MirrorOutcome::Delete(deleted));
        if let Some((index, row, kind)) = row {
            self.settle_row(index, row, kind);
        }
    }

    fn settle_row(&mut self, index: u64, row: UpsertRow<T>, kind: OutcomeKind) {
        self.own_rows.count(&kind);
        self.summary.rows.count(&kind);
        let row = Some(row);
        let outcome = Outcome { index, row, kind };
        self.ready.push_back(MirrorOutcome::Row(outcome));
    }

    /// Hands out the outcomes of rows without a value that a later row replaced.
    fn take_superseded(&mut self) {
        let Some(knowledge) = &self.knowledge else {
            return;
        };
        let superseded = std::mem::take(&mut knowledge.lock().superseded);
        for outcome in superseded {
            self.own_rows.count(&outcome.kind);
            self.ready.push_back(MirrorOutcome::Row(outcome));
        }
    }

    fn record_row(&mut self, outcome: &Outcome<UpsertRow<T>>) {
        let (Some(knowledge), Some(row)) = (&self.knowledge, &outcome.row) else {
            return;
        };
        let mut known = knowledge.lock();
        let key = row.customer_id().zip(row.attribute().id());
        match (&outcome.kind, key, row.value()) {
            (OutcomeKind::Stored(Some(record)), ..) => {
                let is_same = known.record_stored(row.value(), record);
                self.summary.altered += u64::from(!is_same);
            }
            (OutcomeKind::Stored(None), Some(key), Some(text)) => {
                known.record_written(key, text, None);
            }
            (OutcomeKind::Unknown(_), Some(key), text) => {
                known.record_unknown(key, text.unwrap_or_default());
            }
            _ => {}
        }
    }

    fn record_delete(&mut self, outcome: Outcome<i64>) {
        let Some(knowledge) = &self.knowledge else {
            return;
        };
        let position = outcome
            .row
            .and_then(|id| knowledge.lock().listed.position_of_id(id));
        if let Some(position) = position {
            self.settle_value(position, outcome.kind);
        }
    }

    fn stop(&mut self, error: Error) {
        self.summary.stopped_by.get_or_insert(error);
    }
}

/// Looks for changes of the candidates. Keeps only the candidates.
async fn check<T>(
    reader: &Reader,
    knowledge: &SharedKnowledge<T>,
    since: Option<DateTime<Utc>>,
    customers_in_input: bool,
) -> Result<Checked, Error> {
    let changes = match since {
        Some(since) => Some(reader.look_for_changes(knowledge, since).await?),
        None => None,
    };
    knowledge
        .lock()
        .listed
        .retain_candidates(customers_in_input);
    let is_verified = !changes.is_some_and(|changes| changes.are_all);
    if is_verified {
        reader.verify(knowledge).await?;
    }
    Ok(Checked {
        changed_by_others: changes.map_or(0, |changes| changes.of_others),
        is_verified,
    })
}

impl<S, T: Send + 'static> Mirroring<S, T> {
    /// Returns what was done so far.
    #[must_use]
    pub fn summary(&self) -> MirrorSummary {
        let mut summary = self.summary.clone();
        let reads = self.reader.requests.load(Ordering::Relaxed);
        summary.requests = reads + summary.rows.requests + summary.deletes.requests;
        summary.has_ended = self.has_ended();
        summary
    }

    pub(super) fn knowledge(&self) -> Option<&SharedKnowledge<T>> {
        self.knowledge.as_ref()
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// The input is pinned in a place of its own, and nothing else is ever pinned.
impl<S, T: Send + 'static> Unpin for Mirroring<S, T> {}

impl<S, T> Stream for Mirroring<S, T>
where
    S: Stream,
    S::Item: IntoRow<UpsertRow<T>>,
    T: Send + 'static,
{
    type Item = MirrorOutcome<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(outcome) = this.ready.pop_front() {
                return Poll::Ready(Some(outcome));
            }
            match &mut this.phase {
                Phase::Beginning { beginning, .. } => {
                    let result = ready!(beginning.as_mut().poll(cx));
                    let phase = std::mem::replace(&mut this.phase, Phase::Ended);
                    match (result, phase) {
                        (Ok(beginning), Phase::Beginning { upsert, rows, .. }) => {
                            this.start_sending(beginning, *upsert, rows);
                        }
                        (Err(error), _) => this.stop(error),
                        (Ok(_), _) => {}
                    }
                }
                Phase::Sending(run) => {
                    let outcome = ready!(run.poll_next_unpin(cx));
                    this.summary.rows = run.summary();
                    let stopped_by = run.stopped_by().cloned();
                    this.take_superseded();
                    this.summary.rows.add(&this.own_rows);
                    match outcome {
                        Some(outcome) => {
                            this.record_row(&outcome);
                            return Poll::Ready(Some(MirrorOutcome::Row(outcome)));
                        }
                        None => {
                            if let Some(error) = stopped_by {
                                this.stop(error);
                            }
                            this.decide();
                        }
                    }
                }
                Phase::Checking(checking) => {
                    let result = ready!(checking.as_mut().poll(cx));
                    this.phase = Phase::Ended;
                    match result {
                        Ok(checked) => {
                            this.summary.changed_by_others = checked.changed_by_others;
                            this.phase = Phase::Judging(Judging {
                                is_verified: checked.is_verified,
                                ..Judging::default()
                            });
                        }
                        Err(error) => {
                            this.hold_back(&Error::mirror_not_checked(&error));
                            if error.kind() == ErrorKind::Stopped || error.ends_run() {
                                this.stop(error);
                            }
                        }
                    }
                }
                Phase::Judging(_) => {
                    this.judge();
                }
                Phase::Deleting(run) => {
                    let outcome = ready!(run.poll_next_unpin(cx));
                    this.summary.deletes.requests = run.summary().requests;
                    match outcome {
                        Some(outcome) => this.record_delete(outcome),
                        None => {
                            let stopped_by = run.stopped_by().cloned();
                            this.phase = Phase::Ended;
                            if let Some(error) = stopped_by {
                                this.stop(error);
                            }
                        }
                    }
                }
                Phase::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl<S, T: Send + 'static> FusedStream for Mirroring<S, T>
where
    Self: Stream,
{
    fn is_terminated(&self) -> bool {
        self.has_ended()
    }
}

impl<S, T: Send + 'static> Mirroring<S, T> {
    fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended) && self.ready.is_empty()
    }
}

impl<S, T: Send + 'static> fmt::Debug for Mirroring<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirroring")
            .field("client", &self.reader.client)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}
