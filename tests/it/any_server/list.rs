//! Lists.

use super::*;
use crate::support::scripted_store::Page;
use serde_json::{Value, json};

const SIX_HUNDRED: Operation = Operation::List { values: 600 };
const FIVE_THOUSAND: Operation = Operation::List { values: 5_000 };

/// Six hundred values, three pages.
const LISTED: Expected = Expected {
    listed: 600,
    requests: Exactly(3),
    at_most: Duration::from_secs(1),
    ..NOTHING
};

/// One of three pages is requested again.
const RETRIED: Expected = Expected {
    requests: Exactly(4),
    at_most: Duration::from_secs(15),
    ..LISTED
};

/// Some values are missing, which the list tells.
const INCOMPLETE: Expected = Expected {
    end: End::SomeError,
    requests: AtMost(12),
    at_most: Duration::from_secs(30),
    ..NOTHING
};

/// Nothing is read within 15 minutes, the default for lists.
const UNAVAILABLE: Expected = Expected {
    end: End::SomeError,
    requests: AtMost(60),
    at_most: Duration::from_secs(1_000),
    ..NOTHING
};

fn changed(memory: &ScriptedStore, request: &Request, change: fn(&mut Value)) -> Response {
    let mut body = memory.list(request).body();
    change(&mut body);
    Response::json(200, &body)
}

/// Returns the requested page after a change.
fn page(memory: &ScriptedStore, request: &Request, change: impl Fn(&mut Page)) -> Response {
    let mut page = memory.list(request);
    change(&mut page);
    page.response()
}

fn second_page_once(memory: &ScriptedStore, request: &Request, response: Response) -> Response {
    match request.number == 2 {
        true => response,
        false => memory.respond(request),
    }
}

#[tokio::test(start_paused = true)]
async fn pages_that_end_short() {
    check_all(&[
        Case {
            name: "a plain store",
            operation: SIX_HUNDRED,
            server: ScriptedStore::respond,
            expected: LISTED,
        },
        Case {
            name: "an empty store",
            operation: Operation::List { values: 0 },
            server: ScriptedStore::respond,
            expected: Expected {
                listed: 0,
                requests: Exactly(1),
                ..LISTED
            },
        },
        Case {
            name: "item 2: pages above 8 are empty",
            operation: FIVE_THOUSAND,
            server: |memory, request| {
                page(memory, request, |page| {
                    if page.number > 8 {
                        page.records.clear();
                    }
                })
            },
            expected: Expected {
                listed: 2_000,
                requests: AtMost(20),
                ..INCOMPLETE
            },
        },
        Case {
            name: "item 2: one of 20 pages is empty, once",
            operation: FIVE_THOUSAND,
            server: |memory, request| {
                let is_first_time = request.number < 8;
                page(memory, request, |page| {
                    if page.number == 7 && is_first_time {
                        page.records.clear();
                    }
                })
            },
            expected: Expected {
                listed: 5_000,
                requests: AtMost(24),
                at_most: Duration::from_secs(15),
                ..NOTHING
            },
        },
        Case {
            name: "item 2: one of 20 pages is empty, always",
            operation: FIVE_THOUSAND,
            server: |memory, request| {
                page(memory, request, |page| {
                    if page.number == 7 {
                        page.records.clear();
                    }
                })
            },
            expected: Expected {
                listed: 4_750,
                requests: AtMost(24),
                ..INCOMPLETE
            },
        },
        Case {
            name: "item 2: one of 20 pages is short",
            operation: FIVE_THOUSAND,
            server: |memory, request| {
                page(memory, request, |page| {
                    if page.number == 7 {
                        page.records.truncate(100);
                    }
                })
            },
            expected: Expected {
                listed: 4_850,
                requests: AtMost(24),
                ..INCOMPLETE
            },
        },
        Case {
            name: "item 16: each page is the first one",
            operation: FIVE_THOUSAND,
            server: |memory, request| {
                let mut request = request.clone();
                request.query.remove("page");
                memory.respond(&request)
            },
            expected: Expected {
                listed: 250,
                ..INCOMPLETE
            },
        },
        Case {
            name: "item 16: each page is the first one, without meta",
            operation: FIVE_THOUSAND,
            server: |memory, request| {
                let mut request = request.clone();
                request.query.remove("page");
                let body = json!({"data": memory.list(&request).records});
                Response::json(200, &body)
            },
            expected: Expected {
                listed: 250,
                end: End::Any,
                ..INCOMPLETE
            },
        },
        Case {
            name: "item 16: the number of pages is too large, the total is right",
            operation: SIX_HUNDRED,
            server: |memory, request| {
                changed(memory, request, |body| {
                    body["meta"]["pagination"]["total_pages"] = 1_000_000.into();
                })
            },
            expected: Expected {
                requests: AtMost(6),
                ..LISTED
            },
        },
        Case {
            name: "item 2: the total is too large by 50,000",
            operation: SIX_HUNDRED,
            server: |memory, request| page(memory, request, |page| page.total += 50_000),
            expected: Expected {
                listed: 600,
                ..INCOMPLETE
            },
        },
        Case {
            name: "item 19: the total is the largest number",
            operation: SIX_HUNDRED,
            server: |memory, request| {
                page(memory, request, |page| page.total = i64::MAX.unsigned_abs())
            },
            expected: Expected {
                listed: 600,
                ..INCOMPLETE
            },
        },
        Case {
            name: "item 2: the total counts the whole store",
            operation: Operation::ListOfTwo { values: 5_000 },
            server: |memory, request| page(memory, request, |page| page.total = 5_000),
            expected: Expected {
                listed: 2,
                ..INCOMPLETE
            },
        },
        Case {
            name: "item 2: the total counts the whole store, which is allowed",
            operation: Operation::ListOfTwoIncomplete { values: 5_000 },
            server: |memory, request| page(memory, request, |page| page.total = 5_000),
            expected: Expected {
                listed: 2,
                end: End::Well,
                ..INCOMPLETE
            },
        },
        Case {
            name: "item 2: the total is 0",
            operation: SIX_HUNDRED,
            server: |memory, request| page(memory, request, |page| page.total = 0),
            expected: Expected {
                requests: AtMost(6),
                ..LISTED
            },
        },
        Case {
            name: "item 2: pages hold at most 100 values, and say so",
            operation: SIX_HUNDRED,
            server: |memory, request| {
                let mut request = request.clone();
                request.query.insert("limit".to_owned(), "100".to_owned());
                memory.respond(&request)
            },
            expected: Expected {
                requests: AtMost(8),
                ..LISTED
            },
        },
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn pages_that_differ_from_the_document() {
    check_all(&[
        Case {
            name: "item 17: no meta",
            operation: SIX_HUNDRED,
            server: |memory, request| {
                Response::json(200, &json!({"data": memory.list(request).records}))
            },
            expected: Expected {
                requests: AtMost(5),
                ..LISTED
            },
        },
        Case {
            name: "item 17: meta is an empty list",
            operation: SIX_HUNDRED,
            server: |memory, request| changed(memory, request, |body| body["meta"] = json!([])),
            expected: Expected {
                requests: AtMost(5),
                ..LISTED
            },
        },
        Case {
            name: "item 17: links are an empty list",
            operation: SIX_HUNDRED,
            server: |memory, request| {
                changed(memory, request, |body| {
                    body["meta"]["pagination"]["links"] = json!([]);
                })
            },
            expected: LISTED,
        },
        Case {
            name: "item 17: totals are strings",
            operation: SIX_HUNDRED,
            server: |memory, request| {
                changed(memory, request, |body| {
                    let pagination = &mut body["meta"]["pagination"];
                    for field in ["total", "count", "per_page", "current_page", "total_pages"] {
                        pagination[field] = pagination[field].to_string().into();
                    }
                })
            },
            expected: Expected {
                requests: AtMost(5),
                ..LISTED
            },
        },
        Case {
            name: "item 17: dates without a zone",
            operation: SIX_HUNDRED,
            server: |memory, request| {
                changed(memory, request, |body| {
                    for record in body["data"].as_array_mut().expect("records") {
                        record["date_modified"] = "2026-06-01 12:00:00".into();
                    }
                })
            },
            expected: LISTED,
        },
        Case {
            name: "item 17: one record is odd",
            operation: SIX_HUNDRED,
            server: |memory, request| {
                changed(memory, request, |body| {
                    if body["meta"]["pagination"]["current_page"] == 1 {
                        body["data"][3]["customer_id"] = "none".into();
                    }
                })
            },
            expected: Expected {
                listed: 599,
                ..INCOMPLETE
            },
        },
        Case {
            name: "data is null",
            operation: SIX_HUNDRED,
            server: |_, _| Response::json(200, &json!({"data": null})),
            expected: UNAVAILABLE,
        },
        Case {
            name: "204",
            operation: SIX_HUNDRED,
            server: |_, _| Response::empty(204),
            expected: UNAVAILABLE,
        },
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn pages_that_fail() {
    check_all(&[
        Case {
            name: "item 18: 413 to pages of more than 100, once",
            operation: FIVE_THOUSAND,
            server: |memory, request| match request.number == 1 {
                true => Response::error(413),
                false => memory.respond(request),
            },
            expected: Expected {
                listed: 5_000,
                requests: AtMost(53),
                ..NOTHING
            },
        },
        Case {
            name: "item 18: 422 to the first page, once",
            operation: FIVE_THOUSAND,
            server: |memory, request| match request.number == 1 {
                true => Response::error(422),
                false => memory.respond(request),
            },
            expected: Expected {
                listed: 5_000,
                requests: AtMost(53),
                ..NOTHING
            },
        },
        Case {
            name: "500 once",
            operation: SIX_HUNDRED,
            server: |memory, request| second_page_once(memory, request, Response::error(500)),
            expected: RETRIED,
        },
        Case {
            name: "item 17: 409 once",
            operation: SIX_HUNDRED,
            server: |memory, request| second_page_once(memory, request, Response::error(409)),
            expected: RETRIED,
        },
        Case {
            name: "item 3: 522 once",
            operation: SIX_HUNDRED,
            server: |memory, request| second_page_once(memory, request, Response::error(522)),
            expected: RETRIED,
        },
        Case {
            name: "item 9: 403 with a firewall's page, once",
            operation: SIX_HUNDRED,
            server: |memory, request| second_page_once(memory, request, Response::html(403)),
            expected: RETRIED,
        },
        Case {
            name: "200 with a portal's page, once",
            operation: SIX_HUNDRED,
            server: |memory, request| second_page_once(memory, request, Response::html(200)),
            expected: RETRIED,
        },
        Case {
            name: "item 7: a body stalls, once",
            operation: SIX_HUNDRED,
            server: |memory, request| {
                let stalled = memory.respond(request).stall_body(Duration::from_secs(4));
                second_page_once(memory, request, stalled)
            },
            expected: Expected {
                at_least: Duration::from_secs(30),
                at_most: Duration::from_secs(50),
                ..RETRIED
            },
        },
        Case {
            name: "closed amid the body, once",
            operation: SIX_HUNDRED,
            server: |memory, request| {
                let cut = memory.respond(request).close_in_body();
                second_page_once(memory, request, cut)
            },
            expected: RETRIED,
        },
        Case {
            name: "item 9: 503 to everything",
            operation: SIX_HUNDRED,
            server: |_, _| Response::error(503),
            expected: UNAVAILABLE,
        },
        Case {
            name: "item 9: 503 from the second page on",
            operation: SIX_HUNDRED,
            server: |memory, request| match request.number == 1 {
                true => memory.respond(request),
                false => Response::error(503),
            },
            expected: Expected {
                listed: 250,
                ..UNAVAILABLE
            },
        },
        Case {
            name: "401 to everything",
            operation: SIX_HUNDRED,
            server: |_, _| Response::error(401),
            expected: Expected {
                end: End::Error(ErrorKind::Unauthorized),
                requests: Exactly(1),
                ..INCOMPLETE
            },
        },
        Case {
            name: "item 9: 407 to everything",
            operation: SIX_HUNDRED,
            server: |_, _| Response::empty(407),
            expected: Expected {
                requests: Exactly(1),
                ..INCOMPLETE
            },
        },
        Case {
            name: "item 14: 429 that says 1 ms, always",
            operation: SIX_HUNDRED,
            server: |_, _| {
                Response::error(429)
                    .header("X-Rate-Limit-Requests-Left", 0)
                    .header("X-Rate-Limit-Time-Reset-Ms", 1)
            },
            expected: UNAVAILABLE,
        },
        Case {
            name: "item 19: a redirect that was followed is counted",
            operation: SIX_HUNDRED,
            server: |memory, request| {
                if request.path != VALUES {
                    let mut moved = request.clone();
                    moved.path = VALUES.to_owned();
                    return memory.respond(&moved);
                }
                let query: Vec<_> = request
                    .query
                    .iter()
                    .map(|(k, v)| format!("{k}={v}"))
                    .collect();
                let location = format!("attribute-values-2?{}", query.join("&"));
                Response::empty(307).header("location", location)
            },
            expected: Expected {
                requests: Exactly(6),
                ..LISTED
            },
        },
    ])
    .await;
}
