//! The rows that may be sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;

use crate::customer_key::{CustomerKey, fold_address};

/// What a row without success stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Target {
    /// The value of a customer and an attribute.
    Value(i64, i64),
    /// The value of a customer who was not found, and an attribute.
    Unfound(UnfoundCustomer, Option<i64>),
}

/// A customer who was not found, in the form by which keys are compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum UnfoundCustomer {
    Email(Arc<str>),
    External(Arc<str>),
}

impl UnfoundCustomer {
    fn new(key: &CustomerKey) -> Option<Self> {
        match key {
            CustomerKey::Id(_) => None,
            CustomerKey::Email(address) => Some(Self::Email(fold_address(address).into())),
            CustomerKey::External(id) => Some(Self::External(Arc::clone(id))),
        }
    }
}

/// How a row stands after its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is unknown or was not sent.
    MayResend,
    /// The store has what it says.
    InEffect,
    Other,
}

/// The rows that are unknown or were not sent, as long as no later row of the same customer and
/// attribute is in effect.
///
/// A customer who was not found may be any customer whom a row gives by a key of another kind.
#[derive(Debug, Default)]
pub(crate) struct Resends {
    /// The targets of the rows, `None` for a row that no later one can replace.
    targets: BTreeMap<u64, Option<Target>>,
    /// The rows of each target.
    indexes: HashMap<Target, Vec<u64>>,
    /// The attributes and the rows whose customers were given by address or external ID, and not found.
    unfound_emails: BTreeSet<(Option<i64>, u64)>,
    unfound_externals: BTreeSet<(Option<i64>, u64)>,
}

impl Resends {
    /// Records the outcome of a row, whose customer was given by `key`. `customer` and `attribute` are
    /// the IDs, as far as they are known.
    pub(crate) fn record(
        &mut self,
        index: u64,
        key: Option<&CustomerKey>,
        (customer, attribute): (Option<i64>, Option<i64>),
        standing: Standing,
    ) {
        let ids = customer.zip(attribute);
        let value = ids.map(|(customer, attribute)| Target::Value(customer, attribute));
        match standing {
            Standing::MayResend => {
                let unfound = || {
                    let customer = UnfoundCustomer::new(key?)?;
                    Some(Target::Unfound(customer, attribute))
                };
                self.insert(index, value.or_else(unfound));
            }
            Standing::InEffect => {
                if let Some(value) = value {
                    self.remove_older(&value, index);
                }
                if let Some(key) = key {
                    self.remove_unfound(key, attribute, index);
                }
            }
            Standing::Other => {}
        }
    }

    fn insert(&mut self, index: u64, target: Option<Target>) {
        if let Some(target) = &target {
            self.indexes.entry(target.clone()).or_default().push(index);
            match target {
                Target::Value(..) => {}
                Target::Unfound(UnfoundCustomer::Email(_), attribute) => {
                    self.unfound_emails.insert((*attribute, index));
                }
                Target::Unfound(UnfoundCustomer::External(_), attribute) => {
                    self.unfound_externals.insert((*attribute, index));
                }
            }
        }
        self.targets.insert(index, target);
    }

    fn remove_older(&mut self, target: &Target, index: u64) {
        let indexes = self.indexes.get(target).into_iter().flatten();
        let older: Vec<_> = indexes.copied().filter(|&older| older < index).collect();
        for older in older {
            self.remove(older);
        }
    }

    /// Forgets the older rows for this attribute whose customer may be the one with this key.
    fn remove_unfound(&mut self, key: &CustomerKey, attribute: Option<i64>, index: u64) {
        if self.unfound_emails.is_empty() && self.unfound_externals.is_empty() {
            return;
        }
        let same = UnfoundCustomer::new(key);
        let older = (attribute, 0)..(attribute, index);
        let mut others = Vec::new();
        if !matches!(same, Some(UnfoundCustomer::Email(_))) {
            others.extend(
                self.unfound_emails
                    .range(older.clone())
                    .map(|(_, row)| *row),
            );
        }
        if !matches!(same, Some(UnfoundCustomer::External(_))) {
            others.extend(self.unfound_externals.range(older).map(|(_, row)| *row));
        }
        if let Some(same) = same {
            self.remove_older(&Target::Unfound(same, attribute), index);
        }
        for other in others {
            self.remove(other);
        }
    }

    /// Forgets a row.
    pub(crate) fn remove(&mut self, index: u64) {
        let Some(Some(target)) = self.targets.remove(&index) else {
            return;
        };
        if let Target::Unfound(_, attribute) = target {
            self.unfound_emails.remove(&(attribute, index));
            self.unfound_externals.remove(&(attribute, index));
        }
        if let Some(indexes) = self.indexes.get_mut(&target) {
            indexes.retain(|other| *other != index);
            if indexes.is_empty() {
                self.indexes.remove(&target);
            }
        }
    }

    /// Returns `true` if the row may be sent again.
    pub(crate) fn contains(&self, index: u64) -> bool {
        self.targets.contains_key(&index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_may_be_sent_again_until_a_later_one_of_its_key_is_in_effect() {
        let mut resends = Resends::default();
        let ids = |customer, attribute| (Some(customer), Some(attribute));
        for (index, ids) in [
            (0, ids(1, 1)),
            (1, ids(1, 1)),
            (2, ids(1, 2)),
            (5, ids(1, 1)),
        ] {
            resends.record(index, None, ids, Standing::MayResend);
        }
        resends.record(3, None, ids(1, 1), Standing::InEffect);
        let left: Vec<_> = (0..6).filter(|&index| resends.contains(index)).collect();
        assert_eq!(left, [2, 5]);
        resends.remove(2);
        resends.record(6, None, ids(1, 1), Standing::InEffect);
        assert!(resends.targets.is_empty() && resends.indexes.is_empty());
    }

    #[test]
    fn a_customer_who_was_not_found_may_be_any_with_a_key_of_another_kind() {
        let (jane, bob) = (
            CustomerKey::from("Jane@x.com "),
            CustomerKey::from("bob@x.com"),
        );
        let external = CustomerKey::external("D-7");
        let left_after = |later: &CustomerKey| {
            let mut resends = Resends::default();
            for (index, key) in [(0, &jane), (1, &bob), (2, &external), (9, &jane)] {
                resends.record(index, Some(key), (None, Some(1)), Standing::MayResend);
            }
            // Another attribute of the same customers.
            resends.record(4, Some(later), (Some(1), Some(2)), Standing::InEffect);
            resends.record(5, Some(later), (Some(1), Some(1)), Standing::InEffect);
            let left = (0..10).filter(|&index| resends.contains(index));
            let unfound = resends.unfound_emails.len() + resends.unfound_externals.len();
            assert_eq!(unfound, resends.targets.len());
            left.collect::<Vec<_>>()
        };
        assert_eq!(left_after(&"jane@X.com".into()), [1, 9]);
        assert_eq!(left_after(&external), [9]);
        assert_eq!(left_after(&CustomerKey::Id(7)), [9]);
        assert_eq!(left_after(&"eve@x.com".into()), [0, 1, 9]);
    }
}
