//! Imports, exports, compares and mirrors the customer attribute values of a BigCommerce store.

mod args;
mod checkpoint;
mod commands;
mod connection;
mod customer_count;
mod input;
mod output;
mod progress;
mod rejects;
mod selection;
mod session;
mod status;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
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
    match runtime.block_on(commands::run(cli)) {
        Ok(status) => status.into(),
        Err(failure) => {
            eprintln!("error: {:#}", failure.error);
            failure.status.into()
        }
    }
}
