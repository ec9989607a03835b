use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::attributes::Attributes;
use crate::dates;
use crate::query::{self, BadParameter};
use crate::store::{Store, StoredValue};

/// Which values a GET asks for; all conditions must hold.
#[derive(Default, PartialEq)]
pub(crate) struct Filter {
    customers: Option<HashSet<i64>>,
    attributes: Option<HashSet<i64>>,
    name: Option<String>,
    named: Option<HashSet<i64>>,
    times: Times,
}

/// When something was created and modified.
#[derive(Default, PartialEq)]
pub(crate) struct Times {
    created: Dates,
    modified: Dates,
}

/// `=`, `:min` and `:max` of one date, any of which may be missing.
#[derive(Default, PartialEq)]
struct Dates {
    on: Option<dates::Span>,
    min: Option<dates::Span>,
    max: Option<dates::Span>,
}

impl Filter {
    /// Takes one parameter in, or says that it is not a filter.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), BadParameter> {
        match name {
            "customer_id:in" => self.customers = Some(query::ids(name, text)?),
            "attribute_id:in" => self.attributes = Some(query::ids(name, text)?),
            "name" => self.name = Some(text.to_owned()),
            _ => self.times.set(name, text)?,
        }
        Ok(())
    }

    /// Looks up which attributes have the name that is asked for.
    pub(crate) fn resolve(mut self, attributes: &Attributes) -> Self {
        self.named = self.name.as_deref().map(|name| attributes.named(name));
        self
    }

    /// The values that match, in no particular order.
    pub(crate) fn select<'a>(&self, store: &'a Store) -> Vec<&'a StoredValue> {
        match &self.customers {
            Some(customers) => customers
                .iter()
                .flat_map(|customer| store.of_customer(*customer))
                .filter(|value| self.matches(value))
                .collect(),
            None => store.iter().filter(|value| self.matches(value)).collect(),
        }
    }

    /// Whether everything matches.
    pub(crate) fn is_open(&self) -> bool {
        self.customers.is_none()
            && self.attributes.is_none()
            && self.named.is_none()
            && self.times.is_open()
    }

    /// Whether it names the customers whose values it finds.
    pub(crate) fn is_by_customer(&self) -> bool {
        self.customers.is_some()
    }

    fn matches(&self, value: &StoredValue) -> bool {
        let among =
            |ids: &Option<HashSet<i64>>, id| ids.as_ref().is_none_or(|ids| ids.contains(&id));
        among(&self.customers, value.customer_id)
            && among(&self.attributes, value.attribute_id)
            && among(&self.named, value.attribute_id)
            && self.times.matches(value.date_created, value.date_modified)
    }
}

impl Times {
    /// Takes one parameter in, or says that it is not a filter.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), BadParameter> {
        let place = match name {
            "date_created" => &mut self.created.on,
            "date_created:min" => &mut self.created.min,
            "date_created:max" => &mut self.created.max,
            "date_modified" => &mut self.modified.on,
            "date_modified:min" => &mut self.modified.min,
            "date_modified:max" => &mut self.modified.max,
            _ => return Err(BadParameter::unknown(name)),
        };
        let message = "must be an ISO 8601 date or date-time";
        let span = dates::parse(text).ok_or_else(|| BadParameter::new(name, message))?;
        *place = Some(span);
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.created.is_open() && self.modified.is_open()
    }

    pub(crate) fn matches(&self, created: DateTime<Utc>, modified: DateTime<Utc>) -> bool {
        self.created.matches(created) && self.modified.matches(modified)
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
