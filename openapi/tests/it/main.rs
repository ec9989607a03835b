//! How documents other than the vendored one are prepared, and which are refused.

mod documents;
mod refusals;
mod schemas;
mod support;
mod traits;
