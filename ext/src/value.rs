//! A row as the user has it, and how values of other types become text.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use bigcommerce_sdk::types;
use chrono::{DateTime, NaiveDate, SecondsFormat, TimeZone, Utc};

use crate::error::Violation;

/// A builder to copy for each row: a new one would write an error text for every field that is
/// yet to be set.
static BLANK: LazyLock<types::builder::AttributeValueUpsert> = LazyLock::new(|| {
    types::AttributeValueUpsert::builder()
        .customer_id(1)
        .attribute_id(1)
        .value("")
});

/// A value to store for a customer and an attribute, as the caller has it.
///
/// Nothing is checked here: a row that breaks a rule gets the outcome
/// [`Rejected`](crate::OutcomeKind::Rejected) with its index in the input, and costs no call.
///
/// ```
/// use bigcommerce_ext::UpsertRow;
///
/// let row = UpsertRow::new(2048, 101, "Premium Member").with_tag("message 17");
/// assert_eq!(row.value(), "Premium Member");
/// assert_eq!(UpsertRow::new(2048, "Points", 30.43).value(), "30.43");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct UpsertRow {
    customer_id: i64,
    attribute: AttributeKey,
    value: Value,
    tag: Option<Box<str>>,
}

impl UpsertRow {
    /// Makes a row from a customer's ID, an attribute's ID or name, and a value: text, a number or
    /// a date.
    pub fn new(
        customer_id: i64,
        attribute: impl Into<AttributeKey>,
        value: impl Into<Value>,
    ) -> Self {
        Self {
            customer_id,
            attribute: attribute.into(),
            value: value.into(),
            tag: None,
        }
    }

    /// Attaches a metadata of the caller's, such as a message ID or a line number, which comes back
    /// with the row's outcome and goes nowhere else.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<Box<str>>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Returns the customer's ID.
    #[must_use]
    pub fn customer_id(&self) -> i64 {
        self.customer_id
    }

    /// Returns the attribute.
    #[must_use]
    pub fn attribute(&self) -> &AttributeKey {
        &self.attribute
    }

    pub(crate) fn attribute_mut(&mut self) -> &mut AttributeKey {
        &mut self.attribute
    }

    /// Returns the value as the text that is sent.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value.text
    }

    /// Returns the tag, if one was attached.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Checks the row by the document's rules and turns it into what goes over the wire.
    pub(crate) fn to_wire(&self) -> Result<types::AttributeValueUpsert, Violation> {
        // A name that was not resolved is no ID.
        let attribute_id = self.attribute.id().unwrap_or_default();
        for (field, id) in [
            ("customer_id", self.customer_id),
            ("attribute_id", attribute_id),
        ] {
            if id < 1 {
                return Err(Violation::new(
                    field,
                    format!("is {id}: an ID is 1 or more"),
                ));
            }
        }
        if !self.value.finite {
            let rule = format!("is {}: not a number that can be stored", self.value.text);
            return Err(Violation::new("value", rule));
        }
        BLANK
            .clone()
            .customer_id(self.customer_id)
            .attribute_id(attribute_id)
            .value(self.value.text.as_str())
            .try_into()
            .map_err(|error: types::error::ConversionError| {
                // The generated text is "error converting …: longer than 255 characters".
                let text = error.to_string();
                let rule = text.rsplit(": ").next().unwrap_or(&text);
                let length = self.value.text.chars().count();
                Violation::new("value", format!("has {length} characters: {rule}"))
            })
    }

    pub(crate) fn into_metadata(self) -> Metadata {
        Metadata {
            tag: self.tag,
            name: self.attribute.name,
        }
    }

    pub(crate) fn from_wire(wire: types::AttributeValueUpsert, metadata: Metadata) -> Self {
        Self {
            customer_id: wire.customer_id,
            attribute: AttributeKey {
                id: Some(wire.attribute_id),
                name: metadata.name,
            },
            value: Value::from(String::from(wire.value)),
            tag: metadata.tag,
        }
    }
}

/// A value as a list gives it, to be stored again: in another store, say.
impl From<types::AttributeValue> for UpsertRow {
    fn from(value: types::AttributeValue) -> Self {
        Self::new(value.customer_id, value.attribute_id, value.attribute_value)
    }
}

/// What of a row is not sent and comes back with its outcome.
#[derive(Clone, Debug)]
pub struct Metadata {
    tag: Option<Box<str>>,
    name: Option<Arc<str>>,
}

/// An attribute, by its ID or by its name.
///
/// A run asks for the IDs of names once, when the first one comes; see
/// [`Store::attributes`](crate::Store::attributes).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttributeKey {
    id: Option<i64>,
    name: Option<Arc<str>>,
}

impl AttributeKey {
    /// Returns the ID; `None` of a name as long as it was not asked for.
    #[must_use]
    pub fn id(&self) -> Option<i64> {
        self.id
    }

    /// Returns the name, if that is how the attribute was given.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(crate) fn set_id(&mut self, id: i64) {
        self.id = Some(id);
    }
}

impl From<i64> for AttributeKey {
    fn from(id: i64) -> Self {
        Self {
            id: Some(id),
            name: None,
        }
    }
}

impl From<&str> for AttributeKey {
    fn from(name: &str) -> Self {
        Self::from(Arc::from(name))
    }
}

impl From<String> for AttributeKey {
    fn from(name: String) -> Self {
        Self::from(Arc::from(name))
    }
}

/// For names that many rows share.
impl From<Arc<str>> for AttributeKey {
    fn from(name: Arc<str>) -> Self {
        Self {
            id: None,
            name: Some(name),
        }
    }
}

impl fmt::Display for AttributeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.id) {
            (Some(name), _) => write!(f, "\"{name}\""),
            (None, id) => write!(f, "{}", id.unwrap_or_default()),
        }
    }
}

/// A value as text, whatever type it came from.
///
/// Text stays as it is. Integers and floating-point numbers are written in decimal, the shortest
/// way that reads back the same. Dates become `2024-06-10`, times `2024-06-10T14:22:00Z` in UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    text: String,
    finite: bool,
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self { text, finite: true }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Cow<'_, str>> for Value {
    fn from(text: Cow<'_, str>) -> Self {
        Self::from(text.into_owned())
    }
}

macro_rules! from_integer {
    ($($integer:ty),*) => {$(
        impl From<$integer> for Value {
            fn from(number: $integer) -> Self {
                Self::from(number.to_string())
            }
        }
    )*};
}

from_integer!(i8, i16, i32, i64, u8, u16, u32, u64, usize, isize);

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self {
            text: number.to_string(),
            finite: number.is_finite(),
        }
    }
}

impl From<f32> for Value {
    fn from(number: f32) -> Self {
        Self {
            text: number.to_string(),
            finite: number.is_finite(),
        }
    }
}

impl From<NaiveDate> for Value {
    fn from(date: NaiveDate) -> Self {
        Self::from(date.to_string())
    }
}

impl<Tz: TimeZone> From<DateTime<Tz>> for Value {
    fn from(time: DateTime<Tz>) -> Self {
        let utc = time.with_timezone(&Utc);
        Self::from(utc.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: impl Into<Value>) -> String {
        value.into().text
    }

    #[test]
    fn numbers_and_dates_become_text() {
        assert_eq!(text("  as it is "), "  as it is ");
        assert_eq!(text(-7), "-7");
        assert_eq!(text(u64::MAX), "18446744073709551615");
        assert_eq!(text(30.43), "30.43");
        assert_eq!(text(0.0), "0");
        assert_eq!(text(0.1_f32), "0.1");
        let date = NaiveDate::from_ymd_opt(2024, 6, 10).expect("a date");
        assert_eq!(text(date), "2024-06-10");
        let east = chrono::FixedOffset::east_opt(2 * 3600).expect("an offset");
        let time = date.and_hms_opt(16, 22, 0).expect("a time");
        let time = time.and_local_timezone(east).single().expect("one time");
        assert_eq!(text(time), "2024-06-10T14:22:00Z");
    }

    #[test]
    fn a_row_that_breaks_a_rule_says_which() {
        for (row, expected) in [
            (
                UpsertRow::new(0, 1, "x"),
                "customer_id is 0: an ID is 1 or more",
            ),
            (
                UpsertRow::new(1, -3, "x"),
                "attribute_id is -3: an ID is 1 or more",
            ),
            (
                UpsertRow::new(1, 1, "é".repeat(256)),
                "value has 256 characters: longer than 255 characters",
            ),
            (
                UpsertRow::new(1, 1, f64::NAN),
                "value is NaN: not a number that can be stored",
            ),
        ] {
            let rule = row.to_wire().expect_err("the row is bad");
            assert_eq!(rule.to_string(), expected);
        }
        for value in [String::new(), "é".repeat(255)] {
            let row = UpsertRow::new(1, 1, value.clone()).with_tag("t");
            let wire = row.to_wire().expect("the row is good");
            assert_eq!(UpsertRow::from_wire(wire, row.clone().into_metadata()), row);
        }
    }
}
