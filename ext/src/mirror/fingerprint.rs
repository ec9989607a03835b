//! What two values have in common that are the same: numbers and dates compare by their type. Pure.

use std::hash::{BuildHasher, RandomState};

use bigcommerce_sdk::types::Attribute;
use chrono::{DateTime, NaiveDate, NaiveTime};

use crate::normalization::Decimal;

/// The type of an attribute, as far as its values compare differently from texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ComparedAs {
    Text,
    Number,
    Date,
}

impl From<&Attribute> for ComparedAs {
    fn from(attribute: &Attribute) -> Self {
        match attribute.type_.as_str() {
            "number" => Self::Number,
            "date" => Self::Date,
            _ => Self::Text,
        }
    }
}

/// What a value means.
#[derive(Hash)]
enum Meaning<'a> {
    Text(&'a str),
    Number(Decimal),
    /// Seconds and nanoseconds since 1970.
    Time(i64, u32),
}

/// Computes fingerprints: two values are the same if their fingerprints are. The key is random, so that
/// no values can be chosen that collide.
#[derive(Clone, Debug, Default)]
pub(super) struct Fingerprints(RandomState);

impl Fingerprints {
    pub(super) fn of(&self, value: &str, compared_as: ComparedAs) -> u64 {
        let meaning = match compared_as {
            ComparedAs::Text => None,
            ComparedAs::Number => Decimal::parse(value).map(Meaning::Number),
            ComparedAs::Date => time(value),
        };
        self.0.hash_one(meaning.unwrap_or(Meaning::Text(value)))
    }

    /// Returns the fingerprint of a customer's attribute.
    pub(super) fn of_key(&self, key: (i64, i64)) -> u64 {
        self.0.hash_one(key)
    }

    /// Returns the fingerprint of a customer's attribute with the fingerprint of its value.
    pub(super) fn of_record(&self, key: (i64, i64), value: u64) -> u64 {
        self.0.hash_one((key, value))
    }
}

/// Reads a time, or a date as its first second in UTC.
fn time(value: &str) -> Option<Meaning<'_>> {
    let value = value.trim();
    let time = match DateTime::parse_from_rfc3339(value) {
        Ok(time) => time.to_utc(),
        Err(_) => {
            let date: NaiveDate = value.parse().ok()?;
            date.and_time(NaiveTime::MIN).and_utc()
        }
    };
    Some(Meaning::Time(
        time.timestamp(),
        time.timestamp_subsec_nanos(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_compare_by_the_type_of_their_attribute() {
        use ComparedAs::{Date, Number, Text};
        let fingerprints = Fingerprints::default();
        for (compared_as, one, other, are_same) in [
            (Text, "Gold", "Gold", true),
            (Text, "Gold", "gold", false),
            (Text, "1.0", "1", false),
            (Text, "Gold ", "Gold", false),
            (Number, "1.0", "1", true),
            (Number, " 1e3", "1000.00", true),
            (Number, "1", "-1", false),
            (Number, "9007199254740993", "9007199254740992", false),
            (Number, "n/a", "n/a", true),
            (Number, "", "0", false),
            (Date, "2024-06-10", "2024-06-10T00:00:00Z", true),
            (
                Date,
                "2024-06-10T02:00:00+02:00",
                "2024-06-10T00:00:00.000Z",
                true,
            ),
            (Date, "2024-06-10T00:00:00.5Z", "2024-06-10", false),
            (Date, "2024-06-10", "2024-06-11", false),
            (Date, "soon", "soon", true),
        ] {
            let [one_is, other_is] = [one, other].map(|value| fingerprints.of(value, compared_as));
            assert_eq!(
                one_is == other_is,
                are_same,
                "{compared_as:?} {one:?} {other:?}"
            );
        }
    }
}
