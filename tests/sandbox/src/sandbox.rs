use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::attributes::StoredAttribute;
use crate::builder::SandboxBuilder;
use crate::clock::Clock;
use crate::counts::Counts;
use crate::fault::Fault;
use crate::plan::{FaultPlan, Faults};
use crate::server;
use crate::settings::Settings;
use crate::state::Shared;
use crate::store::StoredValue;

/// A running sandbox; it stops when this is dropped.
///
/// Requests whose body was read are still worked on to their end, as long as the runtime lives.
#[must_use = "the sandbox stops when this is dropped"]
pub struct Sandbox {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Sandbox {
    /// Settings to start a sandbox with.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::default()
    }

    pub(crate) async fn start(settings: Settings) -> io::Result<Self> {
        let hash = &settings.store_hash;
        if hash.is_empty() || !hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a store hash consists of letters and digits",
            ));
        }
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

    /// The store's whole base URL, `http://127.0.0.1:PORT/stores/HASH/v3`, without a trailing
    /// slash.
    pub fn base_url(&self) -> &str {
        &self.shared.base_url
    }

    /// What was seen so far.
    pub fn counts(&self) -> Counts {
        let state = self.shared.lock();
        Counts {
            values: state.store.len(),
            faults: state.played.values().sum(),
            ..state.counts.clone()
        }
    }

    /// How often each fault was played; those that never were are not in it.
    pub fn fault_counts(&self) -> BTreeMap<Fault, u64> {
        self.shared.lock().played.clone()
    }

    /// All values, in the order of their IDs.
    pub fn values(&self) -> Vec<StoredValue> {
        self.shared.lock().store.iter().cloned().collect()
    }

    /// All definitions of attributes, in the order of their IDs.
    pub fn attributes(&self) -> Vec<StoredAttribute> {
        self.shared.lock().attributes.iter().cloned().collect()
    }

    /// A customer's value for an attribute.
    pub fn value(&self, customer_id: i64, attribute_id: i64) -> Option<StoredValue> {
        self.shared
            .lock()
            .store
            .find(customer_id, attribute_id)
            .cloned()
    }

    /// Stores a value as of now, past all limits, counts and checks, and returns its ID.
    pub fn insert(&self, customer_id: i64, attribute_id: i64, value: impl Into<String>) -> i64 {
        let now = self.shared.clock.now();
        let value = value.into();
        self.shared
            .lock()
            .store
            .upsert(customer_id, attribute_id, value, now)
    }

    /// Deletes the value with an ID, past all limits, counts and checks, and says whether there was
    /// one.
    pub fn remove(&self, id: i64) -> bool {
        self.shared.lock().store.remove(id).is_some()
    }

    /// Changes the latency, for requests whose wait has not begun; see
    /// [`SandboxBuilder::latency`].
    pub fn set_latency(&self, latency: Duration) {
        self.shared.lock().latency = latency;
    }

    /// Sets what goes wrong from now on; [`FaultPlan::none`] ends it.
    ///
    /// Requests have their numbers, and an outage its time, from here on. To requests that were
    /// admitted before, what was drawn for them still happens.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.shared.lock().faults = Faults::begin(plan);
    }

    /// Stops listening, closes the connections, and returns what was seen.
    ///
    /// The port is free again when this returns.
    pub async fn shutdown(mut self) -> Counts {
        self.server.abort();
        // The only outcome is that it was stopped: it does not end by itself.
        let _ = (&mut self.server).await;
        self.counts()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Leaves the token out.
impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("base_url", &self.shared.base_url)
            .finish_non_exhaustive()
    }
}
