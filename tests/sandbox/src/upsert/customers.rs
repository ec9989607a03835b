use std::ops::RangeInclusive;

use hyper::header::HeaderMap;
use serde_json::Value;

use crate::json::{self, InvalidBody, InvalidRow};
use crate::paging::{self, ListUrl};
use crate::settings::BatchRejection;
use crate::state::Shared;
use crate::store::SandboxCustomer;
use crate::wire::{ApiResponse, CustomerRecord};

/// The maximum number of customers per POST.
const MAX_CUSTOMERS: usize = 10;

/// The number of characters that an address may have.
const EMAIL_LENGTH: RangeInclusive<usize> = 3..=255;

/// The rows of a POST. The store assigns the IDs.
pub(crate) type NewCustomers = Vec<Result<SandboxCustomer, InvalidRow>>;

pub(crate) fn parse_body(headers: &HeaderMap, body: &[u8]) -> Result<NewCustomers, InvalidBody> {
    json::check_content_type(headers)?;
    Ok(json::parse_array(body)?.iter().map(parse_row).collect())
}

fn parse_row(row: &Value) -> Result<SandboxCustomer, InvalidRow> {
    let email = text(row, "email")?.ok_or_else(|| InvalidRow::new("email", "is required"))?;
    if !EMAIL_LENGTH.contains(&email.chars().count()) {
        return Err(InvalidRow::new("email", "must have 3 to 255 characters"));
    }
    let mut customer = SandboxCustomer::new(0, email);
    if let Some(name) = text(row, "first_name")? {
        customer = customer.first_name(name);
    }
    if let Some(name) = text(row, "last_name")? {
        customer = customer.last_name(name);
    }
    if let Some(id) = integer(row, "customer_group_id")? {
        customer = customer.group(id);
    }
    if let Some(id) = integer(row, "origin_channel_id")? {
        customer = customer.origin_channel(id);
    }
    if let Some(ids) = channel_ids(row)? {
        customer = customer.in_channels(ids);
    }
    Ok(customer)
}

/// Returns the field of a row, or `None` if it is absent or null.
fn present<'a>(row: &'a Value, field: &str) -> Option<&'a Value> {
    row.get(field).filter(|value| !value.is_null())
}

fn text<'a>(row: &'a Value, field: &'static str) -> Result<Option<&'a str>, InvalidRow> {
    let invalid = || InvalidRow::new(field, "must be a string");
    present(row, field)
        .map(|value| value.as_str().ok_or_else(invalid))
        .transpose()
}

fn integer(row: &Value, field: &'static str) -> Result<Option<i64>, InvalidRow> {
    let invalid = || InvalidRow::new(field, "must be an integer");
    present(row, field)
        .map(|value| value.as_i64().ok_or_else(invalid))
        .transpose()
}

fn channel_ids(row: &Value) -> Result<Option<Vec<i64>>, InvalidRow> {
    let field = "channel_ids";
    let invalid = || InvalidRow::new(field, "must be an array of integers");
    present(row, field)
        .map(|value| {
            let ids = value.as_array().map(|ids| ids.iter().map(Value::as_i64));
            ids.and_then(Iterator::collect).ok_or_else(invalid)
        })
        .transpose()
}

/// Creates all customers or, depending on [`BatchRejection`], the valid ones.
pub(crate) fn post(shared: &Shared, rows: NewCustomers) -> ApiResponse {
    let settings = &shared.settings;
    let count = rows.len();
    if count == 0 {
        return InvalidBody::Empty.into_response();
    }
    if count > MAX_CUSTOMERS {
        let title = format!("The batch has {count} customers; at most {MAX_CUSTOMERS} are allowed");
        return ApiResponse::problem(settings.too_large.status(), &title);
    }
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for (index, row) in rows.into_iter().enumerate() {
        match row {
            Ok(customer) => valid.push(customer),
            Err(reason) => invalid.push((index, reason)),
        }
    }
    if !invalid.is_empty() && settings.batch_rejection == BatchRejection::Atomic {
        return json::reject_rows(settings.error_keys, invalid);
    }
    let now = shared.clock.now();
    let customers = &mut shared.lock().customers;
    let created = valid
        .into_iter()
        .map(|customer| customers.create(customer, now));
    let created: Vec<i64> = created.collect();
    if !invalid.is_empty() {
        return json::reject_rows(settings.error_keys, invalid);
    }
    let records = created.iter().filter_map(|id| customers.get(*id));
    let records: Vec<CustomerRecord<'_>> = records.map(CustomerRecord::from).collect();
    let list = ListUrl {
        base_url: &shared.base_url,
        path: paging::CUSTOMERS,
        parameters: &[],
    };
    let pagination = paging::written_pagination(&list, records.len(), records.len());
    ApiResponse::page(records, pagination)
}
