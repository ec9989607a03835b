//! An HTTP/1.1 server whose every response is scripted, byte for byte.
//!
//! It shares no code with the crates under test, so it can't share their mistakes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// The path of the base URL, as the provider's API has it.
const BASE_PATH: &str = "/stores/abc123/v3";

/// A request, as the script sees it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The position among all requests, counted from 1.
    pub number: usize,
    /// The position among the requests with the same method and path, counted from 1.
    pub number_of_kind: usize,
    pub method: String,
    /// The path below the base URL.
    pub path: String,
    /// The decoded query. A repeated parameter keeps its last value.
    pub query: BTreeMap<String, String>,
    /// The headers, with lower-case names.
    pub headers: BTreeMap<String, String>,
    /// The JSON body, or null.
    pub body: Value,
}

impl Request {
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }
}

/// A request and the times at which the server began and finished it.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub request: Request,
    pub started: Instant,
    /// `None` as long as the server is busy with the request.
    pub ended: Option<Instant>,
}

/// How the bytes of a response reach the client.
#[derive(Clone, Debug)]
enum Delivery {
    Whole,
    /// One byte at a time, with a pause before each.
    ByteByByte(Duration),
    /// Nothing is sent. The server gives the request up some time after the client closed the
    /// connection.
    StallBeforeHeaders {
        after_close: Duration,
    },
    /// The headers are sent, and no byte of the body.
    StallBody {
        after_close: Duration,
    },
    CloseBeforeHeaders,
    CloseInHeaders,
    CloseInBody,
}

/// A response: raw bytes, and how they are sent.
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    delivery: Delivery,
}

impl Response {
    /// Returns a response without a body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            delay: Duration::ZERO,
            delivery: Delivery::Whole,
        }
    }

    pub fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut response = Self::empty(status).header("content-type", content_type);
        response.body = body.into();
        response
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub fn html(status: u16) -> Self {
        let body = format!("<html><body><h1>{status}</h1><p>Please try later.</p></body></html>");
        Self::text(status, "text/html", body)
    }

    /// Returns a response with the documented body of an error.
    pub fn error(status: u16) -> Self {
        let body =
            serde_json::json!({"status": status, "title": "scripted", "type": "about:blank"});
        Self::json(status, &body)
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sets how long the server waits before the first byte.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub fn byte_by_byte(self, pause: Duration) -> Self {
        self.deliver(Delivery::ByteByByte(pause))
    }

    pub fn stall_before_headers(self, after_close: Duration) -> Self {
        self.deliver(Delivery::StallBeforeHeaders { after_close })
    }

    pub fn stall_body(self, after_close: Duration) -> Self {
        self.deliver(Delivery::StallBody { after_close })
    }

    pub fn close_before_headers(self) -> Self {
        self.deliver(Delivery::CloseBeforeHeaders)
    }

    pub fn close_in_headers(self) -> Self {
        self.deliver(Delivery::CloseInHeaders)
    }

    pub fn close_in_body(self) -> Self {
        self.deliver(Delivery::CloseInBody)
    }

    fn deliver(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").expect("a String takes any text");
        }
        if self.status != 204 {
            let length = self.body.len();
            write!(head, "content-length: {length}\r\n").expect("a String takes any text");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Sends the response. Returns `true` if the connection can be used again.
    async fn send(&self, stream: &mut TcpStream) -> io::Result<bool> {
        let head = self.head();
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        match self.delivery {
            Delivery::Whole => {
                stream
                    .write_all(&[head, self.body.clone()].concat())
                    .await?;
                return Ok(true);
            }
            Delivery::ByteByByte(pause) => {
                for byte in head.iter().chain(&self.body) {
                    sleep(pause).await;
                    stream.write_all(&[*byte]).await?;
                }
                return Ok(true);
            }
            Delivery::StallBeforeHeaders { after_close } => {
                wait_for_close(stream).await;
                sleep(after_close).await;
            }
            Delivery::StallBody { after_close } => {
                stream.write_all(&head).await?;
                wait_for_close(stream).await;
                sleep(after_close).await;
            }
            Delivery::CloseBeforeHeaders => {}
            Delivery::CloseInHeaders => stream.write_all(&head[..head.len() / 2]).await?,
            Delivery::CloseInBody => {
                stream.write_all(&head).await?;
                let half = &self.body[..self.body.len() / 2];
                stream.write_all(half).await?;
            }
        }
        Ok(false)
    }
}

/// Returns once the client has closed the connection.
async fn wait_for_close(stream: &mut TcpStream) {
    let mut byte = [0];
    while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
}

#[derive(Debug, Default)]
struct Log {
    exchanges: Vec<Exchange>,
    in_flight: usize,
    most_in_flight: usize,
}

struct Shared {
    script: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    log: Mutex<Log>,
    is_reachable: watch::Sender<bool>,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a request as in flight until it is dropped.
struct InFlight<'a> {
    shared: &'a Shared,
    index: usize,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut log = self.shared.log();
        log.in_flight -= 1;
        log.exchanges[self.index].ended = Some(Instant::now());
    }
}

/// A server on loopback that stops when it is dropped.
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

impl ScriptedServer {
    pub async fn start(script: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the address of a listener");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            log: Mutex::default(),
            is_reachable: watch::Sender::new(true),
        });
        let listening = tokio::spawn(listen(listener, address, Arc::clone(&shared)));
        Self {
            address,
            shared,
            listening,
        }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}{BASE_PATH}", self.address)
    }

    /// Sets whether the server accepts connections. If not, they are refused, and the open ones are
    /// closed.
    pub async fn set_reachable(&self, is_reachable: bool) {
        self.shared.is_reachable.send_replace(is_reachable);
        // The listener is opened and closed by the server's task.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }

    /// Returns all requests so far, in the order of their arrival.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.shared.log().exchanges.clone()
    }

    /// Returns the number of requests so far.
    pub fn requests(&self) -> usize {
        self.shared.log().exchanges.len()
    }

    /// Returns the highest number of requests that the server was busy with at the same time.
    pub fn most_in_flight(&self) -> usize {
        self.shared.log().most_in_flight
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut is_reachable = shared.is_reachable.subscribe();
    let mut listener = Some(listener);
    loop {
        let Some(open) = &listener else {
            if is_reachable
                .wait_for(|is_reachable| *is_reachable)
                .await
                .is_err()
            {
                return;
            }
            listener = Some(TcpListener::bind(address).await.expect("its own port"));
            continue;
        };
        tokio::select! {
            _ = is_reachable.wait_for(|is_reachable| !is_reachable) => listener = None,
            accepted = open.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let mut is_reachable = shared.is_reachable.subscribe();
                    tokio::select! {
                        _ = is_reachable.wait_for(|is_reachable| !is_reachable) => {}
                        // A client that closes its connection early is part of a script.
                        _ = serve(stream, &shared) => {}
                    }
                });
            }
        }
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    while let Some(mut request) = read_request(&mut stream, &mut received).await? {
        let in_flight = {
            let mut log = shared.log();
            let is_same =
                |exchange: &&Exchange| exchange.request.is(&request.method, &request.path);
            request.number_of_kind = 1 + log.exchanges.iter().filter(is_same).count();
            request.number = 1 + log.exchanges.len();
            log.in_flight += 1;
            log.most_in_flight = log.most_in_flight.max(log.in_flight);
            log.exchanges.push(Exchange {
                request: request.clone(),
                started: Instant::now(),
                ended: None,
            });
            InFlight {
                shared,
                index: log.exchanges.len() - 1,
            }
        };
        let is_open = (shared.script)(&request).send(&mut stream).await?;
        drop(in_flight);
        if !is_open {
            break;
        }
    }
    Ok(())
}

/// Reads the next request, or `None` if the client closed the connection.
async fn read_request(
    stream: &mut TcpStream,
    received: &mut Vec<u8>,
) -> io::Result<Option<Request>> {
    let end_of_head = loop {
        if let Some(at) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    };
    let head: Vec<u8> = received.drain(..end_of_head).collect();
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length");
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    while received.len() < length {
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
    let body: Vec<u8> = received.drain(..length).collect();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Some(Request {
        number: 0,
        number_of_kind: 0,
        method,
        path: path.strip_prefix(BASE_PATH).unwrap_or(path).to_owned(),
        query: parse_query(query),
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }))
}

fn parse_query(query: &str) -> BTreeMap<String, String> {
    let parameters = query.split('&').filter_map(|part| part.split_once('='));
    parameters
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// Decodes a percent-encoded text.
fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next(), bytes.next()].map(|digit| {
                    let digit = digit.and_then(|digit| char::from(digit).to_digit(16));
                    digit
                        .and_then(|digit| u8::try_from(digit).ok())
                        .unwrap_or(0)
                });
                digits[0] * 16 + digits[1]
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
