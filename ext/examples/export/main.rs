//! Writes a store's values as a CSV file that `bulk_upsert` reads.
//!
//! `cargo run -p bigcommerce-ext --example export -- --help`

mod table;

use std::env;
use std::io::{BufWriter, stdout};
use std::process::ExitCode;

use bigcommerce_ext::{ACCESS_TOKEN_VARIABLE, Store};
use futures::TryStreamExt;
use lexopt::prelude::*;

use table::Table;

const HELP: &str = "\
Writes the values of a store to standard output, as a CSV file that bulk_upsert reads: customer_id
and a column per attribute, by name, in the order of their IDs.

A customer is written as soon as all values are read. Customers that lack a value follow at the end.
A missing value is written as an empty cell, like an empty value: bulk_upsert stores empty values for
both, or with --skip-empty for neither.

Usage: export (--store | --url URL)

Options:
  --store    read the store that BIGCOMMERCE_STORE_HASH and BIGCOMMERCE_ACCESS_TOKEN name
  --url URL  read the store at this base URL; the token is BIGCOMMERCE_ACCESS_TOKEN. Plain http is
             for sandboxes on this machine, where the token may be missing
  --help     print this text

Exit status: 0 if the file is complete, 1 if reading or writing failed half-way, 2 if the export
could not start, 3 if the store changed while it was read, so that values may be missing.";

/// The store to read.
enum Target {
    Environment,
    Url(String),
}

#[tokio::main]
async fn main() -> ExitCode {
    let target = match parse(lexopt::Parser::from_env()) {
        Ok(Some(target)) => target,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(2, &error.to_string()),
    };
    match run(target).await {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => fail(
            3,
            "the store changed while it was read: values may be missing",
        ),
        Err(Failure { status, message }) => fail(status, &message),
    }
}

fn fail(status: u8, message: &str) -> ExitCode {
    eprintln!("export: {message}");
    ExitCode::from(status)
}

struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    fn at_start(error: impl ToString) -> Self {
        Self {
            status: 2,
            message: error.to_string(),
        }
    }

    fn half_way(error: impl ToString) -> Self {
        Self {
            status: 1,
            message: error.to_string(),
        }
    }
}

/// Parses the arguments. Returns `None` if they ask for help.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Target>, lexopt::Error> {
    let mut target = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(None),
            Long("store") if target.is_none() => target = Some(Target::Environment),
            Long("url") if target.is_none() => {
                target = Some(Target::Url(parser.value()?.string()?));
            }
            Long("store" | "url") => return Err("give one of --store and --url, once".into()),
            other => return Err(other.unexpected()),
        }
    }
    match target {
        None => Err("no store to read: give --store or --url URL".into()),
        target => Ok(target),
    }
}

fn open(target: Target) -> Result<Store, Failure> {
    let url = match target {
        Target::Environment => return Store::from_env().map_err(Failure::at_start),
        Target::Url(url) => url,
    };
    let token = match env::var(ACCESS_TOKEN_VARIABLE) {
        Ok(token) if !token.is_empty() => token,
        // The library allows plain http to this machine only, and a sandbox accepts any token.
        _ if url.starts_with("http://") => "placeholder".to_owned(),
        _ => {
            let message = format!("{ACCESS_TOKEN_VARIABLE} is not set");
            return Err(Failure::at_start(message));
        }
    };
    let store = Store::builder_with_base_url(url, token).build();
    store.map_err(Failure::at_start)
}

/// Returns `true` if values may be missing.
async fn run(target: Target) -> Result<bool, Failure> {
    let store = open(target)?;
    let attributes = store.attributes().list().await;
    let attributes = attributes.map_err(Failure::at_start)?;
    let mut table = Table::new(attributes, BufWriter::new(stdout().lock()));
    table.write_header().map_err(Failure::half_way)?;
    let mut values = store.list().stream();
    while let Some(value) = values.try_next().await.map_err(Failure::half_way)? {
        table.add(value).map_err(Failure::half_way)?;
    }
    table.finish().map_err(Failure::half_way)?;
    Ok(values.changed_during_read())
}
