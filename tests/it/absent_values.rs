//! Rows whose values are to go, beside rows to store, and what rows carry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bigcommerce_ext::{ErrorKind, Event, Outcome, OutcomeKind, RetryPolicy, Store, UpsertRow};
use bigcommerce_sandbox::{Sandbox, UnknownId};
use futures::{StreamExt, stream};
use serde_json::json;

use crate::support::scripted_server::{Request, Response, ScriptedServer};
use crate::support::scripted_store::{Page, ScriptedStore, VALUES};
use crate::support::{TOKEN, sandbox, store};

/// A handle such as a message queue's: neither `Clone` nor `Sync`.
#[derive(Debug)]
struct Delivery(std::cell::Cell<u64>);

fn values(sandbox: &Sandbox) -> BTreeMap<(i64, i64), String> {
    let values = sandbox.values().into_iter();
    let values = values.map(|value| ((value.customer_id, value.attribute_id), value.value));
    values.collect()
}

#[tokio::test(start_paused = true)]
async fn deletes_and_upserts_run_in_the_order_of_the_input() {
    let sandbox = Sandbox::builder().attribute(101, "Tier").start().await;
    let sandbox = sandbox.expect("a sandbox");
    for customer in 1..=300 {
        sandbox.insert(customer, 101, "old");
        sandbox.insert(customer, 102, "old");
    }
    let store = store(sandbox.base_url());
    // NULL for two of three customers, and nothing to delete beyond 300.
    let rows = (1..=360).flat_map(|customer| {
        let tier = (customer % 3 == 0).then_some("Gold");
        [
            UpsertRow::new(customer, "Tier", tier),
            UpsertRow::new(customer, 102, "before"),
            UpsertRow::absent(customer, 102),
        ]
    });
    let report = store.upsert().rows(rows).send().await.expect("a report");
    assert!(report.stopped_by().is_none());
    for outcome in report.outcomes() {
        let row = outcome.row.as_ref().expect("a row");
        let is_there = row.customer_id() <= Some(300);
        assert!(
            match (outcome.index % 3, row.value()) {
                (0, Some(value)) =>
                    value == "Gold" && matches!(outcome.kind, OutcomeKind::Stored(_)),
                (1, _) =>
                    matches!(outcome.kind, OutcomeKind::Superseded { by, .. } if by == outcome.index + 1),
                (_, None) if is_there => matches!(outcome.kind, OutcomeKind::Deleted),
                (_, None) => matches!(outcome.kind, OutcomeKind::Unchanged),
                _ => false,
            },
            "{outcome:?}"
        );
    }
    let expected: BTreeMap<_, _> = (1..=360)
        .filter(|customer| customer % 3 == 0)
        .map(|customer| ((customer, 101), "Gold".to_owned()))
        .collect();
    assert_eq!(values(&sandbox), expected);
    assert_eq!(
        report.summary().to_string(),
        format!(
            "{} requests: 120 stored, 500 deleted, 100 unchanged, 360 superseded, 0 rejected, \
             0 unknown, 0 not sent",
            report.summary().requests
        )
    );
    let counts = sandbox.counts();
    assert_eq!(counts.puts, 12);
    // Five hundred IDs of seven or eight bytes, and URLs of 2,000 bytes.
    assert!(counts.deletes <= 4, "{counts}");
    // The attributes, and 600 values in pages of 250 by customers that fit a URL.
    assert!(counts.gets <= 8, "{counts}");
}

#[tokio::test(start_paused = true)]
async fn payloads_come_back_with_their_rows_and_need_no_trait() {
    let (sandbox, store) = sandbox().await;
    sandbox.insert(7, 101, "old");
    let rows = (0..50_u64).map(|number| {
        let customer = i64::try_from(number / 2 + 1).expect("small");
        let value = (number % 5 > 0).then_some(number);
        UpsertRow::new(customer, 101, value)
            .with_tag(format!("line {number}"))
            .with_payload(Delivery(number.into()))
    });
    let rows: Vec<_> = rows.map(Ok::<_, std::io::Error>).collect();
    let run = tokio::spawn(async move {
        let mut outcomes = store.upsert().stream(stream::iter(rows));
        let mut deliveries = Vec::new();
        while let Some(outcome) = outcomes.next().await {
            let tag = outcome.tag().expect("a tag").to_owned();
            let index = outcome.index;
            let delivery = outcome.into_payload().expect("a payload");
            assert_eq!(tag, format!("line {index}"));
            assert_eq!(delivery.0.get(), index);
            deliveries.push(delivery);
        }
        assert_eq!(outcomes.done_up_to(), 50);
        deliveries.len()
    });
    assert_eq!(run.await.expect("the run ends"), 50);
}

#[tokio::test(start_paused = true)]
async fn rows_without_payloads_do_not_precede_rows_with_payloads() {
    let (sandbox, store) = sandbox().await;
    let run = || store.upsert().customer(1, [(101, "x")]);
    let rows = stream::iter([UpsertRow::new(2, 101, "y").with_payload(7)]);
    let mut outcomes = run().stream(rows);
    while let Some(outcome) = outcomes.next().await {
        assert!(
            matches!(outcome.kind, OutcomeKind::NotSent(_)),
            "{outcome:?}"
        );
    }
    let error = outcomes.stopped_by().expect("an error");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(sandbox.counts().requests, 0);

    let rows = stream::iter([UpsertRow::new(2, 101, "y")]);
    let outcomes: Vec<Outcome> = run().stream(rows).collect().await;
    assert_eq!(outcomes.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn skipped_and_planned_rows_are_compared_with_the_store() {
    let (sandbox, store) = sandbox().await;
    sandbox.insert(1, 101, "same");
    sandbox.insert(2, 101, "other");
    sandbox.insert(3, 101, "gone");
    let before = values(&sandbox);
    let rows = || {
        [
            UpsertRow::new(1, 101, "same"),
            UpsertRow::new(2, 101, "same"),
            UpsertRow::absent(3, 101),
            UpsertRow::absent(4, 101),
        ]
    };
    let run = store.upsert().rows(rows()).skip_unchanged().dry_run();
    let summary = run.send().await.expect("a report").summary();
    assert_eq!((summary.planned, summary.unchanged), (2, 2));
    assert_eq!(values(&sandbox), before);
    let run = store.upsert().rows(rows()).skip_unchanged();
    let summary = run.send().await.expect("a report").summary();
    assert_eq!(
        (summary.stored, summary.deleted, summary.unchanged),
        (1, 1, 2)
    );
    let run = store.upsert().rows(rows()).skip_unchanged();
    let summary = run.send().await.expect("a report").summary();
    assert_eq!((summary.requests, summary.unchanged), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_row_may_be_sent_again_as_long_as_no_later_one_took_its_place() {
    // The store breaks on the first request for customer 1.
    let memory = ScriptedStore::new();
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| match request.is("PUT", VALUES) && request.body[0]["value"] == "first" {
            true => Response::error(501),
            false => memory.respond(request),
        }
    })
    .await;
    let store = store(&server.base_url());
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let rows = stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    let mut outcomes = store.upsert().stream(Box::pin(rows));
    let send = |value: &str| sender.send(UpsertRow::new(1, 1, value)).expect("a reader");
    send("first");
    let first = outcomes.next().await.expect("an outcome");
    assert!(first.is_retryable(), "{first:?}");
    assert!(outcomes.may_resend(0) && !outcomes.may_resend(1));
    send("second");
    let second = outcomes.next().await.expect("an outcome");
    assert!(matches!(second.kind, OutcomeKind::Stored(_)), "{second:?}");
    assert!(!outcomes.may_resend(0) && !outcomes.may_resend(1));
    assert_eq!(outcomes.done_up_to(), 0);
    outcomes.handled(0);
    assert_eq!(outcomes.done_up_to(), 2);
}

/// A server's behaviour, and the outcome of an absent row of customer 1 on it. Customer 2 is upserted
/// in the same run.
struct Case {
    name: &'static str,
    server: fn(&ScriptedStore, &Request) -> Response,
    is_expected: fn(&OutcomeKind) -> bool,
    /// Whether the value is still there in the end.
    remains: bool,
}

fn to_deletes(memory: &ScriptedStore, request: &Request, response: Response) -> Response {
    match request.method == "DELETE" {
        true => response,
        false => memory.respond(request),
    }
}

fn to_lists(memory: &ScriptedStore, request: &Request, response: Response) -> Response {
    match request.is("GET", VALUES) {
        true => response,
        false => memory.respond(request),
    }
}

/// Another program deletes the value just before the request.
fn vanished(memory: &ScriptedStore, request: &Request, status: u16) -> Response {
    if request.method == "DELETE" {
        memory.delete(request);
        return Response::error(status);
    }
    memory.respond(request)
}

#[tokio::test(start_paused = true)]
async fn a_value_counts_as_deleted_only_with_evidence() {
    let cases = [
        Case {
            name: "a plain store",
            server: ScriptedStore::respond,
            is_expected: |kind| matches!(kind, OutcomeKind::Deleted),
            remains: false,
        },
        Case {
            name: "the value vanishes and the server does not know the ID (404)",
            server: |memory, request| vanished(memory, request, 404),
            is_expected: |kind| matches!(kind, OutcomeKind::Unchanged),
            remains: false,
        },
        Case {
            name: "the value vanishes and the server rejects the ID (422)",
            server: |memory, request| vanished(memory, request, 422),
            is_expected: |kind| matches!(kind, OutcomeKind::Unchanged),
            remains: false,
        },
        Case {
            name: "404 to every delete, and the value is still listed",
            server: |memory, request| to_deletes(memory, request, Response::error(404)),
            is_expected: |kind| matches!(kind, OutcomeKind::NotSent(error) if error.kind() == ErrorKind::NotFound),
            remains: true,
        },
        Case {
            name: "422 to every delete, and the value is still listed",
            server: |memory, request| to_deletes(memory, request, Response::error(422)),
            is_expected: |kind| matches!(kind, OutcomeKind::Rejected(error) if error.status() == Some(422)),
            remains: true,
        },
        Case {
            name: "202, and nothing happens",
            server: |memory, request| to_deletes(memory, request, Response::empty(202)),
            is_expected: |kind| matches!(kind, OutcomeKind::Unknown(_)),
            remains: true,
        },
        Case {
            name: "202, and it is executed later",
            server: |memory, request| {
                if request.method == "DELETE" {
                    memory.execute_later(Duration::from_millis(300), request);
                }
                to_deletes(memory, request, Response::empty(202))
            },
            is_expected: |kind| matches!(kind, OutcomeKind::Deleted),
            remains: false,
        },
        Case {
            name: "executed, but the connection breaks",
            server: |memory, request| {
                let response = memory.respond(request);
                match request.method == "DELETE" && request.number_of_kind == 1 {
                    true => response.close_before_headers(),
                    false => response,
                }
            },
            is_expected: |kind| matches!(kind, OutcomeKind::Deleted),
            remains: false,
        },
        Case {
            name: "the values can't be listed",
            server: |memory, request| to_lists(memory, request, Response::error(422)),
            is_expected: |kind| {
                matches!(kind, OutcomeKind::NotSent(error)
                    if error.to_string().contains("GET /customers/attribute-values"))
            },
            remains: true,
        },
        Case {
            name: "the value is listed without its ID",
            server: |memory, request| {
                let page = || {
                    let mut page = memory.list(request);
                    for record in &mut page.records {
                        record["id"] = json!(null);
                    }
                    page.response()
                };
                match request.is("GET", VALUES) {
                    true => page(),
                    false => memory.respond(request),
                }
            },
            is_expected: |kind| {
                matches!(kind, OutcomeKind::NotSent(error)
                    if error.to_string().contains("without its ID"))
            },
            remains: true,
        },
        Case {
            name: "the total says that there is more than is shown",
            server: |memory, request| {
                let mut page = memory.list(request);
                page.records.clear();
                to_lists(memory, request, page.response())
            },
            is_expected: |kind| {
                matches!(kind, OutcomeKind::NotSent(error)
                    if error.to_string().contains("incomplete"))
            },
            remains: true,
        },
        Case {
            name: "the value can't be parsed",
            server: |memory, request| {
                let mut page = memory.list(request);
                for record in &mut page.records {
                    record["attribute_value"] = json!({"odd": true});
                }
                to_lists(memory, request, page.response())
            },
            is_expected: |kind| matches!(kind, OutcomeKind::NotSent(_)),
            remains: true,
        },
        Case {
            name: "202, nothing happens, and lookups show less than the total",
            server: |memory, request| match request.method.as_str() {
                "DELETE" => Response::empty(202),
                "GET" if request.number_of_kind > 1 => {
                    let mut page = memory.list(request);
                    page.records.clear();
                    page.response()
                }
                _ => memory.respond(request),
            },
            is_expected: |kind| matches!(kind, OutcomeKind::Unknown(_)),
            remains: true,
        },
        Case {
            name: "an HTML page for the delete, without a content type",
            server: |memory, request| {
                let page = Response::text(200, "", "<html>Please log in</html>");
                to_deletes(memory, request, page)
            },
            is_expected: |kind| !matches!(kind, OutcomeKind::Deleted | OutcomeKind::Unchanged),
            remains: true,
        },
        Case {
            name: "all filters are ignored",
            server: |memory, request| match request.is("GET", VALUES) {
                true => memory.list_everything(request).response(),
                false => memory.respond(request),
            },
            is_expected: |kind| matches!(kind, OutcomeKind::NotSent(_)),
            remains: true,
        },
    ];
    for case in cases {
        let memory = ScriptedStore::new();
        memory.fill(2, "old");
        memory.fill(30, "of others");
        let server = ScriptedServer::start({
            let (memory, respond) = (memory.clone(), case.server);
            move |request| respond(&memory, request)
        })
        .await;
        let store = store(&server.base_url());
        let rows = [UpsertRow::absent(1, 1), UpsertRow::new(2, 1, "new")];
        let report = store.upsert().rows(rows).send().await.expect("a report");
        let [absent, upsert] = report.outcomes() else {
            panic!("{}: two outcomes", case.name);
        };
        assert!(
            (case.is_expected)(&absent.kind),
            "{}: {absent:?}",
            case.name
        );
        assert!(
            matches!(upsert.kind, OutcomeKind::Stored(_)),
            "{}: {upsert:?}",
            case.name
        );
        let texts = memory.texts();
        assert_eq!(texts.contains_key(&(1, 1)), case.remains, "{}", case.name);
        assert_eq!(texts[&(2, 1)], "new");
        // Nothing else is touched.
        assert_eq!(texts.len(), 29 + usize::from(case.remains), "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn refused_deletes_of_several_values_are_never_deleted() {
    for status in [404, 422] {
        let memory = ScriptedStore::new();
        memory.fill(6, "old");
        let server = ScriptedServer::start({
            let memory = memory.clone();
            move |request| to_deletes(&memory, request, Response::error(status))
        })
        .await;
        let store = store(&server.base_url());
        let rows = (1..=6).map(|customer| UpsertRow::absent(customer, 1));
        let report = store.upsert().rows(rows).send().await.expect("a report");
        for outcome in report.outcomes() {
            let is_expected = match status {
                // A server may execute a part of a batch that it refuses.
                404 => matches!(
                    outcome.kind,
                    OutcomeKind::NotSent(_) | OutcomeKind::Unknown(_)
                ),
                _ => matches!(outcome.kind, OutcomeKind::Rejected(_)),
            };
            assert!(is_expected, "{status}: {outcome:?}");
        }
        assert_eq!(memory.texts().len(), 6);
        assert!(server.requests() < 40, "{} requests", server.requests());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_upserts_does_not_hold_up_values_to_delete() {
    let sandbox = Sandbox::builder()
        .latency(Duration::from_millis(20))
        .start()
        .await;
    let sandbox = sandbox.expect("a sandbox");
    for customer in 1..=20_000 {
        sandbox.insert(customer, 101, "x");
    }
    let store = store(sandbox.base_url());
    let rows = (1..=20_000).map(|customer| {
        let value = (customer % 100 > 0).then_some("y");
        UpsertRow::new(customer, 101, value)
    });
    let mut outcomes = store.upsert().window(1_000).stream(stream::iter(rows));
    let (mut number, mut latest) = (0_u64, 0);
    while let Some(outcome) = outcomes.next().await {
        number += 1;
        // An absent row comes out with the rows around it.
        if matches!(outcome.kind, OutcomeKind::Deleted) {
            latest = latest.max(number.saturating_sub(outcome.index));
        }
    }
    let summary = outcomes.summary();
    assert_eq!((summary.stored, summary.deleted), (19_800, 200));
    assert!(latest <= 3_000, "{latest} outcomes came before it");
    let counts = sandbox.counts();
    assert!(counts.puts <= 2_100, "{counts}");
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_delete_never_takes_a_newer_value_along() {
    // The first delete stalls, and the server executes it seconds after the client gave it up.
    let memory = ScriptedStore::new();
    memory.fill(1, "old");
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| match request.method == "DELETE" && request.number_of_kind == 1 {
            true => {
                memory.execute_later(Duration::from_secs(4), request);
                Response::empty(204).stall_before_headers(Duration::from_secs(60))
            }
            false => memory.respond(request),
        }
    })
    .await;
    let retry = RetryPolicy::default().attempt_timeout(Duration::from_secs(1));
    let store = Store::builder_with_base_url(server.base_url(), TOKEN).retry(retry);
    let store = store.build().expect("a store");
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let rows = stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    sender.send(UpsertRow::absent(1, 1)).expect("a reader");
    let outcomes = store.upsert().stream(Box::pin(rows));
    let mut outcomes = Box::pin(outcomes);
    // The delete is in flight when the newer row arrives.
    let newer = async {
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        sender.send(UpsertRow::new(1, 1, "new")).expect("a reader");
        drop(sender);
    };
    let collect = async {
        let mut kinds = Vec::new();
        while let Some(outcome) = outcomes.next().await {
            kinds.push(outcome.kind);
        }
        kinds
    };
    let (kinds, ()) = tokio::join!(collect, newer);
    assert_eq!(kinds.len(), 2);
    assert!(
        matches!(kinds.last(), Some(OutcomeKind::Stored(_))),
        "{kinds:?}"
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(memory.texts()[&(1, 1)], "new");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_rejects_unknown_ids_costs_one_row_each() {
    for unknown in [
        UnknownId::Ignored,
        UnknownId::NotFound,
        UnknownId::Unprocessable,
    ] {
        let sandbox = Sandbox::builder().unknown_id(unknown).start().await;
        let sandbox = Arc::new(sandbox.expect("a sandbox"));
        let ids: Vec<_> = (1..=40)
            .map(|customer| sandbox.insert(customer, 101, "x"))
            .collect();
        let store = store(sandbox.base_url());
        let rows = (1..=40).map(|customer| UpsertRow::absent(customer, 101));
        // Another program deletes two of the values after they were read.
        let run = store.upsert().rows(rows).observe({
            let sandbox = Arc::clone(&sandbox);
            move |event| {
                if let Event::BatchReady { .. } = event {
                    sandbox.remove(ids[5]);
                    sandbox.remove(ids[30]);
                }
            }
        });
        let report = run.send().await.expect("a report");
        let summary = report.summary();
        assert_eq!(
            summary.deleted + summary.unchanged,
            40,
            "{unknown:?}: {summary}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_to_an_upsert_does_not_say_what_to_delete() {
    // The response shows the ID of another customer's value.
    let memory = ScriptedStore::new();
    memory.fill(2, "old");
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| match request.is("PUT", VALUES) {
            true => {
                let mut page = Page::whole(memory.upsert(request));
                page.records[0]["id"] = json!(2);
                page.response().after(Duration::from_secs(1))
            }
            false => memory.respond(request),
        }
    })
    .await;
    let store = store(&server.base_url());
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let rows = stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    sender.send(UpsertRow::new(1, 1, "new")).expect("a reader");
    let outcomes = store.upsert().skip_unchanged().stream(Box::pin(rows));
    // The upsert is in flight when the absent row arrives.
    let absent = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        sender.send(UpsertRow::absent(1, 1)).expect("a reader");
        drop(sender);
    };
    let (kinds, ()) = tokio::join!(
        outcomes.map(|outcome| outcome.kind).collect::<Vec<_>>(),
        absent
    );
    assert!(
        matches!(kinds[..], [OutcomeKind::Stored(_), OutcomeKind::Deleted]),
        "{kinds:?}"
    );
    let texts = memory.texts();
    assert_eq!(texts.keys().collect::<Vec<_>>(), [&(2, 1)]);
}
