//! What the outcomes of a run and the state of the store must be.

use std::collections::HashMap;

use bigcommerce_ext::{Outcome, OutcomeKind, UpsertRow};
use bigcommerce_sandbox::StoredValue;

/// The value that the server rejects.
pub const BAD: &str = "bad";

/// The maximum number of mistakes that are described.
const MAX_DESCRIBED: usize = 5;

/// Customer ID and attribute ID.
pub type Key = (i64, i64);

pub fn key(row: &UpsertRow) -> Key {
    (
        row.customer_id().unwrap_or_default(),
        row.attribute().id().unwrap_or_default(),
    )
}

/// Writes numbers as the server does when it normalizes them, for comparison.
pub fn normalize(value: &str) -> String {
    value.trim().trim_end_matches(".0").to_owned()
}

/// How a row ended in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Stored,
    Rejected,
    SupersededBy(usize),
    /// The outcome is `Unknown` or `NotSent`.
    Open,
}

/// Mistakes, of which only the first are described.
#[derive(Debug, Default)]
pub struct Mistakes {
    pub count: u64,
    pub first: Vec<String>,
}

impl Mistakes {
    pub fn add(&mut self, describe: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < MAX_DESCRIBED {
            self.first.push(describe());
        }
    }

    pub fn check(&mut self, is_right: bool, describe: impl FnOnce() -> String) {
        if !is_right {
            self.add(describe);
        }
    }
}

/// Returns the value of a row; all rows of a session have one.
fn text(row: &UpsertRow) -> &str {
    row.value().unwrap_or_default()
}

/// The rows of an input that is sent in several sessions, each from the commit point of the one
/// before.
pub struct Model {
    rows: Vec<UpsertRow>,
    /// The good rows of each key, in their order.
    good: HashMap<Key, Vec<usize>>,
    endings: Vec<Option<Ending>>,
    /// The row with which the session begins.
    pub base: usize,
    pub mistakes: Mistakes,
}

impl Model {
    pub fn new(rows: Vec<UpsertRow>) -> Self {
        let mut good: HashMap<Key, Vec<usize>> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            if text(row) != BAD {
                good.entry(key(row)).or_default().push(index);
            }
        }
        Self {
            endings: vec![None; rows.len()],
            rows,
            good,
            base: 0,
            mistakes: Mistakes::default(),
        }
    }

    pub fn rows(&self) -> &[UpsertRow] {
        &self.rows
    }

    /// Returns the last good row of each key: the rows that must be stored in the end.
    pub fn last_good_rows(&self) -> Vec<UpsertRow> {
        let mut last: Vec<usize> = self
            .good
            .values()
            .filter_map(|rows| rows.last().copied())
            .collect();
        last.sort_unstable();
        last.into_iter()
            .filter_map(|index| self.rows.get(index).cloned())
            .collect()
    }

    /// Begins a session with the first row that is not done.
    pub fn begin_session(&mut self) {
        self.endings.fill(None);
    }

    /// Records an outcome, and checks that it is the row's only one in this session.
    pub fn record(&mut self, outcome: &Outcome) {
        let index = self.base + usize::try_from(outcome.index).unwrap_or(usize::MAX);
        let (Some(row), Some(ending)) = (self.rows.get(index), self.endings.get_mut(index)) else {
            self.mistakes.add(|| format!("row {index} does not exist"));
            return;
        };
        let (new, is_right) = match &outcome.kind {
            OutcomeKind::Stored(record) => {
                let has_same_value = record.as_ref().is_none_or(|record| {
                    (record.customer_id, record.attribute_id) == key(row)
                        && normalize(&record.attribute_value) == normalize(text(row))
                });
                (Ending::Stored, text(row) != BAD && has_same_value)
            }
            OutcomeKind::Rejected(error) => {
                let is_right = text(row) == BAD && error.status() == Some(422);
                (Ending::Rejected, is_right)
            }
            OutcomeKind::Superseded { by, .. } => {
                let by = self.base + usize::try_from(*by).unwrap_or(usize::MAX);
                let is_of_key = self
                    .rows
                    .get(by)
                    .is_some_and(|other| key(other) == key(row));
                (Ending::SupersededBy(by), by > index && is_of_key)
            }
            OutcomeKind::Unknown(_) | OutcomeKind::NotSent(_) => (Ending::Open, true),
            _ => (Ending::Open, false),
        };
        let is_first = ending.replace(new).is_none();
        let is_same_row = outcome.row.as_ref() == Some(row);
        self.mistakes
            .check(is_first && is_right && is_same_row, || {
                format!("row {index}: {outcome:?}, first outcome: {is_first}")
            });
    }

    fn is_done(&self, index: usize) -> bool {
        let mut index = index;
        loop {
            match self.endings.get(index).copied().flatten() {
                Some(Ending::SupersededBy(by)) if by > index => index = by,
                Some(Ending::Stored | Ending::Rejected) => return true,
                _ => return false,
            }
        }
    }

    /// Ends a session whose stream was read to its end: every row that it read has an outcome.
    pub fn check_outcomes(&mut self, rows_read: u64) {
        let end = self.base + usize::try_from(rows_read).unwrap_or(usize::MAX);
        for index in self.base..self.rows.len() {
            let ending = self.endings.get(index).copied().flatten();
            self.mistakes.check(ending.is_some() == (index < end), || {
                format!("row {index} of {end} rows read: {ending:?}")
            });
            if let Some(Ending::SupersededBy(by)) = ending {
                let by_ending = self.endings.get(by).copied().flatten();
                self.mistakes
                    .check(by_ending != Some(Ending::Rejected), || {
                        format!("row {index} is superseded by row {by}, which is rejected")
                    });
            }
        }
    }

    /// Checks a commit point: all rows below it are done, and the store holds their values, or those
    /// of later rows. If all outcomes were read, the row at the commit point isn't done.
    pub fn commit(&mut self, done_up_to: u64, has_all_outcomes: bool, stored: &[StoredValue]) {
        let done = self.base + usize::try_from(done_up_to).unwrap_or(usize::MAX);
        let first_open = (self.base..self.rows.len()).find(|index| !self.is_done(*index));
        let first_open = first_open.unwrap_or(self.rows.len());
        let is_right = done == first_open || (!has_all_outcomes && done < first_open);
        self.mistakes.check(is_right, || {
            format!("done up to row {done}, but row {first_open} is the first that isn't done")
        });
        self.base = done.min(self.rows.len());

        let stored: HashMap<Key, String> = by_key(stored);
        let mut wrong = Mistakes::default();
        for (key, rows) in &self.good {
            let Some(committed) = rows.iter().rposition(|index| *index < self.base) else {
                continue;
            };
            let value = stored.get(key);
            let mut allowed = rows
                .iter()
                .skip(committed)
                .filter_map(|index| self.rows.get(*index));
            let is_right = allowed.any(|row| Some(&normalize(text(row))) == value);
            wrong.check(is_right, || {
                format!("{key:?} is {value:?} although all rows up to {done} are done")
            });
        }
        self.mistakes.count += wrong.count;
        self.mistakes.first.extend(wrong.first);
    }

    /// Returns `true` if the store holds exactly the last good row of each key.
    pub fn is_final(&self, stored: &[StoredValue]) -> bool {
        let stored = by_key(stored);
        stored.len() == self.good.len()
            && self.good.iter().all(|(key, rows)| {
                let last = rows.last().and_then(|index| self.rows.get(*index));
                last.map(|row| normalize(text(row))).as_ref() == stored.get(key)
            })
    }
}

fn by_key(stored: &[StoredValue]) -> HashMap<Key, String> {
    let entry = |value: &StoredValue| {
        let key = (value.customer_id, value.attribute_id);
        (key, normalize(&value.value))
    };
    stored.iter().map(entry).collect()
}
