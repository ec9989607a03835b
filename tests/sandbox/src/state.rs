use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use crate::attributes::Attributes;
use crate::busy_customers::BusyCustomers;
use crate::clock::Clock;
use crate::counts::{Counts, QueryLog};
use crate::fault::Fault;
use crate::fault_schedule::FaultSchedule;
use crate::other_app::OtherApp;
use crate::page_cache::PageCache;
use crate::quota::Quota;
use crate::settings::Settings;
use crate::store::{Customers, Store};

/// Everything that the connections of one sandbox share.
pub(crate) struct Shared {
    pub settings: Settings,
    pub base_url: String,
    pub clock: Clock,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub counts: Counts,
    pub quota: Option<Quota>,
    pub latency: Duration,
    pub store: Store,
    pub attributes: Attributes,
    pub customers: Customers,
    pub customer_queries: QueryLog,
    pub page_cache: PageCache,
    pub fault_schedule: Option<FaultSchedule>,
    pub fault_counts: BTreeMap<Fault, u64>,
    pub busy_customers: BusyCustomers,
}

impl State {
    /// Counts a fault that has taken effect, or certainly will.
    pub(crate) fn count_fault(&mut self, fault: Fault) {
        *self.fault_counts.entry(fault).or_default() += 1;
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings, base_url: String, clock: Clock) -> Self {
        let other_app = settings
            .other_app
            .map(|(seed, share)| OtherApp::new(seed, share));
        let mut attributes = Attributes::default();
        for (id, (name, attribute_type)) in &settings.attributes {
            attributes.define(*id, name.clone(), *attribute_type, clock.now());
        }
        let mut customers = Customers::default();
        for customer in &settings.customers {
            customers.insert(customer.clone(), clock.now());
        }
        let mut store = Store::default();
        // A client may take care of what was changed just now.
        let yesterday = clock.now() - TimeDelta::days(1);
        for (customer, attribute, value) in &settings.values {
            store.upsert(*customer, *attribute, value.clone(), yesterday);
        }
        let state = State {
            counts: Counts::default(),
            quota: settings
                .quota
                .map(|(requests, window)| Quota::new(requests, window, other_app)),
            latency: settings.latency,
            store,
            attributes,
            customers,
            customer_queries: QueryLog::default(),
            page_cache: PageCache::default(),
            fault_schedule: FaultSchedule::start(settings.faults.clone()),
            fault_counts: BTreeMap::new(),
            busy_customers: BusyCustomers::default(),
        };
        Self {
            settings,
            base_url,
            clock,
            state: Mutex::new(state),
        }
    }

    /// Locks the state for one step; never held across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under the lock, and each step leaves the state consistent, so a
        // poisoned lock is usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
