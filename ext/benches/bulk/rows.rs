//! The lines of the table.

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
    ByHand, CUSTOMERS_PER_CALL, Cost, IN_FLIGHT, PER_CALL, PER_CUSTOMER, all_stored, ours, row,
    upsert,
};
use crate::{Result, usage};

pub const CLIENT: &str = "--client";

/// In milliseconds, for the rows of throughput by latency.
pub const LATENCIES: [u32; 5] = [2, 5, 10, 20, 50];
pub const THROUGHPUT: &str = "throughput";
pub const BY_HAND: &str = "throughput by hand";

const LATENCY: Duration = Duration::from_millis(20);
const PAGE: u32 = 250;

/// How large everything is, and how often it is measured.
pub struct Bench {
    pub runtime: Runtime,
    pub is_quick: bool,
}

impl Bench {
    fn size(&self, full: u32, quick: u32) -> u32 {
        if self.is_quick { quick } else { full }
    }

    fn times(&self, full: u32) -> u32 {
        self.size(full, full.min(3))
    }

    fn slow(&self) -> Result<Server> {
        Server::start(Setup {
            latency: LATENCY,
            ..Setup::default()
        })
    }

    /// Calls made, in whatever order the values come.
    pub fn calls(&self) -> Result<Vec<Row>> {
        let customers = self.size(100_000, 10_000);
        let values = customers * PER_CUSTOMER;
        let mut shuffled: Vec<u32> = (0..values).collect();
        fastrand::Rng::with_seed(1).shuffle(&mut shuffled);
        let columns =
            (0..PER_CUSTOMER).flat_map(|column| (column..values).step_by(PER_CUSTOMER as usize));
        let orders = [
            ("calls, in order", (0..values).collect(), 10_000),
            ("calls, shuffled", shuffled, values as usize),
            (
                "calls, by column",
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
            let bound = customers.div_ceil(CUSTOMERS_PER_CALL);
            let pair = (summary.requests as f64, f64::from(bound));
            rows.push(Row::median(name, "calls", 1.0, vec![pair]));
        }
        Ok(rows)
    }

    /// A run against the time that its rounds of requests and its own work take.
    pub fn latency_bound(&self) -> Result<Row> {
        let calls = self.size(600, 150);
        let values = calls * PER_CALL;
        let (slow_server, fast_server) = (self.slow()?, Server::start(Setup::default())?);
        let (slow, fast) = (slow_server.store()?, fast_server.store()?);
        let mut pairs = Vec::new();
        for _ in 0..self.times(5) {
            let work = ours(&self.runtime, &fast, values)?.wall;
            let measured = ours(&self.runtime, &slow, values)?.wall;
            let bound = LATENCY * calls.div_ceil(IN_FLIGHT) + work;
            pairs.push((measured.as_secs_f64(), bound.as_secs_f64()));
        }
        Ok(Row::median("latency-bound", "s", 1.03, pairs))
    }

    /// A run against the windows that its quota takes.
    pub fn quota_bound(&self) -> Result<Row> {
        const QUOTA: u32 = 200;
        let calls = self.size(2000, 800);
        let fast_server = Server::start(Setup::default())?;
        let fast = fast_server.store()?;
        let mut pairs = Vec::new();
        let refused = Arc::new(AtomicU64::new(0));
        for _ in 0..self.size(3, 1) {
            let last = ours(&self.runtime, &fast, QUOTA * PER_CALL)?.wall;
            let server = Server::start(Setup {
                quota: u64::from(QUOTA),
                ..Setup::default()
            })?;
            let store = server.store()?;
            let counter = Arc::clone(&refused);
            let began = Instant::now();
            let rows = (0..calls * PER_CALL).map(row);
            let summary = upsert(&self.runtime, &store, 10_000, rows, move |event| {
                if let Event::RequestFinished {
                    status: Some(429), ..
                } = event
                {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })?;
            let measured = began.elapsed();
            all_stored(&summary, calls * PER_CALL)?;
            let windows = calls.div_ceil(QUOTA) - 1;
            let bound = Duration::from_secs(1) * windows + last;
            pairs.push((measured.as_secs_f64(), bound.as_secs_f64()));
        }
        let note = format!("{} answers 429", refused.load(Ordering::Relaxed));
        Ok(Row::median("quota-bound", "s", 1.03, pairs).note(note))
    }

    /// Processor time and throughput, against loops by hand.
    pub fn work(&self) -> Result<Vec<Row>> {
        let values = self.size(1_000_000, 50_000);
        let server = Server::start(Setup::default())?;
        let store = server.store()?;
        let by_hand = ByHand::new(&server.base_url)?;
        // The store holds the values from here on, and the connections are there.
        ours(&self.runtime, &store, values)?;
        let (mut cpu, mut floor, mut by_hand_floor) = (Vec::new(), Vec::new(), Vec::new());
        let mut shares = [0.0; 3];
        let times = self.times(3);
        let per_value = |cost: &Cost| cost.cpu.as_secs_f64() * 1e6 / f64::from(values);
        let per_second = |cost: &Cost| f64::from(values) / cost.wall.as_secs_f64();
        for _ in 0..times {
            let (hand, of_hand) = server.share(|| by_hand.run(&self.runtime, values))?;
            let (own, of_own) = server.share(|| ours(&self.runtime, &store, values))?;
            let (bare, of_bare) = server.share(|| by_hand.run_bare(&self.runtime, values))?;
            for (sum, share) in shares.iter_mut().zip([of_own, of_bare, of_hand]) {
                *sum += share;
            }
            cpu.push((per_value(&own), per_value(&hand)));
            floor.push((per_second(&own), per_second(&bare)));
            by_hand_floor.push((per_second(&hand), per_second(&bare)));
        }
        let [own, bare, hand] = shares.map(|sum| {
            let percent = sum / f64::from(times) * 100.0;
            format!("the sandbox took {percent:.0} % of a core")
        });
        Ok(vec![
            Row::median("cpu per value", "µs", 1.10, cpu).note(own),
            Row::median("floor", "values/s", 0.80, floor)
                .at_least()
                .note(bare),
            Row::median("floor, loop by hand", "values/s", None, by_hand_floor)
                .at_least()
                .note(hand),
        ])
    }

    /// The peak of resident memory with many values, against that with few.
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
        for _ in 0..self.times(3) {
            pairs.push((peak(many)?, peak(few)?));
        }
        Ok(Row::median("memory", "MiB", 1.10, pairs))
    }

    /// Reading all values at a latency, against the rounds of requests that it takes at least and
    /// the client's work without a latency.
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
        let rounds = values.div_ceil(PAGE).div_ceil(IN_FLIGHT);
        let mut pairs = Vec::new();
        for _ in 0..self.times(5) {
            let work = self.list_all(&fast.store()?, values)?;
            let measured = self.list_all(&slow.store()?, values)?;
            let bound = LATENCY * rounds + work;
            pairs.push((measured.as_secs_f64(), bound.as_secs_f64()));
        }
        Ok(Row::median("list", "s", 1.05, pairs))
    }

    fn list_all(&self, store: &Store, values: u32) -> Result<Duration> {
        self.runtime.block_on(async {
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

    /// All that is done with a value but sending it, by the number of values in the window.
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
                for _ in 0..self.times(5) {
                    let few = pack(&self.runtime, FEW, is_shuffled, 50)?;
                    pairs.push((pack(&self.runtime, values, is_shuffled, 1)?, few));
                }
                let name = format!("packing, {size} {order}");
                rows.push(Row::median(name, "ns/value", 1.20, pairs));
            }
        }
        Ok(rows)
    }

    /// A run with faults, against one without and the waits that the policy prescribes.
    pub fn retry_storm(&self) -> Result<Row> {
        let values = self.size(3000, 600) * PER_CALL;
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
        let times = self.times(3);
        for _ in 0..times {
            let without = ours(&self.runtime, &calm, values)?.wall;
            let waited = Arc::new(Mutex::new(Waits::default()));
            let waits = Arc::clone(&waited);
            let began = Instant::now();
            let rows = (0..values).map(row);
            let summary = upsert(&self.runtime, &stormy, 10_000, rows, move |event| {
                if let Event::Waiting { call, wait, .. } = event
                    && let Ok(mut waits) = waits.lock()
                {
                    waits.add(*call, *wait);
                }
            })?;
            let measured = began.elapsed();
            all_stored(&summary, values)?;
            let waits = waited.lock().map_err(|error| error.to_string())?;
            // Three calls wait side by side.
            let bound = without.mul_f64(1.1) + (waits.first + waits.later) / IN_FLIGHT;
            pairs.push((measured.as_secs_f64(), bound.as_secs_f64()));
            later += waits.later / times;
        }
        let later = later.as_secs_f64();
        let note = format!("{later:.2} s of second and later waits, in which nothing new begins");
        Ok(Row::median("retry storm", "s", 1.0, pairs).note(note))
    }

    /// Throughput by latency: ours, by hand, and what three requests at a time can be.
    pub fn throughput(&self) -> Result<Vec<Row>> {
        let calls = self.size(300, 60);
        let values = calls * PER_CALL;
        let mut rows = Vec::new();
        for millis in LATENCIES {
            let latency = Duration::from_millis(millis.into());
            let server = Server::start(Setup {
                latency,
                ..Setup::default()
            })?;
            let store = server.store()?;
            let by_hand = ByHand::new(&server.base_url)?;
            let bound = f64::from(IN_FLIGHT * PER_CALL) / latency.as_secs_f64();
            let rate = |cost: Cost| (f64::from(values) / cost.wall.as_secs_f64(), bound);
            let (mut own, mut hand) = (Vec::new(), Vec::new());
            for _ in 0..self.times(3) {
                own.push(rate(ours(&self.runtime, &store, values)?));
                hand.push(rate(by_hand.run(&self.runtime, values)?));
            }
            for (who, pairs) in [(THROUGHPUT, own), (BY_HAND, hand)] {
                let name = at(who, millis);
                rows.push(Row::median(name, "values/s", None, pairs).at_least());
            }
        }
        Ok(rows)
    }
}

/// The name of a row of throughput at a latency.
pub fn at(who: &str, millis: u32) -> String {
    format!("{who}, {millis} ms")
}

/// What calls have waited for before they were tried again.
#[derive(Default)]
struct Waits {
    tried_again: HashSet<u64>,
    first: Duration,
    later: Duration,
}

impl Waits {
    fn add(&mut self, call: u64, wait: Duration) {
        match self.tried_again.insert(call) {
            true => self.first += wait,
            false => self.later += wait,
        }
    }
}

/// Streams values, and prints the peak of its own memory.
pub fn client(runtime: &Runtime, base_url: &str, values: &str) -> Result<()> {
    let store = Store::builder_with_base_url(base_url, "any token").build()?;
    ours(runtime, &store, values.parse()?)?;
    println!("{}", usage::peak_mib()?);
    Ok(())
}

/// Nanoseconds per value of all that is done with it but sending it, on average of several times.
fn pack(runtime: &Runtime, values: u32, is_shuffled: bool, times: u32) -> Result<f64> {
    // Nobody listens there, and nothing is sent.
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
