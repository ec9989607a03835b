//! The command `delete`.

mod customers;
mod preview;

use std::path::PathBuf;

use anyhow::anyhow;
use bigcommerce_ext::OutcomeKind;
use clap::Args;
use futures_util::{StreamExt as _, stream};

use crate::args::Global;
use crate::input::{FormatArgs, KeyKind};
use crate::numbers::{counted, grouped};
use crate::question::{Answer, confirm};
use crate::selection::Selection;
use crate::session::Session;
use crate::status::{Failure, Status};

use preview::Preview;

/// Delete values
///
/// Lists the selected values, shows how many they are, and asks before it deletes them. Only the values
/// that were shown are deleted: one that is added in the meantime stays, and so does one that no longer
/// meets the conditions after the question was answered.
///
/// At least one of --customers, --file and --attributes is needed. To delete all values of an attribute,
/// add --all.
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    selection: Selection,
    /// Values of the customers that the first column of this CSV file names, or the field of these JSON
    /// lines; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "customers")]
    file: Option<PathBuf>,
    /// What the file names customers by: id, email, or external=ATTRIBUTE for the IDs that are the values
    /// of this attribute (default: by the column's name, customer_id or email)
    #[arg(long, value_name = "KEY", requires = "file")]
    key: Option<KeyKind>,
    /// Delete the values of all customers
    #[arg(long, conflicts_with_all = ["customers", "file"])]
    all: bool,
    /// Delete without a question
    #[arg(long, short)]
    yes: bool,
    /// Show what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
}

impl Delete {
    pub async fn run(mut self, global: &Global) -> Result<Status, Failure> {
        self.check().map_err(Failure::usage)?;
        if let Some(file) = &self.file {
            let format = FormatArgs {
                key: self.key.clone(),
                ..FormatArgs::default()
            };
            self.selection.external_id = format.external_id();
            self.selection.customers = Some(customers::read(file, &format).await?);
        }
        let session = Session::start(global).await?;
        let mut preview = match Preview::list(&session, &self.selection).await {
            Err(failure) => {
                return Err(customers::explain(&session, &self.selection, failure).await);
            }
            Ok(preview) => preview,
        };
        let is_asked = !self.yes && !self.dry_run && !preview.is_empty();
        let shows_values = is_asked || (self.dry_run && !global.json);
        session.eprintln(preview.describe(if shows_values { SHOWN_VALUES } else { 0 }));
        if is_asked {
            let question = format!("Delete {}?", counted(preview.len() as u64, "value"));
            if confirm(&session, &question, false).await? == Answer::No {
                session.eprintln("Nothing was deleted.");
                return Ok(session.end(Status::Incomplete));
            }
            // The answer may have taken long.
            let now = Preview::list(&session, &self.selection).await?;
            let kept = preview.retain(&now);
            if kept > 0 {
                session.eprintln(format_args!(
                    "{} no longer selected, and not deleted.",
                    match kept {
                        1 => "1 value is".to_owned(),
                        kept => format!("{} values are", grouped(kept)),
                    }
                ));
            }
        }
        self.delete(session, &preview, global).await
    }

    /// Refuses selections that are too easily meant otherwise.
    fn check(&self) -> anyhow::Result<()> {
        let selection = &self.selection;
        let names_customers = selection.customers.is_some() || self.file.is_some();
        if !names_customers && selection.attributes.is_none() {
            return Err(anyhow!(
                "nothing says whose or which values to delete: add --customers, --file or --attributes"
            ));
        }
        let has_dates = selection.dates.need_created() || selection.dates.need_modified();
        if !names_customers && !has_dates && !self.all {
            return Err(anyhow!(
                "this would delete the values of all customers: add --all if that is meant, or \
                 --customers, --file or a date"
            ));
        }
        Ok(())
    }

    async fn delete(
        &self,
        session: Session,
        preview: &Preview,
        global: &Global,
    ) -> Result<Status, Failure> {
        let mut delete = session
            .store()
            .delete()
            .observe(session.observer())
            .stop_when(session.stop());
        if self.dry_run {
            delete = delete.dry_run();
        }
        let mut outcomes = delete.stream(stream::iter(preview.ids()));
        let mut first_not_sent = None;
        while let Some(outcome) = outcomes.next().await {
            if global.json {
                session.json(&outcome);
                continue;
            }
            let value = preview.name(outcome.index);
            let kind = outcome.kind.as_str();
            match outcome.kind {
                OutcomeKind::Rejected(error) | OutcomeKind::Unknown(error) => {
                    session.eprintln(format_args!("{value}: {kind}: {}", error.reason()));
                }
                // Most often all of the rest, for one reason.
                OutcomeKind::NotSent(error) => {
                    first_not_sent.get_or_insert_with(|| {
                        format!(
                            "{value}, the first one that was not sent: {}",
                            error.reason()
                        )
                    });
                }
                _ => {}
            }
        }
        let summary = outcomes.summary();
        let values = counted(summary.rows(), "value");
        session.last_line(format_args!("{values} in {summary}"), global);
        if let (None, Some(line)) = (outcomes.stopped_by(), &first_not_sent) {
            session.eprintln(line);
        }
        let status = match outcomes.stopped_by() {
            Some(error) => session.stopped_by(error),
            None if summary.is_complete() && preview.is_complete() => Status::Done,
            None => Status::Incomplete,
        };
        Ok(session.end(status))
    }
}

/// The number of values that the preview shows.
const SHOWN_VALUES: usize = 5;
