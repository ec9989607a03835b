//! A request in flight, from before it leaves until nothing of it can be running any more.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::pace::{Hold, LONGEST, Quota};
use super::permits::Permit;
use crate::store::Store;

/// Holds a permit and a place in the quota for a request.
///
/// A request that is given up without an answer, answered by a gateway, or dropped with its task,
/// may still be running on the server: its permit is given back only after a time of grace.
pub(crate) struct Flight {
    store: Store,
    permit: Option<Permit>,
}

impl Flight {
    /// Takes a place in the quota for a permit, or says how long to wait.
    pub(crate) fn begin(store: &Store, permit: Permit) -> Result<Self, Hold> {
        let mut pacer = store
            .shared()
            .pacer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        pacer.acquire(Instant::now())?;
        Ok(Self {
            store: store.clone(),
            permit: Some(permit),
        })
    }

    /// Hears that the server is done with the request, with what it said of the quota, and how
    /// long it asks everyone to wait.
    pub(crate) fn answered(mut self, said: Option<Quota>, told: Option<Duration>) {
        self.tell_pacer(said, told);
        self.permit = None;
    }

    /// Hears that the request never left.
    pub(crate) fn not_sent(self) {
        self.answered(None, None);
    }

    /// Hears that a gateway has answered in the server's place; says until when the request may be
    /// running.
    pub(crate) fn answered_by_gateway(
        mut self,
        said: Option<Quota>,
        told: Option<Duration>,
    ) -> Instant {
        self.tell_pacer(said, told);
        self.linger();
        Instant::now() + self.grace()
    }

    /// Hears that no answer will come; says until when the request may be running.
    pub(crate) fn given_up(self) -> Instant {
        Instant::now() + self.grace()
    }

    fn grace(&self) -> Duration {
        self.store.shared().limits.grace.min(LONGEST)
    }

    /// Keeps the permit for a time of grace.
    fn linger(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let grace = self.grace();
        // Without a runtime there is nothing left that could send.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                sleep(grace).await;
                drop(permit);
            });
        }
    }

    fn tell_pacer(&self, said: Option<Quota>, told: Option<Duration>) {
        let now = Instant::now();
        let shared = self.store.shared();
        let mut pacer = shared.pacer.lock().unwrap_or_else(PoisonError::into_inner);
        pacer.answered(now, said);
        if let Some(wait) = told {
            pacer.block(now, wait);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.permit.is_some() {
            self.tell_pacer(None, None);
            self.linger();
        }
    }
}
