//! What all commands have in common: the report, signals, a closed output, and exit statuses.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox, SandboxBuilder};
use serde_json::{Value, json};

use crate::support::{Ended, Server, program};

fn server(builder: SandboxBuilder) -> Server {
    let server = Server::start(builder.attribute(101, "Tier"));
    for customer in 1..=3 {
        server.sandbox.insert(customer, 101, "Gold");
    }
    server
}

const DELETE: [&str; 4] = ["delete", "--attributes", "Tier", "--all"];

/// Runs a delete with a report, and returns how it ended and the report.
fn report_of(server: &Server, option: &str) -> (Ended, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.json");
    let mut program = program(DELETE);
    let program = program.args([option, "--url", server.url(), "--report"]);
    let ended = program
        .arg(&path)
        .output()
        .expect("the program runs")
        .into();
    let report = fs::read_to_string(&path).expect("a report");
    (ended, serde_json::from_str(&report).expect("JSON"))
}

/// Checks the parts of a report that differ from run to run, and takes them out.
fn without_times(mut report: Value, server: &Server) -> Value {
    let fields = report.as_object_mut().expect("an object");
    let started = fields.remove("started_at").expect("a time");
    let started = started.as_str().expect("a text");
    assert!(started.len() == 20 && started.ends_with('Z'), "{started}");
    assert!(fields.remove("duration_ms").expect("a time").is_u64());
    assert_eq!(fields.remove("store"), Some(server.url().into()));
    assert_eq!(
        fields.remove("program"),
        Some("bigcommerce-attributes".into())
    );
    assert_eq!(
        fields.remove("version"),
        Some(env!("CARGO_PKG_VERSION").into())
    );
    report
}

fn rows(deleted: u64, not_sent: u64) -> Value {
    json!({
        "stored": 0, "unchanged": 0, "deleted": deleted, "planned": 0, "superseded": 0,
        "rejected": 0, "unknown": 0, "not_sent": not_sent,
    })
}

#[test]
fn the_report_says_what_ran_and_what_happened() {
    let server = server(Sandbox::builder());
    // The second request, a list of values, is repeated.
    server
        .sandbox
        .set_faults(FaultPlan::script([None, Some(Fault::Busy)]));
    let (ended, report) = report_of(&server, "--yes");
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let mut report = without_times(report, &server);
    let waits = report["waits"]["busy"].take();
    assert_eq!(waits["count"], 1);
    assert!(waits["time_ms"].as_u64() > Some(0), "{waits}");
    assert_eq!(
        report,
        json!({
            "command": "delete",
            "exit_status": 0,
            "error": null,
            "rows": rows(3, 0),
            "listed": 3,
            "requests": 5,
            "retries": 1,
            "splits": 0,
            "waits": {"busy": null},
            "outages": 0,
            "time_down_ms": 0,
        })
    );
}

#[test]
fn the_report_of_a_run_that_failed_has_its_error() {
    let server = server(Sandbox::builder().read_only());
    let (ended, report) = report_of(&server, "--yes");
    assert_eq!(ended.status, 3);
    let report = without_times(report, &server);
    assert_eq!(report["error"]["kind"], "forbidden");
    assert_eq!(
        (&report["exit_status"], &report["rows"]),
        (&json!(3), &rows(0, 3))
    );
    // A failure before the work.
    let (ended, report) = report_of(&server, "--quiet");
    assert_eq!(ended.status, 2);
    assert_eq!(report["error"]["kind"], Value::Null);
    let message = report["error"]["message"].as_str().expect("a text");
    assert!(
        message.ends_with("so nothing was changed: add --yes"),
        "{message}"
    );
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_before_the_run() {
    let server = server(Sandbox::builder());
    let mut program = program(DELETE);
    let program = program.args([
        "--yes",
        "--url",
        server.url(),
        "--report",
        "/nonexistent/r.json",
    ]);
    let ended = Ended::from(program.output().expect("the program runs"));
    assert_eq!(ended.status, 2);
    assert!(
        ended
            .stderr
            .starts_with("error: the report /nonexistent/r.json can't be written: "),
        "{}",
        ended.stderr
    );
    assert_eq!(server.sandbox.counts().requests, 0);
}

/// Starts a process whose output is read later.
fn start(server: &Server, command: &[&str], options: &[&str]) -> Child {
    let prepared = program(command.iter().copied().chain(options.iter().copied()));
    let mut command = Command::new(prepared.get_program());
    command.args(prepared.get_args());
    command
        .args(["--url", server.url()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("a process")
}

#[test]
fn a_closed_standard_output_ends_the_program_quietly() {
    let server = server(Sandbox::builder());
    let mut child = start(&server, &DELETE, &["--yes", "--json"]);
    drop(child.stdout.take());
    let mut stderr = String::new();
    let pipe = child.stderr.as_mut().expect("a pipe");
    pipe.read_to_string(&mut stderr).expect("the messages");
    assert_eq!(child.wait().expect("the end").code(), Some(1));
    assert_eq!(stderr, "3 values of 3 customers selected: \"Tier\" 3\n");
}

#[test]
fn a_closed_standard_output_ends_an_export_quietly() {
    for layout in ["--layout=wide", "--layout=long", "--json"] {
        let server = Server::start(Sandbox::builder().cdnow());
        let mut child = start(&server, &["export"], &[layout]);
        drop(child.stdout.take());
        let mut stderr = String::new();
        let pipe = child.stderr.as_mut().expect("a pipe");
        pipe.read_to_string(&mut stderr).expect("the messages");
        assert_eq!(child.wait().expect("the end").code(), Some(1), "{layout}");
        assert_eq!(stderr, "", "{layout}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_an_error() {
    let server = server(Sandbox::builder());
    let mut command = program(DELETE);
    let command = command.args(["--yes", "--json", "--url", server.url()]);
    let mut full = Command::new(command.get_program());
    full.args(command.get_args());
    full.stdout(
        fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("a full device"),
    );
    let ended = full
        .stderr(Stdio::piped())
        .output()
        .expect("the program runs");
    assert_eq!(ended.status.code(), Some(2));
    let stderr = String::from_utf8(ended.stderr).expect("UTF-8");
    assert!(
        stderr.contains("error: standard output can't be written to: No space left on device"),
        "{stderr}"
    );
}

#[cfg(unix)]
#[test]
fn signals_have_their_statuses_and_the_report_is_written() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    for (signal, times, status, again) in [
        (Signal::SIGINT, 1, 130, "Press Ctrl-C"),
        (Signal::SIGINT, 2, 130, "Press Ctrl-C"),
        (Signal::SIGTERM, 1, 143, "Send the signal"),
        (Signal::SIGTERM, 2, 143, "Send the signal"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let report = folder.path().join("report.json");
        let path = report.to_str().expect("UTF-8");
        let input = folder.path().join("tiers.csv");
        fs::write(&input, "customer_id,Tier\n1,Gold\n").expect("a file");
        let input = input.to_str().expect("UTF-8");
        // Once: nothing is in flight, since the quota is spent. Twice: an upsert that never ends is.
        let import = ["import", input, "--attribute", "Tier=101", "--report", path];
        let builder = match times {
            1 => Sandbox::builder().quota(1, Duration::from_secs(60)),
            _ => Sandbox::builder().latency(Duration::from_secs(3_600)),
        };
        let server = server(builder);
        let mut child = match times {
            1 => start(&server, &DELETE, &["--yes", "--report", path]),
            _ => start(&server, &import, &[]),
        };
        let id = Pid::from_raw(child.id().try_into().expect("a process ID"));
        let mut stderr = child.stderr.take().expect("a pipe");
        while server.sandbox.counts().requests == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut shown = Vec::new();
        for _ in 0..times {
            kill(id, signal).expect("a signal");
            let mut byte = [0];
            // Up to the end of the message, or of the output.
            while stderr.read(&mut byte).expect("the messages") > 0 {
                shown.push(byte[0]);
                if byte == *b"\n" {
                    break;
                }
            }
        }
        assert_eq!(
            child.wait().expect("the end").code(),
            Some(status),
            "{signal} {times}"
        );
        assert_eq!(
            String::from_utf8(shown).expect("UTF-8"),
            format!("Stopping: requests in flight finish. {again} again to stop at once.\n")
        );
        let report = fs::read_to_string(report).expect("a report");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(report["exit_status"], status);
    }
}

#[test]
fn a_store_that_cannot_be_reached_has_a_status_of_its_own() {
    let mut program = program(DELETE);
    let program = program
        .args(["--yes", "--url", "https://store.invalid/stores/abc/v3"])
        .env("BIGCOMMERCE_ACCESS_TOKEN", "a-token");
    let ended = Ended::from(program.output().expect("the program runs"));
    assert_eq!(ended.status, 5, "{}", ended.stderr);
    assert!(ended.stderr.contains("store.invalid"), "{}", ended.stderr);
}

#[test]
fn a_line_tells_the_progress_where_there_is_no_terminal() {
    // The list of attributes takes them.
    let server = server(Sandbox::builder().quota(2, Duration::from_secs(60)));
    let mut child = start(&server, &DELETE, &["--yes"]);
    let stderr = child.stderr.take().expect("a pipe");
    // The line comes after ten seconds.
    let lines = BufReader::new(stderr)
        .lines()
        .map(|line| line.expect("a line"));
    let line = lines.take(1).next().expect("the progress");
    child.kill().expect("a kill");
    child.wait().expect("the end");
    assert!(line.starts_with("0 rows; waiting "), "{line}");
    assert!(line.ends_with(" s: the quota is spent"), "{line}");
}

#[test]
fn an_outage_is_told_once_and_reported() {
    // Three are in flight at once, so the first five to end are among the first seven.
    let faults = FaultPlan::script([Some(Fault::Unavailable); 7]);
    let server = server(Sandbox::builder().faults(faults));
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name| folder.path().join(name).display().to_string();
    let (input, report) = (path("tiers.csv"), path("report.json"));
    let lines: String = (1..=60)
        .map(|customer| format!("{customer},Silver\n"))
        .collect();
    fs::write(&input, "customer_id,Tier\n".to_owned() + &lines).expect("a file");
    let mut program = program([
        "import",
        &input,
        "--attribute",
        "Tier=101",
        "--report",
        &report,
    ]);
    let program = program.args(["--url", server.url()]);
    let ended = Ended::from(program.output().expect("the program runs"));
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let lines = ended.stderr.lines();
    let lines: Vec<_> = lines
        .filter(|line| line.starts_with("The store is"))
        .collect();
    let [down, up] = lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(
        down,
        "The store is down: five requests in a row have failed. One request at a time tries again."
    );
    assert!(up.starts_with("The store is up again, after "), "{up}");
    let report = fs::read_to_string(&report).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["outages"], 1);
    assert!(report["time_down_ms"].as_u64() > Some(0), "{report}");
    assert_eq!(report["rows"]["stored"], 60);
}
