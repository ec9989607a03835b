//! The program, run as a process.

mod attributes;
mod connection;
mod customers;
mod delete;
mod export;
mod files;
mod import;
#[cfg(target_os = "linux")]
mod memory;
mod mirror;
mod rejects;
mod run;
mod secrets;
mod support;
#[cfg(unix)]
mod terminal;

#[test]
fn help_is_printed() {
    let mut program =
        assert_cmd::Command::cargo_bin("bigcommerce-attributes").expect("the program");
    program.arg("--help").assert().success();
}
