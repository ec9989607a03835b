//! The commands `completions` and `man`.

use clap::Args;

use crate::status::{Failure, Status};

/// Print the completions of a shell
#[derive(Debug, Args)]
pub struct Completions {}

impl Completions {
    pub fn run(self) -> Result<Status, Failure> {
        Ok(Status::Done)
    }
}

/// Print or write the manual pages
#[derive(Debug, Args)]
pub struct Man {}

impl Man {
    pub fn run(self) -> Result<Status, Failure> {
        Ok(Status::Done)
    }
}
