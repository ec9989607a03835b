//! Tests of preparing, rejecting and comparing documents other than the vendored one.

#![cfg(feature = "cli")]

mod command;
mod compare;
mod documents;
mod mutations;
mod rejections;
mod schemas;
mod support;
mod traits;
