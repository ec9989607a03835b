//! The OpenAPI document of BigCommerce's endpoints for customer attributes and their values, and
//! how such a document becomes Rust.
//!
//! A build script takes a [`Document`] (the vendored one, or a file that its user points at),
//! prepares it, and writes what [`Prepared::generate`] returns:
//!
//! ```
//! use bigcommerce_openapi::Document;
//!
//! let generated = Document::vendored()?.prepare()?.generate()?;
//! assert!(generated.client.contains("pub struct Client"));
//! # Ok::<(), bigcommerce_openapi::Error>(())
//! ```
//!
//! The provider's own document, unedited, gives the same Rust names as the vendored one: names,
//! layout and order of a document don't matter, only its endpoints and fields do. What a document
//! adds (an optional request field, a query parameter, a field of an answer) appears in the
//! generated code; what it lacks, though the SDK needs it, is an [`Error`] that says where.

mod bound;
mod compare;
mod document;
mod error;
mod generate;
mod prepare;
mod read;
mod said;

pub use compare::{Difference, Impact};
pub use document::{Document, VENDORED};
pub use error::Error;
pub use generate::Generated;
pub use prepare::Prepared;
