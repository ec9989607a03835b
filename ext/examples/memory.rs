//! Streams generated values to a sandbox in another process, and prints this process's peak resident
//! memory (Linux only: it is read from /proc). With `--by-email`, the rows name their customers by e-mail.
//! With `--mirror`, the sandbox has the values already: one in 100 differs, and one in 100 is deleted.
//!
//! `cargo run --release -p bigcommerce-ext --example memory -- 2000000`
//! `cargo run --release -p bigcommerce-ext --example memory -- 1000000 --mirror`

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bigcommerce_ext::{Store, UpsertRow};
use bigcommerce_sandbox::Sandbox;
use futures::{StreamExt, stream};

type Failure = Box<dyn std::error::Error>;

const SERVE: &str = "--serve";
const VALUES_PER_CUSTOMER: u64 = 5;
/// A mirror changes one value of this many, and deletes another one.
const PER_DIFFERENCE: u64 = 100;
const MAX_MIB: f64 = 64.0;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let number = |position: usize| args.get(position).map_or(Ok(0), |number| number.parse());
    match args.first().map(String::as_str) {
        Some(SERVE) => serve(number(1)?, number(2)?.unsigned_abs()).await,
        values => {
            let values = values.unwrap_or("2000000").parse()?;
            match has("--mirror") {
                true => measure_mirror(values).await,
                false => measure(values, has("--by-email")).await,
            }
        }
    }
}

/// Returns the customer and the attribute of a value.
fn key(number: u64) -> (i64, i64) {
    let customer = i64::try_from(number / VALUES_PER_CUSTOMER).unwrap_or(i64::MAX - 1) + 1;
    (customer, (number % VALUES_PER_CUSTOMER) as i64 + 1)
}

fn address(customer: i64) -> String {
    format!("customer{customer}@example.com")
}

/// Runs the sandbox until standard input ends, which it does when the parent process ends.
async fn serve(customers: i64, values: u64) -> Result<(), Failure> {
    let customers = (1..=customers).map(|id| (id, address(id)));
    let mut builder = Sandbox::builder().customers(customers);
    for attribute in 1..=VALUES_PER_CUSTOMER as i64 {
        builder = builder.attribute(attribute, format!("Attribute {attribute}"));
    }
    let sandbox = builder.start().await?;
    for number in 0..values {
        let (customer, attribute) = key(number);
        sandbox.insert(customer, attribute, number.to_string());
    }
    // A mirror keeps younger values.
    sandbox.advance(Duration::from_secs(3600));
    println!("{}", sandbox.base_url());
    let until_closed = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(until_closed).await??;
    Ok(())
}

async fn measure(values: u64, by_email: bool) -> Result<(), Failure> {
    let customers = if by_email {
        values / VALUES_PER_CUSTOMER + 1
    } else {
        0
    };
    let (server, url) = start(customers, 0)?;
    let store = Store::builder_with_base_url(url, "any token").build()?;
    let rows = stream::iter((0..values).map(move |number| {
        let (customer, attribute) = key(number);
        match by_email {
            true => UpsertRow::new(address(customer), attribute, number),
            false => UpsertRow::new(customer, attribute, number),
        }
    }));
    let mut outcomes = store.upsert().stream(rows);
    while outcomes.next().await.is_some() {}
    println!("{values} values in {}", outcomes.summary());
    let is_complete = outcomes.summary().stored == values;
    conclude(server, is_complete, "not all values were stored")
}

async fn measure_mirror(values: u64) -> Result<(), Failure> {
    let (server, url) = start(0, values)?;
    let store = Store::builder_with_base_url(url, "any token").build()?;
    let rows = (0..values).filter(|number| number % PER_DIFFERENCE != 1);
    let rows = rows.map(|number| {
        let (customer, attribute) = key(number);
        let is_changed = number % PER_DIFFERENCE == 0;
        UpsertRow::new(customer, attribute, number + u64::from(is_changed))
    });
    let mirror = store.mirror(1..=VALUES_PER_CUSTOMER as i64);
    let mut outcomes = mirror.stream(stream::iter(rows));
    while outcomes.next().await.is_some() {}
    let summary = outcomes.summary();
    println!(
        "{values} values mirrored in {} requests: {} unchanged, {} stored, {} deleted",
        summary.requests, summary.rows.unchanged, summary.rows.stored, summary.deletes.deleted
    );
    conclude(
        server,
        summary.is_exact(),
        "the store does not equal the input",
    )
}

/// Ends the sandbox, and checks the memory.
fn conclude(mut server: Child, is_complete: bool, otherwise: &str) -> Result<(), Failure> {
    let peak = peak_mib()?;
    println!("peak resident memory {peak:.1} MiB");
    server.kill()?;
    server.wait()?;
    if !is_complete {
        return Err(otherwise.into());
    }
    if peak > MAX_MIB {
        return Err(format!("the peak exceeds {MAX_MIB} MiB").into());
    }
    Ok(())
}

/// Starts this program again as the sandbox.
fn start(customers: u64, values: u64) -> Result<(Child, String), Failure> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg(SERVE)
        .args([customers.to_string(), values.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut url = String::new();
    let output = server.stdout.take().ok_or("standard output is piped")?;
    BufReader::new(output).read_line(&mut url)?;
    Ok((server, url.trim().to_owned()))
}

fn peak_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.ok_or("no peak in /proc/self/status")?.parse::<f64>()? / 1024.0)
}
