use std::collections::{BTreeMap, HashSet};
use std::fmt;

use chrono::{DateTime, Utc};

use crate::dates;

/// What the values of an attribute are; on the wire they are strings all the same.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AttributeType {
    /// Any text: `string` on the wire.
    #[default]
    Text,
    /// A decimal number: `number` on the wire.
    Number,
    /// A date, or a date-time with or without an offset: `date` on the wire.
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

    /// Says what is wrong with a value; an empty one is a value of every type.
    pub(crate) fn find_fault(self, value: &str) -> Option<&'static str> {
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

/// As on the wire.
impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An attribute as the store defines it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAttribute {
    /// The attribute's ID; those that a POST gives out begin with 101.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// What its values are.
    pub attribute_type: AttributeType,
    /// When it was defined, in whole seconds.
    pub date_created: DateTime<Utc>,
    /// When it was last changed, in whole seconds.
    pub date_modified: DateTime<Utc>,
}

/// As in the reference's own example.
const FIRST_ID: i64 = 101;

/// All definitions. There are 50 in a store at most, unless a test wants more, so they are scanned.
#[derive(Default)]
pub(crate) struct Attributes(BTreeMap<i64, StoredAttribute>);

impl Attributes {
    /// How many a store can have.
    pub(crate) const LIMIT: usize = 50;

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, id: i64) -> Option<&StoredAttribute> {
        self.0.get(&id)
    }

    /// In the order of their IDs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &StoredAttribute> {
        self.0.values()
    }

    /// The IDs of those with a name. A POST makes no second one, but a test can.
    pub(crate) fn named(&self, name: &str) -> HashSet<i64> {
        let named = self.iter().filter(|attribute| attribute.name == name);
        named.map(|attribute| attribute.id).collect()
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
        self.0.insert(id, attribute.clone());
        attribute
    }

    /// Defines one under the first ID that is free.
    pub(crate) fn create(
        &mut self,
        name: String,
        attribute_type: AttributeType,
        now: DateTime<Utc>,
    ) -> StoredAttribute {
        let mut id = FIRST_ID;
        while self.0.contains_key(&id) {
            id += 1;
        }
        self.define(id, name, attribute_type, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_of_its_attributes_type() {
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
            assert_eq!(attribute_type.find_fault(value), None, "{value:?}");
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
            assert!(attribute_type.find_fault(value).is_some(), "{value:?}");
        }
    }

    #[test]
    fn types_have_the_names_of_the_wire() {
        for attribute_type in AttributeType::ALL {
            let name = attribute_type.to_string();
            assert_eq!(AttributeType::from_name(&name), Some(attribute_type));
        }
        assert_eq!(AttributeType::from_name("text"), None);
    }

    #[test]
    fn ids_that_exist_are_skipped() {
        let mut attributes = Attributes::default();
        let now = DateTime::UNIX_EPOCH;
        attributes.define(102, "b".to_owned(), AttributeType::Text, now);
        let mut create = |name: &str| {
            let attribute = attributes.create(name.to_owned(), AttributeType::Text, now);
            attribute.id
        };
        assert_eq!([create("a"), create("c"), create("d")], [101, 103, 104]);
        assert_eq!(attributes.named("b"), HashSet::from([102]));
    }
}
