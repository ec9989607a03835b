//! How the program ends.

use std::fmt;
use std::process::ExitCode;

use bigcommerce_ext::{Error, ErrorKind};

/// What `--help` says about the exit status.
pub const EXIT_STATUS_HELP: &str = "\
Exit status:
  0    done
  1    some rows are not stored, a guard held deletes back, or the result is not certain
  2    wrong usage, or a file that can't be used
  3    the store refused access (wins over 1)
  4    the store differs from the file (diff)
  5    the store can't be reached (wins over 1)
  130  interrupted by Ctrl-C
  143  terminated by the signal TERM";

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Done,
    /// Some rows were not stored, a guard held deletes back, or the store may not equal the input.
    Incomplete,
    /// Wrong usage, or a file that can't be used.
    Usage,
    /// The store refused access.
    Refused,
    /// The store differs from the input.
    Differs,
    /// The store can't be reached.
    Unreachable,
    /// Ended by Ctrl-C.
    Interrupted,
    /// Ended by the signal TERM.
    Terminated,
}

impl Status {
    /// Returns the number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Incomplete => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Differs => 4,
            Self::Unreachable => 5,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        status.code().into()
    }
}

/// The status of a command that an error of the library has ended.
impl From<&Error> for Status {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::Input => Self::Usage,
            ErrorKind::Unauthorized | ErrorKind::Forbidden => Self::Refused,
            // The store was reached. It rejected the request, or its response can't be relied on.
            ErrorKind::InvalidRow
            | ErrorKind::InvalidRequest
            | ErrorKind::InvalidResponse
            | ErrorKind::TooLarge
            | ErrorKind::Stopped => Self::Incomplete,
            _ => Self::Unreachable,
        }
    }
}

/// A command that failed before or instead of its work.
#[derive(Debug)]
pub struct Failure {
    pub status: Status,
    pub error: anyhow::Error,
}

impl Failure {
    /// Wrong usage, or a file that can't be used.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            status: Status::Usage,
            error: error.into(),
        }
    }
}

impl Failure {
    /// The run is to stop.
    pub fn stopped() -> Self {
        Self {
            status: Status::Incomplete,
            error: Stopped.into(),
        }
    }

    /// Returns `true` if the run was to stop, and nothing else failed.
    pub fn is_stopped(&self) -> bool {
        let of_library = self.error.downcast_ref::<Error>();
        self.error.is::<Stopped>()
            || of_library.is_some_and(|error| error.kind() == ErrorKind::Stopped)
    }
}

/// The run was to stop.
#[derive(Debug)]
struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the run was stopped")
    }
}

impl std::error::Error for Stopped {}

/// An error of the library.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            status: Status::from(&error),
            error: error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_every_status() {
        for status in [
            Status::Done,
            Status::Incomplete,
            Status::Usage,
            Status::Refused,
            Status::Differs,
            Status::Unreachable,
            Status::Interrupted,
            Status::Terminated,
        ] {
            let code = format!("\n  {} ", status.code());
            assert!(EXIT_STATUS_HELP.contains(&code), "{status:?}");
        }
    }
}
