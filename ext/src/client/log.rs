//! The log records of a run: one per event, with the store. `docs/logs.md` lists them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;
use crate::event::Event;
use crate::outcome::{RunKind, Summary};

/// The target of all log records and spans.
pub(crate) const TARGET: &str = "bigcommerce_ext";

/// Writes the log records of one run.
#[derive(Debug)]
pub(crate) struct RunLog {
    store: Arc<str>,
    /// Whether a wait was logged as a warning, and nothing has succeeded since.
    has_warned: AtomicBool,
}

impl RunLog {
    pub(super) fn new(store: Arc<str>) -> Self {
        Self {
            store,
            has_warned: AtomicBool::new(false),
        }
    }

    pub(super) fn record(&self, event: &Event) {
        let store = &*self.store;
        match event {
            Event::BatchReady {
                call,
                operation,
                customers,
                values,
            } => tracing::debug!(
                target: TARGET, store, operation, call, customers, values, "batch ready"
            ),
            Event::RequestStarted {
                call,
                operation,
                attempt,
            } => {
                tracing::debug!(target: TARGET, store, operation, call, attempt, "request started");
            }
            Event::RequestFinished {
                call,
                operation,
                status,
                elapsed,
            } => {
                if status.is_some_and(|status| (200..300).contains(&status)) {
                    self.has_warned.store(false, Ordering::Relaxed);
                }
                tracing::debug!(
                    target: TARGET, store, operation, call, status, ?elapsed, "request finished"
                );
            }
            Event::Waiting {
                call,
                operation,
                reason,
                wait,
            } => {
                let reason = reason.as_str();
                if self.has_warned.swap(true, Ordering::Relaxed) {
                    tracing::debug!(
                        target: TARGET, store, operation, call, reason, ?wait, "waiting"
                    );
                } else {
                    tracing::warn!(target: TARGET, store, operation, call, reason, ?wait, "waiting");
                }
            }
            Event::Split {
                call,
                operation,
                customers,
                values,
            } => tracing::info!(
                target: TARGET, store, operation, call, customers, values, "batch split"
            ),
            Event::SizeLimitLearned {
                operation,
                customers,
                values,
            } => tracing::info!(
                target: TARGET, store, operation, customers, values, "size limit learned"
            ),
            Event::CallFinished { call, operation } => {
                tracing::debug!(target: TARGET, store, operation, call, "call finished");
            }
            Event::Page {
                operation,
                number,
                values,
                total,
            } => tracing::debug!(
                target: TARGET, store, operation, number, values, total, "page"
            ),
            Event::TotalChanged {
                operation,
                before,
                now,
            } => tracing::info!(target: TARGET, store, operation, before, now, "total changed"),
            // The store's own records tell of these, once for all runs.
            Event::OutageStarted { .. }
            | Event::OutageEnded { .. }
            | Event::LimitsUnshared { .. }
            | Event::LimitsShared { .. } => {}
            // Too many: the summary comes at the end.
            Event::Progress { .. } => {}
        }
    }

    /// Logs the end of a run that upserts or deletes.
    pub(crate) fn record_end(&self, summary: &Summary, stopped_by: Option<&Error>) {
        let run = match summary.run_kind {
            RunKind::Upsert => "upsert",
            RunKind::Delete => "delete",
        };
        let stopped_by = stopped_by.map(tracing::field::display);
        tracing::info!(
            target: TARGET,
            store = &*self.store,
            run,
            requests = summary.requests,
            stored = summary.stored,
            differing = summary.differing,
            unchanged = summary.unchanged,
            deleted = summary.deleted,
            planned = summary.planned,
            superseded = summary.superseded,
            rejected = summary.rejected,
            unknown = summary.unknown,
            not_sent = summary.not_sent,
            stopped_by,
            "run finished"
        );
    }
}
