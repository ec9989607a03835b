use std::fmt;

/// What a [`Sandbox`](crate::Sandbox) has seen so far.
///
/// Printed with `{}` it is one readable line.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that arrived, whatever became of them.
    pub requests: u64,
    /// PUT requests for the attribute values of this store, whatever became of them.
    pub puts: u64,
    /// GET requests for the attribute values of this store, whatever became of them.
    pub gets: u64,
    /// DELETE requests for the attribute values of this store, whatever became of them.
    pub deletes: u64,
    /// GET requests for the attributes (their definitions) of this store, whatever became of them.
    pub attribute_gets: u64,
    /// POST requests for the attributes of this store, whatever became of them.
    pub attribute_posts: u64,
    /// Requests in flight when this was read.
    pub in_flight: usize,
    /// The most requests ever in flight at once. One that was refused for being one too many is
    /// counted in, so this is above the limit where a client went above it.
    pub peak_in_flight: usize,
    /// Answers 429 for too many requests in flight; those of a fault are not among them.
    pub in_flight_429s: u64,
    /// Answers 429 for a spent quota; those of a fault are not among them.
    pub quota_429s: u64,
    /// The most distinct customers that one PUT carried, refused ones included.
    pub largest_batch_customers: usize,
    /// The most rows that one PUT carried, refused ones included.
    pub largest_batch_rows: usize,
    /// The most bytes that path and query of one request had together, refused ones included.
    pub longest_url: usize,
    /// Rows that PUTs have written; a value written twice is counted twice.
    pub rows_stored: u64,
    /// Values in the store when this was read.
    pub values: usize,
    /// Calls refused with 413 or 422.
    pub refused: u64,
    /// Calls refused with 401.
    pub unauthorized: u64,
    /// Calls refused with 403.
    pub forbidden: u64,
    /// Faults that were played, of any kind; [by kind](crate::Sandbox::fault_counts).
    pub faults: u64,
    /// PUTs that touched a customer of another PUT that was being worked on. A PUT is worked on
    /// from when its body was read until the store is as the PUT leaves it; a fault that does
    /// nothing with it is work too. One that was refused with 429, 401 or 403 does not count.
    pub customer_overlaps: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests ({} PUT, {} GET, {} DELETE), peak in flight {}, {} answers 429, \
             largest batch {} customers / {} rows, {} values stored",
            self.requests,
            self.puts,
            self.gets,
            self.deletes,
            self.peak_in_flight,
            self.in_flight_429s + self.quota_429s,
            self.largest_batch_customers,
            self.largest_batch_rows,
            self.values,
        )?;
        if self.faults > 0 {
            write!(f, ", {} faults", self.faults)?;
        }
        if self.customer_overlaps > 0 {
            write!(f, ", {} customer overlaps", self.customer_overlaps)?;
        }
        Ok(())
    }
}
