//! The stream that runs an upsert: all that waits, sends or reads a clock between the engine and
//! the calls.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bigcommerce_sdk::types;
use futures::stream::{FusedStream, Stream};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tracing::Instrument;

use crate::batch::{Batch, Engine, Note, Outcome, Rules, Size, Summary};
use crate::call::{Calls, Operation, Run, call};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::store::Store;
use crate::value::sealed::IntoRow as _;
use crate::value::{AttributeValueUpsert, IntoRow};

/// How many times as long as for an idle input anything waits at most.
const MOST_LINGERS: u32 = 600;

pub(crate) type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a run is to do.
pub(crate) struct Plan {
    pub rules: Rules,
    pub linger: Duration,
    pub stop: Option<Stop>,
    pub observer: Observer,
    /// Rows that come before those of the stream.
    pub added: Vec<AttributeValueUpsert>,
}

/// The outcomes of a running upsert, in the order in which they become known.
///
/// The run goes on only while this is polled, except for the calls in flight, each of which is in
/// a task of its own: a slow reader slows the run down and breaks nothing.
///
/// Cancel safety: `next()` may be dropped and called again. Dropping the stream itself cancels the
/// calls in flight and loses the outcomes that were not read.
#[must_use = "streams do nothing unless polled"]
pub struct Outcomes<S> {
    store: Store,
    run: Arc<Run>,
    linger: Duration,
    stop: Option<Stop>,
    added: std::vec::IntoIter<AttributeValueUpsert>,
    /// `None` once it has ended or is not to be read any more.
    input: Option<Pin<Box<S>>>,
    idle: Option<Pin<Box<Sleep>>>,
    /// Since when rows wait that are not due, as far as the input has paused since.
    undue_since: Option<Instant>,
    /// The runtime on which the run was first polled.
    runtime: Option<Handle>,
    /// When customers are free again that were held.
    release: Option<Pin<Box<Sleep>>>,
    engine: Engine,
    /// By the job that each is for.
    calls: Calls<u64, types::AttributeValuePage>,
    calls_begun: u64,
    /// How many settled rows the observer knows of.
    told: u64,
}

impl<S> Outcomes<S> {
    pub(crate) fn new(store: Store, plan: Plan, rows: S) -> Self {
        Self {
            engine: Engine::new(plan.rules),
            run: Arc::new(Run {
                observer: plan.observer,
                ..Run::default()
            }),
            store,
            linger: plan.linger,
            stop: plan.stop,
            added: plan.added.into_iter(),
            input: Some(Box::pin(rows)),
            idle: None,
            undue_since: None,
            runtime: None,
            release: None,
            calls: Calls::default(),
            calls_begun: 0,
            told: 0,
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

    /// Hears whether the run is to stop.
    fn poll_stop(&mut self, cx: &mut Context<'_>) {
        if self.engine.stopped_by().is_none()
            && let Some(stop) = &mut self.stop
            && stop.as_mut().poll(cx).is_ready()
        {
            self.stop = None;
            self.engine.stop(Error::stopped());
        }
        if let Some(error) = self.engine.stopped_by().cloned() {
            self.input = None;
            for row in self.added.by_ref() {
                self.engine.take_too_late(row, &error);
            }
            self.run.stopping.send_replace(true);
        }
    }

    /// Hears of the calls that have ended.
    fn poll_calls(&mut self, cx: &mut Context<'_>) {
        while let Some((job, call, ended)) = self.calls.poll_ended(cx) {
            self.engine.count_calls(ended.attempts);
            let note = self.engine.finish(job, ended.result, ended.hold);
            self.run.observer.tell(Event::Ended { call });
            if let Some(note) = note {
                tracing::debug!(call, ?note, "batch");
                self.run.observer.tell(event(call, note));
            }
        }
    }

    /// Tells of rows that have got their outcomes since the last time.
    fn tell_settled(&mut self) {
        let summary = self.engine.summary();
        if summary.rows() > self.told {
            self.told = summary.rows();
            self.run.observer.tell(Event::Settled { summary });
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

    /// Makes tasks of the batches that are due, as many as may be in flight; says whether any was.
    fn start_calls(&mut self, runtime: &Handle) -> bool {
        let most = self.store.shared().limits.in_flight;
        let mut started = false;
        while self.calls.len() < most {
            // In an outage nothing new is begun.
            let may_begin = self.run.in_trouble.load(Ordering::Relaxed) == 0;
            let Some((job, batch)) = self.engine.next_batch(may_begin) else {
                break;
            };
            self.start(job, batch, runtime);
            started = true;
        }
        started
    }

    fn start(&mut self, job: u64, batch: Batch, runtime: &Handle) {
        let mut customers: Vec<_> = batch.iter().map(|slot| slot.key().0).collect();
        customers.dedup();
        let (customers, values) = (customers.len(), batch.len());
        let call_number = self.calls_begun;
        self.calls_begun += 1;
        self.run.observer.tell(Event::Cut {
            call: call_number,
            customers,
            values,
        });
        let store = self.store.clone();
        let run = Arc::clone(&self.run);
        let task = async move {
            call(&store, &run, &Operation::upsert(), call_number, |client| {
                let body: Vec<_> = batch.iter().map(|slot| slot.row.wire.clone()).collect();
                async move { client.upsert_attribute_values().body(body).send().await }
            })
            .await
        };
        let span = tracing::debug_span!("upsert_call", call = call_number, customers, values);
        self.calls
            .spawn(runtime, job, call_number, task.instrument(span));
    }
}

fn event(call: u64, note: Note) -> Event {
    let limit = |number| (number < usize::MAX).then_some(number);
    match note {
        Note::Split(Size { customers, rows }) => Event::Split {
            call,
            customers,
            values: rows,
        },
        Note::Learned(Size { customers, rows }) => Event::Learned {
            customers: limit(customers),
            values: limit(rows),
        },
    }
}

impl<S> Outcomes<S>
where
    S: Stream,
    S::Item: IntoRow,
{
    fn poll_row(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<AttributeValueUpsert, Error>>> {
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
                    self.engine.take(item);
                }
                Poll::Ready(None) => self.engine.end_input(),
                Poll::Pending => return self.poll_idle(cx),
            }
        }
        // What the engine does not ask for does not make the input idle.
        self.idle = None;
        self.undue_since = None;
    }

    /// Hears that the input pauses, and has all that waits sent once that has gone on for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) {
        if !self.engine.has_undue() {
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
            self.engine.input_is_idle();
        }
    }
}

impl<S> Stream for Outcomes<S>
where
    S: Stream,
    S::Item: IntoRow,
{
    type Item = Outcome;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let this = self.get_mut();
        if let Some(outcome) = this.engine.next_outcome() {
            return Poll::Ready(Some(outcome));
        }
        let runtime = match this.runtime.clone().map_or_else(Handle::try_current, Ok) {
            Ok(runtime) => runtime,
            Err(error) => {
                let error = Error::config_by("upserts run on a tokio runtime", error);
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
            this.tell_settled();
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

impl<S> FusedStream for Outcomes<S>
where
    S: Stream,
    S::Item: IntoRow,
{
    fn is_terminated(&self) -> bool {
        self.engine.is_done()
    }
}

impl<S> fmt::Debug for Outcomes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes")
            .field("store", &self.store)
            .field("summary", &self.summary())
            .field("stopped_by", &self.stopped_by())
            .field("settled_up_to", &self.settled_up_to())
            .finish_non_exhaustive()
    }
}
