//! The OpenAPI document of BigCommerce's endpoints for customers, their attributes and values, and
//! the code generator that turns such a document into Rust.
//!
//! A build script loads a [`Document`] (the vendored one, or a file of the user's choice),
//! prepares it, and writes the source that [`Prepared::generate`] returns:
//!
//! ```
//! use bigcommerce_openapi::Document;
//!
//! let generated = Document::vendored()?.prepare()?.generate()?;
//! assert!(generated.client.contains("pub struct Client"));
//! # Ok::<(), bigcommerce_openapi::Error>(())
//! ```
//!
//! The provider's own document, unedited, generates the same Rust names as the vendored one. Only
//! its endpoints and fields matter, not its names, layout or order. Additions (an optional request
//! field, a query parameter, a response field) appear in the generated code, except for the
//! sub-resources of a customer, such as its addresses. If a document lacks
//! something that the SDK needs, preparing it returns an [`Error`] that names the place.
//!
//! # Features
//!
//! - `cli` (on by default): comparing documents, that is `Document::compare`, `Difference` and
//!   `Impact`, and the program `bigcommerce-openapi`. A build script doesn't need it and sets
//!   `default-features = false`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "cli")]
mod compare;
mod constraints;
mod contract;
mod document;
mod error;
mod generate;
mod prepare;
mod read;
mod schema;
mod unique_keys;

#[cfg(feature = "cli")]
pub use compare::{Difference, Impact};
pub use document::{Document, MAX_SIZE_VARIABLE, VENDORED};
pub use error::Error;
pub use generate::Generated;
pub use prepare::Prepared;
