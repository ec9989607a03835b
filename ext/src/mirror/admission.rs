//! What the input says of the listed values, row by row. Pure.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bigcommerce_sdk::types;
use foldhash::HashSet;

use super::listed::{ListedValues, Mark};
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
    /// Rows without a value whose values are to be deleted at the end, with their indices.
    pub absent_rows: HashMap<(i64, i64), (u64, UpsertRow<T>)>,
    /// Outcomes of such rows that a later row replaced.
    pub superseded: Vec<Outcome<UpsertRow<T>>>,
    /// The error of the first row that stops all deletes.
    pub unresolved: Option<Error>,
    /// A customer's attribute that the run has stored a value for.
    pub stored_key: Option<(i64, i64)>,
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

    /// Records a record that confirms a row.
    pub(super) fn record_stored(&mut self, record: &types::AttributeValue) {
        self.listed.record_stored(record);
        if record.date_modified.is_some() {
            self.stored_key = Some((record.customer_id, record.attribute_id));
        }
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
        if let Some((index, row)) = self.absent_rows.remove(&key) {
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
        for value in listed {
            value.clear(Mark::Present);
        }
        self.supersede(key, index);
        self.absent_rows.insert(key, (index, row));
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
