//! Compares an OpenAPI document with the vendored one, and prints prepared documents.

use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use bigcommerce_openapi::{Difference, Document, Error, Impact};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};

const HELP: &str = "\
Compares an OpenAPI document with the vendored one, and prepares documents for code generation.

Usage:
  bigcommerce-openapi check [--format text|json] DOCUMENT
      Prints the differences in the operations that the SDK binds, one per line, breaking ones
      first. Each line ends with the place in both documents, as JSON pointers. If the SDK can't be
      built with DOCUMENT, a last line begins with \"rejected\" and gives the reason.
      Exit status: 0 if nothing breaks, 1 if something breaks or DOCUMENT is rejected, 2 if
      DOCUMENT can't be read.
  bigcommerce-openapi prepare DOCUMENT
      Prints the document that code is generated from, as JSON.
      Exit status: 0, or 2 if DOCUMENT can't be read or is rejected.

DOCUMENT is a file in YAML or JSON, OpenAPI 3.0, as the provider publishes it.
";

enum Command {
    Help,
    Check { document: PathBuf, is_json: bool },
    Prepare { document: PathBuf },
}

fn main() -> ExitCode {
    let command = match command(Parser::from_env()) {
        Ok(command) => command,
        Err(error) => return failed(&format!("{error}; see --help")),
    };
    match run(command) {
        Ok((text, status)) => match stdout().write_all(text.as_bytes()) {
            Ok(()) => status,
            // The reader of the pipe has closed it on purpose.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => status,
            Err(error) => failed(&error.to_string()),
        },
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(message: &str) -> ExitCode {
    // If stderr is closed, the exit status still reports the failure.
    let _ = writeln!(stderr(), "error: {message}");
    ExitCode::from(2)
}

fn command(mut args: Parser) -> Result<Command, lexopt::Error> {
    let mut words = Vec::new();
    let mut format = None;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("format") => format = Some(args.value()?.string()?),
            Arg::Value(word) => words.push(word),
            arg => return Err(arg.unexpected()),
        }
    }
    let is_json = match format.as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => return Err(format!("--format must be text or json, not {other:?}").into()),
    };
    let [name, document] = <[_; 2]>::try_from(words)
        .map_err(|_| "expected a command and a document: check DOCUMENT, or prepare DOCUMENT")?;
    let document = PathBuf::from(document);
    match name.to_str() {
        Some("check") => Ok(Command::Check { document, is_json }),
        Some("prepare") if format.is_none() => Ok(Command::Prepare { document }),
        Some("prepare") => Err("--format is only valid with check".into()),
        _ => Err(format!("unknown command {name:?}").into()),
    }
}

fn run(command: Command) -> Result<(String, ExitCode), Error> {
    match command {
        Command::Help => Ok((HELP.to_owned(), ExitCode::SUCCESS)),
        Command::Check { document, is_json } => check(Document::load(&document)?, is_json),
        Command::Prepare { document } => {
            let prepared = Document::load(&document)?.prepare()?;
            Ok((format!("{:#}\n", prepared.document()), ExitCode::SUCCESS))
        }
    }
}

fn check(document: Document, is_json: bool) -> Result<(String, ExitCode), Error> {
    let differences = Document::vendored()?.compare(&document)?;
    let rejection = document
        .prepare()
        .and_then(|prepared| prepared.generate())
        .err();
    let is_breaking = |difference: &Difference| difference.impact == Impact::Breaking;
    let status = ExitCode::from(u8::from(
        rejection.is_some() || differences.iter().any(is_breaking),
    ));
    if is_json {
        let differences: Vec<_> = differences.iter().map(to_json).collect();
        let rejection = rejection.map(|error| error.to_string());
        let report = json!({"differences": differences, "rejected": rejection});
        return Ok((format!("{report:#}\n"), status));
    }
    let mut text = String::new();
    for difference in differences {
        text.push_str(&format!("{difference}\n"));
    }
    if let Some(error) = rejection {
        text.push_str(&format!("rejected: {error}\n"));
    }
    Ok((text, status))
}

fn to_json(difference: &Difference) -> Value {
    json!({
        "impact": difference.impact.to_string(),
        "subject": difference.subject,
        "change": difference.change,
        "before": difference.before,
        "after": difference.after,
    })
}
