use std::path::Path;

use serde_json::Value;

use crate::error::Problem;
use crate::{Error, Prepared};

/// The document that this crate carries, as text.
pub const VENDORED: &str = include_str!("../customers.v3.yaml");

/// A parsed OpenAPI 3.0 document, and the name it goes by in messages.
#[derive(Debug, Clone)]
pub struct Document {
    pub(crate) name: String,
    pub(crate) root: Value,
}

impl Document {
    /// The document that this crate carries.
    ///
    /// # Errors
    ///
    /// None, for the document as published.
    pub fn vendored() -> Result<Self, Error> {
        Self::parse("customers.v3.yaml", VENDORED)
    }

    /// Reads a document, YAML or JSON, from a file.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or [`Document::parse`] refuses its text.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) => Err(Problem::new(format!("can't be read: {error}")).of(&name)),
        }
    }

    /// Reads a document, YAML or JSON, from text. Messages call it `name`.
    ///
    /// # Errors
    ///
    /// When the text is neither YAML nor JSON, or not an OpenAPI 3.0 document.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let parsed = parse(text).and_then(|root| {
            check_version(&root)?;
            Ok(root)
        });
        match parsed {
            Ok(root) => Ok(Self {
                name: name.to_owned(),
                root,
            }),
            Err(problem) => Err(problem.of(name)),
        }
    }

    /// Makes of the document the one that code is generated from.
    ///
    /// # Errors
    ///
    /// When the document lacks something that the SDK needs, requires something that the SDK does
    /// not send, or contradicts itself.
    pub fn prepare(self) -> Result<Prepared, Error> {
        match crate::prepare::run(self.root) {
            Ok(document) => Ok(Prepared::new(self.name, document)),
            Err(problem) => Err(problem.of(&self.name)),
        }
    }
}

fn parse(text: &str) -> Result<Value, Problem> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(Problem::new("is empty"));
    }
    // JSON gets its own parser: YAML's stumbles over tabs and over pairs of \u escapes. What
    // starts like JSON can still be YAML in flow style.
    let json = text
        .trim_start()
        .starts_with('{')
        .then(|| serde_json::from_str(text));
    if let Some(Ok(root)) = json {
        return Ok(root);
    }
    check_depth(text)?;
    serde_norway::from_str(text).map_err(|yaml| {
        Problem::new(match json {
            Some(Err(json)) => format!("is not valid JSON: {json}"),
            _ => format!("is neither YAML nor JSON: {yaml}"),
        })
    })
}

/// How deep brackets may nest: the parser of YAML takes ever longer for each that is open.
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
                    "has more than {MAX_BRACKETS} brackets that are not closed at line {number}"
                )));
            }
        }
    }
    Ok(())
}

fn check_version(root: &Value) -> Result<(), Problem> {
    if let Some(version) = root.get("swagger") {
        return Err(Problem::new(format!(
            "is Swagger {}; only OpenAPI 3.0 documents can be used: convert it, or take a newer one",
            plain(version)
        )));
    }
    match root.get("openapi") {
        Some(Value::String(version)) if version.trim().starts_with("3.0.") => Ok(()),
        Some(version) => Err(Problem::new(format!(
            "is OpenAPI {}; only OpenAPI 3.0.x documents can be used",
            plain(version)
        ))),
        None => Err(Problem::new(
            "is not an OpenAPI document: it has no field \"openapi\" at its top",
        )),
    }
}

fn plain(version: &Value) -> String {
    version
        .as_str()
        .map_or_else(|| version.to_string(), str::to_owned)
}
