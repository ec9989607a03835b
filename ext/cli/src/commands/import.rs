//! The command `import`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use bigcommerce_ext::sdk::ClientInfo as _;
use bigcommerce_ext::sdk::types::AttributeType;
use bigcommerce_ext::{ErrorKind, Event, Outcome, OutcomeKind, Outcomes, Summary, UpsertRow};
use clap::Args;
use futures_util::stream::{Stream, StreamExt as _};
use roaring::RoaringTreemap;
use tokio::sync::Notify;

use crate::args::Global;
use crate::checkpoint::Checkpoint;
use crate::customer_count::CustomerCount;
use crate::input::{Empty, Input, InputArgs, InputError, Place};
use crate::rejects::Rejects;
use crate::session::Session;
use crate::status::{Failure, Status};

/// Store the values of files
///
/// CSV with a column per attribute (customer_id,Tier,Points) or a line per value
/// (customer_id,attribute,value), or JSON lines ({"customer_id":2048,"Tier":"Gold"} or
/// {"customer":2048,"attribute":"Tier","value":"Gold"}). The first column names the customers:
/// customer_id, email, or what --key says. An empty cell changes nothing, a null in JSON deletes the
/// value. The last columns of a file, if they are status and error, are those of a file of --rejects:
/// they are not stored, unless --attribute names them.
#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    input: InputArgs,
    /// Create the attributes that the store lacks
    #[arg(long)]
    create_attributes: bool,
    /// The type of a created attribute: string, number or date (default: string); once per column
    #[arg(
        long = "type",
        value_name = "COLUMN=TYPE",
        requires = "create_attributes"
    )]
    types: Vec<ColumnType>,
    /// Read the store's values first, and send only those that differ
    #[arg(long)]
    skip_unchanged: bool,
    /// Check values against the types of their attributes before they are sent (a request more)
    #[arg(long)]
    check_types: bool,
    /// List all customers to find e-mail addresses: fewer requests if the files name more than a
    /// quarter of them
    #[arg(long)]
    resolve_by_listing: bool,
    /// Change nothing, and say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Write the rows that were not stored to this file, in the form of the input and with the columns
    /// status and error: mend and import it
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Keep in this file how far the import has come, and go on from there after a kill
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    checkpoint: Option<PathBuf>,
}

/// The type of a column's attribute.
#[derive(Clone, Debug)]
struct ColumnType {
    column: String,
    kind: AttributeType,
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair = text.rsplit_once('=').and_then(|(column, kind)| {
            let kind = match kind {
                "string" => AttributeType::String,
                "number" => AttributeType::Number,
                "date" => AttributeType::Date,
                _ => return None,
            };
            let column = column.to_owned();
            Some(Self { column, kind })
        });
        pair.ok_or_else(|| "give COLUMN=string, COLUMN=number or COLUMN=date".to_owned())
    }
}

impl Import {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let session = Session::start(global).await?;
        let opened = Input::open_until(&self.input, Empty::Skip, session.stop()).await?;
        let Some(mut input) = opened else {
            return Ok(session.end(Status::Incomplete));
        };
        if let Some([status, error]) = input.ignored_columns() {
            session.eprintln(format_args!(
                "note: the columns {status} and {error} are those of rejected rows, and not stored; if they \
                 are attributes, give --attribute {status}={status} --attribute {error}={error}"
            ));
        }
        let checkpoint = self.open_checkpoint(&input, &session)?;
        let types = self.types.iter();
        let types: Vec<_> = types
            .map(|typed| (typed.column.clone(), typed.kind))
            .collect();
        input
            .resolve_with_types(&session, self.create_attributes, &types, self.dry_run)
            .await?;
        let rejects = match &self.rejects {
            None => None,
            Some(path) => Some(Rejects::open(path, &input, checkpoint.as_ref())?),
        };
        let progress = input.progress();
        session.show_input(move || crate::progress::Reading {
            rows: progress.rows_read(),
            bytes: progress.bytes_read(),
            total_bytes: progress.bytes_total(),
        });

        let skipped = checkpoint.as_ref().map_or(0, Checkpoint::rows);
        let not_stored_before = checkpoint.as_ref().map_or(0, Checkpoint::not_stored);
        if skipped > 0 {
            session.eprintln(format_args!(
                "Going on after {skipped} rows, as the checkpoint says."
            ));
        }
        let unread = Unread::default();
        let (with_tags, errors) = (global.json, unread.clone());
        let rows = input
            .rows_from(skipped)
            .enumerate()
            .map(move |(number, item)| match item {
                Ok(row) if with_tags => {
                    let tag = row.payload().to_string();
                    Ok(row.with_tag(tag))
                }
                Err(error) => {
                    errors.insert(number as u64, error.clone());
                    Err(error)
                }
                row => row,
            });
        let batches = Arc::new(AtomicU64::new(0));
        let strict = Arc::new(Notify::new());
        let outcomes = self.upsert(&session, &batches, &strict).stream(rows);
        let mut import = Importing {
            session: &session,
            is_json: global.json,
            stop_at_wrong_row: self.input.format.strict.then_some(&*strict),
            unread,
            rejects,
            checkpoint,
            skipped,
            customers: CustomerCount::default(),
            not_stored_before,
            failed: RoaringTreemap::new(),
            fatal_index: None,
            has_stopped_itself: false,
        };
        let end = import.follow(outcomes).await?;
        let mut status = import.finish(&end)?;
        let line = format!(
            "{} values of {} customers in {}",
            end.summary.rows(),
            import.customers.count(),
            end.summary
        );
        let planned = self.dry_run.then(|| {
            format!(
                "dry run: {} values would be stored in {} requests",
                end.summary.planned,
                batches.load(Ordering::Relaxed)
            )
        });
        for line in std::iter::once(line).chain(planned) {
            session.last_line(line, global);
        }
        if import.fatal_index.is_some() && status == Status::Incomplete {
            status = Status::Usage;
        }
        Ok(session.end(status))
    }

    fn open_checkpoint(
        &self,
        input: &Input,
        session: &Session,
    ) -> Result<Option<Checkpoint>, Failure> {
        let Some(path) = &self.checkpoint else {
            return Ok(None);
        };
        let store = session.store().sdk().baseurl().to_owned();
        Checkpoint::open(path, input.fingerprint(session.run().stop())?, &store).map(Some)
    }

    fn upsert(
        &self,
        session: &Session,
        batches: &Arc<AtomicU64>,
        strict: &Arc<Notify>,
    ) -> bigcommerce_ext::Upsert {
        let format = &self.input.format;
        let (observe, batches) = (session.observer(), Arc::clone(batches));
        let (stop, strict) = (session.stop(), Arc::clone(strict));
        let mut upsert = session
            .store()
            .upsert()
            .observe(move |event| {
                if let Event::BatchReady { .. } = event {
                    batches.fetch_add(1, Ordering::Relaxed);
                }
                observe(event);
            })
            .stop_when(async move {
                tokio::select! {
                    () = stop => {}
                    () = strict.notified() => {}
                }
            });
        if let Some(attribute) = format.external_id() {
            upsert = upsert.external_id(attribute);
        }
        if let Some(channel) = format.channel {
            upsert = upsert.in_channel(channel);
        }
        for (is_set, set) in [
            (
                format.newest_account,
                bigcommerce_ext::Upsert::newest_account as fn(_) -> _,
            ),
            (format.strict, bigcommerce_ext::Upsert::stop_on_input_error),
            (self.skip_unchanged, bigcommerce_ext::Upsert::skip_unchanged),
            (
                self.resolve_by_listing,
                bigcommerce_ext::Upsert::resolve_by_listing,
            ),
            (self.dry_run, bigcommerce_ext::Upsert::dry_run),
        ] {
            if is_set {
                upsert = set(upsert);
            }
        }
        if self.check_types {
            upsert = upsert.check_types(true);
        }
        upsert
    }
}

/// The lines that could not be read, by their index, until their outcomes come.
#[derive(Clone, Default)]
struct Unread(Arc<Mutex<HashMap<u64, InputError>>>);

impl Unread {
    fn insert(&self, index: u64, error: InputError) {
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        errors.insert(index, error);
    }

    fn take(&self, index: u64) -> Option<InputError> {
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        errors.remove(&index)
    }
}

/// How the run of the library ended.
struct End {
    summary: Summary,
    stopped_by: Option<bigcommerce_ext::Error>,
    done_up_to: u64,
}

/// An import that runs.
struct Importing<'a> {
    session: &'a Session,
    is_json: bool,
    /// Told at the first wrong row, if that is to stop the run.
    stop_at_wrong_row: Option<&'a Notify>,
    unread: Unread,
    rejects: Option<Rejects>,
    checkpoint: Option<Checkpoint>,
    /// Rows that an earlier run has done.
    skipped: u64,
    /// How many of them were not stored.
    not_stored_before: u64,
    customers: CustomerCount,
    /// The indices of rows that were not stored and that the checkpoint does not count yet.
    failed: RoaringTreemap,
    /// The index of the item after which nothing can be read any more.
    fatal_index: Option<u64>,
    /// Whether a wrong row has stopped the run.
    has_stopped_itself: bool,
}

impl Importing<'_> {
    /// Reads the outcomes to their end.
    async fn follow<S>(
        &mut self,
        mut outcomes: Outcomes<S, UpsertRow<Place>>,
    ) -> Result<End, Failure>
    where
        S: Stream<Item = Result<UpsertRow<Place>, InputError>>,
        Outcomes<S, UpsertRow<Place>>: Stream<Item = Outcome<UpsertRow<Place>>> + Unpin,
    {
        while let Some(outcome) = outcomes.next().await {
            if let Some(customer) = outcome.row.as_ref().and_then(UpsertRow::customer_id) {
                self.customers.add(customer);
            }
            if self.is_json {
                self.session.json(&outcome);
            }
            if outcome.error().is_some() {
                if self.checkpoint.is_some() {
                    self.failed.insert(outcome.index);
                }
                let may_resend = outcomes.may_resend(outcome.index);
                let is_stopped = outcomes.stopped_by().is_some();
                if self.record_failed(&outcome, may_resend, is_stopped)? {
                    outcomes.handled(outcome.index);
                }
            }
            self.save_checkpoint(outcomes.done_up_to(), false)?;
        }
        Ok(End {
            summary: outcomes.summary(),
            stopped_by: outcomes.stopped_by().cloned(),
            done_up_to: outcomes.done_up_to(),
        })
    }

    /// Says why a row was not stored, and keeps it among the rejected ones. Returns `true` if it is kept.
    fn record_failed(
        &mut self,
        outcome: &Outcome<UpsertRow<Place>>,
        may_resend: bool,
        is_stopped: bool,
    ) -> Result<bool, Failure> {
        let Some(error) = outcome.error() else {
            return Ok(false);
        };
        let unread = match outcome.row {
            Some(_) => None,
            None => self.unread.take(outcome.index),
        };
        if unread.as_ref().is_some_and(InputError::is_fatal) {
            self.fatal_index = Some(outcome.index);
        }
        let status = outcome.kind.as_str();
        let shown = status.replace('_', " ");
        let reason = error.reason();
        // The rows that a stop leaves behind are many, and all for the same reason.
        let is_left = is_stopped && matches!(outcome.kind, OutcomeKind::NotSent(_));
        if !self.is_json && !is_left {
            match (&outcome.row, &unread) {
                (Some(row), _) => {
                    let place = row.payload();
                    self.session
                        .eprintln(format_args!("{place}: {shown}: {reason}"));
                }
                (None, Some(unread)) => {
                    let (place, rule) = (unread.place(), unread.rule());
                    self.session
                        .eprintln(format_args!("{place}: {shown}: {rule}"));
                }
                (None, None) => self.session.eprintln(format_args!("{shown}: {reason}")),
            }
        }
        let is_wrong = matches!(error.kind(), ErrorKind::InvalidRow | ErrorKind::Input);
        if let Some(stop) = self.stop_at_wrong_row.filter(|_| is_wrong) {
            stop.notify_one();
            self.has_stopped_itself = true;
        }
        // A run that goes on from its checkpoint sends the rows that it left.
        if is_left && self.checkpoint.is_some() {
            return Ok(false);
        }
        let Some(rejects) = &mut self.rejects else {
            return Ok(false);
        };
        let written = match (&outcome.row, &unread) {
            // A later row for the same customer and attribute is in the store: this one would undo it.
            (Some(_), _) if outcome.is_retryable() && !may_resend => Ok(true),
            (Some(row), _) => rejects
                .write_row(outcome.index, row, status, &reason)
                .map(|()| true),
            (None, Some(unread)) => rejects.write_unread(outcome.index, unread, status),
            (None, None) => Ok(false),
        };
        written.map_err(|error| rejects_failed(rejects, error))
    }

    /// Writes the checkpoint, if enough rows were done since it was written, or at the end.
    fn save_checkpoint(&mut self, done_up_to: u64, is_last: bool) -> Result<(), Failure> {
        let Some(checkpoint) = &mut self.checkpoint else {
            return Ok(());
        };
        // Where the reading failed, there may be a row the next time.
        let done_up_to = self
            .fatal_index
            .map_or(done_up_to, |index| done_up_to.min(index));
        let rows = self.skipped + done_up_to;
        if !is_last && !checkpoint.is_due(rows) {
            return Ok(());
        }
        let length = match &mut self.rejects {
            None => None,
            Some(rejects) => match rejects.write_done(done_up_to) {
                Ok(length) => Some(length),
                Err(error) => return Err(rejects_failed(rejects, error)),
            },
        };
        let not_stored = self.failed.remove_range(..done_up_to);
        let advanced = checkpoint.advance(rows, length, not_stored);
        advanced.map_err(Failure::usage)
    }

    /// Ends the files, and returns the exit status.
    fn finish(&mut self, end: &End) -> Result<Status, Failure> {
        let is_whole = end.stopped_by.is_none() && self.fatal_index.is_none();
        let is_done = is_whole && end.done_up_to == end.summary.rows();
        if !is_done {
            self.save_checkpoint(end.done_up_to, true)?;
        }
        if let Some(rejects) = self.rejects.take() {
            let shown = rejects.path().display().to_string();
            let finished = rejects.finish().with_context(|| cannot_write(&shown));
            if finished.map_err(Failure::usage)? {
                self.session.eprintln(format_args!(
                    "The rows that were not stored are in {shown}: mend them, and import the file."
                ));
            }
        }
        let earlier = self.not_stored_before;
        if let Some(checkpoint) = self.checkpoint.take_if(|_| is_done) {
            checkpoint.remove().map_err(Failure::usage)?;
        }
        let status = match &end.stopped_by {
            Some(error)
                if self.has_stopped_itself
                    && matches!(error.kind(), ErrorKind::Input | ErrorKind::Stopped) =>
            {
                self.session
                    .eprintln("Stopped at the first wrong row (--strict).");
                Status::Incomplete
            }
            Some(error) => self.session.stopped_by(error),
            None if end.summary.is_complete() && earlier == 0 => Status::Done,
            None => Status::Incomplete,
        };
        if earlier > 0 {
            self.session.eprintln(format_args!(
                "{} not stored before the run went on from its checkpoint.",
                match earlier {
                    1 => "1 row was".to_owned(),
                    rows => format!("{rows} rows were"),
                }
            ));
        }
        match &self.checkpoint {
            // A row that is mended makes another input.
            Some(checkpoint) if !self.has_stopped_itself => self.session.eprintln(format_args!(
                "Run the same command again to go on after {} rows of the input.",
                checkpoint.rows()
            )),
            _ if end.stopped_by.is_some() => self.session.eprintln(
                "The input was not read to its end: import it again. With --skip-unchanged, only what is \
                 not stored is sent.",
            ),
            _ => {}
        }
        Ok(status)
    }
}

fn cannot_write(path: &str) -> String {
    format!("the rejected rows can't be written to {path}")
}

fn rejects_failed(rejects: &Rejects, error: std::io::Error) -> Failure {
    let path = rejects.path().display().to_string();
    Failure::usage(anyhow!(error).context(cannot_write(&path)))
}
