//! Ctrl-C and the signal TERM: once stops well, twice stops at once.

use std::future::Future;

use tokio::sync::watch;

use crate::status::{Failure, Status};

/// Why the run is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    Interrupted,
    Terminated,
    /// Standard output can't be written to.
    Output,
}

impl StopReason {
    /// Returns the exit status, `None` if the reason is no signal.
    pub fn status(self) -> Option<Status> {
        match self {
            Self::Interrupted => Some(Status::Interrupted),
            Self::Terminated => Some(Status::Terminated),
            Self::Output => None,
        }
    }
}

/// Whether the run is to stop, and why. Clones share it.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<Option<StopReason>>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Stop {
    /// Stops the run. If it was to stop before, the first reason stays.
    pub fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|current| {
            let is_first = current.is_none();
            current.get_or_insert(reason);
            is_first
        });
    }

    pub fn reason(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    /// Returns an error if the run is to stop: for work that waits for nothing.
    pub fn check(&self) -> Result<(), Failure> {
        match self.reason() {
            None => Ok(()),
            Some(_) => Err(Failure::stopped()),
        }
    }

    /// Returns a future that completes when the run is to stop.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut receiver = self.0.subscribe();
        // Kept by the future, so that the channel stays open.
        let sender = self.0.clone();
        async move {
            // An error would mean that the channel is closed.
            drop(receiver.wait_for(Option::is_some).await);
            drop(sender);
        }
    }
}

/// The signals of this process.
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
    #[cfg(windows)]
    terminate: tokio::signal::windows::CtrlBreak,
}

impl Signals {
    /// Listens for the signals from now on.
    pub fn listen() -> std::io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }
        #[cfg(windows)]
        {
            use tokio::signal::windows::{ctrl_break, ctrl_c};
            Ok(Self {
                interrupt: ctrl_c()?,
                terminate: ctrl_break()?,
            })
        }
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> StopReason {
        tokio::select! {
            _ = self.interrupt.recv() => StopReason::Interrupted,
            _ = self.terminate.recv() => StopReason::Terminated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays_and_late_listeners_hear_of_it() {
        let stop = Stop::default();
        let early = stop.stopped();
        stop.stop(StopReason::Terminated);
        stop.stop(StopReason::Interrupted);
        early.await;
        stop.clone().stopped().await;
        assert_eq!(stop.reason(), Some(StopReason::Terminated));
    }
}
