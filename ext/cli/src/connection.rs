//! Which store the program works on.

use std::time::Duration;

use anyhow::Context as _;
use bigcommerce_ext::Store;
use bigcommerce_sandbox::Sandbox;

use crate::args::Global;
use crate::status::Failure;

/// A store, and what lives as long as it does.
pub struct Connection {
    pub store: Store,
    _sandbox: Option<Sandbox>,
}

impl Connection {
    /// Connects to the store that the options, the environment or the configuration file name. Sends
    /// nothing.
    pub async fn open(global: &Global) -> Result<Self, Failure> {
        if global.sandbox {
            let sandbox = Sandbox::builder()
                .latency(Duration::from_millis(5))
                .start()
                .await
                .context("the sandbox can't start")
                .map_err(Failure::usage)?;
            let store = Store::builder_with_base_url(sandbox.base_url(), "placeholder").build()?;
            return Ok(Self {
                store,
                _sandbox: Some(sandbox),
            });
        }
        Ok(Self {
            store: Store::from_env()?,
            _sandbox: None,
        })
    }
}
