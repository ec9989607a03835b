//! The command `doctor`.

use clap::Args;

use crate::args::Global;
use crate::session::Session;
use crate::status::{Failure, Status};

/// Check the access to the store, and what it allows
#[derive(Debug, Args)]
pub struct Doctor {}

impl Doctor {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let session = Session::start(global).await?;
        Ok(session.end(Status::Done))
    }
}
