//! A client that reads bytes, so that it sees what a connection carried and how it ended.

use bigcommerce_sandbox::{Operation, Sandbox};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{ATTRIBUTES, PATH, row};

/// What came until the answer was complete or the connection was closed.
pub struct Seen {
    bytes: Vec<u8>,
    /// All of the answer was there.
    pub complete: bool,
}

impl Seen {
    fn head(&self) -> Option<&str> {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        Some(std::str::from_utf8(&self.bytes[..end]).unwrap())
    }

    /// `None` when not a byte came.
    pub fn status(&self) -> Option<u16> {
        match self.head() {
            Some(head) => Some(head.split(' ').nth(1).unwrap().parse().unwrap()),
            None => {
                assert_eq!(self.bytes, b"");
                None
            }
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head()?.lines().skip(1);
        let mut headers = lines.filter_map(|line| line.split_once(": "));
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    pub fn number(&self, name: &str) -> Option<usize> {
        self.header(name).map(|value| value.parse().unwrap())
    }

    pub fn body(&self) -> &[u8] {
        &self.bytes[self.head().unwrap().len() + 4..]
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(self.body()).unwrap()
    }

    fn has_all(&self) -> bool {
        self.head().is_some() && self.body().len() >= self.number("content-length").unwrap_or(0)
    }
}

pub struct Raw {
    stream: TcpStream,
    /// Of the store.
    path: String,
}

impl Raw {
    pub async fn connect(sandbox: &Sandbox) -> Self {
        let rest = sandbox.base_url().strip_prefix("http://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        Self {
            stream: TcpStream::connect(authority).await.unwrap(),
            path: format!("/{path}"),
        }
    }

    /// Sends a request for values, over a connection that is to be kept.
    pub async fn ask(&mut self, method: &str, query: &str, body: &str) {
        self.ask_at(PATH, method, query, body).await;
    }

    pub async fn ask_at(&mut self, path: &str, method: &str, query: &str, body: &str) {
        let (store, length) = (&self.path, body.len());
        let request = format!(
            "{method} {store}{path}?{query} HTTP/1.1\r\nhost: sandbox\r\nconnection: keep-alive\r\n\
             x-auth-token: token\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub async fn answer(&mut self) -> Seen {
        let mut seen = Seen {
            bytes: Vec::new(),
            complete: false,
        };
        loop {
            // An end, and not a reset, which could cost what was sent before.
            match self.stream.read_buf(&mut seen.bytes).await.unwrap() {
                0 => return seen,
                _ if seen.has_all() => break,
                _ => {}
            }
        }
        seen.complete = true;
        seen
    }
}

/// One request of a kind to a store that [`fill`] has filled.
pub async fn ask(sandbox: &Sandbox, operation: Operation) -> Seen {
    let mut client = Raw::connect(sandbox).await;
    match operation {
        Operation::Upsert => client.ask("PUT", "", &rows().to_string()).await,
        Operation::List => client.ask("GET", "", "").await,
        Operation::Delete => client.ask("DELETE", "id:in=5001,5003", "").await,
        Operation::Attributes => client.ask_at(ATTRIBUTES, "GET", "", "").await,
        Operation::CreateAttributes => {
            let body = r#"[{"name":"Tier","type":"string"}]"#;
            client.ask_at(ATTRIBUTES, "POST", "", body).await;
        }
    }
    client.answer().await
}

/// Five customers with one value each.
pub fn fill(sandbox: &Sandbox) {
    for customer in 1..=5 {
        assert_eq!(sandbox.insert(customer, 1, "old"), 5000 + customer);
    }
}

pub fn rows() -> Value {
    let values = ["new", "1.0", " x ", "", "7"];
    let rows = (1..).zip(values).map(|(n, value)| row(n, 1, value));
    rows.collect()
}

/// The store's values, by customer.
pub fn kept(sandbox: &Sandbox) -> Vec<(i64, String)> {
    let values = sandbox.values().into_iter();
    values.map(|v| (v.customer_id, v.value)).collect()
}
