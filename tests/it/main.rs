//! Integration tests of the workspace's crates, over HTTP on loopback.

mod absent_values;
mod answers;
mod any_server;
mod attributes;
mod contract;
mod custom_fields;
mod customers;
mod delete;
mod errors;
mod failures;
mod faults;
mod json;
mod lifecycle;
mod list;
mod list_query;
mod odd_responses;
mod packing;
mod pages;
mod quota;
mod rooms;
mod schema;
mod settings;
mod shared_limits;
mod skip_unchanged;
mod splitting;
mod support;
