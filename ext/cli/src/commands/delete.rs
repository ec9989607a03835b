//! The command `delete`.

use clap::Args;

use crate::args::Global;
use crate::session::Session;
use crate::status::{Failure, Status};

/// Delete values
#[derive(Debug, Args)]
pub struct Delete {}

impl Delete {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let session = Session::start(global).await?;
        Ok(session.end(Status::Done))
    }
}
