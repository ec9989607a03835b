use crate::filter::ValueFilter;
use crate::settings::ListOrder;
use crate::store::{Store, StoredValue};

/// Finds the pages of lists, and keeps the last list that took a scan or a sort of all values. A
/// list of 100,000 values has 400 pages, so its next pages must not scan again.
#[derive(Default)]
pub(crate) struct PageCache {
    last: Option<CachedList>,
}

/// The IDs that match a filter in a version of the store.
struct CachedList {
    filter: ValueFilter,
    version: u64,
    ids: Vec<i64>,
}

impl PageCache {
    /// Returns the number of matching values, and the values on the page.
    pub(crate) fn page(
        &mut self,
        store: &Store,
        filter: ValueFilter,
        order: ListOrder,
        offset: usize,
        limit: usize,
    ) -> (usize, Vec<StoredValue>) {
        if filter.is_unfiltered() && order == ListOrder::ById {
            let page = store.iter_from(offset).take(limit);
            return (store.len(), page.cloned().collect());
        }
        let select = |filter: &ValueFilter| sorted_ids(filter.select(store), order);
        // A list by customer takes no scan, and must not evict a list that does.
        let uncached = filter.is_by_customer().then(|| select(&filter));
        let ids = match &uncached {
            Some(ids) => ids.as_slice(),
            None => self.get_or_insert(store.version(), filter, select),
        };
        let page = ids.iter().skip(offset).take(limit);
        let page = page.filter_map(|id| store.get(*id));
        (ids.len(), page.cloned().collect())
    }

    fn get_or_insert(
        &mut self,
        version: u64,
        filter: ValueFilter,
        select: impl FnOnce(&ValueFilter) -> Vec<i64>,
    ) -> &[i64] {
        let last = self.last.take();
        let hit = last.filter(|last| last.version == version && last.filter == filter);
        let list = self.last.insert(match hit {
            Some(list) => list,
            None => CachedList {
                ids: select(&filter),
                filter,
                version,
            },
        });
        &list.ids
    }
}

fn sorted_ids(mut values: Vec<&StoredValue>, order: ListOrder) -> Vec<i64> {
    match order {
        ListOrder::ById | ListOrder::NewestFirst => values.sort_unstable_by_key(|value| value.id),
        ListOrder::ByCustomer => {
            values.sort_unstable_by_key(|value| (value.customer_id, value.id));
        }
        ListOrder::ByModified => {
            values.sort_unstable_by_key(|value| (value.date_modified, value.id));
        }
    }
    let ids = values.iter().map(|value| value.id);
    match order {
        ListOrder::NewestFirst => ids.rev().collect(),
        _ => ids.collect(),
    }
}
