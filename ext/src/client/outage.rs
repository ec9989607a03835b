//! What a run does during an outage.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::Client;

/// What a run does when nothing succeeds any more, so that the store counts as down.
///
/// Five failures in a row are an outage. During an outage, batches are sent only as probes, one
/// request at a time. The waits between probes grow to 30 s. The run resumes when a request
/// succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnOutage {
    /// Stops the run when the outage has lasted this long. An outage that began before the run
    /// counts from the start of the run.
    WaitUpTo(Duration),
    /// Stops the run as soon as the store counts as down.
    Stop,
}

impl Default for OnOutage {
    /// Returns the default of streams and lists: 15 minutes.
    fn default() -> Self {
        Self::WaitUpTo(Duration::from_secs(15 * 60))
    }
}

impl OnOutage {
    /// Returns how long an outage may last.
    pub(crate) fn max_wait(self) -> Duration {
        match self {
            Self::WaitUpTo(time) => time,
            Self::Stop => Duration::ZERO,
        }
    }
}

/// Whether the store responds, as far as its clones know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    Up,
    Down {
        /// When the first of the failures in a row happened.
        since: Instant,
        /// When the next probe may be sent.
        probe_at: Instant,
    },
}

impl Availability {
    pub(crate) fn is_up(self) -> bool {
        self == Self::Up
    }
}

/// A probe under way. Dropping it lets the next one start.
///
/// A probe that is not dropped is over after the longest time that a request can take.
pub(crate) struct ProbeGuard {
    client: Client,
    id: u64,
}

impl ProbeGuard {
    pub(super) fn new(client: &Client) -> Option<Self> {
        let longest = client.attempt_time() + client.grace_time();
        let id = client.state().try_probe(longest)?;
        Some(Self {
            client: client.clone(),
            id,
        })
    }
}

impl Drop for ProbeGuard {
    fn drop(&mut self) {
        self.client.state().end_probe(self.id);
    }
}

/// Wakes a driver when the availability of the store may have changed.
pub(crate) struct AvailabilityWatch {
    client: Client,
    id: u64,
    seen: u64,
}

impl AvailabilityWatch {
    pub(super) fn new(client: &Client) -> Self {
        let (id, seen) = client.state().changes.new_watcher();
        Self {
            client: client.clone(),
            id,
            seen,
        }
    }

    /// Returns `Ready` once per change: an outage or a probe has started or ended, or held customers
    /// were released. Otherwise wakes `cx` at the next change.
    pub(crate) fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<()> {
        let changes = &self.client.state().changes;
        changes.poll_changed(self.id, &mut self.seen, cx)
    }

    pub(super) async fn changed(&mut self) {
        std::future::poll_fn(|cx| self.poll_changed(cx)).await;
    }
}

impl Drop for AvailabilityWatch {
    fn drop(&mut self) {
        self.client.state().changes.remove_watcher(self.id);
    }
}
