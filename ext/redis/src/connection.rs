//! Connections to one Redis, or to a cluster.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bigcommerce_ext::limiter::PlaceError;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, FromRedisValue, RedisResult};
use redis::{Script, ScriptInvocation};
use tokio::runtime::{self, Handle};
use tokio::time::timeout;

use crate::error::place_error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The number of connections that are kept while they are idle.
const MAX_IDLE: usize = 4;

/// The connections to a Redis.
pub(crate) struct Connections {
    name: String,
    server: Server,
    /// A connection is taken for each operation and put back after it, so that one whose operation was
    /// dropped or has failed is never used again. Only the runtime that opened a connection uses it: another
    /// one may end or stand still.
    idle: Mutex<Vec<(runtime::Id, Connection)>>,
}

enum Server {
    Single(Client),
    #[cfg(feature = "cluster")]
    // Boxed, because it is far larger than a client.
    Cluster {
        client: Box<redis::cluster::ClusterClient>,
        node: Client,
    },
}

enum Connection {
    Single(MultiplexedConnection),
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Server {
    /// Returns a node: what is published on one of them reaches all.
    fn node(&self) -> &Client {
        match self {
            Self::Single(client) => client,
            #[cfg(feature = "cluster")]
            Self::Cluster { node, .. } => node,
        }
    }
}

impl Connections {
    /// Parses a URL. Connects to nothing.
    pub(crate) fn new(url: &str) -> Result<Self, PlaceError> {
        #[cfg(feature = "cluster")]
        if let Some((scheme, nodes)) = cluster_nodes(url) {
            return Self::of_cluster(scheme, &nodes);
        }
        let client = open(url)?;
        Ok(Self {
            name: format!("Redis at {}", address(&client)),
            server: Server::Single(client),
            idle: Mutex::default(),
        })
    }

    #[cfg(feature = "cluster")]
    fn of_cluster(scheme: &str, nodes: &[String]) -> Result<Self, PlaceError> {
        let urls: Vec<_> = nodes
            .iter()
            .map(|node| format!("{scheme}://{node}"))
            .collect();
        let clients = urls
            .iter()
            .map(|url| open(url))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(node) = clients.first().cloned() else {
            return Err(invalid_url("it names no node of the cluster"));
        };
        let addresses: Vec<_> = clients.iter().map(address).collect();
        let name = format!("Redis Cluster at {}", addresses.join(", "));
        let client = redis::cluster::ClusterClient::builder(urls)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(RESPONSE_TIMEOUT)
            .retries(1)
            .build()
            .map_err(|error| place_error(&name, error))?;
        Ok(Self {
            name,
            server: Server::Cluster {
                client: Box::new(client),
                node,
            },
            idle: Mutex::default(),
        })
    }

    /// Returns the name for messages, without user name and password.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a script with these keys and arguments.
    pub(crate) async fn invoke<T: FromRedisValue>(
        &self,
        script: &Script,
        prepare: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> Result<T, PlaceError> {
        let mut invocation = script.prepare_invoke();
        prepare(&mut invocation);
        let runtime = Handle::current().id();
        let mut connection = match self.take_idle(runtime) {
            Some(connection) => connection,
            None => self.connect().await.map_err(|error| self.error(error))?,
        };
        let result = match &mut connection {
            Connection::Single(connection) => invocation.invoke_async(connection).await,
            #[cfg(feature = "cluster")]
            Connection::Cluster(connection) => invocation.invoke_async(connection).await,
        };
        let value = result.map_err(|error| self.error(error))?;
        let mut idle = self.lock();
        if MAX_IDLE <= idle.len() {
            // The oldest may be of a runtime that has ended.
            idle.remove(0);
        }
        idle.push((runtime, connection));
        Ok(value)
    }

    fn take_idle(&self, runtime: runtime::Id) -> Option<Connection> {
        let mut idle = self.lock();
        let index = idle.iter().rposition(|(id, _)| *id == runtime)?;
        Some(idle.remove(index).1)
    }

    /// Opens a connection that subscribes to a channel.
    pub(crate) async fn subscribe(&self, channel: &str) -> Result<PubSub, PlaceError> {
        let subscribe = async {
            let mut connection = self.server.node().get_async_pubsub().await?;
            connection.subscribe(channel).await?;
            RedisResult::Ok(connection)
        };
        match timeout(RESPONSE_TIMEOUT, subscribe).await {
            Ok(result) => result.map_err(|error| self.error(error)),
            Err(_) => Err(PlaceError::new(format!(
                "{} does not reply in time",
                self.name
            ))),
        }
    }

    async fn connect(&self) -> RedisResult<Connection> {
        match &self.server {
            Server::Single(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(Some(RESPONSE_TIMEOUT));
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                Ok(Connection::Single(connection.await?))
            }
            #[cfg(feature = "cluster")]
            Server::Cluster { client, .. } => {
                Ok(Connection::Cluster(client.get_async_connection().await?))
            }
        }
    }

    fn error(&self, error: redis::RedisError) -> PlaceError {
        place_error(&self.name, error)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(runtime::Id, Connection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client contains the password.
        f.debug_struct("Connections")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn open(url: &str) -> Result<Client, PlaceError> {
    // The parser's message may repeat the URL, and with it the password.
    let client = Client::open(url).map_err(|_| invalid_url("it can't be parsed"))?;
    if let ConnectionAddr::TcpTls { .. } = client.get_connection_info().addr() {
        require_tls()?;
    }
    Ok(client)
}

fn invalid_url(why: &str) -> PlaceError {
    PlaceError::new(format!(
        "invalid Redis URL: {why}; expected a URL such as redis://user:password@host:6379/0, or \
         rediss:// with TLS"
    ))
}

/// With both features, the crate `redis` uses rustls, and trusts no certificate.
#[cfg(all(feature = "rustls-no-provider", feature = "native-tls"))]
fn require_tls() -> Result<(), PlaceError> {
    Err(PlaceError::new(
        "TLS to Redis works with one of the features rustls and native-tls of bigcommerce-ext-redis: \
         disable the other one",
    ))
}

/// Checks that TLS can be used: rustls panics without a crypto provider.
#[cfg(all(feature = "rustls-no-provider", not(feature = "native-tls")))]
fn require_tls() -> Result<(), PlaceError> {
    use rustls::crypto::CryptoProvider;

    #[cfg(feature = "rustls")]
    if CryptoProvider::get_default().is_none() {
        // Another thread may have installed one meanwhile, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    match CryptoProvider::get_default() {
        Some(_) => Ok(()),
        None => Err(PlaceError::new(
            "rustls has no crypto provider: install one before you connect, for example with \
             rustls::crypto::ring::default_provider().install_default(), or enable the feature rustls",
        )),
    }
}

#[cfg(not(feature = "rustls-no-provider"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the same signature as with rustls"
)]
fn require_tls() -> Result<(), PlaceError> {
    Ok(())
}

/// Returns host and port, or the path of the socket, and the number of the database.
fn address(client: &Client) -> String {
    let info = client.get_connection_info();
    let address = match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            format!("{host}:{port}")
        }
        ConnectionAddr::Unix(path) => path.display().to_string(),
        other => other.to_string(),
    };
    match info.redis_settings().db() {
        0 => address,
        number => format!("{address}/{number}"),
    }
}

/// Returns the scheme of the nodes of a cluster, and the nodes with user name and password, if the URL
/// is one of a cluster.
#[cfg(feature = "cluster")]
fn cluster_nodes(url: &str) -> Option<(&'static str, Vec<String>)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "redis+cluster" | "valkey+cluster" => "redis",
        "rediss+cluster" | "valkeys+cluster" => "rediss",
        _ => return None,
    };
    let (user, hosts) = match rest.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), rest),
    };
    let hosts = hosts.trim_end_matches('/').split(',');
    let hosts = hosts.filter(|host| !host.is_empty());
    Some((scheme, hosts.map(|host| format!("{user}{host}")).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_passwords() {
        for (url, name) in [
            (
                "redis://u:p4ss@localhost:7000/3",
                "Redis at localhost:7000/3",
            ),
            ("redis://127.0.0.1", "Redis at 127.0.0.1:6379"),
            ("valkey://127.0.0.1:1", "Redis at 127.0.0.1:1"),
            (
                "redis+unix:///run/redis.sock?pass=p4ss",
                "Redis at /run/redis.sock",
            ),
        ] {
            let connections = Connections::new(url).expect(url);
            assert_eq!(connections.name(), name);
            assert!(!format!("{connections:?}").contains("p4ss"));
        }
    }

    #[test]
    fn invalid_urls_are_not_repeated() {
        for url in ["redis://u:p4ss@host:port", "http://u:p4ss@host", "p4ss", ""] {
            let error = Connections::new(url).expect_err(url);
            let text = format!("{error} {error:?}");
            assert!(
                text.contains("invalid Redis URL") && !text.contains("p4ss"),
                "{text}"
            );
        }
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn a_cluster_has_many_nodes() {
        let url = "redis+cluster://u:p4ss@one:7000,two:7001/";
        let connections = Connections::new(url).expect("a cluster");
        assert_eq!(connections.name(), "Redis Cluster at one:7000, two:7001");
        assert!(Connections::new("redis+cluster://").is_err());
    }
}
