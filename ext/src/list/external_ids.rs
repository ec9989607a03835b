//! The customers by the IDs that another system has for them, which an attribute holds.

use foldhash::{HashMap, HashMapExt};
use futures_util::stream::TryStreamExt;

use super::filter::{Filter, ValidFilter};
use super::pages::{ListOptions, Values};
use crate::client::{CallOutcome, Client, RunContext, StopFuture};
use crate::customers::Resolution;
use crate::error::Error;

/// How often a list is read that changes while it is read.
const MAX_READS: u32 = 3;

/// The customers by the values of the attribute that holds their external IDs.
#[derive(Debug)]
pub(crate) struct ExternalIds(HashMap<Box<str>, Resolution>);

impl ExternalIds {
    /// Returns the customer with an external ID.
    pub(crate) fn get(&self, external: &str) -> Resolution {
        let found = self.0.get(external).cloned();
        found.unwrap_or(Resolution::None(None))
    }
}

/// Lists the values of the attribute that holds the customers' external IDs.
///
/// Returns an error if the server shows no total, or other values each time: an ID could then have
/// another customer.
pub(crate) async fn list_external_ids(
    client: &Client,
    run: &RunContext,
    number: u64,
    attribute: i64,
) -> CallOutcome<ExternalIds> {
    let filter = Filter {
        attributes: Some(vec![attribute]),
        ..Filter::default()
    };
    let mut requests = 0;
    let result = match filter.validate() {
        Ok(filter) => read_repeatedly(client, run, number, &filter, &mut requests).await,
        Err(error) => Err(error),
    };
    CallOutcome::new(result.map_err(Into::into), requests)
}

async fn read_repeatedly(
    client: &Client,
    run: &RunContext,
    number: u64,
    filter: &ValidFilter,
    requests: &mut u32,
) -> Result<ExternalIds, Error> {
    for _ in 0..MAX_READS {
        if let Some(ids) = read(client, run, number, filter, requests).await? {
            return Ok(ids);
        }
    }
    Err(Error::changed_during_read("external IDs"))
}

/// Reads the list once. Returns `None` if it changed meanwhile.
async fn read(
    client: &Client,
    run: &RunContext,
    number: u64,
    filter: &ValidFilter,
    requests: &mut u32,
) -> Result<Option<ExternalIds>, Error> {
    let mut stopping = run.stopping.subscribe();
    let stop: StopFuture = Box::pin(async move {
        // The sender outlives the run's calls.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        Error::stopped()
    });
    let options = ListOptions {
        call: Some(number),
        on_outage: run.on_outage,
        stop: Some(stop),
        observer: run.observer().clone(),
        ..ListOptions::default()
    };
    let mut values = Values::with_filter(client.clone(), filter.clone(), options);
    let mut ids: HashMap<Box<str>, Vec<i64>> = HashMap::new();
    let mut received = 0;
    let read = loop {
        match values.try_next().await {
            Ok(Some(value)) => {
                received += 1;
                let customers = ids.entry(value.attribute_value.into()).or_default();
                if !customers.contains(&value.customer_id) {
                    customers.push(value.customer_id);
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    *requests = requests.saturating_add(u32::try_from(values.requests()).unwrap_or(u32::MAX));
    read?;
    let total = values.total().ok_or_else(|| Error::no_total("values"))?;
    if values.changed_during_read() || total != received {
        return Ok(None);
    }
    let resolve = |(external, mut ids): (_, Vec<i64>)| {
        ids.sort_unstable();
        let resolution = match *ids {
            [id] => Resolution::One(id),
            _ => Resolution::Several(ids.into()),
        };
        (external, resolution)
    };
    Ok(Some(ExternalIds(ids.into_iter().map(resolve).collect())))
}
