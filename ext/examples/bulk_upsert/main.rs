//! Puts the values of a CSV file into a store, in step with the provider's limits.
//!
//! `cargo run -p bigcommerce-ext --example bulk_upsert -- --help`

mod args;
mod input;
#[path = "../shared/target.rs"]
mod target;

use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bigcommerce_ext::sdk::types::AttributeType;
use bigcommerce_ext::{Error, Event, Outcome, OutcomeKind, Store};
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use args::Args;
use input::{Input, Progress};
use target::{Target, is_loopback};

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cdnow_customers.csv");

#[tokio::main]
async fn main() -> ExitCode {
    let args = match args::parse(lexopt::Parser::from_env()) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(&error.to_string()),
    };
    match run(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => refuse(&message),
    }
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("bulk_upsert: {message}");
    ExitCode::from(2)
}

/// Says whether no row was rejected, left open or not sent.
async fn run(args: Args) -> Result<bool, String> {
    let path = args.file.unwrap_or_else(|| PathBuf::from(BUNDLED));
    let mut input = Input::open(&path, &args.attributes)?;
    let is_sandbox = match &args.target {
        Target::OwnSandbox => true,
        Target::Environment => false,
        Target::Url(url) => is_loopback(url),
    };
    let opened = args.target.open().await?;
    let creates = args.creates_attributes || is_sandbox;
    find_attributes(&mut input, &opened.store, creates, args.is_dry).await?;
    let progress = Rc::new(Progress::default());
    let rows = input.rows(Rc::clone(&progress), args.skips_empty);

    let mut upsert = opened.store.upsert();
    if args.skips_unchanged {
        upsert = upsert.skip_unchanged();
    }
    if args.is_dry {
        upsert = upsert.dry_run();
    }
    let bar = progress_bar();
    let told = bar.clone();
    let planned = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&planned);
    let mut outcomes = upsert
        .observe(move |event| match event {
            Event::BatchReady { .. } => {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Event::Waiting { reason, wait, .. } => {
                told.set_message(format!("{reason}, next try in {:.1} s", wait.as_secs_f64()));
            }
            Event::RequestFinished { .. } => told.set_message(""),
            _ => {}
        })
        .stop_when(async {
            // Where no signal can be heard of, there is none to stop for.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
        })
        .stream(stream::iter(rows));
    while let Some(outcome) = outcomes.next().await {
        bar.set_length(progress.rows_in_all());
        bar.inc(1);
        if let Some(line) = describe(&outcome, &path) {
            bar.suspend(|| println!("{line}"));
        }
    }
    bar.finish_and_clear();
    if let Some(error) = outcomes.stopped_by() {
        eprintln!("bulk_upsert: the run was stopped: {error}");
    }
    let summary = outcomes.summary();
    println!(
        "{} values of {} customers in {summary}",
        summary.rows(),
        progress.customers.get()
    );
    if args.is_dry {
        println!(
            "a dry run: {} values would be stored in {} calls",
            summary.planned,
            planned.load(Ordering::Relaxed)
        );
    }
    Ok(summary.is_complete())
}

/// Finds the attributes of the columns by their names, with one request unless some are created.
async fn find_attributes(
    input: &mut Input,
    store: &Store,
    creates: bool,
    is_dry: bool,
) -> Result<(), String> {
    let names = input.named();
    if names.is_empty() {
        return Ok(());
    }
    let told = |error: Error| error.to_string();
    let known = store.attributes().list().await.map_err(told)?;
    let known = known.into_iter().map(|known| (known.name, known.id));
    let mut found: Vec<_> = known.filter(|(name, _)| names.contains(name)).collect();
    let is_missing = |name: &&String| !found.iter().any(|(known, _)| known == *name);
    let missing: Vec<_> = names.iter().filter(is_missing).cloned().collect();
    if missing.is_empty() {
    } else if !creates {
        // The error says what there is.
        let known = store.attributes().find_all(&missing).await;
        known.map_err(|error| {
            format!("{error}; --attribute NAME=ID maps a column, --create-attributes creates it")
        })?;
    } else if is_dry {
        for name in &missing {
            println!("attribute {name:?} would be created");
        }
        // What is not there has no ID yet, and a dry run sends none.
        found.extend(missing.into_iter().zip((1..=i64::MAX).rev()));
    } else {
        let wanted = missing
            .into_iter()
            .map(|name| (name, AttributeType::String));
        let created = store.attributes().ensure(wanted).await.map_err(told)?;
        found.extend(
            created
                .into_iter()
                .map(|created| (created.name, created.id)),
        );
    }
    input.found(&found)
}

/// Describes a row that was not stored.
fn describe(outcome: &Outcome, path: &Path) -> Option<String> {
    let error = outcome.error()?;
    let what = match outcome.kind {
        OutcomeKind::Rejected(_) => "rejected",
        OutcomeKind::Unknown(_) => "unknown",
        _ => "not sent",
    };
    Some(match (&outcome.row, outcome.tag()) {
        (Some(row), Some(place)) => format!(
            "{what}: {}: {place}: customer {}: {error}",
            path.display(),
            row.customer_id()
        ),
        // What the input could not read names its place itself.
        _ => format!("{what}: {error}"),
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
