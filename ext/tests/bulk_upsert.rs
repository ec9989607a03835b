//! The `bulk_upsert` example, run as its users run it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use bigcommerce_sandbox::Sandbox;

const BUNDLED: &str = include_str!("../examples/cdnow_customers.csv");
const ALL_STORED: &str = "7071 values of 2357 customers in 236 calls: \
                          7071 stored, 0 superseded, 0 rejected, 0 unknown, 0 not sent";

/// The example's program, which cargo builds along with this test, two folders up and one down.
fn program() -> Command {
    let mut path = std::env::current_exe().expect("this test's own path");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("bulk_upsert{}", std::env::consts::EXE_SUFFIX));
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
fn the_bundled_customers_arrive() {
    let (code, stdout, stderr) = run(&mut program());
    assert_eq!(
        (code, stdout.trim_end(), &*stderr),
        (Some(0), ALL_STORED, "")
    );
}

#[test]
fn shuffled_rows_cost_no_more() {
    let (header, lines) = BUNDLED.split_once('\n').expect("a header");
    let mut lines: Vec<_> = lines.lines().collect();
    fastrand::Rng::with_seed(11).shuffle(&mut lines);
    let path = file("shuffled.csv", &format!("{header}\n{}\n", lines.join("\n")));
    let (code, stdout, _) = run(program().arg(path));
    assert_eq!((code, stdout.trim_end()), (Some(0), ALL_STORED));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_goes() {
    let long = "x".repeat(256);
    let text = format!(
        "customer_id,tier,note\n1,Gold,\"two\nlines\"\nabc,Gold,x\n3,Gold\n4,{long},x\n5,Gold,x,y\n6,,\n"
    );
    let path = file("malformed.csv", &text);
    let shown = path.display();
    let (code, stdout, _) = run(program().arg(&path));
    let expected = [
        format!("rejected: {shown}: line 4, column 1: customer_id \"abc\" is not a whole number of 1 or more"),
        format!("rejected: {shown}: line 5, column 3: 2 columns, the header has 3"),
        format!("rejected: {shown}: line 6, column 2 (tier): customer 4: row 4: value has 256 characters: longer than 255 characters"),
        format!("rejected: {shown}: line 7, column 4: 4 columns, the header has 3"),
        "9 values of 3 customers in 1 calls: 5 stored, 0 superseded, 4 rejected, 0 unknown, 0 not sent".to_owned(),
    ];
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(
        (code, lines),
        (Some(1), expected.iter().map(String::as_str).collect())
    );
}

#[test]
fn what_cannot_begin_says_why() {
    let no_key = file("no_key.csv", "id,tier\n1,Gold\n");
    let no_columns = file("no_columns.csv", "customer_id\n1\n");
    let twice = file("twice.csv", "customer_id,a,a\n1,x,y\n");
    let good = file("good.csv", "customer_id,a,b\n1,x,y\n");
    for (args, expected) in [
        (
            vec![no_key.as_os_str()],
            "line 1, column 1: the first column is customer_id",
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
        (vec!["--attribute".as_ref(), "a".as_ref()], "it looks like"),
        (
            vec!["--attribute".as_ref(), "c=7".as_ref(), good.as_os_str()],
            "there is no column \"c\"",
        ),
        (
            vec!["--attribute".as_ref(), "b=1".as_ref(), good.as_os_str()],
            "the same column or attribute",
        ),
        (
            vec!["--url".as_ref(), "https://shop.example/v3".as_ref()],
            "BIGCOMMERCE_ACCESS_TOKEN is not set",
        ),
    ] {
        let (code, stdout, stderr) = run(program().args(&args));
        assert_eq!((code, &*stdout), (Some(2), ""), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
    let real = [
        "--url".as_ref(),
        "https://shop.example/v3".as_ref(),
        good.as_os_str(),
    ];
    let (code, _, stderr) = run(program()
        .args(real)
        .env("BIGCOMMERCE_ACCESS_TOKEN", "s3cr3t"));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("which attribute is it?"), "{stderr}");
    assert!(!stderr.contains("s3cr3t"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_store_takes_the_columns_that_are_mapped_by_hand() {
    let sandbox = Sandbox::builder()
        .token("s3cr3t")
        .store_hash("abc123")
        .start()
        .await
        .expect("a sandbox");
    let path = file("mapped.csv", "customer_id,tier,points\n7,Gold,300\n");
    let mut command = program();
    command
        .args(["--url", sandbox.base_url()])
        .args(["--attribute", "points=42"])
        .arg(&path);
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!(code, Some(1), "the placeholder is no token there: {stdout}");
    assert!(stderr.contains("401"), "{stderr}");
    let (code, stdout, _) = run(command.env("BIGCOMMERCE_ACCESS_TOKEN", "s3cr3t"));
    assert_eq!(code, Some(0), "{stdout}");
    assert_eq!(sandbox.value(7, 1).expect("a value").value, "Gold");
    assert_eq!(sandbox.value(7, 42).expect("a value").value, "300");
}
