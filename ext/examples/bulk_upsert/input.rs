//! Rows from a CSV file, read on demand.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bigcommerce_ext::UpsertRow;
use csv::{Reader, ReaderBuilder, StringRecord};

const KEY: &str = "customer_id";

/// A CSV file with a valid header.
pub struct Input {
    path: PathBuf,
    reader: Reader<File>,
    bytes: u64,
    columns: Columns,
}

/// The attribute columns in the order of the file: their names, and their attributes' IDs if known.
struct Columns(Vec<(String, Option<i64>)>);

/// A syntax error in the file, and its location.
pub struct SyntaxError {
    line: u64,
    column: usize,
    text: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, text } = self;
        write!(f, "line {line}, column {column}: {text}")
    }
}

impl SyntaxError {
    fn from_csv(error: &csv::Error, line: u64) -> Self {
        let (column, text) = match error.kind() {
            csv::ErrorKind::Utf8 { err, .. } => {
                (err.field() + 1, "the text is not UTF-8".to_owned())
            }
            _ => (1, error.to_string()),
        };
        Self { line, column, text }
    }
}

impl Input {
    /// Opens a file and reads its header. `attributes` holds the IDs that are given by column name.
    pub fn open(path: &Path, attributes: &[(String, i64)]) -> Result<Self, String> {
        let shown = path.display();
        let file = File::open(path).map_err(|error| format!("{shown}: {error}"))?;
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
        let header = reader
            .headers()
            .map_err(|error| format!("{shown}: {error}"))?;
        let columns =
            Columns::parse(header, attributes).map_err(|error| format!("{shown}: {error}"))?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            bytes,
            columns,
        })
    }

    /// Returns the names of the columns whose attributes have no ID yet.
    pub fn unresolved_names(&self) -> Vec<String> {
        let columns = self.columns.0.iter();
        let unresolved = columns.filter(|(_, id)| id.is_none());
        unresolved.map(|(name, _)| name.clone()).collect()
    }

    /// Sets the IDs of attributes by column name.
    pub fn resolve(&mut self, attributes: &[(String, i64)]) -> Result<(), String> {
        for (name, id) in attributes {
            if let Some((other, _)) = self.columns.0.iter().find(|(_, known)| *known == Some(*id)) {
                let shown = self.path.display();
                return Err(format!(
                    "{shown}: {name:?} and {other:?} are the same column or attribute"
                ));
            }
            let columns = self.columns.0.iter_mut();
            for (_, known) in columns.filter(|(column, _)| column == name) {
                *known = Some(*id);
            }
        }
        Ok(())
    }

    /// Yields a row per value, and an error per line that can't be parsed.
    pub fn rows(
        mut self,
        progress: Rc<Progress>,
        skip_empty: bool,
    ) -> impl Iterator<Item = Result<UpsertRow, String>> {
        let mut record = StringRecord::new();
        let mut customers = HashSet::new();
        let lines = std::iter::from_fn(move || {
            let line = self.reader.position().line();
            let rows = match self.reader.read_record(&mut record) {
                Ok(false) => return None,
                Ok(true) => {
                    let line = record.position().map_or(line, csv::Position::line);
                    self.columns.rows(&record, line, skip_empty)
                }
                Err(error) => Err(SyntaxError::from_csv(&error, line)),
            };
            let rows = match rows {
                Ok(rows) => {
                    customers.extend(rows.first().map(UpsertRow::customer_id));
                    rows.into_iter().map(Ok).collect()
                }
                Err(error) => vec![Err(format!("{}: {error}", self.path.display()))],
            };
            progress.customers.set(customers.len() as u64);
            progress.rows.set(progress.rows.get() + rows.len() as u64);
            let read = self.reader.position().byte();
            progress
                .share
                .set(read as f64 / self.bytes.max(read).max(1) as f64);
            Some(rows)
        });
        lines.flatten()
    }
}

impl Columns {
    fn parse(header: &StringRecord, attributes: &[(String, i64)]) -> Result<Self, SyntaxError> {
        let error = |column, text| {
            Err(SyntaxError {
                line: 1,
                column,
                text,
            })
        };
        let mut names = header.iter();
        match names.next() {
            Some(KEY) => {}
            other => {
                let other = other.unwrap_or_default();
                return error(1, format!("the first column must be {KEY}, not {other:?}"));
            }
        }
        let mut columns: Vec<(String, Option<i64>)> = Vec::new();
        for (number, name) in (2..).zip(names) {
            let given = attributes.iter().find(|(given, _)| given == name);
            let id = given.map(|&(_, id)| id);
            if let Some((other, _)) = columns
                .iter()
                .find(|(known, known_id)| known == name || (id.is_some() && *known_id == id))
            {
                let text = format!("{name:?} and {other:?} are the same column or attribute");
                return error(number, text);
            }
            columns.push((name.to_owned(), id));
        }
        let unknown = attributes
            .iter()
            .find(|(name, _)| !columns.iter().any(|(known, _)| known == name));
        if let Some((name, _)) = unknown {
            return error(1, format!("there is no column {name:?}"));
        }
        if columns.is_empty() {
            return error(2, "there is no attribute column".to_owned());
        }
        Ok(Self(columns))
    }

    fn rows(
        &self,
        record: &StringRecord,
        line: u64,
        skip_empty: bool,
    ) -> Result<Vec<UpsertRow>, SyntaxError> {
        let expected = self.0.len() + 1;
        if record.len() != expected {
            return Err(SyntaxError {
                line,
                column: record.len().min(expected) + 1,
                text: format!("{} columns, but the header has {expected}", record.len()),
            });
        }
        let customer = record.get(0).unwrap_or_default();
        let customer_id = match customer.trim().parse::<i64>() {
            Ok(id) if id >= 1 => id,
            _ => {
                return Err(SyntaxError {
                    line,
                    column: 1,
                    text: format!("{KEY} {customer:?} is not a whole number of 1 or more"),
                });
            }
        };
        let values = record.iter().skip(1).zip(&self.0).zip(2..);
        Ok(values
            .filter(|((value, _), _)| !(skip_empty && value.is_empty()))
            .map(|((value, (name, id)), column)| {
                let row = match id {
                    Some(id) => UpsertRow::new(customer_id, *id, value),
                    None => UpsertRow::new(customer_id, name.as_str(), value),
                };
                row.with_tag(format!("line {line}, column {column} ({name})"))
            })
            .collect())
    }
}

/// The part of the file that was read.
#[derive(Default)]
pub struct Progress {
    pub customers: Cell<u64>,
    rows: Cell<u64>,
    /// The share of the file's bytes (0 to 1).
    share: Cell<f64>,
}

impl Progress {
    /// Estimates the rows of the whole file from the part that was read.
    pub fn estimated_rows(&self) -> u64 {
        (self.rows.get() as f64 / self.share.get().max(f64::EPSILON)).round() as u64
    }
}
