//! Compares runs with the bounds that limits, latency and a hand-written loop set:
//! `cargo bench -p bigcommerce-ext --bench bulk`, or with `-- --quick` in about two minutes. Linux
//! only, for processor time and memory.
//!
//! The sandbox runs in another process, for which this program starts itself again. Every ratio is
//! the median of several pairs of alternating measurements within one run.

mod rows;
mod server;
mod table;
mod trickle;
mod usage;
mod work;

use std::env;
use std::error::Error;
use std::fs;

use crate::rows::{Bench, CLIENT};
use crate::server::{SERVE, serve};
use crate::table::{Row, print, print_header, write};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<_> = env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match args.as_slice() {
        [mode, setup @ ..] if mode == SERVE => return serve(setup),
        [mode, base_url, values] if mode == CLIENT => {
            return rows::client(&runtime, base_url, values);
        }
        _ => {}
    }
    let bench = Bench {
        runtime,
        is_quick: args.iter().any(|arg| arg == "--quick"),
    };
    println!("{}", machine());
    print_header();
    let mut all = Vec::new();
    let mut add = |rows: Vec<Row>| {
        rows.iter().for_each(print);
        all.extend(rows);
    };
    add(bench.requests()?);
    add(vec![bench.latency_bound()?]);
    add(vec![bench.by_email()?]);
    add(vec![bench.quota_bound()?]);
    add(bench.cpu()?);
    add(vec![bench.memory()?]);
    add(vec![bench.list()?]);
    add(bench.packing()?);
    add(vec![bench.retry_storm()?]);
    add(bench.throughput()?);
    add(bench.one_row_per_wake_up()?);
    add(bench.acknowledgement()?);
    write(&all)
}

/// Describes the machine and the build.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = name.map_or("an unknown processor", |name| {
        name.trim_start_matches([' ', '\t', ':'])
    });
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "optimised"
    };
    format!("{cores} cores of {name}, {profile} build")
}
