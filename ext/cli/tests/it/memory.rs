//! Memory: it does not grow with the number of rows.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::files::{Shop, small};

/// The bound for a build with debug information, of a program that takes about 20 MiB.
const MAX_MIB: f64 = 64.0;
const ROWS: u64 = 300_000;

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

#[test]
fn rows_from_standard_input_take_no_memory() {
    let shop = Shop::start(small());
    let mut child = start(&shop, &["import", "-", "--dry-run", "--quiet"]);
    let mut rows: BufWriter<ChildStdin> = BufWriter::new(child.stdin.take().expect("a pipe"));
    rows.write_all(b"customer_id,Tier,Points\n")
        .expect("the program reads");
    for customer in 1..=ROWS {
        writeln!(rows, "{customer},Gold,{customer}").expect("the program reads");
    }
    // All but what fits a pipe and the window has been read.
    rows.flush().expect("the program reads");
    let peak = peak_mib(&child);
    drop(rows);
    let output = child.wait_with_output().expect("the program ends");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        stdout.starts_with("600000 values of 300000 customers in 0 requests"),
        "{stdout}"
    );
    assert!(peak < MAX_MIB, "{peak} MiB");
}
