//! The values that the store was seen to have, in 32 bytes each, and what the input says of them. Pure.

use bigcommerce_sdk::types;
use chrono::{DateTime, Utc};

use super::fingerprint::{ComparedAs, Fingerprints};
use crate::normalization::Normalization;

/// A mirrored attribute.
#[derive(Clone, Debug)]
pub(super) struct MirroredAttribute {
    pub id: i64,
    pub name: String,
    pub compared_as: ComparedAs,
}

/// A value of the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListedValue {
    pub customer_id: i64,
    /// 0 if the server showed none.
    pub value_id: i64,
    fingerprint: u64,
    /// When the value was changed, in seconds since 1970; 0 if that is not known.
    modified: u32,
    /// Which of the mirrored attributes the value is of.
    attribute: u16,
    marks: u8,
}

/// What memory is counted on: a map would take three times as much.
const _: () = assert!(size_of::<ListedValue>() == 32);

/// What is known of a listed value beside the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mark {
    /// The input has a value for the customer and attribute.
    Present = 1,
    /// A row for the customer and attribute was sent.
    Sent = 1 << 1,
    /// The server has confirmed such a row, and the fingerprint and the time of change are those of its
    /// record.
    Stored = 1 << 2,
    /// The input names the customer. Only the first value of a customer has this mark.
    CustomerNamed = 1 << 3,
    /// Somebody else has changed the value since the list began.
    Changed = 1 << 4,
    /// The value was read again, and is as it was listed.
    Verified = 1 << 5,
    /// The value no longer exists.
    Gone = 1 << 6,
}

impl ListedValue {
    pub(super) fn has(&self, mark: Mark) -> bool {
        self.marks & mark as u8 != 0
    }

    pub(super) fn set(&mut self, mark: Mark) {
        self.marks |= mark as u8;
    }

    pub(super) fn clear(&mut self, mark: Mark) {
        self.marks &= !(mark as u8);
    }

    /// Returns `true` if it is known when the value was changed.
    pub(super) fn is_dated(&self) -> bool {
        self.modified > 0
    }

    /// Returns `true` if the value was changed at this time or later.
    pub(super) fn is_changed_since(&self, time: DateTime<Utc>) -> bool {
        i64::from(self.modified) >= time.timestamp()
    }

    fn sort_key(&self) -> (i64, u16, i64) {
        (self.customer_id, self.attribute, self.value_id)
    }
}

/// Returns seconds since 1970, 0 for a time that a value can't have been changed at.
fn seconds(time: Option<DateTime<Utc>>) -> u32 {
    let seconds = time.map(|time| time.timestamp());
    seconds
        .and_then(|seconds| u32::try_from(seconds).ok())
        .unwrap_or(0)
}

/// The listed values of the mirrored attributes, sorted by customer and attribute.
#[derive(Debug)]
pub(super) struct ListedValues {
    /// Sorted by ID.
    attributes: Vec<MirroredAttribute>,
    values: Vec<ListedValue>,
    fingerprints: Fingerprints,
    normalization: Normalization,
}

impl ListedValues {
    /// `attributes` are at most as many as a store can have, far fewer than 65,536.
    pub(super) fn new(
        mut attributes: Vec<MirroredAttribute>,
        normalization: Normalization,
    ) -> Self {
        attributes.sort_unstable_by_key(|attribute| attribute.id);
        attributes.dedup_by_key(|attribute| attribute.id);
        attributes.truncate(usize::from(u16::MAX));
        Self {
            attributes,
            values: Vec::new(),
            fingerprints: Fingerprints::default(),
            normalization,
        }
    }

    pub(super) fn attributes(&self) -> &[MirroredAttribute] {
        &self.attributes
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns the attribute of a value.
    pub(super) fn attribute(&self, value: &ListedValue) -> &MirroredAttribute {
        &self.attributes[usize::from(value.attribute)]
    }

    fn position(&self, attribute: i64) -> Option<u16> {
        let position = self
            .attributes
            .binary_search_by_key(&attribute, |mirrored| mirrored.id);
        u16::try_from(position.ok()?).ok()
    }

    pub(super) fn has_attribute(&self, attribute: i64) -> bool {
        self.position(attribute).is_some()
    }

    /// Returns the fingerprint of a customer's attribute.
    pub(super) fn key_fingerprint(&self, key: (i64, i64)) -> u64 {
        self.fingerprints.of_key(key)
    }

    /// Returns the fingerprint of a customer's attribute with its text; `None` if it is not mirrored.
    pub(super) fn record_fingerprint(&self, key: (i64, i64), text: &str) -> Option<u64> {
        let text = self.fingerprint(self.position(key.1)?, text);
        Some(self.fingerprints.of_record(key, text))
    }

    fn fingerprint(&self, attribute: u16, value: &str) -> u64 {
        let compared_as = self.attributes[usize::from(attribute)].compared_as;
        self.fingerprints.of(value, compared_as)
    }

    /// Adds a value of the list. Values of other attributes are left out.
    pub(super) fn push(&mut self, value: &types::AttributeValue) {
        let Some(attribute) = self.position(value.attribute_id) else {
            return;
        };
        reserve(&mut self.values);
        let fingerprint = self.fingerprint(attribute, &value.attribute_value);
        self.values.push(ListedValue {
            customer_id: value.customer_id,
            value_id: value.id.unwrap_or_default().max(0),
            fingerprint,
            modified: seconds(value.date_modified),
            attribute,
            marks: 0,
        });
    }

    /// Records that the list has ended.
    pub(super) fn sort(&mut self) {
        self.values.sort_unstable_by_key(ListedValue::sort_key);
    }

    /// Returns the values of a customer's attribute: usually one or none.
    pub(super) fn of_mut(&mut self, customer: i64, attribute: i64) -> &mut [ListedValue] {
        let Some(attribute) = self.position(attribute) else {
            return &mut [];
        };
        let key = (customer, attribute);
        let key_of = |value: &ListedValue| (value.customer_id, value.attribute);
        let start = self.values.partition_point(|value| key_of(value) < key);
        let count = self.values[start..].partition_point(|value| key_of(value) == key);
        &mut self.values[start..start + count]
    }

    /// Returns `true` if all listed values of the customer's attribute are this one.
    pub(super) fn holds(&mut self, customer: i64, attribute: i64, value: &str) -> bool {
        let Some(position) = self.position(attribute) else {
            return false;
        };
        let exact = self.fingerprint(position, value);
        let listed = self.of_mut(customer, attribute);
        if listed.is_empty() {
            return false;
        }
        if listed.iter().all(|listed| listed.fingerprint == exact) {
            return true;
        }
        let forms = self.normalization.other_forms(attribute, value);
        let forms: Vec<_> = forms
            .map(|form| self.fingerprint(position, &form))
            .collect();
        let mut listed = self.of_mut(customer, attribute).iter();
        listed.all(|listed| listed.fingerprint == exact || forms.contains(&listed.fingerprint))
    }

    /// Returns `true` if two values of an attribute are the same.
    pub(super) fn are_same(&self, attribute: i64, one: &str, other: &str) -> bool {
        let Some(position) = self.position(attribute) else {
            return one == other;
        };
        self.fingerprint(position, one) == self.fingerprint(position, other)
            || self.normalization.is_stored_as(attribute, one, other)
    }

    /// Records that the input names a customer.
    pub(super) fn name_customer(&mut self, customer: i64) {
        let start = self
            .values
            .partition_point(|value| value.customer_id < customer);
        if let Some(first) = self.values.get_mut(start)
            && first.customer_id == customer
        {
            first.set(Mark::CustomerNamed);
        }
    }

    /// Records the text of a row that the server has stored. Returns `false` if no value was listed.
    pub(super) fn record_stored(
        &mut self,
        key: (i64, i64),
        text: &str,
        modified: Option<DateTime<Utc>>,
    ) -> bool {
        let Some(position) = self.position(key.1) else {
            return false;
        };
        let fingerprint = self.fingerprint(position, text);
        let modified = seconds(modified);
        let listed = self.of_mut(key.0, key.1);
        for value in &mut *listed {
            value.fingerprint = fingerprint;
            value.modified = modified;
            value.set(Mark::Stored);
        }
        !listed.is_empty()
    }

    /// Returns `true` if a value that was read later is as it was listed, or as the run stored it.
    pub(super) fn is_as_known(&self, known: &ListedValue, read: &types::AttributeValue) -> bool {
        known.modified == seconds(read.date_modified) && self.has_known_text(known, read)
    }

    /// Returns `true` if a value that was read later has the text with which it was listed, or that the
    /// run stored.
    pub(super) fn has_known_text(&self, known: &ListedValue, read: &types::AttributeValue) -> bool {
        known.fingerprint == self.fingerprint(known.attribute, &read.attribute_value)
    }

    /// Returns `true` if the server has listed several values for a customer and attribute of which the
    /// input has one.
    pub(super) fn has_surplus(&self) -> bool {
        self.values.windows(2).any(|pair| match pair {
            [one, other] => {
                one.has(Mark::Present)
                    && (one.customer_id, one.attribute) == (other.customer_id, other.attribute)
            }
            _ => false,
        })
    }

    /// Returns the values that the input doesn't have.
    pub(super) fn candidates(
        &self,
        customers_in_input: bool,
    ) -> impl Iterator<Item = &ListedValue> {
        in_scope(&self.values, customers_in_input).filter(|value| !value.has(Mark::Present))
    }

    /// Returns the number of values that the mirror is about.
    pub(super) fn scope_len(&self, customers_in_input: bool) -> usize {
        match customers_in_input {
            true => in_scope(&self.values, true).count(),
            false => self.values.len(),
        }
    }

    /// Keeps only the values that the input doesn't have.
    pub(super) fn retain_candidates(&mut self, customers_in_input: bool) {
        let mut named = None;
        self.values.retain(|value| {
            if value.has(Mark::CustomerNamed) {
                named = Some(value.customer_id);
            }
            let is_in_scope = !customers_in_input || named == Some(value.customer_id);
            is_in_scope && !value.has(Mark::Present)
        });
    }

    /// Sorts the values by their IDs: they can't be found by customer any more.
    pub(super) fn sort_by_id(&mut self) {
        self.values.sort_unstable_by_key(|value| value.value_id);
    }

    /// Returns the position of a value, once the values are sorted by their IDs.
    pub(super) fn position_of_id(&self, id: i64) -> Option<usize> {
        self.values
            .binary_search_by_key(&id, |value| value.value_id)
            .ok()
    }

    pub(super) fn values(&self) -> &[ListedValue] {
        &self.values
    }

    pub(super) fn values_mut(&mut self) -> &mut [ListedValue] {
        &mut self.values
    }
}

/// Makes room for another value. Doubling the room would take up to twice the memory.
pub(super) fn reserve<V>(values: &mut Vec<V>) {
    if values.len() == values.capacity() {
        values.reserve_exact((values.len() / 8).max(1024));
    }
}

/// Returns the values of the customers that the input names, or all of them.
fn in_scope(
    values: &[ListedValue],
    customers_in_input: bool,
) -> impl Iterator<Item = &ListedValue> {
    let mut named = None;
    values.iter().filter(move |value| {
        if value.has(Mark::CustomerNamed) {
            named = Some(value.customer_id);
        }
        !customers_in_input || named == Some(value.customer_id)
    })
}

impl From<&types::Attribute> for MirroredAttribute {
    fn from(attribute: &types::Attribute) -> Self {
        Self {
            id: attribute.id,
            name: attribute.name.clone(),
            compared_as: ComparedAs::from(attribute),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn value(id: i64, customer: i64, attribute: i64, text: &str) -> types::AttributeValue {
        types::AttributeValue::builder()
            .id(id)
            .customer_id(customer)
            .attribute_id(attribute)
            .attribute_value(text)
            .try_into()
            .expect("a value")
    }

    /// Returns the values of the attributes 1 and 2.
    fn listed(values: impl IntoIterator<Item = (i64, i64)>) -> ListedValues {
        let attribute = |id| MirroredAttribute {
            id,
            name: String::new(),
            compared_as: ComparedAs::Text,
        };
        let mut listed =
            ListedValues::new(vec![attribute(2), attribute(1)], Normalization::default());
        for (id, (customer, attribute)) in (1..).zip(values) {
            listed.push(&value(id, customer, attribute, "Gold"));
        }
        listed.sort();
        listed
    }

    proptest! {
        #[test]
        fn candidates_are_the_values_that_the_input_does_not_have(
            keys in proptest::collection::vec((1..8_i64, 1..4_i64), 0..40),
            present in proptest::collection::btree_set((1..8_i64, 1..3_i64), 0..10),
            named in proptest::collection::btree_set(1..9_i64, 0..8),
            in_input: bool,
        ) {
            let mut listed = listed(keys.clone());
            for &(customer, attribute) in &present {
                for value in listed.of_mut(customer, attribute) {
                    value.set(Mark::Present);
                }
            }
            for &customer in &named {
                listed.name_customer(customer);
            }
            let in_scope: BTreeMap<_, _> = (1..)
                .zip(keys)
                .filter(|(_, (customer, attribute))| {
                    *attribute < 3 && (!in_input || named.contains(customer))
                })
                .collect();
            let expected: BTreeSet<i64> = in_scope
                .iter()
                .filter(|(_, key)| !present.contains(key))
                .map(|(id, _)| *id)
                .collect();
            let candidates: BTreeSet<_> = listed.candidates(in_input).map(|value| value.value_id).collect();
            prop_assert_eq!(&candidates, &expected);
            prop_assert_eq!(listed.scope_len(in_input), in_scope.len());
            listed.retain_candidates(in_input);
            let left: BTreeSet<_> = listed.values().iter().map(|value| value.value_id).collect();
            prop_assert_eq!(&left, &expected);
            listed.sort_by_id();
            for id in 0..45 {
                let position = listed.position_of_id(id);
                prop_assert_eq!(position.is_some(), expected.contains(&id));
            }
        }
    }

    #[test]
    fn a_row_holds_only_if_all_values_of_its_key_do() {
        let mut listed = listed([(1, 1), (1, 1), (2, 1)]);
        assert!(listed.holds(1, 1, "Gold"));
        assert!(!listed.holds(1, 1, "Silver"));
        assert!(!listed.holds(1, 2, "Gold"));
        assert!(!listed.holds(3, 1, "Gold"));
        assert!(!listed.holds(1, 3, "Gold"));
        listed.push(&value(4, 2, 1, "Silver"));
        listed.sort();
        assert!(!listed.holds(2, 1, "Gold"));
        assert!(!listed.holds(2, 1, "Silver"));
    }

    #[test]
    fn several_values_of_a_key_are_a_surplus_only_if_the_input_has_one() {
        let mut listed = listed([(1, 1), (2, 1), (2, 1), (2, 2)]);
        assert!(!listed.has_surplus());
        for customer in 1..=2 {
            for value in listed.of_mut(customer, 1) {
                value.set(Mark::Present);
            }
            assert_eq!(listed.has_surplus(), customer == 2);
        }
    }

    #[test]
    fn a_value_that_the_run_has_stored_is_known_with_its_new_text_and_time() {
        let mut listed = listed([(1, 1)]);
        let time = DateTime::from_timestamp(1_700_000_000, 0);
        assert!(listed.record_stored((1, 1), "Silver", time));
        assert!(!listed.record_stored((2, 1), "Silver", time));
        assert!(!listed.record_stored((1, 3), "Silver", time));
        let known = *listed.values().first().expect("a value");
        assert!(known.has(Mark::Stored) && known.is_dated());
        let mut read = value(1, 1, 1, "Silver");
        assert!(!listed.is_as_known(&known, &read));
        assert!(listed.has_known_text(&known, &read));
        read.date_modified = time;
        assert!(listed.is_as_known(&known, &read));
        read.attribute_value = "Gold".to_owned();
        assert!(!listed.is_as_known(&known, &read));
    }

    #[test]
    fn times_that_no_value_can_have_are_none() {
        for text in [
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00Z",
            "+292000-01-01T00:00:00Z",
        ] {
            assert_eq!(seconds(text.parse().ok()), 0, "{text}");
        }
        assert_eq!(seconds(None), 0);
        assert_eq!(seconds("1970-01-01T00:00:01Z".parse().ok()), 1);
    }
}
