use std::collections::HashSet;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};

use crate::fault::Fault;
use crate::list;
use crate::play::Play;
use crate::rows::{self, BadBody, BadRow, Row};
use crate::settings::{AnswerOrder, BatchRejection, Duplicates, ErrorKeys, Settings};
use crate::state::{Shared, State};
use crate::store::{Store, StoredValue};
use crate::twist::{self, Write};
use crate::wire::{Answer, Links, Pagination};

/// The body of a PUT.
pub(crate) struct Batch {
    rows: Vec<Result<Row, BadRow>>,
    /// Each once.
    pub customers: Vec<i64>,
}

/// A status and a title where the body is none.
pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Batch, (StatusCode, &'static str)> {
    if !is_json(headers) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err((status, "Content-Type must be application/json"));
    }
    let rows = rows::parse(body).map_err(|bad| match bad {
        BadBody::Malformed => (StatusCode::BAD_REQUEST, "The body is not JSON"),
        BadBody::NotAnArray => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "The body must be an array",
        ),
    })?;
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

fn is_json(headers: &HeaderMap) -> bool {
    let sent = headers
        .get(CONTENT_TYPE)
        .and_then(|sent| sent.to_str().ok());
    // Parameters such as a charset may follow.
    let essence = sent.and_then(|sent| sent.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
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
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Some(Answer::problem(status, "The body holds no rows"));
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

    let (mut good, bad) = sort_out(settings, &state.store, rows);
    if !bad.is_empty() && settings.batch_rejection == BatchRejection::Atomic {
        return refuse(settings, bad);
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
        return refuse(settings, bad);
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
    answer(&shared.base_url, &values, total)
}

/// Parts the rows to write from the bad ones, which go with their index.
fn sort_out(
    settings: &Settings,
    store: &Store,
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
        let pair = (row.customer_id, row.attribute_id);
        if let Some(id) = row.id {
            let record = store.get(id);
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

fn refuse(settings: &Settings, bad: Vec<(usize, BadRow)>) -> Answer {
    let named = bad
        .into_iter()
        .filter_map(|(index, BadRow { field, message })| {
            let key = match settings.error_keys {
                ErrorKeys::Indexed => format!("{index}.{field}"),
                ErrorKeys::Field => field.to_owned(),
                ErrorKeys::Empty => return None,
            };
            Some((key, message.into()))
        });
    Answer::problem_with(
        StatusCode::UNPROCESSABLE_ENTITY,
        "The batch has rows that are not valid",
        named.collect(),
    )
}

/// The first of the pages that `total` values are shown on; nearly always it shows all, like the
/// reference's example: `per_page` is 10 there, for 3 values.
fn answer(base_url: &str, values: &[StoredValue], total: usize) -> Answer {
    let shows_all = values.len() >= total;
    let per_page = values.len().max(if shows_all { 10 } else { 1 });
    let pagination = Pagination {
        total,
        count: values.len(),
        per_page,
        current_page: 1,
        total_pages: total.div_ceil(per_page).max(1),
        links: Links {
            previous: String::new(),
            current: list::link(base_url, 1, &[]),
            next: if shows_all {
                String::new()
            } else {
                list::link(base_url, 2, &[])
            },
        },
    };
    Answer::page(values, pagination)
}
