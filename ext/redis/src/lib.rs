//! Shares the limits of [`bigcommerce-ext`](bigcommerce_ext) between processes, through Redis.
//!
//! The limits of a store hold for all of its clients: 3 requests at a time, and one quota. Processes
//! that are given the same Redis keep to them together, first come, first served.
//!
//! ```no_run
//! use bigcommerce_ext::Store;
//! use bigcommerce_ext_redis::RedisLimiter;
//!
//! # async fn program() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = RedisLimiter::connect("redis://cache.internal:6379").await?;
//! let store = Store::builder("abc123", "the access token")
//!     .limiter(limiter)
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//!
//! [`SharedLimits`](bigcommerce_ext::limiter::SharedLimits) has the settings: what to do while Redis
//! can't be reached, whether to lease customers, and the name of the process.
//!
//! ```no_run
//! use bigcommerce_ext::Store;
//! use bigcommerce_ext::limiter::{OnUnreachable, SharedLimits};
//! use bigcommerce_ext_redis::RedisLimiter;
//!
//! # async fn program() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = RedisLimiter::connect("redis://cache.internal:6379").await?;
//! let limits = SharedLimits::new(limiter)
//!     .process_name("nightly")
//!     .lease_customers()
//!     .on_unreachable(OnUnreachable::Stop);
//! let store = Store::builder("abc123", "the access token")
//!     .limiter(limits)
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! What is promised, with Redis and without it, is in
//! [the documentation of the limits](bigcommerce_ext::limiter).
//!
//! # What Redis needs
//!
//! - Redis 6.2 or later, or Valkey. One key per store, of some kilobytes, which expires ten minutes after
//!   its last use.
//! - A user with rights to `EVALSHA`, `SCRIPT LOAD`, `GET`, `SET`, `TIME`, `PUBLISH`, `SUBSCRIBE` and
//!   `PING`, and to `SELECT` if the URL names a database, for the keys `bigcommerce:*` and the channels `bigcommerce:*`. Without the rights to the
//!   channels, waiting processes ask every 50 ms, and a warning says so.
//! - `maxmemory-policy noeviction`, or memory enough. An evicted key is restored from what the processes
//!   know; for 2 s, each has its local share of requests in flight (default 1).
//! - A connection for messages per store and process, as long as a `Store` has sent something and exists.
//!
//! The key contains the names of the processes, and with `lease_customers` IDs of customers; it contains no
//! secrets. Whoever can write it can delay all requests.
//!
//! # Distance
//!
//! Each request waits for one or two round trips to Redis, during which its place is idle, and a run gets at
//! most one lease per round trip. Processes that compete take about four operations per request. Keep Redis
//! within a millisecond of the processes; `benches/README.md` has measurements.
//!
//! # Features
//!
//! - `rustls` (default): TLS (`rediss://`) by rustls, with aws-lc as its crypto provider unless the
//!   program has installed another one as the default of the process before it creates a [`RedisLimiter`]. Enable either this one or
//!   `native-tls`: with both, `rediss://` is refused.
//! - `rustls-no-provider`: the same, with the crypto provider that the program installs.
//! - `native-tls`: TLS by the operating system's library.
//! - `cluster`: Redis Cluster, by URLs such as `redis+cluster://one:6379,two:6379`. All keys of a store
//!   have one hash tag.

// Feature badges, on docs.rs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod error;
mod limiter;
mod notices;

pub use limiter::RedisLimiter;
