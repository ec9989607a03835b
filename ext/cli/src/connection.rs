//! The connection to the store that the program works on.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bigcommerce_ext::{Limits, Store, StoreBuilder};
use bigcommerce_ext_redis::RedisLimiter;
use bigcommerce_sandbox::Sandbox;

use crate::args::Global;
use crate::profile::Address;
use crate::status::Failure;
use crate::target::{self, HOW_TO_NAME, PLACEHOLDER, StoreTarget};

/// How many requests the provider accepts at once.
const MAX_IN_FLIGHT: usize = 3;
const USER_AGENT: &str = concat!("bigcommerce-attributes/", env!("CARGO_PKG_VERSION"));

/// A store, and what lives as long as it does.
pub struct Connection {
    pub store: Store,
    /// What reports and messages call the store: its base URL, or that it is a sandbox. Contains no
    /// secret.
    pub label: String,
    /// How many requests may be in flight at once.
    pub max_in_flight: usize,
    _sandbox: Option<Sandbox>,
}

impl Connection {
    /// Connects to the store that the options, the environment or the configuration file name.
    /// Sends nothing. `configure` sets what a command needs beside.
    pub async fn open(
        global: &Global,
        configure: impl FnOnce(StoreBuilder) -> StoreBuilder,
    ) -> Result<Self, Failure> {
        if global.sandbox {
            return Self::to_sandbox(global, configure).await;
        }
        let target = StoreTarget::find(global).map_err(Failure::usage)?;
        let token = target.token(global).map_err(Failure::usage)?;
        let redis = target.redis(global).map_err(Failure::usage)?;
        let redis = connect_redis(redis)?;
        let profile = &target.profile;
        let max_in_flight = profile.max_in_flight.unwrap_or(MAX_IN_FLIGHT);
        let mut limits = Limits::default().max_in_flight(max_in_flight);
        if let Some(share) = profile.reserve_quota {
            limits = limits.reserve_quota(share);
        }
        let builder = match &target.address {
            Address::StoreHash(hash) => Store::builder(hash, token),
            Address::Url(url) => Store::builder_with_base_url(url, token),
        };
        let mut builder = builder
            .limits(limits)
            .user_agent(profile.user_agent.as_deref().unwrap_or(USER_AGENT));
        if let Some(redis) = redis {
            builder = builder.limiter(redis);
        }
        let store = configure(builder).build().map_err(|error| {
            let profile = match &target.profile_name {
                Some(name) => format!(", profile {name}"),
                None => String::new(),
            };
            let origin = target.origin;
            Failure::usage(anyhow!(
                "{origin}{profile}: {error}; to name a store, {HOW_TO_NAME}"
            ))
        })?;
        Ok(Self {
            store,
            label: target.label(),
            max_in_flight,
            _sandbox: None,
        })
    }

    async fn to_sandbox(
        global: &Global,
        configure: impl FnOnce(StoreBuilder) -> StoreBuilder,
    ) -> Result<Self, Failure> {
        let redis = target::redis_option(global).map_err(Failure::usage)?;
        let redis = connect_redis(redis)?;
        let sandbox = Sandbox::builder()
            .cdnow()
            .reject_undefined_attributes(true)
            .latency(Duration::from_millis(5))
            .start()
            .await
            .context("the sandbox can't start")
            .map_err(Failure::usage)?;
        let mut builder = Store::builder_with_base_url(sandbox.base_url(), PLACEHOLDER);
        if let Some(redis) = redis {
            builder = builder.limiter(redis);
        }
        Ok(Self {
            store: configure(builder).build()?,
            label: "sandbox".to_owned(),
            max_in_flight: MAX_IN_FLIGHT,
            _sandbox: Some(sandbox),
        })
    }
}

/// Sends nothing: without Redis, the limits hold in this process, with a smaller share of them.
fn connect_redis(url: Option<String>) -> Result<Option<RedisLimiter>, Failure> {
    let limiter = url.map(|url| RedisLimiter::lazy(&url)).transpose();
    limiter.map_err(Failure::usage)
}
