use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{ClientBuilder, StatusCode, Url};

use crate::{Client, Credentials};

const MOST_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    /// Makes a client for a store's base URL, such as
    /// `https://api.bigcommerce.com/stores/abc123/v3`, which keeps to [`harden`]'s rules and waits
    /// for an answer for up to 30 s.
    ///
    /// [`new_with_client`](Self::new_with_client) takes an HTTP client of the caller's own: one
    /// that was not hardened takes the token wherever a redirect leads.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made, such as for a lack of TLS roots.
    pub fn new(base_url: &str, credentials: Credentials) -> reqwest::Result<Self> {
        let http = harden(reqwest::Client::builder())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self::new_with_client(base_url, http, credentials))
    }
}

/// Sets on a client builder what keeps the token and the body with the store, over whatever was
/// set before.
///
/// - Redirects are followed only where they keep the method (307 and 308) and stay on the same
///   origin; any other is handed back as the answer that it is.
/// - No request is sent again behind the caller's back.
pub fn harden(builder: ClientBuilder) -> ClientBuilder {
    builder
        .redirect(Policy::custom(|attempt| {
            if is_safe(&attempt) {
                attempt.follow()
            } else {
                attempt.stop()
            }
        }))
        .referer(false)
        .retry(reqwest::retry::never())
}

fn is_safe(attempt: &Attempt<'_>) -> bool {
    attempt.previous().len() <= MOST_REDIRECTS
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
        for (status, to, followed) in [
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
            assert_eq!(keeps_request(status, &from, &to), followed, "{status} {to}");
        }
    }
}
