//! Stores the values of a CSV file, within the provider's limits.
//!
//! `cargo run -p bigcommerce-ext --example bulk_upsert -- --help`

mod args;
mod input;

use std::env;
use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bigcommerce_ext::sdk::types::AttributeType;
use bigcommerce_ext::{ACCESS_TOKEN_VARIABLE, Error, Event, Outcome, OutcomeKind, Store};
use bigcommerce_sandbox::Sandbox;
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use args::{Args, Target};
use input::{Input, Progress};

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cdnow_customers.csv");

/// A sandbox accepts any token by default.
const PLACEHOLDER: &str = "placeholder";

#[tokio::main]
async fn main() -> ExitCode {
    let args = match args::parse(lexopt::Parser::from_env()) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&error.to_string()),
    };
    match run(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("bulk_upsert: {message}");
    ExitCode::from(2)
}

/// Returns `true` if no row was rejected, unknown or not sent.
async fn run(args: Args) -> Result<bool, String> {
    let path = args.file.unwrap_or_else(|| PathBuf::from(BUNDLED));
    let mut input = Input::open(&path, &args.attributes)?;
    // Dropped at the end of the run.
    let mut own_sandbox = None;
    let (store, is_sandbox) = match args.target {
        Target::OwnSandbox => {
            let sandbox = Sandbox::builder().latency(Duration::from_millis(5)).start();
            let sandbox = sandbox.await;
            let sandbox = sandbox.map_err(|error| format!("the sandbox can't start: {error}"))?;
            let url = own_sandbox.insert(sandbox).base_url();
            (store_at(url, PLACEHOLDER.to_owned())?, true)
        }
        Target::Environment => (Store::from_env().map_err(|error| error.to_string())?, false),
        Target::Url(url) => (store_at(&url, token_for(&url)?)?, is_local(&url)),
    };
    let creates = args.create_attributes || is_sandbox;
    find_attributes(&mut input, &store, creates, args.dry_run).await?;
    let progress = Rc::new(Progress::default());
    let rows = input.rows(Rc::clone(&progress), args.skip_empty);

    let mut upsert = store.upsert();
    if args.skip_unchanged {
        upsert = upsert.skip_unchanged();
    }
    if args.dry_run {
        upsert = upsert.dry_run();
    }
    let bar = progress_bar();
    let message_bar = bar.clone();
    let batches = Arc::new(AtomicU64::new(0));
    let batch_counter = Arc::clone(&batches);
    let mut outcomes = upsert
        .observe(move |event| match event {
            Event::BatchReady { .. } => {
                batch_counter.fetch_add(1, Ordering::Relaxed);
            }
            Event::Waiting { reason, wait, .. } => {
                message_bar.set_message(format!("{reason}, retry in {:.1} s", wait.as_secs_f64()));
            }
            Event::RequestFinished { .. } => message_bar.set_message(""),
            _ => {}
        })
        .stop_when(async {
            // If no signal handler can be installed, the run goes on to its end.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
        })
        .stream(stream::iter(rows));
    while let Some(outcome) = outcomes.next().await {
        bar.set_length(progress.estimated_rows());
        bar.inc(1);
        if let Some(line) = describe(&outcome, &path) {
            bar.suspend(|| println!("{line}"));
        }
    }
    bar.finish_and_clear();
    if let Some(error) = outcomes.stopped_by() {
        eprintln!("bulk_upsert: the run stopped early: {error}");
    }
    let summary = outcomes.summary();
    println!(
        "{} values of {} customers in {summary}",
        summary.rows(),
        progress.customers.get()
    );
    if args.dry_run {
        println!(
            "dry run: {} values would be stored in {} requests",
            summary.planned,
            batches.load(Ordering::Relaxed)
        );
    }
    Ok(summary.is_complete())
}

fn store_at(url: &str, token: String) -> Result<Store, String> {
    let store = Store::builder_with_base_url(url, token).build();
    store.map_err(|error| error.to_string())
}

fn token_for(url: &str) -> Result<String, String> {
    match env::var(ACCESS_TOKEN_VARIABLE) {
        Ok(token) if !token.is_empty() => Ok(token),
        _ if is_local(url) => Ok(PLACEHOLDER.to_owned()),
        _ => Err(format!("{ACCESS_TOKEN_VARIABLE} is not set")),
    }
}

/// Returns `true` for plain http, which the library allows to this machine only.
fn is_local(url: &str) -> bool {
    url.starts_with("http://")
}

/// Finds the attributes of the columns by name, and creates the missing ones if allowed.
async fn find_attributes(
    input: &mut Input,
    store: &Store,
    creates: bool,
    dry_run: bool,
) -> Result<(), String> {
    let names = input.unresolved_names();
    if names.is_empty() {
        return Ok(());
    }
    let to_text = |error: Error| error.to_string();
    let defined = store.attributes().list().await.map_err(to_text)?;
    let defined = defined
        .into_iter()
        .map(|attribute| (attribute.name, attribute.id));
    let mut found: Vec<_> = defined.filter(|(name, _)| names.contains(name)).collect();
    let is_missing = |name: &&String| !found.iter().any(|(defined, _)| defined == *name);
    let missing: Vec<_> = names.iter().filter(is_missing).cloned().collect();
    if missing.is_empty() {
    } else if !creates {
        // The error lists the attributes that the store defines.
        let error = store.attributes().find_all(&missing).await;
        error.map_err(|error| {
            format!(
                "{error}; map the column with --attribute, or create it with --create-attributes"
            )
        })?;
    } else if dry_run {
        for name in &missing {
            println!("attribute {name:?} would be created");
        }
        // A dry run sends no row, so any IDs will do that are distinct.
        found.extend(missing.into_iter().zip((1..=i64::MAX).rev()));
    } else {
        let wanted = missing
            .into_iter()
            .map(|name| (name, AttributeType::String));
        let created = store.attributes().ensure(wanted).await.map_err(to_text)?;
        let created = created.into_iter();
        found.extend(created.map(|attribute| (attribute.name, attribute.id)));
    }
    input.resolve(&found)
}

/// Describes a row that was not stored.
fn describe(outcome: &Outcome, path: &Path) -> Option<String> {
    let error = outcome.error()?;
    let kind = match outcome.kind {
        OutcomeKind::Rejected(_) => "rejected",
        OutcomeKind::Unknown(_) => "unknown",
        _ => "not sent",
    };
    Some(match (&outcome.row, outcome.tag()) {
        (Some(row), Some(location)) => format!(
            "{kind}: {}: {location}: customer {}: {error}",
            path.display(),
            row.customer()
        ),
        // The error of an unreadable line contains its location.
        _ => format!("{kind}: {error}"),
    })
}

fn progress_bar() -> ProgressBar {
    if !stdout().is_terminal() || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{bar:30} {pos}/{len} values, {per_sec}, {eta} left {wide_msg}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}
