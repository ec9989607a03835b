//! Tests of the sandbox over real HTTP on loopback.
//!
//! Time is tokio's paused clock, which jumps ahead whenever the runtime is idle, so no test waits.
//! The clients here have no timers that the clock could jump to.
#![allow(clippy::unwrap_used)] // A panic is how a test fails.

mod attributes;
mod cdnow;
mod client;
mod create_customers;
mod customer_emails;
mod customer_faults;
mod customer_overlaps;
mod customer_pages;
mod customers;
mod delete;
mod extra_fields;
mod fault_plan;
mod faults;
mod lifecycle;
mod limits;
mod list;
mod other_app;
#[cfg(unix)]
mod program;
mod raw_client;
mod rejections;
mod response_faults;
mod responses;
mod upsert;
