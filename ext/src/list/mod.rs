//! Lists of attribute values: their conditions, and how their pages are read.

mod external_ids;
mod extra_query;
mod filter;
mod pages;
mod read_request;
mod resolve;

use std::fmt;

use crate::client::{Client, OnOutage, RunSettings, run_methods};

pub(crate) use external_ids::{ExternalIds, list_external_ids};
pub(crate) use filter::{Filter, ValidFilter};
pub(crate) use pages::ListOptions;
pub use pages::{Page, Pages, Values};
pub(crate) use read_request::{ReadRequest, ReadValues, check, probe, read};
pub(crate) use resolve::resolve;

/// Adds the methods that set the conditions of a builder with a `filter`. The argument begins the
/// documentation of each method.
macro_rules! filter_methods {
    ($limits_to_values:literal) => {
        #[doc = concat!($limits_to_values, " of these customers, given by their IDs, e-mail addresses or external IDs.")]
        ///
        /// An empty list selects nothing. A list of any length is split into queries that each fit
        /// a URL. Addresses and external IDs are looked up first. One that no customer has, or several, is
        /// an error, and nothing else is sent.
        pub fn customers<C: Into<$crate::customer_key::CustomerKey>>(
            mut self,
            customers: impl IntoIterator<Item = C>,
        ) -> Self {
            self.filter
                .set_customers(customers.into_iter().map(Into::into));
            self
        }

        /// Names the attribute whose values are the IDs that another system has for the customers; see
        /// [`Upsert::external_id`](crate::Upsert::external_id).
        pub fn external_id(mut self, attribute: impl Into<$crate::value::AttributeKey>) -> Self {
            self.filter.external_id = Some(attribute.into());
            self
        }

        /// Limits the accounts that an e-mail address may stand for to those of this channel; see
        /// [`Upsert::in_channel`](crate::Upsert::in_channel).
        pub fn in_channel(mut self, channel_id: i64) -> Self {
            self.filter.choice.channel = Some(channel_id);
            self
        }

        /// Chooses the account that was created last if several have the same e-mail address; see
        /// [`Upsert::newest_account`](crate::Upsert::newest_account).
        pub fn newest_account(mut self) -> Self {
            self.filter.choice.is_newest = true;
            self
        }

        #[doc = concat!($limits_to_values, " of these attributes, given by their IDs or names.")]
        ///
        /// An empty list selects nothing. Names are resolved with the store's attributes, which are
        /// requested first. A name that the store does not define is an error, and nothing else is sent.
        pub fn attributes<A: Into<$crate::value::AttributeKey>>(
            mut self,
            attributes: impl IntoIterator<Item = A>,
        ) -> Self {
            self.filter
                .set_attributes(attributes.into_iter().map(Into::into));
            self
        }

        #[doc = concat!($limits_to_values, " of the attribute with this name.")]
        ///
        /// The name must not be empty.
        pub fn attribute_name(mut self, name: impl Into<String>) -> Self {
            self.filter.attribute_name = Some(name.into());
            self
        }

        #[doc = concat!($limits_to_values, " created on this date or at this time.")]
        pub fn created_on(mut self, when: impl Into<$crate::date_filter::DateFilter>) -> Self {
            self.filter.created.on = Some(when.into());
            self
        }

        #[doc = concat!($limits_to_values, " created on or after this date or time.")]
        pub fn created_since(mut self, when: impl Into<$crate::date_filter::DateFilter>) -> Self {
            self.filter.created.since = Some(when.into());
            self
        }

        #[doc = concat!($limits_to_values, " created on or before this date or time.")]
        pub fn created_until(mut self, when: impl Into<$crate::date_filter::DateFilter>) -> Self {
            self.filter.created.until = Some(when.into());
            self
        }

        #[doc = concat!($limits_to_values, " last modified on this date or at this time.")]
        pub fn modified_on(mut self, when: impl Into<$crate::date_filter::DateFilter>) -> Self {
            self.filter.modified.on = Some(when.into());
            self
        }

        #[doc = concat!($limits_to_values, " last modified on or after this date or time.")]
        pub fn modified_since(mut self, when: impl Into<$crate::date_filter::DateFilter>) -> Self {
            self.filter.modified.since = Some(when.into());
            self
        }

        #[doc = concat!($limits_to_values, " last modified on or before this date or time.")]
        pub fn modified_until(mut self, when: impl Into<$crate::date_filter::DateFilter>) -> Self {
            self.filter.modified.until = Some(when.into());
            self
        }
    };
}
pub(crate) use filter_methods;

/// Lists attribute values; see [`Store::list`](crate::Store::list).
///
/// Without conditions, the list contains all values of the store. With several conditions, it
/// contains the values that meet all of them.
///
/// ```
/// use bigcommerce_ext::Store;
/// # use bigcommerce_sandbox::Sandbox;
/// use futures::TryStreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = Sandbox::builder().start().await?;
/// # sandbox.insert(2048, 101, "Yes");
/// # sandbox.insert(4096, 101, "No");
/// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
/// let mut values = store.list().customers([2048, 2049]).attributes([101]).stream();
/// while let Some(value) = values.try_next().await? {
///     println!("{}: {}", value.customer_id, value.attribute_value);
/// #   assert_eq!(value.attribute_value, "Yes");
/// }
/// if values.changed_during_read() { /* values may be missing: read the list again */ }
/// # Ok(())
/// # }
/// ```
///
/// # Changes during the read
///
/// The server counts pages by offset. When values are added or deleted during the read, the values
/// behind them move to other pages. A value that comes twice is delivered once. A value that moves
/// to a page that has been read already is missed. [`Values::changed_during_read`] returns `true`
/// if that may have happened.
///
/// # Incomplete lists
///
/// A list that has fewer distinct values than the server's total ends with an error as its last
/// item, after all values that could be read. The error has the kind
/// [`InvalidResponse`](crate::ErrorKind::InvalidResponse) and both numbers. If the total changes
/// during the read, the smallest one counts. An unreadable record makes a list incomplete too.
///
/// An empty or short page before the end is requested once more. The list ends early after two
/// pages in a row without a new value, or at a repeated page. Some servers report the number of all
/// values of the store as the total of a selection. For those, use
/// [`allow_incomplete`](Self::allow_incomplete).
///
/// If the server reports no totals, the list ends at an empty page.
///
/// # Ignored filters
///
/// Each listed value is checked against the conditions: times to the second, dates with a day's
/// tolerance, because the server's time zone is unknown. A value that does not meet them shows that
/// the server ignores a condition. The list then ends with an error in place of that page. A value
/// without the date that a condition needs can't be checked and is delivered. Whether a value has
/// the attribute's name can't be checked either.
///
/// # Memory
///
/// A list keeps the IDs of all delivered values, to recognize a value that comes twice. A million
/// IDs take about half a megabyte if they are close together, and 40 megabytes at worst.
///
/// Maps to the endpoint [Get customer attribute values][1].
///
/// [1]: https://developer.bigcommerce.com/docs/rest-management/customers/customer-attribute-values
#[must_use = "nothing is read before `stream` or `pages` is polled"]
pub struct List {
    client: Client,
    filter: Filter,
    options: ListOptions,
    settings: RunSettings,
}

impl List {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            filter: Filter::default(),
            options: ListOptions::default(),
            settings: RunSettings::default(),
        }
    }

    filter_methods!("Limits the list to values");

    /// Adds a filter that this crate doesn't know, such as one that a project's own document adds. It
    /// is sent with every request for a page of values.
    ///
    /// The value is percent-encoded. `query` can be called with several names. A name that was given
    /// before, an empty name or value, and a name that the list sends itself (`page`, `limit`, and all
    /// that have a method here) are errors, and nothing is sent. All filters of this kind may take 1,000
    /// bytes of the URL together.
    ///
    /// Values can't be checked against the filter. If the server ignores it, the list contains all values
    /// that meet the other conditions; its completeness is checked as usual. A
    /// [`Delete`](crate::Delete) has no such method for that reason.
    ///
    /// Errors and logs contain the name of the filter only.
    ///
    /// ```no_run
    /// # async fn program(store: bigcommerce_ext::Store) {
    /// let values = store.list().query("channel_id", 7).stream();
    /// # }
    /// ```
    pub fn query(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.filter.extra.add(name.into(), value.to_string());
        self
    }

    /// Sets the maximum number of values per page (default 250, the provider's maximum; at least
    /// 1).
    ///
    /// If the server rejects a page for its size, the list continues with 100 and then with 50
    /// values per page. The rejected size is tried again after ten minutes.
    pub fn page_size(mut self, values: u64) -> Self {
        self.options.page_size = Some(values.max(1));
        self
    }

    /// Sets what the list does while the store is down (default: it waits for up to 15 minutes).
    pub fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.settings.on_outage = Some(on_outage);
        self
    }

    /// Ends the list without an error if values are missing.
    ///
    /// That suits servers that report the number of all values of the store as the total of a
    /// selection. Values that the server did not show go unnoticed.
    pub fn allow_incomplete(mut self) -> Self {
        self.options.allow_incomplete = true;
        self
    }

    /// Ends the list when the future completes, with an error of the kind
    /// [`Stopped`](crate::ErrorKind::Stopped) as its last item. Requests in flight are cancelled.
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.settings.stop = Some(Box::pin(stop));
        self
    }

    run_methods!("list");

    /// Returns a stream of the values. Nothing is sent before it is polled.
    ///
    /// # Errors
    ///
    /// The stream ends with an error if a page could not be read after all retries. The values of
    /// all earlier pages come first, and the error names the page. If values are missing at the end,
    /// the last item is an error; see [Incomplete lists](Self#incomplete-lists). If the server
    /// ignores a condition, the stream ends with an error; see
    /// [Ignored filters](Self#ignored-filters). If an ID or the attribute's name is invalid, the
    /// stream yields only that error, and nothing is sent.
    pub fn stream(self) -> Values {
        Values::new(self.pages())
    }

    /// Returns a stream of the pages, in order. Nothing is sent before it is polled.
    ///
    /// After the first page, up to [`max_in_flight`](crate::Limits::max_in_flight) pages are
    /// fetched at a time.
    ///
    /// # Errors
    ///
    /// As [`stream`](Self::stream).
    pub fn pages(mut self) -> Pages {
        let mut filter = self.filter.validate();
        let client = match self.settings.apply(&self.client) {
            Ok(client) => client,
            Err(error) => {
                filter = Err(error);
                self.client
            }
        };
        self.options.on_outage = self.settings.on_outage.unwrap_or_default();
        self.options.stop = self.settings.take_stop();
        self.options.observer = self.settings.observer;
        Pages::new(client, filter, self.options)
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("client", &self.client)
            .field("filter", &self.filter)
            .field("options", &self.options)
            .field("settings", &self.settings)
            .finish()
    }
}
