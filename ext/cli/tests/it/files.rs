//! Files for the program, and what became of their values.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bigcommerce_sandbox::{Sandbox, SandboxBuilder};
use tempfile::TempDir;

use crate::support::{Ended, Server, program};

/// A store, and a folder that the program runs in.
pub struct Shop {
    pub server: Server,
    pub folder: TempDir,
}

impl Shop {
    pub fn start(builder: SandboxBuilder) -> Self {
        Self {
            server: Server::start(builder),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// A store with the attributes Tier (101) and Points (102) and a customer with an address.
    pub fn small() -> Self {
        Self::start(small())
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.server.sandbox
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("a file");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file")
    }

    /// Returns the program in the folder, on the store.
    pub fn program(&self, arguments: &[&str]) -> assert_cmd::Command {
        let mut program = program(arguments.iter().copied());
        program
            .args(["--url", self.server.url()])
            .current_dir(self.folder.path());
        program
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.program(arguments).output();
        output.expect("the program runs").into()
    }

    pub fn run_with_input(&self, arguments: &[&str], input: impl Into<Vec<u8>>) -> Ended {
        let output = self.program(arguments).write_stdin(input).output();
        output.expect("the program runs").into()
    }

    /// Returns the values by customer and attribute.
    pub fn values(&self) -> BTreeMap<(i64, i64), String> {
        values(self.sandbox())
    }
}

pub fn small() -> SandboxBuilder {
    Sandbox::builder()
        .attribute(101, "Tier")
        .attribute(102, "Points")
        .customer(7, "jane@example.com")
        .customer(8, "joe@example.com")
}

pub fn values(sandbox: &Sandbox) -> BTreeMap<(i64, i64), String> {
    let values = sandbox.values().into_iter();
    let values = values.map(|value| ((value.customer_id, value.attribute_id), value.value));
    values.collect()
}

/// Returns the last line of a text.
pub fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// The values of the customers of the data set CDNOW.
pub fn cdnow() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/cdnow_customers.csv"
    ))
}
