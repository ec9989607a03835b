//! The command `diff`.

use clap::Args;

use crate::args::Global;
use crate::session::Session;
use crate::status::{Failure, Status};

/// Show what sync would change
#[derive(Debug, Args)]
pub struct Diff {}

impl Diff {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let session = Session::start(global).await?;
        Ok(session.end(Status::Done))
    }
}
