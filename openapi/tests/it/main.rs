//! Tests of preparing, rejecting and comparing documents other than the vendored one.

#![cfg(feature = "cli")]

mod changes;
mod command;
mod compare;
mod documents;
mod mutations;
mod news;
mod parameters;
mod rejections;
mod schemas;
mod support;
mod traits;
