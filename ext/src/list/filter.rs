//! The conditions of a list or a delete, and the queries that request them.

use std::fmt;

use bigcommerce_sdk::{self as sdk, IdList, types};

use crate::attributes::Definitions;
use crate::client::SdkResult;
use crate::client::url_budget::{FIXED_LEN, MAX_URL_LEN, id_len, split_list};
use crate::customer_key::CustomerKey;
use crate::customers::AccountChoice;
use crate::date_filter::{DateConditions, DateFilter, FilterMatch};
use crate::error::{Error, Violation};
use crate::value::AttributeKey;

use super::extra_query::ExtraQuery;

/// The maximum length of a date and its parameter's name.
const DATE_PARAM_LEN: usize = 50;
const PERCENT_ENCODED_BYTE_LEN: usize = 3;

/// Customers who are not given by their IDs. Addresses are personal data: `Debug` shows how many they are.
#[derive(Clone, Default)]
pub(crate) struct CustomerKeys(Vec<CustomerKey>);

impl fmt::Debug for CustomerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

/// The conditions of a list or a delete. A value is selected if it meets all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub customers: Option<Vec<i64>>,
    /// The customers that are not given by their IDs.
    pub customer_keys: CustomerKeys,
    /// The attribute whose values are the external IDs.
    pub external_id: Option<AttributeKey>,
    pub choice: AccountChoice,
    pub attributes: Option<Vec<i64>>,
    /// The attributes that are given by their names.
    pub names: Vec<AttributeKey>,
    pub attribute_name: Option<String>,
    pub created: DateConditions,
    pub modified: DateConditions,
    /// The conditions that this crate doesn't know. Values can't be checked against them, so a delete
    /// has none.
    pub(super) extra: ExtraQuery,
}

impl Filter {
    /// Selects the values of these customers.
    pub(crate) fn set_customers(&mut self, customers: impl Iterator<Item = CustomerKey>) {
        let (ids, keys): (Vec<_>, Vec<_>) = customers.partition(|key| key.id().is_some());
        self.customers = Some(ids.iter().filter_map(CustomerKey::id).collect());
        self.customer_keys = CustomerKeys(keys);
    }

    /// Selects the values of these attributes.
    pub(crate) fn set_attributes(&mut self, attributes: impl Iterator<Item = AttributeKey>) {
        let (ids, names): (Vec<_>, Vec<_>) = attributes.partition(|key| key.id().is_some());
        self.attributes = Some(ids.iter().filter_map(AttributeKey::id).collect());
        self.names = names;
    }

    /// Returns `true` if there is no condition, so that all values of the store are selected.
    pub(crate) fn selects_all(&self) -> bool {
        self.customers.is_none()
            && self.attributes.is_none()
            && self.attribute_name.is_none()
            && self.dates().next().is_none()
    }

    /// Validates the IDs and the name. Sorts the IDs and removes duplicates.
    pub(crate) fn validate(mut self) -> Result<ValidFilter, Error> {
        if self.attribute_name.as_deref() == Some("") {
            // Servers differ: an empty name selects no values or all of them.
            return Err(Error::invalid_input(
                "attribute_name is empty: it must be the name of an attribute",
            ));
        }
        self.extra.validate()?;
        let has_external = |key: &CustomerKey| matches!(key, CustomerKey::External(_));
        if self.external_id.is_none() && self.customer_keys.0.iter().any(has_external) {
            return Err(Error::invalid_input(
                "customers contains an external ID: name its attribute with external_id()",
            ));
        }
        for (field, ids) in [
            ("customers", &mut self.customers),
            ("attributes", &mut self.attributes),
        ] {
            let Some(ids) = ids else { continue };
            if let Some(id) = ids.iter().find(|&&id| id < 1) {
                return Err(Error::invalid_input(format!(
                    "{field} contains {id}: an ID is 1 or more"
                )));
            }
            ids.sort_unstable();
            ids.dedup();
        }
        Ok(ValidFilter(self))
    }

    fn without_ids(&self) -> Self {
        Self {
            attribute_name: self.attribute_name.clone(),
            created: self.created,
            modified: self.modified,
            extra: self.extra.clone(),
            ..Self::default()
        }
    }

    fn dates(&self) -> impl Iterator<Item = DateFilter> {
        let [created, modified] =
            [self.created, self.modified].map(|dates| [dates.on, dates.since, dates.until]);
        created.into_iter().chain(modified).flatten()
    }
}

/// A filter whose IDs are valid, sorted and distinct.
#[derive(Clone, Debug)]
pub(crate) struct ValidFilter(Filter);

impl ValidFilter {
    /// Splits the filter into queries that each fit a URL. There are none if a list of IDs is
    /// empty.
    pub(crate) fn queries(&self, base_url: &str) -> Vec<Query> {
        let Self(filter) = self;
        let dates = filter.dates().count() * DATE_PARAM_LEN;
        let name = filter.attribute_name.as_ref().map_or(0, String::len);
        let name = name * PERCENT_ENCODED_BYTE_LEN;
        let fixed_len = base_url.len() + FIXED_LEN + dates + name + filter.extra.url_len();
        let max_ids_len = MAX_URL_LEN.saturating_sub(fixed_len);
        let attributes = split_list(filter.attributes.as_deref(), max_ids_len / 2, |&id| {
            id_len(id)
        });
        let attributes_len = attributes.iter().flatten().map(|ids| ids_len(ids)).max();
        let max_customers_len = max_ids_len.saturating_sub(attributes_len.unwrap_or(0));
        let customers = split_list(filter.customers.as_deref(), max_customers_len, |&id| {
            id_len(id)
        });
        let mut queries = Vec::new();
        for customers in &customers {
            for attributes in &attributes {
                queries.push(Query(Filter {
                    customers: customers.map(<[i64]>::to_vec),
                    attributes: attributes.map(<[i64]>::to_vec),
                    ..filter.without_ids()
                }));
            }
        }
        queries
    }

    /// Returns the texts of the filter that no output may contain.
    pub(super) fn secrets(&self) -> Vec<String> {
        self.0.extra.secrets()
    }

    /// Returns `true` if customers or attributes are given by keys that are not resolved yet.
    pub(crate) fn has_unresolved_keys(&self) -> bool {
        !self.0.names.is_empty() || !self.0.customer_keys.0.is_empty()
    }

    /// Returns `true` if the attribute is given by its name, by which listed values can't be checked.
    pub(crate) fn needs_attribute_id(&self) -> bool {
        self.0.attribute_name.is_some()
    }

    /// Returns `true` if resolving the keys takes the store's attributes.
    pub(super) fn names_attributes(&self) -> bool {
        let external_id = self.0.external_id.as_ref();
        let names_external_id = external_id.is_some_and(|key| key.id().is_none());
        !self.0.names.is_empty() || (names_external_id && !self.0.customer_keys.0.is_empty())
    }

    /// Takes the customers that are not given by their IDs.
    pub(super) fn take_customer_keys(&mut self) -> Vec<CustomerKey> {
        std::mem::take(&mut self.0.customer_keys.0)
    }

    pub(super) fn choice(&self) -> AccountChoice {
        self.0.choice
    }

    /// Returns the ID of the attribute that has the external IDs.
    pub(super) fn external_attribute(&self, definitions: &Definitions) -> Result<i64, Error> {
        let key = self.0.external_id.as_ref();
        if let Some(id) = key.and_then(AttributeKey::id) {
            return Ok(id);
        }
        let name = key.and_then(AttributeKey::name).unwrap_or_default();
        let definition = definitions.by_name(name).map_err(invalid)?;
        Ok(definition.id)
    }

    /// Adds the IDs of the customers that are given by other keys.
    pub(super) fn add_customers(&mut self, found: impl Iterator<Item = i64>) {
        let ids = self.0.customers.get_or_insert_default();
        ids.extend(found);
        ids.sort_unstable();
        ids.dedup();
    }

    /// Adds the IDs of the attributes that are given by their names.
    pub(super) fn resolve_names(&mut self, definitions: &Definitions) -> Result<(), Error> {
        let Self(filter) = self;
        if filter.names.is_empty() {
            return Ok(());
        }
        let ids = filter.attributes.get_or_insert_default();
        for key in std::mem::take(&mut filter.names) {
            let definition = definitions.get(&key).map_err(invalid)?;
            ids.extend(definition.map(|definition| definition.id));
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(())
    }

    /// Replaces the attribute's name by its ID.
    pub(super) fn resolve_attribute_name(
        &mut self,
        definitions: &Definitions,
    ) -> Result<(), Error> {
        let Self(filter) = self;
        let Some(name) = filter.attribute_name.take() else {
            return Ok(());
        };
        let id = definitions.by_name(&name).map_err(invalid)?.id;
        match &mut filter.attributes {
            Some(ids) => ids.retain(|&attribute| attribute == id),
            None => filter.attributes = Some(vec![id]),
        }
        Ok(())
    }

    /// Compares a listed value with the filter, except for the attribute's name.
    pub(crate) fn check(&self, value: &types::AttributeValue) -> FilterMatch {
        let Self(filter) = self;
        let check_id = |ids: &Option<Vec<i64>>, id| {
            let ids = ids.as_ref();
            FilterMatch::excluded_unless(ids.is_none_or(|ids| ids.binary_search(&id).is_ok()))
        };
        check_id(&filter.customers, value.customer_id)
            .max(check_id(&filter.attributes, value.attribute_id))
            .max(filter.created.check(value.date_created))
            .max(filter.modified.check(value.date_modified))
    }
}

/// A query whose pages are read one after the other. The default query lists the whole store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Filter);

impl Query {
    /// Requests a page.
    pub(crate) async fn send(
        &self,
        client: sdk::Client,
        page: u64,
        limit: u64,
    ) -> SdkResult<types::AttributeValuePage> {
        let Self(filter) = self;
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let client = filter.extra.apply(client);
        let mut request = client
            .list_attribute_values()
            .page(number(page))
            .limit(number(limit));
        if let Some(ids) = &filter.customers {
            request = request.customer_id_in(IdList::from(ids.clone()));
        }
        if let Some(ids) = &filter.attributes {
            request = request.attribute_id_in(IdList::from(ids.clone()));
        }
        if let Some(name) = &filter.attribute_name {
            request = request.name(name.clone());
        }
        if let Some(on) = filter.created.on {
            request = request.date_created(on.to_param());
        }
        if let Some(since) = filter.created.since {
            request = request.date_created_min(since.to_param());
        }
        if let Some(until) = filter.created.until {
            request = request.date_created_max(until.to_max_param());
        }
        if let Some(on) = filter.modified.on {
            request = request.date_modified(on.to_param());
        }
        if let Some(since) = filter.modified.since {
            request = request.date_modified_min(since.to_param());
        }
        if let Some(until) = filter.modified.until {
            request = request.date_modified_max(until.to_max_param());
        }
        request.send().await
    }
}

fn ids_len(ids: &[i64]) -> usize {
    ids.iter().map(|&id| id_len(id)).sum()
}

pub(super) fn invalid(violation: Violation) -> Error {
    Error::invalid_input(violation.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids() -> impl Strategy<Value = Option<Vec<i64>>> {
        let id = prop_oneof![1..50_i64, 1..i64::MAX];
        proptest::option::of(proptest::collection::vec(id, 0..120))
    }

    /// Returns all pairs of a customer and an attribute, where 0 stands for "any".
    fn pairs(customers: Option<Vec<i64>>, attributes: Option<Vec<i64>>) -> Vec<(i64, i64)> {
        let customers = customers.unwrap_or_else(|| vec![0]);
        let attributes = attributes.unwrap_or_else(|| vec![0]);
        let pairs = customers.iter().flat_map(|&customer| {
            attributes
                .iter()
                .map(move |&attribute| (customer, attribute))
        });
        pairs.collect()
    }

    proptest! {
        #[test]
        fn queries_cover_every_pair_once_and_their_urls_are_not_too_long(
            customers in ids(),
            attributes in ids(),
        ) {
            let base_url = "https://api.bigcommerce.com/stores/abc123/v3";
            let filter = Filter { customers, attributes, ..Filter::default() };
            let queries = filter.clone().validate().expect("valid IDs").queries(base_url);
            let mut expected = pairs(filter.customers, filter.attributes);
            expected.sort_unstable();
            expected.dedup();
            let mut requested = Vec::new();
            for Query(filter) in queries {
                let lists = filter.customers.iter().chain(&filter.attributes);
                let len: usize = lists.map(|ids| ids_len(ids)).sum();
                prop_assert!(base_url.len() + FIXED_LEN + len <= MAX_URL_LEN);
                requested.extend(pairs(filter.customers, filter.attributes));
            }
            requested.sort_unstable();
            prop_assert_eq!(requested, expected);
        }
    }

    #[test]
    fn invalid_ids_and_names_are_rejected() {
        let customers = Filter {
            customers: Some(vec![5, 0]),
            ..Filter::default()
        };
        let error = customers.validate().expect_err("an invalid ID").to_string();
        assert_eq!(error, "customers contains 0: an ID is 1 or more");
        let name = Filter {
            attribute_name: Some(String::new()),
            ..Filter::default()
        };
        let error = name.validate().expect_err("an empty name").to_string();
        assert_eq!(
            error,
            "attribute_name is empty: it must be the name of an attribute"
        );
    }
}
