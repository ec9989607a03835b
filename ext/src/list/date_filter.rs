//! The dates and times of filters.

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, TimeZone, Utc};

/// A date or a point in time, for the filters of [`List`](crate::List) and
/// [`Delete`](crate::Delete): made of a [`NaiveDate`] or a [`DateTime`].
///
/// A date is sent as `2024-06-10`, and it is the provider who says when its day begins; a time as
/// `2024-06-10T14:22:00Z`, in UTC. The store keeps whole seconds: of a time, a part of a second is
/// cut off, or rounded up where the time ends a span, so that nothing is left out for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateFilter(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Date(NaiveDate),
    Time(DateTime<Utc>),
}

impl From<NaiveDate> for DateFilter {
    fn from(date: NaiveDate) -> Self {
        Self(Kind::Date(date))
    }
}

impl<Tz: TimeZone> From<DateTime<Tz>> for DateFilter {
    fn from(time: DateTime<Tz>) -> Self {
        Self(Kind::Time(time.with_timezone(&Utc)))
    }
}

impl DateFilter {
    /// As it is sent, except as the end of a span.
    pub(super) fn text(self) -> String {
        match self.0 {
            Kind::Date(date) => date.to_string(),
            Kind::Time(time) => time.to_rfc3339_opts(SecondsFormat::Secs, true),
        }
    }

    /// As it is sent as the end of a span.
    pub(super) fn text_of_end(self) -> String {
        let to_second = |time: DateTime<Utc>| match time.timestamp_subsec_nanos() {
            0 => time,
            _ => time
                .checked_add_signed(TimeDelta::seconds(1))
                .unwrap_or(time),
        };
        match self.0 {
            Kind::Date(_) => self.text(),
            Kind::Time(time) => Self(Kind::Time(to_second(time))).text(),
        }
    }

    /// The first and the last moment that it can stand for, whatever the time zone of its day.
    pub(super) fn span(self) -> (DateTime<Utc>, DateTime<Utc>) {
        let (first, last) = match self.0 {
            Kind::Date(date) => {
                let midnight = date.and_time(NaiveTime::MIN).and_utc();
                let next = midnight.checked_add_signed(TimeDelta::days(1));
                (midnight, next.unwrap_or(midnight))
            }
            Kind::Time(time) => (time, time),
        };
        let day = TimeDelta::days(1);
        (
            first.checked_sub_signed(day).unwrap_or(first),
            last.checked_add_signed(day).unwrap_or(last),
        )
    }
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    #[test]
    fn dates_and_times_are_written_as_the_endpoint_documents() {
        let date = NaiveDate::from_ymd_opt(2024, 6, 10).expect("a date");
        assert_eq!(DateFilter::from(date).text(), "2024-06-10");
        assert_eq!(DateFilter::from(date).text_of_end(), "2024-06-10");
        let east = FixedOffset::east_opt(2 * 3600).expect("an offset");
        let time = date.and_hms_milli_opt(16, 22, 59, 1).expect("a time");
        let time = time.and_local_timezone(east).single().expect("one time");
        assert_eq!(DateFilter::from(time).text(), "2024-06-10T14:22:59Z");
        assert_eq!(DateFilter::from(time).text_of_end(), "2024-06-10T14:23:00Z");
        let whole = date.and_hms_opt(14, 22, 0).expect("a time").and_utc();
        assert_eq!(
            DateFilter::from(whole).text_of_end(),
            "2024-06-10T14:22:00Z"
        );
    }
}
