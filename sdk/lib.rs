//! Typed bindings for BigCommerce's [Customer Attribute Values][reference] endpoints, for the
//! endpoints that list, create, rename and delete the attributes themselves, and for the endpoint that
//! lists customers.
//!
//! `build.rs` generates [`Client`], its request [`builder`]s and the [`types`] from an OpenAPI
//! document. By default this is the document vendored in `bigcommerce-openapi`. To use another one,
//! set the environment variable `BIGCOMMERCE_OPENAPI` to its absolute path (YAML or JSON).
//!
//! Each call sends one request, without rate limiting and without retries. To store, list or delete
//! any number of values within the provider's limits, use `bigcommerce-ext`, which builds on this
//! crate.
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
//! One of the first three is needed for `https`. If several are enabled, `native-tls` is used.
//!
//! - `rustls` (default): TLS by rustls, with aws-lc as its crypto provider.
//! - `rustls-no-provider`: TLS by rustls, with the crypto provider that the program installs; see
//!   below.
//! - `native-tls`: TLS by the operating system's library.
//! - `http2`: HTTP/2, if the server supports it.
//! - `httpmock`: typed mocks of the operations, for tests against an `httpmock` server.
//!
//! ## Another crypto provider
//!
//! To use ring instead of aws-lc, depend on rustls and disable the default features of this crate:
//!
//! ```toml
//! [dependencies]
//! bigcommerce-sdk = { version = "0.1", default-features = false, features = ["rustls-no-provider"] }
//! rustls = { version = "0.23", default-features = false, features = ["ring"] }
//! ```
//!
//! Then call `rustls::crypto::ring::default_provider().install_default()` once, before the first
//! client is created. Without an installed provider, [`Client::new`] returns an error.
//!
//! [reference]: https://developer.bigcommerce.com/docs/rest-management/customers/customer-attribute-values

// Feature badges, on docs.rs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod credentials;
mod crypto_provider;
mod error;
mod hooks;
mod id_list;
mod lenient;
mod redirects;
mod response;
mod text_list;
mod transport;

// The generator leaves some public items and `# Errors` undocumented, adds a prelude that this
// crate doesn't re-export, and matches all successful statuses before single ones.
#[allow(
    missing_docs,
    unreachable_patterns,
    unused_imports,
    clippy::match_overlapping_arm,
    clippy::missing_errors_doc
)]
mod generated;

/// Typed mocks of the operations for an `httpmock` server.
#[cfg(feature = "httpmock")]
// The generator leaves some public items undocumented, and unwraps regular expressions that are
// known to compile.
#[allow(missing_docs, clippy::unwrap_used)]
pub mod httpmock {
    include!(concat!(env!("OUT_DIR"), "/httpmock.rs"));
}

pub use credentials::{Credentials, InvalidToken};
pub use crypto_provider::require_crypto_provider;
pub use error::BuildError;
pub use generated::{ByteStream, Client, ClientInfo, Error, ResponseValue, builder, types};
pub use id_list::IdList;
pub use response::{ResponseHead, ResponseRecorder, SentOperation};
pub use text_list::TextList;
pub use transport::{build_http, harden};

// Compiles the program that the repository's README shows.
#[cfg(doctest)]
#[doc = include_str!("../docs/answers.md")]
struct Answers;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
