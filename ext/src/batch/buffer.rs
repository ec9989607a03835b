//! The rows that wait: which customers are read first, which rows are sent, and when. Pure.
//!
//! The time per row depends neither on the number of rows or customers that wait, nor on the number
//! of customers in flight.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt};
use tokio::time::Instant;

use super::item::{BatchItem, BatchKind, PerKind};
use super::read_balance::{FinishedRead, ReadBalance};
use super::slot::Slot;
use crate::client::url_budget::id_len;
use crate::error::Error;
use crate::list::{ReadRequest, ReadValues};
use crate::normalization::Normalization;

/// How long a changed row waits for more of them while unchanged rows are skipped, and a row for
/// others that are being looked up.
const MAX_WAIT_FOR_COMPANY: Duration = Duration::from_secs(5);

/// A window that is full is sent while at most one row in this many waits for its customer: the others
/// are enough to find rows of one customer.
const MAX_STAGED_PART: usize = 4;

#[derive(Clone, Copy, Debug)]
pub(crate) struct BufferConfig {
    /// The maximum number of rows that wait.
    pub window: usize,
    /// The maximum number of customers whose values a batch stores.
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
///
/// A batch stores values or deletes them, never both. A customer whose rows do both is in two
/// batches, one after the other.
#[derive(Debug)]
pub(crate) struct Buffer<R: BatchItem> {
    config: BufferConfig,
    normalization: Normalization,
    /// The customers with waiting rows, and those of calls in flight.
    customers: HashMap<i64, Customer<R>>,
    /// Waiting customers that are to be read first, by the index of their oldest value to store.
    unread: BTreeMap<u64, i64>,
    /// Waiting customers that have a value to delete whose ID must be read first, by the index of
    /// their oldest row.
    unidentified: BTreeMap<u64, i64>,
    sendable: PerKind<SendableCustomers>,
    changes_found: u64,
    reads: HashMap<u64, ReadInFlight>,
    last_read_id: u64,
    /// The number of rows that were read so far.
    rows_read: u64,
    read_balance: ReadBalance,
    settled: Vec<(Slot<R>, Settlement)>,
    row_count: usize,
    staged: StagedRows,
    /// The index of the next row of the input.
    next_index: u64,
    /// Rows with a lower index are due, whenever they came.
    due_before: u64,
}

/// The rows that were read and wait for their customers to be looked up. They count towards the
/// window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StagedRows {
    pub count: usize,
    /// Whether no row is read after them.
    pub are_last: bool,
}

/// The customers with rows for one kind of batch.
#[derive(Debug, Default)]
struct SendableCustomers {
    /// By the index of their oldest row of this kind.
    by_age: BTreeMap<u64, i64>,
    /// In the order in which they were found changed.
    changed: BTreeMap<u64, ChangedCustomer>,
    /// Rows with a lower index are sent in full batches, though they are not due.
    flush_before: u64,
}

/// Why a row is not sent.
#[derive(Clone, Debug)]
pub(crate) enum Settlement {
    /// The store already has what the row says.
    Unchanged,
    /// The value to delete can't be identified.
    Unidentified(Error),
}

#[derive(Debug)]
struct Customer<R: BatchItem> {
    /// Sorted by attribute.
    slots: Vec<Slot<R>>,
    /// The oldest waiting row of each kind.
    oldest: PerKind<Option<WaitingRow>>,
    /// The number of slots that wait until the store was read.
    unread: usize,
    /// How many of them have a value to delete.
    unidentified: usize,
    known: Option<KnownValues>,
    /// Whether a call in flight reads or writes the customer.
    is_busy: bool,
    position: Position,
}

/// The index of a row, and when it began to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct WaitingRow {
    index: u64,
    since: Instant,
}

/// In which of the buffer's queues a customer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// None: the customer is busy or has no rows.
    Nowhere,
    Unread {
        first_index: u64,
        is_unidentified: bool,
    },
    Sendable {
        put: Option<SendablePosition>,
        delete: Option<SendablePosition>,
    },
}

/// The keys of a customer in the maps of [`SendableCustomers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SendablePosition {
    first_index: u64,
    /// `None` if unchanged rows are not skipped.
    change: Option<u64>,
}

impl Position {
    fn of_kind(self, kind: BatchKind) -> Option<SendablePosition> {
        match (self, kind) {
            (Self::Sendable { put, .. }, BatchKind::Put) => put,
            (Self::Sendable { delete, .. }, BatchKind::Delete) => delete,
            _ => None,
        }
    }
}

/// What the store holds for a customer: the values that were read, and those written since.
#[derive(Debug)]
struct KnownValues {
    /// The attributes that were read, sorted. `None` if all rows count as changed.
    attributes: Option<Arc<[i64]>>,
    /// Whether a value of these attributes that is not there is missing from the store.
    is_complete: bool,
    /// Sorted by attribute. `None` for a value that was deleted.
    values: Vec<(i64, Option<KnownValue>)>,
}

#[derive(Debug)]
struct KnownValue {
    text: String,
    id: ValueId,
}

/// The ID of a value, as far as a response has shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueId {
    Known(i64),
    /// The server listed the value without its ID.
    NotListed,
    /// The value was written since the store was read, and may have another ID now.
    Uncertain,
}

impl ValueId {
    fn listed(id: Option<i64>) -> Self {
        id.filter(|&id| id > 0).map_or(Self::NotListed, Self::Known)
    }

    /// Returns the ID after a write. Only a list identifies a value that is to be deleted, and a record
    /// with the same ID shows that the value is still the listed one.
    fn after_write(before: Option<Self>, shown: Option<i64>) -> Self {
        match (before, shown) {
            (Some(Self::Known(listed)), Some(shown)) if listed == shown => Self::Known(listed),
            _ => Self::Uncertain,
        }
    }
}

/// What is known of the value that a row deletes.
enum Identity {
    Unknown,
    NoValue,
    NotListed,
    Known(i64),
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
    /// Whether the read is to save upserts. Otherwise, it is to find the values to delete.
    is_optional: bool,
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

    fn was_read(&self, attribute: i64) -> bool {
        self.attributes.is_some() && self.is_complete && self.covers(attribute)
    }

    fn get(&self, attribute: i64) -> Option<&Option<KnownValue>> {
        let found = self.values.binary_search_by_key(&attribute, |(id, _)| *id);
        let (_, value) = self.values.get(found.ok()?)?;
        Some(value)
    }

    fn record(&mut self, attribute: i64, value: Option<KnownValue>) {
        match self.values.binary_search_by_key(&attribute, |(id, _)| *id) {
            // In bounds: the search found the position in the same vector.
            Ok(position) => self.values[position].1 = value,
            Err(position) => self.values.insert(position, (attribute, value)),
        }
    }
}

impl<R: BatchItem> Customer<R> {
    /// Returns what is known of the value of an attribute that is to be deleted.
    fn identity(&self, attribute: i64) -> Identity {
        let Some(known) = &self.known else {
            return Identity::Unknown;
        };
        match known.get(attribute) {
            Some(Some(value)) => match value.id {
                ValueId::Known(id) => Identity::Known(id),
                ValueId::NotListed => Identity::NotListed,
                ValueId::Uncertain => Identity::Unknown,
            },
            Some(None) => Identity::NoValue,
            None if known.was_read(attribute) => Identity::NoValue,
            None => Identity::Unknown,
        }
    }

    /// Returns `true` if the store must be read before the slot is sent.
    fn must_read(&self, slot: &Slot<R>, skips_unchanged: bool) -> bool {
        if !R::HAS_CUSTOMERS {
            return false;
        }
        let (_, attribute) = slot.key();
        match slot.kind() {
            BatchKind::Put => {
                let known = self.known.as_ref();
                skips_unchanged
                    && !slot.has_custom_fields()
                    && !known.is_some_and(|known| known.covers(attribute))
            }
            BatchKind::Delete => matches!(self.identity(attribute), Identity::Unknown),
        }
    }

    /// Returns why the slot need not or can't be sent, if what is known of the store shows it.
    fn settlement(
        &self,
        slot: &Slot<R>,
        skips_unchanged: bool,
        normalization: &Normalization,
    ) -> Option<Settlement> {
        if !R::HAS_CUSTOMERS {
            return None;
        }
        let (_, attribute) = slot.key();
        match R::value(&slot.row.wire) {
            Some(_) if slot.has_custom_fields() => None,
            Some(value) => {
                let known = self.known.as_ref().filter(|_| skips_unchanged)?;
                let stored = known.get(attribute)?.as_ref()?;
                let is_stored = normalization.is_stored_as(attribute, value, &stored.text);
                is_stored.then_some(Settlement::Unchanged)
            }
            None => match self.identity(attribute) {
                Identity::NoValue => Some(Settlement::Unchanged),
                Identity::NotListed => Some(Settlement::Unidentified(Error::missing_id())),
                Identity::Known(_) | Identity::Unknown => None,
            },
        }
    }

    fn search(&self, attribute: i64) -> Result<usize, usize> {
        self.slots
            .binary_search_by_key(&attribute, |slot| slot.key().1)
    }

    /// Counts the slots that wait until the store was read, after some slots or values have changed.
    fn count_unread(&mut self, skips_unchanged: bool) {
        let must_read = |slot: &&Slot<R>| self.must_read(slot, skips_unchanged);
        let unread = self.slots.iter().filter(must_read);
        let (mut all, mut deletes) = (0, 0);
        for slot in unread {
            all += 1;
            deletes += usize::from(slot.kind() == BatchKind::Delete);
        }
        (self.unread, self.unidentified) = (all, deletes);
    }

    /// Finds the oldest of the waiting rows again, after others were removed or changed their kind.
    fn update_oldest(&mut self) {
        self.oldest = PerKind::default();
        for slot in &self.slots {
            let oldest = self.oldest.get_mut(slot.kind());
            *oldest = older(*oldest, slot);
        }
    }

    /// Returns the oldest of the waiting rows.
    fn oldest(&self) -> Option<WaitingRow> {
        let kinds = BatchKind::ALL.into_iter();
        kinds.filter_map(|kind| *self.oldest.get(kind)).min()
    }

    /// Returns the row that decides when the customer is read, `None` if it need not be read.
    ///
    /// Values to delete whose IDs are known wait along, but make no read due.
    fn oldest_unread(&self) -> Option<WaitingRow> {
        match (self.unread, self.unidentified) {
            (0, _) => None,
            (_, 0) => *self.oldest.get(BatchKind::Put),
            _ => self.oldest(),
        }
    }

    fn slots_of(&self, kind: BatchKind) -> impl Iterator<Item = &Slot<R>> {
        self.slots.iter().filter(move |slot| slot.kind() == kind)
    }

    /// Returns the number of URL bytes that a slot takes.
    fn url_len(&self, slot: &Slot<R>) -> usize {
        match slot.kind() {
            BatchKind::Delete if R::HAS_CUSTOMERS => match self.identity(slot.key().1) {
                Identity::Known(id) => id_len(id),
                _ => 0,
            },
            _ => R::url_len(&slot.row.wire),
        }
    }
}

/// Returns the older one of a row and the oldest row of a slot.
fn older<R: BatchItem>(row: Option<WaitingRow>, slot: &Slot<R>) -> Option<WaitingRow> {
    let oldest = slot.since.map(|since| WaitingRow {
        index: slot.first_index(),
        since,
    });
    [row, oldest].into_iter().flatten().min()
}

impl<R: BatchItem> Buffer<R> {
    pub(crate) fn new(config: BufferConfig, normalization: Normalization) -> Self {
        Self {
            config,
            normalization,
            customers: HashMap::new(),
            unread: BTreeMap::new(),
            unidentified: BTreeMap::new(),
            sendable: PerKind::default(),
            changes_found: 0,
            reads: HashMap::new(),
            last_read_id: 0,
            rows_read: 0,
            read_balance: ReadBalance::new(config.customers_per_call),
            settled: Vec::new(),
            row_count: 0,
            staged: StagedRows::default(),
            next_index: 0,
            due_before: 0,
        }
    }

    /// Returns the number of waiting rows, older rows of a slot included.
    #[cfg(test)]
    pub(crate) fn row_count(&self) -> usize {
        self.row_count
    }

    /// Returns `true` if rows wait whose customers no call in flight has.
    pub(crate) fn has_idle_customers(&self) -> bool {
        let mut kinds = BatchKind::ALL.into_iter();
        !self.unread.is_empty()
            || !self.unidentified.is_empty()
            || kinds.any(|kind| !self.sendable.get(kind).by_age.is_empty())
    }

    #[cfg(test)]
    pub(crate) fn was_reading_suspended(&self) -> bool {
        self.read_balance.was_suspended()
    }

    /// Returns `true` if no more rows are to be read.
    pub(crate) fn is_full(&self) -> bool {
        self.row_count + self.staged.count >= self.config.window
    }

    /// Returns `true` if the window is full, and too many of its rows wait for their customers.
    pub(crate) fn lacks_staged_rows(&self) -> bool {
        let max_staged = self.config.window / MAX_STAGED_PART;
        self.is_full() && self.staged.count > max_staged
    }

    pub(crate) fn set_staged(&mut self, staged: StagedRows) {
        self.staged = staged;
    }

    /// Returns how long a row waits at most. It waits longer for rows that are being looked up, if they
    /// are all that can come.
    fn max_wait(&self) -> Duration {
        let are_all = self.staged.are_last || self.lacks_staged_rows();
        match self.staged.count > 0 && are_all {
            true => self.config.max_wait.max(MAX_WAIT_FOR_COMPANY),
            false => self.config.max_wait,
        }
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
        slot.since.get_or_insert(now);
        let skips_unchanged = self.config.skips_unchanged;
        let (id, attribute) = slot.key();
        self.row_count += slot.row_count();
        self.next_index = self.next_index.max(slot.row.index + 1);
        let customer = self.customers.entry(id).or_insert_with(|| Customer {
            slots: Vec::new(),
            oldest: PerKind::default(),
            unread: 0,
            unidentified: 0,
            known: None,
            is_busy: false,
            position: Position::Nowhere,
        });
        let position = match customer.search(attribute) {
            Ok(position) => {
                // In bounds: the search found the position in the same vector.
                let waiting = &mut customer.slots[position];
                let kind = waiting.kind();
                let before = (kind, waiting.has_custom_fields());
                waiting.merge(slot);
                if (waiting.kind(), waiting.has_custom_fields()) == before {
                    let oldest = customer.oldest.get_mut(kind);
                    *oldest = older(*oldest, waiting);
                } else {
                    customer.update_oldest();
                    customer.count_unread(skips_unchanged);
                }
                position
            }
            Err(position) => {
                let oldest = customer.oldest.get_mut(slot.kind());
                *oldest = older(*oldest, &slot);
                if customer.must_read(&slot, skips_unchanged) {
                    customer.unread += 1;
                    customer.unidentified += usize::from(slot.kind() == BatchKind::Delete);
                }
                customer.slots.insert(position, slot);
                position
            }
        };
        if !customer.is_busy
            && let Some(settlement) = customer.settlement(
                &customer.slots[position],
                skips_unchanged,
                &self.normalization,
            )
        {
            let slot = customer.slots.remove(position);
            let oldest = *customer.oldest.get(slot.kind());
            if oldest.is_some_and(|oldest| oldest.index == slot.first_index()) {
                customer.update_oldest();
            }
            self.row_count -= slot.row_count();
            self.settled.push((slot, settlement));
        }
        self.update_position(id, now);
    }

    /// Moves a customer to the queues in which it belongs. Forgets it if it is in no queue and no
    /// call.
    fn update_position(&mut self, id: i64, now: Instant) {
        let Entry::Occupied(mut entry) = self.customers.entry(id) else {
            return;
        };
        let customer = entry.get_mut();
        let before = customer.position;
        let position = match customer.oldest_unread() {
            _ if customer.is_busy || customer.slots.is_empty() => Position::Nowhere,
            Some(oldest) => Position::Unread {
                first_index: oldest.index,
                is_unidentified: customer.unidentified > 0,
            },
            None => {
                let mut position_of = |kind| {
                    let oldest = (*customer.oldest.get(kind))?;
                    let change = match before.of_kind(kind) {
                        Some(position) => position.change,
                        None => self.config.skips_unchanged.then(|| {
                            self.changes_found += 1;
                            let changed = ChangedCustomer {
                                customer: id,
                                at: now,
                                rows_read: self.rows_read,
                            };
                            let sendable = self.sendable.get_mut(kind);
                            sendable.changed.insert(self.changes_found, changed);
                            self.changes_found
                        }),
                    };
                    Some(SendablePosition {
                        first_index: oldest.index,
                        change,
                    })
                };
                Position::Sendable {
                    put: position_of(BatchKind::Put),
                    delete: position_of(BatchKind::Delete),
                }
            }
        };
        customer.position = position;
        if customer.slots.is_empty() && !customer.is_busy {
            entry.remove();
        }
        if before == position {
            return;
        }
        if let Position::Unread {
            first_index,
            is_unidentified,
        } = before
        {
            self.unread_queue(is_unidentified).remove(&first_index);
        }
        if let Position::Unread {
            first_index,
            is_unidentified,
        } = position
        {
            self.unread_queue(is_unidentified).insert(first_index, id);
        }
        for kind in BatchKind::ALL {
            let sendable = self.sendable.get_mut(kind);
            let (before, position) = (before.of_kind(kind), position.of_kind(kind));
            if let Some(before) = before {
                sendable.by_age.remove(&before.first_index);
                if let Some(change) = before.change
                    && position.is_none()
                {
                    sendable.changed.remove(&change);
                }
            }
            if let Some(position) = position {
                sendable.by_age.insert(position.first_index, id);
            }
        }
    }

    fn unread_queue(&mut self, is_unidentified: bool) -> &mut BTreeMap<u64, i64> {
        match is_unidentified {
            true => &mut self.unidentified,
            false => &mut self.unread,
        }
    }

    /// Removes the rows of a customer that need not or can't be sent, after its values have become
    /// known or it was released.
    fn remove_settled_rows(&mut self, id: i64) {
        let Some(customer) = self.customers.get_mut(&id) else {
            return;
        };
        let slots = std::mem::take(&mut customer.slots);
        let count = slots.len();
        for slot in slots {
            let skips_unchanged = self.config.skips_unchanged;
            match customer.settlement(&slot, skips_unchanged, &self.normalization) {
                Some(settlement) => {
                    self.row_count -= slot.row_count();
                    self.settled.push((slot, settlement));
                }
                None => customer.slots.push(slot),
            }
        }
        if customer.slots.len() < count {
            customer.update_oldest();
        }
    }

    /// Returns `true` if values are stored without being read, because none are read at all or
    /// reading is suspended.
    fn sends_unread(&self) -> bool {
        !self.config.skips_unchanged || self.read_balance.is_suspended()
    }

    /// Returns the customers that can be in a batch of this kind, oldest first, and the oldest row of
    /// each.
    fn candidates(
        &self,
        kind: BatchKind,
        is_held: IsHeld<'_>,
    ) -> impl Iterator<Item = (i64, &Customer<R>, WaitingRow)> {
        let sends_unread = kind == BatchKind::Put && self.sends_unread();
        let end = if sends_unread { u64::MAX } else { 0 };
        let unread = self.unread.range(..end);
        let sendable = self.sendable.get(kind).by_age.iter();
        merge(unread, sendable)
            .filter(move |id| !is_held(*id))
            .filter_map(move |id| {
                let customer = self.customers.get(&id)?;
                Some((id, customer, (*customer.oldest.get(kind))?))
            })
    }

    /// Returns the customers that can be read, oldest first, and the row of each that decides when.
    fn unread_customers(
        &self,
        is_held: IsHeld<'_>,
    ) -> impl Iterator<Item = (i64, &Customer<R>, WaitingRow)> {
        let end = if self.sends_unread() { 0 } else { u64::MAX };
        let unread = self.unread.range(..end);
        merge(unread, self.unidentified.iter())
            .filter(move |id| !is_held(*id))
            .filter_map(move |id| {
                let customer = self.customers.get(&id)?;
                Some((id, customer, customer.oldest_unread()?))
            })
    }

    fn first_changed(&self, kind: BatchKind, is_held: IsHeld<'_>) -> Option<&ChangedCustomer> {
        let mut changed = self.sendable.get(kind).changed.values();
        changed.find(|changed| !is_held(changed.customer))
    }

    /// Selects the oldest customers, as many as fit. The first one is selected even if it doesn't.
    fn select(&self, kind: BatchKind, limit: BatchLimit, is_held: IsHeld<'_>) -> Selection {
        let max_customers = match kind {
            BatchKind::Put => limit.customers.min(self.config.customers_per_call),
            // A delete has the IDs of values only.
            BatchKind::Delete => usize::MAX,
        };
        let (mut rows, mut url_len) = (0_usize, 0_usize);
        let mut selection = Selection {
            customers: Vec::new(),
            is_full: false,
        };
        for (id, customer, _) in self.candidates(kind, is_held) {
            let may_exceed_rows = limit.may_exceed_rows && rows <= limit.rows;
            for slot in customer.slots_of(kind) {
                rows += 1;
                url_len += customer.url_len(slot);
            }
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
    pub(crate) fn selected(
        &self,
        kind: BatchKind,
        limit: BatchLimit,
        is_held: IsHeld<'_>,
    ) -> Vec<i64> {
        self.select(kind, limit, is_held).customers
    }

    /// Returns `true` if a row waits for nothing.
    fn is_due(&self, row: WaitingRow, now: Instant, max_wait: Duration) -> bool {
        self.is_flushed(row) || now.saturating_duration_since(row.since) >= max_wait
    }

    fn is_flushed(&self, row: WaitingRow) -> bool {
        (self.is_full() && !self.lacks_staged_rows()) || row.index < self.due_before
    }

    /// Returns the index of the oldest row in the batch that [`next_batch`](Self::next_batch) returns,
    /// `None` if no batch of this kind is due.
    pub(crate) fn due_batch(
        &self,
        kind: BatchKind,
        now: Instant,
        limit: BatchLimit,
        is_held: IsHeld<'_>,
    ) -> Option<u64> {
        let (_, _, oldest) = self.candidates(kind, is_held).next()?;
        let is_full = || self.select(kind, limit, is_held).is_full;
        let is_due = if !self.waits_for_reads(kind) {
            self.is_due(oldest, now, self.max_wait())
                || (oldest.index < self.sendable.get(kind).flush_before && is_full())
        } else {
            // A smaller batch waits for the customers that are being read, or are yet to be.
            is_full()
                || self.has_waited_for_company(kind, oldest, now, is_held)
                || (self.is_flushed(oldest)
                    && self.reads.is_empty()
                    && !self.has_due_read(now, is_held))
        };
        is_due.then_some(oldest.index)
    }

    /// Returns `true` if the customers of a batch are read first.
    fn waits_for_reads(&self, kind: BatchKind) -> bool {
        R::HAS_CUSTOMERS && (kind == BatchKind::Delete || !self.sends_unread())
    }

    /// Returns `true` if a customer that was read has waited long enough for others.
    fn has_waited_for_company(
        &self,
        kind: BatchKind,
        oldest: WaitingRow,
        now: Instant,
        is_held: IsHeld<'_>,
    ) -> bool {
        if !self.config.skips_unchanged {
            return now.saturating_duration_since(oldest.since) >= self.max_wait();
        }
        let window = u64::try_from(self.config.window).unwrap_or(u64::MAX);
        self.first_changed(kind, is_held).is_some_and(|changed| {
            now.saturating_duration_since(changed.at) >= MAX_WAIT_FOR_COMPANY
                || self.rows_read - changed.rows_read >= window
        })
    }

    /// Removes and returns the next batch of this kind that is due, and marks its customers as busy.
    ///
    /// A batch has all rows of this kind of the oldest customers for which `is_claimed` returns `true`,
    /// as many as fit. Once a row is due, everything that waits is sent in full batches. Fewer
    /// customers that are left over, none of them due, wait on.
    pub(crate) fn next_batch(
        &mut self,
        kind: BatchKind,
        now: Instant,
        limit: BatchLimit,
        is_held: IsHeld<'_>,
        is_claimed: IsHeld<'_>,
    ) -> Option<Vec<Slot<R>>> {
        self.due_batch(kind, now, limit, is_held)?;
        let is_excluded = |id| !is_claimed(id) || is_held(id);
        let selection = self.select(kind, limit, &is_excluded);
        let (_, _, oldest) = self.candidates(kind, &is_excluded).next()?;
        let has_waited = now.saturating_duration_since(oldest.since) >= self.max_wait();
        if has_waited || oldest.index < self.due_before {
            self.sendable.get_mut(kind).flush_before = self.next_index;
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
                    is_complete: false,
                    values: Vec::new(),
                });
            }
            for mut slot in std::mem::take(&mut customer.slots) {
                if slot.kind() != kind {
                    customer.slots.push(slot);
                    continue;
                }
                if R::HAS_CUSTOMERS
                    && kind == BatchKind::Delete
                    && let Identity::Known(id) = customer.identity(slot.key().1)
                {
                    R::set_value_id(&mut slot.row.wire, id);
                    // The store was read since then, and the value is there.
                    slot.row.may_be_executed = false;
                }
                self.row_count -= slot.row_count();
                batch.push(slot);
            }
            customer.update_oldest();
            customer.count_unread(self.config.skips_unchanged);
            customer.is_busy = true;
            self.update_position(id, now);
        }
        self.read_balance.record_unread(unread);
        if !self.select(kind, limit, is_held).is_full {
            self.sendable.get_mut(kind).flush_before = 0;
        }
        Some(batch)
    }

    /// Returns the index of the oldest row of a customer that is to be read for its values to delete, if
    /// that is due.
    pub(crate) fn due_identification(&self, now: Instant, is_held: IsHeld<'_>) -> Option<u64> {
        let (index, id) = self.unidentified.iter().find(|(_, id)| !is_held(**id))?;
        let oldest = self.customers.get(id)?.oldest()?;
        let is_due = self.is_due(oldest, now, self.max_wait() / 2);
        is_due.then_some(*index)
    }

    /// Returns `true` if [`next_read`](Self::next_read) returns a read.
    pub(crate) fn has_due_read(&self, now: Instant, is_held: IsHeld<'_>) -> bool {
        self.unread_customers(is_held)
            .next()
            .is_some_and(|(_, _, oldest)| self.is_due(oldest, now, self.max_wait() / 2))
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
        for (id, customer, _) in self.unread_customers(is_held) {
            // The values that only an upsert needs are read if that may save it.
            let read = customer
                .slots
                .iter()
                .filter(|slot| self.config.skips_unchanged || slot.kind() == BatchKind::Delete);
            let attributes = read.map(|slot| slot.key().1);
            let new = attributes
                .clone()
                .filter(|id| !request.attributes.contains(id));
            values += attributes.clone().count();
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
            is_optional: !self.sends_unread(),
        };
        self.reads.insert(self.last_read_id, read);
        Some((self.last_read_id, request))
    }

    /// Records the end of a read and releases its customers. If it failed, all of their values to
    /// store count as changed. If it failed or is incomplete, a value to delete that it did not show
    /// can't be identified.
    pub(crate) fn finish_read(&mut self, id: u64, result: Result<ReadValues, Error>, now: Instant) {
        let Some(read) = self.reads.remove(&id) else {
            return;
        };
        let ReadRequest {
            customers,
            attributes,
        } = read.request;
        let (attributes, values, error): (Option<Arc<[i64]>>, _, _) = match result {
            Ok(ReadValues { values, incomplete }) => {
                (Some(attributes.into_iter().collect()), values, incomplete)
            }
            Err(error) => (None, Vec::new(), Some(error)),
        };
        let is_complete = error.is_none();
        for id in &customers {
            if let Some(customer) = self.customers.get_mut(id) {
                customer.known = Some(KnownValues {
                    attributes: attributes.clone(),
                    is_complete,
                    values: Vec::new(),
                });
            }
        }
        let requests = values.len().div_ceil(read.max_values.max(1)).max(1);
        for value in values {
            let id = value.customer_id;
            if customers.contains(&id)
                && let Some(customer) = self.customers.get_mut(&id)
                && let Some(known) = &mut customer.known
            {
                let stored = KnownValue {
                    id: ValueId::listed(value.id),
                    text: value.attribute_value,
                };
                known.record(value.attribute_id, Some(stored));
            }
        }
        let mut changed = 0;
        for &id in &customers {
            let Some(customer) = self.customers.get_mut(&id) else {
                continue;
            };
            customer.is_busy = false;
            customer.count_unread(self.config.skips_unchanged);
            let rows = customer.slots.len() - customer.unread;
            self.rows_read += u64::try_from(rows).unwrap_or(u64::MAX);
            self.remove_settled_rows(id);
            if let Some(error) = &error {
                self.remove_unidentified_rows(id, error);
            }
            if let Some(customer) = self.customers.get_mut(&id) {
                changed += usize::from(customer.slots.len() > customer.unread);
            }
        }
        for id in &customers {
            self.update_position(*id, now);
        }
        if read.is_optional {
            self.read_balance.record_read(FinishedRead {
                requests,
                customers: customers.len(),
                changed,
                is_full: read.is_full,
            });
        }
    }

    /// Removes the values to delete whose IDs a read was to find and did not.
    fn remove_unidentified_rows(&mut self, id: i64, error: &Error) {
        let Some(customer) = self.customers.get_mut(&id) else {
            return;
        };
        for slot in std::mem::take(&mut customer.slots) {
            let is_unidentified = slot.kind() == BatchKind::Delete
                && customer.must_read(&slot, self.config.skips_unchanged);
            if is_unidentified {
                self.row_count -= slot.row_count();
                let settlement = Settlement::Unidentified(error.clone());
                self.settled.push((slot, settlement));
            } else {
                customer.slots.push(slot);
            }
        }
        customer.update_oldest();
        customer.count_unread(self.config.skips_unchanged);
    }

    /// Releases the customers of a batch, whose job has ended.
    pub(crate) fn release(&mut self, customers: &[i64], now: Instant) {
        for &id in customers {
            if let Some(customer) = self.customers.get_mut(&id) {
                customer.is_busy = false;
                customer.count_unread(self.config.skips_unchanged);
            }
            self.remove_settled_rows(id);
            self.update_position(id, now);
        }
    }

    /// Returns the rows that need not or can't be sent, found since the last call.
    pub(crate) fn take_settled(&mut self) -> Vec<(Slot<R>, Settlement)> {
        std::mem::take(&mut self.settled)
    }

    /// Records a value that was sent, and the text and the ID that the store holds for it now.
    pub(crate) fn record_stored(
        &mut self,
        (customer, attribute): (i64, i64),
        sent: &str,
        stored: &str,
        id: Option<i64>,
    ) {
        self.normalization.record(attribute, sent, stored);
        let Some(known) = self.known_values(customer) else {
            return;
        };
        let before = known.get(attribute).and_then(Option::as_ref);
        let id = ValueId::after_write(before.map(|value| value.id), id);
        let text = stored.to_owned();
        known.record(attribute, Some(KnownValue { text, id }));
    }

    /// Records that the store holds no value any more.
    pub(crate) fn record_deleted(&mut self, (customer, attribute): (i64, i64)) {
        if let Some(known) = self.known_values(customer) {
            known.record(attribute, None);
        }
    }

    fn known_values(&mut self, customer: i64) -> Option<&mut KnownValues> {
        let customer = self.customers.get_mut(&customer)?;
        customer.known.as_mut()
    }

    /// Records that a customer's values are uncertain. It is read again before more is sent.
    pub(crate) fn forget(&mut self, id: i64, now: Instant) {
        if let Some(customer) = self.customers.get_mut(&id) {
            customer.known = None;
            customer.count_unread(self.config.skips_unchanged);
        }
        self.update_position(id, now);
    }

    /// Returns when a batch or a read is due that isn't yet, if nothing else happens.
    pub(crate) fn next_due(&self, now: Instant, is_held: IsHeld<'_>) -> Option<Instant> {
        let after = |since: Instant, wait| since.checked_add(wait).filter(|due| *due > now);
        let batch = |kind| {
            if self.waits_for_reads(kind) && self.config.skips_unchanged {
                let changed = self.first_changed(kind, is_held)?;
                return after(changed.at, MAX_WAIT_FOR_COMPANY);
            }
            let (_, _, oldest) = self.candidates(kind, is_held).next()?;
            after(oldest.since, self.max_wait())
        };
        let batches = BatchKind::ALL.into_iter().filter_map(batch);
        let read = self.unread_customers(is_held).next();
        let read = read.and_then(|(_, _, oldest)| after(oldest.since, self.max_wait() / 2));
        batches.chain(read).min()
    }

    /// Removes and returns all waiting slots, oldest customers first.
    pub(crate) fn drain(&mut self) -> Vec<Slot<R>> {
        self.unread.clear();
        self.unidentified.clear();
        for kind in BatchKind::ALL {
            let sendable = self.sendable.get_mut(kind);
            sendable.by_age.clear();
            sendable.changed.clear();
        }
        self.row_count = 0;
        let mut customers = Vec::new();
        self.customers.retain(|_, customer| {
            customers.extend(customer.oldest().map(|oldest| {
                let slots = std::mem::take(&mut customer.slots);
                (oldest.index, slots)
            }));
            customer.oldest = PerKind::default();
            (customer.unread, customer.unidentified) = (0, 0);
            customer.position = Position::Nowhere;
            customer.is_busy
        });
        customers.sort_unstable_by_key(|(first_index, _)| *first_index);
        customers.into_iter().flat_map(|(_, slots)| slots).collect()
    }
}

/// Merges two queues of customers, oldest first.
fn merge<'a>(
    one: impl Iterator<Item = (&'a u64, &'a i64)>,
    other: impl Iterator<Item = (&'a u64, &'a i64)>,
) -> impl Iterator<Item = i64> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || {
        let next = match (one.peek(), other.peek()) {
            (Some((first, _)), Some((second, _))) if first < second => one.next(),
            (_, Some(_)) => other.next(),
            _ => one.next(),
        };
        next.map(|(_, &id)| id)
    })
}

#[cfg(test)]
mod tests {
    use bigcommerce_sdk::types;

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
                may_be_executed: false,
                was_refused: false,
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
                .next_batch(BatchKind::Put, self.now, UNLIMITED, NONE_HELD, ALL_CLAIMED)
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
            self.buffer
                .finish_read(id, Ok(complete(values.collect())), self.now);
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

        /// Returns the rows that were found unchanged.
        fn unchanged(&mut self) -> Vec<u64> {
            let settled = self.buffer.take_settled().into_iter();
            settled
                .map(|(slot, settlement)| {
                    assert!(matches!(settlement, Settlement::Unchanged));
                    slot.row.index
                })
                .collect()
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

    fn complete(values: Vec<types::AttributeValue>) -> ReadValues {
        ReadValues {
            values,
            incomplete: None,
        }
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
                .next_batch(BatchKind::Put, clocked.now, limit, NONE_HELD, ALL_CLAIMED)
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
                clocked.buffer.next_batch(
                    BatchKind::Put,
                    clocked.now,
                    limit,
                    NONE_HELD,
                    ALL_CLAIMED,
                )
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
        let batch =
            clocked
                .buffer
                .next_batch(BatchKind::Put, clocked.now, UNLIMITED, is_held, ALL_CLAIMED);
        assert_eq!(indexes(&batch.expect("2 is sent")), [1]);
        assert!(
            clocked
                .buffer
                .due_batch(BatchKind::Put, clocked.now, UNLIMITED, is_held)
                .is_none()
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
        assert_eq!(clocked.unchanged().len(), 20);
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
        assert_eq!(clocked.unchanged(), [2]);
        assert!(clocked.batch().is_none());
        let (id, request) = clocked.read().expect("attribute 2 was not read");
        assert_eq!(request.attributes, BTreeSet::from([2]));
        clocked.finish_read(id, &request);
        assert_eq!(clocked.unchanged(), [1]);
        assert!(clocked.buffer.is_empty());
    }

    #[test]
    fn the_rows_of_a_failed_read_are_sent() {
        let mut clocked = Clocked::new(1_000, true);
        clocked.push_customers([1]);
        clocked.buffer.end_input();
        let (id, _) = clocked.read().expect("1 is read");
        clocked
            .buffer
            .finish_read(id, Err(Error::stopped()), clocked.now);
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
        assert_eq!(clocked.unchanged(), [1]);
    }

    #[test]
    fn a_value_that_the_server_rewrites_is_not_written_again() {
        let mut clocked = Clocked::new(1_000, true);
        clocked.buffer.end_input();
        let read_5 = |clocked: &mut Clocked, customer| {
            let (id, _) = clocked.read().expect("the customer is read");
            let values = vec![stored((customer, 1), "5")];
            clocked
                .buffer
                .finish_read(id, Ok(complete(values)), clocked.now);
        };
        clocked.push((1, 1), "5.0");
        read_5(&mut clocked, 1);
        assert_eq!(clocked.batches(), [[0]]);
        clocked.buffer.record_stored((1, 1), "5.0", "5", None);
        clocked.push((1, 1), "5.00");
        clocked.buffer.release(&[1], clocked.now);
        clocked.push((2, 1), "5.0");
        read_5(&mut clocked, 2);
        assert_eq!(clocked.unchanged(), [1, 2]);
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
