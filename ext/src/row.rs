//! The two kinds of rows: values to upsert, and IDs of values to delete.

use std::future::Future;

use bigcommerce_sdk::{self as sdk, IdList, types};
use foldhash::{HashMap, HashMapExt, HashSet};

use crate::attributes::{self, Definitions};
use crate::batch::{BatchItem, BatchKind};
use crate::client::url_budget::id_len;
use crate::client::{Operation, SdkResult, shows_result};
use crate::custom_fields::CustomFields;
use crate::customer_key::CustomerKey;
use crate::error::{Error, Violation};
use crate::outcome::{OutcomeKind, RunKind};
use crate::value::{Metadata, UpsertRow, WireRow};

/// A row of a run: an [`UpsertRow`] with any payload, or the ID of a value to delete.
///
/// The trait is sealed.
pub trait Row: sealed::Request {}

impl<T: Send + 'static> Row for UpsertRow<T> {}

impl Row for i64 {}

impl<T: Send + 'static> BatchItem for UpsertRow<T> {
    type Wire = WireRow;
    type Metadata = Metadata<T>;
    /// `None` for a delete.
    type Response = Option<types::AttributeValuePage>;

    const KIND: RunKind = RunKind::Upsert;
    const HAS_CUSTOMERS: bool = true;

    fn batch_kind(wire: &WireRow) -> BatchKind {
        match wire {
            WireRow::Put(_) => BatchKind::Put,
            WireRow::Delete(_) => BatchKind::Delete,
        }
    }

    fn customer(&self) -> Option<&CustomerKey> {
        Some(self.customer())
    }

    fn attribute_id(&self) -> Option<i64> {
        self.attribute().id()
    }

    fn set_customer_id(&mut self, id: i64) {
        self.set_customer_id(id);
    }

    fn is_named(&self) -> bool {
        self.attribute().id().is_none()
    }

    fn resolve(&mut self, definitions: &Definitions, checks_type: bool) -> Result<(), Violation> {
        let Some(definition) = definitions.get(self.attribute())? else {
            return Ok(());
        };
        // A row whose value is invalid names its attribute all the same.
        self.attribute_mut().set_id(definition.id);
        match self.value() {
            Some(value) if checks_type => attributes::check(definition, value),
            _ => Ok(()),
        }
    }

    fn to_wire(&self) -> Result<Self::Wire, Violation> {
        self.to_wire()
    }

    fn into_metadata(self) -> Metadata<T> {
        self.into_metadata()
    }

    fn from_wire(wire: Self::Wire, metadata: Metadata<T>) -> Self {
        Self::from_wire(wire, metadata)
    }

    fn key(wire: &Self::Wire) -> (i64, i64) {
        wire.key()
    }

    fn value(wire: &Self::Wire) -> Option<&str> {
        match wire {
            WireRow::Put(wire) => Some(&wire.value),
            WireRow::Delete(_) => None,
        }
    }

    fn has_custom_fields(metadata: &Metadata<T>) -> bool {
        metadata.has_custom_fields()
    }

    fn set_value_id(wire: &mut Self::Wire, id: i64) {
        if let WireRow::Delete(value) = wire {
            value.value_id = Some(id);
        }
    }

    fn url_len(_: &Self::Wire) -> usize {
        0
    }

    fn heap_size(&self) -> usize {
        let fields = self.custom_fields().map_or(0, |_| CustomFields::HEAP_SIZE);
        self.value().map_or(0, str::len) + self.tag().map_or(0, str::len) + fields
    }

    /// A record confirms its row. A row without a record is confirmed only if the response is
    /// a page of the rows that were sent: its total is their number, and it shows only records of
    /// theirs.
    fn confirm(
        response: Self::Response,
        status: u16,
        keys: &[(i64, i64)],
    ) -> Vec<Option<OutcomeKind>> {
        let Some(page) = response else {
            return confirm_deletes(status, keys.len());
        };
        if !shows_result(status) {
            return keys.iter().map(|_| None).collect();
        }
        let shows_only_sent_rows = || {
            let sent: HashSet<_> = keys.iter().copied().collect();
            let shown: HashSet<_> = page.data.iter().map(record_key).collect();
            shown.len() == page.data.len() && shown.is_subset(&sent)
        };
        let total = page
            .meta
            .as_ref()
            .and_then(|meta| meta.pagination.as_ref()?.total);
        let is_page_of_sent_rows = total
            .is_some_and(|total| usize::try_from(total) == Ok(keys.len()))
            && page.unreadable == 0
            && (1..keys.len()).contains(&page.data.len())
            && shows_only_sent_rows();
        // Records in the order of the request, which is the usual one, need no map.
        let mut records = page.data.into_iter().peekable();
        let mut unordered = HashMap::new();
        let mut find_record = |key| {
            records
                .next_if(|record| record_key(record) == key)
                .or_else(|| {
                    unordered.extend(records.by_ref().map(|record| (record_key(&record), record)));
                    unordered.remove(&key)
                })
        };
        keys.iter()
            .map(|key| match find_record(*key) {
                None if !is_page_of_sent_rows => None,
                record => Some(OutcomeKind::Stored(record)),
            })
            .collect()
    }
}

fn record_key(record: &types::AttributeValue) -> (i64, i64) {
    (record.customer_id, record.attribute_id)
}

/// Returns the outcome of each of so many deletes. The server confirms all of them, or none.
fn confirm_deletes(status: u16, count: usize) -> Vec<Option<OutcomeKind>> {
    let is_deleted = shows_result(status);
    (0..count)
        .map(|_| is_deleted.then_some(OutcomeKind::Deleted))
        .collect()
}

/// The ID of a value to delete. It stands in for the customer, so that no two calls in flight
/// delete the same value.
impl BatchItem for i64 {
    type Wire = i64;
    type Metadata = ();
    type Response = ();

    const KIND: RunKind = RunKind::Delete;
    const HAS_CUSTOMERS: bool = false;

    fn batch_kind(_: &i64) -> BatchKind {
        BatchKind::Delete
    }

    fn customer(&self) -> Option<&CustomerKey> {
        None
    }

    fn attribute_id(&self) -> Option<i64> {
        None
    }

    fn set_customer_id(&mut self, _: i64) {}

    fn is_named(&self) -> bool {
        false
    }

    fn resolve(&mut self, _: &Definitions, _: bool) -> Result<(), Violation> {
        Ok(())
    }

    fn to_wire(&self) -> Result<i64, Violation> {
        match self {
            1.. => Ok(*self),
            id => Err(Violation::new("id", format!("is {id}: an ID is 1 or more"))),
        }
    }

    fn into_metadata(self) {}

    fn from_wire(id: i64, (): ()) -> i64 {
        id
    }

    fn key(id: &i64) -> (i64, i64) {
        (*id, 0)
    }

    fn value(_: &i64) -> Option<&str> {
        None
    }

    fn has_custom_fields((): &()) -> bool {
        false
    }

    fn set_value_id(_: &mut i64, _: i64) {}

    fn url_len(id: &i64) -> usize {
        id_len(*id)
    }

    fn heap_size(&self) -> usize {
        0
    }

    fn confirm((): (), status: u16, keys: &[(i64, i64)]) -> Vec<Option<OutcomeKind>> {
        confirm_deletes(status, keys.len())
    }
}

/// An item that an input stream may yield: a row, or a `Result` with a row.
///
/// An `Err` gets the outcome [`Rejected`](crate::OutcomeKind::Rejected), with its index and its
/// message. The rows before and after it are sent. The trait is sealed.
pub trait IntoRow<R>: sealed::Convert<R> {}

impl<R: Row> IntoRow<R> for R {}

impl<R: Row, E: Into<BoxError>> IntoRow<R> for Result<R, E> {}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) mod sealed {
    use super::{
        BatchItem, BatchKind, BoxError, Error, Future, IdList, Operation, Row, SdkResult,
        UpsertRow, WireRow, sdk,
    };

    /// A row that can be sent in a batch.
    pub trait Request: BatchItem {
        /// Sends a batch, all of whose rows have this kind.
        fn send(
            client: sdk::Client,
            kind: BatchKind,
            batch: &[Self::Wire],
        ) -> impl Future<Output = SdkResult<Self::Response>> + Send;
    }

    /// Returns the operation that sends a batch.
    pub(crate) fn operation(kind: BatchKind) -> Operation {
        match kind {
            BatchKind::Put => Operation::upsert(),
            BatchKind::Delete => Operation::delete(),
        }
    }

    async fn delete(client: sdk::Client, ids: Vec<i64>) -> SdkResult<()> {
        let ids = IdList::from(ids);
        client.delete_attribute_values().id_in(ids).send().await
    }

    impl<T: Send + 'static> Request for UpsertRow<T> {
        async fn send(
            client: sdk::Client,
            kind: BatchKind,
            batch: &[WireRow],
        ) -> SdkResult<Self::Response> {
            match kind {
                BatchKind::Put => {
                    let values: Vec<_> = batch
                        .iter()
                        .filter_map(|row| match row {
                            WireRow::Put(value) => Some(value.clone()),
                            WireRow::Delete(_) => None,
                        })
                        .collect();
                    let page = client.upsert_attribute_values().body(values).send().await?;
                    page.map(Some)
                }
                BatchKind::Delete => {
                    let ids = batch.iter().filter_map(|row| match row {
                        WireRow::Put(_) => None,
                        WireRow::Delete(value) => value.value_id,
                    });
                    let ids: Vec<_> = ids.collect();
                    if ids.len() < batch.len() {
                        let text = "a value to delete has no ID".to_owned();
                        return Err(sdk::Error::InvalidRequest(text));
                    }
                    let response = delete(client, ids).await?;
                    response.map(|()| None)
                }
            }
        }
    }

    impl Request for i64 {
        async fn send(client: sdk::Client, _: BatchKind, batch: &[i64]) -> SdkResult<()> {
            delete(client, batch.to_vec()).await
        }
    }

    pub trait Convert<R> {
        fn into_row(self) -> Result<R, Error>;
    }

    impl<R: Row> Convert<R> for R {
        fn into_row(self) -> Result<R, Error> {
            Ok(self)
        }
    }

    impl<R: Row, E: Into<BoxError>> Convert<R> for Result<R, E> {
        fn into_row(self) -> Result<R, Error> {
            self.map_err(|error| Error::input(error.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record((customer, attribute): (i64, i64)) -> types::AttributeValue {
        types::AttributeValue::builder()
            .customer_id(customer)
            .attribute_id(attribute)
            .attribute_value("Gold")
            .try_into()
            .expect("the record is complete")
    }

    #[test]
    fn a_response_in_any_order_confirms_exactly_the_rows_that_it_lists() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..1000 {
            let keys: Vec<_> = (0..rng.i64(1..12))
                .map(|n| (n / 3 + 1, n % 3 + 1))
                .collect();
            let mut listed = keys.clone();
            if rng.bool() {
                rng.shuffle(&mut listed);
            }
            listed.truncate(rng.usize(0..=listed.len()));
            if rng.bool() {
                // A record that was not in the request.
                listed.insert(rng.usize(0..=listed.len()), (99, 1));
            }
            let data: Vec<_> = listed.iter().copied().map(record).collect();
            let page = types::AttributeValuePage::builder().data(data);
            let page = page.try_into().expect("the page is complete");
            let kinds = UpsertRow::<()>::confirm(Some(page), 200, &keys);
            assert_eq!(kinds.len(), keys.len());
            for (key, kind) in keys.iter().zip(kinds) {
                let confirmed = match kind {
                    Some(OutcomeKind::Stored(Some(record))) => {
                        Some((record.customer_id, record.attribute_id))
                    }
                    None => None,
                    other => panic!("{other:?}"),
                };
                assert_eq!(
                    confirmed,
                    listed.contains(key).then_some(*key),
                    "{keys:?} {listed:?}"
                );
            }
        }
    }
}
