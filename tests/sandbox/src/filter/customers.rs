use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;

use super::DateFilters;
use crate::query::{self, InvalidParameter};
use crate::settings::Settings;
use crate::store::{Customers, StoredCustomer};

/// The values of `sort` that are accepted. They have no effect.
const SORT_FIELDS: [&str; 3] = ["date_created", "date_modified", "last_name"];

/// The filter of a GET of customers. All conditions must hold.
#[derive(Default)]
pub(crate) struct CustomerFilter {
    ids: Option<HashSet<i64>>,
    emails: Option<Vec<String>>,
    groups: Option<HashSet<i64>>,
    dates: DateFilters,
}

impl CustomerFilter {
    /// Sets a condition other than `email:in`.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), InvalidParameter> {
        match name {
            "id:in" => self.ids = Some(query::ids(name, text)?),
            "customer_group_id:in" => self.groups = Some(query::ids(name, text)?),
            "sort" => check_sort(text)?,
            _ => self.dates.set(name, text)?,
        }
        Ok(())
    }

    /// Sets `email:in`. Spaces around an address are ignored.
    pub(crate) fn set_emails(&mut self, emails: Vec<String>) -> Result<(), InvalidParameter> {
        if emails.iter().any(|email| email.trim().is_empty()) {
            let message = "must be e-mail addresses separated by commas";
            return Err(InvalidParameter::new("email:in", message));
        }
        self.emails = Some(emails);
        Ok(())
    }

    /// Returns `true` if every customer matches.
    pub(crate) fn is_unfiltered(&self) -> bool {
        self.ids.is_none()
            && self.emails.is_none()
            && self.groups.is_none()
            && self.dates.is_unfiltered()
    }

    /// Iterates over the matching customers whose IDs are in the range, in the order of the IDs.
    pub(crate) fn select<'a>(
        &'a self,
        settings: &Settings,
        customers: &'a Customers,
        range: (Bound<i64>, Bound<i64>),
    ) -> Box<dyn DoubleEndedIterator<Item = &'a StoredCustomer> + 'a> {
        let matches = |customer: &&StoredCustomer| self.matches(customer);
        match self.candidates(settings, customers) {
            Some(ids) => {
                let ids: Vec<i64> = ids.range(range).copied().collect();
                let candidates = ids.into_iter().filter_map(|id| customers.get(id));
                Box::new(candidates.filter(matches))
            }
            None => Box::new(customers.range(range).filter(matches)),
        }
    }

    /// Returns the IDs that match `id:in` and `email:in`, found in the indexes. Returns `None` if
    /// neither is set.
    fn candidates(&self, settings: &Settings, customers: &Customers) -> Option<BTreeSet<i64>> {
        let Some(emails) = &self.emails else {
            return self.ids.as_ref().map(|ids| ids.iter().copied().collect());
        };
        let found = emails.iter().flat_map(|email| {
            customers.iter_email(email).filter(|customer| {
                !settings.distinguish_email_case || customer.email.trim() == email.trim()
            })
        });
        let allowed = |id: &i64| self.ids.as_ref().is_none_or(|ids| ids.contains(id));
        Some(found.map(|customer| customer.id).filter(allowed).collect())
    }

    /// Checks the conditions that no index covers.
    fn matches(&self, customer: &StoredCustomer) -> bool {
        let is_in_group = |groups: &HashSet<i64>| {
            let group = customer.customer_group_id;
            group.is_some_and(|group| groups.contains(&group))
        };
        self.groups.as_ref().is_none_or(is_in_group)
            && self
                .dates
                .matches(customer.date_created, customer.date_modified)
    }
}

fn check_sort(text: &str) -> Result<(), InvalidParameter> {
    let is_known = text.split_once(':').is_some_and(|(field, direction)| {
        SORT_FIELDS.contains(&field) && matches!(direction, "asc" | "desc")
    });
    if is_known {
        Ok(())
    } else {
        let message = "must be date_created, date_modified or last_name, with :asc or :desc";
        Err(InvalidParameter::new("sort", message))
    }
}
