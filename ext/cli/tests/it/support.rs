//! The program as a process, and a store for it.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use bigcommerce_sandbox::{Sandbox, SandboxBuilder};
use tokio::runtime::{Builder, Runtime};

/// Returns the program with these arguments, and with no settings of the environment that runs it.
pub fn program<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut program = Command::cargo_bin("bigcommerce-attributes").expect("the program");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BIGCOMMERCE_") {
            program.env_remove(name);
        }
    }
    program
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("APPDATA")
        .env("HOME", Path::new("/nonexistent"))
        .args(arguments);
    program
}

/// How a process ended, and what it printed.
#[derive(Debug, PartialEq)]
pub struct Ended {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            status: output.status.code().expect("an exit status"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// Runs the program to its end.
pub fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Ended {
    program(arguments)
        .output()
        .expect("the program runs")
        .into()
}

/// A sandbox that serves until it is dropped.
pub struct Server {
    pub sandbox: Sandbox,
    _runtime: Runtime,
}

impl Server {
    pub fn start(builder: SandboxBuilder) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let sandbox = runtime.block_on(builder.start()).expect("a sandbox");
        Self {
            sandbox,
            _runtime: runtime,
        }
    }

    pub fn url(&self) -> &str {
        self.sandbox.base_url()
    }
}
