//! No output contains the access token. These tests have a process of their own, because its whole
//! log is captured.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bigcommerce_ext::sdk::types::AttributeType;
use bigcommerce_ext::{OnOutage, RetryPolicy, Store};
use futures::TryStreamExt;
use httpmock::prelude::*;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

#[path = "../examples/chaos/chaos.rs"]
mod chaos;

const TOKEN: &str = "S3cr3t-T0ken";

/// Captures log output.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Log {
        // The mock server logs the requests that it receives, with the token.
        match meta.target().starts_with("httpmock") {
            true => Log::default(),
            false => self.clone(),
        }
    }
}

/// Returns the log of this process. The first call starts to capture it, at TRACE, for all crates.
fn log() -> Log {
    static LOG: LazyLock<Log> = LazyLock::new(|| {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_writer(log.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("no other subscriber");
        log
    });
    LOG.clone()
}

fn logged() -> String {
    String::from_utf8_lossy(&log().0.lock().expect("no panic")).into_owned()
}

#[tokio::test(start_paused = true)]
async fn a_run_with_every_kind_of_fault_does_not_log_the_token() {
    log();
    for naming in [chaos::Naming::ById, chaos::Naming::ByEmail] {
        let verdict = chaos::run(5, 300, None, naming).await.expect("a verdict");
        assert!(verdict.passed(), "{verdict}");
    }
    let logged = logged();
    for expected in [
        "bigcommerce_request",
        "waiting",
        "request failed",
        "batch split",
        "run finished",
    ] {
        assert!(logged.contains(expected), "{expected} is logged");
    }
    assert!(!logged.contains(&chaos::TOKEN[..6]), "the token is logged");
    assert!(logged.contains("list_customers"), "lookups are logged");
    let has_address = logged.contains("@example") || logged.contains("%40example");
    assert!(!has_address, "an e-mail address is logged");
}

/// Prints the builders, results and errors of lists, deletes and attributes.
async fn print_other_operations(store: &Store, printed: &mut String) {
    let list = store.list().customers([1]).on_outage(OnOutage::Stop);
    let _ = writeln!(printed, "{list:?} {list:#?}");
    let mut values = list.stream();
    let listed = values.try_next().await;
    let _ = writeln!(printed, "{listed:?} {values:?}");
    let mut errors: Vec<_> = listed.err().into_iter().collect();
    for delete in [store.delete().ids([1]), store.delete().customers([1])] {
        let _ = writeln!(printed, "{delete:?} {delete:#?}");
        let report = delete.send().await;
        let _ = writeln!(printed, "{report:?}");
        errors.extend(report.err());
    }
    let _ = writeln!(printed, "{:?}", store.attributes());
    errors.extend(store.attributes().find_all(["x"]).await.err());
    let wanted = [("x", AttributeType::Date)];
    errors.extend(store.attributes().ensure(wanted).await.err());
    let report = store.upsert().customer(1, [("x", "y")]).send().await;
    let _ = writeln!(printed, "{report:?}");
    for error in errors {
        let _ = writeln!(printed, "{error} {error:?} {error:#?}");
    }
}

#[tokio::test]
async fn no_debug_or_display_output_contains_the_token() {
    log();

    let mut printed = String::new();
    // Servers that echo the token: as text, as a key, where long texts are cut, and as the whole body.
    let long = format!("{}{TOKEN}", "x".repeat(395));
    let echoes = [
        json!({"title": format!("token {TOKEN}"), "errors": {TOKEN: TOKEN}, "data": []}),
        json!({"status": TOKEN, "data": TOKEN}),
        json!({"title": long}),
        json!(TOKEN),
    ];
    let statuses = [200, 302, 400, 401, 403, 413, 422, 429, 500];
    let cases = statuses
        .into_iter()
        .flat_map(|status| echoes.iter().map(move |echo| (status, echo)));
    for (number, (status, echo)) in cases.enumerate() {
        let server = MockServer::start_async().await;
        let mock = server
            .mock_async(|when, then| {
                when.header("X-Auth-Token", TOKEN);
                then.status(status)
                    .header("Location", format!("http://{TOKEN}.example/{TOKEN}"))
                    .header("X-Request-Id", TOKEN)
                    .json_body(echo.clone());
            })
            .await;
        // Servers are reused, and what is known of one belongs to its URL.
        let base_url = server.url(format!("/stores/{number}/v3"));
        let builder = Store::builder_with_base_url(base_url, TOKEN).retry(
            RetryPolicy::default()
                .max_attempts(2)
                .retry_timeout(Duration::from_millis(50))
                .initial_backoff(Duration::from_micros(1)),
        );
        let _ = writeln!(printed, "{builder:?} {builder:#?}");
        let store = builder.build().expect("a store");
        let events = Arc::new(Mutex::new(String::new()));
        let observed = Arc::clone(&events);
        let upsert = store
            .upsert()
            .customer(1, [(1, "x")])
            .observe(move |event| {
                let _ = write!(observed.lock().expect("no panic"), "{event:?}");
            });
        let _ = writeln!(printed, "{store:?} {:?} {upsert:?}", store.sdk());
        let report = upsert.send().await.expect("a report");
        assert!(mock.calls_async().await >= 1);
        let _ = writeln!(printed, "{report:?} {report:#?}");
        for error in report.outcomes().iter().filter_map(|o| o.error()) {
            let _ = writeln!(printed, "{error} {error:?} {error:#?}");
        }
        printed.push_str(&events.lock().expect("no panic"));
        print_other_operations(&store, &mut printed).await;
    }
    let logged = logged();
    assert!(logged.contains("bigcommerce_request"), "spans are logged");
    assert!(logged.contains("waiting"), "retries are logged");
    assert!(printed.contains("Waiting"), "events are printed");
    for text in [printed, logged] {
        // A part of the token would be too much already.
        let text = text.to_lowercase();
        assert!(!text.contains(&TOKEN.to_lowercase()[..6]), "{text}");
    }
}
