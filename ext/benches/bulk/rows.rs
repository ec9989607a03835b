//! The rows of the table.

use std::collections::HashSet;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bigcommerce_ext::{Event, RetryPolicy, Store};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Runtime;

use crate::server::{Server, Setup};
use crate::table::Row;
use crate::work::{
    CUSTOMERS_PER_REQUEST, Cost, Loop, MAX_IN_FLIGHT, VALUES_PER_CUSTOMER, VALUES_PER_REQUEST,
    address, all_stored, ours, row, row_by_email, upsert,
};
use crate::{Result, usage};

pub const CLIENT: &str = "--client";

pub const LATENCY: Duration = Duration::from_millis(20);
const PAGE_SIZE: u32 = 250;

pub struct Bench {
    pub runtime: Runtime,
    pub is_quick: bool,
}

impl Bench {
    pub fn size(&self, full: u32, quick: u32) -> u32 {
        if self.is_quick { quick } else { full }
    }

    pub fn rounds(&self, full: u32) -> u32 {
        self.size(full, full.min(3))
    }

    fn slow_server(&self) -> Result<Server> {
        Server::start(Setup {
            latency: LATENCY,
            ..Setup::default()
        })
    }

    /// Counts the requests for values in several orders.
    pub fn requests(&self) -> Result<Vec<Row>> {
        let customers = self.size(100_000, 10_000);
        let values = customers * VALUES_PER_CUSTOMER;
        let mut shuffled: Vec<u32> = (0..values).collect();
        fastrand::Rng::with_seed(1).shuffle(&mut shuffled);
        let columns = (0..VALUES_PER_CUSTOMER)
            .flat_map(|column| (column..values).step_by(VALUES_PER_CUSTOMER as usize));
        let orders = [
            ("requests, in order", (0..values).collect(), 10_000),
            ("requests, shuffled", shuffled, values as usize),
            (
                "requests, by column",
                columns.collect::<Vec<_>>(),
                values as usize,
            ),
        ];
        let mut rows = Vec::new();
        for (name, numbers, window) in orders {
            let server = Server::start(Setup::default())?;
            let store = server.store()?;
            let numbers = numbers.into_iter().map(row);
            let summary = upsert(&self.runtime, &store, window, numbers, |_| ())?;
            all_stored(&summary, values)?;
            let bound = customers.div_ceil(CUSTOMERS_PER_REQUEST);
            let pair = (summary.requests as f64, f64::from(bound));
            rows.push(Row::median(name, "requests", 1.0, vec![pair]));
        }
        Ok(rows)
    }

    /// Compares a run with its rounds of requests plus its time without latency.
    pub fn latency_bound(&self) -> Result<Row> {
        let requests = self.size(600, 150);
        let values = requests * VALUES_PER_REQUEST;
        let (slow_server, fast_server) = (self.slow_server()?, Server::start(Setup::default())?);
        let (slow, fast) = (slow_server.store()?, fast_server.store()?);
        let mut pairs = Vec::new();
        for _ in 0..self.rounds(5) {
            let work = ours(&self.runtime, &fast, values)?.wall;
            let measured = ours(&self.runtime, &slow, values)?.wall;
            let bound = LATENCY * requests.div_ceil(MAX_IN_FLIGHT) + work;
            pairs.push((measured.as_secs_f64(), bound.as_secs_f64()));
        }
        Ok(Row::median("latency-bound", "s", 1.03, pairs))
    }

    /// Compares a run by e-mail with its rounds of requests (the upserts, and the lookups of the fewest
    /// full URLs) plus its time without latency.
    pub fn by_email(&self) -> Result<Row> {
        let values = self.size(100_000, 20_000);
        let customers = values / VALUES_PER_CUSTOMER;
        let start = |latency| {
            Server::start(Setup {
                latency,
                customers,
                ..Setup::default()
            })
        };
        let (slow, fast) = (start(LATENCY)?, start(Duration::ZERO)?);
        let url_len = |customer| {
            // The `@` is percent-encoded, and a comma follows.
            address(i64::from(customer)).len() + 2 + 1
        };
        let room = 2_000 - slow.base_url.len() - 100;
        let lookups = (1..=customers).map(url_len).sum::<usize>().div_ceil(room);
        let lookups = u32::try_from(lookups)?;
        let upserts = customers.div_ceil(CUSTOMERS_PER_REQUEST);
        let rounds = (upserts + lookups).div_ceil(MAX_IN_FLIGHT);
        let mut requests = 0;
        let mut run = |server: &Server| -> Result<Duration> {
            let store = server.store()?;
            let began = Instant::now();
            let rows = (0..values).map(row_by_email);
            let summary = upsert(&self.runtime, &store, 10_000, rows, |_| ())?;
            all_stored(&summary, values)?;
            requests = summary.requests;
            Ok(began.elapsed())
        };
        let mut pairs = Vec::new();
        for _ in 0..self.rounds(3) {
            let work = run(&fast)?;
            let bound = LATENCY * rounds + work;
            pairs.push((run(&slow)?.as_secs_f64(), bound.as_secs_f64()));
        }
        let note = format!("{requests} requests for {upserts} upserts and {lookups} lookups");
        Ok(Row::median("by e-mail", "s", 1.10, pairs).with_note(note))
    }

    /// Compares a run with the quota windows that it needs.
    pub fn quota_bound(&self) -> Result<Row> {
        const QUOTA: u32 = 200;
        let requests = self.size(2000, 800);
        let fast_server = Server::start(Setup::default())?;
        let fast = fast_server.store()?;
        let mut pairs = Vec::new();
        let quota_429s = Arc::new(AtomicU64::new(0));
        for _ in 0..self.size(3, 1) {
            let last = ours(&self.runtime, &fast, QUOTA * VALUES_PER_REQUEST)?.wall;
            let server = Server::start(Setup {
                quota: u64::from(QUOTA),
                ..Setup::default()
            })?;
            let store = server.store()?;
            let counter = Arc::clone(&quota_429s);
            let began = Instant::now();
            let rows = (0..requests * VALUES_PER_REQUEST).map(row);
            let summary = upsert(&self.runtime, &store, 10_000, rows, move |event| {
                if let Event::RequestFinished {
                    status: Some(429), ..
                } = event
                {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })?;
            let measured = began.elapsed();
            all_stored(&summary, requests * VALUES_PER_REQUEST)?;
            let windows = requests.div_ceil(QUOTA) - 1;
            let bound = Duration::from_secs(1) * windows + last;
            pairs.push((measured.as_secs_f64(), bound.as_secs_f64()));
        }
        let note = format!("{} responses 429", quota_429s.load(Ordering::Relaxed));
        Ok(Row::median("quota-bound", "s", 1.03, pairs).with_note(note))
    }

    /// Compares processor time and throughput with those of a hand-written loop.
    pub fn cpu(&self) -> Result<Vec<Row>> {
        let values = self.size(1_000_000, 50_000);
        let server = Server::start(Setup::default())?;
        let store = server.store()?;
        let plain_loop = Loop::new(&server.base_url)?;
        // Warms up: afterwards the store holds the values, and the connections are open.
        ours(&self.runtime, &store, values)?;
        let (mut cpu, mut throughput, mut loop_throughput) = (Vec::new(), Vec::new(), Vec::new());
        let mut core_shares = [0.0; 3];
        let rounds = self.rounds(3);
        let per_value = |cost: &Cost| cost.cpu.as_secs_f64() * 1e6 / f64::from(values);
        let per_second = |cost: &Cost| f64::from(values) / cost.wall.as_secs_f64();
        for _ in 0..rounds {
            let (by_loop, loop_share) =
                server.core_share(|| plain_loop.run(&self.runtime, values))?;
            let (own, own_share) = server.core_share(|| ours(&self.runtime, &store, values))?;
            let (http_only, http_only_share) =
                server.core_share(|| plain_loop.run_http_only(&self.runtime, values))?;
            let shares = [own_share, http_only_share, loop_share];
            for (sum, share) in core_shares.iter_mut().zip(shares) {
                *sum += share;
            }
            cpu.push((per_value(&own), per_value(&by_loop)));
            throughput.push((per_second(&own), per_second(&http_only)));
            loop_throughput.push((per_second(&by_loop), per_second(&http_only)));
        }
        let [own, http_only, by_loop] = core_shares.map(|sum| {
            let percent = sum / f64::from(rounds) * 100.0;
            format!("the sandbox used {percent:.0} % of a core")
        });
        Ok(vec![
            Row::median("cpu per value", "µs", 1.10, cpu).with_note(own),
            Row::median("no latency", "values/s", 0.80, throughput)
                .more_is_better()
                .with_note(http_only),
            Row::median("no latency, plain loop", "values/s", None, loop_throughput)
                .more_is_better()
                .with_note(by_loop),
        ])
    }

    /// Compares the peak resident memory with many values and with few.
    pub fn memory(&self) -> Result<Row> {
        let (many, few) = (self.size(5_000_000, 500_000), self.size(200_000, 50_000));
        let peak = |values: u32| -> Result<f64> {
            let server = Server::start(Setup::default())?;
            let client = Command::new(std::env::current_exe()?)
                .args([CLIENT, &server.base_url, &values.to_string()])
                .output()?;
            Ok(String::from_utf8(client.stdout)?.trim().parse()?)
        };
        let mut pairs = Vec::new();
        for _ in 0..self.rounds(3) {
            pairs.push((peak(many)?, peak(few)?));
        }
        Ok(Row::median("memory", "MiB", 1.10, pairs))
    }

    /// Compares a list of all values with its rounds of requests plus its time without latency.
    pub fn list(&self) -> Result<Row> {
        let values = self.size(100_000, 25_000);
        let start = |latency| {
            Server::start(Setup {
                latency,
                values,
                ..Setup::default()
            })
        };
        let (slow, fast) = (start(LATENCY)?, start(Duration::ZERO)?);
        let request_rounds = values.div_ceil(PAGE_SIZE).div_ceil(MAX_IN_FLIGHT);
        let mut pairs = Vec::new();
        for _ in 0..self.rounds(5) {
            let work = self.list_all(&fast.store()?, values)?;
            let measured = self.list_all(&slow.store()?, values)?;
            let bound = LATENCY * request_rounds + work;
            pairs.push((measured.as_secs_f64(), bound.as_secs_f64()));
        }
        Ok(Row::median("list", "s", 1.05, pairs))
    }

    fn list_all(&self, store: &Store, values: u32) -> Result<Duration> {
        self.runtime.block_on(async {
            // Warms up: afterwards the connection is open, and the quota is known.
            store.list().page_size(1).stream().try_next().await?;
            let began = Instant::now();
            let mut listed = 0;
            let mut pages = store.list().page_size(u64::from(PAGE_SIZE)).pages();
            while let Some(page) = pages.try_next().await? {
                listed += page.values.len();
            }
            let elapsed = began.elapsed();
            if listed != values as usize {
                return Err(format!("{listed} of {values} values were listed").into());
            }
            Ok(elapsed)
        })
    }

    /// Compares the time per value without requests, for many values in the window and for few.
    pub fn packing(&self) -> Result<Vec<Row>> {
        const FEW: u32 = 10_000;
        let sizes: &[(&str, u32)] = if self.is_quick {
            &[("100,000", 100_000)]
        } else {
            &[("100,000", 100_000), ("1,000,000", 1_000_000)]
        };
        let mut rows = Vec::new();
        for is_shuffled in [false, true] {
            for &(size, values) in sizes {
                let order = if is_shuffled { "shuffled" } else { "in order" };
                let mut pairs = Vec::new();
                for _ in 0..self.rounds(5) {
                    let few = pack(&self.runtime, FEW, is_shuffled, 50)?;
                    pairs.push((pack(&self.runtime, values, is_shuffled, 1)?, few));
                }
                let name = format!("packing, {size} {order}");
                rows.push(Row::median(name, "ns/value", 1.20, pairs));
            }
        }
        Ok(rows)
    }

    /// Compares a run with faults with one without, plus the waits of the retry policy.
    pub fn retry_storm(&self) -> Result<Row> {
        let values = self.size(3000, 600) * VALUES_PER_REQUEST;
        let latency = Duration::from_millis(5);
        let start = |faults| {
            Server::start(Setup {
                latency,
                faults,
                ..Setup::default()
            })
        };
        let (calm_server, stormy_server) = (start(0.0)?, start(0.1)?);
        let policy = RetryPolicy::default().initial_backoff(Duration::from_millis(20));
        let calm = calm_server.builder().retry(policy.clone()).build()?;
        let stormy = stormy_server.builder().retry(policy).build()?;
        let mut pairs = Vec::new();
        let mut later = Duration::ZERO;
        let rounds = self.rounds(3);
        for _ in 0..rounds {
            let without = ours(&self.runtime, &calm, values)?.wall;
            let waits = Arc::new(Mutex::new(Waits::default()));
            let observed = Arc::clone(&waits);
            let began = Instant::now();
            let rows = (0..values).map(row);
            let summary = upsert(&self.runtime, &stormy, 10_000, rows, move |event| {
                if let Event::Waiting { call, wait, .. } = event
                    && let Ok(mut waits) = observed.lock()
                {
                    waits.add(*call, *wait);
                }
            })?;
            let measured = began.elapsed();
            all_stored(&summary, values)?;
            let waits = waits.lock().map_err(|error| error.to_string())?;
            // Three calls wait in parallel.
            let bound = without.mul_f64(1.1) + (waits.first + waits.later) / MAX_IN_FLIGHT;
            pairs.push((measured.as_secs_f64(), bound.as_secs_f64()));
            later += waits.later / rounds;
        }
        let later = later.as_secs_f64();
        let note =
            format!("{later:.2} s of second and later waits, during which no new call starts");
        Ok(Row::median("retry storm", "s", 1.0, pairs).with_note(note))
    }

    /// Compares the throughput at several latencies with that of 3 requests in flight at all times.
    pub fn throughput(&self) -> Result<Vec<Row>> {
        let values = self.size(300, 60) * VALUES_PER_REQUEST;
        let mut rows = Vec::new();
        for millis in [2, 5, 10, 20, 50] {
            let latency = Duration::from_millis(millis);
            let server = Server::start(Setup {
                latency,
                ..Setup::default()
            })?;
            let store = server.store()?;
            let plain_loop = Loop::new(&server.base_url)?;
            let bound = f64::from(MAX_IN_FLIGHT * VALUES_PER_REQUEST) / latency.as_secs_f64();
            let rate = |cost: Cost| (f64::from(values) / cost.wall.as_secs_f64(), bound);
            let (mut own, mut by_loop) = (Vec::new(), Vec::new());
            for _ in 0..self.rounds(3) {
                own.push(rate(ours(&self.runtime, &store, values)?));
                by_loop.push(rate(plain_loop.run(&self.runtime, values)?));
            }
            for (name, pairs) in [("throughput", own), ("plain loop throughput", by_loop)] {
                let name = format!("{name}, {millis} ms");
                rows.push(Row::median(name, "values/s", None, pairs).more_is_better());
            }
        }
        Ok(rows)
    }
}

/// The waits before the first retry of each call, and before later ones.
#[derive(Default)]
struct Waits {
    retried_calls: HashSet<u64>,
    first: Duration,
    later: Duration,
}

impl Waits {
    fn add(&mut self, call: u64, wait: Duration) {
        match self.retried_calls.insert(call) {
            true => self.first += wait,
            false => self.later += wait,
        }
    }
}

/// Upserts values, and prints the peak memory of this process.
pub fn client(runtime: &Runtime, base_url: &str, values: &str) -> Result<()> {
    let store = Store::builder_with_base_url(base_url, "any token").build()?;
    ours(runtime, &store, values.parse()?)?;
    println!("{}", usage::peak_mib()?);
    Ok(())
}

/// Returns the nanoseconds per value of a dry run, averaged over `times` runs.
fn pack(runtime: &Runtime, values: u32, is_shuffled: bool, times: u32) -> Result<f64> {
    // A dry run sends nothing, so no server is needed.
    let store = Store::builder_with_base_url("http://127.0.0.1:1", "any token").build()?;
    let mut numbers: Vec<u32> = (0..values).collect();
    if is_shuffled {
        fastrand::Rng::with_seed(1).shuffle(&mut numbers);
    }
    let mut elapsed = Duration::ZERO;
    for _ in 0..times {
        let rows: Vec<_> = numbers.iter().copied().map(row).collect();
        let began = Instant::now();
        let run = store.upsert().window(values as usize).dry_run();
        let mut outcomes = run.stream(stream::iter(rows));
        runtime.block_on(async { while outcomes.next().await.is_some() {} });
        elapsed += began.elapsed();
        if outcomes.summary().planned != u64::from(values) {
            return Err(outcomes.summary().to_string().into());
        }
    }
    Ok(elapsed.as_secs_f64() * 1e9 / f64::from(values) / f64::from(times))
}
