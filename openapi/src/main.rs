//! Compares OpenAPI documents, and prints prepared ones.

use std::ffi::OsString;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bigcommerce_openapi::{Difference, Document, Error, Impact};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};

const HELP: &str = "\
Compares OpenAPI documents of BigCommerce's Customers V3 endpoints, and prepares them for code
generation.

Usage:
  bigcommerce-openapi check [OPTIONS] OLD NEW
      Prints the differences between two documents in the operations that the SDK binds.
  bigcommerce-openapi check [OPTIONS] NEW
      Prints the differences between the SDK's own document and NEW that are news to a program
      written against the SDK: what changes the name, the type or the optionality of something
      generated; what the SDK sends and NEW no longer admits; responses that the generated types
      can't read; deprecations. What preparing NEW adds or loosens is no news, and neither are
      statuses and bodies of errors.
  bigcommerce-openapi prepare [--max-size BYTES] DOCUMENT
      Prints the document that code is generated from, as JSON.

A document is a file in YAML or JSON, OpenAPI 3.0, as the provider publishes it, of at most 4 MiB
and nested to a depth of 127 or less.

Options:
  --format text|json   How differences and errors are printed (default: text).
  --max-size BYTES     How large a document can be (default: 4194304). Parsing takes about 45 times
                       its size in memory, and up to 300 times with many small objects.

The output of check has one line per difference, breaking ones first, then compatible ones, then what is
ignored because the SDK doesn't bind it. Each line ends with the place in both documents, as JSON
pointers. If the SDK can't be built with NEW, a last line begins with \"rejected\" and gives the reason.
As JSON it is one object, whatever happens: {\"differences\": [{\"impact\", \"subject\", \"change\",
\"before\", \"after\"}], \"rejected\": null or a text, \"error\": null or a text}.

Exit status of check:
  0  Nothing breaks.
  1  Something breaks, or the SDK can't be built with NEW.
  2  The arguments are wrong, or a document can't be read or compared.
Exit status of prepare: 0, or 2 if DOCUMENT can't be read or is rejected.

Changes that check doesn't see:
  - operations and paths that the SDK doesn't bind, except for their coming and going
  - bodies and headers of error responses, headers of any response, media types other than JSON
  - discriminators, and the order of the members of oneOf
  - keywords that don't fit a schema's type, and patterns that mean the same
  - patterns, formats, oneOf and the like in one part of an allOf if another part has the keyword, too
  - values of variables in base URLs; styles of parameters that are not lists
  - scopes of authentication; the sub-resources of a customer; names, examples, defaults and prose
  - schemas that refer back to themselves, within oneOf, anyOf, not and additionalProperties
";

enum Command {
    Help,
    Check(Check),
    Prepare { document: PathBuf, max_size: u64 },
}

struct Check {
    /// `None` for the vendored document.
    old: Option<PathBuf>,
    new: PathBuf,
    is_json: bool,
    max_size: u64,
}

/// What is printed, and the exit status.
struct Output {
    text: String,
    status: ExitCode,
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let is_json = asks_for_json(&args);
    let output = match command(Parser::from_args(args)) {
        Ok(command) => run(command).map_err(|error| error.to_string()),
        Err(error) => Err(format!("{error}; see --help")),
    };
    let output = match output {
        Err(error) if is_json => Ok(Output {
            text: report(Vec::new(), None, Some(error)),
            status: ExitCode::from(2),
        }),
        output => output,
    };
    match output {
        Ok(Output { text, status }) => match stdout().write_all(text.as_bytes()) {
            Ok(()) => status,
            // The reader of the pipe has closed it on purpose.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => status,
            Err(error) => failed(&error.to_string()),
        },
        Err(error) => failed(&error),
    }
}

fn failed(message: &str) -> ExitCode {
    // If stderr is closed, the exit status still reports the failure.
    let _ = writeln!(stderr(), "error: {message}");
    ExitCode::from(2)
}

/// Returns `true` if errors are to be printed as JSON, even those of other arguments.
fn asks_for_json(args: &[OsString]) -> bool {
    let is_option = |pair: &[OsString]| pair == ["--format", "json"];
    args.iter().any(|arg| arg == "--format=json") || args.windows(2).any(is_option)
}

fn command(mut args: Parser) -> Result<Command, lexopt::Error> {
    let mut words = Vec::new();
    let mut format = None;
    let mut max_size = Document::MAX_LEN;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("format") => format = Some(args.value()?.string()?),
            Arg::Long("max-size") => max_size = args.value()?.parse()?,
            Arg::Value(word) => words.push(word),
            arg => return Err(arg.unexpected()),
        }
    }
    let is_json = match format.as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => return Err(format!("--format must be text or json, not {other:?}").into()),
    };
    let mut words = words.into_iter();
    let name = words.next().unwrap_or_default();
    let mut documents = words.map(PathBuf::from);
    match (
        name.to_str(),
        documents.next(),
        documents.next(),
        documents.next(),
    ) {
        (Some("check"), Some(one), other, None) => {
            let (old, new) = match other {
                Some(other) => (Some(one), other),
                None => (None, one),
            };
            Ok(Command::Check(Check {
                old,
                new,
                is_json,
                max_size,
            }))
        }
        (Some("check"), ..) => Err("check takes one document or two: check [OLD] NEW".into()),
        (Some("prepare"), ..) if format.is_some() => {
            Err("--format is only valid with check".into())
        }
        (Some("prepare"), Some(document), None, _) => Ok(Command::Prepare { document, max_size }),
        (Some("prepare"), ..) => Err("prepare takes one document".into()),
        (Some(""), ..) => Err("expected a command: check or prepare".into()),
        _ => Err(format!("unknown command {name:?}").into()),
    }
}

fn run(command: Command) -> Result<Output, Error> {
    match command {
        Command::Help => Ok(Output {
            text: HELP.to_owned(),
            status: ExitCode::SUCCESS,
        }),
        Command::Check(check) => run_check(&check),
        Command::Prepare { document, max_size } => {
            let prepared = Document::load_up_to(&document, max_size)?.prepare()?;
            Ok(Output {
                text: format!("{:#}\n", prepared.document()),
                status: ExitCode::SUCCESS,
            })
        }
    }
}

fn run_check(check: &Check) -> Result<Output, Error> {
    let load = |path: &Path| Document::load_up_to(path, check.max_size);
    let new = load(&check.new)?;
    let differences = match &check.old {
        Some(old) => load(old)?.compare(&new)?,
        None => new.news()?,
    };
    let rejection = new.prepare().and_then(|prepared| prepared.generate()).err();
    let is_breaking = |difference: &Difference| difference.impact == Impact::Breaking;
    let fails = rejection.is_some() || differences.iter().any(is_breaking);
    let rejection = rejection.map(|error| error.to_string());
    let text = match check.is_json {
        true => report(differences, rejection, None),
        false => {
            let mut text: String = differences.iter().map(|d| format!("{d}\n")).collect();
            text.extend(rejection.map(|error| format!("rejected: {error}\n")));
            text
        }
    };
    Ok(Output {
        text,
        status: ExitCode::from(u8::from(fails)),
    })
}

/// Returns the JSON of any ending.
fn report(differences: Vec<Difference>, rejected: Option<String>, error: Option<String>) -> String {
    let differences: Vec<_> = differences.iter().map(to_json).collect();
    let report = json!({"differences": differences, "rejected": rejected, "error": error});
    format!("{report:#}\n")
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
