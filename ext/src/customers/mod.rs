//! Customers: their list, and the lookups of rows that name them by address or external ID.

mod account;
mod address;
mod address_book;
mod filter;
mod lookup;
mod read;
mod stream;

use std::fmt;
use std::sync::Arc;

use bigcommerce_sdk::types::Customer;
use futures_util::stream::TryStreamExt;

use crate::client::{Client, OnOutage, RunSettings, run_methods};
use crate::date_filter::DateFilter;
use crate::error::Error;

pub(crate) use account::{AccountChoice, Resolution};
pub(crate) use address::{Address, url_len};
pub(crate) use address_book::{AddressBook, AddressState, FoundAccounts, Lookup, ends_run};
use filter::CustomerFilter;
pub(crate) use lookup::{Listing, ListingScope, list_all, look_up, look_up_all};
pub use stream::Customers;

/// Lists the customers of a store; see [`Store::customers`](crate::Store::customers).
///
/// Without conditions, the list contains all customers. With several conditions, it contains the
/// customers that meet all of them.
///
/// ```
/// use bigcommerce_ext::Store;
/// # use bigcommerce_sandbox::Sandbox;
/// use futures::TryStreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = Sandbox::builder().customer(2048, "Jane@example.com").start().await?;
/// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
/// let found = store.customers().find("jane@example.com").await?;
/// assert_eq!(found[0].id, 2048);
///
/// let mut customers = store.customers().stream();
/// while let Some(customer) = customers.try_next().await? {
///     println!("{}: {}", customer.id, customer.email);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # E-mail addresses
///
/// Addresses are compared without regard to case and to spaces around them. Several customers may
/// have the same address: a store with several channels may keep an account for each. An address that
/// no customer has as it is written is asked for in lower case, because the server may distinguish
/// case.
///
/// # Pages
///
/// Pages have 250 customers and are read one after the other: by cursor where the server shows one, so
/// that customers who come and go shift no page, or else by number.
///
/// # Incomplete lists and ignored filters
///
/// As for [`List`](crate::List#incomplete-lists), a list that has fewer customers than the server's
/// total ends with an error as its last item. A customer who does not meet the conditions shows that
/// the server ignores one of them; the list then ends with an error in place of that page.
///
/// Maps to the endpoint [Get all customers][1].
///
/// [1]: https://developer.bigcommerce.com/docs/rest-management/customers
#[must_use = "nothing is read before `stream` is polled"]
pub struct CustomerList {
    client: Client,
    filter: CustomerFilter,
    settings: RunSettings,
}

impl CustomerList {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            filter: CustomerFilter::default(),
            settings: RunSettings::default(),
        }
    }

    /// Limits the list to customers with these e-mail addresses.
    ///
    /// An empty list selects nothing. A list of any length is split into queries that each fit a URL.
    pub fn emails<A: Into<Arc<str>>>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        self.filter
            .set_addresses(addresses.into_iter().map(Into::into));
        self
    }

    /// Limits the list to customers with these IDs.
    ///
    /// An empty list selects nothing. A list of any length is split into queries that each fit a URL.
    pub fn ids(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
        self.filter.ids = Some(ids.into_iter().collect());
        self
    }

    /// Limits the list to customers of these customer groups. Group 0 has the customers without one.
    ///
    /// An empty list selects nothing.
    pub fn groups(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
        self.filter.groups = Some(ids.into_iter().collect());
        self
    }

    /// Limits the list to customers created on this date or at this time.
    pub fn created_on(mut self, when: impl Into<DateFilter>) -> Self {
        self.filter.created.on = Some(when.into());
        self
    }

    /// Limits the list to customers created on or after this date or time.
    pub fn created_since(mut self, when: impl Into<DateFilter>) -> Self {
        self.filter.created.since = Some(when.into());
        self
    }

    /// Limits the list to customers created on or before this date or time.
    pub fn created_until(mut self, when: impl Into<DateFilter>) -> Self {
        self.filter.created.until = Some(when.into());
        self
    }

    /// Limits the list to customers last modified on this date or at this time.
    pub fn modified_on(mut self, when: impl Into<DateFilter>) -> Self {
        self.filter.modified.on = Some(when.into());
        self
    }

    /// Limits the list to customers last modified on or after this date or time.
    pub fn modified_since(mut self, when: impl Into<DateFilter>) -> Self {
        self.filter.modified.since = Some(when.into());
        self
    }

    /// Limits the list to customers last modified on or before this date or time.
    pub fn modified_until(mut self, when: impl Into<DateFilter>) -> Self {
        self.filter.modified.until = Some(when.into());
        self
    }

    /// Sets what the list does while the store is down (default: it waits for up to 15 minutes).
    pub fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.settings.on_outage = Some(on_outage);
        self
    }

    /// Ends the list when the future completes, with an error of the kind
    /// [`Stopped`](crate::ErrorKind::Stopped) as its last item. The request in flight is cancelled.
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.settings.stop = Some(Box::pin(stop));
        self
    }

    run_methods!("list");

    /// Returns all customers with this e-mail address, which may be several.
    ///
    /// Cancel safety: dropping the future cancels the request.
    ///
    /// # Errors
    ///
    /// As [`stream`](Self::stream).
    pub async fn find(self, address: &str) -> Result<Vec<Customer>, Error> {
        self.emails([address]).stream().try_collect().await
    }

    /// Returns a stream of the customers. Nothing is sent before it is polled.
    ///
    /// # Errors
    ///
    /// The stream ends with an error if a page could not be read after all retries, or if customers
    /// are missing at the end; see [above](Self#incomplete-lists-and-ignored-filters). If an ID or an
    /// address is invalid, the stream yields only that error, and nothing is sent.
    pub fn stream(self) -> Customers {
        let applied = self.settings.apply(&self.client);
        let filter = match &applied {
            Ok(_) => self.filter.validate(),
            Err(error) => Err(error.clone()),
        };
        let client = applied.unwrap_or(self.client);
        Customers::new(client, filter, self.settings)
    }
}

impl fmt::Debug for CustomerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerList")
            .field("client", &self.client)
            .field("filter", &self.filter)
            .field("settings", &self.settings)
            .finish()
    }
}
