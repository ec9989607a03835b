//! How a row names its customer.

use std::fmt;
use std::sync::Arc;

/// A customer, given by ID, by e-mail address, or by the ID that another system has for it.
///
/// A number is BigCommerce's ID, and a text is an e-mail address:
///
/// ```
/// use bigcommerce_ext::CustomerKey;
///
/// assert_eq!(CustomerKey::from(2048), CustomerKey::Id(2048));
/// assert_eq!(CustomerKey::from("jane@example.com"), CustomerKey::Email("jane@example.com".into()));
/// assert_eq!(CustomerKey::external("D-1007"), CustomerKey::External("D-1007".into()));
/// ```
///
/// # E-mail addresses
///
/// Addresses are compared without regard to case and to spaces around them. An address contains an `@`,
/// has at most 255 characters, and has no spaces or control characters within. It can't contain a comma,
/// because the server takes several addresses as one list.
///
/// # External IDs
///
/// Many stores keep the ID of another system, such as an ERP or a CRM, as the value of a customer
/// attribute. [`Upsert::external_id`](crate::Upsert::external_id) names this attribute. Its values are
/// compared as text, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CustomerKey {
    /// The customer's ID.
    Id(i64),
    /// The customer's e-mail address.
    Email(Arc<str>),
    /// The ID that another system has for the customer.
    External(Arc<str>),
}

impl CustomerKey {
    /// Creates the key of a customer to whom another system has given this ID.
    #[must_use]
    pub fn external(id: impl Into<Arc<str>>) -> Self {
        Self::External(id.into())
    }

    /// Returns the ID, if the customer was given by it.
    pub(crate) fn id(&self) -> Option<i64> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Email(_) | Self::External(_) => None,
        }
    }
}

/// Returns the form by which e-mail addresses are compared: in lower case, without the spaces around it.
///
/// A letter whose lower case is an ASCII letter stays as it is (`K`, the Kelvin sign): the server may take
/// it for another one.
pub(crate) fn fold_address(address: &str) -> String {
    let fold = |letter: char| {
        let lower = letter.to_lowercase();
        let is_other = !letter.is_ascii() && lower.clone().any(|lower| lower.is_ascii());
        let kept = is_other.then_some(letter);
        let lower = (!is_other).then_some(lower);
        kept.into_iter().chain(lower.into_iter().flatten())
    };
    address.trim().chars().flat_map(fold).collect()
}

impl From<i64> for CustomerKey {
    fn from(id: i64) -> Self {
        Self::Id(id)
    }
}

/// The customer with this e-mail address.
impl From<&str> for CustomerKey {
    fn from(address: &str) -> Self {
        Self::Email(address.into())
    }
}

/// The customer with this e-mail address.
impl From<&String> for CustomerKey {
    fn from(address: &String) -> Self {
        Self::Email(address.as_str().into())
    }
}

/// The customer with this e-mail address.
impl From<String> for CustomerKey {
    fn from(address: String) -> Self {
        Self::Email(address.into())
    }
}

/// The customer with this e-mail address, which several rows share.
impl From<Arc<str>> for CustomerKey {
    fn from(address: Arc<str>) -> Self {
        Self::Email(address)
    }
}

impl fmt::Display for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Email(text) | Self::External(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_folded_but_letters_that_only_look_alike_are_kept() {
        for (address, folded) in [
            (" Jane.DOE+X@Example.COM\t", "jane.doe+x@example.com"),
            ("J\u{d6}RG@x.de", "j\u{f6}rg@x.de"),
            ("\u{212a}ate@x.de", "\u{212a}ate@x.de"),
            ("\u{130}da@x.de", "\u{130}da@x.de"),
        ] {
            assert_eq!(fold_address(address), folded);
        }
    }
}
