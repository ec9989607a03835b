//! A delete by rounds: what is selected is listed to the end, deleted, and listed again.

use std::collections::HashMap;

use futures_util::future::{self, FutureExt, Shared};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::DeleteOptions;
use crate::attributes;
use crate::client::{Client, RunContext, in_task};
use crate::error::{Error, ErrorKind};
use crate::event::Observer;
use crate::list::{Filter, ValidFilter, Values};
use crate::outcome::{Outcome, OutcomeKind, Report, RunKind, Summary};
use crate::run::{Outcomes, Stop};

/// How often what a selection finds is deleted, before what is still there is left.
const ROUNDS: usize = 3;

pub(super) struct SelectionDelete {
    client: Client,
    options: DeleteOptions,
    stop: Option<Shared<Stop>>,
    observer: Observer,
    outcomes: Vec<Outcome<i64>>,
    /// Where the outcome of an ID is.
    places: HashMap<i64, usize>,
    requests: u64,
    stopped_by: Option<Error>,
}

impl SelectionDelete {
    pub(super) fn new(
        client: Client,
        options: DeleteOptions,
        stop: Option<Stop>,
        observer: Observer,
    ) -> Self {
        Self {
            client,
            options,
            stop: stop.map(FutureExt::shared),
            observer,
            outcomes: Vec::new(),
            places: HashMap::new(),
            requests: 0,
            stopped_by: None,
        }
    }

    /// Deletes values by their IDs; of those that had an outcome before, the new one counts.
    pub(super) async fn delete(&mut self, ids: Vec<i64>) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let stop = self.stop.clone().map(|stop| Box::pin(stop) as Stop);
        let options = self
            .options
            .run_options(&self.client, ids, stop, self.observer.clone());
        let mut running = Outcomes::new(self.client.clone(), options, stream::empty::<i64>());
        let mut new: Vec<_> = running.by_ref().collect().await;
        self.requests += running.summary().requests;
        self.stopped_by = running.stopped_by().cloned();
        if let Some(error) = &self.stopped_by
            && error.kind() == ErrorKind::InvalidInput
        {
            return Err(error.clone());
        }
        new.sort_unstable_by_key(|outcome| outcome.index);
        let known = std::mem::take(&mut self.places);
        let before = self.outcomes.len();
        for mut outcome in new {
            let place = outcome.row.and_then(|id| known.get(&id).copied());
            outcome.index = place.unwrap_or(self.outcomes.len()) as u64;
            if let OutcomeKind::Rejected(error) = &mut outcome.kind {
                // Its place in this round says nothing to the caller.
                *error = error.for_row(outcome.index);
            }
            match place.and_then(|place| self.outcomes.get_mut(place)) {
                Some(old) => *old = outcome,
                None => self.outcomes.push(outcome),
            }
        }
        self.places = known;
        let new = self.outcomes.iter().enumerate().skip(before);
        let places = new.filter_map(|(place, outcome)| Some((outcome.row?, place)));
        self.places.extend(places);
        Ok(())
    }

    /// Deletes what a filter selects, until nothing of it is left.
    pub(super) async fn delete_selected(&mut self, selection: &ValidFilter) -> Result<(), Error> {
        if self.stopped_by.is_some() {
            return Ok(());
        }
        let result = self.delete_in_rounds(selection).await;
        match result {
            Err(error) if self.outcomes.is_empty() => Err(error),
            Err(error) => {
                self.stopped_by = Some(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn delete_in_rounds(&mut self, selection: &ValidFilter) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let found = self.find(selection).await?;
            if found.is_empty() {
                return Ok(());
            }
            self.delete(found).await?;
            if self.stopped_by.is_some() || self.options.is_dry {
                return Ok(());
            }
        }
        for id in self.find(selection).await? {
            self.leave(id);
        }
        Ok(())
    }

    /// Puts the ID of a named attribute in place of its name: a server that does not know the
    /// filter and leaves it out would select everything, and by the ID that can be seen.
    pub(super) async fn resolve(&mut self, mut filter: Filter) -> Result<ValidFilter, Error> {
        let name = filter.name.take();
        let mut valid = Filter {
            name: name.clone(),
            ..filter
        }
        .validate()?;
        let Some(name) = name else {
            return Ok(valid);
        };
        let (client, run) = (self.client.clone(), RunContext::new(self.observer.clone()));
        let outcome = in_task(async move { attributes::fetch(&client, &run, 0).await }).await?;
        self.requests += u64::from(outcome.requests);
        let definitions = outcome.result.map_err(|failure| failure.error)?;
        let known = definitions.by_name(&name);
        let id = known
            .map_err(|rule| Error::invalid_input(rule.to_string()))?
            .id;
        valid.resolve_name(id);
        Ok(valid)
    }

    /// Lists the IDs of a selection, but those that the server refuses to delete.
    async fn find(&mut self, selection: &ValidFilter) -> Result<Vec<i64>, Error> {
        let mut values = Values::of(
            self.client.clone(),
            selection.clone(),
            self.observer.clone(),
        );
        let mut stop = self.stop.clone();
        let stopped = async {
            match &mut stop {
                Some(stop) => stop.await,
                None => future::pending().await,
            }
        };
        let list = async {
            let mut ids = Vec::new();
            while let Some(value) = values.try_next().await? {
                if !selection.can_match(&value) {
                    return Err(Error::filter_ignored());
                }
                ids.push(value.id.ok_or_else(Error::missing_id)?);
            }
            Ok(ids)
        };
        let ids = tokio::select! {
            biased;
            () = stopped => Err(Error::stopped()),
            ids = list => ids,
        };
        self.requests += values.requests();
        let is_rejected = |id: &i64| {
            let place = self.places.get(id);
            let outcome = place.and_then(|&place| self.outcomes.get(place));
            outcome.is_some_and(|outcome| matches!(outcome.kind, OutcomeKind::Rejected(_)))
        };
        let mut ids = ids?;
        ids.retain(|id| !is_rejected(id));
        Ok(ids)
    }

    /// Hears that a value is still there after all rounds.
    fn leave(&mut self, id: i64) {
        let place = self.places.get(&id);
        match place.and_then(|&place| self.outcomes.get_mut(place)) {
            Some(outcome) if matches!(outcome.kind, OutcomeKind::Deleted) => {
                outcome.kind = OutcomeKind::Unknown(Error::still_listed());
            }
            // It has its reason.
            Some(_) => {}
            None => self.outcomes.push(Outcome {
                index: self.outcomes.len() as u64,
                row: Some(id),
                kind: OutcomeKind::NotSent(Error::added_during_delete()),
            }),
        }
    }

    pub(super) fn into_report(self) -> Report<i64> {
        let mut summary = Summary::new(RunKind::Delete);
        summary.requests = self.requests;
        for outcome in &self.outcomes {
            summary.count(&outcome.kind);
        }
        Report::new(self.outcomes, summary, self.stopped_by)
    }
}
