//! Puts the values of a CSV file into a store, in step with the provider's limits.
//!
//! `cargo run -p bigcommerce-ext --example bulk_upsert -- --help`

mod args;
mod input;

use std::env;
use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use bigcommerce_ext::{ACCESS_TOKEN_VARIABLE, Event, Outcome, OutcomeKind, Store};
use bigcommerce_sandbox::Sandbox;
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use args::{Args, Target};
use input::{Input, Progress};

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cdnow_customers.csv");
const PLACEHOLDER: &str = "placeholder";

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

/// Says whether every row was stored or superseded.
async fn run(args: Args) -> Result<bool, String> {
    let Args {
        target,
        file,
        attributes,
    } = args;
    let (store, is_sandbox, _sandbox) = open(target).await?;
    let path = file.unwrap_or_else(|| PathBuf::from(BUNDLED));
    let progress = Rc::new(Progress::default());
    let rows = Input::open(&path, &attributes, is_sandbox)?.rows(Rc::clone(&progress));

    let bar = progress_bar();
    let told = bar.clone();
    let mut outcomes = store
        .upsert()
        .observe(move |event| match event {
            Event::Waiting { why, wait, .. } => {
                told.set_message(format!("{why}, next try in {:.1} s", wait.as_secs_f64()));
            }
            Event::Answered { .. } => told.set_message(""),
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
    Ok(summary.is_complete())
}

/// Opens the store; says whether it is a sandbox, and keeps the one in this process alive.
async fn open(target: Target) -> Result<(Store, bool, Option<Sandbox>), String> {
    match target {
        Target::OwnSandbox => {
            let sandbox = Sandbox::builder()
                .latency(Duration::from_millis(5))
                .start()
                .await
                .map_err(|error| format!("the sandbox can't start: {error}"))?;
            let store = Store::builder_at(sandbox.base_url(), PLACEHOLDER).build();
            Ok((
                store.map_err(|error| error.to_string())?,
                true,
                Some(sandbox),
            ))
        }
        Target::Environment => {
            let store = Store::from_env().map_err(|error| error.to_string())?;
            Ok((store, false, None))
        }
        Target::Url(url) => {
            let is_loopback = is_loopback(&url);
            let token = match env::var(ACCESS_TOKEN_VARIABLE) {
                Ok(token) if !token.is_empty() => token,
                _ if is_loopback => PLACEHOLDER.to_owned(),
                _ => return Err(format!("{ACCESS_TOKEN_VARIABLE} is not set")),
            };
            let store = Store::builder_at(url, token).build();
            Ok((store.map_err(|error| error.to_string())?, is_loopback, None))
        }
    }
}

/// Only what runs on this machine is taken for a sandbox.
fn is_loopback(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        None => false,
    })
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
