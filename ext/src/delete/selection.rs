//! A delete by a selection: list the matches in full, delete them, and list again.

use std::collections::HashMap;

use futures_util::future::{self, FutureExt, Shared};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::DeleteOptions;
use crate::client::{Client, RunContext, StopFuture, in_task};
use crate::date_filter::FilterMatch;
use crate::error::{Error, ErrorKind};
use crate::event::Observer;
use crate::list::{Filter, ListOptions, ValidFilter, Values, resolve};
use crate::outcome::{Outcome, OutcomeKind, Report, RunKind, Summary};
use crate::run::Outcomes;

/// The maximum number of times that the matches of a selection are listed and deleted.
const MAX_ROUNDS: usize = 3;

/// The listed values of a selection.
#[derive(Debug, Default)]
struct Matches {
    ids: Vec<i64>,
    /// The IDs of the values without a date that the selection needs.
    undated: Vec<i64>,
    /// The number of values without an ID.
    without_id: usize,
}

pub(super) struct SelectionDelete {
    client: Client,
    options: DeleteOptions,
    stop: Option<Shared<StopFuture>>,
    observer: Observer,
    outcomes: Vec<Outcome<i64>>,
    /// The index of each ID's outcome.
    outcome_indices: HashMap<i64, usize>,
    requests: u64,
    stopped_by: Option<Error>,
}

impl SelectionDelete {
    pub(super) fn new(
        client: Client,
        options: DeleteOptions,
        stop: Option<StopFuture>,
        observer: Observer,
    ) -> Self {
        Self {
            client,
            options,
            stop: stop.map(FutureExt::shared),
            observer,
            outcomes: Vec::new(),
            outcome_indices: HashMap::new(),
            requests: 0,
            stopped_by: None,
        }
    }

    /// Deletes values by their IDs. The outcome of an ID replaces its outcome of an earlier round.
    pub(super) async fn delete(&mut self, ids: Vec<i64>) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let stop = self.stop.clone().map(|stop| Box::pin(stop) as StopFuture);
        let options = self
            .options
            .run_options(&self.client, ids, stop, self.observer.clone());
        let mut run = Outcomes::new(self.client.clone(), options, stream::empty::<i64>());
        let mut outcomes: Vec<_> = run.by_ref().collect().await;
        self.requests += run.summary().requests;
        self.stopped_by = run.stopped_by().cloned();
        if let Some(error) = &self.stopped_by
            && error.kind() == ErrorKind::InvalidInput
        {
            return Err(error.clone());
        }
        outcomes.sort_unstable_by_key(|outcome| outcome.index);
        let earlier_rounds = self.outcomes.len();
        for mut outcome in outcomes {
            let index = outcome.row.and_then(|id| self.outcome_indices.get(&id));
            let index = index.copied().unwrap_or(self.outcomes.len());
            outcome.index = index as u64;
            if let OutcomeKind::Rejected(error) = &mut outcome.kind {
                // The error has the row's index within this round.
                *error = error.for_row(outcome.index);
            }
            match self.outcomes.get_mut(index) {
                Some(earlier) => *earlier = outcome,
                None => self.outcomes.push(outcome),
            }
        }
        // Only now: an ID that was added twice has two outcomes.
        let new = self.outcomes.iter().enumerate().skip(earlier_rounds);
        let new = new.filter_map(|(index, outcome)| Some((outcome.row?, index)));
        self.outcome_indices.extend(new);
        Ok(())
    }

    /// Deletes the values that a filter selects, until there are none.
    pub(super) async fn delete_selected(&mut self, selection: &ValidFilter) -> Result<(), Error> {
        if self.stopped_by.is_some() {
            return Ok(());
        }
        match self.delete_in_rounds(selection).await {
            Err(error) if self.outcomes.is_empty() => Err(error),
            Err(error) => {
                self.stopped_by = Some(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn delete_in_rounds(&mut self, selection: &ValidFilter) -> Result<(), Error> {
        for _ in 0..MAX_ROUNDS {
            let matches = self.list(selection).await?;
            if matches.ids.is_empty() {
                self.record_undeletable(matches);
                return Ok(());
            }
            self.delete(matches.ids.clone()).await?;
            // A round that deletes nothing is not worth another one.
            let has_deleted = matches.ids.iter().any(|id| self.is_deleted(*id));
            if self.stopped_by.is_some() || !has_deleted {
                self.record_undeletable(matches);
                return Ok(());
            }
        }
        let matches = self.list(selection).await?;
        for &id in &matches.ids {
            self.record_still_listed(id);
        }
        self.record_undeletable(matches);
        Ok(())
    }

    fn is_deleted(&self, id: i64) -> bool {
        let index = self.outcome_indices.get(&id);
        let outcome = index.and_then(|&index| self.outcomes.get(index));
        outcome.is_some_and(|outcome| matches!(outcome.kind, OutcomeKind::Deleted))
    }

    /// Validates the filter, finds its customers and attributes, and replaces the attribute's name by its
    /// ID.
    ///
    /// Listed values have the attribute's ID but not its name. Only by the ID can they show that
    /// the server ignores the condition and lists the values of all attributes.
    pub(super) async fn resolve(&mut self, filter: Filter) -> Result<ValidFilter, Error> {
        let filter = filter.validate()?;
        if !filter.needs_attribute_id() && !filter.has_unresolved_keys() {
            return Ok(filter);
        }
        let client = self.client.clone();
        let run =
            RunContext::new(&client, self.observer.clone()).with_on_outage(self.options.on_outage);
        let resolve = in_task(async move { resolve(&client, &run, 0, filter, true).await });
        let outcome = self.until_stopped(resolve).await?;
        self.requests += u64::from(outcome.requests);
        outcome.result.map_err(|failure| failure.error)
    }

    /// Lists the selected values, except those that the server has rejected.
    async fn list(&mut self, selection: &ValidFilter) -> Result<Matches, Error> {
        let options = ListOptions {
            allow_incomplete: self.options.allow_incomplete,
            on_outage: self.options.on_outage,
            observer: self.observer.clone(),
            ..ListOptions::default()
        };
        let mut values = Values::with_filter(self.client.clone(), selection.clone(), options);
        let list = async {
            let mut matches = Matches::default();
            while let Some(value) = values.try_next().await? {
                match value.id {
                    None => matches.without_id += 1,
                    Some(id) if selection.check(&value) == FilterMatch::Matches => {
                        matches.ids.push(id);
                    }
                    Some(id) => matches.undated.push(id),
                }
            }
            Ok(matches)
        };
        let matches = self.until_stopped(list).await;
        self.requests += values.requests();
        let is_rejected = |id: &i64| {
            let index = self.outcome_indices.get(id);
            let outcome = index.and_then(|&index| self.outcomes.get(index));
            outcome.is_some_and(|outcome| matches!(outcome.kind, OutcomeKind::Rejected(_)))
        };
        let mut matches = matches?;
        matches.ids.retain(|id| !is_rejected(id));
        Ok(matches)
    }

    /// Runs a lookup, unless or until the delete is stopped.
    async fn until_stopped<T>(
        &self,
        lookup: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let stop = self.stop.clone();
        let stopped = async {
            match stop {
                Some(stop) => stop.await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            biased;
            error = stopped => Err(error),
            result = lookup => result,
        }
    }

    /// Records the listed values that can't be deleted.
    fn record_undeletable(&mut self, matches: Matches) {
        for id in matches.undated {
            // An ID that was added by the caller has an outcome.
            if !self.outcome_indices.contains_key(&id) {
                self.record_not_sent(Some(id), Error::missing_date());
            }
        }
        for _ in 0..matches.without_id {
            self.record_not_sent(None, Error::missing_id());
        }
    }

    fn record_not_sent(&mut self, row: Option<i64>, error: Error) {
        let index = self.outcomes.len();
        self.outcomes.push(Outcome {
            index: index as u64,
            row,
            kind: OutcomeKind::NotSent(error),
        });
    }

    /// Records that a value is still listed after all rounds.
    fn record_still_listed(&mut self, id: i64) {
        let index = self.outcome_indices.get(&id);
        match index.and_then(|&index| self.outcomes.get_mut(index)) {
            Some(outcome) if matches!(outcome.kind, OutcomeKind::Deleted) => {
                outcome.kind = OutcomeKind::Unknown(Error::still_listed());
            }
            // The outcome already says why the value was not deleted.
            Some(_) => {}
            None => self.record_not_sent(Some(id), Error::added_during_delete()),
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
