//! The calls of a run that are in progress, each in a task of its own.

use std::collections::HashMap;
use std::future::Future;
use std::panic::resume_unwind;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::{self, JoinSet};

use super::attempt::RequestOutcome;
use super::context::CallOutcome;
use super::runtime::current_runtime;
use crate::error::Error;

/// The result of a call's task.
pub(crate) trait TaskOutput: Send + 'static {
    /// Creates the output of a task that ended without one.
    fn lost() -> Self;
}

impl<T: Send + 'static> TaskOutput for CallOutcome<T> {
    fn lost() -> Self {
        Self::lost()
    }
}

impl<T: Send + 'static> TaskOutput for RequestOutcome<T> {
    fn lost() -> Self {
        Self::lost()
    }
}

/// Calls in progress and the purpose of each. Dropping the set cancels them.
#[derive(Debug)]
pub(crate) struct CallSet<K, O> {
    tasks: JoinSet<O>,
    /// The purpose of each call, and its number within the run.
    keys: HashMap<task::Id, (K, u64)>,
}

impl<K, O> Default for CallSet<K, O> {
    fn default() -> Self {
        Self {
            tasks: JoinSet::new(),
            keys: HashMap::new(),
        }
    }
}

impl<K, O: TaskOutput> CallSet<K, O> {
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) fn spawn(
        &mut self,
        runtime: &Handle,
        key: K,
        number: u64,
        call: impl Future<Output = O> + Send + 'static,
    ) {
        let id = self.tasks.spawn_on(call, runtime).id();
        self.keys.insert(id, (key, number));
    }

    /// Returns a call that has finished. If there is none, wakes `cx` when one finishes.
    pub(crate) fn poll_finished(&mut self, cx: &mut Context<'_>) -> Option<(K, u64, O)> {
        while let Poll::Ready(Some(joined)) = self.tasks.poll_join_next_with_id(cx) {
            let (id, outcome) = match joined {
                Ok(joined) => joined,
                // Only the caller's observer can panic in a task.
                Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                // Only a runtime that shuts down ends a task.
                Err(error) => (error.id(), O::lost()),
            };
            if let Some((key, number)) = self.keys.remove(&id) {
                return Some((key, number, outcome));
            }
        }
        None
    }
}

/// Runs calls in a task of their own, so that they go on while their user polls nothing. Dropping the
/// returned future cancels them.
pub(crate) async fn in_task<T: Send + 'static>(
    calls: impl Future<Output = T> + Send + 'static,
) -> Result<T, Error> {
    let runtime = current_runtime("calls")?;
    let mut task = JoinSet::new();
    task.spawn_on(calls, &runtime);
    match task.join_next().await {
        Some(Ok(result)) => Ok(result),
        Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
        Some(Err(_)) | None => Err(Error::lost_task()),
    }
}
