mod query_log;

use std::fmt;

pub(crate) use query_log::QueryLog;

/// The counts of a [`Sandbox`](crate::Sandbox) so far.
///
/// `Display` gives one readable line.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that arrived, whatever the response.
    pub requests: u64,
    /// PUT requests for the attribute values of this store, whatever the response.
    pub puts: u64,
    /// GET requests for the attribute values of this store, whatever the response.
    pub gets: u64,
    /// DELETE requests for the attribute values of this store, whatever the response.
    pub deletes: u64,
    /// GET requests for the attribute definitions of this store, whatever the response.
    pub attribute_gets: u64,
    /// POST requests for the attribute definitions of this store, whatever the response.
    pub attribute_posts: u64,
    /// PUT requests for the attribute definitions of this store, whatever the response.
    pub attribute_puts: u64,
    /// DELETE requests for the attribute definitions of this store, whatever the response.
    pub attribute_deletes: u64,
    /// GET requests for the customers of this store, whatever the response. See also
    /// [`Sandbox::customer_queries`](crate::Sandbox::customer_queries).
    pub customer_gets: u64,
    /// POST requests for the customers of this store, whatever the response.
    pub customer_posts: u64,
    /// Requests in flight at the time of the snapshot.
    pub in_flight: usize,
    /// The highest number of requests in flight at once. Requests rejected with 429 for too many
    /// in flight are included, so a client that exceeds the limit raises the peak above it.
    pub peak_in_flight: usize,
    /// 429 responses for too many requests in flight, excluding those caused by faults.
    pub in_flight_429s: u64,
    /// 429 responses for a spent quota, excluding those caused by faults.
    pub quota_429s: u64,
    /// The highest number of distinct customers in one PUT, rejected PUTs included.
    pub largest_batch_customers: usize,
    /// The highest number of rows in one PUT, rejected PUTs included.
    pub largest_batch_rows: usize,
    /// The highest number of bytes in the path and query of one request, rejected requests
    /// included.
    pub longest_url: usize,
    /// Rows written by PUTs. A value that is written twice counts twice.
    pub rows_stored: u64,
    /// Values in the store at the time of the snapshot.
    pub values: usize,
    /// Customers in the store at the time of the snapshot.
    pub customers: usize,
    /// Requests rejected with 413 or 422.
    pub rejected: u64,
    /// Faults that took effect, of any kind. See also
    /// [`Sandbox::fault_counts`](crate::Sandbox::fault_counts).
    pub faults: u64,
    /// PUTs that named a customer of another PUT in progress.
    ///
    /// A PUT is in progress from when its body has been read until it can no longer change the store,
    /// even if a fault prevents the change. PUTs rejected with 401, 403 or 429 don't count.
    pub customer_overlaps: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests ({} PUT, {} GET, {} DELETE), peak in flight {}, {} 429 responses, \
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
