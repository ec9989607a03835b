use std::collections::{BTreeMap, HashSet};
use std::fmt;

use chrono::{DateTime, Utc};

use crate::dates;

/// The type of an attribute's values. In JSON, values of every type are strings.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AttributeType {
    /// Any text (`string` in JSON).
    #[default]
    Text,
    /// A decimal number (`number` in JSON).
    Number,
    /// A date, or a date-time with or without an offset (`date` in JSON).
    Date,
}

impl AttributeType {
    const ALL: [Self; 3] = [Self::Text, Self::Number, Self::Date];

    fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number",
            Self::Date => "date",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Returns the rule that the value violates. An empty value is valid for every type.
    pub(crate) fn violated_rule(self, value: &str) -> Option<&'static str> {
        match self {
            _ if value.is_empty() => None,
            Self::Text => None,
            Self::Number => {
                let is_number = value.parse().is_ok_and(f64::is_finite);
                (!is_number).then_some("must be a number")
            }
            Self::Date => dates::parse(value).is_none().then_some("must be a date"),
        }
    }
}

/// Writes the name used in JSON.
impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An attribute definition in the store.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAttribute {
    /// The attribute's ID. IDs assigned by a POST start at 101.
    pub id: i64,
    /// The attribute's name.
    pub name: String,
    /// The type of the attribute's values.
    pub attribute_type: AttributeType,
    /// When the attribute was defined, in whole seconds.
    pub date_created: DateTime<Utc>,
    /// When the definition was last changed, in whole seconds.
    pub date_modified: DateTime<Utc>,
}

/// The first ID in the reference's example.
const FIRST_ID: i64 = 101;

/// All attribute definitions. A store has at most 50 unless the builder defines more, so a scan is
/// fast enough.
#[derive(Default)]
pub(crate) struct Attributes {
    defined: BTreeMap<i64, StoredAttribute>,
    /// The IDs of deleted attributes, which are never assigned again.
    deleted: HashSet<i64>,
}

impl Attributes {
    /// The maximum number of attributes per store.
    pub(crate) const LIMIT: usize = 50;

    /// The maximum number of characters (not bytes) in a name.
    pub(crate) const MAX_NAME_LENGTH: usize = 255;

    pub(crate) fn len(&self) -> usize {
        self.defined.len()
    }

    pub(crate) fn get(&self, id: i64) -> Option<&StoredAttribute> {
        self.defined.get(&id)
    }

    /// Iterates in the order of the IDs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &StoredAttribute> {
        self.defined.values()
    }

    /// Returns `true` if an attribute with this ID was deleted.
    pub(crate) fn is_deleted(&self, id: i64) -> bool {
        self.deleted.contains(&id)
    }

    /// Returns the IDs of the attributes with this name. A POST or PUT rejects a second attribute of
    /// the same name, but the builder accepts one.
    pub(crate) fn ids_by_name(&self, name: &str) -> HashSet<i64> {
        let matching = self.iter().filter(|attribute| attribute.name == name);
        matching.map(|attribute| attribute.id).collect()
    }

    pub(crate) fn define(
        &mut self,
        id: i64,
        name: String,
        attribute_type: AttributeType,
        now: DateTime<Utc>,
    ) -> StoredAttribute {
        let attribute = StoredAttribute {
            id,
            name,
            attribute_type,
            date_created: now,
            date_modified: now,
        };
        self.deleted.remove(&id);
        self.defined.insert(id, attribute.clone());
        attribute
    }

    /// Defines an attribute under the first ID that was never used.
    pub(crate) fn create(
        &mut self,
        name: String,
        attribute_type: AttributeType,
        now: DateTime<Utc>,
    ) -> StoredAttribute {
        let mut id = FIRST_ID;
        while self.defined.contains_key(&id) || self.is_deleted(id) {
            id += 1;
        }
        self.define(id, name, attribute_type, now)
    }

    /// Renames an attribute. Returns `None` if the ID is not defined.
    pub(crate) fn rename(
        &mut self,
        id: i64,
        name: String,
        now: DateTime<Utc>,
    ) -> Option<StoredAttribute> {
        let attribute = self.defined.get_mut(&id)?;
        attribute.name = name;
        attribute.date_modified = now;
        Some(attribute.clone())
    }

    /// Deletes an attribute. Returns `true` if it was defined.
    pub(crate) fn delete(&mut self, id: i64) -> bool {
        let was_defined = self.defined.remove(&id).is_some();
        if was_defined {
            self.deleted.insert(id);
        }
        was_defined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_validated_by_type() {
        let (number, date) = (AttributeType::Number, AttributeType::Date);
        for (attribute_type, value) in [
            (AttributeType::Text, "anything"),
            (AttributeType::Text, ""),
            (number, ""),
            (number, "7"),
            (number, "-1.50"),
            (number, "1e3"),
            (date, ""),
            (date, "2024-06-10"),
            (date, "2024-06-10T14:22:00Z"),
            (date, "2024-06-10T14:22:00+02:00"),
        ] {
            assert_eq!(attribute_type.violated_rule(value), None, "{value:?}");
        }
        for (attribute_type, value) in [
            (number, "seven"),
            (number, " 7"),
            (number, "1,5"),
            (number, "NaN"),
            (number, "inf"),
            (number, "2024-06-10"),
            (date, "7"),
            (date, "2024-06-31"),
            (date, "yesterday"),
            (date, " "),
        ] {
            assert!(attribute_type.violated_rule(value).is_some(), "{value:?}");
        }
    }

    #[test]
    fn types_parse_from_the_names_they_display() {
        for attribute_type in AttributeType::ALL {
            let name = attribute_type.to_string();
            assert_eq!(AttributeType::from_name(&name), Some(attribute_type));
        }
        assert_eq!(AttributeType::from_name("text"), None);
    }

    #[test]
    fn taken_ids_are_skipped() {
        let mut attributes = Attributes::default();
        let now = DateTime::UNIX_EPOCH;
        attributes.define(102, "b".to_owned(), AttributeType::Text, now);
        let mut create = |name: &str| {
            let attribute = attributes.create(name.to_owned(), AttributeType::Text, now);
            attribute.id
        };
        assert_eq!([create("a"), create("c"), create("d")], [101, 103, 104]);
        assert_eq!(attributes.ids_by_name("b"), HashSet::from([102]));
    }

    #[test]
    fn the_id_of_a_deleted_attribute_is_not_assigned_again() {
        let mut attributes = Attributes::default();
        let now = DateTime::UNIX_EPOCH;
        let create = |attributes: &mut Attributes| {
            let attribute = attributes.create("a".to_owned(), AttributeType::Text, now);
            attribute.id
        };
        assert_eq!(create(&mut attributes), 101);
        assert!(attributes.delete(101));
        assert!(!attributes.delete(101));
        assert!(attributes.is_deleted(101));
        assert_eq!(create(&mut attributes), 102);
    }
}
