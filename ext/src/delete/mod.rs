//! The delete builder.

mod selection;

use std::fmt;
use std::future::Future;

use futures_util::stream::Stream;

use crate::batch::EngineConfig;
use crate::client::Client;
use crate::client::url_budget::room_for_ids;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::list::{Filter, filter_methods};
use crate::outcome::Report;
use crate::row::IntoRow;
use crate::run::{LINGER, Outcomes, RunOptions, STOP_AFTER_REFUSED, Stop, WINDOW};

use selection::SelectionDelete;

/// A delete of any number of attribute values; see [`Store::delete`](crate::Store::delete).
///
/// By the values' own IDs, with as many in a call as a URL surely holds:
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
/// Or by a selection, as in a list. What it selects is listed to the end before anything is
/// deleted, since a delete moves the values behind it to other pages, and listed again afterwards
/// until nothing is left, three times at most:
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
/// let would_go = store.delete().customers([2048]).attributes([101]).dry_run().send().await?;
/// assert_eq!(would_go.summary().planned, 1);
/// let report = store.delete().customers([2048]).attributes([101]).send().await?;
/// assert_eq!(report.summary().deleted, 1);
/// # Ok(())
/// # }
/// ```
///
/// Without IDs and without a selection, and with an empty one, nothing is deleted and nothing is
/// sent. Before anything is deleted, each value that was listed is held against the selection, so
/// that a server which does not know a filter and leaves it out can't widen the selection: the
/// delete ends with an error then. Dates are held against it with a day to spare, since it is the
/// provider who says where a day begins.
///
/// A server may leave IDs that it does not know unmentioned, or answer 404: such a value counts as
/// [`Deleted`](crate::OutcomeKind::Deleted), since it is not there. Where it answers 422 instead, its ID
/// counts as rejected, even if it was an earlier attempt that has deleted it and whose answer was
/// lost.
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
    stop: Option<Stop>,
    observer: Observer,
}

impl Delete {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            ids: Vec::new(),
            filter: Filter::default(),
            options: DeleteOptions {
                stop_after_refused: STOP_AFTER_REFUSED,
                is_dry: false,
            },
            stop: None,
            observer: Observer::default(),
        }
    }

    /// Adds IDs of values.
    pub fn ids(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
        self.ids.extend(ids);
        self
    }

    filter_methods!();

    /// Changes nothing in the store: what would be deleted gets the outcome
    /// [`Planned`](crate::OutcomeKind::Planned).
    pub fn dry_run(mut self) -> Self {
        self.options.is_dry = true;
        self
    }

    /// Sets after how many IDs the run stops by itself if the server has refused all that were
    /// sent so far: 100 by default, 0 for never.
    pub fn stop_after_refused(mut self, ids: u64) -> Self {
        self.options.stop_after_refused = ids;
        self
    }

    /// Stops the run when a future is ready; see [`Upsert::stop_when`](crate::Upsert::stop_when).
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(Box::pin(stop));
        self
    }

    /// Sets a function that is told of events while the run goes on; see
    /// [`Upsert::observe`](crate::Upsert::observe).
    pub fn observe(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    /// Deletes what was added and what is selected, and returns an outcome for each ID.
    ///
    /// An ID that was added twice has two outcomes; the first is
    /// [`Superseded`](crate::OutcomeKind::Superseded), unless 10,000 IDs or more stand between them,
    /// so that it was deleted before the second was seen. Those of a selection come after those that
    /// were added, and each once. Memory grows with the number of IDs.
    ///
    /// Cancel safety: dropping the future cancels the calls in flight and loses the outcomes.
    ///
    /// # Errors
    ///
    /// Only when nothing was deleted: where the selection can't be meant, or could not be listed.
    /// Whatever happens after that is in the report; [`Report::into_result`] is the strict form.
    pub async fn send(self) -> Result<Report<i64>, Error> {
        let mut delete = SelectionDelete::new(self.client, self.options, self.stop, self.observer);
        // A selection that can't be meant keeps everything as it is.
        let selection = match self.filter.is_unfiltered() {
            true => None,
            false => Some(delete.resolve(self.filter).await?),
        };
        delete.delete(self.ids).await?;
        if let Some(selection) = selection {
            delete.delete_selected(&selection).await?;
        }
        Ok(delete.into_report())
    }

    /// Deletes the values with the IDs that were added and then those that a stream yields, in
    /// bounded memory, and yields the outcome of each as it is known.
    ///
    /// The stream yields IDs, or `Result`s of them: an `Err` gets an outcome of its own and stops
    /// nothing. An ID that comes again while it waits or is on its way is not sent twice at once.
    ///
    /// A selection has no place here, since it has to be listed before anything is deleted: with
    /// one, nothing is sent, and [`Outcomes::stopped_by`] says so. To delete by a selection in
    /// less memory than a [`Report`] takes, list the IDs and stream them.
    pub fn stream<S>(self, ids: S) -> Outcomes<S, i64>
    where
        S: Stream,
        S::Item: IntoRow<i64>,
    {
        let options = self
            .options
            .run_options(&self.client, self.ids, self.stop, self.observer);
        let mut outcomes = Outcomes::new(self.client, options, ids);
        if !self.filter.is_unfiltered() {
            outcomes.stop(Error::invalid_input(
                "a delete by a selection can't be streamed: use send, or list the IDs",
            ));
        }
        outcomes
    }
}

/// How a delete is done.
#[derive(Clone, Copy, Debug)]
struct DeleteOptions {
    stop_after_refused: u64,
    is_dry: bool,
}

impl DeleteOptions {
    fn run_options(
        self,
        client: &Client,
        ids: Vec<i64>,
        stop: Option<Stop>,
        observer: Observer,
    ) -> RunOptions<i64> {
        RunOptions {
            engine: EngineConfig {
                window: WINDOW,
                customers_per_call: usize::MAX,
                max_url_len: room_for_ids(client.base_url()),
                max_attempts: client.retry().max_attempts,
                stop_after_rejected: self.stop_after_refused,
                skips_unchanged: false,
            },
            checks_types: None,
            is_dry: self.is_dry,
            linger: LINGER,
            stop,
            observer,
            added: ids,
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
            .field("observer", &self.observer)
            .finish_non_exhaustive()
    }
}
