//! How the server rewrites the values of an attribute: text without surrounding whitespace, or a
//! number in its shortest form.

use std::sync::{Arc, Mutex, PoisonError};

use foldhash::{HashMap, HashMapExt};

/// What is known of how the server rewrites values, shared by all runs of a store.
///
/// A value that the server stores as another text would otherwise be found changed, and be written
/// again, by every run that skips unchanged rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Normalization(Arc<Mutex<Rewrites>>);

#[derive(Debug)]
struct Rewrites(HashMap<i64, Rewrite>);

impl Default for Rewrites {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// How the values of one attribute are rewritten.
#[derive(Clone, Copy, Debug, Default)]
struct Rewrite {
    trims: bool,
    shortens_numbers: bool,
}

impl Normalization {
    /// Records the text that the server stores for a value.
    pub(crate) fn record(&self, attribute: i64, sent: &str, stored: &str) {
        if sent == stored {
            return;
        }
        let trims = sent.trim() == stored.trim();
        let shortens_numbers = !trims && is_same_number(sent, stored);
        if trims || shortens_numbers {
            let mut rewrites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let rewrite = rewrites.0.entry(attribute).or_default();
            rewrite.trims |= trims;
            rewrite.shortens_numbers |= shortens_numbers;
        }
    }

    /// Returns `true` if the server stores a value of this attribute as this text.
    pub(crate) fn is_stored_as(&self, attribute: i64, value: &str, stored: &str) -> bool {
        if value == stored {
            return true;
        }
        let rewrite = {
            let rewrites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            rewrites.0.get(&attribute).copied().unwrap_or_default()
        };
        (rewrite.trims && value.trim() == stored.trim())
            || (rewrite.shortens_numbers && is_same_number(value, stored))
    }
}

/// Returns `true` if both texts are the same decimal number, without regard to whitespace around
/// them.
fn is_same_number(one: &str, other: &str) -> bool {
    match (Decimal::parse(one), Decimal::parse(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// A decimal number without leading and trailing zeros.
#[derive(PartialEq)]
struct Decimal<'a> {
    is_negative: bool,
    integer: &'a str,
    fraction: &'a str,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if integer.len() + fraction.len() == 0 || !is_digits(integer) || !is_digits(fraction) {
            return None;
        }
        let integer = integer.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        Some(Self {
            is_negative: is_negative && integer.len() + fraction.len() > 0,
            integer,
            fraction,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        for (one, other, is_same) in [
            ("5.0", "5", true),
            ("5.", "5", true),
            ("005.10", "5.1", true),
            (".5", "0.50", true),
            ("-0", "0.0", true),
            ("+7", " 7 ", true),
            ("-5", "5", false),
            ("5", "50", false),
            ("0.5", "0.05", false),
            ("5", "5e0", false),
            ("", "0", false),
            (".", "0", false),
            ("1.2.3", "1.2.3", false),
            ("9007199254740993", "9007199254740992", false),
        ] {
            assert_eq!(is_same_number(one, other), is_same, "{one:?}, {other:?}");
        }
    }

    #[test]
    fn values_are_compared_as_the_server_was_seen_to_rewrite_their_attribute() {
        let normalization = Normalization::default();
        assert!(!normalization.is_stored_as(1, "5.0", "5"));
        normalization.record(1, "7.0", "7");
        normalization.record(2, " blue", "blue");
        normalization.record(3, "blue", "red");
        for (attribute, value, stored, is_same) in [
            (1, "5.0", "5", true),
            (1, "5.0", "6", false),
            (1, "blue ", "blue", false),
            (2, "red ", "red", true),
            (2, "5.0", "5", false),
            (3, "blue", "red", false),
            (3, "blue ", "blue", false),
            (4, "5.0", "5", false),
        ] {
            assert_eq!(
                normalization.clone().is_stored_as(attribute, value, stored),
                is_same,
                "attribute {attribute}: {value:?}, {stored:?}"
            );
        }
    }
}
