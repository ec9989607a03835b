//! The program, run as a process.

mod attributes;
mod connection;
mod customers;
mod delete;
mod doctor;
mod export;
mod files;
mod help;
mod import;
#[cfg(target_os = "linux")]
mod memory;
mod mirror;
#[cfg(unix)]
mod page;
mod rejects;
mod run;
mod scripted_server;
mod secrets;
mod shipping;
mod support;
#[cfg(unix)]
mod terminal;
