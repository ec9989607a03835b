//! Rows that set optional fields of their record. With the vendored document that is the ID of the
//! value, which the sandbox rejects unless it is the value's own.

use std::collections::BTreeMap;

use bigcommerce_ext::sdk::types::builder;
use bigcommerce_ext::{ErrorKind, OutcomeKind, UpsertRow};
use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};
use serde_json::json;

use crate::support::scripted_server::{Response, ScriptedServer};
use crate::support::scripted_store::{ScriptedStore, VALUES, record};
use crate::support::{sandbox, store};

#[tokio::test(start_paused = true)]
async fn fields_go_through_retries_and_splits() {
    let plan = FaultPlan::seeded(5).rate(0.3).only([
        Fault::InternalError,
        Fault::ClosedBeforeWork,
        Fault::ErrorAfterWork,
        Fault::DroppedRows,
    ]);
    let sandbox = Sandbox::builder().start().await.expect("a sandbox");
    let customers = 1..=100_i64;
    let ids: Vec<_> = customers
        .clone()
        .map(|customer| sandbox.insert(customer, 101, "old"))
        .collect();
    sandbox.set_faults(plan);
    let store = store(sandbox.base_url());
    let is_bad = |customer: i64| customer % 30 == 0;
    let rows = customers.zip(&ids).map(|(customer, id)| {
        let id = if is_bad(customer) { 1 } else { *id };
        UpsertRow::new(customer, 101, "new").customize(|record| record.id(id))
    });
    let report = store.upsert().rows(rows).send().await.expect("a report");
    assert_eq!(report.outcomes().len(), 100);
    for outcome in report.outcomes() {
        let row = outcome.row.as_ref().expect("a row");
        let customer = row.customer_id().expect("an ID");
        match &outcome.kind {
            OutcomeKind::Stored(_) => assert!(!is_bad(customer)),
            OutcomeKind::Rejected(error) => {
                assert!(is_bad(customer));
                assert!(error.to_string().contains("id: is not the ID"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        // The fields come back with the row.
        let id = ids[usize::try_from(customer).expect("small") - 1];
        let id = if is_bad(customer) { 1 } else { id };
        let plain = UpsertRow::new(customer, 101, "new");
        assert_ne!(*row, plain);
        assert_eq!(*row, plain.customize(|record| record.id(id)));
    }
    assert!(sandbox.fault_counts().values().sum::<u64>() > 3);
}

/// Sets no field.
fn refuse(_: builder::AttributeValueUpsert) -> Result<builder::AttributeValueUpsert, &'static str> {
    Err("source is longer than 16 characters")
}

#[tokio::test(start_paused = true)]
async fn a_row_with_fields_is_never_unchanged_and_an_invalid_one_costs_only_itself() {
    let (sandbox, store) = sandbox().await;
    let id = sandbox.insert(1, 101, "Gold");
    sandbox.insert(2, 101, "Gold");
    let rows = [
        UpsertRow::new(1, 101, "Gold").customize(|record| record.id(id)),
        UpsertRow::new(2, 101, "Gold"),
        UpsertRow::new(3, 101, "Gold").customize(refuse),
        UpsertRow::absent(2, 101).customize(|record| record.id(id)),
    ];
    let run = store.upsert().rows(rows).skip_unchanged();
    let report = run.send().await.expect("a report");
    let kinds: Vec<_> = report
        .outcomes()
        .iter()
        .map(|outcome| (outcome.index, &outcome.kind))
        .collect();
    for (index, kind) in kinds {
        match index {
            0 => assert!(matches!(kind, OutcomeKind::Stored(Some(_))), "{kind:?}"),
            1 => assert!(matches!(kind, OutcomeKind::Unchanged), "{kind:?}"),
            _ => {
                let OutcomeKind::Rejected(error) = kind else {
                    panic!("{kind:?}");
                };
                assert_eq!(error.kind(), ErrorKind::InvalidRow);
                let expected = match index {
                    2 => "row 2: customize() failed: source is longer than 16 characters",
                    _ => "row 3: value is absent: leave out customize(), a delete sends no fields",
                };
                assert_eq!(error.to_string(), expected);
            }
        }
    }
    assert_eq!(sandbox.counts().puts, 1);
    assert_eq!(sandbox.counts().deletes, 0);
}

/// The store held the values before, so that a list shows them whatever became of the fields.
#[tokio::test(start_paused = true)]
async fn a_listed_value_does_not_confirm_a_row_with_fields() {
    for status in [202, 204, 207] {
        let memory = ScriptedStore::new();
        memory.fill(3, "Gold");
        // Of all upserts, only the second one confirms a row.
        let server = ScriptedServer::start(move |request| {
            match (request.is("PUT", VALUES), request.number_of_kind) {
                (true, 2) => {
                    let records = vec![record(1, 1, 1, "Gold")];
                    Response::json(200, &json!({"data": records}))
                }
                (true, _) => Response::empty(status),
                (false, _) => memory.respond(request),
            }
        })
        .await;
        let row = |customer| UpsertRow::new(customer, 1, "Gold");
        let with_fields = |customer| row(customer).customize(|record| record.id(customer));
        let store = store(&server.base_url());
        let upsert = store
            .upsert()
            .rows([with_fields(1), with_fields(2), row(3)]);
        let report = upsert.send().await.expect("a report");
        let kinds: BTreeMap<_, _> = report
            .outcomes()
            .iter()
            .map(|outcome| (outcome.index, outcome.kind.as_str()))
            .collect();
        let expected = [(0, "stored"), (1, "unknown"), (2, "stored")];
        assert_eq!(kinds, BTreeMap::from(expected), "{status}");
        // The values are listed once, for the row without fields.
        let exchanges = server.exchanges();
        let puts = exchanges
            .iter()
            .filter(|exchange| exchange.request.is("PUT", VALUES));
        assert_eq!((puts.count(), exchanges.len()), (3, 4), "{status}");
    }
}
