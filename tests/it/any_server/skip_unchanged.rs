//! Upserts that skip unchanged rows.

use super::*;
use crate::support::scripted_store::{Page, record};
use serde_json::json;

const TWENTY: Operation = Operation::SkipUnchanged { customers: 20 };

/// Twenty rows, all of which the store holds.
const UNCHANGED: Expected = Expected {
    unchanged: 20,
    requests: AtMost(2),
    at_most: Duration::from_secs(2),
    ..NOTHING
};

/// The lists show nothing, so that all rows are sent.
const SENT_ANYWAY: Expected = Expected {
    unchanged: 0,
    stored: 20,
    requests: AtMost(6),
    at_most: Duration::from_secs(15),
    ..NOTHING
};

/// Answers lists with a response of its own, and executes everything else.
fn to_lists(memory: &ScriptedStore, request: &Request, response: Response) -> Response {
    match request.is("GET", VALUES) {
        true => response,
        false => memory.respond(request),
    }
}

/// Returns the requested page after a change. Other requests are executed as usual.
fn page(memory: &ScriptedStore, request: &Request, change: impl Fn(&mut Page)) -> Response {
    let mut page = memory.list(request);
    change(&mut page);
    to_lists(memory, request, page.response())
}

#[tokio::test(start_paused = true)]
async fn unchanged_rows_are_skipped() {
    check_all(&[
        Case {
            name: "a plain store",
            operation: TWENTY,
            server: ScriptedStore::respond,
            expected: UNCHANGED,
        },
        Case {
            name: "lists are empty",
            operation: TWENTY,
            server: |memory, request| to_lists(memory, request, Page::whole(Vec::new()).response()),
            expected: SENT_ANYWAY,
        },
        Case {
            name: "lists are empty and have no meta",
            operation: TWENTY,
            server: |memory, request| {
                to_lists(memory, request, Response::json(200, &json!({"data": []})))
            },
            expected: SENT_ANYWAY,
        },
        Case {
            name: "lists show other customers",
            operation: TWENTY,
            server: |memory, request| {
                let records = (901..=920).map(|id| record(id, id, 1, SENT)).collect();
                to_lists(memory, request, Page::whole(records).response())
            },
            expected: SENT_ANYWAY,
        },
        Case {
            name: "a list leaves one customer out",
            operation: TWENTY,
            server: |memory, request| {
                page(memory, request, |page| {
                    page.records.pop();
                })
            },
            expected: Expected {
                unchanged: 19,
                stored: 1,
                requests: AtMost(6),
                at_most: Duration::from_secs(15),
                ..NOTHING
            },
        },
        Case {
            name: "item 17: one record is odd",
            operation: TWENTY,
            server: |memory, request| {
                page(memory, request, |page| {
                    if let Some(record) = page.records.get_mut(3) {
                        record["customer_id"] = "none".into();
                    }
                })
            },
            expected: Expected {
                unchanged: 19,
                stored: 1,
                requests: AtMost(6),
                at_most: Duration::from_secs(15),
                ..NOTHING
            },
        },
        Case {
            name: "item 17: meta is an empty list",
            operation: TWENTY,
            server: |memory, request| {
                let body = json!({"data": memory.list(request).records, "meta": []});
                to_lists(memory, request, Response::json(200, &body))
            },
            expected: UNCHANGED,
        },
        Case {
            name: "item 17: dates without a zone",
            operation: TWENTY,
            server: |memory, request| {
                page(memory, request, |page| {
                    for record in &mut page.records {
                        record["date_modified"] = "2026-06-01 12:00:00".into();
                    }
                })
            },
            expected: UNCHANGED,
        },
        Case {
            name: "item 2: the total counts the whole store",
            operation: TWENTY,
            server: |memory, request| page(memory, request, |page| page.total = 25_000),
            expected: Expected {
                requests: AtMost(6),
                at_most: Duration::from_secs(15),
                ..UNCHANGED
            },
        },
        Case {
            name: "item 16: the page is ignored",
            operation: Operation::SkipUnchanged { customers: 600 },
            server: |memory, request| {
                let mut request = request.clone();
                request.query.remove("page");
                memory.respond(&request)
            },
            expected: Expected {
                unchanged: 600,
                requests: AtMost(12),
                at_most: Duration::from_secs(15),
                ..NOTHING
            },
        },
        Case {
            name: "500 to the first list",
            operation: TWENTY,
            server: |memory, request| match is_first(request) {
                true => to_lists(memory, request, Response::error(500)),
                false => memory.respond(request),
            },
            expected: Expected {
                requests: AtMost(3),
                at_most: Duration::from_secs(15),
                ..UNCHANGED
            },
        },
        Case {
            name: "item 3: 524 to the first list",
            operation: TWENTY,
            server: |memory, request| match is_first(request) {
                true => to_lists(memory, request, Response::error(524)),
                false => memory.respond(request),
            },
            expected: Expected {
                requests: AtMost(3),
                at_most: Duration::from_secs(15),
                ..UNCHANGED
            },
        },
        Case {
            name: "item 9: 503 to everything",
            operation: TWENTY,
            server: |_, _| Response::error(503),
            expected: Expected {
                unconfirmed: 20,
                end: End::Any,
                requests: AtMost(60),
                at_most: Duration::from_secs(360),
                ..NOTHING
            },
        },
        Case {
            name: "401 to everything",
            operation: TWENTY,
            server: |_, _| Response::error(401),
            expected: Expected {
                not_sent: 20,
                end: End::Error(ErrorKind::Unauthorized),
                requests: AtMost(2),
                ..NOTHING
            },
        },
    ])
    .await;
}
