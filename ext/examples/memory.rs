//! Streams generated values to a sandbox in another process, and prints this process's peak resident
//! memory (Linux only: it is read from /proc). With `--by-email`, the rows name their customers by e-mail.
//!
//! `cargo run --release -p bigcommerce-ext --example memory -- 2000000`

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use bigcommerce_ext::{Store, UpsertRow};
use bigcommerce_sandbox::Sandbox;
use futures::{StreamExt, stream};

type Failure = Box<dyn std::error::Error>;

const SERVE: &str = "--serve";
const VALUES_PER_CUSTOMER: u64 = 5;
const MAX_MIB: f64 = 64.0;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let by_email = args.iter().any(|arg| arg == "--by-email");
    match args.first().map(String::as_str) {
        Some(SERVE) => serve(args.get(1).map_or(Ok(0), |customers| customers.parse())?).await,
        values => measure(values.unwrap_or("2000000").parse()?, by_email).await,
    }
}

fn address(customer: i64) -> String {
    format!("customer{customer}@example.com")
}

/// Runs the sandbox until standard input ends, which it does when the parent process ends.
async fn serve(customers: i64) -> Result<(), Failure> {
    let customers = (1..=customers).map(|id| (id, address(id)));
    let sandbox = Sandbox::builder().customers(customers).start().await?;
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
    let (mut server, url) = start(customers)?;
    let store = Store::builder_with_base_url(url, "any token").build()?;
    let rows = stream::iter((0..values).map(move |number| {
        let customer = i64::try_from(number / VALUES_PER_CUSTOMER).unwrap_or(i64::MAX - 1) + 1;
        let attribute = (number % VALUES_PER_CUSTOMER) as i64 + 1;
        match by_email {
            true => UpsertRow::new(address(customer), attribute, number),
            false => UpsertRow::new(customer, attribute, number),
        }
    }));
    let mut outcomes = store.upsert().stream(rows);
    while outcomes.next().await.is_some() {}
    println!("{values} values in {}", outcomes.summary());
    let peak = peak_mib()?;
    println!("peak resident memory {peak:.1} MiB");
    server.kill()?;
    server.wait()?;
    if outcomes.summary().stored != values {
        return Err("not all values were stored".into());
    }
    if peak > MAX_MIB {
        return Err(format!("the peak exceeds {MAX_MIB} MiB").into());
    }
    Ok(())
}

/// Starts this program again as the sandbox.
fn start(customers: u64) -> Result<(Child, String), Failure> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg(SERVE)
        .arg(customers.to_string())
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
