//! Packing: which rows go into the next call.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use bigcommerce_sdk::types;

/// A row that was taken from the input and keeps to the rules.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub index: u64,
    pub tag: Option<Box<str>>,
    pub wire: types::AttributeValueUpsert,
    /// Whether an answer leaves it open: it came with a refused call whose good rows may have been
    /// stored, or the answer left it out.
    pub may_be_stored: bool,
}

/// What is to be sent for one customer and one attribute: the latest row, and those that it
/// replaced, oldest first, which stand in for it should the server reject it.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub row: Taken,
    pub older: Vec<Taken>,
    /// How many answers have left the row out so far.
    pub left_out: u32,
}

impl Slot {
    pub(crate) fn key(&self) -> (i64, i64) {
        (self.row.wire.customer_id, self.row.wire.attribute_id)
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
#[derive(Debug, Default)]
pub(crate) struct Window {
    customers: HashMap<i64, Waiting>,
    /// Customers by the index of their oldest row.
    order: BTreeMap<u64, i64>,
    rows: usize,
}

#[derive(Debug)]
struct Waiting {
    place: u64,
    /// Sorted by attribute.
    slots: Vec<Slot>,
}

impl Window {
    /// How many rows wait, those that were replaced included.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Takes a row in. Rows come in the order of their indexes, so it replaces one that waits for
    /// the same customer and attribute.
    pub(crate) fn push(&mut self, row: Taken) {
        self.insert(Slot {
            row,
            older: Vec::new(),
            left_out: 0,
        });
    }

    /// Puts back a slot that was cut and is to be sent after all: in its old place, below a newer
    /// row that has come for the same customer and attribute.
    pub(crate) fn put_back(&mut self, slot: Slot) {
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

    fn insert(&mut self, slot: Slot) {
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
                entry.insert(Waiting {
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

    /// The index of the oldest row whose customer is not in flight.
    pub(crate) fn oldest_free(&self, busy: &HashSet<i64>) -> Option<u64> {
        self.free(busy).next().map(|(place, _)| place)
    }

    /// Cuts a batch: all rows of the oldest customers that are not in flight, as many as fit; the
    /// first one goes even if it does not fit, and so does one more if `beyond_rows`.
    pub(crate) fn cut(
        &mut self,
        most_customers: usize,
        most_rows: usize,
        beyond_rows: bool,
        busy: &HashSet<i64>,
    ) -> Vec<Slot> {
        let mut slots = 0_usize;
        let chosen: Vec<_> = self
            .free(busy)
            .take(most_customers)
            .take_while(|(_, customer)| {
                let goes_anyhow = slots == 0 || (beyond_rows && slots <= most_rows);
                slots += self
                    .customers
                    .get(customer)
                    .map_or(0, |waiting| waiting.slots.len());
                goes_anyhow || slots <= most_rows
            })
            .collect();
        let mut batch = Vec::new();
        for (place, customer) in chosen {
            self.order.remove(&place);
            if let Some(waiting) = self.customers.remove(&customer) {
                batch.extend(waiting.slots);
            }
        }
        self.rows -= batch.iter().map(Slot::rows).sum::<usize>();
        batch
    }

    /// Takes out everything, oldest customers first.
    pub(crate) fn drain(&mut self) -> Vec<Slot> {
        self.cut(usize::MAX, usize::MAX, false, &HashSet::new())
    }

    fn free<'a>(&'a self, busy: &'a HashSet<i64>) -> impl Iterator<Item = (u64, i64)> + 'a {
        self.order
            .iter()
            .map(|(&place, &customer)| (place, customer))
            .filter(|(_, customer)| !busy.contains(customer))
    }
}

/// Makes one slot of two: the latest row counts, the others are older ones.
fn merge(there: &mut Slot, mut other: Slot) {
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
    use super::*;

    fn taken(index: u64, customer: i64, attribute: i64) -> Taken {
        let row = crate::AttributeValueUpsert::new(customer, attribute, index);
        Taken {
            index,
            tag: None,
            may_be_stored: false,
            wire: row.to_wire().expect("a good row"),
        }
    }

    fn window(rows: &[(i64, i64)]) -> Window {
        let mut window = Window::default();
        for (index, &(customer, attribute)) in rows.iter().enumerate() {
            window.push(taken(index as u64, customer, attribute));
        }
        window
    }

    fn indexes(batch: &[Slot]) -> Vec<u64> {
        batch.iter().map(|slot| slot.row.index).collect()
    }

    fn older(slot: &Slot) -> Vec<u64> {
        slot.older.iter().map(|row| row.index).collect()
    }

    #[test]
    fn the_oldest_customers_go_first_with_all_their_rows() {
        let mut window = window(&[(5, 1), (3, 1), (9, 1), (5, 2), (3, 2)]);
        let nobody = HashSet::new();
        assert_eq!(window.oldest_free(&nobody), Some(0));
        assert_eq!(
            indexes(&window.cut(2, usize::MAX, false, &nobody)),
            [0, 3, 1, 4]
        );
        assert_eq!(window.rows(), 1);
        assert_eq!(indexes(&window.cut(2, usize::MAX, false, &nobody)), [2]);
        assert!(window.is_empty());
        assert!(window.cut(2, usize::MAX, false, &nobody).is_empty());
    }

    #[test]
    fn rows_are_limited_too() {
        let mut window = window(&[(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2), (4, 1)]);
        let nobody = HashSet::new();
        assert_eq!(indexes(&window.cut(10, 2, false, &nobody)), [0, 1, 2]);
        assert_eq!(indexes(&window.cut(10, 2, false, &nobody)), [3]);
        assert_eq!(indexes(&window.cut(10, 3, false, &nobody)), [4, 5, 6]);
    }

    #[test]
    fn a_customer_in_flight_waits_and_holds_up_nobody() {
        let mut window = window(&[(1, 1), (2, 1), (1, 2), (3, 1)]);
        let busy = HashSet::from([1]);
        assert_eq!(window.oldest_free(&busy), Some(1));
        assert_eq!(indexes(&window.cut(10, usize::MAX, false, &busy)), [1, 3]);
        assert_eq!(window.oldest_free(&busy), None);
        assert_eq!(
            indexes(&window.cut(10, usize::MAX, false, &HashSet::new())),
            [0, 2]
        );
    }

    #[test]
    fn the_latest_row_counts_and_keeps_those_it_replaced() {
        let mut window = window(&[(1, 1), (1, 1), (1, 2), (1, 1)]);
        assert_eq!(window.rows(), 4);
        let batch = window.cut(10, usize::MAX, false, &HashSet::new());
        assert_eq!(indexes(&batch), [3, 2]);
        assert_eq!(older(&batch[0]), [0, 1]);
        assert_eq!(window.rows(), 0);
    }

    #[test]
    fn what_is_put_back_goes_below_newer_rows_and_in_its_old_place() {
        let mut window = window(&[(1, 1), (2, 1)]);
        let mut cut = window.cut(1, usize::MAX, false, &HashSet::new());
        window.push(taken(2, 1, 1));
        assert_eq!(window.oldest_free(&HashSet::new()), Some(1));
        window.put_back(cut.remove(0));
        let batch = window.cut(1, usize::MAX, false, &HashSet::new());
        assert_eq!(indexes(&batch), [2]);
        assert_eq!(older(&batch[0]), [0]);
        assert_eq!(window.rows(), 1);
    }
}
