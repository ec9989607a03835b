//! A sandbox in a process of its own: this program, started again.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bigcommerce_ext::{Store, StoreBuilder};
use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};

use crate::Result;
use crate::usage;
use crate::work::Cost;

pub const SERVE: &str = "--serve";

/// What the store is like.
#[derive(Clone, Copy, Default)]
pub struct Setup {
    pub latency: Duration,
    /// Values that are there.
    pub values: u32,
    /// Requests per second.
    pub quota: u64,
    /// The share of answers that go wrong.
    pub faults: f64,
}

impl Setup {
    fn to_args(self) -> [String; 4] {
        [
            self.latency.as_millis().to_string(),
            self.values.to_string(),
            self.quota.to_string(),
            self.faults.to_string(),
        ]
    }

    fn of_args(args: &[String]) -> Result<Self> {
        let [latency, values, quota, faults] = args else {
            return Err("four figures say what the store is like".into());
        };
        Ok(Self {
            latency: Duration::from_millis(latency.parse()?),
            values: values.parse()?,
            quota: quota.parse()?,
            faults: faults.parse()?,
        })
    }
}

/// The process, which ends with this.
pub struct Server {
    process: Child,
    pub base_url: String,
}

impl Server {
    pub fn start(setup: Setup) -> Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .arg(SERVE)
            .args(setup.to_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut base_url = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut base_url)?;
        Ok(Self {
            process,
            base_url: base_url.trim().to_owned(),
        })
    }

    pub fn builder(&self) -> StoreBuilder {
        Store::builder_with_base_url(self.base_url.as_str(), "any token")
    }

    pub fn store(&self) -> Result<Store> {
        Ok(self.builder().build()?)
    }

    /// Runs something; returns the share of a core that the process took meanwhile, too.
    pub fn share(&self, run: impl FnOnce() -> Result<Cost>) -> Result<(Cost, f64)> {
        let before = usage::cpu_of(self.process.id())?;
        let cost = run()?;
        let took = usage::cpu_of(self.process.id())? - before;
        Ok((cost, took.as_secs_f64() / cost.wall.as_secs_f64()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing to lose, and ends by itself where this process does.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How much later than asked for the timer wakes: it counts in whole milliseconds, rounded up. The
/// store is to answer after its latency, not after that and a millisecond more.
async fn lateness(latency: Duration) -> Duration {
    const TIMES: u32 = 20;
    if latency.is_zero() {
        return latency;
    }
    let mut slept = Duration::ZERO;
    for turn in 0..TIMES {
        // Requests come at any moment of a millisecond.
        std::thread::sleep(Duration::from_micros(u64::from(turn * 50)));
        let began = Instant::now();
        tokio::time::sleep(latency).await;
        slept += began.elapsed();
    }
    (slept / TIMES).saturating_sub(latency)
}

/// Plays the store until the input ends.
pub fn serve(args: &[String]) -> Result<()> {
    let setup = Setup::of_args(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let quick = [Fault::InternalError, Fault::Unavailable, Fault::Busy];
        let plan = FaultPlan::seeded(1).rate(setup.faults).only(quick);
        let latency = setup.latency.saturating_sub(lateness(setup.latency).await);
        let mut builder = Sandbox::builder().latency(latency).faults(plan);
        if setup.quota > 0 {
            builder = builder.quota(setup.quota, Duration::from_secs(1));
        }
        let sandbox = builder.start().await?;
        for value in 0..i64::from(setup.values) {
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
