//! Tokens, passwords and addresses stay out of what is printed and logged.

use bigcommerce_sandbox::Sandbox;

use crate::support::{Ended, Server, program};

const TOKEN: &str = "s3cr3t-t0ken";

/// Every command, as far as it can run on a store without other files.
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
    ]
}

#[test]
fn no_command_shows_the_token_and_no_record_an_address() {
    for (accepted, which) in [(TOKEN, "right"), ("another", "wrong")] {
        let server = Server::start(Sandbox::builder().cdnow().token(accepted));
        for command in commands() {
            let mut program = program(command.iter().copied());
            program
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
    }
}
