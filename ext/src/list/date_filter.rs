//! The dates and times of filters.

use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, TimeZone, Utc};

/// A date or a time to filter by, converted from a [`NaiveDate`] or a [`DateTime`]; see
/// [`List`](crate::List) and [`Delete`](crate::Delete).
///
/// A date is sent as `2024-06-10`. The server decides in which time zone that day begins.
///
/// A time is sent in UTC as `2024-06-10T14:22:00Z`. The store keeps whole seconds, so a fraction of
/// a second is cut off. As an upper bound, the time is rounded up, so that no value is missed.
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
    pub(super) fn to_param(self) -> String {
        match self.0 {
            DateOrTime::Date(date) => date.to_string(),
            DateOrTime::Time(time) => time.to_rfc3339_opts(SecondsFormat::Secs, true),
        }
    }

    /// Returns the parameter for an upper bound: a time is rounded up to a whole second.
    pub(super) fn to_max_param(self) -> String {
        let next_second = match self.0 {
            DateOrTime::Time(time) if time.timestamp_subsec_nanos() > 0 => {
                time.checked_add_signed(TimeDelta::seconds(1))
            }
            _ => None,
        };
        next_second.map_or(self, Self::from).to_param()
    }

    /// Returns the range of times that match, with a day's tolerance: the server's time zone is
    /// unknown.
    pub(super) fn range_with_tolerance(self) -> RangeInclusive<DateTime<Utc>> {
        let day = TimeDelta::days(1);
        let (first, last) = match self.0 {
            DateOrTime::Date(date) => {
                let midnight = date.and_time(NaiveTime::MIN).and_utc();
                let next_midnight = midnight.checked_add_signed(day);
                (midnight, next_midnight.unwrap_or(midnight))
            }
            DateOrTime::Time(time) => (time, time),
        };
        let first = first.checked_sub_signed(day).unwrap_or(first);
        let last = last.checked_add_signed(day).unwrap_or(last);
        first..=last
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
}
