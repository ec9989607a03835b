//! What a mirror tells, as JSON. `docs/json.md` describes the schema.

use serde::{Serialize, Serializer};

use super::preview::Difference;
use super::summary::{DeletedValue, MirrorOutcome, MirrorReport, MirrorSummary};
use crate::json::{ErrorJson, OutcomeJson, OutcomeKindJson, SummaryJson};
use crate::value::UpsertRow;

#[cfg(feature = "schemars")]
use schemars::JsonSchema;

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "DeletedValue"))]
struct DeletedValueJson<'a> {
    /// The ID of the value, 0 if the server has listed it without one.
    value_id: i64,
    customer_id: i64,
    attribute_id: i64,
    #[serde(flatten)]
    kind: OutcomeKindJson<'a>,
}

impl<'a> From<&'a DeletedValue> for DeletedValueJson<'a> {
    fn from(value: &'a DeletedValue) -> Self {
        Self {
            value_id: value.value_id,
            customer_id: value.customer_id,
            attribute_id: value.attribute_id,
            kind: (&value.kind).into(),
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "MirrorOutcome"))]
#[serde(untagged)]
enum MirrorOutcomeJson<'a, R> {
    Row(OutcomeJson<'a, R>),
    Delete(DeletedValueJson<'a>),
}

impl<'a, T> From<&'a MirrorOutcome<T>> for MirrorOutcomeJson<'a, UpsertRow<T>> {
    fn from(outcome: &'a MirrorOutcome<T>) -> Self {
        match outcome {
            MirrorOutcome::Row(outcome) => Self::Row(outcome.into()),
            MirrorOutcome::Delete(value) => Self::Delete(value.into()),
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "Difference"))]
#[serde(tag = "difference", rename_all = "snake_case")]
enum DifferenceJson<'a, R> {
    Create {
        /// The row's position in the input, counted from 0.
        index: u64,
        row: &'a R,
    },
    Change {
        /// The row's position in the input, counted from 0.
        index: u64,
        row: &'a R,
        /// The store's value, null if the server no longer showed it.
        old: Option<&'a str>,
    },
    Unchanged {
        /// The row's position in the input, counted from 0.
        index: u64,
        row: &'a R,
    },
    Delete {
        customer_id: i64,
        attribute_id: i64,
        /// The name of the attribute.
        attribute: &'a str,
        /// The ID of the value, 0 if the server has listed it without one.
        value_id: i64,
        /// The store's value, null if the server no longer showed it.
        old: Option<&'a str>,
    },
    Other(OutcomeJson<'a, R>),
}

impl<'a, T> From<&'a Difference<T>> for DifferenceJson<'a, UpsertRow<T>> {
    fn from(difference: &'a Difference<T>) -> Self {
        match difference {
            Difference::Create { index, row } => Self::Create { index: *index, row },
            Difference::Change { index, row, old } => Self::Change {
                index: *index,
                row,
                old: old.as_deref(),
            },
            Difference::Unchanged { index, row } => Self::Unchanged { index: *index, row },
            Difference::Delete {
                customer_id,
                attribute_id,
                attribute,
                value_id,
                old,
            } => Self::Delete {
                customer_id: *customer_id,
                attribute_id: *attribute_id,
                attribute,
                value_id: *value_id,
                old: old.as_deref(),
            },
            Difference::Other(outcome) => Self::Other(outcome.into()),
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "MirrorSummary"))]
struct MirrorSummaryJson<'a> {
    rows: SummaryJson,
    deletes: SummaryJson,
    /// The number of values that were listed.
    listed: u64,
    /// The number of listed values that the input doesn't have.
    not_in_input: u64,
    /// The number of values that were not deleted because they may have changed.
    kept: u64,
    /// The number of other values that somebody else changed during the run.
    changed_by_others: u64,
    /// All requests.
    requests: u64,
    /// Whether the store equals the input.
    is_exact: bool,
    /// Why the list of values may lack some.
    list_doubt: Option<ErrorJson<'a>>,
    /// Why nothing was deleted.
    held_back: Option<ErrorJson<'a>>,
    /// The error that ended the mirror early.
    stopped_by: Option<ErrorJson<'a>>,
}

impl<'a> From<&'a MirrorSummary> for MirrorSummaryJson<'a> {
    fn from(summary: &'a MirrorSummary) -> Self {
        Self {
            rows: (&summary.rows).into(),
            deletes: (&summary.deletes).into(),
            listed: summary.listed,
            not_in_input: summary.not_in_input,
            kept: summary.kept,
            changed_by_others: summary.changed_by_others,
            requests: summary.requests,
            is_exact: summary.is_exact(),
            list_doubt: summary.list_doubt().map(Into::into),
            held_back: summary.held_back().map(Into::into),
            stopped_by: summary.stopped_by().map(Into::into),
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "MirrorReport"))]
struct MirrorReportJson<'a, R> {
    summary: MirrorSummaryJson<'a>,
    /// The rows that were not stored, and the values that were not deleted.
    failures: Vec<MirrorOutcomeJson<'a, R>>,
}

impl<'a, T> From<&'a MirrorReport<T>> for MirrorReportJson<'a, UpsertRow<T>> {
    fn from(report: &'a MirrorReport<T>) -> Self {
        Self {
            summary: report.summary().into(),
            failures: report.failures().iter().map(Into::into).collect(),
        }
    }
}

/// Implements the traits of a type by its mirror. A payload is not written, so it may have any type.
macro_rules! mirrored {
    ($($type:ty as $mirror:ty $(; $payload:ident)?),* $(,)?) => {$(
        impl<$($payload)?> Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$mirror>::from(self).serialize(serializer)
            }
        }

        #[cfg(feature = "schemars")]
        impl<$($payload: 'static)?> JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                <$mirror>::schema_name()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$mirror>::json_schema(generator)
            }
        }
    )*};
}

mirrored!(
    DeletedValue as DeletedValueJson<'_>,
    MirrorOutcome<T> as MirrorOutcomeJson<'_, UpsertRow<T>>; T,
    Difference<T> as DifferenceJson<'_, UpsertRow<T>>; T,
    MirrorSummary as MirrorSummaryJson<'_>,
    MirrorReport<T> as MirrorReportJson<'_, UpsertRow<T>>; T,
);
