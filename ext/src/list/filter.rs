//! Which values are asked for, and the queries that ask for them.

use bigcommerce_sdk::{self as sdk, IdList, ResponseValue, types};
use chrono::{DateTime, Utc};

use super::date_filter::DateFilter;
use crate::client::url_budget::{FIXED, MAX_URL, id_len};
use crate::error::Error;

/// The maximum length of a date with its parameter's name.
const DATE: usize = 50;
/// The length of a percent-encoded byte.
const ENCODED: usize = 3;

/// What is asked for; all that is set must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub customers: Option<Vec<i64>>,
    pub attributes: Option<Vec<i64>>,
    pub name: Option<String>,
    pub created: Dates,
    pub modified: Dates,
}

/// What is asked of one of a value's dates.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dates {
    pub on: Option<DateFilter>,
    pub since: Option<DateFilter>,
    pub until: Option<DateFilter>,
}

impl Filter {
    /// Says whether it leaves nothing out.
    pub(crate) fn is_unfiltered(&self) -> bool {
        self.customers.is_none()
            && self.attributes.is_none()
            && self.name.is_none()
            && self.dates().all(|date| date.is_none())
    }

    /// Refuses what can't be meant, and puts the IDs in order, each once.
    pub(crate) fn validate(mut self) -> Result<ValidFilter, Error> {
        if self.name.as_deref() == Some("") {
            // Nobody says what an empty name asks for: nothing, or everything.
            return Err(Error::invalid_input("attribute_name is empty"));
        }
        for (what, ids) in [
            ("customers", &mut self.customers),
            ("attributes", &mut self.attributes),
        ] {
            let Some(ids) = ids else { continue };
            if let Some(id) = ids.iter().find(|&&id| id < 1) {
                return Err(Error::invalid_input(format!(
                    "{what} holds {id}: an ID is 1 or more"
                )));
            }
            ids.sort_unstable();
            ids.dedup();
        }
        Ok(ValidFilter(self))
    }

    fn clone_but_ids(&self) -> Self {
        Self {
            customers: None,
            attributes: None,
            name: self.name.clone(),
            created: self.created,
            modified: self.modified,
        }
    }

    fn dates(&self) -> impl Iterator<Item = Option<DateFilter>> {
        let of = |dates: Dates| [dates.on, dates.since, dates.until];
        of(self.created).into_iter().chain(of(self.modified))
    }
}

/// A filter with its IDs in order, each once.
#[derive(Clone, Debug)]
pub(crate) struct ValidFilter(Filter);

impl ValidFilter {
    /// Splits what is asked for into queries that a URL holds: none where a list is empty.
    pub(crate) fn queries(&self, base_url: &str) -> Vec<Query> {
        let Self(filter) = self;
        let dates = filter.dates().flatten().count();
        let name = filter.name.as_ref().map_or(0, String::len);
        let fixed = base_url.len() + FIXED + dates * DATE + name * ENCODED;
        let room = MAX_URL.saturating_sub(fixed);
        let by_attributes = chunks(filter.attributes.as_deref(), room / 2);
        let longest = by_attributes.iter().flatten().map(|ids| ids_len(ids)).max();
        let by_customers = chunks(
            filter.customers.as_deref(),
            room.saturating_sub(longest.unwrap_or(0)),
        );
        let mut queries = Vec::new();
        for customers in &by_customers {
            for attributes in &by_attributes {
                queries.push(Query(Filter {
                    customers: customers.map(<[i64]>::to_vec),
                    attributes: attributes.map(<[i64]>::to_vec),
                    ..filter.clone_but_ids()
                }));
            }
        }
        queries
    }

    /// Asks for an attribute by its ID instead of by its name.
    pub(crate) fn resolve_name(&mut self, id: i64) {
        let Self(filter) = self;
        filter.name = None;
        match &mut filter.attributes {
            Some(ids) => ids.retain(|&asked| asked == id),
            None => filter.attributes = Some(vec![id]),
        }
    }

    /// Says whether a value can be one that was asked for. Its dates are held against what was
    /// asked with a day to spare, since days begin somewhere, and the name is not looked at.
    pub(crate) fn can_match(&self, value: &types::AttributeValue) -> bool {
        let Self(filter) = self;
        let among = |ids: &Option<Vec<i64>>, id| {
            let ids = ids.as_ref();
            ids.is_none_or(|ids| ids.binary_search(&id).is_ok())
        };
        among(&filter.customers, value.customer_id)
            && among(&filter.attributes, value.attribute_id)
            && filter.created.can_match(value.date_created)
            && filter.modified.can_match(value.date_modified)
    }
}

impl Dates {
    fn can_match(&self, date: Option<DateTime<Utc>>) -> bool {
        let Some(date) = date else {
            return self.on.is_none() && self.since.is_none() && self.until.is_none();
        };
        let is_after = |when: DateFilter| date >= when.span().0;
        let is_before = |when: DateFilter| date <= when.span().1;
        self.on.is_none_or(|on| is_after(on) && is_before(on))
            && self.since.is_none_or(is_after)
            && self.until.is_none_or(is_before)
    }
}

/// A query of which the pages are read one after the other.
///
/// The default query is for all values of the store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Filter);

impl Query {
    /// Requests a page.
    pub(crate) async fn send(
        &self,
        client: sdk::Client,
        page: u64,
        limit: u64,
    ) -> Result<ResponseValue<types::AttributeValuePage>, sdk::Error<types::ErrorBody>> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut request = client
            .list_attribute_values()
            .page(number(page))
            .limit(number(limit));
        if let Some(ids) = &self.0.customers {
            request = request.customer_id_in(IdList::from(ids.clone()));
        }
        if let Some(ids) = &self.0.attributes {
            request = request.attribute_id_in(IdList::from(ids.clone()));
        }
        if let Some(name) = &self.0.name {
            request = request.name(name.clone());
        }
        if let Some(on) = self.0.created.on {
            request = request.date_created(on.text());
        }
        if let Some(since) = self.0.created.since {
            request = request.date_created_min(since.text());
        }
        if let Some(until) = self.0.created.until {
            request = request.date_created_max(until.text_of_end());
        }
        if let Some(on) = self.0.modified.on {
            request = request.date_modified(on.text());
        }
        if let Some(since) = self.0.modified.since {
            request = request.date_modified_min(since.text());
        }
        if let Some(until) = self.0.modified.until {
            request = request.date_modified_max(until.text_of_end());
        }
        request.send().await
    }
}

fn ids_len(ids: &[i64]) -> usize {
    ids.iter().map(|&id| id_len(id)).sum()
}

/// Splits IDs into lists of at most so many bytes; at least one ID goes into each.
fn chunks(ids: Option<&[i64]>, room: usize) -> Vec<Option<&[i64]>> {
    let Some(mut ids) = ids else {
        return vec![None];
    };
    let mut lists = Vec::new();
    while !ids.is_empty() {
        let mut taken = 0;
        let fits = ids.iter().take_while(|&&id| {
            taken += id_len(id);
            taken <= room
        });
        let (list, rest) = ids.split_at(fits.count().max(1));
        lists.push(Some(list));
        ids = rest;
    }
    lists
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids() -> impl Strategy<Value = Option<Vec<i64>>> {
        let id = prop_oneof![1..50_i64, 1..i64::MAX];
        proptest::option::of(proptest::collection::vec(id, 0..120))
    }

    proptest! {
        #[test]
        fn every_pair_is_asked_for_once_by_urls_that_are_not_too_long(
            customers in ids(),
            attributes in ids(),
        ) {
            let base = "https://api.bigcommerce.com/stores/abc123/v3";
            let filter = Filter { customers, attributes, ..Filter::default() };
            let queries = filter.clone().validate().expect("good IDs").queries(base);
            let pairs = |customers: Option<Vec<i64>>, attributes: Option<Vec<i64>>| {
                let attributes = attributes.map_or(vec![0], |ids| ids);
                let pairs = customers.map_or(vec![0], |ids| ids).into_iter().flat_map(move |c| {
                    attributes.clone().into_iter().map(move |a| (c, a))
                });
                pairs.collect::<Vec<_>>()
            };
            let mut expected = pairs(filter.customers.clone(), filter.attributes.clone());
            expected.sort_unstable();
            expected.dedup();
            let mut asked = Vec::new();
            for query in queries {
                let lists = query.0.customers.iter().chain(&query.0.attributes);
                let ids: usize = lists.map(|ids| ids_len(ids)).sum();
                prop_assert!(base.len() + FIXED + ids <= MAX_URL);
                asked.extend(pairs(query.0.customers, query.0.attributes));
            }
            asked.sort_unstable();
            prop_assert_eq!(asked, expected);
        }
    }

    #[test]
    fn ids_and_names_that_can_not_be_meant_are_refused() {
        let customers = Filter {
            customers: Some(vec![5, 0]),
            ..Filter::default()
        };
        let refused = customers.validate().expect_err("an ID is bad").to_string();
        assert_eq!(refused, "customers holds 0: an ID is 1 or more");
        let name = Filter {
            name: Some(String::new()),
            ..Filter::default()
        };
        let refused = name.validate().expect_err("the name is bad").to_string();
        assert_eq!(refused, "attribute_name is empty");
    }
}
