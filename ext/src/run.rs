//! The driver of an upsert or a delete: connects the input, the engine and the calls. Everything
//! that waits, sends or reads a clock is here, not in the engine.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bigcommerce_sdk::types;
use futures_util::stream::{FusedStream, Stream};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tracing::Instrument;

use crate::attributes::{self, Definitions};
use crate::batch::{Batch, BatchEvent, Engine, EngineConfig, Size};
use crate::client::url_budget::room_for_ids;
use crate::client::{CallOutcome, CallSet, Client, RunContext, call};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::list::{self, ReadRequest};
use crate::outcome::{Outcome, RunKind, Summary};
use crate::row::{IntoRow, Row, sealed::Convert as _};
use crate::value::UpsertRow;

/// The default number of rows that are buffered.
pub(crate) const DEFAULT_WINDOW_ROWS: usize = 10_000;
/// The default time that the input may be idle before buffered rows are sent.
pub(crate) const DEFAULT_LINGER: Duration = Duration::from_millis(100);
/// The default number of rejected rows after which a run stops if no row was accepted.
pub(crate) const DEFAULT_STOP_AFTER_REJECTED: u64 = 100;
/// The maximum time that rows are buffered while the input keeps pausing, as a multiple of the
/// linger time.
const MAX_LINGER_FACTOR: u32 = 600;

pub(crate) type StopFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The settings of a run.
pub(crate) struct RunOptions<R> {
    pub engine: EngineConfig,
    /// Whether values are validated against their attributes' types; `None` to validate only values
    /// of attributes given by name.
    pub checks_types: Option<bool>,
    /// Whether nothing is changed in the store.
    pub is_dry_run: bool,
    pub linger: Duration,
    pub stop: Option<StopFuture>,
    pub observer: Observer,
    /// Rows that precede those of the input.
    pub initial_rows: Vec<R>,
}

/// The attributes of the store, requested when the first row needs them.
enum AttributeLookup {
    NotRequested,
    Requested,
    Known(Definitions),
}

/// The outcomes of an upsert or a delete, in the order in which they become known.
///
/// The run advances only while this stream is polled: a slow reader slows the run down, but does
/// not make it fail. Calls in flight advance by themselves, each in a task of its own.
///
/// Cancel safety: `next()` may be dropped and called again. Dropping the stream cancels the calls
/// in flight and loses the outcomes that were not read.
#[must_use = "streams do nothing unless polled"]
pub struct Outcomes<S, R: Row = UpsertRow> {
    client: Client,
    run: Arc<RunContext>,
    linger: Duration,
    stop: Option<StopFuture>,
    checks_types: Option<bool>,
    is_dry_run: bool,
    attribute_lookup: AttributeLookup,
    /// A row that waits for the attributes of the store.
    unresolved_row: Option<R>,
    initial_rows: std::vec::IntoIter<R>,
    /// `None` after its end, and after the run was stopped.
    input: Option<Pin<Box<S>>>,
    idle_timer: Option<Pin<Box<Sleep>>>,
    /// When the input first paused with buffered rows that are not due.
    paused_since: Option<Instant>,
    /// The runtime on which the run was first polled.
    runtime: Option<Handle>,
    /// Fires when the engine's next held customer is to be released.
    release_timer: Option<Pin<Box<Sleep>>>,
    engine: Engine<R>,
    /// The calls that send batches, by job.
    batch_calls: CallSet<u64, R::Response>,
    read_calls: CallSet<u64, Vec<types::AttributeValue>>,
    attribute_calls: CallSet<(), Definitions>,
    calls_started: u64,
    /// The number of rows with outcomes that the observer knows of.
    rows_reported: u64,
}

impl<S, R: Row> Outcomes<S, R> {
    pub(crate) fn new(client: Client, options: RunOptions<R>, input: S) -> Self {
        Self {
            engine: Engine::new(options.engine),
            run: Arc::new(RunContext::new(options.observer)),
            client,
            linger: options.linger,
            stop: options.stop,
            checks_types: options.checks_types,
            is_dry_run: options.is_dry_run,
            attribute_lookup: AttributeLookup::NotRequested,
            unresolved_row: None,
            initial_rows: options.initial_rows.into_iter(),
            input: Some(Box::pin(input)),
            idle_timer: None,
            paused_since: None,
            runtime: None,
            release_timer: None,
            batch_calls: CallSet::default(),
            read_calls: CallSet::default(),
            attribute_calls: CallSet::default(),
            calls_started: 0,
            rows_reported: 0,
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

    /// Returns the index below which the outcome of every row was yielded.
    ///
    /// Rows that were rejected, unknown or not sent count too. A queue consumer must handle these
    /// outcomes before it commits the rows below the index, and must not commit by it after a stop.
    #[must_use]
    pub fn settled_up_to(&self) -> u64 {
        self.engine.settled_up_to()
    }

    /// Stops the run with an error before anything is sent.
    pub(crate) fn stop(&mut self, error: Error) {
        self.engine.stop(error);
    }

    /// Stops the run if the stop future has completed, and ends the input of a stopped run.
    fn poll_stop(&mut self, cx: &mut Context<'_>) {
        // A finished run can't be stopped any more.
        if self.engine.stopped_by().is_none()
            && !self.engine.is_done()
            && let Some(stop) = &mut self.stop
            && stop.as_mut().poll(cx).is_ready()
        {
            self.stop = None;
            self.engine.stop(Error::stopped());
        }
        if let Some(error) = self.engine.stopped_by().cloned() {
            self.input = None;
            let unresolved = self.unresolved_row.take();
            for row in unresolved.into_iter().chain(self.initial_rows.by_ref()) {
                self.engine.push_unsent(row, &error);
            }
            self.run.stopping.send_replace(true);
        }
    }

    /// Records the calls that have finished.
    fn poll_calls(&mut self, cx: &mut Context<'_>) {
        while let Some((job, call, outcome)) = self.batch_calls.poll_finished(cx) {
            self.engine.count_requests(outcome.requests);
            let event = self.engine.finish_batch(job, outcome.result, outcome.hold);
            self.run.observer.notify(Event::CallFinished { call });
            if let Some(event) = event {
                tracing::debug!(call, ?event, "batch");
                self.run.observer.notify(to_event(call, event));
            }
        }
        while let Some((read, call, outcome)) = self.read_calls.poll_finished(cx) {
            self.engine.count_requests(outcome.requests);
            self.engine.finish_read(read, outcome.result);
            self.run.observer.notify(Event::CallFinished { call });
        }
        while let Some(((), call, outcome)) = self.attribute_calls.poll_finished(cx) {
            self.engine.count_requests(outcome.requests);
            self.run.observer.notify(Event::CallFinished { call });
            match outcome.result {
                Ok(definitions) => self.attribute_lookup = AttributeLookup::Known(definitions),
                Err(failure) => self.engine.stop(failure.error),
            }
        }
    }

    /// Notifies the observer if more rows have outcomes than it knows of.
    fn report_progress(&mut self) {
        let summary = self.engine.summary();
        if summary.rows() > self.rows_reported {
            self.rows_reported = summary.rows();
            self.run.observer.notify(Event::Progress { summary });
        }
    }

    /// Releases the customers whose hold has expired, and wakes the task when the next one expires.
    fn poll_release_timer(&mut self, cx: &mut Context<'_>) {
        self.engine.release(Instant::now());
        let Some(until) = self.engine.next_release() else {
            self.release_timer = None;
            return;
        };
        let timer = self
            .release_timer
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        if timer.as_mut().poll(cx).is_ready() {
            self.release_timer = None;
            cx.waker().wake_by_ref();
        }
    }

    /// Starts calls that are due, up to the limit of calls in flight. Returns `true` if there were
    /// any.
    fn start_calls(&mut self, runtime: &Handle) -> bool {
        let max_in_flight = self.client.limits().max_in_flight;
        let max_values = usize::try_from(self.client.max_page_size()).unwrap_or(usize::MAX);
        let max_url_len = room_for_ids(self.client.base_url());
        let mut started = false;
        while self.calls_in_flight() < max_in_flight {
            let may_start = self.run.may_start_call();
            if self.unresolved_row.is_some()
                && matches!(self.attribute_lookup, AttributeLookup::NotRequested)
            {
                self.fetch_attributes(runtime);
            } else if let Some((job, batch)) = self.engine.next_batch(may_start) {
                self.start_batch(job, batch, runtime);
            } else if let Some((id, request)) =
                self.engine.next_read(may_start, max_values, max_url_len)
            {
                self.start_read(id, request, runtime);
            } else {
                break;
            }
            started = true;
        }
        started
    }

    fn calls_in_flight(&self) -> usize {
        self.batch_calls.len() + self.read_calls.len() + self.attribute_calls.len()
    }

    fn allocate_call_number(&mut self) -> u64 {
        let number = self.calls_started;
        self.calls_started += 1;
        number
    }

    fn fetch_attributes(&mut self, runtime: &Handle) {
        self.attribute_lookup = AttributeLookup::Requested;
        let number = self.allocate_call_number();
        let (client, run) = (self.client.clone(), Arc::clone(&self.run));
        let task = async move { attributes::fetch(&client, &run, number).await };
        self.attribute_calls.spawn(runtime, (), number, task);
    }

    fn start_read(&mut self, id: u64, request: ReadRequest, runtime: &Handle) {
        let number = self.allocate_call_number();
        let (client, run) = (self.client.clone(), Arc::clone(&self.run));
        let task = async move { list::read(&client, &run, number, request).await };
        let span = tracing::debug_span!("read_call", call = number);
        self.read_calls
            .spawn(runtime, id, number, task.instrument(span));
    }

    fn start_batch(&mut self, job: u64, batch: Batch<R>, runtime: &Handle) {
        let number = self.allocate_call_number();
        let values = batch.len();
        let customers = match R::KIND {
            RunKind::Upsert => {
                let mut customers: Vec<_> = batch.iter().map(|slot| slot.key().0).collect();
                customers.dedup();
                customers.len()
            }
            RunKind::Delete => 0,
        };
        self.run.observer.notify(Event::BatchReady {
            call: number,
            customers,
            values,
        });
        if self.is_dry_run {
            // The engine needs the rows back.
            drop(batch);
            self.engine.finish_dry_run(job);
            return;
        }
        let (client, run) = (self.client.clone(), Arc::clone(&self.run));
        let task = async move { send(&client, &run, number, batch).await };
        let span = tracing::debug_span!("write_call", call = number, customers, values);
        self.batch_calls
            .spawn(runtime, job, number, task.instrument(span));
    }
}

/// Sends a batch, with all retries.
async fn send<R: Row>(
    client: &Client,
    run: &RunContext,
    number: u64,
    batch: Batch<R>,
) -> CallOutcome<R::Response> {
    let mut outcome = call(client, run, &R::operation(), number, |sdk| {
        R::send(
            sdk,
            batch.iter().map(|slot| slot.row.wire.clone()).collect(),
        )
    })
    .await;
    if let Err(failure) = &mut outcome.result
        && R::MAY_BE_MISSING
        && failure.error.status() == Some(404)
    {
        // Either the endpoint or the values do not exist: the probe tells which.
        let probe = list::probe(client, run, number).await;
        outcome.requests += probe.requests;
        match probe.result {
            Ok(_) => failure.blames_rows = true,
            Err(probe) => failure.error = probe.error,
        }
    }
    outcome
}

fn to_event(call: u64, event: BatchEvent) -> Event {
    let limit = |number| (number < usize::MAX).then_some(number);
    match event {
        BatchEvent::Split(Size { customers, rows }) => Event::Split {
            call,
            customers,
            values: rows,
        },
        BatchEvent::SizeLimitLearned(Size { customers, rows }) => Event::SizeLimitLearned {
            customers: limit(customers),
            values: limit(rows),
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
        if let Some(row) = self.unresolved_row.take() {
            return Poll::Ready(Some(Ok(row)));
        }
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
        while self.engine.wants_input() {
            match self.poll_next_row(cx) {
                Poll::Ready(Some(item)) => {
                    self.idle_timer = None;
                    if !self.accept(item) {
                        break;
                    }
                }
                Poll::Ready(None) => self.engine.end_input(),
                Poll::Pending => return self.poll_idle(cx),
            }
        }
        // The input is not idle while the engine wants no more rows.
        self.idle_timer = None;
        self.paused_since = None;
    }

    /// Passes a row to the engine. Returns `false` if the row must wait for the attributes first.
    fn accept(&mut self, item: Result<R, Error>) -> bool {
        let mut row = match item {
            Ok(row) => row,
            Err(error) => {
                self.engine.push(Err(error));
                return true;
            }
        };
        let is_named = row.is_named();
        let checks_type = self.checks_types.unwrap_or(is_named);
        if !is_named && !checks_type {
            self.engine.push(Ok(row));
            return true;
        }
        let AttributeLookup::Known(definitions) = &self.attribute_lookup else {
            self.unresolved_row = Some(row);
            return false;
        };
        match row.resolve(definitions, checks_type) {
            Ok(()) => self.engine.push(Ok(row)),
            Err(violation) => self.engine.reject_invalid(row, &violation),
        }
        true
    }

    /// Lets the engine send all buffered rows once the input has been idle for the linger time, or
    /// has kept pausing for a multiple of it.
    fn poll_idle(&mut self, cx: &mut Context<'_>) {
        if !self.engine.has_unflushed_rows() {
            self.paused_since = None;
            return;
        }
        let linger = self.linger;
        let since = *self.paused_since.get_or_insert_with(Instant::now);
        let is_overdue = since.elapsed() >= linger.saturating_mul(MAX_LINGER_FACTOR);
        let timer = self
            .idle_timer
            .get_or_insert_with(|| Box::pin(sleep(linger)));
        if is_overdue || timer.as_mut().poll(cx).is_ready() {
            self.idle_timer = None;
            self.paused_since = None;
            self.engine.mark_idle();
        }
    }
}

impl<S, R> Stream for Outcomes<S, R>
where
    S: Stream,
    S::Item: IntoRow<R>,
    R: Row,
{
    type Item = Outcome<R>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(outcome) = this.engine.next_outcome() {
            return Poll::Ready(Some(outcome));
        }
        let runtime = match this.runtime.clone().map_or_else(Handle::try_current, Ok) {
            Ok(runtime) => runtime,
            Err(error) => {
                let error =
                    Error::invalid_input_from("upserts and deletes need a tokio runtime", error);
                this.engine.stop(error);
                this.poll_stop(cx);
                return Poll::Ready(this.engine.next_outcome());
            }
        };
        // For the timers.
        let _entered = runtime.enter();
        this.runtime = Some(runtime.clone());
        loop {
            this.poll_calls(cx);
            this.poll_stop(cx);
            this.poll_input(cx);
            this.poll_release_timer(cx);
            let started = this.start_calls(&runtime);
            this.report_progress();
            if let Some(outcome) = this.engine.next_outcome() {
                return Poll::Ready(Some(outcome));
            }
            if this.engine.is_done() {
                return Poll::Ready(None);
            }
            if !started {
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
        self.engine.is_done()
    }
}

impl<S, R: Row> fmt::Debug for Outcomes<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes")
            .field("client", &self.client)
            .field("summary", &self.summary())
            .field("stopped_by", &self.stopped_by())
            .field("settled_up_to", &self.settled_up_to())
            .finish_non_exhaustive()
    }
}
