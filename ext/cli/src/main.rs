//! Imports, exports, compares and mirrors the customer attribute values of a BigCommerce store.

mod args;
mod checkpoint;
mod cli;
mod commands;
mod connection;
mod customer_count;
mod input;
mod logging;
mod meter;
mod mirror;
mod numbers;
mod output;
mod printable;
mod profile;
mod progress;
mod question;
mod rejects;
mod replace_file;
mod report;
mod run;
mod selection;
mod session;
mod signals;
mod status;
mod table;
mod target;
mod token;
mod variable;

use std::process::ExitCode;

use clap::CommandFactory as _;

use cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        // Help and version are no failures: clap tells which status they have.
        Err(error) => {
            let status = if error.use_stderr() {
                status::Status::Usage
            } else {
                status::Status::Done
            };
            // A closed pipe can't be told either.
            drop(error.print());
            return status.into();
        }
    };
    if let Err(error) = logging::start(&cli.global) {
        eprintln!("error: {error:#}");
        return status::Status::Usage.into();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the program can't start its threads: {error}");
            return status::Status::Usage.into();
        }
    };
    let result = runtime.block_on(commands::run(cli.global, cli.command, Cli::command()));
    // Without waiting for a thread that reads from a terminal or a pipe.
    runtime.shutdown_background();
    match result {
        Ok(status) => status.into(),
        Err(failure) => {
            let shown = format!("error: {:#}", failure.error);
            eprintln!("{}", printable::printable(&shown));
            failure.status.into()
        }
    }
}
