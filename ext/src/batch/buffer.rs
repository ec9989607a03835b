//! The rows that wait: which customers are read first, which rows are sent, and when. Pure.
//!
//! The time per row depends neither on the number of rows or customers that wait, nor on the number
//! of customers in flight.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bigcommerce_sdk::types;
use foldhash::{HashMap, HashMapExt};
use tokio::time::Instant;

use super::item::BatchItem;
use super::read_balance::{FinishedRead, ReadBalance};
use super::slot::Slot;
use crate::client::url_budget::id_len;
use crate::list::ReadRequest;
use crate::normalization::Normalization;

/// How long a changed row waits for more of them while unchanged rows are skipped.
const MAX_WAIT_FOR_COMPANY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub(crate) struct BufferConfig {
    /// The maximum number of rows that wait.
    pub window: usize,
    pub customers_per_call: usize,
    /// The number of URL bytes that the rows of a batch may take.
    pub max_url_len: usize,
    /// How long a row may wait for more rows.
    pub max_wait: Duration,
    /// Whether customers are read first and only changed rows are sent.
    pub skips_unchanged: bool,
}

/// The maximum size of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimit {
    pub customers: usize,
    pub rows: usize,
    /// Whether the last customer of the batch may exceed `rows`.
    pub may_exceed_rows: bool,
}

/// Returns `true` for a customer that an abandoned request may still write.
///
/// Such customers are passed over one by one: there are never more of them than requests in flight
/// have customers.
pub(crate) type IsHeld<'a> = &'a dyn Fn(i64) -> bool;

/// The rows that wait, one queue per customer.
#[derive(Debug)]
pub(crate) struct Buffer<R: BatchItem> {
    config: BufferConfig,
    normalization: Normalization,
    /// The customers with waiting rows, and those of calls in flight.
    customers: HashMap<i64, Customer<R>>,
    /// Waiting customers that must be read first, by the index of their oldest row.
    unread: BTreeMap<u64, i64>,
    /// Waiting customers that can be sent, by the index of their oldest row.
    sendable: BTreeMap<u64, i64>,
    /// Sendable customers in the order in which they were found changed.
    changed: BTreeMap<u64, ChangedCustomer>,
    changes_found: u64,
    reads: HashMap<u64, ReadInFlight>,
    last_read_id: u64,
    /// The number of rows that were read so far.
    rows_read: u64,
    read_balance: ReadBalance,
    unchanged: Vec<Slot<R>>,
    row_count: usize,
    /// The index of the next row of the input.
    next_index: u64,
    /// Rows with a lower index are due, whenever they came.
    due_before: u64,
    /// Rows with a lower index are sent in full batches, though they are not due.
    flush_before: u64,
}

#[derive(Debug)]
struct Customer<R: BatchItem> {
    /// The index of the oldest waiting row, and when it began to wait.
    first_index: u64,
    since: Instant,
    /// Sorted by attribute.
    slots: Vec<Slot<R>>,
    /// The number of slots whose values in the store are not known.
    uncovered: usize,
    known: Option<KnownValues>,
    /// Whether a call in flight reads or writes the customer.
    is_busy: bool,
    position: Position,
}

/// In which of the buffer's queues a customer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// None: the customer is busy or has no rows.
    Nowhere,
    Unread {
        first_index: u64,
    },
    Sendable {
        first_index: u64,
        /// The key in [`Buffer::changed`], if customers are read.
        change: Option<u64>,
    },
}

/// What the store holds for a customer: the values that were read, and those written since.
#[derive(Debug)]
struct KnownValues {
    /// The attributes that were read, sorted. `None` if all rows count as changed.
    attributes: Option<Arc<[i64]>>,
    /// Sorted by attribute.
    values: Vec<(i64, String)>,
}

#[derive(Clone, Copy, Debug)]
struct ChangedCustomer {
    customer: i64,
    /// When the customer was found changed, and how many rows had been read.
    at: Instant,
    rows_read: u64,
}

#[derive(Debug)]
struct ReadInFlight {
    request: ReadRequest,
    /// The number of values per page.
    max_values: usize,
    is_full: bool,
}

/// The customers of the next batch.
struct Selection {
    customers: Vec<i64>,
    /// Whether no other customer fits.
    is_full: bool,
}

impl KnownValues {
    fn covers(&self, attribute: i64) -> bool {
        let attributes = self.attributes.as_ref();
        attributes.is_none_or(|read| read.binary_search(&attribute).is_ok())
    }

    fn get(&self, attribute: i64) -> Option<&str> {
        let found = self.values.binary_search_by_key(&attribute, |(id, _)| *id);
        let (_, value) = self.values.get(found.ok()?)?;
        Some(value)
    }

    fn record(&mut self, attribute: i64, value: String) {
        match self.values.binary_search_by_key(&attribute, |(id, _)| *id) {
            // In bounds: the search found the position in the same vector.
            Ok(position) => self.values[position].1 = value,
            Err(position) => self.values.insert(position, (attribute, value)),
        }
    }
}

impl<R: BatchItem> Customer<R> {
    fn covers(&self, attribute: i64) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| known.covers(attribute))
    }

    fn holds(&self, slot: &Slot<R>, normalization: &Normalization) -> bool {
        let (_, attribute) = slot.key();
        let known = self.known.as_ref();
        known
            .and_then(|known| known.get(attribute))
            .is_some_and(|stored| {
                normalization.is_stored_as(attribute, R::value(&slot.row.wire), stored)
            })
    }

    fn search(&self, attribute: i64) -> Result<usize, usize> {
        self.slots
            .binary_search_by_key(&attribute, |slot| slot.key().1)
    }

    /// Counts the slots whose values in the store are not known, after others became known.
    fn count_uncovered(&mut self) {
        let slots = self.slots.iter();
        self.uncovered = slots.filter(|slot| !self.covers(slot.key().1)).count();
    }

    /// Finds the oldest of the waiting rows again, after others were removed.
    fn update_oldest(&mut self) {
        let oldest = self
            .slots
            .iter()
            .min_by_key(|slot| slot.first_index())
            .map(|slot| (slot.first_index(), slot.since));
        if let Some((first_index, since)) = oldest {
            self.first_index = first_index;
            self.since = since.unwrap_or(self.since);
        }
    }
}

impl<R: BatchItem> Buffer<R> {
    pub(crate) fn new(config: BufferConfig, normalization: Normalization) -> Self {
        Self {
            config,
            normalization,
            customers: HashMap::new(),
            unread: BTreeMap::new(),
            sendable: BTreeMap::new(),
            changed: BTreeMap::new(),
            changes_found: 0,
            reads: HashMap::new(),
            last_read_id: 0,
            rows_read: 0,
            read_balance: ReadBalance::new(config.customers_per_call),
            unchanged: Vec::new(),
            row_count: 0,
            next_index: 0,
            due_before: 0,
            flush_before: 0,
        }
    }

    /// Returns the number of waiting rows, older rows of a slot included.
    #[cfg(test)]
    pub(crate) fn row_count(&self) -> usize {
        self.row_count
    }

    /// Returns `true` if rows wait whose customers no call in flight has.
    pub(crate) fn has_idle_customers(&self) -> bool {
        !self.sendable.is_empty() || !self.unread.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn was_reading_suspended(&self) -> bool {
        self.read_balance.was_suspended()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.row_count >= self.config.window
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.row_count == 0
    }

    /// Returns `true` if a row waits for this customer and attribute.
    pub(crate) fn contains(&self, (customer, attribute): (i64, i64)) -> bool {
        let customer = self.customers.get(&customer);
        customer.is_some_and(|customer| customer.search(attribute).is_ok())
    }

    /// Returns `true` if rows wait for the window to fill up or for the input to become idle.
    pub(crate) fn has_unflushed_rows(&self) -> bool {
        !self.is_empty() && self.due_before < self.next_index
    }

    /// Records that the input is idle. All waiting rows are due now.
    pub(crate) fn mark_idle(&mut self) {
        self.due_before = self.due_before.max(self.next_index);
    }

    /// Records the end of the input. All rows are due, now and later.
    pub(crate) fn end_input(&mut self) {
        self.due_before = u64::MAX;
    }

    /// Inserts a slot, merging it with a slot that waits for the same customer and attribute.
    ///
    /// The row with the highest index is the one to send. The customer keeps, or gets back, the
    /// position of its oldest row. A slot that was in a batch before keeps its age.
    pub(crate) fn insert(&mut self, mut slot: Slot<R>, now: Instant) {
        let since = *slot.since.get_or_insert(now);
        let first_index = slot.first_index();
        let (id, attribute) = slot.key();
        self.row_count += slot.row_count();
        self.next_index = self.next_index.max(slot.row.index + 1);
        let customer = self.customers.entry(id).or_insert_with(|| Customer {
            first_index,
            since,
            slots: Vec::new(),
            uncovered: 0,
            known: None,
            is_busy: false,
            position: Position::Nowhere,
        });
        if customer.slots.is_empty() || first_index < customer.first_index {
            customer.first_index = first_index;
            customer.since = since;
        }
        let position = match customer.search(attribute) {
            Ok(position) => {
                // In bounds: the search found the position in the same vector.
                customer.slots[position].merge(slot);
                position
            }
            Err(position) => {
                customer.uncovered += usize::from(!customer.covers(attribute));
                customer.slots.insert(position, slot);
                position
            }
        };
        if self.config.skips_unchanged
            && !customer.is_busy
            && customer.holds(&customer.slots[position], &self.normalization)
        {
            let slot = customer.slots.remove(position);
            if slot.first_index() == customer.first_index {
                customer.update_oldest();
            }
            self.row_count -= slot.row_count();
            self.unchanged.push(slot);
        }
        self.update_position(id, now);
    }

    /// Moves a customer to the queue in which it belongs. Forgets it if it is in no queue and no
    /// call.
    fn update_position(&mut self, id: i64, now: Instant) {
        let Entry::Occupied(mut entry) = self.customers.entry(id) else {
            return;
        };
        let customer = entry.get_mut();
        let first_index = customer.first_index;
        let position = if customer.is_busy || customer.slots.is_empty() {
            Position::Nowhere
        } else if self.config.skips_unchanged && customer.uncovered > 0 {
            Position::Unread { first_index }
        } else {
            let change = match customer.position {
                Position::Sendable { change, .. } => change,
                _ => self.config.skips_unchanged.then(|| {
                    self.changes_found += 1;
                    let changed = ChangedCustomer {
                        customer: id,
                        at: now,
                        rows_read: self.rows_read,
                    };
                    self.changed.insert(self.changes_found, changed);
                    self.changes_found
                }),
            };
            Position::Sendable {
                first_index,
                change,
            }
        };
        let before = std::mem::replace(&mut customer.position, position);
        if customer.slots.is_empty() && !customer.is_busy {
            entry.remove();
        }
        if before == position {
            return;
        }
        match before {
            Position::Nowhere => {}
            Position::Unread { first_index } => {
                self.unread.remove(&first_index);
            }
            Position::Sendable {
                first_index,
                change,
            } => {
                self.sendable.remove(&first_index);
                if let Some(change) = change
                    && !matches!(position, Position::Sendable { .. })
                {
                    self.changed.remove(&change);
                }
            }
        }
        match position {
            Position::Nowhere => {}
            Position::Unread { first_index } => {
                self.unread.insert(first_index, id);
            }
            Position::Sendable { first_index, .. } => {
                self.sendable.insert(first_index, id);
            }
        }
    }

    /// Removes a customer's unchanged rows, after its values have become known or it was released.
    fn remove_unchanged_rows(&mut self, id: i64) {
        let Some(customer) = self.customers.get_mut(&id) else {
            return;
        };
        let slots = std::mem::take(&mut customer.slots);
        let count = slots.len();
        for slot in slots {
            if customer.holds(&slot, &self.normalization) {
                self.row_count -= slot.row_count();
                self.unchanged.push(slot);
            } else {
                customer.slots.push(slot);
            }
        }
        if customer.slots.len() < count {
            customer.update_oldest();
        }
    }

    /// Returns `true` if unread customers are sent, because none are read at all or reading is
    /// suspended.
    fn sends_unread(&self) -> bool {
        !self.config.skips_unchanged || self.read_balance.is_suspended()
    }

    /// Returns the customers that can be sent, oldest first.
    fn candidates(&self, is_held: IsHeld<'_>) -> impl Iterator<Item = (i64, &Customer<R>)> {
        let end = if self.sends_unread() { u64::MAX } else { 0 };
        let mut unread = self.unread.range(..end).peekable();
        let mut sendable = self.sendable.iter().peekable();
        std::iter::from_fn(move || match (unread.peek(), sendable.peek()) {
            (Some((one, _)), Some((other, _))) if one < other => unread.next(),
            (_, Some(_)) => sendable.next(),
            _ => unread.next(),
        })
        .filter(move |&(_, &id)| !is_held(id))
        .filter_map(|(_, &id)| Some((id, self.customers.get(&id)?)))
    }

    fn oldest_unread(&self, is_held: IsHeld<'_>) -> Option<&Customer<R>> {
        let mut unread = self.unread.values().filter(|id| !is_held(**id));
        unread.next().and_then(|id| self.customers.get(id))
    }

    fn first_changed(&self, is_held: IsHeld<'_>) -> Option<&ChangedCustomer> {
        let mut changed = self.changed.values();
        changed.find(|changed| !is_held(changed.customer))
    }

    /// Selects the oldest customers, as many as fit. The first one is selected even if it doesn't.
    fn select(&self, limit: BatchLimit, is_held: IsHeld<'_>) -> Selection {
        let max_customers = self.max_customers(limit);
        let (mut rows, mut url_len) = (0_usize, 0_usize);
        let mut selection = Selection {
            customers: Vec::new(),
            is_full: false,
        };
        for (id, customer) in self.candidates(is_held) {
            let may_exceed_rows = limit.may_exceed_rows && rows <= limit.rows;
            rows += customer.slots.len();
            let slots = customer.slots.iter();
            url_len += slots.map(|slot| R::url_len(&slot.row.wire)).sum::<usize>();
            let fits =
                (may_exceed_rows || rows <= limit.rows) && url_len <= self.config.max_url_len;
            if !fits && !selection.customers.is_empty() {
                selection.is_full = true;
                break;
            }
            selection.customers.push(id);
            if selection.customers.len() >= max_customers {
                selection.is_full = true;
                break;
            }
        }
        selection.is_full |= rows >= limit.rows;
        selection
    }

    /// Returns the customers of the batch that [`next_batch`](Self::next_batch) returns, if one is due.
    pub(crate) fn selected(&self, limit: BatchLimit, is_held: IsHeld<'_>) -> Vec<i64> {
        self.select(limit, is_held).customers
    }

    fn max_customers(&self, limit: BatchLimit) -> usize {
        limit.customers.min(self.config.customers_per_call)
    }

    /// Returns `true` if a customer's rows wait for nothing.
    fn is_due(&self, customer: &Customer<R>, now: Instant, max_wait: Duration) -> bool {
        self.is_full()
            || customer.first_index < self.due_before
            || now.saturating_duration_since(customer.since) >= max_wait
    }

    /// Returns `true` if [`next_batch`](Self::next_batch) returns a batch.
    pub(crate) fn has_due_batch(
        &self,
        now: Instant,
        limit: BatchLimit,
        is_held: IsHeld<'_>,
    ) -> bool {
        let Some((_, oldest)) = self.candidates(is_held).next() else {
            return false;
        };
        if self.sends_unread() {
            return self.is_due(oldest, now, self.config.max_wait)
                || (oldest.first_index < self.flush_before && self.select(limit, is_held).is_full);
        }
        // A smaller batch waits for the customers that are being read, or are yet to be.
        self.select(limit, is_held).is_full
            || self.has_waited_for_company(now, is_held)
            || ((self.is_full() || oldest.first_index < self.due_before)
                && self.reads.is_empty()
                && !self.has_due_read(now, is_held))
    }

    /// Returns `true` if a changed customer has waited long enough for others.
    fn has_waited_for_company(&self, now: Instant, is_held: IsHeld<'_>) -> bool {
        let window = u64::try_from(self.config.window).unwrap_or(u64::MAX);
        self.first_changed(is_held).is_some_and(|changed| {
            now.saturating_duration_since(changed.at) >= MAX_WAIT_FOR_COMPANY
                || self.rows_read - changed.rows_read >= window
        })
    }

    /// Removes and returns the next batch that is due, and marks its customers as busy.
    ///
    /// A batch has all rows of the oldest customers for which `is_claimed` returns `true`, as many as
    /// fit. Once a row is due, everything that waits is sent in full batches. Fewer customers that are
    /// left over, none of them due, wait on.
    pub(crate) fn next_batch(
        &mut self,
        now: Instant,
        limit: BatchLimit,
        is_held: IsHeld<'_>,
        is_claimed: IsHeld<'_>,
    ) -> Option<Vec<Slot<R>>> {
        if !self.has_due_batch(now, limit, is_held) {
            return None;
        }
        let selection = self.select(limit, &|id| !is_claimed(id) || is_held(id));
        let oldest = selection.customers.first();
        let oldest = oldest.and_then(|id| self.customers.get(id))?;
        let has_waited = now.saturating_duration_since(oldest.since) >= self.config.max_wait;
        if has_waited || oldest.first_index < self.due_before {
            self.flush_before = self.next_index;
        }
        let mut batch = Vec::new();
        let mut unread = 0;
        for id in selection.customers {
            let Some(customer) = self.customers.get_mut(&id) else {
                continue;
            };
            if let Position::Unread { .. } = customer.position {
                unread += 1;
                customer.known = Some(KnownValues {
                    attributes: None,
                    values: Vec::new(),
                });
            }
            self.row_count -= customer.slots.iter().map(Slot::row_count).sum::<usize>();
            batch.append(&mut customer.slots);
            customer.uncovered = 0;
            customer.is_busy = true;
            self.update_position(id, now);
        }
        self.read_balance.record_unread(unread);
        if !self.select(limit, is_held).is_full {
            self.flush_before = 0;
        }
        Some(batch)
    }

    /// Returns `true` if [`next_read`](Self::next_read) returns a read.
    pub(crate) fn has_due_read(&self, now: Instant, is_held: IsHeld<'_>) -> bool {
        !self.sends_unread()
            && self
                .oldest_unread(is_held)
                .is_some_and(|customer| self.is_due(customer, now, self.config.max_wait / 2))
    }

    /// Returns the next read that is due, and its ID for [`finish_read`](Self::finish_read). Marks
    /// its customers as busy.
    ///
    /// A read has as many customers as `max_values` values and `max_url_len` bytes of the URL
    /// allow, but at least one.
    pub(crate) fn next_read(
        &mut self,
        now: Instant,
        max_values: usize,
        max_url_len: usize,
        is_held: IsHeld<'_>,
    ) -> Option<(u64, ReadRequest)> {
        if !self.has_due_read(now, is_held) {
            return None;
        }
        let mut request = ReadRequest {
            customers: BTreeSet::new(),
            attributes: BTreeSet::new(),
        };
        let mut is_full = false;
        let (mut values, mut url_len) = (0, 0);
        for &id in self.unread.values().filter(|id| !is_held(**id)) {
            let Some(customer) = self.customers.get(&id) else {
                continue;
            };
            let attributes = customer.slots.iter().map(|slot| slot.key().1);
            let new = attributes
                .clone()
                .filter(|id| !request.attributes.contains(id));
            values += customer.slots.len();
            url_len += id_len(id) + new.map(id_len).sum::<usize>();
            if !request.customers.is_empty() && (values > max_values || url_len > max_url_len) {
                is_full = true;
                break;
            }
            request.customers.insert(id);
            request.attributes.extend(attributes);
        }
        for &id in &request.customers {
            if let Some(customer) = self.customers.get_mut(&id) {
                customer.is_busy = true;
            }
            self.update_position(id, now);
        }
        self.last_read_id += 1;
        let read = ReadInFlight {
            request: request.clone(),
            max_values,
            is_full,
        };
        self.reads.insert(self.last_read_id, read);
        Some((self.last_read_id, request))
    }

    /// Records the end of a read and releases its customers. If it failed, all of their rows count
    /// as changed.
    pub(crate) fn finish_read(
        &mut self,
        id: u64,
        result: Result<Vec<types::AttributeValue>, ()>,
        now: Instant,
    ) {
        let Some(read) = self.reads.remove(&id) else {
            return;
        };
        let ReadRequest {
            customers,
            attributes,
        } = read.request;
        let attributes: Option<Arc<[i64]>> = match result {
            Ok(_) => Some(attributes.into_iter().collect()),
            Err(()) => None,
        };
        for id in &customers {
            if let Some(customer) = self.customers.get_mut(id) {
                customer.known = Some(KnownValues {
                    attributes: attributes.clone(),
                    values: Vec::new(),
                });
            }
        }
        let values = result.unwrap_or_default();
        let requests = values.len().div_ceil(read.max_values.max(1)).max(1);
        for value in values {
            let id = value.customer_id;
            if customers.contains(&id)
                && let Some(customer) = self.customers.get_mut(&id)
                && let Some(known) = &mut customer.known
            {
                known.record(value.attribute_id, value.attribute_value);
            }
        }
        let mut changed = 0;
        for &id in &customers {
            let Some(customer) = self.customers.get_mut(&id) else {
                continue;
            };
            customer.is_busy = false;
            customer.count_uncovered();
            let rows = customer.slots.len() - customer.uncovered;
            self.rows_read += u64::try_from(rows).unwrap_or(u64::MAX);
            self.remove_unchanged_rows(id);
            if let Some(customer) = self.customers.get(&id) {
                changed += usize::from(customer.slots.len() > customer.uncovered);
            }
        }
        for id in &customers {
            self.update_position(*id, now);
        }
        self.read_balance.record_read(FinishedRead {
            requests,
            customers: customers.len(),
            changed,
            is_full: read.is_full,
        });
    }

    /// Releases the customers of a batch, whose job has ended.
    pub(crate) fn release(&mut self, customers: &[i64], now: Instant) {
        for &id in customers {
            if let Some(customer) = self.customers.get_mut(&id) {
                customer.is_busy = false;
            }
            if self.config.skips_unchanged {
                self.remove_unchanged_rows(id);
            }
            self.update_position(id, now);
        }
    }

    /// Returns the rows that were found unchanged since the last call.
    pub(crate) fn take_unchanged(&mut self) -> Vec<Slot<R>> {
        std::mem::take(&mut self.unchanged)
    }

    /// Records a value that was sent, and the text that the store holds for it now.
    pub(crate) fn record(&mut self, (customer, attribute): (i64, i64), sent: &str, stored: &str) {
        self.normalization.record(attribute, sent, stored);
        let customer = self.customers.get_mut(&customer);
        if let Some(known) = customer.and_then(|customer| customer.known.as_mut()) {
            known.record(attribute, stored.to_owned());
        }
    }

    /// Records that a customer's values are uncertain. It is read again before more is sent.
    pub(crate) fn forget(&mut self, id: i64, now: Instant) {
        if let Some(customer) = self.customers.get_mut(&id) {
            customer.known = None;
            customer.uncovered = customer.slots.len();
        }
        self.update_position(id, now);
    }

    /// Returns when a batch or a read is due that isn't yet, if nothing else happens.
    pub(crate) fn next_due(&self, now: Instant, is_held: IsHeld<'_>) -> Option<Instant> {
        let after = |since: Instant, wait| since.checked_add(wait).filter(|due| *due > now);
        if self.sends_unread() {
            let (_, oldest) = self.candidates(is_held).next()?;
            return after(oldest.since, self.config.max_wait);
        }
        let read = self.oldest_unread(is_held);
        let read = read.and_then(|oldest| after(oldest.since, self.config.max_wait / 2));
        let changed = self.first_changed(is_held);
        let batch = changed.and_then(|changed| after(changed.at, MAX_WAIT_FOR_COMPANY));
        [read, batch].into_iter().flatten().min()
    }

    /// Removes and returns all waiting slots, oldest customers first.
    pub(crate) fn drain(&mut self) -> Vec<Slot<R>> {
        self.unread.clear();
        self.sendable.clear();
        self.changed.clear();
        self.row_count = 0;
        let mut customers = Vec::new();
        self.customers.retain(|_, customer| {
            let slots = std::mem::take(&mut customer.slots);
            customers.push((customer.first_index, slots));
            customer.uncovered = 0;
            customer.position = Position::Nowhere;
            customer.is_busy
        });
        customers.sort_unstable_by_key(|(first_index, _)| *first_index);
        customers.into_iter().flat_map(|(_, slots)| slots).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::PendingRow;
    use super::*;
    use crate::value::UpsertRow;

    const NONE_HELD: IsHeld<'static> = &|_| false;
    const ALL_CLAIMED: IsHeld<'static> = &|_| true;
    const UNLIMITED: BatchLimit = BatchLimit {
        customers: usize::MAX,
        rows: usize::MAX,
        may_exceed_rows: false,
    };
    const MAX_WAIT: Duration = Duration::from_millis(500);

    /// A buffer on a clock, and the index of its next row.
    struct Clocked {
        buffer: Buffer<UpsertRow>,
        now: Instant,
        next_index: u64,
    }

    impl Clocked {
        fn new(window: usize, skips_unchanged: bool) -> Self {
            let config = BufferConfig {
                window,
                customers_per_call: 10,
                max_url_len: usize::MAX,
                max_wait: MAX_WAIT,
                skips_unchanged,
            };
            Self {
                buffer: Buffer::new(config, Normalization::default()),
                now: Instant::now(),
                next_index: 0,
            }
        }

        fn push(&mut self, (customer, attribute): (i64, i64), value: &str) {
            let row = UpsertRow::new(customer, attribute, value);
            let slot = Slot::new(PendingRow {
                index: self.next_index,
                metadata: row.clone().into_metadata(),
                wire: row.to_wire().expect("the row is valid"),
                may_be_stored: false,
            });
            self.next_index += 1;
            self.buffer.insert(slot, self.now);
        }

        fn push_customers(&mut self, customers: impl IntoIterator<Item = i64>) {
            for customer in customers {
                self.push((customer, 1), "x");
            }
        }

        fn wait(&mut self, millis: u64) {
            self.now += Duration::from_millis(millis);
        }

        fn batch(&mut self) -> Option<Vec<Slot<UpsertRow>>> {
            self.buffer
                .next_batch(self.now, UNLIMITED, NONE_HELD, ALL_CLAIMED)
        }

        fn batches(&mut self) -> Vec<Vec<u64>> {
            std::iter::from_fn(|| self.batch())
                .map(|batch| indexes(&batch))
                .collect()
        }

        fn read(&mut self) -> Option<(u64, ReadRequest)> {
            self.buffer.next_read(self.now, 250, 2_000, NONE_HELD)
        }

        /// Finishes a read of a store that holds `x` everywhere.
        fn finish_read(&mut self, id: u64, request: &ReadRequest) {
            let values = request.customers.iter().flat_map(|&customer| {
                let attributes = request.attributes.iter();
                attributes.map(move |&attribute| stored((customer, attribute), "x"))
            });
            self.buffer.finish_read(id, Ok(values.collect()), self.now);
        }

        /// Makes all reads that are due, and returns the number of customers of each.
        fn make_reads(&mut self) -> Vec<usize> {
            let mut reads = Vec::new();
            while let Some((id, request)) = self.read() {
                reads.push(request.customers.len());
                self.finish_read(id, &request);
            }
            reads
        }

        fn next_due(&self) -> Option<Duration> {
            let due = self.buffer.next_due(self.now, NONE_HELD)?;
            Some(due - self.now)
        }
    }

    fn stored((customer_id, attribute_id): (i64, i64), value: &str) -> types::AttributeValue {
        types::AttributeValue::builder()
            .customer_id(customer_id)
            .attribute_id(attribute_id)
            .attribute_value(value)
            .try_into()
            .expect("the value is complete")
    }

    fn indexes(batch: &[Slot<UpsertRow>]) -> Vec<u64> {
        batch.iter().map(|slot| slot.row.index).collect()
    }

    fn older_indexes(slot: &Slot<UpsertRow>) -> Vec<u64> {
        slot.older.iter().map(|row| row.index).collect()
    }

    #[test]
    fn the_oldest_customers_are_sent_first_with_all_their_rows() {
        let mut clocked = Clocked::new(100, false);
        for key in [(5, 1), (3, 1), (9, 1), (5, 2), (3, 2)] {
            clocked.push(key, "x");
        }
        clocked.buffer.end_input();
        let limit = BatchLimit {
            customers: 2,
            ..UNLIMITED
        };
        let mut batches = std::iter::from_fn(|| {
            clocked
                .buffer
                .next_batch(clocked.now, limit, NONE_HELD, ALL_CLAIMED)
        });
        assert_eq!(
            batches.next().map(|batch| indexes(&batch)),
            Some(vec![0, 3, 1, 4])
        );
        assert_eq!(batches.next().map(|batch| indexes(&batch)), Some(vec![2]));
        assert!(batches.next().is_none());
        assert!(clocked.buffer.is_empty());
    }

    #[test]
    fn a_batch_keeps_to_the_limit_of_rows_except_for_its_first_customer() {
        for (rows, may_exceed_rows, expected) in [
            (2, false, vec![3, 1, 2, 1]),
            (3, false, vec![3, 3, 1]),
            (2, true, vec![3, 3, 1]),
            (4, true, vec![6, 1]),
        ] {
            let mut clocked = Clocked::new(100, false);
            for key in [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2), (4, 1)] {
                clocked.push(key, "x");
            }
            clocked.buffer.end_input();
            let limit = BatchLimit {
                rows,
                may_exceed_rows,
                ..UNLIMITED
            };
            let batches: Vec<_> = std::iter::from_fn(|| {
                clocked
                    .buffer
                    .next_batch(clocked.now, limit, NONE_HELD, ALL_CLAIMED)
            })
            .map(|batch| batch.len())
            .collect();
            assert_eq!(
                batches, expected,
                "{rows} rows, may exceed: {may_exceed_rows}"
            );
        }
    }

    #[test]
    fn a_due_row_takes_full_batches_with_it_and_a_few_customers_stay() {
        let mut clocked = Clocked::new(1_000, false);
        clocked.push_customers([1]);
        clocked.wait(300);
        clocked.push_customers(2..=24);
        assert_eq!(clocked.next_due(), Some(Duration::from_millis(200)));
        assert!(clocked.batches().is_empty());
        clocked.wait(200);
        assert_eq!(clocked.batches().len(), 2);
        assert_eq!(clocked.buffer.row_count(), 4);
        // Ten customers alone are no reason to send them.
        clocked.push_customers(25..=34);
        assert_eq!(clocked.next_due(), Some(Duration::from_millis(300)));
        assert!(clocked.batches().is_empty());
        clocked.wait(300);
        assert_eq!(clocked.batches().len(), 1);
        assert_eq!(clocked.buffer.row_count(), 4);
    }

    #[test]
    fn a_full_window_an_idle_input_and_its_end_make_rows_due() {
        let mut clocked = Clocked::new(12, false);
        clocked.push_customers(1..=11);
        assert!(clocked.batches().is_empty());
        clocked.push_customers([12]);
        assert!(clocked.buffer.is_full());
        assert_eq!(clocked.batches(), [(0..10).collect::<Vec<_>>()]);
        assert!(clocked.buffer.has_unflushed_rows());
        clocked.buffer.mark_idle();
        assert!(!clocked.buffer.has_unflushed_rows());
        assert_eq!(clocked.batches(), [[10, 11]]);
        clocked.push_customers([13]);
        assert!(clocked.batches().is_empty());
        clocked.buffer.end_input();
        assert_eq!(clocked.batches(), [[12]]);
        clocked.push_customers([14]);
        assert_eq!(clocked.batches(), [[13]]);
    }

    #[test]
    fn busy_and_held_customers_wait_without_delaying_others() {
        let mut clocked = Clocked::new(100, false);
        clocked.buffer.end_input();
        clocked.push_customers([1, 2]);
        let is_held: IsHeld<'_> = &|customer| customer == 1;
        let batch = clocked
            .buffer
            .next_batch(clocked.now, UNLIMITED, is_held, ALL_CLAIMED);
        assert_eq!(indexes(&batch.expect("2 is sent")), [1]);
        assert!(
            !clocked
                .buffer
                .has_due_batch(clocked.now, UNLIMITED, is_held)
        );
        clocked.push((2, 2), "y");
        clocked.push_customers([3]);
        assert_eq!(clocked.batches(), [[0, 3]]);
        clocked.buffer.release(&[2], clocked.now);
        assert_eq!(clocked.batches(), [[2]]);
    }

    #[test]
    fn a_requeued_slot_becomes_an_older_row_and_keeps_its_age_and_position() {
        let mut clocked = Clocked::new(100, false);
        clocked.push_customers([1]);
        clocked.buffer.mark_idle();
        let mut batch = clocked.batch().expect("1 is due");
        clocked.wait(400);
        clocked.push_customers([2, 1, 1]);
        clocked.buffer.insert(batch.remove(0), clocked.now);
        assert!(clocked.buffer.contains((1, 1)) && !clocked.buffer.contains((1, 2)));
        assert!(clocked.batch().is_none(), "1 is busy");
        clocked.buffer.release(&[1], clocked.now);
        let batch = clocked.batch().expect("1 was due before");
        assert_eq!(indexes(&batch), [3, 1]);
        assert_eq!(older_indexes(&batch[0]), [0, 2]);
        assert_eq!(
            batch[0].since,
            Some(clocked.now - Duration::from_millis(400))
        );
    }

    #[test]
    fn nine_changed_customers_before_many_unchanged_ones_are_sent_in_time() {
        // A window's worth of rows was read after them.
        let mut clocked = Clocked::new(1_000, true);
        for customer in 1..=9 {
            clocked.push((customer, 1), "y");
        }
        let mut rows_before = None;
        for customer in 10..60_000 {
            clocked.push((customer, 1), "x");
            clocked.make_reads();
            if clocked.batch().is_some() {
                rows_before.get_or_insert(customer);
            }
        }
        assert!(
            rows_before.is_some_and(|rows| rows <= 2_000),
            "{rows_before:?}"
        );

        // The input is slow.
        let mut clocked = Clocked::new(1_000, true);
        let start = clocked.now;
        for customer in 1..=9 {
            clocked.push((customer, 1), "y");
        }
        let mut sent_after = None;
        for customer in 10..2_000 {
            clocked.push((customer, 1), "x");
            clocked.make_reads();
            if clocked.batch().is_some() {
                sent_after.get_or_insert(clocked.now - start);
            }
            clocked.wait(50);
        }
        assert_eq!(sent_after, Some(Duration::from_millis(5_250)));
    }

    #[test]
    fn changed_customers_wait_for_company_and_go_when_the_input_pauses() {
        let mut clocked = Clocked::new(1_000, true);
        clocked.push_customers(1..=20);
        for customer in 21..=29 {
            clocked.push((customer, 1), "y");
        }
        assert_eq!(clocked.next_due(), Some(MAX_WAIT / 2));
        assert!(clocked.read().is_none());
        clocked.wait(250);
        let (id, request) = clocked.read().expect("half of the time is over");
        assert_eq!(request.customers.len(), 29);
        assert_eq!(request.attributes, BTreeSet::from([1]));
        clocked.finish_read(id, &request);
        assert_eq!(clocked.buffer.take_unchanged().len(), 20);
        assert_eq!(clocked.next_due(), Some(MAX_WAIT_FOR_COMPANY));
        assert!(clocked.batch().is_none());
        clocked.push_customers([30]);
        clocked.buffer.mark_idle();
        assert!(clocked.batch().is_none(), "30 is read first");
        let (id, request) = clocked.read().expect("the input is idle");
        assert!(clocked.batch().is_none(), "30 is being read");
        clocked.finish_read(id, &request);
        assert_eq!(clocked.batch().map(|batch| batch.len()), Some(9));
    }

    #[test]
    fn ten_changed_customers_are_sent_at_once() {
        let mut clocked = Clocked::new(1_000, true);
        for customer in 1..=11 {
            clocked.push((customer, 1), "y");
        }
        clocked.wait(250);
        clocked.make_reads();
        assert_eq!(clocked.batches(), [(0..10).collect::<Vec<_>>()]);
    }

    #[test]
    fn an_attribute_that_was_not_read_is_read_before_its_row_is_sent() {
        let mut clocked = Clocked::new(1_000, true);
        clocked.push((1, 1), "y");
        clocked.buffer.end_input();
        let (id, request) = clocked.read().expect("1 is read");
        clocked.push((1, 2), "x");
        clocked.push((1, 1), "x");
        clocked.finish_read(id, &request);
        // The last row of attribute 1 is unchanged and supersedes the first one.
        assert_eq!(indexes(&clocked.buffer.take_unchanged()), [2]);
        assert!(clocked.batch().is_none());
        let (id, request) = clocked.read().expect("attribute 2 was not read");
        assert_eq!(request.attributes, BTreeSet::from([2]));
        clocked.finish_read(id, &request);
        assert_eq!(indexes(&clocked.buffer.take_unchanged()), [1]);
        assert!(clocked.buffer.is_empty());
    }

    #[test]
    fn the_rows_of_a_failed_read_are_sent() {
        let mut clocked = Clocked::new(1_000, true);
        clocked.push_customers([1]);
        clocked.buffer.end_input();
        let (id, _) = clocked.read().expect("1 is read");
        clocked.buffer.finish_read(id, Err(()), clocked.now);
        assert_eq!(clocked.batches(), [[0]]);
    }

    #[test]
    fn a_customer_whose_values_are_uncertain_is_read_again() {
        let mut clocked = Clocked::new(1_000, true);
        clocked.push((1, 1), "y");
        clocked.buffer.end_input();
        clocked.make_reads();
        assert_eq!(clocked.batches(), [[0]]);
        clocked.push((1, 1), "x");
        clocked.buffer.forget(1, clocked.now);
        clocked.buffer.release(&[1], clocked.now);
        assert!(clocked.batch().is_none());
        assert_eq!(clocked.make_reads(), [1]);
        assert_eq!(indexes(&clocked.buffer.take_unchanged()), [1]);
    }

    #[test]
    fn a_value_that_the_server_rewrites_is_not_written_again() {
        let mut clocked = Clocked::new(1_000, true);
        clocked.buffer.end_input();
        let read_5 = |clocked: &mut Clocked, customer| {
            let (id, _) = clocked.read().expect("the customer is read");
            let values = vec![stored((customer, 1), "5")];
            clocked.buffer.finish_read(id, Ok(values), clocked.now);
        };
        clocked.push((1, 1), "5.0");
        read_5(&mut clocked, 1);
        assert_eq!(clocked.batches(), [[0]]);
        clocked.buffer.record((1, 1), "5.0", "5");
        clocked.push((1, 1), "5.00");
        clocked.buffer.release(&[1], clocked.now);
        clocked.push((2, 1), "5.0");
        read_5(&mut clocked, 2);
        assert_eq!(indexes(&clocked.buffer.take_unchanged()), [1, 2]);
        assert!(clocked.buffer.is_empty());
    }

    #[test]
    fn customers_are_not_read_where_reading_costs_more_than_writing() {
        let mut clocked = Clocked::new(10_000, true);
        let (mut reads, mut batches) = (0, 0);
        for customer in 1..=4_000 {
            for attribute in 1..=25 {
                clocked.push((customer, attribute), "y");
            }
            while clocked.buffer.is_full() {
                if let Some(batch) = clocked.batch() {
                    batches += 1;
                    let customers: BTreeSet<_> = batch.iter().map(|slot| slot.key().0).collect();
                    assert_eq!(customers.len(), 10);
                    let customers: Vec<_> = customers.into_iter().collect();
                    clocked.buffer.release(&customers, clocked.now);
                } else {
                    reads += clocked.make_reads().len();
                }
            }
        }
        assert!(batches > 350, "{batches} batches");
        assert!(reads < batches / 10, "{reads} reads, {batches} batches");
    }

    #[test]
    fn a_stopped_run_gets_all_waiting_rows_back_in_order() {
        let mut clocked = Clocked::new(1_000, true);
        for key in [(5, 1), (3, 1), (9, 1), (5, 2)] {
            clocked.push(key, "x");
        }
        let indexes = indexes(&clocked.buffer.drain());
        assert_eq!(indexes, [0, 3, 1, 2]);
        assert!(clocked.buffer.is_empty());
        assert_eq!(clocked.next_due(), None);
    }
}
