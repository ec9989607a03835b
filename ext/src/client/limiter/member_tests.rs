//! A simulation of processes that share a state, with a place, a server, and failures of all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::headers::Quota;
use super::member::{Grant, Member, MemberSettings, Refusal, Step, SwapStep};
use super::place::PlaceReply;
use super::state::{Feedback, LeaseId, Terms, TicketId};

const ATTEMPT_TIME: u64 = 3_000;
const GRACE_TIME: u64 = 1_000;
const MAX_IN_FLIGHT: usize = 3;
const TERMS: Terms = Terms {
    max_in_flight: MAX_IN_FLIGHT,
    reserved_share: 0.0,
    lease_ms: ATTEMPT_TIME + GRACE_TIME,
    local_share: 1,
};
/// The longest simulated time.
const END: u64 = 600_000;

/// What happens to the data of the place while it is down.
#[derive(Clone, Copy, Debug, PartialEq)]
enum PlaceData {
    Kept,
    Lost,
    /// What it was this many changes ago.
    Old(usize),
}

/// A time at which the place goes down for ten seconds.
#[derive(Clone, Copy, Debug)]
struct PlaceOutage {
    at: u64,
    data: PlaceData,
    /// The clock of the place jumps by so much.
    clock_step: i64,
    /// Whether the value can be read meanwhile, and not written.
    is_readable: bool,
}

#[derive(Clone, Debug)]
struct ProcessScenario {
    seed: u64,
    processes: usize,
    /// Requests of each process.
    requests: u32,
    /// The quota per window of two seconds.
    quota: Option<u64>,
    /// The longest time of a request.
    latency: u64,
    /// One in so many requests is abandoned by its process (0 for none).
    abandoned_one_in: u32,
    /// The longest way to the place.
    distance: u64,
    /// One in so many notices is lost (0 for none).
    lost_notices_one_in: u32,
    /// One in so many operations is done and reported as failed (0 for none).
    ambiguous_one_in: u32,
    /// When the first process crashes.
    crash_at: Option<u64>,
    /// When the last process is suspended, and for how long.
    suspended: Option<(u64, u64)>,
    outage: Option<PlaceOutage>,
    /// When somebody deletes the value.
    deleted_at: Option<u64>,
    leases_customers: bool,
    stops_when_unreachable: bool,
}

impl ProcessScenario {
    fn new(seed: u64, processes: usize) -> Self {
        Self {
            seed,
            processes,
            requests: 100,
            quota: None,
            latency: 40,
            abandoned_one_in: 0,
            distance: 2,
            lost_notices_one_in: 0,
            ambiguous_one_in: 0,
            crash_at: None,
            suspended: None,
            outage: None,
            deleted_at: None,
            leases_customers: false,
            stops_when_unreachable: false,
        }
    }
}

#[derive(Debug)]
enum ProcessEvent {
    /// The task of a process does its next step.
    Step(usize),
    /// The driver of a process asks for leases.
    Poll(usize),
    ReadArrives {
        process: usize,
        operation: u64,
    },
    SwapArrives {
        process: usize,
        operation: u64,
        swap: SwapStep,
    },
    ReplyArrives {
        process: usize,
        operation: u64,
        reply: Result<PlaceReply, String>,
    },
    OperationTimesOut {
        process: usize,
        operation: u64,
    },
    NoticeArrives {
        process: usize,
        value: String,
    },
    RequestArrives {
        process: usize,
        grant: Grant,
    },
    RequestEnds {
        process: usize,
        grant: Grant,
        quota: Option<Quota>,
    },
    RequestIsAbandoned {
        process: usize,
        grant: Grant,
    },
    Crash(usize),
    PlaceGoesDown,
    PlaceComesBack,
    ValueIsDeleted,
}

struct SimulatedProcess {
    member: Member,
    clock_offset: u64,
    is_alive: bool,
    suspended_until: u64,
    ticket: Option<TicketId>,
    /// Requests that the driver waits for, and whether the driver still does.
    in_flight: BTreeSet<LeaseId>,
    unsent: u32,
    done: u32,
    /// The operation under way, whether it is a swap, and when it started.
    operation: Option<(u64, bool, u64)>,
    finished_at: Option<u64>,
    refusals: u32,
    /// How often it went on by itself, and whether it does.
    separations: u32,
    is_separate: bool,
}

#[derive(Default)]
struct SimulatedPlace {
    value: Option<String>,
    history: Vec<Option<String>>,
    is_down: bool,
    clock_step: i64,
    reads: u32,
    swaps: u32,
    longest_value: usize,
}

#[derive(Default)]
struct SimulatedServer {
    in_flight: BTreeMap<LeaseId, Vec<i64>>,
    peak: usize,
    /// The highest number of requests in flight while the place was out of reach, and soon after it.
    peak_in_outage: usize,
    window_start: Option<u64>,
    used: u64,
    over_quota: u32,
    overlaps: u32,
}

struct ProcessSimulation {
    scenario: ProcessScenario,
    now: u64,
    events: BTreeMap<(u64, u64), ProcessEvent>,
    scheduled: u64,
    rng: fastrand::Rng,
    place: SimulatedPlace,
    server: SimulatedServer,
    processes: Vec<SimulatedProcess>,
}

impl ProcessSimulation {
    fn new(scenario: &ProcessScenario) -> Self {
        let mut rng = fastrand::Rng::with_seed(scenario.seed);
        let processes = (0..scenario.processes).map(|number| {
            let settings = MemberSettings {
                name: number.to_string(),
                place: String::new(),
                local_share: (!scenario.stops_when_unreachable).then_some(1),
                leases_customers: scenario.leases_customers,
            };
            let mut member = Member::new(number as u64 + 1, settings);
            member.record_notices(true);
            SimulatedProcess {
                member,
                clock_offset: rng.u64(1_000_000..1_000_000_000),
                is_alive: true,
                suspended_until: 0,
                ticket: None,
                in_flight: BTreeSet::new(),
                unsent: scenario.requests,
                done: 0,
                operation: None,
                finished_at: None,
                refusals: 0,
                separations: 0,
                is_separate: false,
            }
        });
        let processes = processes.collect();
        let mut simulation = Self {
            scenario: scenario.clone(),
            now: 0,
            events: BTreeMap::new(),
            scheduled: 0,
            rng,
            place: SimulatedPlace::default(),
            server: SimulatedServer::default(),
            processes,
        };
        for process in 0..scenario.processes {
            let start = simulation.rng.u64(0..50);
            simulation.schedule(start, ProcessEvent::Poll(process));
        }
        if let Some(at) = scenario.crash_at {
            simulation.schedule(at, ProcessEvent::Crash(0));
        }
        if let Some(outage) = scenario.outage {
            simulation.schedule(outage.at, ProcessEvent::PlaceGoesDown);
            simulation.schedule(outage.at + 10_000, ProcessEvent::PlaceComesBack);
        }
        if let Some(at) = scenario.deleted_at {
            simulation.schedule(at, ProcessEvent::ValueIsDeleted);
        }
        simulation
    }

    fn schedule(&mut self, after: u64, event: ProcessEvent) {
        self.scheduled += 1;
        self.events
            .insert((self.now + after, self.scheduled), event);
    }

    fn one_in(&mut self, number: u32) -> bool {
        number > 0 && self.rng.u32(..number) == 0
    }

    fn run(&mut self) {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            assert!(self.now < END, "the run does not end: {:?}", self.scenario);
            self.handle(event);
            if self
                .processes
                .iter()
                .all(|process| !process.is_alive || process.done == self.scenario.requests)
            {
                return;
            }
        }
        panic!("nothing happens any more: {:?}", self.scenario);
    }

    fn handle(&mut self, event: ProcessEvent) {
        // A suspended process does nothing until it goes on.
        if let ProcessEvent::Step(process)
        | ProcessEvent::Poll(process)
        | ProcessEvent::ReplyArrives { process, .. }
        | ProcessEvent::OperationTimesOut { process, .. }
        | ProcessEvent::NoticeArrives { process, .. }
        | ProcessEvent::RequestIsAbandoned { process, .. } = &event
        {
            let process = *process;
            if let Some((at, time)) = self.scenario.suspended
                && process + 1 == self.scenario.processes
                && (at..at + time).contains(&self.now)
            {
                self.processes[process].suspended_until = at + time;
                let wait = at + time - self.now;
                return self.schedule(wait, event);
            }
            if !self.processes[process].is_alive {
                return;
            }
        }
        match event {
            ProcessEvent::Step(process) => self.step(process),
            ProcessEvent::Poll(process) => self.poll(process),
            ProcessEvent::ReadArrives { process, operation } => {
                self.place.reads += 1;
                let reply = match self.place.is_down {
                    true if !self
                        .scenario
                        .outage
                        .is_some_and(|outage| outage.is_readable) =>
                    {
                        Err("down".to_owned())
                    }
                    _ => Ok(PlaceReply::found(
                        self.place_time(),
                        self.place.value.clone(),
                    )),
                };
                self.reply(process, operation, reply);
            }
            ProcessEvent::SwapArrives {
                process,
                operation,
                swap,
            } => {
                let reply = self.swap(process, swap);
                self.reply(process, operation, reply);
            }
            ProcessEvent::ReplyArrives {
                process,
                operation,
                reply,
            } => {
                self.finish_operation(process, operation, reply);
            }
            ProcessEvent::OperationTimesOut { process, operation } => {
                self.finish_operation(process, operation, Err("no reply in time".to_owned()));
            }
            ProcessEvent::NoticeArrives { process, value } => {
                let now = self.local_time(process);
                self.processes[process].member.record_woken(now, value);
                self.step(process);
            }
            ProcessEvent::RequestArrives { process, grant } => self.arrive(process, grant),
            ProcessEvent::RequestEnds {
                process,
                grant,
                quota,
            } => {
                self.server.in_flight.remove(&grant.lease);
                if self.processes[process].is_alive
                    && self.processes[process].in_flight.contains(&grant.lease)
                {
                    self.release(process, &grant, Feedback::Answered { quota });
                }
            }
            ProcessEvent::RequestIsAbandoned { process, grant } => {
                if self.processes[process].in_flight.contains(&grant.lease) {
                    let feedback = Feedback::Abandoned {
                        quota: None,
                        hold_ms: GRACE_TIME,
                    };
                    self.release(process, &grant, feedback);
                }
            }
            ProcessEvent::Crash(process) => self.processes[process].is_alive = false,
            ProcessEvent::PlaceGoesDown => self.place.is_down = true,
            ProcessEvent::PlaceComesBack => {
                self.place.is_down = false;
                let Some(outage) = self.scenario.outage else {
                    return;
                };
                self.place.clock_step = outage.clock_step;
                match outage.data {
                    PlaceData::Kept => {}
                    PlaceData::Lost => self.place.value = None,
                    PlaceData::Old(changes) => {
                        let index = self.place.history.len().saturating_sub(changes + 1);
                        self.place.value = self.place.history.get(index).cloned().flatten();
                    }
                }
            }
            ProcessEvent::ValueIsDeleted => self.place.value = None,
        }
    }

    fn local_time(&self, process: usize) -> u64 {
        self.now + self.processes[process].clock_offset
    }

    fn place_time(&self) -> u64 {
        (5_000_000 + self.now).saturating_add_signed(self.place.clock_step)
    }

    fn swap(&mut self, from: usize, swap: SwapStep) -> Result<PlaceReply, String> {
        if self.place.is_down {
            return Err("down".to_owned());
        }
        self.place.swaps += 1;
        if self.place.value != swap.expected {
            return Ok(PlaceReply::found(
                self.place_time(),
                self.place.value.clone(),
            ));
        }
        self.place.longest_value = self.place.longest_value.max(swap.new.len());
        self.place
            .history
            .push(self.place.value.replace(swap.new.clone()));
        for member in swap.wake {
            let process = member as usize - 1;
            assert_ne!(process, from, "a member wakes itself");
            if !self.one_in(self.scenario.lost_notices_one_in) {
                let delay = self.rng.u64(1..=self.scenario.distance);
                let value = swap.new.clone();
                self.schedule(delay, ProcessEvent::NoticeArrives { process, value });
            }
        }
        match self.one_in(self.scenario.ambiguous_one_in) {
            true => Err("lost".to_owned()),
            false => Ok(PlaceReply::swapped(self.place_time(), None)),
        }
    }

    fn reply(&mut self, process: usize, operation: u64, reply: Result<PlaceReply, String>) {
        let delay = self.rng.u64(1..=self.scenario.distance);
        let event = ProcessEvent::ReplyArrives {
            process,
            operation,
            reply,
        };
        self.schedule(delay, event);
    }

    fn finish_operation(
        &mut self,
        process: usize,
        operation: u64,
        reply: Result<PlaceReply, String>,
    ) {
        let now = self.local_time(process);
        let simulated = &mut self.processes[process];
        let Some((_, is_swap, started)) = simulated.operation.filter(|(id, ..)| *id == operation)
        else {
            return;
        };
        simulated.operation = None;
        match is_swap {
            true => drop(simulated.member.finish_swap(now, reply)),
            false => simulated.member.finish_read(now, started, reply),
        }
        self.step(process);
    }

    fn step(&mut self, process: usize) {
        let now = self.local_time(process);
        let simulated = &mut self.processes[process];
        let step = simulated.member.next_step(now);
        let deadline = simulated.member.operation_deadline(now);
        let is_separate = simulated.member.separation().is_some();
        let was_separate = std::mem::replace(&mut simulated.is_separate, is_separate);
        simulated.separations += u32::from(is_separate && !was_separate);
        let wakes = simulated.member.take_wakes();
        let ticket = simulated.ticket;
        if simulated.member.take_customer_changes() || wakes.iter().any(|id| Some(*id) == ticket) {
            self.schedule(0, ProcessEvent::Poll(process));
        }
        self.scheduled += 1;
        let operation = self.scheduled;
        let (is_swap, event) = match step {
            Step::Idle(None) => return,
            Step::Idle(Some(until)) => {
                let wait = until.saturating_sub(now).max(1);
                return self.schedule(wait, ProcessEvent::Step(process));
            }
            Step::Read => (false, ProcessEvent::ReadArrives { process, operation }),
            Step::Swap(swap) => {
                let swap = ProcessEvent::SwapArrives {
                    process,
                    operation,
                    swap,
                };
                (true, swap)
            }
        };
        self.processes[process].operation = Some((operation, is_swap, now));
        let way = self.rng.u64(1..=self.scenario.distance);
        self.schedule(way, event);
        let timeout = ProcessEvent::OperationTimesOut { process, operation };
        self.schedule(deadline.saturating_sub(now).max(1), timeout);
    }

    /// Sends as many requests as the process gets leases for, as a driver does.
    fn poll(&mut self, process: usize) {
        let now = self.local_time(process);
        let leases_customers = self.scenario.leases_customers;
        loop {
            // Ten of 60 customers.
            let first = self.rng.i64(0..6) * 10;
            let mut customers: Vec<i64> = match leases_customers {
                true => (first..first + 10).collect(),
                false => Vec::new(),
            };
            let simulated = &mut self.processes[process];
            if simulated.unsent == 0 || simulated.in_flight.len() >= MAX_IN_FLIGHT {
                if let Some(ticket) = simulated.ticket.take() {
                    simulated.member.leave(now, ticket);
                    self.step(process);
                }
                return;
            }
            let ticket = *simulated
                .ticket
                .get_or_insert_with(|| simulated.member.next_ticket());
            customers.retain(|&customer| {
                let (is_taken, _) = simulated.member.is_taken(now, customer);
                !is_taken && !simulated.member.is_abandoned(now, customer)
            });
            if leases_customers && customers.is_empty() {
                self.schedule(50, ProcessEvent::Poll(process));
                return self.step(process);
            }
            let (result, _) = simulated.member.ask(now, ticket, TERMS, customers);
            let grant = match result {
                Ok(grant) => grant,
                Err(refusal) => {
                    if let Refusal::Unreachable(_) = refusal {
                        simulated.refusals += 1;
                        simulated.ticket = None;
                        self.schedule(100, ProcessEvent::Poll(process));
                    }
                    return self.step(process);
                }
            };
            simulated.ticket = None;
            let is_late = grant.acquired + ATTEMPT_TIME <= now;
            // A request of this process was abandoned meanwhile.
            let mut customers = grant.customers.iter();
            let is_late = is_late || customers.any(|&id| simulated.member.is_abandoned(now, id));
            if is_late || (leases_customers && grant.customers.is_empty()) {
                simulated
                    .member
                    .release(now, grant.lease, Feedback::Cancelled, 0);
                continue;
            }
            simulated.in_flight.insert(grant.lease);
            simulated.unsent -= 1;
            let way = self.rng.u64(1..=3);
            self.schedule(way, ProcessEvent::RequestArrives { process, grant });
        }
    }

    fn arrive(&mut self, process: usize, grant: Grant) {
        let server = &mut self.server;
        let is_disjoint = |other: &Vec<i64>| !grant.customers.iter().any(|c| other.contains(c));
        server.overlaps += u32::from(!server.in_flight.values().all(is_disjoint));
        server
            .in_flight
            .insert(grant.lease, grant.customers.clone());
        let in_flight = server.in_flight.len();
        match self.scenario.outage {
            // Requests from before the outage have ended, and the processes share their limits again.
            Some(outage) if (outage.at..outage.at + 25_000).contains(&self.now) => {
                if outage.at + ATTEMPT_TIME + GRACE_TIME <= self.now {
                    server.peak_in_outage = server.peak_in_outage.max(in_flight);
                }
            }
            _ => server.peak = server.peak.max(in_flight),
        }
        let quota = self.scenario.quota.map(|limit| {
            let start = match server.window_start {
                Some(start) if self.now < start + 2_000 => start,
                _ => {
                    server.used = 0;
                    self.now
                }
            };
            server.window_start = Some(start);
            server.used += 1;
            server.over_quota += u32::from(limit < server.used);
            Quota {
                limit,
                left: limit.saturating_sub(server.used),
                reset_ms: start + 2_000 - self.now,
                window_ms: 2_000,
            }
        });
        let mut time = self.rng.u64(1..=self.scenario.latency);
        if self.one_in(self.scenario.abandoned_one_in) {
            let patience = self.rng.u64(1..=20);
            let abandoned = ProcessEvent::RequestIsAbandoned {
                process,
                grant: grant.clone(),
            };
            self.schedule(patience, abandoned);
            time = patience + self.rng.u64(0..GRACE_TIME - 50);
        }
        let ends = ProcessEvent::RequestEnds {
            process,
            grant,
            quota,
        };
        self.schedule(time, ends);
    }

    fn release(&mut self, process: usize, grant: &Grant, feedback: Feedback) {
        let now = self.local_time(process);
        let simulated = &mut self.processes[process];
        simulated.in_flight.remove(&grant.lease);
        simulated.done += 1;
        if simulated.done == self.scenario.requests {
            simulated.finished_at = Some(self.now);
        }
        simulated.member.release(now, grant.lease, feedback, 0);
        self.poll(process);
        self.step(process);
    }
}

fn simulate(scenario: &ProcessScenario) -> ProcessSimulation {
    let mut simulation = ProcessSimulation::new(scenario);
    simulation.run();
    let server = &simulation.server;
    assert!(
        server.peak <= MAX_IN_FLIGHT,
        "{} in flight: {scenario:?}",
        server.peak
    );
    assert_eq!(server.over_quota, 0, "{scenario:?}");
    assert!(
        simulation.place.longest_value < 4_000,
        "{} bytes",
        simulation.place.longest_value
    );
    if scenario.leases_customers {
        assert_eq!(server.overlaps, 0, "{scenario:?}");
    }
    simulation
}

#[test]
fn limits_hold_whatever_the_processes_do() {
    for seed in 0..50 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let processes = rng.usize(1..=5);
        let sometimes = |rng: &mut fastrand::Rng, value: u32| if rng.bool() { value } else { 0 };
        // The response of an abandoned request doesn't tell the quota.
        let (quota, abandoned_one_in) = match rng.u8(..3) {
            0 => (None, 0),
            1 => (Some(rng.u64(1..60)), 0),
            _ => (None, 10),
        };
        let scenario = ProcessScenario {
            requests: rng.u32(1..60),
            quota,
            abandoned_one_in,
            latency: rng.u64(1..80),
            distance: rng.u64(1..30),
            lost_notices_one_in: sometimes(&mut rng, 3),
            ambiguous_one_in: sometimes(&mut rng, 10),
            crash_at: rng.bool().then(|| rng.u64(0..4_000)),
            suspended: rng.bool().then(|| {
                let time = [400, 3_000, 60_000][rng.usize(..3)];
                (rng.u64(0..4_000), time)
            }),
            deleted_at: None,
            leases_customers: rng.bool(),
            ..ProcessScenario::new(seed, processes)
        };
        simulate(&scenario);
    }
}

#[test]
fn without_the_place_each_process_has_its_share_in_flight() {
    for seed in 0..10 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let processes = rng.usize(1..=5);
        let data = [
            PlaceData::Kept,
            PlaceData::Lost,
            PlaceData::Old(5),
            PlaceData::Old(100),
        ];
        let scenario = ProcessScenario {
            requests: 400,
            distance: rng.u64(1..10),
            abandoned_one_in: if rng.bool() { 20 } else { 0 },
            outage: Some(PlaceOutage {
                at: rng.u64(0..6_000),
                data: data[rng.usize(..4)],
                clock_step: [0, -60_000, 60_000][rng.usize(..3)],
                is_readable: rng.u8(..4) == 0,
            }),
            ..ProcessScenario::new(seed, processes)
        };
        let simulation = simulate(&scenario);
        let most = simulation.server.peak_in_outage;
        assert!(
            most <= MAX_IN_FLIGHT.max(processes),
            "{most} in flight: {scenario:?}"
        );
        for process in simulation.processes {
            assert!(process.separations <= 1, "{scenario:?}");
        }
    }
}

#[test]
fn a_process_that_is_set_to_stop_is_refused_until_the_place_is_back() {
    let scenario = ProcessScenario {
        requests: 300,
        outage: Some(PlaceOutage {
            at: 3_000,
            data: PlaceData::Kept,
            clock_step: 0,
            is_readable: false,
        }),
        stops_when_unreachable: true,
        ..ProcessScenario::new(1, 2)
    };
    let simulation = simulate(&scenario);
    for process in &simulation.processes {
        assert!(process.refusals > 3, "{}", process.refusals);
    }
}

#[test]
fn a_value_that_is_deleted_is_restored() {
    for seed in 0..50 {
        let scenario = ProcessScenario {
            deleted_at: Some(3_000 + seed * 10),
            ..ProcessScenario::new(seed, 3)
        };
        let mut simulation = ProcessSimulation::new(&scenario);
        simulation.run();
        // The requests of the others are missing until they have looked.
        assert!(
            simulation.server.peak <= MAX_IN_FLIGHT + 2,
            "{}",
            simulation.server.peak
        );
    }
}

#[test]
fn equal_processes_take_equal_times_and_use_the_quota() {
    for seed in 0..20 {
        let scenario = ProcessScenario {
            requests: 260,
            quota: Some(150),
            distance: 1,
            ..ProcessScenario::new(seed, 3)
        };
        let simulation = simulate(&scenario);
        let mut times: Vec<_> = simulation
            .processes
            .iter()
            .filter_map(|p| p.finished_at)
            .collect();
        times.sort_unstable();
        assert!(times[2] * 10 <= times[0] * 12, "{times:?}");
        // 780 requests take five windows and 30 requests.
        assert!(times[2] <= 10_000 * 105 / 100 + 700, "{times:?}");
    }
}

#[test]
fn a_crash_costs_the_leases_of_the_process_for_their_time() {
    for seed in 0..50 {
        let healthy = ProcessScenario {
            requests: 200,
            ..ProcessScenario::new(seed, 3)
        };
        let crashed = ProcessScenario {
            crash_at: Some(3_000),
            ..healthy.clone()
        };
        let end = |scenario: &ProcessScenario| {
            let simulation = simulate(scenario);
            simulation.now
        };
        // The others have less to do, and for some seconds fewer places to do it in. Its ticket is
        // passed over after half a second.
        let (without, with) = (end(&healthy), end(&crashed));
        assert!(
            with <= without + ATTEMPT_TIME + GRACE_TIME + 1_000,
            "{with} and {without} ms"
        );
    }
}

#[test]
fn a_request_takes_few_operations() {
    for processes in [1, 3, 10] {
        let scenario = ProcessScenario {
            requests: 600 / processes as u32,
            distance: 1,
            ..ProcessScenario::new(7, processes)
        };
        let simulation = simulate(&scenario);
        let SimulatedPlace { reads, swaps, .. } = simulation.place;
        println!("{processes} processes: {swaps} swaps and {reads} reads for 600 requests");
        assert!(
            swaps <= 600 * 6 && reads <= 600,
            "{swaps} swaps, {reads} reads"
        );
    }
}
