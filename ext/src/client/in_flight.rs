//! A request in flight, from before it is sent until the server can't be running it any more.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::Client;
use super::limiter::{MAX_WAIT, Permit, RateLimitHeaders, Throttled};

/// Holds the permit and the quota of a request.
///
/// The server may still be running a request that was abandoned, answered by a gateway, or dropped
/// with its task. The permit of such a request is released only after the grace period.
pub(super) struct InFlightGuard {
    client: Client,
    permit: Option<Permit>,
}

impl InFlightGuard {
    /// Takes one request from the quota for a permit.
    ///
    /// # Errors
    ///
    /// [`Throttled`] says how long to wait. The permit is released then.
    pub(super) fn acquire(client: &Client, permit: Permit) -> Result<Self, Throttled> {
        client.limiter().state().acquire(Instant::now())?;
        Ok(Self {
            client: client.clone(),
            permit: Some(permit),
        })
    }

    /// Records the response and releases the permit.
    ///
    /// If the response asks to wait, all requests of the store do.
    pub(super) fn finish(mut self, headers: RateLimitHeaders) {
        self.record_response(headers);
        self.permit = None;
    }

    /// Records that the request never left, and releases the permit.
    pub(super) fn cancel(self) {
        self.finish(RateLimitHeaders::default());
    }

    /// Records a gateway's response. Returns until when the server may be running the request.
    pub(super) fn finish_by_gateway(mut self, headers: RateLimitHeaders) -> Instant {
        self.record_response(headers);
        self.release_later();
        Instant::now() + self.grace_period()
    }

    /// Records that no response will come. Returns until when the server may be running the
    /// request.
    pub(super) fn abandon(self) -> Instant {
        Instant::now() + self.grace_period()
    }

    fn grace_period(&self) -> Duration {
        self.client.limits().grace_period.min(MAX_WAIT)
    }

    fn release_later(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let grace_period = self.grace_period();
        // Without a runtime, no other request can be sent.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                sleep(grace_period).await;
                drop(permit);
            });
        }
    }

    fn record_response(&self, headers: RateLimitHeaders) {
        let now = Instant::now();
        let mut state = self.client.limiter().state();
        state.record_response(now, headers.quota);
        if let Some(wait) = headers.retry_after {
            state.block(now, wait);
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        if self.permit.is_some() {
            self.record_response(RateLimitHeaders::default());
            self.release_later();
        }
    }
}
