//! The attributes that a store defines, and the validation of values against their types. Pure.

use bigcommerce_sdk::types::Attribute;
use chrono::{DateTime, NaiveDate};

use crate::error::Violation;
use crate::value::AttributeKey;

/// The attributes that a store defines.
#[derive(Clone, Debug, Default)]
pub struct Definitions(Vec<Attribute>);

impl From<Vec<Attribute>> for Definitions {
    fn from(attributes: Vec<Attribute>) -> Self {
        Self(attributes)
    }
}

impl Definitions {
    /// Returns the attribute, or `None` for an ID that is not defined: the server validates it.
    ///
    /// # Errors
    ///
    /// Returns an error for a name that is not defined.
    pub(crate) fn get(&self, key: &AttributeKey) -> Result<Option<&Attribute>, Violation> {
        match key.name() {
            Some(name) => self.by_name(name).map(Some),
            None => {
                let mut defined = self.0.iter();
                Ok(defined.find(|attribute| Some(attribute.id) == key.id()))
            }
        }
    }

    /// Returns the attribute with exactly this name.
    pub(crate) fn by_name(&self, name: &str) -> Result<&Attribute, Violation> {
        let mut defined = self.0.iter();
        defined
            .find(|attribute| attribute.name == name)
            .ok_or_else(|| self.undefined(&format!("{name:?}"), Some(name)))
    }

    /// Returns the attribute with this ID, or exactly this name.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not defined, or if several attributes have the name.
    pub(crate) fn require(&self, key: &AttributeKey) -> Result<&Attribute, Violation> {
        if let Some(id) = key.id() {
            let defined = self.by_id(id);
            return defined.ok_or_else(|| self.undefined(&id.to_string(), None));
        }
        let name = key.name().unwrap_or_default();
        let attribute = self.by_name(name)?;
        let same_name = self.0.iter().filter(|defined| defined.name == name);
        let ids: Vec<_> = same_name.map(|defined| defined.id).collect();
        if ids.len() > 1 {
            let text =
                format!("{name:?} is the name of several attributes: give one of the IDs {ids:?}");
            return Err(Violation::new("attribute", text));
        }
        Ok(attribute)
    }

    /// Returns the attribute with this ID.
    pub(super) fn by_id(&self, id: i64) -> Option<&Attribute> {
        self.0.iter().find(|defined| defined.id == id)
    }

    /// Returns an ID that no attribute has.
    pub(super) fn undefined_id(&self) -> i64 {
        let last = self.0.iter().map(|defined| defined.id).max();
        last.unwrap_or_default().max(0).saturating_add(1)
    }

    /// Returns another attribute with this name.
    pub(super) fn other_with_name(&self, id: i64, name: &str) -> Option<&Attribute> {
        let mut others = self.0.iter().filter(|defined| defined.id != id);
        others.find(|defined| defined.name == name)
    }

    /// Returns the error for an attribute that is not defined, with a similar name if there is one.
    fn undefined(&self, key: &str, name: Option<&str>) -> Violation {
        Violation::new("attribute", self.describe_undefined(key, name))
    }

    fn describe_undefined(&self, key: &str, name: Option<&str>) -> String {
        let text = format!("{key} is not defined in this store");
        let mut names: Vec<_> = self.0.iter().map(|defined| defined.name.as_str()).collect();
        if names.is_empty() {
            return format!("{text}, which defines no attributes");
        }
        names.sort_unstable();
        let normalized = name.map(normalize);
        let mut similar = names.iter();
        match similar.find(|defined| Some(normalize(defined)) == normalized) {
            Some(similar) => {
                format!("{text}: did you mean {similar:?}? The store defines {names:?}")
            }
            None => format!("{text}, which defines {names:?}"),
        }
    }
}

/// The maximum number of characters (not bytes) in an attribute's name.
const MAX_NAME_LENGTH: usize = 255;

/// The maximum number of characters of a name that an error about its length shows.
const SHOWN_NAME_LENGTH: usize = 40;

/// Validates the name of an attribute to create, or a new name.
pub(super) fn check_name(name: &str) -> Result<(), Violation> {
    let length = name.chars().count();
    if (1..=MAX_NAME_LENGTH).contains(&length) {
        return Ok(());
    }
    let shown = match name.char_indices().nth(SHOWN_NAME_LENGTH) {
        Some((end, _)) => format!("{:?}…", &name[..end]),
        None => format!("{name:?}"),
    };
    let text = format!("{shown} has {length} characters: a name has 1 to {MAX_NAME_LENGTH}");
    Err(Violation::new("attribute", text))
}

/// Removes the differences that are easily overlooked: case and surrounding spaces.
fn normalize(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Validates a value against an attribute's type. An empty value is valid for every type.
pub(crate) fn check(attribute: &Attribute, value: &str) -> Result<(), Violation> {
    let (is_valid, kind, examples) = match attribute.type_.as_str() {
        "number" => (is_number(value), "number", "12.5"),
        "date" => (is_date(value), "date", "2024-06-10 or 2024-06-10T14:22:00Z"),
        _ => return Ok(()),
    };
    if is_valid || value.is_empty() {
        return Ok(());
    }
    let text = format!(
        "is not a {kind}: attribute {:?} takes {kind}s such as {examples}",
        attribute.name
    );
    Err(Violation::new("value", text))
}

fn is_number(text: &str) -> bool {
    // Letters are the parser's names for numbers that are not finite, such as "inf".
    let has_only_digits = text
        .bytes()
        .all(|byte| !byte.is_ascii_alphabetic() || matches!(byte, b'e' | b'E'));
    has_only_digits && text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_date(text: &str) -> bool {
    text.parse::<NaiveDate>().is_ok() || DateTime::parse_from_rfc3339(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definitions() -> Definitions {
        let attributes = [
            (101, "Loyalty tier", "string"),
            (102, "Points", "number"),
            (103, "Last order", "date"),
            (104, "Odd", "a new type"),
        ]
        .map(|(id, name, kind): (i64, &str, &str)| {
            let attribute = Attribute::builder().id(id).name(name).type_(kind);
            attribute.try_into().expect("a complete attribute")
        });
        Definitions::from(attributes.to_vec())
    }

    #[test]
    fn a_name_must_be_exact() {
        let definitions = definitions();
        let points = definitions.by_name("Points").expect("a defined name");
        assert_eq!(points.id, 102);
        let unknown_id = definitions.get(&999.into()).expect("an ID");
        assert_eq!(unknown_id, None);
    }

    #[test]
    fn the_error_for_an_undefined_name_lists_the_defined_ones() {
        let names = r#"["Last order", "Loyalty tier", "Odd", "Points"]"#;
        let did_you_mean = |name| format!(": did you mean {name:?}? The store defines {names}");
        for (name, expected) in [
            ("points", did_you_mean("Points")),
            (" Loyalty Tier ", did_you_mean("Loyalty tier")),
            ("Ponits", format!(", which defines {names}")),
            ("", format!(", which defines {names}")),
        ] {
            let error = definitions().by_name(name).expect_err("an undefined name");
            assert_eq!(
                error.to_string(),
                format!("attribute {name:?} is not defined in this store{expected}")
            );
        }
        let nothing_defined = Definitions::default();
        let error = nothing_defined.by_name("Points").expect_err("no names");
        assert_eq!(
            error.to_string(),
            "attribute \"Points\" is not defined in this store, which defines no attributes"
        );
    }

    #[test]
    fn an_attribute_is_required_by_its_id_or_name() {
        let attributes = [(101, "Tier"), (102, "Points"), (103, "Tier")].map(|(id, name)| {
            let attribute = Attribute::builder().id(id).name(name).type_("string");
            attribute.try_into().expect("a complete attribute")
        });
        let definitions = Definitions::from(attributes.to_vec());
        let require = |key: AttributeKey| match definitions.require(&key) {
            Ok(attribute) => Ok(attribute.id),
            Err(violation) => Err(violation.to_string()),
        };
        assert_eq!(require(102.into()), Ok(102));
        assert_eq!(require("Points".into()), Ok(102));
        for (key, error) in [
            (
                AttributeKey::from(9),
                "attribute 9 is not defined in this store, which defines [\"Points\", \"Tier\", \
                 \"Tier\"]",
            ),
            (
                AttributeKey::from("points"),
                "attribute \"points\" is not defined in this store: did you mean \"Points\"? The \
                 store defines [\"Points\", \"Tier\", \"Tier\"]",
            ),
            (
                AttributeKey::from("Tier"),
                "attribute \"Tier\" is the name of several attributes: give one of the IDs [101, 103]",
            ),
        ] {
            assert_eq!(require(key), Err(error.to_owned()));
        }
    }

    #[test]
    fn a_name_has_1_to_255_characters() {
        // Four bytes each.
        let name = |length| "\u{1d11e}".repeat(length);
        for length in [1, 255] {
            assert!(check_name(&name(length)).is_ok(), "{length}");
        }
        let error = |length| check_name(&name(length)).expect_err("a length").to_string();
        assert_eq!(
            error(0),
            "attribute \"\" has 0 characters: a name has 1 to 255"
        );
        let shown = name(40);
        assert_eq!(
            error(256),
            format!("attribute \"{shown}\"… has 256 characters: a name has 1 to 255")
        );
    }

    #[test]
    fn values_are_validated_against_their_attributes_type() {
        struct TypeExamples {
            attribute: i64,
            valid: &'static [&'static str],
            invalid: &'static [&'static str],
        }
        let definitions = definitions();
        for examples in [
            TypeExamples {
                attribute: 101,
                valid: &["", "x", "1e3"],
                invalid: &[],
            },
            TypeExamples {
                attribute: 102,
                valid: &["", "0", "-1", "12.50", "+3", "1e3"],
                invalid: &["x", "1,5", " 1", "NaN", "inf", "infinity", "1e999", "0x1f"],
            },
            TypeExamples {
                attribute: 103,
                valid: &[
                    "",
                    "2024-06-10",
                    "2024-06-10T14:22:00Z",
                    "2024-06-10T14:22:00+02:00",
                ],
                invalid: &["10.6.2024", "2024-06-31", "2024-06-10 14:22", "yesterday"],
            },
            TypeExamples {
                attribute: 104,
                valid: &["", "anything"],
                invalid: &[],
            },
        ] {
            let key = examples.attribute.into();
            let attribute = definitions.get(&key).expect("an ID").expect("a known ID");
            for value in examples.valid {
                assert!(check(attribute, value).is_ok(), "{attribute:?}: {value:?}");
            }
            for value in examples.invalid {
                let error = check(attribute, value).expect_err(value).to_string();
                assert!(error.starts_with("value is not a "), "{error}");
                let name = format!("attribute {:?} takes", attribute.name);
                assert!(error.contains(&name), "{error}");
            }
        }
    }
}
