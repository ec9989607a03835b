//! A client that reads bytes, to see what a connection carried and how it ended.

use bigcommerce_sandbox::{Operation, Sandbox};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{ATTRIBUTES, CUSTOMERS, PATH, row};

/// The bytes read until the response was complete or the connection was closed.
pub struct RawResponse {
    bytes: Vec<u8>,
    pub complete: bool,
}

impl RawResponse {
    fn head(&self) -> Option<&str> {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        Some(std::str::from_utf8(&self.bytes[..end]).unwrap())
    }

    /// Returns `None` if no byte was received.
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
        let header = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value)
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

    fn has_whole_body(&self) -> bool {
        self.head().is_some() && self.body().len() >= self.number("content-length").unwrap_or(0)
    }
}

pub struct RawClient {
    stream: TcpStream,
    store_path: String,
}

impl RawClient {
    pub async fn connect(sandbox: &Sandbox) -> Self {
        let rest = sandbox.base_url().strip_prefix("http://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        Self {
            stream: TcpStream::connect(authority).await.unwrap(),
            store_path: format!("/{path}"),
        }
    }

    /// Sends a request for values over a connection that is kept alive.
    pub async fn send(&mut self, method: &str, query: &str, body: &str) {
        self.send_to(PATH, method, query, body).await;
    }

    pub async fn send_to(&mut self, path: &str, method: &str, query: &str, body: &str) {
        let (store, length) = (&self.store_path, body.len());
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

    pub async fn read_response(&mut self) -> RawResponse {
        let mut response = RawResponse {
            bytes: Vec::new(),
            complete: false,
        };
        loop {
            // The unwrap checks that the server doesn't reset the connection: a reset could
            // discard bytes sent before.
            match self.stream.read_buf(&mut response.bytes).await.unwrap() {
                0 => return response,
                _ if response.has_whole_body() => break,
                _ => {}
            }
        }
        response.complete = true;
        response
    }
}

/// Sends one request of the operation to a store with the values of [`insert_old_values`], their
/// customers and, if it is defined, their attribute.
pub async fn send_operation(sandbox: &Sandbox, operation: Operation) -> RawResponse {
    let mut client = RawClient::connect(sandbox).await;
    match operation {
        Operation::Upsert => client.send("PUT", "", &new_rows().to_string()).await,
        Operation::List => client.send("GET", "attribute_id:in=1", "").await,
        Operation::Delete => client.send("DELETE", "id:in=5001,5003", "").await,
        Operation::ListAttributes => client.send_to(ATTRIBUTES, "GET", "", "").await,
        Operation::CreateAttributes => {
            let body = r#"[{"name":"Tier","type":"string"}]"#;
            client.send_to(ATTRIBUTES, "POST", "", body).await;
        }
        Operation::UpdateAttributes => {
            let body = r#"[{"id":1,"name":"Renamed"}]"#;
            client.send_to(ATTRIBUTES, "PUT", "", body).await;
        }
        Operation::DeleteAttributes => {
            client.send_to(ATTRIBUTES, "DELETE", "id:in=1", "").await;
        }
        Operation::CreateCustomers => {
            let body = r#"[{"email":"jane@example.com"}]"#;
            client.send_to(CUSTOMERS, "POST", "", body).await;
        }
        Operation::ListCustomers => {
            client
                .send_to(CUSTOMERS, "GET", "id:in=1,2,3,4,5", "")
                .await;
        }
    }
    client.read_response().await
}

/// Inserts five customers, and one value for each.
pub fn insert_old_values(sandbox: &Sandbox) {
    for customer in 1..=5 {
        sandbox.insert_customer((customer, format!("{customer}@example.com")));
        assert_eq!(sandbox.insert(customer, 1, "old"), 5000 + customer);
    }
}

/// Returns a row for each of the five customers.
pub fn new_rows() -> Value {
    let values = ["new", "1.0", " x ", "", "7"];
    let rows = (1..).zip(values).map(|(n, value)| row(n, 1, value));
    rows.collect()
}

pub fn values_by_customer(sandbox: &Sandbox) -> Vec<(i64, String)> {
    let values = sandbox.values().into_iter();
    values.map(|v| (v.customer_id, v.value)).collect()
}
