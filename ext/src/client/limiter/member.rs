//! One of the processes that share a state: what it holds, what it waits for, and what it does next.
//! Pure: takes `now` in milliseconds of this process's clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::headers::Quota;
use super::place::PlaceReply;
use super::state::{
    CLOCK_TOLERANCE, Feedback, LeaseId, LeaseState, LimiterState, MAX_WAIT_MS, MemberId, Terms,
    Throttled, TicketId, claim,
};

/// The version of the state. A member does not touch a state of another version.
const VERSION: u32 = 1;
/// For how long the state is kept when nobody uses it.
const KEEP_TIME: u64 = 10 * 60 * 1000;
/// How long the place is out of reach before the member goes on by itself.
pub(super) const PATIENCE: u64 = 2_000;
/// How long a state that may lack leases settles. All members that are by themselves find it meanwhile.
const SETTLE_TIME: u64 = 2_000;
/// How often a member that is by itself looks for the place.
const PROBE_INTERVAL: u64 = 500;
/// For how long after a failed operation a member goes on by itself.
const FAILURE_LIFETIME: u64 = 2_000;
/// The longest operation whose reply tells the place's time.
const MAX_CLOCK_AGE: u64 = 1_000;
/// The first and the longest wait after a failed operation.
const BACKOFF: (u64, u64) = (50, 400);
/// How often a member with leases or tickets reads the state.
const POLL_INTERVAL: u64 = 1_000;
/// How often it does so if nobody wakes it.
const QUICK_POLL_INTERVAL: u64 = 50;
/// How often a ticket renews its place in the queue.
const RENEW_INTERVAL: u64 = 4_000;
/// How long a lease is kept for a ticket that does not take it.
const CLAIM_TIME: u64 = 500;
/// For how long members poll because one of them can't wake the others.
const NO_WAKES_TIME: u64 = 10_000;

/// The settings of a member.
#[derive(Clone, Debug)]
pub(in crate::client) struct MemberSettings {
    pub name: String,
    /// The place and the key, for messages about the value.
    pub place: String,
    /// The number of requests in flight while the place is out of reach, `None` to stop.
    pub local_share: Option<usize>,
    pub leases_customers: bool,
}

/// What the place contains: the state, and what only members need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// Which new state this one has come from.
    origin: u64,
    /// Counts the changes since then.
    revision: u64,
    /// The names of the members that hold something.
    names: BTreeMap<MemberId, String>,
    /// Until when members must poll, because one of them can't wake the others.
    poll_until: u64,
    pub(super) state: LimiterState,
}

impl Record {
    /// Parses the value of the place.
    ///
    /// # Errors
    ///
    /// Returns why the value can't be used.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let foreign = || "its value is not the state of a limiter: delete it".to_owned();
        let Version { version } = serde_json::from_str(text).map_err(|_| foreign())?;
        if version != VERSION {
            return Err(format!(
                "its state has version {version}, and this release understands version {VERSION}: \
                 run the same release everywhere"
            ));
        }
        let record: Self = serde_json::from_str(text).map_err(|_| foreign())?;
        match record.revision < u64::MAX / 4 && record.state.is_plausible() {
            true => Ok(record),
            false => Err(foreign()),
        }
    }

    pub(super) fn name_of(&self, member: MemberId) -> String {
        let name = self.names.get(&member);
        name.map_or_else(|| format!("{member:x}"), String::clone)
    }
}

/// What a member does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::client) enum Step {
    /// Nothing, before this time or the next change.
    Idle(Option<u64>),
    Read,
    Swap(SwapStep),
}

/// A change of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::client) struct SwapStep {
    pub expected: Option<String>,
    pub new: String,
    pub keep_ms: u64,
    pub wake: Vec<MemberId>,
}

/// A lease for a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::client) struct Grant {
    pub lease: LeaseId,
    /// Since when the lease runs.
    pub acquired: u64,
    /// The customers that are leased, if the ticket named some.
    pub customers: Vec<i64>,
}

/// Why there is no lease for a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::client) enum Refusal {
    Throttled(Throttled),
    /// The place can't be reached, and the member stops then.
    Unreachable(String),
}

/// Why and since when a member is by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::client) struct Separation {
    pub since: u64,
    pub cause: String,
}

#[derive(Clone, Debug)]
struct Known {
    /// The value of the place.
    text: Option<String>,
    /// What it is to become, as far as others are concerned.
    record: Record,
}

/// The place's time, and when it was read.
#[derive(Clone, Copy, Debug)]
struct ClockSample {
    place: u64,
    local: u64,
}

#[derive(Debug)]
struct Waiter {
    terms: Terms,
    /// The customers that its request is to change.
    customers: Vec<i64>,
    /// Its place in the shared queue.
    ticket: Option<TicketId>,
    entered: u64,
    /// Whether it will take a lease.
    is_asking: bool,
    grant: Option<(Grant, u64)>,
    /// When to ask again.
    ask_at: u64,
    blocked_until: Option<u64>,
}

/// A lease that has ended, and the place does not know it yet.
#[derive(Clone, Copy, Debug)]
struct EndedLease {
    lease: LeaseId,
    feedback: Feedback,
    block_ms: u64,
    at: u64,
}

/// A swap under way, and what follows if it succeeds.
#[derive(Debug)]
struct PendingSwap {
    record: Record,
    text: String,
    applied: Applied,
    wakes_others: bool,
    started: u64,
}

/// The effects of what a member does to a state.
#[derive(Debug, Default)]
struct Applied {
    /// Whether others must know.
    is_material: bool,
    ended: usize,
    has_settled: bool,
    grants: Vec<(TicketId, Terms, LeaseId, Vec<i64>)>,
    waits: Vec<(TicketId, TicketId, Throttled)>,
}

#[derive(Debug)]
enum Mode {
    Shared,
    Separate {
        separation: Separation,
        state: Box<LimiterState>,
        probe_at: u64,
        /// Whether the state has been read, and is to be written.
        is_readable: bool,
    },
}

/// A process that shares the limits of a store.
#[derive(Debug)]
pub(in crate::client) struct Member {
    id: MemberId,
    settings: MemberSettings,
    mode: Mode,
    known: Option<Known>,
    clock: Option<ClockSample>,
    /// Whether an operation is under way.
    is_busy: bool,
    pending: Option<PendingSwap>,
    /// The live leases of this member, in its own time.
    held: BTreeMap<LeaseId, LeaseState>,
    ended: Vec<EndedLease>,
    /// By the order in which they came.
    waiters: BTreeMap<TicketId, Waiter>,
    last_waiter: u64,
    /// Whether the state may lack leases of others.
    must_settle: bool,
    must_read: bool,
    /// Whether the state has come since the last step.
    is_fresh: bool,
    last_contact: u64,
    failing_since: Option<u64>,
    failures: u32,
    last_failure: u64,
    last_cause: String,
    has_notices: bool,
    can_wake: bool,
    /// Whether a run waits for a customer that another member has leased.
    watches_customers: bool,
    have_customers_changed: bool,
    wakes: Vec<TicketId>,
}

impl Member {
    pub(in crate::client) fn new(id: MemberId, settings: MemberSettings) -> Self {
        Self {
            id,
            settings,
            mode: Mode::Shared,
            known: None,
            clock: None,
            is_busy: false,
            pending: None,
            held: BTreeMap::new(),
            ended: Vec::new(),
            waiters: BTreeMap::new(),
            last_waiter: 0,
            must_settle: false,
            must_read: false,
            is_fresh: false,
            last_contact: 0,
            failing_since: None,
            failures: 0,
            last_failure: 0,
            last_cause: String::new(),
            has_notices: false,
            can_wake: true,
            watches_customers: false,
            have_customers_changed: false,
            wakes: Vec::new(),
        }
    }

    /// Returns a new ticket, which enters the queue by asking.
    pub(in crate::client) fn next_ticket(&mut self) -> TicketId {
        self.last_waiter += 1;
        TicketId {
            number: self.last_waiter,
            owner: self.id,
        }
    }

    /// Asks for a lease. `customers` are those that the request is to change, if they are to be leased
    /// with it. Returns whether the next step may be another one now, too.
    pub(in crate::client) fn ask(
        &mut self,
        now: u64,
        ticket: TicketId,
        terms: Terms,
        customers: Vec<i64>,
    ) -> (Result<Grant, Refusal>, bool) {
        let waiter = self.waiters.entry(ticket).or_insert_with(|| Waiter {
            terms,
            customers: Vec::new(),
            ticket: None,
            entered: now,
            is_asking: false,
            grant: None,
            ask_at: now,
            blocked_until: None,
        });
        waiter.terms = terms;
        waiter.customers = customers;
        if let Some((grant, _)) = waiter.grant.take() {
            self.waiters.remove(&ticket);
            return (Ok(grant), false);
        }
        let is_news = !std::mem::replace(&mut waiter.is_asking, true);
        if let Mode::Separate { separation, .. } = &self.mode
            && self.settings.local_share.is_none()
            && waiter.entered < self.last_failure
        {
            let cause = separation.cause.clone();
            self.leave(now, ticket);
            return (Err(Refusal::Unreachable(cause)), true);
        }
        let blocked = waiter.blocked_until.filter(|&until| now < until);
        let throttled = Throttled {
            ask_again_in: POLL_INTERVAL,
            blocked_for: blocked.map(|until| until - now),
        };
        (Err(Refusal::Throttled(throttled)), is_news)
    }

    /// Removes a ticket. A lease that it did not take is cancelled.
    pub(in crate::client) fn leave(&mut self, now: u64, ticket: TicketId) {
        let waiter = self.waiters.remove(&ticket);
        if let Some((grant, _)) = waiter.and_then(|waiter| waiter.grant) {
            self.release(now, grant.lease, Feedback::Cancelled, 0);
        }
    }

    /// Leases customers within this process; see [`LimiterState::claim`].
    pub(in crate::client) fn claim(
        &mut self,
        now: u64,
        id: LeaseId,
        customers: Vec<i64>,
    ) -> Vec<i64> {
        self.expire(now);
        claim(&mut self.held, now, id, customers)
    }

    /// Ends a lease; see [`LimiterState::release`].
    pub(in crate::client) fn release(
        &mut self,
        now: u64,
        lease: LeaseId,
        feedback: Feedback,
        block_ms: u64,
    ) {
        match feedback {
            Feedback::Abandoned { hold_ms, .. } => {
                if let Some(lease) = self.held.get_mut(&lease) {
                    lease.is_over = true;
                    lease.expires = now + hold_ms.min(MAX_WAIT_MS);
                }
            }
            Feedback::Cancelled | Feedback::Answered { .. } => {
                self.held.remove(&lease);
            }
        }
        self.ended.push(EndedLease {
            lease,
            feedback,
            block_ms,
            at: now,
        });
    }

    /// Returns `true` if a request that may change the customer is in flight, or may be running for
    /// another member, if customers are leased. Returns whether the next step may be another one now,
    /// too.
    pub(in crate::client) fn is_taken(&mut self, now: u64, customer: i64) -> (bool, bool) {
        let own = self.held.iter().filter(|(_, lease)| !lease.is_over);
        let mut holders = own.filter(|(_, lease)| lease.holds(now, customer));
        // Who asks may be the one for whose ticket the lease waits.
        if holders.any(|(id, _)| !self.is_unclaimed(*id)) {
            return (true, false);
        }
        let is_held_by_others = self.settings.leases_customers
            && self.known.as_ref().is_some_and(|known| {
                let state = &known.record.state;
                state.is_held_by_others(self.place_time(now), self.id, customer)
            });
        let is_news = is_held_by_others && !self.watches_customers;
        self.watches_customers |= is_held_by_others;
        (is_held_by_others, is_news)
    }

    /// Returns `true` if an abandoned request of this member may change the customer.
    pub(in crate::client) fn is_abandoned(&self, now: u64, customer: i64) -> bool {
        let mut abandoned = self.held.values().filter(|lease| lease.is_over);
        abandoned.any(|lease| lease.holds(now, customer))
    }

    /// Returns when the next lease with customers expires.
    pub(in crate::client) fn next_hold_end(&self, now: u64) -> Option<u64> {
        let live = self.held.values().filter(|lease| now < lease.expires);
        let own = live.filter(|lease| !lease.customers.is_empty());
        let own = own.map(|lease| lease.expires).min();
        let known = self.known.as_ref();
        let place_now = self.place_time(now);
        let others = known.filter(|_| self.settings.leases_customers);
        let others = others.and_then(|known| known.record.state.next_hold_end(place_now));
        let others = others.map(|end| now + end.saturating_sub(place_now));
        own.into_iter().chain(others).min()
    }

    /// Returns `true` if the member is by itself, and has tried lately not to be.
    pub(in crate::client) fn is_separate(&self, now: u64) -> bool {
        self.separation().is_some() && now < self.last_failure + FAILURE_LIFETIME
    }

    /// Returns why the member is by itself, if it is.
    pub(in crate::client) fn separation(&self) -> Option<&Separation> {
        match &self.mode {
            Mode::Shared => None,
            Mode::Separate { separation, .. } => Some(separation),
        }
    }

    /// Takes the tickets that should ask again now.
    pub(in crate::client) fn take_wakes(&mut self) -> Vec<TicketId> {
        std::mem::take(&mut self.wakes)
    }

    /// Returns whether others have released or leased customers that a run waits for, once.
    pub(in crate::client) fn take_customer_changes(&mut self) -> bool {
        std::mem::take(&mut self.have_customers_changed)
    }

    /// Returns `true` if the place does not know yet what this member has released.
    pub(in crate::client) fn has_unsent_changes(&self) -> bool {
        !self.ended.is_empty() || self.has_left_tickets()
    }

    /// Returns by when the operation must have ended that starts now.
    pub(in crate::client) fn operation_deadline(&self, now: u64) -> u64 {
        match self.mode {
            Mode::Shared => self.failing_since.unwrap_or(now) + PATIENCE,
            Mode::Separate { .. } => now + 2 * PROBE_INTERVAL,
        }
    }

    /// Forgets the operation under way, of which nobody will tell the end.
    pub(in crate::client) fn abort_operation(&mut self) {
        self.must_read |= std::mem::take(&mut self.is_busy);
        self.pending = None;
    }

    /// Decides what to do next. While an operation is under way, there is no other one.
    pub(in crate::client) fn next_step(&mut self, now: u64) -> Step {
        let step = self.choose_step(now);
        self.is_busy |= !matches!(step, Step::Idle(_));
        step
    }

    fn choose_step(&mut self, now: u64) -> Step {
        self.expire(now);
        if let Mode::Separate { .. } = self.mode {
            return self.separate_step(now);
        }
        if self.is_busy {
            return Step::Idle(None);
        }
        if !self.has_work() {
            return Step::Idle(None);
        }
        if self.last_failure + FAILURE_LIFETIME <= now {
            // What failed then tells nothing of now.
            self.record_success();
        }
        if let Some(since) = self.failing_since {
            let patient_until = since + PATIENCE;
            if patient_until <= now {
                self.separate(now, since);
                return self.separate_step(now);
            }
            let (first, longest) = BACKOFF;
            let backoff = first << (self.failures - 1).min(8);
            let retry_at = self.last_failure + backoff.min(longest);
            if now < retry_at {
                return Step::Idle(Some(retry_at.min(patient_until)));
            }
        }
        let place_now = self.place_time(now);
        let Some(known) = &self.known else {
            return Step::Read;
        };
        if self.watches_customers
            && !known
                .record
                .state
                .has_customers_of_others(place_now, self.id)
        {
            self.watches_customers = false;
            self.have_customers_changed = true;
        }
        // A ticket that asks because of its timer may know an old state only.
        if self.must_read || (!self.is_fresh && self.read_at(now) <= now) {
            return Step::Read;
        }
        self.is_fresh = false;
        let mut record = known.record.clone();
        let applied = self.apply(&mut record.state, now, None);
        if !applied.is_material {
            // The place has all that it is to have.
            self.record_success();
            self.record_waits(now, &applied);
            if let Some(known) = &mut self.known {
                // Nobody needs to be told of tickets that have expired.
                known.record.state.advance(place_now);
            }
            return Step::Idle(Some(self.read_at(now)));
        }
        self.swap(now, record, applied)
    }

    fn swap(&mut self, now: u64, mut record: Record, applied: Applied) -> Step {
        let place_now = self.place_time(now);
        record.version = VERSION;
        if record.revision == 0 {
            record.origin = self.id ^ place_now;
        }
        record.revision += 1;
        record.names.insert(self.id, self.settings.name.clone());
        record.names.retain(|&id, _| record.state.has_owner(id));
        if !self.can_wake {
            record.poll_until = place_now + NO_WAKES_TIME;
        }
        let wakes = record.state.take_wakes();
        let mut wake: Vec<_> = wakes.into_iter().map(|ticket| ticket.owner).collect();
        wake.retain(|&owner| owner != self.id);
        wake.sort_unstable();
        wake.dedup();
        let text = serde_json::to_string(&record)
            .expect("a record consists of numbers, texts, lists, and maps with texts as keys");
        let kept_until = record.state.last_deadline();
        let step = SwapStep {
            expected: self.known.as_ref().and_then(|known| known.text.clone()),
            new: text.clone(),
            keep_ms: kept_until
                .saturating_sub(place_now)
                .saturating_add(KEEP_TIME),
            wake,
        };
        self.pending = Some(PendingSwap {
            record,
            text,
            applied,
            wakes_others: !step.wake.is_empty(),
            started: now,
        });
        Step::Swap(step)
    }

    /// Records the end of a read that began at `started`.
    pub(in crate::client) fn finish_read(
        &mut self,
        now: u64,
        started: u64,
        result: Result<PlaceReply, String>,
    ) {
        self.is_busy = false;
        match result {
            Ok(reply) => self.record_reply(now, started, reply.now_ms, reply.value),
            Err(cause) => self.record_failure(now, started, cause),
        }
    }

    /// Records the end of a swap. Returns why others can't be woken, if that is news.
    pub(in crate::client) fn finish_swap(
        &mut self,
        now: u64,
        result: Result<PlaceReply, String>,
    ) -> Option<String> {
        self.is_busy = false;
        let pending = self.pending.take()?;
        let reply = match result {
            Ok(reply) => reply,
            Err(cause) => {
                self.record_failure(now, pending.started, cause);
                return None;
            }
        };
        if !reply.is_swapped {
            self.record_reply(now, pending.started, reply.now_ms, reply.value);
            return None;
        }
        self.record_contact(now, pending.started, reply.now_ms);
        self.record_success();
        let mut could_wake = self.can_wake;
        if pending.wakes_others {
            could_wake = std::mem::replace(&mut self.can_wake, reply.wake_error.is_none());
        }
        self.commit(now, pending.started, pending.applied);
        if self.revision() < pending.record.revision {
            self.known = Some(Known {
                text: Some(pending.text),
                record: pending.record,
            });
        }
        let mode = std::mem::replace(&mut self.mode, Mode::Shared);
        if let (Mode::Separate { state, .. }, Some(known)) = (mode, &mut self.known) {
            // What responses have told since the swap began.
            known.record.state.learn_from(&state);
        }
        reply.wake_error.filter(|_| could_wake)
    }

    /// Records that the state has changed.
    pub(in crate::client) fn record_woken(&mut self, now: u64, text: String) {
        if let Mode::Separate { probe_at, .. } = &mut self.mode {
            *probe_at = now;
            return;
        }
        let (Some(known), Ok(record)) = (&self.known, Record::parse(&text)) else {
            self.must_read = true;
            return;
        };
        // From a place that was made anew, or the clock of this process stood still.
        let is_doubtful = known.record.origin != record.origin
            || self.place_time(now) + CLOCK_TOLERANCE < record.state.latest();
        if is_doubtful {
            self.must_read = true;
        } else if self.revision() < record.revision {
            self.replace_known(Some(text), record);
        }
    }

    /// Records whether notices arrive. What happened meanwhile must be read.
    pub(in crate::client) fn record_notices(&mut self, has_notices: bool) {
        self.must_read |= has_notices;
        self.has_notices = has_notices;
    }

    /// Returns the record as far as it is known, and the time that it refers to.
    pub(in crate::client) fn view(&self, now: u64) -> (Record, u64) {
        let known = self.known.as_ref();
        let mut record = known.map(|known| known.record.clone()).unwrap_or_default();
        if let Mode::Separate { state, .. } = &self.mode {
            record.state.clone_from(&**state);
        }
        record.names.insert(self.id, self.settings.name.clone());
        (record, self.place_time(now))
    }

    fn revision(&self) -> u64 {
        self.known.as_ref().map_or(0, |known| known.record.revision)
    }

    fn place_time(&self, now: u64) -> u64 {
        match self.clock {
            Some(sample) => sample.place + now.saturating_sub(sample.local),
            None => now,
        }
    }

    /// Removes leases that have expired, and cancels those that their tickets don't take.
    fn expire(&mut self, now: u64) {
        self.held.retain(|_, lease| now < lease.expires);
        let mut cancelled = Vec::new();
        for waiter in self.waiters.values_mut() {
            if let Some((grant, _)) = waiter.grant.take_if(|(_, at)| *at + CLAIM_TIME <= now) {
                waiter.is_asking = false;
                cancelled.push(grant.lease);
            }
        }
        for lease in cancelled {
            self.release(now, lease, Feedback::Cancelled, 0);
        }
    }

    fn is_unclaimed(&self, lease: LeaseId) -> bool {
        let mut grants = self
            .waiters
            .values()
            .filter_map(|waiter| waiter.grant.as_ref());
        grants.any(|(grant, _)| grant.lease == lease)
    }

    fn is_waiting(&self) -> bool {
        let mut waiters = self.waiters.values();
        waiters.any(|waiter| waiter.is_asking && waiter.grant.is_none())
    }

    fn has_left_tickets(&self) -> bool {
        let tickets = self.tickets();
        self.known.as_ref().is_some_and(|known| {
            let mut known = known.record.state.tickets_of(self.id);
            known.any(|ticket| !tickets.contains(&ticket))
        })
    }

    /// Returns `true` if the place concerns the member: it holds something, waits, or has released
    /// something that the place does not know.
    pub(in crate::client) fn has_work(&self) -> bool {
        self.is_waiting()
            || !self.held.is_empty()
            || self.has_unsent_changes()
            || self.watches_customers
    }

    fn tickets(&self) -> BTreeSet<TicketId> {
        let waiters = self.waiters.values();
        waiters.filter_map(|waiter| waiter.ticket).collect()
    }

    /// Returns when to read the state, unless something else happens before.
    fn read_at(&self, now: u64) -> u64 {
        let known = self.known.as_ref();
        let must_poll = known.is_some_and(|known| self.place_time(now) < known.record.poll_until);
        let is_quick =
            self.watches_customers || (self.is_waiting() && (!self.has_notices || must_poll));
        let interval = if is_quick {
            QUICK_POLL_INTERVAL
        } else {
            POLL_INTERVAL
        };
        let asking = self.waiters.values();
        let asking = asking.filter(|waiter| waiter.is_asking && waiter.ticket.is_some());
        let next_ask = asking.map(|waiter| waiter.ask_at).min();
        let grants = self
            .waiters
            .values()
            .filter_map(|waiter| waiter.grant.as_ref());
        let unclaimed = grants.map(|(_, at)| at + CLAIM_TIME).min();
        let poll = self.last_contact + interval;
        [next_ask, unclaimed]
            .into_iter()
            .flatten()
            .fold(poll, u64::min)
    }

    /// Does to a state all that this member has to do to it. `share` limits the requests in flight of a
    /// member that is by itself.
    fn apply(&self, state: &mut LimiterState, now: u64, share: Option<usize>) -> Applied {
        let place_now = self.place_time(now);
        let mut applied = self.report(state, now, share.is_some());
        if self.must_settle && share.is_none() {
            state.settle(place_now, SETTLE_TIME);
            applied.has_settled = true;
            applied.is_material = true;
        }
        let mut entered = self.tickets().len();
        for (&id, waiter) in &self.waiters {
            if !waiter.is_asking || waiter.grant.is_some() {
                continue;
            }
            let ticket = match waiter.ticket {
                Some(ticket) => ticket,
                None if waiter.terms.max_in_flight <= entered => continue,
                None => {
                    entered += 1;
                    state.next_ticket(self.id)
                }
            };
            let terms = Terms {
                max_in_flight: share.unwrap_or(usize::MAX).min(waiter.terms.max_in_flight),
                local_share: self.settings.local_share.unwrap_or(1),
                ..waiter.terms
            };
            let must_renew = state.must_renew(place_now, ticket, RENEW_INTERVAL);
            match state.acquire(place_now, ticket, terms) {
                Ok(lease) => {
                    let customers = match self.settings.leases_customers {
                        true => state.claim(place_now, lease, waiter.customers.clone()),
                        false => Vec::new(),
                    };
                    applied.is_material = true;
                    applied.grants.push((id, terms, lease, customers));
                }
                Err(throttled) => {
                    // Who competes with nobody needs no place in the queue.
                    applied.is_material |= must_renew && state.has_other_owners(self.id);
                    applied.waits.push((id, ticket, throttled));
                }
            }
        }
        applied
    }

    /// Tells a state which leases and tickets this member has, and what the ended leases have told.
    fn report(&self, state: &mut LimiterState, now: u64, is_own: bool) -> Applied {
        let place_now = self.place_time(now);
        // First of all: what follows is in the present time, whatever the clock has done meanwhile.
        state.advance(place_now);
        for ended in &self.ended {
            let late = now.saturating_sub(ended.at);
            if late < ended.block_ms {
                state.block(place_now, ended.block_ms - late);
            }
            state.release(place_now, ended.lease, delayed(ended.feedback, late));
        }
        let has_customers = self.settings.leases_customers || is_own;
        let to_place_time = |lease: &LeaseState| LeaseState {
            acquired: place_now.saturating_sub(now.saturating_sub(lease.acquired)),
            expires: place_now + lease.expires.saturating_sub(now),
            is_over: lease.is_over,
            customers: match has_customers {
                true => lease.customers.clone(),
                false => Vec::new(),
            },
        };
        let held = self.held.iter();
        let held = held
            .map(|(&id, lease)| (id, to_place_time(lease)))
            .collect();
        let has_differed = state.reconcile(self.id, &held, &self.tickets());
        Applied {
            is_material: has_differed || !self.ended.is_empty(),
            ended: self.ended.len(),
            ..Applied::default()
        }
    }

    /// Records what was done to the state.
    fn commit(&mut self, now: u64, started: u64, applied: Applied) {
        self.ended.drain(..applied.ended);
        self.must_settle &= !applied.has_settled;
        self.record_waits(now, &applied);
        for (id, terms, lease, customers) in applied.grants {
            let state = LeaseState {
                acquired: started,
                expires: started + terms.lease_ms.min(MAX_WAIT_MS),
                is_over: false,
                customers: customers.clone(),
            };
            self.held.insert(lease, state);
            let Some(waiter) = self.waiters.get_mut(&id) else {
                self.release(now, lease, Feedback::Cancelled, 0);
                continue;
            };
            let grant = Grant {
                lease,
                acquired: started,
                customers,
            };
            waiter.ticket = None;
            waiter.blocked_until = None;
            waiter.grant = Some((grant, now));
            self.wakes.push(id);
        }
    }

    fn record_waits(&mut self, now: u64, applied: &Applied) {
        for &(id, ticket, throttled) in &applied.waits {
            let Some(waiter) = self.waiters.get_mut(&id) else {
                continue;
            };
            let Throttled {
                ask_again_in,
                blocked_for,
            } = throttled;
            // Who waits for another member's request is woken when it ends.
            let wait = match blocked_for {
                Some(_) => ask_again_in,
                None => ask_again_in.max(QUICK_POLL_INTERVAL),
            };
            waiter.ticket = Some(ticket);
            waiter.ask_at = now + wait;
            let blocked_until = blocked_for.map(|wait| now + wait);
            let was_blocked = waiter.blocked_until.is_some();
            waiter.blocked_until = blocked_until;
            if was_blocked != blocked_until.is_some() {
                self.wakes.push(id);
            }
        }
    }

    /// Records the value of the place.
    fn record_reply(&mut self, now: u64, started: u64, place_ms: u64, value: Option<String>) {
        let record = match value.as_deref().map(Record::parse).transpose() {
            Ok(record) => record.unwrap_or_default(),
            Err(cause) => {
                let cause = format!("{}: {cause}", self.settings.place);
                return self.record_failure(now, now, cause);
            }
        };
        self.record_contact(now, started, place_ms);
        let is_new = value.is_none() && self.known.is_none();
        let is_other = value.is_some()
            && (self.known.as_ref()).is_some_and(|known| known.record.origin != record.origin);
        let is_earlier = !is_other && record.revision < self.revision();
        self.must_settle |= is_new || is_earlier || (is_other && !self.held.is_empty());
        let record = match &self.known {
            Some(known) if is_earlier => known.record.clone(),
            _ => record,
        };
        if let Mode::Separate { is_readable, .. } = &mut self.mode {
            *is_readable = true;
        }
        self.replace_known(value, record);
    }

    fn replace_known(&mut self, text: Option<String>, record: Record) {
        self.must_read = false;
        self.is_fresh = true;
        if self.watches_customers {
            let before = self.known.as_ref().map(|known| &known.record.state);
            let before = before.map(|state| state.customers_of_others(self.id));
            if before.as_ref() != Some(&record.state.customers_of_others(self.id)) {
                self.watches_customers = false;
                self.have_customers_changed = true;
            }
        }
        self.known = Some(Known { text, record });
    }

    /// Records the place's time in the reply to an operation that began at `started`.
    fn record_contact(&mut self, now: u64, started: u64, place_ms: u64) {
        self.last_contact = now;
        if self.clock.is_some() && started + MAX_CLOCK_AGE < now {
            // This process was suspended meanwhile, so the time may be long past.
            return;
        }
        if let (None, Mode::Separate { state, .. }) = (self.clock, &mut self.mode) {
            state.move_times(now, place_ms);
        }
        self.clock = Some(ClockSample {
            place: place_ms,
            local: now,
        });
    }

    fn record_success(&mut self) {
        self.failing_since = None;
        self.failures = 0;
    }

    fn record_failure(&mut self, now: u64, started: u64, cause: String) {
        self.failing_since.get_or_insert(started);
        self.failures = self.failures.saturating_add(1);
        self.last_failure = now;
        // The operation may have been done all the same.
        self.must_read = true;
        if let Mode::Separate {
            separation,
            probe_at,
            is_readable,
            ..
        } = &mut self.mode
        {
            *is_readable = false;
            *probe_at = now + PROBE_INTERVAL;
            separation.cause.clone_from(&cause);
        }
        self.last_cause = cause;
    }

    /// Goes on without the place.
    fn separate(&mut self, now: u64, since: u64) {
        let known = self.known.as_ref();
        let mut state = known
            .map(|known| known.record.state.clone())
            .unwrap_or_default();
        state.keep_only(self.id);
        self.mode = Mode::Separate {
            separation: Separation {
                since,
                cause: self.last_cause.clone(),
            },
            state: Box::new(state),
            probe_at: now + PROBE_INTERVAL,
            is_readable: false,
        };
    }

    fn separate_step(&mut self, now: u64) -> Step {
        if !self.has_work() {
            return Step::Idle(None);
        }
        // After a time without work, the place may be back.
        if self.last_failure + FAILURE_LIFETIME <= now {
            return match self.return_step(now) {
                Some(step) => step,
                None if self.is_busy => Step::Idle(None),
                None => Step::Read,
            };
        }
        match self.settings.local_share {
            Some(share) => self.apply_separately(now, share),
            None => {
                let last_failure = self.last_failure;
                let waiters = self.waiters.iter();
                let failed = waiters.filter(|(_, waiter)| waiter.entered < last_failure);
                self.wakes.extend(failed.map(|(&id, _)| id));
            }
        }
        if let Some(step) = self.return_step(now) {
            return step;
        }
        let Mode::Separate { probe_at, .. } = self.mode else {
            return Step::Idle(Some(now));
        };
        if probe_at <= now && !self.is_busy {
            return Step::Read;
        }
        let asking = self.waiters.values().filter(|waiter| waiter.is_asking);
        let next_ask = asking
            .map(|waiter| waiter.ask_at)
            .filter(|&at| now < at)
            .min();
        let next_end = self.held.values().map(|lease| lease.expires).min();
        let probe_at = (!self.is_busy).then_some(probe_at);
        Step::Idle([next_ask, next_end, probe_at].into_iter().flatten().min())
    }

    /// Returns the swap that ends the separation, once the state can be read.
    fn return_step(&mut self, now: u64) -> Option<Step> {
        let (
            false,
            Mode::Separate {
                state,
                is_readable: true,
                ..
            },
            Some(known),
        ) = (self.is_busy, &self.mode, &self.known)
        else {
            return None;
        };
        let place_now = self.place_time(now);
        let mut own = state.clone();
        own.advance(place_now);
        let mut record = known.record.clone();
        record.state.advance(place_now);
        record.state.learn_from(&own);
        let mut applied = self.report(&mut record.state, now, false);
        record.state.settle(place_now, SETTLE_TIME);
        applied.has_settled = true;
        Some(self.swap(now, record, applied))
    }

    fn apply_separately(&mut self, now: u64, share: usize) {
        let Mode::Separate { state, .. } = &self.mode else {
            return;
        };
        let mut state = LimiterState::clone(state);
        let applied = self.apply(&mut state, now, Some(share));
        self.commit(now, now, applied);
        state.take_wakes();
        if let Mode::Separate { state: kept, .. } = &mut self.mode {
            **kept = state;
        }
    }
}

/// Returns what remains of a feedback that is this late.
fn delayed(feedback: Feedback, late: u64) -> Feedback {
    let remaining = |quota: Quota| {
        let reset_ms = quota.reset_ms.checked_sub(late).filter(|&left| left > 0)?;
        Some(Quota { reset_ms, ..quota })
    };
    match feedback {
        Feedback::Cancelled => Feedback::Cancelled,
        Feedback::Answered { quota } if late > 0 => Feedback::Answered {
            quota: quota.and_then(remaining),
        },
        Feedback::Abandoned { quota, hold_ms } if late > 0 => Feedback::Abandoned {
            quota: quota.and_then(remaining),
            hold_ms: hold_ms.saturating_sub(late),
        },
        prompt => prompt,
    }
}
