//! A local store that simulates BigCommerce's Customer Attribute Values endpoints on loopback and
//! enforces their limits. For tests, examples and benchmarks that must not use a real store.
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
//! // Point the client under test at `sandbox.base_url()`, then check what arrived.
//! assert!(sandbox.base_url().starts_with("http://127.0.0.1:"));
//! assert_eq!(sandbox.counts().requests, 0);
//! assert_eq!(sandbox.values().len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Endpoints
//!
//! The sandbox serves `GET`, `PUT` and `DELETE` on
//! `/stores/{store_hash}/v3/customers/attribute-values`, and `GET` and `POST` on
//! `/stores/{store_hash}/v3/customers/attributes` (the attribute definitions) and on
//! `/stores/{store_hash}/v3/customers`. Its state is in memory.
//!
//! | Request | Response |
//! |---|---|
//! | Malformed JSON | 400 |
//! | Missing or wrong token | 401 |
//! | PUT, POST or DELETE with a [read-only token](SandboxBuilder::read_only) | 403 |
//! | Unknown store hash or path | 404 |
//! | Unsupported method | 405 |
//! | [URL too long](SandboxBuilder::url_limit) | 414 |
//! | Wrong content type | 415 |
//! | Invalid row, filter or batch | 422 (413 for a batch that is too large, if [`TooLarge`] is set so) |
//! | Too many requests in flight, or the quota is spent | 429 |
//!
//! A value has at most 255 characters. Rows may name undefined attributes. If an attribute is
//! defined, its values must be empty or match its [type](AttributeType). A store has at most 50
//! attributes. A new attribute gets the first free ID from 101.
//!
//! Rows may also name customers that the store doesn't have. Several customers may have one e-mail
//! address, which has 3 to 255 characters if a POST creates the customer. A POST creates at most 10
//! customers. A new customer gets the next ID after the highest one. A GET of customers accepts the
//! filters `id:in`, `email:in`, `customer_group_id:in`, and both dates. Case and the spaces around an
//! address don't count in `email:in`. Customers are listed by ID: `sort` is checked, but has no
//! effect. Pages are selected by `page` or by the cursors `after` and `before`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use bigcommerce_sandbox::{EmailListSplit, Sandbox, SandboxCustomer};
//!
//! let sandbox = Sandbox::builder()
//!     .customer(7, "jane@example.com")
//!     .customers((8..1000).map(|id| (id, format!("customer{id}@example.com"))))
//!     .email_list_split(EmailListSplit::BeforeDecoding)
//!     .start()
//!     .await?;
//! sandbox.insert_customer(SandboxCustomer::new(1000, "Jane@Example.com").in_channels([2]));
//!
//! // Let the client under test look up customers by address, then check what it asked for.
//! assert_eq!(sandbox.customer_queries(), [""; 0]);
//! assert_eq!(sandbox.counts().customer_gets, 0);
//! assert_eq!(sandbox.counts().customers, 994);
//! # Ok(())
//! # }
//! ```
//!
//! Behavior that the provider doesn't document is a setting:
//!
//! | Behavior | Setting |
//! |---|---|
//! | Whether a 422 stores the valid rows | [`BatchRejection`] |
//! | How errors name the invalid row | [`ErrorKeys`] |
//! | The same customer and attribute twice in one body | [`Duplicates`] |
//! | The order of the response to a PUT | [`ResponseOrder`] |
//! | An unknown ID in a DELETE | [`UnknownId`] |
//! | The order of lists | [`ListOrder`] |
//! | What lists contain in `meta` | [`ListMeta`] |
//! | A `limit` that is too large | [`LimitTooLarge`] |
//! | Whether filters are ignored | [`ignore_filters`](SandboxBuilder::ignore_filters), [`ignore_filter`](SandboxBuilder::ignore_filter) |
//! | Fields and filters of values beyond the documented ones | [`extra_field`](SandboxBuilder::extra_field), [`extra_filter`](SandboxBuilder::extra_filter) |
//! | When `email:in` is split at its commas | [`EmailListSplit`] |
//! | Whether `email:in` distinguishes case | [`distinguish_email_case`](SandboxBuilder::distinguish_email_case) |
//! | Whether lists of customers have cursors | [`Cursors`] |
//! | The longest URL | [`url_limit`](SandboxBuilder::url_limit) |
//!
//! # How a request is handled
//!
//! 1. The request **arrives** when its headers have been read, and is counted.
//! 2. It is **admitted** or rejected, in this order: URL length (414), store hash (404), token
//!    (401, 403), requests in flight (429 without rate-limit headers, as under platform load),
//!    quota (429 with rate-limit headers).
//! 3. Its body is read, the latency passes, and the request is **executed** in one step.
//! 4. The **response** is sent. The request's in-flight slot is released before the client can see
//!    the response, so a client that respects the limit never gets a 429 for too many requests.
//!
//! If a client disconnects, its request is not cancelled. Once the body has been read, the request
//! is executed, and it counts as in flight until then.
//!
//! # Quota
//!
//! Every request that passes the checks of the token and of the requests in flight uses quota,
//! whether or not it gets a response. Responses with 401 and 403 carry rate-limit headers
//! but use no quota. Responses with 414, the 404 for an unknown store, and the 429 for too many
//! requests in flight carry no such headers. The 429 of a fault uses no quota.
//! [Another app](SandboxBuilder::other_app) can share the quota.
//!
//! # Faults
//!
//! A [`FaultPlan`] makes requests fail: at random with a seed, by a script, or all of them during
//! an outage. A [`Fault`] is drawn when a request is about to be admitted. It rejects the request
//! (the 429s), replaces its execution, changes what is stored or shown, or changes how the
//! response is sent. By default there are no faults.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};
//!
//! let plan = FaultPlan::seeded(7).rate(0.2).only([Fault::Busy, Fault::ClosedAfterWork]);
//! let sandbox = Sandbox::builder().faults(plan).start().await?;
//!
//! // Run the client under test, then end the faults and check the result.
//! sandbox.set_faults(FaultPlan::none());
//! assert_eq!(sandbox.counts().customer_overlaps, 0);
//! assert_eq!(sandbox.fault_counts().get(&Fault::Busy), None);
//! # Ok(())
//! # }
//! ```
//!
//! # Time
//!
//! The sandbox uses tokio's clock only, so latency, quota windows and the dates of values follow a
//! paused clock. Dates are the calendar time of the start plus the time elapsed on tokio's clock.
//! The only timers are the delays of requests in flight.
//!
//! A test with a paused clock needs the sandbox and its client on one current-thread runtime, and
//! tokio 1.53.3 or later (or 1.51.6). With earlier versions the clock jumps to the next timer, such
//! as a client's timeout, while data is in transit.

// Compiles the README's example as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod active_fault;
mod admitted_request;
mod attributes;
mod builder;
mod busy_customers;
mod busy_guard;
mod cdnow;
mod clock;
mod counts;
mod dates;
mod definitions;
mod delete;
mod extra_fields;
mod fault;
mod fault_injection;
mod fault_plan;
mod fault_schedule;
mod faulty_body;
mod filter;
mod in_flight_slot;
mod json;
mod list;
mod other_app;
mod page_cache;
mod paging;
mod query;
mod quota;
mod random;
mod response_faults;
mod rows;
mod sandbox;
mod server;
mod settings;
mod state;
mod store;
mod target;
mod upsert;
mod wire;

pub use attributes::{AttributeType, StoredAttribute};
pub use builder::SandboxBuilder;
pub use counts::Counts;
pub use fault::{Fault, Operation, UnknownFault};
pub use fault_plan::FaultPlan;
pub use sandbox::Sandbox;
pub use settings::{
    BatchRejection, Cursors, Duplicates, EmailListSplit, ErrorKeys, LimitTooLarge, ListMeta,
    ListOrder, ResponseOrder, TooLarge, UnknownId,
};
pub use store::{SandboxCustomer, StoredCustomer, StoredValue};
