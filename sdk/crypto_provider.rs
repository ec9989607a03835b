//! Checks that rustls has a crypto provider, since reqwest panics without one.

use crate::error::BuildError;

/// Returns an error if an HTTP client with reqwest's default settings would use rustls, and rustls
/// has no crypto provider.
///
/// This is possible only with the feature `rustls-no-provider`, and without `rustls` and
/// `native-tls`. If another crate of the program enables reqwest's own TLS features, the error is
/// returned all the same: enable one of these two features then.
///
/// # Errors
///
/// The error says how to install a provider.
pub fn require_crypto_provider() -> Result<(), BuildError> {
    // With both TLS libraries, reqwest prefers native-tls.
    if is_missing() && !cfg!(feature = "native-tls") {
        return Err(BuildError::missing_crypto_provider());
    }
    Ok(())
}

/// Returns `true` if rustls has no crypto provider.
#[cfg(feature = "rustls-no-provider")]
pub(crate) fn is_missing() -> bool {
    // With the feature `rustls`, reqwest falls back to aws-lc.
    !cfg!(feature = "rustls") && rustls::crypto::CryptoProvider::get_default().is_none()
}

#[cfg(not(feature = "rustls-no-provider"))]
pub(crate) fn is_missing() -> bool {
    false
}
