use std::collections::HashSet;

use hyper::header::HeaderMap;

use crate::fault::Fault;
use crate::json::{self, BadBody, BadRow};
use crate::paging::{self, List};
use crate::play::Play;
use crate::rows::{self, Row};
use crate::settings::{AnswerOrder, BatchRejection, Duplicates, Settings};
use crate::state::{Shared, State};
use crate::store::StoredValue;
use crate::twist::{self, Write};
use crate::wire::{Answer, Values};

/// The body of a PUT.
pub(crate) struct Batch {
    rows: Vec<Result<Row, BadRow>>,
    /// Each once.
    pub customers: Vec<i64>,
}

/// Reads the body of a PUT.
pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Batch, BadBody> {
    json::check_type(headers)?;
    let rows = rows::parse(body)?;
    let mut customers: Vec<i64> = rows.iter().flatten().map(|row| row.customer_id).collect();
    customers.sort_unstable();
    customers.dedup();
    Ok(Batch { rows, customers })
}

pub(crate) fn put(shared: &Shared, batch: Batch, play: Option<&mut Play>) -> Answer {
    if let Some(refusal) = check_size(shared, &batch) {
        return refusal;
    }
    store(shared, judge(&shared.settings, batch.rows), play)
}

/// Counts the batch, and refuses one that is empty or too large.
fn check_size(shared: &Shared, batch: &Batch) -> Option<Answer> {
    let settings = &shared.settings;
    let (customers, rows) = (batch.customers.len(), batch.rows.len());
    {
        let counts = &mut shared.lock().counts;
        counts.largest_batch_customers = counts.largest_batch_customers.max(customers);
        counts.largest_batch_rows = counts.largest_batch_rows.max(rows);
    }
    if rows == 0 {
        return Some(BadBody::Empty.into_answer());
    }
    let refuse = |title: String| Some(Answer::problem(settings.too_large.status(), &title));
    if customers > settings.customers_per_call {
        let limit = settings.customers_per_call;
        return refuse(format!(
            "{customers} customers in one call, {limit} at most"
        ));
    }
    match settings.rows_per_call {
        Some(limit) if rows > limit => refuse(format!("{rows} rows in one call, {limit} at most")),
        _ => None,
    }
}

/// What can be said of the rows without a look into the store.
fn judge(settings: &Settings, rows: Vec<Result<Row, BadRow>>) -> Vec<Result<Row, BadRow>> {
    let judged = rows.into_iter().map(|row| {
        let row = row?;
        match find_fault(settings, &row) {
            None => Ok(row),
            Some(bad) => Err(bad),
        }
    });
    judged.collect()
}

fn find_fault(settings: &Settings, row: &Row) -> Option<BadRow> {
    let known = |ids: &Option<HashSet<i64>>, id: i64| match ids {
        Some(ids) => ids.contains(&id),
        None => id >= 1,
    };
    if !known(&settings.known_attributes, row.attribute_id) {
        return Some(BadRow::new("attribute_id", "is not an attribute"));
    }
    if !known(&settings.known_customers, row.customer_id) {
        return Some(BadRow::new("customer_id", "is not a customer"));
    }
    // No string has more characters than bytes.
    let limit = settings.value_length;
    if row.value.len() > limit && row.value.chars().count() > limit {
        let message = format!("must have {limit} characters at most");
        return Some(BadRow::new("value", message));
    }
    let rule = settings.reject.as_ref()?;
    let message = rule(row.customer_id, row.attribute_id, &row.value)?;
    Some(BadRow::new("value", message))
}

fn store(shared: &Shared, rows: Vec<Result<Row, BadRow>>, mut play: Option<&mut Play>) -> Answer {
    let settings = &shared.settings;
    let now = shared.clock.now();
    let mut guard = shared.lock();
    let state = &mut *guard;

    let (mut good, bad) = sort_out(settings, state, rows);
    if !bad.is_empty() && settings.batch_rejection == BatchRejection::Atomic {
        return json::refuse(settings.error_keys, bad);
    }
    if bad.is_empty()
        && let Some(play) = &mut play
        && twist::rows(play, &mut good)
    {
        state.note(play.fault);
    }
    let State { store, counts, .. } = state;
    let mut ids = Vec::with_capacity(good.len());
    counts.rows_stored += good.len() as u64;
    for Write { row, is_first } in good {
        let id = store.upsert(row.customer_id, row.attribute_id, row.value, now);
        if is_first {
            ids.push(id);
        }
    }
    if !bad.is_empty() {
        return json::refuse(settings.error_keys, bad);
    }
    match settings.answer_order {
        AnswerOrder::AsSent => {}
        AnswerOrder::ById => ids.sort_unstable(),
        AnswerOrder::Reversed => ids.reverse(),
    }
    let values = ids.iter().filter_map(|id| store.get(*id)).cloned();
    let mut values: Vec<StoredValue> = values.collect();
    let mut total = values.len();
    if let Some(play) = play
        && twist::shown(play, &mut values)
    {
        state.note(play.fault);
        if play.fault != Fault::PartialPage {
            total = values.len();
        }
    }
    drop(guard);
    let list = List {
        base_url: &shared.base_url,
        path: paging::VALUES,
        parameters: &[],
    };
    let pagination = paging::describe_written(&list, total, values.len());
    Answer::page(Values(&values), pagination)
}

/// Parts the rows to write from the bad ones, which go with their index.
fn sort_out(
    settings: &Settings,
    state: &State,
    rows: Vec<Result<Row, BadRow>>,
) -> (Vec<Write>, Vec<(usize, BadRow)>) {
    let mut good = Vec::with_capacity(rows.len());
    let mut bad = Vec::new();
    let mut seen = HashSet::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        let row = match row {
            Ok(row) => row,
            Err(fault) => {
                bad.push((index, fault));
                continue;
            }
        };
        let attribute = state.attributes.get(row.attribute_id);
        let of_type = attribute.map(|attribute| attribute.attribute_type);
        if let Some(fault) = of_type.and_then(|of_type| of_type.find_fault(&row.value)) {
            bad.push((index, BadRow::new("value", fault)));
            continue;
        }
        let pair = (row.customer_id, row.attribute_id);
        if let Some(id) = row.id {
            let record = state.store.get(id);
            if record.map(|record| (record.customer_id, record.attribute_id)) != Some(pair) {
                bad.push((index, BadRow::new("id", "is not this value's ID")));
                continue;
            }
        }
        let is_first = seen.insert(pair);
        match settings.duplicates {
            Duplicates::FirstWins if !is_first => {}
            Duplicates::Refused if !is_first => {
                bad.push((
                    index,
                    BadRow::new("attribute_id", "is given twice for this customer"),
                ));
            }
            _ => good.push(Write { row, is_first }),
        }
    }
    (good, bad)
}
