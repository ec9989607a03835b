//! What becomes of the values that the input doesn't have, whatever the server responds.

use bigcommerce_ext::RetryPolicy;
use futures::stream;
use serde_json::json;

use super::*;
use crate::support::scripted_store::record;

#[tokio::test(start_paused = true)]
async fn no_value_is_called_deleted_without_evidence() {
    type Script = fn(&Request, &ScriptedStore) -> Response;
    let cases: [(&str, Script, &str, usize); 9] = [
        (
            "204",
            |request, memory| memory.respond(request),
            "deleted",
            18,
        ),
        (
            "lost after it was executed",
            |request, memory| match request.number_of_kind {
                1 => memory.respond(request).close_before_headers(),
                _ => memory.respond(request),
            },
            "deleted",
            18,
        ),
        ("400", |_, _| Response::error(400), "not_sent", 20),
        ("404", |_, _| Response::error(404), "unknown", 20),
        ("422", |_, _| Response::error(422), "rejected", 20),
        ("500", |_, _| Response::error(500), "unknown", 20),
        ("403", |_, _| Response::error(403), "not_sent", 20),
        ("202", |_, _| Response::empty(202), "unknown", 20),
        (
            "always lost",
            |_, _| Response::empty(204).close_before_headers(),
            "unknown",
            20,
        ),
    ];
    let (mut found, mut wanted) = (Vec::new(), Vec::new());
    for (name, respond, kind, left) in cases {
        let (_server, memory, store) = scripted(20, move |request, memory| {
            (request.method == "DELETE").then(|| respond(request, memory))
        })
        .await;
        let mut rows = scripted_gold(1..=18);
        rows.push(UpsertRow::absent(19, 1));
        let mirror = store
            .mirror([1])
            .retry(RetryPolicy::default().max_attempts(3));
        let mirror = mirror.on_outage(bigcommerce_ext::OnOutage::WaitUpTo(Duration::from_secs(60)));
        let report = mirror.stream(stream::iter(rows)).finish().await;
        let report = report.expect("a report");
        check_failures(&report);
        let summary = report.summary();
        assert_eq!(memory.ids().len(), left, "{name}");
        let is_deleted = kind == "deleted";
        assert_eq!(report.is_exact(), is_deleted, "{name} {summary:?}");
        assert_eq!(
            summary.deletes.deleted,
            if is_deleted { 2 } else { 0 },
            "{name}"
        );
        assert_eq!(summary.deletes.rows(), 2, "{name} {summary:?}");
        assert_eq!(summary.rows.rows(), 19, "{name} {summary:?}");
        assert_eq!(summary.rows.deleted, u64::from(is_deleted), "{name}");
        let kinds: Vec<_> = report
            .failures()
            .iter()
            .map(|failure| match failure {
                MirrorOutcome::Row(outcome) => (outcome.index, outcome.kind.as_str()),
                MirrorOutcome::Delete(value) => (0, value.kind.as_str()),
                _ => (0, "another"),
            })
            .collect();
        if !is_deleted {
            // Both values, and the row that means one of them.
            assert_eq!(kinds.len(), 3, "{name} {kinds:?}");
            assert!(kinds.iter().any(|(index, _)| *index == 18), "{name}");
            found.push((name, kinds.iter().map(|(_, is)| *is).collect::<Vec<_>>()));
            wanted.push((name, vec![kind; 3]));
        }
    }
    assert_eq!(found, wanted);
}

#[tokio::test(start_paused = true)]
async fn values_without_ids_are_kept_and_said() {
    let (server, _, store) = scripted(20, |request, memory| {
        request.is("GET", VALUES).then(|| {
            let mut page = memory.list(request);
            for record in &mut page.records {
                if record["customer_id"] == 20 {
                    record["id"] = json!(null);
                }
            }
            page.response()
        })
    })
    .await;
    let (outcomes, summary) = run(store
        .mirror([1])
        .stream(stream::iter(scripted_gold(1..=18))))
    .await;
    assert_eq!(deletes(&outcomes), [(19, "deleted"), (20, "not_sent")]);
    assert!(!summary.is_exact());
    let deleted = server
        .exchanges()
        .into_iter()
        .map(|exchange| exchange.request);
    let deleted: Vec<_> = deleted
        .filter(|request| request.method == "DELETE")
        .collect();
    assert_eq!(deleted.len(), 1);
    assert_eq!(deleted[0].query["id:in"], "19");
}

/// A store that holds two values for each of the customers 1 and 2: the IDs 1 and 11, 2 and 12.
fn twice(request: &Request, memory: &ScriptedStore) -> Option<Response> {
    request.is("GET", VALUES).then(|| {
        let mut page = memory.list(request);
        let ids = memory.ids();
        let selected = request.query.get("customer_id:in");
        for (id, customer, text) in [(11, 1, "Gold"), (12, 2, "Silver")] {
            if selected.is_some_and(|ids| *ids != customer.to_string()) {
                continue;
            }
            // The second values are deleted with the first.
            if ids.contains(&customer) {
                page.records.push(record(id, customer, 1, text));
                page.total += 1;
            }
        }
        page.response()
    })
}

#[tokio::test(start_paused = true)]
async fn a_second_value_of_a_customers_attribute_is_not_exact() {
    // Customer 1's values are the same, customer 2's are not.
    for (customer, kind) in [(1, "unchanged"), (2, "stored")] {
        let (_server, _, store) = scripted(2, twice).await;
        let mut rows = scripted_gold([customer]);
        rows.push(UpsertRow::absent(3 - customer, 1));
        let mirror = store.mirror([1]).max_deletes(0);
        let (outcomes, summary) = run(mirror.stream(stream::iter(rows))).await;
        assert_eq!(row_kinds(&outcomes), [kind, "not_sent"]);
        assert_eq!(summary.not_in_input, 2);
        assert!(!summary.is_exact());
    }
    let (_server, _, store) = scripted(2, twice).await;
    let (_, summary) = run(store
        .mirror([1])
        .stream(stream::iter(scripted_gold([1, 2]))))
    .await;
    assert!(summary.rows.is_complete() && summary.not_in_input == 0);
    assert!(!summary.is_exact());
}

#[tokio::test(start_paused = true)]
async fn a_row_without_a_value_is_deleted_only_if_all_its_values_are() {
    // The server rejects the delete of the second value, and the first delete is one of both.
    let (_server, _, store) = scripted(2, |request, memory| {
        match request.query.get("id:in").map(String::as_str) {
            Some("1") => Some(memory.respond(request)),
            Some(_) => Some(Response::error(422)),
            None => twice(request, memory),
        }
    })
    .await;
    let mut rows = scripted_gold([2]);
    rows.push(UpsertRow::absent(1, 1));
    let mirror = store.mirror([1]).max_deletes(2);
    let (outcomes, summary) = run(mirror.stream(stream::iter(rows))).await;
    assert_eq!(deletes(&outcomes), [(1, "deleted"), (1, "rejected")]);
    assert_eq!(row_kinds(&outcomes)[1], "rejected");
    assert_eq!((summary.rows.rows(), summary.deletes.rows()), (2, 2));
    assert!(!summary.is_exact());
}
