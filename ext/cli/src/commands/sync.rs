//! The command `sync`.

use clap::Args;

use crate::args::Global;
use crate::session::Session;
use crate::status::{Failure, Status};

/// Make the values of the store equal to those of a file, deletes included
#[derive(Debug, Args)]
pub struct Sync {}

impl Sync {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let session = Session::start(global).await?;
        Ok(session.end(Status::Done))
    }
}
