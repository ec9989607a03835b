//! The commands, a file each.

mod attributes;
mod completions;
mod customers;
mod delete;
mod diff;
mod doctor;
mod export;
mod import;
mod sync;

use clap::Subcommand;

use crate::args::Global;
use crate::status::{Failure, Status};

#[derive(Debug, Subcommand)]
pub enum Command {
    Import(import::Import),
    Export(export::Export),
    Diff(diff::Diff),
    Sync(sync::Sync),
    Delete(delete::Delete),
    Attributes(attributes::Attributes),
    Customers(customers::Customers),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Man(completions::Man),
}

/// Runs a command. `program` is the description of the command line.
pub async fn run(
    global: Global,
    command: Command,
    program: clap::Command,
) -> Result<Status, Failure> {
    let run = global.run.clone();
    let report = global.report.as_deref();
    let result = match run.start(command.name(), report, global.quiet) {
        Ok(()) => command.run(&global, program).await,
        Err(failure) => Err(failure),
    };
    run.end(result)
}

impl Command {
    /// Returns the name, as it is typed.
    fn name(&self) -> &'static str {
        match self {
            Self::Import(_) => "import",
            Self::Export(_) => "export",
            Self::Diff(_) => "diff",
            Self::Sync(_) => "sync",
            Self::Delete(_) => "delete",
            Self::Attributes(_) => "attributes",
            Self::Customers(_) => "customers",
            Self::Doctor(_) => "doctor",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }

    async fn run(self, global: &Global, program: clap::Command) -> Result<Status, Failure> {
        match self {
            Self::Import(import) => import.run(global).await,
            Self::Export(export) => export.run(global).await,
            Self::Diff(diff) => diff.run(global).await,
            Self::Sync(sync) => sync.run(global).await,
            Self::Delete(delete) => delete.run(global).await,
            Self::Attributes(attributes) => attributes.run(global).await,
            Self::Customers(customers) => customers.run(global).await,
            Self::Doctor(doctor) => doctor.run(global).await,
            Self::Completions(completions) => completions.run(program),
            Self::Man(man) => man.run(program),
        }
    }
}
