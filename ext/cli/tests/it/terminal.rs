//! The program on a pseudo-terminal: progress, questions and Ctrl-C.

use std::process::Command;
use std::time::Duration;

use bigcommerce_sandbox::{Sandbox, SandboxBuilder};
use nix::sys::wait::WaitStatus;
use rexpect::session::{PtySession, spawn_command};

use crate::support::{Server, program};

/// Starts the program on a terminal. Whatever is expected of it may take a minute.
pub fn spawn<'a>(server: &Server, arguments: impl IntoIterator<Item = &'a str>) -> PtySession {
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
pub fn end(session: &mut PtySession) -> (i32, String) {
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
    assert!(rest.contains(" not sent"), "{status} {shown} {rest:?}");
    assert_eq!(status, 130);
}

#[test]
fn ctrl_c_twice_ends_at_once_without_waiting_for_requests() {
    // Longer than any test waits.
    let server = Server::start(Sandbox::builder().latency(Duration::from_secs(3_600)));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiers.csv");
    std::fs::write(&path, "customer_id,Tier\n1,Gold\n").expect("a file");
    let path = path.to_str().expect("UTF-8");
    let mut session = spawn(&server, ["import", path, "--attribute", "Tier=101"]);
    wait_for(|| server.sandbox.counts().in_flight > 0);
    session.send_control('c').expect("Ctrl-C");
    session
        .exp_string("Press Ctrl-C again to stop at once.")
        .expect("what happens now");
    session.send_control('c').expect("Ctrl-C");
    let (status, rest) = end(&mut session);
    assert_eq!(status, 130);
    // The run has not come to its end.
    assert!(!rest.contains("values of"), "{rest}");
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

/// A store where twenty customers have a tier, and a file with one of them changed and one without.
fn mirrored() -> (Server, tempfile::TempDir, String) {
    let server = Server::start(Sandbox::builder().attribute(101, "Tier"));
    for customer in 1..=20 {
        server.sandbox.insert(customer, 101, "Gold");
    }
    server.sandbox.advance(Duration::from_secs(3_600));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiers.csv");
    let lines = (2..=20).map(|customer| match customer {
        2 => "2,Silver\n".to_owned(),
        _ => format!("{customer},Gold\n"),
    });
    let text = "customer_id,Tier\n".to_owned() + &lines.collect::<String>();
    std::fs::write(&path, text).expect("a file");
    let path = path.to_str().expect("UTF-8").to_owned();
    (server, folder, path)
}

#[test]
fn sync_shows_the_differences_and_asks() {
    let (server, _folder, path) = mirrored();
    let mut session = spawn(&server, ["sync", &path]);
    let shown = session
        .exp_string("Store 1 value and delete 1? [y/N] ")
        .expect("a question");
    assert!(shown.contains("~ 2 \"Tier\" \"Gold\""), "{shown}");
    assert!(shown.contains("- 1 \"Tier\" \"Gold\""), "{shown}");
    assert!(
        shown.contains("0 to create, 1 to change, 1 to delete, 18 unchanged"),
        "{shown}"
    );
    session.send_line("y").expect("an answer");
    let (status, rest) = end(&mut session);
    assert!(rest.contains("1 stored, 18 unchanged, 1 deleted"), "{rest}");
    assert_eq!(status, 0);
    assert!(server.sandbox.value(1, 101).is_none());
    assert_eq!(server.sandbox.values().len(), 19);
}

#[test]
fn sync_changes_nothing_without_a_yes() {
    let (server, _folder, path) = mirrored();
    let mut session = spawn(&server, ["sync", &path]);
    session.exp_string("[y/N] ").expect("a question");
    session.send_line("n").expect("an answer");
    session
        .exp_string("Nothing was changed.")
        .expect("a confirmation");
    assert_eq!(end(&mut session).0, 1);
    let counts = server.sandbox.counts();
    assert_eq!((counts.puts, counts.deletes), (0, 0));
}

#[test]
fn sync_deletes_no_more_than_the_question_was_about() {
    let (server, _folder, path) = mirrored();
    let mut session = spawn(&server, ["sync", &path, "--max-deletes", "100%"]);
    session.exp_string("[y/N] ").expect("a question");
    // Another value that the file doesn't have, an hour ago by the store's calendar.
    server.sandbox.insert(21, 101, "Gold");
    server.sandbox.advance(Duration::from_secs(3_600));
    session.send_line("y").expect("an answer");
    session
        .exp_string("2 of the 21 values would be, and at most 1 may be")
        .expect("the guard");
    assert_eq!(end(&mut session).0, 1);
    assert_eq!(server.sandbox.counts().deletes, 0);
}

#[test]
fn a_file_that_changes_during_the_question_is_not_used() {
    let (server, _folder, path) = mirrored();
    let mut session = spawn(&server, ["sync", &path]);
    session.exp_string("[y/N] ").expect("a question");
    std::fs::write(&path, "customer_id,Tier\n2,Bronze\n").expect("a file");
    session.send_line("y").expect("an answer");
    session
        .exp_string("has changed since it was compared, so nothing was changed")
        .expect("an error");
    assert_eq!(end(&mut session).0, 2);
    assert_eq!(server.sandbox.counts().puts, 0);
}

#[test]
fn an_import_shows_how_far_it_is_and_finishes_what_is_in_flight() {
    let server = Server::start(
        Sandbox::builder()
            .attribute(101, "Tier")
            .latency(Duration::from_secs(1)),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiers.csv");
    let lines: String = (1..=5_000)
        .map(|customer| format!("{customer},Gold\n"))
        .collect();
    std::fs::write(&path, "customer_id,Tier\n".to_owned() + &lines).expect("a file");
    let mut session = spawn(&server, ["import", path.to_str().expect("UTF-8")]);
    // 500 batches of a second each, three at a time: it has not ended before Ctrl-C.
    session
        .exp_regex(r"[1-9][0-9]* rows, [0-9]+/s, [0-9]+%, ([0-9]+ min )?[0-9]+ s left")
        .expect("the progress");
    session.send_control('c').expect("Ctrl-C");
    session
        .exp_string("requests in flight finish")
        .expect("what happens now");
    let (status, rest) = end(&mut session);
    assert_eq!(status, 130, "{rest}");
    let counts = server.sandbox.counts();
    assert!(
        counts.puts > 0 && counts.rows_stored == counts.puts * 10,
        "{counts:?}"
    );
    let stored = format!(" {} stored", counts.rows_stored);
    assert!(rest.contains(&stored), "{stored}: {rest}");
}
