//! The options that select values.

use bigcommerce_ext::chrono::{DateTime, NaiveDate};
use bigcommerce_ext::{AttributeKey, CustomerKey, DateFilter, List};
use clap::Args;

/// The conditions that listed values meet. A value is selected if it meets all of them.
#[derive(Clone, Debug, Default, Args)]
pub struct Selection {
    /// Values of these customers, by ID or e-mail address
    #[arg(long, value_name = "CUSTOMER,…", value_delimiter = ',', value_parser = customer_key)]
    pub customers: Option<Vec<CustomerKey>>,
    /// Values of these attributes, by ID or name
    #[arg(long, value_name = "ATTRIBUTE,…", value_delimiter = ',', value_parser = attribute_key)]
    pub attributes: Option<Vec<AttributeKey>>,
    #[command(flatten)]
    pub dates: Dates,
    /// Of several accounts with an e-mail address, take those of this channel
    #[arg(long, value_name = "ID")]
    pub channel: Option<i64>,
    /// Of several accounts with an e-mail address, take the one that was created last
    #[arg(long)]
    pub newest_account: bool,
    /// The attribute whose values are the external IDs of customers.
    #[arg(skip)]
    pub external_id: Option<AttributeKey>,
}

/// The conditions for dates: a date such as 2024-06-10, or a time such as 2024-06-10T14:22:00Z.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Dates {
    /// Values created on this date or at this time
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub created_on: Option<DateFilter>,
    /// Values created on or after this date or time
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub created_since: Option<DateFilter>,
    /// Values created on or before this date or time
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub created_until: Option<DateFilter>,
    /// Values last modified on this date or at this time
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub modified_on: Option<DateFilter>,
    /// Values last modified on or after this date or time
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub modified_since: Option<DateFilter>,
    /// Values last modified on or before this date or time
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub modified_until: Option<DateFilter>,
}

impl Dates {
    /// Returns `true` if the conditions need a value's creation time.
    pub fn need_created(&self) -> bool {
        let Self {
            created_on: on,
            created_since: since,
            created_until: until,
            ..
        } = self;
        on.or(*since).or(*until).is_some()
    }

    /// Returns `true` if the conditions need the time of a value's last change.
    pub fn need_modified(&self) -> bool {
        let Self {
            modified_on: on,
            modified_since: since,
            modified_until: until,
            ..
        } = self;
        on.or(*since).or(*until).is_some()
    }
}

impl Selection {
    /// Returns the customers that are given by their e-mail addresses.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let customers = self.customers.iter().flatten();
        customers.filter_map(|customer| match customer {
            CustomerKey::Email(address) => Some(address.trim()),
            _ => None,
        })
    }

    /// Adds the conditions to a list.
    pub fn apply(&self, mut list: List) -> List {
        if let Some(customers) = &self.customers {
            list = list.customers(customers.iter().cloned());
        }
        if let Some(attributes) = &self.attributes {
            list = list.attributes(attributes.iter().cloned());
        }
        let dates = &self.dates;
        for (date, add) in [
            (
                dates.created_on,
                List::created_on as fn(List, DateFilter) -> List,
            ),
            (dates.created_since, List::created_since),
            (dates.created_until, List::created_until),
            (dates.modified_on, List::modified_on),
            (dates.modified_since, List::modified_since),
            (dates.modified_until, List::modified_until),
        ] {
            if let Some(date) = date {
                list = add(list, date);
            }
        }
        if let Some(attribute) = &self.external_id {
            list = list.external_id(attribute.clone());
        }
        if let Some(channel) = self.channel {
            list = list.in_channel(channel);
        }
        if self.newest_account {
            list = list.newest_account();
        }
        list
    }
}

/// Returns the customer of a text: an ID if it is a whole number, or else an e-mail address.
fn customer_key(text: &str) -> Result<CustomerKey, String> {
    let text = text.trim();
    match text.parse::<i64>() {
        Ok(id) if id >= 1 => Ok(id.into()),
        _ if text.contains('@') => Ok(text.into()),
        _ => {
            Err("give an ID, which is a whole number of 1 or more, or an e-mail address".to_owned())
        }
    }
}

/// Returns the attribute of a text: an ID if it is a whole number, or else a name.
pub fn attribute_key(text: &str) -> Result<AttributeKey, String> {
    match text.parse::<i64>() {
        Ok(id) if id >= 1 => Ok(id.into()),
        Ok(_) => Err("an ID is 1 or more".to_owned()),
        Err(_) if text.trim().is_empty() => Err("give an ID or a name".to_owned()),
        Err(_) => Ok(text.into()),
    }
}

fn date(text: &str) -> Result<DateFilter, String> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.into());
    }
    let time = DateTime::parse_from_rfc3339(text);
    time.map(DateFilter::from)
        .map_err(|_| "give a date (2024-06-10) or a time (2024-06-10T14:22:00Z)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_attributes_and_dates_are_told_from_typing_errors() {
        assert_eq!(customer_key("2048"), Ok(2048.into()));
        assert_eq!(
            customer_key(" jane@example.com"),
            Ok("jane@example.com".into())
        );
        for wrong in ["", "0", "-3", "jane"] {
            customer_key(wrong).expect_err(wrong);
        }
        assert_eq!(attribute_key("101"), Ok(101.into()));
        assert_eq!(attribute_key("Loyalty tier"), Ok("Loyalty tier".into()));
        for wrong in ["", " ", "0"] {
            attribute_key(wrong).expect_err(wrong);
        }
        date("2024-06-10").expect("a date");
        date("2024-06-10T14:22:00+02:00").expect("a time");
        for wrong in ["", "10.06.2024", "2024-06-10 14:22"] {
            date(wrong).expect_err(wrong);
        }
    }
}
