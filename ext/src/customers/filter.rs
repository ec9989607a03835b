//! The conditions of a list of customers, and the queries that request them.

use std::sync::Arc;

use bigcommerce_sdk::{self as sdk, IdList, TextList, types};
use foldhash::HashSet;

use super::address::{Address, url_len};
use crate::client::SdkResult;
use crate::client::url_budget::{id_len, room_for_ids, split_list};
use crate::customer_key::fold_address;
use crate::date_filter::{DateConditions, FilterMatch};
use crate::error::{Error, Violation};

/// The length of all parameters but the IDs and addresses: six dates and a cursor.
const OTHER_PARAMS_LEN: usize = 400;

/// The conditions of a list of customers. A customer is listed if it meets all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct CustomerFilter {
    pub ids: Option<Vec<i64>>,
    /// Valid addresses.
    pub addresses: Option<Vec<Address>>,
    pub groups: Option<Vec<i64>>,
    pub created: DateConditions,
    pub modified: DateConditions,
    /// The first invalid condition.
    pub invalid: Option<Error>,
}

impl CustomerFilter {
    pub(super) fn set_addresses(&mut self, addresses: impl Iterator<Item = Arc<str>>) {
        let mut valid = Vec::new();
        for (index, address) in addresses.enumerate() {
            match Address::parse(&address) {
                Ok(address) => valid.push(address),
                Err(violation) => self.reject("emails", index, &violation),
            }
        }
        self.addresses = Some(valid);
    }

    fn reject(&mut self, field: &str, index: usize, violation: &Violation) {
        let invalid = || Error::invalid_input(format!("{field}, item {index}: {violation}"));
        self.invalid.get_or_insert_with(invalid);
    }

    /// Validates the conditions.
    pub(super) fn validate(mut self) -> Result<Self, Error> {
        if let Some(error) = self.invalid.take() {
            return Err(error);
        }
        for (field, ids) in [("ids", &mut self.ids), ("groups", &mut self.groups)] {
            let Some(ids) = ids else { continue };
            // Customers without a group are in group 0.
            let min = i64::from(field == "ids");
            if let Some(id) = ids.iter().find(|&&id| id < min) {
                return Err(Error::invalid_input(format!(
                    "{field} contains {id}: an ID is {min} or more"
                )));
            }
            ids.sort_unstable();
            ids.dedup();
        }
        Ok(self)
    }

    /// Splits the filter into queries that each fit a URL. There are none if a list is empty.
    pub(super) fn queries(&self, base_url: &str) -> Vec<CustomerQuery> {
        let mut addresses: Vec<_> = self.addresses.iter().flatten().collect();
        let mut seen = HashSet::default();
        addresses.retain(|address| seen.insert(Arc::clone(&address.written)));
        let addresses: Vec<_> = addresses
            .into_iter()
            .map(|a| Arc::clone(&a.written))
            .collect();
        let addresses = self.addresses.as_ref().map(|_| addresses);
        self.queries_for(addresses.as_deref(), base_url)
    }

    /// Splits the filter, with other addresses than its own, into queries.
    pub(super) fn queries_for(
        &self,
        addresses: Option<&[Arc<str>]>,
        base_url: &str,
    ) -> Vec<CustomerQuery> {
        let room = room_for_ids(base_url).saturating_sub(OTHER_PARAMS_LEN);
        let lists = [
            addresses.is_some(),
            self.ids.is_some(),
            self.groups.is_some(),
        ];
        let lists = lists.into_iter().filter(|is_there| *is_there).count();
        let max_len = room / lists.max(1);
        let addresses = split_list(addresses, max_len, |address| url_len(address));
        let ids = split_list(self.ids.as_deref(), max_len, |&id| id_len(id));
        let groups = split_list(self.groups.as_deref(), max_len, |&id| id_len(id));
        let mut queries = Vec::new();
        for addresses in &addresses {
            for ids in &ids {
                for groups in &groups {
                    queries.push(CustomerQuery {
                        addresses: addresses.map(<[_]>::to_vec),
                        ids: ids.map(<[_]>::to_vec),
                        groups: groups.map(<[_]>::to_vec),
                        created: self.created,
                        modified: self.modified,
                    });
                }
            }
        }
        queries
    }
}

/// Where a page of customers begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PageStart {
    /// The page with this number, counted from 1.
    Number(u64),
    /// After the record with this cursor.
    After(String),
}

/// A query whose pages are read one after the other. The default query lists all customers.
#[derive(Clone, Default)]
pub(super) struct CustomerQuery {
    pub addresses: Option<Vec<Arc<str>>>,
    ids: Option<Vec<i64>>,
    groups: Option<Vec<i64>>,
    created: DateConditions,
    modified: DateConditions,
}

impl CustomerQuery {
    pub(super) fn for_addresses(addresses: Vec<Arc<str>>) -> Self {
        Self {
            addresses: Some(addresses),
            ..Self::default()
        }
    }

    /// Returns the conditions by which the records of the query are checked.
    pub(super) fn checker(&self) -> CustomerChecker<'_> {
        let addresses = self.addresses.as_ref();
        let addresses =
            addresses.map(|list| list.iter().map(|address| fold_address(address)).collect());
        CustomerChecker {
            query: self,
            addresses,
        }
    }

    /// Requests a page.
    pub(super) async fn send(
        &self,
        client: sdk::Client,
        start: &PageStart,
        limit: u64,
    ) -> SdkResult<types::CustomerPage> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut request = client.list_customers().limit(number(limit));
        request = match start {
            PageStart::Number(page) => request.page(number(*page)),
            PageStart::After(cursor) => request.after(cursor.clone()),
        };
        if let Some(addresses) = &self.addresses {
            let addresses = addresses.iter().map(|address| address.to_string());
            request = request.email_in(addresses.collect::<TextList>());
        }
        if let Some(ids) = &self.ids {
            request = request.id_in(IdList::from(ids.clone()));
        }
        if let Some(groups) = &self.groups {
            request = request.customer_group_id_in(IdList::from(groups.clone()));
        }
        if let Some(on) = self.created.on {
            request = request.date_created(on.to_param());
        }
        if let Some(since) = self.created.since {
            request = request.date_created_min(since.to_param());
        }
        if let Some(until) = self.created.until {
            request = request.date_created_max(until.to_max_param());
        }
        if let Some(on) = self.modified.on {
            request = request.date_modified(on.to_param());
        }
        if let Some(since) = self.modified.since {
            request = request.date_modified_min(since.to_param());
        }
        if let Some(until) = self.modified.until {
            request = request.date_modified_max(until.to_max_param());
        }
        request.send().await
    }
}

/// Compares customers with the query that lists them.
pub(super) struct CustomerChecker<'a> {
    query: &'a CustomerQuery,
    addresses: Option<HashSet<String>>,
}

impl CustomerChecker<'_> {
    pub(super) fn check(&self, customer: &types::Customer) -> FilterMatch {
        let query = self.query;
        let check_id = |ids: &Option<Vec<i64>>, id: Option<i64>| {
            // A group that is not shown can't be checked.
            let matches = match (ids, id) {
                (Some(ids), Some(id)) => ids.binary_search(&id).is_ok(),
                _ => true,
            };
            FilterMatch::excluded_unless(matches)
        };
        let addresses = self.addresses.as_ref();
        let has_address =
            addresses.is_none_or(|list| list.contains(&fold_address(&customer.email)));
        FilterMatch::excluded_unless(has_address)
            .max(check_id(&query.ids, Some(customer.id)))
            .max(check_id(&query.groups, customer.customer_group_id))
            .max(query.created.check(customer.date_created))
            .max(query.modified.check(customer.date_modified))
    }
}
