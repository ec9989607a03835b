//! The dates and times of filters.

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, TimeZone, Utc};

/// The tolerance for dates: the server's time zone is unknown.
const ZONE_TOLERANCE: TimeDelta = TimeDelta::days(1);

/// A date or a time to filter by, converted from a [`NaiveDate`] or a [`DateTime`]; see
/// [`List`](crate::List) and [`Delete`](crate::Delete).
///
/// A date is sent as `2024-06-10`. The server decides in which time zone that day begins.
///
/// A time is sent in UTC as `2024-06-10T14:22:00Z`. The store keeps whole seconds, so a fraction of
/// a second is cut off. As an upper bound, the time is sent rounded up, and listed values of a later
/// second are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateFilter(DateOrTime);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DateOrTime {
    Date(NaiveDate),
    Time(DateTime<Utc>),
}

impl From<NaiveDate> for DateFilter {
    fn from(date: NaiveDate) -> Self {
        Self(DateOrTime::Date(date))
    }
}

impl<Tz: TimeZone> From<DateTime<Tz>> for DateFilter {
    fn from(time: DateTime<Tz>) -> Self {
        Self(DateOrTime::Time(time.with_timezone(&Utc)))
    }
}

impl DateFilter {
    /// Returns the parameter for a lower bound or an exact match.
    pub(crate) fn to_param(self) -> String {
        match self.0 {
            DateOrTime::Date(date) => date.to_string(),
            DateOrTime::Time(time) => time.to_rfc3339_opts(SecondsFormat::Secs, true),
        }
    }

    /// Returns the parameter for an upper bound: a time is rounded up to a whole second.
    pub(crate) fn to_max_param(self) -> String {
        let next_second = match self.0 {
            DateOrTime::Time(time) if time.timestamp_subsec_nanos() > 0 => {
                time.checked_add_signed(TimeDelta::seconds(1))
            }
            _ => None,
        };
        next_second.map_or(self, Self::from).to_param()
    }

    /// Compares a value's date with this exact match.
    fn check_on(self, date: DateTime<Utc>) -> FilterMatch {
        match self.0 {
            DateOrTime::Date(_) => self.check_since(date).max(self.check_until(date)),
            DateOrTime::Time(time) => {
                FilterMatch::excluded_unless(date.timestamp() == time.timestamp())
            }
        }
    }

    /// Compares a value's date with this lower bound.
    fn check_since(self, date: DateTime<Utc>) -> FilterMatch {
        FilterMatch::excluded_unless(match self.0 {
            DateOrTime::Date(day) => {
                let midnight = day.and_time(NaiveTime::MIN).and_utc();
                date >= midnight
                    .checked_sub_signed(ZONE_TOLERANCE)
                    .unwrap_or(midnight)
            }
            DateOrTime::Time(time) => date.timestamp() >= time.timestamp(),
        })
    }

    /// Compares a value's date with this upper bound.
    fn check_until(self, date: DateTime<Utc>) -> FilterMatch {
        match self.0 {
            DateOrTime::Date(day) => {
                let midnight = day.and_time(NaiveTime::MIN).and_utc();
                let end = midnight.checked_add_signed(TimeDelta::days(1) + ZONE_TOLERANCE);
                FilterMatch::excluded_unless(date <= end.unwrap_or(midnight))
            }
            DateOrTime::Time(time) => {
                let rounded_up = time.timestamp() + i64::from(time.timestamp_subsec_nanos() > 0);
                match date.timestamp() {
                    date if date <= time.timestamp() => FilterMatch::Matches,
                    date if date <= rounded_up => FilterMatch::RoundedIn,
                    _ => FilterMatch::Excluded,
                }
            }
        }
    }
}

/// The conditions for one of a value's dates.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DateConditions {
    pub on: Option<DateFilter>,
    pub since: Option<DateFilter>,
    pub until: Option<DateFilter>,
}

impl DateConditions {
    pub(crate) fn check(&self, date: Option<DateTime<Utc>>) -> FilterMatch {
        let Self { on, since, until } = *self;
        let Some(date) = date else {
            return match on.or(since).or(until) {
                Some(_) => FilterMatch::Undated,
                None => FilterMatch::Matches,
            };
        };
        let checks = [
            on.map(|on| on.check_on(date)),
            since.map(|since| since.check_since(date)),
            until.map(|until| until.check_until(date)),
        ];
        let worst = checks.into_iter().flatten().max();
        worst.unwrap_or(FilterMatch::Matches)
    }
}

/// How a listed value compares with the filter, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FilterMatch {
    Matches,
    /// The filter has a condition for a date that the value lacks.
    Undated,
    /// The value is listed only because an upper bound was rounded up.
    RoundedIn,
    Excluded,
}

impl FilterMatch {
    pub(crate) fn excluded_unless(matches: bool) -> Self {
        match matches {
            true => Self::Matches,
            false => Self::Excluded,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    #[test]
    fn dates_and_times_are_written_as_the_endpoint_documents() {
        let date = NaiveDate::from_ymd_opt(2024, 6, 10).expect("a date");
        assert_eq!(DateFilter::from(date).to_param(), "2024-06-10");
        assert_eq!(DateFilter::from(date).to_max_param(), "2024-06-10");
        let east = FixedOffset::east_opt(2 * 3600).expect("an offset");
        let time = date.and_hms_milli_opt(16, 22, 59, 1).expect("a time");
        let time = time.and_local_timezone(east).single().expect("one time");
        let filter = DateFilter::from(time);
        assert_eq!(filter.to_param(), "2024-06-10T14:22:59Z");
        assert_eq!(filter.to_max_param(), "2024-06-10T14:23:00Z");
        let whole = date.and_hms_opt(14, 22, 0).expect("a time").and_utc();
        let filter = DateFilter::from(whole);
        assert_eq!(filter.to_max_param(), "2024-06-10T14:22:00Z");
    }

    #[test]
    fn times_are_compared_to_the_second_and_dates_with_a_day_of_tolerance() {
        use FilterMatch::{Excluded, Matches, RoundedIn};
        let time = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let date = NaiveDate::from_ymd_opt(2024, 6, 10).expect("a date");
        let whole = DateFilter::from(time("2024-06-10T14:22:59Z"));
        let fraction = DateFilter::from(time("2024-06-10T14:22:59.5Z"));
        // The expected results of an exact match, a lower bound and an upper bound.
        for (filter, value, expected) in [
            (
                whole,
                "2024-06-10T14:22:58.999Z",
                [Excluded, Excluded, Matches],
            ),
            (whole, "2024-06-10T14:22:59Z", [Matches, Matches, Matches]),
            (whole, "2024-06-10T14:22:59.9Z", [Matches, Matches, Matches]),
            (whole, "2024-06-10T14:23:00Z", [Excluded, Matches, Excluded]),
            (
                fraction,
                "2024-06-10T14:22:58Z",
                [Excluded, Excluded, Matches],
            ),
            (
                fraction,
                "2024-06-10T14:22:59Z",
                [Matches, Matches, Matches],
            ),
            (
                fraction,
                "2024-06-10T14:23:00Z",
                [Excluded, Matches, RoundedIn],
            ),
            (
                fraction,
                "2024-06-10T14:23:01Z",
                [Excluded, Matches, Excluded],
            ),
            (
                date.into(),
                "2024-06-08T23:59:59Z",
                [Excluded, Excluded, Matches],
            ),
            (
                date.into(),
                "2024-06-09T00:00:00Z",
                [Matches, Matches, Matches],
            ),
            (
                date.into(),
                "2024-06-12T00:00:00Z",
                [Matches, Matches, Matches],
            ),
            (
                date.into(),
                "2024-06-12T00:00:01Z",
                [Excluded, Matches, Excluded],
            ),
        ] {
            let value = time(value);
            let results = [
                filter.check_on(value),
                filter.check_since(value),
                filter.check_until(value),
            ];
            assert_eq!(results, expected, "{filter:?}, {value}");
        }
    }
}
