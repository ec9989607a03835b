use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

/// A customer of the store.
///
/// ```
/// use bigcommerce_sandbox::SandboxCustomer;
///
/// let customer = SandboxCustomer::new(2048, "Jane@example.com").in_channels([1, 2]).in_group(3);
/// assert_eq!(customer.email, "Jane@example.com");
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxCustomer {
    /// The customer's ID.
    pub id: i64,
    /// The e-mail address, as it was given.
    pub email: String,
    /// The ID of the customer group, 0 for none.
    pub group_id: i64,
    /// The IDs of the customer's channels, `None` for all channels.
    pub channel_ids: Option<Vec<i64>>,
    /// When the customer was created (`None` for the time when it is added).
    pub date_created: Option<DateTime<Utc>>,
}

impl SandboxCustomer {
    /// Creates a customer of all channels without a group.
    pub fn new(id: i64, email: impl Into<String>) -> Self {
        Self {
            id,
            email: email.into(),
            group_id: 0,
            channel_ids: None,
            date_created: None,
        }
    }

    /// Sets the IDs of the customer's channels.
    #[must_use]
    pub fn in_channels(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
        self.channel_ids = Some(ids.into_iter().collect());
        self
    }

    /// Sets the ID of the customer group.
    #[must_use]
    pub fn in_group(mut self, id: i64) -> Self {
        self.group_id = id;
        self
    }

    /// Sets when the customer was created.
    #[must_use]
    pub fn created(mut self, date: DateTime<Utc>) -> Self {
        self.date_created = Some(date);
        self
    }
}

/// All customers of the store. Neither a lookup by ID or address nor a page by cursor scans them.
#[derive(Default)]
pub(crate) struct Customers {
    by_id: BTreeMap<i64, SandboxCustomer>,
    /// By the address in lower case, without the spaces around it.
    by_address: HashMap<String, Vec<i64>>,
}

impl Customers {
    /// Adds a customer, or replaces the one with the same ID.
    pub(crate) fn insert(&mut self, mut customer: SandboxCustomer, now: DateTime<Utc>) {
        self.remove(customer.id);
        customer.date_created.get_or_insert(now);
        let ids = self.by_address.entry(fold(&customer.email)).or_default();
        ids.push(customer.id);
        self.by_id.insert(customer.id, customer);
    }

    pub(crate) fn remove(&mut self, id: i64) -> bool {
        let Some(customer) = self.by_id.remove(&id) else {
            return false;
        };
        if let Some(ids) = self.by_address.get_mut(&fold(&customer.email)) {
            ids.retain(|other| *other != id);
        }
        true
    }

    pub(crate) fn get(&self, id: i64) -> Option<&SandboxCustomer> {
        self.by_id.get(&id)
    }

    /// Returns the customers with this address, in whatever case.
    pub(crate) fn with_address(&self, address: &str) -> impl Iterator<Item = &SandboxCustomer> {
        let ids = self.by_address.get(&fold(address));
        ids.into_iter().flatten().filter_map(|id| self.get(*id))
    }

    /// Iterates over the customers with higher IDs, in the order of the IDs.
    pub(crate) fn after(&self, id: i64) -> impl Iterator<Item = &SandboxCustomer> {
        let ids = (std::ops::Bound::Excluded(id), std::ops::Bound::Unbounded);
        self.by_id.range(ids).map(|(_, customer)| customer)
    }

    /// Iterates over the customers with lower IDs, in the reverse order of the IDs.
    pub(crate) fn before(&self, id: i64) -> impl Iterator<Item = &SandboxCustomer> {
        self.by_id.range(..id).rev().map(|(_, customer)| customer)
    }

    /// Iterates in the order of the IDs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SandboxCustomer> {
        self.by_id.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}

/// Returns the form by which addresses are found.
pub(crate) fn fold(address: &str) -> String {
    address.trim().to_lowercase()
}
