use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// A list of IDs, sent as `4,5,6` in one query parameter.
///
/// The endpoints' `…:in` parameters accept only this form. If a parameter is repeated, the server
/// silently uses its last value only. A request with an empty list fails without being sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct IdList(Vec<i64>);

impl IdList {
    /// Returns the IDs.
    #[must_use]
    pub fn ids(&self) -> &[i64] {
        &self.0
    }
}

impl FromIterator<i64> for IdList {
    fn from_iter<I: IntoIterator<Item = i64>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

impl From<Vec<i64>> for IdList {
    fn from(ids: Vec<i64>) -> Self {
        Self(ids)
    }
}

impl<const N: usize> From<[i64; N]> for IdList {
    fn from(ids: [i64; N]) -> Self {
        Self(ids.into())
    }
}

impl fmt::Display for IdList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, id) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{id}")?;
        }
        Ok(())
    }
}

impl Serialize for IdList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for IdList {
    fn schema_name() -> Cow<'static, str> {
        "IdList".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^-?[0-9]+(,-?[0-9]+)*$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_joined_by_commas() {
        assert_eq!(IdList::from([4, 5, 6]).to_string(), "4,5,6");
        assert_eq!(IdList::from([7]).to_string(), "7");
        assert_eq!(IdList::default().to_string(), "");
        let json = serde_json::to_string(&IdList::from([4, 5])).expect("a string");
        assert_eq!(json, r#""4,5""#);
    }
}
