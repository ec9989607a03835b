//! What `diff` and `sync` have in common: the options, the input, and the differences.

mod advice;
mod difference;
mod max_deletes;

use std::path::Path;

use anyhow::anyhow;
use bigcommerce_ext::{AttributeKey, Difference, Mirror, Outcome, OutcomeKind, UpsertRow};
use clap::Args;
use futures_util::stream::{Stream, StreamExt as _};

use crate::input::{Empty, Input, InputArgs, InputError, Place};
use crate::meter::Part;
use crate::progress::Reading;
use crate::selection::attribute_key;
use crate::session::Session;
use crate::signals::Stop;
use crate::status::{Failure, Status};

pub use advice::shown;
pub use difference::{DifferenceCounts, line};
pub use max_deletes::MaxDeletes;

/// What the store's values are compared with.
#[derive(Debug, Args)]
pub struct MirrorArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// The attributes whose values are compared, by ID or name (default: those that the files name)
    #[arg(
        long = "attributes",
        value_name = "ATTRIBUTE,…",
        value_delimiter = ',',
        value_parser = attribute_key
    )]
    compared: Option<Vec<AttributeKey>>,
    /// Delete only values of customers that the files name
    #[arg(long)]
    customers_in_input: bool,
    /// How many values may be deleted, as a number (500) or as a share of those that are there (10%). If
    /// more would be, none is
    #[arg(long, value_name = "N|N%", default_value = "10%")]
    max_deletes: MaxDeletes,
    /// Delete nothing if the list of the store's values was incomplete, or changed while it was read
    #[arg(long)]
    require_complete_list: bool,
    /// List all customers to find e-mail addresses: fewer requests if the files name more than a quarter
    /// of them
    #[arg(long)]
    resolve_by_listing: bool,
}

/// The rows of the files, and the attributes that they are about.
pub struct Opened {
    input: Input,
    attributes: Vec<AttributeKey>,
}

impl MirrorArgs {
    /// Opens the files, and finds their attributes.
    pub async fn open(&self, session: &Session) -> Result<Opened, Failure> {
        if self.input.format.empty == Some(Empty::Skip) {
            return Err(Failure::usage(anyhow!(
                "--empty skip can't keep a value from being deleted: a value that the files don't have is \
                 deleted. Give --empty absent or --empty text, or leave the column out"
            )));
        }
        let opened = Input::open_until(&self.input, Empty::Absent, session.stop()).await?;
        let mut input = opened.ok_or_else(Failure::stopped)?;
        if let Some([status, error]) = input.ignored_columns() {
            session.eprintln(format_args!(
                "note: the columns {status} and {error} are those of rejected rows, and not compared; if \
                 they are attributes, give --attribute {status}={status} --attribute {error}={error}"
            ));
        }
        input.resolve(session, false, false).await?;
        let attributes = match &self.compared {
            Some(attributes) => attributes.clone(),
            None => input.attributes(session.run().stop())?,
        };
        if attributes.is_empty() {
            return Err(Failure::usage(anyhow!(
                "the files name no attribute, so there is nothing to compare: give --attributes"
            )));
        }
        Ok(Opened { input, attributes })
    }

    /// Returns a text that changes with the files, which can be read twice.
    pub fn fingerprint(&self, stop: &Stop) -> Result<String, Failure> {
        Input::open(&self.input, Empty::Absent)?.fingerprint(stop)
    }

    /// Returns `true` if all files can be read twice.
    pub fn can_read_twice(&self) -> bool {
        let is_regular = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.is_file());
        self.input.files.iter().all(|path| is_regular(path))
    }

    /// Returns the mirror of the opened files. `max_deletes` replaces the option.
    pub fn mirror(
        &self,
        session: &Session,
        part: &Part,
        opened: &Opened,
        max_deletes: Option<u64>,
    ) -> Mirror {
        let format = &self.input.format;
        let mirror = session
            .store()
            .mirror(opened.attributes.iter().cloned())
            .observe(session.observer_of(part))
            .stop_when(session.stop());
        let mut mirror = match max_deletes.map_or(self.max_deletes, MaxDeletes::Values) {
            MaxDeletes::Values(values) => mirror.max_deletes(values),
            MaxDeletes::Share(share) => mirror.max_delete_share(share),
        };
        if let Some(attribute) = format.external_id() {
            mirror = mirror.external_id(attribute);
        }
        if let Some(channel) = format.channel {
            mirror = mirror.in_channel(channel);
        }
        for (is_set, set) in [
            (
                self.customers_in_input,
                Mirror::customers_in_input as fn(_) -> _,
            ),
            (self.require_complete_list, Mirror::require_complete_list),
            (self.resolve_by_listing, Mirror::resolve_by_listing),
            (format.newest_account, Mirror::newest_account),
            (format.strict, Mirror::stop_on_input_error),
        ] {
            if is_set {
                mirror = set(mirror);
            }
        }
        mirror
    }

    /// Compares the files with the store, passes each difference to a function as it becomes known, and
    /// says on standard error what can't be compared.
    pub async fn compare(
        &self,
        session: &Session,
        mut show: impl FnMut(&Session, &Difference<Place>),
    ) -> Result<Comparison, Failure> {
        let opened = self.open(session).await?;
        let part = session.start_part();
        let mirror = self.mirror(session, &part, &opened, None);
        let mut differences = mirror.preview(opened.rows(session));
        let mut counts = DifferenceCounts::default();
        let mut error = None;
        while let Some(difference) = differences.next().await {
            match difference {
                Ok(difference) => {
                    counts.add(&difference);
                    match &difference {
                        Difference::Other(outcome) => {
                            part.count(&outcome.kind);
                            report_row(session, outcome);
                        }
                        Difference::Unchanged { .. } => part.count(&OutcomeKind::Unchanged),
                        _ => part.count(&OutcomeKind::Planned),
                    }
                    show(session, &difference);
                }
                Err(reason) => error = Some(reason),
            }
        }
        let summary = differences.summary();
        let mut status = counts.status();
        if let Some(doubt) = summary.list_doubt() {
            session.eprintln(format_args!(
                "The list of the store's values may lack some: {}",
                shown(doubt)
            ));
            if status == Status::Done {
                status = Status::Incomplete;
            }
        }
        if let Some(error) = error {
            status = session.stopped_by(&error);
        }
        let held_back = summary.held_back().map(shown);
        Ok(Comparison {
            counts,
            status,
            held_back,
        })
    }
}

/// How the store compares with the files.
pub struct Comparison {
    pub counts: DifferenceCounts,
    /// 0, or 4 if something differs. Otherwise the comparison failed, or is not complete.
    pub status: Status,
    /// Why nothing would be deleted.
    pub held_back: Option<String>,
}

impl Opened {
    /// Returns the rows, whose reading shows as progress.
    pub fn rows(
        self,
        session: &Session,
    ) -> impl Stream<Item = Result<UpsertRow<Place>, InputError>> + Send + Unpin + use<> {
        let progress = self.input.progress();
        session.show_input(move || Reading {
            rows: progress.rows_read(),
            bytes: progress.bytes_read(),
            total_bytes: progress.bytes_total(),
        });
        self.input.rows()
    }
}

/// Says on standard error why a row was not stored.
pub fn report_row(session: &Session, outcome: &Outcome<UpsertRow<Place>>) {
    let Some(error) = outcome.error() else {
        return;
    };
    let kind = outcome.kind.as_str().replace('_', " ");
    let reason = error.reason();
    match &outcome.row {
        Some(row) => session.eprintln(format_args!("{}: {kind}: {reason}", row.payload())),
        // The reason begins with the place.
        None => session.eprintln(format_args!("{reason} ({kind})")),
    }
}
