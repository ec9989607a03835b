//! The command line.

use std::env;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{
    ArgAction, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
};

use crate::commands::{
    attributes, completions, customers, delete, diff, doctor, export, import, sync,
};
use crate::run::Run;
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

/// The options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Use a store of its own, in this process, with the customers of the data set CDNOW
    #[arg(
        long,
        global = true,
        conflicts_with_all = ["url", "profile", "config", "token_stdin", "token_command"]
    )]
    pub sandbox: bool,
    /// Use the store at this base URL, such as the one that bigcommerce-sandbox prints
    #[arg(long, global = true, value_name = "BASE", conflicts_with_all = ["profile", "config"])]
    pub url: Option<String>,
    /// Use the store of this profile of the configuration file
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Read profiles from this file [default: bigcommerce-attributes/config.toml in the folder of
    /// configuration files]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read the access token from the first line of standard input
    #[arg(long, global = true, conflicts_with = "token_command")]
    pub token_stdin: bool,
    /// Take the access token from the first line that this shell command prints
    #[arg(long, global = true, value_name = "COMMAND")]
    pub token_command: Option<String>,
    /// Share the limits with other processes through this Redis; with a password only as the
    /// environment variable BIGCOMMERCE_REDIS_URL
    #[arg(long, global = true, value_name = "URL")]
    pub redis: Option<String>,
    /// Write data as JSON lines
    #[arg(long, global = true)]
    pub json: bool,
    /// Write a report of the run to this file, as JSON
    #[arg(long, global = true, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Show no progress
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Log what the library does; twice for more. The environment variable BIGCOMMERCE_LOG takes a
    /// filter, such as bigcommerce_ext=debug
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// What all parts of the command share.
    #[arg(skip)]
    pub run: Run,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Import(import::Import),
    Export(export::Export),
    Diff(diff::Diff),
    Sync(sync::Sync),
    Delete(delete::Delete),
    Attributes(attributes::Attributes),
    Customers(customers::Customers),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Man(completions::Man),
}
