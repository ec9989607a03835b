//! The driver of an upsert or a delete: connects the input, the engine and the calls. Everything
//! that waits, sends or reads a clock is here, not in the engine.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bigcommerce_sdk::types;
use futures_util::stream::{FusedStream, Stream};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tracing::{Instrument, Span};

use crate::attributes::{self, Definitions};
use crate::batch::{
    Batch, BatchEvent, BatchKind, Conditions, Engine, EngineCall, EngineConfig, Size, StagedRows,
    is_missing,
};
use crate::client::url_budget::room_for_ids;
use crate::client::{
    AttemptInfo, Availability, AvailabilityWatch, CallFailure, CallOutcome, CallSet, Client,
    LIST_CUSTOMERS, LIST_VALUES, Lease, OnOutage, Operation, ProbeGuard, RequestOutcome,
    RunContext, StopFuture, TARGET, Ticket, current_runtime, request,
};
use crate::customers::{self, AccountChoice, FoundAccounts, Listing, Lookup};
use crate::error::{Error, ErrorKind, Violation};
use crate::event::{Event, Observer, WaitReason};
use crate::list::{self, ExternalIds, ReadValues};
use crate::outcome::{Outcome, OutcomeKind, Summary};
use crate::row::{IntoRow, Row, sealed::Convert as _, sealed::operation};
use crate::staging::{ResolveOptions, StagedOutcome, Staging, StagingCall};
use crate::value::UpsertRow;

/// The default number of rows that are buffered.
pub(crate) const DEFAULT_WINDOW_ROWS: usize = 10_000;
/// The default time that the input may be idle before buffered rows are sent.
pub(crate) const DEFAULT_LINGER: Duration = Duration::from_millis(100);
/// The default time that a row is buffered at most.
pub(crate) const DEFAULT_MAX_WAIT: Duration = Duration::from_millis(500);
/// The default number of rejected or unconfirmed rows after which a run stops if no row was accepted.
pub(crate) const DEFAULT_STOP_AFTER_REJECTED: u64 = 100;
/// The number of outcomes in a row after which the stream lets other tasks run.
const OUTCOMES_PER_TURN: u32 = 128;

/// Decides on rows before they are buffered, in the order of the input: for a mirror.
pub(crate) trait Admission<R>: Send {
    /// Decides on the row with this index, whose customer and attribute are known.
    fn admit(&mut self, index: u64, row: R) -> Admitted<R>;

    /// Records a row that is invalid. `accounts` are the customers that it may mean, if there are
    /// several.
    fn record_invalid(&mut self, index: u64, row: &R, accounts: &[i64], violation: &Violation);

    /// Records a row that could not be read, or whose customer could not be looked up.
    fn record_unresolved(&mut self, index: u64, error: &Error);
}

/// What becomes of a row.
pub(crate) enum Admitted<R> {
    /// It is buffered and sent.
    Send(R),
    /// It has its outcome.
    Settled(R, OutcomeKind),
    Rejected(R, Violation),
    /// It gets its outcome elsewhere.
    Taken,
}

/// The settings of a run.
pub(crate) struct RunOptions<R> {
    pub engine: EngineConfig,
    /// Whether values are validated against their attributes' types; `None` to validate only values
    /// of attributes given by name.
    pub checks_types: Option<bool>,
    /// Whether nothing is changed in the store.
    pub is_dry_run: bool,
    /// Whether an error of the input stops the run.
    pub stops_on_input_error: bool,
    pub linger: Duration,
    pub on_outage: OnOutage,
    pub stop: Option<StopFuture>,
    pub observer: Observer,
    /// How customers are found that are not given by their IDs.
    pub resolve: ResolveOptions,
    /// Rows that precede those of the input.
    pub initial_rows: Vec<R>,
    pub admission: Option<Box<dyn Admission<R>>>,
}

/// The result of a request that staged rows wait for.
enum StagingResult {
    Attributes(Definitions),
    /// `None` if a listing is not worthwhile.
    Listing(Option<Listing>),
    ExternalIds(ExternalIds),
    Addresses(FoundAccounts),
}

/// What a request of staged rows asks for.
enum StagingKey {
    Attributes,
    Listing,
    ExternalIds,
    Addresses(Lookup),
}

impl StagingKey {
    fn operation(&self) -> &'static str {
        match self {
            Self::Attributes => Operation::list_attributes().name,
            Self::Listing | Self::Addresses(_) => LIST_CUSTOMERS,
            Self::ExternalIds => LIST_VALUES,
        }
    }
}

/// How long the store was down during a run.
#[derive(Debug, Default)]
struct Downtime {
    /// The time of the outages that are over.
    past: Duration,
    down_since: Option<Instant>,
}

impl Downtime {
    fn total(&self, now: Instant) -> Duration {
        let current = self
            .down_since
            .map(|since| now.saturating_duration_since(since));
        self.past + current.unwrap_or_default()
    }

    /// Records whether the store is down, and since when.
    fn record(&mut self, now: Instant, down_since: Option<Instant>) {
        if self.down_since.is_some() != down_since.is_some() {
            self.past = self.total(now);
            self.down_since = down_since;
        }
    }
}

/// The outcomes of an upsert or a delete, in the order in which they become known.
///
/// The run advances only while this stream is polled: a slow reader slows the run down, but does
/// not make it fail. Requests in flight advance by themselves, each in a task of its own.
///
/// Cancel safety: `next()` may be dropped and called again. Dropping the stream cancels the requests
/// in flight and loses the outcomes that were not read.
#[must_use = "streams do nothing unless polled"]
pub struct Outcomes<S, R: Row = UpsertRow> {
    client: Client,
    run: Arc<RunContext>,
    linger: Duration,
    stop: Option<StopFuture>,
    is_dry_run: bool,
    stops_on_input_error: bool,
    staging: Staging<R>,
    choice: AccountChoice,
    initial_rows: std::vec::IntoIter<R>,
    admission: Option<Box<dyn Admission<R>>>,
    /// `None` after its end, and after the run was stopped.
    input: Option<Pin<Box<S>>>,
    idle_timer: Option<Pin<Box<Sleep>>>,
    /// The runtime on which the run was first polled.
    runtime: Option<Handle>,
    started: Option<Instant>,
    downtime: Downtime,
    availability: AvailabilityWatch,
    /// Fires when a call is due.
    timer: Option<Pin<Box<Sleep>>>,
    /// The place in the queue for the next batch.
    ticket: Option<QueuedTicket>,
    engine: Engine<R>,
    /// The requests that send batches, by job and kind.
    send_calls: CallSet<(u64, BatchKind), RequestOutcome<R::Response>>,
    verify_calls: CallSet<u64, CallOutcome<ReadValues>>,
    check_calls: CallSet<(), RequestOutcome<types::AttributeValuePage>>,
    read_calls: CallSet<u64, CallOutcome<ReadValues>>,
    staging_calls: CallSet<StagingKey, CallOutcome<StagingResult>>,
    calls_started: u64,
    /// The number of rows with outcomes that the observer knows of.
    rows_reported: u64,
    outcomes_in_turn: u32,
    flush: Option<FlushFuture>,
    /// Whether the stream has ended.
    has_ended: bool,
}

/// Completes when other processes can know what this one has released.
type FlushFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A ticket, and since when it waits.
struct QueuedTicket {
    ticket: Ticket,
    since: Instant,
    /// Whether the observer knows that the ticket waits for quota.
    is_reported: bool,
}

impl<S, R: Row> Outcomes<S, R> {
    pub(crate) fn new(client: Client, options: RunOptions<R>, input: S) -> Self {
        let max_wait = options.engine.max_wait;
        let room = room_for_ids(client.base_url());
        Self {
            choice: options.resolve.choice,
            staging: Staging::new(options.resolve, options.checks_types, room, max_wait),
            engine: Engine::new(
                options.engine,
                client.normalization().clone(),
                Instant::now(),
            ),
            run: Arc::new(
                RunContext::new(&client, options.observer).with_on_outage(options.on_outage),
            ),
            availability: client.watch_availability(),
            client,
            linger: options.linger,
            stop: options.stop,
            is_dry_run: options.is_dry_run,
            stops_on_input_error: options.stops_on_input_error,
            initial_rows: options.initial_rows.into_iter(),
            admission: options.admission,
            input: Some(Box::pin(input)),
            idle_timer: None,
            runtime: None,
            started: None,
            downtime: Downtime::default(),
            timer: None,
            ticket: None,
            send_calls: CallSet::default(),
            verify_calls: CallSet::default(),
            check_calls: CallSet::default(),
            read_calls: CallSet::default(),
            staging_calls: CallSet::default(),
            calls_started: 0,
            rows_reported: 0,
            outcomes_in_turn: 0,
            flush: None,
            has_ended: false,
        }
    }

    /// Returns the number of rows per outcome and the number of requests, so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.engine.summary()
    }

    /// Returns the error that ended the run early, if one did.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&Error> {
        self.engine.stopped_by()
    }

    /// Returns the index below which no row needs sending again: the safe commit point of a queue.
    ///
    /// The outcome of every row below it was yielded. Each of these rows is stored, unchanged,
    /// deleted, rejected, or an error of the input, or was superseded by such a row, or the caller
    /// has [`handled`](Self::handled) it. That holds after a stop and after a failure, too.
    ///
    /// A row that is [`Unknown`](crate::OutcomeKind::Unknown) or
    /// [`NotSent`](crate::OutcomeKind::NotSent) holds the index back. Put such a row elsewhere,
    /// for example into a table of rows to send again, and call `handled`.
    #[must_use]
    pub fn done_up_to(&self) -> u64 {
        self.engine.done_up_to()
    }

    /// Records that the caller took care of the row with this index, whatever its outcome, so that
    /// it doesn't hold back [`done_up_to`](Self::done_up_to).
    pub fn handled(&mut self, index: u64) {
        self.engine.record_handled(index);
    }

    /// Returns `true` if the row with this index is [`Unknown`](crate::OutcomeKind::Unknown) or
    /// [`NotSent`](crate::OutcomeKind::NotSent), and sending it again now is safe: no later row for the
    /// same customer and attribute was stored, deleted or unchanged so far. If the row's customer was not
    /// found, a later row for the attribute with a key of another kind counts as one for the same customer.
    ///
    /// The run remembers each of these rows, in about 100 bytes, until it is [`handled`](Self::handled) or
    /// a later row takes its place. Afterwards, and for a row with another outcome, it returns `false`.
    /// The answer holds until the next outcome is read.
    #[must_use]
    pub fn may_resend(&self, index: u64) -> bool {
        self.engine.may_resend(index)
    }

    /// Stops the run with an error before anything is sent.
    pub(crate) fn stop(&mut self, error: Error) {
        self.engine.stop(error);
    }

    /// Runs a decision of the engine with the present time and state of the store.
    fn decide<T>(&mut self, decide: impl FnOnce(&mut Engine<R>, Conditions<'_>) -> T) -> T {
        let client = self.client.clone();
        let is_held = |customer| R::HAS_CUSTOMERS && client.is_held(customer);
        let is_taken = |customer| R::HAS_CUSTOMERS && client.is_taken(customer);
        self.decide_with(&is_held, &is_taken, &|_| true, decide)
    }

    /// Runs a decision of the engine on a call for which there is a lease.
    fn decide_on_call<T>(
        &mut self,
        lease: &Lease,
        decide: impl FnOnce(&mut Engine<R>, Conditions<'_>) -> T,
    ) -> T {
        if !R::HAS_CUSTOMERS {
            return self.decide(decide);
        }
        let client = self.client.clone();
        let is_claimed = |customer| lease.has_customer(customer);
        let is_held = |customer| match is_claimed(customer) {
            true => client.is_abandoned(customer),
            false => client.is_held(customer),
        };
        let is_taken = |customer| !is_claimed(customer) && client.is_taken(customer);
        self.decide_with(&is_held, &is_taken, &is_claimed, decide)
    }

    fn decide_with<T>(
        &mut self,
        is_held: &dyn Fn(i64) -> bool,
        is_taken: &dyn Fn(i64) -> bool,
        is_claimed: &dyn Fn(i64) -> bool,
        decide: impl FnOnce(&mut Engine<R>, Conditions<'_>) -> T,
    ) -> T {
        let now = Instant::now();
        let conditions = Conditions {
            now,
            downtime: self.downtime.total(now),
            successes: self.client.successes(),
            is_held,
            is_taken,
            is_claimed,
        };
        decide(&mut self.engine, conditions)
    }

    /// Stops the run if the stop future has completed, and ends the input of a stopped run.
    fn poll_stop(&mut self, cx: &mut Context<'_>) {
        // A finished run can't be stopped any more.
        if self.engine.stopped_by().is_none()
            && !self.is_done()
            && let Some(stop) = &mut self.stop
            && let Poll::Ready(error) = stop.as_mut().poll(cx)
        {
            self.stop = None;
            self.engine.stop(error);
        }
        if let Some(error) = self.engine.stopped_by().cloned() {
            self.input = None;
            self.ticket = None;
            let rows = self.staging.drain();
            for item in rows.chain(self.initial_rows.by_ref().map(Ok)) {
                match item {
                    Ok(row) => self.engine.push_unsent(row, &error),
                    Err(error) => self.engine.push(Err(error), Instant::now()),
                }
            }
            self.update_staged();
            self.run.stopping.send_replace(true);
        }
    }

    fn is_done(&self) -> bool {
        let lookups = self.read_calls.len() + self.check_calls.len() + self.staging_calls.len();
        self.engine.is_done() && lookups == 0
    }

    /// Tells the engine how many rows are staged.
    fn update_staged(&mut self) {
        let staged = StagedRows {
            count: self.staging.len(),
            are_last: self.staging.has_ended(),
        };
        self.engine.set_staged(staged);
    }

    /// Records the calls that have finished.
    fn poll_calls(&mut self, cx: &mut Context<'_>) {
        while let Some(((job, kind), call, outcome)) = self.send_calls.poll_finished(cx) {
            let operation = operation(kind).name;
            let jitter = fastrand::f64();
            let event = self
                .decide(|engine, conditions| engine.finish_send(job, outcome, conditions, jitter));
            if let Some(event) = event {
                self.run.notify(to_event(call, operation, event));
            }
            if !matches!(event, Some(BatchEvent::Retry { .. })) {
                self.run.notify(Event::CallFinished { call, operation });
            }
        }
        while let Some((job, call, outcome)) = self.verify_calls.poll_finished(cx) {
            let jitter = fastrand::f64();
            self.engine.count_requests(outcome.requests);
            self.decide(|engine, conditions| {
                engine.finish_verify(job, outcome.result, conditions, jitter);
            });
            self.run.notify(Event::CallFinished {
                call,
                operation: LIST_VALUES,
            });
        }
        while let Some(((), call, outcome)) = self.check_calls.poll_finished(cx) {
            self.engine.count_requests(outcome.requests);
            self.engine.finish_check();
            self.run.notify(Event::CallFinished {
                call,
                operation: LIST_VALUES,
            });
        }
        while let Some((read, call, outcome)) = self.read_calls.poll_finished(cx) {
            self.engine.count_requests(outcome.requests);
            self.engine
                .finish_read(read, outcome.result, Instant::now());
            self.run.notify(Event::CallFinished {
                call,
                operation: LIST_VALUES,
            });
        }
        while let Some((key, call, outcome)) = self.staging_calls.poll_finished(cx) {
            self.engine.count_requests(outcome.requests);
            self.run.notify(Event::CallFinished {
                call,
                operation: key.operation(),
            });
            self.finish_staging_call(key, outcome.result);
        }
    }

    fn finish_staging_call(&mut self, key: StagingKey, result: Result<StagingResult, CallFailure>) {
        let now = Instant::now();
        // Without quota or limits, no other lookup would be sent either.
        let stops_all = result.as_ref().err().is_some_and(|failure| {
            let is_limited = match failure.error.kind() {
                ErrorKind::RateLimited => failure.never_sent,
                ErrorKind::LimiterUnreachable => true,
                _ => false,
            };
            let ends_run = match &key {
                StagingKey::Addresses(lookup) => customers::ends_run(lookup, &failure.error),
                StagingKey::Attributes => true,
                StagingKey::Listing | StagingKey::ExternalIds => failure.error.ends_run(),
            };
            ends_run || is_limited
        });
        let result = result.map_err(|failure| failure.error);
        if let Err(error) = &result
            && stops_all
        {
            self.engine.stop(error.clone());
        }
        match (key, result) {
            (_, Ok(StagingResult::Attributes(definitions))) => {
                self.staging.record_attributes(definitions);
            }
            (_, Ok(StagingResult::Listing(listing))) => self.staging.record_listing(listing, now),
            (_, Ok(StagingResult::ExternalIds(ids))) => self.staging.record_external_ids(Ok(ids)),
            (StagingKey::Addresses(lookup), Ok(StagingResult::Addresses(found))) => {
                self.staging
                    .address_book()
                    .record_answer(lookup, found, now);
            }
            (StagingKey::Addresses(lookup), Err(error)) => {
                let book = self.staging.address_book();
                book.record_failure(lookup, &error, now);
            }
            // The addresses are looked up instead.
            (StagingKey::Listing, Err(_)) => self.staging.record_listing(None, now),
            (StagingKey::ExternalIds, Err(error)) => self.staging.record_external_ids(Err(error)),
            (StagingKey::Attributes, Err(_)) | (_, Ok(StagingResult::Addresses(_))) => {}
        }
    }

    /// Notifies the observer if more rows have outcomes than it knows of.
    fn report_progress(&mut self) {
        let summary = self.engine.summary();
        if summary.rows() > self.rows_reported {
            self.rows_reported = summary.rows();
            self.run.notify(Event::Progress { summary });
        }
    }

    fn end(&mut self) {
        self.has_ended = true;
        let summary = self.engine.summary();
        self.run.log.record_end(&summary, self.engine.stopped_by());
    }

    /// Waits until other processes can know what the run has released: the program may end now.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let client = &self.client;
        let flush = self.flush.get_or_insert_with(|| {
            let client = client.clone();
            Box::pin(async move { client.flush().await })
        });
        ready!(flush.as_mut().poll(cx));
        self.flush = None;
        Poll::Ready(())
    }

    /// Wakes the task at a time.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) {
        let Some(at) = at else {
            self.timer = None;
            return;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        if timer.as_mut().poll(cx).is_ready() {
            self.timer = None;
            cx.waker().wake_by_ref();
        }
    }

    /// Starts the calls that are due, up to the limit of calls in flight. Returns `true` if there
    /// were any.
    fn start_calls(&mut self, cx: &mut Context<'_>, runtime: &Handle) -> bool {
        let mut started = false;
        while self.calls_in_flight() < self.client.limits().max_in_flight
            && self.engine.stopped_by().is_none()
        {
            let has_started = match self.observe_availability() {
                None if self.start_staging_call(runtime) => true,
                None if self.decide(|engine, conditions| engine.prefers_read(conditions)) => {
                    self.start_read(runtime)
                }
                None => self.start_batch(cx, runtime) || self.start_read(runtime),
                Some(outage) => self.start_probe(cx, runtime, outage),
            };
            if !has_started {
                break;
            }
            started = true;
        }
        started
    }

    /// Returns the outage, if the store is down.
    fn observe_availability(&mut self) -> Option<OngoingOutage> {
        let now = Instant::now();
        self.run.report_availability(&self.client);
        let (since, probe_at) = match self.client.availability() {
            Availability::Up => {
                self.downtime.record(now, None);
                return None;
            }
            Availability::Down { since, probe_at } => (since, probe_at),
        };
        // An outage that began before the run counts from its start.
        let since = since.max(self.started.unwrap_or(since));
        self.downtime.record(now, Some(since));
        Some(OngoingOutage { since, probe_at })
    }

    /// Sends the next batch, if one is due and there is a lease for it.
    fn start_batch(&mut self, cx: &mut Context<'_>, runtime: &Handle) -> bool {
        if !self.decide(|engine, conditions| engine.has_call(conditions)) {
            self.ticket = None;
            return false;
        }
        if self.is_dry_run {
            return self.plan_batch();
        }
        let Poll::Ready(lease) = self.poll_lease(cx, Engine::proposed_customers) else {
            return false;
        };
        let call = self.decide_on_call(&lease, Engine::next_call);
        self.start_or_ask_again(cx, call, lease, None, runtime)
    }

    /// Settles the next batch as planned.
    fn plan_batch(&mut self) -> bool {
        let call = self.decide(|engine, conditions| engine.next_call(conditions));
        let Some(EngineCall::Send { job, batch, .. }) = call else {
            return false;
        };
        self.announce(job, &batch, None);
        // The engine needs the rows back.
        drop(batch);
        self.engine.finish_dry_run(job);
        true
    }

    /// Stops the run if the outage has lasted too long, or else probes the store when a probe is
    /// due.
    fn start_probe(
        &mut self,
        cx: &mut Context<'_>,
        runtime: &Handle,
        outage: OngoingOutage,
    ) -> bool {
        let lasted = outage.since.elapsed();
        if lasted >= self.run.on_outage.max_wait() {
            self.engine
                .stop(Error::outage(lasted, self.engine.last_error()));
            return false;
        }
        if self.is_dry_run || !self.decide(|engine, conditions| engine.has_probe(conditions)) {
            self.ticket = None;
            // A lookup waits for the end of the outage by itself, or probes the store.
            return self.read_calls.len() + self.staging_calls.len() == 0
                && (self.start_staging_call(runtime) || self.start_read(runtime));
        }
        if outage.probe_at > Instant::now() {
            return false;
        }
        let Poll::Ready(lease) = self.poll_lease(cx, Engine::proposed_probe_customers) else {
            return false;
        };
        let Some(probe) = self.client.try_probe() else {
            return false;
        };
        let call = self.decide_on_call(&lease, Engine::next_probe);
        self.start_or_ask_again(cx, call, lease, Some(probe), runtime)
    }

    /// Returns a lease for the next batch, with the customers that it may have of those that `propose`
    /// returns. Stops the run if the quota is spent for longer than a call may be retried, or if the
    /// shared limits can't be reached.
    fn poll_lease(
        &mut self,
        cx: &mut Context<'_>,
        propose: impl Fn(&Engine<R>, Conditions<'_>) -> Vec<i64>,
    ) -> Poll<Lease> {
        let client = &self.client;
        let engine = &self.engine;
        let now = Instant::now();
        let conditions = Conditions {
            now,
            downtime: self.downtime.total(now),
            successes: client.successes(),
            is_held: &|customer| client.is_held(customer),
            is_taken: &|customer| client.is_taken(customer),
            is_claimed: &|_| true,
        };
        let propose = || match R::HAS_CUSTOMERS {
            true => propose(engine, conditions),
            false => Vec::new(),
        };
        let queued = self.ticket.get_or_insert_with(|| QueuedTicket {
            ticket: client.ticket(),
            since: now,
            is_reported: false,
        });
        match queued.ticket.poll_lease(cx, propose) {
            Poll::Ready(Ok(lease)) => {
                self.ticket = None;
                return Poll::Ready(lease);
            }
            Poll::Ready(Err(error)) => {
                self.ticket = None;
                self.engine.stop(error);
                return Poll::Pending;
            }
            Poll::Pending => {}
        }
        if let Some(wait) = queued.ticket.throttled_for() {
            let kind = engine.next_kind(conditions);
            let waited = queued.since.elapsed();
            // A store that is down for maintenance may ask for a wait that only an outage allows.
            let max_wait = self.run.on_outage.max_wait();
            let max_wait = self.client.retry().retry_timeout.max(max_wait);
            if waited.saturating_add(wait) > max_wait {
                self.engine
                    .stop(Error::quota_exhausted(&operation(kind).label, wait));
            } else if !queued.is_reported {
                queued.is_reported = true;
                let call = self.calls_started;
                self.run.notify(Event::Waiting {
                    call,
                    operation: operation(kind).name,
                    reason: WaitReason::Quota,
                    wait,
                });
            }
        }
        Poll::Pending
    }

    fn calls_in_flight(&self) -> usize {
        self.send_calls.len()
            + self.verify_calls.len()
            + self.check_calls.len()
            + self.read_calls.len()
            + self.staging_calls.len()
    }

    fn call_span(&self, operation: &'static str, call: u64) -> Span {
        let store = self.client.label();
        tracing::debug_span!(target: TARGET, "call", store = &*store, operation, call)
    }

    fn allocate_call_number(&mut self) -> u64 {
        let number = self.calls_started;
        self.calls_started += 1;
        number
    }

    /// Starts a request that staged rows wait for, if one is due.
    fn start_staging_call(&mut self, runtime: &Handle) -> bool {
        let is_stuck = self.engine.lacks_staged_rows();
        let Some(call) = self.staging.next_call(Instant::now(), is_stuck) else {
            return false;
        };
        let number = self.allocate_call_number();
        let (client, run) = (self.client.clone(), Arc::clone(&self.run));
        let choice = self.choice;
        let key = match &call {
            StagingCall::Attributes => StagingKey::Attributes,
            StagingCall::Listing(_) => StagingKey::Listing,
            StagingCall::ExternalIds(_) => StagingKey::ExternalIds,
            StagingCall::Addresses(lookup) => StagingKey::Addresses(lookup.clone()),
        };
        let span = self.call_span(key.operation(), number);
        let task = async move {
            match call {
                StagingCall::Attributes => {
                    let outcome = attributes::fetch(&client, &run, number).await;
                    outcome.map(StagingResult::Attributes)
                }
                StagingCall::Listing(scope) => {
                    let outcome = customers::list_all(&client, &run, number, choice, scope).await;
                    outcome.map(StagingResult::Listing)
                }
                StagingCall::ExternalIds(attribute) => {
                    let outcome = list::list_external_ids(&client, &run, number, attribute).await;
                    outcome.map(StagingResult::ExternalIds)
                }
                StagingCall::Addresses(lookup) => {
                    let outcome = customers::look_up(&client, &run, number, &lookup).await;
                    outcome.map(StagingResult::Addresses)
                }
            }
        };
        self.staging_calls
            .spawn(runtime, key, number, task.instrument(span));
        true
    }

    /// Reads values ahead of the batches, if a read is due.
    fn start_read(&mut self, runtime: &Handle) -> bool {
        let max_values = usize::try_from(self.client.max_page_size()).unwrap_or(usize::MAX);
        let max_url_len = room_for_ids(self.client.base_url());
        let read =
            self.decide(|engine, conditions| engine.next_read(conditions, max_values, max_url_len));
        let Some((id, request)) = read else {
            return false;
        };
        let number = self.allocate_call_number();
        let (client, run) = (self.client.clone(), Arc::clone(&self.run));
        let task = async move { list::read(&client, &run, number, request).await };
        let span = self.call_span(LIST_VALUES, number);
        self.read_calls
            .spawn(runtime, id, number, task.instrument(span));
        true
    }

    /// Starts a call of the engine. If there is none for the customers of the lease, the next poll asks
    /// for a lease with others.
    fn start_or_ask_again(
        &mut self,
        cx: &Context<'_>,
        call: Option<EngineCall<R>>,
        lease: Lease,
        probe: Option<ProbeGuard>,
        runtime: &Handle,
    ) -> bool {
        let Some(call) = call else {
            cx.waker().wake_by_ref();
            return false;
        };
        self.start(call, lease, probe, runtime)
    }

    /// Starts a call of the engine.
    fn start(
        &mut self,
        call: EngineCall<R>,
        mut lease: Lease,
        probe: Option<ProbeGuard>,
        runtime: &Handle,
    ) -> bool {
        let (client, run) = (self.client.clone(), Arc::clone(&self.run));
        match call {
            EngineCall::Send {
                job,
                batch,
                call,
                earlier_requests,
                previous_failure,
            } => {
                let number = self.announce(job, &batch, call);
                if R::HAS_CUSTOMERS {
                    lease.keep_customers(batch.customers());
                }
                let info = AttemptInfo {
                    call: number,
                    number: earlier_requests + 1,
                    previous_failure,
                };
                let kind = batch.kind;
                let span = self.call_span(operation(kind).name, number);
                let task = async move {
                    let outcome = send(&client, &run, info, lease, batch).await;
                    drop(probe);
                    outcome
                };
                self.send_calls
                    .spawn(runtime, (job, kind), number, task.instrument(span));
            }
            EngineCall::Verify { job, request } => {
                // The lookup has retries and probes of its own.
                drop((lease, probe));
                let number = self.allocate_call_number();
                let task = async move { list::read(&client, &run, number, request).await };
                let span = self.call_span(LIST_VALUES, number);
                self.verify_calls
                    .spawn(runtime, job, number, task.instrument(span));
            }
            EngineCall::Check => {
                lease.keep_customers(Vec::new());
                let number = self.allocate_call_number();
                let task = async move {
                    let outcome = list::check(&client, &run, number, lease).await;
                    drop(probe);
                    outcome
                };
                let span = self.call_span(LIST_VALUES, number);
                self.check_calls
                    .spawn(runtime, (), number, task.instrument(span));
            }
        }
        true
    }

    /// Tells the observer of a batch that was not sent before. Returns the number of its call.
    fn announce(&mut self, job: u64, batch: &Batch<R>, call: Option<u64>) -> u64 {
        if let Some(call) = call {
            return call;
        }
        let call = self.allocate_call_number();
        self.engine.record_call(job, call);
        self.run.notify(Event::BatchReady {
            call,
            operation: operation(batch.kind).name,
            customers: match R::HAS_CUSTOMERS {
                true => batch.customers().len(),
                false => 0,
            },
            values: batch.rows.len(),
        });
        call
    }
}

/// An outage, as far as a run is concerned.
#[derive(Clone, Copy, Debug)]
struct OngoingOutage {
    since: Instant,
    probe_at: Instant,
}

/// Sends a batch once.
async fn send<R: Row>(
    client: &Client,
    run: &RunContext,
    info: AttemptInfo,
    lease: Lease,
    batch: Batch<R>,
) -> RequestOutcome<R::Response> {
    let number = info.call;
    let Batch { kind, rows } = batch;
    let send = |sdk| R::send(sdk, kind, &rows);
    let mut outcome = request(client, run, &operation(kind), info, lease, send).await;
    if let Err(failure) = &mut outcome.result
        && failure.ends_run
        && !failure.is_html
        && is_missing(kind, &failure.error)
    {
        // Either the endpoint or the values do not exist: the probe tells which, once per run.
        if !run.knows_endpoint.load(Ordering::Relaxed) {
            let probe = list::probe(client, run, number).await;
            outcome.requests += probe.requests;
            if let Err(probe) = probe.result {
                failure.ends_run = probe.error.ends_run();
                failure.error = probe.error;
                return outcome;
            }
            run.knows_endpoint.store(true, Ordering::Relaxed);
        }
        failure.blames_rows = true;
        failure.ends_run = false;
    }
    outcome
}

fn to_event(call: u64, operation: &'static str, event: BatchEvent) -> Event {
    let limit = |number| (number < usize::MAX).then_some(number);
    match event {
        BatchEvent::Split(Size { customers, rows }) => Event::Split {
            call,
            operation,
            customers,
            values: rows,
        },
        BatchEvent::SizeLimitLearned(Size { customers, rows }) => Event::SizeLimitLearned {
            operation,
            customers: limit(customers),
            values: limit(rows),
        },
        BatchEvent::Retry { reason, wait } => Event::Waiting {
            call,
            operation,
            reason,
            wait,
        },
    }
}

impl<S, R> Outcomes<S, R>
where
    S: Stream,
    S::Item: IntoRow<R>,
    R: Row,
{
    fn poll_next_row(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R, Error>>> {
        if let Some(row) = self.initial_rows.next() {
            return Poll::Ready(Some(Ok(row)));
        }
        let Some(input) = &mut self.input else {
            return Poll::Ready(None);
        };
        let item = ready!(input.as_mut().poll_next(cx));
        if item.is_none() {
            self.input = None;
        }
        Poll::Ready(item.map(|item| item.into_row()))
    }

    /// Reads rows until the engine has enough or the input pauses.
    fn poll_input(&mut self, cx: &mut Context<'_>) {
        self.release_rows();
        while self.engine.wants_input() && !self.staging.has_ended() {
            match self.poll_next_row(cx) {
                Poll::Ready(Some(item)) => {
                    self.idle_timer = None;
                    let error = item.as_ref().err().cloned();
                    self.staging.push(item, Instant::now());
                    self.release_rows();
                    if let Some(error) = error.filter(|_| self.stops_on_input_error) {
                        self.engine.stop(error);
                    }
                }
                Poll::Ready(None) => {
                    self.staging.end_input();
                    self.release_rows();
                }
                Poll::Pending => return self.poll_idle(cx),
            }
        }
        // The input is not idle while the engine wants no more rows.
        self.idle_timer = None;
    }

    /// Passes the staged rows to the engine whose customers and attributes are known, in the order of
    /// the input.
    fn release_rows(&mut self) {
        let now = Instant::now();
        // A stopped run settles the rows that are left as not sent.
        while self.engine.stopped_by().is_none()
            && let Some(outcome) = self.staging.next_row(now)
        {
            self.release(outcome, now);
        }
        self.update_staged();
        if self.staging.is_empty() {
            if self.staging.has_ended() {
                self.engine.end_input();
            } else if self.staging.is_idle() {
                self.engine.mark_idle();
            }
        }
    }

    /// Passes a row to the engine, or settles it.
    fn release(&mut self, outcome: StagedOutcome<R>, now: Instant) {
        let index = self.engine.next_index();
        let admission = self.admission.as_mut();
        match outcome {
            StagedOutcome::Ready(row) => {
                let admitted = match admission {
                    Some(admission) => admission.admit(index, row),
                    None => Admitted::Send(row),
                };
                match admitted {
                    Admitted::Send(row) => self.engine.push(Ok(row), now),
                    Admitted::Settled(row, kind) => self.engine.push_settled(row, kind),
                    Admitted::Rejected(row, violation) => {
                        self.engine.reject_invalid(row, &violation);
                    }
                    Admitted::Taken => self.engine.skip(),
                }
            }
            StagedOutcome::InputError(error) => {
                if let Some(admission) = admission {
                    admission.record_unresolved(index, &error);
                }
                self.engine.push(Err(error), now);
            }
            StagedOutcome::Invalid {
                row,
                violation,
                accounts,
            } => {
                if let Some(admission) = admission {
                    admission.record_invalid(index, &row, &accounts, &violation);
                }
                self.engine.reject_invalid(row, &violation);
            }
            StagedOutcome::Failed(row, error) => {
                if let Some(admission) = admission {
                    admission.record_unresolved(index, &error);
                }
                self.engine.push_unresolved(row, &error);
            }
        }
    }

    /// Lets all rows be looked up and sent once the input has been idle for the linger time.
    fn poll_idle(&mut self, cx: &mut Context<'_>) {
        if !self.engine.has_unflushed_rows() && !self.staging.has_unflushed_rows() {
            self.idle_timer = None;
            return;
        }
        let linger = self.linger;
        let timer = self
            .idle_timer
            .get_or_insert_with(|| Box::pin(sleep(linger)));
        if timer.as_mut().poll(cx).is_ready() {
            self.idle_timer = None;
            self.staging.mark_idle();
            self.release_rows();
        }
    }

    /// Wakes the task when the next call may be due, if nothing else happens before.
    fn poll_next_due(&mut self, cx: &mut Context<'_>) {
        let now = Instant::now();
        let next = self.decide(|engine, conditions| engine.next_due(conditions));
        let mut due: Vec<_> = next.into_iter().chain(self.staging.next_due()).collect();
        due.extend(self.client.next_hold_end());
        if let Some(OngoingOutage { since, probe_at }) = self.observe_availability() {
            due.push(probe_at);
            due.extend(since.checked_add(self.run.on_outage.max_wait()));
        }
        // What is due already waits for something else that wakes the task.
        self.poll_timer(cx, due.into_iter().filter(|&due| due > now).min());
        if self.availability.poll_changed(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// Returns the next outcome, except that other tasks have their turn after many of them.
    fn poll_outcome(&mut self, cx: &Context<'_>) -> Poll<Option<Outcome<R>>> {
        if self.outcomes_in_turn >= OUTCOMES_PER_TURN {
            self.outcomes_in_turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let outcome = self.engine.next_outcome();
        self.outcomes_in_turn += u32::from(outcome.is_some());
        Poll::Ready(outcome)
    }
}

/// The input is pinned in a place of its own, and nothing else is ever pinned.
impl<S, R: Row> Unpin for Outcomes<S, R> {}

impl<S, R> Stream for Outcomes<S, R>
where
    S: Stream,
    S::Item: IntoRow<R>,
    R: Row,
{
    type Item = Outcome<R>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        if let Some(outcome) = ready!(this.poll_outcome(cx)) {
            return Poll::Ready(Some(outcome));
        }
        let current = || current_runtime("upserts and deletes");
        let runtime = match this.runtime.clone().map_or_else(current, Ok) {
            Ok(runtime) => runtime,
            Err(error) => {
                this.engine.stop(error);
                this.poll_stop(cx);
                let outcome = this.engine.next_outcome();
                if outcome.is_none() {
                    this.end();
                }
                return Poll::Ready(outcome);
            }
        };
        // For the timers.
        let _entered = runtime.enter();
        this.runtime = Some(runtime.clone());
        this.started.get_or_insert_with(Instant::now);
        loop {
            this.poll_calls(cx);
            this.poll_stop(cx);
            this.poll_input(cx);
            let started = this.start_calls(cx, &runtime);
            // A call that could not be started may have stopped the run.
            this.poll_stop(cx);
            this.report_progress();
            if let Some(outcome) = ready!(this.poll_outcome(cx)) {
                return Poll::Ready(Some(outcome));
            }
            if this.is_done() {
                this.ticket = None;
                ready!(this.poll_flush(cx));
                this.end();
                return Poll::Ready(None);
            }
            if !started {
                this.outcomes_in_turn = 0;
                this.poll_next_due(cx);
                return Poll::Pending;
            }
        }
    }
}

impl<S, R> FusedStream for Outcomes<S, R>
where
    S: Stream,
    S::Item: IntoRow<R>,
    R: Row,
{
    fn is_terminated(&self) -> bool {
        self.has_ended
    }
}

impl<S, R: Row> fmt::Debug for Outcomes<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes")
            .field("client", &self.client)
            .field("summary", &self.summary())
            .field("stopped_by", &self.stopped_by())
            .field("done_up_to", &self.done_up_to())
            .finish_non_exhaustive()
    }
}
