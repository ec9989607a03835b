//! The sandbox over real HTTP on loopback.
//!
//! Time is tokio's paused clock: it leaps when the runtime has nothing to do, so no test waits.
//! The client here has no timer of its own that it could leap to.
#![allow(clippy::unwrap_used)]

mod answers;
mod attributes;
mod client;
mod faults;
mod lifetime;
mod limits;
mod list;
mod other_app;
mod overlaps;
mod plan;
#[cfg(unix)]
mod program;
mod raw;
mod requests;
mod twists;
mod upsert;
