//! The examples `bulk_upsert` and `export`, run as processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};

const BUNDLED: &str = include_str!("../examples/cdnow_customers.csv");
const ALL_STORED: &str = "7071 values of 2357 customers in 236 requests: \
                          7071 stored, 0 superseded, 0 rejected, 0 unknown, 0 not sent";

fn bulk_upsert() -> Command {
    example("bulk_upsert")
}

/// Returns the command of an example. Cargo builds examples along with this test, into the folder
/// `examples` beside that of the tests.
fn example(name: &str) -> Command {
    let mut path = std::env::current_exe().expect("this test's own path");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(path);
    command
        .env_remove("BIGCOMMERCE_STORE_HASH")
        .env_remove("BIGCOMMERCE_ACCESS_TOKEN");
    command
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the example was built");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("a file");
    path
}

#[test]
fn the_bundled_customers_are_stored() {
    let (code, stdout, stderr) = run(&mut bulk_upsert());
    assert_eq!(
        (code, stdout.trim_end(), &*stderr),
        (Some(0), ALL_STORED, "")
    );
}

#[test]
fn shuffled_rows_take_no_more_requests() {
    let (header, lines) = BUNDLED.split_once('\n').expect("a header");
    let mut lines: Vec<_> = lines.lines().collect();
    fastrand::Rng::with_seed(11).shuffle(&mut lines);
    let path = file("shuffled.csv", &format!("{header}\n{}\n", lines.join("\n")));
    let (code, stdout, _) = run(bulk_upsert().arg(path));
    assert_eq!((code, stdout.trim_end()), (Some(0), ALL_STORED));
}

#[test]
fn unreadable_lines_are_reported_by_line_and_column_and_the_rest_is_stored() {
    let long = "x".repeat(256);
    let text = format!(
        "customer_id,tier,note\n1,Gold,\"two\nlines\"\nabc,Gold,x\n3,Gold\n4,{long},x\n5,Gold,x,y\n6,,\n"
    );
    let path = file("malformed.csv", &text);
    let shown = path.display();
    let (code, stdout, _) = run(bulk_upsert().arg(&path));
    let expected = [
        format!("rejected: {shown}: line 4, column 1: customer_id \"abc\" is not a whole number of 1 or more"),
        format!("rejected: {shown}: line 5, column 3: 2 columns, but the header has 3"),
        format!("rejected: {shown}: line 6, column 2 (tier): customer 4: row 4: value has 256 characters: longer than 255 characters"),
        format!("rejected: {shown}: line 7, column 4: 4 columns, but the header has 3"),
        "9 values of 3 customers in 1 requests: 5 stored, 0 superseded, 4 rejected, 0 unknown, 0 not sent".to_owned(),
    ];
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(
        (code, lines),
        (Some(1), expected.iter().map(String::as_str).collect())
    );
}

#[test]
fn a_run_that_can_not_start_reports_why() {
    let no_key = file("no_key.csv", "id,tier\n1,Gold\n");
    let no_columns = file("no_columns.csv", "customer_id\n1\n");
    let twice = file("twice.csv", "customer_id,a,a\n1,x,y\n");
    let good = file("good.csv", "customer_id,a,b\n1,x,y\n");
    for (args, expected) in [
        (
            vec![no_key.as_os_str()],
            "line 1, column 1: the first column must be customer_id",
        ),
        (vec![no_columns.as_os_str()], "there is no attribute column"),
        (
            vec![twice.as_os_str()],
            "line 1, column 3: \"a\" and \"a\" are the same",
        ),
        (vec!["absent.csv".as_ref()], "absent.csv"),
        (vec!["--what".as_ref()], "--what"),
        (
            vec!["--store".as_ref()],
            "BIGCOMMERCE_STORE_HASH is not set",
        ),
        (vec!["--attribute".as_ref(), "a".as_ref()], "give NAME=ID"),
        (
            vec!["--attribute".as_ref(), "c=7".as_ref(), good.as_os_str()],
            "there is no column \"c\"",
        ),
        (
            vec![
                "--attribute".as_ref(),
                "a=1".as_ref(),
                "--attribute".as_ref(),
                "b=1".as_ref(),
                good.as_os_str(),
            ],
            "the same column or attribute",
        ),
        (
            vec!["--url".as_ref(), "https://shop.example/v3".as_ref()],
            "BIGCOMMERCE_ACCESS_TOKEN is not set",
        ),
    ] {
        let (code, stdout, stderr) = run(bulk_upsert().args(&args));
        assert_eq!((code, &*stdout), (Some(2), ""), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_can_be_mapped_to_attribute_ids() {
    let sandbox = Sandbox::builder()
        .token("s3cr3t")
        .store_hash("abc123")
        .start()
        .await
        .expect("a sandbox");
    let path = file("mapped.csv", "customer_id,tier,points\n7,Gold,300\n");
    let mut command = bulk_upsert();
    command
        .args(["--url", sandbox.base_url()])
        .args(["--attribute", "points=42"])
        .arg(&path);
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!(
        (code, &*stdout),
        (Some(2), ""),
        "the sandbox rejects the placeholder"
    );
    assert!(stderr.contains("401"), "{stderr}");
    let (code, stdout, _) = run(command.env("BIGCOMMERCE_ACCESS_TOKEN", "s3cr3t"));
    assert_eq!(code, Some(0), "{stdout}");
    let created = sandbox.attributes();
    assert_eq!((created.len(), &*created[0].name), (1, "tier"));
    assert_eq!(
        sandbox.value(7, created[0].id).expect("a value").value,
        "Gold"
    );
    assert_eq!(sandbox.value(7, 42).expect("a value").value, "300");
}

/// Returns the lines of a CSV file without the header, as a set.
fn data_lines(csv: &str) -> BTreeSet<&str> {
    csv.lines().skip(1).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_equals_the_import_and_importing_it_again_sends_nothing() {
    let sandbox = Sandbox::builder().start().await.expect("a sandbox");
    let url = ["--url", sandbox.base_url()];
    let (code, stdout, _) = run(bulk_upsert().args(url));
    assert_eq!((code, stdout.trim_end()), (Some(0), ALL_STORED));

    let (code, exported, stderr) = run(example("export").args(url));
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert_eq!(exported.lines().next(), BUNDLED.lines().next());
    assert_eq!(exported.lines().count(), 2358);
    assert_eq!(data_lines(&exported), data_lines(BUNDLED));

    let path = file("exported.csv", &exported);
    let before = sandbox.counts();
    let (code, stdout, _) = run(bulk_upsert().args(url).arg("--skip-unchanged").arg(&path));
    let after = sandbox.counts();
    let expected = "0 stored, 7071 unchanged, 0 superseded, 0 rejected, 0 unknown, 0 not sent";
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.trim_end().ends_with(expected), "{stdout}");
    assert_eq!(after.puts - before.puts, 0);
    assert!(
        after.gets - before.gets <= 30,
        "{}",
        after.gets - before.gets
    );
    assert_eq!(after.attribute_gets - before.attribute_gets, 1);
    assert_eq!(after.attribute_posts, before.attribute_posts);

    // One value each of customers far apart.
    for (changed, requests) in [(10, 1), (25, 3)] {
        let lines = exported.lines().enumerate().map(|(number, line)| {
            let (rest, _) = line.rsplit_once(',').expect("columns");
            match number % 90 == 1 && number / 90 < changed {
                true => format!("{rest},changed {changed}\n"),
                false => format!("{line}\n"),
            }
        });
        let path = file("changed.csv", &lines.collect::<String>());
        let before = sandbox.counts();
        let (_, dry, _) = run(bulk_upsert()
            .args(url)
            .args(["--skip-unchanged", "--dry-run"])
            .arg(&path));
        let planned = format!("dry run: {changed} values would be stored in {requests} requests");
        assert!(dry.trim_end().ends_with(&planned), "{dry}");
        assert_eq!(sandbox.counts().puts, before.puts);
        let (code, stdout, _) = run(bulk_upsert().args(url).arg("--skip-unchanged").arg(&path));
        let after = sandbox.counts();
        assert_eq!(code, Some(0), "{stdout}");
        assert_eq!(after.puts - before.puts, requests, "{stdout}");
        assert_eq!(after.rows_stored - before.rows_stored, changed as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_values_quotes_and_line_breaks_survive_an_export_and_import() {
    let sandbox = Sandbox::builder()
        .attribute(101, "Tier, \"old\"")
        .attribute(102, "Notiz é")
        .start()
        .await
        .expect("a sandbox");
    sandbox.insert(9, 102, "a, \"b\"\nc");
    sandbox.insert(3, 101, "Gold");
    sandbox.insert(5, 101, "é");
    sandbox.insert(5, 102, "x");
    let url = ["--url", sandbox.base_url()];
    let (code, exported, stderr) = run(example("export").args(url));
    assert_eq!((code, &*stderr), (Some(0), ""));
    let expected =
        "customer_id,\"Tier, \"\"old\"\"\",Notiz é\n5,é,x\n3,Gold,\n9,,\"a, \"\"b\"\"\nc\"\n";
    assert_eq!(exported, expected);

    let other = Sandbox::builder().start().await.expect("a sandbox");
    let path = file("gaps.csv", &exported);
    let (code, _, _) = run(bulk_upsert()
        .args(["--url", other.base_url(), "--skip-empty"])
        .arg(path));
    assert_eq!(code, Some(0));
    let values = |sandbox: &Sandbox| {
        let values = sandbox.values().into_iter();
        let values = values.map(|value| (value.customer_id, value.attribute_id, value.value));
        values.collect::<BTreeSet<_>>()
    };
    assert_eq!(values(&other), values(&sandbox));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_creates_nothing() {
    let sandbox = Sandbox::builder().start().await.expect("a sandbox");
    let (code, stdout, _) = run(bulk_upsert().args(["--url", sandbox.base_url(), "--dry-run"]));
    assert_eq!(code, Some(0), "{stdout}");
    assert!(
        stdout.contains("attribute \"frequency\" would be created"),
        "{stdout}"
    );
    assert!(
        stdout.ends_with("dry run: 7071 values would be stored in 236 requests\n"),
        "{stdout}"
    );
    assert_eq!((sandbox.attributes().len(), sandbox.values().len()), (0, 0));
    assert_eq!(
        (sandbox.counts().puts, sandbox.counts().attribute_posts),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_export_exits_with_an_error() {
    let sandbox = Sandbox::builder()
        .attribute(101, "Tier")
        .token("s3cr3t")
        .faults(FaultPlan::script([None, None, Some(Fault::Oversized)]))
        .start()
        .await
        .expect("a sandbox");
    for customer in 1..=600 {
        sandbox.insert(customer, 101, "Gold");
    }
    let mut export = example("export");
    export.args(["--url", sandbox.base_url()]);
    let (code, stdout, stderr) = run(&mut export);
    assert_eq!((code, &*stdout), (Some(2), ""));
    assert!(stderr.contains("401"), "{stderr}");
    let (code, stdout, stderr) = run(export.env("BIGCOMMERCE_ACCESS_TOKEN", "s3cr3t"));
    assert_eq!((code, stdout.lines().count()), (Some(0), 601), "{stderr}");
    // A value whose attribute is not defined.
    sandbox.insert(601, 999, "odd");
    let (code, _, stderr) = run(&mut export);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("attribute 999"), "{stderr}");
    assert!(!stderr.contains("s3cr3t"));
    let (code, _, stderr) = run(&mut example("export"));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("give --store or --url"), "{stderr}");
}
