//! The upsert builder, and the stream that runs it.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bigcommerce_sdk::types;
use futures::stream::{self, FusedStream, Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::batch::{Batch, Engine, Outcome, Report, Summary};
use crate::call::{Ended, Failed, call};
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Observer};
use crate::store::Store;
use crate::value::{AttributeValueUpsert, IntoRow, Value};

const OPERATION: &str = "PUT /customers/attribute-values";
const WINDOW: usize = 10_000;
const LINGER: Duration = Duration::from_millis(100);

/// An upsert of any number of attribute values; see [`Store::upsert`].
///
/// Values are regrouped by customer within a window, so that as few calls as possible are made
/// whatever order the rows come in: customers that are in the window together cost a call per ten.
/// Where two rows are for the same customer and attribute, the later one wins.
///
/// Maps to the endpoint [Upsert customer attribute values][1].
///
/// [1]: https://developer.bigcommerce.com/docs/rest-management/customers/customer-attribute-values
#[must_use = "nothing is sent before `send` or `stream`"]
pub struct Upsert {
    store: Store,
    rows: Vec<AttributeValueUpsert>,
    window: usize,
    linger: Duration,
    observer: Observer,
}

impl Upsert {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            rows: Vec::new(),
            window: WINDOW,
            linger: LINGER,
            observer: Observer::default(),
        }
    }

    /// Adds values of a customer, as pairs of an attribute's ID and a value.
    pub fn customer<V: Into<Value>>(
        mut self,
        customer_id: i64,
        values: impl IntoIterator<Item = (i64, V)>,
    ) -> Self {
        self.rows
            .extend(values.into_iter().map(|(attribute_id, value)| {
                AttributeValueUpsert::new(customer_id, attribute_id, value)
            }));
        self
    }

    /// Adds rows.
    pub fn rows(mut self, rows: impl IntoIterator<Item = AttributeValueUpsert>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Sets how many values are looked ahead to group them by customer: 10,000 by default, at
    /// least 1. Memory grows with it; the number of calls shrinks with it where the rows of a
    /// customer lie far apart.
    pub fn window(mut self, values: usize) -> Self {
        self.window = values.max(1);
        self
    }

    /// Sets how long the input may be idle before what waits is sent without waiting for more:
    /// 100 ms by default.
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// Sets a function that is told of events while the run goes on. It is called from the tasks
    /// that make the calls, so it should be quick and must not block.
    pub fn observe(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    /// Sends the rows that were added, and returns the outcome of each.
    ///
    /// Cancel safety: dropping the future cancels the calls in flight and loses the outcomes.
    ///
    /// # Errors
    ///
    /// Only when nothing could be started, such as outside a tokio runtime. Whatever happens
    /// after the first row was read is in the report; [`Report::into_result`] is the strict form.
    pub async fn send(self) -> Result<Report, Error> {
        let mut outcomes = self.stream(stream::empty::<AttributeValueUpsert>());
        let all: Vec<_> = outcomes.by_ref().collect().await;
        match outcomes.stopped_by() {
            Some(error) if error.kind() == ErrorKind::Config => Err(error.clone()),
            stopped_by => Ok(Report::new(all, outcomes.summary(), stopped_by.cloned())),
        }
    }

    /// Sends the rows that were added and then those that a stream yields, in bounded memory, and
    /// yields the outcome of each as it is known.
    ///
    /// The stream yields [`AttributeValueUpsert`]s, or `Result`s of them: an `Err` gets an outcome
    /// of its own and stops nothing. It is read only while the outcomes are polled, at most a
    /// window ahead.
    pub fn stream<S>(self, rows: S) -> Outcomes<S>
    where
        S: Stream,
        S::Item: IntoRow,
    {
        let customers_per_call = self.store.shared().limits.customers_per_call;
        Outcomes {
            engine: Engine::new(self.window, customers_per_call),
            store: self.store,
            observer: self.observer,
            linger: self.linger,
            added: self.rows.into_iter(),
            input: Some(Box::pin(rows)),
            idle: None,
            calls: JoinSet::new(),
            batches: HashMap::new(),
        }
    }
}

impl fmt::Debug for Upsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upsert")
            .field("store", &self.store)
            .field("rows", &self.rows.len())
            .field("window", &self.window)
            .field("linger", &self.linger)
            .field("observer", &self.observer)
            .finish()
    }
}

type CallEnded = Ended<types::AttributeValuePage>;

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
    observer: Observer,
    linger: Duration,
    added: std::vec::IntoIter<AttributeValueUpsert>,
    /// `None` once it has ended or is not to be read any more.
    input: Option<Pin<Box<S>>>,
    idle: Option<Pin<Box<Sleep>>>,
    engine: Engine,
    calls: JoinSet<CallEnded>,
    batches: HashMap<task::Id, Batch>,
}

impl<S> Outcomes<S> {
    /// Returns how many of the rows read so far ended how, and how many requests were made.
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

    /// Hears of the calls that have ended.
    fn poll_calls(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(joined)) = self.calls.poll_join_next_with_id(cx) {
            let (id, ended) = match joined {
                Ok(joined) => joined,
                // A task ends without an answer only when the runtime shuts down.
                Err(error) => (
                    error.id(),
                    Ended {
                        attempts: 0,
                        result: Err(Failed {
                            error: Error::lost_task(),
                            ambiguous: true,
                        }),
                    },
                ),
            };
            if let Some(batch) = self.batches.remove(&id) {
                self.engine.count_calls(ended.attempts);
                self.observer.tell(Event::Settled {
                    stored: ended.result.is_ok(),
                });
                self.engine.finish(batch, ended.result);
            }
        }
    }

    /// Makes a task of a batch.
    fn start(&mut self, batch: Batch, runtime: &Handle) {
        let mut customers: Vec<_> = batch.iter().map(|slot| slot.key().0).collect();
        customers.dedup();
        self.observer.tell(Event::Cut {
            customers: customers.len(),
            values: batch.len(),
        });
        let store = self.store.clone();
        let observer = self.observer.clone();
        let shared = Batch::clone(&batch);
        let task = async move {
            call(store.shared(), &observer, OPERATION, |client| {
                let body: Vec<_> = shared.iter().map(|slot| slot.row.wire.clone()).collect();
                async move { client.upsert_attribute_values().body(body).send().await }
            })
            .await
        };
        let id = self.calls.spawn_on(task, runtime).id();
        self.batches.insert(id, batch);
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
        Poll::Ready(item.map(IntoRow::into_row))
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
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) {
        if !self.engine.has_undue() {
            return;
        }
        let until = Instant::now() + self.linger;
        let idle = self
            .idle
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if idle.as_mut().poll(cx).is_ready() {
            self.idle = None;
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
        let runtime = match Handle::try_current() {
            Ok(runtime) => runtime,
            Err(error) => {
                let error = Error::config_by("upserts run on a tokio runtime", error);
                this.engine.stop(error);
                return Poll::Ready(this.engine.next_outcome());
            }
        };
        loop {
            if let Some(outcome) = this.engine.next_outcome() {
                return Poll::Ready(Some(outcome));
            }
            this.poll_calls(cx);
            this.poll_input(cx);
            let mut started = false;
            while this.calls.len() < this.store.shared().limits.in_flight
                && let Some(batch) = this.engine.next_batch()
            {
                this.start(batch, &runtime);
                started = true;
            }
            if this.engine.is_done() {
                return Poll::Ready(None);
            }
            if !started && !this.engine.has_outcomes() {
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
