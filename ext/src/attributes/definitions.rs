//! The attributes that a store defines, and what they ask of values. Pure.

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
    /// Looks an attribute up; `None` of an ID that is not defined, which only the server can judge.
    pub(crate) fn get(&self, key: &AttributeKey) -> Result<Option<&Attribute>, Violation> {
        match key.name() {
            Some(name) => self.by_name(name).map(Some),
            None => Ok(self.0.iter().find(|known| Some(known.id) == key.id())),
        }
    }

    /// Looks an attribute up by its name, as it is written.
    pub(crate) fn by_name(&self, name: &str) -> Result<&Attribute, Violation> {
        let known = self.0.iter().find(|known| known.name == name);
        known.ok_or_else(|| Violation::new("attribute", self.unknown(name)))
    }

    fn unknown(&self, name: &str) -> String {
        let text = format!("{name:?} is not defined in this store");
        let nearest = self.0.iter().min_by_key(|known| {
            let (one, other) = (known.name.to_lowercase(), name.to_lowercase());
            strsim::damerau_levenshtein(&one, &other)
        });
        let Some(nearest) = nearest else {
            return format!("{text}, which defines no attribute");
        };
        let mut names: Vec<_> = self.0.iter().map(|known| known.name.as_str()).collect();
        names.sort_unstable();
        format!("{text}: is {:?} meant? It defines {names:?}", nearest.name)
    }
}

/// Holds a value against an attribute's type. An empty one goes with every type.
pub(crate) fn check(attribute: &Attribute, value: &str) -> Result<(), Violation> {
    let (is_good, what) = match attribute.type_.as_str() {
        "number" => (is_number(value), "a number, such as 12.5"),
        "date" => (
            is_date(value),
            "a date or time, such as 2024-06-10 or 2024-06-10T14:22:00Z",
        ),
        _ => return Ok(()),
    };
    if is_good || value.is_empty() {
        return Ok(());
    }
    let text = format!("is not {what}, which attribute {:?} takes", attribute.name);
    Err(Violation::new("value", text))
}

fn is_number(text: &str) -> bool {
    // The parser knows names such as "inf", too.
    let is_written = text
        .bytes()
        .all(|byte| !byte.is_ascii_alphabetic() || byte == b'e' || byte == b'E');
    is_written && text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_date(text: &str) -> bool {
    text.parse::<NaiveDate>().is_ok() || DateTime::parse_from_rfc3339(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definitions() -> Definitions {
        let of = |(id, name, kind): (i64, &str, &str)| -> Attribute {
            let attribute = Attribute::builder().id(id).name(name).type_(kind);
            attribute.try_into().expect("a whole attribute")
        };
        let attributes = [
            (101, "Loyalty tier", "string"),
            (102, "Points", "number"),
            (103, "Last order", "date"),
            (104, "Odd", "a new type"),
        ]
        .map(of);
        Definitions::from(attributes.to_vec())
    }

    #[test]
    fn a_name_is_looked_up_as_it_is_written() {
        let definitions = definitions();
        let id = |name: &str| definitions.by_name(name).map(|known| known.id);
        assert_eq!(id("Points").expect("is known"), 102);
        for (name, expected) in [
            ("points", "Points"),
            ("Loyalti Tier", "Loyalty tier"),
            ("Ponits", "Points"),
        ] {
            let error = id(name).expect_err("is unknown").to_string();
            assert_eq!(
                error,
                format!(
                    "attribute {name:?} is not defined in this store: is {expected:?} meant? It \
                     defines [\"Last order\", \"Loyalty tier\", \"Odd\", \"Points\"]"
                )
            );
        }
        let none = Definitions::default()
            .by_name("Points")
            .map(|known| known.id);
        assert_eq!(
            none.expect_err("is unknown").to_string(),
            "attribute \"Points\" is not defined in this store, which defines no attribute"
        );
        assert_eq!(definitions.get(&999.into()).expect("an ID"), None);
    }

    #[test]
    fn values_are_held_against_their_attributes_type() {
        let definitions = definitions();
        for (id, good, bad) in [
            (101, ["", "x", "1e3"].as_slice(), [].as_slice()),
            (
                102,
                &["", "0", "-1", "12.50", "+3", "1e3"],
                &["x", "1,5", " 1", "NaN", "inf", "infinity", "1e999", "0x1f"],
            ),
            (
                103,
                &[
                    "",
                    "2024-06-10",
                    "2024-06-10T14:22:00Z",
                    "2024-06-10T14:22:00+02:00",
                ],
                &["10.6.2024", "2024-06-31", "2024-06-10 14:22", "yesterday"],
            ),
            (104, &["", "anything"], &[]),
        ] {
            let known = definitions
                .get(&id.into())
                .expect("an ID")
                .expect("is known");
            for value in good {
                assert!(check(known, value).is_ok(), "{id}: {value:?}");
            }
            for value in bad {
                let error = check(known, value).expect_err(value).to_string();
                assert!(error.starts_with("value is not a "), "{error}");
                assert!(error.ends_with(&format!("attribute {:?} takes", known.name)));
            }
        }
    }
}
