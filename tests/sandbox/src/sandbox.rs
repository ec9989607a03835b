use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::attributes::StoredAttribute;
use crate::clock::Clock;
use crate::counts::Counts;
use crate::extra_fields;
use crate::fault::Fault;
use crate::fault_plan::FaultPlan;
use crate::fault_schedule::FaultSchedule;
use crate::server;
use crate::settings::Settings;
use crate::state::Shared;
use crate::store::{SandboxCustomer, StoredCustomer, StoredValue};

/// A running sandbox. Dropping it stops it.
///
/// Requests whose body has been read are still executed, as long as the runtime lives.
#[must_use = "the sandbox stops when it is dropped"]
pub struct Sandbox {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Sandbox {
    pub(crate) async fn start(settings: Settings) -> io::Result<Self> {
        let hash = &settings.store_hash;
        if hash.is_empty() || !hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "invalid store hash: it must consist of ASCII letters and digits",
            ));
        }
        extra_fields::validate(&settings.extra_fields, &settings.extra_filters)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await?;
        let base_url = format!("http://{}/stores/{hash}/v3", listener.local_addr()?);
        let started_at = settings
            .starts_at
            .unwrap_or_else(|| SystemTime::now().into());
        let clock = Clock::start(started_at);
        let shared = Arc::new(Shared::new(settings, base_url, clock));
        let server = tokio::spawn(server::accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, server })
    }

    /// Returns the store's base URL, `http://127.0.0.1:PORT/stores/HASH/v3`, without a trailing
    /// slash.
    pub fn base_url(&self) -> &str {
        &self.shared.base_url
    }

    /// Returns a snapshot of the counts.
    pub fn counts(&self) -> Counts {
        let state = self.shared.lock();
        Counts {
            values: state.store.len(),
            customers: state.customers.len(),
            faults: state.fault_counts.values().sum(),
            ..state.counts.clone()
        }
    }

    /// Returns how often each fault took effect. Faults that never did are absent.
    pub fn fault_counts(&self) -> BTreeMap<Fault, u64> {
        self.shared.lock().fault_counts.clone()
    }

    /// Returns all values in the order of their IDs.
    pub fn values(&self) -> Vec<StoredValue> {
        self.shared.lock().store.iter().cloned().collect()
    }

    /// Returns all attribute definitions in the order of their IDs.
    pub fn attributes(&self) -> Vec<StoredAttribute> {
        self.shared.lock().attributes.iter().cloned().collect()
    }

    /// Returns a customer's value for an attribute.
    pub fn value(&self, customer_id: i64, attribute_id: i64) -> Option<StoredValue> {
        self.shared
            .lock()
            .store
            .find(customer_id, attribute_id)
            .cloned()
    }

    /// Stores a value directly, without limits, counts and checks, and returns its ID. Its dates
    /// are the current time.
    pub fn insert(&self, customer_id: i64, attribute_id: i64, value: impl Into<String>) -> i64 {
        let now = self.shared.clock.now();
        let value = value.into();
        self.shared
            .lock()
            .store
            .upsert(customer_id, attribute_id, value, now)
    }

    /// Deletes the value with this ID directly, without limits, counts and checks. Returns `true`
    /// if it existed.
    pub fn remove(&self, id: i64) -> bool {
        self.shared.lock().store.remove(id).is_some()
    }

    /// Returns all customers in the order of their IDs.
    pub fn customers(&self) -> Vec<StoredCustomer> {
        self.shared.lock().customers.iter().cloned().collect()
    }

    /// Puts a customer into the store directly, without limits, counts and checks, in place of a
    /// customer with the same ID. Takes a pair of ID and address, or a [`SandboxCustomer`].
    pub fn insert_customer(&self, customer: impl Into<SandboxCustomer>) {
        let now = self.shared.clock.now();
        let customer = customer.into();
        self.shared.lock().customers.insert(customer, now);
    }

    /// Removes the customer with this ID directly, without limits, counts and checks. Returns
    /// `true` if the customer existed. The customer's attribute values stay.
    pub fn remove_customer(&self, id: i64) -> bool {
        self.shared.lock().customers.remove(id).is_some()
    }

    /// Returns the raw query of each GET of customers, as sent, in the order of arrival and whatever
    /// the response: the last 100,000 of them. A GET without a query has an empty one.
    pub fn customer_queries(&self) -> Vec<String> {
        self.shared.lock().customer_queries.to_vec()
    }

    /// Moves the store's calendar on: the dates of values that are stored from now on, and the header
    /// `Date`. Nothing else is moved, such as the quota window.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use bigcommerce_sandbox::Sandbox;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let sandbox = Sandbox::builder().start().await?;
    /// sandbox.insert(2048, 101, "Gold");
    /// sandbox.advance(Duration::from_secs(3600));
    /// sandbox.insert(2048, 102, "Blue");
    /// let [old, new] = &sandbox.values()[..] else { panic!("two values") };
    /// assert!((new.date_created - old.date_created).num_seconds() >= 3600);
    /// # Ok(())
    /// # }
    /// ```
    pub fn advance(&self, time: Duration) {
        self.shared.clock.advance(time);
    }

    /// Sets the latency of all requests that have not started waiting. See also
    /// [`SandboxBuilder::latency`](crate::SandboxBuilder::latency).
    pub fn set_latency(&self, latency: Duration) {
        self.shared.lock().latency = latency;
    }

    /// Replaces the fault plan. [`FaultPlan::none`] ends all faults.
    ///
    /// Request numbers and an outage start again. Requests that were admitted before keep the
    /// faults drawn for them.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.shared.lock().fault_schedule = FaultSchedule::start(plan);
    }

    /// Stops listening, closes the connections, and returns the final counts.
    ///
    /// The port is free again when this returns.
    pub async fn shutdown(mut self) -> Counts {
        self.server.abort();
        // The server ends only by being aborted, so there is no other result to report.
        let _ = (&mut self.server).await;
        self.counts()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Omits the token.
impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("base_url", &self.shared.base_url)
            .finish_non_exhaustive()
    }
}
