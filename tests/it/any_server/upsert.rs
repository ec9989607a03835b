//! Upserts.

use std::time::SystemTime;

use super::*;
use crate::support::scripted_store::{Page, record};
use serde_json::{Value, json};

const TWENTY: Operation = Operation::Upsert { customers: 20 };

/// Twenty rows, two calls.
const STORED: Expected = Expected {
    stored: 20,
    requests: Exactly(2),
    at_most: Duration::from_secs(1),
    ..NOTHING
};

/// One of two calls is made again.
const RETRIED: Expected = Expected {
    requests: Exactly(3),
    at_most: Duration::from_secs(15),
    ..STORED
};

/// The response says less than the documented one, so that the rows are listed.
const LISTED: Expected = Expected {
    requests: AtMost(8),
    at_most: Duration::from_secs(30),
    ..STORED
};

/// Nothing is confirmed, and the run ends within a little more than the retry timeout.
const UNCONFIRMED: Expected = Expected {
    stored: 0,
    unconfirmed: 20,
    end: End::Any,
    requests: AtMost(60),
    at_most: Duration::from_secs(360),
    ..NOTHING
};

/// Nothing is confirmed, although the store is up.
const SPLIT: Expected = Expected {
    requests: AtMost(130),
    ..UNCONFIRMED
};

/// The rows are sent and never confirmed.
const UNKNOWN: Expected = Expected {
    unconfirmed: 0,
    unknown: 20,
    requests: AtMost(20),
    at_most: Duration::from_secs(60),
    ..UNCONFIRMED
};

/// The run stops at the first responses.
const STOPPED: Expected = Expected {
    not_sent: 20,
    end: End::SomeError,
    requests: AtMost(3),
    at_most: Duration::from_secs(2),
    ..NOTHING
};

/// Executes an upsert, then changes its response.
fn changed(memory: &ScriptedStore, request: &Request, change: fn(&mut Value)) -> Response {
    if !request.is("PUT", VALUES) {
        return memory.respond(request);
    }
    let mut body = Page::whole(memory.upsert(request)).body();
    change(&mut body);
    Response::json(200, &body)
}

/// Answers the first upsert with a response of its own, without executing it.
fn once(memory: &ScriptedStore, request: &Request, response: impl Into<Response>) -> Response {
    match request.is("PUT", VALUES) && is_first(request) {
        true => response.into(),
        false => memory.respond(request),
    }
}

/// Answers each upsert with a response of its own, without executing it.
fn always(memory: &ScriptedStore, request: &Request, response: impl Into<Response>) -> Response {
    match request.is("PUT", VALUES) {
        true => response.into(),
        false => memory.respond(request),
    }
}

/// Answers each upsert with nothing but a status after executing it.
fn executed(memory: &ScriptedStore, request: &Request, response: Response) -> Response {
    if request.is("PUT", VALUES) {
        memory.upsert(request);
        return response;
    }
    memory.respond(request)
}

fn each_record(body: &mut Value, change: impl Fn(&mut Value)) {
    for record in body["data"].as_array_mut().expect("records") {
        change(record);
    }
}

/// Returns the cases of one status that comes once.
macro_rules! once {
    ($($status:literal),+) => {
        [$(Case {
            name: concat!("item 3/17: ", $status, " once"),
            operation: TWENTY,
            server: |memory, request| once(memory, request, Response::error($status)),
            expected: RETRIED,
        }),+]
    };
}

/// Returns the cases of one status that comes each time.
macro_rules! always {
    ($($status:literal),+) => {
        [$(Case {
            name: concat!("item 9: ", $status, " to everything"),
            operation: TWENTY,
            server: |_, _| Response::error($status),
            expected: UNCONFIRMED,
        }),+]
    };
}

/// Returns the cases of one status that comes to each upsert from a store that is up, so that
/// batches are split down to the row.
macro_rules! refuses {
    ($($status:literal),+) => {
        [$(Case {
            name: concat!("item 17: ", $status, " to everything"),
            operation: TWENTY,
            server: |_, _| Response::error($status),
            expected: SPLIT,
        }),+]
    };
}

/// Returns the cases of one status that ends a run.
macro_rules! stops {
    ($($status:literal),+) => {
        [$(Case {
            name: concat!($status, " to everything"),
            operation: TWENTY,
            server: |_, _| Response::error($status),
            expected: STOPPED,
        }),+]
    };
}

#[tokio::test(start_paused = true)]
async fn a_status_that_comes_once_costs_one_retry() {
    check_all(&once!(
        408, 409, 423, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 525, 527, 530
    ))
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_comes_each_time_ends_the_run_in_bounds() {
    check_all(&always!(
        408, 429, 500, 502, 503, 504, 507, 501, 505, 520, 521, 522, 523, 524
    ))
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_status_of_a_store_that_is_up_ends_the_run_in_bounds() {
    check_all(&refuses!(409, 423, 425)).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_can_not_heal_stops_the_run() {
    check_all(&stops!(401, 403, 404, 405, 407, 410)).await;
}

#[tokio::test(start_paused = true)]
async fn responses_that_differ_from_the_document() {
    check_all(&[
        Case {
            name: "a plain store",
            operation: TWENTY,
            server: ScriptedStore::respond,
            expected: STORED,
        },
        Case {
            name: "item 17: no meta",
            operation: TWENTY,
            server: |memory, request| {
                changed(memory, request, |body| {
                    body.as_object_mut().expect("a body").remove("meta");
                })
            },
            expected: STORED,
        },
        Case {
            name: "item 17: meta is null",
            operation: TWENTY,
            server: |memory, request| changed(memory, request, |body| body["meta"] = Value::Null),
            expected: STORED,
        },
        Case {
            name: "item 17: meta is an empty list",
            operation: TWENTY,
            server: |memory, request| changed(memory, request, |body| body["meta"] = json!([])),
            expected: STORED,
        },
        Case {
            name: "item 17: pagination is an empty list",
            operation: TWENTY,
            server: |memory, request| {
                changed(memory, request, |body| {
                    body["meta"]["pagination"] = json!([])
                })
            },
            expected: STORED,
        },
        Case {
            name: "item 17: links are an empty list",
            operation: TWENTY,
            server: |memory, request| {
                changed(memory, request, |body| {
                    body["meta"]["pagination"]["links"] = json!([])
                })
            },
            expected: STORED,
        },
        Case {
            name: "item 17: totals are strings",
            operation: TWENTY,
            server: |memory, request| {
                changed(memory, request, |body| {
                    let pagination = &mut body["meta"]["pagination"];
                    for field in ["total", "count", "per_page", "current_page", "total_pages"] {
                        pagination[field] = pagination[field].to_string().into();
                    }
                })
            },
            expected: STORED,
        },
        Case {
            name: "item 17: dates without a zone",
            operation: TWENTY,
            server: |memory, request| {
                changed(memory, request, |body| {
                    each_record(body, |record| {
                        record["date_created"] = "2026-06-01T12:00:00".into();
                        record["date_modified"] = "2026-06-01 12:00:00".into();
                    });
                })
            },
            expected: STORED,
        },
        Case {
            name: "item 17: empty dates",
            operation: TWENTY,
            server: |memory, request| {
                changed(memory, request, |body| {
                    each_record(body, |record| record["date_modified"] = "".into());
                })
            },
            expected: STORED,
        },
        Case {
            name: "item 17: optional fields are null",
            operation: TWENTY,
            server: |memory, request| {
                changed(memory, request, |body| {
                    each_record(body, |record| {
                        for field in ["id", "date_created", "date_modified"] {
                            record[field] = Value::Null;
                        }
                    });
                })
            },
            expected: STORED,
        },
        Case {
            name: "item 17: one record is null",
            operation: TWENTY,
            server: |memory, request| {
                changed(memory, request, |body| body["data"][0] = Value::Null)
            },
            expected: LISTED,
        },
        Case {
            name: "item 17: one record lacks its customer",
            operation: TWENTY,
            server: |memory, request| {
                changed(memory, request, |body| {
                    let record = body["data"][3].as_object_mut().expect("a record");
                    record.remove("customer_id");
                })
            },
            expected: LISTED,
        },
        Case {
            name: "item 17: 202 without a body",
            operation: TWENTY,
            server: |memory, request| executed(memory, request, Response::empty(202)),
            expected: LISTED,
        },
        Case {
            name: "item 17: 202, executed after 3 s",
            operation: TWENTY,
            server: |memory, request| {
                if request.is("PUT", VALUES) {
                    memory.execute_later(Duration::from_secs(3), request);
                    return Response::json(202, &json!({}));
                }
                memory.respond(request)
            },
            expected: Expected {
                requests: AtMost(16),
                ..LISTED
            },
        },
        Case {
            name: "item 17: 204",
            operation: TWENTY,
            server: |memory, request| executed(memory, request, Response::empty(204)),
            expected: LISTED,
        },
        Case {
            name: "item 17: 207 with the records",
            operation: TWENTY,
            server: |memory, request| match request.is("PUT", VALUES) {
                true => Response::json(207, &Page::whole(memory.upsert(request)).body()),
                false => memory.respond(request),
            },
            expected: LISTED,
        },
        Case {
            name: "item 17: 201 with the records",
            operation: TWENTY,
            server: |memory, request| match request.is("PUT", VALUES) {
                true => Response::json(201, &Page::whole(memory.upsert(request)).body()),
                false => memory.respond(request),
            },
            expected: LISTED,
        },
        Case {
            name: "the body comes byte by byte",
            operation: TWENTY,
            server: |memory, request| {
                memory
                    .respond(request)
                    .byte_by_byte(Duration::from_millis(1))
            },
            expected: Expected {
                at_most: Duration::from_secs(10),
                ..STORED
            },
        },
        Case {
            name: "item 19: the total is the largest number",
            operation: TWENTY,
            server: |memory, request| {
                changed(memory, request, |body| {
                    body["meta"]["pagination"]["total"] = i64::MAX.into();
                })
            },
            expected: STORED,
        },
        Case {
            name: "item 19: a redirect that was followed is counted",
            operation: TWENTY,
            server: |memory, request| {
                if request.path == VALUES {
                    return Response::empty(308).header("location", "attribute-values-2");
                }
                let mut moved = request.clone();
                moved.path = VALUES.to_owned();
                memory.respond(&moved)
            },
            expected: Expected {
                requests: Exactly(4),
                ..STORED
            },
        },
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn claims_without_evidence() {
    check_all(&[
        Case {
            name: "item 11: no records, nothing executed",
            operation: TWENTY,
            server: |memory, request| {
                always(memory, request, Response::json(200, &json!({"data": []})))
            },
            expected: UNKNOWN,
        },
        Case {
            name: "item 5: no records and the right total, nothing executed",
            operation: TWENTY,
            server: |memory, request| {
                let body = json!({"data": [], "meta": {"pagination": {"total": 10}}});
                always(memory, request, Response::json(200, &body))
            },
            expected: UNKNOWN,
        },
        Case {
            name: "item 5: no records and a large total, nothing executed",
            operation: TWENTY,
            server: |memory, request| {
                let body = json!({"data": [], "meta": {"pagination": {"total": 25_000}}});
                always(memory, request, Response::json(200, &body))
            },
            expected: UNKNOWN,
        },
        Case {
            name: "item 5: records of other customers and a large total, nothing executed",
            operation: TWENTY,
            server: |memory, request| {
                let records = (901..=910).map(|id| record(id, id, 1, SENT)).collect();
                let mut page = Page::whole(records);
                page.total = 25_000;
                always(memory, request, page.response())
            },
            expected: UNKNOWN,
        },
        Case {
            name: "item 5: records of other customers and the right total, nothing executed",
            operation: TWENTY,
            server: |memory, request| {
                let records = (901..=905).map(|id| record(id, id, 1, SENT)).collect();
                let mut page = Page::whole(records);
                page.total = 10;
                always(memory, request, page.response())
            },
            expected: UNKNOWN,
        },
        Case {
            name: "item 5: half of the records and the right total, all executed",
            operation: TWENTY,
            server: |memory, request| match request.is("PUT", VALUES) {
                true => {
                    let mut page = Page::whole(memory.upsert(request));
                    page.records.truncate(5);
                    page.response()
                }
                false => memory.respond(request),
            },
            expected: STORED,
        },
        Case {
            name: "item 5: half of the records and a large total, half executed",
            operation: TWENTY,
            server: |memory, request| {
                if !request.is("PUT", VALUES) {
                    return memory.respond(request);
                }
                let mut half = request.clone();
                half.body.as_array_mut().expect("rows").truncate(5);
                let mut page = Page::whole(memory.upsert(&half));
                page.total = 25_000;
                page.response()
            },
            expected: Expected {
                requests: AtMost(20),
                ..LISTED
            },
        },
        Case {
            name: "item 5: no records, all executed",
            operation: TWENTY,
            server: |memory, request| {
                executed(memory, request, Response::json(200, &json!({"data": []})))
            },
            expected: LISTED,
        },
        Case {
            name: "item 5: other texts than were sent",
            operation: TWENTY,
            server: |memory, request| {
                let mut request = request.clone();
                for row in request.body.as_array_mut().into_iter().flatten() {
                    row["value"] = row["value"].as_str().expect("a text").to_lowercase().into();
                }
                memory.respond(&request)
            },
            expected: STORED,
        },
        Case {
            name: "data is null",
            operation: TWENTY,
            server: |memory, request| {
                always(memory, request, Response::json(200, &json!({"data": null})))
            },
            expected: SPLIT,
        },
        Case {
            name: "the body is an empty list",
            operation: TWENTY,
            server: |memory, request| always(memory, request, Response::json(200, &json!([]))),
            expected: SPLIT,
        },
        Case {
            name: "item 9: 200 with a portal's page to everything",
            operation: TWENTY,
            server: |_, _| Response::html(200),
            expected: UNCONFIRMED,
        },
        Case {
            name: "200 with a portal's page once",
            operation: TWENTY,
            server: |memory, request| once(memory, request, Response::html(200)),
            expected: RETRIED,
        },
        Case {
            name: "item 9: 403 with a firewall's page to everything",
            operation: TWENTY,
            server: |_, _| Response::html(403),
            expected: STOPPED,
        },
        Case {
            name: "404 with a page to everything",
            operation: TWENTY,
            server: |_, _| Response::html(404),
            expected: STOPPED,
        },
        Case {
            name: "item 9: 403 with a firewall's page in the middle",
            operation: Operation::Upsert { customers: 200 },
            server: |memory, request| match (5..=14).contains(&request.number) {
                true => Response::html(403),
                false => memory.respond(request),
            },
            expected: Expected {
                stored: 200,
                requests: AtMost(45),
                at_most: Duration::from_secs(150),
                ..NOTHING
            },
        },
        Case {
            name: "item 9: 401 with a firewall's page in the middle",
            operation: Operation::Upsert { customers: 200 },
            server: |memory, request| match (5..=14).contains(&request.number) {
                true => Response::html(401),
                false => memory.respond(request),
            },
            expected: Expected {
                stored: 200,
                requests: AtMost(45),
                at_most: Duration::from_secs(150),
                ..NOTHING
            },
        },
        Case {
            name: "item 11: 400 to every upsert",
            operation: Operation::Upsert { customers: 2_000 },
            server: |memory, request| always(memory, request, Response::error(400)),
            expected: Expected {
                unconfirmed: 2_000,
                end: End::SomeError,
                requests: AtMost(220),
                ..NOTHING
            },
        },
        Case {
            name: "item 11: no records to every upsert",
            operation: Operation::Upsert { customers: 2_000 },
            server: |memory, request| {
                always(memory, request, Response::json(200, &json!({"data": []})))
            },
            expected: Expected {
                unconfirmed: 2_000,
                end: End::SomeError,
                requests: AtMost(220),
                at_most: Duration::from_secs(120),
                ..NOTHING
            },
        },
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_break() {
    check_all(&[
        Case {
            name: "closed before the headers, once",
            operation: TWENTY,
            server: |memory, request| {
                once(memory, request, Response::empty(200).close_before_headers())
            },
            expected: RETRIED,
        },
        Case {
            name: "closed before the headers, always",
            operation: TWENTY,
            server: |_, _| Response::empty(200).close_before_headers(),
            expected: UNCONFIRMED,
        },
        Case {
            name: "closed amid the headers, once",
            operation: TWENTY,
            server: |memory, request| {
                let response = memory.respond(request);
                match is_first(request) {
                    true => response.close_in_headers(),
                    false => response,
                }
            },
            expected: RETRIED,
        },
        Case {
            name: "closed amid the body, once",
            operation: TWENTY,
            server: |memory, request| {
                let response = memory.respond(request);
                match is_first(request) {
                    true => response.close_in_body(),
                    false => response,
                }
            },
            expected: RETRIED,
        },
        Case {
            name: "item 7: the body stalls, once",
            operation: TWENTY,
            server: |memory, request| {
                let response = memory.respond(request);
                match request.method == "PUT" && is_first(request) {
                    true => response.stall_body(Duration::from_secs(4)),
                    false => response,
                }
            },
            expected: Expected {
                // The only batch in trouble is retried along with a list of one value.
                requests: AtMost(4),
                at_least: Duration::from_secs(30),
                at_most: Duration::from_secs(50),
                ..RETRIED
            },
        },
        Case {
            name: "item 7: each body stalls",
            operation: Operation::Upsert { customers: 200 },
            server: |memory, request| memory.respond(request).stall_body(Duration::from_secs(4)),
            expected: Expected {
                unconfirmed: 200,
                end: End::Any,
                requests: AtMost(60),
                at_most: Duration::from_secs(420),
                ..NOTHING
            },
        },
        Case {
            name: "no response at all, once",
            operation: TWENTY,
            server: |memory, request| {
                let stalled = Response::empty(200).stall_before_headers(Duration::from_secs(4));
                once(memory, request, stalled)
            },
            expected: Expected {
                // The only batch in trouble is retried along with a list of one value.
                requests: AtMost(4),
                at_least: Duration::from_secs(30),
                at_most: Duration::from_secs(50),
                ..RETRIED
            },
        },
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn waits_that_servers_ask_for() {
    check_all(&[
        Case {
            name: "item 14: 429 that says 1 ms, always",
            operation: TWENTY,
            server: |_, _| {
                Response::error(429)
                    .header("X-Rate-Limit-Requests-Left", 0)
                    .header("X-Rate-Limit-Requests-Quota", 150)
                    .header("X-Rate-Limit-Time-Window-Ms", 30_000)
                    .header("X-Rate-Limit-Time-Reset-Ms", 1)
            },
            expected: UNCONFIRMED,
        },
        Case {
            name: "item 14: 429 with X-Retry-After 0, always",
            operation: TWENTY,
            server: |_, _| Response::error(429).header("X-Retry-After", 0),
            expected: UNCONFIRMED,
        },
        Case {
            name: "item 16: left 0 and the reset as an epoch time, on 429 once",
            operation: TWENTY,
            server: |memory, request| {
                let response = Response::error(429)
                    .header("X-Rate-Limit-Requests-Left", 0)
                    .header("X-Rate-Limit-Requests-Quota", 150)
                    .header("X-Rate-Limit-Time-Window-Ms", 30_000)
                    .header("X-Rate-Limit-Time-Reset-Ms", 1_780_000_000_000_u64);
                once(memory, request, response)
            },
            expected: Expected {
                at_most: Duration::from_secs(65),
                ..RETRIED
            },
        },
        Case {
            name: "item 16: left 0 and the reset as an epoch time, on each response",
            operation: TWENTY,
            server: |memory, request| {
                let response = memory.respond(request);
                response
                    .header("X-Rate-Limit-Requests-Left", 0)
                    .header("X-Rate-Limit-Requests-Quota", 150)
                    .header("X-Rate-Limit-Time-Window-Ms", 30_000)
                    .header("X-Rate-Limit-Time-Reset-Ms", 1_780_000_000_000_u64)
            },
            expected: Expected {
                at_most: Duration::from_secs(65),
                ..STORED
            },
        },
        Case {
            name: "X-Retry-After in seconds, on 429",
            operation: TWENTY,
            server: |memory, request| {
                once(
                    memory,
                    request,
                    Response::error(429).header("X-Retry-After", 7),
                )
            },
            expected: Expected {
                at_least: Duration::from_secs(7),
                ..RETRIED
            },
        },
        Case {
            name: "item 17: Retry-After in seconds, on 429",
            operation: TWENTY,
            server: |memory, request| {
                once(
                    memory,
                    request,
                    Response::error(429).header("Retry-After", 7),
                )
            },
            expected: Expected {
                at_least: Duration::from_secs(7),
                ..RETRIED
            },
        },
        Case {
            name: "item 17: Retry-After as a date, on 429",
            operation: TWENTY,
            server: |memory, request| {
                let date = DateTime::<Utc>::from(SystemTime::now() + Duration::from_secs(12));
                let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
                once(
                    memory,
                    request,
                    Response::error(429).header("Retry-After", date),
                )
            },
            expected: Expected {
                at_least: Duration::from_secs(9),
                at_most: Duration::from_secs(20),
                ..RETRIED
            },
        },
        Case {
            name: "item 17: Retry-After in seconds, on 503",
            operation: TWENTY,
            server: |memory, request| {
                once(
                    memory,
                    request,
                    Response::error(503).header("Retry-After", 20),
                )
            },
            expected: Expected {
                at_least: Duration::from_secs(20),
                at_most: Duration::from_secs(30),
                ..RETRIED
            },
        },
        Case {
            name: "item 17: Retry-After of 200 s, on 503",
            operation: TWENTY,
            server: |memory, request| {
                once(
                    memory,
                    request,
                    Response::error(503).header("Retry-After", 200),
                )
            },
            expected: Expected {
                at_least: Duration::from_secs(200),
                at_most: Duration::from_secs(235),
                ..RETRIED
            },
        },
        Case {
            name: "a quota of 1 request per second, told by each response",
            operation: Operation::Upsert { customers: 100 },
            server: |memory, request| {
                let response = memory.respond(request);
                response
                    .header("X-Rate-Limit-Requests-Left", 0)
                    .header("X-Rate-Limit-Requests-Quota", 1)
                    .header("X-Rate-Limit-Time-Window-Ms", 1_000)
                    .header("X-Rate-Limit-Time-Reset-Ms", 1_000)
            },
            expected: Expected {
                stored: 100,
                requests: Exactly(10),
                at_least: Duration::from_secs(6),
                at_most: Duration::from_secs(20),
                ..NOTHING
            },
        },
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn batches_that_servers_refuse() {
    check_all(&[
        Case {
            name: "item 18: 413 once",
            operation: TWENTY,
            server: |memory, request| once(memory, request, Response::error(413)),
            expected: Expected {
                requests: AtMost(6),
                ..STORED
            },
        },
        Case {
            name: "item 18: 422 that blames no row, once",
            operation: TWENTY,
            server: |memory, request| once(memory, request, Response::error(422)),
            expected: Expected {
                requests: AtMost(6),
                ..STORED
            },
        },
        Case {
            name: "item 18: 422 that blames no row, to the first upsert of a thousand",
            operation: Operation::Upsert { customers: 1_000 },
            server: |memory, request| once(memory, request, Response::error(422)),
            expected: Expected {
                stored: 1_000,
                requests: AtMost(125),
                ..NOTHING
            },
        },
        Case {
            name: "422 to every upsert",
            operation: TWENTY,
            server: |memory, request| always(memory, request, Response::error(422)),
            expected: Expected {
                rejected: 20,
                end: End::Any,
                requests: AtMost(40),
                ..NOTHING
            },
        },
        Case {
            name: "422 to one row",
            operation: TWENTY,
            server: |memory, request| match names_customer(request, 7) {
                true => Response::error(422),
                false => memory.respond(request),
            },
            expected: Expected {
                stored: 19,
                rejected: 1,
                requests: AtMost(10),
                ..NOTHING
            },
        },
        Case {
            name: "413 to more than three customers",
            operation: Operation::Upsert { customers: 60 },
            server: |memory, request| {
                let rows = request.body.as_array().map_or(0, Vec::len);
                match rows > 3 {
                    true => Response::error(413),
                    false => memory.respond(request),
                }
            },
            expected: Expected {
                stored: 60,
                requests: AtMost(35),
                ..NOTHING
            },
        },
        Case {
            name: "item 10: 500 to one row of a single batch",
            operation: Operation::Upsert { customers: 10 },
            server: |memory, request| match names_customer(request, 7) {
                true => Response::error(500),
                false => memory.respond(request),
            },
            expected: Expected {
                stored: 9,
                unconfirmed: 1,
                end: End::Any,
                requests: AtMost(60),
                at_most: Duration::from_secs(330),
                ..NOTHING
            },
        },
        Case {
            name: "item 10: 500 to one row of three hundred",
            operation: Operation::Upsert { customers: 300 },
            server: |memory, request| match names_customer(request, 7) {
                true => Response::error(500),
                false => memory.respond(request),
            },
            expected: Expected {
                stored: 299,
                unconfirmed: 1,
                end: End::Any,
                requests: AtMost(60),
                at_most: Duration::from_secs(90),
                ..NOTHING
            },
        },
    ])
    .await;
}

/// Returns `true` if an upsert has a row for a customer.
fn names_customer(request: &Request, customer: i64) -> bool {
    let mut rows = request.body.as_array().into_iter().flatten();
    rows.any(|row| row["customer_id"] == customer)
}
