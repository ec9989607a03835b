//! The two kinds of rows: values to upsert, and IDs of values to delete.

use std::future::Future;

use bigcommerce_sdk::{self as sdk, IdList, types};
use foldhash::{HashMap, HashMapExt};

use crate::attributes::{self, Definitions};
use crate::batch::{BatchItem, Size};
use crate::client::url_budget::id_len;
use crate::client::{CallFailure, Operation, SdkResult};
use crate::error::{Error, Violation};
use crate::outcome::{OutcomeKind, RunKind};
use crate::value::{Metadata, UpsertRow};

/// A row of a run: an [`UpsertRow`] to store, or the ID of a value to delete.
///
/// The trait is sealed.
pub trait Row: sealed::Request {}

impl Row for UpsertRow {}

impl Row for i64 {}

impl BatchItem for UpsertRow {
    type Wire = types::AttributeValueUpsert;
    type Metadata = Metadata;
    type Response = types::AttributeValuePage;

    const KIND: RunKind = RunKind::Upsert;

    fn is_named(&self) -> bool {
        self.attribute().id().is_none()
    }

    fn resolve(&mut self, definitions: &Definitions, checks_type: bool) -> Result<(), Violation> {
        let Some(definition) = definitions.get(self.attribute())? else {
            return Ok(());
        };
        if checks_type {
            attributes::check(definition, self.value())?;
        }
        let id = definition.id;
        self.attribute_mut().set_id(id);
        Ok(())
    }

    fn to_wire(&self) -> Result<Self::Wire, Violation> {
        self.to_wire()
    }

    fn into_metadata(self) -> Metadata {
        self.into_metadata()
    }

    fn from_wire(wire: Self::Wire, metadata: Metadata) -> Self {
        Self::from_wire(wire, metadata)
    }

    fn key(wire: &Self::Wire) -> (i64, i64) {
        (wire.customer_id, wire.attribute_id)
    }

    fn value(wire: &Self::Wire) -> &str {
        &wire.value
    }

    fn url_len(_: &Self::Wire) -> usize {
        0
    }

    fn batch_size(customers: usize, rows: usize) -> Size {
        Size { customers, rows }
    }

    fn confirm(page: Self::Response, keys: &[(i64, i64)]) -> Vec<Option<OutcomeKind>> {
        let total = page.meta.and_then(|meta| meta.pagination?.total);
        let is_truncated = total.is_some_and(|total| {
            usize::try_from(total).is_ok_and(|total| total >= keys.len() && total > page.data.len())
        });
        let record_key = |record: &types::AttributeValue| (record.customer_id, record.attribute_id);
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
                None if !is_truncated => None,
                record => Some(OutcomeKind::Stored(record)),
            })
            .collect()
    }

    fn rejected(failure: &CallFailure, index: u64) -> OutcomeKind {
        OutcomeKind::Rejected(failure.error.for_row(index))
    }
}

/// The ID of a value to delete. It stands in for the customer, so that no two calls in flight
/// delete the same value.
impl BatchItem for i64 {
    type Wire = i64;
    type Metadata = ();
    type Response = ();

    const KIND: RunKind = RunKind::Delete;

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

    fn value(_: &i64) -> &str {
        ""
    }

    fn url_len(id: &i64) -> usize {
        id_len(*id)
    }

    /// A server can limit only the number of IDs.
    fn batch_size(_: usize, rows: usize) -> Size {
        Size { customers: 1, rows }
    }

    fn confirm((): (), keys: &[(i64, i64)]) -> Vec<Option<OutcomeKind>> {
        keys.iter().map(|_| Some(OutcomeKind::Deleted)).collect()
    }

    fn rejected(failure: &CallFailure, index: u64) -> OutcomeKind {
        match failure.error.status() {
            // The value never existed, or an earlier attempt has deleted it.
            Some(404) => OutcomeKind::Deleted,
            _ => OutcomeKind::Rejected(failure.error.for_row(index)),
        }
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
        BatchItem, BoxError, Error, Future, IdList, Operation, Row, SdkResult, UpsertRow, sdk,
    };

    /// A row that can be sent in a batch.
    pub trait Request: BatchItem {
        /// Whether a 404 may mean that the value of a row does not exist.
        const MAY_BE_MISSING: bool;

        fn operation() -> Operation;

        fn send(
            client: sdk::Client,
            batch: Vec<Self::Wire>,
        ) -> impl Future<Output = SdkResult<Self::Response>> + Send;
    }

    impl Request for UpsertRow {
        const MAY_BE_MISSING: bool = false;

        fn operation() -> Operation {
            Operation::upsert()
        }

        async fn send(client: sdk::Client, batch: Vec<Self::Wire>) -> SdkResult<Self::Response> {
            client.upsert_attribute_values().body(batch).send().await
        }
    }

    impl Request for i64 {
        const MAY_BE_MISSING: bool = true;

        fn operation() -> Operation {
            Operation::delete()
        }

        async fn send(client: sdk::Client, batch: Vec<i64>) -> SdkResult<()> {
            let ids = IdList::from(batch);
            client.delete_attribute_values().id_in(ids).send().await
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
            let kinds = UpsertRow::confirm(page, &keys);
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
