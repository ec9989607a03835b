//! Property tests of the buffer: random rows, calls and times against a model that searches
//! everything, each time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::buffer::{BatchLimit, Buffer, BufferConfig, IsHeld, Settlement};
use super::item::{BatchItem, BatchKind};
use super::model_tests::attribute_value;
use super::read_balance::{FinishedRead, ReadBalance};
use super::slot::{PendingRow, Slot};
use crate::error::Error;
use crate::list::{ReadRequest, ReadValues};
use crate::normalization::Normalization;
use crate::value::{UpsertRow, WireRow};

type Key = (i64, i64);

/// A slot as the model sees it: the indexes of its rows, and the value of the latest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ModelSlot {
    key: Key,
    /// Sorted. The last row is the one to send.
    indexes: Vec<u64>,
    /// `None` for a value to delete.
    value: Option<String>,
    since: Instant,
}

impl ModelSlot {
    fn of(slot: &Slot<UpsertRow>) -> Self {
        let older = slot.older.iter().map(|row| row.index);
        Self {
            key: slot.key(),
            indexes: older.chain([slot.row.index]).collect(),
            value: <UpsertRow as BatchItem>::value(&slot.row.wire).map(str::to_owned),
            since: slot.since.expect("the slot was buffered"),
        }
    }

    fn kind(&self) -> BatchKind {
        match self.value {
            Some(_) => BatchKind::Put,
            None => BatchKind::Delete,
        }
    }
}

#[derive(Debug, Default)]
struct ModelValues {
    /// `None` if everything counts as read.
    attributes: Option<BTreeSet<i64>>,
    values: BTreeMap<i64, ModelValue>,
}

#[derive(Clone, Debug)]
enum ModelValue {
    Stored { text: String, has_id: bool },
    Deleted,
}

#[derive(Clone, Debug)]
struct ModelChange {
    customer: i64,
    kind: BatchKind,
    at: Instant,
    rows_read: usize,
}

#[derive(Debug)]
struct Model {
    config: BufferConfig,
    slots: Vec<ModelSlot>,
    unchanged: Vec<ModelSlot>,
    unidentified: Vec<ModelSlot>,
    busy: BTreeSet<i64>,
    known: BTreeMap<i64, ModelValues>,
    changes: Vec<ModelChange>,
    reads: usize,
    rows_read: usize,
    balance: ReadBalance,
    next_index: u64,
    due_before: u64,
    flush_before: BTreeMap<usize, u64>,
}

impl Model {
    fn new(config: BufferConfig) -> Self {
        Self {
            config,
            slots: Vec::new(),
            unchanged: Vec::new(),
            unidentified: Vec::new(),
            busy: BTreeSet::new(),
            known: BTreeMap::new(),
            changes: Vec::new(),
            reads: 0,
            rows_read: 0,
            balance: ReadBalance::new(config.customers_per_call),
            next_index: 0,
            due_before: 0,
            flush_before: BTreeMap::new(),
        }
    }

    fn row_count(&self) -> usize {
        self.slots.iter().map(|slot| slot.indexes.len()).sum()
    }

    fn insert(&mut self, slot: ModelSlot, now: Instant) {
        let latest = slot.indexes.last().expect("a slot has a row");
        self.next_index = self.next_index.max(latest + 1);
        match self.slots.iter_mut().find(|other| other.key == slot.key) {
            None => self.slots.push(slot),
            Some(other) => {
                if slot.indexes.last() > other.indexes.last() {
                    other.value = slot.value;
                }
                other.indexes.extend(slot.indexes);
                other.indexes.sort_unstable();
                other.since = other.since.min(slot.since);
            }
        }
        self.update(now);
    }

    /// Removes unchanged rows, and finds the changed customers.
    fn update(&mut self, now: Instant) {
        let is_unchanged =
            |slot: &ModelSlot| !self.busy.contains(&slot.key.0) && self.is_unchanged(slot);
        let (unchanged, slots): (Vec<_>, Vec<_>) =
            self.slots.iter().cloned().partition(is_unchanged);
        self.slots = slots;
        self.unchanged.extend(unchanged);
        let waiting: BTreeSet<_> = self.slots.iter().map(|slot| slot.key.0).collect();
        self.known
            .retain(|id, _| waiting.contains(id) || self.busy.contains(id));
        if !self.config.skips_unchanged {
            return;
        }
        for kind in BatchKind::ALL {
            let sendable: BTreeSet<_> = self
                .slots
                .iter()
                .filter(|slot| slot.kind() == kind)
                .map(|slot| slot.key.0)
                .filter(|id| !self.busy.contains(id) && self.is_covered(*id))
                .collect();
            self.changes
                .retain(|change| change.kind != kind || sendable.contains(&change.customer));
            for customer in sendable {
                let is_known =
                    |change: &ModelChange| change.customer == customer && change.kind == kind;
                if !self.changes.iter().any(is_known) {
                    self.changes.push(ModelChange {
                        customer,
                        kind,
                        at: now,
                        rows_read: self.rows_read,
                    });
                }
            }
        }
    }

    fn value(&self, (customer, attribute): Key) -> Option<&ModelValue> {
        self.known.get(&customer)?.values.get(&attribute)
    }

    fn is_unchanged(&self, slot: &ModelSlot) -> bool {
        match (&slot.value, self.value(slot.key)) {
            (Some(value), Some(ModelValue::Stored { text, .. })) => {
                self.config.skips_unchanged && value == text
            }
            (Some(_), _) | (None, Some(ModelValue::Stored { .. })) => false,
            (None, Some(ModelValue::Deleted)) => true,
            (None, None) => self.was_read(slot.key),
        }
    }

    fn was_read(&self, (customer, attribute): Key) -> bool {
        let known = self.known.get(&customer);
        known.is_some_and(|known| {
            let attributes = known.attributes.as_ref();
            attributes.is_some_and(|read| read.contains(&attribute))
        })
    }

    fn must_read(&self, slot: &ModelSlot) -> bool {
        let (customer, _) = slot.key;
        match (&slot.value, self.value(slot.key)) {
            (Some(_), _) => {
                let known = self.known.get(&customer);
                let covers_all = known.is_some_and(|known| known.attributes.is_none());
                self.config.skips_unchanged && !covers_all && !self.was_read(slot.key)
            }
            (None, Some(ModelValue::Stored { has_id, .. })) => !has_id,
            (None, Some(ModelValue::Deleted)) => false,
            (None, None) => !self.was_read(slot.key),
        }
    }

    fn is_covered(&self, customer: i64) -> bool {
        self.slots_of(customer).all(|slot| !self.must_read(slot))
    }

    fn is_identified(&self, customer: i64) -> bool {
        let mut slots = self.slots_of(customer);
        slots.all(|slot| slot.kind() == BatchKind::Put || !self.must_read(slot))
    }

    fn slots_of(&self, customer: i64) -> impl Iterator<Item = &ModelSlot> + Clone {
        self.slots.iter().filter(move |slot| slot.key.0 == customer)
    }

    /// Returns the customers that match and are neither busy nor held, each with the index and the
    /// age of its oldest matching row, oldest first.
    fn waiting(
        &self,
        is_held: IsHeld<'_>,
        matches: impl Fn(&ModelSlot) -> bool,
    ) -> Vec<(u64, Instant, i64)> {
        let mut oldest: BTreeMap<i64, (u64, Instant)> = BTreeMap::new();
        for slot in self.slots.iter().filter(|slot| matches(slot)) {
            let row = (slot.indexes[0], slot.since);
            let entry = oldest.entry(slot.key.0).or_insert(row);
            *entry = row.min(*entry);
        }
        let mut customers: Vec<_> = oldest
            .into_iter()
            .filter(|(id, _)| !self.busy.contains(id) && !is_held(*id))
            .map(|(id, (index, since))| (index, since, id))
            .collect();
        customers.sort_unstable();
        customers
    }

    fn sends_unread(&self) -> bool {
        !self.config.skips_unchanged || self.balance.is_suspended()
    }

    fn sendable(&self, kind: BatchKind, is_held: IsHeld<'_>) -> Vec<(u64, Instant, i64)> {
        let sends_unread = kind == BatchKind::Put && self.sends_unread();
        self.waiting(is_held, |slot| {
            let (customer, _) = slot.key;
            slot.kind() == kind
                && (self.is_covered(customer) || (sends_unread && self.is_identified(customer)))
        })
    }

    fn unread(&self, is_held: IsHeld<'_>) -> Vec<(u64, Instant, i64)> {
        self.waiting(is_held, |slot| {
            let (customer, _) = slot.key;
            match self.is_identified(customer) {
                true => {
                    let is_put = slot.kind() == BatchKind::Put;
                    is_put && !self.sends_unread() && !self.is_covered(customer)
                }
                false => true,
            }
        })
    }

    fn is_full(&self) -> bool {
        self.row_count() >= self.config.window
    }

    fn select(&self, kind: BatchKind, limit: BatchLimit, is_held: IsHeld<'_>) -> (Vec<i64>, bool) {
        let max_customers = match kind {
            BatchKind::Put => limit.customers.min(self.config.customers_per_call),
            BatchKind::Delete => usize::MAX,
        };
        let mut customers = Vec::new();
        let mut rows = 0;
        for (_, _, id) in self.sendable(kind, is_held) {
            let slots = self.slots_of(id);
            let count = slots.filter(|slot| slot.kind() == kind).count();
            let has_room = match limit.may_exceed_rows {
                true => rows <= limit.rows,
                false => rows + count <= limit.rows,
            };
            if !customers.is_empty() && (!has_room || customers.len() == max_customers) {
                return (customers, true);
            }
            rows += count;
            customers.push(id);
        }
        let is_full = rows >= limit.rows || customers.len() == max_customers;
        (customers, is_full)
    }

    fn has_due_read(&self, now: Instant, is_held: IsHeld<'_>) -> bool {
        self.unread(is_held)
            .first()
            .is_some_and(|(index, since, _)| {
                self.is_full()
                    || *index < self.due_before
                    || now >= *since + self.config.max_wait / 2
            })
    }

    fn first_change(&self, kind: BatchKind, is_held: IsHeld<'_>) -> Option<&ModelChange> {
        let mut changes = self.changes.iter().filter(|change| change.kind == kind);
        changes.find(|change| !is_held(change.customer))
    }

    /// Returns the index of the oldest row of the next batch, if one is due.
    fn due_batch(
        &self,
        kind: BatchKind,
        now: Instant,
        limit: BatchLimit,
        is_held: IsHeld<'_>,
    ) -> Option<u64> {
        let sendable = self.sendable(kind, is_held);
        let &(index, since, _) = sendable.first()?;
        let (_, is_full) = self.select(kind, limit, is_held);
        let is_flushed = self.is_full() || index < self.due_before;
        let has_waited = now >= since + self.config.max_wait;
        let is_due = if kind == BatchKind::Put && self.sends_unread() {
            is_flushed || has_waited || (is_full && index < self.flush_before(kind))
        } else {
            let has_waited = match self.config.skips_unchanged {
                false => has_waited,
                true => self.first_change(kind, is_held).is_some_and(|change| {
                    now >= change.at + Duration::from_secs(5)
                        || self.rows_read - change.rows_read >= self.config.window
                }),
            };
            let waits_for_reads = self.reads > 0 || self.has_due_read(now, is_held);
            is_full || has_waited || (is_flushed && !waits_for_reads)
        };
        is_due.then_some(index)
    }

    fn flush_before(&self, kind: BatchKind) -> u64 {
        let flush_before = self.flush_before.get(&(kind as usize));
        flush_before.copied().unwrap_or_default()
    }

    fn next_batch(
        &mut self,
        kind: BatchKind,
        now: Instant,
        limit: BatchLimit,
        is_held: IsHeld<'_>,
    ) -> Option<Vec<ModelSlot>> {
        self.due_batch(kind, now, limit, is_held)?;
        let (index, since, _) = self.sendable(kind, is_held)[0];
        if index < self.due_before || now >= since + self.config.max_wait {
            self.flush_before.insert(kind as usize, self.next_index);
        }
        let mut batch = Vec::new();
        for id in self.select(kind, limit, is_held).0 {
            if self.config.skips_unchanged && !self.is_covered(id) {
                self.known.insert(id, ModelValues::default());
                self.balance.record_unread(1);
            }
            let is_sent = |slot: &ModelSlot| slot.key.0 == id && slot.kind() == kind;
            let mut slots: Vec<_> = self.slots.iter().filter(|slot| is_sent(slot)).collect();
            slots.sort_unstable();
            batch.extend(slots.into_iter().cloned());
            self.slots.retain(|slot| !is_sent(slot));
            self.busy.insert(id);
        }
        self.update(now);
        if !self.select(kind, limit, is_held).1 {
            self.flush_before.remove(&(kind as usize));
        }
        Some(batch)
    }

    fn next_read(
        &mut self,
        now: Instant,
        max_values: usize,
        is_held: IsHeld<'_>,
    ) -> Option<PlannedRead> {
        if !self.has_due_read(now, is_held) {
            return None;
        }
        let mut request = ReadRequest {
            customers: BTreeSet::new(),
            attributes: BTreeSet::new(),
        };
        let mut values = 0;
        let mut is_cut = false;
        for (_, _, id) in self.unread(is_held) {
            let is_read = |slot: &&ModelSlot| self.config.skips_unchanged || slot.value.is_none();
            let attributes = self.slots_of(id).filter(is_read).map(|slot| slot.key.1);
            values += attributes.clone().count();
            is_cut = !request.customers.is_empty() && values > max_values;
            if is_cut {
                break;
            }
            request.attributes.extend(attributes);
            request.customers.insert(id);
        }
        self.busy.extend(&request.customers);
        self.reads += 1;
        self.update(now);
        Some(PlannedRead {
            request,
            is_full: is_cut,
            is_optional: !self.sends_unread(),
        })
    }

    fn finish_read(
        &mut self,
        read: &ReadCall,
        values: Option<&BTreeMap<Key, String>>,
        max_values: usize,
        now: Instant,
    ) {
        self.reads -= 1;
        let customers = &read.request.customers;
        for &id in customers {
            self.busy.remove(&id);
            let values = values.into_iter().flatten();
            self.known.insert(
                id,
                ModelValues {
                    attributes: None,
                    values: values
                        .filter(|((customer, _), _)| *customer == id)
                        .map(|((_, attribute), text)| {
                            let text = text.clone();
                            (*attribute, ModelValue::Stored { text, has_id: true })
                        })
                        .collect(),
                },
            );
        }
        for id in customers {
            if let (Some(_), Some(known)) = (values, self.known.get_mut(id)) {
                known.attributes = Some(read.request.attributes.clone());
            }
        }
        let is_read = |model: &Self, slot: &ModelSlot| {
            customers.contains(&slot.key.0) && !model.must_read(slot)
        };
        self.rows_read += self.slots.iter().filter(|slot| is_read(self, slot)).count();
        if values.is_none() {
            let is_unidentified = |slot: &ModelSlot| {
                let is_delete = slot.kind() == BatchKind::Delete;
                is_delete && customers.contains(&slot.key.0) && self.must_read(slot)
            };
            let (unidentified, slots): (Vec<_>, Vec<_>) =
                self.slots.iter().cloned().partition(is_unidentified);
            self.slots = slots;
            self.unidentified.extend(unidentified);
        }
        self.update(now);
        let changed = self
            .slots
            .iter()
            .filter(|slot| is_read(self, slot))
            .map(|slot| slot.key.0)
            .collect::<BTreeSet<_>>();
        let count = values.map_or(0, BTreeMap::len);
        if read.is_optional {
            self.balance.record_read(FinishedRead {
                requests: count.div_ceil(max_values).max(1),
                customers: customers.len(),
                changed: changed.len(),
                is_full: read.is_full,
            });
        }
    }

    fn next_due(&self, now: Instant, is_held: IsHeld<'_>) -> Option<Instant> {
        let max_wait = self.config.max_wait;
        let oldest = |waiting: Vec<(u64, Instant, i64)>| Some(waiting.first()?.1);
        let mut due = vec![oldest(self.unread(is_held)).map(|since| since + max_wait / 2)];
        for kind in BatchKind::ALL {
            let waits_for_changes =
                self.config.skips_unchanged && (kind == BatchKind::Delete || !self.sends_unread());
            due.push(match waits_for_changes {
                true => self
                    .first_change(kind, is_held)
                    .map(|change| change.at + Duration::from_secs(5)),
                false => oldest(self.sendable(kind, is_held)).map(|since| since + max_wait),
            });
        }
        due.into_iter().flatten().filter(|due| *due > now).min()
    }
}

/// A read that the model would make.
struct PlannedRead {
    request: ReadRequest,
    is_full: bool,
    is_optional: bool,
}

#[derive(Clone, Debug)]
enum BufferStep {
    Push {
        key: Key,
        /// `None` for a value to delete.
        value: Option<u8>,
    },
    MarkIdle,
    EndInput,
    Wait {
        millis: u64,
    },
    SendBatch {
        kind: BatchKind,
        limit: BatchLimit,
    },
    /// Ends a batch: each row is confirmed or requeued, and some customers' values are uncertain.
    EndBatch {
        seed: u64,
    },
    SendRead,
    EndRead {
        seed: u64,
        fails: bool,
    },
    Hold {
        customer: i64,
    },
    EndHolds,
    Drain,
}

const CUSTOMERS: std::ops::Range<i64> = 1..30;

/// Returns random steps. `delete_weight` is the weight of values to delete, beside 9 values to store.
fn steps(delete_weight: u32) -> impl Strategy<Value = Vec<BufferStep>> {
    let value = move || prop_oneof![9 => (0..3_u8).prop_map(Some), delete_weight => Just(None)];
    let kind = || prop_oneof![3 => Just(BatchKind::Put), 1 => Just(BatchKind::Delete)];
    let limit = (
        prop_oneof![Just(usize::MAX), 1..6_usize],
        prop_oneof![Just(usize::MAX), 1..12_usize],
        any::<bool>(),
    )
        .prop_map(|(customers, rows, may_exceed_rows)| BatchLimit {
            customers,
            rows,
            may_exceed_rows,
        });
    let step = prop_oneof![
        40 => (CUSTOMERS, 1..5_i64, value())
            .prop_map(|(customer, attribute, value)| BufferStep::Push { key: (customer, attribute), value }),
        2 => Just(BufferStep::MarkIdle),
        10 => (0..400_u64).prop_map(|millis| BufferStep::Wait { millis }),
        1 => (1_000..6_000_u64).prop_map(|millis| BufferStep::Wait { millis }),
        20 => (kind(), limit).prop_map(|(kind, limit)| BufferStep::SendBatch { kind, limit }),
        8 => any::<u64>().prop_map(|seed| BufferStep::EndBatch { seed }),
        10 => Just(BufferStep::SendRead),
        10 => (any::<u64>(), prop::bool::weighted(0.1))
            .prop_map(|(seed, fails)| BufferStep::EndRead { seed, fails }),
        3 => CUSTOMERS.prop_map(|customer| BufferStep::Hold { customer }),
        2 => Just(BufferStep::EndHolds),
    ];
    let rare = prop_oneof![
        300 => step,
        1 => Just(BufferStep::EndInput),
        1 => Just(BufferStep::Drain),
    ];
    prop::collection::vec(rare, 0..300)
}

fn configs() -> impl Strategy<Value = BufferConfig> {
    (1..60_usize, 1..8_usize, any::<bool>()).prop_map(
        |(window, customers_per_call, skips_unchanged)| BufferConfig {
            window,
            customers_per_call,
            max_url_len: usize::MAX,
            max_wait: Duration::from_millis(500),
            skips_unchanged,
        },
    )
}

struct ReadCall {
    id: u64,
    request: ReadRequest,
    is_full: bool,
    is_optional: bool,
}

/// How often the interesting things have happened, so that the test shows that it tests them.
#[derive(Debug, Default)]
struct Seen {
    batches: usize,
    deletes: usize,
    reads: usize,
    unchanged: usize,
    suspended: usize,
}

fn check(config: BufferConfig, steps: Vec<BufferStep>, max_values: usize) -> Seen {
    let mut buffer = Buffer::<UpsertRow>::new(config, Normalization::default());
    let mut model = Model::new(config);
    let keys = CUSTOMERS.flat_map(|customer| (1..5).map(move |attribute| (customer, attribute)));
    let mut store: BTreeMap<Key, String> = keys.map(|key| (key, "0".to_owned())).collect();
    let (mut batches, mut reads) = (Vec::<Vec<Slot<UpsertRow>>>::new(), Vec::<ReadCall>::new());
    let mut held = BTreeSet::new();
    let (mut now, mut next_index) = (Instant::now(), 0);
    let mut limit = BatchLimit {
        customers: usize::MAX,
        rows: usize::MAX,
        may_exceed_rows: false,
    };
    let mut seen = Seen::default();
    for step in steps {
        let holds = held.clone();
        let is_held: IsHeld<'_> = &|customer| holds.contains(&customer);
        match step {
            BufferStep::Push { .. } if buffer.is_full() => {}
            BufferStep::Push { key, value } => {
                let row = UpsertRow::new(key.0, key.1, value.map(u64::from));
                let mut slot = Slot::new(PendingRow {
                    index: next_index,
                    metadata: row.clone().into_metadata(),
                    wire: row.to_wire().expect("the row is valid"),
                    may_be_executed: false,
                    was_refused: false,
                });
                next_index += 1;
                slot.since = Some(now);
                model.insert(ModelSlot::of(&slot), now);
                slot.since = None;
                buffer.insert(slot, now);
            }
            BufferStep::MarkIdle => {
                buffer.mark_idle();
                model.due_before = model.due_before.max(model.next_index);
            }
            BufferStep::EndInput => {
                buffer.end_input();
                model.due_before = u64::MAX;
            }
            BufferStep::Wait { millis } => now += Duration::from_millis(millis),
            BufferStep::SendBatch {
                kind,
                limit: latest,
            } => {
                limit = latest;
                let batch = buffer.next_batch(kind, now, limit, is_held, &|_| true);
                let slots = batch
                    .as_ref()
                    .map(|batch| batch.iter().map(ModelSlot::of).collect());
                assert_eq!(slots, model.next_batch(kind, now, limit, is_held));
                for slot in batch.iter().flatten() {
                    let is_identified = match &slot.row.wire {
                        WireRow::Put(_) => true,
                        WireRow::Delete(value) => value.value_id.is_some(),
                    };
                    assert!(is_identified, "{slot:?}");
                }
                seen.batches += usize::from(batch.is_some());
                seen.deletes += usize::from(batch.is_some() && kind == BatchKind::Delete);
                batches.extend(batch);
            }
            BufferStep::EndBatch { seed } => {
                let mut rng = fastrand::Rng::with_seed(seed);
                if batches.is_empty() {
                    continue;
                }
                let batch = batches.swap_remove(rng.usize(..batches.len()));
                let mut customers: Vec<_> = batch.iter().map(|slot| slot.key().0).collect();
                customers.dedup();
                for slot in batch {
                    let key = slot.key();
                    if rng.u8(..4) == 0 {
                        buffer.forget(key.0, now);
                        model.known.remove(&key.0);
                        model.update(now);
                    }
                    if rng.u8(..3) == 0 {
                        model.insert(ModelSlot::of(&slot), now);
                        buffer.insert(slot, now);
                    } else {
                        let value = match <UpsertRow as BatchItem>::value(&slot.row.wire) {
                            None => {
                                buffer.record_deleted(key);
                                store.remove(&key);
                                ModelValue::Deleted
                            }
                            Some(value) => {
                                let listed = 1_000 * key.0 + key.1;
                                let id = rng.choice([None, Some(1), Some(listed), Some(listed)]);
                                let id = id.flatten();
                                let was_listed = matches!(
                                    model.value(key),
                                    Some(ModelValue::Stored { has_id: true, .. })
                                );
                                buffer.record_stored(key, value, value, id);
                                store.insert(key, value.to_owned());
                                ModelValue::Stored {
                                    text: value.to_owned(),
                                    has_id: was_listed && id == Some(listed),
                                }
                            }
                        };
                        if let Some(known) = model.known.get_mut(&key.0) {
                            known.values.insert(key.1, value);
                        }
                    }
                }
                buffer.release(&customers, now);
                for id in customers {
                    model.busy.remove(&id);
                }
                model.update(now);
            }
            BufferStep::SendRead => {
                let read = buffer.next_read(now, max_values, usize::MAX, is_held);
                let request = read.as_ref().map(|(_, request)| request.clone());
                let expected = model.next_read(now, max_values, is_held);
                assert_eq!(
                    request.as_ref(),
                    expected.as_ref().map(|planned| &planned.request)
                );
                if let (Some((id, request)), Some(planned)) = (read, expected) {
                    seen.reads += 1;
                    reads.push(ReadCall {
                        id,
                        request,
                        is_full: planned.is_full,
                        is_optional: planned.is_optional,
                    });
                }
            }
            BufferStep::EndRead { seed, fails } => {
                let mut rng = fastrand::Rng::with_seed(seed);
                if reads.is_empty() {
                    continue;
                }
                let read = reads.swap_remove(rng.usize(..reads.len()));
                let ReadRequest {
                    customers,
                    attributes,
                } = &read.request;
                let values: BTreeMap<_, _> = store
                    .iter()
                    .filter(|((id, attribute), _)| {
                        customers.contains(id) && attributes.contains(attribute)
                    })
                    .map(|(key, value)| (*key, value.clone()))
                    .collect();
                let records = values.iter();
                let records = records.map(|(key, value)| attribute_value(*key, value));
                let result = match fails {
                    true => Err(Error::stopped()),
                    false => Ok(ReadValues {
                        values: records.collect(),
                        incomplete: None,
                    }),
                };
                buffer.finish_read(read.id, result, now);
                model.finish_read(&read, (!fails).then_some(&values), max_values, now);
            }
            BufferStep::Hold { customer } => {
                held.insert(customer);
            }
            BufferStep::EndHolds => held.clear(),
            BufferStep::Drain => {
                let slots: Vec<_> = buffer.drain().iter().map(ModelSlot::of).collect();
                let mut expected = std::mem::take(&mut model.slots);
                assert!(slots.windows(2).all(|pair| {
                    let first = |slot: &ModelSlot| {
                        let of_customer = expected.iter().filter(|s| s.key.0 == slot.key.0);
                        of_customer.map(|slot| slot.indexes[0]).min()
                    };
                    first(&pair[0]) <= first(&pair[1])
                }));
                let mut slots = slots;
                slots.sort_unstable();
                expected.sort_unstable();
                assert_eq!(slots, expected);
                model.update(now);
            }
        }
        let is_held: IsHeld<'_> = &|customer| held.contains(&customer);
        let (mut unchanged, mut unidentified) = (Vec::new(), Vec::new());
        for (slot, settlement) in buffer.take_settled() {
            match settlement {
                Settlement::Unchanged => unchanged.push(ModelSlot::of(&slot)),
                Settlement::Unidentified(_) => unidentified.push(ModelSlot::of(&slot)),
            }
        }
        unidentified.sort_unstable();
        model.unidentified.sort_unstable();
        assert_eq!(unidentified, std::mem::take(&mut model.unidentified));
        seen.unchanged += unchanged.len();
        seen.suspended += usize::from(model.balance.is_suspended());
        unchanged.sort_unstable();
        model.unchanged.sort_unstable();
        assert_eq!(unchanged, std::mem::take(&mut model.unchanged));
        assert_eq!(buffer.row_count(), model.row_count());
        assert_eq!(buffer.is_full(), model.is_full());
        assert_eq!(buffer.is_empty(), model.slots.is_empty());
        assert_eq!(
            buffer.has_unflushed_rows(),
            !model.slots.is_empty() && model.due_before < model.next_index
        );
        for kind in BatchKind::ALL {
            assert_eq!(
                buffer.due_batch(kind, now, limit, is_held),
                model.due_batch(kind, now, limit, is_held)
            );
        }
        assert_eq!(
            buffer.has_due_read(now, is_held),
            model.has_due_read(now, is_held)
        );
        assert_eq!(buffer.next_due(now, is_held), model.next_due(now, is_held));
        for attribute in 1..5 {
            let key = (CUSTOMERS.start, attribute);
            let is_waiting = model.slots.iter().any(|slot| slot.key == key);
            assert_eq!(buffer.contains(key), is_waiting);
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_buffer_makes_the_same_batches_and_reads_as_a_search_through_everything(
        config in configs(),
        steps in (0..9_u32).prop_flat_map(steps),
        max_values in 1..20_usize,
    ) {
        check(config, steps, max_values);
    }
}

#[test]
fn the_random_steps_read_skip_send_and_suspend() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut total = Seen::default();
    for _ in 0..50 {
        let case = (configs(), steps(1), 1..20_usize);
        let case = case.new_tree(&mut runner).expect("a case");
        let (config, steps, max_values) = case.current();
        let seen = check(config, steps, max_values);
        total.batches += seen.batches;
        total.deletes += seen.deletes;
        total.reads += seen.reads;
        total.unchanged += seen.unchanged;
        total.suspended += seen.suspended;
    }
    let Seen {
        batches,
        deletes,
        reads,
        unchanged,
        suspended,
    } = total;
    assert!(batches > 200 && reads > 100 && unchanged > 100, "{total:?}");
    assert!(suspended > 100 && deletes > 20, "{total:?}");
}
