//! Upserts, lists and deletes any number of BigCommerce customer attribute values.
//!
//! The provider's Customer Attribute Values endpoints accept 10 customers per call and 3 requests
//! at a time, within a quota that all apps of a store share. This crate groups rows into calls,
//! keeps these limits, retries failed requests, and reports exactly one outcome for each row.
//!
//! All work starts from a [`Store`]:
//!
//! | To | Call |
//! |---|---|
//! | upsert a few values | [`Store::upsert`], [`Upsert::send`] |
//! | upsert any number of values | [`Store::upsert`], [`Upsert::stream`] |
//! | list values | [`Store::list`], [`List::stream`] |
//! | delete values | [`Store::delete`], [`Delete::send`] or [`Delete::stream`] |
//! | list, create, rename or delete attributes | [`Store::attributes`] |
//!
//! # Upsert a few values
//!
//! ```
//! use bigcommerce_ext::Store;
//! use bigcommerce_sandbox::Sandbox;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::builder().start().await?; // for a real store: Store::from_env()
//! let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
//!
//! let report = store
//!     .upsert()
//!     .customer(2048, [(101, "Yes"), (102, "Blue"), (103, "Premium Member")])
//!     .send()
//!     .await?;
//! assert_eq!(report.summary().stored, 3);
//! # Ok(())
//! # }
//! ```
//!
//! # Upsert any number of values
//!
//! The rows come from any stream. Memory does not grow with their number.
//!
//! ```
//! use bigcommerce_ext::{Store, UpsertRow};
//! use futures::{StreamExt, stream};
//! # use bigcommerce_sandbox::Sandbox;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = Sandbox::builder().start().await?;
//! # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
//! let rows = stream::iter((1..=1000).map(|id| UpsertRow::new(id, 101, "Gold")));
//! let mut outcomes = store.upsert().stream(rows);
//! while let Some(outcome) = outcomes.next().await {
//!     if let Some(error) = outcome.error() {
//!         eprintln!("row {}: {error}", outcome.index);
//!     }
//! }
//! assert_eq!(outcomes.summary().to_string(),
//!     "100 requests: 1000 stored, 0 superseded, 0 rejected, 0 unknown, 0 not sent");
//! # Ok(())
//! # }
//! ```
//!
//! # Name customers by e-mail address
//!
//! A text is an e-mail address, and [`CustomerKey::external`] the ID of another system; see
//! [`Upsert`](Upsert#customers-by-e-mail-address-or-external-id).
//!
//! ```
//! use bigcommerce_ext::Store;
//! # use bigcommerce_sandbox::Sandbox;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = Sandbox::builder().customer(2048, "jane@example.com").start().await?;
//! # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
//! let report = store.upsert().customer("Jane@example.com", [(101, "Gold")]).send().await?;
//! let row = report.outcomes()[0].row.as_ref();
//! assert_eq!(row.and_then(|row| row.customer_id()), Some(2048));
//! # Ok(())
//! # }
//! ```
//!
//! # List values
//!
//! Values come in the order of their pages. Several pages are fetched at a time.
//!
//! ```
//! use bigcommerce_ext::Store;
//! use futures::TryStreamExt;
//! # use bigcommerce_sandbox::Sandbox;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = Sandbox::builder().start().await?;
//! # for customer in 2048..=2050 {
//! #     sandbox.insert(customer, 101, "Gold");
//! # }
//! # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
//! let values: Vec<_> = store.list().customers([2048, 2049]).stream().try_collect().await?;
//! assert_eq!(values.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # Delete values
//!
//! Values are deleted by their IDs, or by the same conditions as a list.
//!
//! ```
//! use bigcommerce_ext::Store;
//! # use bigcommerce_sandbox::Sandbox;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = Sandbox::builder().start().await?;
//! # let other = sandbox.insert(2049, 101, "Gold");
//! # sandbox.insert(2048, 101, "Gold");
//! # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
//! let report = store.delete().ids([other]).send().await?;
//! assert_eq!(report.summary().deleted, 1);
//!
//! let report = store.delete().customers([2048]).attributes([101]).send().await?;
//! assert_eq!(report.summary().deleted, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Use attribute names, and skip unchanged values
//!
//! [`Attributes::ensure`] creates attributes that are missing. [`Upsert::skip_unchanged`] sends
//! only the rows that differ from the store's values.
//!
//! ```
//! use bigcommerce_ext::Store;
//! use bigcommerce_ext::sdk::types::AttributeType;
//! # use bigcommerce_sandbox::Sandbox;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = Sandbox::builder().start().await?;
//! # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
//! store.attributes().ensure([("Points", AttributeType::Number)]).await?;
//! for expected in ["1 stored", "0 stored, 1 unchanged"] {
//!     let points = store.upsert().skip_unchanged().customer(2048, [("Points", 30)]);
//!     let report = points.send().await?;
//!     assert!(report.summary().to_string().contains(expected));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Rows from a source, and what becomes of them
//!
//! A row carries a payload through the run, and `None` as its value deletes the store's value.
//!
//! ```
//! use bigcommerce_ext::{Store, UpsertRow};
//! use futures::{StreamExt, stream};
//! # use bigcommerce_sandbox::Sandbox;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = Sandbox::builder().start().await?;
//! # sandbox.insert(2049, 101, "Silver");
//! # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
//! let source = [("A-17", 2048, Some("Gold")), ("A-18", 2049, None)];
//! let rows = source.map(|(key, customer, tier)| {
//!     UpsertRow::new(customer, 101, tier).with_payload(key)
//! });
//! let mut outcomes = store.upsert().stream(stream::iter(rows));
//! while let Some(outcome) = outcomes.next().await {
//!     let kind = outcome.kind.as_str();
//!     if let Some(key) = outcome.into_payload() {
//!         println!("{key}: {kind}");
//!     }
//! }
//! assert_eq!((outcomes.summary().stored, outcomes.summary().deleted), (1, 1));
//! # Ok(())
//! # }
//! ```
//!
//! # Settings of one run
//!
//! Each run, list and lookup has a retry policy, a deadline, a stop and an observer of its own.
//!
//! ```
//! use std::time::Duration;
//! use bigcommerce_ext::chrono::{Days, Utc};
//! use bigcommerce_ext::{RetryPolicy, Store};
//! use futures::TryStreamExt;
//! # use bigcommerce_sandbox::Sandbox;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = Sandbox::builder().attribute(101, "Loyalty tier").start().await?;
//! # sandbox.insert(2048, 101, "Gold");
//! # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
//! let yesterday = Utc::now().checked_sub_days(Days::new(1)).ok_or("no yesterday")?;
//! let list = store.list().attributes(["Loyalty tier"]).modified_since(yesterday);
//! let list = list.retry(RetryPolicy::default().max_attempts(3)).deadline(Duration::from_secs(60));
//! let values: Vec<_> = list.stream().try_collect().await?;
//!
//! let attributes = store.attributes().observe(|event| println!("{event:?}"));
//! let attributes = attributes.stop_when(async { std::future::pending().await });
//! assert_eq!(attributes.list().await?.len(), 1);
//! store.delete().attributes(["Loyalty tier"]).deadline(Duration::from_secs(60)).send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! An [`Error`] says what failed, why, and what to do. Its kind and its parts are for programs.
//!
//! ```
//! use bigcommerce_ext::{ErrorKind, Store, UpsertRow};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = bigcommerce_sandbox::Sandbox::builder().start().await?;
//! # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
//! let rows = [UpsertRow::new(2048, 101, "Gold"), UpsertRow::new(0, 101, "Gold")];
//! let report = store.upsert().rows(rows).send().await?;
//! let error = report.outcomes()[1].error().expect("an invalid row");
//! assert_eq!((error.kind(), error.kind().as_str()), (ErrorKind::InvalidRow, "invalid_row"));
//! assert_eq!(error.to_string(), "row 1: customer_id is 0: an ID is 1 or more");
//! assert_eq!(error.reason(), "customer_id is 0: an ID is 1 or more"); // equal for equal rows
//! # Ok(())
//! # }
//! ```
//!
#![cfg_attr(
    feature = "schemars",
    doc = r##"
# JSON

With the feature `serde`, rows are read and written as JSON, and outcomes, reports, errors and events
are written. With `schemars`, these types have a JSON Schema.

```
use bigcommerce_ext::{Outcome, Store, UpsertRow};
use futures::{StreamExt, stream};

# #[tokio::main(flavor = "current_thread")]
# async fn main() -> Result<(), Box<dyn std::error::Error>> {
# let sandbox = bigcommerce_sandbox::Sandbox::builder().start().await?;
# let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
let lines = r#"{"customer": 2048, "attribute": 101, "value": "Gold", "tag": "line 1"}"#;
let rows = lines.lines().map(serde_json::from_str::<UpsertRow>);
let outcomes: Vec<Outcome> = store.upsert().stream(stream::iter(rows)).collect().await;
let json = serde_json::to_value(&outcomes[0])?;
assert_eq!((&json["kind"], &json["row"]["tag"]), (&"stored".into(), &"line 1".into()));
let schema = schemars::schema_for!(Outcome);
assert_eq!(schema.get("title"), Some(&"Outcome".into()));
# Ok(())
# }
```
"##
)]
//! # Features
//!
//! One of the first three is needed for `https`. If several are enabled, `native-tls` is used.
//!
//! - `rustls` (default): TLS by rustls, with aws-lc as its crypto provider.
//! - `rustls-no-provider`: TLS by rustls, with the crypto provider that the program installs; see
//!   below.
//! - `native-tls`: TLS by the operating system's library.
//! - `http2`: HTTP/2, if the server supports it.
//! - `serde`: rows as JSON in and out; outcomes, reports, errors and events as JSON out.
//! - `schemars`: the JSON Schema of what `serde` writes.
//! - `testing`: the module `testing`, with errors, outcomes, reports and events from parts.
//!
//! ## Another crypto provider
//!
//! To use ring instead of aws-lc, depend on rustls and disable the default features of this crate:
//!
//! ```toml
//! [dependencies]
//! bigcommerce-ext = { version = "0.1", default-features = false, features = ["rustls-no-provider"] }
//! rustls = { version = "0.23", default-features = false, features = ["ring"] }
//! ```
//!
//! Then call `rustls::crypto::ring::default_provider().install_default()` once, before the first
//! store is built. Without an installed provider, [`StoreBuilder::build`] returns an error, unless
//! the builder given to [`StoreBuilder::http`] has TLS settings of its own. If that builder has none
//! and the program is compiled with `panic = "abort"`, reqwest aborts the program instead. The error
//! also appears if only another crate of the program enables reqwest's own TLS features. In that
//! case, enable the feature `rustls` or `native-tls` here.

// Feature badges, on docs.rs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
mod batch;
mod client;
mod credentials;
mod custom_fields;
mod customer_key;
mod customers;
mod date_filter;
mod delete;
mod error;
mod event;
mod id_set;
#[cfg(feature = "serde")]
mod json;
mod list;
mod mirror;
mod normalization;
mod outcome;
mod resends;
mod row;
mod run;
mod staging;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod upsert;
mod value;

/// Limits that several processes share.
///
/// The limits of a store hold for all processes that are given the same place, for example Redis with
/// the crate `bigcommerce-ext-redis`. Without one, each process applies them by itself.
pub mod limiter {
    pub use crate::client::limiter::{
        LeaseStatus, LimiterPlace, LimiterStatus, Notice, Notices, OnUnreachable, PlaceError,
        PlaceFuture, PlaceReply, QuotaStatus, SharedLimits, Sharing, Swap,
    };
}

pub use bigcommerce_sdk as sdk;
pub use chrono;
pub use reqwest;

pub use attributes::Attributes;
pub use client::{Limits, OnOutage, RetryPolicy};
pub use credentials::AccessToken;
pub use custom_fields::IntoRecord;
pub use customer_key::CustomerKey;
pub use customers::{CustomerList, Customers};
pub use date_filter::DateFilter;
pub use delete::Delete;
pub use error::{Error, ErrorKind};
pub use event::{Event, WaitReason};
pub use list::{List, Page, Pages, Values};
pub use mirror::{
    DeletedValue, Difference, Differences, Mirror, MirrorOutcome, MirrorReport, MirrorSummary,
    Mirroring,
};
pub use outcome::{Outcome, OutcomeKind, Report, Summary};
pub use row::{IntoRow, Row};
pub use run::Outcomes;
pub use store::{
    ACCESS_TOKEN_VARIABLE, BASE_URL_VARIABLE, Idempotent, STORE_HASH_VARIABLE, Store, StoreBuilder,
};
pub use upsert::Upsert;
pub use value::{AttributeKey, UpsertRow, Value};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
