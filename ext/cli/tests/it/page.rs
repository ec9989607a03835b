//! The page of the program: its recordings show what the program prints.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, iter};

use bigcommerce_sandbox::Sandbox;
use tempfile::TempDir;

use crate::support::{Ended, Server, program, run};

/// The base URL of the sandbox on the page.
const URL: &str = "http://127.0.0.1:8787/stores/sandbox/v3";
const END_OF_COMMAND: &str = "== end of the command ==";

/// A command, and what it prints to the terminal.
#[derive(Debug, PartialEq)]
struct Recording {
    command: String,
    output: String,
}

/// Returns the recordings of a page, in their order.
fn recordings(page: &str) -> Vec<Recording> {
    let blocks = page.split("```console\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap_or_default());
    let lines = blocks.flat_map(str::lines);
    let mut recordings: Vec<Recording> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), recordings.last_mut()) {
            (Some(command), _) => recordings.push(Recording {
                command: command.to_owned(),
                output: String::new(),
            }),
            (None, Some(last)) => {
                last.output.push_str(line);
                last.output.push('\n');
            }
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    recordings
}

/// Runs commands in one shell, and returns what each prints.
fn record(commands: &[String], folder: &Path, url: &str) -> Vec<Recording> {
    let script: String = commands
        .iter()
        .map(|command| {
            let command = command.replace(URL, url);
            // The status is kept for a command that shows it.
            format!("{command}\nstatus=$?; echo '{END_OF_COMMAND}'; (exit $status)\n")
        })
        .collect();
    let program = assert_cmd::cargo::cargo_bin("bigcommerce-attributes");
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = iter::once(program.parent().expect("a folder").to_owned());
    let path = env::join_paths(paths.chain(env::split_paths(&path))).expect("a path");
    let script_file = folder.join("script");
    fs::write(&script_file, format!("exec 2>&1\n{script}")).expect("a file");
    let mut shell = Command::new("sh");
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("BIGCOMMERCE_") {
            shell.env_remove(name);
        }
    }
    let output = shell
        .arg(&script_file)
        .current_dir(folder)
        .env("PATH", path)
        .env("HOME", folder)
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null())
        .output()
        .expect("the shell runs");
    let output = String::from_utf8(output.stdout)
        .expect("UTF-8")
        .replace(url, URL);
    let end = format!("{END_OF_COMMAND}\n");
    let outputs = output.split(&end).map(str::to_owned);
    let recordings: Vec<_> = commands.iter().cloned().zip(outputs).collect();
    // What follows the last command's end is empty: a shell that ends early leaves commands out.
    assert_eq!(output.matches(&end).count(), commands.len(), "{output}");
    recordings
        .into_iter()
        .map(|(command, output)| Recording { command, output })
        .collect()
}

/// Replaces the latency, and orders lines that come from two streams.
fn normalized(recordings: Vec<Recording>) -> Vec<Recording> {
    let line = |line: &str| match line.split_once("  latency  ") {
        Some(_) => "a latency".to_owned(),
        None => line.to_owned(),
    };
    let normalize = |recording: Recording| {
        let mut lines: Vec<_> = recording.output.lines().map(line).collect();
        lines.sort();
        Recording {
            output: lines.join("\n"),
            ..recording
        }
    };
    recordings.into_iter().map(normalize).collect()
}

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join("docs/program.md")).expect("a page")
}

#[test]
fn the_configuration_file_on_the_page_is_valid() {
    let page = page();
    let (_, file) = page.split_once("```toml\n").expect("a file");
    let file = file.split("```").next().unwrap_or_default();
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("config.toml");
    fs::write(&path, file).expect("a file");
    let path = path.to_str().expect("UTF-8");
    // The settings are read before the token is missed.
    let ended = run(["doctor", "--config", path, "--profile", "outlet"]);
    assert_eq!(
        ended.stderr,
        "error: the environment variable OUTLET_TOKEN is not set, which profile outlet names for its \
         access token\n"
    );
    let mut program = program(["doctor", "--config", path]);
    let ended: Ended = program
        .env("PATH", "")
        .output()
        .expect("the program runs")
        .into();
    assert!(
        ended
            .stderr
            .starts_with("error: the token_command \"pass\" can't be run: "),
        "{ended:?}"
    );
}

/// Returns the commands of the program that the code of the page shows, in words.
fn shown_commands(page: &str) -> Vec<Vec<String>> {
    let page = page.replace("\\\n", " ");
    let code = page.split("```").skip(1).step_by(2).flat_map(str::lines);
    let commands = code.filter_map(|line| {
        let (_, command) = line.split_once("bigcommerce-attributes ")?;
        let command = command.split(['|', '>', '#']).next()?;
        let words = command.split_whitespace().map(str::to_owned);
        Some(words.collect())
    });
    commands.collect()
}

#[test]
fn the_options_on_the_page_exist() {
    let commands = shown_commands(&page());
    assert!(commands.len() > 15, "{commands:?}");
    let mut options = 0;
    for command in commands {
        let help = run([command[0].as_str(), "--help"]).stdout;
        for option in command.iter().filter(|word| word.starts_with("--")) {
            options += 1;
            let is_known = help.lines().any(|line| {
                line.trim_start()
                    .trim_start_matches("-o, ")
                    .trim_start_matches("-q, ")
                    .trim_start_matches("-y, ")
                    .split_whitespace()
                    .next()
                    == Some(option)
            });
            // Those of the commands of a command.
            let is_nested = ["attributes", "customers"].contains(&command[0].as_str());
            assert!(is_known || is_nested, "{option} of {command:?}");
        }
    }
    assert!(options > 25, "{options}");
}

#[test]
fn the_recordings_show_what_the_program_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shown = recordings(&page());
    assert!(shown.len() > 15, "{}", shown.len());
    let folder = TempDir::new().expect("a folder");
    let data = root.join("ext/examples/cdnow_customers.csv");
    fs::copy(data, folder.path().join("cdnow_customers.csv")).expect("a file");
    let crm = shown
        .iter()
        .find(|recording| recording.command == "cat crm.csv");
    let crm = &crm.expect("the file").output;
    fs::write(folder.path().join("crm.csv"), crm).expect("a file");
    let server = Server::start(Sandbox::builder().cdnow().reject_undefined_attributes(true));
    let commands: Vec<_> = shown
        .iter()
        .map(|recording| recording.command.clone())
        .collect();
    let recorded = record(&commands, folder.path(), server.url());
    for (recorded, shown) in normalized(recorded).into_iter().zip(normalized(shown)) {
        assert_eq!(recorded, shown, "run the command, and mend docs/program.md");
    }
}
