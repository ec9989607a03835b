use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::attributes::Attributes;
use crate::clock::Clock;
use crate::counts::Counts;
use crate::fault::Fault;
use crate::limits::Quota;
use crate::lists::Lists;
use crate::other_app::OtherApp;
use crate::overlap::Busy;
use crate::plan::Faults;
use crate::settings::Settings;
use crate::store::Store;

/// All that the connections of one sandbox share.
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
    pub lists: Lists,
    /// `None` where nothing is to go wrong.
    pub faults: Option<Faults>,
    /// How often each fault was played.
    pub played: BTreeMap<Fault, u64>,
    pub busy: Busy,
}

impl State {
    /// A fault has happened to a request, or is about to for certain.
    pub(crate) fn note(&mut self, fault: Fault) {
        *self.played.entry(fault).or_default() += 1;
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
        let state = State {
            counts: Counts::default(),
            quota: settings
                .quota
                .map(|(requests, window)| Quota::new(requests, window, other_app)),
            latency: settings.latency,
            store: Store::default(),
            attributes,
            lists: Lists::default(),
            faults: Faults::begin(settings.faults.clone()),
            played: BTreeMap::new(),
            busy: Busy::default(),
        };
        Self {
            settings,
            base_url,
            clock,
            state: Mutex::new(state),
        }
    }

    /// Held for one step at a time, never across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // No code of a user's runs under the lock and each step leaves the state whole, so a
        // panic elsewhere in the thread that held it is no reason to stop.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
