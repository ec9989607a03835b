//! The customers by the IDs that another system has for them, which an attribute holds.

use foldhash::{HashMap, HashMapExt};
use futures_util::stream::TryStreamExt;

use super::filter::Filter;
use super::pages::{ListOptions, Values};
use crate::client::{CallFailure, CallOutcome, Client, RunContext, StopFuture};
use crate::customers::Resolution;
use crate::error::Error;

/// The customers by the values of the attribute that holds their external IDs.
#[derive(Debug)]
pub(crate) struct ExternalIds {
    customers: HashMap<Box<str>, Resolution>,
    /// Why a customer may be missing.
    doubt: Option<Error>,
}

impl ExternalIds {
    /// Returns the customer with an external ID.
    pub(crate) fn get(&self, external: &str) -> Result<Resolution, Error> {
        match (self.customers.get(external), &self.doubt) {
            (Some(found), _) => Ok(found.clone()),
            (None, Some(doubt)) => Err(doubt.clone()),
            (None, None) => Ok(Resolution::None(None)),
        }
    }
}

/// Lists the values of the attribute that holds the customers' external IDs.
pub(crate) async fn list_external_ids(
    client: &Client,
    run: &RunContext,
    attribute: i64,
) -> CallOutcome<ExternalIds> {
    let filter = Filter {
        attributes: Some(vec![attribute]),
        ..Filter::default()
    };
    let filter = match filter.validate() {
        Ok(filter) => filter,
        Err(error) => return CallOutcome::new(Err(error.into()), 0),
    };
    let mut stopping = run.stopping.subscribe();
    let stop: StopFuture = Box::pin(async move {
        // The sender outlives the run's calls.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        Error::stopped()
    });
    let options = ListOptions {
        on_outage: run.on_outage,
        stop: Some(stop),
        observer: run.observer().clone(),
        ..ListOptions::default()
    };
    let mut values = Values::with_filter(client.clone(), filter, options);
    let mut ids: HashMap<Box<str>, Vec<i64>> = HashMap::new();
    let result = loop {
        match values.try_next().await {
            Ok(Some(value)) => {
                let customers = ids.entry(value.attribute_value.into()).or_default();
                if !customers.contains(&value.customer_id) {
                    customers.push(value.customer_id);
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(CallFailure::from(error)),
        }
    };
    let doubt = values
        .changed_during_read()
        .then(|| Error::changed_during_read("external IDs"));
    let requests = u32::try_from(values.requests()).unwrap_or(u32::MAX);
    let resolve = |(external, mut ids): (_, Vec<i64>)| {
        ids.sort_unstable();
        let resolution = match *ids {
            [id] => Resolution::One(id),
            _ => Resolution::Several(ids.into()),
        };
        (external, resolution)
    };
    let listed = |()| ExternalIds {
        customers: ids.into_iter().map(resolve).collect(),
        doubt,
    };
    CallOutcome::new(result.map(listed), requests)
}
