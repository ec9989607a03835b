//! What the columns of a CSV file are.

use std::collections::HashSet;
use std::sync::Arc;

use bigcommerce_ext::AttributeKey;

use super::args::{FormatArgs, KeyKind, Layout};
use super::attribute_map::AttributeMap;

/// The last columns of a file of rejected rows.
pub const REJECT_COLUMNS: [&str; 2] = ["status", "error"];

/// The columns of a CSV file.
#[derive(Clone, Debug)]
pub struct Header {
    /// All columns but those of a file of rejected rows.
    pub names: Vec<Arc<str>>,
    /// Whether the columns `status` and `error` follow, which are not read.
    pub has_reject_columns: bool,
    /// `None` for a column of customers of any kind.
    pub key: Option<KeyKind>,
    pub layout: Layout,
    /// The attributes of the columns after the first one, in the wide layout.
    pub attributes: Vec<AttributeKey>,
}

impl Header {
    /// Reads the columns. With `customers_only`, no attribute is needed.
    pub fn parse(
        names: Vec<String>,
        args: &FormatArgs,
        map: &AttributeMap,
        customers_only: bool,
    ) -> Result<Self, String> {
        let mut names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(Arc::clone(name))) {
            return Err(format!(
                "the column {twice:?} is there twice: rename one of them"
            ));
        }
        let has_reject_columns = names.len() > 2
            && names
                .iter()
                .rev()
                .take(2)
                .map(|name| &**name)
                .eq(["error", "status"])
            && !REJECT_COLUMNS.iter().any(|name| map.is_mapped(name));
        if has_reject_columns {
            names.truncate(names.len() - REJECT_COLUMNS.len());
        }
        let first = names.first().map(|name| &**name).unwrap_or_default();
        if first.is_empty() && names.len() <= 1 {
            return Err("there is no header: name the columns in the first line".to_owned());
        }
        let is_long = names.len() == 3 && *names[1] == *"attribute" && *names[2] == *"value";
        let layout = match args.layout {
            Some(Layout::Long) if !is_long && !customers_only => {
                return Err(
                    "the layout long needs three columns: the customer, attribute, value"
                        .to_owned(),
                );
            }
            Some(layout) => layout,
            None if is_long => Layout::Long,
            None => Layout::Wide,
        };
        let key = key_kind(first, args, layout).map_err(|reason| hint(reason, &names))?;
        let columns = names.get(1..).unwrap_or_default();
        if columns.is_empty() && !customers_only {
            let reason = "there is no column of an attribute".to_owned();
            return Err(hint(reason, &names));
        }
        if let Some(number) = columns.iter().position(|name| name.is_empty()) {
            return Err(format!("column {} has no name", number + 2));
        }
        let mut header = Self {
            names,
            has_reject_columns,
            key,
            layout,
            attributes: Vec::new(),
        };
        if !customers_only {
            header.attributes = header.find_attributes(map)?;
        }
        Ok(header)
    }

    /// Returns the names of the columns of attributes, in the wide layout.
    pub fn attribute_columns(&self) -> &[Arc<str>] {
        match self.layout {
            Layout::Wide => self.names.get(1..).unwrap_or_default(),
            Layout::Long => &[],
        }
    }

    /// Finds the attributes of the columns.
    pub fn find_attributes(&self, map: &AttributeMap) -> Result<Vec<AttributeKey>, String> {
        let mut attributes: Vec<AttributeKey> = Vec::new();
        for name in self.attribute_columns() {
            let attribute = map.find(name)?;
            if let Some(other) = attributes.iter().position(|known| *known == attribute) {
                return Err(format!(
                    "the columns {:?} and {name:?} are the same attribute: leave one of them out",
                    self.names[other + 1]
                ));
            }
            attributes.push(attribute);
        }
        Ok(attributes)
    }

    /// Returns the number of cells of a line.
    pub fn width(&self) -> usize {
        self.names.len()
            + if self.has_reject_columns {
                REJECT_COLUMNS.len()
            } else {
                0
            }
    }
}

fn key_kind(first: &str, args: &FormatArgs, layout: Layout) -> Result<Option<KeyKind>, String> {
    if let Some(key) = &args.key {
        return Ok(Some(key.clone()));
    }
    match first {
        "customer_id" => Ok(Some(KeyKind::Id)),
        "email" => Ok(Some(KeyKind::Email)),
        "customer" if layout == Layout::Long => Ok(None),
        _ => Err(format!(
            "the first column is {first:?}, neither customer_id nor email: say what it is by --key id, \
             --key email or --key external=ATTRIBUTE"
        )),
    }
}

/// Adds what may be the reason: another delimiter.
fn hint(reason: String, names: &[Arc<str>]) -> String {
    let delimiter = match names {
        [only] if only.contains(';') => "';'",
        [only] if only.contains('\t') => "tab",
        [only] if only.contains('|') => "'|'",
        _ => return reason,
    };
    format!("{reason}. If the cells are separated otherwise, give --delimiter {delimiter}")
}
