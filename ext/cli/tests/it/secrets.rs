//! Tokens, passwords and addresses stay out of what is printed and logged.

use std::fs;

use bigcommerce_sandbox::Sandbox;
use tempfile::TempDir;

use crate::support::{Ended, Server, program};

const TOKEN: &str = "s3cr3t-t0ken";

/// Every command that talks to a store. The files are in the folder.
fn commands() -> Vec<Vec<&'static str>> {
    vec![
        vec!["attributes", "list", "--count"],
        vec!["attributes", "create", "Joined"],
        vec!["attributes", "rename", "Joined", "Joined on"],
        vec!["attributes", "delete", "Joined on", "--yes"],
        vec![
            "customers",
            "find",
            "customer7@example.com",
            "nobody@example.com",
        ],
        vec!["import", "by_address.csv", "--rejects", "rejects.csv"],
        vec![
            "export",
            "--customers",
            "customer7@example.com",
            "--key",
            "email",
        ],
        vec!["diff", "by_address.csv", "--customers-in-input"],
        vec![
            "sync",
            "by_address.csv",
            "--customers-in-input",
            "--yes",
            "--report",
            "report.json",
        ],
        vec!["delete", "--customers", "customer8@example.com", "--yes"],
        vec!["doctor", "--json"],
    ]
}

const BY_ADDRESS: &str = "\
email,frequency
customer7@example.com,3
nobody@example.com,4
customer9@example.com,many
";

#[test]
fn no_command_shows_the_token_and_no_record_an_address() {
    for (accepted, which) in [(TOKEN, "right"), ("another", "wrong")] {
        let server = Server::start(Sandbox::builder().cdnow().token(accepted));
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("by_address.csv"), BY_ADDRESS).expect("a file");
        for command in commands() {
            let mut program = program(command.iter().copied());
            program
                .current_dir(folder.path())
                .args(["--url", server.url()])
                .env("BIGCOMMERCE_ACCESS_TOKEN", TOKEN)
                .env("BIGCOMMERCE_LOG", "trace")
                .env("RUST_LOG", "trace");
            let ended: Ended = program.output().expect("the program runs").into();
            let shown = format!("{command:?}, {which} token: {ended:?}");
            assert!(
                !ended.stdout.contains(TOKEN) && !ended.stderr.contains(TOKEN),
                "{shown}"
            );
            // Records have a level; other lines of standard error are for the person who typed the
            // address.
            let mut records = ended.stderr.lines().filter(|line| {
                ["TRACE ", "DEBUG ", "INFO ", "WARN ", "ERROR "]
                    .iter()
                    .any(|level| line.contains(level))
            });
            assert!(records.clone().count() > 5, "{shown}");
            let with_address =
                records.find(|line| line.contains("example.com") || line.contains("%40"));
            assert_eq!(with_address, None, "{command:?}");
        }
        for entry in fs::read_dir(folder.path()).expect("a folder") {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).expect("a text");
            assert!(!text.contains(TOKEN), "{}: {text}", path.display());
        }
        let written = folder.path().join("report.json").exists();
        assert!(written, "{which} token");
    }
}
