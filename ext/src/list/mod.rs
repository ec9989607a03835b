//! Lists of attribute values: their conditions, and how their pages are read.

mod date_filter;
mod filter;
mod id_set;
mod pages;
mod read_request;

use std::fmt;

use crate::client::Client;
use crate::event::{Event, Observer};

pub use date_filter::DateFilter;
pub(crate) use filter::{Filter, ValidFilter};
pub use pages::{Page, Pages, Values};
pub(crate) use read_request::{ReadRequest, probe, read};

/// Adds the methods that set the conditions of a builder with a `filter`. The argument begins the
/// documentation of each method.
macro_rules! filter_methods {
    ($limits_to_values:literal) => {
        #[doc = concat!($limits_to_values, " of these customers.")]
        ///
        /// An empty list selects nothing. A list of any length is split into queries that each fit
        /// a URL.
        pub fn customers(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
            self.filter.customers = Some(ids.into_iter().collect());
            self
        }

        #[doc = concat!($limits_to_values, " of these attributes.")]
        ///
        /// An empty list selects nothing.
        pub fn attributes(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
            self.filter.attributes = Some(ids.into_iter().collect());
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
        pub fn created_on(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
            self.filter.created.on = Some(when.into());
            self
        }

        #[doc = concat!($limits_to_values, " created on or after this date or time.")]
        pub fn created_since(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
            self.filter.created.since = Some(when.into());
            self
        }

        #[doc = concat!($limits_to_values, " created on or before this date or time.")]
        pub fn created_until(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
            self.filter.created.until = Some(when.into());
            self
        }

        #[doc = concat!($limits_to_values, " last modified on this date or at this time.")]
        pub fn modified_on(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
            self.filter.modified.on = Some(when.into());
            self
        }

        #[doc = concat!($limits_to_values, " last modified on or after this date or time.")]
        pub fn modified_since(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
            self.filter.modified.since = Some(when.into());
            self
        }

        #[doc = concat!($limits_to_values, " last modified on or before this date or time.")]
        pub fn modified_until(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
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
    page_size: Option<u64>,
    observer: Observer,
}

impl List {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            filter: Filter::default(),
            page_size: None,
            observer: Observer::default(),
        }
    }

    filter_methods!("Limits the list to values");

    /// Sets the maximum number of values per page (default 250, the provider's maximum; at least
    /// 1).
    ///
    /// If the server rejects a page for its size, the list continues with 100 and then with 50
    /// values per page.
    pub fn page_size(mut self, values: u64) -> Self {
        self.page_size = Some(values.max(1));
        self
    }

    /// Sets a function that receives the events of the list.
    ///
    /// The function is called from the tasks that make the calls and from the task that polls the
    /// stream. It should be quick and must not block. If it panics, the polling task panics too.
    pub fn observe(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    /// Returns a stream of the values. Nothing is sent before it is polled.
    ///
    /// # Errors
    ///
    /// The stream ends with an error if a page could not be read after all retries. The values of
    /// all earlier pages come first, and the error names the page. If an ID or the attribute's name
    /// is invalid, the stream yields only that error, and nothing is sent.
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
    pub fn pages(self) -> Pages {
        let filter = self.filter.validate();
        Pages::new(self.client, filter, self.page_size, self.observer)
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("client", &self.client)
            .field("filter", &self.filter)
            .field("page_size", &self.page_size)
            .field("observer", &self.observer)
            .finish()
    }
}
