//! The upsert builder.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};

use crate::batch::EngineConfig;
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Observer};
use crate::outcome::Report;
use crate::row::IntoRow;
use crate::run::{LINGER, Outcomes, RunOptions, STOP_AFTER_REFUSED, Stop, WINDOW};
use crate::value::{AttributeKey, UpsertRow, Value};

/// An upsert of any number of attribute values; see [`Store::upsert`](crate::Store::upsert).
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
    client: Client,
    rows: Vec<UpsertRow>,
    window: usize,
    linger: Duration,
    stop_after_refused: u64,
    skips_unchanged: bool,
    checks_types: Option<bool>,
    is_dry: bool,
    stop: Option<Stop>,
    observer: Observer,
}

impl Upsert {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            rows: Vec::new(),
            window: WINDOW,
            linger: LINGER,
            stop_after_refused: STOP_AFTER_REFUSED,
            skips_unchanged: false,
            checks_types: None,
            is_dry: false,
            stop: None,
            observer: Observer::default(),
        }
    }

    /// Adds values of a customer, as pairs of an attribute's ID or name and a value.
    ///
    /// ```
    /// # use bigcommerce_ext::Store;
    /// # use bigcommerce_sandbox::Sandbox;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = Sandbox::builder().attribute(101, "Loyalty tier").start().await?;
    /// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
    /// let report = store.upsert().customer(2048, [("Loyalty tier", "Gold")]).send().await?;
    /// assert_eq!(report.summary().stored, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn customer<A: Into<AttributeKey>, V: Into<Value>>(
        mut self,
        customer_id: i64,
        values: impl IntoIterator<Item = (A, V)>,
    ) -> Self {
        self.rows.extend(
            values
                .into_iter()
                .map(|(attribute, value)| UpsertRow::new(customer_id, attribute, value)),
        );
        self
    }

    /// Adds rows.
    pub fn rows(mut self, rows: impl IntoIterator<Item = UpsertRow>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Sets how many values are looked ahead to group them by customer: 10,000 by default, at
    /// least 1. Memory grows with it; the number of calls try_shrink with it where the rows of a
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

    /// Sends only what differs from what the store holds; the rest gets the outcome
    /// [`Unchanged`](crate::OutcomeKind::Unchanged).
    ///
    /// What the store holds is read in pages of 250 values, ahead of the writes and within the same
    /// limits: with 3 values per customer, a request for 83 customers. So this is cheaper than to
    /// send all where most values are unchanged and a customer has well below 25 of them; it is
    /// also the way to resume a run that was killed: run it again. Texts are compared as they are, so a
    /// value that the server writes in another way (`1` for `1.0`) counts as changed each time.
    ///
    /// Rows of one customer and attribute still end in the state of the last one: what was read is
    /// kept in step with what this run writes, and read again after a write whose end is open. A
    /// write by somebody else between the read and the end of the run is not seen. Where a read
    /// fails after all retries, the rows that it was for are sent.
    pub fn skip_unchanged(mut self) -> Self {
        self.skips_unchanged = true;
        self
    }

    /// Sets whether values are held against the types of their attributes, which are asked for once
    /// per run. By default this is done for attributes that are named. Numbers are as in `12.5`,
    /// dates as in `2024-06-10` or `2024-06-10T14:22:00Z`; an empty value goes with every type.
    pub fn check_types(mut self, checks: bool) -> Self {
        self.checks_types = Some(checks);
        self
    }

    /// Changes nothing in the store: rows that would be sent get the outcome
    /// [`Planned`](crate::OutcomeKind::Planned), and each call that would be made is told as an
    /// [`Event::BatchReady`]. Attributes are asked for and values read as they would be.
    pub fn dry_run(mut self) -> Self {
        self.is_dry = true;
        self
    }

    /// Stops the run when a future is ready, such as one of Ctrl-C or a deadline: requests in
    /// flight finish, calls that wait end, rows that were taken and not sent get the outcome
    /// [`NotSent`](crate::OutcomeKind::NotSent), and the rest of the input is not read.
    ///
    /// ```no_run
    /// # use bigcommerce_ext::{UpsertRow, Store};
    /// # async fn program(store: Store, rows: Vec<UpsertRow>, signal: impl Future<Output = ()> + Send + 'static) -> Result<(), bigcommerce_ext::Error> {
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
        let mut outcomes = self.stream(stream::empty::<UpsertRow>());
        let all: Vec<_> = outcomes.by_ref().collect().await;
        match outcomes.stopped_by() {
            Some(error) if error.kind() == ErrorKind::InvalidInput => Err(error.clone()),
            stopped_by => Ok(Report::new(all, outcomes.summary(), stopped_by.cloned())),
        }
    }

    /// Sends the rows that were added and then those that a stream yields, in bounded memory, and
    /// yields the outcome of each as it is known.
    ///
    /// The stream yields [`UpsertRow`]s, or `Result`s of them: an `Err` gets an outcome
    /// of its own and stops nothing. It is read only while the outcomes are polled, at most a
    /// window ahead.
    pub fn stream<S>(self, rows: S) -> Outcomes<S>
    where
        S: Stream,
        S::Item: IntoRow<UpsertRow>,
    {
        let engine = EngineConfig {
            window: self.window,
            customers_per_call: self.client.limits().customers_per_call,
            max_url_len: usize::MAX,
            max_attempts: self.client.retry().max_attempts,
            stop_after_rejected: self.stop_after_refused,
            skips_unchanged: self.skips_unchanged,
        };
        let options = RunOptions {
            engine,
            checks_types: self.checks_types,
            is_dry: self.is_dry,
            linger: self.linger,
            stop: self.stop,
            observer: self.observer,
            added: self.rows,
        };
        Outcomes::new(self.client, options, rows)
    }
}

impl fmt::Debug for Upsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upsert")
            .field("client", &self.client)
            .field("rows", &self.rows.len())
            .field("window", &self.window)
            .field("linger", &self.linger)
            .field("stop_after_refused", &self.stop_after_refused)
            .field("skips_unchanged", &self.skips_unchanged)
            .field("checks_types", &self.checks_types)
            .field("is_dry", &self.is_dry)
            .field("observer", &self.observer)
            .finish_non_exhaustive()
    }
}
