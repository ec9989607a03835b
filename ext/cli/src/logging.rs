//! Log records, on standard error.

use std::io;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::variable;

/// The environment variable that contains the filter of log records.
const LOG_VARIABLE: &str = "BIGCOMMERCE_LOG";

/// Shows warnings, or what the option `--verbose` or the environment asks for.
pub fn start(verbosity: u8) -> anyhow::Result<()> {
    let filter = match verbosity {
        0 => variable::read(LOG_VARIABLE)?,
        1 => Some("warn,bigcommerce_ext=info".to_owned()),
        _ => Some("warn,bigcommerce_ext=debug,bigcommerce_sdk=debug".to_owned()),
    };
    let filter = filter.as_deref().unwrap_or("warn");
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("{LOG_VARIABLE} is no filter, such as bigcommerce_ext=debug: {filter:?}")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    Ok(())
}
