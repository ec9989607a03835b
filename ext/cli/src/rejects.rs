//! The file of rows that were not stored, which `import` takes again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use bigcommerce_ext::{CustomerKey, UpsertRow};
use csv::ByteRecord;
use serde_json::{Map, Value, json};

use crate::input::{Input, InputError, Layout, Place, REJECT_COLUMNS, RawLine, Shape};
use crate::status::Failure;

/// A file of rows that were not stored: in the form of the input, with the columns `status` and `error`.
///
/// Each value has a line of its own, whose other cells are empty: `import` skips empty cells. Where they
/// mean something, the line is whole. A line that could not be read stands there as it was.
///
/// Lines are written as rows fail, so that a run that is killed loses none. The file is removed at the
/// end if it has none.
pub struct Rejects {
    path: PathBuf,
    shape: Shape,
    file: BufWriter<File>,
    length: u64,
}

impl Rejects {
    /// Creates the file, in place of an older one; or, with the length that it had at a checkpoint, goes on
    /// with it.
    pub fn open(path: &Path, input: &Input, length: Option<u64>) -> Result<Self, Failure> {
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
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(length.is_none())
            .open(path)
            .map_err(|error| failed(&error))?;
        let mut rejects = Self {
            path: path.to_owned(),
            shape,
            file: BufWriter::new(file),
            length: 0,
        };
        rejects.go_on(length).map_err(|error| failed(&error))?;
        Ok(rejects)
    }

    fn go_on(&mut self, length: Option<u64>) -> io::Result<()> {
        use std::io::{Seek as _, SeekFrom};
        let file = self.file.get_mut();
        if let Some(length) = length {
            // What was written after the checkpoint is written again.
            let length = length.min(file.metadata()?.len());
            file.set_len(length)?;
            self.length = file.seek(SeekFrom::Start(length))?;
        }
        Ok(())
    }

    /// Writes a row that was not stored.
    pub fn write_row(
        &mut self,
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
                self.write_csv(record, status, error)
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
                self.write_json(object, status, error)
            }
        }
    }

    /// Writes a line that could not be read, as it is. Returns `false` if it isn't known.
    pub fn write_unread(&mut self, error: &InputError, status: &str) -> io::Result<bool> {
        match error.line() {
            None => return Ok(false),
            Some(RawLine::Csv(record)) => self.write_csv(record.clone(), status, error.rule())?,
            Some(RawLine::Json(line)) => match serde_json::from_slice::<Map<String, Value>>(line) {
                Ok(object) => self.write_json(object, status, error.rule())?,
                // Nothing can be added to what is no object.
                Err(_) => self.write(&[line, b"\n".as_slice()].concat())?,
            },
        }
        Ok(true)
    }

    fn write_csv(&mut self, mut record: ByteRecord, status: &str, error: &str) -> io::Result<()> {
        let Shape::Csv {
            columns, delimiter, ..
        } = &self.shape
        else {
            return Ok(());
        };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(*delimiter)
            .flexible(true)
            .from_writer(Vec::new());
        if self.length == 0 {
            let names = columns.iter().map(|name| name.as_bytes());
            writer.write_record(names.chain(REJECT_COLUMNS.map(str::as_bytes)))?;
        }
        record.push_field(status.as_bytes());
        record.push_field(error.as_bytes());
        writer.write_byte_record(&record)?;
        let bytes = writer
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)?;
        self.write(&bytes)
    }

    fn write_json(
        &mut self,
        mut object: Map<String, Value>,
        status: &str,
        error: &str,
    ) -> io::Result<()> {
        let [status_field, error_field] = REJECT_COLUMNS;
        object.insert(status_field.to_owned(), status.into());
        object.insert(error_field.to_owned(), error.into());
        let mut line = serde_json::to_vec(&object)?;
        line.push(b'\n');
        self.write(&line)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Writes what is buffered, and returns the length of the file.
    pub fn flush(&mut self) -> io::Result<u64> {
        self.file.flush()?;
        Ok(self.length)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the file, and removes it if it has no row. Returns `true` if it has one.
    pub fn finish(mut self) -> io::Result<bool> {
        if self.flush()? > 0 {
            return Ok(true);
        }
        if fs::metadata(&self.path)?.is_file() {
            fs::remove_file(&self.path)?;
        }
        Ok(false)
    }
}
