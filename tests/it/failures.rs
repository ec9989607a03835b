//! The failures that people meet, and the text of each: one knows from it what to do.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bigcommerce_ext::reqwest::{ClientBuilder, Proxy};
use bigcommerce_ext::{Error, ErrorKind, OnOutage, RetryPolicy, Store};
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::TOKEN;
use crate::support::scripted_server::{Response, ScriptedServer};
use crate::support::tls::self_signed;

/// The texts, with `PORT` for the ports and `REASON` for what the resolver says.
const TEXTS: &str = include_str!("failures.txt");

fn impatient() -> RetryPolicy {
    RetryPolicy::default()
        .max_attempts(1)
        .retry_timeout(Duration::from_secs(30))
}

fn build(base_url: &str, http: ClientBuilder) -> Store {
    let builder = Store::builder_with_base_url(base_url, TOKEN).http(http);
    builder.retry(impatient()).build().expect("a store")
}

/// Upserts a value, and returns the error of the run or of the row.
async fn upsert(store: &Store, value: &str) -> Error {
    let run = store.upsert().customer(2048, [(101, value)]);
    let run = run.on_outage(OnOutage::Stop).send().await;
    let report = run.expect("a report");
    let row = report
        .outcomes()
        .first()
        .and_then(|outcome| outcome.error());
    report.stopped_by().or(row).cloned().expect("an error")
}

async fn answered(response: Response) -> (Error, String) {
    let server = ScriptedServer::start(move |_| response.clone()).await;
    let error = upsert(&build(&server.base_url(), ClientBuilder::new()), "Gold").await;
    (error, server.base_url())
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

async fn untrusted_certificate() -> (Error, String) {
    let (_, tls) = self_signed("localhost");
    let (other_root, _) = self_signed("localhost");
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    let base_url = format!("https://localhost:{port}/stores/abc123/v3");
    let http = ClientBuilder::new().tls_certs_only([other_root]);
    (upsert(&build(&base_url, http), "Gold").await, base_url)
}

/// A proxy that asks for a password.
async fn proxy() -> (Error, String) {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let response = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                            Proxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    let proxy = Proxy::all(format!("http://user:p4ss@127.0.0.1:{port}")).expect("a proxy");
    let http = ClientBuilder::new().proxy(proxy);
    let base_url = "https://store.example/stores/abc123/v3";
    (
        upsert(&build(base_url, http), "Gold").await,
        format!(":{port}/"),
    )
}

async fn refused() -> (Error, String) {
    let (listener, port) = listen().await;
    drop(listener);
    let base_url = format!("http://127.0.0.1:{port}/stores/abc123/v3");
    let store = build(&base_url, ClientBuilder::new());
    let error = store.attributes().list().await.expect_err("refused");
    (error, base_url)
}

async fn unknown_host() -> (Error, String) {
    let base_url = "https://store.invalid/stores/abc123/v3";
    let error = upsert(&build(base_url, ClientBuilder::new()), "Gold").await;
    (error, base_url.to_owned())
}

async fn quota_spent() -> (Error, String) {
    let response = Response::error(429)
        .header("x-rate-limit-requests-quota", 150)
        .header("x-rate-limit-requests-left", 0)
        .header("x-rate-limit-time-window-ms", 120_000)
        .header("x-rate-limit-time-reset-ms", 90_000);
    answered(response).await
}

async fn bad_row() -> (Error, String) {
    let store = build("http://127.0.0.1:9/v3", ClientBuilder::new());
    (upsert(&store, &"x".repeat(256)).await, String::new())
}

fn problem(status: u16, title: &str) -> Response {
    let body = serde_json::json!({"status": status, "title": title, "type": "about:blank"});
    Response::json(status, &body).header("x-request-id", "req-7f3a")
}

/// Replaces why the resolver of this machine failed: with a network and without, it differs.
fn without_resolver_reason(text: &str) -> String {
    let start = "failed to lookup address information: ";
    match text.split_once(start) {
        None => text.to_owned(),
        Some((before, after)) => {
            let (_, after) = after.split_once(')').expect("a closing parenthesis");
            format!("{before}{start}REASON){after}")
        }
    }
}

#[tokio::test]
async fn each_failure_says_what_to_do() {
    let failures = [
        (
            "401",
            ErrorKind::Unauthorized,
            answered(problem(401, "Unauthorized")).await,
        ),
        (
            "403",
            ErrorKind::Forbidden,
            answered(problem(403, "Forbidden")).await,
        ),
        (
            "404 as JSON",
            ErrorKind::NotFound,
            answered(problem(404, "Not found")).await,
        ),
        (
            "404 as HTML",
            ErrorKind::NotFound,
            answered(Response::html(404)).await,
        ),
        ("DNS", ErrorKind::Dns, unknown_host().await),
        ("refused", ErrorKind::ConnectionRefused, refused().await),
        (
            "untrusted certificate",
            ErrorKind::Tls,
            untrusted_certificate().await,
        ),
        ("proxy 407", ErrorKind::Proxy, proxy().await),
        ("quota spent", ErrorKind::RateLimited, quota_spent().await),
        ("a bad row", ErrorKind::InvalidRow, bad_row().await),
    ];
    let mut texts = String::new();
    for (name, kind, (error, base_url)) in failures {
        assert_eq!(error.kind(), kind, "{name}: {error}");
        let host = base_url
            .rsplit_once(':')
            .and_then(|(_, rest)| rest.split('/').next());
        let port = host
            .filter(|port| port.parse::<u16>().is_ok())
            .unwrap_or("no port");
        let text = error.to_string().replace(port, "PORT");
        let text = without_resolver_reason(&text);
        assert!(!text.contains(TOKEN) && !text.contains("p4ss"), "{text}");
        let _ = writeln!(texts, "{name}\n    {text}");
    }
    assert_eq!(texts, TEXTS, "the new texts:\n{texts}");
}

#[tokio::test(start_paused = true)]
async fn a_429_while_quota_is_left_names_the_other_processes() {
    let response = Response::error(429)
        .header("x-rate-limit-requests-quota", 150)
        .header("x-rate-limit-requests-left", 120)
        .header("x-rate-limit-time-window-ms", 30_000)
        .header("x-rate-limit-time-reset-ms", 20_000);
    let (error, _) = answered(response).await;
    let text = error.to_string();
    assert!(
        text.contains("although 120 of the quota are left"),
        "{text}"
    );
    assert!(
        text.contains("another process or app may be using the store"),
        "{text}"
    );
    assert!(
        error
            .advice()
            .is_some_and(|advice| advice.contains("share one limiter")),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_odd_request_id_is_left_out() {
    for (id, expected) in [
        ("req-1", Some("req-1")),
        ("", None),
        ("two words", None),
        (&*"x".repeat(101), None),
    ] {
        let (error, _) = answered(Response::error(403).header("x-request-id", id)).await;
        assert_eq!(error.request_id(), expected);
        assert_eq!(
            error.to_string().contains("[request "),
            expected.is_some(),
            "{error}"
        );
    }
    let (error, _) = answered(Response::error(403).header("cf-ray", "8f1-FRA")).await;
    assert_eq!(error.request_id(), Some("8f1-FRA"));
}

#[tokio::test]
async fn the_words_of_a_filter_say_nothing_about_the_connection() {
    let (listener, port) = listen().await;
    drop(listener);
    let base_url = format!("http://127.0.0.1:{port}/stores/abc123/v3");
    let store = build(&base_url, ClientBuilder::new());
    let list = store.list().attribute_name("Gift certificate handshake");
    let listed = list.stream().try_collect::<Vec<_>>().await;
    let error = listed.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
}
