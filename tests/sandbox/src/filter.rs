use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::dates;
use crate::query::{self, BadParameter};
use crate::store::{Store, StoredValue};

/// Which values a GET asks for; all conditions must hold.
#[derive(Default)]
pub(crate) struct Filter {
    customers: Option<HashSet<i64>>,
    attributes: Option<HashSet<i64>>,
    named: Option<HashSet<i64>>,
    created: Dates,
    modified: Dates,
}

/// `=`, `:min` and `:max` of one date, any of which may be missing.
#[derive(Default)]
struct Dates {
    on: Option<dates::Span>,
    min: Option<dates::Span>,
    max: Option<dates::Span>,
}

impl Filter {
    /// Takes one parameter in, or says that it is not a filter.
    pub(crate) fn set(
        &mut self,
        name: &str,
        text: &str,
        attribute_names: &HashMap<i64, String>,
    ) -> Result<(), BadParameter> {
        match name {
            "customer_id:in" => self.customers = Some(query::ids(name, text)?),
            "attribute_id:in" => self.attributes = Some(query::ids(name, text)?),
            "name" => {
                let named = attribute_names.iter().filter(|(_, known)| *known == text);
                self.named = Some(named.map(|(id, _)| *id).collect());
            }
            "date_created" => self.created.on = Some(date(name, text)?),
            "date_created:min" => self.created.min = Some(date(name, text)?),
            "date_created:max" => self.created.max = Some(date(name, text)?),
            "date_modified" => self.modified.on = Some(date(name, text)?),
            "date_modified:min" => self.modified.min = Some(date(name, text)?),
            "date_modified:max" => self.modified.max = Some(date(name, text)?),
            _ => return Err(BadParameter::unknown(name)),
        }
        Ok(())
    }

    /// How many values match, and those of them that are on the page, by ID.
    pub(crate) fn select(
        &self,
        store: &Store,
        offset: usize,
        limit: usize,
    ) -> (usize, Vec<StoredValue>) {
        if self.is_open() {
            let page = store.iter_from(offset).take(limit);
            return (store.len(), page.cloned().collect());
        }
        let mut found: Vec<&StoredValue> = match &self.customers {
            Some(customers) => customers
                .iter()
                .flat_map(|customer| store.of_customer(*customer))
                .filter(|value| self.matches(value))
                .collect(),
            None => store.iter().filter(|value| self.matches(value)).collect(),
        };
        found.sort_unstable_by_key(|value| value.id);
        let page = found.iter().skip(offset).take(limit);
        (found.len(), page.copied().cloned().collect())
    }

    fn is_open(&self) -> bool {
        self.customers.is_none()
            && self.attributes.is_none()
            && self.named.is_none()
            && self.created.is_open()
            && self.modified.is_open()
    }

    fn matches(&self, value: &StoredValue) -> bool {
        let among =
            |ids: &Option<HashSet<i64>>, id| ids.as_ref().is_none_or(|ids| ids.contains(&id));
        among(&self.customers, value.customer_id)
            && among(&self.attributes, value.attribute_id)
            && among(&self.named, value.attribute_id)
            && self.created.matches(value.date_created)
            && self.modified.matches(value.date_modified)
    }
}

impl Dates {
    fn is_open(&self) -> bool {
        self.on.is_none() && self.min.is_none() && self.max.is_none()
    }

    fn matches(&self, time: DateTime<Utc>) -> bool {
        self.on
            .is_none_or(|span| span.first <= time && time <= span.last)
            && self.min.is_none_or(|span| span.first <= time)
            && self.max.is_none_or(|span| time <= span.last)
    }
}

fn date(name: &str, text: &str) -> Result<dates::Span, BadParameter> {
    dates::parse(text)
        .ok_or_else(|| BadParameter::new(name, "must be an ISO 8601 date or date-time"))
}
