//! The handle to a store.

mod builder;

use std::fmt;

use bigcommerce_sdk as sdk;

use crate::attributes::Attributes;
use crate::client::Client;
use crate::client::limiter::LimiterStatus;
use crate::credentials::AccessToken;
use crate::delete::Delete;
use crate::error::Error;
use crate::list::List;
use crate::upsert::Upsert;

pub use builder::{ACCESS_TOKEN_VARIABLE, STORE_HASH_VARIABLE, StoreBuilder};

/// A handle to one store. Cloning is cheap. All clones share the limits, and so do stores that are built
/// separately for the same base URL in one process.
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
pub struct Store {
    client: Client,
}

impl Store {
    fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates a store from `BIGCOMMERCE_STORE_HASH` and `BIGCOMMERCE_ACCESS_TOKEN`. Sends nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if a variable is not set, is not UTF-8, or contains an invalid store hash or
    /// access token.
    pub fn from_env() -> Result<Self, Error> {
        StoreBuilder::from_env()?.build()
    }

    /// Returns a builder for the store with this hash, the permanent ID in its API path.
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

    /// Returns a builder for the store at this base URL, such as the one that the sandbox prints
    /// (`http://127.0.0.1:8787/stores/sandbox/v3`).
    pub fn builder_with_base_url(
        base_url: impl Into<String>,
        token: impl Into<AccessToken>,
    ) -> StoreBuilder {
        StoreBuilder::with_base_url(base_url.into(), token.into())
    }

    /// Returns a builder that upserts attribute values. Nothing is sent before
    /// [`send`](Upsert::send) or [`stream`](Upsert::stream).
    pub fn upsert(&self) -> Upsert {
        Upsert::new(self.client.clone())
    }

    /// Returns a builder that lists attribute values. Nothing is sent before its stream is polled.
    pub fn list(&self) -> List {
        List::new(self.client.clone())
    }

    /// Returns a builder that deletes attribute values. Nothing is sent before
    /// [`send`](Delete::send) or [`stream`](Delete::stream).
    pub fn delete(&self) -> Delete {
        Delete::new(self.client.clone())
    }

    /// Returns a handle that lists, finds and creates the attributes of the store.
    pub fn attributes(&self) -> Attributes {
        Attributes::new(self.client.clone())
    }

    /// Returns the state of the limits: who holds what, the quota, and who waits.
    ///
    /// For limits that processes share, it reads their place, for 1 s at most. If that fails, it
    /// returns what this process knows, with [`Sharing::Unreachable`](crate::limiter::Sharing).
    pub async fn limiter_status(&self) -> LimiterStatus {
        self.client.limiter_status().await
    }

    /// Returns the generated client, which bypasses limits, pacing and retries.
    #[must_use]
    pub fn sdk(&self) -> &sdk::Client {
        self.client.sdk()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("base_url", &self.client.base_url())
            .field("limits", self.client.limits())
            .field("retry", self.client.retry())
            .finish_non_exhaustive()
    }
}
