//! Fields of a value that the sandbox keeps because it was told to.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

/// The fields of a row or a record that every sandbox knows.
const OWN_FIELDS: [&str; 7] = [
    "attribute_id",
    "attribute_value",
    "customer_id",
    "date_created",
    "date_modified",
    "id",
    "value",
];

/// The parameters of a GET that every sandbox knows.
const OWN_PARAMETERS: [&str; 11] = [
    "attribute_id:in",
    "customer_id:in",
    "date_created",
    "date_created:max",
    "date_created:min",
    "date_modified",
    "date_modified:max",
    "date_modified:min",
    "limit",
    "name",
    "page",
];

/// The suffix of a filter that takes several values.
const LIST_SUFFIX: &str = ":in";

/// Fields by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct ExtraFields(BTreeMap<String, Value>);

impl ExtraFields {
    /// Takes the fields with these names from a row.
    pub(crate) fn of_row(row: &Value, names: &BTreeSet<String>) -> Self {
        let fields = names
            .iter()
            .filter_map(|name| Some((name.clone(), row.get(name)?.clone())));
        Self(fields.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces the fields that `newer` has.
    pub(crate) fn update(&mut self, newer: Self) {
        self.0.extend(newer.0);
    }

    /// Returns a field as text: a string as it is, anything else as JSON.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

/// Filters by extra fields: the texts that each field may have.
#[derive(Default, PartialEq)]
pub(crate) struct ExtraFilters(BTreeMap<String, BTreeSet<String>>);

impl ExtraFilters {
    pub(crate) fn set(&mut self, name: &str, text: &str) {
        let texts = match name.strip_suffix(LIST_SUFFIX) {
            Some(_) => text.split(',').map(str::to_owned).collect(),
            None => BTreeSet::from([text.to_owned()]),
        };
        self.0.insert(name.to_owned(), texts);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, fields: &ExtraFields) -> bool {
        self.0.iter().all(|(name, texts)| {
            let text = fields.text(field_of(name));
            text.is_some_and(|text| texts.contains(&text))
        })
    }
}

/// Returns the field that a filter is about.
fn field_of(filter: &str) -> &str {
    filter.strip_suffix(LIST_SUFFIX).unwrap_or(filter)
}

/// Returns an error if a name is that of a field or filter that every sandbox knows, or if a filter has
/// no field.
pub(crate) fn validate(
    fields: &BTreeSet<String>,
    filters: &BTreeSet<String>,
) -> Result<(), String> {
    let field = |name: &&String| name.is_empty() || OWN_FIELDS.contains(&name.as_str());
    if let Some(name) = fields.iter().find(field) {
        return Err(format!(
            "invalid extra field {name:?}: it must have a name that no other field has"
        ));
    }
    for name in filters {
        if OWN_PARAMETERS.contains(&name.as_str()) {
            return Err(format!(
                "invalid extra filter {name:?}: every sandbox has it"
            ));
        }
        if !fields.contains(field_of(name)) {
            return Err(format!(
                "invalid extra filter {name:?}: there is no extra field {:?}",
                field_of(name)
            ));
        }
    }
    Ok(())
}
