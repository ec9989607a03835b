//! The program's arguments.

use std::path::PathBuf;

use lexopt::prelude::*;

pub const HELP: &str = "\
Puts the values of a CSV file into a store.

The CSV's header is customer_id and one column per attribute. Without FILE, the bundled CDNOW
customers are taken; without --store or --url, a sandbox in this process.

Usage: bulk_upsert [OPTIONS] [FILE]

Options:
  --store              the store that BIGCOMMERCE_STORE_HASH and BIGCOMMERCE_ACCESS_TOKEN name
  --url URL            the store at this base URL, as the sandbox program prints it; the token is
                       BIGCOMMERCE_ACCESS_TOKEN, or a placeholder if the host is loopback
  --attribute NAME=ID  the attribute that a column stands for, once per column; in a sandbox the
                       first attribute column is attribute 1, the next one 2, and so on
  --help               this text

Exit status: 0 if every row was stored or superseded, 1 if not, 2 if the run could not begin.";

pub enum Target {
    OwnSandbox,
    Environment,
    Url(String),
}

pub struct Args {
    pub target: Target,
    pub file: Option<PathBuf>,
    /// Column names and attribute IDs.
    pub attributes: Vec<(String, i64)>,
}

/// Reads the arguments; `None` if they ask for help.
pub fn parse(mut parser: lexopt::Parser) -> Result<Option<Args>, lexopt::Error> {
    let mut args = Args {
        target: Target::OwnSandbox,
        file: None,
        attributes: Vec::new(),
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(None),
            Long("store") => choose(&mut args.target, Target::Environment)?,
            Long("url") => choose(&mut args.target, Target::Url(parser.value()?.string()?))?,
            Long("attribute") => {
                let text = parser.value()?.string()?;
                let pair = text
                    .rsplit_once('=')
                    .and_then(|(name, id)| Some((name.to_owned(), id.parse().ok()?)))
                    .filter(|&(_, id)| id >= 1)
                    .ok_or_else(|| format!("--attribute {text:?}: it looks like frequency=101"))?;
                args.attributes.push(pair);
            }
            Value(file) if args.file.is_none() => args.file = Some(file.into()),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(args))
}

fn choose(target: &mut Target, chosen: Target) -> Result<(), lexopt::Error> {
    if !matches!(target, Target::OwnSandbox) {
        return Err("--store and --url: one of them, once".into());
    }
    *target = chosen;
    Ok(())
}
