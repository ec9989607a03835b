//! What a command has at hand while it runs: the store, signals, progress, and where output goes.

use std::fmt;
use std::future::Future;
use std::io;

use bigcommerce_ext::{Attributes, Error, Event, Store, StoreBuilder};
use serde::Serialize;

use crate::args::Global;
use crate::connection::Connection;
use crate::meter::Part;
use crate::progress::Reading;
use crate::run::Run;
use crate::status::{Failure, Status};

/// A command that runs on a store.
pub struct Session {
    connection: Connection,
    run: Run,
}

impl Session {
    /// Opens the connection.
    pub async fn start(global: &Global) -> Result<Self, Failure> {
        Self::start_with(global, |builder| builder).await
    }

    /// Opens the connection with settings of its own.
    pub async fn start_with(
        global: &Global,
        configure: impl FnOnce(StoreBuilder) -> StoreBuilder,
    ) -> Result<Self, Failure> {
        let connection = Connection::open(global, configure).await?;
        global.run.set_store(connection.label.clone());
        Ok(Self {
            connection,
            run: global.run.clone(),
        })
    }

    pub fn store(&self) -> &Store {
        &self.connection.store
    }

    /// Returns the store's attributes, for requests that stop and count as those of the run.
    pub fn attributes(&self) -> Attributes {
        let attributes = self.store().attributes().stop_when(self.stop());
        attributes.observe(self.observer())
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns a future that completes when the run is to stop: for `stop_when`.
    pub fn stop(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.run.stop().stopped()
    }

    /// Returns `true` if the run is to stop.
    pub fn is_stopped(&self) -> bool {
        self.run.stop().reason().is_some()
    }

    /// Returns the function that shows events as progress, and counts them for the report: for
    /// `observe`. Each list and each run of a command needs one of its own.
    pub fn observer(&self) -> impl Fn(&Event) + Send + Sync + 'static + use<> {
        self.run.observer(&self.run.start_part())
    }

    /// Begins a part of the command whose rows the command counts by itself.
    pub fn start_part(&self) -> Part {
        self.run.start_part()
    }

    /// Returns the function that shows and counts the events of a part: for `observe`.
    pub fn observer_of(&self, part: &Part) -> impl Fn(&Event) + Send + Sync + 'static + use<> {
        self.run.observer(part)
    }

    /// Sets the function that tells how much of the input was read, so that the progress can show the
    /// time left.
    pub fn show_input(&self, reading: impl Fn() -> Reading + Send + Sync + 'static) {
        self.run.set_reading(reading);
    }

    /// Writes a line of data to standard output. If standard output is closed or full, the run stops, and
    /// the program's end says why.
    pub fn println(&self, line: impl fmt::Display) {
        self.run.println(line);
    }

    /// Writes data as a line of JSON to standard output, as [`println`](Self::println) does.
    pub fn json(&self, data: &impl Serialize) {
        match serde_json::to_string(data) {
            Ok(line) => self.run.println(line),
            Err(error) => self.run.output_failed(error.into()),
        }
    }

    /// Writes the numbers of a run as its last line: to standard output, or, where that has JSON lines, to
    /// standard error unless the program is quiet.
    pub fn last_line(&self, line: impl fmt::Display, global: &Global) {
        match (global.json, global.quiet) {
            (false, _) => self.println(line),
            (true, false) => self.eprintln(line),
            (true, true) => {}
        }
    }

    /// Stops the run because standard output can't be written to: for commands that write to it by
    /// themselves.
    pub fn output_failed(&self, error: io::Error) {
        self.run.output_failed(error);
    }

    /// Writes a line to standard error, above the progress.
    pub fn eprintln(&self, line: impl fmt::Display) {
        self.run.eprintln(line);
    }

    /// Says that an error ended the run early, keeps it for the report, and returns the exit status that
    /// it asks for.
    pub fn stopped_by(&self, error: &Error) -> Status {
        // The signal's own message says why, or nobody is left to tell.
        if !self.is_stopped() {
            self.eprintln(format_args!("error: the run stopped early: {error}"));
        }
        self.run.set_stopped_by(error);
        Status::from(error)
    }

    /// Returns the run, for questions.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Ends the session. The end of the run, after it, writes the report and turns the status into that
    /// of a signal, if one came.
    pub fn end(self, status: Status) -> Status {
        status
    }
}
