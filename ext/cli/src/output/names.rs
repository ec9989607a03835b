//! What attributes are called in a file.

use std::collections::HashMap;

use bigcommerce_ext::sdk::types::Attribute;

/// Columns that mean something else if both are there.
const RESERVED_PAIRS: [[&str; 2]; 2] = [["attribute", "value"], ["status", "error"]];

/// What attributes are called in a file: by their names, or by their IDs where a name would be read as
/// something else.
pub struct AttributeNames {
    /// The IDs and names, in the order of the columns.
    columns: Vec<(i64, String)>,
    by_id: HashMap<i64, usize>,
}

impl AttributeNames {
    /// Names attributes. `reserved` are names that the file uses for customers.
    pub fn new(attributes: Vec<Attribute>, reserved: &[&str]) -> Self {
        let is_there = |name: &str| attributes.iter().any(|attribute| attribute.name == name);
        let is_reserved = |name: &str| {
            let mut pairs = RESERVED_PAIRS.iter();
            reserved.contains(&name)
                || pairs.any(|pair| pair.contains(&name) && pair.iter().all(|name| is_there(name)))
        };
        let is_unique = |name: &str| {
            let same = attributes.iter().filter(|attribute| attribute.name == name);
            same.count() == 1
        };
        let columns: Vec<_> = attributes
            .iter()
            .map(|Attribute { id, name, .. }| {
                let is_usable = !name.is_empty() && !is_reserved(name) && is_unique(name);
                let name = if is_usable {
                    name.clone()
                } else {
                    id.to_string()
                };
                (*id, name)
            })
            .collect();
        let by_id = columns
            .iter()
            .enumerate()
            .map(|(column, (id, _))| (*id, column));
        Self {
            by_id: by_id.collect(),
            columns,
        }
    }

    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(_, name)| name.as_str())
    }

    pub fn len(&self) -> usize {
        self.columns.len()
    }

    pub fn column(&self, id: i64) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// Returns the name of an attribute, or its ID if it is not known.
    pub fn name(&self, id: i64) -> String {
        match self.column(id).and_then(|column| self.columns.get(column)) {
            Some((_, name)) => name.clone(),
            None => id.to_string(),
        }
    }
}
