//! Deserializers of the generated response types. A field or record of an unexpected form costs
//! only itself.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The records of a page that have their essential fields.
pub(crate) struct Records<T> {
    pub(crate) readable: Vec<T>,
    /// The number of records that were left out.
    pub(crate) unreadable: u64,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Records<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RecordsVisitor(PhantomData))
    }
}

struct RecordsVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for RecordsVisitor<T> {
    type Value = Records<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut records = Records {
            readable: Vec::new(),
            unreadable: 0,
        };
        // A record that fails in its middle would leave the parser there.
        while let Some(item) = items.next_element::<Value>()? {
            match read_object(item) {
                Some(record) => records.readable.push(record),
                None => records.unreadable += 1,
            }
        }
        Ok(records)
    }
}

/// Deserializes a struct from an object only. A derived deserializer also accepts an array, of which
/// it takes the items for the fields in their order.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

/// Deserializes a struct. Anything of another form becomes `None`.
pub(crate) fn optional_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(read_object(Value::deserialize(deserializer)?))
}

fn read_object<T: DeserializeOwned>(value: Value) -> Option<T> {
    object(value).ok()
}

/// Deserializes an essential integer, which can be in a string.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    read_integer(&value).ok_or_else(|| D::Error::custom("not an integer"))
}

/// Deserializes an integer, which can be in a string. Anything else becomes `None`.
pub(crate) fn optional_integer<'de, D>(deserializer: D) -> Result<Option<i64>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(read_integer(&Value::deserialize(deserializer)?))
}

/// Deserializes a list of integers, which can be in strings. Its other items are left out, and
/// anything but a list becomes `None`.
pub(crate) fn optional_integers<'de, D>(deserializer: D) -> Result<Option<Vec<i64>>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(items) => Some(items.iter().filter_map(read_integer).collect()),
        _ => None,
    })
}

/// Deserializes a value. Anything of another form becomes `None`.
pub(crate) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    Ok(Option::deserialize(value).unwrap_or_default())
}

fn read_integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    }
}
