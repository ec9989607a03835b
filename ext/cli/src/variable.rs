//! Environment variables.

use std::env;

use anyhow::bail;

/// Reads an environment variable. An empty one counts as not set.
pub fn read(name: &str) -> anyhow::Result<Option<String>> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => Ok(Some(value)),
        Ok(_) | Err(env::VarError::NotPresent) => Ok(None),
        // The original error shows the value, which may be a token.
        Err(env::VarError::NotUnicode(_)) => {
            bail!("the environment variable {name} is not UTF-8: set it to text")
        }
    }
}
