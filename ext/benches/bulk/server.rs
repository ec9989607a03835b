//! A sandbox in a process of its own. This program starts itself again for it.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bigcommerce_ext::{Store, StoreBuilder};
use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};

use crate::Result;
use crate::usage;
use crate::work::{Cost, address};

pub const SERVE: &str = "--serve";

/// The settings of the sandbox.
#[derive(Clone, Copy)]
pub struct Setup {
    pub latency: Duration,
    /// Values in the store at the start.
    pub values: u32,
    /// Customers in the store at the start.
    pub customers: u32,
    /// Requests per quota window (0 for no limit).
    pub quota: u64,
    pub quota_window: Duration,
    /// The share of requests with a fault.
    pub faults: f64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            values: 0,
            customers: 0,
            quota: 0,
            quota_window: Duration::from_secs(1),
            faults: 0.0,
        }
    }
}

impl Setup {
    fn to_args(self) -> [String; 6] {
        [
            self.latency.as_millis().to_string(),
            self.values.to_string(),
            self.customers.to_string(),
            self.quota.to_string(),
            self.quota_window.as_millis().to_string(),
            self.faults.to_string(),
        ]
    }

    fn from_args(args: &[String]) -> Result<Self> {
        let [latency, values, customers, quota, quota_window, faults] = args else {
            let text = "--serve takes latency, values, customers, quota, its window and fault rate";
            return Err(text.into());
        };
        Ok(Self {
            latency: Duration::from_millis(latency.parse()?),
            values: values.parse()?,
            customers: customers.parse()?,
            quota: quota.parse()?,
            quota_window: Duration::from_millis(quota_window.parse()?),
            faults: faults.parse()?,
        })
    }
}

/// The sandbox's process. Ends when dropped.
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

    /// Returns the cost of a run, and the share of a core that the sandbox used during it.
    pub fn core_share(&self, run: impl FnOnce() -> Result<Cost>) -> Result<(Cost, f64)> {
        let before = usage::cpu_of(self.process.id())?;
        let cost = run()?;
        let used = usage::cpu_of(self.process.id())? - before;
        Ok((cost, used.as_secs_f64() / cost.wall.as_secs_f64()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If this fails, the sandbox still ends when this process closes its standard input.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns how late the timer fires: it counts whole milliseconds, rounded up. Without a correction,
/// the sandbox would add up to a millisecond to its latency.
async fn timer_delay(latency: Duration) -> Duration {
    const TIMES: u32 = 20;
    if latency.is_zero() {
        return latency;
    }
    let mut slept = Duration::ZERO;
    for round in 0..TIMES {
        // Requests arrive at any point within a millisecond.
        std::thread::sleep(Duration::from_micros(u64::from(round * 50)));
        let began = Instant::now();
        tokio::time::sleep(latency).await;
        slept += began.elapsed();
    }
    (slept / TIMES).saturating_sub(latency)
}

/// Runs the sandbox until standard input ends.
pub fn serve(args: &[String]) -> Result<()> {
    let setup = Setup::from_args(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let fast_faults = [Fault::InternalError, Fault::Unavailable, Fault::Busy];
        let plan = FaultPlan::seeded(1).rate(setup.faults).only(fast_faults);
        let latency = setup
            .latency
            .saturating_sub(timer_delay(setup.latency).await);
        let customers = (1..=i64::from(setup.customers)).map(|id| (id, address(id)));
        let builder = Sandbox::builder().customers(customers);
        let mut builder = builder.latency(latency).faults(plan);
        if setup.quota > 0 {
            builder = builder.quota(setup.quota, setup.quota_window);
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
