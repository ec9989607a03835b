//! A store with real customers: the data set CDNOW, as it was before the latest change of its file.

use crate::attributes::AttributeType;
use crate::settings::Settings;

/// The number of customers of the file, whose IDs begin with 1.
const CUSTOMERS: i64 = 2357;
/// The first of the customers who have no values yet.
const FIRST_NEW: i64 = 2351;
/// The number of customers who are in the store only.
const REMOVED: i64 = 3;
/// Every customer with such an ID has another frequency in the store.
const CHANGED_EVERY: i64 = 500;

const FILE: &str = include_str!("cdnow_customers.csv");
/// The ID of the first attribute, `frequency`.
const FIRST_ATTRIBUTE: i64 = 101;

/// Puts attributes, customers and values into a store.
pub(crate) fn fill(settings: &mut Settings) {
    let mut lines = FILE.lines();
    let names = lines.next().unwrap_or_default().split(',').skip(1);
    for (id, name) in (FIRST_ATTRIBUTE..).zip(names) {
        let definition = (name.to_owned(), AttributeType::Number);
        settings.attributes.insert(id, definition);
    }
    let customers = (1..=CUSTOMERS + REMOVED).map(|id| (id, format!("customer{id}@example.com")));
    settings.customers.extend(customers.map(Into::into));
    let cells = lines.flat_map(|line| {
        let (customer, cells) = line.split_once(',').unwrap_or_default();
        let customer = customer.parse().unwrap_or_default();
        let cells = (FIRST_ATTRIBUTE..).zip(cells.split(','));
        cells.map(move |(attribute, cell)| (customer, attribute, cell))
    });
    let known = cells.filter(|(customer, _, _)| *customer < FIRST_NEW);
    settings
        .values
        .extend(known.map(|(customer, attribute, cell)| {
            let is_changed = customer % CHANGED_EVERY == 0 && attribute == FIRST_ATTRIBUTE;
            let value = if is_changed { "99" } else { cell };
            (customer, attribute, value.to_owned())
        }));
    for customer in CUSTOMERS + 1..=CUSTOMERS + REMOVED {
        let values = (FIRST_ATTRIBUTE..).zip(["0", "0.0", "26.86"]);
        let values = values.map(|(attribute, value)| (customer, attribute, value.to_owned()));
        settings.values.extend(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_those_of_the_file() {
        let ids = FILE.lines().skip(1).map(|line| line.split(',').next());
        let ids = ids.map(|id| id.and_then(|id| id.parse().ok()));
        assert!(ids.eq((1..=CUSTOMERS).map(Some)));
    }
}
