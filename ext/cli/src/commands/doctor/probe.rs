//! Single requests, and what their responses show beside the data.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bigcommerce_ext::sdk::types::ErrorBody;
use bigcommerce_ext::sdk::{self, ResponseValue};
use bigcommerce_ext::{Error, Idempotent, Store};
use tokio::time::Instant;

/// Sends requests, within the limits of the store.
pub struct Probe<'a> {
    store: &'a Store,
    seen: Arc<Mutex<Seen>>,
}

/// What the successful responses have shown.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How long each took, without waits for the limits.
    pub latencies: Vec<Duration>,
    /// By how much the clock of this machine is ahead of the server's, in seconds, at the last response
    /// with a date.
    pub clock_ahead: Option<i64>,
}

impl<'a> Probe<'a> {
    pub fn new(store: &'a Store) -> Self {
        Self {
            store,
            seen: Arc::default(),
        }
    }

    /// Makes a call, and records what its response shows.
    pub async fn call<T, F, Fut>(&self, send: F) -> Result<T, Error>
    where
        F: Fn(sdk::Client) -> Fut,
        Fut: Future<Output = Result<ResponseValue<T>, sdk::Error<ErrorBody>>>,
    {
        let send = |client| {
            let sending = send(client);
            async {
                let started = Instant::now();
                let response = sending.await?;
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.latencies.push(started.elapsed());
                let date = response.headers().get("date");
                let date = date.and_then(|date| date.to_str().ok());
                if let Some(ahead) = date.and_then(|date| clock_ahead(date, SystemTime::now())) {
                    seen.clock_ahead = Some(ahead);
                }
                Ok(response)
            }
        };
        self.store.call(Idempotent::Yes, send).await
    }

    pub fn seen(&self) -> Seen {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Seen {
    /// Returns the median of the latencies.
    pub fn latency(&self) -> Option<Duration> {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        latencies.get(latencies.len() / 2).copied()
    }
}

/// Returns by how many seconds `now` is ahead of the date of a response. Negative if it is behind.
fn clock_ahead(date: &str, now: SystemTime) -> Option<i64> {
    let server = bigcommerce_ext::chrono::DateTime::parse_from_rfc2822(date).ok()?;
    let now: bigcommerce_ext::chrono::DateTime<bigcommerce_ext::chrono::Utc> = now.into();
    Some(now.timestamp() - server.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_compared_with_the_date_of_a_response() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (date, ahead) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 09:49:37 GMT", Some(-3600)),
            ("yesterday", None),
        ] {
            assert_eq!(clock_ahead(date, now), ahead, "{date}");
        }
    }

    #[test]
    fn the_median_leaves_the_first_connection_out() {
        let latencies = [90, 20, 30].map(Duration::from_millis).to_vec();
        let seen = Seen {
            latencies,
            clock_ahead: None,
        };
        assert_eq!(seen.latency(), Some(Duration::from_millis(30)));
        assert_eq!(Seen::default().latency(), None);
    }
}
