//! Which attribute a column, a field or a cell names.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::anyhow;
use bigcommerce_ext::AttributeKey;
use bigcommerce_ext::sdk::types::Attribute;

use super::args::{ColumnAttribute, attribute_key};
use crate::status::Failure;

/// What input names attributes by, and which attributes these are.
#[derive(Clone, Debug, Default)]
pub struct AttributeMap {
    /// The options `--attribute`: columns, and the attributes' IDs or names.
    mapped: HashMap<String, String>,
    /// The attributes that the store defines, if they are known: their IDs by name.
    defined: Option<Arc<HashMap<String, i64>>>,
}

impl AttributeMap {
    pub fn new(attributes: &[ColumnAttribute]) -> Result<Self, Failure> {
        let mut mapped = HashMap::new();
        for ColumnAttribute { column, attribute } in attributes {
            if mapped.insert(column.clone(), attribute.clone()).is_some() {
                return Err(Failure::usage(anyhow!(
                    "--attribute names the column {column:?} twice"
                )));
            }
        }
        Ok(Self {
            mapped,
            defined: None,
        })
    }

    pub fn is_mapped(&self, column: &str) -> bool {
        self.mapped.contains_key(column)
    }

    pub fn mapped_columns(&self) -> impl Iterator<Item = &str> {
        self.mapped.keys().map(String::as_str)
    }

    /// Returns the ID or name of the attribute that a column names.
    pub fn target<'a>(&'a self, column: &'a str) -> &'a str {
        self.mapped.get(column).map_or(column, String::as_str)
    }

    /// Returns the ID that `--attribute` gives for a column.
    pub fn mapped_id(&self, column: &str) -> Option<i64> {
        self.mapped.get(column)?.parse().ok()
    }

    pub fn set_defined(&mut self, attributes: impl IntoIterator<Item = (String, i64)>) {
        self.defined = Some(Arc::new(attributes.into_iter().collect()));
    }

    /// Returns the attribute that a column names: by name, or else by ID.
    ///
    /// Without the store's attributes it is the name as it stands.
    pub fn find(&self, column: &str) -> Result<AttributeKey, String> {
        if let Some(id) = self.mapped_id(column) {
            return Ok(id.into());
        }
        let target = self.target(column);
        let Some(defined) = &self.defined else {
            return Ok(attribute_key(target));
        };
        if let Some(id) = defined.get(target) {
            return Ok((*id).into());
        }
        let by_id = target.parse::<i64>().ok();
        if let Some(id) = by_id.filter(|id| defined.values().any(|defined| defined == id)) {
            return Ok(id.into());
        }
        let mut names: Vec<_> = defined.keys().map(|name| format!("{name:?}")).collect();
        names.sort_unstable();
        let names = match names.len() {
            0 => "it defines none".to_owned(),
            _ => format!("it defines {}", names.join(", ")),
        };
        Err(format!(
            "the store does not define the attribute {target:?} ({names})"
        ))
    }
}

/// Returns the names and IDs of attributes.
pub fn ids_by_name(attributes: Vec<Attribute>) -> impl Iterator<Item = (String, i64)> {
    attributes
        .into_iter()
        .map(|attribute| (attribute.name, attribute.id))
}
