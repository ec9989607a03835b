//! Where the access token comes from. It is in no message.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow, bail};

/// The longest line that is read as a token.
const MAX_LENGTH: u64 = 4096;

/// Reads the first line of standard input.
pub fn from_standard_input() -> anyhow::Result<String> {
    if io::stdin().is_terminal() {
        bail!(
            "standard input is a terminal, which would show the access token: redirect a file or a \
             command to it, or give --token-command"
        );
    }
    let mut line = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_LENGTH)
        .read_until(b'\n', &mut line)
        .context("standard input can't be read for the access token")?;
    first_line(&line).ok_or_else(|| {
        anyhow!("standard input has no access token in its first line: write the token to it")
    })
}

/// Runs a command of the shell, and returns the first line that it prints.
pub fn from_shell(command: &str) -> anyhow::Result<String> {
    let mut shell = if cfg!(windows) {
        let mut shell = Command::new("cmd");
        shell.arg("/C");
        shell
    } else {
        let mut shell = Command::new("sh");
        shell.arg("-c");
        shell
    };
    run(shell.arg(command), "the command of --token-command")
}

/// Runs a program, and returns the first line that it prints.
pub fn from_program(program: &str, arguments: &[String]) -> anyhow::Result<String> {
    let shown = format!("the token_command {program:?}");
    run(Command::new(program).args(arguments), &shown)
}

fn run(command: &mut Command, shown: &str) -> anyhow::Result<String> {
    // Standard input may be the data. What the command says on standard error helps its user.
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{shown} can't be run"))?;
    if !output.status.success() {
        bail!(
            "{shown} failed ({}), so there is no access token: run it by hand to see why",
            output.status
        );
    }
    first_line(&output.stdout).ok_or_else(|| {
        anyhow!("{shown} printed no access token in its first line: run it by hand to see why")
    })
}

fn first_line(bytes: &[u8]) -> Option<String> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let line = str::from_utf8(line).ok()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}
