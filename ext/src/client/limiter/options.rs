//! The settings of limits that several processes share.

use std::sync::Arc;

use super::place::LimiterPlace;

/// Limits that several processes share, and how.
///
/// Pass it to [`StoreBuilder::limiter`](crate::StoreBuilder::limiter). A [`LimiterPlace`] can be passed
/// directly, to use the default settings.
#[derive(Clone, Debug)]
#[must_use = "settings do nothing unless passed to a store"]
pub struct SharedLimits {
    pub(crate) place: Arc<dyn LimiterPlace>,
    pub(crate) name: String,
    pub(crate) on_unreachable: OnUnreachable,
    pub(crate) leases_customers: bool,
}

/// What a process does while the place of the shared limits can't be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnreachable {
    /// Goes on by itself with so many requests in flight (at least 1). Meanwhile the processes together
    /// may exceed the limits.
    GoOnWith(usize),
    /// Stops runs and calls with [`ErrorKind::LimiterUnreachable`](crate::ErrorKind::LimiterUnreachable).
    Stop,
}

impl Default for OnUnreachable {
    /// Returns one request in flight.
    fn default() -> Self {
        Self::GoOnWith(1)
    }
}

impl SharedLimits {
    /// Creates the default settings for a place.
    pub fn new(place: impl LimiterPlace) -> Self {
        Self {
            place: Arc::new(place),
            name: default_name(),
            on_unreachable: OnUnreachable::default(),
            leases_customers: false,
        }
    }

    /// Sets the name of this process in [`LimiterStatus`](super::LimiterStatus) (default: the
    /// environment variable `HOSTNAME`, if it is set, and the process ID).
    pub fn process_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets what the process does while the place can't be reached for 2 s (default
    /// `GoOnWith(1)`).
    pub fn on_unreachable(mut self, choice: OnUnreachable) -> Self {
        self.on_unreachable = choice;
        self
    }

    /// Leases the customers of upserts, too (default: each process takes care of its own customers only).
    ///
    /// If all processes do, no two of them have the same customer in flight while the place can be reached.
    /// Deletes lease no customers. Which of two rows of different processes is the later one stays unknown:
    /// the one that is sent last wins.
    ///
    /// It costs: a batch whose customers another process has in flight waits, and the state grows by up to
    /// ten IDs per request in flight.
    pub fn lease_customers(mut self) -> Self {
        self.leases_customers = true;
        self
    }
}

impl<P: LimiterPlace> From<P> for SharedLimits {
    fn from(place: P) -> Self {
        Self::new(place)
    }
}

fn default_name() -> String {
    let process = std::process::id();
    match std::env::var("HOSTNAME") {
        Ok(host) if !host.is_empty() => format!("{host}:{process}"),
        _ => process.to_string(),
    }
}
