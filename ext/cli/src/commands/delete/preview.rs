//! The values that are to be deleted.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use bigcommerce_ext::sdk::types::AttributeValue;
use futures_util::TryStreamExt as _;

use crate::numbers::{counted, grouped};
use crate::selection::Selection;
use crate::session::Session;
use crate::status::Failure;

/// The number of texts of values that are kept.
const KEPT_TEXTS: usize = 10;

/// The values that are selected.
#[derive(Debug, Default)]
pub struct Preview {
    values: Vec<Value>,
    /// The texts of the first values.
    texts: Vec<String>,
    /// The names of attributes by their IDs.
    names: BTreeMap<i64, String>,
    /// The number of listed values that can't be deleted, since they have no ID or not the date that a
    /// condition needs.
    undeletable: u64,
}

#[derive(Clone, Copy, Debug)]
struct Value {
    id: i64,
    customer_id: i64,
    attribute_id: i64,
}

impl Preview {
    /// Lists the selected values. An incomplete list is an error.
    pub async fn list(session: &Session, selection: &Selection) -> Result<Self, Failure> {
        let attributes = session.attributes().list().await?.into_iter();
        let mut preview = Self {
            names: attributes
                .map(|attribute| (attribute.id, attribute.name))
                .collect(),
            ..Self::default()
        };
        let list = session.store().list().observe(session.observer());
        let mut values = selection.apply(list).stop_when(session.stop()).stream();
        while let Some(value) = values.try_next().await? {
            preview.add(value, selection);
        }
        Ok(preview)
    }

    fn add(&mut self, value: AttributeValue, selection: &Selection) {
        let lacks_date = (selection.dates.need_created() && value.date_created.is_none())
            || (selection.dates.need_modified() && value.date_modified.is_none());
        let Some(id) = value.id.filter(|_| !lacks_date) else {
            self.undeletable += 1;
            return;
        };
        if self.texts.len() < KEPT_TEXTS {
            self.texts.push(value.attribute_value);
        }
        self.values.push(Value {
            id,
            customer_id: value.customer_id,
            attribute_id: value.attribute_id,
        });
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns `true` if all listed values can be deleted.
    pub fn is_complete(&self) -> bool {
        self.undeletable == 0
    }

    pub fn ids(&self) -> Vec<i64> {
        self.values.iter().map(|value| value.id).collect()
    }

    /// Keeps the values that another list has, too. Returns the number of the others.
    pub fn retain(&mut self, other: &Self) -> u64 {
        let ids: HashSet<_> = other.values.iter().map(|value| value.id).collect();
        let before = self.values.len();
        self.values.retain(|value| ids.contains(&value.id));
        (before - self.values.len()) as u64
    }

    /// Returns what people call the value at a position.
    pub fn name(&self, index: u64) -> String {
        let index = usize::try_from(index).ok();
        match index.and_then(|index| self.values.get(index)) {
            Some(value) => format!(
                "customer {}, {}",
                value.customer_id,
                self.attribute(value.attribute_id)
            ),
            None => "a value".to_owned(),
        }
    }

    fn attribute(&self, id: i64) -> String {
        match self.names.get(&id) {
            Some(name) => format!("{name:?}"),
            None => format!("attribute {id}"),
        }
    }

    /// Returns the number of values and customers, the number of values per attribute, and the first
    /// values.
    pub fn describe(&self, shown: usize) -> String {
        let customers: HashSet<_> = self.values.iter().map(|value| value.customer_id).collect();
        let mut text = format!(
            "{} of {} selected",
            counted(self.len() as u64, "value"),
            counted(customers.len() as u64, "customer")
        );
        let mut counts = BTreeMap::<_, u64>::new();
        for value in &self.values {
            *counts.entry(value.attribute_id).or_default() += 1;
        }
        let mut separator = ": ";
        for (attribute, count) in counts {
            let attribute = self.attribute(attribute);
            // Writing to a text can't fail, here and below.
            let _ = write!(text, "{separator}{attribute} {}", grouped(count));
            separator = ", ";
        }
        let shown = shown.min(self.texts.len());
        for (index, value) in (0..).zip(self.texts.iter().take(shown)) {
            let _ = write!(text, "\n  {}: {value:?}", self.name(index));
        }
        if shown > 0 && self.len() > shown {
            let more = grouped((self.len() - shown) as u64);
            let _ = write!(text, "\n  and {more} more");
        }
        if self.undeletable > 0 {
            let _ = write!(
                text,
                "\n{} can't be deleted: the server shows no ID, or not the date that is needed",
                counted(self.undeletable, "value")
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use bigcommerce_ext::chrono::NaiveDate;
    use serde_json::{Value as Json, json};

    use super::*;

    fn value(mut fields: Json, id: i64) -> AttributeValue {
        fields["attribute_id"] = 101.into();
        fields["attribute_value"] = "Gold".into();
        fields["customer_id"] = id.into();
        serde_json::from_value(fields).expect("a value")
    }

    #[test]
    fn values_without_an_id_or_the_needed_date_are_counted_and_not_deleted() {
        let mut selection = Selection::default();
        let dated = json!({"id": 1, "date_modified": "2024-06-10T14:22:00Z"});
        let values = [
            value(dated.clone(), 1),
            value(json!({"date_modified": "2024-06-10T14:22:00Z"}), 2),
            value(json!({"id": 3}), 3),
        ];
        for (needs_date, ids, undeletable) in [(false, &[1, 3][..], 1), (true, &[1], 2)] {
            let date = NaiveDate::from_ymd_opt(2024, 6, 1).map(Into::into);
            selection.dates.modified_since = date.filter(|_| needs_date);
            let mut preview = Preview::default();
            for value in values.clone() {
                preview.add(value, &selection);
            }
            assert_eq!(
                (preview.ids(), preview.undeletable),
                (ids.to_vec(), undeletable)
            );
            assert!(!preview.is_complete());
            let text = preview.describe(1);
            let count = ids.len() as u64;
            let expected = format!(
                "{} of {} selected",
                counted(count, "value"),
                counted(count, "customer")
            );
            assert!(text.starts_with(&expected), "{text}");
            let last = format!("{} can't be deleted", counted(undeletable, "value"));
            assert!(text.contains(&last), "{text}");
        }
    }
}
