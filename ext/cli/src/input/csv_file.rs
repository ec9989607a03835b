//! The lines of a CSV file.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::anyhow;
use bigcommerce_ext::{AttributeKey, CustomerKey, UpsertRow};
use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord};

use super::args::{Empty, FormatArgs, KeyKind, Layout};
use super::attribute_map::AttributeMap;
use super::customer::parse_customer;
use super::header::{Header, REJECT_COLUMNS};
use super::place::{InputError, Place, RawLine};
use super::quotes::ClosedQuotes;
use super::source::{BUFFER_BYTES, Bytes, LineLength};
use super::{Item, Lines};
use crate::status::Failure;

/// A text that names no attribute yet is remembered up to this number, so that wrong files take no
/// memory.
const MAX_CACHED_ATTRIBUTES: usize = 1_000;

pub struct CsvFile {
    label: Arc<str>,
    reader: Reader<ClosedQuotes<Bytes>>,
    header: Header,
    line_length: LineLength,
    /// Whether the line feed at the end of a line counts as one of the next line.
    ends_at_cr: bool,
    record: StringRecord,
    empty: Empty,
    /// Whether rows keep the line they come from.
    keeps_lines: bool,
    map: AttributeMap,
    /// The attributes of the long layout, by their text.
    cached: HashMap<String, (Arc<str>, AttributeKey)>,
    value_column: Arc<str>,
}

/// A line of a file.
enum Line {
    Cells,
    Wrong(InputError),
}

impl CsvFile {
    pub fn open(
        label: &Arc<str>,
        bytes: Bytes,
        line_length: LineLength,
        args: &FormatArgs,
        map: &AttributeMap,
        empty: Option<Empty>,
    ) -> Result<Self, Failure> {
        let delimiter = args.delimiter.unwrap_or(b',');
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(ClosedQuotes::new(bytes, delimiter));
        let unusable = |reason: &str| Failure::usage(anyhow!("{label}:1: {reason}"));
        let names: Vec<String> = match reader.headers() {
            Ok(names) => names.iter().map(str::to_owned).collect(),
            Err(error) => return Err(unusable(&describe(&error))),
        };
        // csv counts line feeds. A line that ends with CR and LF is over at CR.
        let breaks = names_breaks(&names);
        let ends_at_cr = reader.position().line() == 1 + breaks;
        let header = Header::parse(names, args, map, empty.is_none());
        let header = header.map_err(|reason| unusable(&reason))?;
        let empty = empty.unwrap_or(Empty::Skip);
        Ok(Self {
            label: Arc::clone(label),
            reader,
            line_length,
            ends_at_cr,
            record: StringRecord::new(),
            keeps_lines: empty != Empty::Skip && header.layout == Layout::Wide,
            value_column: header
                .names
                .last()
                .map_or_else(|| "value".into(), Arc::clone),
            header,
            empty,
            map: map.clone(),
            cached: HashMap::new(),
        })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    pub fn resolve(&mut self, map: &AttributeMap) -> Result<(), Failure> {
        let attributes = self.header.find_attributes(map).map_err(|reason| {
            Failure::usage(anyhow!(
                "{}:1: {reason}; map the column by --attribute COLUMN=ATTRIBUTE, or create the \
                 attribute",
                self.label
            ))
        })?;
        self.header.attributes = attributes;
        self.map = map.clone();
        Ok(())
    }

    fn place(&self, line: u64, column: Option<&Arc<str>>) -> Place {
        Place {
            file: Arc::clone(&self.label),
            line,
            column: column.cloned(),
            attribute: column.map_or_else(|| "".into(), Arc::clone),
            cells: None,
        }
    }

    /// Returns a column's name, or its number where the header has none.
    fn column(&self, number: usize) -> Arc<str> {
        match self.header.names.get(number) {
            Some(name) => Arc::clone(name),
            None => match REJECT_COLUMNS.get(number - self.header.names.len()) {
                Some(name) if self.header.has_reject_columns => (*name).into(),
                _ => (number + 1).to_string().into(),
            },
        }
    }

    /// Reads a line. Returns `None` at the end.
    fn read_line(&mut self) -> Option<(u64, Line)> {
        self.line_length.start_line();
        let began = self.reader.position().line();
        let mut bytes = std::mem::take(&mut self.record).into_byte_record();
        let read = self.reader.read_byte_record(&mut bytes);
        match read {
            Ok(false) => None,
            Ok(true) => {
                let line = began + self.blank_lines(began, &bytes);
                Some((line, self.check_line(line, bytes)))
            }
            Err(error) => {
                let error = InputError::fatal(self.place(began, None), describe(&error));
                Some((began, Line::Wrong(error)))
            }
        }
    }

    /// Returns the number of lines that were passed over before the record, which csv counts as its own.
    fn blank_lines(&self, began: u64, record: &ByteRecord) -> u64 {
        let passed = self.reader.position().line() - began;
        let end = u64::from(!self.ends_at_cr);
        if passed <= end {
            return 0;
        }
        let cells = record.iter().flatten();
        let breaks = cells.filter(|byte| **byte == b'\n').count() as u64;
        passed.saturating_sub(breaks + end)
    }

    fn check_line(&mut self, line: u64, bytes: ByteRecord) -> Line {
        match StringRecord::from_byte_record(bytes) {
            Ok(record) => self.record = record,
            Err(error) => {
                let column = self.column(error.utf8_error().field());
                let place = self.place(line, Some(&column));
                let rule = "the text is not UTF-8; if the file is in another encoding, convert it, \
                            such as by iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW_FILE";
                let bytes = error.into_byte_record();
                return Line::Wrong(InputError::new(place, rule).with_line(self.raw(bytes)));
            }
        }
        let (cells, width) = (self.record.len(), self.header.width());
        if cells == width {
            return Line::Cells;
        }
        let column = self.column(cells.min(width));
        let unclosed = match self.record.iter().any(|cell| cell.contains('\n')) {
            true => ", and a cell has line breaks: is a quote not closed?",
            false => "",
        };
        let rule = format!("the line has {cells} cells, and the header {width}{unclosed}");
        let raw = self.raw(self.record.as_byte_record().clone());
        Line::Wrong(InputError::new(self.place(line, Some(&column)), rule).with_line(raw))
    }

    /// Returns a line as it was read, without the cells that a file of rejected rows adds.
    fn raw(&self, mut record: ByteRecord) -> RawLine {
        if self.header.has_reject_columns && record.len() >= REJECT_COLUMNS.len() {
            record.truncate(record.len() - REJECT_COLUMNS.len());
        }
        RawLine::Csv(record)
    }

    fn whole_line(&self) -> RawLine {
        self.raw(self.record.as_byte_record().clone())
    }

    fn customer(&self, line: u64) -> Result<CustomerKey, InputError> {
        let text = self.record.get(0).unwrap_or_default();
        let any;
        let kind = match &self.header.key {
            Some(kind) => kind,
            None => {
                any = if text.contains('@') {
                    KeyKind::Email
                } else {
                    KeyKind::Id
                };
                &any
            }
        };
        parse_customer(text, kind).map_err(|rule| {
            let place = self.place(line, self.header.names.first());
            InputError::new(place, rule).with_line(self.whole_line())
        })
    }

    fn wide_rows(&self, line: u64, push: &mut dyn FnMut(Item)) {
        let customer = match self.customer(line) {
            Ok(customer) => customer,
            Err(error) => return push(Err(error)),
        };
        let cells = self.keeps_lines.then(|| match self.whole_line() {
            RawLine::Csv(record) => Arc::new(record),
            RawLine::Json(_) => Arc::default(),
        });
        let columns = self.header.attribute_columns().iter();
        let columns = columns.zip(&self.header.attributes);
        for (cell, (column, attribute)) in self.record.iter().skip(1).zip(columns) {
            let mut place = self.place(line, Some(column));
            place.cells = cells.clone();
            if let Some(row) = self.row(&customer, attribute, cell) {
                push(Ok(row.with_payload(place)));
            }
        }
    }

    fn row(
        &self,
        customer: &CustomerKey,
        attribute: &AttributeKey,
        cell: &str,
    ) -> Option<UpsertRow> {
        let (customer, attribute) = (customer.clone(), attribute.clone());
        match self.empty {
            Empty::Skip if cell.is_empty() => None,
            Empty::Absent if cell.is_empty() => Some(UpsertRow::absent(customer, attribute)),
            Empty::Skip | Empty::Text | Empty::Absent => {
                Some(UpsertRow::new(customer, attribute, cell))
            }
        }
    }

    fn long_row(&mut self, line: u64, push: &mut dyn FnMut(Item)) {
        let customer = match self.customer(line) {
            Ok(customer) => customer,
            Err(error) => return push(Err(error)),
        };
        let text = self.record.get(1).unwrap_or_default();
        let (name, attribute) = match self.cached.get(text) {
            Some(known) => known.clone(),
            None => {
                let found = match text {
                    "" => Err("the cell names no attribute".to_owned()),
                    text => self.map.find(text),
                };
                let attribute = match found {
                    Ok(attribute) => attribute,
                    Err(rule) => {
                        let place = self.place(line, self.header.names.get(1));
                        return push(Err(
                            InputError::new(place, rule).with_line(self.whole_line())
                        ));
                    }
                };
                let known = (Arc::from(text), attribute);
                if self.cached.len() < MAX_CACHED_ATTRIBUTES {
                    self.cached.insert(text.to_owned(), known.clone());
                }
                known
            }
        };
        let mut place = self.place(line, Some(&self.value_column));
        place.attribute = name;
        let cell = self.record.get(2).unwrap_or_default();
        if let Some(row) = self.row(&customer, &attribute, cell) {
            push(Ok(row.with_payload(place)));
        }
    }
}

impl Lines for CsvFile {
    fn next_line(&mut self, push: &mut dyn FnMut(Item)) -> bool {
        match self.read_line() {
            None => return false,
            Some((_, Line::Wrong(error))) => {
                let goes_on = !error.is_fatal();
                push(Err(error));
                return goes_on;
            }
            Some((line, Line::Cells)) => match self.header.layout {
                Layout::Wide => self.wide_rows(line, push),
                Layout::Long => self.long_row(line, push),
            },
        }
        true
    }

    fn next_customer(&mut self) -> Option<Result<CustomerKey, InputError>> {
        Some(match self.read_line()? {
            (_, Line::Wrong(error)) => Err(error),
            (line, Line::Cells) => self.customer(line),
        })
    }

    fn next_attributes(&mut self, name: &mut dyn FnMut(&str)) -> Option<Result<(), InputError>> {
        Some(match self.read_line()? {
            (_, Line::Wrong(error)) if error.is_fatal() => Err(error),
            // The line is told when the rows are read.
            (_, Line::Wrong(_)) => Ok(()),
            (_, Line::Cells) => {
                name(self.record.get(1).unwrap_or_default());
                Ok(())
            }
        })
    }
}

fn names_breaks(names: &[String]) -> u64 {
    let breaks = names.iter().flat_map(|name| name.bytes());
    breaks.filter(|byte| *byte == b'\n').count() as u64
}

fn describe(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Io(error) => format!("the file can't be read on: {error}"),
        csv::ErrorKind::Utf8 { .. } => {
            "the text is not UTF-8; convert the file, such as by iconv -f \
                                        WINDOWS-1252 -t UTF-8 FILE > NEW_FILE"
                .to_owned()
        }
        _ => error.to_string(),
    }
}
