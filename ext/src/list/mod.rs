//! Listing values: which, and how they are read.

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

/// Adds the methods by which a builder says which values it is about; its `filter` is a
/// [`Filter`](crate::list::Filter).
macro_rules! filter_methods {
    () => {
        /// Only values of these customers. An empty list selects nothing. Any number is split over
        /// as many queries as it takes.
        pub fn customers(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
            self.filter.customers = Some(ids.into_iter().collect());
            self
        }

        /// Only values of these attributes. An empty list selects nothing.
        pub fn attributes(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
            self.filter.attributes = Some(ids.into_iter().collect());
            self
        }

        /// Only values of the attribute with this name, which must not be empty.
        pub fn attribute_name(mut self, name: impl Into<String>) -> Self {
            self.filter.name = Some(name.into());
            self
        }

        /// Only values that were first stored on this date, or at this time.
        pub fn created_on(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
            self.filter.created.on = Some(when.into());
            self
        }

        /// Only values that were first stored on this date or at this time, or later.
        pub fn created_since(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
            self.filter.created.since = Some(when.into());
            self
        }

        /// Only values that were first stored on this date or at this time, or earlier.
        pub fn created_until(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
            self.filter.created.until = Some(when.into());
            self
        }

        /// Only values that were last changed on this date, or at this time.
        pub fn modified_on(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
            self.filter.modified.on = Some(when.into());
            self
        }

        /// Only values that were last changed on this date or at this time, or later.
        pub fn modified_since(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
            self.filter.modified.since = Some(when.into());
            self
        }

        /// Only values that were last changed on this date or at this time, or earlier.
        pub fn modified_until(mut self, when: impl Into<$crate::list::DateFilter>) -> Self {
            self.filter.modified.until = Some(when.into());
            self
        }
    };
}
pub(crate) use filter_methods;

/// A list of attribute values; see [`Store::list`](crate::Store::list).
///
/// Without a filter it is all values of the store; what is set must hold together.
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
/// if values.changed_during_read() { /* the store was changed meanwhile: read it again to be sure */ }
/// # Ok(())
/// # }
/// ```
///
/// Pages are counted by offset. Where values come and go while one lists, those behind them move
/// to other pages: a value that so comes twice is delivered once, but one that moves to a page
/// that was read already is failed. [`Values::changed_during_read`] tells when that may have happened.
///
/// To know a value that comes twice, the IDs of those that were delivered are kept: a million take
/// about half a megabyte where they lie close together, and 40 bytes each at worst.
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

    filter_methods!();

    /// Sets how many values a page holds: 250 by default, the provider's most; at least 1. Where
    /// the server refuses that for its size, 100 and 50 are tried.
    pub fn page_size(mut self, values: u64) -> Self {
        self.page_size = Some(values.max(1));
        self
    }

    /// Sets a function that is told of events while the list is read. It is called from the tasks
    /// that make the calls and from the one that polls, so it should be quick and must not block;
    /// if it panics, so does whoever polls.
    pub fn observe(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    /// Yields the values.
    ///
    /// # Errors
    ///
    /// The stream ends with an error where a page could not be read after all retries, after the
    /// values of all earlier pages; the error says which page it was. With an ID or a name that
    /// can't be meant, nothing is sent.
    pub fn stream(self) -> Values {
        Values::new(self.pages())
    }

    /// Yields the pages, in order. After the first one, further pages are fetched ahead, as many
    /// at a time as requests may be in flight.
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
