use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

/// The time that a date filter covers, both ends included: a whole UTC day for a date, one instant
/// for a date-time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
}

/// Parses a date or a date-time. A date-time without an offset is in UTC.
pub(crate) fn parse(text: &str) -> Option<Span> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        let first = date.and_time(NaiveTime::MIN).and_utc();
        let last = first.checked_add_days(Days::new(1))? - TimeDelta::nanoseconds(1);
        return Some(Span { first, last });
    }
    let instant = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.to_utc(),
        Err(_) => NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .ok()?
            .and_utc(),
    };
    Some(Span {
        first: instant,
        last: instant,
    })
}

/// Parses a UNIX time in whole seconds.
pub(crate) fn parse_unix(text: &str) -> Option<Span> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = is_number.then(|| text.parse().ok()).flatten()?;
    let instant = DateTime::from_timestamp(seconds, 0)?;
    Some(Span {
        first: instant,
        last: instant,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_covers_a_whole_day() {
        let span = parse("2024-06-10").expect("a date");
        assert_eq!(span.first.to_rfc3339(), "2024-06-10T00:00:00+00:00");
        assert_eq!(
            span.last.to_rfc3339(),
            "2024-06-10T23:59:59.999999999+00:00"
        );
    }

    #[test]
    fn a_date_time_is_an_instant() {
        for text in [
            "2024-06-10T14:22:00Z",
            "2024-06-10T16:22:00+02:00",
            "2024-06-10T14:22:00",
        ] {
            let span = parse(text).expect("a date-time");
            assert_eq!(span.first.to_rfc3339(), "2024-06-10T14:22:00+00:00");
            assert_eq!(span.last, span.first);
        }
    }

    #[test]
    fn a_unix_time_is_an_instant() {
        let span = parse_unix("1718029320").expect("a UNIX time");
        assert_eq!(span.first.to_rfc3339(), "2024-06-10T14:22:00+00:00");
        assert_eq!(span.last, span.first);
        for text in ["", "-1", "+1", "1.5", "1e9", " 1", "99999999999999999999"] {
            assert_eq!(parse_unix(text), None, "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in [
            "",
            "yesterday",
            "2024-06-31",
            "2024",
            "1718029320",
            "2024-06-10T14:22:00 02:00",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
