//! Who holds what, and who waits for what.

use std::time::Duration;

use super::member::Record;
use super::place::{LimiterPlace, PlaceError};
use super::state::LimiterState;

/// The state of a store's limits, for health pages.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LimiterStatus {
    /// Where the limits are kept.
    pub sharing: Sharing,
    /// The requests in flight, abandoned ones included, oldest first.
    pub leases: Vec<LeaseStatus>,
    /// The number of requests that wait for their turn. Each process queues at most as many as it may
    /// have in flight; more may wait inside of it.
    pub waiting: usize,
    /// The quota, as far as it is known.
    pub quota: Option<QuotaStatus>,
    /// For how long no request may be sent, because a response asked for it.
    pub blocked_for: Option<Duration>,
}

impl LimiterStatus {
    /// Reads the status of a store from the place that its processes share.
    ///
    /// `store` is the store's hash, or its base URL if it has another one than
    /// `https://api.bigcommerce.com/stores/{hash}/v3`.
    ///
    /// # Errors
    ///
    /// Returns an error if the place can't be read, or contains something else.
    pub async fn read(place: &dyn LimiterPlace, store: &str) -> Result<Self, PlaceError> {
        Self::read_key(place, &key_of(&base_url_of(store))).await
    }

    pub(super) async fn read_key(place: &dyn LimiterPlace, key: &str) -> Result<Self, PlaceError> {
        let reply = place.read(key).await?;
        let record = reply.value.as_deref().map(Record::parse).transpose();
        let record = record
            .map_err(|cause| PlaceError::new(format!("{}, key {key}: {cause}", place.name())))?;
        let record = record.unwrap_or_default();
        Ok(Self::of_record(&record, reply.now_ms, Sharing::Shared))
    }

    pub(super) fn of_record(record: &Record, now: u64, sharing: Sharing) -> Self {
        Self::of_state(&record.state, now, sharing, |owner| record.name_of(owner))
    }

    pub(super) fn of_local(state: &LimiterState, now: u64) -> Self {
        let process = std::process::id().to_string();
        Self::of_state(state, now, Sharing::Local, |_| process.clone())
    }

    fn of_state(
        state: &LimiterState,
        now: u64,
        sharing: Sharing,
        name_of: impl Fn(u64) -> String,
    ) -> Self {
        let ms = Duration::from_millis;
        let now = now.max(state.latest());
        let live = state.leases().filter(|(_, lease)| now < lease.expires);
        let mut leases: Vec<_> = live
            .map(|(id, lease)| LeaseStatus {
                process: name_of(id.owner),
                age: ms(now.saturating_sub(lease.acquired)),
                expires_in: ms(lease.expires - now),
                is_abandoned: lease.is_over,
                customers: lease.customers.clone(),
            })
            .collect();
        leases.sort_by_key(|lease| std::cmp::Reverse(lease.age));
        let quota = state.quota(now);
        Self {
            sharing,
            leases,
            waiting: state.waiting(now),
            quota: quota.map(|(limit, left, resets_in)| QuotaStatus {
                limit,
                left,
                resets_in: ms(resets_in),
            }),
            blocked_for: state.blocked_for(now).map(ms),
        }
    }
}

/// Returns the base URL of a store that is given by its hash or by its base URL.
fn base_url_of(store: &str) -> String {
    match store.contains("://") {
        true => store.trim_end_matches('/').to_owned(),
        false => format!("https://api.bigcommerce.com/stores/{store}/v3"),
    }
}

/// Returns the key of the store with this base URL. In a cluster, keys with the same text in braces
/// are in one place.
pub(super) fn key_of(base_url: &str) -> String {
    let (_, place) = base_url.split_once("://").unwrap_or(("", base_url));
    format!("limits:{{{place}}}")
}

/// Where limits are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sharing {
    /// In this process.
    Local,
    /// In a place that processes share.
    Shared,
    /// The shared place can't be read or written. The status is what this process knows.
    #[non_exhaustive]
    Unreachable {
        /// Why it can't be reached.
        cause: String,
        /// For how long this process has been going on without it (zero if it has not begun to).
        lasted: Duration,
    },
}

/// A request in flight, or an abandoned request that the server may still be running.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseStatus {
    /// The name of the process that sent the request.
    pub process: String,
    /// The time since the lease was acquired.
    pub age: Duration,
    /// When the lease expires, whatever happens.
    pub expires_in: Duration,
    /// Whether the request was abandoned.
    pub is_abandoned: bool,
    /// The customers whose values the request may change, as far as they are leased.
    pub customers: Vec<i64>,
}

/// The quota of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaStatus {
    /// Requests per window.
    pub limit: u64,
    /// Requests left in this window, less those in flight.
    pub left: u64,
    /// When the window ends.
    pub resets_in: Duration,
}
