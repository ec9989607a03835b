use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{ClientBuilder, StatusCode, Url};

use crate::credentials::Credentials;
use crate::crypto_provider::{is_missing, require_crypto_provider};
use crate::error::BuildError;
use crate::generated::Client;
use crate::redirects::record_followed;

const MAX_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    /// Creates a client for a store's base URL, such as
    /// `https://api.bigcommerce.com/stores/abc123/v3`.
    ///
    /// Its HTTP client is [hardened](harden) and has a timeout of 30 s per request (10 s to connect).
    ///
    /// To use another HTTP client, call [`new_with_client`](Self::new_with_client). Build it with
    /// [`harden`] and [`build_http`]: a client that isn't hardened sends the token wherever a redirect
    /// leads.
    ///
    /// # Errors
    ///
    /// Returns an error if the HTTP client can't be built, for example if the system has no root
    /// certificates, or if rustls has no crypto provider (feature `rustls-no-provider`).
    pub fn new(base_url: &str, credentials: Credentials) -> Result<Self, BuildError> {
        require_crypto_provider()?;
        let http = build_http(
            harden(reqwest::Client::builder())
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(TIMEOUT),
        )?;
        Ok(Self::new_with_client(base_url, http, credentials))
    }
}

/// Builds an HTTP client, and returns an error where [`ClientBuilder::build`] panics because rustls
/// has no crypto provider.
///
/// A builder with TLS settings of its own
/// ([`tls_backend_preconfigured`](ClientBuilder::tls_backend_preconfigured)) needs no installed
/// provider.
///
/// # Errors
///
/// Returns an error if reqwest can't build the client, or if a crypto provider is missing. In a
/// program that is compiled with `panic = "abort"`, a missing provider aborts the program; call
/// [`require_crypto_provider`] first if the builder has no TLS settings of its own.
pub fn build_http(builder: ClientBuilder) -> Result<reqwest::Client, BuildError> {
    if !is_missing() {
        return builder.build().map_err(BuildError::http);
    }
    // A builder doesn't show whether it has TLS settings of its own, so only the attempt tells.
    match panic::catch_unwind(AssertUnwindSafe(|| builder.build())) {
        Ok(result) => result.map_err(BuildError::http),
        Err(payload) if is_about_crypto_provider(&*payload) => {
            Err(BuildError::missing_crypto_provider())
        }
        Err(payload) => panic::resume_unwind(payload),
    }
}

fn is_about_crypto_provider(payload: &(dyn Any + Send)) -> bool {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    message.is_some_and(|message| message.contains("crypto provider"))
}

/// Restricts redirects, the `Referer` header and retries, so that the token and the request bodies
/// reach only the store. Overrides earlier settings.
///
/// - A redirect is followed only if it keeps the method (307 or 308) and the origin. Any other
///   redirect is returned as the response.
/// - The `Referer` header is never sent.
/// - Requests are not retried.
pub fn harden(builder: ClientBuilder) -> ClientBuilder {
    builder
        .redirect(Policy::custom(|attempt| {
            if is_safe(&attempt) {
                record_followed();
                attempt.follow()
            } else {
                attempt.stop()
            }
        }))
        .referer(false)
        .retry(reqwest::retry::never())
}

fn is_safe(attempt: &Attempt<'_>) -> bool {
    attempt.previous().len() <= MAX_REDIRECTS
        && attempt
            .previous()
            .last()
            .is_some_and(|from| keeps_request(attempt.status(), from, attempt.url()))
}

fn keeps_request(status: StatusCode, from: &Url, to: &Url) -> bool {
    matches!(
        status,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    ) && from.origin() == to.origin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_307_and_308_on_the_same_origin_are_followed() {
        let from = Url::parse("https://api.example.com/stores/abc/v3").expect("a URL");
        for (status, to, is_followed) in [
            (307, "https://api.example.com/elsewhere", true),
            (308, "https://api.example.com:443/elsewhere", true),
            (301, "https://api.example.com/elsewhere", false),
            (302, "https://api.example.com/elsewhere", false),
            (303, "https://api.example.com/elsewhere", false),
            (307, "https://other.example.com/stores/abc/v3", false),
            (308, "https://api.example.com:8443/stores/abc/v3", false),
            (307, "http://api.example.com/stores/abc/v3", false),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let to = Url::parse(to).expect("a URL");
            assert_eq!(
                keeps_request(status, &from, &to),
                is_followed,
                "{status} {to}"
            );
        }
    }

    #[test]
    fn no_output_contains_the_token() {
        let credentials = Credentials::new("s3cr3t").expect("a plain token");
        let client = Client::new("http://127.0.0.1:1", credentials.clone());
        let client = client.expect("a client");
        for text in [format!("{credentials:?}"), format!("{client:?}")] {
            assert!(!text.contains("s3cr3t"), "{text}");
            assert!(text.contains("REDACTED"), "{text}");
        }
        for bad in ["", "s3cr3t\n", "s3cr3t\u{0}"] {
            let error = Credentials::new(bad).expect_err("not a header value");
            assert!(!format!("{error} {error:?}").contains("s3cr3t"));
        }
    }
}
