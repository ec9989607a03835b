mod customers;

use std::collections::HashSet;

use chrono::{DateTime, Utc};

pub(crate) use customers::CustomerFilter;

use crate::attributes::Attributes;
use crate::dates;
use crate::extra_fields::ExtraFilters;
use crate::query::{self, InvalidParameter};
use crate::store::{Store, StoredValue};

/// The filter of a GET of values. All conditions must hold.
#[derive(Default, PartialEq)]
pub(crate) struct ValueFilter {
    customers: Option<HashSet<i64>>,
    attributes: Option<HashSet<i64>>,
    name: Option<String>,
    /// The attributes with the name, once it is resolved.
    attributes_by_name: Option<HashSet<i64>>,
    dates: DateFilters,
    extra: ExtraFilters,
}

/// The date filters that values, attributes and customers have in common.
#[derive(Default, PartialEq)]
pub(crate) struct DateFilters {
    created: DateFilter,
    modified: DateFilter,
}

/// `=`, `:min` and `:max` of one date, each optional.
#[derive(Default, PartialEq)]
struct DateFilter {
    on: Option<dates::Span>,
    min: Option<dates::Span>,
    max: Option<dates::Span>,
}

impl ValueFilter {
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), InvalidParameter> {
        match name {
            "customer_id:in" => self.customers = Some(query::ids(name, text)?),
            "attribute_id:in" => self.attributes = Some(query::ids(name, text)?),
            "name" => self.name = Some(text.to_owned()),
            _ => self.dates.set(name, text)?,
        }
        Ok(())
    }

    /// Sets a filter by an extra field.
    pub(crate) fn set_extra(&mut self, name: &str, text: &str) {
        self.extra.set(name, text);
    }

    /// Looks up the attributes with the name in the filter.
    pub(crate) fn resolve_name(mut self, attributes: &Attributes) -> Self {
        self.attributes_by_name = self
            .name
            .as_deref()
            .map(|name| attributes.ids_by_name(name));
        self
    }

    /// Returns the matching values in no particular order.
    pub(crate) fn select<'a>(&self, store: &'a Store) -> Vec<&'a StoredValue> {
        match &self.customers {
            Some(customers) => customers
                .iter()
                .flat_map(|customer| store.iter_customer(*customer))
                .filter(|value| self.matches(value))
                .collect(),
            None => store.iter().filter(|value| self.matches(value)).collect(),
        }
    }

    /// Returns `true` if every value matches.
    pub(crate) fn is_unfiltered(&self) -> bool {
        self.customers.is_none()
            && self.attributes.is_none()
            && self.attributes_by_name.is_none()
            && self.dates.is_unfiltered()
            && self.extra.is_empty()
    }

    /// Returns `true` if the filter names customers.
    pub(crate) fn is_by_customer(&self) -> bool {
        self.customers.is_some()
    }

    fn matches(&self, value: &StoredValue) -> bool {
        let allows =
            |ids: &Option<HashSet<i64>>, id| ids.as_ref().is_none_or(|ids| ids.contains(&id));
        allows(&self.customers, value.customer_id)
            && allows(&self.attributes, value.attribute_id)
            && allows(&self.attributes_by_name, value.attribute_id)
            && self.dates.matches(value.date_created, value.date_modified)
            && self.extra.matches(&value.extra)
    }
}

impl DateFilters {
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), InvalidParameter> {
        let condition = match name {
            "date_created" => &mut self.created.on,
            "date_created:min" => &mut self.created.min,
            "date_created:max" => &mut self.created.max,
            "date_modified" => &mut self.modified.on,
            "date_modified:min" => &mut self.modified.min,
            "date_modified:max" => &mut self.modified.max,
            _ => return Err(InvalidParameter::unknown(name)),
        };
        // A UNIX time is documented for the bounds only.
        let is_bound = name.ends_with(":min") || name.ends_with(":max");
        let (span, message) = if is_bound {
            let span = dates::parse(text).or_else(|| dates::parse_unix(text));
            (
                span,
                "must be an ISO 8601 date or date-time, or a UNIX time",
            )
        } else {
            (dates::parse(text), "must be an ISO 8601 date or date-time")
        };
        let span = span.ok_or_else(|| InvalidParameter::new(name, message))?;
        *condition = Some(span);
        Ok(())
    }

    fn is_unfiltered(&self) -> bool {
        self.created.is_unfiltered() && self.modified.is_unfiltered()
    }

    pub(crate) fn matches(&self, created: DateTime<Utc>, modified: DateTime<Utc>) -> bool {
        self.created.matches(created) && self.modified.matches(modified)
    }
}

impl DateFilter {
    fn is_unfiltered(&self) -> bool {
        self.on.is_none() && self.min.is_none() && self.max.is_none()
    }

    fn matches(&self, time: DateTime<Utc>) -> bool {
        self.on
            .is_none_or(|span| span.first <= time && time <= span.last)
            && self.min.is_none_or(|span| span.first <= time)
            && self.max.is_none_or(|span| time <= span.last)
    }
}
