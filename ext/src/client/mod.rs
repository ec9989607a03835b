//! One API call: acquire a place among the requests in flight, send, classify the response, wait,
//! and try again.

mod attempt;
mod call;
mod call_set;
mod context;
mod error_body;
mod in_flight;
mod limiter;
mod limits;
mod operation;
mod paging;
mod retry;
pub(crate) mod url_budget;

use std::fmt;
use std::sync::Arc;

use bigcommerce_sdk::{self as sdk, ClientInfo};

use crate::credentials::AccessToken;

pub(crate) use call::call;
pub(crate) use call_set::{CallSet, in_task};
pub(crate) use context::{CallFailure, CallOutcome, RunContext, SdkResult};
use limiter::Limiter;
pub use limits::Limits;
pub(crate) use operation::Operation;
pub(crate) use paging::{PageHead, PageId, PageScheduler, PageSize, TotalChange, read_pages};
pub use retry::RetryPolicy;

/// Everything that the clones of a store share.
#[derive(Clone)]
pub(crate) struct Client(Arc<Shared>);

struct Shared {
    sdk: sdk::Client,
    token: AccessToken,
    limits: Limits,
    retry: RetryPolicy,
    limiter: Limiter,
    page_limit: paging::PageLimit,
}

impl Client {
    pub(crate) fn new(
        sdk: sdk::Client,
        token: AccessToken,
        limits: Limits,
        retry: RetryPolicy,
    ) -> Self {
        Self(Arc::new(Shared {
            sdk,
            token,
            limiter: Limiter::new(&limits),
            limits,
            retry,
            page_limit: paging::PageLimit::default(),
        }))
    }

    pub(crate) fn sdk(&self) -> &sdk::Client {
        &self.0.sdk
    }

    pub(crate) fn base_url(&self) -> &str {
        self.0.sdk.baseurl()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn retry(&self) -> &RetryPolicy {
        &self.0.retry
    }

    fn token(&self) -> &str {
        self.0.token.secret()
    }

    fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    fn page_limit(&self) -> &paging::PageLimit {
        &self.0.page_limit
    }

    /// Returns the largest page size that the server accepts (at most 250), as far as is known.
    pub(crate) fn max_page_size(&self) -> u64 {
        self.0.page_limit.get()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url())
            .field("limits", &self.0.limits)
            .field("retry", &self.0.retry)
            .finish_non_exhaustive()
    }
}
