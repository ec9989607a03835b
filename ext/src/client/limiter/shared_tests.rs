//! Limiters that share a place in memory, on a paused clock.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::{StreamExt as _, future, stream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep, timeout};

use super::member::{Grant, Refusal};
use super::shared::SharedLimiter;
use super::state::tests::TERMS;
use super::state::{Feedback, MemberId, Terms, TicketId};
use super::{
    LimiterPlace, LimiterStatus, Notice, Notices, OnUnreachable, PlaceError, PlaceFuture,
    PlaceReply, SharedLimits, Sharing, Swap,
};
use crate::client::changes::Changes;
use crate::client::clock::Clock;

const MS: Duration = Duration::from_millis(1);
const KEY: &str = "limits:{store}";

/// A place in memory. Its clones are one place.
#[derive(Clone, Debug)]
struct MemoryPlace(Arc<Mutex<Memory>>);

#[derive(Debug)]
struct Memory {
    values: HashMap<String, String>,
    is_down: bool,
    swaps: u32,
    reads: u32,
    notices: broadcast::Sender<(MemberId, String)>,
    started: Instant,
}

impl MemoryPlace {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Memory {
            values: HashMap::new(),
            is_down: false,
            swaps: 0,
            reads: 0,
            notices: broadcast::channel(1000).0,
            started: Instant::now(),
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_down(&self, is_down: bool) {
        self.with(|memory| memory.is_down = is_down);
    }

    /// Does an operation after a while, unless the place is down.
    fn operate<'a>(
        &'a self,
        operation: impl FnOnce(&mut Memory, u64) -> PlaceReply + Send + 'a,
    ) -> PlaceFuture<'a, PlaceReply> {
        Box::pin(async move {
            sleep(MS).await;
            self.with(|memory| match memory.is_down {
                true => Err(PlaceError::new("memory: out of reach")),
                false => {
                    let now = 77_000_000 + memory.started.elapsed().as_millis() as u64;
                    Ok(operation(memory, now))
                }
            })
        })
    }
}

impl LimiterPlace for MemoryPlace {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn read<'a>(&'a self, key: &'a str) -> PlaceFuture<'a, PlaceReply> {
        self.operate(move |memory, now| {
            memory.reads += 1;
            PlaceReply::found(now, memory.values.get(key).cloned())
        })
    }

    fn swap<'a>(&'a self, key: &'a str, swap: Swap<'a>) -> PlaceFuture<'a, PlaceReply> {
        self.operate(move |memory, now| {
            memory.swaps += 1;
            let value = memory.values.get(key);
            if value.map(String::as_str) != swap.expected {
                return PlaceReply::found(now, value.cloned());
            }
            memory.values.insert(key.to_owned(), swap.new.to_owned());
            for member in swap.wake {
                let _ = memory.notices.send((*member, swap.new.to_owned()));
            }
            PlaceReply::swapped(now, None)
        })
    }

    fn notices<'a>(&'a self, _key: &'a str, member: u64) -> Notices<'a> {
        let receiver = self.with(|memory| memory.notices.subscribe());
        let woken = stream::unfold(receiver, move |mut receiver| async move {
            loop {
                let (to, value) = receiver.recv().await.ok()?;
                if to == member {
                    return Some((Notice::Woken(value), receiver));
                }
            }
        });
        let ready = stream::once(future::ready(Notice::Ready));
        Box::pin(ready.chain(woken))
    }
}

/// A process that shares the place.
struct Process {
    limiter: SharedLimiter,
    clock: Clock,
    changes: Arc<Changes>,
}

impl Process {
    fn new(place: &MemoryPlace, name: &str) -> Self {
        Self::with(SharedLimits::new(place.clone()).process_name(name))
    }

    fn with(limits: SharedLimits) -> Self {
        let clock = Clock::new();
        let changes = Arc::new(Changes::default());
        Self {
            limiter: SharedLimiter::new(limits, KEY.to_owned(), clock, Arc::clone(&changes)),
            clock,
            changes,
        }
    }

    async fn acquire(&self, customers: &[i64]) -> Result<Grant, String> {
        let ticket = AskingTicket {
            process: self,
            id: self.limiter.next_ticket(),
        };
        let result = poll_fn(|cx| {
            let now = self.clock.now();
            let customers = customers.to_vec();
            match self
                .limiter
                .acquire(now, ticket.id, TERMS, customers, cx.waker())
            {
                Ok(grant) => Poll::Ready(Ok(grant)),
                Err(Refusal::Throttled(_)) => Poll::Pending,
                Err(Refusal::Unreachable(cause)) => Poll::Ready(Err(cause)),
            }
        });
        result.await
    }

    /// Returns a lease, as soon as there is one.
    async fn lease(&self) -> Grant {
        self.acquire(&[]).await.expect("a lease")
    }

    /// Releases a lease after a response without headers.
    fn answer(&self, grant: &Grant) {
        let feedback = Feedback::Answered { quota: None };
        self.limiter
            .release(self.clock.now(), grant.lease, feedback, 0);
    }
}

struct AskingTicket<'a> {
    process: &'a Process,
    id: TicketId,
}

impl Drop for AskingTicket<'_> {
    fn drop(&mut self) {
        let now = self.process.clock.now();
        self.process.limiter.leave(now, self.id);
    }
}

/// Waits until a new state has settled, and the quota counts as known to be unlimited.
async fn warm_up(process: &Process) {
    let first = process.lease().await;
    process.answer(&first);
    process.limiter.flush().await;
    sleep(2_100 * MS).await;
}

#[tokio::test(start_paused = true)]
async fn processes_share_the_places_and_hand_them_over() {
    let place = MemoryPlace::new();
    let (one, other) = (Process::new(&place, "one"), Process::new(&place, "other"));
    warm_up(&one).await;
    let mut leases = vec![
        (&one, one.lease().await),
        (&one, one.lease().await),
        (&other, other.lease().await),
    ];
    assert!(timeout(300 * MS, one.lease()).await.is_err());
    let status = other.limiter.status().await;
    assert_eq!(status.sharing, Sharing::Shared);
    let holders: Vec<_> = status.leases.iter().map(|lease| &*lease.process).collect();
    assert_eq!(holders, ["one", "one", "other"]);
    // Each place that is released is handed to the process that waits.
    for number in 0..20 {
        let (owner, ended) = leases.remove(0);
        let next = if number % 2 == 0 { &other } else { &one };
        let release = async {
            sleep(10 * MS).await;
            owner.answer(&ended);
        };
        let began = Instant::now();
        let ((), lease) = tokio::join!(release, next.lease());
        // A swap that releases the place, and one or two that take it.
        assert!(began.elapsed() <= 14 * MS, "{:?}", began.elapsed());
        leases.push((next, lease));
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_costs_a_read_per_second() {
    let place = MemoryPlace::new();
    let (one, other) = (Process::new(&place, "one"), Process::new(&place, "other"));
    warm_up(&one).await;
    for _ in 0..3 {
        one.lease().await;
    }
    let count = || place.with(|memory| (memory.reads, memory.swaps));
    let before = count();
    assert!(timeout(20_000 * MS, other.lease()).await.is_err());
    let (reads, swaps) = (count().0 - before.0, count().1 - before.1);
    assert!((20..=50).contains(&reads), "{reads} reads");
    // It enters the queue, and renews its place every four seconds.
    assert!((4..=8).contains(&swaps), "{swaps} swaps");
}

#[tokio::test(start_paused = true)]
async fn without_the_place_each_process_goes_on_by_itself() {
    let place = MemoryPlace::new();
    let (one, other) = (Process::new(&place, "one"), Process::new(&place, "other"));
    warm_up(&one).await;
    let held = [one.lease().await, one.lease().await];
    place.set_down(true);
    let began = Instant::now();
    // The leases of a process count in its share.
    let free = other.lease().await;
    let waited = began.elapsed();
    assert!((1_900..2_700).contains(&waited.as_millis()), "{waited:?}");
    assert!(timeout(300 * MS, other.lease()).await.is_err());
    let separation = other.limiter.separation().expect("by itself");
    assert_eq!(separation.cause, "memory: out of reach");
    let status = other.limiter.status().await;
    assert!(matches!(status.sharing, Sharing::Unreachable { .. }));
    assert_eq!(status.leases.len(), 1);
    assert!(timeout(3_000 * MS, one.lease()).await.is_err());
    one.answer(&held[0]);
    assert!(timeout(300 * MS, one.lease()).await.is_err());
    one.answer(&held[1]);
    let alone = one.lease().await;

    place.set_down(false);
    sleep(1_000 * MS).await;
    assert_eq!(
        (one.limiter.separation(), other.limiter.separation()),
        (None, None)
    );
    let status = LimiterStatus::read_key(&place, KEY)
        .await
        .expect("a status");
    assert_eq!(
        status.leases.len(),
        2,
        "both leases are in the place: {status:?}"
    );
    // Until the state has settled, each has its share only.
    assert!(timeout(300 * MS, one.lease()).await.is_err());
    one.answer(&alone);
    other.answer(&free);
    sleep(2_100 * MS).await;
    for _ in 0..3 {
        timeout(50 * MS, one.lease()).await.expect("shared again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_set_to_stop_stops_and_recovers() {
    let place = MemoryPlace::new();
    let limits = SharedLimits::new(place.clone()).on_unreachable(OnUnreachable::Stop);
    let process = Process::with(limits);
    place.set_down(true);
    for _ in 0..2 {
        let began = Instant::now();
        let cause = process.acquire(&[]).await.expect_err("out of reach");
        assert_eq!(cause, "memory: out of reach");
        assert!(began.elapsed() <= 2_500 * MS, "{:?}", began.elapsed());
    }
    place.set_down(false);
    let began = Instant::now();
    process.lease().await;
    assert!(began.elapsed() <= 1_000 * MS, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_process_has_released_is_in_the_place_before_it_ends() {
    let place = MemoryPlace::new();
    let process = Process::new(&place, "one");
    warm_up(&process).await;
    let leases = async || {
        LimiterStatus::read_key(&place, KEY)
            .await
            .expect("a status")
            .leases
    };
    let lease = process.lease().await;
    assert_eq!(leases().await.len(), 1);
    process.answer(&lease);
    process.limiter.flush().await;
    assert_eq!(leases().await, []);
    // Dropping a limiter, too, tells the place, and ends its task.
    let lease = process.lease().await;
    process.answer(&lease);
    drop(process);
    sleep(10 * MS).await;
    assert_eq!(leases().await, []);
    assert_eq!(Arc::strong_count(&place.0), 1);
}

#[tokio::test(start_paused = true)]
async fn customers_are_leased_in_the_place() {
    let place = MemoryPlace::new();
    let limits = |name| {
        SharedLimits::new(place.clone())
            .process_name(name)
            .lease_customers()
    };
    let (one, other) = (Process::with(limits("one")), Process::with(limits("other")));
    warm_up(&one).await;
    let first = one.acquire(&[3, 1, 2]).await.expect("a lease");
    assert_eq!(first.customers, [1, 2, 3]);
    let second = other.acquire(&[2, 3, 4]).await.expect("a lease");
    assert_eq!(second.customers, [4]);
    let now = other.clock.now();
    assert!(other.limiter.is_held(now, 1) && !other.limiter.is_held(now, 5));
    // Whoever was told that a customer is held is told of its release.
    let (watcher, mut seen) = other.changes.new_watcher();
    let change = poll_fn(|cx| other.changes.poll_changed(watcher, &mut seen, cx));
    let release = async {
        sleep(300 * MS).await;
        one.answer(&first);
    };
    let began = Instant::now();
    tokio::join!(release, change);
    let waited = began.elapsed().as_millis();
    assert!((300..=400).contains(&waited), "{waited}");
    assert!(!other.limiter.is_held(other.clock.now(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_taken_goes_to_others() {
    let place = MemoryPlace::new();
    let (one, other) = (Process::new(&place, "one"), Process::new(&place, "other"));
    warm_up(&one).await;
    let held = [one.lease().await, one.lease().await, one.lease().await];
    // It asks, and never looks again.
    let ticket = other.limiter.next_ticket();
    let ask = poll_fn(|cx| {
        let now = other.clock.now();
        let asked = other
            .limiter
            .acquire(now, ticket, TERMS, Vec::new(), cx.waker());
        assert!(asked.is_err());
        Poll::Ready(())
    });
    ask.await;
    sleep(100 * MS).await;
    one.answer(&held[0]);
    sleep(10 * MS).await;
    let began = Instant::now();
    one.lease().await;
    let waited = began.elapsed();
    assert!((400..=600).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_process_that_is_gone_expires() {
    let place = MemoryPlace::new();
    let (one, other) = (Process::new(&place, "one"), Process::new(&place, "other"));
    warm_up(&one).await;
    for _ in 0..3 {
        one.lease().await;
    }
    let began = Instant::now();
    drop(one);
    let Terms { lease_ms, .. } = TERMS;
    other.lease().await;
    let waited = began.elapsed().as_millis();
    assert!(
        (u128::from(lease_ms) - 50..=u128::from(lease_ms) + 1_100).contains(&waited),
        "{waited}"
    );
}

fn paused_runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build();
    runtime.expect("a runtime")
}

/// Leaves a process with an operation under way, of which its runtime does not see the end.
fn leave_in_mid_operation(runtime: &Runtime) -> Process {
    runtime.block_on(async {
        let process = Process::new(&MemoryPlace::new(), "one");
        let lease = timeout(MS / 2, process.lease()).await;
        assert!(lease.is_err(), "an operation takes a millisecond");
        process
    })
}

#[test]
fn another_runtime_goes_on_when_that_of_the_task_has_ended() {
    let first = paused_runtime();
    let process = leave_in_mid_operation(&first);
    drop(first);
    paused_runtime().block_on(async {
        let grant = timeout(1_000 * MS, process.lease()).await;
        process.answer(&grant.expect("a lease"));
        let flush = timeout(1_000 * MS, process.limiter.flush());
        flush.await.expect("nothing hangs");
    });
}

#[test]
fn another_runtime_goes_on_when_that_of_the_task_stands_still() {
    let first = paused_runtime();
    let process = leave_in_mid_operation(&first);
    paused_runtime().block_on(async {
        // As a driver does, it asks again now and then.
        let ask = || timeout(600 * MS, process.lease());
        assert!(ask().await.is_err());
        assert!(ask().await.is_err());
        let grant = ask().await.expect("a lease");
        process.answer(&grant);
        process.limiter.flush().await;
    });
    // The first task does nothing any more.
    first.block_on(async { sleep(2_000 * MS).await });
    paused_runtime().block_on(async {
        let leases = process.limiter.status().await.leases;
        assert_eq!(leases.len(), 0);
    });
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_back_is_asked_before_anything_is_sent() {
    let place = MemoryPlace::new();
    let (one, other) = (Process::new(&place, "one"), Process::new(&place, "other"));
    warm_up(&one).await;
    place.set_down(true);
    let lease = one.lease().await;
    one.answer(&lease);
    assert!(one.limiter.separation().is_some());
    // Without work, it does not look for the place.
    sleep(10_000 * MS).await;
    place.set_down(false);
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(other.lease().await);
    }
    assert!(timeout(300 * MS, one.lease()).await.is_err());
    assert_eq!(one.limiter.status().await.leases.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_second_store_has_the_same_shared_limits() {
    let place = MemoryPlace::new();
    let limits = || SharedLimits::new(place.clone());
    let process = Process::with(limits());
    assert_eq!(process.limiter.difference(&limits()), None);
    for (other, setting) in [
        (limits().lease_customers(), "lease_customers"),
        (
            limits().on_unreachable(OnUnreachable::Stop),
            "on_unreachable",
        ),
    ] {
        let difference = process.limiter.difference(&other).expect("a difference");
        assert!(difference.contains(setting), "{difference}");
    }
}
