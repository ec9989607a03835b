//! The delete builder.

mod selection;

use std::fmt;
use std::future::Future;

use futures_util::stream::Stream;

use crate::batch::EngineConfig;
use crate::client::url_budget::room_for_ids;
use crate::client::{Client, OnOutage, RunSettings, StopFuture, run_methods};
use crate::error::{Error, ErrorKind};
use crate::event::Observer;
use crate::list::{Filter, filter_methods};
use crate::outcome::Report;
use crate::row::IntoRow;
use crate::run::{
    DEFAULT_LINGER, DEFAULT_MAX_WAIT, DEFAULT_STOP_AFTER_REJECTED, DEFAULT_WINDOW_ROWS, Outcomes,
    RunOptions,
};
use crate::staging::ResolveOptions;

use selection::SelectionDelete;

/// Deletes any number of attribute values; see [`Store::delete`](crate::Store::delete).
///
/// Values are deleted by their IDs, with as many in a call as fit a URL:
///
/// ```
/// # use bigcommerce_ext::Store;
/// # use bigcommerce_sandbox::Sandbox;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = Sandbox::builder().start().await?;
/// # sandbox.insert(2048, 101, "Yes");
/// # sandbox.insert(2048, 102, "Blue");
/// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
/// let report = store.delete().ids([5001, 5002]).send().await?;
/// assert_eq!(report.summary().deleted, 2);
/// # Ok(())
/// # }
/// ```
///
/// Or by a selection, with the same conditions as a [`List`](crate::List):
///
/// ```
/// # use bigcommerce_ext::Store;
/// # use bigcommerce_sandbox::Sandbox;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = Sandbox::builder().start().await?;
/// # sandbox.insert(2048, 101, "Yes");
/// # sandbox.insert(2048, 102, "Blue");
/// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
/// let preview = store.delete().customers([2048]).attributes([101]).dry_run().send().await?;
/// assert_eq!(preview.summary().planned, 1);
/// let report = store.delete().customers([2048]).attributes([101]).send().await?;
/// assert_eq!(report.summary().deleted, 1);
/// # Ok(())
/// # }
/// ```
///
/// Without IDs and conditions, nothing is deleted and nothing is sent.
///
/// # Selections
///
/// Matches are listed in full and checked against the conditions before anything is deleted: times
/// to the second, dates with a day's tolerance, because the server's time zone is unknown. If a
/// listed value does not meet the conditions, the server ignores one of them. The delete then ends
/// with an error, and no value of that list is deleted. The same applies to an
/// [incomplete list](crate::List#incomplete-lists), unless
/// [`allow_incomplete`](Self::allow_incomplete) is set.
///
/// A listed value without an ID, or without the date that a condition needs, is not deleted. It
/// gets the outcome [`NotSent`](crate::OutcomeKind::NotSent); without an ID, the outcome has no row.
///
/// After the deletes, the selection is listed again and new matches are deleted, until there are
/// none (at most 3 rounds). An empty list of customers or attributes selects nothing.
///
/// A value is deleted even if it changes between the list and the delete, so that it no longer meets
/// the conditions.
///
/// A delete has no [`query`](crate::List::query), since values can't be checked against a filter that
/// this crate doesn't know. List such values, and delete them by their IDs.
///
/// ```compile_fail,E0599
/// # fn program(store: bigcommerce_ext::Store) {
/// store.delete().query("channel_id", 7)
/// # ;}
/// ```
///
/// # Values that do not exist
///
/// A server may ignore an ID that does not exist: the ID gets the outcome
/// [`Deleted`](crate::OutcomeKind::Deleted). If the server responds 404, the outcome waits until
/// another delete of the run was confirmed, and is `Deleted` then. If none was, it is
/// [`Unknown`](crate::OutcomeKind::Unknown) at the end of the run: the server may not know the
/// endpoint. If the server responds 422, the ID gets the outcome
/// [`Rejected`](crate::OutcomeKind::Rejected).
///
/// At most 10,000 such IDs wait; the oldest beyond that are `Unknown`. With a selection, the added
/// IDs and each round count as a run of their own. A 404 with an HTML page never counts as deleted.
///
/// An earlier attempt of the same call may have deleted the value, if the response to that attempt
/// was lost.
///
/// Maps to the endpoint [Delete customer attribute values][1].
///
/// [1]: https://developer.bigcommerce.com/docs/rest-management/customers/customer-attribute-values
#[must_use = "nothing is sent before `send` or `stream`"]
pub struct Delete {
    client: Client,
    ids: Vec<i64>,
    filter: Filter,
    options: DeleteOptions,
    settings: RunSettings,
}

impl Delete {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            ids: Vec::new(),
            filter: Filter::default(),
            options: DeleteOptions {
                stop_after_rejected: DEFAULT_STOP_AFTER_REJECTED,
                is_dry_run: false,
                allow_incomplete: false,
                stops_on_input_error: false,
                on_outage: OnOutage::default(),
            },
            settings: RunSettings::default(),
        }
    }

    pub(crate) fn settings_mut(&mut self) -> &mut RunSettings {
        &mut self.settings
    }

    /// Adds IDs of values to delete.
    pub fn ids(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
        self.ids.extend(ids);
        self
    }

    filter_methods!("Limits the selection to values");

    /// Changes nothing in the store: an ID that would be deleted gets the outcome
    /// [`Planned`](crate::OutcomeKind::Planned).
    ///
    /// The selection is listed as usual.
    pub fn dry_run(mut self) -> Self {
        self.options.is_dry_run = true;
        self
    }

    /// Deletes the listed matches of a selection even if the list is incomplete.
    ///
    /// That suits servers that report the number of all values of the store as the total of a
    /// selection; see [`List::allow_incomplete`](crate::List::allow_incomplete).
    pub fn allow_incomplete(mut self) -> Self {
        self.options.allow_incomplete = true;
        self
    }

    /// Sets what the run does while the store is down (default: [`send`](Self::send) waits for up
    /// to [`RetryPolicy::retry_timeout`](crate::RetryPolicy::retry_timeout), a
    /// [`stream`](Self::stream) for up to 15 minutes).
    pub fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.settings.on_outage = Some(on_outage);
        self
    }

    /// Sets the number of IDs that are rejected or missing after which the run stops, if none was
    /// deleted until then (default 100, 0 for never).
    pub fn stop_after_rejected(mut self, ids: u64) -> Self {
        self.options.stop_after_rejected = ids;
        self
    }

    /// Stops the run when the future completes; see
    /// [`Upsert::stop_when`](crate::Upsert::stop_when).
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.settings.stop = Some(Box::pin(stop));
        self
    }

    run_methods!("run");

    /// Stops the run at the first error of the input; see
    /// [`Upsert::stop_on_input_error`](crate::Upsert::stop_on_input_error).
    pub fn stop_on_input_error(mut self) -> Self {
        self.options.stops_on_input_error = true;
        self
    }

    /// Deletes the added IDs and then the selected values, and returns the outcome of each.
    ///
    /// If an ID was added twice, its first outcome is
    /// [`Superseded`](crate::OutcomeKind::Superseded), unless 10,000 or more IDs lie between them.
    /// Then both get the outcome of a delete. Selected values follow the added IDs,
    /// each once.
    ///
    /// Memory grows with the number of IDs.
    ///
    /// Cancel safety: dropping the future cancels the calls in flight and loses the outcomes.
    ///
    /// # Errors
    ///
    /// Returns an error only if nothing was deleted: the selection is invalid, could not be listed in
    /// full or is ignored by the server, or there is no tokio runtime. Any later error is in the report;
    /// [`Report::into_result`] returns it.
    pub async fn send(mut self) -> Result<Report<i64>, Error> {
        let client = self.settings.apply(&self.client)?;
        let retry_timeout = client.retry().retry_timeout;
        let on_outage = self.settings.on_outage;
        let options = DeleteOptions {
            on_outage: on_outage.unwrap_or(OnOutage::WaitUpTo(retry_timeout)),
            ..self.options
        };
        let stop = self.settings.take_stop();
        let mut delete = SelectionDelete::new(client, options, stop, self.settings.observer);
        // An invalid selection is an error before the added IDs are deleted.
        let selection = match self.filter.selects_all() {
            true => None,
            false => match delete.resolve(self.filter).await {
                // The added IDs get their outcomes: the run stops before it sends them.
                Err(error) if error.kind() == ErrorKind::Stopped && !self.ids.is_empty() => None,
                resolved => Some(resolved?),
            },
        };
        delete.delete(self.ids).await?;
        if let Some(selection) = selection {
            delete.delete_selected(&selection).await?;
        }
        Ok(delete.into_report())
    }

    /// Deletes the added IDs and then the streamed IDs, in bounded memory, and yields each outcome
    /// as soon as it is known.
    ///
    /// The stream yields IDs, or `Result`s of IDs. An `Err` gets an outcome of its own, and the run
    /// continues. An ID is never in two requests at the same time.
    ///
    /// A selection can't be streamed, because it is listed in full before anything is deleted. With
    /// a selection, nothing is sent, and [`Outcomes::stopped_by`] returns the error. To delete a
    /// selection in less memory than a [`Report`] takes, list the values and stream their IDs.
    pub fn stream<S>(mut self, ids: S) -> Outcomes<S, i64>
    where
        S: Stream,
        S::Item: IntoRow<i64>,
    {
        let (client, invalid) = match self.settings.apply(&self.client) {
            Ok(client) => (client, None),
            Err(error) => (self.client, Some(error)),
        };
        let options = DeleteOptions {
            on_outage: self.settings.on_outage.unwrap_or_default(),
            ..self.options
        };
        let stop = self.settings.take_stop();
        let options = options.run_options(&client, self.ids, stop, self.settings.observer);
        let mut outcomes = Outcomes::new(client, options, ids);
        if let Some(error) = invalid {
            outcomes.stop(error);
        } else if !self.filter.selects_all() {
            outcomes.stop(Error::invalid_input(
                "a delete by a selection can't be streamed: use send(), or list the values and \
                 stream their IDs",
            ));
        }
        outcomes
    }
}

#[derive(Clone, Copy, Debug)]
struct DeleteOptions {
    stop_after_rejected: u64,
    is_dry_run: bool,
    allow_incomplete: bool,
    stops_on_input_error: bool,
    on_outage: OnOutage,
}

impl DeleteOptions {
    fn run_options(
        self,
        client: &Client,
        ids: Vec<i64>,
        stop: Option<StopFuture>,
        observer: Observer,
    ) -> RunOptions<i64> {
        RunOptions {
            engine: EngineConfig {
                window: DEFAULT_WINDOW_ROWS,
                customers_per_call: usize::MAX,
                max_url_len: room_for_ids(client.base_url()),
                max_wait: DEFAULT_MAX_WAIT,
                retry: client.retry().clone(),
                stop_after_rejected: self.stop_after_rejected,
                skips_unchanged: false,
            },
            checks_types: None,
            is_dry_run: self.is_dry_run,
            stops_on_input_error: self.stops_on_input_error,
            linger: DEFAULT_LINGER,
            on_outage: self.on_outage,
            stop,
            observer,
            resolve: ResolveOptions::default(),
            initial_rows: ids,
            admission: None,
        }
    }
}

impl fmt::Debug for Delete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delete")
            .field("client", &self.client)
            .field("ids", &self.ids.len())
            .field("filter", &self.filter)
            .field("options", &self.options)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
