//! Questions on the terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::thread;

use anyhow::anyhow;
use tokio::sync::oneshot;

use crate::session::Session;
use crate::status::Failure;

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes,
    /// No, nothing, or a signal.
    No,
}

/// Asks whether to go on: `question` is a sentence with a question mark. `yes` is the option `--yes`.
///
/// # Errors
///
/// Returns an error if there is no terminal to ask on.
pub async fn confirm(session: &Session, question: &str, yes: bool) -> Result<Answer, Failure> {
    if yes {
        return Ok(Answer::Yes);
    }
    if !can_ask() {
        return Err(Failure::usage(anyhow!(
            "{question} There is no terminal to ask on, so nothing was changed: add --yes"
        )));
    }
    session.run().pause();
    let answer = tokio::select! {
        biased;
        () = session.stop() => Answer::No,
        answer = ask(question) => answer,
    };
    session.run().resume();
    Ok(answer)
}

/// Returns `true` if there is a terminal to ask on.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

async fn ask(question: &str) -> Answer {
    // A failure shows in the answer.
    drop(write!(io::stderr(), "{question} [y/N] "));
    drop(io::stderr().flush());
    let (sender, receiver) = oneshot::channel();
    // Not a task: a read from a terminal can't be ended, and the runtime would wait for it.
    thread::spawn(move || {
        let mut line = String::new();
        let result = io::stdin().read_line(&mut line).map(|_| line);
        // Nobody listens any more after a signal.
        drop(sender.send(result));
    });
    match receiver.await {
        Ok(Ok(line)) if is_yes(&line) => Answer::Yes,
        _ => Answer::No,
    }
}

fn is_yes(line: &str) -> bool {
    let answer = line.trim();
    answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for line in ["y\n", "Y\r\n", "yes\n", " YES \n"] {
            assert!(is_yes(line), "{line:?}");
        }
        for line in ["", "\n", "n\n", "no\n", "yep\n", "y n\n"] {
            assert!(!is_yes(line), "{line:?}");
        }
    }
}
