use std::collections::HashSet;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};

use crate::list;
use crate::rows::{self, BadBody, BadRow, Row};
use crate::settings::{AnswerOrder, BatchRejection, Duplicates, ErrorKeys, Settings};
use crate::state::{Shared, State};
use crate::store::{Store, StoredValue};
use crate::wire::{Answer, Links, Pagination};

pub(crate) fn put(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Answer {
    if !is_json(headers) {
        return Answer::problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Type must be application/json",
        );
    }
    let rows = match rows::parse(body) {
        Ok(rows) => rows,
        Err(BadBody::Malformed) => {
            return Answer::problem(StatusCode::BAD_REQUEST, "The body is not JSON");
        }
        Err(BadBody::NotAnArray) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Answer::problem(status, "The body must be an array");
        }
    };
    if let Some(refusal) = check_size(shared, &rows) {
        return refusal;
    }
    store(shared, judge(&shared.settings, rows))
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
fn check_size(shared: &Shared, rows: &[Result<Row, BadRow>]) -> Option<Answer> {
    let settings = &shared.settings;
    let customers: HashSet<i64> = rows.iter().flatten().map(|row| row.customer_id).collect();
    let (customers, rows) = (customers.len(), rows.len());
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

fn store(shared: &Shared, rows: Vec<Result<Row, BadRow>>) -> Answer {
    let settings = &shared.settings;
    let now = shared.clock.now();
    let mut guard = shared.lock();
    let State { store, counts, .. } = &mut *guard;

    let (good, bad) = sort_out(settings, store, rows);
    if !bad.is_empty() && settings.batch_rejection == BatchRejection::Atomic {
        return refuse(settings, bad);
    }
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
    let values: Vec<StoredValue> = values.collect();
    drop(guard);
    answer(&shared.base_url, &values)
}

/// A row to write; `is_first` of its customer and attribute in this body.
struct Write {
    row: Row,
    is_first: bool,
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

/// One page that shows all, like the reference's example: `per_page` is 10 there, for 3 values.
fn answer(base_url: &str, values: &[StoredValue]) -> Answer {
    let pagination = Pagination {
        total: values.len(),
        count: values.len(),
        per_page: values.len().max(10),
        current_page: 1,
        total_pages: 1,
        links: Links {
            previous: String::new(),
            current: list::link(base_url, 1, &[]),
            next: String::new(),
        },
    };
    Answer::page(values, pagination)
}
