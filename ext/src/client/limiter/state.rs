//! Which requests are in flight, who waits, and the quota as the headers of all responses describe
//! it. Pure: takes `now`, in milliseconds.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::headers::Quota;

/// The longest wait or lease, whatever a setting says.
pub(in crate::client) const MAX_WAIT_MS: u64 = 24 * 60 * 60 * 1000;
/// How soon to ask again when only another request's response can tell more.
const RECHECK_INTERVAL: u64 = 20;
/// How long the first request goes alone while the quota is unknown.
const ALONE_TIME: u64 = 2_000;
/// How long a place is kept for a ticket that does not ask for it.
const OFFER_TIME: u64 = 500;
/// How long a ticket that does not ask keeps its place in the queue.
const TICKET_TIME: u64 = 10_000;
/// How often a waiting ticket asks at least.
const MAX_ASK_INTERVAL: u64 = TICKET_TIME / 2;
/// A clock that goes back further than this is another clock.
pub(in crate::client) const CLOCK_TOLERANCE: u64 = 5_000;

/// The process that holds a lease or a ticket.
pub(in crate::client) type MemberId = u64;

/// A lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::client) struct LeaseId {
    pub owner: MemberId,
    pub number: u64,
}

/// A place in the queue. Tickets with lower numbers are served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(in crate::client) struct TicketId {
    pub number: u64,
    pub owner: MemberId,
}

/// The limits under which a request is sent. Stores with different limits can share a state: the
/// limits of its own store apply to each request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::client) struct Terms {
    pub max_in_flight: usize,
    /// The share of the quota that is left to other apps.
    pub reserved_share: f64,
    /// How long a lease is held at most: the attempt timeout and the grace period.
    pub lease_ms: u64,
    /// The number of requests that the owner may have in flight while the state settles.
    pub local_share: usize,
}

/// Why a request may not be sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) struct Throttled {
    /// When to ask again at the latest, in milliseconds from now.
    pub ask_again_in: u64,
    /// How long the quota or a response's demand blocks the request, if that is the reason.
    pub blocked_for: Option<u64>,
}

/// How a lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Feedback {
    /// The request was not sent.
    Cancelled,
    /// The server is done with the request.
    Answered { quota: Option<Quota> },
    /// The server may be running the request for `hold_ms` more.
    Abandoned { quota: Option<Quota>, hold_ms: u64 },
}

/// A request in flight, or an abandoned one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::client) struct LeaseState {
    pub acquired: u64,
    pub expires: u64,
    /// Whether the request has left the count of requests without a response.
    pub is_over: bool,
    /// Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub customers: Vec<i64>,
}

impl LeaseState {
    /// Returns `true` if the request may change the customer.
    pub(in crate::client) fn holds(&self, now: u64, customer: i64) -> bool {
        now < self.expires && self.customers.binary_search(&customer).is_ok()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TicketState {
    terms: Terms,
    last_asked: u64,
    /// Since when there has been a place for the ticket.
    offered_since: Option<u64>,
}

impl TicketState {
    /// Returns `true` if the ticket did not take the place that it was offered.
    fn is_silent(&self, now: u64) -> bool {
        self.offered_since
            .is_some_and(|since| since + OFFER_TIME <= now)
    }
}

/// Leases, waiting tickets, and the quota.
///
/// Each request in flight holds a lease, which expires whatever happens to its task. Tickets are
/// served first come, first served. Responses arrive out of order, and other apps spend from the
/// same quota: within a window the smallest number of requests left counts, less the requests
/// without a response. A response for an earlier window changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::client) struct LimiterState {
    #[serde(with = "entries")]
    leases: BTreeMap<LeaseId, LeaseState>,
    #[serde(with = "entries")]
    tickets: BTreeMap<TicketId, TicketState>,
    last_number: u64,
    window: Option<QuotaWindow>,
    /// Whether any request has finished. Until then the quota is unknown.
    has_finished_request: bool,
    blocked_until: u64,
    /// Until when each owner may have its local share of requests in flight only, because leases may
    /// be missing.
    settles_at: u64,
    /// The latest time seen.
    latest: u64,
    /// Tickets to wake: those with a new place, and the one behind them.
    #[serde(skip)]
    wakes: Vec<TicketId>,
}

/// A map as a list of its entries: JSON has no keys but strings.
mod entries {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct QuotaWindow {
    limit: u64,
    left: u64,
    /// Requests of this app in this window.
    spent: u64,
    ends: u64,
    length: u64,
    /// The end of the previous window, as long as no response has reported when this one ends.
    assumed_since: Option<u64>,
}

impl QuotaWindow {
    /// Starts the next window once this one is over. Its quota is full, and a response will report
    /// when it ends.
    fn roll_over(&mut self, now: u64) {
        if self.ends <= now {
            self.assumed_since = Some(self.ends);
            self.ends = now + self.length.max(RECHECK_INTERVAL);
            // A quota of zero would block for good: one request per window asks again.
            self.left = self.limit.max(1);
            self.spent = 0;
        }
    }

    /// Applies a response's quota, where `ours` requests of this app may belong to its window.
    fn observe(&mut self, quota: Quota, ends: u64, ours: u64) {
        let tolerance = quota.window_ms / 2;
        self.limit = quota.limit;
        self.length = quota.window_ms;
        match self.assumed_since {
            Some(previous_end) if ends > previous_end + tolerance => {
                self.left = self.left.min(quota.left);
                self.ends = ends;
                self.assumed_since = None;
            }
            None if ends > self.ends + tolerance => {
                self.left = quota.left;
                self.spent = ours;
                self.ends = ends;
            }
            None if ends + tolerance >= self.ends => {
                self.left = self.left.min(quota.left);
                // The response's travel time makes the end look later than it is.
                self.ends = self.ends.min(ends);
            }
            // A response for an earlier window.
            _ => {}
        }
    }

    /// Returns how many requests may be sent now.
    fn usable(&self, unanswered: u64, reserved_share: f64) -> u64 {
        let ours = self.limit.saturating_sub(share(self.limit, reserved_share));
        self.left
            .saturating_sub(unanswered)
            .min(ours.max(1).saturating_sub(self.spent))
    }
}

impl LimiterState {
    /// Returns a new ticket: a place in the queue, which it enters by asking.
    pub(in crate::client) fn next_ticket(&mut self, owner: MemberId) -> TicketId {
        TicketId {
            number: self.next_number(),
            owner,
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Takes a place among the requests in flight and one request from the quota.
    ///
    /// # Errors
    ///
    /// [`Throttled`] says when to ask again.
    pub(in crate::client) fn acquire(
        &mut self,
        now: u64,
        ticket: TicketId,
        terms: Terms,
    ) -> Result<LeaseId, Throttled> {
        let now = self.advance(now);
        self.tickets.insert(
            ticket,
            TicketState {
                terms,
                last_asked: now,
                offered_since: None,
            },
        );
        if let Some(window) = &mut self.window {
            window.roll_over(now);
        }
        let ahead = self.ahead_of(now, ticket);
        if let Some(mut throttled) = self.obstacle(now, terms, ticket.owner, ahead) {
            self.offer(now);
            if ahead > 0 {
                let silence = self.next_silence(ticket);
                let until_silence = silence.map_or(u64::MAX, |at| at.saturating_sub(now).max(1));
                throttled.ask_again_in = throttled.ask_again_in.min(until_silence);
            }
            throttled.ask_again_in = throttled.ask_again_in.min(MAX_ASK_INTERVAL);
            return Err(throttled);
        }
        self.tickets.remove(&ticket);
        if let Some(window) = &mut self.window {
            window.spent += 1;
        }
        let lease = LeaseId {
            owner: ticket.owner,
            number: self.next_number(),
        };
        self.leases.insert(
            lease,
            LeaseState {
                acquired: now,
                expires: now + terms.lease_ms.min(MAX_WAIT_MS),
                is_over: false,
                customers: Vec::new(),
            },
        );
        Ok(lease)
    }

    /// Removes a ticket from the queue.
    pub(in crate::client) fn leave(&mut self, now: u64, ticket: TicketId) {
        let now = self.advance(now);
        self.tickets.remove(&ticket);
        self.offer(now);
    }

    /// Leases customers whose values the request of a lease may change, in place of those that it
    /// had. Returns those that no other lease holds, sorted.
    ///
    /// Leases of abandoned requests of the same owner don't count: a batch is sent again beside its own
    /// abandoned request.
    pub(in crate::client) fn claim(
        &mut self,
        now: u64,
        id: LeaseId,
        customers: Vec<i64>,
    ) -> Vec<i64> {
        claim(&mut self.leases, now, id, customers)
    }

    /// Ends a lease: releases it, or holds it for as long as the server may be running the request.
    pub(in crate::client) fn release(&mut self, now: u64, lease: LeaseId, feedback: Feedback) {
        let now = self.advance(now);
        let quota = match feedback {
            Feedback::Cancelled => {
                let is_live = self.leases.remove(&lease).is_some();
                if let Some(window) = self.window.as_mut().filter(|_| is_live) {
                    window.spent = window.spent.saturating_sub(1);
                }
                self.offer(now);
                return;
            }
            Feedback::Answered { quota } => {
                self.leases.remove(&lease);
                quota
            }
            Feedback::Abandoned { quota, hold_ms } => {
                if let Some(lease) = self.leases.get_mut(&lease) {
                    lease.is_over = true;
                    lease.expires = now + hold_ms.min(MAX_WAIT_MS);
                }
                quota
            }
        };
        self.record_response(now, quota);
        self.offer(now);
    }

    /// Blocks all requests for as long as a response asks. The longest block counts.
    pub(in crate::client) fn block(&mut self, now: u64, wait_ms: u64) {
        let now = self.advance(now);
        self.blocked_until = self.blocked_until.max(now + wait_ms.min(MAX_WAIT_MS));
    }

    /// Returns `true` if a request in flight may change the customer.
    pub(in crate::client) fn is_taken(&self, now: u64, customer: i64) -> bool {
        let mut in_flight = self.leases.values().filter(|lease| !lease.is_over);
        in_flight.any(|lease| lease.holds(now, customer))
    }

    /// Returns `true` if an abandoned request may change the customer.
    pub(in crate::client) fn is_abandoned(&self, now: u64, customer: i64) -> bool {
        let mut abandoned = self.leases.values().filter(|lease| lease.is_over);
        abandoned.any(|lease| lease.holds(now, customer))
    }

    pub(in crate::client) fn leases(&self) -> impl Iterator<Item = (LeaseId, &LeaseState)> {
        self.leases.iter().map(|(&id, lease)| (id, lease))
    }

    /// Returns the latest time seen.
    pub(in crate::client) fn latest(&self) -> u64 {
        self.latest
    }

    /// Returns the number of tickets that have not expired.
    pub(in crate::client) fn waiting(&self, now: u64) -> usize {
        let tickets = self.tickets.values();
        tickets
            .filter(|ticket| now < ticket.last_asked + TICKET_TIME)
            .count()
    }

    /// Returns the limit of the quota window, the requests left, and when it ends.
    pub(in crate::client) fn quota(&self, now: u64) -> Option<(u64, u64, u64)> {
        let mut window = self.window.clone()?;
        window.roll_over(now);
        let left = window.left.saturating_sub(self.unanswered());
        Some((window.limit, left, window.ends - now))
    }

    /// Returns for how long a response blocks all requests, if it does.
    pub(in crate::client) fn blocked_for(&self, now: u64) -> Option<u64> {
        self.blocked_until.checked_sub(now).filter(|&wait| wait > 0)
    }

    /// Returns the leases of an owner.
    pub(in crate::client) fn leases_of(
        &self,
        owner: MemberId,
    ) -> impl Iterator<Item = (LeaseId, &LeaseState)> {
        let leases = self.leases.iter().filter(move |(id, _)| id.owner == owner);
        leases.map(|(&id, lease)| (id, lease))
    }

    /// Returns the tickets of an owner.
    pub(in crate::client) fn tickets_of(&self, owner: MemberId) -> impl Iterator<Item = TicketId> {
        self.tickets
            .keys()
            .filter(move |id| id.owner == owner)
            .copied()
    }

    /// Returns `true` if the owner has a lease or a ticket.
    pub(in crate::client) fn has_owner(&self, owner: MemberId) -> bool {
        self.leases_of(owner).next().is_some() || self.tickets_of(owner).next().is_some()
    }

    /// Returns `true` if another owner has a lease or a ticket.
    pub(in crate::client) fn has_other_owners(&self, owner: MemberId) -> bool {
        let mut leases = self.leases.keys();
        leases.any(|id| id.owner != owner) || self.tickets.keys().any(|id| id.owner != owner)
    }

    /// Returns `true` if a ticket must ask, or it loses its place or misses its turn.
    pub(in crate::client) fn must_renew(&self, now: u64, id: TicketId, interval: u64) -> bool {
        self.tickets.get(&id).is_none_or(|ticket| {
            ticket.offered_since.is_some() || ticket.last_asked + interval <= now
        })
    }

    /// Removes the leases of other owners, and all tickets.
    pub(in crate::client) fn keep_only(&mut self, owner: MemberId) {
        self.leases.retain(|id, _| id.owner == owner);
        self.tickets.clear();
    }

    /// Returns `true` if another owner has leased the customer.
    pub(in crate::client) fn is_held_by_others(
        &self,
        now: u64,
        owner: MemberId,
        customer: i64,
    ) -> bool {
        let mut others = self.leases.iter().filter(|(id, _)| id.owner != owner);
        others.any(|(_, lease)| lease.holds(now, customer))
    }

    /// Returns `true` if another owner has leased any customer.
    pub(in crate::client) fn has_customers_of_others(&self, now: u64, owner: MemberId) -> bool {
        let mut others = self.leases.iter().filter(|(id, _)| id.owner != owner);
        others.any(|(_, lease)| now < lease.expires && !lease.customers.is_empty())
    }

    /// Returns the customers that other owners have leased.
    pub(in crate::client) fn customers_of_others(&self, owner: MemberId) -> BTreeSet<i64> {
        let others = self.leases.iter().filter(|(id, _)| id.owner != owner);
        others
            .flat_map(|(_, lease)| lease.customers.iter().copied())
            .collect()
    }

    /// Returns `false` if times or numbers are so large that no member can have written them.
    pub(in crate::client) fn is_plausible(&self) -> bool {
        const MAX: u64 = u64::MAX / 4;
        let leases = self.leases.iter();
        let leases = leases.flat_map(|(id, lease)| [id.number, lease.acquired, lease.expires]);
        let tickets = self.tickets.iter().flat_map(|(id, ticket)| {
            [
                id.number,
                ticket.last_asked,
                ticket.offered_since.unwrap_or_default(),
            ]
        });
        let window = self.window.iter().flat_map(|window| {
            [
                window.ends,
                window.length,
                window.assumed_since.unwrap_or_default(),
            ]
        });
        let others = [
            self.last_number,
            self.blocked_until,
            self.settles_at,
            self.latest,
        ];
        let mut all = leases.chain(tickets).chain(window).chain(others);
        let limits = self.window.iter().map(|window| window.spent);
        all.all(|number| number < MAX) && { limits }.all(|spent| spent < MAX)
    }

    /// Makes an owner's leases and tickets those that it holds: an earlier state may have come back.
    /// Returns `true` if they were others.
    pub(in crate::client) fn reconcile(
        &mut self,
        owner: MemberId,
        leases: &BTreeMap<LeaseId, LeaseState>,
        tickets: &BTreeSet<TicketId>,
    ) -> bool {
        let strange: Vec<_> = self.leases_of(owner).map(|(id, _)| id).collect();
        let mut has_changed = false;
        for id in strange.into_iter().filter(|id| !leases.contains_key(id)) {
            self.leases.remove(&id);
            has_changed = true;
        }
        for (&id, lease) in leases {
            self.last_number = self.last_number.max(id.number);
            match self.leases.entry(id) {
                Entry::Vacant(entry) => {
                    entry.insert(lease.clone());
                    has_changed = true;
                }
                // Those that the request does not change are free for others.
                Entry::Occupied(mut entry) if entry.get().customers != lease.customers => {
                    entry.get_mut().customers.clone_from(&lease.customers);
                    has_changed = true;
                }
                Entry::Occupied(_) => {}
            }
        }
        let numbers = tickets.iter().map(|ticket| ticket.number);
        self.last_number = numbers.fold(self.last_number, u64::max);
        let before = self.tickets.len();
        self.tickets
            .retain(|id, _| id.owner != owner || tickets.contains(id));
        has_changed | (self.tickets.len() < before)
    }

    /// Limits each owner to its local share for a while, because leases may be missing.
    pub(in crate::client) fn settle(&mut self, now: u64, time_ms: u64) {
        let now = self.advance(now);
        self.settles_at = self.settles_at.max(now + time_ms);
    }

    /// Takes over what another state knows of the quota.
    pub(in crate::client) fn learn_from(&mut self, other: &Self) {
        self.has_finished_request |= other.has_finished_request;
        self.blocked_until = self.blocked_until.max(other.blocked_until);
        let end = |window: &Option<QuotaWindow>| window.as_ref().map(|window| window.ends);
        if end(&self.window) < end(&other.window) {
            self.window.clone_from(&other.window);
        }
    }

    /// Returns when everything that the state contains is over.
    pub(in crate::client) fn last_deadline(&self) -> u64 {
        let leases = self.leases.values().map(|lease| lease.expires);
        let tickets = self.tickets.values();
        let tickets = tickets.map(|ticket| ticket.last_asked + TICKET_TIME);
        let window = self.window.as_ref().map(|window| window.ends);
        let others = [self.blocked_until, self.settles_at, self.latest];
        let all = leases.chain(tickets).chain(window).chain(others);
        all.max().unwrap_or_default()
    }

    /// Returns when the next lease with customers expires.
    pub(in crate::client) fn next_hold_end(&self, now: u64) -> Option<u64> {
        let live = self.leases.values().filter(|lease| now < lease.expires);
        let with_customers = live.filter(|lease| !lease.customers.is_empty());
        with_customers.map(|lease| lease.expires).min()
    }

    /// Takes the tickets that should ask again now.
    pub(in crate::client) fn take_wakes(&mut self) -> Vec<TicketId> {
        std::mem::take(&mut self.wakes)
    }

    /// Removes what has expired. Returns the time that counts: it never goes back a little, and all
    /// deadlines move with a clock that goes back further.
    pub(in crate::client) fn advance(&mut self, now: u64) -> u64 {
        if now + CLOCK_TOLERANCE < self.latest {
            self.move_times(self.latest, now);
        }
        let now = now.max(self.latest);
        self.latest = now;
        let mut lost = 0;
        self.leases.retain(|_, lease| {
            let is_live = now < lease.expires;
            lost += u64::from(!is_live && !lease.is_over);
            is_live
        });
        for _ in 0..lost {
            self.record_response(now, None);
        }
        self.tickets
            .retain(|_, ticket| now < ticket.last_asked + TICKET_TIME);
        now
    }

    /// Moves all times from a clock that says `from` to one that says `to`.
    pub(in crate::client) fn move_times(&mut self, from: u64, to: u64) {
        let shift = |time: &mut u64| *time = time.saturating_add(to).saturating_sub(from);
        for lease in self.leases.values_mut() {
            shift(&mut lease.acquired);
            shift(&mut lease.expires);
        }
        for ticket in self.tickets.values_mut() {
            shift(&mut ticket.last_asked);
            ticket.offered_since.as_mut().map(shift);
        }
        if let Some(window) = &mut self.window {
            shift(&mut window.ends);
            window.assumed_since.as_mut().map(shift);
        }
        shift(&mut self.blocked_until);
        shift(&mut self.settles_at);
        shift(&mut self.latest);
    }

    /// Records the end of a request, with the quota of its response, if it had one.
    fn record_response(&mut self, now: u64, quota: Option<Quota>) {
        self.has_finished_request = true;
        let Some(quota) = quota else {
            // The server may have counted the request all the same.
            if let Some(window) = &mut self.window {
                window.left = window.left.saturating_sub(1);
            }
            return;
        };
        let ends = now + quota.reset_ms;
        let ours = self.unanswered() + 1;
        match &mut self.window {
            Some(window) => window.observe(quota, ends, ours),
            None => {
                self.window = Some(QuotaWindow {
                    limit: quota.limit,
                    left: quota.left,
                    spent: ours,
                    ends,
                    length: quota.window_ms,
                    assumed_since: None,
                });
            }
        }
    }

    fn unanswered(&self) -> u64 {
        self.leases.values().filter(|lease| !lease.is_over).count() as u64
    }

    /// Returns the number of tickets ahead that are waiting for a place.
    fn ahead_of(&self, now: u64, ticket: TicketId) -> u64 {
        let ahead = self.tickets.range(..ticket);
        ahead
            .filter(|&(&id, ticket)| self.can_use_place(now, id, ticket))
            .count() as u64
    }

    /// Returns `true` unless the ticket ignores its place, or its owner has its share.
    fn can_use_place(&self, now: u64, id: TicketId, ticket: &TicketState) -> bool {
        !ticket.is_silent(now) && !self.has_its_share(now, id.owner, ticket.terms)
    }

    /// Returns `true` if the state settles and the owner has all the requests in flight that it may
    /// have meanwhile.
    fn has_its_share(&self, now: u64, owner: MemberId, terms: Terms) -> bool {
        now < self.settles_at && self.leases_of(owner).count() >= terms.local_share
    }

    /// Returns when the next ticket ahead counts as silent.
    fn next_silence(&self, ticket: TicketId) -> Option<u64> {
        let ahead = self.tickets.range(..ticket);
        let silence = |ticket: &TicketState| Some(ticket.offered_since? + OFFER_TIME);
        ahead.filter_map(|(_, ticket)| silence(ticket)).min()
    }

    /// Returns why a request can't be sent now, if so many tickets are served first.
    fn obstacle(&self, now: u64, terms: Terms, owner: MemberId, ahead: u64) -> Option<Throttled> {
        let blocked = |until: u64| Throttled {
            ask_again_in: until.saturating_sub(now).max(1),
            blocked_for: Some(until.saturating_sub(now).max(1)),
        };
        let briefly = |until: u64| Throttled {
            blocked_for: None,
            ..blocked(until)
        };
        if now < self.blocked_until {
            return Some(blocked(self.blocked_until));
        }
        if self.has_its_share(now, owner, terms) {
            return Some(briefly(self.settles_at));
        }
        let unanswered = self.unanswered();
        if self.window.is_none() && !self.has_finished_request {
            let oldest = self.leases.values().map(|lease| lease.acquired).min();
            match oldest.map(|acquired| acquired + ALONE_TIME) {
                Some(until) if now < until => return Some(briefly(until)),
                None if ahead > 0 => return Some(briefly(u64::MAX)),
                _ => {}
            }
        }
        let taken = (self.leases.len() as u64).saturating_add(ahead);
        if taken >= terms.max_in_flight as u64 {
            let next_expiry = self.leases.values().map(|lease| lease.expires).min();
            return Some(briefly(next_expiry.unwrap_or(u64::MAX)));
        }
        let window = self.window.as_ref()?;
        let usable = match now < window.ends {
            true => window.usable(unanswered, terms.reserved_share),
            false => window.limit.max(1).saturating_sub(unanswered),
        };
        if ahead < usable {
            return None;
        }
        // A response may tell more before the window ends.
        Some(match window.assumed_since.is_some() && unanswered > 0 {
            true => briefly(now + RECHECK_INTERVAL),
            false => blocked(window.ends),
        })
    }

    /// Offers the free places to the first tickets.
    fn offer(&mut self, now: u64) {
        let mut ahead = 0;
        let mut offered = Vec::new();
        for (&id, ticket) in &self.tickets {
            if !self.can_use_place(now, id, ticket) {
                continue;
            }
            let has_place = self.obstacle(now, ticket.terms, id.owner, ahead).is_none();
            if has_place && ticket.offered_since.is_none() {
                offered.push(id);
            }
            ahead += 1;
        }
        for id in &offered {
            if let Some(ticket) = self.tickets.get_mut(id) {
                ticket.offered_since = Some(now);
            }
        }
        if let Some(last) = offered.last() {
            // The next ticket must know when it may pass over a silent one.
            let next = self
                .tickets
                .range((Bound::Excluded(last), Bound::Unbounded))
                .next();
            self.wakes.extend(next.map(|(&id, _)| id));
        }
        self.wakes.extend(offered);
    }
}

/// Leases customers with one of these leases; see [`LimiterState::claim`].
pub(in crate::client) fn claim(
    leases: &mut BTreeMap<LeaseId, LeaseState>,
    now: u64,
    id: LeaseId,
    mut customers: Vec<i64>,
) -> Vec<i64> {
    customers.sort_unstable();
    customers.dedup();
    let others = leases.iter().filter(|(other, lease)| {
        **other != id && now < lease.expires && !(lease.is_over && other.owner == id.owner)
    });
    for (_, other) in others {
        customers.retain(|customer| other.customers.binary_search(customer).is_err());
    }
    match leases.get_mut(&id) {
        Some(lease) => lease.customers.clone_from(&customers),
        // The lease has expired.
        None => customers.clear(),
    }
    customers
}

/// Returns a share of the quota, rounded up.
fn share(quota: u64, reserved_share: f64) -> u64 {
    // Rounded up, and saturating for any quota.
    (quota as f64 * reserved_share).ceil() as u64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const TERMS: Terms = Terms {
        max_in_flight: 3,
        reserved_share: 0.0,
        lease_ms: 35_000,
        local_share: 1,
    };
    pub(in super::super) const START: u64 = 1_000_000;

    impl LimiterState {
        /// Asks with a new ticket, which leaves the queue if it gets no lease.
        pub(in super::super) fn try_acquire(
            &mut self,
            now: u64,
            terms: Terms,
        ) -> Result<LeaseId, Throttled> {
            let ticket = self.next_ticket(0);
            let result = self.acquire(now, ticket, terms);
            self.leave(now, ticket);
            result
        }

        pub(in super::super) fn answer(&mut self, now: u64, lease: LeaseId, quota: Option<Quota>) {
            self.release(now, lease, Feedback::Answered { quota });
        }

        fn lease(&mut self, now: u64) -> LeaseId {
            self.try_acquire(now, TERMS).expect("a lease")
        }

        /// Sends a request that is answered at once, so that the quota counts as known to be
        /// unlimited.
        fn warmed_up() -> Self {
            let mut state = Self::default();
            let lease = state.lease(START);
            state.answer(START, lease, None);
            state
        }
    }

    const QUOTA: Quota = Quota {
        limit: 150,
        left: 100,
        reset_ms: 9_000,
        window_ms: 30_000,
    };

    fn blocked_for(wait: u64) -> Throttled {
        Throttled {
            ask_again_in: wait.min(MAX_ASK_INTERVAL),
            blocked_for: Some(wait),
        }
    }

    #[test]
    fn no_more_requests_than_allowed_are_in_flight() {
        let mut state = LimiterState::warmed_up();
        let leases: Vec<_> = (0..3).map(|_| state.lease(START)).collect();
        let throttled = state.try_acquire(START, TERMS).expect_err("no place");
        assert_eq!(throttled.blocked_for, None);
        state.answer(START + 5, leases[1], None);
        state.lease(START + 5);
        assert!(state.try_acquire(START + 5, TERMS).is_err());
        // The limits of each store hold for its own requests.
        let more = Terms {
            max_in_flight: 4,
            ..TERMS
        };
        assert!(state.try_acquire(START + 5, more).is_ok());
    }

    #[test]
    fn a_lease_expires_whatever_happens_to_its_task() {
        let mut state = LimiterState::warmed_up();
        for _ in 0..3 {
            let lease = state.lease(START);
            state.claim(START, lease, vec![7, 3]);
        }
        assert!((state.is_taken(START + 34_999, 3) || state.is_abandoned(START + 34_999, 3)));
        assert!(state.try_acquire(START + 34_999, TERMS).is_err());
        assert_eq!(state.next_hold_end(START), Some(START + 35_000));
        assert!(!(state.is_taken(START + 35_000, 3) || state.is_abandoned(START + 35_000, 3)));
        assert_eq!(state.next_hold_end(START + 35_000), None);
        state.lease(START + 35_000);
    }

    #[test]
    fn an_abandoned_request_holds_its_place_and_its_customers() {
        let mut state = LimiterState::warmed_up();
        let lease = state.lease(START);
        state.claim(START, lease, vec![7]);
        let abandoned = Feedback::Abandoned {
            quota: None,
            hold_ms: 5_000,
        };
        state.release(START + 100, lease, abandoned);
        state.lease(START + 100);
        state.lease(START + 100);
        assert!(state.try_acquire(START + 5_099, TERMS).is_err());
        assert!(
            (state.is_taken(START + 5_099, 7) || state.is_abandoned(START + 5_099, 7))
                && !(state.is_taken(START + 5_099, 8) || state.is_abandoned(START + 5_099, 8))
        );
        assert!(!(state.is_taken(START + 5_100, 7) || state.is_abandoned(START + 5_100, 7)));
        state.lease(START + 5_100);
    }

    #[test]
    fn a_request_that_was_not_sent_costs_no_quota() {
        let mut state = LimiterState::default();
        let lease = state.lease(START);
        state.answer(START, lease, Some(Quota { left: 1, ..QUOTA }));
        for _ in 0..5 {
            let lease = state.lease(START);
            state.claim(START, lease, vec![7]);
            state.release(START, lease, Feedback::Cancelled);
            assert!(!(state.is_taken(START, 7) || state.is_abandoned(START, 7)));
        }
        let lease = state.lease(START);
        state.answer(START, lease, None);
        assert_eq!(
            state.try_acquire(START, TERMS),
            Err(blocked_for(9_000)),
            "the quota is spent"
        );
    }

    #[test]
    fn tickets_are_served_first_come_first_served() {
        let mut state = LimiterState::warmed_up();
        let leases: Vec<_> = (0..3).map(|_| state.lease(START)).collect();
        let tickets: Vec<_> = (0..3).map(|_| state.next_ticket(0)).collect();
        for &ticket in &tickets {
            assert!(state.acquire(START, ticket, TERMS).is_err());
        }
        assert!(state.take_wakes().is_empty());
        state.answer(START + 10, leases[0], None);
        // The first one has a place, and the second one waits for it to be silent.
        assert_eq!(state.take_wakes(), [tickets[1], tickets[0]]);
        let throttled = state.acquire(START + 10, tickets[1], TERMS);
        assert_eq!(throttled.expect_err("the first").ask_again_in, OFFER_TIME);
        assert!(state.try_acquire(START + 10, TERMS).is_err());
        assert!(state.acquire(START + 10, tickets[0], TERMS).is_ok());
        // Two places at once.
        state.answer(START + 20, leases[1], None);
        state.answer(START + 20, leases[2], None);
        assert!(state.acquire(START + 20, tickets[2], TERMS).is_ok());
        assert!(state.acquire(START + 20, tickets[1], TERMS).is_ok());
    }

    #[test]
    fn a_silent_ticket_is_passed_over_and_keeps_its_place() {
        let mut state = LimiterState::warmed_up();
        let leases: Vec<_> = (0..3).map(|_| state.lease(START)).collect();
        let silent = state.next_ticket(0);
        let other = state.next_ticket(0);
        for ticket in [silent, other] {
            assert!(state.acquire(START, ticket, TERMS).is_err());
        }
        state.answer(START, leases[0], None);
        assert!(state.acquire(START + 499, other, TERMS).is_err());
        let lease = state.acquire(START + 500, other, TERMS).expect("a lease");
        // Back again, the silent one is first.
        assert!(state.acquire(START + 600, silent, TERMS).is_err());
        let late = state.next_ticket(0);
        assert!(state.acquire(START + 600, late, TERMS).is_err());
        state.answer(START + 700, lease, None);
        assert!(state.acquire(START + 700, late, TERMS).is_err());
        assert!(state.acquire(START + 700, silent, TERMS).is_ok());
    }

    #[test]
    fn a_ticket_that_never_asks_again_leaves_the_queue() {
        let mut state = LimiterState::warmed_up();
        let leases: Vec<_> = (0..3).map(|_| state.lease(START)).collect();
        let gone = state.next_ticket(0);
        assert!(state.acquire(START, gone, TERMS).is_err());
        let now = START + TICKET_TIME;
        state.answer(now, leases[0], None);
        assert!(state.take_wakes().is_empty());
        state.lease(now);
    }

    #[test]
    fn while_the_quota_is_unknown_the_first_request_goes_alone_for_two_seconds() {
        let mut state = LimiterState::default();
        let first = state.lease(START);
        let throttled = state.try_acquire(START + 500, TERMS);
        assert_eq!(throttled.expect_err("alone").ask_again_in, 1_500);
        state.lease(START + 2_000);
        state.lease(START + 2_000);
        state.answer(START + 2_100, first, Some(QUOTA));
        state.lease(START + 2_100);
    }

    #[test]
    fn a_clock_that_goes_back_moves_all_deadlines() {
        let mut state = LimiterState::warmed_up();
        for _ in 0..3 {
            state.lease(START);
        }
        // A little is a race between two readers of the clock.
        assert!(state.try_acquire(START - 4_000, TERMS).is_err());
        assert!(state.try_acquire(START + 34_999, TERMS).is_err());
        let earlier = START - 500_000;
        assert!(state.try_acquire(earlier, TERMS).is_err());
        state.lease(earlier + 1);
    }

    #[test]
    fn a_huge_quota_never_throttles() {
        let mut state = LimiterState::default();
        for (limit, left) in [(16_101_495, 16_101_000), (u64::MAX, u64::MAX)] {
            for _ in 0..1000 {
                let reserving = Terms {
                    reserved_share: 0.5,
                    ..TERMS
                };
                let lease = state.try_acquire(START, reserving).expect("a lease");
                let quota = Quota {
                    limit,
                    left,
                    ..QUOTA
                };
                state.answer(START, lease, Some(quota));
            }
        }
    }

    #[test]
    fn requests_without_a_response_count_against_the_quota() {
        let mut state = LimiterState::default();
        let now = START;
        let quota = |left| {
            Some(Quota {
                left,
                reset_ms: 9,
                window_ms: 30,
                ..QUOTA
            })
        };
        let lease = state.lease(now);
        // Another app has spent most of the quota.
        state.answer(now, lease, quota(2));
        let first = state.lease(now);
        let second = state.lease(now);
        assert_eq!(state.try_acquire(now, TERMS), Err(blocked_for(9)));
        // Responses arrive out of order: the smallest number counts.
        state.answer(now, first, quota(0));
        state.answer(now, second, quota(1));
        assert_eq!(state.try_acquire(now, TERMS), Err(blocked_for(9)));
        // The next window has a full quota.
        let lease = state.lease(now + 9);
        // A response for the previous window changes nothing.
        let late = Quota {
            left: 1,
            reset_ms: 1,
            window_ms: 30,
            ..QUOTA
        };
        state.answer(now + 9, lease, Some(late));
        state.lease(now + 10);
        state.lease(now + 10);
    }

    #[test]
    fn a_quota_of_zero_allows_one_request_per_window() {
        let mut state = LimiterState::default();
        let mut now = START;
        for window_ms in [0, 50] {
            let quota = Quota {
                limit: 0,
                left: 0,
                reset_ms: window_ms,
                window_ms,
            };
            for _ in 0..20 {
                match state.try_acquire(now, TERMS) {
                    Ok(lease) => state.answer(now, lease, Some(quota)),
                    Err(throttled) => now += throttled.ask_again_in,
                }
            }
        }
        assert!(now > START && now < START + 60 * 50);
    }

    #[test]
    fn a_block_applies_to_all_requests_and_the_longest_counts() {
        let mut state = LimiterState::default();
        state.block(START, 5);
        state.block(START, 3);
        assert_eq!(state.try_acquire(START + 1, TERMS), Err(blocked_for(4)));
        state.lease(START + 5);
    }

    #[test]
    fn responses_without_headers_never_block_for_good() {
        let mut state = LimiterState::default();
        let mut now = START;
        let lease = state.lease(now);
        let quota = Quota {
            limit: 5,
            left: 4,
            reset_ms: 100,
            window_ms: 100,
        };
        state.answer(now, lease, Some(quota));
        let mut requests = 0;
        for _ in 0..1000 {
            match state.try_acquire(now, TERMS) {
                Ok(lease) => {
                    requests += 1;
                    state.answer(now, lease, None);
                }
                Err(throttled) => now += throttled.ask_again_in,
            }
        }
        assert!(requests >= 800, "{requests} requests");
    }
}
