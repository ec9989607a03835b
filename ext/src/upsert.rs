//! The upsert builder.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use foldhash::HashSet;
use futures_util::stream::{self, Stream, StreamExt};

use crate::attributes::Definitions;
use crate::batch::EngineConfig;
use crate::client::url_budget::room_for_ids;
use crate::client::{Client, OnOutage, RunSettings, run_methods};
use crate::customer_key::CustomerKey;
use crate::customers::{Address, ListingScope};
use crate::error::{Error, ErrorKind};
use crate::outcome::Report;
use crate::row::IntoRow;
use crate::run::{
    Admission, DEFAULT_LINGER, DEFAULT_MAX_WAIT, DEFAULT_STOP_AFTER_REJECTED, DEFAULT_WINDOW_ROWS,
    Outcomes, RunOptions,
};
use crate::staging::{MIN_LOOKUPS_FOR_LISTING, ResolveOptions, lookups_for};
use crate::value::{AttributeKey, UpsertRow, Value};

/// Upserts any number of attribute values; see [`Store::upsert`](crate::Store::upsert).
///
/// A call takes the values of up to 10 customers. Rows are therefore buffered in a window and
/// grouped by customer: 1,000 customers in the window take 100 calls, whatever the order of their
/// rows. The last row per customer and attribute wins.
///
/// A row without a value ([`UpsertRow::absent`]) deletes the store's value, in the order of the input.
/// The IDs of such values are read first, 250 per request, and deleted in requests of their own, as
/// many in a request as fit a URL.
///
/// # Customers by e-mail address or external ID
///
/// A customer is given by its ID, by its e-mail address (a text), or by the ID that another system has
/// for it ([`CustomerKey::external`]). Rows wait, in the order of the input, until their customers are
/// known. Rows for one customer under different keys end in the state of the last one. An outcome's row
/// has both the key and the ID that was found.
///
/// - **Addresses** are looked up ahead of the upserts, as many per request as fit a URL (about 70), and
///   as soon as a URL is full, the input is idle for [`linger`](Self::linger), or a row has waited for
///   [`max_wait`](Self::max_wait). An address of 22 characters takes 25 bytes of a URL, so 1,000 of
///   them take about 14 requests. The answers for the last 100,000 addresses are kept for 10 minutes, in about 400
///   bytes each. An address that no customer has as it is written is asked for once more in lower case.
/// - [`resolve_by_listing`](Self::resolve_by_listing) lists all customers instead, 250 per request.
/// - **External IDs** are read once, when the run reads the first of them: all values of the attribute
///   that [`external_id`](Self::external_id) names, 250 per request, kept in about 150 bytes each.
///
/// A row is [`Rejected`](crate::OutcomeKind::Rejected) if no customer has its key, or if several have it
/// and neither [`in_channel`](Self::in_channel) nor [`newest_account`](Self::newest_account) tells which
/// one is meant. It is [`NotSent`](crate::OutcomeKind::NotSent) if the lookup fails after all retries, or
/// if its response does not show the whole truth: it is incomplete, or the server ignores the filter.
///
/// Maps to the endpoint [Upsert customer attribute values][1], and for rows without a value to
/// [Delete customer attribute values][1].
///
/// [1]: https://developer.bigcommerce.com/docs/rest-management/customers/customer-attribute-values
#[must_use = "nothing is sent before `send` or `stream`"]
pub struct Upsert {
    client: Client,
    rows: Vec<UpsertRow>,
    window: usize,
    linger: Duration,
    max_wait: Duration,
    stop_after_rejected: u64,
    stops_on_input_error: bool,
    skips_unchanged: bool,
    checks_types: Option<bool>,
    is_dry_run: bool,
    resolve: ResolveOptions,
    settings: RunSettings,
}

impl Upsert {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            rows: Vec::new(),
            window: DEFAULT_WINDOW_ROWS,
            linger: DEFAULT_LINGER,
            max_wait: DEFAULT_MAX_WAIT,
            stop_after_rejected: DEFAULT_STOP_AFTER_REJECTED,
            stops_on_input_error: false,
            skips_unchanged: false,
            checks_types: None,
            is_dry_run: false,
            resolve: ResolveOptions::default(),
            settings: RunSettings::default(),
        }
    }

    pub(crate) fn settings_mut(&mut self) -> &mut RunSettings {
        &mut self.settings
    }

    /// Takes the attributes of the store, which are not requested then.
    pub(crate) fn set_definitions(&mut self, definitions: Definitions) {
        self.resolve.definitions = Some(definitions);
    }

    /// Adds values of one customer, as pairs of an attribute and a value. The customer is given by its
    /// ID, its e-mail address or an [external ID](CustomerKey::external), an attribute by its ID or
    /// its name.
    ///
    /// ```
    /// # use bigcommerce_ext::Store;
    /// # use bigcommerce_sandbox::Sandbox;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = Sandbox::builder();
    /// # let sandbox = sandbox.attribute(101, "Loyalty tier").customer(4096, "jane@example.com");
    /// # let sandbox = sandbox.start().await?;
    /// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
    /// let report = store
    ///     .upsert()
    ///     .customer(2048, [("Loyalty tier", "Gold")])
    ///     .customer("Jane@example.com", [("Loyalty tier", "Silver")])
    ///     .send()
    ///     .await?;
    /// assert_eq!(report.summary().stored, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn customer<A: Into<AttributeKey>, V: Into<Value>>(
        mut self,
        customer: impl Into<CustomerKey>,
        values: impl IntoIterator<Item = (A, V)>,
    ) -> Self {
        let customer = customer.into();
        let row = |(attribute, value)| UpsertRow::new(customer.clone(), attribute, value);
        self.rows.extend(values.into_iter().map(row));
        self
    }

    /// Adds rows, in their order.
    pub fn rows(mut self, rows: impl IntoIterator<Item = UpsertRow>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Names the attribute whose values are the IDs that another system has for the customers.
    ///
    /// Its values are read once per run, when the run reads the first row with a
    /// [`CustomerKey::External`]. They are compared as text, exactly. Values that the run itself stores
    /// are not taken into account.
    ///
    /// ```
    /// # use bigcommerce_ext::{CustomerKey, Store};
    /// # use bigcommerce_sandbox::Sandbox;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = Sandbox::builder().attribute(101, "ERP number").attribute(102, "Tier");
    /// # let sandbox = sandbox.start().await?;
    /// # sandbox.insert(2048, 101, "D-1007");
    /// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
    /// let report = store
    ///     .upsert()
    ///     .external_id("ERP number")
    ///     .customer(CustomerKey::external("D-1007"), [("Tier", "Gold")])
    ///     .send()
    ///     .await?;
    /// let row = report.outcomes()[0].row.as_ref();
    /// assert_eq!(row.and_then(|row| row.customer_id()), Some(2048));
    /// # Ok(())
    /// # }
    /// ```
    pub fn external_id(mut self, attribute: impl Into<AttributeKey>) -> Self {
        self.resolve.external_id = Some(attribute.into());
        self
    }

    /// Limits the accounts that an e-mail address may stand for to those of this channel (default: all
    /// accounts).
    ///
    /// An account without a list of channels belongs to all of them. An address whose accounts belong to
    /// other channels only is unknown.
    pub fn in_channel(mut self, channel_id: i64) -> Self {
        self.resolve.choice.channel = Some(channel_id);
        self
    }

    /// Chooses the account that was created last if several have the same e-mail address (default:
    /// their rows are rejected).
    ///
    /// If one of them has no creation time, the highest ID counts as the newest.
    pub fn newest_account(mut self) -> Self {
        self.resolve.choice.is_newest = true;
        self
    }

    /// Lists all customers of the store to find those that are given by their e-mail addresses
    /// (default: the addresses are looked up).
    ///
    /// A list takes a request per 250 customers of the store, a lookup one per about 70 addresses. From
    /// about a quarter of the store's customers on, the list takes fewer requests. It is read
    /// before the first row by address is sent, one page after the other, and kept in about 200 bytes per
    /// customer. It is believed for 10 minutes; then, or if it fails or changes while it is read by page
    /// number, addresses are looked up.
    ///
    /// [`send`](Self::send) knows all rows: it decides by itself, with one request that tells the number
    /// of customers, and keeps only those that the rows name.
    pub fn resolve_by_listing(mut self) -> Self {
        self.resolve.listing = Some(ListingScope::default());
        self
    }

    /// Sets the maximum number of rows that are buffered (default 10,000, at least 1).
    ///
    /// Rows whose customers are being looked up count.
    ///
    /// A larger window takes more memory. It saves calls if the rows of a customer are far apart in
    /// the input.
    pub fn window(mut self, values: usize) -> Self {
        self.window = values.max(1);
        self
    }

    /// Sets how long the input may be idle before buffered rows are sent (default 100 ms).
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// Sets how long a row waits in the buffer before it is due (default 500 ms).
    ///
    /// A due row is sent as soon as a request may be sent. A longer time saves calls if rows arrive
    /// slowly. With [`skip_unchanged`](Self::skip_unchanged), a row is read after half of this time,
    /// and a changed row may wait for up to 5 s. So may a row while others are being looked up, if no more
    /// rows can be read.
    pub fn max_wait(mut self, time: Duration) -> Self {
        self.max_wait = time;
        self
    }

    /// Sets what the run does while the store is down (default: [`send`](Self::send) waits for up
    /// to [`RetryPolicy::retry_timeout`](crate::RetryPolicy::retry_timeout), a
    /// [`stream`](Self::stream) for up to 15 minutes).
    ///
    /// Rows that were not sent when the run stops get the outcome
    /// [`NotSent`](crate::OutcomeKind::NotSent).
    pub fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.settings.on_outage = Some(on_outage);
        self
    }

    /// Sets the number of rows that are rejected or not confirmed after which the run stops, if none
    /// was stored until then (default 100, 0 for never). A row counts if the lookup of its customer fails,
    /// but not if no customer has its key.
    ///
    /// This stops a run early if all of its rows are built wrongly.
    pub fn stop_after_rejected(mut self, rows: u64) -> Self {
        self.stop_after_rejected = rows;
        self
    }

    /// Reads the store's values first and sends only the rows that differ. All others get the
    /// outcome [`Unchanged`](crate::OutcomeKind::Unchanged).
    ///
    /// If reading costs more requests than it saves, it is suspended for some customers (1,000 at
    /// first, at most 64,000), and their rows are sent without being read. A changed row waits for
    /// others until a batch is full, as many rows as the window holds were read after it, or 5 s
    /// have passed.
    ///
    /// The store's values are read ahead of the upserts, 250 per request and within the same
    /// limits. With 3 values per customer, one request reads 83 customers. This takes fewer
    /// requests than sending all rows if most values are unchanged and each customer has well below
    /// 25 of them. To resume a run that was killed, run it again with this setting.
    ///
    /// Values are compared as text. If the server stores values of an attribute as another text
    /// (`1` for `1.0`, or without surrounding spaces), and its response shows it, the store's clones
    /// compare the values of this attribute accordingly from then on.
    ///
    /// The last row per customer and attribute wins. The values that were read are updated with the
    /// values that this run stores, and read again after an upsert whose result is unknown. Changes
    /// that other programs make after a read are not detected. If a read fails after all retries,
    /// its rows are sent.
    ///
    /// A row with [fields of its own](UpsertRow::customize) is sent without being read.
    pub fn skip_unchanged(mut self) -> Self {
        self.skips_unchanged = true;
        self
    }

    /// Sets whether values are validated against their attributes' types (default: only values of
    /// attributes given by name).
    ///
    /// The types are requested once per run. A number is written like `12.5`, a date like
    /// `2024-06-10` or `2024-06-10T14:22:00Z`. An empty value is valid for every type.
    pub fn check_types(mut self, checks: bool) -> Self {
        self.checks_types = Some(checks);
        self
    }

    /// Changes nothing in the store: a row that would be sent gets the outcome
    /// [`Planned`](crate::OutcomeKind::Planned).
    ///
    /// Each call that would be made is reported as an [`Event::BatchReady`](crate::Event::BatchReady). Requests that read
    /// attributes, customers and values are made as usual.
    pub fn dry_run(mut self) -> Self {
        self.is_dry_run = true;
        self
    }

    /// Stops the run when the future completes, for example on Ctrl-C or at a deadline.
    ///
    /// Requests in flight finish, and waiting calls end. The rest of the input is not read. Rows
    /// that were read but not sent get the outcome [`NotSent`](crate::OutcomeKind::NotSent).
    ///
    /// ```no_run
    /// # use bigcommerce_ext::{Store, UpsertRow};
    /// # async fn program(
    /// #     store: Store,
    /// #     rows: Vec<UpsertRow>,
    /// #     signal: impl Future<Output = ()> + Send + 'static,
    /// # ) -> Result<(), bigcommerce_ext::Error> {
    /// let report = store.upsert().rows(rows).stop_when(signal).send().await?;
    /// for row in report.retryable() { /* keep it for the next run */ }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.settings.stop = Some(Box::pin(stop));
        self
    }

    run_methods!("run");

    /// Stops the run at the first error of the input (default: the error is the outcome of one row,
    /// and the run continues).
    ///
    /// That suits a source whose error ends it, such as a database cursor that breaks: the run ends as
    /// failed, and [`Outcomes::stopped_by`] returns the error, of the kind [`ErrorKind::Input`]. Rows
    /// that were read but not sent get the outcome [`NotSent`](crate::OutcomeKind::NotSent).
    ///
    /// ```
    /// use bigcommerce_ext::{ErrorKind, UpsertRow};
    /// use futures::{StreamExt, stream};
    /// # use bigcommerce_ext::Store;
    /// # use bigcommerce_sandbox::Sandbox;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = Sandbox::builder().start().await?;
    /// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
    /// let rows = stream::iter([Ok(UpsertRow::new(1, 101, "Gold")), Err("the cursor broke")]);
    /// let mut outcomes = store.upsert().stop_on_input_error().stream(rows);
    /// while let Some(outcome) = outcomes.next().await { /* … */ }
    /// let error = outcomes.stopped_by().expect("the input's error");
    /// assert_eq!(error.kind(), ErrorKind::Input);
    /// assert_eq!(error.to_string(), "the cursor broke");
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop_on_input_error(mut self) -> Self {
        self.stops_on_input_error = true;
        self
    }

    /// Sends the added rows, and returns the outcome of each.
    ///
    /// Cancel safety: dropping the future cancels the calls in flight and loses the outcomes.
    ///
    /// # Errors
    ///
    /// Returns an error only if the run could not start, for example without a tokio runtime. Any
    /// later error is in the report; [`Report::into_result`] returns it.
    pub async fn send(mut self) -> Result<Report, Error> {
        let retry = self.settings.apply(&self.client)?;
        let retry_timeout = retry.retry().retry_timeout;
        self.settings
            .on_outage
            .get_or_insert(OnOutage::WaitUpTo(retry_timeout));
        self.decide_on_listing();
        let mut outcomes = self.stream(stream::empty::<UpsertRow>());
        let collected: Vec<_> = outcomes.by_ref().collect().await;
        match outcomes.stopped_by() {
            Some(error) if error.kind() == ErrorKind::InvalidInput => Err(error.clone()),
            stopped_by => Ok(Report::new(
                collected,
                outcomes.summary(),
                stopped_by.cloned(),
            )),
        }
    }

    /// Lets the customers be listed if that may take fewer requests than looking up the added rows.
    fn decide_on_listing(&mut self) {
        let addresses = self.rows.iter().filter_map(|row| match row.customer() {
            CustomerKey::Email(address) => Address::parse(address).ok(),
            CustomerKey::Id(_) | CustomerKey::External(_) => None,
        });
        let wanted: HashSet<_> = addresses.map(|address| address.folded).collect();
        let lookups = lookups_for(&wanted, room_for_ids(self.client.base_url()));
        let max_requests = match self.resolve.listing {
            Some(_) => None,
            None if lookups < MIN_LOOKUPS_FOR_LISTING => return,
            None => Some(lookups),
        };
        self.resolve.listing = Some(ListingScope {
            wanted: Some(wanted),
            max_requests,
        });
    }

    /// Sends the added rows and then the streamed rows, in bounded memory, and yields each outcome
    /// as soon as it is known.
    ///
    /// The stream yields [`UpsertRow`]s, or `Result`s of them. An `Err` gets an outcome of its own,
    /// and the run continues. The input is read only while the outcomes are polled, and at most a
    /// [`window`](Self::window) ahead.
    ///
    /// The rows may carry [payloads](UpsertRow#payloads), all of one type. Rows that were added to the
    /// builder have none, so they can't precede rows with payloads: the run then stops with
    /// [`ErrorKind::InvalidInput`] before anything is sent.
    pub fn stream<S, T>(self, rows: S) -> Outcomes<S, UpsertRow<T>>
    where
        S: Stream,
        S::Item: IntoRow<UpsertRow<T>>,
        T: Send + 'static,
    {
        self.into_run(rows, None)
    }

    /// Returns the run, in which `admission` decides on the rows.
    pub(crate) fn into_run<S, T>(
        mut self,
        rows: S,
        admission: Option<Box<dyn Admission<UpsertRow<T>>>>,
    ) -> Outcomes<S, UpsertRow<T>>
    where
        S: Stream,
        S::Item: IntoRow<UpsertRow<T>>,
        T: Send + 'static,
    {
        let (client, mut invalid) = match self.settings.apply(&self.client) {
            Ok(client) => (client, None),
            Err(error) => (self.client.clone(), Some(error)),
        };
        let added = self.rows.len();
        let initial_rows: Vec<_> = self.rows.into_iter().filter_map(without_payload).collect();
        if initial_rows.len() < added {
            invalid = Some(Error::invalid_input(
                "rows that were added to the upsert have no payloads, and the streamed rows have: \
                 stream all of them",
            ));
        }
        let engine = EngineConfig {
            window: self.window,
            customers_per_call: client.limits().customers_per_call,
            max_url_len: room_for_ids(client.base_url()),
            max_wait: self.max_wait,
            retry: client.retry().clone(),
            stop_after_rejected: self.stop_after_rejected,
            skips_unchanged: self.skips_unchanged,
        };
        let options = RunOptions {
            engine,
            checks_types: self.checks_types,
            is_dry_run: self.is_dry_run,
            linger: self.linger,
            stops_on_input_error: self.stops_on_input_error,
            on_outage: self.settings.on_outage.unwrap_or_default(),
            stop: self.settings.take_stop(),
            observer: self.settings.observer,
            resolve: self.resolve,
            initial_rows,
            admission,
        };
        let mut outcomes = Outcomes::new(client, options, rows);
        if let Some(error) = invalid {
            outcomes.stop(error);
        }
        outcomes
    }
}

/// Returns a row as one of a type with the payload `T`, if that is `()`.
fn without_payload<T: 'static>(row: UpsertRow) -> Option<UpsertRow<T>> {
    let mut row = Some(row);
    let row: &mut dyn Any = &mut row;
    row.downcast_mut::<Option<UpsertRow<T>>>()?.take()
}

impl fmt::Debug for Upsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upsert")
            .field("client", &self.client)
            .field("rows", &self.rows.len())
            .field("window", &self.window)
            .field("linger", &self.linger)
            .field("max_wait", &self.max_wait)
            .field("stop_after_rejected", &self.stop_after_rejected)
            .field("skips_unchanged", &self.skips_unchanged)
            .field("checks_types", &self.checks_types)
            .field("is_dry_run", &self.is_dry_run)
            .field("external_id", &self.resolve.external_id)
            .field("choice", &self.resolve.choice)
            .field("stops_on_input_error", &self.stops_on_input_error)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
