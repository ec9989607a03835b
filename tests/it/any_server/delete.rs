//! Deletes by ID and by selection.

use super::*;
use crate::support::scripted_store::{Page, requested_ids};

const IDS: Operation = Operation::DeleteIds { values: 20 };
const SELECTION: Operation = Operation::DeleteSelection { values: 50 };

/// Twenty IDs, one call.
const DELETED: Expected = Expected {
    deleted: 20,
    requests: Exactly(1),
    at_most: Duration::from_secs(1),
    ..NOTHING
};

/// The call is made again. A list of one value tells whether the store is up.
const RETRIED: Expected = Expected {
    requests: AtMost(3),
    at_most: Duration::from_secs(15),
    ..DELETED
};

/// Nothing is confirmed.
const UNCONFIRMED: Expected = Expected {
    deleted: 0,
    unconfirmed: 20,
    end: End::Any,
    requests: AtMost(60),
    at_most: Duration::from_secs(360),
    ..NOTHING
};

/// Fifty values, a list and a delete.
const SELECTED: Expected = Expected {
    deleted: 50,
    requests: AtMost(3),
    at_most: Duration::from_secs(1),
    ..NOTHING
};

/// The listed values are not those that were asked for, so nothing is deleted.
const NOTHING_MATCHED: Expected = Expected {
    deleted: 0,
    end: End::Any,
    ..SELECTED
};

/// The listed values can't be checked, so nothing is deleted.
const UNCHECKED: Expected = Expected {
    not_sent: 50,
    ..NOTHING_MATCHED
};

/// The selection could not be listed, so nothing is deleted.
const NOT_LISTED: Expected = Expected {
    end: End::SomeError,
    requests: AtMost(60),
    at_most: Duration::from_secs(1_000),
    ..NOTHING
};

fn to_deletes(memory: &ScriptedStore, request: &Request, response: Response) -> Response {
    match request.method == "DELETE" {
        true => response,
        false => memory.respond(request),
    }
}

fn to_first_delete(memory: &ScriptedStore, request: &Request, response: Response) -> Response {
    match is_first(request) {
        true => to_deletes(memory, request, response),
        false => memory.respond(request),
    }
}

/// Returns the requested page after a change. Other requests are executed as usual.
fn page(memory: &ScriptedStore, request: &Request, change: impl Fn(&mut Page)) -> Response {
    if request.method != "GET" {
        return memory.respond(request);
    }
    let mut page = memory.list(request);
    change(&mut page);
    page.response()
}

/// Executes everything, but ignores all filters of lists.
fn without_filters(memory: &ScriptedStore, request: &Request) -> Response {
    match request.is("GET", VALUES) {
        true => memory.list_everything(request).response(),
        false => memory.respond(request),
    }
}

#[tokio::test(start_paused = true)]
async fn deletes_by_id() {
    check_all(&[
        Case {
            name: "a plain store",
            operation: IDS,
            server: ScriptedStore::respond,
            expected: DELETED,
        },
        Case {
            name: "item 17: 200 with a body",
            operation: IDS,
            server: |memory, request| {
                memory.respond(request);
                Response::json(200, &serde_json::json!({"data": [], "meta": []}))
            },
            expected: DELETED,
        },
        Case {
            name: "item 17: 200 without a body",
            operation: IDS,
            server: |memory, request| {
                memory.respond(request);
                Response::empty(200)
            },
            expected: DELETED,
        },
        Case {
            name: "item 4: 404 to every delete",
            operation: IDS,
            server: |memory, request| to_deletes(memory, request, Response::error(404)),
            expected: Expected {
                unconfirmed: 0,
                unknown: 20,
                ..UNCONFIRMED
            },
        },
        Case {
            name: "item 4: 404 with a page to every delete",
            operation: IDS,
            server: |memory, request| to_deletes(memory, request, Response::html(404)),
            expected: Expected {
                requests: AtMost(130),
                ..UNCONFIRMED
            },
        },
        Case {
            name: "item 4: 404 as long as a value that is gone is named",
            operation: Operation::DeleteIds { values: 20 },
            server: |memory, request| {
                if request.method != "DELETE" {
                    return memory.respond(request);
                }
                if !requested_ids(request).is_subset(&memory.ids()) {
                    return Response::error(404);
                }
                // One value vanishes just before the first delete.
                match is_first(request) {
                    true => {
                        let mut other = request.clone();
                        other.query.insert("id:in".to_owned(), "7".to_owned());
                        memory.delete(&other);
                        Response::error(404)
                    }
                    false => memory.respond(request),
                }
            },
            expected: Expected {
                requests: AtMost(15),
                ..DELETED
            },
        },
        Case {
            name: "item 4: the response is lost, then 404",
            operation: IDS,
            server: |memory, request| match memory.delete(request) {
                0 => Response::error(404),
                _ => Response::empty(204).close_before_headers(),
            },
            expected: Expected {
                unconfirmed: 0,
                unknown: 20,
                ..UNCONFIRMED
            },
        },
        Case {
            name: "500 once",
            operation: IDS,
            server: |memory, request| to_first_delete(memory, request, Response::error(500)),
            expected: RETRIED,
        },
        Case {
            name: "item 17: 423 once",
            operation: IDS,
            server: |memory, request| to_first_delete(memory, request, Response::error(423)),
            expected: RETRIED,
        },
        Case {
            name: "item 3: 524 once",
            operation: IDS,
            server: |memory, request| to_first_delete(memory, request, Response::error(524)),
            expected: RETRIED,
        },
        Case {
            name: "item 9: 403 with a firewall's page in the middle",
            operation: Operation::DeleteIds { values: 2_000 },
            server: |memory, request| match (3..=8).contains(&request.number) {
                true => Response::html(403),
                false => memory.respond(request),
            },
            expected: Expected {
                deleted: 2_000,
                requests: AtMost(30),
                at_most: Duration::from_secs(60),
                ..NOTHING
            },
        },
        Case {
            name: "item 9: 403 with a firewall's page from the start",
            operation: IDS,
            server: |_, _| Response::html(403),
            expected: UNCONFIRMED,
        },
        Case {
            name: "200 with a portal's page, always",
            operation: IDS,
            server: |_, _| Response::html(200),
            expected: UNCONFIRMED,
        },
        Case {
            name: "item 9: 503 to everything",
            operation: IDS,
            server: |_, _| Response::error(503),
            expected: UNCONFIRMED,
        },
        Case {
            name: "item 14: 429 that says 1 ms, always",
            operation: IDS,
            server: |_, _| {
                Response::error(429)
                    .header("X-Rate-Limit-Requests-Left", 0)
                    .header("X-Rate-Limit-Time-Reset-Ms", 1)
            },
            expected: UNCONFIRMED,
        },
        Case {
            name: "403 to everything",
            operation: IDS,
            server: |_, _| Response::error(403),
            expected: Expected {
                not_sent: 20,
                end: End::Error(ErrorKind::Forbidden),
                requests: Exactly(1),
                ..NOTHING
            },
        },
        Case {
            name: "413 to more than six IDs",
            operation: IDS,
            server: |memory, request| match requested_ids(request).len() > 6 {
                true => Response::error(413),
                false => memory.respond(request),
            },
            expected: Expected {
                requests: AtMost(9),
                ..DELETED
            },
        },
        Case {
            name: "item 10: 500 to one ID of twenty",
            operation: IDS,
            server: |memory, request| match requested_ids(request).contains(&7) {
                true => Response::error(500),
                false => memory.respond(request),
            },
            expected: Expected {
                deleted: 19,
                unconfirmed: 1,
                end: End::Any,
                requests: AtMost(60),
                at_most: Duration::from_secs(330),
                ..NOTHING
            },
        },
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn deletes_by_selection() {
    check_all(&[
        Case {
            name: "a plain store",
            operation: SELECTION,
            server: ScriptedStore::respond,
            expected: SELECTED,
        },
        Case {
            name: "a filter is ignored",
            operation: Operation::DeleteOfTwo { values: 50 },
            server: without_filters,
            expected: NOTHING_MATCHED,
        },
        Case {
            name: "item 1: the filter by time is ignored",
            operation: Operation::DeleteUntil { values: 50 },
            server: without_filters,
            expected: NOTHING_MATCHED,
        },
        Case {
            name: "item 1: the filter by time is ignored, and dates are missing",
            operation: Operation::DeleteUntil { values: 50 },
            server: |memory, request| {
                if request.method != "GET" {
                    return memory.respond(request);
                }
                let mut page = memory.list_everything(request);
                for record in &mut page.records {
                    record
                        .as_object_mut()
                        .expect("a record")
                        .remove("date_modified");
                }
                page.response()
            },
            expected: UNCHECKED,
        },
        Case {
            name: "item 1: the filter by time is ignored, and dates have no zone",
            operation: Operation::DeleteUntil { values: 50 },
            server: |memory, request| {
                if request.method != "GET" {
                    return memory.respond(request);
                }
                let mut page = memory.list_everything(request);
                for record in &mut page.records {
                    record["date_modified"] = "2026-05-01 12:00:00".into();
                }
                page.response()
            },
            expected: UNCHECKED,
        },
        Case {
            name: "item 1: the filter by time is ignored, and values are two seconds too young",
            operation: Operation::DeleteUntil { values: 50 },
            server: |memory, request| {
                if request.method != "GET" {
                    return memory.respond(request);
                }
                let mut page = memory.list_everything(request);
                for record in &mut page.records {
                    record["date_modified"] = "2026-06-01T11:00:02Z".into();
                }
                page.response()
            },
            expected: NOTHING_MATCHED,
        },
        Case {
            name: "values that are as old as asked for are deleted",
            operation: Operation::DeleteUntil { values: 50 },
            server: |memory, request| {
                if request.method != "GET" {
                    return memory.respond(request);
                }
                let mut page = memory.list_everything(request);
                for record in &mut page.records {
                    record["date_modified"] = "2026-06-01T13:00:00+02:00".into();
                }
                page.response()
            },
            expected: SELECTED,
        },
        Case {
            name: "item 1: one record has no ID",
            operation: SELECTION,
            server: |memory, request| {
                page(memory, request, |page| {
                    if let Some(record) = page.records.first_mut() {
                        record.as_object_mut().expect("a record").remove("id");
                    }
                })
            },
            expected: Expected {
                deleted: 49,
                not_sent: 1,
                end: End::Any,
                requests: AtMost(6),
                ..SELECTED
            },
        },
        Case {
            name: "item 2: the second page is empty",
            operation: Operation::DeleteSelection { values: 600 },
            server: |memory, request| {
                page(memory, request, |page| {
                    if page.number == 2 {
                        page.records.clear();
                    }
                })
            },
            expected: NOT_LISTED,
        },
        Case {
            name: "item 2: the total counts the whole store",
            operation: Operation::DeleteOfTwo { values: 50 },
            server: |memory, request| page(memory, request, |page| page.total = 5_000),
            expected: NOT_LISTED,
        },
        Case {
            name: "item 2: the total counts the whole store, which is allowed",
            operation: Operation::DeleteOfTwoIncomplete { values: 50 },
            server: |memory, request| page(memory, request, |page| page.total = 5_000),
            expected: Expected {
                deleted: 2,
                requests: AtMost(20),
                at_most: Duration::from_secs(30),
                ..NOTHING
            },
        },
        Case {
            name: "item 4: 404 to every delete",
            operation: SELECTION,
            server: |memory, request| to_deletes(memory, request, Response::error(404)),
            expected: Expected {
                unknown: 50,
                end: End::Any,
                requests: AtMost(150),
                at_most: Duration::from_secs(330),
                ..NOTHING
            },
        },
        Case {
            name: "500 to the first list and to the first delete",
            operation: SELECTION,
            server: |memory, request| match is_first(request) {
                true => Response::error(500),
                false => memory.respond(request),
            },
            expected: Expected {
                requests: AtMost(6),
                at_most: Duration::from_secs(15),
                ..SELECTED
            },
        },
        Case {
            name: "item 9: 503 to everything",
            operation: SELECTION,
            server: |_, _| Response::error(503),
            expected: NOT_LISTED,
        },
        Case {
            name: "item 9: a portal's page to everything",
            operation: SELECTION,
            server: |_, _| Response::html(200),
            expected: NOT_LISTED,
        },
        Case {
            name: "401 to everything",
            operation: SELECTION,
            server: |_, _| Response::error(401),
            expected: Expected {
                end: End::Error(ErrorKind::Unauthorized),
                requests: Exactly(1),
                ..NOT_LISTED
            },
        },
        Case {
            name: "item 17: meta is an empty list",
            operation: SELECTION,
            server: |memory, request| {
                if request.method != "GET" {
                    return memory.respond(request);
                }
                let mut body = memory.list(request).body();
                body["meta"] = serde_json::json!([]);
                Response::json(200, &body)
            },
            expected: Expected {
                requests: AtMost(4),
                ..SELECTED
            },
        },
    ])
    .await;
}
