//! What the input says of the listed values, row by row. Pure.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bigcommerce_sdk::types;
use chrono::{DateTime, Utc};
use foldhash::HashSet;

use super::listed::{ListedValues, Mark, reserve};
use crate::error::{Error, Violation};
use crate::outcome::{Outcome, OutcomeKind};
use crate::run::{Admission, Admitted};
use crate::value::UpsertRow;

/// What a mirror knows, shared by its phases.
#[derive(Debug)]
pub(super) struct Knowledge<T> {
    pub listed: ListedValues,
    /// Why the list may lack values.
    pub doubt: Option<Error>,
    /// The fingerprints of the keys of rows that were sent although no value was listed.
    created: HashSet<u64>,
    /// The fingerprints of the keys and texts that such rows have written.
    written: Vec<u64>,
    /// Rows without a value whose values are to be deleted at the end.
    absent_rows: HashMap<(i64, i64), AbsentRow<T>>,
    /// Outcomes of such rows that a later row replaced.
    pub superseded: Vec<Outcome<UpsertRow<T>>>,
    /// The error of the first row that stops all deletes.
    pub unresolved: Option<Error>,
    /// The first customer's attribute that the run has stored a value for, with a time.
    pub stored_key: Option<(i64, i64)>,
}

/// A row without a value.
#[derive(Debug)]
struct AbsentRow<T> {
    index: u64,
    row: UpsertRow<T>,
    /// The number of its values that have no outcome yet: one, unless the server has listed several for
    /// the customer and attribute.
    values_left: usize,
    /// The worst outcome of its other values.
    kind: Option<OutcomeKind>,
}

/// Returns which of the outcomes of a row's values the row has: the highest.
fn rank(kind: &OutcomeKind) -> u8 {
    match kind {
        OutcomeKind::Unchanged => 0,
        OutcomeKind::Deleted | OutcomeKind::Planned => 1,
        _ => 2,
    }
}

/// The knowledge, as the admission and the driver of a mirror share it.
pub(super) struct SharedKnowledge<T>(Arc<Mutex<Knowledge<T>>>);

impl<T> Clone for SharedKnowledge<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> SharedKnowledge<T> {
    pub(super) fn new(listed: ListedValues, doubt: Option<Error>) -> Self {
        Self(Arc::new(Mutex::new(Knowledge {
            listed,
            doubt,
            created: HashSet::default(),
            written: Vec::new(),
            absent_rows: HashMap::new(),
            superseded: Vec::new(),
            unresolved: None,
            stored_key: None,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Knowledge<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Knowledge<T> {
    /// Returns `true` if a row for the key was sent, and no value was listed for it.
    pub(super) fn was_created(&self, key: (i64, i64)) -> bool {
        self.created.contains(&self.listed.key_fingerprint(key))
    }

    /// Records a record that confirms a row. Returns `true` if its text means what the row's does.
    pub(super) fn record_stored(
        &mut self,
        row: Option<&str>,
        record: &types::AttributeValue,
    ) -> bool {
        let (attribute, stored) = (record.attribute_id, &record.attribute_value);
        let key = (record.customer_id, attribute);
        self.record_written(key, stored, record.date_modified);
        if record.date_modified.is_some() {
            self.stored_key.get_or_insert(key);
        }
        row.is_none_or(|row| self.listed.are_same(attribute, row, stored))
    }

    /// Records a text that the run has stored.
    pub(super) fn record_written(
        &mut self,
        key: (i64, i64),
        text: &str,
        modified: Option<DateTime<Utc>>,
    ) {
        if !self.listed.record_stored(key, text, modified) {
            self.push_written(key, text);
        }
    }

    /// Records a text that the run may have stored, or still store.
    pub(super) fn record_unknown(&mut self, key: (i64, i64), text: &str) {
        let listed = self.listed.of_mut(key.0, key.1);
        if listed.is_empty() {
            self.push_written(key, text);
        }
        for value in self.listed.of_mut(key.0, key.1) {
            value.clear(Mark::Stored);
        }
    }

    fn push_written(&mut self, key: (i64, i64), text: &str) {
        if let Some(fingerprint) = self.listed.record_fingerprint(key, text) {
            reserve(&mut self.written);
            self.written.push(fingerprint);
        }
    }

    /// Prepares for [`has_written`](Self::has_written).
    pub(super) fn sort_written(&mut self) {
        self.written.sort_unstable();
    }

    /// Returns `true` if the run has written a record for which no value was listed, and its text.
    pub(super) fn has_written(&self, record: &types::AttributeValue) -> bool {
        let key = (record.customer_id, record.attribute_id);
        let fingerprint = self.listed.record_fingerprint(key, &record.attribute_value);
        fingerprint.is_some_and(|fingerprint| self.written.binary_search(&fingerprint).is_ok())
    }

    /// Records the outcome of a value. Returns the row without a value that means it, with its outcome,
    /// once all its values have theirs.
    pub(super) fn settle_absent_row(
        &mut self,
        key: (i64, i64),
        kind: &OutcomeKind,
    ) -> Option<(u64, UpsertRow<T>, OutcomeKind)> {
        let mut absent = self.absent_rows.remove(&key)?;
        let worst = match absent.kind.take() {
            Some(other) if rank(&other) > rank(kind) => other,
            _ => kind.clone(),
        };
        absent.values_left = absent.values_left.saturating_sub(1);
        if absent.values_left == 0 {
            return Some((absent.index, absent.row, worst));
        }
        absent.kind = Some(worst);
        self.absent_rows.insert(key, absent);
        None
    }

    pub(super) fn absent_row_count(&self) -> usize {
        self.absent_rows.len()
    }

    /// Takes the rows without a value that have no outcome, in the order of the input.
    pub(super) fn take_absent_rows(&mut self) -> Vec<(u64, UpsertRow<T>)> {
        let rows = std::mem::take(&mut self.absent_rows).into_values();
        let mut rows: Vec<_> = rows.map(|absent| (absent.index, absent.row)).collect();
        rows.sort_unstable_by_key(|(index, _)| *index);
        rows
    }

    /// Records that the input has a value for a customer's attribute.
    fn mark_present(&mut self, key: (i64, i64), index: u64) {
        for value in self.listed.of_mut(key.0, key.1) {
            value.set(Mark::Present);
        }
        self.supersede(key, index);
    }

    /// Replaces a row without a value that is kept.
    fn supersede(&mut self, key: (i64, i64), by: u64) {
        if let Some(AbsentRow { index, row, .. }) = self.absent_rows.remove(&key) {
            self.superseded.push(Outcome {
                index,
                row: Some(row),
                kind: OutcomeKind::Superseded { by },
            });
        }
    }

    fn admit(&mut self, index: u64, row: UpsertRow<T>) -> Admitted<UpsertRow<T>> {
        let (customer, attribute) = (
            row.customer_id().unwrap_or_default(),
            row.attribute().id().unwrap_or_default(),
        );
        if customer < 1 || attribute < 1 {
            // The run rejects it.
            if let Err(violation) = row.to_wire() {
                self.record_unresolved(Error::invalid_row(index, &violation));
            }
            return Admitted::Send(row);
        }
        self.listed.name_customer(customer);
        if !self.listed.has_attribute(attribute) {
            return Admitted::Rejected(row, Violation::not_mirrored());
        }
        let key = (customer, attribute);
        match row.value() {
            None if row.custom_fields().is_none() => self.admit_absent(index, key, row),
            value => {
                let is_held = row.custom_fields().is_none()
                    && value.is_some_and(|value| self.listed.holds(customer, attribute, value));
                self.mark_present(key, index);
                let listed = self.listed.of_mut(customer, attribute);
                // An earlier row may still be on its way.
                let was_sent = listed.iter().any(|value| value.has(Mark::Sent));
                if is_held && !was_sent {
                    return Admitted::Settled(row, OutcomeKind::Unchanged);
                }
                if listed.is_empty() {
                    self.created.insert(self.listed.key_fingerprint(key));
                }
                for value in self.listed.of_mut(customer, attribute) {
                    value.set(Mark::Sent);
                }
                Admitted::Send(row)
            }
        }
    }

    /// Keeps a row without a value until all values that the input doesn't have are deleted.
    fn admit_absent(
        &mut self,
        index: u64,
        key: (i64, i64),
        row: UpsertRow<T>,
    ) -> Admitted<UpsertRow<T>> {
        let listed = self.listed.of_mut(key.0, key.1);
        if listed.is_empty() {
            let kind = match &self.doubt {
                _ if self.was_created(key) => OutcomeKind::NotSent(Error::absent_after_value()),
                Some(doubt) => OutcomeKind::NotSent(Error::absent_unseen(doubt)),
                None => OutcomeKind::Unchanged,
            };
            return Admitted::Settled(row, kind);
        }
        let values_left = listed.len();
        for value in listed {
            value.clear(Mark::Present);
        }
        self.supersede(key, index);
        let absent = AbsentRow {
            index,
            row,
            values_left,
            kind: None,
        };
        self.absent_rows.insert(key, absent);
        Admitted::Taken
    }

    fn record_invalid(
        &mut self,
        index: u64,
        row: &UpsertRow<T>,
        accounts: &[i64],
        violation: &Violation,
    ) {
        let attribute = row.attribute().id().filter(|id| *id > 0);
        let customer = row.customer_id().filter(|id| *id > 0);
        let customers = customer.as_slice().iter().chain(accounts);
        let mut is_resolved = false;
        if let Some(attribute) = attribute {
            for &customer in customers {
                is_resolved = true;
                self.listed.name_customer(customer);
                self.mark_present((customer, attribute), index);
            }
        }
        if !is_resolved {
            self.record_unresolved(Error::invalid_row(index, violation));
        }
    }

    fn record_unresolved(&mut self, error: Error) {
        self.unresolved.get_or_insert(error);
    }
}

impl<T: Send> Admission<UpsertRow<T>> for SharedKnowledge<T> {
    fn admit(&mut self, index: u64, row: UpsertRow<T>) -> Admitted<UpsertRow<T>> {
        self.lock().admit(index, row)
    }

    fn record_invalid(
        &mut self,
        index: u64,
        row: &UpsertRow<T>,
        accounts: &[i64],
        violation: &Violation,
    ) {
        self.lock().record_invalid(index, row, accounts, violation);
    }

    fn record_unresolved(&mut self, index: u64, error: &Error) {
        self.lock().record_unresolved(error.for_row(index));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::ComparedAs;
    use super::super::listed::MirroredAttribute;
    use super::*;
    use crate::normalization::Normalization;

    /// Returns what is known of a store in which the customers 1 and 2 have the value Gold.
    fn knowledge() -> SharedKnowledge<()> {
        let attribute = MirroredAttribute {
            id: 1,
            name: "Tier".to_owned(),
            compared_as: ComparedAs::Text,
        };
        let mut listed = ListedValues::new(vec![attribute], Normalization::default());
        // Customer 2 has two of them.
        for (id, customer) in [(1, 1), (2, 2), (3, 2)] {
            listed.push(&value(id, customer, "Gold"));
        }
        listed.sort();
        SharedKnowledge::new(listed, None)
    }

    fn value(id: i64, customer: i64, text: &str) -> types::AttributeValue {
        types::AttributeValue::builder()
            .id(id)
            .customer_id(customer)
            .attribute_id(1)
            .attribute_value(text)
            .try_into()
            .expect("a value")
    }

    #[test]
    fn the_last_row_decides_whether_a_value_is_to_be_deleted() {
        let absent = || UpsertRow::absent(1, 1);
        let gold = || UpsertRow::new(1, 1, "Gold");
        let silver = || UpsertRow::new(1, 1, "Silver");
        for (rows, names, candidates) in [
            (vec![gold()], vec!["unchanged"], 2),
            (vec![silver()], vec!["send"], 2),
            (vec![silver(), gold()], vec!["send", "send"], 2),
            (vec![absent()], vec!["taken"], 3),
            (vec![gold(), absent()], vec!["unchanged", "taken"], 3),
            (vec![absent(), gold()], vec!["taken", "unchanged"], 2),
            (vec![absent(), absent()], vec!["taken", "taken"], 3),
        ] {
            let knowledge = knowledge();
            let mut known = knowledge.lock();
            let admitted = (0..)
                .zip(rows)
                .map(|(index, row)| match known.admit(index, row) {
                    Admitted::Send(_) => "send",
                    Admitted::Settled(_, kind) => kind.as_str(),
                    Admitted::Rejected(..) => "rejected",
                    Admitted::Taken => "taken",
                });
            let admitted: Vec<_> = admitted.collect();
            assert_eq!(admitted, names);
            assert_eq!(
                known.listed.candidates(false).count(),
                candidates,
                "{names:?}"
            );
            let taken = names.iter().filter(|name| **name == "taken").count();
            let waiting = known.absent_row_count();
            assert_eq!(waiting + known.superseded.len(), taken, "{names:?}");
        }
    }

    #[test]
    fn a_row_without_a_value_has_the_worst_outcome_of_its_values() {
        let (deleted, unchanged) = (OutcomeKind::Deleted, OutcomeKind::Unchanged);
        let kept = || OutcomeKind::NotSent(Error::value_changed());
        for (first, second, expected) in [
            (deleted.clone(), unchanged.clone(), "deleted"),
            (unchanged.clone(), unchanged.clone(), "unchanged"),
            (deleted.clone(), kept(), "not_sent"),
            (kept(), deleted.clone(), "not_sent"),
        ] {
            let knowledge = knowledge();
            let mut known = knowledge.lock();
            known.admit(7, UpsertRow::absent(2, 1));
            assert!(known.settle_absent_row((1, 1), &first).is_none());
            assert!(known.settle_absent_row((2, 1), &first).is_none());
            let settled = known.settle_absent_row((2, 1), &second);
            let (index, _, kind) = settled.expect("an outcome");
            assert_eq!((index, kind.as_str()), (7, expected));
            assert_eq!(known.absent_row_count(), 0);
        }
    }

    #[test]
    fn what_the_run_has_created_is_told_from_what_others_have() {
        let knowledge = knowledge();
        let mut known = knowledge.lock();
        known.admit(0, UpsertRow::new(8, 1, "Gold"));
        known.admit(1, UpsertRow::new(9, 1, "Gold"));
        assert!(known.record_stored(Some("Gold"), &value(80, 8, "Gold")));
        known.record_unknown((9, 1), "Gold");
        known.sort_written();
        assert!(known.has_written(&value(80, 8, "Gold")));
        assert!(known.has_written(&value(90, 9, "Gold")));
        assert!(!known.has_written(&value(80, 8, "Silver")));
        assert!(!known.has_written(&value(70, 7, "Gold")));
        assert!(!known.record_stored(Some("Gold"), &value(80, 8, "GOLD")));
    }
}
