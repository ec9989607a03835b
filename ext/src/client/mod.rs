//! One API call: acquire a place among the requests in flight, send, classify the response, wait,
//! and try again.

mod attempt;
mod call;
mod call_set;
mod changes;
mod clock;
mod context;
mod error_body;
mod explain;
mod failure;
mod health;
mod lease;
pub(crate) mod limiter;
mod limits;
mod log;
mod operation;
mod outage;
mod paging;
mod retry;
mod runtime;
mod settings;
mod shared_state;
#[cfg(test)]
mod tests;
mod token;
pub(crate) mod url_budget;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bigcommerce_sdk::{self as sdk, ClientInfo, Credentials};
use reqwest::Url;
use tokio::time::Instant;

use crate::credentials::AccessToken;
use crate::error::Error;
use crate::event::Observer;
use crate::normalization::Normalization;

pub(crate) use attempt::{AttemptInfo, RequestFailure, RequestOutcome, request};
pub(crate) use call::call;
pub(crate) use call_set::{CallSet, in_task};
pub(crate) use context::{CallFailure, CallOutcome, RunContext, SdkResult};
#[cfg(feature = "testing")]
pub(crate) use explain::explain_by_kind;
pub(crate) use lease::{Lease, Ticket};
use limiter::{LimiterStatus, SharedLimits};
pub use limits::Limits;
pub(crate) use log::TARGET;
pub(crate) use operation::{LIST_CUSTOMERS, LIST_VALUES, Operation, shows_result};
pub use outage::OnOutage;
pub(crate) use outage::{Availability, AvailabilityWatch, ProbeGuard};
pub(crate) use paging::{
    PageHead, PageId, PageReader, PageScheduler, PageSize, Shortfall, TotalChange, read_pages,
};
pub use retry::RetryPolicy;
pub(crate) use runtime::current_runtime;
pub(crate) use settings::{RunSettings, SharedStop, StopFuture, run_methods};
use shared_state::SharedState;
use token::Tokens;

/// The longest wait, whatever a setting says.
const MAX_WAIT: Duration = Duration::from_millis(limiter::MAX_WAIT_MS);

/// Everything that the clones of a store share. Its limiter and health are shared with all stores that
/// have the same base URL, each of which applies its own limits.
#[derive(Clone)]
pub(crate) struct Client {
    shared: Arc<Shared>,
    /// The policy of the store, or of a run.
    retry: Arc<RetryPolicy>,
}

struct Shared {
    sdk: sdk::Client,
    tokens: Tokens,
    limits: Limits,
    state: Arc<SharedState>,
    page_limit: paging::PageLimit,
    normalization: Normalization,
    /// Receives the events of all runs and calls.
    observer: Observer,
    /// The host and port of the base URL.
    host: String,
    /// The base URL without its scheme, which names the store in logs.
    label: Arc<str>,
}

impl Client {
    pub(crate) fn new(
        sdk: sdk::Client,
        token: AccessToken,
        limits: Limits,
        retry: RetryPolicy,
        shared_limits: Option<SharedLimits>,
        observer: Observer,
    ) -> Result<Self, Error> {
        let host = host(sdk.baseurl());
        let label = sdk.baseurl().split_once("://").map_or("", |(_, rest)| rest);
        let label = Arc::from(label);
        let state = SharedState::of(sdk.baseurl(), shared_limits)?;
        Ok(Self {
            shared: Arc::new(Shared {
                sdk,
                tokens: Tokens::new(token),
                host,
                label,
                state,
                limits,
                page_limit: paging::PageLimit::default(),
                normalization: Normalization::default(),
                observer,
            }),
            retry: Arc::new(retry),
        })
    }

    /// Returns a client of the same store with another retry policy.
    fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            retry: Arc::new(retry),
        }
    }

    /// Returns a client of the same store that makes at most this number of attempts per call.
    pub(crate) fn with_max_attempts(&self, attempts: u32) -> Self {
        let mut retry = RetryPolicy::clone(&self.retry);
        retry.max_attempts = retry.max_attempts.min(attempts);
        self.with_retry(retry)
    }

    /// Replaces the access token, for all clones of the store.
    pub(crate) fn set_access_token(&self, token: AccessToken) -> Result<(), Error> {
        let invalid = |error: sdk::InvalidToken| Error::invalid_input(error.to_string());
        Credentials::new(token.secret()).map_err(invalid)?;
        let tokens = &self.shared.tokens;
        tokens.replace(|| {
            // First, so that the token is redacted before it is sent.
            tokens.add(token.clone());
            let replaced = self.sdk().set_access_token(token.secret());
            replaced.map_err(invalid)?;
            // Last: a request that was sent before the count rose may have had the old token.
            tokens.count_replacement();
            Ok(())
        })
    }

    fn token_replacements(&self) -> u64 {
        self.shared.tokens.replacements()
    }

    /// Returns a text without any of the store's tokens and of the other secrets, and not too long for
    /// an error.
    fn sanitize(&self, text: &str, secrets: &[String]) -> String {
        let tokens = self.shared.tokens.secrets();
        let tokens = tokens.iter().map(AccessToken::secret);
        error_body::sanitize(text, tokens.chain(secrets.iter().map(String::as_str)))
    }

    fn observer(&self) -> &Observer {
        &self.shared.observer
    }

    pub(crate) fn sdk(&self) -> &sdk::Client {
        &self.shared.sdk
    }

    pub(crate) fn base_url(&self) -> &str {
        self.shared.sdk.baseurl()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    fn state(&self) -> &SharedState {
        &self.shared.state
    }

    fn host(&self) -> &str {
        &self.shared.host
    }

    /// Returns the name of the store in logs.
    pub(crate) fn label(&self) -> Arc<str> {
        Arc::clone(&self.shared.label)
    }

    /// Returns a place in the queue for the next request.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket::new(self.clone())
    }

    /// Returns `true` if a request that may change the customer is in flight, or was abandoned and
    /// may still be running. All runs of the store count.
    pub(crate) fn is_held(&self, customer: i64) -> bool {
        let state = self.state();
        state.limiter.is_held(state.clock.now(), customer)
    }

    /// Returns `true` if a request that may change the customer is in flight, or may be running for
    /// another process.
    pub(crate) fn is_taken(&self, customer: i64) -> bool {
        let state = self.state();
        state.limiter.is_taken(state.clock.now(), customer)
    }

    /// Returns `true` if an abandoned request of this process may still change the customer.
    pub(crate) fn is_abandoned(&self, customer: i64) -> bool {
        let state = self.state();
        state.limiter.is_abandoned(state.clock.now(), customer)
    }

    /// Returns when the next of the held customers is released at the latest. A customer that is
    /// released earlier is a change that an [`AvailabilityWatch`] reports.
    pub(crate) fn next_hold_end(&self) -> Option<Instant> {
        let state = self.state();
        let end = state.limiter.next_hold_end(state.clock.now())?;
        Some(state.clock.instant(end))
    }

    /// Returns `true` if this process does not share its limits although it should, and has tried lately.
    pub(crate) fn is_separate(&self) -> bool {
        let state = self.state();
        state.limiter.is_separate(state.clock.now())
    }

    /// Returns the cause and the time of the separation, if this process does not share its limits
    /// although it should.
    pub(crate) fn separation(&self) -> Option<(String, Duration)> {
        let state = self.state();
        let separation = state.limiter.separation()?;
        let lasted = state.clock.instant(separation.since).elapsed();
        Some((separation.cause, lasted))
    }

    /// Waits until other processes can know what this one has released.
    pub(crate) async fn flush(&self) {
        self.state().limiter.flush().await;
    }

    pub(crate) async fn limiter_status(&self) -> LimiterStatus {
        let state = self.state();
        state.limiter.status(state.clock.now()).await
    }

    pub(crate) fn availability(&self) -> Availability {
        self.state().availability()
    }

    /// Returns the number of requests that the API has responded to.
    pub(crate) fn successes(&self) -> u64 {
        self.state().successes()
    }

    /// Starts a probe if the store is down, a probe is due, and none is under way.
    pub(crate) fn try_probe(&self) -> Option<ProbeGuard> {
        ProbeGuard::new(self)
    }

    /// Watches for the start and the end of outages and probes, and for released customers.
    pub(crate) fn watch_availability(&self) -> AvailabilityWatch {
        AvailabilityWatch::new(self)
    }

    /// Returns how the server rewrites values, as far as is known.
    pub(crate) fn normalization(&self) -> &Normalization {
        &self.shared.normalization
    }

    fn page_limit(&self) -> &paging::PageLimit {
        &self.shared.page_limit
    }

    /// Returns the largest page size that the server accepts (at most 250), as far as is known.
    pub(crate) fn max_page_size(&self) -> u64 {
        self.shared.page_limit.get(Instant::now())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url())
            .field("limits", &self.shared.limits)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

fn host(base_url: &str) -> String {
    let url = Url::parse(base_url).ok();
    let host = url.as_ref().and_then(|url| {
        let host = url.host_str()?;
        Some(
            url.port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
        )
    });
    host.unwrap_or_default()
}
