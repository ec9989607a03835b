//! The files of `import --rejects` and `import --checkpoint`.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use bigcommerce_sandbox::Sandbox;

use crate::files::{Shop, last_line, small};

const TIME_LIMIT: Duration = Duration::from_secs(120);

/// A store that rejects the values `bad` and `worse`.
fn picky() -> Shop {
    let rule = |_, _, value: &str| (value.starts_with("bad")).then(|| "is bad".to_owned());
    Shop::start(small().reject(rule))
}

/// Starts the program, for tests that send it a signal.
fn spawn(shop: &Shop, arguments: &[&str], stderr: Stdio) -> std::process::Child {
    let program = shop.program(arguments);
    let mut command = std::process::Command::new(program.get_program());
    command
        .args(program.get_args())
        .current_dir(shop.folder.path())
        .stdout(Stdio::null())
        .stderr(stderr);
    command.spawn().expect("the program")
}

#[test]
fn seven_bad_rows_mended_by_hand_complete_the_import() {
    let shop = picky();
    let long = "x".repeat(256);
    let good: String = (100..200).map(|id| format!("{id},Gold,{id}\n")).collect();
    let bad = format!(
        "abc,Gold,1\n12,Gold\n13,bad,1\n14,Gold,bad\n15,Gold,1,extra\n16,{long},1\nnobody,,1\n"
    );
    shop.write("a.csv", format!("customer_id,Tier,Points\n{good}{bad}"));
    let ended = shop.run(&["import", "a.csv", "--rejects", "rejects.csv"]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert_eq!(
        last_line(&ended.stderr),
        "The rows that were not stored are in rejects.csv: mend them, and import the file."
    );
    let rejects = shop.read("rejects.csv");
    let lines: BTreeSet<_> = rejects.lines().collect();
    assert_eq!(
        rejects.lines().next(),
        Some("customer_id,Tier,Points,status,error")
    );
    assert_eq!(lines.len(), 8, "{rejects}");
    let long_line =
        format!("16,{long},,rejected,value has 256 characters: longer than 255 characters");
    for expected in [
        "abc,Gold,1,rejected,\"\"\"abc\"\" is not a customer's ID: give a whole number of 1 or more\"",
        "12,Gold,rejected,\"the line has 2 cells, and the header 3\"",
        "15,Gold,1,extra,rejected,\"the line has 4 cells, and the header 3\"",
        "nobody,,1,rejected,\"\"\"nobody\"\" is not a customer's ID: give a whole number of 1 or more\"",
        &long_line,
    ] {
        assert!(lines.contains(expected), "{expected}\n{rejects}");
    }
    for start in ["13,bad,,rejected,", "14,,bad,rejected,"] {
        assert!(
            lines.iter().any(|line| line.starts_with(start)),
            "{rejects}"
        );
    }
    // As it is, it stores nothing, and what it rejects is the same again.
    let stored = shop.sandbox().counts().rows_stored;
    let ended = shop.run(&["import", "rejects.csv", "--rejects", "again.csv"]);
    assert_eq!(
        (ended.status, shop.sandbox().counts().rows_stored),
        (1, stored),
        "{ended:?}"
    );
    let starts = |text: &str| -> BTreeSet<String> {
        let lines = text
            .lines()
            .skip(1)
            .map(|line| line.split(",rejected,").next().expect("cells").to_owned());
        lines.collect()
    };
    assert_eq!(starts(&shop.read("again.csv")), starts(&rejects));

    let mended = rejects
        .replace("abc,", "11,")
        .replace("12,Gold,rejected", "12,Gold,,rejected")
        .replace("13,bad", "13,Silver")
        .replace("14,,bad", "14,,30")
        .replace("15,Gold,1,extra", "15,Gold,1")
        .replace(&long, "Bronze")
        .replace("nobody,", "17,");
    shop.write("mended.csv", mended);
    let ended = shop.run(&["import", "mended.csv", "--rejects", "again.csv"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(
        ended
            .stderr
            .starts_with("note: the columns status and error are those of rejected rows")
    );
    assert!(!shop.path("again.csv").exists(), "a file without rows");
    let values = shop.values();
    for (customer, tier, points) in [
        (11, Some("Gold"), Some("1")),
        (12, Some("Gold"), None),
        (13, Some("Silver"), Some("1")),
        (14, Some("Gold"), Some("30")),
        (15, Some("Gold"), Some("1")),
        (16, Some("Bronze"), Some("1")),
        (17, None, Some("1")),
        (199, Some("Gold"), Some("199")),
    ] {
        let value = |attribute| values.get(&(customer, attribute)).map(String::as_str);
        assert_eq!(
            (value(101), value(102)),
            (tier, points),
            "customer {customer}"
        );
    }
}

#[test]
fn rejects_have_the_form_of_the_input() {
    let long = "customer,attribute,value\njoe@example.com,Tier,bad\nnobody@example.com,101,Gold\n7,Tier,Gold\n";
    let tabs = "email\tTier\njoe@example.com\tbad\nnobody@example.com\t\"Go\tld\"\n";
    let json = "{\"customer\":\"joe@example.com\",\"attribute\":\"Tier\",\"value\":\"bad\"}\n{\"customer\":1}\n{]\n";
    let wide = "{\"email\":\"joe@example.com\",\"Tier\":\"bad\",\"Points\":1}\n{\"customer_id\":7,\"Tier\":[]}\n";
    let sent = "bad,rejected,";
    for (name, text, option, expected) in [
        (
            "a.csv",
            long,
            &[][..],
            &[
                "customer,attribute,value,status,error",
                &format!("joe@example.com,Tier,{sent}"),
                "nobody@example.com,101,Gold,rejected,",
            ][..],
        ),
        (
            "a.tsv",
            tabs,
            &["--delimiter", "tab"],
            &[
                "email\tTier\tstatus\terror",
                "joe@example.com\tbad\trejected\t",
                "nobody@example.com\t\"Go\tld\"\trejected\t",
            ],
        ),
        (
            "a.jsonl",
            json,
            &[],
            &[
                "{\"attribute\":\"Tier\",\"email\":\"joe@example.com\",\"error\":",
                "{\"customer\":1,\"error\":\"the field attribute is missing\",\"status\":\"rejected\"}",
                "{]",
            ],
        ),
        (
            "b.jsonl",
            wide,
            &[],
            &[
                "{\"Tier\":\"bad\",\"email\":\"joe@example.com\",\"error\":",
                "{\"Tier\":[],\"customer_id\":7,\"error\":",
            ],
        ),
    ] {
        let shop = picky();
        shop.write(name, text);
        let ended = shop.run(&[&["import", name, "--rejects", "r"], option].concat());
        assert_eq!(ended.status, 1, "{ended:?}");
        let rejects = shop.read("r");
        assert_eq!(rejects.lines().count(), expected.len(), "{rejects}");
        for start in expected {
            assert!(
                rejects.lines().any(|line| line.starts_with(start)),
                "{start}\n{rejects}"
            );
        }
        // The same rows are rejected again, mended or not.
        let format = if name.contains("json") { "json" } else { "csv" };
        let again = ["import", "r", "--format", format, "--rejects", "again"];
        let ended = shop.run(&[&again, option].concat());
        assert_eq!(ended.status, 1, "{ended:?}");
        assert_eq!(
            shop.read("again").lines().count(),
            expected.len(),
            "{name}: {ended:?} {}",
            shop.read("again")
        );
    }
}

#[test]
fn where_empty_cells_mean_something_rejected_lines_are_whole() {
    let shop = picky();
    shop.sandbox().insert(13, 102, "old");
    shop.write("a.csv", "customer_id,Tier,Points\n13,bad,30\n14,bad,\n");
    let arguments = ["import", "a.csv", "--empty", "absent", "--rejects", "r.csv"];
    let ended = shop.run(&arguments);
    assert_eq!(ended.status, 1, "{ended:?}");
    let mended = shop.read("r.csv").replace("bad", "Gold");
    // An empty cell for the good value would delete it.
    assert!(mended.contains("\n13,Gold,30,rejected,"), "{mended}");
    shop.write("r.csv", mended);
    let ended = shop.run(&["import", "r.csv", "--empty", "absent"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(
        shop.values().get(&(13, 102)).map(String::as_str),
        Some("30")
    );
}

#[test]
fn attributes_called_status_and_error_are_stored_if_they_are_named() {
    let shop = Shop::start(small().attribute(103, "status").attribute(104, "error"));
    shop.write("a.csv", "customer_id,Tier,status,error\n7,Gold,on,none\n");
    shop.write(
        "a.jsonl",
        "{\"customer_id\":8,\"Tier\":\"Gold\",\"status\":\"on\",\"error\":\"none\"}\n",
    );
    // One of them alone means the attribute.
    shop.write("b.csv", "customer_id,status\n9,on\n");
    let ended = shop.run(&["import", "a.csv", "a.jsonl"]);
    assert_eq!((ended.status, shop.values().len()), (0, 2), "{ended:?}");
    assert!(
        ended.stderr.contains("give --attribute status=status"),
        "{ended:?}"
    );
    let named = ["--attribute", "status=status", "--attribute", "error=104"];
    let ended = shop.run(&[&["import", "a.csv", "a.jsonl"], &named[..]].concat());
    assert_eq!(
        (ended.status, &*ended.stderr, shop.values().len()),
        (0, "", 6),
        "{ended:?}"
    );
    let ended = shop.run(&["import", "b.csv"]);
    assert_eq!(
        (ended.status, &*ended.stderr, shop.values().len()),
        (0, "", 7),
        "{ended:?}"
    );
}

#[test]
fn a_file_of_rejects_that_can_not_be_written_is_told_before_anything_is_sent() {
    let shop = Shop::small();
    shop.write("a.csv", "customer_id,Tier\n7,Gold\n");
    shop.write("b.csv", "customer_id,Points\n7,1\n");
    for (arguments, expected) in [
        (
            &["a.csv", "--rejects", "no/r.csv"][..],
            "the rejected rows can't be written to no/r.csv: No such file",
        ),
        (
            &["a.csv", "--rejects", "./a.csv"],
            "can't be written to ./a.csv: it is read, too: give it another name",
        ),
        (
            &["a.csv", "b.csv", "--rejects", "r.csv"],
            "the files have different columns: import them one by one",
        ),
    ] {
        let ended = shop.run(&[&["import"], arguments].concat());
        assert_eq!(ended.status, 2, "{ended:?}");
        assert!(ended.stderr.contains(expected), "{ended:?}");
    }
    assert_eq!(shop.sandbox().counts().puts, 0);
    assert_eq!(shop.read("a.csv"), "customer_id,Tier\n7,Gold\n");
}

#[test]
fn a_killed_import_goes_on_where_its_checkpoint_says() {
    let (sender, receiver) = mpsc::channel();
    let rule = move |customer, _, value: &str| {
        if customer == 3_500 {
            // The test has gone after the kill.
            sender.send(()).ok();
        }
        (value == "bad").then(|| "is bad".to_owned())
    };
    let shop = Shop::start(Sandbox::builder().attribute(101, "Tier").reject(rule));
    let rows: String = (1..=5_000)
        .map(|id| match id {
            2_000 | 4_000 => format!("{id},bad\n"),
            _ => format!("{id},Gold\n"),
        })
        .collect();
    shop.write("a.csv", format!("customer_id,Tier\n{rows}"));
    let arguments = ["import", "a.csv", "--checkpoint", "c", "--rejects", "r.csv"];
    let mut child = spawn(&shop, &arguments, Stdio::null());
    receiver.recv_timeout(TIME_LIMIT).expect("the row comes");
    child.kill().expect("a process");
    child.wait().expect("a process");

    let checkpoint: serde_json::Value = serde_json::from_str(&shop.read("c")).expect("JSON");
    let rows = checkpoint["rows"].as_u64().expect("a number");
    assert!((1_000..5_000).contains(&rows), "{checkpoint}");

    // Another file, other options and another store are refused.
    shop.write("b.csv", "customer_id,Tier\n1,Gold\n");
    let other = Shop::start(Sandbox::builder().attribute(101, "Tier"));
    other.write("a.csv", shop.read("a.csv"));
    other.write("c", shop.read("c"));
    let refused = [
        (
            &shop,
            vec!["import", "b.csv", "--checkpoint", "c"],
            "another input, or of other options for it",
        ),
        (
            &shop,
            vec!["import", "a.csv", "--checkpoint", "c", "--empty", "text"],
            "another input",
        ),
        (
            &other,
            vec!["import", "a.csv", "--checkpoint", "c"],
            "another store",
        ),
        (
            &shop,
            vec!["import", "a.csv", "--checkpoint", "a.csv"],
            "a.csv is no checkpoint: give another file",
        ),
    ];
    for (shop, arguments, expected) in refused {
        let ended = shop.run(&arguments);
        assert_eq!(ended.status, 2, "{ended:?}");
        assert!(ended.stderr.contains(expected), "{ended:?}");
    }

    let before = shop.sandbox().counts().rows_stored;
    let ended = shop.run(&arguments);
    assert_eq!(ended.status, 1, "{ended:?}");
    let told = format!("Going on after {rows} rows, as the checkpoint says.\n");
    assert!(ended.stderr.starts_with(&told), "{ended:?}");
    assert!(
        ended
            .stdout
            .starts_with(&format!("{} values", 5_000 - rows)),
        "{ended:?}"
    );
    assert!(shop.sandbox().counts().rows_stored - before <= 5_000 - rows);
    assert_eq!(shop.values().len(), 4_998);
    assert!(
        !shop.path("c").exists(),
        "a complete run leaves no checkpoint"
    );
    let rejects = shop.read("r.csv");
    let rejected: BTreeSet<_> = rejects
        .lines()
        .skip(1)
        .map(|line| line.split(',').next())
        .collect();
    assert_eq!(
        rejected,
        BTreeSet::from([Some("2000"), Some("4000")]),
        "{rejects}"
    );
}

#[cfg(unix)]
#[test]
fn an_interrupted_import_goes_on_and_rejects_each_wrong_row_once() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let (sender, receiver) = mpsc::channel();
    let rule = move |customer, _, _: &str| {
        if customer == 3_501 {
            // Nobody listens to the second run.
            sender.send(()).ok();
        }
        None
    };
    let shop = Shop::start(Sandbox::builder().attribute(101, "Tier").reject(rule));
    // Lines that can't be read are told at once, before the rows above them are sent.
    let row = |line| match line % 100 {
        0 => format!("wrong {line},Gold\n"),
        _ => format!("{line},Gold\n"),
    };
    let rows: String = (1..=20_000).map(row).collect();
    shop.write("a.csv", format!("customer_id,Tier\n{rows}"));
    let arguments = ["import", "a.csv", "--checkpoint", "c", "--rejects", "r.csv"];
    let child = spawn(&shop, &arguments, Stdio::piped());
    receiver.recv_timeout(TIME_LIMIT).expect("the row comes");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("an ID"));
    kill(pid, Signal::SIGINT).expect("a process");
    let output = child.wait_with_output().expect("the program ends");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    let checkpoint: serde_json::Value = serde_json::from_str(&shop.read("c")).expect("JSON");
    let rows = checkpoint["rows"].as_u64().expect("a number");
    assert!((1_000..20_000).contains(&rows), "{checkpoint}");
    let told = format!("Run the same command again to go on after {rows} rows of the input.");
    assert_eq!(last_line(&stderr), told);
    let before = shop.sandbox().counts().rows_stored;
    let ended = shop.run(&arguments);
    assert_eq!(ended.status, 1, "{ended:?}");
    let wrong = |rows: u64| rows / 100;
    assert_eq!(
        shop.sandbox().counts().rows_stored - before,
        20_000 - rows - (wrong(20_000) - wrong(rows))
    );
    assert_eq!(shop.values().len(), 19_800);
    assert!(!shop.path("c").exists());
    let rejects = shop.read("r.csv");
    let mut lines: Vec<_> = rejects.lines().skip(1).collect();
    assert_eq!(lines.len(), 200);
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 200);
}

#[test]
fn a_killed_import_has_written_what_it_told() {
    use std::io::{BufRead as _, BufReader, Write as _};

    let shop = picky();
    let program = shop.program(&["import", "-", "--rejects", "r.csv"]);
    let mut command = std::process::Command::new(program.get_program());
    command
        .args(program.get_args())
        .current_dir(shop.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    stdin
        .write_all(b"customer_id,Tier\nnobody,Gold\n7,bad\n")
        .expect("the program reads");
    for _ in 0..2 {
        let told = stderr.next().expect("a line").expect("UTF-8");
        assert!(told.contains(": rejected: "), "{told}");
    }
    // What was told first is written: the last one may be on its way.
    child.kill().expect("a process");
    child.wait().expect("a process");
    let rejects = shop.read("r.csv");
    let start = "customer_id,Tier,status,error\nnobody,Gold,rejected,";
    assert!(rejects.starts_with(start), "{rejects}");
    drop(stdin);
}

#[test]
fn a_run_that_goes_on_does_not_forget_the_rows_that_were_not_stored_before() {
    let shop = Shop::start(small().token("right"));
    shop.write("a.csv", "customer_id,Tier\n7,bad\n8,Gold\n");
    let arguments = ["import", "a.csv", "--checkpoint", "c"];
    // Access is refused, so the checkpoint stays.
    assert_eq!(shop.run(&arguments).status, 3);
    // What a run leaves that was killed after the first row.
    let mut checkpoint: serde_json::Value = serde_json::from_str(&shop.read("c")).expect("JSON");
    checkpoint["rows"] = 1.into();
    checkpoint["not_stored"] = 1.into();
    shop.write("c", checkpoint.to_string());
    let mut program = shop.program(&arguments);
    program.env("BIGCOMMERCE_ACCESS_TOKEN", "right");
    let ended: crate::support::Ended = program.output().expect("the program runs").into();
    assert_eq!((ended.status, shop.values().len()), (1, 1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("1 row was not stored before the run went on from its checkpoint.\n"),
        "{ended:?}"
    );
}

#[test]
fn a_checkpoint_does_not_pass_over_the_place_where_reading_failed() {
    let shop = picky();
    shop.write("a.csv", "customer_id,Tier\n7,bad\n8,Gold\n9,\"x");
    for _ in 0..2 {
        let ended = shop.run(&["import", "a.csv", "--checkpoint", "c"]);
        assert_eq!(ended.status, 2, "{ended:?}");
        assert!(
            ended
                .stderr
                .contains("a.csv:4: rejected: the file can't be read on"),
            "{ended:?}"
        );
        let checkpoint: serde_json::Value = serde_json::from_str(&shop.read("c")).expect("JSON");
        assert_eq!(
            (&checkpoint["rows"], &checkpoint["not_stored"]),
            (&2.into(), &1.into())
        );
    }
}

#[cfg(unix)]
#[test]
fn a_device_that_never_ends_is_no_checkpoint() {
    let shop = Shop::small();
    shop.write("a.csv", "customer_id,Tier\n7,Gold\n");
    let ended = shop.run(&["import", "a.csv", "--checkpoint", "/dev/zero"]);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(
        ended.stderr.contains("/dev/zero is no checkpoint"),
        "{ended:?}"
    );
    assert_eq!(shop.sandbox().counts().puts, 0);
}
