//! A local store that plays BigCommerce's Customer Attribute Values endpoints on loopback, limits
//! included, for tests, examples and benchmarks that must not touch a real store.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use std::time::Duration;
//!
//! use bigcommerce_sandbox::Sandbox;
//!
//! let sandbox = Sandbox::builder()
//!     .latency(Duration::from_millis(20))
//!     .quota(150, Duration::from_secs(30))
//!     .start()
//!     .await?;
//! sandbox.insert(2048, 101, "Yes");
//!
//! // Point the client under test at `sandbox.base_url()`, then look at what arrived.
//! assert!(sandbox.base_url().starts_with("http://127.0.0.1:"));
//! assert_eq!(sandbox.counts().requests, 0);
//! assert_eq!(sandbox.values().len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # What it plays
//!
//! `GET`, `PUT` and `DELETE` on `/stores/{store_hash}/v3/customers/attribute-values`, and `GET` and
//! `POST` on `/stores/{store_hash}/v3/customers/attributes`, which are the attributes' definitions,
//! with state in memory. Another store hash or path is a 404, another method a 405, a missing or
//! wrong token a 401, a write with a [token to read](SandboxBuilder::read_only) a 403, another
//! content type a 415, malformed JSON a 400, and whatever is readable but not acceptable a 422 (413
//! where a batch is too large and [`TooLarge`] says so).
//!
//! A row need not name an attribute that is defined; where it does, its value must be empty or of
//! the attribute's [type](AttributeType). A store has 50 at most, and their IDs are the first
//! free ones from 101 up.
//!
//! What the provider leaves open is a setting of [`SandboxBuilder`]: whether a 422 stores the good
//! rows ([`BatchRejection`]), how errors name the bad row ([`ErrorKeys`]), what the same customer
//! and attribute twice in one body do ([`Duplicates`]), in which order a PUT answers
//! ([`AnswerOrder`]), what an unknown ID does in a DELETE ([`UnknownId`]), in which order a GET
//! lists values ([`ListOrder`]), what its pages say about themselves ([`ListMeta`]), what too large
//! a `limit` does ([`LimitTooLarge`]), whether it
//! [knows any filter](SandboxBuilder::ignore_filters), and
//! [how long a URL](SandboxBuilder::url_limit) may be.
//!
//! # How a request is handled
//!
//! 1. It **arrives** when its headers are read, and is counted.
//! 2. It is **admitted**, or refused at once: length of the URL (414), unknown store (404), token
//!    (401, 403), requests in flight (429 without rate-limit headers, as under platform load),
//!    quota (429 with them).
//! 3. Its body is read and the latency is waited. Then the **work** is done, all of it at once.
//! 4. It is **answered**. Its place among the requests in flight is free before the client can see
//!    the answer, so a client that keeps to the limit never meets the 429.
//!
//! Handling does not end with the connection: a request whose body was read is worked on to its
//! end, and counts as in flight until then, even if the client has gone.
//!
//! # What the quota counts
//!
//! Every request that got past the token and the in-flight limit, whatever it is answered, or
//! whether it is. A 401 or 403 carries the rate-limit headers and takes nothing; a 414, an unknown
//! store and the 429 of the in-flight limit carry none. A 429 that is a fault takes nothing either.
//! [Another app](SandboxBuilder::other_app) can share the quota.
//!
//! # What goes wrong
//!
//! Nothing, unless a [`FaultPlan`] says so: at random by a seed, by a script, or all of it for a
//! while. A [`Fault`] is drawn when a request would be admitted; it refuses it there (the 429s),
//! or comes instead of the work, into it, or between it and the answer.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};
//!
//! let plan = FaultPlan::seeded(7).rate(0.2).only([Fault::Busy, Fault::ClosedAfterWork]);
//! let sandbox = Sandbox::builder().faults(plan).start().await?;
//!
//! // Let the client under test do its work, then end the chaos and look at what it came to.
//! sandbox.set_faults(FaultPlan::none());
//! assert_eq!(sandbox.counts().customer_overlaps, 0);
//! assert_eq!(sandbox.fault_counts().get(&Fault::Busy), None);
//! # Ok(())
//! # }
//! ```
//!
//! # Time
//!
//! Only tokio's clock is read, so everything here follows a paused clock: latency, quota windows
//! and the dates of values, which are the calendar time of the start plus what tokio's clock says
//! has gone by. The sandbox keeps no timer but the waits of the requests in flight.
//!
//! A test with a paused clock needs the sandbox and its client on one current-thread runtime, and
//! tokio 1.53.3 or later (or 1.51.6): before, the clock leaps to the next timer, such as a client's
//! timeout, while bytes are on their way.

// The README's example is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod attributes;
mod body;
mod builder;
mod clock;
mod counts;
mod dates;
mod definitions;
mod delete;
mod fault;
mod filter;
mod json;
mod limits;
mod list;
mod lists;
mod other_app;
mod overlap;
mod paging;
mod plan;
mod play;
mod query;
mod random;
mod rows;
mod sandbox;
mod server;
mod settings;
mod state;
mod store;
mod twist;
mod upsert;
mod wire;
mod work;

pub use attributes::{AttributeType, StoredAttribute};
pub use builder::SandboxBuilder;
pub use counts::Counts;
pub use fault::{Fault, Operation, UnknownFault};
pub use plan::FaultPlan;
pub use sandbox::Sandbox;
pub use settings::{
    AnswerOrder, BatchRejection, Duplicates, ErrorKeys, LimitTooLarge, ListMeta, ListOrder,
    TooLarge, UnknownId,
};
pub use store::StoredValue;
