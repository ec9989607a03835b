//! The program's arguments.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::target::Target;

pub const HELP: &str = "\
Puts the values of a CSV file into a store.

The CSV's header is customer_id and the names of attributes, one per column. Without FILE, the
bundled CDNOW customers are taken; without --store or --url, a sandbox in this process. Attributes
that a sandbox lacks are created there, as text.

Usage: bulk_upsert [OPTIONS] [FILE]

Options:
  --store              the store that BIGCOMMERCE_STORE_HASH and BIGCOMMERCE_ACCESS_TOKEN name
  --url URL            the store at this base URL, as the sandbox program prints it; the token is
                       BIGCOMMERCE_ACCESS_TOKEN, or a placeholder if the host is loopback
  --attribute NAME=ID  the attribute that a column stands for where its name is not the attribute's,
                       once per column
  --create-attributes  create the attributes that a store lacks, as text
  --skip-unchanged     read what the store holds, and send only what differs
  --skip-empty         take an empty cell for no value, not for an empty one
  --dry-run            change nothing, and tell what would be done
  --help               this text

Exit status: 0 if no row was rejected, left open or not sent, 1 if one was, 2 if the run could not
begin.";

pub struct Args {
    pub target: Target,
    pub file: Option<PathBuf>,
    /// Column names and attribute IDs.
    pub attributes: Vec<(String, i64)>,
    pub creates_attributes: bool,
    pub skips_unchanged: bool,
    pub skips_empty: bool,
    pub is_dry: bool,
}

/// Reads the arguments; `None` if they ask for help.
pub fn parse(mut parser: lexopt::Parser) -> Result<Option<Args>, lexopt::Error> {
    let mut args = Args {
        target: Target::OwnSandbox,
        file: None,
        attributes: Vec::new(),
        creates_attributes: false,
        skips_unchanged: false,
        skips_empty: false,
        is_dry: false,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(None),
            Long("store") => args.target.choose(Target::Environment)?,
            Long("url") => args.target.choose(Target::Url(parser.value()?.string()?))?,
            Long("create-attributes") => args.creates_attributes = true,
            Long("skip-unchanged") => args.skips_unchanged = true,
            Long("skip-empty") => args.skips_empty = true,
            Long("dry-run") => args.is_dry = true,
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
