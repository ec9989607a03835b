//! The reads of a mirror: the list, the look at what has changed since, and candidates by customer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bigcommerce_sdk::types;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future;
use futures_util::stream::TryStreamExt;

use super::admission::SharedKnowledge;
use super::listed::{ListedValues, Mark, MirroredAttribute};
use crate::attributes::{self, Definitions};
use crate::client::{CallOutcome, Client, OnOutage, RunContext, SharedStop, StopFuture, in_task};
use crate::date_filter::DateConditions;
use crate::error::Error;
use crate::event::Observer;
use crate::list::{self, Filter, ListOptions, ReadRequest, ReadValues, Values};
use crate::value::AttributeKey;

/// How much the clocks of the server may differ.
const TOLERANCE: TimeDelta = TimeDelta::minutes(1);
/// The number of customers whose values are read in one go.
const CUSTOMERS_PER_READ: usize = 250;

/// What a mirror needs to read.
#[derive(Clone)]
pub(super) struct Reader {
    pub client: Client,
    pub observer: Observer,
    pub on_outage: OnOutage,
    pub stop: Option<SharedStop>,
    /// The requests made so far.
    pub requests: Arc<AtomicU64>,
}

/// What the store has at the beginning.
pub(super) struct Beginning<T> {
    pub knowledge: SharedKnowledge<T>,
    pub definitions: Definitions,
    /// The time from which on a change may be later than the list, by the server's clock.
    pub since: Option<DateTime<Utc>>,
}

/// What the look at the changes has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenChanges {
    /// The number of changes by others of values that are not to be deleted.
    pub of_others: u64,
    /// Whether the server has shown all changes.
    pub are_all: bool,
}

impl Reader {
    fn run(&self) -> RunContext {
        RunContext::new(&self.client, self.observer.clone()).with_on_outage(self.on_outage)
    }

    fn stop(&self) -> Option<StopFuture> {
        let stop = self.stop.clone();
        stop.map(|stop| Box::pin(stop) as StopFuture)
    }

    /// Makes a call, unless or until the mirror is stopped.
    async fn call<R: Send + 'static>(
        &self,
        call: impl Future<Output = CallOutcome<R>> + Send + 'static,
    ) -> Result<R, Error> {
        let stop = self.stop();
        let stopped = async {
            match stop {
                Some(stop) => stop.await,
                None => future::pending().await,
            }
        };
        let outcome = tokio::select! {
            biased;
            error = stopped => return Err(error),
            outcome = in_task(call) => outcome?,
        };
        self.count(u64::from(outcome.requests));
        outcome.result.map_err(|failure| failure.error)
    }

    fn count(&self, requests: u64) {
        self.requests.fetch_add(requests, Ordering::Relaxed);
    }

    /// Lists all values that a filter selects. Others are left out, or end the list with an error.
    async fn list(
        &self,
        filter: Filter,
        leave_out_excluded: bool,
        mut accept: impl FnMut(types::AttributeValue),
    ) -> Result<Values, Error> {
        let options = ListOptions {
            allow_incomplete: true,
            leave_out_excluded,
            on_outage: self.on_outage,
            stop: self.stop(),
            observer: self.observer.clone(),
            ..ListOptions::default()
        };
        let mut values = Values::with_filter(self.client.clone(), filter.validate()?, options);
        let read = loop {
            match values.try_next().await {
                Ok(Some(value)) => accept(value),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.count(values.requests());
        read.map(|()| values)
    }

    /// Finds the attributes, and lists their values.
    pub(super) async fn begin<T>(&self, keys: Vec<AttributeKey>) -> Result<Beginning<T>, Error> {
        if keys.is_empty() {
            return Err(Error::invalid_input(
                "a mirror needs attributes: give their IDs or names to mirror()",
            ));
        }
        let (client, run) = (self.client.clone(), Arc::new(self.run()));
        let call_run = Arc::clone(&run);
        let call = async move { attributes::fetch(&client, &call_run, 0).await };
        let definitions = self.call(call).await?;
        let mut mirrored = Vec::new();
        for key in &keys {
            let definition = definitions.require(key);
            let definition = definition.map_err(|error| Error::invalid_input(error.to_string()))?;
            mirrored.push(MirroredAttribute::from(definition));
        }
        let mut listed = ListedValues::new(mirrored, self.client.normalization().clone());
        let filter = attributes_filter(&listed);
        let values = self.list(filter, true, |value| listed.push(&value)).await?;
        listed.sort();
        Ok(Beginning {
            knowledge: SharedKnowledge::new(listed, values.doubt()),
            definitions,
            since: run
                .server_date()
                .and_then(|date| date.checked_sub_signed(TOLERANCE)),
        })
    }

    /// Marks the values that somebody else has changed since a time, as far as the server shows them.
    pub(super) async fn look_for_changes<T>(
        &self,
        knowledge: &SharedKnowledge<T>,
        since: DateTime<Utc>,
    ) -> Result<SeenChanges, Error> {
        let (mut filter, stored_key) = {
            let mut knowledge = knowledge.lock();
            knowledge.sort_written();
            (attributes_filter(&knowledge.listed), knowledge.stored_key)
        };
        filter.modified = DateConditions {
            since: Some(since.into()),
            ..DateConditions::default()
        };
        // The first change of the run itself must be among them: if the clock that `Date` is from is
        // ahead, or the filter reads times in another way, changes are not shown.
        let mut shows_own = false;
        let mut of_others = 0;
        let values = self.list(filter, true, |value| {
            let key = (value.customer_id, value.attribute_id);
            shows_own |= stored_key == Some(key);
            of_others += u64::from(record_change(knowledge, &value));
        });
        let values = values.await?;
        Ok(SeenChanges {
            of_others,
            are_all: shows_own && !values.has_excluded() && values.doubt().is_none(),
        })
    }

    /// Reads the candidates again, and marks those that are as they were listed, and those that no
    /// longer exist.
    pub(super) async fn verify<T>(&self, knowledge: &SharedKnowledge<T>) -> Result<(), Error> {
        let mut start = 0;
        loop {
            let (end, filter) = {
                let knowledge = knowledge.lock();
                let rest = knowledge.listed.values().get(start..).unwrap_or_default();
                let mut customers = BTreeSet::new();
                let mut attributes = BTreeSet::new();
                let mut count = 0;
                for value in rest {
                    customers.insert(value.customer_id);
                    if customers.len() > CUSTOMERS_PER_READ {
                        customers.pop_last();
                        break;
                    }
                    attributes.insert(knowledge.listed.attribute(value).id);
                    count += 1;
                }
                let mut filter = Filter::default();
                filter.customers = Some(customers.into_iter().collect());
                filter.attributes = Some(attributes.into_iter().collect());
                (start + count, filter)
            };
            if start == end {
                return Ok(());
            }
            let mut read: BTreeMap<_, Vec<_>> = BTreeMap::new();
            let values = self.list(filter, false, |value| {
                let key = (value.customer_id, value.attribute_id);
                read.entry(key).or_default().push(value);
            });
            let is_complete = values.await?.doubt().is_none();
            record_verified(knowledge, start..end, &read, is_complete);
            start = end;
        }
    }

    /// Reads the values of some customers.
    pub(super) async fn read(&self, request: ReadRequest) -> Result<ReadValues, Error> {
        let (client, run) = (self.client.clone(), self.run());
        self.call(async move { list::read(&client, &run, 0, request).await })
            .await
    }
}

fn attributes_filter(listed: &ListedValues) -> Filter {
    let mut filter = Filter::default();
    let attributes = listed.attributes().iter();
    filter.set_attributes(attributes.map(|attribute| attribute.id.into()));
    filter
}

/// Records a value that was changed lately. Returns `true` if somebody else has changed its text since the
/// list, and it is no candidate.
fn record_change<T>(knowledge: &SharedKnowledge<T>, value: &types::AttributeValue) -> bool {
    let mut knowledge = knowledge.lock();
    let key = (value.customer_id, value.attribute_id);
    let known = knowledge.listed.of_mut(key.0, key.1).to_vec();
    if known.is_empty() {
        return !knowledge.has_written(value);
    }
    let mut known_ones = known.iter();
    let is_known = known_ones.all(|known| knowledge.listed.is_as_known(known, value));
    let has_known_text = known.iter().all(|known| {
        // A row of the run that was not confirmed may be stored.
        let may_be_own = known.has(Mark::Sent) && !known.has(Mark::Stored);
        may_be_own || knowledge.listed.has_known_text(known, value)
    });
    let listed = knowledge.listed.of_mut(key.0, key.1);
    let is_candidate = listed.iter().any(|listed| !listed.has(Mark::Present));
    for listed in listed {
        if !listed.has(Mark::Stored) || !is_known {
            listed.set(Mark::Changed);
        }
    }
    !is_candidate && !has_known_text
}

/// Records what a read shows of the values at some positions.
fn record_verified<T>(
    knowledge: &SharedKnowledge<T>,
    positions: Range<usize>,
    read: &BTreeMap<(i64, i64), Vec<types::AttributeValue>>,
    is_complete: bool,
) {
    let mut knowledge = knowledge.lock();
    for position in positions {
        let Some(known) = knowledge.listed.values().get(position).copied() else {
            return;
        };
        let key = (known.customer_id, knowledge.listed.attribute(&known).id);
        let of_key = read.get(&key).map_or(&[][..], Vec::as_slice);
        let mut same_id = of_key.iter();
        let mark = match same_id.find(|value| value.id == Some(known.value_id)) {
            Some(value) if knowledge.listed.is_as_known(&known, value) => Mark::Verified,
            Some(_) => Mark::Changed,
            None if !of_key.is_empty() => Mark::Changed,
            None if is_complete => Mark::Gone,
            None => continue,
        };
        if let Some(listed) = knowledge.listed.values_mut().get_mut(position) {
            listed.set(mark);
        }
    }
}
