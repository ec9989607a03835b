//! The commands, a file each.

pub mod attributes;
pub mod completions;
pub mod customers;
pub mod delete;
pub mod diff;
pub mod doctor;
pub mod export;
pub mod import;
pub mod sync;

use crate::args::{Cli, Command, Global};
use crate::status::{Failure, Status};

pub async fn run(cli: Cli) -> Result<Status, Failure> {
    let Cli { global, command } = cli;
    let run = global.run.clone();
    let result = match run.start(&global, command.name()) {
        Ok(()) => command.run(&global).await,
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

    async fn run(self, global: &Global) -> Result<Status, Failure> {
        match self {
            Self::Import(import) => import.run(global).await,
            Self::Export(export) => export.run(global).await,
            Self::Diff(diff) => diff.run(global).await,
            Self::Sync(sync) => sync.run(global).await,
            Self::Delete(delete) => delete.run(global).await,
            Self::Attributes(attributes) => attributes.run(global).await,
            Self::Customers(customers) => customers.run(global).await,
            Self::Doctor(doctor) => doctor.run(global).await,
            Self::Completions(completions) => completions.run(),
            Self::Man(man) => man.run(),
        }
    }
}
