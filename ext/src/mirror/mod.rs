//! Making the store's values of some attributes equal to an input, deletes included.

mod admission;
mod fingerprint;
mod guards;
#[cfg(feature = "serde")]
mod json;
mod listed;
mod mirroring;
mod preview;
mod reading;
mod summary;

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::Stream;

use crate::client::{Client, OnOutage, RunSettings, run_methods};
use crate::row::IntoRow;
use crate::upsert::Upsert;
use crate::value::{AttributeKey, UpsertRow};

use guards::{Guards, MaxDeletes};
use mirroring::Plan;
use reading::Reader;

pub use mirroring::Mirroring;
pub use preview::{Difference, Differences};
pub use summary::{DeletedValue, MirrorOutcome, MirrorReport, MirrorSummary};

/// The share of the values that may be deleted by default.
const DEFAULT_SHARE: f64 = 0.1;

/// Makes the store's values of some attributes equal to an input; see
/// [`Store::mirror`](crate::Store::mirror).
///
/// The values of the attributes are listed once. Rows that differ are sent, and then the values are
/// deleted that the input doesn't have. Numbers and dates compare by their type: `1.0` is `1`, and
/// `2024-06-10` is `2024-06-10T00:00:00Z`. The last row per customer and attribute wins, and a row
/// [without a value](UpsertRow#absent-values) counts as not there.
///
/// Requests: one for the attributes, one per 250 listed values, one per 10 customers that differ; before
/// a delete, those that list what has changed meanwhile, or read the values to delete again; and the
/// deletes, with as many IDs in a request as fit a URL.
///
/// Memory: 32 bytes per listed value, about as much per value that is created, and 500 bytes per row
/// without a value whose value the store has.
///
/// # Guards
///
/// Nothing is deleted, and [`MirrorSummary::held_back`] returns the reason, if
///
/// - the input is empty, was not read to its end, or the run was stopped;
/// - a row does not tell which value it means: it could not be read, its customer or attribute is unknown
///   or could not be looked up. The error names the row. A row that is rejected for another reason, or
///   whose address several accounts have, keeps the values that it may mean;
/// - more than a tenth of the values would be deleted; see [`max_deletes`](Self::max_deletes) and
///   [`max_delete_share`](Self::max_delete_share);
/// - the list of values may lack some, and [`require_complete_list`](Self::require_complete_list) is set;
/// - the values that have changed meanwhile could not be listed.
///
/// Only values that were listed are deleted, so a list that lacks values deletes none of those. A value is
/// kept, as [`MirrorSummary::kept`], if it was changed by somebody else since the list began or in the
/// minute before, by the server's clock, or if the server doesn't show when. The look at the changes must
/// show the first change of the mirror itself. If it doesn't, because the mirror has changed nothing, or
/// the server ignores the filter by time, the values to delete are read again, and are kept if they
/// changed; so they are if the server sends no `Date`.
///
/// A value that is changed between that look and its delete is deleted.
///
/// Maps to the endpoints [Get, Upsert and Delete customer attribute values][1].
///
/// [1]: https://developer.bigcommerce.com/docs/rest-management/customers/customer-attribute-values
#[must_use = "nothing is sent before `stream` or `preview`"]
pub struct Mirror {
    client: Client,
    upsert: Upsert,
    attributes: Vec<AttributeKey>,
    guards: Guards,
    customers_in_input: bool,
    settings: RunSettings,
}

impl Mirror {
    pub(crate) fn new(client: Client, attributes: Vec<AttributeKey>) -> Self {
        Self {
            upsert: Upsert::new(client.clone()).check_types(true),
            client,
            attributes,
            guards: Guards {
                max_deletes: MaxDeletes::Share(DEFAULT_SHARE),
                requires_complete_list: false,
            },
            customers_in_input: false,
            settings: RunSettings::default(),
        }
    }

    /// Deletes only values of customers that the input names (default: of all customers).
    pub fn customers_in_input(mut self) -> Self {
        self.customers_in_input = true;
        self
    }

    /// Sets how many values may be deleted (default: a tenth of those that are there). If more would be,
    /// none is.
    pub fn max_deletes(mut self, values: u64) -> Self {
        self.guards.max_deletes = MaxDeletes::Values(values);
        self
    }

    /// Sets which share of the values may be deleted, rounded up (default 0.1, from 0 to 1). With
    /// [`customers_in_input`](Self::customers_in_input), it is a share of the values of these customers.
    pub fn max_delete_share(mut self, share: f64) -> Self {
        self.guards.max_deletes = MaxDeletes::Share(share);
        self
    }

    /// Deletes nothing if the list of values was incomplete or changed while it was read (default: only
    /// listed values are deleted).
    pub fn require_complete_list(mut self) -> Self {
        self.guards.requires_complete_list = true;
        self
    }

    /// Names the attribute whose values are the IDs that another system has for the customers; see
    /// [`Upsert::external_id`].
    pub fn external_id(mut self, attribute: impl Into<AttributeKey>) -> Self {
        self.upsert = self.upsert.external_id(attribute);
        self
    }

    /// Limits the accounts that an e-mail address may stand for to those of this channel; see
    /// [`Upsert::in_channel`].
    pub fn in_channel(mut self, channel_id: i64) -> Self {
        self.upsert = self.upsert.in_channel(channel_id);
        self
    }

    /// Chooses the account that was created last if several have the same e-mail address; see
    /// [`Upsert::newest_account`].
    pub fn newest_account(mut self) -> Self {
        self.upsert = self.upsert.newest_account();
        self
    }

    /// Lists all customers of the store to find those that are given by their e-mail addresses; see
    /// [`Upsert::resolve_by_listing`].
    pub fn resolve_by_listing(mut self) -> Self {
        self.upsert = self.upsert.resolve_by_listing();
        self
    }

    /// Stops the mirror at the first error of the input; see [`Upsert::stop_on_input_error`]. Without
    /// it, the other rows are sent; nothing is deleted either way.
    pub fn stop_on_input_error(mut self) -> Self {
        self.upsert = self.upsert.stop_on_input_error();
        self
    }

    /// Sets what the mirror does while the store is down (default: it waits for up to 15 minutes).
    pub fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.settings.on_outage = Some(on_outage);
        self
    }

    /// Stops the mirror when the future completes; see [`Upsert::stop_when`]. Nothing is deleted after
    /// that, but for the deletes in flight.
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.settings.stop = Some(Box::pin(stop));
        self
    }

    run_methods!("mirror");

    /// Makes the store equal to the streamed rows, and yields each outcome as soon as it is known. Nothing
    /// is sent before it is polled.
    ///
    /// The stream yields [`UpsertRow`]s, or `Result`s of them. An `Err` gets an outcome of its own, and
    /// stops all deletes. [`Mirroring::finish`] runs the mirror to its end.
    pub fn stream<S, T>(self, rows: S) -> Mirroring<S, T>
    where
        S: Stream,
        S::Item: IntoRow<UpsertRow<T>>,
        T: Send + 'static,
    {
        Mirroring::new(self.plan(false), rows)
    }

    /// Returns the differences between the store and the streamed rows, and changes nothing.
    ///
    /// The old texts of values that differ are read again, 250 per request.
    ///
    /// ```
    /// use bigcommerce_ext::{Difference, Store, UpsertRow};
    /// use futures::{TryStreamExt, stream};
    /// # use bigcommerce_sandbox::Sandbox;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = Sandbox::builder().attribute(101, "Loyalty tier").start().await?;
    /// # sandbox.insert(2048, 101, "Silver");
    /// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
    /// let rows = stream::iter([UpsertRow::new(2048, "Loyalty tier", "Gold")]);
    /// let mut differences = store.mirror(["Loyalty tier"]).preview(rows);
    /// while let Some(difference) = differences.try_next().await? {
    ///     if let Difference::Change { row, old, .. } = difference {
    ///         println!("{}: {old:?} → {:?}", row.customer(), row.value());
    /// #       assert_eq!(old.as_deref(), Some("Silver"));
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The stream ends with an error if an attribute is not defined, or the values could not be listed or
    /// read.
    pub fn preview<S, T>(self, rows: S) -> Differences<S, T>
    where
        S: Stream,
        S::Item: IntoRow<UpsertRow<T>>,
        T: Send + 'static,
    {
        Differences::new(Mirroring::new(self.plan(true), rows))
    }

    fn plan(mut self, is_preview: bool) -> Plan {
        let (client, mut invalid) = match self.settings.apply(&self.client) {
            Ok(client) => (client, None),
            Err(error) => (self.client, Some(error)),
        };
        invalid = invalid.or(self.guards.max_deletes.validate().err());
        let reader = Reader {
            client,
            on_outage: self.settings.on_outage.unwrap_or_default(),
            stop: self.settings.take_stop().map(FutureExt::shared),
            observer: self.settings.observer,
            requests: Arc::default(),
        };
        let mut upsert = match is_preview {
            true => self.upsert.dry_run(),
            false => self.upsert,
        };
        let settings = upsert.settings_mut();
        settings.retry = self.settings.retry;
        settings.on_outage = Some(reader.on_outage);
        settings.observer = reader.observer.clone();
        settings.shared_stop = reader.stop.clone();
        Plan {
            upsert,
            attributes: self.attributes,
            reader,
            guards: self.guards,
            customers_in_input: self.customers_in_input,
            is_preview,
            invalid,
        }
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror")
            .field("client", &self.client)
            .field("attributes", &self.attributes)
            .field("guards", &self.guards)
            .field("customers_in_input", &self.customers_in_input)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
