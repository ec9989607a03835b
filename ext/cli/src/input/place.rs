//! Where a row was read, and why one can't be used.

use std::fmt;
use std::sync::Arc;

use csv::ByteRecord;

/// Where a row was read.
#[derive(Clone, Debug)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u64,
    /// The column's name, or the JSON field's.
    pub column: Option<Arc<str>>,
    /// The attribute, as the input names it.
    pub attribute: Arc<str>,
    /// The whole line, where empty cells mean something.
    pub cells: Option<Arc<ByteRecord>>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        match &self.column {
            Some(column) => write!(f, ":{column}"),
            None => Ok(()),
        }
    }
}

/// A line as it was read.
#[derive(Clone, Debug)]
pub enum RawLine {
    Csv(ByteRecord),
    Json(Vec<u8>),
}

/// Why a line, a cell or the rest of a file can't be used.
#[derive(Clone, Debug)]
pub struct InputError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    place: Place,
    rule: String,
    line: Option<RawLine>,
    is_fatal: bool,
}

impl InputError {
    pub fn new(place: Place, rule: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            place,
            rule: rule.into(),
            line: None,
            is_fatal: false,
        }))
    }

    /// An error after which nothing can be read any more.
    pub fn fatal(place: Place, rule: impl Into<String>) -> Self {
        let mut error = Self::new(place, rule);
        error.0.is_fatal = true;
        error
    }

    pub fn with_line(mut self, line: RawLine) -> Self {
        self.0.line = Some(line);
        self
    }

    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Returns which rule is broken, without the place.
    pub fn rule(&self) -> &str {
        &self.0.rule
    }

    /// Returns the line as it was read, if it could be.
    pub fn line(&self) -> Option<&RawLine> {
        self.0.line.as_ref()
    }

    /// Returns `true` if the rest of the input was not read.
    pub fn is_fatal(&self) -> bool {
        self.0.is_fatal
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.place, self.0.rule)
    }
}

impl std::error::Error for InputError {}
