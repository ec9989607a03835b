//! How many values an attribute has.
//!
//! A total is evidence only if it is that of the attribute: some servers ignore the filter, and some
//! report the total of the whole store. Without such evidence the values are listed and counted.

use std::collections::HashSet;

use bigcommerce_sdk::IdList;
use bigcommerce_sdk::types::{AttributeValue, AttributeValuePage};

use super::definitions::Definitions;
use crate::client::{
    CallFailure, CallOutcome, Client, Operation, PageHead, PageId, PageSize, RunContext, Shortfall,
    call, read_pages,
};
use crate::error::{Error, ErrorKind};
use crate::id_set::IdSet;

/// Counts the values of an attribute. `definitions` are all attributes of the store.
pub(super) async fn count(
    client: &Client,
    run: &RunContext,
    attribute: i64,
    definitions: &Definitions,
) -> Result<u64, Error> {
    let (values, undefined) = (ValueCounter { client, run }, definitions.undefined_id());
    if let Some(total) = values.total(attribute, undefined).await? {
        return Ok(total);
    }
    if let Listed::Complete(count) = values.count(attribute, true).await? {
        return Ok(count);
    }
    // Without a filter, a total of the whole store is the right one.
    match values.count(attribute, false).await? {
        Listed::Complete(count) => Ok(count),
        Listed::Incomplete(error) => Err(error),
    }
}

struct ValueCounter<'a> {
    client: &'a Client,
    run: &'a RunContext,
}

impl ValueCounter<'_> {
    /// Returns the server's total of the attribute's values, or `None` if the pages don't confirm it.
    ///
    /// With one value per page, the page with the number of the total is the last one that shows a
    /// value of the attribute. The total of an attribute that is not defined is 0, unless the server
    /// ignores the filter, or counts the whole store. That takes four requests at most.
    async fn total(&self, attribute: i64, undefined: i64) -> Result<Option<u64>, Error> {
        let first = self.fetch(Some(attribute), 1, 1).await.result;
        let first = SingleValue::new(first.map_err(|failure| failure.error)?, attribute);
        let Some((first, total)) = first.and_then(|first| Some((first.value, first.total?))) else {
            return Ok(None);
        };
        if first.is_none() || total == 0 {
            return Ok((first.is_none() && total == 0).then_some(0));
        }
        let is_zero = |page: SingleValue| page.value.is_none() && page.total == Some(0);
        if !self.page(undefined, 1).await?.is_some_and(is_zero) {
            return Ok(None);
        }
        // A server that ignores the page number shows the first value again. Another total shows that
        // values came or went, or that the totals are wrong.
        let is_last = |page: SingleValue| {
            page.value.is_some() && page.value != first && page.total == Some(total)
        };
        if total > 1 && !self.page(attribute, total).await?.is_some_and(is_last) {
            return Ok(None);
        }
        let beyond = self.page(attribute, total.saturating_add(1)).await?;
        let is_end = beyond.is_some_and(|page| page.value.is_none() && page.total == Some(total));
        Ok(is_end.then_some(total))
    }

    /// Fetches a page of one value after the first. Returns `None` if the server rejects it or if it
    /// is odd.
    async fn page(&self, attribute: i64, page: u64) -> Result<Option<SingleValue>, Error> {
        match self.fetch(Some(attribute), page, 1).await.result {
            Ok(page) => Ok(SingleValue::new(page, attribute)),
            Err(failure) => match failure.error.kind() {
                ErrorKind::InvalidRequest | ErrorKind::TooLarge | ErrorKind::NotFound => Ok(None),
                _ => Err(failure.error),
            },
        }
    }

    /// Lists the values of the attribute or of the whole store, and counts those of the attribute.
    async fn count(&self, attribute: i64, is_filtered: bool) -> Result<Listed, Error> {
        let filter = is_filtered.then_some(attribute);
        let fetch_page = |(), page: PageId, size| self.fetch(filter, page.number, size);
        let (mut ids, mut places) = (IdSet::default(), HashSet::new());
        let mut count = 0;
        let mut is_ignored = false;
        let accept = |page: AttributeValuePage| {
            let mut new = 0;
            for value in &page.data {
                let is_match = value.attribute_id == attribute;
                if is_filtered && !is_match {
                    is_ignored = true;
                    return Err(CallFailure::from(Error::filter_ignored("values")));
                }
                let is_new = match ValueKey::new(value) {
                    ValueKey::Id(id) => ids.insert(id),
                    place => places.insert(place),
                };
                new += u64::from(is_new);
                count += u64::from(is_new && is_match);
            }
            Ok(new)
        };
        let size = PageSize::new(self.client, None);
        let outcome = read_pages(&[()], size, fetch_page, PageHead::of_values, accept).await;
        match outcome.result {
            Err(failure) if is_ignored => Ok(Listed::Incomplete(failure.error)),
            Err(failure) => Err(failure.error),
            Ok(None) => Ok(Listed::Complete(count)),
            Ok(Some(Shortfall {
                received,
                total,
                unreadable,
            })) => {
                let error = Error::incomplete_list("values", received, total, unreadable, "");
                Ok(Listed::Incomplete(error))
            }
        }
    }

    /// Fetches a page of the values of an attribute, or of all values, with all retries.
    async fn fetch(
        &self,
        attribute: Option<i64>,
        page: u64,
        size: u64,
    ) -> CallOutcome<AttributeValuePage> {
        let operation = Operation::list(page, None);
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        call(self.client, self.run, &operation, 0, |sdk| async move {
            let request = sdk.list_attribute_values();
            let request = request.page(number(page)).limit(number(size));
            match attribute {
                Some(id) => request.attribute_id_in(IdList::from([id])).send().await,
                None => request.send().await,
            }
        })
        .await
    }
}

/// The values of an attribute, counted in a list.
enum Listed {
    Complete(u64),
    /// Values are missing, or the list shows values of other attributes.
    Incomplete(Error),
}

/// A page of at most one value, which is the attribute's.
struct SingleValue {
    total: Option<u64>,
    value: Option<ValueKey>,
}

impl SingleValue {
    /// Returns `None` for a page with more values, with values of other attributes, or with records
    /// that can't be parsed.
    fn new(page: AttributeValuePage, attribute: i64) -> Option<Self> {
        let is_odd = page.data.len() > 1
            || page.unreadable > 0
            || page
                .data
                .iter()
                .any(|value| value.attribute_id != attribute);
        if is_odd {
            return None;
        }
        let pagination = page.meta.and_then(|meta| meta.pagination);
        let total = pagination.and_then(|pagination| pagination.total);
        Some(Self {
            total: total.and_then(|total| u64::try_from(total).ok()),
            value: page.data.first().map(ValueKey::new),
        })
    }
}

/// What tells values apart.
#[derive(PartialEq, Eq, Hash)]
enum ValueKey {
    Id(i64),
    /// The customer and the attribute of a value without an ID.
    Place(i64, i64),
}

impl ValueKey {
    fn new(value: &AttributeValue) -> Self {
        match value.id {
            Some(id) => Self::Id(id),
            None => Self::Place(value.customer_id, value.attribute_id),
        }
    }
}
