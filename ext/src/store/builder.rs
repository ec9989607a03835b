//! The builder of a store.

use std::env;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bigcommerce_sdk::{self as sdk, Credentials};
use reqwest::{ClientBuilder, Url};

use super::Store;
use crate::client::limiter::SharedLimits;
use crate::client::{Client, Limits, RetryPolicy};
use crate::credentials::{AccessToken, StoreHash};
use crate::error::Error;
use crate::event::{Event, Observer};

const API: &str = "https://api.bigcommerce.com";
const USER_AGENT: &str = concat!("bigcommerce-ext/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The environment variable that contains the store hash.
pub const STORE_HASH_VARIABLE: &str = "BIGCOMMERCE_STORE_HASH";
/// The environment variable that contains the access token.
pub const ACCESS_TOKEN_VARIABLE: &str = "BIGCOMMERCE_ACCESS_TOKEN";
/// The environment variable that contains the base URL, in place of the store hash.
pub const BASE_URL_VARIABLE: &str = "BIGCOMMERCE_BASE_URL";

/// Builds a [`Store`]; see [`Store::builder`] and [`Store::builder_with_base_url`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct StoreBuilder {
    base_url: BaseUrl,
    token: AccessToken,
    limits: Limits,
    retry: RetryPolicy,
    shared_limits: Option<SharedLimits>,
    http: Option<ClientBuilder>,
    user_agent: Option<String>,
    allow_http: bool,
    observer: Observer,
}

/// The base URL, or the store hash that it is built from.
enum BaseUrl {
    StoreHash(String),
    Url(String),
}

impl StoreBuilder {
    pub(crate) fn new(store_hash: String, token: AccessToken) -> Self {
        Self::with(BaseUrl::StoreHash(store_hash), token)
    }

    pub(crate) fn with_base_url(base_url: String, token: AccessToken) -> Self {
        Self::with(BaseUrl::Url(base_url), token)
    }

    /// Returns a builder with the store and the access token from environment variables. Other settings
    /// are added to it as usual.
    ///
    /// The token is in `BIGCOMMERCE_ACCESS_TOKEN`, and the store hash in `BIGCOMMERCE_STORE_HASH`. If
    /// `BIGCOMMERCE_BASE_URL` is set, it is the base URL, for example of a sandbox, and no store hash is
    /// needed. An empty variable counts as not set.
    ///
    /// ```no_run
    /// use bigcommerce_ext::{Limits, StoreBuilder};
    ///
    /// # fn main() -> Result<(), bigcommerce_ext::Error> {
    /// let store = StoreBuilder::from_env()?
    ///     .user_agent("loyalty-sync/1.2 (it@shop.example)")
    ///     .limits(Limits::default().reserve_quota(0.5))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if a variable is not set or is
    /// not UTF-8. [`build`](Self::build) validates the values.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| env::var(name))
    }

    fn from_variables(
        lookup: impl Fn(&str) -> Result<String, env::VarError>,
    ) -> Result<Self, Error> {
        let read = |name: &'static str| match lookup(name) {
            Ok(value) if !value.is_empty() => Ok(Some(value)),
            Ok(_) | Err(env::VarError::NotPresent) => Ok(None),
            // The original error shows the value, which may be the token.
            Err(env::VarError::NotUnicode(_)) => Err(Error::invalid_input(format!(
                "the environment variable {name} is not valid UTF-8"
            ))),
        };
        let required = |name: &'static str| {
            read(name)?.ok_or_else(|| {
                Error::invalid_input(format!("the environment variable {name} is not set"))
            })
        };
        let base_url = match read(BASE_URL_VARIABLE)? {
            Some(url) => BaseUrl::Url(url),
            None => BaseUrl::StoreHash(required(STORE_HASH_VARIABLE)?),
        };
        Ok(Self::with(
            base_url,
            required(ACCESS_TOKEN_VARIABLE)?.into(),
        ))
    }

    /// Replaces the store hash or the base URL, for example by that of a sandbox.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = BaseUrl::Url(url.into());
        self
    }

    /// Sets a function that receives the events of all runs and calls of the store, beside the observer
    /// of a run.
    ///
    /// The function is called from several tasks. It should be quick and must not block.
    pub fn observe(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    fn with(base_url: BaseUrl, token: AccessToken) -> Self {
        Self {
            base_url,
            token,
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            shared_limits: None,
            http: None,
            user_agent: None,
            allow_http: false,
            observer: Observer::default(),
        }
    }

    /// Sets the limits of batch size, concurrency and quota (default: the provider's limits).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how often and for how long a call is retried (default [`RetryPolicy::default`]).
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Shares the limits with other processes (default: they hold within this process).
    ///
    /// All stores with one base URL in a process share them in the same place.
    pub fn limiter(mut self, limits: impl Into<SharedLimits>) -> Self {
        self.shared_limits = Some(limits.into());
        self
    }

    /// Sets the HTTP client's settings, such as proxies, certificates and pools.
    ///
    /// This crate overrides the settings that protect the token and the limits: redirects, the
    /// `Referer` header, retries, the connect timeout, and proxies for loopback. The `User-Agent`
    /// of the given builder is kept, unless [`user_agent`](Self::user_agent) sets another one.
    pub fn http(mut self, builder: ClientBuilder) -> Self {
        self.http = Some(builder);
        self
    }

    /// Sets the `User-Agent` header. The provider asks each integration to identify itself with it
    /// (default `bigcommerce-ext/` and the version).
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = Some(name.into());
        self
    }

    /// Allows plain `http` to hosts other than loopback.
    ///
    /// Anyone between this program and the host can then read the access token.
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    fn parse_base_url(&self) -> Result<Url, Error> {
        match &self.base_url {
            BaseUrl::StoreHash(hash) => {
                let hash = StoreHash::new(hash)?;
                parse_url(&format!("{API}/stores/{}/v3", hash.as_str()))
            }
            BaseUrl::Url(url) => parse_url(url),
        }
    }

    /// Builds the store. Sends nothing.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if the store hash, the
    /// base URL, the access token, a limit or a retry setting is invalid, or if the HTTP client
    /// can't be built, for example because a
    /// [crypto provider](crate#another-crypto-provider) is missing. The message names the setting
    /// and the reason.
    pub fn build(self) -> Result<Store, Error> {
        self.limits.validate()?;
        self.retry.validate()?;
        let base = self.parse_base_url()?;
        if base.scheme() == "http" && !is_loopback(&base) && !self.allow_http {
            return Err(Error::invalid_input(format!(
                "{base}: plain http would expose the access token: use https, or call allow_http()"
            )));
        }
        let credentials = Credentials::new(self.token.secret())
            .map_err(|error| Error::invalid_input(error.to_string()))?;

        let build_failed =
            |error| Error::invalid_input_from("the HTTP client can't be built", error);
        if self.http.is_none() {
            sdk::require_crypto_provider().map_err(build_failed)?;
        }
        let mut http = match (self.http, &self.user_agent) {
            (Some(http), None) => http,
            (http, name) => http
                .unwrap_or_default()
                .user_agent(name.as_deref().unwrap_or(USER_AGENT)),
        };
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        let http = sdk::build_http(sdk::harden(http).connect_timeout(CONNECT_TIMEOUT))
            .map_err(build_failed)?;

        let base = base.as_str().trim_end_matches('/');
        let sdk = sdk::Client::new_with_client(base, http, credentials);
        let client = Client::new(
            sdk,
            self.token,
            self.limits,
            self.retry,
            self.shared_limits,
            self.observer,
        )?;
        Ok(Store::new(client))
    }
}

impl fmt::Debug for StoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The given HTTP settings may contain headers with other secrets.
        f.debug_struct("StoreBuilder")
            .field(
                "base_url",
                &self.parse_base_url().map(|url| url.to_string()),
            )
            .field("token", &self.token)
            .field("limits", &self.limits)
            .field("retry", &self.retry)
            .field("shared_limits", &self.shared_limits)
            .field("user_agent", &self.user_agent)
            .field("allow_http", &self.allow_http)
            .finish_non_exhaustive()
    }
}

fn parse_url(text: &str) -> Result<Url, Error> {
    let invalid = |why: &str| {
        Err(Error::invalid_input(format!(
            "invalid base URL: {why}; expected a URL such as \
             https://api.bigcommerce.com/stores/abc123/v3"
        )))
    };
    // The text is not repeated: it may contain a password.
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return invalid(&format!("it can't be parsed ({error})")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("it contains a user name or password");
    }
    if !matches!(url.scheme(), "http" | "https") {
        return invalid("it is neither https nor http");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return invalid("it has a query or a fragment");
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
        StoreBuilder::with_base_url(url.to_owned(), "s3cr3t".into()).build()
    }

    #[test]
    fn plain_http_is_limited_to_loopback() {
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
        let allowed = StoreBuilder::with_base_url("http://example.com/v3".to_owned(), "t".into());
        assert!(allowed.allow_http().build().is_ok());
    }

    #[test]
    fn invalid_settings_are_rejected_by_name() {
        for (url, expected) in [
            ("not a url", "can't be parsed"),
            ("https://u:p4ss@example.com:port/", "invalid port"),
            ("u:p4ss@example.com", "neither https nor http"),
            ("ftp://example.com/", "neither https nor http"),
            ("https://u:p4ss@example.com/", "user name or password"),
            ("https://example.com/?a=p4ss", "query or a fragment"),
        ] {
            let builder = StoreBuilder::with_base_url(url.to_owned(), "s3cr3t".into());
            assert!(!format!("{builder:?}").contains("p4ss"), "{builder:?}");
            let error = build(url).expect_err(url);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error} {error:?}").contains("p4ss"), "{error}");
        }
        let error = StoreBuilder::new("https://u:p4ss@example.com".to_owned(), "s3cr3t".into())
            .build()
            .expect_err("a URL as the hash");
        assert!(!format!("{error} {error:?}").contains("p4ss"), "{error}");
        let builder = || StoreBuilder::new("abc".to_owned(), "s3cr3t".into());
        for limits in [
            Limits::default().customers_per_call(0),
            Limits::default().max_in_flight(0),
        ] {
            let error = builder()
                .limits(limits)
                .build()
                .expect_err("an invalid limit");
            assert!(error.to_string().contains("in_flight"), "{error}");
        }
        let error = builder()
            .user_agent("a\nb")
            .build()
            .expect_err("a bad name");
        let expected =
            "the HTTP client can't be built: builder error: failed to parse header value";
        assert_eq!(error.to_string(), expected);
        for token in ["", "s3cr3t\n"] {
            let store = StoreBuilder::new("abc".to_owned(), token.into());
            let error = store.build().expect_err("an invalid token");
            assert!(error.to_string().contains("access token"), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cr3t"));
        }
    }

    #[test]
    fn variables_name_the_store_or_its_base_url() {
        let build = |variables: &[(&str, &str)]| {
            let builder = StoreBuilder::from_variables(|name| {
                let variable = variables.iter().find(|(variable, _)| *variable == name);
                let (_, value) = variable.ok_or(env::VarError::NotPresent)?;
                Ok((*value).to_owned())
            });
            let url = |builder: StoreBuilder| builder.parse_base_url().map(|url| url.to_string());
            builder.and_then(url).map_err(|error| error.to_string())
        };
        let hash = (STORE_HASH_VARIABLE, "abc123");
        let token = (ACCESS_TOKEN_VARIABLE, "s3cr3t");
        let url = (BASE_URL_VARIABLE, "http://127.0.0.1:8787/stores/sandbox/v3");
        for (variables, expected) in [
            (&[hash, token][..], Ok(format!("{API}/stores/abc123/v3"))),
            (&[url, token], Ok(url.1.to_owned())),
            (&[hash, url, token], Ok(url.1.to_owned())),
            (
                &[hash, (BASE_URL_VARIABLE, ""), token],
                Ok(format!("{API}/stores/abc123/v3")),
            ),
            (
                &[hash],
                Err("the environment variable BIGCOMMERCE_ACCESS_TOKEN is not set".to_owned()),
            ),
            (
                &[token],
                Err("the environment variable BIGCOMMERCE_STORE_HASH is not set".to_owned()),
            ),
        ] {
            assert_eq!(build(variables), expected, "{variables:?}");
        }
        let not_utf8 = |_: &str| Err(env::VarError::NotUnicode("s3cr3t".into()));
        let error = StoreBuilder::from_variables(not_utf8).expect_err("not UTF-8");
        assert!(error.to_string().ends_with("is not valid UTF-8"), "{error}");
        assert!(!format!("{error:?}").contains("s3cr3t"));
    }

    #[test]
    fn no_output_contains_the_token() {
        let builder = StoreBuilder::new("abc".to_owned(), "s3cr3t".into());
        let shown = format!("{builder:?} {builder:#?}");
        let store = builder.build().expect("a store");
        let shown = format!("{shown} {store:?} {store:#?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert!(shown.contains("REDACTED"), "{shown}");
    }
}
