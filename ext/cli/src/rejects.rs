//! The file of rows that were not stored, which `import` takes again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::mem;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use bigcommerce_ext::{CustomerKey, UpsertRow};
use csv::ByteRecord;
use serde_json::{Map, Value, json};

use crate::checkpoint::Checkpoint;
use crate::input::{Input, InputError, Layout, Place, REJECT_COLUMNS, RawLine, Shape};
use crate::status::Failure;

/// A file of rows that were not stored: in the form of the input, with the columns `status` and `error`.
///
/// Each value has a line of its own, whose other cells are empty: `import` skips empty cells. Where they
/// mean something, the line is whole. A line that could not be read stands there as it was.
///
/// Lines are written as rows fail, so that a run that is killed loses none. With a checkpoint, a line
/// waits until all rows before its row are done, because a run that goes on sends the others again. The
/// file is removed at the end if it has no line.
pub struct Rejects {
    path: PathBuf,
    shape: Shape,
    /// Not buffered: a process that is killed writes no buffer.
    file: File,
    length: u64,
    /// With a checkpoint, the lines that wait, by the indexes of their rows.
    waiting: Option<BTreeMap<u64, Vec<u8>>>,
}

impl Rejects {
    /// Creates the file, in place of an older one; or goes on with it, if a checkpoint has its length.
    pub fn open(
        path: &Path,
        input: &Input,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Self, Failure> {
        let failed = |reason: &dyn std::fmt::Display| {
            Failure::usage(anyhow!(
                "the rejected rows can't be written to {}: {reason}",
                path.display()
            ))
        };
        let shape = input
            .shape()
            .ok_or_else(|| failed(&"the files have different columns: import them one by one"))?;
        if input.reads(path) {
            return Err(failed(&"it is read, too: give it another name"));
        }
        let length = checkpoint.and_then(Checkpoint::rejects_length);
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(length.is_none())
            .open(path)
            .map_err(|error| failed(&error))?;
        let mut rejects = Self {
            path: path.to_owned(),
            shape,
            file,
            length: 0,
            waiting: checkpoint.map(|_| BTreeMap::new()),
        };
        rejects.go_on(length).map_err(|error| failed(&error))?;
        Ok(rejects)
    }

    fn go_on(&mut self, length: Option<u64>) -> io::Result<()> {
        use std::io::{Seek as _, SeekFrom};
        if let Some(length) = length {
            // What was written after the checkpoint is written again.
            let length = length.min(self.file.metadata()?.len());
            self.file.set_len(length)?;
            self.length = self.file.seek(SeekFrom::Start(length))?;
        }
        Ok(())
    }

    /// Writes a row that was not stored.
    pub fn write_row(
        &mut self,
        index: u64,
        row: &UpsertRow<Place>,
        status: &str,
        error: &str,
    ) -> io::Result<()> {
        let place = row.payload();
        match &self.shape {
            Shape::Csv {
                columns, layout, ..
            } => {
                let record = match (&place.cells, layout) {
                    (Some(cells), _) => ByteRecord::clone(cells),
                    (None, Layout::Wide) => {
                        let mut record = ByteRecord::new();
                        record.push_field(row.customer().to_string().as_bytes());
                        for column in columns.iter().skip(1) {
                            let is_failed = **column == *place.attribute;
                            let cell = row.value().filter(|_| is_failed).unwrap_or_default();
                            record.push_field(cell.as_bytes());
                        }
                        record
                    }
                    (None, Layout::Long) => {
                        let customer = row.customer().to_string();
                        let value = row.value().unwrap_or_default();
                        ByteRecord::from(vec![&*customer, &*place.attribute, value])
                    }
                };
                self.write_csv(index, record, status, error)
            }
            Shape::Json(layout) => {
                let mut object = Map::new();
                // A field for each kind of key: what a bare text is depends on options.
                let (field, key) = match row.customer() {
                    CustomerKey::Email(address) => ("email", json!(&**address)),
                    CustomerKey::External(id) => ("external_id", json!(&**id)),
                    key => ("customer_id", json!(key)),
                };
                object.insert(field.to_owned(), key);
                let (attribute, value) = (place.attribute.to_string(), json!(row.value()));
                match layout {
                    Layout::Long => {
                        object.insert("attribute".to_owned(), attribute.into());
                        object.insert("value".to_owned(), value);
                    }
                    Layout::Wide => {
                        object.insert(attribute, value);
                    }
                }
                self.write_json(index, object, status, error)
            }
        }
    }

    /// Writes a line that could not be read, as it is. Returns `false` if it isn't known.
    pub fn write_unread(
        &mut self,
        index: u64,
        error: &InputError,
        status: &str,
    ) -> io::Result<bool> {
        match error.line() {
            None => return Ok(false),
            Some(RawLine::Csv(record)) => {
                self.write_csv(index, record.clone(), status, error.rule())?
            }
            Some(RawLine::Json(line)) => match serde_json::from_slice::<Map<String, Value>>(line) {
                Ok(object) => self.write_json(index, object, status, error.rule())?,
                // Nothing can be added to what is no object.
                Err(_) => self.write(index, [line, b"\n".as_slice()].concat())?,
            },
        }
        Ok(true)
    }

    fn write_csv(
        &mut self,
        index: u64,
        mut record: ByteRecord,
        status: &str,
        error: &str,
    ) -> io::Result<()> {
        let Shape::Csv { delimiter, .. } = &self.shape else {
            return Ok(());
        };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(*delimiter)
            .flexible(true)
            .from_writer(Vec::new());
        record.push_field(status.as_bytes());
        record.push_field(error.as_bytes());
        writer.write_byte_record(&record)?;
        let bytes = writer
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)?;
        self.write(index, bytes)
    }

    /// Returns the header, empty where there is none.
    fn header(&self) -> io::Result<Vec<u8>> {
        let Shape::Csv {
            columns, delimiter, ..
        } = &self.shape
        else {
            return Ok(Vec::new());
        };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(*delimiter)
            .from_writer(Vec::new());
        let names = columns.iter().map(|name| name.as_bytes());
        writer.write_record(names.chain(REJECT_COLUMNS.map(str::as_bytes)))?;
        writer.into_inner().map_err(csv::IntoInnerError::into_error)
    }

    fn write_json(
        &mut self,
        index: u64,
        mut object: Map<String, Value>,
        status: &str,
        error: &str,
    ) -> io::Result<()> {
        let [status_field, error_field] = REJECT_COLUMNS;
        object.insert(status_field.to_owned(), status.into());
        object.insert(error_field.to_owned(), error.into());
        let mut line = serde_json::to_vec(&object)?;
        line.push(b'\n');
        self.write(index, line)
    }

    /// Writes the line of a row, or lets it wait.
    fn write(&mut self, index: u64, line: Vec<u8>) -> io::Result<()> {
        match &mut self.waiting {
            Some(waiting) => {
                waiting.insert(index, line);
                Ok(())
            }
            None => self.append(&line),
        }
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let mut bytes = match self.length {
            0 => self.header()?,
            _ => Vec::new(),
        };
        bytes.extend(line);
        self.length += bytes.len() as u64;
        self.file.write_all(&bytes)
    }

    /// Writes the waiting lines of the rows before an index, and returns the length of the file.
    pub fn write_done(&mut self, done_up_to: u64) -> io::Result<u64> {
        if let Some(waiting) = &mut self.waiting {
            let later = waiting.split_off(&done_up_to);
            for line in mem::replace(waiting, later).into_values() {
                self.append(&line)?;
            }
        }
        Ok(self.length)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the file, and removes it if it has no row. Returns `true` if it has one.
    pub fn finish(mut self) -> io::Result<bool> {
        if self.write_done(u64::MAX)? > 0 {
            return Ok(true);
        }
        if fs::metadata(&self.path)?.is_file() {
            fs::remove_file(&self.path)?;
        }
        Ok(false)
    }
}
