use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeBounds;

use chrono::{DateTime, SubsecRound, Utc};

/// A customer in the store.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCustomer {
    /// The customer's ID.
    pub id: i64,
    /// The e-mail address, with the case and the spaces that it was given with.
    pub email: String,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// The ID of the customer group.
    pub customer_group_id: Option<i64>,
    /// The channel that the customer was created in.
    pub origin_channel_id: i64,
    /// The channels that the customer can sign in to. `None` stands for all channels.
    pub channel_ids: Option<Vec<i64>>,
    /// When the customer was created, in whole seconds.
    pub date_created: DateTime<Utc>,
    /// When the customer was last changed, in whole seconds.
    pub date_modified: DateTime<Utc>,
}

/// A customer to put into the store.
///
/// A pair of ID and e-mail address converts into a customer without further details.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use bigcommerce_sandbox::{Sandbox, SandboxCustomer};
///
/// let sandbox = Sandbox::builder().customer(7, "jane@example.com").start().await?;
/// sandbox.insert_customer((8, "joe@example.com"));
/// sandbox.insert_customer(
///     SandboxCustomer::new(9, "Jane@Example.com").in_channels([2]).group(3),
/// );
/// assert_eq!(sandbox.customers()[2].channel_ids, Some(vec![2]));
/// # Ok(())
/// # }
/// ```
#[must_use = "the customer is in no store yet"]
#[derive(Clone, Debug)]
pub struct SandboxCustomer {
    id: i64,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    customer_group_id: Option<i64>,
    origin_channel_id: i64,
    channel_ids: Option<Vec<i64>>,
    created: Option<DateTime<Utc>>,
    modified: Option<DateTime<Utc>>,
}

impl SandboxCustomer {
    /// Creates a customer who can sign in to all channels and was created in channel 1.
    ///
    /// The address is stored as given. No checks apply to it.
    pub fn new(id: i64, email: impl Into<String>) -> Self {
        Self {
            id,
            email: email.into(),
            first_name: None,
            last_name: None,
            customer_group_id: None,
            origin_channel_id: 1,
            channel_ids: None,
            created: None,
            modified: None,
        }
    }

    /// Sets the first name (default none).
    pub fn first_name(mut self, name: impl Into<String>) -> Self {
        self.first_name = Some(name.into());
        self
    }

    /// Sets the last name (default none).
    pub fn last_name(mut self, name: impl Into<String>) -> Self {
        self.last_name = Some(name.into());
        self
    }

    /// Sets the ID of the customer group (default none).
    pub fn group(mut self, id: i64) -> Self {
        self.customer_group_id = Some(id);
        self
    }

    /// Sets the only channels that the customer can sign in to (default: all channels).
    pub fn in_channels(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
        self.channel_ids = Some(ids.into_iter().collect());
        self
    }

    /// Sets the channel that the customer was created in (default 1).
    pub fn origin_channel(mut self, id: i64) -> Self {
        self.origin_channel_id = id;
        self
    }

    /// Sets when the customer was created (default: the time of the insertion). Fractions of a
    /// second are dropped.
    pub fn created(mut self, date: DateTime<Utc>) -> Self {
        self.created = Some(date);
        self
    }

    /// Sets when the customer was last changed (default: the date of creation). Fractions of a
    /// second are dropped.
    pub fn modified(mut self, date: DateTime<Utc>) -> Self {
        self.modified = Some(date);
        self
    }
}

impl<E: Into<String>> From<(i64, E)> for SandboxCustomer {
    fn from((id, email): (i64, E)) -> Self {
        Self::new(id, email)
    }
}

/// All customers of the store, with an index of their addresses: 100,000 customers stay quick.
#[derive(Default)]
pub(crate) struct Customers {
    by_id: BTreeMap<i64, StoredCustomer>,
    /// By the address in lower case, without surrounding spaces. Several customers may have one.
    ids_by_email: HashMap<String, BTreeSet<i64>>,
    /// The highest ID that was ever inserted.
    last_id: i64,
}

impl Customers {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn get(&self, id: i64) -> Option<&StoredCustomer> {
        self.by_id.get(&id)
    }

    /// Iterates in the order of the IDs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &StoredCustomer> {
        self.by_id.values()
    }

    /// Iterates over the customers whose IDs are in the range, in the order of the IDs.
    pub(crate) fn range(
        &self,
        ids: impl RangeBounds<i64>,
    ) -> impl DoubleEndedIterator<Item = &StoredCustomer> {
        self.by_id.range(ids).map(|(_, customer)| customer)
    }

    /// Iterates over the customers with this address, whatever its case and the spaces around it.
    pub(crate) fn iter_email(&self, email: &str) -> impl Iterator<Item = &StoredCustomer> {
        let ids = self.ids_by_email.get(&email_key(email));
        ids.into_iter().flatten().filter_map(|id| self.get(*id))
    }

    /// Inserts a customer, in place of a customer with the same ID.
    pub(crate) fn insert(&mut self, customer: SandboxCustomer, now: DateTime<Utc>) {
        self.remove(customer.id);
        self.last_id = self.last_id.max(customer.id);
        let created = customer.created.unwrap_or(now).trunc_subsecs(0);
        let stored = StoredCustomer {
            id: customer.id,
            email: customer.email,
            first_name: customer.first_name,
            last_name: customer.last_name,
            customer_group_id: customer.customer_group_id,
            origin_channel_id: customer.origin_channel_id,
            channel_ids: customer.channel_ids,
            date_created: created,
            date_modified: customer
                .modified
                .map_or(created, |date| date.trunc_subsecs(0)),
        };
        let ids = self.ids_by_email.entry(email_key(&stored.email));
        ids.or_default().insert(stored.id);
        self.by_id.insert(stored.id, stored);
    }

    /// Inserts a customer with the next ID, and returns the ID.
    pub(crate) fn create(&mut self, customer: SandboxCustomer, now: DateTime<Utc>) -> i64 {
        let id = self.last_id.saturating_add(1);
        self.insert(SandboxCustomer { id, ..customer }, now);
        id
    }

    pub(crate) fn remove(&mut self, id: i64) -> Option<StoredCustomer> {
        let removed = self.by_id.remove(&id)?;
        let key = email_key(&removed.email);
        if let Some(ids) = self.ids_by_email.get_mut(&key) {
            ids.remove(&id);
            if ids.is_empty() {
                self.ids_by_email.remove(&key);
            }
        }
        Some(removed)
    }
}

fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(customers: &Customers, email: &str) -> Vec<i64> {
        customers.iter_email(email).map(|it| it.id).collect()
    }

    #[test]
    fn the_index_follows_insertions_replacements_and_removals() {
        let mut customers = Customers::default();
        let now = DateTime::UNIX_EPOCH;
        for (id, email) in [(3, "a@example.com"), (1, " A@Example.com "), (2, "b")] {
            customers.insert((id, email).into(), now);
        }
        assert_eq!(ids(&customers, "A@EXAMPLE.COM"), [1, 3]);
        customers.insert((3, "b").into(), now);
        assert_eq!(ids(&customers, "a@example.com"), [1]);
        assert_eq!(ids(&customers, " B"), [2, 3]);
        assert!(customers.remove(1).is_some());
        assert!(customers.remove(1).is_none());
        assert_eq!(ids(&customers, "a@example.com"), [0; 0]);
        assert_eq!(customers.len(), 2);
        assert_eq!(customers.ids_by_email.len(), 1);
    }

    #[test]
    fn dates_have_whole_seconds() {
        let mut customers = Customers::default();
        let date = |millis| DateTime::from_timestamp_millis(millis).expect("a date");
        let customer = SandboxCustomer::new(1, "a").created(date(1_999));
        customers.insert(customer.modified(date(3_001)), date(9_000));
        customers.insert(
            SandboxCustomer::new(2, "b").created(date(1_000)),
            date(9_000),
        );
        customers.insert(SandboxCustomer::new(3, "c"), date(9_000));
        let dates = customers.iter().map(|it| {
            let millis = |date: DateTime<Utc>| date.timestamp_millis();
            (millis(it.date_created), millis(it.date_modified))
        });
        assert!(dates.eq([(1_000, 3_000), (1_000, 1_000), (9_000, 9_000)]));
    }
}
