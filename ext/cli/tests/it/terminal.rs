//! The program on a pseudo-terminal: progress, questions and Ctrl-C.

use std::process::Command;
use std::time::Duration;

use bigcommerce_sandbox::{Sandbox, SandboxBuilder};
use nix::sys::wait::WaitStatus;
use rexpect::session::{PtySession, spawn_command};

use crate::support::{Server, program};

/// Starts the program on a terminal. Whatever is expected of it may take a minute.
fn spawn<'a>(server: &Server, arguments: impl IntoIterator<Item = &'a str>) -> PtySession {
    let prepared = program(arguments);
    let mut command = Command::new(prepared.get_program());
    command.args(prepared.get_args());
    for (name, value) in prepared.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .args(["--url", server.url()])
        .env("TERM", "xterm-256color");
    spawn_command(command, Some(60_000)).expect("a process on a terminal")
}

/// Waits for the end, and returns the exit status and what was printed until then.
fn end(session: &mut PtySession) -> (i32, String) {
    let rest = session.exp_eof().expect("the end of the output");
    match session.process().wait().expect("the end of the process") {
        WaitStatus::Exited(_, status) => (status, rest),
        other => panic!("{other:?}"),
    }
}

fn server(builder: SandboxBuilder) -> Server {
    let server = Server::start(builder.attribute(101, "Tier"));
    for customer in 1..=1_204 {
        server.sandbox.insert(customer, 101, "Gold");
    }
    server
}

fn delete(server: &Server, option: Option<&'static str>) -> PtySession {
    let arguments = ["delete", "--attributes", "Tier", "--all"];
    spawn(server, arguments.into_iter().chain(option))
}

#[test]
fn a_question_is_answered_by_yes_and_the_values_are_deleted() {
    let server = server(Sandbox::builder());
    let mut session = delete(&server, None);
    let preview = session
        .exp_string("Delete 1,204 values? [y/N] ")
        .expect("a question");
    assert!(
        preview.contains("1,204 values of 1,204 customers selected: \"Tier\" 1,204"),
        "{preview}"
    );
    // One is changed in the meantime in a way that the selection doesn't mind, and one is gone.
    assert!(server.sandbox.remove(5_001));
    let added = server.sandbox.insert(9_999, 101, "New");
    session.send_line("y").expect("an answer");
    session
        .exp_string("1 value is no longer selected")
        .expect("a hint");
    let (status, rest) = end(&mut session);
    assert!(rest.contains("1,203 values in "), "{rest}");
    assert_eq!(status, 0);
    let left: Vec<_> = server
        .sandbox
        .values()
        .iter()
        .map(|value| value.id)
        .collect();
    assert_eq!(left, [added]);
}

#[test]
fn a_question_is_answered_by_no_and_nothing_is_deleted() {
    for answer in ["n", "", "what?"] {
        let server = server(Sandbox::builder());
        let mut session = delete(&server, None);
        session.exp_string("[y/N] ").expect("a question");
        session.send_line(answer).expect("an answer");
        session
            .exp_string("Nothing was deleted.")
            .expect("a confirmation");
        assert_eq!(end(&mut session).0, 1, "{answer:?}");
        assert_eq!(server.sandbox.counts().deletes, 0, "{answer:?}");
    }
}

#[test]
fn a_question_is_answered_by_ctrl_c_and_nothing_is_deleted() {
    let server = server(Sandbox::builder());
    let mut session = delete(&server, None);
    session.exp_string("[y/N] ").expect("a question");
    session.send_control('c').expect("Ctrl-C");
    session
        .exp_string("Nothing was deleted.")
        .expect("a confirmation");
    assert_eq!(end(&mut session).0, 130);
    assert_eq!(server.sandbox.counts().deletes, 0);
}

/// The quota allows for the lists and for two deletes.
fn server_with_a_spent_quota() -> Server {
    server(Sandbox::builder().quota(9, Duration::from_secs(60)))
}

#[test]
fn the_progress_shows_rows_and_why_nothing_happens_and_ctrl_c_ends_it() {
    let server = server_with_a_spent_quota();
    let mut session = delete(&server, Some("--yes"));
    let (_, shown) = session
        .exp_regex(r"[0-9,]+ rows, [0-9,]+/s; waiting [0-9]+ s: the quota is spent")
        .expect("a wait with its reason");
    session.send_control('c').expect("Ctrl-C");
    session
        .exp_string("Stopping: requests in flight finish. Press Ctrl-C again to stop at once.")
        .expect("what happens now");
    let (status, rest) = end(&mut session);
    assert!(rest.contains(" not sent"), "{shown} {rest}");
    assert_eq!(status, 130);
}

#[test]
fn ctrl_c_twice_ends_at_once_without_waiting_for_requests() {
    // Longer than any test waits.
    let server = server(Sandbox::builder().latency(Duration::from_secs(3_600)));
    let mut session = delete(&server, Some("--yes"));
    wait_for(|| server.sandbox.counts().in_flight > 0);
    session.send_control('c').expect("Ctrl-C");
    session
        .exp_string("Press Ctrl-C again to stop at once.")
        .expect("what happens now");
    session.send_control('c').expect("Ctrl-C");
    assert_eq!(end(&mut session).0, 130);
}

#[test]
fn a_quiet_program_shows_no_progress() {
    let server = server_with_a_spent_quota();
    let mut session = delete(&server, Some("--yes"));
    session.exp_string("waiting").expect("a wait");
    session.send_control('c').expect("Ctrl-C");
    end(&mut session);
    let server = server_with_a_spent_quota();
    let mut session = spawn(
        &server,
        ["delete", "--attributes", "Tier", "--all", "--yes", "-q"],
    );
    wait_for(|| server.sandbox.counts().requests == 9);
    session.send_control('c').expect("Ctrl-C");
    let (_, rest) = end(&mut session);
    assert!(!rest.contains("waiting") && !rest.contains("/s"), "{rest}");
}

/// Waits until the condition is met.
fn wait_for(condition: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the condition is not met");
}
