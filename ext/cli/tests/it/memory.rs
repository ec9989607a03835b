//! Memory: it does not grow with the number of rows.

use std::fs;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use bigcommerce_sandbox::Sandbox;

use crate::files::Shop;

/// The bound for a build with debug information, of a program that takes about 20 MiB.
const MAX_MIB: f64 = 64.0;
/// The number of values, unless the environment variable `BIGCOMMERCE_MEMORY_VALUES` gives another: the
/// bound is stated for 1,000,000.
const VALUES: u64 = 60_000;
const VALUES_PER_CUSTOMER: u64 = 3;
/// More than fits a pipe.
const LINES_LEFT: usize = 10_000;

/// Starts the program with standard input and output that this test holds.
fn start(shop: &Shop, arguments: &[&str]) -> Child {
    let program = shop.program(arguments);
    let mut command = Command::new(program.get_program());
    command
        .args(program.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command.spawn().expect("the program")
}

/// Returns the most memory that a process has had.
fn peak_mib(child: &Child) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    let kib: f64 = kib.and_then(|kib| kib.parse().ok()).expect("a number");
    kib / 1024.0
}

/// Writes values to the program's standard input, and returns the most memory that it had by then, and what
/// it printed.
fn import(shop: &Shop, customers: u64, options: &[&str]) -> (f64, String) {
    let mut child = start(shop, &[&["import", "-", "--quiet"], options].concat());
    let mut rows: BufWriter<ChildStdin> = BufWriter::new(child.stdin.take().expect("a pipe"));
    rows.write_all(b"customer_id,Tier,Points,Score\n")
        .expect("the program reads");
    for customer in 1..=customers {
        writeln!(rows, "{customer},Gold,{customer},x").expect("the program reads");
    }
    // All but what fits a pipe and the window has been read.
    rows.flush().expect("the program reads");
    let peak = peak_mib(&child);
    drop(rows);
    let output = child.wait_with_output().expect("the program ends");
    (peak, String::from_utf8(output.stdout).expect("UTF-8"))
}

/// Reads what the program exports, and returns the most memory that it had shortly before the end.
fn export(shop: &Shop, lines: u64, options: &[&str]) -> f64 {
    let mut child = start(shop, &[&["export", "--quiet"], options].concat());
    let mut output = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let lines = usize::try_from(lines).expect("a number");
    let first = output.by_ref().take(lines - LINES_LEFT);
    assert_eq!(first.count(), lines - LINES_LEFT);
    let peak = peak_mib(&child);
    assert_eq!(output.count(), LINES_LEFT);
    assert!(child.wait().expect("the program ends").success());
    peak
}

#[test]
fn a_million_values_take_less_than_64_mib() {
    let values = std::env::var("BIGCOMMERCE_MEMORY_VALUES");
    let values = values.map_or(VALUES, |values| values.parse().expect("a number"));
    let customers = values.div_ceil(VALUES_PER_CUSTOMER);
    let values = customers * VALUES_PER_CUSTOMER;
    let addresses =
        (1..=customers).map(|id| (id.cast_signed(), format!("customer{id}@example.com")));
    let builder = Sandbox::builder().customers(addresses);
    let builder = ["Tier", "Points", "Score"]
        .into_iter()
        .zip(101..)
        .fold(builder, |builder, (name, id)| builder.attribute(id, name));
    let shop = Shop::start(builder);
    let (dry_run, _) = import(&shop, customers, &["--dry-run"]);
    let (real, stdout) = import(&shop, customers, &[]);
    let requests = customers.div_ceil(10);
    let expected =
        format!("{values} values of {customers} customers in {requests} requests: {values} stored");
    assert!(stdout.starts_with(&expected), "{stdout}");
    let wide = export(&shop, customers + 1, &[]);
    let long = export(&shop, values + 1, &["--layout", "long"]);
    println!(
        "{values} values: import {real:.1} MiB, as a dry run {dry_run:.1} MiB; export wide {wide:.1} MiB, \
         long {long:.1} MiB"
    );
    for peak in [dry_run, real, wide, long] {
        assert!(peak < MAX_MIB, "{peak} MiB");
    }
}
