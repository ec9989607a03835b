//! Attributes.

use super::*;
use crate::support::scripted_store::ATTRIBUTES;
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
