//! Rows from files: CSV and JSON lines, plain or gzip, of any length, in bounded memory.

mod args;
mod attribute_map;
mod attributes;
mod csv_file;
mod customer;
mod fingerprint;
mod header;
mod json_file;
mod place;
mod progress;
mod quotes;
mod rows;
mod source;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use bigcommerce_ext::{CustomerKey, UpsertRow};

pub use args::{Empty, Format, FormatArgs, InputArgs, KeyKind, Layout, parse_delimiter};
pub use fingerprint::hex_digest;
pub use header::REJECT_COLUMNS;
pub use place::{InputError, Place, RawLine};
pub use progress::InputProgress;

use attribute_map::AttributeMap;
use csv_file::CsvFile;
use json_file::JsonFile;
use source::{BeforeRead, LineLength, Source};

use crate::status::Failure;

/// A row, or why a line or a cell is none.
type Item = Result<UpsertRow<Place>, InputError>;

/// Reads a file line by line.
trait Lines: Send {
    /// Pushes the rows of the next line, and what is wrong with it. Returns `false` at the end.
    fn next_line(&mut self, push: &mut dyn FnMut(Item)) -> bool;

    /// Returns the customer of the next line, `None` at the end.
    fn next_customer(&mut self) -> Option<Result<CustomerKey, InputError>>;

    /// Passes the attributes that the next line names to a function. Returns `None` at the end.
    fn next_attributes(&mut self, name: &mut dyn FnMut(&str)) -> Option<Result<(), InputError>>;
}

/// Files of rows that are open, with their headers read.
pub struct Input {
    files: Vec<InputFile>,
    args: FormatArgs,
    /// `None` where only customers are read.
    empty: Option<Empty>,
    map: AttributeMap,
    progress: InputProgress,
    before_read: BeforeRead,
}

struct InputFile {
    source: Source,
    body: Body,
}

enum Body {
    Csv(Box<CsvFile>),
    Json(Box<JsonFile>),
}

/// The form of the lines of all files, as a file of rejected rows needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    Csv {
        columns: Vec<Arc<str>>,
        delimiter: u8,
        layout: Layout,
    },
    Json(Layout),
}

impl Input {
    /// Opens the files, and reads their headers.
    ///
    /// `empty_default` is what an empty cell means unless the options say it.
    pub fn open(args: &InputArgs, empty_default: Empty) -> Result<Self, Failure> {
        let empty = args.format.empty.unwrap_or(empty_default);
        Self::open_files(&args.files, &args.format, Some(empty))
    }

    /// Opens the files as [`open`](Self::open) does, unless the future completes before: another program may
    /// take long until it writes the header.
    pub async fn open_until(
        args: &InputArgs,
        empty_default: Empty,
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Self>, Failure> {
        let args = args.clone();
        let opened = tokio::task::spawn_blocking(move || Self::open(&args, empty_default));
        tokio::select! {
            opened = opened => match opened {
                Ok(opened) => opened.map(Some),
                Err(error) => Err(Failure::usage(anyhow!("the files can't be opened: {error}"))),
            },
            () = stop => Ok(None),
        }
    }

    /// Opens files of which only the customers are read.
    pub fn open_customers(files: &[PathBuf], args: &FormatArgs) -> Result<Self, Failure> {
        Self::open_files(files, args, None)
    }

    fn open_files(
        files: &[PathBuf],
        args: &FormatArgs,
        empty: Option<Empty>,
    ) -> Result<Self, Failure> {
        if files.iter().filter(|file| is_standard_input(file)).count() > 1 {
            return Err(Failure::usage(anyhow!(
                "standard input (-) is given twice: it can be read once"
            )));
        }
        let sources = files.iter().map(|file| Source::new(file));
        let sources: Vec<Source> = sources.collect::<Result<_, _>>()?;
        let total = sources.iter().map(|source| source.size).sum();
        let mut input = Self {
            files: Vec::new(),
            args: args.clone(),
            empty,
            map: AttributeMap::new(&args.attributes)?,
            progress: InputProgress::new(total),
            before_read: BeforeRead::default(),
        };
        for source in sources {
            let body = input.open_file(&source, Some(&input.progress))?;
            input.files.push(InputFile { source, body });
        }
        input.check_mapped_columns()?;
        Ok(input)
    }

    /// Checks that each column of `--attribute` is there. Lines that name attributes may name any.
    fn check_mapped_columns(&self) -> Result<(), Failure> {
        let mut columns = HashSet::new();
        for file in &self.files {
            match &file.body {
                Body::Csv(file) if file.header().layout == Layout::Wide => {
                    columns.extend(file.header().attribute_columns().iter().map(|name| &**name));
                }
                Body::Csv(_) | Body::Json(_) => return Ok(()),
            }
        }
        match self
            .map
            .mapped_columns()
            .find(|name| !columns.contains(name))
        {
            Some(missing) => Err(Failure::usage(anyhow!(
                "--attribute names the column {missing:?}, which is not there"
            ))),
            None => Ok(()),
        }
    }

    fn open_file(
        &self,
        source: &Source,
        progress: Option<&InputProgress>,
    ) -> Result<Body, Failure> {
        let line_length = LineLength::default();
        let before_read = match progress {
            Some(_) => self.before_read.clone(),
            None => BeforeRead::default(),
        };
        let mut bytes = source.open(progress, &before_read, &line_length)?;
        let format = match self.args.format.or_else(|| format_of(source.path())) {
            Some(format) => format,
            None => {
                let head = bytes.fill_buf().unwrap_or_default();
                match head.trim_ascii_start().first() {
                    Some(b'{') => Format::Json,
                    _ => Format::Csv,
                }
            }
        };
        let (label, args, map) = (&source.label, &self.args, &self.map);
        Ok(match format {
            Format::Csv => {
                let file = CsvFile::open(label, bytes, line_length, args, map, self.empty)?;
                Body::Csv(Box::new(file))
            }
            Format::Json => Body::Json(Box::new(JsonFile::open(label, bytes, args, map)?)),
        })
    }

    /// Returns how much was read. The numbers go on while the rows are read.
    pub fn progress(&self) -> InputProgress {
        self.progress.clone()
    }

    /// Returns the columns that are ignored, since they look like those of a file of rejected rows.
    pub fn ignored_columns(&self) -> Option<[&'static str; 2]> {
        let is_reject = |file: &InputFile| match &file.body {
            Body::Csv(file) => file.header().has_reject_columns,
            Body::Json(_) => false,
        };
        self.files.iter().any(is_reject).then_some(REJECT_COLUMNS)
    }

    /// Returns the form of the lines, if it is the same for all files.
    pub fn shape(&self) -> Option<Shape> {
        let mut shapes = self.files.iter().map(|file| match &file.body {
            Body::Csv(file) => Shape::Csv {
                columns: file.header().names.clone(),
                delimiter: self.args.delimiter.unwrap_or(b','),
                layout: file.header().layout,
            },
            Body::Json(file) => Shape::Json(file.layout()),
        });
        let first = shapes.next()?;
        shapes.all(|shape| shape == first).then_some(first)
    }

    /// Returns `true` if the path is one of the files that are read.
    pub fn reads(&self, path: &Path) -> bool {
        let same = |file: &InputFile| {
            let known = file
                .source
                .path()
                .and_then(|known| known.canonicalize().ok());
            known.is_some_and(|known| path.canonicalize().is_ok_and(|path| path == known))
        };
        self.files.iter().any(same)
    }
}

impl Body {
    fn lines(self) -> Box<dyn Lines> {
        match self {
            Self::Csv(file) => file,
            Self::Json(file) => file,
        }
    }
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// Returns the format that a file's extension tells. The extension gz stands behind it.
fn format_of(path: Option<&Path>) -> Option<Format> {
    let name = path?.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" => Some(Format::Csv),
        "json" | "jsonl" | "ndjson" => Some(Format::Json),
        _ => None,
    }
}
