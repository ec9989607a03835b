//! The settings that every operation has.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::Shared;
use tokio::time::sleep;

use super::{Client, OnOutage, RetryPolicy};
use crate::error::Error;
use crate::event::Observer;

/// Completes with the reason to stop.
pub(crate) type StopFuture = Pin<Box<dyn Future<Output = Error> + Send>>;

/// A stop of several parts of a run.
pub(crate) type SharedStop = Shared<StopFuture>;

/// The settings of one run, list or lookup.
#[derive(Default)]
pub(crate) struct RunSettings {
    pub retry: Option<RetryPolicy>,
    pub deadline: Option<Duration>,
    pub stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The stop of all parts of a run, in place of the stop and the deadline.
    pub shared_stop: Option<SharedStop>,
    pub on_outage: Option<OnOutage>,
    pub observer: Observer,
}

impl RunSettings {
    /// Returns the client with the retry policy of the run.
    pub(crate) fn apply(&self, client: &Client) -> Result<Client, Error> {
        match &self.retry {
            None => Ok(client.clone()),
            Some(policy) => {
                policy.validate()?;
                Ok(client.with_retry(policy.clone()))
            }
        }
    }

    /// Returns a future that completes when the run is to stop. Its time begins at the first poll.
    pub(crate) fn take_stop(&mut self) -> Option<StopFuture> {
        if let Some(stop) = self.shared_stop.take() {
            return Some(Box::pin(stop));
        }
        let stop = self.stop.take();
        let deadline = self.deadline;
        if stop.is_none() && deadline.is_none() {
            return None;
        }
        Some(Box::pin(async move {
            let stopped = async {
                match stop {
                    Some(stop) => stop.await,
                    None => std::future::pending().await,
                }
            };
            let Some(deadline) = deadline else {
                stopped.await;
                return Error::stopped();
            };
            tokio::select! {
                biased;
                () = stopped => Error::stopped(),
                () = sleep(deadline) => Error::deadline(deadline),
            }
        }))
    }
}

impl fmt::Debug for RunSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunSettings")
            .field("retry", &self.retry)
            .field("deadline", &self.deadline)
            .field("on_outage", &self.on_outage)
            .field("observer", &self.observer)
            .finish_non_exhaustive()
    }
}

/// Adds the methods that every builder with `settings` has. The argument names what the builder does.
macro_rules! run_methods {
    ($run:literal) => {
        #[doc = concat!("Sets how often and for how long the calls of the ", $run, " are retried")]
        /// (default: as the store, see [`StoreBuilder::retry`](crate::StoreBuilder::retry)).
        pub fn retry(mut self, policy: $crate::client::RetryPolicy) -> Self {
            self.settings.retry = Some(policy);
            self
        }

        #[doc = concat!("Stops the ", $run, " when this time has passed since its start (default: never).")]
        ///
        /// It stops as with [`stop_when`](Self::stop_when). The error has the kind
        /// [`Stopped`](crate::ErrorKind::Stopped) and names the time.
        pub fn deadline(mut self, time: std::time::Duration) -> Self {
            self.settings.deadline = Some(time);
            self
        }

        #[doc = concat!("Sets a function that receives the events of the ", $run, ".")]
        ///
        /// The function is called from the tasks that make the calls and from the task that polls the
        /// results. It should be quick and must not block. If it panics, the polling task panics too.
        pub fn observe(
            mut self,
            observe: impl Fn(&$crate::event::Event) + Send + Sync + 'static,
        ) -> Self {
            self.settings.observer = $crate::event::Observer::new(observe);
            self
        }
    };
}
pub(crate) use run_methods;
