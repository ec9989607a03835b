//! How close a run comes to the bounds that the provider sets: `cargo bench --bench bulk`.
//!
//! The sandbox runs in another process: this program starts itself again for it. Every ratio is
//! taken within one run, by measurements that alternate, as the median of several.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bigcommerce_ext::Store;
use bigcommerce_sandbox::Sandbox;
use futures::TryStreamExt;
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const LATENCY: Duration = Duration::from_millis(20);
const IN_FLIGHT: u32 = 3;
const PAGE: u32 = 250;

/// A line of the table.
struct Row {
    name: &'static str,
    unit: &'static str,
    measured: f64,
    bound: f64,
    goal: f64,
    /// The least and the largest ratio.
    spread: (f64, f64),
}

impl Row {
    /// Takes the median ratio of pairs of a measurement and its bound.
    fn median(
        name: &'static str,
        unit: &'static str,
        goal: f64,
        mut pairs: Vec<(f64, f64)>,
    ) -> Self {
        let ratio = |(measured, bound): &(f64, f64)| measured / bound;
        pairs.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
        let middle = pairs[pairs.len() / 2];
        Self {
            name,
            unit,
            measured: middle.0,
            bound: middle.1,
            goal,
            spread: (ratio(&pairs[0]), ratio(&pairs[pairs.len() - 1])),
        }
    }

    fn ratio(&self) -> f64 {
        self.measured / self.bound
    }
}

/// A sandbox in a process of its own, which ends with this.
struct Server {
    process: Child,
    base_url: String,
}

impl Server {
    fn start(latency: Duration, values: u32) -> Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .args([
                "--serve",
                &latency.as_millis().to_string(),
                &values.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut base_url = String::new();
        let output = process.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut base_url)?;
        let base_url = base_url.trim().to_owned();
        Ok(Self { process, base_url })
    }

    fn store(&self) -> Result<Store> {
        Ok(Store::builder_at(self.base_url.as_str(), "any token").build()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when its input does; this is for one that hangs.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Plays the store until the input ends.
fn serve(latency: &str, values: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let latency = Duration::from_millis(latency.parse()?);
        let sandbox = Sandbox::builder().latency(latency).start().await?;
        for value in 0..values.parse::<i64>()? {
            sandbox.insert(value / 5 + 1, value % 5 + 101, "Premium Member");
        }
        let mut output = std::io::stdout();
        writeln!(output, "{}", sandbox.base_url())?;
        output.flush()?;
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await??;
        Ok(())
    })
}

fn list_all(runtime: &tokio::runtime::Runtime, server: &Server, values: u32) -> Result<Duration> {
    let store = server.store()?;
    runtime.block_on(async {
        // The connection and the first answer of the quota are there already.
        store.list().page_size(1).stream().try_next().await?;
        let began = Instant::now();
        let mut listed = 0;
        let mut pages = store.list().page_size(u64::from(PAGE)).pages();
        while let Some(page) = pages.try_next().await? {
            listed += page.values.len();
        }
        let elapsed = began.elapsed();
        if listed != values as usize {
            return Err(format!("{listed} of {values} values").into());
        }
        Ok(elapsed)
    })
}

/// Reading all values at a latency, against the rounds of requests that it takes at least and the
/// client's work without a latency.
fn list(runtime: &tokio::runtime::Runtime, is_quick: bool) -> Result<Row> {
    let (values, times) = if is_quick { (25_000, 3) } else { (100_000, 5) };
    let slow = Server::start(LATENCY, values)?;
    let fast = Server::start(Duration::ZERO, values)?;
    let rounds = values.div_ceil(PAGE).div_ceil(IN_FLIGHT);
    let mut pairs = Vec::new();
    for _ in 0..times {
        let work = list_all(runtime, &fast, values)?;
        let measured = list_all(runtime, &slow, values)?;
        let bound = LATENCY * rounds + work;
        pairs.push((measured.as_secs_f64(), bound.as_secs_f64()));
    }
    Ok(Row::median("list", "s", 1.05, pairs))
}

fn print(rows: &[Row]) {
    println!(
        "{:<16} {:>10} {:>10} {:>7} {:>15} {:>6}",
        "name", "measured", "bound", "ratio", "spread", "goal"
    );
    for row in rows {
        println!(
            "{:<16} {:>8.3} {} {:>8.3} {} {:>7.3} {:>7.3}–{:.3} {:>7.2}",
            row.name,
            row.measured,
            row.unit,
            row.bound,
            row.unit,
            row.ratio(),
            row.spread.0,
            row.spread.1,
            row.goal,
        );
    }
}

fn write(rows: &[Row]) -> Result<()> {
    let json: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "unit": row.unit,
                "measured": row.measured,
                "bound": row.bound,
                "ratio": row.ratio(),
                "goal": row.goal,
            })
        })
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&folder)?;
    fs::write(
        folder.join("bulk.json"),
        serde_json::to_string_pretty(&json)?,
    )?;
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [mode, latency, values] = arguments.as_slice()
        && mode == "--serve"
    {
        return serve(latency, values);
    }
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let rows = [list(&runtime, is_quick)?];
    print(&rows);
    write(&rows)
}
