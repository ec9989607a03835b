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

use crate::args::{Cli, Command};
use crate::status::{Failure, Status};

pub async fn run(cli: Cli) -> Result<Status, Failure> {
    let Cli { global, command } = cli;
    match command {
        Command::Import(import) => import.run(&global).await,
        Command::Export(export) => export.run(&global).await,
        Command::Diff(diff) => diff.run(&global).await,
        Command::Sync(sync) => sync.run(&global).await,
        Command::Delete(delete) => delete.run(&global).await,
        Command::Attributes(attributes) => attributes.run(&global).await,
        Command::Customers(customers) => customers.run(&global).await,
        Command::Doctor(doctor) => doctor.run(&global).await,
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}
