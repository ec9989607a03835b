//! The differences between the store and an input.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FusedStream, Stream, StreamExt};

use super::mirroring::Mirroring;
use super::summary::{DeletedValue, MirrorOutcome, MirrorSummary};
use crate::error::Error;
use crate::list::{ReadRequest, ReadValues};
use crate::outcome::{Outcome, OutcomeKind};
use crate::row::IntoRow;
use crate::value::UpsertRow;

/// The number of values whose old texts are read in one go.
const VALUES_PER_READ: usize = 250;

/// A difference between the store and an input, or a row that makes none; see
/// [`Mirror::preview`](crate::Mirror::preview).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Difference<T = ()> {
    /// The store has no value for the row's customer and attribute.
    #[non_exhaustive]
    Create {
        /// The row's position in the input, counted from 0.
        index: u64,
        /// The row.
        row: UpsertRow<T>,
    },
    /// The store has another value.
    #[non_exhaustive]
    Change {
        /// The row's position in the input, counted from 0.
        index: u64,
        /// The row.
        row: UpsertRow<T>,
        /// The store's value, `None` if the server no longer showed it.
        old: Option<String>,
    },
    /// The store has the value.
    #[non_exhaustive]
    Unchanged {
        /// The row's position in the input, counted from 0.
        index: u64,
        /// The row.
        row: UpsertRow<T>,
    },
    /// The input doesn't have the store's value. [`MirrorSummary::held_back`] tells whether a guard would
    /// keep it.
    #[non_exhaustive]
    Delete {
        /// The ID of the customer.
        customer_id: i64,
        /// The ID of the attribute.
        attribute_id: i64,
        /// The name of the attribute.
        attribute: String,
        /// The ID of the value; 0 if the server has listed it without one.
        value_id: i64,
        /// The store's value, `None` if the server no longer showed it.
        old: Option<String>,
    },
    /// The row has another outcome: it is invalid, its customer or attribute was not found, or a later row
    /// replaced it.
    Other(Outcome<UpsertRow<T>>),
}

/// The differences between the store and an input, in the order in which they become known; see
/// [`Mirror::preview`](crate::Mirror::preview).
///
/// Cancel safety: `next()` may be dropped and called again.
#[must_use = "streams do nothing unless polled"]
pub struct Differences<S, T: Send + 'static = ()> {
    run: Mirroring<S, T>,
    /// The differences whose old texts are not read yet.
    pending: Vec<Difference<T>>,
    reading: Option<ReadFuture>,
    ready: VecDeque<Difference<T>>,
    has_ended: bool,
}

type ReadFuture = Pin<Box<dyn Future<Output = Result<ReadValues, Error>> + Send>>;

impl<S, T> Differences<S, T>
where
    S: Stream,
    S::Item: IntoRow<UpsertRow<T>>,
    T: Send + 'static,
{
    pub(super) fn new(run: Mirroring<S, T>) -> Self {
        Self {
            run,
            pending: Vec::new(),
            reading: None,
            ready: VecDeque::new(),
            has_ended: false,
        }
    }
}

impl<S, T: Send + 'static> Differences<S, T> {
    /// Returns the number of rows and values so far, and what would hold the deletes back.
    #[must_use]
    pub fn summary(&self) -> MirrorSummary {
        self.run.summary()
    }

    fn sort(&mut self, outcome: MirrorOutcome<T>) {
        match outcome {
            MirrorOutcome::Row(outcome) => self.sort_row(outcome),
            MirrorOutcome::Delete(value) => {
                let DeletedValue {
                    value_id,
                    customer_id,
                    attribute_id,
                    ..
                } = value;
                self.pending.push(Difference::Delete {
                    customer_id,
                    attribute_id,
                    attribute: self.attribute_name(attribute_id),
                    value_id,
                    old: None,
                });
            }
        }
    }

    fn sort_row(&mut self, outcome: Outcome<UpsertRow<T>>) {
        let Outcome { index, row, kind } = outcome;
        let key = row
            .as_ref()
            .and_then(|row| row.customer_id().zip(row.attribute().id()));
        match (kind, row, key) {
            // Its value is a difference of its own.
            (OutcomeKind::Planned, Some(row), _) if row.value().is_none() => {}
            (OutcomeKind::Planned, Some(row), Some(key)) => {
                let knowledge = self.run.knowledge();
                let is_listed = knowledge.is_some_and(|known| {
                    let mut known = known.lock();
                    !known.listed.of_mut(key.0, key.1).is_empty()
                });
                match is_listed {
                    true => self.pending.push(Difference::Change {
                        index,
                        row,
                        old: None,
                    }),
                    false => self.ready.push_back(Difference::Create { index, row }),
                }
            }
            (OutcomeKind::Unchanged, Some(row), _) => {
                self.ready.push_back(Difference::Unchanged { index, row });
            }
            (kind, row, _) => {
                self.ready
                    .push_back(Difference::Other(Outcome { index, row, kind }));
            }
        }
    }

    fn attribute_name(&self, id: i64) -> String {
        let known = self.run.knowledge().map(|known| known.lock());
        let mut attributes = known.iter().flat_map(|known| known.listed.attributes());
        let attribute = attributes.find(|attribute| attribute.id == id);
        attribute.map_or(String::new(), |attribute| attribute.name.clone())
    }

    /// Starts to read the old texts of the differences that wait for them.
    fn start_read(&mut self) {
        let keys = self.pending.iter().filter_map(key_of);
        let (customers, attributes): (BTreeSet<_>, BTreeSet<_>) = keys.unzip();
        let reader = self.run.reader().clone();
        let request = ReadRequest {
            customers,
            attributes,
        };
        self.reading = Some(Box::pin(async move { reader.read(request).await }));
    }

    /// Returns `true` if a row has this value, and no fields of its own.
    fn has_text(&self, row: &UpsertRow<T>, text: &str) -> bool {
        let (Some(knowledge), Some(attribute), Some(value)) =
            (self.run.knowledge(), row.attribute().id(), row.value())
        else {
            return false;
        };
        row.custom_fields().is_none() && knowledge.lock().listed.are_same(attribute, value, text)
    }

    /// Completes the differences that wait with the texts that were read.
    fn complete(&mut self, read: ReadValues) {
        let texts: HashMap<_, _> = read
            .values
            .into_iter()
            .map(|value| {
                let key = (value.customer_id, value.attribute_id);
                (key, value.attribute_value)
            })
            .collect();
        for difference in std::mem::take(&mut self.pending) {
            let text = key_of(&difference).and_then(|key| texts.get(&key).cloned());
            let difference = match difference {
                Difference::Change { index, row, .. } => match text {
                    // The value was changed since the list.
                    Some(text) if self.has_text(&row, &text) => {
                        Difference::Unchanged { index, row }
                    }
                    old => Difference::Change { index, row, old },
                },
                Difference::Delete {
                    customer_id,
                    attribute_id,
                    attribute,
                    value_id,
                    ..
                } => Difference::Delete {
                    customer_id,
                    attribute_id,
                    attribute,
                    value_id,
                    old: text,
                },
                other => other,
            };
            self.ready.push_back(difference);
        }
    }
}

/// Returns the customer and attribute of a difference whose old text is to be read.
fn key_of<T>(difference: &Difference<T>) -> Option<(i64, i64)> {
    match difference {
        Difference::Change { row, .. } => row.customer_id().zip(row.attribute().id()),
        Difference::Delete {
            customer_id,
            attribute_id,
            ..
        } => Some((*customer_id, *attribute_id)),
        _ => None,
    }
}

impl<S, T: Send + 'static> Unpin for Differences<S, T> {}

impl<S, T> Stream for Differences<S, T>
where
    S: Stream,
    S::Item: IntoRow<UpsertRow<T>>,
    T: Send + 'static,
{
    type Item = Result<Difference<T>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(difference) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(difference)));
            }
            if this.has_ended {
                return Poll::Ready(None);
            }
            if let Some(reading) = &mut this.reading {
                let result = ready!(reading.as_mut().poll(cx));
                this.reading = None;
                match result {
                    Ok(read) => this.complete(read),
                    Err(error) => {
                        this.has_ended = true;
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                continue;
            }
            if this.pending.len() >= VALUES_PER_READ {
                this.start_read();
                continue;
            }
            match ready!(this.run.poll_next_unpin(cx)) {
                Some(outcome) => this.sort(outcome),
                None if !this.pending.is_empty() => this.start_read(),
                None => {
                    this.has_ended = true;
                    let error = this.run.summary().stopped_by().cloned();
                    return Poll::Ready(error.map(Err));
                }
            }
        }
    }
}

impl<S, T: Send + 'static> FusedStream for Differences<S, T>
where
    Self: Stream,
{
    fn is_terminated(&self) -> bool {
        self.has_ended && self.ready.is_empty()
    }
}

impl<S, T: Send + 'static> fmt::Debug for Differences<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Differences")
            .field("run", &self.run)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}
