//! Tests of the crates together, over real HTTP on loopback.

mod attributes;
mod contract;
mod deleting;
mod errors;
mod faults;
mod listing;
mod packing;
mod poison;
mod quota;
mod running;
mod schema;
mod skipping;
mod support;
mod together;
