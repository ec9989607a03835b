//! What the calls of one run share, and how a call ends.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bigcommerce_sdk::{self as sdk, ResponseValue, types};
use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::log::RunLog;
use super::{Availability, Client, OnOutage};
use crate::error::Error;
use crate::event::{Event, Observer};

pub(crate) type SdkResult<T> = Result<ResponseValue<T>, sdk::Error<types::ErrorBody>>;

/// What the calls of a run share.
pub(crate) struct RunContext {
    observer: Observer,
    /// The observer of the store.
    store_observer: Observer,
    pub log: RunLog,
    /// Set to `true` to end the calls that wait.
    pub stopping: watch::Sender<bool>,
    pub on_outage: OnOutage,
    /// Texts of the requests that no output may contain.
    pub secrets: Vec<String>,
    /// Whether a list has shown that the store has the endpoint of its values.
    pub knows_endpoint: AtomicBool,
    /// The header `Date` of the first response that has one.
    server_date: Mutex<Option<DateTime<Utc>>>,
    /// Since when the store has been down, as far as the observer knows.
    reported_outage: Mutex<Option<Instant>>,
    /// Since when the limits have not been shared although they should, as far as the observer knows.
    reported_separation: Mutex<Option<Instant>>,
}

impl RunContext {
    pub(crate) fn new(client: &Client, observer: Observer) -> Self {
        Self {
            observer,
            store_observer: client.observer().clone(),
            log: RunLog::new(client.label()),
            stopping: watch::Sender::default(),
            on_outage: OnOutage::default(),
            secrets: Vec::new(),
            knows_endpoint: AtomicBool::new(false),
            server_date: Mutex::default(),
            reported_outage: Mutex::default(),
            reported_separation: Mutex::default(),
        }
    }

    /// Logs an event, and passes it to the observer.
    pub(crate) fn notify(&self, event: Event) {
        self.log.record(&event);
        self.store_observer.notify(&event);
        self.observer.notify(&event);
    }

    pub(crate) fn with_on_outage(mut self, on_outage: OnOutage) -> Self {
        self.on_outage = on_outage;
        self
    }

    pub(crate) fn with_secrets(mut self, secrets: Vec<String>) -> Self {
        self.secrets = secrets;
        self
    }

    /// Records the header `Date` of a response.
    pub(crate) fn record_date(&self, headers: &HeaderMap) {
        let known = self.server_date.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            let date = headers.get(DATE).and_then(|date| date.to_str().ok());
            let date = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok());
            *known = date.map(DateTime::from);
        }
    }

    /// Returns the time of the server's clock when it sent its first response of the run.
    pub(crate) fn server_date(&self) -> Option<DateTime<Utc>> {
        *self
            .server_date
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the observer of the run.
    pub(crate) fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Notifies the observer of an outage that has started or ended, once, and of shared limits that
    /// are out of reach.
    pub(crate) fn report_availability(&self, client: &Client) {
        self.report_sharing(client);
        let since = match client.availability() {
            Availability::Up => None,
            Availability::Down { since, .. } => Some(since),
        };
        let before = {
            let reported = self.reported_outage.lock();
            let mut reported = reported.unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *reported, since)
        };
        match (before, since) {
            (None, Some(since)) => self.notify(Event::OutageStarted {
                lasted: since.elapsed(),
            }),
            (Some(since), None) => self.notify(Event::OutageEnded {
                lasted: since.elapsed(),
            }),
            _ => {}
        }
    }

    fn report_sharing(&self, client: &Client) {
        let mut separation = client.separation();
        let reported = self.reported_separation.lock();
        let mut reported = reported.unwrap_or_else(PoisonError::into_inner);
        if reported.is_none() && !client.is_separate() {
            // It ended while nothing was sent, as far as this run knows.
            separation = None;
        }
        let since = separation
            .as_ref()
            .and_then(|(_, lasted)| Instant::now().checked_sub(*lasted));
        let before = std::mem::replace(&mut *reported, since);
        drop(reported);
        match (before, separation) {
            (None, Some((cause, _))) => self.notify(Event::LimitsUnshared { cause }),
            (Some(since), None) => self.notify(Event::LimitsShared {
                lasted: since.elapsed(),
            }),
            _ => {}
        }
    }

    /// Waits. Returns `false` if the run was stopped before the time had elapsed.
    pub(crate) async fn wait(&self, time: Duration) -> bool {
        tokio::select! {
            () = sleep(time) => true,
            () = self.stopped() => false,
        }
    }

    /// Waits until the run is stopped.
    pub(super) async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender is in this struct, so the channel is never closed.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }
}

/// How a call ended, and how many requests it took.
pub(crate) struct CallOutcome<T> {
    pub result: Result<T, CallFailure>,
    pub requests: u32,
    /// Until when the server may be running an abandoned request.
    pub hold: Option<Instant>,
}

impl<T> CallOutcome<T> {
    /// Creates the outcome of a call that left no abandoned request.
    pub(crate) fn new(result: Result<T, CallFailure>, requests: u32) -> Self {
        Self {
            result,
            requests,
            hold: None,
        }
    }

    /// Converts the result of a successful call.
    pub(crate) fn map<U>(self, convert: impl FnOnce(T) -> U) -> CallOutcome<U> {
        CallOutcome {
            result: self.result.map(convert),
            requests: self.requests,
            hold: self.hold,
        }
    }

    /// Creates the outcome of a call whose task ended without one.
    pub(crate) fn lost() -> Self {
        let failure = CallFailure {
            is_ambiguous: true,
            ..CallFailure::from(Error::lost_task())
        };
        Self::new(Err(failure), 0)
    }
}

/// Why a call failed.
pub struct CallFailure {
    pub error: Error,
    /// Whether the server may have executed a request.
    pub is_ambiguous: bool,
    /// Whether no request was sent at all.
    pub never_sent: bool,
}

impl From<Error> for CallFailure {
    fn from(error: Error) -> Self {
        Self {
            error,
            is_ambiguous: false,
            never_sent: false,
        }
    }
}
