//! The rows of a run: values to upsert, or IDs of values to delete.

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

/// The rows of a run: [`UpsertRow`]s to store, or IDs of values to delete.
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
        let Some(known) = definitions.get(self.attribute())? else {
            return Ok(());
        };
        if checks_type {
            attributes::check(known, self.value())?;
        }
        let id = known.id;
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
        let stored = page.meta.and_then(|meta| meta.pagination?.total);
        let shows_a_part = stored.is_some_and(|total| {
            usize::try_from(total).is_ok_and(|total| total >= keys.len() && total > page.data.len())
        });
        let key_of = |record: &types::AttributeValue| (record.customer_id, record.attribute_id);
        // As long as an answer keeps to the order of the request, nothing is looked up.
        let mut in_order = page.data.into_iter().peekable();
        let mut others = HashMap::new();
        let mut record_of = |key| {
            in_order
                .next_if(|record| key_of(record) == key)
                .or_else(|| {
                    others.extend(in_order.by_ref().map(|record| (key_of(&record), record)));
                    others.remove(&key)
                })
        };
        keys.iter()
            .map(|key| match record_of(*key) {
                None if !shows_a_part => None,
                record => Some(OutcomeKind::Stored(record)),
            })
            .collect()
    }

    fn rejected(failure: &CallFailure, index: u64) -> OutcomeKind {
        OutcomeKind::Rejected(failure.error.for_row(index))
    }
}

/// The ID of a value to delete. It stands for a customer of its own: no two calls name it.
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

    /// Only the number of IDs can be limited.
    fn batch_size(_: usize, rows: usize) -> Size {
        Size { customers: 1, rows }
    }

    fn confirm((): (), keys: &[(i64, i64)]) -> Vec<Option<OutcomeKind>> {
        keys.iter().map(|_| Some(OutcomeKind::Deleted)).collect()
    }

    fn rejected(failure: &CallFailure, index: u64) -> OutcomeKind {
        match failure.error.status() {
            // Whether it never was there or an earlier attempt has deleted it: it is gone.
            Some(404) => OutcomeKind::Deleted,
            _ => OutcomeKind::Rejected(failure.error.for_row(index)),
        }
    }
}

/// What an input may yield: rows, or results of rows.
///
/// An `Err` gets the outcome [`Rejected`](crate::OutcomeKind::Rejected) with its index and its
/// message; the rows around it are sent.
pub trait IntoRow<R>: sealed::IntoRow<R> {}

impl<R: Row> IntoRow<R> for R {}

impl<R: Row, E: Into<BoxError>> IntoRow<R> for Result<R, E> {}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) mod sealed {
    use super::{
        BatchItem, BoxError, Error, Future, IdList, Operation, Row, SdkResult, UpsertRow, sdk,
    };

    /// How the driver sends a batch of rows.
    pub trait Request: BatchItem {
        /// Whether the server may respond 404 because it does not know a row.
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

    pub trait IntoRow<R> {
        fn into_row(self) -> Result<R, Error>;
    }

    impl<R: Row> IntoRow<R> for R {
        fn into_row(self) -> Result<R, Error> {
            Ok(self)
        }
    }

    impl<R: Row, E: Into<BoxError>> IntoRow<R> for Result<R, E> {
        fn into_row(self) -> Result<R, Error> {
            self.map_err(|error| Error::input(error.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_of_an_answer_goes_to_its_row_in_whatever_order_they_come() {
        let mut dice = fastrand::Rng::with_seed(1);
        for _ in 0..1000 {
            let keys: Vec<_> = (0..dice.i64(1..12))
                .map(|n| (n / 3 + 1, n % 3 + 1))
                .collect();
            let mut shown = keys.clone();
            if dice.bool() {
                dice.shuffle(&mut shown);
            }
            shown.truncate(dice.usize(0..=shown.len()));
            if dice.bool() {
                // Nobody has asked for this one.
                shown.insert(dice.usize(0..=shown.len()), (99, 1));
            }
            let record = |&(customer, attribute): &(i64, i64)| {
                types::AttributeValue::builder()
                    .customer_id(customer)
                    .attribute_id(attribute)
                    .attribute_value("Gold")
                    .try_into()
                    .expect("a record")
            };
            let data: Vec<types::AttributeValue> = shown.iter().map(record).collect();
            let page = types::AttributeValuePage::builder().data(data);
            let page = page.try_into().expect("a page");
            let kinds = UpsertRow::confirm(page, &keys);
            assert_eq!(kinds.len(), keys.len());
            for (key, kind) in keys.iter().zip(kinds) {
                let of = match kind {
                    Some(OutcomeKind::Stored(Some(record))) => {
                        Some((record.customer_id, record.attribute_id))
                    }
                    None => None,
                    other => panic!("{other:?}"),
                };
                assert_eq!(
                    of,
                    shown.contains(key).then_some(*key),
                    "{keys:?} {shown:?}"
                );
            }
        }
    }
}
