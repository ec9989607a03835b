//! The store that a program is about.

use std::env;
use std::time::Duration;

use bigcommerce_ext::{ACCESS_TOKEN_VARIABLE, Store};
use bigcommerce_sandbox::Sandbox;

const PLACEHOLDER: &str = "placeholder";

pub enum Target {
    OwnSandbox,
    Environment,
    Url(String),
}

/// A store, and the sandbox behind it if it is one in this process.
pub struct Opened {
    pub store: Store,
    _own: Option<Sandbox>,
}

impl Target {
    /// Takes the place of the default.
    pub fn choose(&mut self, chosen: Self) -> Result<(), lexopt::Error> {
        if !matches!(self, Self::OwnSandbox) {
            return Err("--store and --url: one of them, once".into());
        }
        *self = chosen;
        Ok(())
    }

    pub async fn open(self) -> Result<Opened, String> {
        let (builder, own) = match self {
            Self::OwnSandbox => {
                let sandbox = Sandbox::builder().latency(Duration::from_millis(5));
                let sandbox = sandbox
                    .start()
                    .await
                    .map_err(|error| format!("the sandbox can't start: {error}"))?;
                let builder = Store::builder_with_base_url(sandbox.base_url(), PLACEHOLDER);
                (builder, Some(sandbox))
            }
            Self::Environment => {
                let store = Store::from_env().map_err(|error| error.to_string())?;
                return Ok(Opened { store, _own: None });
            }
            Self::Url(url) => {
                let is_loopback = is_loopback(&url);
                let token = match env::var(ACCESS_TOKEN_VARIABLE) {
                    Ok(token) if !token.is_empty() => token,
                    _ if is_loopback => PLACEHOLDER.to_owned(),
                    _ => return Err(format!("{ACCESS_TOKEN_VARIABLE} is not set")),
                };
                (Store::builder_with_base_url(url, token), None)
            }
        };
        Ok(Opened {
            store: builder.build().map_err(|error| error.to_string())?,
            _own: own,
        })
    }
}

/// Only what runs on this machine is taken for a sandbox.
pub fn is_loopback(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        None => false,
    })
}
