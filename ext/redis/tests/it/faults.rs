//! What happens to a run when something happens to Redis.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use bigcommerce_ext::limiter::{SharedLimits, Sharing};
use bigcommerce_ext::{Event, Report, Store, UpsertRow};
use bigcommerce_ext_redis::RedisLimiter;
use bigcommerce_sandbox::Sandbox;
use tokio::time::{Instant, sleep, timeout};
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Metadata, Subscriber};

use crate::support::{RedisServer, delayed};

const PASSWORD: &str = "p4ssw0rd";

thread_local! {
    /// The warnings of this thread, that is of one test.
    static WARNINGS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the warnings of each thread. It is the subscriber of the whole process: whether an event is of
/// interest is cached for all threads.
struct Warnings;

impl Warnings {
    fn keep() {
        static KEPT: Once = Once::new();
        KEPT.call_once(|| tracing::subscriber::set_global_default(Self).expect("no other one"));
    }

    fn text() -> String {
        WARNINGS.with_borrow(String::clone)
    }
}

impl Visit for Warnings {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        WARNINGS.with_borrow_mut(|text| {
            let _ = writeln!(text, "{}={value:?}", field.name());
        });
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Self);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::builder().latency(Duration::from_millis(20));
    sandbox.start().await.expect("a sandbox")
}

/// A run whose limits are in Redis, and what it said.
struct SharedRun {
    store: Store,
    events: Arc<Mutex<Vec<String>>>,
}

impl SharedRun {
    async fn new(sandbox: &Sandbox, url: &str) -> Self {
        let limiter = RedisLimiter::connect(url).await.expect("a connection");
        let store = Store::builder_with_base_url(sandbox.base_url(), "t0ken")
            .limiter(SharedLimits::new(limiter).process_name("this one"));
        assert!(!format!("{store:?}").contains(PASSWORD));
        Self {
            store: store.build().expect("a store"),
            events: Arc::default(),
        }
    }

    /// Upserts one value of each of 2,000 customers, which takes about three seconds.
    async fn upsert(&self) -> Report {
        self.upsert_customers(2000).await
    }

    async fn upsert_customers(&self, customers: i64) -> Report {
        let events = Arc::clone(&self.events);
        let rows = (1..=customers).map(|customer| UpsertRow::new(customer, 1, "x"));
        let upsert = self.store.upsert().rows(rows).observe(move |event| {
            if let Event::LimitsUnshared { .. } | Event::LimitsShared { .. } = event {
                let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
                events.push(format!("{event:?}"));
            }
        });
        let report = timeout(Duration::from_secs(60), upsert.send()).await;
        report.expect("nothing hangs").expect("a report")
    }

    fn events(&self) -> Vec<String> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn assert_all_stored(sandbox: &Sandbox, report: &Report) {
    assert_eq!(report.summary().stored, 2000, "{}", report.summary());
    let counts = sandbox.counts();
    assert_eq!((counts.values, counts.requests), (2000, 200));
    assert_eq!((counts.in_flight_429s, counts.peak_in_flight), (0, 3));
}

#[tokio::test]
async fn lost_scripts_and_lost_data_are_restored() {
    for command in [&["SCRIPT", "FLUSH"][..], &["FLUSHALL"]] {
        let Some(redis) = RedisServer::start() else {
            return;
        };
        let sandbox = sandbox().await;
        let run = SharedRun::new(&sandbox, &redis.url()).await;
        let disturb = async {
            for _ in 0..5 {
                sleep(Duration::from_millis(500)).await;
                redis.command(command);
            }
        };
        let (report, ()) = tokio::join!(run.upsert(), disturb);
        assert_all_stored(&sandbox, &report);
        assert_eq!(run.events(), [""; 0], "{command:?}");
        let status = run.store.limiter_status().await;
        assert_eq!((status.sharing, status.leases.len()), (Sharing::Shared, 0));
    }
}

#[tokio::test]
async fn without_the_right_to_publish_it_polls_and_says_so() {
    let user = "--user few on >p4ssw0rd ~bigcommerce:* resetchannels \
                -@all +evalsha +script +get +set +time";
    let user: Vec<_> = user.split_whitespace().collect();
    let Some(redis) = RedisServer::start_with(&user) else {
        return;
    };
    Warnings::keep();
    let sandbox = sandbox().await;
    let url = redis
        .url()
        .replace("redis://", &format!("redis://few:{PASSWORD}@"));
    let run = SharedRun::new(&sandbox, &url).await;
    let report = run.upsert().await;
    assert_all_stored(&sandbox, &report);
    let text = Warnings::text();
    assert!(text.contains("no notices from Redis"), "{text}");
    assert!(text.contains("denies a right to the user"), "{text}");
    assert!(
        !text.contains(PASSWORD) && !text.contains("t0ken"),
        "{text}"
    );
}

#[tokio::test]
async fn a_redis_without_memory_is_out_of_reach_and_named() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    Warnings::keep();
    let sandbox = sandbox().await;
    let run = SharedRun::new(&sandbox, &redis.url()).await;
    let disturb = async {
        sleep(Duration::from_secs(1)).await;
        redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
        sleep(Duration::from_secs(3)).await;
        let status = run.store.limiter_status().await;
        let Sharing::Unreachable { cause, .. } = status.sharing else {
            panic!("{status:?}");
        };
        assert!(cause.contains("OOM"), "{cause}");
        redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    };
    let (report, ()) = tokio::join!(run.upsert(), disturb);
    assert_all_stored(&sandbox, &report);
    let events = run.events().join("\n");
    let [unshared, shared] = &run.events()[..] else {
        panic!("{events}");
    };
    assert!(unshared.contains("LimitsUnshared"), "{events}");
    assert!(unshared.contains("has no memory left (OOM)"), "{events}");
    assert!(shared.contains("LimitsShared"), "{events}");
    let text = Warnings::text();
    assert!(
        text.contains("the shared limits can't be reached"),
        "{text}"
    );
    assert!(text.contains("has no memory left (OOM)"), "{text}");
}

#[tokio::test]
async fn a_slow_redis_slows_and_nothing_hangs() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let sandbox = sandbox().await;
    let url = delayed(redis.port(), Duration::from_millis(100)).await;
    let run = SharedRun::new(&sandbox, &url).await;
    let began = Instant::now();
    let report = run.upsert_customers(300).await;
    assert_eq!(report.summary().stored, 300);
    assert_eq!(run.events(), [""; 0]);
    println!("30 requests, 200 ms from Redis: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_key_with_something_else_is_left_alone() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let sandbox = sandbox().await;
    let run = SharedRun::new(&sandbox, &redis.url()).await;
    let key = sandbox.base_url().trim_start_matches("http://");
    let key = format!("bigcommerce:limits:{{{key}}}");
    redis.command(&["SET", &key, r#"{"version":99}"#]);
    let report = run.upsert().await;
    assert_eq!(report.summary().stored, 2000);
    let events = run.events().join("\n");
    assert!(events.contains("its state has version 99"), "{events}");
    assert!(events.contains("Redis at 127.0.0.1"), "{events}");
    assert!(events.contains("key limits:{127.0.0.1"), "{events}");
    let value = redis.command(&["GET", &key]).expect("a reply");
    assert!(value.contains(r#"{"version":99}"#), "{value}");
    let status = run.store.limiter_status().await;
    assert!(
        matches!(status.sharing, Sharing::Unreachable { .. }),
        "{status:?}"
    );
}
