//! The command `export`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use bigcommerce_ext::sdk::types::{Attribute, AttributeValue, Customer};
use bigcommerce_ext::{CustomerKey, CustomerList, Error, Event, List};
use clap::{Args, ValueEnum};
use futures_util::stream::{StreamExt as _, TryChunksError, TryStreamExt as _};

use crate::args::Global;
use crate::input::{Format, Layout, parse_delimiter};
use crate::output::{AttributeNames, Destination, Key, Table};
use crate::selection::Selection;
use crate::session::Session;
use crate::status::{Failure, Status};

/// Customers whose values are read together.
const CUSTOMERS_PER_READ: usize = 250;
/// Such reads at a time.
const READS_AHEAD: usize = 3;

/// Write the values of the store
///
/// The file is one that import reads. In the layout wide, a customer without a value has no line, and an
/// empty text is an empty cell, as if there were no value; long and JSON lines keep them apart.
#[derive(Debug, Args)]
pub struct Export {
    /// The format (default: json if the output is called *.json, *.jsonl or *.ndjson, or with --json; or
    /// else csv)
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// A column per attribute, or a line per value (default: wide for CSV, long for JSON lines)
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// What names the customers
    #[arg(long, value_enum, default_value = "id")]
    key: ExportKey,
    /// The character between cells, or tab (default: the comma)
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// The file to write, compressed if its name ends with .gz (default: standard output)
    ///
    /// It takes its name when it is complete. What an incomplete export has read is in FILE.part.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Accept that values are missing, for servers whose totals count other values too
    #[arg(long)]
    allow_incomplete: bool,
    #[command(flatten)]
    selection: Selection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportKey {
    /// The customer's ID
    Id,
    /// The e-mail address, which several accounts may share
    Email,
}

impl From<ExportKey> for Key {
    fn from(key: ExportKey) -> Self {
        match key {
            ExportKey::Id => Self::Id,
            ExportKey::Email => Self::Email,
        }
    }
}

impl Export {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let format = self.format(global);
        let default_layout = match format {
            Format::Csv => Layout::Wide,
            Format::Json => Layout::Long,
        };
        let layout = self.layout.unwrap_or(default_layout);
        let key = Key::from(self.key);
        let destination = Destination::open(self.output.as_deref());
        let destination = destination.map_err(|error| self.cannot_write(error))?;
        let session = Session::start(global).await?;
        let attributes = self.columns(session.attributes().list().await?)?;
        let reserved: &[&str] = match (format, key) {
            (Format::Json, _) => &["customer", "customer_id", "email", "external_id"],
            (Format::Csv, Key::Id) => &["customer_id"],
            (Format::Csv, Key::Email) => &["email"],
        };
        let names = AttributeNames::new(attributes, reserved);
        let delimiter = self.delimiter.unwrap_or(b',');
        let table = Table::new(destination, format, layout, delimiter, key, names);
        let mut exporting = Exporting {
            lists: Lists {
                session: &session,
                observe: Arc::new(session.observer()),
                export: &self,
            },
            key,
            table: table.map_err(|error| self.cannot_write(error))?,
            may_have_changed: false,
        };
        let result = exporting.write(layout).await;
        let Exporting {
            table,
            may_have_changed,
            ..
        } = exporting;
        let status = match result {
            Ok(()) => Status::Done,
            Err(Interruption::Reading(error)) => session.stopped_by(&error),
            Err(Interruption::Missing(reason)) => {
                session.eprintln(format_args!("error: {reason}"));
                Status::Incomplete
            }
            Err(Interruption::Writing(error)) if self.output.is_none() => {
                session.output_failed(error);
                return Ok(session.end(Status::Incomplete));
            }
            Err(Interruption::Writing(error)) => return Err(self.cannot_write(error)),
        };
        let status = self.finish(&session, table, layout, may_have_changed, status)?;
        Ok(session.end(status))
    }

    fn format(&self, global: &Global) -> Format {
        let name = self.output.as_ref().map(|path| path.to_string_lossy());
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let is_json = [".json", ".jsonl", ".ndjson"];
        let is_json = is_json.iter().any(|extension| name.ends_with(extension));
        let default = if is_json || global.json {
            Format::Json
        } else {
            Format::Csv
        };
        self.format.unwrap_or(default)
    }

    /// Returns the attributes in the order of the columns: as the options name them, or all, by ID.
    fn columns(&self, mut defined: Vec<Attribute>) -> Result<Vec<Attribute>, Failure> {
        defined.sort_by_key(|attribute| attribute.id);
        let Some(keys) = &self.selection.attributes else {
            return Ok(defined);
        };
        let mut columns: Vec<Attribute> = Vec::new();
        for key in keys {
            let is_meant = |attribute: &&Attribute| match (key.id(), key.name()) {
                (Some(id), _) => attribute.id == id,
                (None, name) => name == Some(&attribute.name),
            };
            let found = defined.iter().find(is_meant).ok_or_else(|| {
                Failure::usage(anyhow!("the store does not define the attribute {key}"))
            })?;
            if columns.iter().all(|column| column.id != found.id) {
                columns.push(found.clone());
            }
        }
        Ok(columns)
    }

    /// Says what is missing, and gives the file its name.
    fn finish(
        &self,
        session: &Session,
        table: Table,
        layout: Layout,
        may_have_changed: bool,
        mut status: Status,
    ) -> Result<Status, Failure> {
        if status == Status::Done && may_have_changed {
            session.eprintln(
                "error: the store changed while it was read, so values may be missing: export again",
            );
            status = Status::Incomplete;
        }
        if let Some(attribute) = table.undefined() {
            session.eprintln(format_args!(
                "error: a value has the attribute {attribute}, which was not defined at the start: export \
                 again"
            ));
            status = Status::Incomplete;
        }
        let empty = table.empty_texts();
        if empty > 0 {
            let what = match layout {
                Layout::Wide => {
                    "as if there were no value: --layout long and --format json keep them apart"
                }
                Layout::Long => "which import takes for empty texts with --empty text",
            };
            session.eprintln(format_args!(
                "note: {empty} empty texts are empty cells, {what}"
            ));
        }
        let finish = || table.into_destination()?.finish(status == Status::Done);
        let part = match finish() {
            Ok(part) => part,
            Err(error) if self.output.is_none() => {
                session.output_failed(error);
                return Ok(Status::Incomplete);
            }
            Err(error) => return Err(self.cannot_write(error)),
        };
        if let Some(part) = part {
            session.eprintln(format_args!(
                "What was read is in {}; {} was not written.",
                part.display(),
                self.shown_output()
            ));
        }
        Ok(status)
    }

    fn shown_output(&self) -> String {
        match &self.output {
            Some(path) => path.display().to_string(),
            None => "standard output".to_owned(),
        }
    }

    fn cannot_write(&self, error: io::Error) -> Failure {
        let shown = self.shown_output();
        Failure::usage(anyhow!(error).context(format!("the export can't be written to {shown}")))
    }
}

/// What ends an export early.
enum Interruption {
    Reading(Error),
    Writing(io::Error),
    Missing(String),
}

impl From<Error> for Interruption {
    fn from(error: Error) -> Self {
        Self::Reading(error)
    }
}

impl From<io::Error> for Interruption {
    fn from(error: io::Error) -> Self {
        Self::Writing(error)
    }
}

/// How lists are read.
struct Lists<'a, O> {
    session: &'a Session,
    observe: Arc<O>,
    export: &'a Export,
}

/// An export that runs.
struct Exporting<'a, O> {
    lists: Lists<'a, O>,
    key: Key,
    table: Table,
    may_have_changed: bool,
}

/// The values of a page of customers.
struct PageOfValues {
    customers: Vec<(CustomerKey, Vec<AttributeValue>)>,
    may_have_changed: bool,
    /// The error that ended the list of customers.
    error: Option<Error>,
}

impl<O: Fn(&Event) + Send + Sync + 'static> Lists<'_, O> {
    fn values(&self) -> List {
        let observe = Arc::clone(&self.observe);
        let store = self.session.store();
        let list = self.export.selection.apply(store.list());
        let list = list
            .observe(move |event| observe(event))
            .stop_when(self.session.stop());
        match self.export.allow_incomplete {
            true => list.allow_incomplete(),
            false => list,
        }
    }

    fn customers(&self) -> CustomerList {
        let observe = Arc::clone(&self.observe);
        let customers = self.session.store().customers();
        customers
            .observe(move |event| observe(event))
            .stop_when(self.session.stop())
    }

    /// Reads the values of a page of customers.
    async fn read(
        &self,
        page: Result<Vec<Customer>, TryChunksError<Customer, Error>>,
        key: Key,
    ) -> Result<PageOfValues, Error> {
        let (customers, error) = match page {
            Ok(customers) => (customers, None),
            Err(TryChunksError(customers, error)) => (customers, Some(error)),
        };
        let ids = customers.iter().map(|customer| customer.id);
        let mut list = self.values().customers(ids).stream();
        let mut values: HashMap<i64, Vec<AttributeValue>> = HashMap::new();
        while let Some(value) = list.try_next().await? {
            values.entry(value.customer_id).or_default().push(value);
        }
        let customers = customers.into_iter().filter_map(|customer| {
            let values = values.remove(&customer.id)?;
            let key = match key {
                Key::Id => CustomerKey::Id(customer.id),
                Key::Email => customer.email.into(),
            };
            Some((key, values))
        });
        Ok(PageOfValues {
            customers: customers.collect(),
            may_have_changed: list.changed_during_read(),
            error,
        })
    }
}

impl<O: Fn(&Event) + Send + Sync + 'static> Exporting<'_, O> {
    async fn write(&mut self, layout: Layout) -> Result<(), Interruption> {
        match (layout, self.key, &self.lists.export.selection.customers) {
            (Layout::Long, Key::Id, _) => self.write_values().await,
            (_, _, Some(_)) => self.write_selected().await,
            (_, _, None) => self.write_by_customer().await,
        }
    }

    /// Writes the values in the order of the list.
    async fn write_values(&mut self) -> Result<(), Interruption> {
        let mut values = self.lists.values().stream();
        while let Some(value) = values.try_next().await? {
            let customer = CustomerKey::Id(value.customer_id);
            self.table.write(&customer, &[value])?;
        }
        self.may_have_changed = values.changed_during_read();
        Ok(())
    }

    /// Writes the values of the customers that the options name. There are as many as fit a command line.
    async fn write_selected(&mut self) -> Result<(), Interruption> {
        let mut list = self.lists.values().stream();
        let mut values: BTreeMap<i64, Vec<AttributeValue>> = BTreeMap::new();
        while let Some(value) = list.try_next().await? {
            values.entry(value.customer_id).or_default().push(value);
        }
        self.may_have_changed = list.changed_during_read();
        let mut addresses = HashMap::new();
        if self.key == Key::Email {
            let ids = values.keys().copied();
            let mut found = self.lists.customers().ids(ids).stream();
            while let Some(customer) = found.try_next().await? {
                addresses.insert(customer.id, customer.email);
            }
        }
        for (id, values) in values {
            let customer = match (self.key, addresses.remove(&id)) {
                (Key::Id, _) => CustomerKey::Id(id),
                (Key::Email, Some(address)) => address.into(),
                (Key::Email, None) => {
                    let reason = format!(
                        "the customer {id} has values, but the store does not list it, so its e-mail \
                         address is not known: export with --key id"
                    );
                    return Err(Interruption::Missing(reason));
                }
            };
            self.table.write(&customer, &values)?;
        }
        Ok(())
    }

    /// Lists all customers, and writes the values of one page of them after the other.
    async fn write_by_customer(&mut self) -> Result<(), Interruption> {
        let (lists, key) = (&self.lists, self.key);
        let pages = lists.customers().stream().try_chunks(CUSTOMERS_PER_READ);
        let reads = pages.map(|page| lists.read(page, key));
        let mut reads = Box::pin(reads.buffered(READS_AHEAD));
        while let Some(page) = reads.next().await {
            let page = page?;
            for (customer, values) in &page.customers {
                self.table.write(customer, values)?;
            }
            self.may_have_changed |= page.may_have_changed;
            if let Some(error) = page.error {
                return Err(error.into());
            }
        }
        self.check_total().await
    }

    /// Compares what was written with the number of values that the server tells: those of customers that
    /// it does not list would be missing.
    async fn check_total(&self) -> Result<(), Interruption> {
        let written = self.table.values();
        let mut first = self.lists.values().page_size(1).stream();
        // The value itself is of no interest, and neither are those after it.
        let is_any = first.next().await.transpose()?.is_some();
        let total = match first.total() {
            None if is_any && written == 0 => 1,
            total => total.unwrap_or_default(),
        };
        if written >= total || self.lists.export.allow_incomplete {
            return Ok(());
        }
        Err(Interruption::Missing(format!(
            "{written} of {total} values were written: the others came during the export, or their customers \
             are not listed; export again, or with --layout long, which lists values instead of customers"
        )))
    }
}
