//! The optional fields of a record that a row sets beside its value.

use std::error::Error as StdError;
use std::fmt;
use std::sync::LazyLock;

use bigcommerce_sdk::types;

use crate::error::Violation;

type Record = types::AttributeValueUpsert;
type RecordBuilder = types::builder::AttributeValueUpsert;

/// Cloned for each row: a new builder allocates an error text for every field that is not set yet.
static RECORD_TEMPLATE: LazyLock<RecordBuilder> =
    LazyLock::new(|| Record::builder().customer_id(1).attribute_id(1).value(""));

/// A result of the closure that [`UpsertRow::customize`](crate::UpsertRow::customize) calls: the builder,
/// or a `Result` with it.
///
/// The trait is sealed.
pub trait IntoRecord: sealed::RecordResult {}

impl IntoRecord for RecordBuilder {}

impl<E: Into<Box<dyn StdError + Send + Sync>>> IntoRecord for Result<RecordBuilder, E> {}

mod sealed {
    use super::{RecordBuilder, StdError};

    pub trait RecordResult {
        fn into_record(self) -> Result<RecordBuilder, String>;
    }

    impl RecordResult for RecordBuilder {
        fn into_record(self) -> Result<RecordBuilder, String> {
            Ok(self)
        }
    }

    impl<E: Into<Box<dyn StdError + Send + Sync>>> RecordResult for Result<RecordBuilder, E> {
        fn into_record(self) -> Result<RecordBuilder, String> {
            self.map_err(|error| error.into().to_string())
        }
    }
}

/// A record with optional fields, or the error of the closure that was to set them. The fields may be
/// personal data: `Debug` doesn't show them.
#[derive(Clone)]
pub struct CustomFields(Box<Result<RecordBuilder, String>>);

impl CustomFields {
    /// The number of bytes on the heap, texts not included.
    pub(crate) const HEAP_SIZE: usize = size_of::<RecordBuilder>();

    /// Returns the fields after `set` has changed them.
    pub(crate) fn set<R: IntoRecord>(
        fields: Option<Self>,
        set: impl FnOnce(RecordBuilder) -> R,
    ) -> Self {
        let record = fields.map_or_else(|| Ok(RECORD_TEMPLATE.clone()), |fields| *fields.0);
        Self(Box::new(
            record.and_then(|record| set(record).into_record()),
        ))
    }
}

/// Equal if the same fields are sent.
impl PartialEq for CustomFields {
    fn eq(&self, other: &Self) -> bool {
        // Builders can't be compared, and a record can't be built without a value that the document allows.
        let fields = |record: &RecordBuilder| {
            let record = record.clone().customer_id(1).attribute_id(1).value("");
            format!("{record:?}")
        };
        match (&*self.0, &*other.0) {
            (Ok(one), Ok(other)) => fields(one) == fields(other),
            (one, other) => one.as_ref().err() == other.as_ref().err(),
        }
    }
}

impl fmt::Debug for CustomFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomFields").finish_non_exhaustive()
    }
}

/// Returns the record of a row. Its IDs and its value replace those that the fields may have.
pub(crate) fn to_record(
    fields: Option<&CustomFields>,
    customer_id: i64,
    attribute_id: i64,
    value: &str,
) -> Result<Record, Violation> {
    let record = match fields.map(|fields| &*fields.0) {
        None => RECORD_TEMPLATE.clone(),
        Some(Ok(record)) => record.clone(),
        Some(Err(error)) => {
            return Err(Violation::new("customize()", format!("failed: {error}")));
        }
    };
    record
        .customer_id(customer_id)
        .attribute_id(attribute_id)
        .value(value)
        .try_into()
        .map_err(|error: types::error::ConversionError| {
            let error = error.to_string();
            let (field, rule) = field_and_rule(&error);
            match field {
                "value" => {
                    let characters = value.chars().count();
                    Violation::new("value", format!("has {characters} characters: {rule}"))
                }
                field => Violation::new(field.to_owned(), format!("is invalid: {rule}")),
            }
        })
}

/// Returns the field and the rule that a generated error names: "error converting supplied value for
/// value: longer than 255 characters".
fn field_and_rule(error: &str) -> (&str, &str) {
    let (before, rule) = error.split_once(": ").unwrap_or((error, error));
    let field = before.rsplit(' ').next().unwrap_or(before);
    (field, rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ID that the generated type refuses.
    struct BadId;

    impl TryFrom<BadId> for Option<i64> {
        type Error = &'static str;

        fn try_from(_: BadId) -> Result<Self, Self::Error> {
            Err("too long: at most 16 digits")
        }
    }

    #[test]
    fn an_absent_set_of_fields_takes_a_pointer() {
        assert_eq!(size_of::<Option<CustomFields>>(), size_of::<usize>());
    }

    #[test]
    fn the_customer_the_attribute_and_the_value_are_those_of_the_row() {
        let fields = CustomFields::set(None, |record| {
            record
                .customer_id(7)
                .attribute_id(8)
                .value("other")
                .id(5001)
        });
        let record = to_record(Some(&fields), 1, 2, "Gold").expect("a valid record");
        let expected = Record::builder()
            .customer_id(1)
            .attribute_id(2)
            .value("Gold");
        let expected: Record = expected.id(5001).try_into().expect("a valid record");
        assert_eq!(record, expected);
        // A closure may return another builder than it was given.
        let fields = CustomFields::set(Some(fields), |_| Record::builder().id(5002));
        let record = to_record(Some(&fields), 1, 2, "Gold").expect("a valid record");
        assert_eq!(
            record,
            Record {
                id: Some(5002),
                ..expected
            }
        );
    }

    #[test]
    fn an_invalid_field_is_named_with_its_rule() {
        let fields = CustomFields::set(None, |record| record.id(BadId));
        let violation = to_record(Some(&fields), 1, 2, "Gold").expect_err("a bad ID");
        assert_eq!(
            violation.to_string(),
            "id is invalid: too long: at most 16 digits"
        );
        // The last call decides.
        let fields = CustomFields::set(Some(fields), |record| record.id(5001));
        assert!(to_record(Some(&fields), 1, 2, "Gold").is_ok());
    }

    #[test]
    fn an_error_of_the_closure_stays() {
        let fails = |_| Err::<RecordBuilder, _>("longer than 16 characters");
        let fields = CustomFields::set(None, fails);
        let fields = CustomFields::set(Some(fields), |record| record.id(5001));
        let violation = to_record(Some(&fields), 1, 2, "Gold").expect_err("an error");
        let expected = "customize() failed: longer than 16 characters";
        assert_eq!(violation.to_string(), expected);
        let fields = CustomFields::set(None, |record| Ok::<_, String>(record.id(5001)));
        let record = to_record(Some(&fields), 1, 2, "Gold").expect("a valid record");
        assert_eq!(record.id, Some(5001));
    }

    #[test]
    fn fields_are_equal_if_the_same_is_sent_and_are_not_shown() {
        let with_id = |id: i64| CustomFields::set(None, |record| record.id(id));
        assert_eq!(with_id(5001), with_id(5001));
        assert_ne!(with_id(5001), with_id(5002));
        let invalid = || CustomFields::set(None, |record| record.id(BadId));
        assert_eq!(invalid(), invalid());
        assert_ne!(invalid(), with_id(5001));
        assert_eq!(format!("{:?}", with_id(5001)), "CustomFields { .. }");
    }
}
