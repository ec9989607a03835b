//! How a handle to a store is made, and the settings that it has.

use std::env;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bigcommerce_sdk::{Client, Credentials, harden};
use reqwest::{ClientBuilder, Url};

use crate::call::{Permits, RetryPolicy};
use crate::credentials::{AccessToken, StoreHash};
use crate::error::Error;
use crate::store::Store;

const API: &str = "https://api.bigcommerce.com";
const USER_AGENT: &str = concat!("bigcommerce-ext/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The environment variable that names the store: its hash.
pub const STORE_HASH_VARIABLE: &str = "BIGCOMMERCE_STORE_HASH";
/// The environment variable that holds the access token.
pub const ACCESS_TOKEN_VARIABLE: &str = "BIGCOMMERCE_ACCESS_TOKEN";

/// How much goes into a call, and how many calls go at once.
///
/// The defaults are the provider's limits, as its [reference][1] states them. Raise them only if
/// the provider has.
///
/// [1]: https://developer.bigcommerce.com/docs/rest-management/customers/customer-attribute-values
#[derive(Clone, Debug)]
pub struct Limits {
    pub(crate) customers_per_call: usize,
    pub(crate) in_flight: usize,
    pub(crate) grace: Duration,
    pub(crate) others: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            customers_per_call: 10,
            in_flight: 3,
            grace: Duration::from_secs(5),
            others: 0.0,
        }
    }
}

impl Limits {
    /// Sets the most customers in a call, 10 by default; at least 1.
    #[must_use]
    pub fn customers_per_call(mut self, customers: usize) -> Self {
        self.customers_per_call = customers;
        self
    }

    /// Sets the most requests in flight over all clones of a store, 3 by default; at least 1.
    #[must_use]
    pub fn in_flight(mut self, requests: usize) -> Self {
        self.in_flight = requests;
        self
    }

    /// Sets how long a request that was given up without an answer, or that a gateway answered in
    /// the server's place (502, 504), counts as being in flight, since it may still be running on
    /// the server; 5 s by default, a day at most. Until then its customers wait, too. A request that
    /// the server executes even later can undo a newer row: that can't be excluded.
    #[must_use]
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// Sets the share of the quota that is left to the store's other apps, from 0 (the default) to
    /// 0.95: in each window, no more than the rest of the quota is spent here.
    #[must_use]
    pub fn leave_quota(mut self, share: f64) -> Self {
        self.others = share;
        self
    }

    fn check(&self) -> Result<(), Error> {
        if !(0.0..=0.95).contains(&self.others) {
            return Err(Error::config(format!(
                "limits: leave_quota is from 0 to 0.95, not {}",
                self.others
            )));
        }
        if self.customers_per_call == 0 || self.in_flight == 0 {
            return Err(Error::config(
                "limits: customers_per_call and in_flight are at least 1",
            ));
        }
        if self.in_flight > Permits::MOST {
            return Err(Error::config(format!(
                "limits: in_flight is at most {}",
                Permits::MOST
            )));
        }
        Ok(())
    }
}

/// Makes a [`Store`]; see [`Store::builder`] and [`Store::builder_at`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct StoreBuilder {
    place: Place,
    token: AccessToken,
    limits: Limits,
    retry: RetryPolicy,
    http: Option<ClientBuilder>,
    user_agent: Option<String>,
    plain_http: bool,
}

enum Place {
    Hash(String),
    Url(String),
}

impl StoreBuilder {
    pub(crate) fn new(store_hash: String, token: AccessToken) -> Self {
        Self::at(Place::Hash(store_hash), token)
    }

    pub(crate) fn new_at(base_url: String, token: AccessToken) -> Self {
        Self::at(Place::Url(base_url), token)
    }

    pub(crate) fn from_env() -> Result<Self, Error> {
        let read = |name: &'static str| match env::var(name) {
            Ok(value) if !value.is_empty() => Ok(value),
            Ok(_) | Err(env::VarError::NotPresent) => Err(Error::config(format!(
                "the environment variable {name} is not set"
            ))),
            // Its error would show the value, which may be the token.
            Err(env::VarError::NotUnicode(_)) => Err(Error::config(format!(
                "the environment variable {name} is not valid UTF-8"
            ))),
        };
        Ok(Self::new(
            read(STORE_HASH_VARIABLE)?,
            read(ACCESS_TOKEN_VARIABLE)?.into(),
        ))
    }

    fn at(place: Place, token: AccessToken) -> Self {
        Self {
            place,
            token,
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            http: None,
            user_agent: None,
            plain_http: false,
        }
    }

    /// Sets the size of calls and how many go at once; the provider's limits by default.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how often and how long a call is tried; the provider's advice by default.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Brings HTTP settings of the caller's own: proxies, certificates, pools.
    ///
    /// What keeps the token and the calls in order stays as this crate sets it: redirects, the
    /// `Referer` header, hidden retries, the time to connect, and no proxy for loopback. The
    /// `User-Agent` is the builder's own, unless [`user_agent`](Self::user_agent) sets one.
    pub fn http(mut self, builder: ClientBuilder) -> Self {
        self.http = Some(builder);
        self
    }

    /// Sets the `User-Agent` header, by which the provider asks integrations to name themselves.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = Some(name.into());
        self
    }

    /// Allows plain `http` to hosts other than loopback, where anyone on the way can read the
    /// token.
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    fn base_url(&self) -> Result<Url, Error> {
        match &self.place {
            Place::Hash(hash) => {
                let hash = StoreHash::new(hash)?;
                parse_url(&format!("{API}/stores/{}/v3", hash.as_str()))
            }
            Place::Url(url) => parse_url(url),
        }
    }

    /// Makes the store. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when the store hash, the URL, the token, a
    /// limit or a retry setting can't be used; the message says which and why.
    pub fn build(self) -> Result<Store, Error> {
        self.limits.check()?;
        self.retry.check()?;
        let base = self.base_url()?;
        if base.scheme() == "http" && !is_loopback(&base) && !self.plain_http {
            return Err(Error::config(format!(
                "{base}: plain http would show the access token to anyone on the way; use https, \
                 or say allow_plain_http()"
            )));
        }
        let credentials = Credentials::new(self.token.secret())
            .map_err(|error| Error::config(error.to_string()))?;

        let mut http = match (self.http, &self.user_agent) {
            (Some(http), None) => http,
            (http, name) => http
                .unwrap_or_default()
                .user_agent(name.as_deref().unwrap_or(USER_AGENT)),
        };
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        let http = harden(http)
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|error| Error::config_by("the HTTP client can't be made", error))?;

        let base = base.as_str().trim_end_matches('/');
        Ok(Store::new(
            Client::new_with_client(base, http, credentials),
            self.token,
            self.limits,
            self.retry,
        ))
    }
}

impl fmt::Debug for StoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The caller's HTTP settings may hold headers with secrets of their own.
        f.debug_struct("StoreBuilder")
            .field("base_url", &self.base_url().map(|url| url.to_string()))
            .field("token", &self.token)
            .field("limits", &self.limits)
            .field("retry", &self.retry)
            .field("user_agent", &self.user_agent)
            .field("plain_http", &self.plain_http)
            .finish_non_exhaustive()
    }
}

fn parse_url(text: &str) -> Result<Url, Error> {
    let refuse = |why: &str| {
        Err(Error::config(format!(
            "not a base URL: {why}; it looks like https://api.bigcommerce.com/stores/abc123/v3"
        )))
    };
    let Ok(url) = Url::parse(text) else {
        return refuse(&format!("{text:?} can't be read"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("it holds a user name or password");
    }
    if !matches!(url.scheme(), "http" | "https") {
        return refuse(&format!("{text:?} is neither https nor http"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse(&format!("{text:?} has a query or a fragment"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(url: &str) -> Result<Store, Error> {
        StoreBuilder::new_at(url.to_owned(), "s3cr3t".into()).build()
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for url in [
            "http://127.0.0.1:8787/stores/abc/v3",
            "http://localhost/x",
            "http://[::1]:1/",
            "https://example.com/stores/abc/v3",
        ] {
            assert!(build(url).is_ok(), "{url}");
        }
        let error = build("http://example.com/stores/abc/v3").expect_err("plain http");
        assert!(error.to_string().contains("plain http"), "{error}");
        let allowed = StoreBuilder::new_at("http://example.com/v3".to_owned(), "t".into());
        assert!(allowed.allow_plain_http().build().is_ok());
    }

    #[test]
    fn settings_that_cannot_be_used_are_refused_by_name() {
        for (url, expected) in [
            ("not a url", "can't be read"),
            ("ftp://example.com/", "neither https nor http"),
            ("https://u:pw@example.com/", "user name or password"),
            ("https://example.com/?a=b", "query or a fragment"),
        ] {
            let error = build(url).expect_err(url);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!error.to_string().contains("pw"), "{error}");
        }
        let builder = || StoreBuilder::new("abc".to_owned(), "s3cr3t".into());
        for limits in [
            Limits::default().customers_per_call(0),
            Limits::default().in_flight(0),
            Limits::default().in_flight(usize::MAX),
        ] {
            let error = builder().limits(limits).build().expect_err("a bad limit");
            assert!(error.to_string().contains("in_flight"), "{error}");
        }
        for token in ["", "s3cr3t\n"] {
            let store = StoreBuilder::new("abc".to_owned(), token.into());
            let error = store.build().expect_err("a bad token");
            assert!(error.to_string().contains("access token"), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cr3t"));
        }
    }

    #[test]
    fn the_token_is_in_no_output() {
        let builder = StoreBuilder::new("abc".to_owned(), "s3cr3t".into());
        let shown = format!("{builder:?} {builder:#?}");
        let store = builder.build().expect("a store");
        let shown = format!("{shown} {store:?} {store:#?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert!(shown.contains("REDACTED"), "{shown}");
    }
}
