//! The rows of an upsert, and the conversion of values into text.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bigcommerce_sdk::types;
use chrono::{DateTime, NaiveDate, SecondsFormat, TimeZone, Utc};

use crate::custom_fields::{CustomFields, IntoRecord, to_record};
use crate::customer_key::CustomerKey;
use crate::error::Violation;

/// A value to store for one attribute of one customer, or the statement that there is to be none.
///
/// Creating a row validates nothing. When the row is read by a run, an invalid row gets the outcome
/// [`Rejected`](crate::OutcomeKind::Rejected) with its index in the input, and is not sent.
///
/// ```
/// use bigcommerce_ext::UpsertRow;
///
/// let row = UpsertRow::new(2048, 101, "Premium Member").with_tag("message 17");
/// assert_eq!(row.value(), Some("Premium Member"));
/// assert_eq!(UpsertRow::new("jane@example.com", "Points", 30.43).value(), Some("30.43"));
/// ```
///
/// # Absent values
///
/// A row without a value deletes the store's value. It is what NULL means in a source: `None` is
/// converted into an absent value. An empty text is a value like any other.
///
/// ```
/// use bigcommerce_ext::UpsertRow;
///
/// let tier: Option<&str> = None;
/// assert_eq!(UpsertRow::new(2048, "Tier", tier), UpsertRow::absent(2048, "Tier"));
/// assert_eq!(UpsertRow::absent(2048, "Tier").value(), None);
/// ```
///
/// # Payloads
///
/// A row carries a payload of any type through the run. The payload is never sent, and comes back
/// with the row's outcome: a primary key, or the handle that acknowledges a message.
///
/// ```
/// use bigcommerce_ext::UpsertRow;
///
/// struct Delivery; // neither Clone nor Sync
///
/// let row: UpsertRow<Delivery> = UpsertRow::new(2048, 101, "Gold").with_payload(Delivery);
/// let Delivery = row.into_payload();
/// ```
///
/// # Fields of its own
///
/// A record of the OpenAPI document may have optional fields beside customer, attribute and value, such
/// as those that a project's own document adds. [`customize`](Self::customize) sets them.
#[derive(Clone, Debug, PartialEq)]
pub struct UpsertRow<T = ()> {
    customer: CustomerKey,
    /// The ID that was found for another key.
    found_id: Option<i64>,
    attribute: AttributeKey,
    value: Value,
    custom_fields: Option<CustomFields>,
    tag: Option<Box<str>>,
    payload: T,
}

impl UpsertRow {
    /// Creates a row. The customer is given by its ID or e-mail address, or by an
    /// [external ID](CustomerKey::external), the attribute by its ID or its name. The value is text,
    /// a number, a date, a time, or an `Option` of them; `None` is an absent value.
    pub fn new(
        customer: impl Into<CustomerKey>,
        attribute: impl Into<AttributeKey>,
        value: impl Into<Value>,
    ) -> Self {
        Self {
            customer: customer.into(),
            found_id: None,
            attribute: attribute.into(),
            value: value.into(),
            custom_fields: None,
            tag: None,
            payload: (),
        }
    }

    /// Creates a row whose value is deleted, if the store has one.
    ///
    /// Its outcome is [`Deleted`](crate::OutcomeKind::Deleted), or
    /// [`Unchanged`](crate::OutcomeKind::Unchanged) if the store has no value.
    pub fn absent(customer: impl Into<CustomerKey>, attribute: impl Into<AttributeKey>) -> Self {
        Self::new(customer, attribute, Value::ABSENT)
    }
}

impl<T> UpsertRow<T> {
    /// Attaches a payload in place of the present one. The payload is returned with the row's
    /// outcome and is never sent.
    #[must_use]
    pub fn with_payload<U>(self, payload: U) -> UpsertRow<U> {
        UpsertRow {
            customer: self.customer,
            found_id: self.found_id,
            attribute: self.attribute,
            value: self.value,
            custom_fields: self.custom_fields,
            tag: self.tag,
            payload,
        }
    }

    /// Returns the payload.
    #[must_use]
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// Converts the row into its payload.
    #[must_use]
    pub fn into_payload(self) -> T {
        self.payload
    }

    /// Attaches a tag, such as a message ID or a line number. The tag is returned with the row's
    /// outcome and is never sent.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<Box<str>>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Sets optional fields of the record that is sent, with the builder that is generated from the
    /// OpenAPI document.
    ///
    /// `set` is called once, at once. It returns the builder that it was given, with more fields set, or
    /// a `Result` with it. A second call of `customize` goes on with the fields of the first. The row's
    /// customer, attribute and value replace whatever `set` does to them.
    ///
    /// ```
    /// use bigcommerce_ext::UpsertRow;
    ///
    /// // With a document that adds the optional field `channel_id`: record.channel_id(7)
    /// let row = UpsertRow::new(2048, 101, "Gold").customize(|record| record.id(5001));
    /// // A text that the document limits has a type of its own, whose conversion may fail.
    /// let row = UpsertRow::new(2048, 101, "Gold")
    ///     .customize(|record| "5001".parse::<i64>().map(|id| record.id(id)));
    /// ```
    ///
    /// - A field that the document doesn't allow, or an error of `set`, makes the row
    ///   [`Rejected`](crate::OutcomeKind::Rejected), with an error that names the row, the field and the
    ///   rule. After an error of `set`, later calls of `customize` have no effect.
    /// - An absent value makes the row rejected too: a delete sends no fields, so nothing could tell
    ///   whether it deletes the value that is meant.
    /// - The fields are sent with every attempt, also when a batch is split, and come back with the
    ///   outcome's row. JSON doesn't contain them.
    /// - The last row per customer and attribute wins as a whole. Fields of an earlier row are not
    ///   merged into it.
    /// - [`skip_unchanged`](crate::Upsert::skip_unchanged) never skips the row, since the store's values
    ///   don't show the fields. A later row without fields is compared with what the store lists after
    ///   this one was stored.
    /// - Only a response to the row confirms it. A listed value doesn't show the fields, so a row without
    ///   such a response is sent again, then [`Unknown`](crate::OutcomeKind::Unknown).
    #[must_use]
    pub fn customize<R: IntoRecord>(
        mut self,
        set: impl FnOnce(types::builder::AttributeValueUpsert) -> R,
    ) -> Self {
        self.custom_fields = Some(CustomFields::set(self.custom_fields, set));
        self
    }

    pub(crate) fn custom_fields(&self) -> Option<&CustomFields> {
        self.custom_fields.as_ref()
    }

    /// Returns the customer, as it was given.
    #[must_use]
    pub fn customer(&self) -> &CustomerKey {
        &self.customer
    }

    /// Returns the customer's ID: the one that was given, or the one that the run has found for an
    /// e-mail address or an external ID. It is `None` if none was found.
    #[must_use]
    pub fn customer_id(&self) -> Option<i64> {
        self.customer.id().or(self.found_id)
    }

    /// Returns the ID that was found for a customer who was not given by it.
    #[cfg(feature = "serde")]
    pub(crate) fn found_customer_id(&self) -> Option<i64> {
        self.found_id
    }

    pub(crate) fn set_customer_id(&mut self, id: i64) {
        self.found_id = Some(id);
    }

    /// Returns the attribute.
    #[must_use]
    pub fn attribute(&self) -> &AttributeKey {
        &self.attribute
    }

    pub(crate) fn attribute_mut(&mut self) -> &mut AttributeKey {
        &mut self.attribute
    }

    /// Returns the value as the text that is sent, `None` if the value is absent.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.text.as_deref()
    }

    /// Returns the tag, if one was attached.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Validates the row and converts it into its wire type.
    pub(crate) fn to_wire(&self) -> Result<WireRow, Violation> {
        // An unresolved key has no ID, which is reported as the invalid ID 0.
        let customer_id = self.customer_id().unwrap_or_default();
        let attribute_id = self.attribute.id().unwrap_or_default();
        for (field, id) in [("customer_id", customer_id), ("attribute_id", attribute_id)] {
            if id < 1 {
                return Err(Violation::new(
                    field,
                    format!("is {id}: an ID is 1 or more"),
                ));
            }
        }
        let Some(text) = self.value.text.as_deref() else {
            if self.custom_fields.is_some() {
                let text = "is absent: leave out customize(), a delete sends no fields";
                return Err(Violation::new("value", text.to_owned()));
            }
            return Ok(WireRow::Delete(ValueToDelete {
                customer_id,
                attribute_id,
                value_id: None,
            }));
        };
        if !self.value.is_finite {
            let text = format!("is {text}: a number must be finite");
            return Err(Violation::new("value", text));
        }
        let fields = self.custom_fields.as_ref();
        to_record(fields, customer_id, attribute_id, text).map(WireRow::Put)
    }

    pub(crate) fn into_metadata(self) -> Metadata<T> {
        Metadata {
            customer: Some(self.customer).filter(|customer| customer.id().is_none()),
            custom_fields: self.custom_fields,
            tag: self.tag,
            name: self.attribute.name,
            payload: self.payload,
        }
    }

    pub(crate) fn from_wire(wire: WireRow, metadata: Metadata<T>) -> Self {
        let (customer_id, attribute_id) = wire.key();
        let found_id = metadata.customer.as_ref().map(|_| customer_id);
        Self {
            customer: metadata.customer.unwrap_or(CustomerKey::Id(customer_id)),
            found_id,
            attribute: AttributeKey {
                id: Some(attribute_id),
                name: metadata.name,
            },
            value: match wire {
                WireRow::Put(wire) => Value::from(String::from(wire.value)),
                WireRow::Delete(_) => Value::ABSENT,
            },
            custom_fields: metadata.custom_fields,
            tag: metadata.tag,
            payload: metadata.payload,
        }
    }
}

/// A valid row as it is sent.
#[derive(Clone, Debug)]
pub enum WireRow {
    /// A value to store.
    Put(types::AttributeValueUpsert),
    /// A value to delete.
    Delete(ValueToDelete),
}

/// A value that is to go.
#[derive(Clone, Copy, Debug)]
pub struct ValueToDelete {
    pub customer_id: i64,
    pub attribute_id: i64,
    /// The ID of the value, `None` until the store was read.
    pub value_id: Option<i64>,
}

impl WireRow {
    pub(crate) fn key(&self) -> (i64, i64) {
        match self {
            Self::Put(wire) => (wire.customer_id, wire.attribute_id),
            Self::Delete(value) => (value.customer_id, value.attribute_id),
        }
    }
}

/// Converts a listed value into a row, for example to copy it to another store.
impl From<types::AttributeValue> for UpsertRow {
    fn from(value: types::AttributeValue) -> Self {
        Self::new(value.customer_id, value.attribute_id, value.attribute_value)
    }
}

/// The parts of a row that are not sent but returned with its outcome.
pub struct Metadata<T> {
    /// The key of a customer that was not given by its ID.
    customer: Option<CustomerKey>,
    /// The fields as they were set: the record has them too, but doesn't tell them from others.
    custom_fields: Option<CustomFields>,
    tag: Option<Box<str>>,
    name: Option<Arc<str>>,
    payload: T,
}

impl<T> Metadata<T> {
    pub(crate) fn has_custom_fields(&self) -> bool {
        self.custom_fields.is_some()
    }
}

impl<T> fmt::Debug for Metadata<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A payload need not implement Debug.
        f.debug_struct("Metadata")
            .field("tag", &self.tag)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// An attribute, given by its ID or its name.
///
/// A run requests the store's attributes once, when it reads the first name, and resolves all names
/// with them. [`Store::attributes`](crate::Store::attributes) creates attributes that are missing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttributeKey {
    id: Option<i64>,
    name: Option<Arc<str>>,
}

impl AttributeKey {
    /// Returns the ID, or `None` if the attribute was given by a name that is not resolved.
    #[must_use]
    pub fn id(&self) -> Option<i64> {
        self.id
    }

    /// Returns the name, if the attribute was given by its name.
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

/// Shares one name between many rows.
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

/// A value as the text that is sent, converted from text, a number, a date or a time.
///
/// - `None` is an absent value: the store's value is deleted.
/// - Text is not changed.
/// - Numbers are written in decimal, with as few digits as parse to the same number. A row with an
///   infinite number or NaN is invalid.
/// - A [`NaiveDate`] is written as `2024-06-10`.
/// - A [`DateTime`] is written in UTC and whole seconds, as `2024-06-10T14:22:00Z`.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// `None` if the value is absent.
    text: Option<String>,
    is_finite: bool,
}

impl Value {
    const ABSENT: Self = Self {
        text: None,
        is_finite: true,
    };
}

impl<V: Into<Self>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::ABSENT, Into::into)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self {
            text: Some(text),
            is_finite: true,
        }
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
            text: Some(number.to_string()),
            is_finite: number.is_finite(),
        }
    }
}

impl From<f32> for Value {
    fn from(number: f32) -> Self {
        Self {
            text: Some(number.to_string()),
            is_finite: number.is_finite(),
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
        value.into().text.expect("the value is not absent")
    }

    #[test]
    fn numbers_dates_and_times_are_converted_to_text() {
        assert_eq!(text("  unchanged "), "  unchanged ");
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
    fn an_invalid_row_names_its_field_and_the_rule() {
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
                "value is NaN: a number must be finite",
            ),
            (
                UpsertRow::absent(1, 1).customize(|record| record.id(5001)),
                "value is absent: leave out customize(), a delete sends no fields",
            ),
        ] {
            let violation = row.to_wire().expect_err("an invalid row");
            assert_eq!(violation.to_string(), expected);
        }
        for value in [None, Some(String::new()), Some("é".repeat(255))] {
            for customer in [
                1.into(),
                "jane@example.com".into(),
                CustomerKey::external("D-7"),
            ] {
                let row = UpsertRow::new(customer, 1, value.clone());
                let row = match value {
                    Some(_) => row.customize(|record| record.id(5001)),
                    None => row,
                };
                let mut row = row.with_tag("t").with_payload(7);
                if row.customer_id().is_none() {
                    row.set_customer_id(5);
                }
                let wire = row.to_wire().expect("a valid row");
                assert_eq!(UpsertRow::from_wire(wire, row.clone().into_metadata()), row);
            }
        }
    }
}
