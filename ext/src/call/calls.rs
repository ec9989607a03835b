//! The calls of a run that are going on, each in a task of its own.

use std::collections::HashMap;
use std::future::Future;
use std::panic::resume_unwind;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::{self, JoinSet};

use super::Ended;
use crate::error::Error;

/// Calls that are going on, and what each is for; dropping it cancels them.
#[derive(Debug)]
pub(crate) struct Calls<K, T> {
    tasks: JoinSet<Ended<T>>,
    /// What each call is for, and its number within the run.
    keys: HashMap<task::Id, (K, u64)>,
}

impl<K, T> Default for Calls<K, T> {
    fn default() -> Self {
        Self {
            tasks: JoinSet::new(),
            keys: HashMap::new(),
        }
    }
}

impl<K, T: Send + 'static> Calls<K, T> {
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) fn spawn(
        &mut self,
        runtime: &Handle,
        key: K,
        number: u64,
        call: impl Future<Output = Ended<T>> + Send + 'static,
    ) {
        let id = self.tasks.spawn_on(call, runtime).id();
        self.keys.insert(id, (key, number));
    }

    /// Gives a call that has ended; `None` if none has, and then `cx` is woken when one does.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Option<(K, u64, Ended<T>)> {
        while let Poll::Ready(Some(joined)) = self.tasks.poll_join_next_with_id(cx) {
            let (id, ended) = match joined {
                Ok(joined) => joined,
                // What panics in a task is the caller's observer.
                Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                // Nobody else can end the task but a runtime that shuts down.
                Err(error) => (error.id(), Ended::lost()),
            };
            if let Some((key, number)) = self.keys.remove(&id) {
                return Some((key, number, ended));
            }
        }
        None
    }
}

/// Runs calls in a task of its own, so that nothing that a user polls holds a permit; dropping the
/// future cancels them.
pub(crate) async fn in_task<T: Send + 'static>(
    calls: impl Future<Output = T> + Send + 'static,
) -> Result<T, Error> {
    let runtime = Handle::try_current()
        .map_err(|error| Error::config_by("calls are made on a tokio runtime", error))?;
    let mut task = JoinSet::new();
    task.spawn_on(calls, &runtime);
    match task.join_next().await {
        Some(Ok(result)) => Ok(result),
        Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
        Some(Err(_)) | None => Err(Error::lost_task()),
    }
}
