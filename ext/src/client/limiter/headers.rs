//! The rate-limit headers of a response.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::state::{DEFAULT_WINDOW, MAX_WAIT};

/// The rate-limit headers of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::client) struct RateLimitHeaders {
    /// The quota, if the headers that describe it are complete.
    pub quota: Option<Quota>,
    /// How long a 429 asks to wait: the longer one of the reset time and `X-Retry-After`.
    pub retry_after: Option<Duration>,
}

/// The quota as a response describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) struct Quota {
    pub limit: u64,
    pub left: u64,
    pub reset: Duration,
    pub window: Duration,
}

impl RateLimitHeaders {
    /// Parses the headers. A header that isn't a number counts as missing.
    pub(in crate::client) fn parse(status: StatusCode, headers: &HeaderMap) -> Self {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let reset = number("x-rate-limit-time-reset-ms").map(Duration::from_millis);
        let retry_after = number("x-retry-after").map(Duration::from_secs);
        let quota = || {
            Some(Quota {
                limit: number("x-rate-limit-requests-quota")?,
                left: number("x-rate-limit-requests-left")?,
                reset: reset?.min(MAX_WAIT),
                window: number("x-rate-limit-time-window-ms")
                    .map_or(DEFAULT_WINDOW, Duration::from_millis)
                    .min(MAX_WAIT),
            })
        };
        Self {
            quota: quota(),
            // A wait of zero would mean an immediate retry: it counts as no header.
            retry_after: reset
                .max(retry_after)
                .filter(|wait| status == StatusCode::TOO_MANY_REQUESTS && !wait.is_zero()),
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    fn parse(headers: &[(&str, Option<&str>)]) -> RateLimitHeaders {
        parse_with_status(StatusCode::TOO_MANY_REQUESTS, headers)
    }

    fn parse_with_status(status: StatusCode, headers: &[(&str, Option<&str>)]) -> RateLimitHeaders {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let Some(value) = value {
                let name: HeaderName = name.parse().expect("a header name");
                map.insert(name, value.parse().expect("a header value"));
            }
        }
        RateLimitHeaders::parse(status, &map)
    }

    #[test]
    fn the_longer_of_reset_and_retry_after_counts() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (reset, after, expected) in [
            (None, None, None),
            (Some("1500"), None, Some(Duration::from_millis(1500))),
            (None, Some("2"), seconds(2)),
            (Some("1500"), Some("2"), seconds(2)),
            (Some("9000"), Some("2"), seconds(9)),
            (Some("soon"), Some(""), None),
            (Some("-1"), None, None),
            (Some("0"), Some("0"), None),
            (Some("0"), Some("2"), seconds(2)),
        ] {
            let headers = parse(&[
                ("X-Rate-Limit-Time-Reset-Ms", reset),
                ("X-Retry-After", after),
            ]);
            assert_eq!(headers.retry_after, expected, "{reset:?} {after:?}");
        }
    }

    #[test]
    fn only_a_429_asks_to_wait() {
        for status in [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE] {
            let headers = parse_with_status(status, &[("X-Retry-After", Some("2"))]);
            assert_eq!(headers.retry_after, None, "{status}");
        }
    }

    #[test]
    fn a_quota_needs_all_headers_but_the_window() {
        let headers = |reset, window| {
            parse(&[
                ("x-rate-limit-requests-quota", Some("150")),
                ("x-rate-limit-requests-left", Some("7")),
                ("x-rate-limit-time-reset-ms", reset),
                ("x-rate-limit-time-window-ms", window),
            ])
        };
        let quota = |reset, window| Quota {
            limit: 150,
            left: 7,
            reset,
            window,
        };
        let (reset, window) = (Duration::from_millis(9000), Duration::from_secs(60));
        assert_eq!(
            headers(Some("9000"), Some("60000")).quota,
            Some(quota(reset, window))
        );
        assert_eq!(
            headers(Some("9000"), None).quota,
            Some(quota(reset, DEFAULT_WINDOW))
        );
        assert_eq!(
            headers(Some("18446744073709551615"), None).quota,
            Some(quota(MAX_WAIT, DEFAULT_WINDOW))
        );
        assert_eq!(headers(None, Some("60000")).quota, None);
        assert_eq!(headers(Some("soon"), None).quota, None);
    }
}
