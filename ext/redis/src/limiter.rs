//! The place in Redis.

use std::fmt;
use std::sync::{Arc, LazyLock};

use bigcommerce_ext::limiter::{
    LimiterPlace, LimiterStatus, Notices, PlaceError, PlaceFuture, PlaceReply, Swap,
};
use futures_util::stream;
use redis::Script;

use crate::connection::Connections;
use crate::notices::Subscription;

/// What all keys and channels begin with.
const PREFIX: &str = "bigcommerce:";

static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("read.lua")));
static SWAP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("swap.lua")));

/// What the scripts return: whether the value was replaced, the seconds and microseconds of the time, the
/// value, and why a channel could not be reached.
type ScriptReply = (u8, u64, u64, Option<String>, Option<String>);

/// A place for shared limits in Redis, Valkey, or a Redis Cluster. Cloning is cheap; clones share
/// connections.
///
/// Pass it to [`StoreBuilder::limiter`](bigcommerce_ext::StoreBuilder::limiter). It can serve any number
/// of stores.
#[derive(Clone)]
pub struct RedisLimiter {
    connections: Arc<Connections>,
}

impl RedisLimiter {
    /// Connects to the Redis at this URL.
    ///
    /// URLs are `redis://[user:password@]host[:port][/database]`, `rediss://` with TLS, `valkey://`,
    /// `valkeys://`, `redis+unix:///path`, and with the feature `cluster`
    /// `redis+cluster://[user:password@]host:port,host:port` or `rediss+cluster://`.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is invalid, or if Redis can't be reached or refuses the user. The
    /// error names the host and the cause, and no password.
    pub async fn connect(url: &str) -> Result<Self, PlaceError> {
        let limiter = Self::lazy(url)?;
        limiter.read("connect").await?;
        Ok(limiter)
    }

    /// Creates a limiter that connects when it is first used, for a program that must start while Redis
    /// is down.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is invalid.
    pub fn lazy(url: &str) -> Result<Self, PlaceError> {
        Ok(Self {
            connections: Arc::new(Connections::new(url)?),
        })
    }

    /// Returns who holds what of a store's limits, the quota, and who waits.
    ///
    /// `store` is the store's hash, or its base URL if it has another one than the provider's. No
    /// access token is needed. Reads one key.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis can't be reached, or if another release has written the key.
    pub async fn status(&self, store: &str) -> Result<LimiterStatus, PlaceError> {
        LimiterStatus::read(self, store).await
    }

    fn to_reply(reply: ScriptReply) -> PlaceReply {
        let (is_swapped, seconds, microseconds, value, wake_error) = reply;
        let now_ms = seconds * 1000 + microseconds / 1000;
        match is_swapped {
            0 => PlaceReply::found(now_ms, value),
            _ => PlaceReply::swapped(now_ms, wake_error),
        }
    }
}

impl LimiterPlace for RedisLimiter {
    fn name(&self) -> String {
        self.connections.name().to_owned()
    }

    fn read<'a>(&'a self, key: &'a str) -> PlaceFuture<'a, PlaceReply> {
        Box::pin(async move {
            let reply = self.connections.invoke(&READ, |script| {
                script.key(format!("{PREFIX}{key}"));
            });
            Ok(Self::to_reply(reply.await?))
        })
    }

    fn swap<'a>(&'a self, key: &'a str, swap: Swap<'a>) -> PlaceFuture<'a, PlaceReply> {
        Box::pin(async move {
            let reply = self.connections.invoke(&SWAP, |script| {
                script
                    .key(format!("{PREFIX}{key}"))
                    .arg(u8::from(swap.expected.is_some()))
                    .arg(swap.expected.unwrap_or_default())
                    .arg(swap.new)
                    .arg(swap.keep_ms.max(1));
                for &member in swap.wake {
                    script.arg(channel_of(key, member));
                }
            });
            Ok(Self::to_reply(reply.await?))
        })
    }

    fn notices<'a>(&'a self, key: &'a str, member: u64) -> Notices<'a> {
        let subscription = Subscription::new(&self.connections, channel_of(key, member));
        Box::pin(stream::unfold(
            subscription,
            |mut subscription| async move {
                let notice = subscription.next().await;
                Some((notice, subscription))
            },
        ))
    }
}

/// Returns the channel of a member.
fn channel_of(key: &str, member: u64) -> String {
    format!("{PREFIX}{key}:{member:x}")
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisLimiter")
            .field(&self.connections.name())
            .finish()
    }
}
