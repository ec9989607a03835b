//! What went wrong, in words.

use bigcommerce_ext::limiter::PlaceError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Returns the error of the Redis with this name.
pub(crate) fn place_error(name: &str, error: RedisError) -> PlaceError {
    PlaceError::new(format!("{name} {}", describe(&error))).with_source(error)
}

fn describe(error: &RedisError) -> String {
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::AuthenticationFailed => {
            "does not accept the user name or the password: check the URL".to_owned()
        }
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            format!("denies a right to the user ({detail}): grant the rights that the crate needs")
        }
        ErrorKind::Server(ServerErrorKind::ReadOnly) => {
            "is a replica, which can't be written: connect to the primary".to_owned()
        }
        ErrorKind::Server(ServerErrorKind::BusyLoading) => {
            "is loading its data: wait until it has started".to_owned()
        }
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => {
            "is a node of a cluster: enable the feature cluster, and use a URL of the form \
             redis+cluster://host:port,host:port"
                .to_owned()
        }
        _ if error.code() == Some("OOM") => {
            "has no memory left (OOM): raise maxmemory, or let it evict other keys".to_owned()
        }
        _ if error.code() == Some("NOAUTH") => "asks for a password: add it to the URL".to_owned(),
        _ if error.is_connection_refusal() => {
            "refused the connection: check that it runs, and the URL".to_owned()
        }
        _ if error.is_timeout() => "does not reply in time: check the network".to_owned(),
        _ => format!("failed: {error}"),
    }
}
