//! Log records, on standard error.

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::args::Global;
use crate::variable;

/// The environment variable that contains the filter of log records.
const LOG_VARIABLE: &str = "BIGCOMMERCE_LOG";

/// Shows what the option `--verbose` or the environment asks for. Without them, only errors: the progress
/// tells of waits and outages.
pub fn start(global: &Global) -> anyhow::Result<()> {
    let filter = match global.verbose {
        0 => variable::read(LOG_VARIABLE)?,
        1 => Some("warn,bigcommerce_ext=info".to_owned()),
        _ => Some("warn,bigcommerce_ext=debug,bigcommerce_sdk=debug".to_owned()),
    };
    let filter = filter.as_deref().unwrap_or("error");
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("{LOG_VARIABLE} is no filter, such as bigcommerce_ext=debug: {filter:?}")
    })?;
    let run = global.run.clone();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || run.stderr())
        .init();
    Ok(())
}
