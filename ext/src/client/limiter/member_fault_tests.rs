//! What happens to single members: states that come and go, clocks that stand still, impatient calls.

use super::member::{Grant, Member, MemberSettings, Record, Step, SwapStep};
use super::place::PlaceReply;
use super::state::Feedback;
use super::state::tests::TERMS;

/// A place that replies at once.
struct PromptPlace {
    value: Option<String>,
    now: u64,
}

impl PromptPlace {
    fn new() -> Self {
        Self {
            value: None,
            now: 1_000_000,
        }
    }

    fn read(&self) -> PlaceReply {
        PlaceReply::found(self.now, self.value.clone())
    }

    fn swap(&mut self, swap: SwapStep) -> PlaceReply {
        if self.value != swap.expected {
            return self.read();
        }
        self.value = Some(swap.new);
        PlaceReply::swapped(self.now, None)
    }

    /// Does the steps of a member until it is idle. Returns their number.
    fn drive(&mut self, member: &mut Member) -> u32 {
        let now = self.now;
        for steps in 0..20 {
            match member.next_step(now) {
                Step::Idle(_) => return steps,
                Step::Read => member.finish_read(now, now, Ok(self.read())),
                Step::Swap(swap) => {
                    let reply = self.swap(swap);
                    member.finish_swap(now, Ok(reply));
                }
            }
        }
        20
    }

    /// Asks for so many leases.
    fn leases(&mut self, member: &mut Member, number: usize) -> Vec<Grant> {
        let tickets: Vec<_> = (0..number).map(|_| member.next_ticket()).collect();
        for &ticket in &tickets {
            let _ = member.ask(self.now, ticket, TERMS, Vec::new());
        }
        self.drive(member);
        let mut grants = Vec::new();
        for &ticket in &tickets {
            match member.ask(self.now, ticket, TERMS, Vec::new()).0 {
                Ok(grant) => grants.push(grant),
                Err(_) => member.leave(self.now, ticket),
            }
        }
        self.drive(member);
        grants
    }

    fn answer(&mut self, member: &mut Member, grants: Vec<Grant>, block_ms: u64) {
        for grant in grants {
            let feedback = Feedback::Answered { quota: None };
            member.release(self.now, grant.lease, feedback, block_ms);
        }
        self.drive(member);
    }

    /// Sends a request that is answered at once.
    fn request(&mut self, member: &mut Member) {
        let grants = self.leases(member, 1);
        self.answer(member, grants, 0);
    }
}

fn member(id: u64) -> Member {
    let settings = MemberSettings {
        name: id.to_string(),
        place: "prompt".to_owned(),
        local_share: Some(1),
        leases_customers: false,
    };
    let mut member = Member::new(id, settings);
    member.record_notices(true);
    member
}

/// Makes a state, lets it expire, and lets another member make a new one, which has settled.
fn replaced_state() -> (PromptPlace, Member, Member) {
    let mut place = PromptPlace::new();
    let (mut old, mut new) = (member(1), member(2));
    for _ in 0..50 {
        place.request(&mut old);
        place.now += 100;
    }
    place.now += 20 * 60_000;
    place.value = None;
    place.request(&mut new);
    place.now += 3_000;
    (place, old, new)
}

#[test]
fn who_knows_an_expired_state_takes_over_the_new_one() {
    let (mut place, mut old, mut new) = replaced_state();
    assert_eq!(place.leases(&mut new, 3).len(), 3);
    assert_eq!(place.leases(&mut old, 3), []);
    let record = Record::parse(place.value.as_deref().expect("a state")).expect("a record");
    assert_eq!(record.state.leases().count(), 3);

    let (mut place, mut old, mut new) = replaced_state();
    let grants = place.leases(&mut new, 1);
    place.answer(&mut new, grants, 60_000);
    place.now += 1_000;
    assert_eq!(place.leases(&mut old, 3), [], "blocked");
}

#[test]
fn a_ticket_that_has_expired_needs_no_telling() {
    let mut place = PromptPlace::new();
    let (mut one, mut other) = (member(1), member(2));
    place.request(&mut one);
    place.now += 3_000;
    assert_eq!(place.leases(&mut one, 3).len(), 3);
    let ticket = other.next_ticket();
    let _ = other.ask(place.now, ticket, TERMS, Vec::new());
    place.drive(&mut other);
    // It is suspended, and then its task is cancelled.
    place.now += 11_000;
    other.leave(place.now, ticket);
    for _ in 0..3 {
        place.drive(&mut other);
        place.now += 1_000;
    }
    assert!(!other.has_unsent_changes());
}

#[test]
fn a_clock_that_stood_still_moves_no_times() {
    let mut place = PromptPlace::new();
    let (mut one, mut other) = (member(1), member(2));
    place.request(&mut one);
    place.now += 3_000;
    place.request(&mut other);
    place.now += 43_000;
    assert_eq!(place.leases(&mut one, 2).len(), 2);
    // A notice is the first that the other one hears, by its own clock 40 s ago.
    let late = place.now - 40_000;
    other.record_woken(late, place.value.clone().expect("a state"));
    let ticket = other.next_ticket();
    let _ = other.ask(late, ticket, TERMS, Vec::new());
    for _ in 0..10 {
        match other.next_step(late) {
            Step::Idle(_) => break,
            Step::Read => other.finish_read(late, late, Ok(place.read())),
            Step::Swap(swap) => {
                let reply = place.swap(swap);
                other.finish_swap(late, Ok(reply));
            }
        }
    }
    assert!(other.ask(late, ticket, TERMS, Vec::new()).0.is_ok());
    assert_eq!(place.leases(&mut member(3), 3), []);
}

#[test]
fn impatient_calls_are_served_without_the_place() {
    let mut member = member(1);
    let mut now = 1_000_000;
    let mut served = 0;
    for _ in 0..10 {
        let ticket = member.next_ticket();
        let end = now + 1_500;
        while now < end {
            if let (Ok(grant), _) = member.ask(now, ticket, TERMS, Vec::new()) {
                served += 1;
                member.release(now, grant.lease, Feedback::Cancelled, 0);
                break;
            }
            match member.next_step(now) {
                Step::Idle(_) => {}
                Step::Read => member.finish_read(now, now, Err("down".to_owned())),
                Step::Swap(_) => drop(member.finish_swap(now, Err("down".to_owned()))),
            }
            now += 10;
        }
        member.leave(now, ticket);
        let _ = member.next_step(now);
    }
    assert!(served >= 8, "{served}");
}
