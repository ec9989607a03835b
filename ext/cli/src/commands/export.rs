//! The command `export`.

use clap::Args;

use crate::args::Global;
use crate::session::Session;
use crate::status::{Failure, Status};

/// Write the values of the store
#[derive(Debug, Args)]
pub struct Export {}

impl Export {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let session = Session::start(global).await?;
        Ok(session.end(Status::Done))
    }
}
