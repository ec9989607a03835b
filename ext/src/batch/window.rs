//! Packing: which rows go into the next call.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashMapExt};

use super::item::BatchItem;

/// A row that was taken from the input and keeps to the config.
#[derive(Clone, Debug)]
pub(crate) struct PendingRow<R: BatchItem> {
    pub index: u64,
    pub metadata: R::Metadata,
    pub wire: R::Wire,
    /// Whether an answer leaves it open: it came with a refused call whose good rows may have been
    /// stored, or the answer left it out.
    pub may_be_stored: bool,
}

/// What is to be sent for one customer and one attribute: the latest row, and those that it
/// replaced, oldest first, which stand in for it should the server reject it.
#[derive(Clone, Debug)]
pub(crate) struct Slot<R: BatchItem> {
    pub row: PendingRow<R>,
    pub older: Vec<PendingRow<R>>,
    /// How many answers have left the row out so far.
    pub left_out: u32,
}

impl<R: BatchItem> Slot<R> {
    pub(crate) fn key(&self) -> (i64, i64) {
        R::key(&self.row.wire)
    }

    fn rows(&self) -> usize {
        1 + self.older.len()
    }

    fn first_index(&self) -> u64 {
        self.older.first().unwrap_or(&self.row).index
    }
}

/// The rows that wait to be sent, grouped by customer; a customer's place is that of its oldest
/// row.
#[derive(Debug)]
pub(crate) struct Window<R: BatchItem> {
    customers: HashMap<i64, CustomerQueue<R>>,
    /// Customers by the index of their oldest row.
    order: BTreeMap<u64, i64>,
    rows: usize,
}

#[derive(Debug)]
struct CustomerQueue<R: BatchItem> {
    place: u64,
    /// Sorted by attribute.
    slots: Vec<Slot<R>>,
}

/// How much a call may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimit {
    pub customers: usize,
    pub rows: usize,
    /// Whether one customer more may go beyond `rows`.
    pub beyond_rows: bool,
    /// Bytes of its URL that the rows may take.
    pub length: usize,
}

impl BatchLimit {
    pub(crate) const ANY: Self = Self {
        customers: usize::MAX,
        rows: usize::MAX,
        beyond_rows: false,
        length: usize::MAX,
    };
}

impl<R: BatchItem> Default for Window<R> {
    fn default() -> Self {
        Self {
            customers: HashMap::new(),
            order: BTreeMap::new(),
            rows: 0,
        }
    }
}

impl<R: BatchItem> Window<R> {
    /// How many rows wait, those that were replaced included.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Takes a row in. Rows come in the order of their indexes, so it replaces one that waits for
    /// the same customer and attribute.
    pub(crate) fn push(&mut self, row: PendingRow<R>) {
        self.insert(Slot {
            row,
            older: Vec::new(),
            left_out: 0,
        });
    }

    /// Puts back a slot that was cut and is to be sent after all: in its old place, below a newer
    /// row that has come for the same customer and attribute.
    pub(crate) fn put_back(&mut self, slot: Slot<R>) {
        self.insert(slot);
    }

    /// Says whether a row waits for this customer and attribute.
    pub(crate) fn holds(&self, (customer, attribute): (i64, i64)) -> bool {
        self.customers.get(&customer).is_some_and(|waiting| {
            let slots = &waiting.slots;
            slots
                .binary_search_by_key(&attribute, |slot| slot.key().1)
                .is_ok()
        })
    }

    fn insert(&mut self, slot: Slot<R>) {
        self.rows += slot.rows();
        let (customer, attribute) = slot.key();
        let first = slot.first_index();
        let waiting = match self.customers.entry(customer) {
            Entry::Occupied(entry) => {
                let waiting = entry.into_mut();
                if first < waiting.place {
                    self.order.remove(&waiting.place);
                    self.order.insert(first, customer);
                    waiting.place = first;
                }
                waiting
            }
            Entry::Vacant(entry) => {
                self.order.insert(first, customer);
                entry.insert(CustomerQueue {
                    place: first,
                    slots: Vec::new(),
                })
            }
        };
        let slots = &mut waiting.slots;
        match slots.binary_search_by_key(&attribute, |slot| slot.key().1) {
            Err(place) => slots.insert(place, slot),
            // The place is one that the search found in the same vector.
            Ok(place) => merge(&mut slots[place], slot),
        }
    }

    /// The customers that wait, oldest first, with the index of their oldest row and what waits
    /// for them.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = (u64, i64, &[Slot<R>])> {
        self.order
            .iter()
            .map(|(&place, &customer)| (place, customer, self.of_customer(customer)))
    }

    /// What waits for a customer, in the order of attributes.
    pub(crate) fn of_customer(&self, customer: i64) -> &[Slot<R>] {
        let waiting = self.customers.get(&customer);
        waiting.map_or(&[], |waiting| waiting.slots.as_slice())
    }

    /// Cuts a batch: all rows of the oldest customers that may go, as many as fit; the first one
    /// goes even if it does not fit.
    pub(crate) fn cut(
        &mut self,
        most: BatchLimit,
        may_go: impl Fn(i64, &[Slot<R>]) -> bool,
    ) -> Vec<Slot<R>> {
        let (mut slots, mut length) = (0_usize, 0_usize);
        let chosen: Vec<_> = self
            .oldest_first()
            .filter(|&(_, customer, waiting)| may_go(customer, waiting))
            .take(most.customers)
            .take_while(|&(_, _, waiting)| {
                let is_first = slots == 0;
                let goes_beyond = most.beyond_rows && slots <= most.rows;
                slots += waiting.len();
                length += waiting
                    .iter()
                    .map(|slot| R::url_len(&slot.row.wire))
                    .sum::<usize>();
                is_first || ((goes_beyond || slots <= most.rows) && length <= most.length)
            })
            .map(|(_, customer, _)| customer)
            .collect();
        let mut batch = Vec::with_capacity(slots);
        for customer in chosen {
            batch.extend(self.remove(customer));
        }
        batch
    }

    /// Takes slots of a customer out.
    pub(crate) fn take(&mut self, customer: i64, takes: impl Fn(&Slot<R>) -> bool) -> Vec<Slot<R>> {
        let (taken, left): (Vec<_>, Vec<_>) = self.remove(customer).into_iter().partition(takes);
        for slot in left {
            self.insert(slot);
        }
        taken
    }

    /// Takes out all that waits for a customer.
    fn remove(&mut self, customer: i64) -> Vec<Slot<R>> {
        let Some(waiting) = self.customers.remove(&customer) else {
            return Vec::new();
        };
        self.order.remove(&waiting.place);
        self.rows -= waiting.slots.iter().map(Slot::rows).sum::<usize>();
        waiting.slots
    }

    /// Takes out everything, oldest customers first.
    pub(crate) fn drain(&mut self) -> Vec<Slot<R>> {
        self.cut(BatchLimit::ANY, |_, _| true)
    }
}

/// Makes one slot of two: the latest row counts, the others are older ones.
fn merge<R: BatchItem>(there: &mut Slot<R>, mut other: Slot<R>) {
    if other.row.index > there.row.index {
        std::mem::swap(there, &mut other);
    }
    let mut older = other.older;
    older.push(other.row);
    older.append(&mut there.older);
    there.older = older;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::UpsertRow;

    fn taken(index: u64, customer: i64, attribute: i64) -> PendingRow<UpsertRow> {
        let row = UpsertRow::new(customer, attribute, index);
        PendingRow {
            index,
            metadata: row.clone().into_metadata(),
            may_be_stored: false,
            wire: row.to_wire().expect("a good row"),
        }
    }

    fn window(rows: &[(i64, i64)]) -> Window<UpsertRow> {
        let mut window = Window::default();
        for (index, &(customer, attribute)) in rows.iter().enumerate() {
            window.push(taken(index as u64, customer, attribute));
        }
        window
    }

    fn indexes(batch: &[Slot<UpsertRow>]) -> Vec<u64> {
        batch.iter().map(|slot| slot.row.index).collect()
    }

    fn older(slot: &Slot<UpsertRow>) -> Vec<u64> {
        slot.older.iter().map(|row| row.index).collect()
    }

    fn most(customers: usize, rows: usize) -> BatchLimit {
        BatchLimit {
            customers,
            rows,
            ..BatchLimit::ANY
        }
    }

    fn oldest_free(window: &Window<UpsertRow>, busy: &HashSet<i64>) -> Option<u64> {
        let mut free = window
            .oldest_first()
            .filter(|(_, id, _)| !busy.contains(id));
        free.next().map(|(place, ..)| place)
    }

    #[test]
    fn the_oldest_customers_go_first_with_all_their_rows() {
        let mut window = window(&[(5, 1), (3, 1), (9, 1), (5, 2), (3, 2)]);
        let nobody = HashSet::new();
        assert_eq!(oldest_free(&window, &nobody), Some(0));
        assert_eq!(
            indexes(&window.cut(most(2, usize::MAX), |_, _| true)),
            [0, 3, 1, 4]
        );
        assert_eq!(window.rows(), 1);
        assert_eq!(indexes(&window.cut(most(2, usize::MAX), |_, _| true)), [2]);
        assert!(window.is_empty());
        assert!(window.cut(most(2, usize::MAX), |_, _| true).is_empty());
    }

    #[test]
    fn rows_are_limited_too() {
        let mut window = window(&[(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2), (4, 1)]);
        assert_eq!(indexes(&window.cut(most(10, 2), |_, _| true)), [0, 1, 2]);
        assert_eq!(indexes(&window.cut(most(10, 2), |_, _| true)), [3]);
        assert_eq!(indexes(&window.cut(most(10, 3), |_, _| true)), [4, 5, 6]);
    }

    #[test]
    fn a_customer_in_flight_waits_and_holds_up_nobody() {
        let mut window = window(&[(1, 1), (2, 1), (1, 2), (3, 1)]);
        let busy = HashSet::from([1]);
        assert_eq!(oldest_free(&window, &busy), Some(1));
        assert_eq!(
            indexes(&window.cut(most(10, usize::MAX), |id, _| !busy.contains(&id))),
            [1, 3]
        );
        assert_eq!(oldest_free(&window, &busy), None);
        assert_eq!(
            indexes(&window.cut(most(10, usize::MAX), |_, _| true)),
            [0, 2]
        );
    }

    #[test]
    fn the_latest_row_counts_and_keeps_those_it_replaced() {
        let mut window = window(&[(1, 1), (1, 1), (1, 2), (1, 1)]);
        assert_eq!(window.rows(), 4);
        let batch = window.cut(most(10, usize::MAX), |_, _| true);
        assert_eq!(indexes(&batch), [3, 2]);
        assert_eq!(older(&batch[0]), [0, 1]);
        assert_eq!(window.rows(), 0);
    }

    #[test]
    fn what_is_put_back_goes_below_newer_rows_and_in_its_old_place() {
        let mut window = window(&[(1, 1), (2, 1)]);
        let mut cut = window.cut(most(1, usize::MAX), |_, _| true);
        window.push(taken(2, 1, 1));
        assert_eq!(oldest_free(&window, &HashSet::new()), Some(1));
        window.put_back(cut.remove(0));
        let batch = window.cut(most(1, usize::MAX), |_, _| true);
        assert_eq!(indexes(&batch), [2]);
        assert_eq!(older(&batch[0]), [0]);
        assert_eq!(window.rows(), 1);
    }
}
