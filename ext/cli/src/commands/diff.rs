//! The command `diff`.

use clap::Args;

use crate::args::Global;
use crate::mirror::{MirrorArgs, line};
use crate::session::Session;
use crate::status::{Failure, Status};

/// Show what sync would change
///
/// A line per difference: + for a value that the store lacks, ~ for one that changes (old → new), - for
/// one that the files don't have. The exit status is 4 if something differs. An empty cell of a CSV file
/// is no value.
#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    mirror: MirrorArgs,
}

impl Diff {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let session = Session::start(global).await?;
        let status = show(&session, &self.mirror, global.json).await?;
        Ok(session.end(status))
    }
}

/// Writes the differences, and returns the exit status.
pub async fn show(
    session: &Session,
    mirror: &MirrorArgs,
    is_json: bool,
) -> Result<Status, Failure> {
    let comparison = mirror.compare(session, |session, difference| {
        if let Some(line) = line(difference) {
            match is_json {
                true => session.json(difference),
                false => session.println(line),
            }
        }
    });
    let comparison = comparison.await?;
    session.eprintln(comparison.counts);
    if let Some(reason) = comparison.held_back {
        session.eprintln(format_args!("sync would delete nothing: {reason}"));
    }
    Ok(comparison.status)
}
