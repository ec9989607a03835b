//! The stream that runs an upsert or a delete: all that waits, sends or reads a clock between the engine and
//! the calls.

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
use crate::list;
use crate::outcome::{Outcome, RunKind, Summary};
use crate::row::{IntoRow, Row, sealed::Convert as _};
use crate::value::UpsertRow;

/// Rows that are looked ahead.
pub(crate) const WINDOW: usize = 10_000;
/// How long the input may be idle before what waits is sent.
pub(crate) const LINGER: Duration = Duration::from_millis(100);
/// How many rows may be refused before any is accepted.
pub(crate) const STOP_AFTER_REFUSED: u64 = 100;
/// How many times as long as for an idle input anything waits at most.
const MOST_LINGERS: u32 = 600;

pub(crate) type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a run is to do.
pub(crate) struct RunOptions<R> {
    pub engine: EngineConfig,
    /// Whether values are held against the types of their attributes; `None` for those of
    /// attributes that are named.
    pub checks_types: Option<bool>,
    /// Whether nothing is changed in the store.
    pub is_dry: bool,
    pub linger: Duration,
    pub stop: Option<Stop>,
    pub observer: Observer,
    /// Rows that come before those of the stream.
    pub added: Vec<R>,
}

/// What is known of the attributes that the store defines.
enum Defined {
    NotAsked,
    Asked,
    Known(Definitions),
}

/// The outcomes of a running upsert or delete, in the order in which they become known.
///
/// The run goes on only while this is polled, except for the calls in flight, each of which is in
/// a task of its own: a slow reader slows the run down and breaks nothing.
///
/// Cancel safety: `next()` may be dropped and called again. Dropping the stream itself cancels the
/// calls in flight and loses the outcomes that were not read.
#[must_use = "streams do nothing unless polled"]
pub struct Outcomes<S, R: Row = UpsertRow> {
    client: Client,
    run: Arc<RunContext>,
    linger: Duration,
    stop: Option<Stop>,
    checks_types: Option<bool>,
    is_dry: bool,
    defined: Defined,
    /// A row that was read and can't be taken before the attributes are known.
    waiting: Option<R>,
    added: std::vec::IntoIter<R>,
    /// `None` once it has ended or is not to be read any more.
    input: Option<Pin<Box<S>>>,
    idle: Option<Pin<Box<Sleep>>>,
    /// Since when rows wait that are not due, as far as the input has paused since.
    undue_since: Option<Instant>,
    /// The runtime on which the run was first polled.
    runtime: Option<Handle>,
    /// When customers are free again that were held.
    release: Option<Pin<Box<Sleep>>>,
    engine: Engine<R>,
    /// By the job that each is for.
    calls: CallSet<u64, R::Response>,
    reads: CallSet<u64, Vec<types::AttributeValue>>,
    definitions: CallSet<(), Definitions>,
    calls_started: u64,
    /// The number of rows with outcomes that the observer knows of.
    rows_reported: u64,
}

impl<S, R: Row> Outcomes<S, R> {
    pub(crate) fn new(client: Client, options: RunOptions<R>, rows: S) -> Self {
        Self {
            engine: Engine::new(options.engine),
            run: Arc::new(RunContext::new(options.observer)),
            client,
            linger: options.linger,
            stop: options.stop,
            checks_types: options.checks_types,
            is_dry: options.is_dry,
            defined: Defined::NotAsked,
            waiting: None,
            added: options.added.into_iter(),
            input: Some(Box::pin(rows)),
            idle: None,
            undue_since: None,
            runtime: None,
            release: None,
            calls: CallSet::default(),
            reads: CallSet::default(),
            definitions: CallSet::default(),
            calls_started: 0,
            rows_reported: 0,
        }
    }

    /// Returns how many rows are known to have ended how by now, and how many requests were made.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.engine.summary()
    }

    /// Returns the error that ended the run early, if one did.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&Error> {
        self.engine.stopped_by()
    }

    /// Returns the index below which every row's outcome was handed out: a safe point for a queue
    /// consumer to commit to.
    #[must_use]
    pub fn settled_up_to(&self) -> u64 {
        self.engine.settled_up_to()
    }

    /// Ends the run before it begins.
    pub(crate) fn stop(&mut self, error: Error) {
        self.engine.stop(error);
    }

    /// Hears whether the run is to stop.
    fn poll_stop(&mut self, cx: &mut Context<'_>) {
        // A run that has come to its end can't be stopped any more.
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
            for row in self.waiting.take().into_iter().chain(self.added.by_ref()) {
                self.engine.push_unsent(row, &error);
            }
            self.run.stopping.send_replace(true);
        }
    }

    /// Hears of the calls that have ended.
    fn poll_calls(&mut self, cx: &mut Context<'_>) {
        while let Some((job, call, outcome)) = self.calls.poll_finished(cx) {
            self.engine.count_requests(outcome.requests);
            let event = self.engine.finish_batch(job, outcome.result, outcome.hold);
            self.run.observer.notify(Event::CallFinished { call });
            if let Some(event) = event {
                tracing::debug!(call, ?event, "batch");
                self.run.observer.notify(public_event(call, event));
            }
        }
        while let Some((read, call, outcome)) = self.reads.poll_finished(cx) {
            self.engine.count_requests(outcome.requests);
            self.engine.finish_read(read, outcome.result);
            self.run.observer.notify(Event::CallFinished { call });
        }
        while let Some(((), call, outcome)) = self.definitions.poll_finished(cx) {
            self.engine.count_requests(outcome.requests);
            self.run.observer.notify(Event::CallFinished { call });
            match outcome.result {
                Ok(definitions) => self.defined = Defined::Known(definitions),
                Err(failure) => self.engine.stop(failure.error),
            }
        }
    }

    /// Tells of rows that have got their outcomes since the last time.
    fn report_progress(&mut self) {
        let summary = self.engine.summary();
        if summary.rows() > self.rows_reported {
            self.rows_reported = summary.rows();
            self.run.observer.notify(Event::Progress { summary });
        }
    }

    /// Frees customers that were held, and has itself polled again when more are due.
    fn poll_release(&mut self, cx: &mut Context<'_>) {
        self.engine.release(Instant::now());
        let Some(until) = self.engine.next_release() else {
            self.release = None;
            return;
        };
        let release = self
            .release
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if release.deadline() != until {
            release.as_mut().reset(until);
        }
        if release.as_mut().poll(cx).is_ready() {
            self.release = None;
            cx.waker().wake_by_ref();
        }
    }

    /// Makes tasks of what is due, as many as may be in flight; says whether anything was.
    fn start_calls(&mut self, runtime: &Handle) -> bool {
        let max_in_flight = self.client.limits().max_in_flight;
        let max_values = usize::try_from(self.client.max_page_size()).unwrap_or(usize::MAX);
        let max_url_len = room_for_ids(self.client.base_url());
        let mut started = false;
        while self.calls.len() + self.reads.len() + self.definitions.len() < max_in_flight {
            let may_start = self.run.may_start_call();
            if self.waiting.is_some() && matches!(self.defined, Defined::NotAsked) {
                self.fetch_definitions(runtime);
            } else if let Some((job, batch)) = self.engine.next_batch(may_start) {
                self.start(job, batch, runtime);
            } else if let Some((id, request)) =
                self.engine.next_read(may_start, max_values, max_url_len)
            {
                let number = self.next_call_number();
                let (client, run) = (self.client.clone(), Arc::clone(&self.run));
                let task = async move { list::read(&client, &run, number, request).await };
                let span = tracing::debug_span!("read_call", call = number);
                self.reads.spawn(runtime, id, number, task.instrument(span));
            } else {
                break;
            }
            started = true;
        }
        started
    }

    fn fetch_definitions(&mut self, runtime: &Handle) {
        self.defined = Defined::Asked;
        let number = self.next_call_number();
        let (client, run) = (self.client.clone(), Arc::clone(&self.run));
        let task = async move { attributes::fetch(&client, &run, number).await };
        self.definitions.spawn(runtime, (), number, task);
    }

    fn next_call_number(&mut self) -> u64 {
        let number = self.calls_started;
        self.calls_started += 1;
        number
    }

    fn start(&mut self, job: u64, batch: Batch<R>, runtime: &Handle) {
        let number = self.next_call_number();
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
        if self.is_dry {
            // The engine takes it back.
            drop(batch);
            self.engine.finish_dry_run(job);
            return;
        }
        let (client, run) = (self.client.clone(), Arc::clone(&self.run));
        let task = async move { send(&client, &run, number, batch).await };
        let span = tracing::debug_span!("write_call", call = number, customers, values);
        self.calls
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
        // Either the endpoint or the values are missing: listing tells which.
        let probe = list::probe(client, run, number).await;
        outcome.requests += probe.requests;
        match probe.result {
            Ok(_) => failure.blames_rows = true,
            Err(probe) => failure.error = probe.error,
        }
    }
    outcome
}

fn public_event(call: u64, event: BatchEvent) -> Event {
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
    fn poll_row(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R, Error>>> {
        if let Some(row) = self.waiting.take() {
            return Poll::Ready(Some(Ok(row)));
        }
        if let Some(row) = self.added.next() {
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

    /// Takes rows until the engine has enough or the input pauses.
    fn poll_input(&mut self, cx: &mut Context<'_>) {
        while self.engine.wants_input() {
            match self.poll_row(cx) {
                Poll::Ready(Some(item)) => {
                    self.idle = None;
                    if !self.take(item) {
                        break;
                    }
                }
                Poll::Ready(None) => self.engine.end_input(),
                Poll::Pending => return self.poll_idle(cx),
            }
        }
        // What the engine does not ask for does not make the input idle.
        self.idle = None;
        self.undue_since = None;
    }

    /// Takes what the input yielded; says whether more can be taken.
    fn take(&mut self, item: Result<R, Error>) -> bool {
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
        let Defined::Known(definitions) = &self.defined else {
            self.waiting = Some(row);
            return false;
        };
        match row.resolve(definitions, checks_type) {
            Ok(()) => self.engine.push(Ok(row)),
            Err(violation) => self.engine.reject_invalid(row, &violation),
        }
        true
    }

    /// Hears that the input pauses, and has all that waits sent once that has gone on for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) {
        if !self.engine.has_unflushed_rows() {
            self.undue_since = None;
            return;
        }
        let since = *self.undue_since.get_or_insert_with(Instant::now);
        let is_overdue = since.elapsed() >= self.linger.saturating_mul(MOST_LINGERS);
        let linger = self.linger;
        let idle = self.idle.get_or_insert_with(|| Box::pin(sleep(linger)));
        if is_overdue || idle.as_mut().poll(cx).is_ready() {
            self.idle = None;
            self.undue_since = None;
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
        let _timers_work = runtime.enter();
        this.runtime = Some(runtime.clone());
        loop {
            this.poll_calls(cx);
            this.poll_stop(cx);
            this.poll_input(cx);
            this.poll_release(cx);
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
