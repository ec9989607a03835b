//! The examples that are whole programs, run as processes against a real PostgreSQL and sandboxes.
//!
//! Processes and databases have clocks of their own, so these tests wait in real time.

mod nightly_sync;
mod postgres;
mod queue_consumer;

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bigcommerce_sandbox::Sandbox;
use tokio::time::{Instant, sleep};

const TOKEN: &str = "s3cr3t-t0ken";

/// Returns the command of an example. Cargo builds examples along with this test, into the folder
/// `examples` beside that of the tests.
fn example(name: &str) -> Command {
    let mut path = std::env::current_exe().expect("this test's own path");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    let mut command = Command::new(path);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A program that is killed if the test fails.
struct Program(Child);

impl Program {
    fn start(mut command: Command) -> Self {
        Self(command.spawn().expect("the example was built"))
    }

    fn kill(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it has ended");
    }

    fn terminate(&self) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("its status").is_none()
    }

    /// Waits for the end of the program. Returns its exit code and its output.
    async fn end(mut self) -> (Option<i32>, String) {
        until("the program ends", || !self.is_running()).await;
        let status = self.0.wait().expect("it has ended");
        let mut text = String::new();
        for stream in [
            self.0.stdout.take().map(std::io::read_to_string),
            self.0.stderr.take().map(std::io::read_to_string),
        ] {
            text.push_str(&stream.expect("a pipe").expect("UTF-8"));
        }
        assert!(!text.contains(TOKEN), "{text}");
        (status.code(), text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a condition holds, and fails after a minute.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The values of a store, by customer and attribute.
type Values = BTreeMap<(i64, i64), String>;

fn values(sandbox: &Sandbox) -> Values {
    let values = sandbox.values().into_iter();
    let values = values.map(|value| ((value.customer_id, value.attribute_id), value.value));
    values.collect()
}

async fn sandbox(latency: Duration) -> Sandbox {
    Sandbox::builder()
        .token(TOKEN)
        .latency(latency)
        .attribute(101, "Loyalty tier")
        .attribute(102, "Points")
        // A row that every store rejects.
        .reject(|_, _, value| (value == "bad").then(|| "the value is bad".to_owned()))
        .start()
        .await
        .expect("a sandbox")
}
