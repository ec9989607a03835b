//! Compares runs with the bounds that limits, latency and a hand-written loop set:
//! `cargo bench -p bigcommerce-ext --bench bulk`, or with `-- --quick` in about two minutes, or with
//! `-- --only "by e-mail"` for one group. Linux only, for processor time and memory.
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
    let only = args.iter().skip_while(|arg| *arg != "--only").nth(1);
    println!("{}", machine());
    print_header();
    let mut all = Vec::new();
    let groups: [(&str, Measure); 12] = [
        ("requests", |bench| bench.requests()),
        ("latency-bound", |bench| Ok(vec![bench.latency_bound()?])),
        ("by e-mail", |bench| Ok(vec![bench.by_email()?])),
        ("quota-bound", |bench| Ok(vec![bench.quota_bound()?])),
        ("cpu", |bench| bench.cpu()),
        ("memory", |bench| Ok(vec![bench.memory()?])),
        ("list", |bench| Ok(vec![bench.list()?])),
        ("packing", |bench| bench.packing()),
        ("retry storm", |bench| Ok(vec![bench.retry_storm()?])),
        ("throughput", |bench| bench.throughput()),
        ("skip unchanged", |bench| bench.one_row_per_wake_up()),
        ("wait", |bench| bench.acknowledgement()),
    ];
    for (name, measure) in groups {
        if only.is_none_or(|only| only == name) {
            let rows = measure(&bench)?;
            rows.iter().for_each(print);
            all.extend(rows);
        }
    }
    match only {
        None => write(&all),
        // The file has the whole table.
        Some(_) => Ok(()),
    }
}

/// Measures some rows of the table.
type Measure = fn(&Bench) -> Result<Vec<Row>>;

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
