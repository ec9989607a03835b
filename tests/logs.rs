//! The log records: their targets, levels, spans and fields, as `docs/logs.md` lists them. This test
//! has a process of its own, because its whole log is captured.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bigcommerce_ext::sdk::types::builder;
use bigcommerce_ext::{RetryPolicy, Store, UpsertRow};
use bigcommerce_sandbox::Sandbox;
use futures::TryStreamExt;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use support::TOKEN;
use support::scripted_server::{Response, ScriptedServer};
use support::scripted_store::ScriptedStore;

#[path = "it/support/mod.rs"]
#[allow(dead_code, reason = "the other tests use all of it")]
mod support;

const DOCUMENT: &str = include_str!("../docs/logs.md");

/// A record or a span.
#[derive(Clone, Debug)]
struct Entry {
    is_span: bool,
    target: String,
    level: Level,
    /// The record's message, or the span's name.
    name: String,
    fields: BTreeMap<&'static str, String>,
}

#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<Entry>>>);

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        let name = fields.remove("message").unwrap_or_default();
        self.push(false, event.metadata(), name, fields);
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        attributes.record(&mut Fields(&mut fields));
        let name = attributes.metadata().name().to_owned();
        self.push(true, attributes.metadata(), name, fields);
    }
}

impl Capture {
    fn push(
        &self,
        is_span: bool,
        metadata: &tracing::Metadata<'_>,
        name: String,
        fields: BTreeMap<&'static str, String>,
    ) {
        if metadata.target().starts_with("bigcommerce_ext") {
            self.0.lock().expect("no panic").push(Entry {
                is_span,
                target: metadata.target().to_owned(),
                level: *metadata.level(),
                name,
                fields,
            });
        }
    }

    fn entries(&self) -> Vec<Entry> {
        self.0.lock().expect("no panic").clone()
    }

    fn named(&self, name: &str) -> Vec<Entry> {
        let entries = self.entries().into_iter();
        entries.filter(|entry| entry.name == name).collect()
    }
}

/// Returns what the program writes to the log. The runtime has one thread and a paused clock.
fn captured(capture: &Capture, program: impl Future<Output = ()>) -> Capture {
    let earlier = std::mem::take(&mut *capture.0.lock().expect("no panic"));
    drop(earlier);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(program);
    Capture(Arc::new(Mutex::new(capture.entries())))
}

/// The records and spans of the table in the document: level and fields, by name.
fn documented() -> BTreeMap<(bool, String), (Level, BTreeSet<String>)> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, level, fields, ..] = cells.as_slice() else {
            panic!("{line}: at least four cells");
        };
        let level = level.parse().expect("a level");
        let fields = fields
            .split(", ")
            .map(|field| field.trim_matches('`').to_owned());
        let key = (*kind == "span", name.trim_matches('`').to_owned());
        (key, (level, fields.collect()))
    })
    .collect()
}

async fn run_all_kinds() {
    let memory = ScriptedStore::new();
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| {
            let rejects = request
                .body
                .as_array()
                .is_some_and(|rows| rows.len() > 5 || rows.iter().any(|row| row["value"] == "bad"));
            match (request.method.as_str(), request.number_of_kind) {
                ("PUT", 1..=2) => Response::error(500),
                ("PUT", _) if rejects => {
                    Response::error(if request.body.as_array().map_or(0, Vec::len) > 5 {
                        413
                    } else {
                        422
                    })
                }
                _ => memory.respond(request),
            }
        }
    })
    .await;
    let store = Store::builder_with_base_url(server.base_url(), TOKEN)
        .build()
        .expect("a store");
    let mut rows: Vec<_> = (1..=60).map(|id| UpsertRow::new(id, "Tier", "x")).collect();
    rows[7] = UpsertRow::new(8, "Tier", "bad");
    rows.push(UpsertRow::absent(70, "Tier"));
    let _ = store.upsert().rows(rows).send().await.expect("a report");
    let values: Result<Vec<_>, _> = store.list().stream().try_collect().await;
    assert_eq!(values.expect("values").len(), 59);

    // An outage.
    let down = ScriptedServer::start(|request| match request.number {
        1..=12 => Response::error(503),
        _ => Response::json(200, &serde_json::json!({"data": [], "meta": {}})),
    })
    .await;
    let store = Store::builder_with_base_url(down.base_url(), TOKEN)
        .build()
        .expect("a store");
    let _ = store.attributes().list().await;

    // The total changes.
    let changing = ScriptedServer::start(|request| {
        let total = 600 - 100 * request.number.min(3);
        let page: usize = request.query["page"].parse().expect("a page");
        let records: Vec<_> = (1..=250)
            .map(|n| {
                support::scripted_store::record((page * 250 + n) as i64, n as i64, page as i64, "x")
            })
            .collect();
        Response::json(
            200,
            &serde_json::json!({
                "data": records,
                "meta": {"pagination": {"total": total, "count": 250, "per_page": 250,
                    "current_page": page, "total_pages": 2}},
            }),
        )
    })
    .await;
    let store = Store::builder_with_base_url(changing.base_url(), TOKEN)
        .build()
        .expect("a store");
    let _ = store.list().stream().try_collect::<Vec<_>>().await;

    // Customers by e-mail, from a server that accepts small pages only and repeats addresses.
    let small = ScriptedServer::start(|request| {
        let addresses = request.query.get("email:in").cloned().unwrap_or_default();
        let is_large = request
            .query
            .get("limit")
            .is_some_and(|limit| limit == "250");
        match request.path.as_str() {
            "/customers" if addresses.contains("bad") => Response::json(
                422,
                &serde_json::json!({"status": 422, "title": format!("no address: {addresses}")}),
            ),
            "/customers" if is_large => Response::error(413),
            _ => Response::json(
                200,
                &serde_json::json!({"data": [], "meta": {"pagination": {"total": 0}}}),
            ),
        }
    })
    .await;
    let store = Store::builder_with_base_url(small.base_url(), TOKEN);
    let store = store.build().expect("a store");
    let addresses = [
        "jane+x@example.com",
        "Bad.Address@example.com",
        "bob@example.com",
    ];
    let rows = addresses.map(|address| UpsertRow::new(address, 1, "x"));
    let report = store.upsert().rows(rows).send().await.expect("a report");
    assert_eq!(
        (report.summary().rejected, report.summary().not_sent),
        (2, 1)
    );

    // A filter that the crate doesn't know, which the server repeats, and a row with fields of its own.
    let echo = ScriptedServer::start(|request| {
        let title = format!("no source: {}", request.query["source"]);
        Response::json(422, &serde_json::json!({"status": 422, "title": title}))
    })
    .await;
    let store = Store::builder_with_base_url(echo.base_url(), TOKEN);
    let store = store.build().expect("a store");
    let list = store.list().query("source", "Jane of Example");
    assert!(list.stream().try_collect::<Vec<_>>().await.is_err());
    let row = UpsertRow::new(1, 101, "x");
    let row = row.customize(|_| Err::<builder::AttributeValueUpsert, _>("no channel"));
    let report = store.upsert().rows([row]).send().await.expect("a report");
    assert_eq!(report.summary().rejected, 1);

    // A call that is given up.
    let refusing = ScriptedServer::start(|_| Response::error(401)).await;
    let store = Store::builder_with_base_url(refusing.base_url(), TOKEN)
        .build()
        .expect("a store");
    let _ = store.attributes().list().await;
}

#[test]
fn the_log_is_as_documented() {
    let capture = Capture::default();
    let subscriber = tracing_subscriber::registry().with(capture.clone());
    tracing::subscriber::set_global_default(subscriber).expect("no other subscriber");
    every_record_and_span_is_documented_and_names_its_store(&capture);
    levels_are_fit_for_operations(&capture);
}

fn every_record_and_span_is_documented_and_names_its_store(capture: &Capture) {
    let capture = captured(capture, run_all_kinds());
    let documented = documented();
    let mut seen = BTreeSet::new();
    for entry in capture.entries() {
        assert_eq!(entry.target, "bigcommerce_ext");
        let key = (entry.is_span, entry.name.clone());
        let Some((level, fields)) = documented.get(&key) else {
            panic!("docs/logs.md lacks {entry:?}");
        };
        // A wait is a warning at first.
        let is_first_wait = entry.name == "waiting" && entry.level == Level::WARN;
        assert!(entry.level == *level || is_first_wait, "{entry:?}");
        let written: BTreeSet<_> = entry
            .fields
            .keys()
            .map(|field| (*field).to_owned())
            .collect();
        assert!(
            written.is_subset(fields),
            "{entry:?}: documented are {fields:?}"
        );
        assert!(written.contains("store"), "{entry:?}");
        assert!(entry.fields["store"].contains("127.0.0.1"), "{entry:?}");
        let text = format!("{entry:?}").to_lowercase();
        assert!(!text.contains(TOKEN) && !text.contains("example"), "{text}");
        seen.insert(key);
    }
    let limits = [
        "the limits are shared again",
        "the shared limits can't be reached",
    ];
    for key in documented.keys() {
        let is_of_limits = limits.iter().any(|name| key.1.starts_with(name));
        assert!(
            is_of_limits || seen.contains(key),
            "{key:?} is documented and was not seen"
        );
    }
}

fn levels_are_fit_for_operations(all: &Capture) {
    let capture = captured(all, async {
        let sandbox = Sandbox::builder()
            .quota(20, Duration::from_secs(30))
            .start()
            .await;
        let sandbox = sandbox.expect("a sandbox");
        let retry = RetryPolicy::default().retry_timeout(Duration::from_secs(600));
        let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN).retry(retry);
        let store = store.build().expect("a store");
        let rows = (1..=1_000).map(|id| UpsertRow::new(id, 101, "x"));
        let report = store.upsert().rows(rows).send().await.expect("a report");
        assert_eq!(report.summary().stored, 1_000);
    });
    // A hundred requests and several waits: one summary, and a warning per wait.
    let end = capture.named("run finished");
    assert_eq!(end.len(), 1);
    assert_eq!(
        (end[0].level, &*end[0].fields["stored"]),
        (Level::INFO, "1000")
    );
    let loud = capture.entries().into_iter();
    let loud = loud.filter(|entry| entry.level <= Level::INFO).count();
    assert!((2..=12).contains(&loud), "{loud}");

    // An outage of many attempts: one warning of a wait.
    let capture = captured(all, async {
        let server = ScriptedServer::start(|_| Response::error(503)).await;
        let store = Store::builder_with_base_url(server.base_url(), TOKEN);
        let store = store.build().expect("a store");
        let _ = store.upsert().customer(1, [(1, "x")]).send().await;
        assert!(server.requests() > 8);
    });
    let waits = capture.named("waiting");
    let warnings = waits
        .iter()
        .filter(|wait| wait.level == Level::WARN)
        .count();
    assert_eq!(warnings, 1, "{waits:?}");
    assert_eq!(capture.named("the store is down").len(), 1);
}
