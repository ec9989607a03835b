//! Tests of the crates together, over real HTTP on loopback.

mod contract;
mod errors;
mod packing;
mod schema;
mod support;
