//! Compares runs whose limits are shared with runs whose limits are local:
//! `cargo bench -p bigcommerce-ext-redis --bench shared`, or with `-- --quick` once each. Linux only, for
//! processor time.
//!
//! Each process is one of its own, for which this program starts itself again. Its time begins when all
//! have started, know the quota, and share their limits.

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/it/support.rs"]
mod support;

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use bigcommerce_ext::{Store, UpsertRow};
use bigcommerce_ext_redis::RedisLimiter;
use bigcommerce_sandbox::Sandbox;

use crate::support::{RedisServer, delayed};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How far away Redis is, in one direction. The timers of a proxy add up to a millisecond.
const DISTANCE: Duration = Duration::from_micros(1_500);
const LATENCY: Duration = Duration::from_millis(20);
/// The first argument of a process that upserts.
const UPSERT: &str = "upsert";
/// More than a new state settles.
const SETTLE_TIME: Duration = Duration::from_millis(2_200);

fn main() -> Result<()> {
    let args: Vec<_> = env::args().skip(1).collect();
    if let [mode, store, redis, number, requests] = args.as_slice()
        && mode == UPSERT
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        return runtime.block_on(upsert(store, redis, number.parse()?, requests.parse()?));
    }
    let rounds = if args.iter().any(|arg| arg == "--quick") {
        1
    } else {
        3
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let bench = Bench {
        redis: RedisServer::start().ok_or("there is no redis-server")?,
        runtime,
        rounds,
    };
    println!(
        "| processes | Redis is away | requests/s, local | requests/s, shared | ratio | goal | \
         operations per request |"
    );
    println!("|---|---|---|---|---|---|---|");
    bench.compare(1, Duration::ZERO, Some(0.95))?;
    bench.compare(3, Duration::ZERO, Some(0.90))?;
    bench.compare(10, Duration::ZERO, None)?;
    bench.compare(100, Duration::ZERO, None)?;
    for processes in [1, 3] {
        bench.compare(processes, DISTANCE, None)?;
    }
    bench.cost()
}

struct Bench {
    redis: RedisServer,
    runtime: tokio::runtime::Runtime,
    rounds: usize,
}

/// What a run took.
#[derive(Clone, Copy)]
struct Taken {
    seconds: f64,
    processor_seconds: f64,
    /// Reads and swaps.
    operations: f64,
}

impl Bench {
    /// Prints how many requests per second `processes` send that share their limits, and how many one
    /// process sends whose limits are its own. `delay` is how far away Redis is, in one direction.
    fn compare(&self, processes: u32, delay: Duration, goal: Option<f64>) -> Result<()> {
        let redis = match delay {
            Duration::ZERO => self.redis.url(),
            _ => self.runtime.block_on(delayed(self.redis.port(), delay)),
        };
        let away = self.runtime.block_on(round_trip(&redis))?;
        let requests = 600;
        let (local, shared) = self.measure(&redis, processes, requests, LATENCY)?;
        let ratio = median(
            local
                .iter()
                .zip(&shared)
                .map(|(a, b)| a.seconds / b.seconds),
        );
        let per_second =
            |all: &[Taken]| median(all.iter().map(|taken| f64::from(requests) / taken.seconds));
        let goal = match goal {
            Some(goal) if ratio < goal => format!("≥ {goal:.2}, missed"),
            Some(goal) => format!("≥ {goal:.2}"),
            None => String::new(),
        };
        println!(
            "| {processes} | {:.1} ms | {:.1} | {:.1} | {ratio:.3} | {goal} | {:.1} |",
            away.as_secs_f64() * 1e3,
            per_second(&local),
            per_second(&shared),
            median(shared.iter().map(|taken| taken.operations)) / f64::from(requests),
        );
        Ok(())
    }

    /// Prints what a request costs more, where a response takes no time.
    fn cost(&self) -> Result<()> {
        let requests = 3_000;
        let (local, shared) = self.measure(&self.redis.url(), 1, requests, Duration::ZERO)?;
        let more = |time: fn(&Taken) -> f64| {
            let pairs = local.iter().zip(&shared);
            let seconds = median(pairs.map(|(local, shared)| time(shared) - time(local)));
            seconds / f64::from(requests) * 1e6
        };
        println!(
            "\nA request costs {:.0} µs more, and {:.0} µs more of the process's processor time.",
            more(|taken| taken.seconds),
            more(|taken| taken.processor_seconds)
        );
        Ok(())
    }

    fn measure(
        &self,
        redis: &str,
        processes: u32,
        requests: u32,
        latency: Duration,
    ) -> Result<(Vec<Taken>, Vec<Taken>)> {
        let (mut local, mut shared) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            local.push(self.run("", 1, requests, latency)?);
            shared.push(self.run(redis, processes, requests, latency)?);
        }
        Ok((local, shared))
    }

    fn run(&self, redis: &str, processes: u32, requests: u32, latency: Duration) -> Result<Taken> {
        let sandbox = Sandbox::builder().latency(latency);
        let sandbox = self.runtime.block_on(sandbox.start())?;
        let mut children = (0..processes)
            .map(|number| Process::start(sandbox.base_url(), redis, number, requests / processes))
            .collect::<Result<Vec<_>>>()?;
        for child in &mut children {
            child.line()?;
        }
        let sent = sandbox.counts().requests;
        let operations = self.operations();
        let began = Instant::now();
        for child in &mut children {
            child.stdin.write_all(b"\n")?;
        }
        let mut processor_seconds = 0.0;
        for child in &mut children {
            processor_seconds += child.line()?.parse::<f64>()?;
        }
        let taken = Taken {
            seconds: began.elapsed().as_secs_f64(),
            processor_seconds,
            operations: self.operations() - operations,
        };
        let counts = sandbox.counts();
        assert_eq!(counts.requests - sent, u64::from(requests));
        assert_eq!((counts.in_flight_429s, counts.quota_429s), (0, 0));
        Ok(taken)
    }

    /// Returns how many scripts Redis has run.
    fn operations(&self) -> f64 {
        let statistics = self.redis.command(&["INFO", "commandstats"]);
        let statistics = statistics.unwrap_or_default();
        let calls = statistics.split_once("cmdstat_evalsha:calls=");
        let calls = calls.and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
        calls.unwrap_or_default()
    }
}

/// A process that upserts.
struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    fn start(store: &str, redis: &str, number: u32, requests: u32) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args([
                UPSERT,
                store,
                redis,
                &number.to_string(),
                &requests.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self {
            stdin: child.stdin.take().ok_or("no standard input")?,
            stdout: BufReader::new(child.stdout.take().ok_or("no standard output")?),
            child,
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line)? {
            0 => Err("the process has ended".into()),
            _ => Ok(line.trim().to_owned()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Upserts one value of each of the customers of this process, 10 per request. Says when it could begin,
/// waits for a line, and prints the processor time.
async fn upsert(store: &str, redis: &str, number: i64, requests: i64) -> Result<()> {
    let mut builder = Store::builder_with_base_url(store, "placeholder");
    if !redis.is_empty() {
        builder = builder.limiter(RedisLimiter::connect(redis).await?);
    }
    let store = builder.build()?;
    let first = 1 + number * requests * 10;
    let rows = |requests: i64| {
        (first..first + requests * 10).map(|customer| UpsertRow::new(customer, 1, "x"))
    };
    let _report = store.upsert().rows(rows(1)).send().await?.into_result()?;
    if !redis.is_empty() {
        tokio::time::sleep(SETTLE_TIME).await;
    }
    println!("ready");
    // Nothing else is to happen in this process meanwhile.
    std::io::stdin().read_line(&mut String::new())?;
    let before = processor_seconds()?;
    let report = store.upsert().rows(rows(requests)).send().await?;
    if report.summary().stored != report.summary().rows() {
        return Err(report.summary().to_string().into());
    }
    println!("{}", processor_seconds()? - before);
    Ok(())
}

/// Returns how long an operation takes.
async fn round_trip(redis: &str) -> Result<Duration> {
    let limiter = RedisLimiter::connect(redis).await?;
    let mut times = Vec::new();
    for _ in 0..51 {
        let began = Instant::now();
        limiter.status("none").await?;
        times.push(began.elapsed().as_secs_f64());
    }
    Ok(Duration::from_secs_f64(median(times.into_iter())))
}

/// Returns the processor time of this process.
fn processor_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split(' ').next().ok_or("no time")?;
    Ok(nanoseconds.parse::<f64>()? / 1e9)
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
