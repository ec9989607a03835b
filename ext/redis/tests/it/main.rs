//! Tests against a real Redis.

mod faults;
mod place;
mod processes;
mod support;
