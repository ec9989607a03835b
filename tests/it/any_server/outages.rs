//! Outages: a store that answers nothing but errors for a while, or no connection at all.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bigcommerce_ext::{Event, OnOutage, Summary};
use futures::stream;
use tokio::time::sleep_until;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Streams one row per customer, and returns the summary and the error that ended the run.
async fn upsert(store: &Store, customers: i64, patience: OnOutage) -> (Summary, Option<Error>) {
    let (summary, stopped_by, _) = upsert_counted(store, customers, patience).await;
    (summary, stopped_by)
}

/// Also returns the number of attempts, which include those without a connection.
async fn upsert_counted(
    store: &Store,
    customers: i64,
    patience: OnOutage,
) -> (Summary, Option<Error>, u64) {
    let attempts = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&attempts);
    let upsert = store.upsert().on_outage(patience).observe(move |event| {
        if matches!(event, Event::RequestStarted { .. }) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut outcomes = upsert.stream(stream::iter(rows(customers, SENT)));
    while outcomes.next().await.is_some() {}
    let attempts = attempts.load(Ordering::Relaxed);
    (outcomes.summary(), outcomes.stopped_by().cloned(), attempts)
}

/// Returns when the first request after a moment began.
fn first_after(server: &ScriptedServer, moment: Instant) -> Option<Instant> {
    let exchanges = server.exchanges();
    let mut starts = exchanges.iter().map(|exchange| exchange.started);
    starts.find(|started| *started >= moment)
}

/// Five thousand batches. After half of them the store is down for an hour.
#[tokio::test(start_paused = true)]
async fn item_9_an_hour_of_503_is_waited_out() {
    const BATCHES: usize = 5_000;
    let memory = ScriptedStore::new();
    let began = Arc::new(OnceLock::new());
    let server = ScriptedServer::start({
        let (memory, began) = (memory.clone(), Arc::clone(&began));
        move |request| {
            if request.number < BATCHES / 2 {
                return memory.respond(request);
            }
            match began.get_or_init(Instant::now).elapsed() < HOUR {
                true => Response::error(503),
                false => memory.respond(request),
            }
        }
    })
    .await;
    let store = store(&server.base_url());
    let (summary, stopped_by) = upsert(&store, 50_000, OnOutage::WaitUpTo(2 * HOUR)).await;
    assert!(stopped_by.is_none(), "{stopped_by:?}");
    assert_eq!((summary.stored, summary.unknown), (50_000, 0));
    assert_eq!(memory.texts().len(), 50_000);
    let extra = server.requests() - BATCHES;
    assert!(
        extra <= 150,
        "{extra} requests more than without the outage"
    );
    let end = *began.get().expect("an outage") + HOUR;
    let resumed = first_after(&server, end).expect("requests after the outage");
    assert!(
        resumed - end <= 35 * SECOND,
        "resumed after {:?}",
        resumed - end
    );
}

/// Five hundred batches. After half of them the store refuses connections for ten minutes.
#[tokio::test(start_paused = true)]
async fn item_9_refused_connections_are_waited_out() {
    const BATCHES: usize = 500;
    let memory = ScriptedStore::new();
    let half_done = Arc::new(Notify::new());
    let server = ScriptedServer::start({
        let (memory, half_done) = (memory.clone(), Arc::clone(&half_done));
        move |request| {
            if request.number == BATCHES / 2 {
                half_done.notify_one();
            }
            memory.respond(request).after(Duration::from_millis(20))
        }
    })
    .await;
    let store = store(&server.base_url());
    let outage = async {
        half_done.notified().await;
        server.set_reachable(false).await;
        let end = Instant::now() + 10 * MINUTE;
        sleep_until(end).await;
        server.set_reachable(true).await;
        end
    };
    let run = upsert_counted(&store, 5_000, OnOutage::WaitUpTo(HOUR));
    let ((summary, stopped_by, attempts), end) = tokio::join!(run, outage);
    assert!(stopped_by.is_none(), "{stopped_by:?}");
    assert_eq!((summary.stored, summary.unknown), (5_000, 0));
    assert_eq!(memory.texts().len(), 5_000);
    assert!(attempts <= 560, "{attempts} attempts");
    let resumed = first_after(&server, end).expect("requests after the outage");
    assert!(
        resumed - end <= 35 * SECOND,
        "resumed after {:?}",
        resumed - end
    );
}

#[tokio::test(start_paused = true)]
async fn item_9_a_store_that_answers_503_from_the_start_stops_the_run_in_time() {
    let server = ScriptedServer::start(|_| Response::error(503)).await;
    let store = store(&server.base_url());
    let start = Instant::now();
    let (summary, stopped_by) = upsert(&store, 3_000, OnOutage::WaitUpTo(15 * MINUTE)).await;
    let elapsed = start.elapsed();
    assert!(stopped_by.is_some(), "{summary}");
    assert_eq!(summary.unknown + summary.not_sent, 3_000, "{summary}");
    assert!(summary.unknown <= 100, "{summary}");
    assert!(server.requests() <= 60, "{} requests", server.requests());
    assert!(
        elapsed >= 14 * MINUTE && elapsed <= 16 * MINUTE,
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn item_9_a_store_that_refuses_connections_from_the_start_stops_the_run_in_time() {
    let server = ScriptedServer::start(|_| Response::error(503)).await;
    server.set_reachable(false).await;
    let store = store(&server.base_url());
    let start = Instant::now();
    let patience = OnOutage::WaitUpTo(15 * MINUTE);
    let (summary, stopped_by, attempts) = upsert_counted(&store, 3_000, patience).await;
    let elapsed = start.elapsed();
    assert!(stopped_by.is_some(), "{summary}");
    assert_eq!(summary.not_sent, 3_000, "{summary}");
    assert!(attempts <= 60, "{attempts} attempts");
    assert!(
        elapsed >= 14 * MINUTE && elapsed <= 16 * MINUTE,
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn item_9_an_outage_stops_the_run_at_once_if_asked_to() {
    let server = ScriptedServer::start(|_| Response::error(503)).await;
    let store = store(&server.base_url());
    let start = Instant::now();
    let (summary, stopped_by) = upsert(&store, 3_000, OnOutage::Stop).await;
    assert!(stopped_by.is_some(), "{summary}");
    assert!(summary.unknown <= 100, "{summary}");
    assert!(server.requests() <= 20, "{} requests", server.requests());
    assert!(start.elapsed() <= MINUTE, "{:?}", start.elapsed());
}

/// The health of a store is known to all of its clones.
#[tokio::test(start_paused = true)]
async fn item_9_one_request_at_a_time_probes_for_all_runs() {
    let server = ScriptedServer::start(|_| Response::error(503)).await;
    let store = store(&server.base_url());
    let runs = (0..4).map(|_| upsert(&store, 500, OnOutage::WaitUpTo(15 * MINUTE)));
    for (summary, stopped_by) in futures::future::join_all(runs).await {
        assert!(stopped_by.is_some(), "{summary}");
    }
    let requests = server.requests();
    assert!(requests <= 80, "{requests} requests");
    let exchanges = server.exchanges();
    let late = exchanges
        .iter()
        .filter(|exchange| exchange.request.number > 15);
    let starts: Vec<_> = late.map(|exchange| exchange.started).collect();
    assert!(
        starts
            .windows(2)
            .all(|pair| pair[1] - pair[0] >= SECOND / 2),
        "{starts:?}"
    );
}
