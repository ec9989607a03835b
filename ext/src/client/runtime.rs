//! The runtime that calls need.

use std::panic::catch_unwind;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::error::Error;

/// Returns the current runtime, for work that the error names.
///
/// # Errors
///
/// Returns an error without a tokio runtime, or if the runtime has no timers.
pub(crate) fn current_runtime(work: &str) -> Result<Handle, Error> {
    let runtime = Handle::try_current().map_err(|error| {
        Error::invalid_input_from(format!("{work} need a tokio runtime"), error)
    })?;
    // A runtime does not show whether it has timers: using one without them panics.
    let has_timers = catch_unwind(|| sleep(Duration::ZERO).now_or_never()).is_ok();
    if !has_timers {
        return Err(Error::invalid_input(format!(
            "{work} need a tokio runtime with timers: call enable_time() or enable_all() on its \
             builder"
        )));
    }
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_without_timers_is_an_error() {
        let builder = || tokio::runtime::Builder::new_current_thread();
        let without = builder().build().expect("a runtime");
        let error = without.block_on(async { current_runtime("calls") });
        let error = error.expect_err("no timers").to_string();
        assert!(error.contains("enable_time"), "{error}");
        let with = builder().enable_time().build().expect("a runtime");
        assert!(with.block_on(async { current_runtime("calls") }).is_ok());
        let error = current_runtime("calls").expect_err("no runtime");
        assert!(
            error.to_string().contains("calls need a tokio runtime"),
            "{error}"
        );
    }
}
