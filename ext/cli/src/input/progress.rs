//! How much of the input was read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of the input was read. Clones share the counts.
#[derive(Clone, Debug)]
pub struct InputProgress {
    counts: Arc<Counts>,
    bytes_total: Option<u64>,
}

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    rows: AtomicU64,
}

impl InputProgress {
    pub(super) fn new(bytes_total: Option<u64>) -> Self {
        Self {
            counts: Arc::default(),
            bytes_total,
        }
    }

    /// Returns the number of bytes that were read from the files, compressed as they are.
    pub fn bytes_read(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }

    /// Returns the size of all files, `None` if it isn't known.
    pub fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }

    /// Returns the number of rows that were read.
    pub fn rows_read(&self) -> u64 {
        self.counts.rows.load(Ordering::Relaxed)
    }

    pub(super) fn add_bytes(&self, bytes: usize) {
        self.counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn add_rows(&self, rows: u64) {
        self.counts.rows.fetch_add(rows, Ordering::Relaxed);
    }
}
