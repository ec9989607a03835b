//! Finding the customers and attributes of a filter that are not given by their IDs.

use super::external_ids::list_external_ids;
use super::filter::{ValidFilter, invalid};
use crate::attributes::{self, Definitions};
use crate::client::{CallOutcome, Client, LIST_CUSTOMERS, LIST_VALUES, Operation, RunContext};
use crate::customer_key::CustomerKey;
use crate::customers::{Address, AddressState, look_up_all};
use crate::error::Error;
use crate::event::Event;

/// The number of calls that resolving a filter takes at most: attributes, addresses, external IDs.
pub(super) const MAX_RESOLVE_CALLS: u64 = 3;

/// Adds the IDs of all customers and attributes that the filter names otherwise. `replaces_name` tells
/// that the attribute's name is to be replaced by its ID, too. `number` is the number of the first call.
///
/// A key that no customer has, or several, is an error: nothing is to be listed or deleted by mistake.
pub(crate) async fn resolve(
    client: &Client,
    run: &RunContext,
    number: u64,
    filter: ValidFilter,
    replaces_name: bool,
) -> CallOutcome<ValidFilter> {
    let mut requests = 0;
    let mut resolver = Resolver {
        client,
        run,
        number,
        requests: &mut requests,
    };
    let result = resolver.resolve(filter, replaces_name).await;
    CallOutcome::new(result.map_err(Into::into), requests)
}

struct Resolver<'a> {
    client: &'a Client,
    run: &'a RunContext,
    number: u64,
    requests: &'a mut u32,
}

impl Resolver<'_> {
    async fn resolve(
        &mut self,
        mut filter: ValidFilter,
        replaces_name: bool,
    ) -> Result<ValidFilter, Error> {
        let replaces_name = replaces_name && filter.needs_attribute_id();
        let mut definitions = Definitions::default();
        if filter.names_attributes() || replaces_name {
            let outcome = attributes::fetch(self.client, self.run, self.number).await;
            definitions = self.finish(outcome, Operation::list_attributes().name)?;
        }
        filter.resolve_names(&definitions)?;
        if replaces_name {
            filter.resolve_attribute_name(&definitions)?;
        }
        let keys = filter.take_customer_keys();
        if keys.is_empty() {
            return Ok(filter);
        }
        let addresses = self.find_addresses(&keys, &filter).await?;
        let externals = self.find_externals(&keys, &filter, &definitions).await?;
        filter.add_customers(addresses.into_iter().chain(externals));
        Ok(filter)
    }

    async fn find_addresses(
        &mut self,
        keys: &[CustomerKey],
        filter: &ValidFilter,
    ) -> Result<Vec<i64>, Error> {
        let mut addresses = Vec::new();
        for key in keys {
            if let CustomerKey::Email(text) = key {
                addresses.push((key, Address::parse(text).map_err(invalid)?));
            }
        }
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = addresses.iter().map(|(_, address)| address);
        let outcome =
            look_up_all(self.client, self.run, self.number, wanted, filter.choice()).await;
        let mut found = self.finish(outcome, LIST_CUSTOMERS)?;
        let ids = addresses
            .iter()
            .map(|(key, address)| match found.find(address) {
                AddressState::Known(resolution) => resolution.id(key).map_err(invalid),
                AddressState::Failed(error) => Err(error),
                AddressState::Pending => Err(Error::stopped()),
            });
        ids.collect()
    }

    async fn find_externals(
        &mut self,
        keys: &[CustomerKey],
        filter: &ValidFilter,
        definitions: &Definitions,
    ) -> Result<Vec<i64>, Error> {
        let externals = keys.iter().filter_map(|key| match key {
            CustomerKey::External(text) => Some((key, text)),
            CustomerKey::Email(_) | CustomerKey::Id(_) => None,
        });
        let externals: Vec<_> = externals.collect();
        if externals.is_empty() {
            return Ok(Vec::new());
        }
        let attribute = filter.external_attribute(definitions)?;
        let outcome = list_external_ids(self.client, self.run, self.number, attribute).await;
        let known = self.finish(outcome, LIST_VALUES)?;
        let ids = externals
            .iter()
            .map(|(key, text)| known.get(text).id(key).map_err(invalid));
        ids.collect()
    }

    /// Counts the requests of a call.
    fn finish<T>(&mut self, outcome: CallOutcome<T>, operation: &'static str) -> Result<T, Error> {
        *self.requests += outcome.requests;
        self.run.notify(Event::CallFinished {
            call: self.number,
            operation,
        });
        self.number += 1;
        outcome.result.map_err(|failure| failure.error)
    }
}
