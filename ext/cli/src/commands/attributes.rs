//! The command `attributes`.

use clap::Args;

use crate::args::Global;
use crate::session::Session;
use crate::status::{Failure, Status};

/// List, create, rename and delete attributes
#[derive(Debug, Args)]
pub struct Attributes {}

impl Attributes {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let session = Session::start(global).await?;
        Ok(session.end(Status::Done))
    }
}
