//! The upsert builder.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};

use crate::batch::{Report, Rules};
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Observer};
use crate::outcomes::{Outcomes, Plan, Stop};
use crate::store::Store;
use crate::value::{AttributeValueUpsert, IntoRow, Value};

const WINDOW: usize = 10_000;
const LINGER: Duration = Duration::from_millis(100);
const STOP_AFTER_REFUSED: u64 = 100;

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
    stop_after_refused: u64,
    stop: Option<Stop>,
    observer: Observer,
}

impl Upsert {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            rows: Vec::new(),
            window: WINDOW,
            linger: LINGER,
            stop_after_refused: STOP_AFTER_REFUSED,
            stop: None,
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
    /// 100 ms by default. Where the input pauses again and again without being idle for so long,
    /// nothing waits for a full window for more than 600 times as long: a minute by default.
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// Sets after how many rows the run stops by itself if the server has refused all that were
    /// sent so far: 100 by default, 0 for never. A mistake in how rows are made shows itself so
    /// before it has cost many calls.
    pub fn stop_after_refused(mut self, rows: u64) -> Self {
        self.stop_after_refused = rows;
        self
    }

    /// Stops the run when a future is ready, such as one of Ctrl-C or a deadline: requests in
    /// flight finish, calls that wait end, rows that were taken and not sent get the outcome
    /// [`NotSent`](crate::OutcomeKind::NotSent), and the rest of the input is not read.
    ///
    /// ```no_run
    /// # use bigcommerce_ext::{AttributeValueUpsert, Store};
    /// # async fn program(store: Store, rows: Vec<AttributeValueUpsert>, signal: impl Future<Output = ()> + Send + 'static) -> Result<(), bigcommerce_ext::Error> {
    /// let report = store.upsert().rows(rows).stop_when(signal).send().await?;
    /// for row in report.retryable() { /* keep it for the next run */ }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(Box::pin(stop));
        self
    }

    /// Sets a function that is told of events while the run goes on. It is called from the tasks
    /// that make the calls and from the one that polls the outcomes, so it should be quick and
    /// must not block; if it panics, so does the run.
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
        let shared = self.store.shared();
        let rules = Rules {
            window: self.window,
            customers_per_call: shared.limits.customers_per_call,
            attempts: shared.retry.most_attempts(),
            stop_after_refused: self.stop_after_refused,
        };
        let plan = Plan {
            rules,
            linger: self.linger,
            stop: self.stop,
            observer: self.observer,
            added: self.rows,
        };
        Outcomes::new(self.store, plan, rows)
    }
}

impl fmt::Debug for Upsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upsert")
            .field("store", &self.store)
            .field("rows", &self.rows.len())
            .field("window", &self.window)
            .field("linger", &self.linger)
            .field("stop_after_refused", &self.stop_after_refused)
            .field("observer", &self.observer)
            .finish_non_exhaustive()
    }
}
