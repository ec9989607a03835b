//! The rate-limit headers of a response.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::client::clock::to_ms;

/// The length of a quota window that no header states.
const DEFAULT_WINDOW: Duration = Duration::from_secs(30);
/// The longest quota window that is believed. A longer one counts as missing.
const MAX_WINDOW: Duration = Duration::from_secs(3600);
/// The longest reset time that is believed of a shorter window.
const MAX_RESET: Duration = Duration::from_secs(60);
/// The longest wait that a response can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The rate-limit headers of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::client) struct RateLimitHeaders {
    /// The quota, if the headers that describe it are complete.
    pub quota: Option<Quota>,
    /// How long the response asks to wait: the longest of all headers that say so.
    pub retry_after: Option<Duration>,
}

/// The quota as a response describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) struct Quota {
    pub limit: u64,
    pub left: u64,
    pub reset_ms: u64,
    pub window_ms: u64,
}

impl RateLimitHeaders {
    /// Parses the headers. A header that can't be parsed counts as missing, and no header makes a
    /// wait longer than it can be.
    pub(in crate::client) fn parse(
        status: StatusCode,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        let number = |name: &str| text(name)?.parse::<u64>().ok();
        let window = number("x-rate-limit-time-window-ms")
            .map(Duration::from_millis)
            .filter(|&window| window <= MAX_WINDOW)
            .unwrap_or(DEFAULT_WINDOW);
        let reset = number("x-rate-limit-time-reset-ms")
            .map(|ms| Duration::from_millis(ms).min(window.max(MAX_RESET)));
        let quota = || {
            Some(Quota {
                limit: number("x-rate-limit-requests-quota")?,
                left: number("x-rate-limit-requests-left")?,
                reset_ms: to_ms(reset?),
                window_ms: to_ms(window),
            })
        };
        let seconds = number("x-retry-after").map(Duration::from_secs);
        let standard = text(RETRY_AFTER.as_str()).and_then(|text| parse_retry_after(text, now));
        let asked = seconds.max(standard).map(|wait| wait.min(MAX_RETRY_AFTER));
        let retry_after = match status {
            StatusCode::TOO_MANY_REQUESTS => asked.max(reset),
            status if status.is_success() => None,
            _ => asked,
        };
        Self {
            quota: quota(),
            // A wait of zero would mean an immediate retry: it counts as no header.
            retry_after: retry_after.filter(|wait| !wait.is_zero()),
        }
    }
}

/// Parses seconds, or an HTTP date.
fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
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
        RateLimitHeaders::parse(status, &map, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn the_longest_hint_counts_as_far_as_it_can_be_true() {
        let s = |seconds| Some(Duration::from_secs(seconds));
        let too_many = StatusCode::TOO_MANY_REQUESTS;
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let date = "Thu, 01 Jan 1970 00:00:20 GMT";
        for (status, reset, x_retry_after, retry_after, expected) in [
            (too_many, None, None, None, None),
            (
                too_many,
                Some("1500"),
                None,
                None,
                Some(Duration::from_millis(1500)),
            ),
            (too_many, None, Some("2"), None, s(2)),
            (too_many, Some("1500"), Some("2"), None, s(2)),
            (too_many, Some("9000"), Some("2"), None, s(9)),
            (too_many, Some("9000"), Some("2"), Some("12"), s(12)),
            (too_many, Some("9000"), None, Some(date), s(20)),
            (too_many, Some("soon"), Some(""), Some("later"), None),
            (too_many, Some("-1"), None, None, None),
            (too_many, Some("0"), Some("0"), Some("0"), None),
            (too_many, Some("0"), Some("2"), None, s(2)),
            // An epoch time, and a year.
            (too_many, Some("1732480000000"), None, None, s(60)),
            (too_many, None, Some("31536000"), None, s(300)),
            (unavailable, None, None, Some("31536000"), s(300)),
            (
                unavailable,
                None,
                None,
                Some("Fri, 31 Dec 2060 00:00:00 GMT"),
                s(300),
            ),
            (unavailable, Some("9000"), None, Some("7"), s(7)),
            (unavailable, Some("9000"), Some("8"), None, s(8)),
            (unavailable, Some("9000"), None, None, None),
            (StatusCode::LOCKED, None, None, Some("3"), s(3)),
            (StatusCode::OK, Some("9000"), Some("2"), Some("3"), None),
        ] {
            let headers = [
                ("X-Rate-Limit-Time-Reset-Ms", reset),
                ("X-Retry-After", x_retry_after),
                ("Retry-After", retry_after),
            ];
            let parsed = parse_with_status(status, &headers);
            assert_eq!(parsed.retry_after, expected, "{status} {headers:?}");
        }
    }

    #[test]
    fn a_quota_needs_all_headers_but_the_window() {
        let headers = |reset, window| {
            parse(&[
                ("x-rate-limit-requests-quota", Some("150")),
                ("x-rate-limit-requests-left", Some("0")),
                ("x-rate-limit-time-reset-ms", reset),
                ("x-rate-limit-time-window-ms", window),
            ])
        };
        let quota = |reset_ms, window_ms| {
            Some(Quota {
                limit: 150,
                left: 0,
                reset_ms,
                window_ms,
            })
        };
        for (reset, window, expected) in [
            (Some("9000"), Some("60000"), quota(9_000, 60_000)),
            (Some("9000"), None, quota(9_000, 30_000)),
            // No reset lies beyond its window, and beyond a minute.
            (Some("18446744073709551615"), None, quota(60_000, 30_000)),
            (
                Some("1732480000000"),
                Some("100000"),
                quota(100_000, 100_000),
            ),
            (
                Some("1732480000000"),
                Some("1732480000000"),
                quota(60_000, 30_000),
            ),
            (None, Some("60000"), None),
            (Some("soon"), Some("60000"), None),
        ] {
            assert_eq!(
                headers(reset, window).quota,
                expected,
                "{reset:?} {window:?}"
            );
        }
    }
}
