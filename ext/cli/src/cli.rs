//! The command line.

use std::env;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser};

use crate::args::Global;
use crate::commands::Command;
use crate::status::EXIT_STATUS_HELP;

/// Imports, exports, compares and mirrors the customer attribute values of a BigCommerce store.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = EXIT_STATUS_HELP)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Parses the arguments of the process.
    pub fn read() -> Result<Self, clap::Error> {
        let mut program = Self::command();
        let matches = program.try_get_matches_from_mut(env::args_os())?;
        let cli = Self::from_arg_matches(&matches)?;
        let reads_file = matches
            .subcommand()
            .is_some_and(|(_, matches)| reads_standard_input(matches));
        if cli.global.token_stdin && reads_file {
            return Err(program.error(
                ErrorKind::ArgumentConflict,
                "standard input can't be both the access token (--token-stdin) and the file (-): use \
                 --token-command or BIGCOMMERCE_ACCESS_TOKEN for the token",
            ));
        }
        Ok(cli)
    }
}

/// Returns `true` if a file that the command reads is standard input.
fn reads_standard_input(matches: &ArgMatches) -> bool {
    // An argument that the command doesn't have is an error.
    let files = matches.try_get_many::<PathBuf>("files").ok().flatten();
    let file = matches.try_get_one::<PathBuf>("file").ok().flatten();
    let mut paths = files.into_iter().flatten().chain(file);
    paths.any(|path| path == Path::new("-"))
}
