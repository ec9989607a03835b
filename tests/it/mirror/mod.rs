//! Mirrors: what they send and delete, and what they keep.

mod deletes;
mod evidence;
mod guards;
mod model;
mod preview;
mod requests;
mod rows;
mod stops;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bigcommerce_ext::{
    Error, MirrorOutcome, MirrorReport, MirrorSummary, Mirroring, OutcomeKind, Store, UpsertRow,
};
use bigcommerce_sandbox::{AttributeType, Sandbox, SandboxBuilder};
use futures::{Stream, StreamExt, stream};

use crate::support::scripted_server::{Request, Response, ScriptedServer};
use crate::support::scripted_store::{ScriptedStore, VALUES};
use crate::support::store;

const TIER: i64 = 101;
const POINTS: i64 = 102;
const SINCE: i64 = 103;

const HOUR: Duration = Duration::from_secs(3600);

/// An item of an input.
type Item = Result<UpsertRow, &'static str>;

fn builder() -> SandboxBuilder {
    Sandbox::builder()
        .attribute(TIER, "Tier")
        .typed_attribute(POINTS, "Points", AttributeType::Number)
        .typed_attribute(SINCE, "Since", AttributeType::Date)
}

/// Starts a store in which the customers 1 to `customers` have the tier Gold, for an hour.
async fn filled(builder: SandboxBuilder, customers: i64) -> (Arc<Sandbox>, Store) {
    let sandbox = builder.start().await.expect("a sandbox");
    for customer in 1..=customers {
        sandbox.insert(customer, TIER, "Gold");
    }
    sandbox.advance(HOUR);
    let store = store(sandbox.base_url());
    (Arc::new(sandbox), store)
}

/// Returns rows that the filled store has.
fn gold(customers: impl IntoIterator<Item = i64>) -> Vec<UpsertRow> {
    let customers = customers.into_iter();
    customers
        .map(|customer| UpsertRow::new(customer, TIER, "Gold"))
        .collect()
}

/// Returns the tiers by customer.
fn tiers(sandbox: &Sandbox) -> BTreeMap<i64, String> {
    let values = sandbox.values().into_iter();
    let tiers = values.filter(|value| value.attribute_id == TIER);
    tiers
        .map(|value| (value.customer_id, value.value))
        .collect()
}

/// Runs a mirror to its end, and returns all outcomes.
async fn run<S, T>(mut mirroring: Mirroring<S, T>) -> (Vec<MirrorOutcome<T>>, MirrorSummary)
where
    S: Stream,
    S::Item: bigcommerce_ext::IntoRow<UpsertRow<T>>,
    T: Send + 'static,
{
    let mut outcomes = Vec::new();
    while let Some(outcome) = mirroring.next().await {
        outcomes.push(outcome);
    }
    (outcomes, mirroring.summary())
}

/// Returns the kinds of the outcomes of the rows, in the order of the input.
fn row_kinds<T>(outcomes: &[MirrorOutcome<T>]) -> Vec<&'static str> {
    let mut kinds: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            MirrorOutcome::Row(outcome) => Some((outcome.index, outcome.kind.as_str())),
            _ => None,
        })
        .collect();
    kinds.sort_unstable();
    assert!(
        kinds
            .iter()
            .map(|(index, _)| *index)
            .eq(0..kinds.len() as u64)
    );
    kinds.into_iter().map(|(_, kind)| kind).collect()
}

/// Returns the kinds of the outcomes of the values that the input doesn't have, by customer.
fn deletes<T>(outcomes: &[MirrorOutcome<T>]) -> Vec<(i64, &'static str)> {
    let mut kinds: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            MirrorOutcome::Delete(value) => Some((value.customer_id, value.kind.as_str())),
            _ => None,
        })
        .collect();
    kinds.sort_unstable();
    kinds
}

fn held_back(summary: &MirrorSummary) -> String {
    summary.held_back().map_or(String::new(), Error::to_string)
}

/// Runs `change` when the input reaches the item after `rows`, and ends the input there.
fn then(
    rows: Vec<UpsertRow>,
    change: impl FnOnce() + Send + 'static,
) -> impl Stream<Item = UpsertRow> + Send {
    let last = stream::once(async move {
        change();
        stream::empty()
    });
    stream::iter(rows).chain(last.flatten())
}

/// A plain store with attribute 1, `Tier`, in which the customers 1 to `customers` have the value Gold,
/// behind a server that `change`s some responses.
async fn scripted(
    customers: i64,
    change: impl Fn(&Request, &ScriptedStore) -> Option<Response> + Send + Sync + 'static,
) -> (ScriptedServer, ScriptedStore, Store) {
    let memory = ScriptedStore::new();
    memory.fill(customers, "Gold");
    let script = {
        let memory = memory.clone();
        move |request: &Request| {
            let response = change(request, &memory);
            response.unwrap_or_else(|| memory.respond(request))
        }
    };
    let server = ScriptedServer::start(script).await;
    let store = store(&server.base_url());
    (server, memory, store)
}

/// Returns `true` if the request is the look at the values that were changed since the list.
fn is_look(request: &Request) -> bool {
    request.is("GET", VALUES) && request.query.contains_key("date_modified:min")
}

/// Returns `true` if the request reads values to delete again.
fn is_read(request: &Request) -> bool {
    request.is("GET", VALUES) && request.query.contains_key("customer_id:in")
}

/// Returns rows of attribute 1 that the scripted store has.
fn scripted_gold(customers: impl IntoIterator<Item = i64>) -> Vec<UpsertRow> {
    let customers = customers.into_iter();
    customers
        .map(|customer| UpsertRow::new(customer, 1, "Gold"))
        .collect()
}

/// Checks that a report counts what its failures are.
fn check_failures<T>(report: &MirrorReport<T>) {
    let summary = report.summary();
    let failed = [summary.rows, summary.deletes]
        .map(|counts| counts.rejected + counts.unknown + counts.not_sent);
    assert_eq!(
        report.failures().len() as u64,
        failed.iter().sum::<u64>(),
        "{summary:?}"
    );
    for failure in report.failures() {
        assert!(failure.error().is_some());
    }
}

/// Returns `true` if the outcome is that the value was kept.
fn is_kept(kind: &OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::NotSent(error) if error.to_string().contains("was not deleted"))
}
