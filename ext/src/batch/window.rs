//! The rows that wait, and which of them go into the next batch.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashMapExt};

use super::item::BatchItem;

/// A valid row of the input that has no outcome yet.
#[derive(Clone, Debug)]
pub(crate) struct PendingRow<R: BatchItem> {
    pub index: u64,
    pub metadata: R::Metadata,
    pub wire: R::Wire,
    /// Whether the server may have stored the row without confirming it: as a valid row of a
    /// rejected batch, or as a row that the response does not mention.
    pub may_be_stored: bool,
}

/// The rows that wait for one customer and attribute.
#[derive(Clone, Debug)]
pub(crate) struct Slot<R: BatchItem> {
    /// The latest row, which is the one to send.
    pub row: PendingRow<R>,
    /// Earlier rows, oldest first. The latest of them is sent if the server rejects `row`.
    pub older: Vec<PendingRow<R>>,
    /// The number of successful calls that did not confirm `row`.
    pub unconfirmed_count: u32,
}

impl<R: BatchItem> Slot<R> {
    pub(crate) fn new(row: PendingRow<R>) -> Self {
        Self {
            row,
            older: Vec::new(),
            unconfirmed_count: 0,
        }
    }

    pub(crate) fn key(&self) -> (i64, i64) {
        R::key(&self.row.wire)
    }

    fn row_count(&self) -> usize {
        1 + self.older.len()
    }

    fn first_index(&self) -> u64 {
        self.older.first().unwrap_or(&self.row).index
    }
}

/// The rows that wait to be sent, in one queue per customer. Queues are in the order of their
/// oldest rows.
#[derive(Debug)]
pub(crate) struct Window<R: BatchItem> {
    queues: HashMap<i64, CustomerQueue<R>>,
    /// Customers by the index of their oldest row.
    order: BTreeMap<u64, i64>,
    row_count: usize,
}

#[derive(Debug)]
struct CustomerQueue<R: BatchItem> {
    /// The index of the oldest row.
    first_index: u64,
    /// Sorted by attribute.
    slots: Vec<Slot<R>>,
}

/// The maximum size of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimit {
    pub customers: usize,
    pub rows: usize,
    /// Whether the last customer of the batch may exceed `rows`.
    pub may_exceed_rows: bool,
    /// The number of URL bytes that the rows may take.
    pub url_len: usize,
}

impl BatchLimit {
    pub(crate) const UNLIMITED: Self = Self {
        customers: usize::MAX,
        rows: usize::MAX,
        may_exceed_rows: false,
        url_len: usize::MAX,
    };
}

impl<R: BatchItem> Default for Window<R> {
    fn default() -> Self {
        Self {
            queues: HashMap::new(),
            order: BTreeMap::new(),
            row_count: 0,
        }
    }
}

impl<R: BatchItem> Window<R> {
    /// Returns the number of waiting rows, older rows of a slot included.
    pub(crate) fn row_count(&self) -> usize {
        self.row_count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.row_count == 0
    }

    /// Returns `true` if a row waits for this customer and attribute.
    pub(crate) fn contains(&self, (customer, attribute): (i64, i64)) -> bool {
        self.queues.get(&customer).is_some_and(|queue| {
            let slots = &queue.slots;
            slots
                .binary_search_by_key(&attribute, |slot| slot.key().1)
                .is_ok()
        })
    }

    /// Inserts a slot, merging it with a slot that waits for the same customer and attribute.
    ///
    /// The row with the highest index is the one to send. The customer keeps, or gets back, the
    /// position of its oldest row.
    pub(crate) fn insert(&mut self, slot: Slot<R>) {
        self.row_count += slot.row_count();
        let (customer, attribute) = slot.key();
        let first_index = slot.first_index();
        let queue = match self.queues.entry(customer) {
            Entry::Occupied(entry) => {
                let queue = entry.into_mut();
                if first_index < queue.first_index {
                    self.order.remove(&queue.first_index);
                    self.order.insert(first_index, customer);
                    queue.first_index = first_index;
                }
                queue
            }
            Entry::Vacant(entry) => {
                self.order.insert(first_index, customer);
                entry.insert(CustomerQueue {
                    first_index,
                    slots: Vec::new(),
                })
            }
        };
        let slots = &mut queue.slots;
        match slots.binary_search_by_key(&attribute, |slot| slot.key().1) {
            Err(position) => slots.insert(position, slot),
            // In bounds: the search found the position in the same vector.
            Ok(position) => merge(&mut slots[position], slot),
        }
    }

    /// Returns the waiting customers, oldest first: the index of the oldest row, the customer, and
    /// its slots.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = (u64, i64, &[Slot<R>])> {
        self.order
            .iter()
            .map(|(&first_index, &customer)| (first_index, customer, self.slots(customer)))
    }

    /// Returns the waiting slots of a customer, sorted by attribute.
    pub(crate) fn slots(&self, customer: i64) -> &[Slot<R>] {
        let queue = self.queues.get(&customer);
        queue.map_or(&[], |queue| queue.slots.as_slice())
    }

    /// Removes and returns a batch: all slots of the oldest eligible customers, as many as fit.
    ///
    /// The first customer is included even if it does not fit.
    pub(crate) fn take_batch(
        &mut self,
        limit: BatchLimit,
        is_eligible: impl Fn(i64, &[Slot<R>]) -> bool,
    ) -> Vec<Slot<R>> {
        let (mut rows, mut url_len) = (0_usize, 0_usize);
        let customers: Vec<_> = self
            .oldest_first()
            .filter(|&(_, customer, slots)| is_eligible(customer, slots))
            .take(limit.customers)
            .take_while(|&(_, _, slots)| {
                let is_first = rows == 0;
                let may_exceed_rows = limit.may_exceed_rows && rows <= limit.rows;
                rows += slots.len();
                url_len += slots
                    .iter()
                    .map(|slot| R::url_len(&slot.row.wire))
                    .sum::<usize>();
                is_first || ((may_exceed_rows || rows <= limit.rows) && url_len <= limit.url_len)
            })
            .map(|(_, customer, _)| customer)
            .collect();
        let mut batch = Vec::with_capacity(rows);
        for customer in customers {
            batch.extend(self.remove(customer));
        }
        batch
    }

    /// Removes and returns the slots of a customer that match.
    pub(crate) fn extract_if(
        &mut self,
        customer: i64,
        matches: impl Fn(&Slot<R>) -> bool,
    ) -> Vec<Slot<R>> {
        let (extracted, rest): (Vec<_>, Vec<_>) =
            self.remove(customer).into_iter().partition(matches);
        for slot in rest {
            self.insert(slot);
        }
        extracted
    }

    /// Removes a customer and returns its slots.
    fn remove(&mut self, customer: i64) -> Vec<Slot<R>> {
        let Some(queue) = self.queues.remove(&customer) else {
            return Vec::new();
        };
        self.order.remove(&queue.first_index);
        self.row_count -= queue.slots.iter().map(Slot::row_count).sum::<usize>();
        queue.slots
    }

    /// Removes and returns all slots, oldest customers first.
    pub(crate) fn drain(&mut self) -> Vec<Slot<R>> {
        self.take_batch(BatchLimit::UNLIMITED, |_, _| true)
    }
}

/// Merges two slots of one customer and attribute.
fn merge<R: BatchItem>(slot: &mut Slot<R>, mut other: Slot<R>) {
    if other.row.index > slot.row.index {
        std::mem::swap(slot, &mut other);
    }
    let mut older = other.older;
    older.push(other.row);
    older.append(&mut slot.older);
    slot.older = older;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::value::UpsertRow;

    fn slot(index: u64, customer: i64, attribute: i64) -> Slot<UpsertRow> {
        let row = UpsertRow::new(customer, attribute, index);
        Slot::new(PendingRow {
            index,
            metadata: row.clone().into_metadata(),
            may_be_stored: false,
            wire: row.to_wire().expect("the row is valid"),
        })
    }

    /// Creates a window with a row per key, each a customer and an attribute.
    fn window(keys: &[(i64, i64)]) -> Window<UpsertRow> {
        let mut window = Window::default();
        for (index, &(customer, attribute)) in keys.iter().enumerate() {
            window.insert(slot(index as u64, customer, attribute));
        }
        window
    }

    fn take(window: &mut Window<UpsertRow>, customers: usize, rows: usize) -> Vec<Slot<UpsertRow>> {
        let limit = BatchLimit {
            customers,
            rows,
            ..BatchLimit::UNLIMITED
        };
        window.take_batch(limit, |_, _| true)
    }

    fn indexes(batch: &[Slot<UpsertRow>]) -> Vec<u64> {
        batch.iter().map(|slot| slot.row.index).collect()
    }

    fn older_indexes(slot: &Slot<UpsertRow>) -> Vec<u64> {
        slot.older.iter().map(|row| row.index).collect()
    }

    fn oldest_index(window: &Window<UpsertRow>, busy: &HashSet<i64>) -> Option<u64> {
        let mut idle = window
            .oldest_first()
            .filter(|(_, customer, _)| !busy.contains(customer));
        idle.next().map(|(first_index, ..)| first_index)
    }

    #[test]
    fn the_oldest_customers_are_sent_first_with_all_their_rows() {
        let mut window = window(&[(5, 1), (3, 1), (9, 1), (5, 2), (3, 2)]);
        assert_eq!(oldest_index(&window, &HashSet::new()), Some(0));
        assert_eq!(indexes(&take(&mut window, 2, usize::MAX)), [0, 3, 1, 4]);
        assert_eq!(window.row_count(), 1);
        assert_eq!(indexes(&take(&mut window, 2, usize::MAX)), [2]);
        assert!(window.is_empty());
        assert!(take(&mut window, 2, usize::MAX).is_empty());
    }

    #[test]
    fn a_batch_keeps_to_the_limit_of_rows_except_for_its_first_customer() {
        let mut window = window(&[(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2), (4, 1)]);
        assert_eq!(indexes(&take(&mut window, 10, 2)), [0, 1, 2]);
        assert_eq!(indexes(&take(&mut window, 10, 2)), [3]);
        assert_eq!(indexes(&take(&mut window, 10, 3)), [4, 5, 6]);
    }

    #[test]
    fn a_customer_in_flight_waits_without_delaying_others() {
        let mut window = window(&[(1, 1), (2, 1), (1, 2), (3, 1)]);
        let busy = HashSet::from([1]);
        assert_eq!(oldest_index(&window, &busy), Some(1));
        let is_idle = |customer, _: &[_]| !busy.contains(&customer);
        let limit = BatchLimit {
            customers: 10,
            ..BatchLimit::UNLIMITED
        };
        assert_eq!(indexes(&window.take_batch(limit, is_idle)), [1, 3]);
        assert_eq!(oldest_index(&window, &busy), None);
        assert_eq!(indexes(&take(&mut window, 10, usize::MAX)), [0, 2]);
    }

    #[test]
    fn the_latest_row_of_a_slot_is_sent_and_keeps_the_older_ones() {
        let mut window = window(&[(1, 1), (1, 1), (1, 2), (1, 1)]);
        assert_eq!(window.row_count(), 4);
        let batch = take(&mut window, 10, usize::MAX);
        assert_eq!(indexes(&batch), [3, 2]);
        assert_eq!(older_indexes(&batch[0]), [0, 1]);
        assert_eq!(window.row_count(), 0);
    }

    #[test]
    fn a_requeued_slot_becomes_an_older_row_and_regains_its_position() {
        let mut window = window(&[(1, 1), (2, 1)]);
        let mut batch = take(&mut window, 1, usize::MAX);
        window.insert(slot(2, 1, 1));
        assert_eq!(oldest_index(&window, &HashSet::new()), Some(1));
        window.insert(batch.remove(0));
        let batch = take(&mut window, 1, usize::MAX);
        assert_eq!(indexes(&batch), [2]);
        assert_eq!(older_indexes(&batch[0]), [0]);
        assert_eq!(window.row_count(), 1);
    }
}
