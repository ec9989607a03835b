//! The handle to a store.

mod builder;

use std::fmt;

use bigcommerce_sdk as sdk;

use crate::attributes::Attributes;
use crate::client::limiter::LimiterStatus;
use crate::client::{Client, OnOutage, Operation, RunContext, call, current_runtime};
use crate::credentials::AccessToken;
use crate::customers::CustomerList;
use crate::delete::Delete;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::list::List;
use crate::mirror::Mirror;
use crate::upsert::Upsert;
use crate::value::AttributeKey;

pub use builder::{ACCESS_TOKEN_VARIABLE, BASE_URL_VARIABLE, STORE_HASH_VARIABLE, StoreBuilder};

/// Whether a request may be sent again after the server may have executed it; see [`Store::call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotent {
    /// Executing it twice has the effect of executing it once: reads, upserts, deletes.
    Yes,
    /// Executing it twice has another effect: most creates.
    No,
}

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

    /// Creates a store from `BIGCOMMERCE_STORE_HASH`, or `BIGCOMMERCE_BASE_URL` in its place, and
    /// `BIGCOMMERCE_ACCESS_TOKEN`. Sends nothing.
    ///
    /// For other settings use [`StoreBuilder::from_env`].
    ///
    /// # Errors
    ///
    /// Returns an error if a variable is not set, is not UTF-8, or contains an invalid store hash, base
    /// URL or access token.
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

    /// Returns a builder that makes the store's values of these attributes, given by their IDs or names,
    /// equal to an input. Nothing is sent before [`stream`](Mirror::stream) or
    /// [`preview`](Mirror::preview).
    ///
    /// ```no_run
    /// # use bigcommerce_ext::{Store, UpsertRow};
    /// # async fn program(
    /// #     store: Store,
    /// #     rows: impl futures::Stream<Item = UpsertRow>,
    /// # ) -> Result<(), bigcommerce_ext::Error> {
    /// let report = store.mirror(["Loyalty tier", "Points"]).max_deletes(500).stream(rows).finish().await?;
    /// if let Some(error) = report.summary().held_back() {
    ///     eprintln!("{error}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn mirror<A: Into<AttributeKey>>(&self, attributes: impl IntoIterator<Item = A>) -> Mirror {
        let attributes = attributes.into_iter().map(Into::into);
        Mirror::new(self.client.clone(), attributes.collect())
    }

    /// Returns a builder that lists the customers of the store, or finds some of them. Nothing is sent
    /// before its stream is polled.
    pub fn customers(&self) -> CustomerList {
        CustomerList::new(self.client.clone())
    }

    /// Returns a handle that lists, finds, creates, renames and deletes the attributes of the store.
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

    /// Makes a call of any operation of the SDK within the limits and the quota of the store, with its
    /// retries, events and errors.
    ///
    /// `idempotent` states whether the request may be sent again after the server may have executed it:
    /// after a timeout, a lost connection or a 5xx. A 429, or a connection that was never established,
    /// is retried in either case.
    ///
    /// ```
    /// use bigcommerce_ext::{Idempotent, Store};
    /// # use bigcommerce_sandbox::Sandbox;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = Sandbox::builder().attribute(101, "Loyalty tier").start().await?;
    /// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
    /// let page = store.call(Idempotent::Yes, async |sdk| sdk.list_attributes().send().await).await?;
    /// assert_eq!(page.data.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// `send` is called once per attempt. It must send one request, with the client that it is given:
    /// the limits count one. Events go to [`StoreBuilder::observe`]; their operation is `call`.
    ///
    /// Cancel safety: dropping the future abandons a request in flight, which the server may still
    /// execute.
    ///
    /// # Errors
    ///
    /// Returns an error if the call failed after all retries, if the store has been down for longer than
    /// [`RetryPolicy::retry_timeout`](crate::RetryPolicy::retry_timeout), or if there is no tokio runtime.
    pub async fn call<T, F, Fut>(&self, idempotent: Idempotent, send: F) -> Result<T, Error>
    where
        F: Fn(sdk::Client) -> Fut,
        Fut: Future<Output = Result<sdk::ResponseValue<T>, sdk::Error<sdk::types::ErrorBody>>>,
    {
        current_runtime("calls")?;
        let on_outage = OnOutage::WaitUpTo(self.client.retry().retry_timeout);
        let run = RunContext::new(&self.client, Observer::default()).with_on_outage(on_outage);
        let operation = Operation::of_caller(idempotent == Idempotent::Yes);
        let outcome = call(&self.client, &run, &operation, 0, send).await;
        run.notify(Event::CallFinished {
            call: 0,
            operation: operation.name,
        });
        outcome.result.map_err(|failure| failure.error)
    }

    /// Replaces the access token in the running store, for all of its clones and for
    /// [`sdk`](Self::sdk).
    ///
    /// Requests in flight keep the old token. If the server no longer accepts it (401), they are sent
    /// once more with the new one, and the run continues. Both tokens are redacted in all output. Replace
    /// the token before the old one expires: a 401 before the replacement ends the run.
    ///
    /// ```
    /// # fn main() -> Result<(), bigcommerce_ext::Error> {
    /// let store = bigcommerce_ext::Store::builder("abc123", "the access token").build()?;
    /// store.set_access_token("the next access token")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if the token is empty or
    /// contains a character that a header can't carry. The old token stays.
    pub fn set_access_token(&self, token: impl Into<AccessToken>) -> Result<(), Error> {
        self.client.set_access_token(token.into())
    }

    /// Returns the generated client, which bypasses limits, pacing and retries; [`call`](Self::call) does
    /// not.
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
