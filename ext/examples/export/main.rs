//! Writes a store's values as a CSV file that `bulk_upsert` reads.
//!
//! `cargo run -p bigcommerce-ext --example export -- --help`

mod table;
#[path = "../shared/target.rs"]
mod target;

use std::io::{BufWriter, stdout};
use std::process::ExitCode;

use futures::TryStreamExt;
use lexopt::prelude::*;

use table::Table;
use target::Target;

const HELP: &str = "\
Writes the values of a store to standard output, as a CSV file that bulk_upsert reads: customer_id
and a column per attribute, by name, in the order of their IDs.

A customer is written as soon as a value of each attribute is there; one that lacks some is kept
until the end. A value that is not there is an empty cell, and so is an empty value: bulk_upsert
takes both for empty values, or with --skip-empty both for none.

Usage: export (--store | --url URL)

Options:
  --store    the store that BIGCOMMERCE_STORE_HASH and BIGCOMMERCE_ACCESS_TOKEN name
  --url URL  the store at this base URL, as the sandbox program prints it; the token is
             BIGCOMMERCE_ACCESS_TOKEN, or a placeholder if the host is loopback
  --help     this text

Exit status: 0 if the file is whole, 1 if reading or writing broke off, 2 if it could not begin, 3 if
the store was changed meanwhile in a way that can have moved values past the reader.";

#[tokio::main]
async fn main() -> ExitCode {
    let target = match parse(lexopt::Parser::from_env()) {
        Ok(Some(target)) => target,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(2, &error.to_string()),
    };
    match run(target).await {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => refuse(3, "the store was changed meanwhile: values may be missing"),
        Err(Failed { status, message }) => refuse(status, &message),
    }
}

fn refuse(status: u8, message: &str) -> ExitCode {
    eprintln!("export: {message}");
    ExitCode::from(status)
}

struct Failed {
    status: u8,
    message: String,
}

impl Failed {
    fn to_begin(error: impl ToString) -> Self {
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

/// Reads the arguments; `None` if they ask for help.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Target>, lexopt::Error> {
    let mut target = Target::OwnSandbox;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(None),
            Long("store") => target.choose(Target::Environment)?,
            Long("url") => target.choose(Target::Url(parser.value()?.string()?))?,
            other => return Err(other.unexpected()),
        }
    }
    match target {
        Target::OwnSandbox => Err("which store is it? Say --store or --url URL".into()),
        target => Ok(Some(target)),
    }
}

/// Says whether values may be missing.
async fn run(target: Target) -> Result<bool, Failed> {
    let opened = target.open().await.map_err(Failed::to_begin)?;
    let attributes = opened.store.attributes().list().await;
    let attributes = attributes.map_err(Failed::to_begin)?;
    let mut table = Table::new(attributes, BufWriter::new(stdout().lock()));
    table.header().map_err(Failed::half_way)?;
    let mut values = opened.store.list().stream();
    while let Some(value) = values.try_next().await.map_err(Failed::half_way)? {
        table.take(value).map_err(Failed::half_way)?;
    }
    table.finish().map_err(Failed::half_way)?;
    Ok(values.changed_during_read())
}
