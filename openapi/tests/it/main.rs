//! How documents other than the vendored one are prepared, which are refused, and how they
//! are compared.

mod command;
mod compare;
mod documents;
mod mutations;
mod refusals;
mod schemas;
mod support;
mod traits;
