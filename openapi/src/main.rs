//! Compares an OpenAPI document with the vendored one, and shows what is made of one.

use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use bigcommerce_openapi::{Difference, Document, Error, Impact};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};

const HELP: &str = "\
Compares an OpenAPI document with the one that these crates carry.

Usage:
  bigcommerce-openapi check [--format text|json] DOCUMENT
      Prints what differs in the operations that the SDK binds, one line each: what breaks a
      program that is built with the vendored document, then what does not. A line ends in the
      places in both documents, as JSON pointers. If the SDK can't be built with DOCUMENT, a last
      line begins with \"refused\" and says why.
      Exit status: 0 if nothing breaks, 1 if something does or is refused, 2 if DOCUMENT can't be read.
  bigcommerce-openapi prepare DOCUMENT
      Prints, as JSON, the document that code is generated from.
      Exit status: 0, or 2 if there is none.

DOCUMENT is a file, YAML or JSON, OpenAPI 3.0, as the provider publishes it.
";

enum Command {
    Help,
    Check { document: PathBuf, is_json: bool },
    Prepare { document: PathBuf },
}

fn main() -> ExitCode {
    let command = match command(Parser::from_env()) {
        Ok(command) => command,
        Err(error) => return failed(&format!("{error}; --help tells more")),
    };
    match run(command) {
        Ok((text, status)) => match stdout().write_all(text.as_bytes()) {
            Ok(()) => status,
            // Who reads no more has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => status,
            Err(error) => failed(&error.to_string()),
        },
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(message: &str) -> ExitCode {
    // Where this can't be said, the exit status still is.
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
        Some(other) => return Err(format!("--format is text or json, not {other:?}").into()),
    };
    let [verb, document] = <[_; 2]>::try_from(words)
        .map_err(|_| "a command and a document are needed: check DOCUMENT, or prepare DOCUMENT")?;
    let document = PathBuf::from(document);
    match verb.to_str() {
        Some("check") => Ok(Command::Check { document, is_json }),
        Some("prepare") if format.is_none() => Ok(Command::Prepare { document }),
        Some("prepare") => Err("--format is for check".into()),
        _ => Err(format!("there is no command {verb:?}").into()),
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
    let refused = document
        .prepare()
        .and_then(|prepared| prepared.generate())
        .err();
    let breaks = |difference: &Difference| difference.impact == Impact::Breaking;
    let status = ExitCode::from(u8::from(
        refused.is_some() || differences.iter().any(breaks),
    ));
    if is_json {
        let differences: Vec<_> = differences.iter().map(object).collect();
        let refused = refused.map(|error| error.to_string());
        let report = json!({"differences": differences, "refused": refused});
        return Ok((format!("{report:#}\n"), status));
    }
    let mut text = String::new();
    for difference in differences {
        text.push_str(&format!("{difference}\n"));
    }
    if let Some(error) = refused {
        text.push_str(&format!("refused: {error}\n"));
    }
    Ok((text, status))
}

fn object(difference: &Difference) -> Value {
    json!({
        "impact": difference.impact.to_string(),
        "subject": difference.subject,
        "change": difference.change,
        "before": difference.before,
        "after": difference.after,
    })
}
