//! A handle to one store.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use bigcommerce_sdk::{self as sdk, ClientInfo};

use crate::attributes::Attributes;
use crate::call::{Pacer, Permits, RetryPolicy};
use crate::config::{Limits, StoreBuilder};
use crate::credentials::AccessToken;
use crate::delete::Delete;
use crate::error::Error;
use crate::list::List;
use crate::upsert::Upsert;

/// A handle to one store: cheap to clone, and clones share the limits.
///
/// ```no_run
/// # async fn program() -> Result<(), bigcommerce_ext::Error> {
/// let store = bigcommerce_ext::Store::from_env()?;
/// let report = store
///     .upsert()
///     .customer(2048, [(101, "Yes"), (102, "Blue"), (103, "Premium Member")])
///     .send()
///     .await?;
/// println!("{}", report.summary());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Store(Arc<Shared>);

/// What the clones of a store have in common.
pub(crate) struct Shared {
    pub(crate) client: sdk::Client,
    pub(crate) token: AccessToken,
    pub(crate) limits: Limits,
    pub(crate) retry: RetryPolicy,
    pub(crate) permits: Permits,
    pub(crate) pacer: Mutex<Pacer>,
    /// The most values that the server gives in a page, as far as it has shown.
    pub(crate) page_size: AtomicU64,
}

impl Shared {
    pub(crate) fn base_url(&self) -> &str {
        self.client.baseurl()
    }
}

impl Store {
    pub(crate) fn new(
        client: sdk::Client,
        token: AccessToken,
        limits: Limits,
        retry: RetryPolicy,
    ) -> Self {
        let permits = Permits::new(limits.in_flight);
        let pacer = Mutex::new(Pacer::new(limits.others));
        Self(Arc::new(Shared {
            client,
            token,
            limits,
            retry,
            permits,
            pacer,
            page_size: AtomicU64::new(u64::MAX),
        }))
    }

    /// Makes a store from `BIGCOMMERCE_STORE_HASH` and `BIGCOMMERCE_ACCESS_TOKEN`. Sends nothing.
    ///
    /// # Errors
    ///
    /// When one of the variables is missing or can't be used; the message names it.
    pub fn from_env() -> Result<Self, Error> {
        StoreBuilder::from_env()?.build()
    }

    /// Starts a store from its hash (the permanent ID in its API path) and an access token.
    ///
    /// ```
    /// # fn main() -> Result<(), bigcommerce_ext::Error> {
    /// use bigcommerce_ext::Store;
    ///
    /// let store = Store::builder("abc123", "the access token")
    ///     .user_agent("loyalty-sync/1.2 (it@shop.example)")
    ///     .build()?;
    /// assert!(Store::builder("../v2", "the access token").build().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(store_hash: impl Into<String>, token: impl Into<AccessToken>) -> StoreBuilder {
        StoreBuilder::new(store_hash.into(), token.into())
    }

    /// Starts a store from its whole base URL, such as a sandbox prints it
    /// (`http://127.0.0.1:8787/stores/sandbox/v3`), and an access token.
    pub fn builder_at(base_url: impl Into<String>, token: impl Into<AccessToken>) -> StoreBuilder {
        StoreBuilder::new_at(base_url.into(), token.into())
    }

    /// Starts an upsert of attribute values; nothing is sent before
    /// [`send`](Upsert::send) or [`stream`](Upsert::stream).
    pub fn upsert(&self) -> Upsert {
        Upsert::new(self.clone())
    }

    /// Starts a list of attribute values; nothing is sent before its stream is polled.
    pub fn list(&self) -> List {
        List::new(self.clone())
    }

    /// Starts a delete of attribute values; nothing is sent before [`send`](Delete::send) or
    /// [`stream`](Delete::stream).
    pub fn delete(&self) -> Delete {
        Delete::new(self.clone())
    }

    /// Gives access to the attributes that the store defines.
    pub fn attributes(&self) -> Attributes {
        Attributes::new(self.clone())
    }

    /// Gives the generated client, the way past everything that this crate does: its requests
    /// take no permit, wait for no quota and are not retried.
    #[must_use]
    pub fn sdk(&self) -> &sdk::Client {
        &self.0.client
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("base_url", &self.0.client.baseurl())
            .field("limits", &self.0.limits)
            .field("retry", &self.0.retry)
            .finish_non_exhaustive()
    }
}
