//! A real PostgreSQL, started and ended by the test.

use std::env;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tokio_postgres::{Client, NoTls};

/// The user and the group `nobody`: PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;

pub struct PostgresServer {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl PostgresServer {
    /// Starts a server with an empty database on a free port. Returns `None`, and says so, if PostgreSQL
    /// is not installed and not required.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                env::var_os("BIGCOMMERCE_REQUIRE_POSTGRES").is_none(),
                "PostgreSQL is required: install the package postgresql"
            );
            // Not captured with the output of a test that passes.
            let _ = writeln!(
                io::stderr(),
                "SKIPPED: no PostgreSQL; install the package postgresql"
            );
            return None;
        };
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("bigcommerce-postgres-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).expect("a folder");
        let is_root = fs::metadata(&folder).expect("the folder").uid() == 0;
        if is_root {
            chown(&folder, Some(NOBODY), Some(NOBODY)).expect("the folder of nobody");
        }
        let program = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command
                .current_dir(&folder)
                .env_remove("LANG")
                .env_remove("LC_ALL");
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command
        };
        let created = program("initdb")
            .args([
                "--username=postgres",
                "--auth=trust",
                "--no-sync",
                "--no-locale",
            ])
            .args(["--encoding=UTF8", "--pgdata=data"])
            .output()
            .expect("initdb runs");
        assert!(
            created.status.success(),
            "{}",
            String::from_utf8_lossy(&created.stderr)
        );
        let port = free_port();
        let mut child = program("postgres")
            .args(["-D", "data", "-p", &port.to_string(), "-F"])
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
            ])
            .stderr(Stdio::piped())
            .spawn()
            .expect("postgres starts");
        let mut log = BufReader::new(child.stderr.take().expect("its log"));
        let mut line = String::new();
        while !line.contains("ready to accept connections") {
            let last = std::mem::take(&mut line);
            let length = log.read_line(&mut line).expect("text");
            assert!(length > 0, "postgres has ended: {last}");
        }
        // It must not fill the pipe.
        thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        Some(Self {
            child,
            folder,
            port,
        })
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub async fn connect(&self) -> Client {
        let connected = tokio_postgres::connect(&self.url(), NoTls).await;
        let (client, connection) = connected.expect("a connection");
        tokio::spawn(connection);
        client
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // At once, without a checkpoint: the data are thrown away.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns the folder with PostgreSQL's programs. Debian does not have it in the path.
fn programs() -> Option<PathBuf> {
    let is_there =
        |folder: &Path| folder.join("initdb").exists() && folder.join("postgres").exists();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = versions.chain(env::split_paths(&path)).collect();
    folders.into_iter().find(|folder| is_there(folder))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}
