//! The options of every command.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::run::Run;

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
