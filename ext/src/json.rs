//! Rows, outcomes, errors and events as JSON. `docs/json.md` describes the schema and its versions.
//!
//! Each type has a mirror here, so that a field that is renamed in Rust keeps its name in JSON.

use std::fmt;

use bigcommerce_sdk::types::AttributeValue;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::customer_key::CustomerKey;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, WaitReason};
use crate::outcome::{Outcome, OutcomeKind, Report, RunKind, Summary};
use crate::value::{AttributeKey, UpsertRow, Value};

#[cfg(feature = "schemars")]
use schemars::JsonSchema;

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[serde(untagged)]
#[cfg_attr(feature = "schemars", schemars(rename = "AttributeKey"))]
enum AttributeKeyJson<'a> {
    Id(i64),
    Name(&'a str),
}

/// A customer, by ID, by e-mail address, or by the ID that another system has for it.
#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[serde(untagged)]
#[cfg_attr(feature = "schemars", schemars(rename = "CustomerKey"))]
enum CustomerKeyJson<'a> {
    Id(i64),
    Email(&'a str),
    External(ExternalIdJson<'a>),
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(
    feature = "schemars",
    schemars(rename = "ExternalId", deny_unknown_fields)
)]
struct ExternalIdJson<'a> {
    /// The ID that another system has for the customer.
    external: &'a str,
}

impl<'a> From<&'a CustomerKey> for CustomerKeyJson<'a> {
    fn from(key: &'a CustomerKey) -> Self {
        match key {
            CustomerKey::Id(id) => Self::Id(*id),
            CustomerKey::Email(address) => Self::Email(address),
            CustomerKey::External(id) => Self::External(ExternalIdJson { external: id }),
        }
    }
}

impl Serialize for CustomerKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CustomerKeyJson::from(self).serialize(serializer)
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(
    feature = "schemars",
    schemars(rename = "UpsertRow", deny_unknown_fields)
)]
struct UpsertRowJson<'a> {
    /// The customer's ID, e-mail address or external ID.
    customer: CustomerKeyJson<'a>,
    /// The ID that was found for a customer who was not given by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<i64>,
    /// The attribute's ID or name.
    attribute: AttributeKeyJson<'a>,
    /// The value as text, null for a value that is to be deleted. A number is accepted, too.
    #[cfg_attr(feature = "schemars", schemars(required, with = "ValueJson"))]
    value: Option<&'a str>,
    /// A text that comes back with the row's outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
}

/// What a row's value may be.
#[cfg(feature = "schemars")]
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum ValueJson {
    Text(String),
    Number(f64),
    Absent(()),
}

/// The keys of a row.
const ROW_FIELDS: &[&str] = &["customer", "customer_id", "attribute", "value", "tag"];

impl<T> Serialize for UpsertRow<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let attribute = self.attribute();
        UpsertRowJson {
            customer: self.customer().into(),
            customer_id: self.found_customer_id(),
            attribute: match (attribute.name(), attribute.id()) {
                (Some(name), _) => AttributeKeyJson::Name(name),
                (None, id) => AttributeKeyJson::Id(id.unwrap_or_default()),
            },
            value: self.value(),
            tag: self.tag(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for UpsertRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("UpsertRow", ROW_FIELDS, RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = UpsertRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row with customer, attribute and value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UpsertRow, A::Error> {
        let (mut customer, mut attribute, mut value, mut tag) = (None, None, None, None);
        let mut found = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match &*key {
                "customer" if customer.is_none() => {
                    customer = Some(map.next_value::<CustomerKey>()?);
                }
                // A row that was written with an outcome is read as it was given.
                "customer_id" if found.is_none() => found = Some(map.next_value::<Option<i64>>()?),
                "attribute" if attribute.is_none() => {
                    attribute = Some(map.next_value::<AttributeInput>()?.0);
                }
                "value" if value.is_none() => value = Some(map.next_value::<ValueInput>()?.0),
                "tag" if tag.is_none() => tag = Some(map.next_value::<Option<String>>()?),
                key => match ROW_FIELDS.iter().find(|field| **field == key) {
                    Some(field) => return Err(de::Error::duplicate_field(field)),
                    None => return Err(de::Error::unknown_field(key, ROW_FIELDS)),
                },
            }
        }
        let missing = de::Error::missing_field;
        let customer = customer.ok_or_else(|| missing("customer"))?;
        let attribute = attribute.ok_or_else(|| missing("attribute"))?;
        let row = UpsertRow::new(customer, attribute, value.ok_or_else(|| missing("value"))?);
        Ok(match tag.flatten() {
            Some(tag) => row.with_tag(tag),
            None => row,
        })
    }
}

impl<'de> Deserialize<'de> for CustomerKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CustomerVisitor;
        impl<'de> Visitor<'de> for CustomerVisitor {
            type Value = CustomerKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the ID or the e-mail address of a customer, or {\"external\": \"…\"}")
            }

            fn visit_i64<E: de::Error>(self, id: i64) -> Result<CustomerKey, E> {
                Ok(id.into())
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<CustomerKey, E> {
                let id = i64::try_from(id);
                let id = id.map_err(|_| E::custom("the ID of the customer is too large"))?;
                self.visit_i64(id)
            }

            fn visit_str<E: de::Error>(self, address: &str) -> Result<CustomerKey, E> {
                Ok(address.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CustomerKey, A::Error> {
                let mut external = None;
                while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    match &*key {
                        "external" if external.is_none() => {
                            external = Some(map.next_value::<String>()?);
                        }
                        "external" => return Err(de::Error::duplicate_field("external")),
                        key => return Err(de::Error::unknown_field(key, &["external"])),
                    }
                }
                let external = external.ok_or_else(|| de::Error::missing_field("external"))?;
                Ok(CustomerKey::external(external))
            }
        }
        deserializer.deserialize_any(CustomerVisitor)
    }
}

struct AttributeInput(AttributeKey);

impl<'de> Deserialize<'de> for AttributeInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AttributeVisitor;
        impl Visitor<'_> for AttributeVisitor {
            type Value = AttributeInput;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the ID or the name of an attribute")
            }

            fn visit_i64<E: de::Error>(self, id: i64) -> Result<AttributeInput, E> {
                Ok(AttributeInput(id.into()))
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<AttributeInput, E> {
                let id = i64::try_from(id);
                let id = id.map_err(|_| E::custom("the ID of the attribute is too large"))?;
                self.visit_i64(id)
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<AttributeInput, E> {
                Ok(AttributeInput(name.into()))
            }
        }
        deserializer.deserialize_any(AttributeVisitor)
    }
}

/// From here on, not every whole number is an `f64`.
const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;

struct ValueInput(Value);

impl<'de> Deserialize<'de> for ValueInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl Visitor<'_> for ValueVisitor {
            type Value = ValueInput;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value as text or number, or null")
            }

            fn visit_unit<E>(self) -> Result<ValueInput, E> {
                Ok(ValueInput(None::<&str>.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<ValueInput, E> {
                Ok(ValueInput(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<ValueInput, E> {
                Ok(ValueInput(number.into()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<ValueInput, E> {
                if number.abs() >= FIRST_INEXACT && number.fract() == 0.0 {
                    return Err(E::custom(
                        "the number has too many digits to be read exactly: write it as a text",
                    ));
                }
                Ok(ValueInput(number.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<ValueInput, E> {
                Ok(ValueInput(text.into()))
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "Error"))]
pub(crate) struct ErrorJson<'a> {
    /// The kind's name.
    kind: &'static str,
    /// The whole text, without the index of the row.
    message: String,
    /// What to do.
    advice: Option<&'a str>,
    /// The index of the row that the error is about.
    row: Option<u64>,
    /// The HTTP status of the last response.
    status: Option<u16>,
    /// The title and the field messages of the last response.
    server_message: Option<&'a str>,
    /// The ID of the last request, if the server sent one.
    request_id: Option<&'a str>,
    /// The number of requests that were made.
    attempts: u32,
    /// The time from the first request to the end of the call.
    elapsed_ms: u64,
    /// Whether the same request may succeed later.
    is_temporary: bool,
}

impl<'a> From<&'a Error> for ErrorJson<'a> {
    fn from(error: &'a Error) -> Self {
        Self {
            kind: error.kind().as_str(),
            message: error.reason(),
            advice: error.advice(),
            row: error.row(),
            status: error.status(),
            server_message: error.server_message(),
            request_id: error.request_id(),
            attempts: error.attempts(),
            elapsed_ms: millis(error.elapsed()),
            is_temporary: error.is_temporary(),
        }
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "OutcomeKind"))]
pub(crate) struct OutcomeKindJson<'a> {
    /// The kind's name.
    kind: &'static str,
    /// The server's record of a stored value, if its response has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a AttributeValue>,
    /// The index of the later row that superseded this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<u64>,
    /// Why the row is rejected, unknown or not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorJson<'a>>,
}

impl<'a> From<&'a OutcomeKind> for OutcomeKindJson<'a> {
    fn from(outcome: &'a OutcomeKind) -> Self {
        let (mut record, mut by, mut error) = (None, None, None);
        match outcome {
            OutcomeKind::Stored(stored) => record = stored.as_ref(),
            OutcomeKind::Superseded { by: later } => by = Some(*later),
            OutcomeKind::Rejected(reason)
            | OutcomeKind::Unknown(reason)
            | OutcomeKind::NotSent(reason) => error = Some(reason.into()),
            OutcomeKind::Unchanged | OutcomeKind::Deleted | OutcomeKind::Planned => {}
        }
        Self {
            kind: outcome.as_str(),
            record,
            by,
            error,
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "Outcome"))]
pub(crate) struct OutcomeJson<'a, R> {
    /// The row's position in the input, counted from 0.
    index: u64,
    /// The row, null if the input had an error in its place.
    row: Option<&'a R>,
    #[serde(flatten)]
    kind: OutcomeKindJson<'a>,
}

impl<'a, R> From<&'a Outcome<R>> for OutcomeJson<'a, R> {
    fn from(outcome: &'a Outcome<R>) -> Self {
        Self {
            index: outcome.index,
            row: outcome.row.as_ref(),
            kind: (&outcome.kind).into(),
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "Summary"))]
pub(crate) struct SummaryJson {
    /// What the run does: `upsert` or `delete`.
    run: &'static str,
    requests: u64,
    stored: u64,
    differing: u64,
    unchanged: u64,
    deleted: u64,
    planned: u64,
    superseded: u64,
    rejected: u64,
    unknown: u64,
    not_sent: u64,
    /// Whether no row was rejected, unknown or not sent.
    is_complete: bool,
}

impl From<&Summary> for SummaryJson {
    fn from(summary: &Summary) -> Self {
        Self {
            run: match summary.run_kind {
                RunKind::Upsert => "upsert",
                RunKind::Delete => "delete",
            },
            requests: summary.requests,
            stored: summary.stored,
            differing: summary.differing,
            unchanged: summary.unchanged,
            deleted: summary.deleted,
            planned: summary.planned,
            superseded: summary.superseded,
            rejected: summary.rejected,
            unknown: summary.unknown,
            not_sent: summary.not_sent,
            is_complete: summary.is_complete(),
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "Report"))]
struct ReportJson<'a, R> {
    summary: SummaryJson,
    /// The error that ended the run early, if one did.
    stopped_by: Option<ErrorJson<'a>>,
    outcomes: Vec<OutcomeJson<'a, R>>,
}

impl<'a, R> From<&'a Report<R>> for ReportJson<'a, R> {
    fn from(report: &'a Report<R>) -> Self {
        Self {
            summary: (&report.summary()).into(),
            stopped_by: report.stopped_by().map(Into::into),
            outcomes: report.outcomes().iter().map(Into::into).collect(),
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "Event"))]
#[serde(tag = "event", rename_all = "snake_case")]
enum EventJson<'a> {
    BatchReady {
        call: u64,
        operation: &'static str,
        customers: usize,
        values: usize,
    },
    RequestStarted {
        call: u64,
        operation: &'static str,
        attempt: u32,
    },
    RequestFinished {
        call: u64,
        operation: &'static str,
        status: Option<u16>,
        elapsed_ms: u64,
    },
    Waiting {
        call: u64,
        operation: &'static str,
        reason: &'static str,
        wait_ms: u64,
    },
    Split {
        call: u64,
        operation: &'static str,
        customers: usize,
        values: usize,
    },
    SizeLimitLearned {
        operation: &'static str,
        customers: Option<usize>,
        values: Option<usize>,
    },
    CallFinished {
        call: u64,
        operation: &'static str,
    },
    Page {
        operation: &'static str,
        number: u64,
        values: usize,
        total: Option<u64>,
    },
    TotalChanged {
        operation: &'static str,
        before: u64,
        now: u64,
    },
    OutageStarted {
        lasted_ms: u64,
    },
    OutageEnded {
        lasted_ms: u64,
    },
    LimitsUnshared {
        cause: &'a str,
    },
    LimitsShared {
        lasted_ms: u64,
    },
    Progress {
        summary: SummaryJson,
    },
}

impl<'a> From<&'a Event> for EventJson<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            &Event::BatchReady {
                call,
                operation,
                customers,
                values,
            } => Self::BatchReady {
                call,
                operation,
                customers,
                values,
            },
            &Event::RequestStarted {
                call,
                operation,
                attempt,
            } => Self::RequestStarted {
                call,
                operation,
                attempt,
            },
            &Event::RequestFinished {
                call,
                operation,
                status,
                elapsed,
            } => Self::RequestFinished {
                call,
                operation,
                status,
                elapsed_ms: millis(elapsed),
            },
            &Event::Waiting {
                call,
                operation,
                reason,
                wait,
            } => Self::Waiting {
                call,
                operation,
                reason: reason.as_str(),
                wait_ms: millis(wait),
            },
            &Event::Split {
                call,
                operation,
                customers,
                values,
            } => Self::Split {
                call,
                operation,
                customers,
                values,
            },
            &Event::SizeLimitLearned {
                operation,
                customers,
                values,
            } => Self::SizeLimitLearned {
                operation,
                customers,
                values,
            },
            &Event::CallFinished { call, operation } => Self::CallFinished { call, operation },
            &Event::Page {
                operation,
                number,
                values,
                total,
            } => Self::Page {
                operation,
                number,
                values,
                total,
            },
            &Event::TotalChanged {
                operation,
                before,
                now,
            } => Self::TotalChanged {
                operation,
                before,
                now,
            },
            &Event::OutageStarted { lasted } => Self::OutageStarted {
                lasted_ms: millis(lasted),
            },
            &Event::OutageEnded { lasted } => Self::OutageEnded {
                lasted_ms: millis(lasted),
            },
            Event::LimitsUnshared { cause } => Self::LimitsUnshared { cause },
            &Event::LimitsShared { lasted } => Self::LimitsShared {
                lasted_ms: millis(lasted),
            },
            Event::Progress { summary } => Self::Progress {
                summary: summary.into(),
            },
        }
    }
}

macro_rules! names {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )*};
}

names!(ErrorKind, WaitReason);

/// Implements the traits of a type by its mirror.
macro_rules! mirrored {
    ($($type:ty as $mirror:ident<$($lifetime:lifetime)? $(; $row:ident)?>),* $(,)?) => {$(
        impl<$($row: Serialize)?> Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $mirror::from(self).serialize(serializer)
            }
        }

        #[cfg(feature = "schemars")]
        impl<$($row: JsonSchema + 'static)?> JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $mirror::<$($lifetime,)? $($row)?>::schema_name()
            }

            fn schema_id() -> std::borrow::Cow<'static, str> {
                // Reports of rows and reports of IDs have one name.
                std::any::type_name::<Self>().into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $mirror::<$($lifetime,)? $($row)?>::json_schema(generator)
            }
        }
    )*};
}

mirrored!(
    Error as ErrorJson<'static>,
    OutcomeKind as OutcomeKindJson<'static>,
    Outcome<R> as OutcomeJson<'static; R>,
    Report<R> as ReportJson<'static; R>,
    Summary as SummaryJson<>,
    Event as EventJson<'static>,
);

#[cfg(feature = "schemars")]
impl<T> JsonSchema for UpsertRow<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        UpsertRowJson::<'static>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        UpsertRowJson::<'static>::json_schema(generator)
    }
}
