//! How close a run comes to the bounds that the provider and physics set:
//! `cargo bench -p bigcommerce-ext --bench bulk`, with `-- --quick` for a minute of it. With
//! `-- --plot` it draws what it has measured last. It needs Linux, whose accounts it reads.
//!
//! The sandbox runs in another process: this program starts itself again for it. Every ratio is
//! taken within one run, by measurements that alternate, as the median of several.

mod plot;
mod rows;
mod server;
mod table;
mod usage;
mod work;

use std::env;
use std::error::Error;
use std::fs;

use crate::rows::{Bench, CLIENT};
use crate::server::{SERVE, serve};
use crate::table::{Row, print, print_head, write};

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
        [mode, ..] if mode == "--plot" => return plot::draw(),
        _ => {}
    }
    let bench = Bench {
        runtime,
        is_quick: args.iter().any(|arg| arg == "--quick"),
    };
    println!("{}", machine());
    print_head();
    let mut all = Vec::new();
    let mut add = |rows: Vec<Row>| {
        rows.iter().for_each(print);
        all.extend(rows);
    };
    add(bench.calls()?);
    add(vec![bench.latency_bound()?]);
    add(vec![bench.quota_bound()?]);
    add(bench.work()?);
    add(vec![bench.memory()?]);
    add(vec![bench.list()?]);
    add(bench.packing()?);
    add(vec![bench.retry_storm()?]);
    add(bench.throughput()?);
    write(&all)
}

/// What this runs on, and how it was built.
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
