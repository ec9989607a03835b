//! A client that sends any request, valid or not: one connection per request, no retries.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub const PATH: &str = "/customers/attribute-values";
pub const ATTRIBUTES: &str = "/customers/attributes";
pub const CUSTOMERS: &str = "/customers";

pub struct TestResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl TestResponse {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn errors(&self) -> Value {
        assert_eq!(self.json()["status"], self.status);
        assert!(self.json()["title"].is_string() && self.json()["type"].is_string());
        self.json()["errors"].clone()
    }

    pub fn error_keys(&self) -> Vec<String> {
        let errors = self.errors();
        errors.as_object().unwrap().keys().cloned().collect()
    }

    /// Returns the field of each item in `data`.
    pub fn column(&self, field: &str) -> Vec<i64> {
        let json = self.json();
        let data = json["data"].as_array().unwrap().iter();
        data.map(|value| value[field].as_i64().unwrap()).collect()
    }

    pub fn pagination(&self, field: &str) -> Value {
        self.json()["meta"]["pagination"][field].clone()
    }

    pub fn rate_limit(&self, name: &str) -> Option<u64> {
        let header = self.headers.get(format!("X-Rate-Limit-{name}"))?;
        Some(header.to_str().unwrap().parse().unwrap())
    }
}

pub fn request(method: Method, url: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(url)
        .header("X-Auth-Token", "token")
        .header("Content-Type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

pub async fn send(mut request: Request<Full<Bytes>>) -> TestResponse {
    let mut connection = connect(&mut request).await;
    read(connection.send_request(request).await.unwrap()).await
}

/// Connects to the authority in the request's URL, and reduces the URL to path and query.
pub async fn connect(request: &mut Request<Full<Bytes>>) -> SendRequest<Full<Bytes>> {
    let authority = request.uri().authority().unwrap().to_string();
    request
        .headers_mut()
        .insert("Host", authority.parse().unwrap());
    *request.uri_mut() = request
        .uri()
        .path_and_query()
        .unwrap()
        .as_str()
        .parse()
        .unwrap();
    let stream = TcpStream::connect(authority).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn read(response: Response<Incoming>) -> TestResponse {
    let (head, body) = response.into_parts();
    TestResponse {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

pub async fn put(base_url: &str, rows: Value) -> TestResponse {
    let url = format!("{base_url}{PATH}");
    send(request(Method::PUT, &url, rows.to_string())).await
}

pub async fn get(base_url: &str, query: &str) -> TestResponse {
    let url = format!("{base_url}{PATH}?{query}");
    send(request(Method::GET, &url, "")).await
}

pub async fn get_attributes(base_url: &str, query: &str) -> TestResponse {
    let url = format!("{base_url}{ATTRIBUTES}?{query}");
    send(request(Method::GET, &url, "")).await
}

pub async fn get_customers(base_url: &str, query: &str) -> TestResponse {
    let url = format!("{base_url}{CUSTOMERS}?{query}");
    send(request(Method::GET, &url, "")).await
}

pub async fn post_attributes(base_url: &str, rows: Value) -> TestResponse {
    let url = format!("{base_url}{ATTRIBUTES}");
    send(request(Method::POST, &url, rows.to_string())).await
}

pub async fn post_customers(base_url: &str, rows: Value) -> TestResponse {
    let url = format!("{base_url}{CUSTOMERS}");
    send(request(Method::POST, &url, rows.to_string())).await
}

pub async fn delete(base_url: &str, query: &str) -> TestResponse {
    let url = format!("{base_url}{PATH}?{query}");
    send(request(Method::DELETE, &url, "")).await
}

pub fn row(customer: i64, attribute: i64, value: &str) -> Value {
    serde_json::json!({"attribute_id": attribute, "value": value, "customer_id": customer})
}
