//! Attributes.

use bigcommerce_ext::RetryPolicy;

use super::*;
use crate::support::TOKEN;
use crate::support::scripted_store::{ATTRIBUTES, VALUES};
use serde_json::json;

/// The only attribute is listed.
const LISTED: Expected = Expected {
    listed: 1,
    requests: Exactly(1),
    at_most: Duration::from_secs(1),
    ..NOTHING
};

/// One attribute exists, the other one is created.
const ENSURED: Expected = Expected {
    listed: 2,
    requests: AtMost(3),
    at_most: Duration::from_secs(1),
    ..NOTHING
};

/// A request fails once.
const RETRIED: Expected = Expected {
    requests: AtMost(6),
    at_most: Duration::from_secs(20),
    ..ENSURED
};

const FAILED: Expected = Expected {
    end: End::SomeError,
    requests: AtMost(60),
    at_most: Duration::from_secs(360),
    ..NOTHING
};

fn to_first_create(memory: &ScriptedStore, request: &Request, response: Response) -> Response {
    match request.is("POST", ATTRIBUTES) && is_first(request) {
        true => response,
        false => memory.respond(request),
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_are_listed() {
    check_all(&[
        Case {
            name: "a plain store",
            operation: Operation::ListAttributes,
            server: ScriptedStore::respond,
            expected: LISTED,
        },
        Case {
            name: "item 16: the number of pages is too large, the total is right",
            operation: Operation::ListAttributes,
            server: |memory, request| {
                let mut body = memory.list_attributes(request).body();
                body["meta"]["pagination"]["total_pages"] = 1_000_000.into();
                Response::json(200, &body)
            },
            expected: Expected {
                requests: AtMost(5),
                at_most: Duration::from_secs(15),
                ..LISTED
            },
        },
        Case {
            name: "item 16: the number of pages is too large, without a total",
            operation: Operation::ListAttributes,
            server: |memory, request| {
                let page = memory.list_attributes(request);
                let meta = json!({"pagination": {"total_pages": 1_000_000, "per_page": 1}});
                Response::json(200, &json!({"data": page.records, "meta": meta}))
            },
            expected: Expected {
                listed: 0,
                end: End::SomeError,
                requests: AtMost(8),
                at_most: Duration::from_secs(15),
                ..LISTED
            },
        },
        Case {
            name: "item 17: meta is an empty list",
            operation: Operation::ListAttributes,
            server: |memory, request| {
                let body = json!({"data": memory.list_attributes(request).records, "meta": []});
                Response::json(200, &body)
            },
            expected: Expected {
                requests: AtMost(2),
                ..LISTED
            },
        },
        Case {
            name: "item 17: dates without a zone",
            operation: Operation::ListAttributes,
            server: |memory, request| {
                let mut page = memory.list_attributes(request);
                for record in &mut page.records {
                    record["date_created"] = "2026-06-01 12:00:00".into();
                    record["date_modified"] = "".into();
                }
                page.response()
            },
            expected: LISTED,
        },
        Case {
            name: "item 17: one attribute of two is odd",
            operation: Operation::ListAttributes,
            server: |memory, request| {
                let mut page = memory.list_attributes(request);
                page.records.push(json!({"id": "none"}));
                page.response()
            },
            expected: Expected {
                // The attributes are all there, or the list fails.
                listed: 0,
                end: End::SomeError,
                requests: AtMost(4),
                at_most: Duration::from_secs(15),
                ..LISTED
            },
        },
        Case {
            name: "item 9: 503 to everything",
            operation: Operation::ListAttributes,
            server: |_, _| Response::error(503),
            expected: FAILED,
        },
        Case {
            name: "403 to everything",
            operation: Operation::ListAttributes,
            server: |_, _| Response::error(403),
            expected: Expected {
                end: End::Error(ErrorKind::Forbidden),
                requests: Exactly(1),
                ..FAILED
            },
        },
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn attributes_are_ensured() {
    check_all(&[
        Case {
            name: "a plain store",
            operation: Operation::EnsureAttributes,
            server: ScriptedStore::respond,
            expected: ENSURED,
        },
        Case {
            name: "item 19: 409, since another process created it in between",
            operation: Operation::EnsureAttributes,
            server: |memory, request| match request.is("POST", ATTRIBUTES) {
                true => {
                    if is_first(request) {
                        memory.create(request);
                    }
                    Response::error(409)
                }
                false => memory.respond(request),
            },
            expected: RETRIED,
        },
        Case {
            name: "item 19: 422, since another process created it in between",
            operation: Operation::EnsureAttributes,
            server: |memory, request| match request.is("POST", ATTRIBUTES) {
                true => {
                    if is_first(request) {
                        memory.create(request);
                    }
                    Response::error(422)
                }
                false => memory.respond(request),
            },
            expected: RETRIED,
        },
        Case {
            name: "500 to the first creation",
            operation: Operation::EnsureAttributes,
            server: |memory, request| to_first_create(memory, request, Response::error(500)),
            expected: RETRIED,
        },
        Case {
            name: "the response to the creation is lost",
            operation: Operation::EnsureAttributes,
            server: |memory, request| match request.is("POST", ATTRIBUTES) {
                true => {
                    memory.create(request);
                    Response::empty(200).close_before_headers()
                }
                false => memory.respond(request),
            },
            expected: RETRIED,
        },
        Case {
            name: "item 3: 524 to the creation, executed after 3 s",
            operation: Operation::EnsureAttributes,
            server: |memory, request| match request.is("POST", ATTRIBUTES) {
                true => {
                    memory.execute_later(Duration::from_secs(3), request);
                    Response::error(524)
                }
                false => memory.respond(request),
            },
            expected: RETRIED,
        },
        Case {
            name: "item 17: the creation is answered by 201 without a body",
            operation: Operation::EnsureAttributes,
            server: |memory, request| match request.is("POST", ATTRIBUTES) {
                true => {
                    memory.create(request);
                    Response::empty(201)
                }
                false => memory.respond(request),
            },
            expected: RETRIED,
        },
        Case {
            name: "422 to each creation",
            operation: Operation::EnsureAttributes,
            server: |memory, request| match request.is("POST", ATTRIBUTES) {
                true => Response::error(422),
                false => memory.respond(request),
            },
            expected: Expected {
                requests: AtMost(6),
                at_most: Duration::from_secs(20),
                ..FAILED
            },
        },
    ])
    .await;
}

/// Attribute 1 is renamed: the attributes are listed, and the new name is sent.
const RENAMED_AT_ONCE: Expected = Expected {
    stored: 1,
    requests: Exactly(2),
    at_most: Duration::from_secs(1),
    ..NOTHING
};

/// Responds to a rename, which it executes or not, and to nothing else.
fn to_rename(
    memory: &ScriptedStore,
    request: &Request,
    is_executed: bool,
    response: Response,
) -> Response {
    if !request.is("PUT", ATTRIBUTES) {
        return memory.respond(request);
    }
    if is_executed {
        memory.rename(request);
    }
    response
}

/// Responds to the first rename, which it does not execute, and to nothing else.
fn to_first_rename(memory: &ScriptedStore, request: &Request, response: Response) -> Response {
    match is_first(request) {
        true => to_rename(memory, request, false, response),
        false => memory.respond(request),
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_are_renamed() {
    check_all(&[
        Case {
            name: "a plain store",
            operation: Operation::RenameAttribute,
            server: ScriptedStore::respond,
            expected: RENAMED_AT_ONCE,
        },
        Case {
            name: "the record has odd dates",
            operation: Operation::RenameAttribute,
            server: |memory, request| match request.is("PUT", ATTRIBUTES) {
                true => {
                    let mut records = memory.rename(request);
                    records[0]["date_modified"] = "".into();
                    Response::json(200, &json!({"data": records, "meta": []}))
                }
                false => memory.respond(request),
            },
            expected: RENAMED_AT_ONCE,
        },
        Case {
            name: "the first response is lost, after the rename",
            operation: Operation::RenameAttribute,
            server: |memory, request| match request.is("PUT", ATTRIBUTES) && is_first(request) {
                true => {
                    memory.rename(request);
                    Response::empty(200).close_before_headers()
                }
                false => memory.respond(request),
            },
            expected: Expected {
                requests: Exactly(3),
                at_most: Duration::from_secs(10),
                ..RENAMED_AT_ONCE
            },
        },
        Case {
            name: "every response to the rename is lost, but it is executed",
            operation: Operation::RenameAttribute,
            server: |memory, request| {
                let lost = Response::empty(200).close_before_headers();
                to_rename(memory, request, true, lost)
            },
            expected: Expected {
                requests: AtMost(60),
                at_most: Duration::from_secs(360),
                ..RENAMED_AT_ONCE
            },
        },
        Case {
            name: "every rename is lost",
            operation: Operation::RenameAttribute,
            server: |memory, request| {
                let lost = Response::empty(200).close_before_headers();
                to_rename(memory, request, false, lost)
            },
            expected: FAILED,
        },
        Case {
            name: "503 to the first rename",
            operation: Operation::RenameAttribute,
            server: |memory, request| to_first_rename(memory, request, Response::error(503)),
            expected: Expected {
                requests: Exactly(3),
                at_most: Duration::from_secs(10),
                ..RENAMED_AT_ONCE
            },
        },
        Case {
            name: "524 to the first rename, executed after 3 s",
            operation: Operation::RenameAttribute,
            server: |memory, request| match request.is("PUT", ATTRIBUTES) && is_first(request) {
                true => {
                    memory.execute_later(Duration::from_secs(3), request);
                    Response::error(524)
                }
                false => memory.respond(request),
            },
            expected: Expected {
                requests: AtMost(4),
                at_most: Duration::from_secs(20),
                ..RENAMED_AT_ONCE
            },
        },
        Case {
            name: "202 to the rename, executed after 3 s",
            operation: Operation::RenameAttribute,
            server: |memory, request| match request.is("PUT", ATTRIBUTES) {
                true => {
                    memory.execute_later(Duration::from_secs(3), request);
                    Response::empty(202)
                }
                false => memory.respond(request),
            },
            expected: Expected {
                // The attributes are listed at once, and after the grace period.
                requests: Exactly(4),
                at_least: Duration::from_secs(5),
                at_most: Duration::from_secs(6),
                ..RENAMED_AT_ONCE
            },
        },
        Case {
            name: "202 with the new name to each rename, none of which is executed",
            operation: Operation::RenameAttribute,
            server: |memory, request| {
                let renamed = json!([{"id": 1, "name": RENAMED, "type": "string"}]);
                let accepted = Response::json(202, &json!({"data": renamed}));
                to_rename(memory, request, false, accepted)
            },
            expected: Expected {
                end: End::Error(ErrorKind::InvalidResponse),
                requests: Exactly(10),
                ..FAILED
            },
        },
        Case {
            name: "207 with the new name, after the rename",
            operation: Operation::RenameAttribute,
            server: |memory, request| {
                let renamed = json!([{"id": 1, "name": RENAMED, "type": "string", "status": 200}]);
                let response = Response::json(207, &json!({"data": renamed}));
                to_rename(memory, request, true, response)
            },
            expected: Expected {
                requests: Exactly(3),
                ..RENAMED_AT_ONCE
            },
        },
        Case {
            name: "the response has no records",
            operation: Operation::RenameAttribute,
            server: |memory, request| {
                let no_records = Response::json(200, &json!({"data": []}));
                to_rename(memory, request, true, no_records)
            },
            expected: Expected {
                requests: Exactly(3),
                ..RENAMED_AT_ONCE
            },
        },
        Case {
            name: "the response has the record of another attribute, and the old name",
            operation: Operation::RenameAttribute,
            server: |memory, request| match request.is("PUT", ATTRIBUTES) {
                true => {
                    memory.rename(request);
                    let records = json!([
                        {"id": 2, "name": "Level", "type": "string"},
                        {"id": 1, "name": "Tier", "type": "string"},
                    ]);
                    Response::json(200, &json!({"data": records}))
                }
                false => memory.respond(request),
            },
            expected: Expected {
                requests: Exactly(3),
                ..RENAMED_AT_ONCE
            },
        },
        Case {
            name: "207 to the first rename, which failed",
            operation: Operation::RenameAttribute,
            server: |memory, request| {
                let failed = json!({"data": [{"id": 1, "status": 422, "errors": {}}]});
                to_first_rename(memory, request, Response::json(207, &failed))
            },
            expected: Expected {
                requests: Exactly(5),
                at_most: Duration::from_secs(10),
                ..RENAMED_AT_ONCE
            },
        },
        Case {
            name: "200 to each rename, none of which is executed",
            operation: Operation::RenameAttribute,
            server: |memory, request| {
                let no_records = Response::json(200, &json!({"data": []}));
                to_rename(memory, request, false, no_records)
            },
            expected: Expected {
                end: End::Error(ErrorKind::InvalidResponse),
                requests: Exactly(10),
                ..FAILED
            },
        },
        Case {
            name: "the server lists the name in its own form",
            operation: Operation::RenameAttribute,
            server: |memory, request| match request.is("PUT", ATTRIBUTES) {
                true => {
                    memory.set_attribute_name(1, "LEVEL");
                    Response::json(200, &json!({"data": []}))
                }
                false => memory.respond(request),
            },
            expected: Expected {
                end: End::Error(ErrorKind::InvalidResponse),
                requests: Exactly(4),
                ..FAILED
            },
        },
        Case {
            name: "422 to the rename",
            operation: Operation::RenameAttribute,
            server: |memory, request| to_rename(memory, request, false, Response::error(422)),
            expected: Expected {
                end: End::Error(ErrorKind::InvalidRequest),
                requests: Exactly(3),
                at_most: Duration::from_secs(1),
                ..FAILED
            },
        },
        Case {
            name: "422, since another process gave it this name in between",
            operation: Operation::RenameAttribute,
            server: |memory, request| to_rename(memory, request, true, Response::error(422)),
            expected: Expected {
                requests: Exactly(3),
                ..RENAMED_AT_ONCE
            },
        },
        Case {
            name: "404, since another process deleted it in between",
            operation: Operation::RenameAttribute,
            server: |memory, request| match request.is("PUT", ATTRIBUTES) {
                true => {
                    memory.delete_attributes(&BTreeSet::from([1]));
                    Response::error(404)
                }
                false => memory.respond(request),
            },
            expected: Expected {
                end: End::Error(ErrorKind::InvalidInput),
                requests: Exactly(3),
                at_most: Duration::from_secs(1),
                ..FAILED
            },
        },
        Case {
            name: "403 to the rename",
            operation: Operation::RenameAttribute,
            server: |memory, request| to_rename(memory, request, false, Response::error(403)),
            expected: Expected {
                end: End::Error(ErrorKind::Forbidden),
                requests: Exactly(2),
                at_most: Duration::from_secs(1),
                ..FAILED
            },
        },
        Case {
            name: "503 to everything after the first rename, which is executed",
            operation: Operation::RenameAttribute,
            server: |memory, request| match request.number {
                1 => memory.respond(request),
                2 => to_rename(memory, request, true, Response::error(503)),
                _ => Response::error(503),
            },
            expected: Expected {
                // The rename waits for the end of the outage, and so does the list.
                at_most: Duration::from_secs(610),
                ..FAILED
            },
        },
    ])
    .await;
}

const DELETE_60: Operation = Operation::DeleteAttribute { values: 60 };

/// Attribute 1 is deleted: the attributes are listed before and after, and four requests confirm the
/// number of its values.
const DELETED: Expected = Expected {
    deleted: 1,
    requests: Exactly(7),
    at_most: Duration::from_secs(1),
    ..NOTHING
};

/// The values are listed before the delete.
const DELETED_AFTER_A_LIST: Expected = Expected {
    requests: AtMost(16),
    at_most: Duration::from_secs(20),
    ..DELETED
};

/// Responds to the first delete, which it executes or not, and to nothing else.
fn to_first_delete(
    memory: &ScriptedStore,
    request: &Request,
    is_executed: bool,
    response: Response,
) -> Response {
    if !request.is("DELETE", ATTRIBUTES) || !is_first(request) {
        return memory.respond(request);
    }
    if is_executed {
        memory.respond(request);
    }
    response
}

/// Responds to lists of values, and to nothing else.
fn to_lists(
    memory: &ScriptedStore,
    request: &Request,
    response: impl FnOnce() -> Response,
) -> Response {
    match request.is("GET", VALUES) {
        true => response(),
        false => memory.respond(request),
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_are_deleted() {
    check_all(&[
        Case {
            name: "a plain store",
            operation: DELETE_60,
            server: ScriptedStore::respond,
            expected: DELETED,
        },
        Case {
            name: "an attribute without values",
            operation: Operation::DeleteAttribute { values: 0 },
            server: ScriptedStore::respond,
            expected: Expected {
                requests: Exactly(4),
                ..DELETED
            },
        },
        Case {
            name: "the response is lost, after the delete",
            operation: DELETE_60,
            server: |memory, request| {
                let lost = Response::empty(204).close_before_headers();
                to_first_delete(memory, request, true, lost)
            },
            expected: Expected {
                at_least: Duration::from_secs(5),
                at_most: Duration::from_secs(6),
                ..DELETED
            },
        },
        Case {
            name: "the first delete is lost",
            operation: DELETE_60,
            server: |memory, request| {
                let lost = Response::empty(204).close_before_headers();
                to_first_delete(memory, request, false, lost)
            },
            // The attributes are listed and the values counted again before the second delete.
            expected: Expected {
                requests: Exactly(7 + 6),
                at_least: Duration::from_secs(5),
                at_most: Duration::from_secs(10),
                ..DELETED
            },
        },
        Case {
            name: "the first delete is lost, and another process stores values meanwhile",
            operation: DELETE_60,
            server: |memory, request| {
                if request.is("DELETE", ATTRIBUTES) {
                    memory.put(61, 1, OLD);
                }
                let lost = Response::empty(204).close_before_headers();
                to_first_delete(memory, request, false, lost)
            },
            expected: Expected {
                end: End::Error(ErrorKind::Connection),
                requests: Exactly(7 + 4),
                at_most: Duration::from_secs(10),
                ..FAILED
            },
        },
        Case {
            name: "no delete is responded to",
            operation: DELETE_60,
            server: |memory, request| match request.is("DELETE", ATTRIBUTES) {
                true => Response::empty(204).stall_before_headers(Duration::ZERO),
                false => memory.respond(request),
            },
            // Ten attempts would take 8 minutes.
            expected: FAILED,
        },
        Case {
            name: "503 to the first delete",
            operation: DELETE_60,
            server: |memory, request| to_first_delete(memory, request, false, Response::error(503)),
            expected: Expected {
                requests: Exactly(7 + 6),
                at_most: Duration::from_secs(10),
                ..DELETED
            },
        },
        Case {
            name: "524 to the delete, executed after 3 s",
            operation: DELETE_60,
            server: |memory, request| match request.is("DELETE", ATTRIBUTES) {
                true => {
                    memory.execute_later(Duration::from_secs(3), request);
                    Response::error(524)
                }
                false => memory.respond(request),
            },
            expected: Expected {
                at_least: Duration::from_secs(5),
                at_most: Duration::from_secs(6),
                ..DELETED
            },
        },
        Case {
            name: "202 to the delete, executed after 3 s",
            operation: DELETE_60,
            server: |memory, request| match request.is("DELETE", ATTRIBUTES) {
                true => {
                    memory.execute_later(Duration::from_secs(3), request);
                    Response::empty(202)
                }
                false => memory.respond(request),
            },
            expected: Expected {
                requests: Exactly(7 + 1),
                at_least: Duration::from_secs(5),
                at_most: Duration::from_secs(6),
                ..DELETED
            },
        },
        Case {
            name: "200 with a page of HTML, after the delete",
            operation: DELETE_60,
            server: |memory, request| to_first_delete(memory, request, true, Response::html(200)),
            expected: Expected {
                at_most: Duration::from_secs(10),
                ..DELETED
            },
        },
        Case {
            name: "207 to the first delete, which failed",
            operation: DELETE_60,
            server: |memory, request| {
                let failed = json!({"data": [{"id": 1, "status": 422}]});
                to_first_delete(memory, request, false, Response::json(207, &failed))
            },
            expected: Expected {
                // The attributes are listed twice, and the values counted, before the second delete.
                requests: Exactly(7 + 3 + 4),
                at_least: Duration::from_secs(5),
                at_most: Duration::from_secs(6),
                ..DELETED
            },
        },
        Case {
            name: "204 to each delete, none of which is executed",
            operation: DELETE_60,
            server: |memory, request| match request.is("DELETE", ATTRIBUTES) {
                true => Response::empty(204),
                false => memory.respond(request),
            },
            expected: Expected {
                end: End::Error(ErrorKind::InvalidResponse),
                // The values are counted before each delete.
                requests: Exactly(1 + 3 * (4 + 3)),
                ..FAILED
            },
        },
        Case {
            name: "204 to the first delete, which is not executed, and another process stores a value",
            operation: DELETE_60,
            server: |memory, request| {
                if request.is("DELETE", ATTRIBUTES) {
                    memory.put(61, 1, OLD);
                }
                to_first_delete(memory, request, false, Response::empty(204))
            },
            expected: Expected {
                end: End::Error(ErrorKind::InvalidResponse),
                requests: Exactly(5 + 3 + 4),
                ..FAILED
            },
        },
        Case {
            name: "404, since another process deleted it in between",
            operation: DELETE_60,
            server: |memory, request| to_first_delete(memory, request, true, Response::error(404)),
            expected: DELETED,
        },
        Case {
            name: "404 to the delete, as from an API without this endpoint",
            operation: DELETE_60,
            server: |memory, request| match request.is("DELETE", ATTRIBUTES) {
                true => Response::error(404),
                false => memory.respond(request),
            },
            expected: Expected {
                end: End::Error(ErrorKind::NotFound),
                requests: Exactly(7),
                at_most: Duration::from_secs(1),
                ..FAILED
            },
        },
        Case {
            name: "422 to the delete",
            operation: DELETE_60,
            server: |memory, request| match request.is("DELETE", ATTRIBUTES) {
                true => Response::error(422),
                false => memory.respond(request),
            },
            expected: Expected {
                end: End::Error(ErrorKind::InvalidRequest),
                requests: Exactly(7),
                at_most: Duration::from_secs(1),
                ..FAILED
            },
        },
        Case {
            name: "totals are texts",
            operation: DELETE_60,
            server: |memory, request| {
                to_lists(memory, request, || {
                    let mut body = memory.list(request).body();
                    let total = &mut body["meta"]["pagination"]["total"];
                    *total = total.to_string().into();
                    Response::json(200, &body)
                })
            },
            expected: DELETED,
        },
        Case {
            name: "totals count the whole store",
            operation: DELETE_60,
            server: |memory, request| {
                to_lists(memory, request, || {
                    let mut page = memory.list(request);
                    page.total = memory.records().len() as u64;
                    page.response()
                })
            },
            expected: DELETED_AFTER_A_LIST,
        },
        Case {
            name: "no totals",
            operation: DELETE_60,
            server: |memory, request| {
                to_lists(memory, request, || {
                    let records = memory.list(request).records;
                    Response::json(200, &json!({"data": records}))
                })
            },
            expected: DELETED_AFTER_A_LIST,
        },
        Case {
            name: "the filter is ignored",
            operation: DELETE_60,
            server: |memory, request| {
                to_lists(memory, request, || {
                    memory.list_everything(request).response()
                })
            },
            expected: DELETED_AFTER_A_LIST,
        },
        Case {
            name: "the page number is ignored",
            operation: DELETE_60,
            server: |memory, request| {
                to_lists(memory, request, || {
                    let mut request = request.clone();
                    request.query.remove("page");
                    memory.list(&request).response()
                })
            },
            expected: DELETED_AFTER_A_LIST,
        },
        Case {
            name: "the page size is ignored",
            operation: DELETE_60,
            server: |memory, request| {
                to_lists(memory, request, || {
                    let mut request = request.clone();
                    request.query.remove("limit");
                    memory.list(&request).response()
                })
            },
            expected: DELETED_AFTER_A_LIST,
        },
        Case {
            name: "totals are too small",
            operation: DELETE_60,
            server: |memory, request| {
                to_lists(memory, request, || {
                    let mut page = memory.list(request);
                    page.total = page.total.min(40);
                    page.response()
                })
            },
            expected: Expected {
                // The last page by the total is followed by another one: the values are listed.
                requests: Exactly(8),
                ..DELETED_AFTER_A_LIST
            },
        },
        Case {
            name: "the first total is too small, and the page after it is empty",
            operation: DELETE_60,
            server: |memory, request| {
                to_lists(memory, request, || {
                    let mut page = memory.list(request);
                    match (page.size, page.number) {
                        (1, 1) => page.total = page.total.min(40),
                        (1, 41) => page.records.clear(),
                        _ => {}
                    }
                    page.response()
                })
            },
            expected: DELETED_AFTER_A_LIST,
        },
        Case {
            name: "422 to pages beyond the end",
            operation: DELETE_60,
            server: |memory, request| {
                to_lists(memory, request, || {
                    let page = memory.list(request);
                    match page.records.is_empty() && page.number > 1 {
                        true => Response::error(422),
                        false => page.response(),
                    }
                })
            },
            expected: DELETED_AFTER_A_LIST,
        },
        Case {
            name: "a record that can't be parsed",
            operation: DELETE_60,
            server: |memory, request| {
                to_lists(memory, request, || {
                    let mut page = memory.list(request);
                    page.records.insert(0, json!({"id": "none"}));
                    page.response()
                })
            },
            expected: Expected {
                // How many values there are is not known, so nothing is deleted.
                end: End::Error(ErrorKind::InvalidResponse),
                requests: AtMost(16),
                ..FAILED
            },
        },
        Case {
            name: "403 to the delete",
            operation: DELETE_60,
            server: |memory, request| match request.is("DELETE", ATTRIBUTES) {
                true => Response::error(403),
                false => memory.respond(request),
            },
            expected: Expected {
                end: End::Error(ErrorKind::Forbidden),
                requests: Exactly(6),
                at_most: Duration::from_secs(1),
                ..FAILED
            },
        },
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_delete_says_how_often_it_was_sent_and_what_the_list_shows() {
    let memory = ScriptedStore::new();
    let server = ScriptedServer::start(move |request| match request.is("DELETE", ATTRIBUTES) {
        true => Response::empty(204).close_before_headers(),
        false => memory.respond(request),
    })
    .await;
    let store = Store::builder_with_base_url(server.base_url(), TOKEN)
        .retry(RetryPolicy::default().max_attempts(3))
        .build()
        .expect("a store");
    let error = store.attributes().delete("Tier", 0).await;
    let error = error.expect_err("no response");
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connection, 3));
    let text = error.to_string();
    assert!(
        text.contains("attribute \"Tier\" (ID 1) is still listed"),
        "{text}"
    );
    assert!(!text.contains("not repeated"), "{text}");
}
