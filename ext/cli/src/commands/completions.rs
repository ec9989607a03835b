//! The commands `completions` and `man`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command, ValueEnum as _};
use clap_complete::Shell;

use crate::status::{Failure, Status};

const NAME: &str = "bigcommerce-attributes";

/// Print the completions for a shell
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell; or all of them, into a folder
    #[arg(
        value_enum,
        required_unless_present = "output",
        conflicts_with = "output"
    )]
    shell: Option<Shell>,
    /// Write the completions for all shells into this folder
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

impl Completions {
    pub fn run(self, mut program: Command) -> Result<Status, Failure> {
        match (self.shell, self.output) {
            (Some(shell), _) => {
                let mut text = Vec::new();
                clap_complete::generate(shell, &mut program, NAME, &mut text);
                print(&text)?;
            }
            (None, Some(folder)) => {
                create(&folder)?;
                for &shell in Shell::value_variants() {
                    clap_complete::generate_to(shell, &mut program, NAME, &folder)
                        .with_context(|| cannot_write(&folder))
                        .map_err(Failure::usage)?;
                }
            }
            // clap requires one of them.
            (None, None) => {}
        }
        Ok(Status::Done)
    }
}

/// Print the manual page, or write a page per command into a folder
#[derive(Debug, Args)]
pub struct Man {
    /// Write the page of the program and a page of each command into this folder
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

impl Man {
    pub fn run(self, program: Command) -> Result<Status, Failure> {
        // A page about the help of the help helps nobody.
        let program = program.disable_help_subcommand(true);
        match self.output {
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(program)
                    .render(&mut page)
                    .context("the page can't be made")
                    .map_err(Failure::usage)?;
                print(&page)?;
            }
            Some(folder) => {
                create(&folder)?;
                clap_mangen::generate_to(program, &folder)
                    .with_context(|| cannot_write(&folder))
                    .map_err(Failure::usage)?;
            }
        }
        Ok(Status::Done)
    }
}

fn create(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} can't be created", folder.display()))
        .map_err(Failure::usage)
}

fn cannot_write(folder: &Path) -> String {
    format!("the folder {} can't be written to", folder.display())
}

/// Writes to standard output. A reader that has gone, as `head`, is no failure.
fn print(text: &[u8]) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::usage(
            anyhow::Error::new(error).context("standard output can't be written to"),
        )),
        _ => Ok(()),
    }
}
