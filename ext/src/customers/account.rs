//! The accounts that have an address, and which of them is meant.

use bigcommerce_sdk::types;
use chrono::{DateTime, Utc};

use crate::customer_key::CustomerKey;
use crate::error::Violation;

/// A customer's account, as far as the choice between several depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub id: i64,
    created: Option<DateTime<Utc>>,
    /// `None` for all channels.
    channels: Option<Box<[i64]>>,
}

impl From<&types::Customer> for Account {
    fn from(customer: &types::Customer) -> Self {
        Self {
            id: customer.id,
            created: customer.date_created,
            channels: customer.channel_ids.clone().map(Vec::into_boxed_slice),
        }
    }
}

#[cfg(test)]
impl Account {
    pub(super) fn limit_to_channels(&mut self, channels: &[i64]) {
        self.channels = Some(channels.into());
    }
}

/// Which account is meant if several have the same address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountChoice {
    /// Only accounts of this channel are meant.
    pub channel: Option<i64>,
    /// Whether the newest one is meant.
    pub is_newest: bool,
}

/// What a lookup has found for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    One(i64),
    /// No customer has the key, or none in the given channel.
    None(Option<i64>),
    /// The IDs of the customers that have the key, sorted.
    Several(Box<[i64]>),
}

impl AccountChoice {
    /// Returns what is found if these accounts have an address.
    pub(crate) fn resolve(self, accounts: &[Account]) -> Resolution {
        let is_meant = |account: &&Account| match (self.channel, &account.channels) {
            (Some(channel), Some(channels)) => channels.contains(&channel),
            _ => true,
        };
        let mut meant: Vec<_> = accounts.iter().filter(is_meant).collect();
        meant.sort_unstable_by_key(|account| account.id);
        meant.dedup_by_key(|account| account.id);
        match (&*meant, self.channel) {
            ([], Some(channel)) if !accounts.is_empty() => Resolution::None(Some(channel)),
            ([], _) => Resolution::None(None),
            ([only], _) => Resolution::One(only.id),
            _ if self.is_newest => {
                // Without all dates, the IDs tell: they rise.
                let is_dated = meant.iter().all(|account| account.created.is_some());
                let age = |account: &&&Account| (account.created.filter(|_| is_dated), account.id);
                let newest = meant.iter().max_by_key(age);
                newest.map_or(Resolution::None(None), |newest| Resolution::One(newest.id))
            }
            _ => Resolution::Several(meant.iter().map(|account| account.id).collect()),
        }
    }
}

impl Resolution {
    /// Converts the resolution into the IDs of the customers that have the key.
    pub(crate) fn into_accounts(self) -> Box<[i64]> {
        match self {
            Self::One(id) => [id].into(),
            Self::None(_) => Box::default(),
            Self::Several(ids) => ids,
        }
    }

    /// Returns the ID of the customer with this key, or why there is none.
    pub(crate) fn id(&self, key: &CustomerKey) -> Result<i64, Violation> {
        let (noun, advice) = match key {
            CustomerKey::External(_) => ("external ID", ""),
            CustomerKey::Email(_) | CustomerKey::Id(_) => (
                "e-mail address",
                ": choose one of them with in_channel() or newest_account()",
            ),
        };
        let text = match self {
            Self::One(id) => return Ok(*id),
            Self::None(None) => format!("is unknown: no customer with this {noun}"),
            Self::None(Some(channel)) => {
                format!("is unknown: no customer with this {noun} in channel {channel}")
            }
            Self::Several(ids) => {
                let count = ids.len();
                let ids = describe_ids(ids);
                format!("is ambiguous: {count} customers have this {noun} (IDs {ids}){advice}")
            }
        };
        Err(Violation::new("customer", text))
    }
}

/// The maximum number of IDs that an error lists.
const MAX_IDS: usize = 10;

fn describe_ids(ids: &[i64]) -> String {
    let shown: Vec<_> = ids.iter().take(MAX_IDS).map(ToString::to_string).collect();
    let shown = shown.join(", ");
    match ids.len().saturating_sub(MAX_IDS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: i64, day: Option<i64>, channels: Option<&[i64]>) -> Account {
        Account {
            id,
            created: day.and_then(|day| DateTime::from_timestamp(day * 86_400, 0)),
            channels: channels.map(Into::into),
        }
    }

    #[test]
    fn the_choice_between_accounts_is_by_channel_and_by_age() {
        let accounts = [
            account(9, Some(1), Some(&[1])),
            account(7, Some(3), Some(&[1, 2])),
            account(5, Some(2), None),
        ];
        let undated = [account(7, Some(3), None), account(9, None, None)];
        let choice = |channel, is_newest| AccountChoice { channel, is_newest };
        let in_channel = |channel| Resolution::None(Some(channel));
        for (accounts, choice, expected) in [
            (
                &accounts[..],
                choice(None, false),
                Resolution::Several([5, 7, 9].into()),
            ),
            (&accounts, choice(None, true), Resolution::One(7)),
            (
                &accounts,
                choice(Some(2), false),
                Resolution::Several([5, 7].into()),
            ),
            (&accounts, choice(Some(3), false), Resolution::One(5)),
            (&accounts[..1], choice(Some(2), true), in_channel(2)),
            (&accounts[..1], choice(None, false), Resolution::One(9)),
            (&undated, choice(None, true), Resolution::One(9)),
            (&[], choice(Some(2), true), Resolution::None(None)),
        ] {
            assert_eq!(
                choice.resolve(accounts),
                expected,
                "{choice:?} {accounts:?}"
            );
        }
        // A record that comes twice is one account.
        let twice = [accounts[0].clone(), accounts[0].clone()];
        assert_eq!(choice(None, false).resolve(&twice), Resolution::One(9));
    }

    #[test]
    fn an_error_names_the_accounts() {
        let ids: Box<[i64]> = (1..=12).collect();
        let several = Resolution::Several(ids);
        let violation = several.id(&CustomerKey::external("D-7"));
        assert_eq!(
            violation.expect_err("several accounts").to_string(),
            "customer is ambiguous: 12 customers have this external ID \
             (IDs 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more)"
        );
        let violation = Resolution::None(Some(2)).id(&"jane@example.com".into());
        assert_eq!(
            violation.expect_err("no account").to_string(),
            "customer is unknown: no customer with this e-mail address in channel 2"
        );
    }
}
