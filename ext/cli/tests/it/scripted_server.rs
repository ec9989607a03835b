//! A server whose responses are scripted, in a thread of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request: its method, its path, and its headers in lower case.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: String,
}

/// A response: its status, lines of headers, and its body.
pub struct Response {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

impl Response {
    pub fn new(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: String::new(),
            body: body.to_owned(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }
}

/// Serves until the process ends.
pub struct ScriptedServer {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl ScriptedServer {
    pub fn start(script: impl Fn(&Request) -> Response + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::default();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                // A client may close a connection that it has no use for.
                let Some(request) = read(&mut stream) else {
                    continue;
                };
                let response = script(&request);
                seen.lock().expect("the requests").push(request);
                let Response {
                    status,
                    headers,
                    body,
                } = response;
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\nConnection: \
                     close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
                );
                drop(stream.write_all(text.as_bytes()));
            }
        });
        Self {
            url: format!("http://{address}/stores/abc/v3"),
            requests,
        }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("the requests").clone()
    }
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        headers.push_str(&line);
        headers.push('\n');
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(Request {
        method,
        path,
        headers,
    })
}
