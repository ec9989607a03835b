//! The limiter that shares a state with other processes: the member behind a mutex, and the task that
//! does its steps.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::member::{Grant, Member, MemberSettings, Refusal, Separation, Step, SwapStep};
use super::options::{OnUnreachable, SharedLimits};
use super::place::{LimiterPlace, Notice, PlaceReply, Swap};
use super::state::{Feedback, LeaseId, MemberId, Terms, TicketId};
use super::status::{LimiterStatus, Sharing};
use crate::client::changes::Changes;
use crate::client::clock::Clock;
use crate::client::log::TARGET;

/// How long something waits for the task before another runtime goes on with it.
const STANDSTILL_TIME: u64 = 1_000;
/// How often who waits checks that the task runs.
const TASK_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How long [`SharedLimiter::status`] waits for the place.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// The limiter of a process that shares its limits. Its last clone ends its task.
pub(in crate::client) struct SharedLimiter {
    inner: Arc<SharedInner>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct SharedInner {
    place: Arc<dyn LimiterPlace>,
    key: String,
    id: MemberId,
    leases_customers: bool,
    on_unreachable: OnUnreachable,
    clock: Clock,
    queue: Mutex<MemberQueue>,
    /// Wakes the task.
    news: Notify,
    /// Wakes those who wait until nothing is left to tell the place.
    flushed: Notify,
    /// Wakes the drivers.
    changes: Arc<Changes>,
}

struct MemberQueue {
    member: Member,
    wakers: HashMap<TicketId, Waker>,
    /// Whether the limiter is in use.
    is_open: bool,
    /// The separation that was reported.
    reported: Option<Separation>,
    /// The number of tasks so far. Only the last one does steps.
    task: u64,
    /// Since when there is something to do that the task has not looked at.
    unattended_since: Option<u64>,
}

impl SharedLimiter {
    pub(super) fn new(
        limits: SharedLimits,
        key: String,
        clock: Clock,
        changes: Arc<Changes>,
    ) -> Self {
        let id = new_member_id();
        let settings = MemberSettings {
            name: limits.name,
            place: format!("{}, key {key}", limits.place.name()),
            local_share: match limits.on_unreachable {
                OnUnreachable::GoOnWith(share) => Some(share.max(1)),
                OnUnreachable::Stop => None,
            },
            leases_customers: limits.leases_customers,
        };
        let queue = MemberQueue {
            member: Member::new(id, settings),
            wakers: HashMap::new(),
            is_open: true,
            reported: None,
            task: 0,
            unattended_since: None,
        };
        Self {
            inner: Arc::new(SharedInner {
                place: limits.place,
                key,
                id,
                leases_customers: limits.leases_customers,
                on_unreachable: limits.on_unreachable,
                clock,
                queue: Mutex::new(queue),
                news: Notify::new(),
                flushed: Notify::new(),
                changes,
            }),
            task: Mutex::default(),
        }
    }

    /// Returns in what the limits differ from those that a second store asks for, if they do.
    pub(super) fn difference(&self, wanted: &SharedLimits) -> Option<String> {
        let (place, other) = (self.inner.place.name(), wanted.place.name());
        if place != other {
            return Some(format!("keeps its limits in {place}, not in {other}"));
        }
        if self.inner.on_unreachable != wanted.on_unreachable {
            return Some("has another on_unreachable".to_owned());
        }
        if self.inner.leases_customers != wanted.leases_customers {
            return Some("has another lease_customers".to_owned());
        }
        None
    }

    pub(super) fn leases_customers(&self) -> bool {
        self.inner.leases_customers
    }

    pub(super) fn next_ticket(&self) -> TicketId {
        self.inner.lock().member.next_ticket()
    }

    /// Takes the lease that the task has got for the ticket, or keeps the waker until it has one.
    pub(super) fn acquire(
        &self,
        now: u64,
        ticket: TicketId,
        terms: Terms,
        customers: Vec<i64>,
        waker: &Waker,
    ) -> Result<Grant, Refusal> {
        let mut queue = self.inner.lock();
        let (result, is_news) = queue.member.ask(now, ticket, terms, customers);
        match result {
            Ok(_) => drop(queue.wakers.remove(&ticket)),
            Err(_) => waker.clone_into(queue.wakers.entry(ticket).or_insert_with(|| waker.clone())),
        }
        drop(queue);
        if result.is_err() {
            self.run_task(now);
        }
        if is_news {
            self.inner.news.notify_one();
        }
        result
    }

    pub(super) fn leave(&self, now: u64, ticket: TicketId) {
        let mut queue = self.inner.lock();
        queue.wakers.remove(&ticket);
        queue.member.leave(now, ticket);
        drop(queue);
        self.inner.news.notify_one();
    }

    pub(super) fn claim(&self, now: u64, lease: LeaseId, customers: Vec<i64>) -> Vec<i64> {
        self.inner.lock().member.claim(now, lease, customers)
    }

    pub(super) fn release(&self, now: u64, lease: LeaseId, feedback: Feedback, block_ms: u64) {
        let mut queue = self.inner.lock();
        queue.member.release(now, lease, feedback, block_ms);
        drop(queue);
        self.inner.news.notify_one();
    }

    pub(super) fn is_held(&self, now: u64, customer: i64) -> bool {
        self.is_taken(now, customer) || self.is_abandoned(now, customer)
    }

    pub(super) fn is_abandoned(&self, now: u64, customer: i64) -> bool {
        self.inner.lock().member.is_abandoned(now, customer)
    }

    pub(super) fn is_taken(&self, now: u64, customer: i64) -> bool {
        let mut queue = self.inner.lock();
        let (is_taken, is_news) = queue.member.is_taken(now, customer);
        drop(queue);
        if is_news {
            self.inner.news.notify_one();
        }
        is_taken
    }

    pub(super) fn next_hold_end(&self, now: u64) -> Option<u64> {
        self.inner.lock().member.next_hold_end(now)
    }

    /// Returns why this process is by itself, and since when, if it is.
    pub(super) fn separation(&self) -> Option<Separation> {
        self.inner.lock().member.separation().cloned()
    }

    /// Returns `true` if this process is by itself, and has tried lately not to be.
    pub(super) fn is_separate(&self, now: u64) -> bool {
        self.inner.lock().member.is_separate(now)
    }

    /// Waits until the place knows what this process has released, or can't be reached.
    pub(super) async fn flush(&self) {
        loop {
            let mut flushed = std::pin::pin!(self.inner.flushed.notified());
            flushed.as_mut().enable();
            {
                let queue = self.inner.lock();
                if !queue.member.has_unsent_changes() || queue.member.separation().is_some() {
                    return;
                }
            }
            self.run_task(self.inner.clock.now());
            self.inner.news.notify_one();
            // The runtime of the task may end or stand still meanwhile.
            let _ = timeout(TASK_CHECK_INTERVAL, flushed).await;
        }
    }

    /// Reads the status, from what this process knows if the place can't be reached.
    pub(super) async fn status(&self) -> LimiterStatus {
        let inner = &self.inner;
        let deadline = Instant::now() + STATUS_TIMEOUT;
        let read = LimiterStatus::read_key(&*inner.place, &inner.key);
        let failure = match timeout_at(deadline, read).await {
            Ok(Ok(status)) => {
                let queue = inner.lock();
                let separation = queue.member.separation();
                match separation.filter(|_| queue.member.has_work()) {
                    // It can be read, and not written.
                    Some(separation) => separation.cause.clone(),
                    None => return status,
                }
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("{}: no reply within 1 s", inner.place.name()),
        };
        let now = inner.clock.now();
        let queue = inner.lock();
        let (record, at) = queue.member.view(now);
        let separation = queue.member.separation();
        let lasted = separation.map_or(0, |separation| now.saturating_sub(separation.since));
        let sharing = Sharing::Unreachable {
            cause: failure,
            lasted: Duration::from_millis(lasted),
        };
        LimiterStatus::of_record(&record, at, sharing)
    }

    /// Starts the task, unless it runs. Needs a runtime.
    ///
    /// The task is on the runtime that first needed it. If that one ends or stands still, the next one
    /// that needs the task goes on with it.
    fn run_task(&self, now: u64) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queue = self.inner.lock();
        let unattended_since = *queue.unattended_since.get_or_insert_with(|| {
            self.inner.news.notify_one();
            now
        });
        let is_running = task.as_ref().is_some_and(|task| !task.is_finished())
            && now < unattended_since + STANDSTILL_TIME;
        if is_running {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        queue.task += 1;
        queue.unattended_since = Some(now);
        queue.member.abort_operation();
        let number = queue.task;
        drop(queue);
        *task = Some(runtime.spawn(run(Arc::clone(&self.inner), number)));
    }
}

/// Returns a number that no other process has. Not of the thread's generator: a program can seed it.
fn new_member_id() -> MemberId {
    let random = RandomState::new().hash_one(std::process::id());
    // The numbers that every JSON parser reads exactly.
    (random >> 11).max(1)
}

impl Drop for SharedLimiter {
    fn drop(&mut self) {
        self.inner.lock().is_open = false;
        self.inner.news.notify_one();
    }
}

impl SharedInner {
    fn lock(&self) -> MutexGuard<'_, MemberQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the next step, or `None` if the limiter is no longer in use, or if another task does them.
    fn next_step(&self, task: u64) -> Option<Step> {
        let now = self.clock.now();
        let mut queue = self.lock();
        if queue.task != task {
            return None;
        }
        queue.unattended_since = None;
        let step = queue.member.next_step(now);
        let is_unused = !queue.is_open
            && (!queue.member.has_unsent_changes() || queue.member.separation().is_some());
        self.wake(queue);
        (!is_unused).then_some(step)
    }

    /// Wakes those whom the last step concerns, and reports separations.
    fn wake(&self, mut queue: MutexGuard<'_, MemberQueue>) {
        let wakes = queue.member.take_wakes();
        let wakers: Vec<_> = wakes
            .iter()
            .filter_map(|id| queue.wakers.remove(id))
            .collect();
        let is_flushed = !queue.member.has_unsent_changes() || queue.member.separation().is_some();
        let mut must_notify = queue.member.take_customer_changes();
        let separation = queue.member.separation().cloned();
        let before = queue.reported.clone();
        if separation.is_some() != before.is_some() {
            queue.reported.clone_from(&separation);
            must_notify = true;
        }
        drop(queue);
        match (before, separation) {
            (None, Some(Separation { cause, .. })) => {
                tracing::warn!(
                    target: TARGET,
                    cause,
                    key = self.key,
                    "the shared limits can't be reached: this process uses its local share, or stops, as it \
                     is set"
                );
            }
            (Some(Separation { since, .. }), None) => {
                let lasted = self.clock.instant(since).elapsed();
                let key = &*self.key;
                tracing::info!(target: TARGET, ?lasted, key, "the limits are shared again");
            }
            _ => {}
        }
        wakers.into_iter().for_each(Waker::wake);
        if must_notify {
            self.changes.notify();
        }
        if is_flushed {
            self.flushed.notify_waiters();
        }
    }

    async fn read(&self, task: u64) {
        let started = self.clock.now();
        let read = self.place.read(&self.key);
        let result = self.in_time(started, read).await;
        let mut queue = self.lock();
        if queue.task != task {
            return;
        }
        queue.member.finish_read(self.clock.now(), started, result);
        self.wake(queue);
    }

    async fn swap(&self, step: SwapStep, task: u64) {
        let swap = Swap {
            expected: step.expected.as_deref(),
            new: &step.new,
            keep_ms: step.keep_ms,
            wake: &step.wake,
        };
        let started = self.clock.now();
        let swap = self.place.swap(&self.key, swap);
        let result = self.in_time(started, swap).await;
        let mut queue = self.lock();
        if queue.task != task {
            return;
        }
        let wake_error = queue.member.finish_swap(self.clock.now(), result);
        self.wake(queue);
        if let Some(cause) = wake_error {
            tracing::warn!(
                target: TARGET,
                cause,
                key = self.key,
                "waiting processes can't be woken, so they ask every 50 ms"
            );
        }
    }

    async fn in_time(
        &self,
        started: u64,
        operation: impl Future<Output = Result<PlaceReply, super::PlaceError>>,
    ) -> Result<PlaceReply, String> {
        let deadline = self.lock().member.operation_deadline(started);
        match timeout_at(self.clock.instant(deadline), operation).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err(format!("{} does not reply in time", self.place.name())),
        }
    }
}

/// Does the steps of a member for as long as its limiter is in use.
async fn run(inner: Arc<SharedInner>, number: u64) {
    let mut notices = inner.place.notices(&inner.key, inner.id);
    let mut has_notices = true;
    let mut operation: Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = None;
    loop {
        let until = match inner.next_step(number) {
            None => return,
            Some(Step::Read) => {
                operation = Some(Box::pin(inner.read(number)));
                None
            }
            Some(Step::Swap(step)) => {
                operation = Some(Box::pin(inner.swap(step, number)));
                None
            }
            Some(Step::Idle(until)) => until,
        };
        let done = async {
            match &mut operation {
                Some(operation) => operation.await,
                None => std::future::pending().await,
            }
        };
        let timer = async {
            match until {
                Some(until) => sleep_until(inner.clock.instant(until)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = done => {
                operation = None;
                // Who takes a lease asks for the next one: one operation can do both then.
                yield_now().await;
            }
            () = inner.news.notified() => {}
            () = timer => {}
            notice = notices.next(), if has_notices => {
                has_notices = notice.is_some();
                let mut queue = inner.lock();
                match notice {
                    Some(Notice::Ready) => queue.member.record_notices(true),
                    Some(Notice::Lost) | None => queue.member.record_notices(false),
                    Some(Notice::Woken(value)) => {
                        queue.member.record_woken(inner.clock.now(), value);
                    }
                }
                inner.wake(queue);
            }
        }
    }
}
