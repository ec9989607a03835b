//! The report of a run, as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use bigcommerce_ext::Error;
use bigcommerce_ext::chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::meter::{EventCounts, Rows};
use crate::status::Status;

/// What the report says beside the counts.
pub struct ReportHeader<'a> {
    pub command: &'static str,
    /// The store's name, without secrets.
    pub store: Option<&'a str>,
    pub started_at: DateTime<Utc>,
    pub elapsed: Duration,
    pub status: Status,
    pub error: Option<&'a ErrorJson>,
}

/// An error: of the library, or of the program (`kind` is null).
#[derive(Clone, Debug, Serialize)]
pub struct ErrorJson {
    kind: Option<&'static str>,
    message: String,
}

impl From<&Error> for ErrorJson {
    fn from(error: &Error) -> Self {
        Self {
            kind: Some(error.kind().as_str()),
            message: error.to_string(),
        }
    }
}

impl From<&anyhow::Error> for ErrorJson {
    fn from(error: &anyhow::Error) -> Self {
        let of_library = error.downcast_ref::<Error>();
        Self {
            kind: of_library.map(|error| error.kind().as_str()),
            message: format!("{error:#}"),
        }
    }
}

#[derive(Serialize)]
struct ReportJson<'a> {
    program: &'static str,
    version: &'static str,
    command: &'static str,
    store: Option<&'a str>,
    started_at: String,
    duration_ms: u64,
    exit_status: u8,
    /// The error that ended the run early.
    error: Option<&'a ErrorJson>,
    /// Rows per outcome.
    rows: Rows,
    /// Values and customers that were read.
    listed: u64,
    requests: u64,
    retries: u64,
    splits: u64,
    waits: BTreeMap<&'static str, WaitsJson>,
    outages: u64,
    time_down_ms: u64,
}

#[derive(Serialize)]
struct WaitsJson {
    count: u64,
    /// The sum over all calls, which may wait at the same time.
    time_ms: u64,
}

/// Writes the report as a JSON object and a line break.
pub fn to_json(header: &ReportHeader<'_>, counts: &EventCounts) -> serde_json::Result<Vec<u8>> {
    let waits = counts.waits.iter().map(|(reason, waits)| {
        let waits = WaitsJson {
            count: waits.count,
            time_ms: millis(waits.time),
        };
        (*reason, waits)
    });
    let mut json = serde_json::to_vec_pretty(&ReportJson {
        program: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        command: header.command,
        store: header.store,
        started_at: header.started_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        duration_ms: millis(header.elapsed),
        exit_status: header.status.code(),
        error: header.error,
        rows: counts.rows(),
        listed: counts.listed(),
        requests: counts.requests,
        retries: counts.retries,
        splits: counts.splits,
        waits: waits.collect(),
        outages: counts.outages,
        time_down_ms: millis(counts.time_down()),
    })?;
    json.push(b'\n');
    Ok(json)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
