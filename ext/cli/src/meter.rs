//! What has happened so far: counted from the events of the library.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bigcommerce_ext::{Event, Summary, WaitReason};
use tokio::time::Instant;

use crate::progress::{Reading, View, shown};

/// Counts events. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Counts>>);

/// The waits for one reason.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    pub count: u64,
    /// The sum over all calls, which may wait at the same time.
    pub time: Duration,
}

/// The counts of all parts of the command.
#[derive(Debug, Default)]
pub struct Counts {
    pub requests: u64,
    pub retries: u64,
    pub splits: u64,
    pub waits: BTreeMap<&'static str, Waits>,
    pub outages: u64,
    pub time_down: Duration,
    /// The parts of the command that send requests: lists and runs.
    parts: Vec<Part>,
    in_flight: u64,
    /// The calls that wait, by part and number.
    waiting: HashMap<(usize, u64), (WaitReason, Instant)>,
    down_since: Option<Instant>,
    is_unshared: bool,
}

#[derive(Debug)]
struct Part {
    started: Instant,
    summary: Summary,
    listed: u64,
    total: Option<u64>,
}

impl Meter {
    /// Returns the function that counts the events of one part of the command, and says what the user
    /// should know at once.
    pub fn observer(&self) -> impl Fn(&Event) -> Option<String> + Send + Sync + 'static + use<> {
        let mut counts = self.lock();
        let part = counts.parts.len();
        counts.parts.push(Part {
            started: Instant::now(),
            summary: Summary::default(),
            listed: 0,
            total: None,
        });
        drop(counts);
        let meter = self.clone();
        move |event| meter.lock().count(part, event)
    }

    /// Calls a function with the counts.
    pub fn read<T>(&self, read: impl FnOnce(&Counts) -> T) -> T {
        read(&self.lock())
    }

    /// Returns the state of the latest part, `None` if there is none yet.
    pub fn view(&self, reading: Option<Reading>) -> Option<View> {
        self.lock().view(reading)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Returns the rows per outcome, over all parts.
    pub fn rows(&self) -> Vec<(&'static str, u64)> {
        let sum = |count: fn(&Summary) -> u64| -> u64 {
            self.parts.iter().map(|part| count(&part.summary)).sum()
        };
        vec![
            ("stored", sum(|summary| summary.stored)),
            ("unchanged", sum(|summary| summary.unchanged)),
            ("deleted", sum(|summary| summary.deleted)),
            ("planned", sum(|summary| summary.planned)),
            ("superseded", sum(|summary| summary.superseded)),
            ("rejected", sum(|summary| summary.rejected)),
            ("unknown", sum(|summary| summary.unknown)),
            ("not_sent", sum(|summary| summary.not_sent)),
        ]
    }

    /// Returns the number of listed values and customers, over all parts.
    pub fn listed(&self) -> u64 {
        self.parts.iter().map(|part| part.listed).sum()
    }

    fn count(&mut self, part: usize, event: &Event) -> Option<String> {
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
                if let Some(part) = self.parts.get_mut(part) {
                    part.summary = *summary;
                }
            }
            _ => {}
        }
        None
    }

    fn view(&self, reading: Option<Reading>) -> Option<View> {
        let part = self.parts.last()?;
        // Rows that are not sent are no progress.
        let rows = part.summary.rows() - part.summary.not_sent;
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
