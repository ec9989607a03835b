use crate::filter::Filter;
use crate::settings::ListOrder;
use crate::store::{Store, StoredValue};

/// Finds the pages of lists. A list of 100,000 values has 400 pages, so a list that takes a scan of
/// all values, or a sort, is kept for its next pages.
#[derive(Default)]
pub(crate) struct Lists {
    last: Option<Found>,
}

/// What a filter finds, as long as the store is of this version.
struct Found {
    filter: Filter,
    version: u64,
    ids: Vec<i64>,
}

impl Lists {
    /// How many values match, and those of them that are on the page.
    pub(crate) fn page(
        &mut self,
        store: &Store,
        filter: Filter,
        order: ListOrder,
        offset: usize,
        limit: usize,
    ) -> (usize, Vec<StoredValue>) {
        if filter.is_open() && order == ListOrder::ById {
            let page = store.iter_from(offset).take(limit);
            return (store.len(), page.cloned().collect());
        }
        let select = |filter: &Filter| sorted(filter.select(store), order);
        // Those are looked up, and must not take the place of a long list.
        let of_customers = filter.is_by_customer().then(|| select(&filter));
        let ids = match &of_customers {
            Some(ids) => ids.as_slice(),
            None => self.keep(store.version(), filter, select),
        };
        let page = ids.iter().skip(offset).take(limit);
        let page = page.filter_map(|id| store.get(*id));
        (ids.len(), page.cloned().collect())
    }

    fn keep(
        &mut self,
        version: u64,
        filter: Filter,
        select: impl FnOnce(&Filter) -> Vec<i64>,
    ) -> &[i64] {
        let known = self.last.take();
        let found = known.filter(|last| last.version == version && last.filter == filter);
        let found = self.last.insert(match found {
            Some(found) => found,
            None => Found {
                ids: select(&filter),
                filter,
                version,
            },
        });
        &found.ids
    }
}

fn sorted(mut found: Vec<&StoredValue>, order: ListOrder) -> Vec<i64> {
    match order {
        ListOrder::ById | ListOrder::NewestFirst => found.sort_unstable_by_key(|value| value.id),
        ListOrder::ByCustomer => found.sort_unstable_by_key(|value| (value.customer_id, value.id)),
        ListOrder::ByModified => {
            found.sort_unstable_by_key(|value| (value.date_modified, value.id));
        }
    }
    let ids = found.iter().map(|value| value.id);
    match order {
        ListOrder::NewestFirst => ids.rev().collect(),
        _ => ids.collect(),
    }
}
