use std::error::Error as StdError;
use std::fmt;

/// The HTTP client of a [`Client`](crate::Client) can't be built.
#[derive(Debug)]
pub struct BuildError(BuildErrorKind);

#[derive(Debug)]
enum BuildErrorKind {
    Http(reqwest::Error),
    MissingCryptoProvider,
}

impl BuildError {
    pub(crate) fn http(error: reqwest::Error) -> Self {
        Self(BuildErrorKind::Http(error))
    }

    pub(crate) fn missing_crypto_provider() -> Self {
        Self(BuildErrorKind::MissingCryptoProvider)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            BuildErrorKind::Http(error) => {
                write!(f, "{error}")?;
                let mut cause = error.source();
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
            BuildErrorKind::MissingCryptoProvider => f.write_str(
                "rustls has no crypto provider: install one when the program starts, such as with \
                 rustls::crypto::ring::default_provider().install_default(), or enable the feature \
                 \"rustls\" instead of \"rustls-no-provider\"",
            ),
        }
    }
}

impl StdError for BuildError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0 {
            BuildErrorKind::Http(error) => Some(error),
            BuildErrorKind::MissingCryptoProvider => None,
        }
    }
}
