//! The program's arguments.

use std::path::PathBuf;

use lexopt::prelude::*;

pub const HELP: &str = "\
Stores the values of a CSV file.

The header of the file is customer_id and the names of attributes, one per column. Without FILE, the
bundled CDNOW customers are stored. Without --store or --url, the values are stored in a sandbox in
this process. A sandbox gets the attributes that it lacks, as text.

Usage: bulk_upsert [--store | --url URL] [OPTIONS] [FILE]

Options:
  --store              use the store that BIGCOMMERCE_STORE_HASH and BIGCOMMERCE_ACCESS_TOKEN name
  --url URL            use the store at this base URL; the token is BIGCOMMERCE_ACCESS_TOKEN. Plain
                       http is for sandboxes on this machine, where the token may be missing
  --attribute NAME=ID  store the column NAME as the attribute with this ID; once per column
  --create-attributes  create the attributes that the store lacks, as text
  --skip-unchanged     read the store first, and send only the values that differ
  --skip-empty         skip empty cells, instead of storing empty values
  --dry-run            change nothing, and print what would be done
  --help               print this text

Exit status: 0 if no row was rejected, unknown or not sent, 1 if one was, 2 if the run could not
start.";

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
    pub create_attributes: bool,
    pub skip_unchanged: bool,
    pub skip_empty: bool,
    pub dry_run: bool,
}

/// Parses the arguments. Returns `None` if they ask for help.
pub fn parse(mut parser: lexopt::Parser) -> Result<Option<Args>, lexopt::Error> {
    let mut args = Args {
        target: Target::OwnSandbox,
        file: None,
        attributes: Vec::new(),
        create_attributes: false,
        skip_unchanged: false,
        skip_empty: false,
        dry_run: false,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(None),
            Long("store" | "url") if !matches!(args.target, Target::OwnSandbox) => {
                return Err("give one of --store and --url, once".into());
            }
            Long("store") => args.target = Target::Environment,
            Long("url") => args.target = Target::Url(parser.value()?.string()?),
            Long("create-attributes") => args.create_attributes = true,
            Long("skip-unchanged") => args.skip_unchanged = true,
            Long("skip-empty") => args.skip_empty = true,
            Long("dry-run") => args.dry_run = true,
            Long("attribute") => {
                let text = parser.value()?.string()?;
                let pair = text
                    .rsplit_once('=')
                    .and_then(|(name, id)| Some((name.to_owned(), id.parse().ok()?)))
                    .filter(|&(_, id)| id >= 1)
                    .ok_or_else(|| {
                        format!("--attribute {text:?}: give NAME=ID, such as frequency=101")
                    })?;
                args.attributes.push(pair);
            }
            Value(file) if args.file.is_none() => args.file = Some(file.into()),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(args))
}
