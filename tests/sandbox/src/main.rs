//! The sandbox as a program: prints its base URL, serves until it is interrupted, then prints its
//! counts.

mod args;

use std::future::poll_fn;
use std::io::{self, Write};
use std::process::ExitCode;
use std::task::Poll;

use args::Command;
use bigcommerce_sandbox::SandboxBuilder;

fn main() -> ExitCode {
    let command = match args::parse(lexopt::Parser::from_env()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("bigcommerce-sandbox: {error}");
            return ExitCode::from(2);
        }
    };
    let result = match command {
        Command::Serve(builder) => serve(*builder),
        Command::Help => print(args::HELP),
        Command::Version => print(concat!("bigcommerce-sandbox ", env!("CARGO_PKG_VERSION"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bigcommerce-sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(builder: SandboxBuilder) -> io::Result<()> {
    // One thread suffices for three requests at a time and leaves the other cores to the client.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Installed first, so that an interrupt works as soon as the URL is printed.
        let interrupted = interrupt()?;
        let sandbox = builder.start().await?;
        print(sandbox.base_url())?;
        interrupted.await;
        print(&sandbox.shutdown().await.to_string())
    })
}

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[cfg(unix)]
fn interrupt() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(poll_fn(move |cx| {
        let interrupted = interrupt.poll_recv(cx).is_ready();
        let terminated = terminate.poll_recv(cx).is_ready();
        if interrupted || terminated {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }))
}

#[cfg(windows)]
fn interrupt() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(poll_fn(move |cx| interrupt.poll_recv(cx).map(|_| ())))
}
