//! Typed bindings for BigCommerce's [Customer Attribute Values][reference] endpoints, and for those
//! that list and create the attributes.
//!
//! `build.rs` generates [`Client`], its request [`builder`]s and the [`types`] from an OpenAPI
//! document: the one vendored in `bigcommerce-openapi`, or the one that the environment variable
//! `BIGCOMMERCE_OPENAPI` names (an absolute path, YAML or JSON).
//!
//! This crate sends one request per call and knows no limits. For any number of values, in step
//! with the provider's limits, use `bigcommerce-ext`, which stands on top of it.
//!
//! ```no_run
//! use bigcommerce_sdk::{Client, Credentials, types::AttributeValueUpsert};
//!
//! # async fn program() -> Result<(), Box<dyn std::error::Error>> {
//! let credentials = Credentials::new("the access token")?;
//! let client = Client::new("https://api.bigcommerce.com/stores/abc123/v3", credentials)?;
//! let row: AttributeValueUpsert = AttributeValueUpsert::builder()
//!     .customer_id(2048)
//!     .attribute_id(101)
//!     .value("Yes")
//!     .try_into()?;
//! let page = client.upsert_attribute_values().body(vec![row]).send().await?;
//! println!("{} values stored", page.data.len());
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! - `rustls` (default) or `native-tls`: who does TLS. Without either, only plain `http` is possible.
//! - `http2`: HTTP/2, where the server speaks it.
//! - `httpmock`: typed mocks of the operations, for tests against an `httpmock` server.
//!
//! [reference]: https://developer.bigcommerce.com/docs/rest-management/customers/customer-attribute-values

// Feature badges, on docs.rs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod credentials;
mod hooks;
mod id_list;
mod transport;

// The generator leaves some public items without documentation or its `# Errors`, and brings a
// prelude that this crate does not pass on.
#[allow(missing_docs, unused_imports, clippy::missing_errors_doc)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/client.rs"));
}

/// Typed mocks of the operations for an `httpmock` server.
#[cfg(feature = "httpmock")]
// Generated like the client: some public items come without documentation, and regular
// expressions that are known to compile are unwrapped.
#[allow(missing_docs, clippy::unwrap_used)]
pub mod httpmock {
    include!(concat!(env!("OUT_DIR"), "/httpmock.rs"));
}

pub use credentials::{Credentials, InvalidToken};
pub use generated::{ByteStream, Client, ClientInfo, Error, ResponseValue, builder, types};
pub use hooks::{ResponseHead, ResponseRecorder};
pub use id_list::IdList;
pub use transport::harden;

// Compiles the first program that the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
