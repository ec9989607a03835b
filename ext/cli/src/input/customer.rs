//! Customers, as the input names them.

use bigcommerce_ext::CustomerKey;

use super::args::KeyKind;

/// Returns the customer of a text.
pub fn parse_customer(text: &str, kind: &KeyKind) -> Result<CustomerKey, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("no customer is named".to_owned());
    }
    match kind {
        KeyKind::Id => match text.parse::<i64>() {
            Ok(id) if id >= 1 => Ok(id.into()),
            _ => Err(format!(
                "{text:?} is not a customer's ID: give a whole number of 1 or more"
            )),
        },
        KeyKind::Email if text.contains('@') => Ok(text.into()),
        KeyKind::Email => Err(format!("{text:?} is not an e-mail address: it has no @")),
        KeyKind::External(_) => Ok(CustomerKey::external(text)),
    }
}
