//! The command `sync`.

mod tally;

use anyhow::anyhow;
use bigcommerce_ext::{MirrorOutcome, MirrorSummary, OutcomeKind};
use clap::Args;
use futures_util::StreamExt as _;

use super::diff;
use crate::args::Global;
use crate::mirror::{Comparison, DifferenceCounts, MirrorArgs, line, report_row, shown};
use crate::numbers::{counted, grouped};
use crate::question::{Answer, can_ask, confirm};
use crate::session::Session;
use crate::status::{Failure, Status};

use tally::Tally;

/// Make the values of the store equal to those of a file, deletes included
///
/// Stores what differs, and then deletes the values that the files don't have. An empty cell of a CSV file
/// is no value. Nothing is deleted if the files are empty or can't be read to their end, if a row does not
/// tell which value it means, or if more values would be deleted than --max-deletes. Values that others
/// have just changed are kept. In these cases the exit status is 1.
///
/// On a terminal, the differences are counted first, and a question is asked. Then the files are read a
/// second time, and no more values are deleted than were counted.
#[derive(Debug, Args)]
pub struct Sync {
    #[command(flatten)]
    mirror: MirrorArgs,
    /// Change the store without a question
    #[arg(long, short)]
    yes: bool,
    /// Show what would be changed, as diff does, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// The number of differences that are shown before the question.
const SHOWN_LINES: usize = 10;

impl Sync {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let is_asked = !self.yes && !self.dry_run;
        if is_asked && !(can_ask() && self.mirror.can_read_twice()) {
            let reason = match can_ask() {
                true => {
                    "the input can be read once only, so it can't be compared before a question"
                }
                false => "there is no terminal to ask on",
            };
            return Err(Failure::usage(anyhow!(
                "{reason}: add --yes to change the store, or --dry-run to see what would be changed"
            )));
        }
        let session = Session::start(global).await?;
        if self.dry_run {
            let status = diff::show(&session, &self.mirror, global.json).await?;
            return Ok(session.end(status));
        }
        let mut max_deletes = None;
        if is_asked {
            let before = self.mirror.fingerprint(session.run().stop())?;
            let comparison = self.preview(&session).await?;
            if comparison.status != Status::Differs {
                return Ok(session.end(comparison.status));
            }
            let question = question(&comparison);
            if confirm(&session, &question, false).await? == Answer::No {
                session.eprintln("Nothing was changed.");
                return Ok(session.end(Status::Incomplete));
            }
            if self.mirror.fingerprint(session.run().stop())? != before {
                return Err(Failure::usage(anyhow!(
                    "the input has changed since it was compared, so nothing was changed: run it again"
                )));
            }
            // No more than the answer was about. What was held back still is.
            max_deletes = comparison
                .held_back
                .is_none()
                .then_some(comparison.counts.deleted);
        }
        self.sync(session, max_deletes, global).await
    }

    /// Shows the first differences, and their number.
    async fn preview(&self, session: &Session) -> Result<Comparison, Failure> {
        let mut lines = 0;
        let comparison = self.mirror.compare(session, |session, difference| {
            if let Some(line) = line(difference) {
                lines += 1;
                if lines <= SHOWN_LINES {
                    session.eprintln(line);
                }
            }
        });
        let comparison = comparison.await?;
        if lines > SHOWN_LINES {
            let more = grouped((lines - SHOWN_LINES) as u64);
            session.eprintln(format_args!("and {more} more"));
        }
        session.eprintln(comparison.counts);
        if let Some(reason) = &comparison.held_back {
            session.eprintln(format_args!("Nothing will be deleted: {reason}"));
        }
        Ok(comparison)
    }

    async fn sync(
        &self,
        session: Session,
        max_deletes: Option<u64>,
        global: &Global,
    ) -> Result<Status, Failure> {
        let is_json = global.json;
        let opened = self.mirror.open(&session).await?;
        let part = session.start_part();
        let mirror = self.mirror.mirror(&session, &part, &opened, max_deletes);
        let mut outcomes = mirror.stream(opened.rows(&session));
        let mut tally = Tally::default();
        while let Some(outcome) = outcomes.next().await {
            if let Some(kind) = tally.add(&outcome) {
                part.count(kind);
            }
            if is_json {
                session.json(&outcome);
            } else if let MirrorOutcome::Row(outcome) = &outcome
                && let OutcomeKind::Rejected(_) | OutcomeKind::Unknown(_) = &outcome.kind
            {
                report_row(&session, outcome);
            }
        }
        let summary = outcomes.summary();
        if !is_json {
            tally.report(&session, &summary);
        }
        session.last_line(tally.describe(&summary), global);
        let status = judge(&session, &summary);
        Ok(session.end(status))
    }
}

fn question(comparison: &Comparison) -> String {
    let DifferenceCounts {
        created,
        changed,
        deleted,
        ..
    } = comparison.counts;
    let stored = counted(created + changed, "value");
    match comparison.held_back {
        None if deleted > 0 => format!("Store {stored} and delete {}?", grouped(deleted)),
        _ => format!("Store {stored}?"),
    }
}

/// Says why the store may not equal the files, and returns the exit status.
fn judge(session: &Session, summary: &MirrorSummary) -> Status {
    if let Some(error) = summary.stopped_by() {
        return session.stopped_by(error);
    }
    if let Some(reason) = summary.held_back() {
        session.eprintln(format_args!("error: {}", shown(reason)));
    }
    if let Some(doubt) = summary.list_doubt() {
        session.eprintln(format_args!(
            "The store may not equal the input, because the list of its values may lack some: {}",
            shown(doubt)
        ));
    }
    if summary.changed_by_others > 0 {
        session.eprintln(format_args!(
            "The store may not equal the input, because others have changed {} meanwhile: run it again",
            counted(summary.changed_by_others, "value")
        ));
    }
    match summary.is_exact() {
        true => Status::Done,
        false => Status::Incomplete,
    }
}
