//! The run of a command, from its start to its exit status: signals, output, progress and the report.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::process;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use anyhow::Context as _;
use bigcommerce_ext::{Error, Event};
use tokio::time::Instant;

use crate::meter::{Meter, Part};
use crate::printable::printable;
use crate::progress::{Display, Reading};
use crate::replace_file::ReplaceFile;
use crate::report::{self, ErrorJson};
use crate::signals::{Signals, Stop, StopReason};
use crate::status::{Failure, Status};

/// The run of a command. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Run(Arc<Shared>);

#[derive(Default)]
struct Shared {
    started: OnceLock<Started>,
    pub stop: Stop,
    pub meter: Meter,
    store: OnceLock<String>,
    reading: OnceLock<Box<dyn Fn() -> Reading + Send + Sync>>,
    /// The error that ended the run early.
    stopped_by: OnceLock<ErrorJson>,
    /// Why standard output can't be written to.
    output_error: Mutex<Option<io::Error>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// What is known from the start on.
#[derive(Debug)]
struct Started {
    command: &'static str,
    time: SystemTime,
    at: Instant,
    is_quiet: bool,
    report: Option<ReplaceFile>,
    display: Display,
}

impl Run {
    /// Starts the run: checks that the report can be written, listens for signals, and shows progress.
    pub fn start(
        &self,
        command: &'static str,
        report: Option<&Path>,
        is_quiet: bool,
    ) -> Result<(), Failure> {
        let report = report.map(|path| {
            ReplaceFile::check(path)
                .with_context(|| format!("the report {} can't be written", path.display()))
        });
        let started = Started {
            command,
            time: SystemTime::now(),
            at: Instant::now(),
            is_quiet,
            report: report.transpose().map_err(Failure::usage)?,
            display: Display::new(is_quiet),
        };
        // A run starts once.
        drop(self.0.started.set(started));
        match Signals::listen() {
            Ok(signals) => drop(tokio::spawn(self.clone().obey(signals))),
            Err(error) => self.eprintln(format_args!(
                "warning: signals can't be heard ({error}), so Ctrl-C stops at once"
            )),
        }
        if !is_quiet {
            drop(tokio::spawn(self.clone().show_progress()));
        }
        Ok(())
    }

    /// Ends the run: takes the progress off the screen, writes the report, and returns how the program
    /// ends. A signal's status replaces that of the command.
    pub fn end(&self, result: Result<Status, Failure>) -> Result<Status, Failure> {
        if let Some(display) = self.display() {
            display.pause();
        }
        let result = match (result, self.take_output_error()) {
            (result @ Err(_), _) | (result, None) => result,
            // Whoever read the output has gone: nobody is left to tell.
            (Ok(_), Some(error)) if is_closed_pipe(&error) => Ok(Status::Incomplete),
            (Ok(_), Some(error)) => Err(Failure::usage(
                anyhow::Error::new(error).context("standard output can't be written to"),
            )),
        };
        let signal = self.0.stop.reason().and_then(StopReason::status);
        let result = match (result, signal) {
            (Ok(_), Some(status)) => Ok(status),
            // The signal's message has said it.
            (Err(failure), Some(status)) if failure.is_stopped() => Ok(status),
            (Err(failure), Some(status)) => Err(Failure { status, ..failure }),
            (result, None) => result,
        };
        let status = match &result {
            Ok(status) => *status,
            Err(failure) => failure.status,
        };
        let error = result.as_ref().err().map(|failure| &failure.error);
        match self.write_report(status, error.map(ErrorJson::from)) {
            Ok(()) => result,
            // The failure of the command is the more important one.
            Err(error) if result.is_err() => {
                eprintln!("error: {error:#}");
                result
            }
            Err(error) => Err(Failure {
                status: match status {
                    Status::Done => Status::Usage,
                    status => status,
                },
                error,
            }),
        }
    }

    pub fn stop(&self) -> &Stop {
        &self.0.stop
    }

    /// Begins a part of the command: a list, or a run.
    pub fn start_part(&self) -> Part {
        self.0.meter.start_part()
    }

    /// Returns the function that counts the events of a part.
    pub fn observer(&self, part: &Part) -> impl Fn(&Event) + Send + Sync + 'static + use<> {
        let (run, part) = (self.clone(), part.clone());
        move |event| {
            let notice = part.observe(event);
            if let Some(notice) = notice.filter(|_| !run.is_quiet()) {
                run.eprintln(notice);
            }
        }
    }

    /// Sets the name of the store, for the report.
    pub fn set_store(&self, label: String) {
        drop(self.0.store.set(label));
    }

    /// Sets the function that tells how much of the input was read, for the progress.
    pub fn set_reading(&self, reading: impl Fn() -> Reading + Send + Sync + 'static) {
        drop(self.0.reading.set(Box::new(reading)));
    }

    /// Keeps the error that ended the run early, for the report.
    pub fn set_stopped_by(&self, error: &Error) {
        drop(self.0.stopped_by.set(error.into()));
    }

    /// Writes a line to standard output. If that is not possible, the run stops: [`end`](Self::end) says
    /// why.
    pub fn println(&self, line: impl fmt::Display) {
        if self.0.stop.reason() == Some(StopReason::Output) {
            return;
        }
        if let Err(error) = self.suspend(|| writeln!(io::stdout().lock(), "{line}")) {
            self.output_failed(error);
        }
    }

    /// Stops the run because standard output can't be written to.
    pub fn output_failed(&self, error: io::Error) {
        let output_error = self.0.output_error.lock();
        output_error
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
        self.0.stop.stop(StopReason::Output);
    }

    /// Returns a writer to standard error, around the progress: for log records.
    pub fn stderr(&self) -> Stderr {
        Stderr(self.clone())
    }

    /// Writes a line to standard error, unless whoever read the output has gone: the program then ends
    /// quietly.
    pub fn eprintln(&self, line: impl fmt::Display) {
        if self.has_closed_output() {
            return;
        }
        // If standard error is closed, nothing can be told.
        let line = line.to_string();
        let line = printable(&line);
        drop(self.suspend(|| writeln!(io::stderr().lock(), "{line}")));
    }

    /// Takes the progress off the screen until [`resume`](Self::resume).
    pub fn pause(&self) {
        if let Some(display) = self.display() {
            display.pause();
        }
    }

    pub fn resume(&self) {
        if let Some(display) = self.display() {
            display.resume();
        }
    }

    fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        match self.display() {
            Some(display) => display.suspend(write),
            None => write(),
        }
    }

    fn display(&self) -> Option<&Display> {
        Some(&self.0.started.get()?.display)
    }

    fn has_closed_output(&self) -> bool {
        let error = self.0.output_error.lock();
        let error = error.unwrap_or_else(PoisonError::into_inner);
        error.as_ref().is_some_and(is_closed_pipe)
    }

    fn is_quiet(&self) -> bool {
        let started = self.0.started.get();
        started.is_none_or(|started| started.is_quiet)
    }

    fn take_output_error(&self) -> Option<io::Error> {
        let error = self.0.output_error.lock();
        error.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Stops the run at the first signal, and the process at the second.
    async fn obey(self, mut signals: Signals) {
        loop {
            let reason = signals.next().await;
            if self.0.stop.reason().is_none() {
                let again = match reason {
                    StopReason::Interrupted => "Press Ctrl-C",
                    _ => "Send the signal",
                };
                // First: the run may end at once.
                self.eprintln(format_args!(
                    "Stopping: requests in flight finish. {again} again to stop at once."
                ));
                self.0.stop.stop(reason);
                continue;
            }
            let status = reason.status().unwrap_or(Status::Interrupted);
            self.pause();
            if let Err(error) = self.write_report(status, None) {
                eprintln!("error: {error:#}");
            }
            process::exit(status.code().into());
        }
    }

    async fn show_progress(self) {
        if let Some(display) = self.display() {
            let reading = || self.0.reading.get().map(|reading| reading());
            display.run(|| self.0.meter.view(reading())).await;
        }
    }

    fn write_report(&self, status: Status, error: Option<ErrorJson>) -> anyhow::Result<()> {
        let Some(started) = self.0.started.get() else {
            return Ok(());
        };
        let Some(file) = &started.report else {
            return Ok(());
        };
        let error = error.as_ref().or_else(|| self.0.stopped_by.get());
        let started_at = started.time.into();
        let store = self.0.store.get().map(String::as_str);
        let json = self.0.meter.read(|counts| {
            report::to_json(
                &report::ReportHeader {
                    command: started.command,
                    store,
                    started_at,
                    elapsed: started.at.elapsed(),
                    status,
                    error,
                },
                counts,
            )
        })?;
        file.write(&json).context("the report can't be written")
    }
}

fn is_closed_pipe(error: &io::Error) -> bool {
    // The writer of CSV wraps the error, and does not tell its source.
    let of_csv = error.get_ref().and_then(|inner| inner.downcast_ref());
    let error = match of_csv.map(csv::Error::kind) {
        Some(csv::ErrorKind::Io(inner)) => inner,
        _ => error,
    };
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Writes to standard error, while the progress is off the screen.
pub struct Stderr(Run);

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
