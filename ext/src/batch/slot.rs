//! A row that has no outcome yet, and the rows of one customer and attribute.

use tokio::time::Instant;

use super::item::{BatchItem, BatchKind};

/// A valid row of the input that has no outcome yet.
#[derive(Debug)]
pub(crate) struct PendingRow<R: BatchItem> {
    pub index: u64,
    pub metadata: R::Metadata,
    pub wire: R::Wire,
    /// Whether the server may have executed the row without confirming it: as a valid row of a
    /// rejected batch, or as a row that the response does not mention.
    pub may_be_executed: bool,
    /// Whether the server refused to delete the value, which may have been gone by then.
    pub was_refused: bool,
}

/// The rows that wait for one customer and attribute.
#[derive(Debug)]
pub(crate) struct Slot<R: BatchItem> {
    /// The latest row, which is the one to send.
    pub row: PendingRow<R>,
    /// Earlier rows, oldest first. The latest of them is sent if the server rejects `row`.
    pub older: Vec<PendingRow<R>>,
    /// When the oldest row began to wait. `None` until the slot is buffered.
    pub since: Option<Instant>,
}

impl<R: BatchItem> Slot<R> {
    pub(crate) fn new(row: PendingRow<R>) -> Self {
        Self {
            row,
            older: Vec::new(),
            since: None,
        }
    }

    pub(crate) fn key(&self) -> (i64, i64) {
        R::key(&self.row.wire)
    }

    pub(crate) fn kind(&self) -> BatchKind {
        R::batch_kind(&self.row.wire)
    }

    /// Returns `true` if the row to send has fields beside its value.
    pub(crate) fn has_custom_fields(&self) -> bool {
        R::has_custom_fields(&self.row.metadata)
    }

    pub(crate) fn row_count(&self) -> usize {
        1 + self.older.len()
    }

    pub(crate) fn first_index(&self) -> u64 {
        self.older.first().unwrap_or(&self.row).index
    }

    /// Merges another slot of the same customer and attribute into this one.
    ///
    /// The row with the highest index is the one to send.
    pub(crate) fn merge(&mut self, mut other: Self) {
        if other.row.index > self.row.index {
            std::mem::swap(self, &mut other);
        }
        self.since = [self.since, other.since].into_iter().flatten().min();
        let mut older = other.older;
        older.push(other.row);
        older.append(&mut self.older);
        self.older = older;
    }
}
