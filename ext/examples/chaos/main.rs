//! Upserts, lists and deletes in a sandbox with every kind of fault, and checks the results against a
//! model. The clock is paused, so that an outage of minutes takes no time.
//!
//! `cargo run --release -p bigcommerce-ext --example chaos -- --seed 1 --customers 20000`

mod chaos;

use std::process::ExitCode;

use chaos::Naming;
use lexopt::prelude::*;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> ExitCode {
    let (seed, customers, naming) = match parse() {
        Ok(args) => args,
        Err(error) => {
            eprintln!("chaos: {error}; usage: chaos [--seed N] [--customers N] [--by-email]");
            return ExitCode::from(2);
        }
    };
    let window = (seed % 2 == 0).then_some(600);
    let verdict = match chaos::run(seed, customers, window, naming).await {
        Ok(verdict) => verdict,
        Err(error) => {
            eprintln!("chaos: {error}");
            return ExitCode::from(2);
        }
    };
    for (check, passed) in &verdict.checks {
        println!("{}: {check}", if *passed { "ok" } else { "FAILED" });
    }
    println!("{verdict}");
    ExitCode::from(u8::from(!verdict.passed()))
}

fn parse() -> Result<(u64, i64, Naming), lexopt::Error> {
    let (mut seed, mut customers, mut naming) = (1, 20_000, Naming::ById);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("seed") => seed = parser.value()?.parse()?,
            Long("customers") => customers = parser.value()?.parse()?,
            Long("by-email") => naming = Naming::ByEmail,
            other => return Err(other.unexpected()),
        }
    }
    Ok((seed, customers, naming))
}
