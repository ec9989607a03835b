pub(crate) mod customers;

use std::collections::HashSet;

use hyper::header::HeaderMap;

use crate::active_fault::ActiveFault;
use crate::fault::Fault;
use crate::json::{self, InvalidBody, InvalidRow};
use crate::paging::{self, ListUrl};
use crate::response_faults::{self, RowWrite};
use crate::rows::{self, Row};
use crate::settings::{BatchRejection, Duplicates, ResponseOrder, Settings};
use crate::state::{Shared, State};
use crate::store::StoredValue;
use crate::wire::{ApiResponse, ValueRecords};

/// The maximum number of characters (not bytes) in a value.
const MAX_VALUE_LENGTH: usize = 255;

/// The body of a PUT.
pub(crate) struct Batch {
    rows: Vec<Result<Row, InvalidRow>>,
    /// Without duplicates.
    pub customers: Vec<i64>,
}

pub(crate) fn parse_body(
    settings: &Settings,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Batch, InvalidBody> {
    json::check_content_type(headers)?;
    let rows = rows::parse_with_extra(body, &settings.extra_fields)?;
    let mut customers: Vec<i64> = rows.iter().flatten().map(|row| row.customer_id).collect();
    customers.sort_unstable();
    customers.dedup();
    Ok(Batch { rows, customers })
}

pub(crate) fn put(shared: &Shared, batch: Batch, fault: Option<&mut ActiveFault>) -> ApiResponse {
    if let Some(rejection) = check_size(shared, &batch) {
        return rejection;
    }
    store(shared, validate_rows(&shared.settings, batch.rows), fault)
}

/// Counts the batch. Returns a rejection if it is empty or too large.
fn check_size(shared: &Shared, batch: &Batch) -> Option<ApiResponse> {
    let settings = &shared.settings;
    let (customers, rows) = (batch.customers.len(), batch.rows.len());
    {
        let counts = &mut shared.lock().counts;
        counts.largest_batch_customers = counts.largest_batch_customers.max(customers);
        counts.largest_batch_rows = counts.largest_batch_rows.max(rows);
    }
    if rows == 0 {
        return Some(InvalidBody::Empty.into_response());
    }
    let reject = |title: String| Some(ApiResponse::problem(settings.too_large.status(), &title));
    if customers > settings.customers_per_call {
        let limit = settings.customers_per_call;
        return reject(format!(
            "The batch has {customers} customers; at most {limit} are allowed"
        ));
    }
    match settings.rows_per_call {
        Some(limit) if rows > limit => reject(format!(
            "The batch has {rows} rows; at most {limit} are allowed"
        )),
        _ => None,
    }
}

/// Applies the rules that don't depend on the store.
fn validate_rows(
    settings: &Settings,
    rows: Vec<Result<Row, InvalidRow>>,
) -> Vec<Result<Row, InvalidRow>> {
    let validated = rows.into_iter().map(|row| {
        let row = row?;
        validate(settings, &row)?;
        Ok(row)
    });
    validated.collect()
}

fn validate(settings: &Settings, row: &Row) -> Result<(), InvalidRow> {
    let is_known_attribute = match &settings.known_attributes {
        Some(ids) => ids.contains(&row.attribute_id),
        None => row.attribute_id >= 1,
    };
    if !is_known_attribute {
        return Err(InvalidRow::new("attribute_id", "is not an attribute"));
    }
    if row.customer_id < 1 {
        return Err(InvalidRow::new("customer_id", "is not a customer"));
    }
    // Counting is needed only for long values: there are never more characters than bytes.
    let limit = MAX_VALUE_LENGTH;
    if row.value.len() > limit && row.value.chars().count() > limit {
        let message = format!("must have at most {limit} characters");
        return Err(InvalidRow::new("value", message));
    }
    if let Some(rule) = &settings.reject
        && let Some(message) = rule(row.customer_id, row.attribute_id, &row.value)
    {
        return Err(InvalidRow::new("value", message));
    }
    Ok(())
}

fn store(
    shared: &Shared,
    rows: Vec<Result<Row, InvalidRow>>,
    mut fault: Option<&mut ActiveFault>,
) -> ApiResponse {
    let settings = &shared.settings;
    let now = shared.clock.now();
    let mut guard = shared.lock();
    let state = &mut *guard;

    let (mut writes, invalid) = partition(settings, state, rows);
    if !invalid.is_empty() && settings.batch_rejection == BatchRejection::Atomic {
        return json::reject_rows(settings.error_keys, invalid);
    }
    let sent = writes.len();
    if invalid.is_empty()
        && let Some(fault) = &mut fault
        && response_faults::apply_to_writes(fault, &mut writes)
    {
        state.count_fault(fault.fault);
    }
    let State { store, counts, .. } = state;
    let mut ids = Vec::with_capacity(writes.len());
    counts.rows_stored += writes.len() as u64;
    for RowWrite { row, is_first } in writes {
        let id = store.upsert(row.customer_id, row.attribute_id, row.value, now);
        if !row.extra.is_empty() {
            store.update_extra(id, row.extra);
        }
        if is_first {
            ids.push(id);
        }
    }
    if !invalid.is_empty() {
        return json::reject_rows(settings.error_keys, invalid);
    }
    match settings.response_order {
        ResponseOrder::AsSent => {}
        ResponseOrder::ById => ids.sort_unstable(),
        ResponseOrder::Reversed => ids.reverse(),
    }
    let values = ids.iter().filter_map(|id| store.get(*id)).cloned();
    let mut values: Vec<StoredValue> = values.collect();
    let mut total = values.len();
    if let Some(fault) = fault {
        if fault.fault == Fault::TotalTooLarge {
            total = response_faults::exaggerate(fault, sent);
        } else if response_faults::apply_to_response(fault, &mut values) {
            state.count_fault(fault.fault);
            if fault.fault != Fault::PartialPage {
                total = values.len();
            }
        }
    }
    drop(guard);
    let list = ListUrl {
        base_url: &shared.base_url,
        path: paging::VALUES,
        parameters: &[],
    };
    let pagination = paging::written_pagination(&list, total, values.len());
    ApiResponse::page(ValueRecords(&values), pagination)
}

/// Separates the rows to store from the invalid ones, which keep their index.
fn partition(
    settings: &Settings,
    state: &State,
    rows: Vec<Result<Row, InvalidRow>>,
) -> (Vec<RowWrite>, Vec<(usize, InvalidRow)>) {
    let mut writes = Vec::with_capacity(rows.len());
    let mut invalid = Vec::new();
    let mut seen = HashSet::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        match row.and_then(|row| validate_in_store(settings, state, row)) {
            Err(reason) => invalid.push((index, reason)),
            Ok(row) => {
                let is_first = seen.insert((row.customer_id, row.attribute_id));
                match settings.duplicates {
                    Duplicates::FirstWins if !is_first => {}
                    Duplicates::Rejected if !is_first => {
                        let message = "must not be repeated for one customer";
                        invalid.push((index, InvalidRow::new("attribute_id", message)));
                    }
                    _ => writes.push(RowWrite { row, is_first }),
                }
            }
        }
    }
    (writes, invalid)
}

/// Applies the rules that depend on the store.
fn validate_in_store(settings: &Settings, state: &State, row: Row) -> Result<Row, InvalidRow> {
    let attribute = state.attributes.get(row.attribute_id);
    let must_be_defined = settings.reject_undefined_attributes;
    if state.attributes.is_deleted(row.attribute_id) || (must_be_defined && attribute.is_none()) {
        return Err(InvalidRow::new("attribute_id", "is not an attribute"));
    }
    if let Some(attribute) = attribute
        && let Some(rule) = attribute.attribute_type.violated_rule(&row.value)
    {
        return Err(InvalidRow::new("value", rule));
    }
    if let Some(id) = row.id {
        let stored = state.store.get(id);
        let key = stored.map(|value| (value.customer_id, value.attribute_id));
        if key != Some((row.customer_id, row.attribute_id)) {
            return Err(InvalidRow::new("id", "is not the ID of this value"));
        }
    }
    Ok(row)
}
