//! How the server rewrites the values of an attribute: text without surrounding whitespace, or a
//! number in its shortest form.

use std::fmt;
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

    /// Returns the texts as which the server may store a value of this attribute, beside the value
    /// itself.
    pub(crate) fn other_forms(&self, attribute: i64, value: &str) -> impl Iterator<Item = String> {
        let rewrite = self.rewrite(attribute);
        let trimmed = Some(value.trim()).filter(|trimmed| rewrite.trims && *trimmed != value);
        let shortened = match rewrite.shortens_numbers {
            true => Decimal::parse(value).map(|number| number.to_string()),
            false => None,
        };
        trimmed.map(str::to_owned).into_iter().chain(shortened)
    }

    fn rewrite(&self, attribute: i64) -> Rewrite {
        let rewrites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rewrites.0.get(&attribute).copied().unwrap_or_default()
    }

    /// Returns `true` if the server stores a value of this attribute as this text.
    pub(crate) fn is_stored_as(&self, attribute: i64, value: &str, stored: &str) -> bool {
        if value == stored {
            return true;
        }
        let rewrite = self.rewrite(attribute);
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

/// More digits than a value has room for.
const MAX_ZEROS: i64 = 300;

/// A decimal number, as its digits without leading and trailing zeros, and the power of ten that they
/// are multiplied by.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads a number such as `-12.50` or `1e3`, with whitespace around it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            // The parser of integers takes signs.
            Some((mantissa, exponent)) => (mantissa, i64::from(exponent.parse::<i32>().ok()?)),
            None => (unsigned, 0),
        };
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if integer.len() + fraction.len() == 0 || !is_digits(integer) || !is_digits(fraction) {
            return None;
        }
        let all = format!("{integer}{fraction}");
        let significant = all.trim_end_matches('0');
        let trailing = all.len() - significant.len();
        let digits = significant.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Self {
                is_negative: false,
                digits: String::new(),
                exponent: 0,
            });
        }
        Some(Self {
            is_negative,
            digits: digits.to_owned(),
            // Lengths of texts are far below the limits of the type.
            exponent: exponent + trailing as i64 - fraction.len() as i64,
        })
    }
}

/// Writes the number in its shortest form without an exponent, such as `-12.5`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            is_negative,
            digits,
            exponent,
        } = self;
        let sign = if *is_negative { "-" } else { "" };
        // How many of the digits are whole: far beyond what a value has room for, it makes no text.
        let whole = (digits.len() as i64 + exponent).clamp(-MAX_ZEROS, MAX_ZEROS);
        match usize::try_from(whole) {
            Ok(0) | Err(_) if !digits.is_empty() => {
                let zeros = "0".repeat(usize::try_from(-whole).unwrap_or_default());
                write!(f, "{sign}0.{zeros}{digits}")
            }
            Ok(whole) if whole < digits.len() => {
                let (integer, fraction) = digits.split_at(whole);
                write!(f, "{sign}{integer}.{fraction}")
            }
            whole => {
                let zeros = whole.unwrap_or_default().saturating_sub(digits.len());
                let zeros = zeros.max(usize::from(digits.is_empty()));
                write!(f, "{sign}{digits}{}", "0".repeat(zeros))
            }
        }
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
            ("5", "5e0", true),
            ("1.5e3", "1500", true),
            ("15e-1", "1.5", true),
            ("-0e9", "0", true),
            ("5e", "5", false),
            ("5e1.0", "50", false),
            ("5e99999999999", "5", false),
            ("", "0", false),
            (".", "0", false),
            ("1.2.3", "1.2.3", false),
            ("9007199254740993", "9007199254740992", false),
        ] {
            assert_eq!(is_same_number(one, other), is_same, "{one:?}, {other:?}");
        }
    }

    #[test]
    fn numbers_are_written_in_their_shortest_form() {
        for (text, shortest) in [
            ("1.0", "1"),
            ("-12.50", "-12.5"),
            ("0.050", "0.05"),
            (".5", "0.5"),
            ("00", "0"),
            ("100", "100"),
            ("12e2", "1200"),
            ("12e-2", "0.12"),
            ("12e-5", "0.00012"),
        ] {
            let number = Decimal::parse(text).expect("a number");
            assert_eq!(number.to_string(), shortest);
        }
        let huge = Decimal::parse("1e2000000000").expect("a number");
        assert_eq!(huge.to_string().len(), 300);
    }

    #[test]
    fn the_forms_of_a_value_are_those_that_the_server_was_seen_to_store() {
        let normalization = Normalization::default();
        let forms = |value| normalization.other_forms(1, value).collect::<Vec<_>>();
        assert!(forms(" 1.0 ").is_empty());
        normalization.record(1, " x", "x");
        assert_eq!(forms(" 1.0 "), ["1.0"]);
        normalization.record(1, "7.0", "7");
        assert_eq!(forms(" 1.0 "), ["1.0", "1"]);
        assert_eq!(forms("blue"), Vec::<String>::new());
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
