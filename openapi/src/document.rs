use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Problem};
use crate::prepare::{self, Prepared};
use crate::unique_keys::read_value;

/// The text of the vendored document (YAML).
pub const VENDORED: &str = include_str!("../customers.v3.yaml");

/// A parsed OpenAPI 3.0 document, and its name in messages.
#[derive(Debug, Clone)]
pub struct Document {
    pub(crate) name: String,
    pub(crate) root: Value,
}

impl Document {
    /// Parses the vendored document.
    ///
    /// # Errors
    ///
    /// The vendored document always parses.
    pub fn vendored() -> Result<Self, Error> {
        Self::parse("customers.v3.yaml", VENDORED)
    }

    /// The size that a document can have, unless [`load_up_to`](Self::load_up_to) says otherwise: 4 MiB.
    pub const MAX_LEN: u64 = 4 * 1024 * 1024;

    /// Reads a document (YAML or JSON) of at most [`MAX_LEN`](Self::MAX_LEN) bytes from a file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file can't be read or is larger, or [`Document::parse`] rejects its text.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::load_up_to(path, Self::MAX_LEN)
    }

    /// Reads a document (YAML or JSON) of at most `max_len` bytes from a file.
    ///
    /// Parsing takes about 45 times its size in memory if the document is like the provider's, and up to
    /// 300 times if it has many small objects.
    ///
    /// # Errors
    ///
    /// Returns an error if the file can't be read or is larger, or [`Document::parse`] rejects its text.
    pub fn load_up_to(path: &Path, max_len: u64) -> Result<Self, Error> {
        let name = path.display().to_string();
        let text = read(path, max_len).map_err(|problem| problem.in_document(&name))?;
        Self::parse_any(&name, &text)
    }

    /// Parses a document (YAML or JSON) of at most [`MAX_LEN`](Self::MAX_LEN) bytes, nested to a depth of
    /// 127 or less. Error messages begin with `name`.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is too long or neither YAML nor JSON, if it has a key twice with
    /// different values, or if it is not an OpenAPI 3.0 document.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let check = check_len(text.len() as u64, Self::MAX_LEN);
        check.map_err(|problem| problem.in_document(name))?;
        Self::parse_any(name, text)
    }

    fn parse_any(name: &str, text: &str) -> Result<Self, Error> {
        let parsed = parse(text).and_then(|root| {
            check_version(&root)?;
            Ok(root)
        });
        match parsed {
            Ok(root) => Ok(Self {
                name: name.to_owned(),
                root,
            }),
            Err(problem) => Err(problem.in_document(name)),
        }
    }

    /// Prepares the document for code generation.
    ///
    /// # Errors
    ///
    /// Returns an error if the document lacks something that the SDK needs, requires something that
    /// the SDK doesn't send, or contradicts itself.
    pub fn prepare(self) -> Result<Prepared, Error> {
        match prepare::run(self.root) {
            Ok(document) => Ok(Prepared::new(self.name, document)),
            Err(problem) => Err(problem.in_document(&self.name)),
        }
    }
}

/// Reads a file, but no more of it than is allowed: it may be a pipe without end.
fn read(path: &Path, max_len: u64) -> Result<String, Problem> {
    let unreadable = |error| Problem::new(format!("can't be read: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    let mut start = file.take(max_len.saturating_add(1));
    start.read_to_string(&mut text).map_err(unreadable)?;
    check_len(text.len() as u64, max_len)?;
    Ok(text)
}

fn check_len(len: u64, max_len: u64) -> Result<(), Problem> {
    if len <= max_len {
        return Ok(());
    }
    Err(Problem::new(format!(
        "is larger than {max_len} bytes, and parsing takes up to 300 times as much memory: remove the paths \
         that the SDK doesn't bind, or raise the limit (--max-size in the program, {MAX_SIZE_VARIABLE} \
         in a build)"
    )))
}

/// The environment variable that sets the size in bytes that a build script reads at most.
pub const MAX_SIZE_VARIABLE: &str = "BIGCOMMERCE_OPENAPI_MAX_SIZE";

fn parse(text: &str) -> Result<Value, Problem> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(Problem::new("is empty"));
    }
    // The values of a text without aliases are fewer than its bytes.
    let max_size = text.len().saturating_mul(4);
    // JSON has its own parser, because the YAML parser fails on tabs and on pairs of \u escapes.
    // Text that starts like JSON can still be YAML in flow style.
    let json = text.trim_start().starts_with('{').then(|| {
        let mut json = serde_json::Deserializer::from_str(text);
        let root = read_value(&mut json, max_size)?;
        json.end().map(|()| root)
    });
    if let Some(Ok(root)) = json {
        return Ok(root);
    }
    check_depth(text)?;
    let yaml = serde_norway::Deserializer::from_str(text);
    read_value(yaml, max_size).map_err(|yaml| {
        Problem::new(match json {
            Some(Err(json)) => format!("is not valid JSON: {json}"),
            _ => format!("is neither YAML nor JSON: {yaml}"),
        })
    })
}

/// The maximum depth of brackets. The YAML parser slows down with each open one.
const MAX_BRACKETS: usize = 200;

fn check_depth(text: &str) -> Result<(), Problem> {
    let mut open = 0_usize;
    for (number, line) in (1_usize..).zip(text.lines()) {
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > MAX_BRACKETS {
                return Err(Problem::new(format!(
                    "has more than {MAX_BRACKETS} nested brackets at line {number}"
                )));
            }
        }
    }
    Ok(())
}

fn check_version(root: &Value) -> Result<(), Problem> {
    if let Some(version) = root.get("swagger") {
        return Err(Problem::new(format!(
            "is Swagger {}, but only OpenAPI 3.0 is supported; convert it to 3.0",
            display_version(version)
        )));
    }
    match root.get("openapi") {
        Some(version) if is_supported(&display_version(version)) => Ok(()),
        Some(version) => Err(Problem::new(format!(
            "is OpenAPI {}, but only OpenAPI 3.0 is supported; convert it to 3.0",
            display_version(version)
        ))),
        None => Err(Problem::new(
            "is not an OpenAPI document: it has no top-level field \"openapi\"",
        )),
    }
}

/// Returns `true` for OpenAPI 3.0, whose patch version documents leave out, too.
fn is_supported(version: &str) -> bool {
    let version = version.trim();
    version == "3.0" || version.starts_with("3.0.")
}

fn display_version(version: &Value) -> String {
    version
        .as_str()
        .map_or_else(|| version.to_string(), str::to_owned)
}
