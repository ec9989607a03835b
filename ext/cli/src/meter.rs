//! What has happened so far: counted from the events of the library.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bigcommerce_ext::{Event, OutcomeKind, Summary, WaitReason};
use serde::Serialize;
use tokio::time::Instant;

use crate::progress::{Reading, View, shown};

/// Counts events. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<EventCounts>>);

/// The waits for one reason.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    pub count: u64,
    /// The sum over all calls, which may wait at the same time.
    pub time: Duration,
}

/// Rows per outcome.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Rows {
    pub stored: u64,
    pub unchanged: u64,
    pub deleted: u64,
    pub planned: u64,
    pub superseded: u64,
    pub rejected: u64,
    pub unknown: u64,
    pub not_sent: u64,
}

impl Rows {
    pub fn count(&mut self, kind: &OutcomeKind) {
        *match kind {
            OutcomeKind::Stored(_) => &mut self.stored,
            OutcomeKind::Unchanged => &mut self.unchanged,
            OutcomeKind::Deleted => &mut self.deleted,
            OutcomeKind::Planned => &mut self.planned,
            OutcomeKind::Superseded { .. } => &mut self.superseded,
            OutcomeKind::Rejected(_) => &mut self.rejected,
            OutcomeKind::Unknown(_) => &mut self.unknown,
            // Not sent. A kind that this program doesn't know is no success, either.
            _ => &mut self.not_sent,
        } += 1;
    }

    fn add(&mut self, other: &Self) {
        self.stored += other.stored;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
        self.planned += other.planned;
        self.superseded += other.superseded;
        self.rejected += other.rejected;
        self.unknown += other.unknown;
        self.not_sent += other.not_sent;
    }

    /// Returns the number of rows that are done: those that were not sent are no progress.
    fn done(&self) -> u64 {
        self.stored
            + self.unchanged
            + self.deleted
            + self.planned
            + self.superseded
            + self.rejected
            + self.unknown
    }
}

impl From<&Summary> for Rows {
    fn from(summary: &Summary) -> Self {
        Self {
            stored: summary.stored,
            unchanged: summary.unchanged,
            deleted: summary.deleted,
            planned: summary.planned,
            superseded: summary.superseded,
            rejected: summary.rejected,
            unknown: summary.unknown,
            not_sent: summary.not_sent,
        }
    }
}

/// A part of the command. Clones share it.
#[derive(Clone, Debug)]
pub struct Part {
    meter: Meter,
    index: usize,
}

impl Part {
    /// Counts an event, and returns what the user should know at once.
    pub fn observe(&self, event: &Event) -> Option<String> {
        self.meter.lock().observe(self.index, event)
    }

    /// Counts a row. From then on, the rows of this part are not taken from events.
    pub fn count(&self, kind: &OutcomeKind) {
        if let Some(part) = self.meter.lock().parts.get_mut(self.index) {
            if !part.is_counted {
                part.is_counted = true;
                part.rows = Rows::default();
            }
            part.rows.count(kind);
        }
    }
}

/// The counts of all parts of the command.
#[derive(Debug, Default)]
pub struct EventCounts {
    pub requests: u64,
    pub retries: u64,
    pub splits: u64,
    pub waits: BTreeMap<&'static str, Waits>,
    pub outages: u64,
    pub time_down: Duration,
    /// The parts of the command that send requests: lists and runs.
    parts: Vec<PartCounts>,
    in_flight: u64,
    /// The calls that wait, by part and number.
    waiting: HashMap<(usize, u64), (WaitReason, Instant)>,
    down_since: Option<Instant>,
    is_unshared: bool,
}

#[derive(Debug)]
struct PartCounts {
    started: Instant,
    rows: Rows,
    /// Whether the command counts the rows.
    is_counted: bool,
    listed: u64,
    total: Option<u64>,
}

impl Meter {
    /// Begins a part of the command: a list, or a run.
    pub fn start_part(&self) -> Part {
        let mut counts = self.lock();
        let index = counts.parts.len();
        counts.parts.push(PartCounts {
            started: Instant::now(),
            rows: Rows::default(),
            is_counted: false,
            listed: 0,
            total: None,
        });
        drop(counts);
        Part {
            meter: self.clone(),
            index,
        }
    }

    /// Calls a function with the counts.
    pub fn read<T>(&self, read: impl FnOnce(&EventCounts) -> T) -> T {
        read(&self.lock())
    }

    /// Returns the state of the latest part, `None` if there is none yet.
    pub fn view(&self, reading: Option<Reading>) -> Option<View> {
        self.lock().view(reading)
    }

    fn lock(&self) -> MutexGuard<'_, EventCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventCounts {
    /// Returns the rows per outcome, over all parts.
    pub fn rows(&self) -> Rows {
        let mut rows = Rows::default();
        for part in &self.parts {
            rows.add(&part.rows);
        }
        rows
    }

    /// Returns the number of listed values and customers, over all parts.
    pub fn listed(&self) -> u64 {
        self.parts.iter().map(|part| part.listed).sum()
    }

    fn observe(&mut self, part: usize, event: &Event) -> Option<String> {
        match event {
            Event::RequestStarted { call, attempt, .. } => {
                self.requests += 1;
                self.retries += u64::from(*attempt > 1);
                self.in_flight += 1;
                self.waiting.remove(&(part, *call));
            }
            Event::RequestFinished { .. } => self.in_flight = self.in_flight.saturating_sub(1),
            Event::Waiting {
                call, reason, wait, ..
            } => {
                let waits = self.waits.entry(reason.as_str()).or_default();
                waits.count += 1;
                waits.time += *wait;
                let until = Instant::now() + *wait;
                self.waiting.insert((part, *call), (*reason, until));
            }
            Event::CallFinished { call, .. } => {
                self.waiting.remove(&(part, *call));
            }
            Event::Split { .. } => self.splits += 1,
            Event::OutageStarted { lasted, .. } if self.down_since.is_none() => {
                self.outages += 1;
                self.down_since = Instant::now().checked_sub(*lasted);
                return Some(
                    "The store is down: five requests in a row have failed. One request at a time tries \
                     again."
                        .to_owned(),
                );
            }
            Event::OutageEnded { lasted, .. } if self.down_since.take().is_some() => {
                self.time_down += *lasted;
                return Some(format!("The store is up again, after {}.", shown(*lasted)));
            }
            Event::LimitsUnshared { cause, .. } if !self.is_unshared => {
                self.is_unshared = true;
                return Some(format!(
                    "The limits can't be shared with other processes ({cause}). This one goes on with a \
                     smaller share of them."
                ));
            }
            Event::LimitsShared { .. } if self.is_unshared => {
                self.is_unshared = false;
                return Some("The limits are shared again.".to_owned());
            }
            Event::Page { values, total, .. } => {
                if let Some(part) = self.parts.get_mut(part) {
                    part.listed += *values as u64;
                    part.total = *total;
                }
            }
            Event::Progress { summary, .. } => {
                let part = self.parts.get_mut(part);
                if let Some(part) = part.filter(|part| !part.is_counted) {
                    part.rows = summary.into();
                }
            }
            _ => {}
        }
        None
    }

    fn view(&self, reading: Option<Reading>) -> Option<View> {
        let part = self.parts.last()?;
        let rows = part.rows.done();
        let is_list = rows == 0 && part.listed > 0;
        let now = Instant::now();
        let first_wait = self.waiting.values().min_by_key(|(_, until)| *until);
        let first_wait = first_wait.filter(|(_, until)| *until > now && self.in_flight == 0);
        Some(View {
            elapsed: part.started.elapsed(),
            rows: if is_list { part.listed } else { rows },
            is_list,
            expected: match reading {
                Some(reading) if !is_list => reading.expected_rows(),
                _ if is_list => part.total,
                _ => None,
            },
            waiting: first_wait.map(|(reason, until)| (*reason, *until - now)),
            down_for: self.down_since.map(|since| since.elapsed()),
        })
    }

    /// Returns the time during which the store was down, up to now.
    pub fn time_down(&self) -> Duration {
        let current = self.down_since.map(|since| since.elapsed());
        self.time_down + current.unwrap_or_default()
    }
}
