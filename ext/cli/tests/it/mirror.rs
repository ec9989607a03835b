//! The commands `diff` and `sync`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bigcommerce_sandbox::{Fault, FaultPlan, Operation, Sandbox, SandboxBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ended, Server, program};

const HOUR: Duration = Duration::from_secs(3_600);

/// A store, and a folder for files.
struct Case {
    server: Server,
    folder: TempDir,
}

fn store() -> SandboxBuilder {
    Sandbox::builder()
        .attribute(101, "Tier")
        .attribute(102, "Points")
        .attribute(103, "Note")
        .reject_undefined_attributes(true)
        .customers((1..=40).map(|id| (id, format!("customer{id}@example.com"))))
}

impl Case {
    /// Starts a store where 20 customers have two values each, which are an hour old.
    fn start(builder: SandboxBuilder) -> Self {
        let server = Server::start(builder);
        for customer in 1..=20 {
            server.sandbox.insert(customer, 101, "Gold");
            server.sandbox.insert(customer, 102, format!("{customer}0"));
        }
        server.sandbox.advance(HOUR);
        Self {
            server,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).expect("a file");
        path
    }

    fn run(&self, command: &str, file: &Path, options: &[&str]) -> Ended {
        let mut program = program([command]);
        let program = program.arg(file).args(options);
        let program = program.args(["--url", self.server.url()]);
        program.output().expect("the program runs").into()
    }

    /// Returns the values of the store, by customer and attribute.
    fn values(&self) -> Vec<(i64, i64, String)> {
        let values = self.server.sandbox.values().into_iter();
        let mut values: Vec<_> = values
            .map(|value| (value.customer_id, value.attribute_id, value.value))
            .collect();
        values.sort_unstable();
        values
    }

    /// Writes a file that equals the store but for some lines.
    fn write_changed(&self, change: impl Fn(i64) -> Option<String>) -> PathBuf {
        let mut text = "customer_id,Tier,Points\n".to_owned();
        for customer in 1..=20 {
            let line = change(customer).unwrap_or_else(|| format!("{customer},Gold,{customer}0"));
            text.push_str(&line);
            text.push('\n');
        }
        self.write("values.csv", &text)
    }
}

/// A file with a new value, two changed ones, and two that are gone.
fn changed(customer: i64) -> Option<String> {
    match customer {
        1 => Some("1,Silver,10".to_owned()),
        2 => Some("2,\"two\nlines\",".to_owned()),
        3 => Some("3,,30\n21,Gold,".to_owned()),
        _ => None,
    }
}

const DIFFERENCES: &str = "+ 21 \"Tier\" \"Gold\"
~ 1 \"Tier\" \"Gold\" → \"Silver\"
~ 2 \"Tier\" \"Gold\" → \"two\\nlines\"
- 2 \"Points\" \"20\"
- 3 \"Tier\" \"Gold\"
";

#[test]
fn diff_shows_each_difference_and_changes_nothing() {
    let case = Case::start(store());
    let file = case.write_changed(changed);
    let before = case.values();
    let ended = case.run("diff", &file, &[]);
    assert_eq!(ended.status, 4, "{}", ended.stderr);
    assert_eq!(ended.stdout, DIFFERENCES);
    assert_eq!(
        ended.stderr,
        "1 to create, 2 to change, 2 to delete, 36 unchanged\n"
    );
    let dry_run = case.run("sync", &file, &["--dry-run"]);
    assert_eq!(dry_run, ended);
    assert_eq!(case.values(), before);
    assert_eq!(case.server.sandbox.counts().puts, 0);
}

#[test]
fn diff_writes_json_lines() {
    let case = Case::start(store());
    let file = case.write_changed(changed);
    let ended = case.run("diff", &file, &["--json"]);
    assert_eq!(ended.status, 4);
    let lines = ended.stdout.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let kinds: Vec<_> = lines
        .iter()
        .map(|line| line["difference"].as_str())
        .collect();
    let kinds: Vec<_> = kinds.into_iter().flatten().collect();
    assert_eq!(kinds, ["create", "change", "change", "delete", "delete"]);
    assert_eq!(lines[1]["old"], "Gold");
    assert_eq!(lines[1]["row"]["value"], "Silver");
    assert_eq!(
        lines[4],
        json!({
            "difference": "delete", "customer_id": 3, "attribute_id": 101, "attribute": "Tier",
            "value_id": 5005, "old": "Gold",
        })
    );
}

#[test]
fn a_closed_standard_output_ends_diff_quietly() {
    let case = Case::start(store());
    let file = case.write_changed(changed);
    let prepared = program(["diff", "--url", case.server.url()]);
    let mut command = Command::new(prepared.get_program());
    let command = command.args(prepared.get_args()).arg(&file);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a process");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("the end");
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn the_report_of_a_sync_counts_each_value_once() {
    let case = Case::start(store());
    let file = case.write_changed(changed);
    let report = case.path("report.json");
    let path = report.to_str().expect("UTF-8");
    let ended = case.run("sync", &file, &["--yes", "--report", path]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let report = fs::read_to_string(&report).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["command"], "sync");
    assert_eq!(
        report["rows"],
        json!({
            "stored": 3, "unchanged": 36, "deleted": 2, "planned": 0, "superseded": 0, "rejected": 0,
            "unknown": 0, "not_sent": 0,
        })
    );
}

#[test]
fn a_file_that_equals_the_store_has_no_differences() {
    let case = Case::start(store());
    let file = case.write_changed(|_| None);
    for (command, options) in [("diff", &[][..]), ("sync", &["--dry-run"])] {
        let ended = case.run(command, &file, options);
        assert_eq!((ended.status, &*ended.stdout), (0, ""), "{}", ended.stderr);
        assert_eq!(
            ended.stderr,
            "0 to create, 0 to change, 0 to delete, 40 unchanged\n"
        );
    }
}

#[test]
fn sync_makes_the_store_equal_to_the_file() {
    let case = Case::start(store());
    let file = case.write_changed(changed);
    let ended = case.run("sync", &file, &["--yes"]);
    assert_eq!(
        ended,
        Ended {
            status: 0,
            stdout: "41 values in 5 requests: 3 stored, 36 unchanged, 2 deleted, 0 superseded, 0 rejected, \
                     0 unknown, 0 not sent\n"
                .to_owned(),
            stderr: String::new(),
        }
    );
    assert_eq!(case.run("diff", &file, &[]).status, 0);
}

#[test]
fn sync_writes_its_outcomes_as_json_lines() {
    let case = Case::start(store());
    let file = case.write_changed(changed);
    let ended = case.run("sync", &file, &["--json", "--yes"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .starts_with("41 values in 5 requests: 3 stored"),
        "{}",
        ended.stderr
    );
    let lines = ended.stdout.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let is_delete = |line: &&Value| line.get("value_id").is_some();
    assert_eq!(lines.iter().filter(is_delete).count(), 2);
    let stored = lines.iter().filter(|line| line["kind"] == "stored");
    assert_eq!(stored.count(), 3);
    let quiet = case.run("sync", &file, &["--json", "--yes", "--quiet"]);
    assert_eq!((quiet.status, &*quiet.stderr), (0, ""));
}

#[test]
fn customers_by_address_and_values_in_lines_are_compared_too() {
    let case = Case::start(store());
    let lines = (1..=20).flat_map(|id| {
        let email = format!("Customer{id}@example.com");
        let tier = format!(r#"{{"email":"{email}","attribute":"Tier","value":"Gold"}}"#);
        let points = (id != 7)
            .then(|| format!(r#"{{"email":"{email}","attribute":"Points","value":{id}0.0}}"#));
        std::iter::once(tier).chain(points)
    });
    let file = case.write("values.jsonl", &lines.collect::<Vec<_>>().join("\n"));
    let ended = case.run("diff", &file, &[]);
    assert_eq!(
        (ended.status, &*ended.stdout),
        (4, "- 7 \"Points\" \"70\"\n"),
        "{}",
        ended.stderr
    );
    let ended = case.run("sync", &file, &["--yes"]);
    assert_eq!(ended.status, 0, "{} {}", ended.stdout, ended.stderr);
    assert!(case.server.sandbox.value(7, 102).is_none());
    assert_eq!(case.run("diff", &file, &[]).status, 0);
}

#[test]
fn each_guard_holds_the_deletes_back_and_says_what_to_do() {
    let case = Case::start(store());
    let empty = case.write("empty.csv", "customer_id,Tier,Points\n");
    let few = case.write("few.csv", "customer_id,Tier,Points\n1,Gold,10\n");
    let wrong = case.write_changed(|customer| match customer {
        4 => Some("x4,Gold,40".to_owned()),
        _ => None,
    });
    let place = format!(
        "{}:5:customer_id: \"x4\" is not a customer's ID: give a whole number of 1 or more",
        wrong.display()
    );
    let before = case.values();
    for (file, options, expected) in [
        (
            &empty,
            &[][..],
            "error: no value was deleted, because the input is empty: all 40 values would be: check the \
             input; to delete all values, use the command delete\n"
                .to_owned(),
        ),
        (
            &few,
            &[],
            "error: no value was deleted, because 38 of the 40 values would be, and at most 4 may be: \
             check the input, or give --max-deletes\n"
                .to_owned(),
        ),
        (
            &few,
            &["--max-deletes", "37"],
            "error: no value was deleted, because 38 of the 40 values would be, and at most 37 may be: \
             check the input, or give --max-deletes\n"
                .to_owned(),
        ),
        (
            &wrong,
            &["--max-deletes", "100%"],
            format!(
                "{place} (rejected)\nerror: no value was deleted, because it is not known which value a \
                 row means ({place}): correct the row and run it again\n"
            ),
        ),
    ] {
        let options: Vec<_> = options.iter().copied().chain(["--yes"]).collect();
        let ended = case.run("sync", file, &options);
        assert_eq!(ended.status, 1, "{}", ended.stderr);
        assert_eq!(ended.stderr, expected);
        assert_eq!(case.values(), before);
    }
    let ended = case.run("sync", &few, &["--max-deletes", "95%", "--yes"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(case.values().len(), 2);
}

#[test]
fn values_that_were_just_changed_are_kept_and_named_once() {
    let case = Case::start(store());
    for customer in 1..=3 {
        case.server.sandbox.insert(customer, 102, "new");
    }
    let file = case.write_changed(|customer| (customer <= 3).then(|| format!("{customer},Gold,")));
    let ended = case.run("sync", &file, &["--yes"]);
    assert_eq!(ended.status, 1);
    assert_eq!(
        ended.stdout,
        "40 values in 4 requests: 0 stored, 37 unchanged, 0 deleted, 0 superseded, 0 rejected, 0 unknown, \
         3 not sent\n"
    );
    assert_eq!(
        ended.stderr,
        "3 values not sent (the first: customer 1, attribute 102): the value was not deleted, because it \
         was changed less than a minute before the run or during it, or it is not known when: run it \
         again later\n"
    );
}

#[test]
fn only_customers_of_the_file_lose_values_if_that_is_said() {
    let case = Case::start(store());
    let file = case.write("one.csv", "customer_id,Tier,Points\n1,Gold,\n");
    let ended = case.run(
        "sync",
        &file,
        &["--customers-in-input", "--max-deletes", "1", "--yes"],
    );
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(case.values().len(), 39);
    assert!(case.server.sandbox.value(1, 102).is_none());
}

#[test]
fn a_list_that_may_lack_values_makes_the_result_uncertain() {
    let short = || {
        FaultPlan::seeded(1)
            .rate(1.0)
            .only([Fault::ShortPage])
            .operations([Operation::List])
    };
    let case = Case::start(store());
    let file = case.write_changed(|customer| (customer == 3).then(|| "3,Gold,".to_owned()));
    case.server.sandbox.set_faults(short());
    let ended = case.run("sync", &file, &["--require-complete-list", "--yes"]);
    assert_eq!(ended.status, 1);
    assert!(
        ended.stderr.contains("or without --require-complete-list"),
        "{}",
        ended.stderr
    );
    assert!(case.server.sandbox.value(3, 102).is_some());
}

#[test]
fn empty_cells_are_no_values_or_empty_texts_and_never_skipped() {
    let case = Case::start(store());
    let file = case.write_changed(|customer| (customer == 3).then(|| "3,,30".to_owned()));
    for (empty, status, difference) in [
        ("absent", 4, "- 3 \"Tier\" \"Gold\"\n"),
        ("text", 4, "~ 3 \"Tier\" \"Gold\" → \"\"\n"),
        ("skip", 2, ""),
    ] {
        let ended = case.run("diff", &file, &["--empty", empty]);
        assert_eq!(
            (ended.status, &*ended.stdout),
            (status, difference),
            "{}",
            ended.stderr
        );
    }
    let before = case.values();
    let ended = case.run("sync", &file, &["--empty", "skip", "--yes"]);
    assert_eq!(
        (ended.status, case.values()),
        (2, before),
        "{}",
        ended.stderr
    );
}

#[test]
fn standard_input_and_processes_without_a_terminal_need_yes() {
    let case = Case::start(store());
    let before = case.values();
    let file = case.write_changed(changed);
    let ended = case.run("sync", &file, &[]);
    assert_eq!(
        (ended.status, &*ended.stderr),
        (
            2,
            "error: there is no terminal to ask on: add --yes to change the store, or --dry-run to see \
             what would be changed\n"
        )
    );
    assert_eq!(case.server.sandbox.counts().requests, 0);
    assert_eq!(case.values(), before);
    let mut program = program(["sync", "-", "--yes", "--url", case.server.url()]);
    let program = program.write_stdin(fs::read(&file).expect("the file"));
    let ended = Ended::from(program.output().expect("the program runs"));
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(case.run("diff", &file, &[]).status, 0);
}

#[test]
fn what_is_imported_and_exported_does_not_differ_and_ten_changes_are_ten_lines() {
    let case = Case::start(store());
    let odd = "customer_id,Tier,Points,Note
31,\"a, b\",1.50,\"He said \"\"no\"\"\"
32, spaces ,,\"two
lines\"
33,Ünïcödé ✓,-7,'; DROP
";
    let file = case.write("odd.csv", odd);
    let ended = case.run("import", &file, &[]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let exported = case.path("exported.csv");
    let output = exported.to_str().expect("UTF-8");
    let mut export = program(["export", "--output", output, "--url", case.server.url()]);
    export.assert().success();
    let ended = case.run("diff", &exported, &[]);
    assert_eq!((ended.status, &*ended.stdout), (0, ""), "{}", ended.stderr);

    let text = fs::read_to_string(&exported).expect("the export");
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        lines.push(match line.split(',').next() {
            // Four changes, three values that go, and three new ones.
            Some("1") => line.replace("Gold", "Silver"),
            Some("2") => line.replace("Gold", "Bronze").replace("20", "21"),
            Some("3") => line.replace("30", "31"),
            Some("4") => line.replace("Gold", ""),
            Some("5") => "35,Gold,50,new".to_owned(),
            _ => line.to_owned(),
        });
    }
    let changed = case.write("changed.csv", &(lines.join("\n") + "\n"));
    // What was imported is not new any more, so that it may be deleted.
    case.server.sandbox.advance(HOUR);
    let ended = case.run("diff", &changed, &[]);
    assert_eq!(ended.status, 4, "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 10, "{}", ended.stdout);
    let ended = case.run("sync", &changed, &["--yes"]);
    assert_eq!(ended.status, 0, "{} {}", ended.stdout, ended.stderr);
    let ended = case.run("diff", &changed, &[]);
    assert_eq!((ended.status, &*ended.stdout), (0, ""), "{}", ended.stderr);
}

#[test]
fn a_sync_after_a_kill_ends_in_the_state_of_the_file() {
    let case = Case::start(store().latency(Duration::from_millis(20)));
    let mut text = "customer_id,Tier,Points,Note\n".to_owned();
    for customer in 1..=400 {
        // The values of the first two customers go.
        if customer > 2 {
            text.push_str(&format!("{customer},Platinum,{customer},\n"));
        }
    }
    let file = case.write("values.csv", &text);
    let options = ["--yes", "--max-deletes", "4", "--quiet"];
    let prepared = program(["sync"].into_iter().chain(options));
    let mut command = Command::new(prepared.get_program());
    let command = command.args(prepared.get_args()).arg(&file);
    let command = command
        .args(["--url", case.server.url()])
        .stdin(Stdio::null());
    let mut child = command.spawn().expect("a process");
    while case.server.sandbox.counts().puts < 5 {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("a kill");
    child.wait().expect("the end");
    let stored = case
        .values()
        .iter()
        .filter(|(_, _, value)| value == "Platinum")
        .count();
    assert!(
        (1..398).contains(&stored),
        "{stored} were stored before the kill"
    );
    let ended = case.run("sync", &file, &options);
    assert_eq!(ended.status, 0, "{} {}", ended.stdout, ended.stderr);
    let expected: Vec<_> = (3..=400)
        .flat_map(|customer| {
            let points = customer.to_string();
            [
                (customer, 101, "Platinum".to_owned()),
                (customer, 102, points),
            ]
        })
        .collect();
    assert_eq!(case.values(), expected);
}
