//! A real Redis, started and ended by the test.
//!
//! Redis and other processes have clocks of their own, so these tests are the only ones that wait in real
//! time.

use std::env;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

static SERVERS: AtomicU32 = AtomicU32::new(0);

/// A `redis-server` of its own on a free port of loopback. Dropping it ends it.
pub struct RedisServer {
    port: u16,
    folder: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server. Returns `None`, and says so, where there is no `redis-server`.
    ///
    /// With `BIGCOMMERCE_REQUIRE_REDIS` in the environment a missing server is a failure.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with more settings, such as `--requirepass`.
    pub fn start_with(args: &[&str]) -> Option<Self> {
        if Command::new("redis-server")
            .arg("--version")
            .output()
            .is_err()
        {
            let is_required = env::var_os("BIGCOMMERCE_REQUIRE_REDIS").is_some();
            assert!(
                !is_required,
                "no redis-server: install the package redis-server"
            );
            // Not captured with the output of a test that passes.
            let _ = writeln!(
                io::stderr(),
                "SKIPPED: no redis-server; install the package redis-server"
            );
            return None;
        }
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("redis-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let mut server = Self {
            port: free_port(),
            folder,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            child: None,
        };
        server.restart();
        Some(server)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The file of the data that [`save`](Self::save) writes.
    pub fn data(&self) -> PathBuf {
        self.folder.join("dump.rdb")
    }

    /// Starts the server, with the data that its folder has.
    pub fn restart(&mut self) {
        self.kill();
        let mut child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(&self.folder)
            .args(&self.args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server starts");
        let mut log = BufReader::new(child.stdout.take().expect("its log"));
        self.child = Some(child);
        let mut line = String::new();
        while !line.contains("Ready to accept connections") {
            let last = std::mem::take(&mut line);
            let length = log.read_line(&mut line).expect("text");
            assert!(length > 0, "redis-server has ended: {last}");
        }
        // It must not fill the pipe.
        thread::spawn(move || io::copy(&mut log, &mut io::sink()));
    }

    /// Writes the data to its file.
    pub fn save(&self) {
        assert_eq!(self.command(&["SAVE"]).as_deref(), Some("+OK\r\n"));
    }

    /// Ends the server at once. Data that was not saved is lost.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Suspends the server, or lets it go on.
    pub fn suspend(&self, is_suspended: bool) {
        let signal = if is_suspended { "-STOP" } else { "-CONT" };
        let process = self.child.as_ref().expect("a running server").id();
        let status = Command::new("kill")
            .args([signal, &process.to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// Sends a command and returns the first part of its reply.
    pub fn command(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes()).ok()?;
        let mut reply = vec![0; 64 * 1024];
        let length = stream.read(&mut reply).ok()?;
        Some(String::from_utf8_lossy(&reply[..length]).into_owned())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Returns the path of an example of this crate.
pub fn example(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let target = test.parent().and_then(Path::parent).expect("target/debug");
    let path = target.join("examples").join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo test` without --test",
        path.display()
    );
    path
}

/// Returns the URL of a proxy that passes everything on after a while, in both directions.
pub async fn delayed(port: u16, delay: Duration) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
                let (client_in, client_out) = client.into_split();
                let (server_in, server_out) = server.into_split();
                tokio::join!(
                    pass_on(client_in, server_out, delay),
                    pass_on(server_in, client_out, delay)
                );
                std::io::Result::Ok(())
            });
        }
    });
    format!("redis://{address}")
}

async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let read = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let _ = sender.send((
                tokio::time::Instant::now() + delay,
                buffer[..length].to_vec(),
            ));
        }
    };
    let write = async move {
        while let Some((at, bytes)) = receiver.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}
