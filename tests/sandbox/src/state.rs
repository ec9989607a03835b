use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::counts::Counts;
use crate::limits::Quota;
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
}

impl Shared {
    pub(crate) fn new(settings: Settings, base_url: String, clock: Clock) -> Self {
        let state = State {
            counts: Counts::default(),
            quota: settings
                .quota
                .map(|(requests, window)| Quota::new(requests, window)),
            latency: settings.latency,
            store: Store::default(),
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
