//! Processes that share the limits of one store.

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bigcommerce_ext_redis::RedisLimiter;
use bigcommerce_sandbox::{Counts, Sandbox, SandboxBuilder};
use tokio::time::sleep;

use crate::support::{RedisServer, example};

const LATENCY: Duration = Duration::from_millis(20);
/// How long a new state settles.
const SETTLE_TIME: Duration = Duration::from_secs(2);

async fn start(sandbox: SandboxBuilder) -> Sandbox {
    sandbox.latency(LATENCY).start().await.expect("a sandbox")
}

/// Starts a process that upserts three values of each of these customers.
fn upsert(sandbox: &Sandbox, redis: Option<&RedisServer>, customers: &str, more: &[&str]) -> Run {
    let mut command = Command::new(example("shared_upsert"));
    command.args(["--store", sandbox.base_url(), "--customers", customers]);
    if let Some(redis) = redis {
        command.args(["--redis", &redis.url()]);
    }
    let child = command
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    Run {
        child: Some(child.expect("the example starts")),
        started: Instant::now(),
    }
}

/// A process. Dropping it ends it.
struct Run {
    child: Option<Child>,
    started: Instant,
}

impl Run {
    async fn finish(mut self) -> (Duration, Output) {
        let child = self.child.take().expect("a process that runs");
        let output = tokio::task::spawn_blocking(|| child.wait_with_output());
        let output = output.await.expect("no panic").expect("an output");
        (self.started.elapsed(), output)
    }

    /// Waits for its end, and checks that all its values were stored. Returns how long it took.
    async fn succeed(self) -> (Duration, String) {
        let (elapsed, output) = self.finish().await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        (elapsed, text)
    }

    fn kill(&mut self) {
        let child = self.child.as_mut().expect("a process that runs");
        child.kill().expect("it is ended");
        child.wait().expect("it has ended");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn assert_within_limits(counts: &Counts) {
    assert_eq!(
        (counts.in_flight_429s, counts.quota_429s),
        (0, 0),
        "{counts:?}"
    );
    assert!(counts.peak_in_flight <= 3, "{counts:?}");
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_share_the_limits_without_loss() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    // Other programs can only make a round slower: one that is quick shows what sharing costs.
    for _ in 0..3 {
        let (ratio, times) = share_among_three(&redis).await;
        println!("{ratio:.3} of the time of one process; {times:.2?} s each");
        if ratio <= 1.1 && times[2] <= 1.2 * times[0] {
            return;
        }
    }
    panic!("three processes are slower than one");
}

/// Returns the time of three processes relative to that of one, and the times of the three in seconds.
async fn share_among_three(redis: &RedisServer) -> (f64, Vec<f64>) {
    let quota = |builder: SandboxBuilder| builder.quota(150, Duration::from_secs(2));
    // 780 requests: five windows and a part.
    let alone = start(quota(Sandbox::builder())).await;
    let (time_alone, _) = upsert(&alone, None, "1..7801", &[]).succeed().await;
    assert_eq!(alone.counts().requests, 780);

    let sandbox = start(quota(Sandbox::builder())).await;
    let shares = ["1..2601", "2601..5201", "5201..7801"];
    let began = Instant::now();
    let runs = shares.map(|share| upsert(&sandbox, Some(redis), share, &[]));
    let mut times = Vec::new();
    for run in runs {
        let (_, text) = run.succeed().await;
        let seconds = text
            .rsplit(" in ")
            .next()
            .and_then(|text| text.trim().strip_suffix(" s"));
        times.push(
            seconds
                .and_then(|text| text.parse::<f64>().ok())
                .expect("a time"),
        );
    }
    let time_together = began.elapsed();
    let counts = sandbox.counts();
    assert_within_limits(&counts);
    assert_eq!(counts.peak_in_flight, 3);
    assert_eq!(counts.requests, 780);
    assert_eq!(counts.values, 3 * 7800);
    times.sort_by(f64::total_cmp);
    (
        time_together.as_secs_f64() / time_alone.as_secs_f64(),
        times,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_costs_its_leases_for_their_time_only() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let sandbox = start(Sandbox::builder()).await;
    let times = ["--attempt-timeout", "3000", "--grace", "2000"];
    let mut killed = upsert(&sandbox, Some(&redis), "1..100000", &times);
    until("it sends", || sandbox.counts().puts > 20).await;
    sleep(SETTLE_TIME).await;
    let other = upsert(&sandbox, Some(&redis), "200001..201001", &times);
    let limiter = RedisLimiter::connect(&redis.url())
        .await
        .expect("a connection");
    let status = async || limiter.status(sandbox.base_url()).await.expect("a status");
    let names = async || {
        let status = status().await;
        status
            .leases
            .into_iter()
            .map(|lease| lease.process)
            .collect::<Vec<_>>()
    };
    let process = killed.child.as_ref().expect("a process").id().to_string();
    let is_killed = |name: &String| name.ends_with(&process);
    // Both have a lease.
    loop {
        let names = names().await;
        if names.iter().any(&is_killed) && !names.iter().all(&is_killed) {
            break;
        }
    }
    killed.kill();
    let died = Instant::now();
    let before = sandbox.counts().puts;
    // The other one goes on at once.
    until("the other one goes on", || {
        sandbox.counts().puts > before + 5
    })
    .await;
    assert!(
        died.elapsed() < Duration::from_secs(2),
        "{:?}",
        died.elapsed()
    );
    let left = names().await.iter().filter(|name| is_killed(name)).count();
    assert!(
        left > 0,
        "the leases of a process that was killed are back too early"
    );
    while names().await.iter().any(&is_killed) {
        sleep(Duration::from_millis(20)).await;
    }
    let back = died.elapsed();
    assert!(back > Duration::from_millis(4_000), "{back:?}");
    assert!(back < Duration::from_millis(6_500), "{back:?}");
    other.succeed().await;
    assert_within_limits(&sandbox.counts());
}

/// What happens to the data while Redis is down.
enum Data {
    Kept,
    Lost,
    /// What a replica had that was behind.
    Old,
}

async fn restart_redis(data: Data) {
    let Some(mut redis) = RedisServer::start() else {
        return;
    };
    let sandbox = start(Sandbox::builder()).await;
    let redis_ref = &redis;
    // Each of them alone would take about 22 s.
    let shares = ["1..10001", "10001..20001"];
    let runs = shares.map(|share| upsert(&sandbox, Some(redis_ref), share, &[]));
    until("they send", || sandbox.counts().puts > 20).await;
    sleep(SETTLE_TIME).await;
    if let Data::Old = data {
        redis.save();
        sleep(Duration::from_secs(1)).await;
    }
    if let Data::Kept = data {
        redis.save();
    }
    redis.kill();
    if let Data::Lost = data {
        let _ = fs::remove_file(redis.data());
    }
    sleep(Duration::from_secs(3)).await;
    // Each goes on with one request in flight.
    let before = sandbox.counts().puts;
    let began = Instant::now();
    let mut most = 0;
    while began.elapsed() < Duration::from_secs(6) {
        most = most.max(sandbox.counts().in_flight);
        sleep(Duration::from_millis(1)).await;
    }
    let sent = sandbox.counts().puts - before;
    assert!(most <= 2, "{most} in flight");
    // One after the other, 20 ms each, would be 600.
    assert!(sent > 300, "{sent} requests");
    sleep(Duration::from_secs(1)).await;
    redis.restart();
    for run in runs {
        let (_, text) = run.succeed().await;
        assert!(text.contains("by itself: Redis at 127.0.0.1"), "{text}");
        assert!(text.contains("shared again after"), "{text}");
    }
    let counts = sandbox.counts();
    assert_within_limits(&counts);
    assert_eq!(counts.peak_in_flight, 3);
    assert_eq!(counts.requests, 2000);
    assert_eq!(counts.values, 3 * 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_comes_back_with_its_data() {
    restart_redis(Data::Kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_comes_back_without_its_data() {
    restart_redis(Data::Lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_comes_back_with_old_data() {
    restart_redis(Data::Old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_set_to_stop_says_why() {
    let Some(mut redis) = RedisServer::start() else {
        return;
    };
    let sandbox = start(Sandbox::builder()).await;
    let run = upsert(&sandbox, Some(&redis), "1..100000", &["--stop"]);
    until("it sends", || sandbox.counts().puts > 5).await;
    redis.kill();
    let (_, output) = run.finish().await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    let expected = format!(
        "stopped: the shared limits can't be reached (Redis at 127.0.0.1:{} refused the connection",
        redis.port()
    );
    assert!(text.contains(&expected), "{text}");
    let counts = sandbox.counts();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains(&format!("{} stored", counts.rows_stored)),
        "{text}, {counts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn leased_customers_are_in_flight_once() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let sandbox = start(Sandbox::builder()).await;
    let run = || upsert(&sandbox, Some(&redis), "1..1001", &["--lease-customers"]);
    let runs = [run(), run()];
    for run in runs {
        run.succeed().await;
    }
    let counts = sandbox.counts();
    assert_within_limits(&counts);
    assert_eq!(counts.customer_overlaps, 0, "{counts:?}");
    assert_eq!(counts.rows_stored, 2 * 3000);
}
