//! Batch size, concurrency and quota limits.

use std::time::Duration;

use crate::error::Error;

/// Batch size, concurrency and quota limits.
///
/// The defaults are the provider's limits, as its [reference][1] states them. Raise them only if
/// the provider has raised its own.
///
/// [1]: https://developer.bigcommerce.com/docs/rest-management/customers/customer-attribute-values
#[derive(Clone, Debug)]
pub struct Limits {
    pub(crate) customers_per_call: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) grace_period: Duration,
    pub(crate) reserved_share: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            customers_per_call: 10,
            max_in_flight: 3,
            grace_period: Duration::from_secs(5),
            reserved_share: 0.0,
        }
    }
}

impl Limits {
    /// Sets the maximum number of customers per call (default 10, at least 1).
    #[must_use]
    pub fn customers_per_call(mut self, customers: usize) -> Self {
        self.customers_per_call = customers;
        self
    }

    /// Sets the maximum number of requests in flight (default 3, at least 1), over all clones of a
    /// store and all other stores with the same base URL in this process.
    ///
    /// Stores with different limits apply their own: a request waits while as many requests as its
    /// store allows are in flight, no matter which store they belong to.
    #[must_use]
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }

    /// Sets how long an abandoned request still counts as being in flight (default 5 s; longer
    /// than a day counts as a day).
    ///
    /// A request is abandoned when no complete response came, or when a gateway responded in the
    /// server's place (408, 502, 504, 520 to 524, 530, 598,
    /// 599). The server may still be running it, so its
    /// customers stay reserved for the same time, in all runs of the store. A server that runs the
    /// request even later can undo a newer row; no client can rule that out.
    #[must_use]
    pub fn grace_period(mut self, time: Duration) -> Self {
        self.grace_period = time;
        self
    }

    /// Sets the share of each quota window that is left to the store's other apps (default 0, at
    /// most 0.95).
    #[must_use]
    pub fn reserve_quota(mut self, share: f64) -> Self {
        self.reserved_share = share;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        if !(0.0..=0.95).contains(&self.reserved_share) {
            return Err(Error::invalid_input(format!(
                "limits: reserve_quota is {}; it must be from 0 to 0.95",
                self.reserved_share
            )));
        }
        if self.customers_per_call == 0 || self.max_in_flight == 0 {
            return Err(Error::invalid_input(
                "limits: customers_per_call and max_in_flight must be at least 1",
            ));
        }
        Ok(())
    }
}
