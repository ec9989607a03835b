//! Requests and calls against a hand-written server.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bigcommerce_sdk::{self as sdk, Credentials, types};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, advance, sleep, timeout};

use super::*;
use crate::error::ErrorKind;
use crate::event::{Observer, WaitReason};

const MS: Duration = Duration::from_millis(1);

/// A server that responds to each connection's only request.
struct Server {
    base_url: String,
    requests: Arc<AtomicU32>,
}

impl Server {
    /// Starts a server. `respond` returns the response to the n-th request, counted from 1. After an
    /// empty one the connection closes, and after one that ends early it stays open.
    async fn start(respond: impl Fn(u32) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let response = respond(count.fetch_add(1, Ordering::Relaxed) + 1);
                tokio::spawn(serve(stream, response));
            }
        });
        Self {
            base_url: format!("http://{address}/v3"),
            requests,
        }
    }

    fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, response: String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let _ = stream.write_all(response.as_bytes()).await;
    if !response.is_empty() {
        sleep(Duration::from_secs(60)).await;
    }
}

fn response(status: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn ok() -> String {
    response("200 OK", "application/json", r#"{"data": [], "meta": {}}"#)
}

fn client(base_url: &str, limits: Limits, policy: RetryPolicy) -> Client {
    let builder = reqwest::Client::builder().no_proxy();
    let http = sdk::build_http(sdk::harden(builder)).expect("an HTTP client");
    let credentials = Credentials::new("s3cr3t-token").expect("a token");
    let sdk = sdk::Client::new_with_client(base_url, http, credentials);
    Client::new(
        sdk,
        "s3cr3t-token".into(),
        limits,
        policy,
        None,
        Observer::default(),
    )
    .expect("a client")
}

fn quick() -> RetryPolicy {
    RetryPolicy::default().initial_backoff(MS).max_backoff(MS)
}

async fn list(client: &Client, run: &RunContext) -> CallOutcome<types::AttributeValuePage> {
    let send = |sdk: sdk::Client| async move { sdk.list_attribute_values().send().await };
    call(client, run, &Operation::list(1, None), 0, send).await
}

async fn lease(client: &Client) -> Lease {
    lease_for(client, &[]).await
}

/// Returns a lease for these customers.
async fn lease_for(client: &Client, customers: &[i64]) -> Lease {
    let mut ticket = client.ticket();
    let lease = poll_fn(|cx| ticket.poll_lease(cx, || customers.to_vec())).await;
    lease.expect("a local limiter")
}

async fn attempt(client: &Client, lease: Lease) -> RequestOutcome<types::AttributeValuePage> {
    let attempt = AttemptInfo {
        call: 0,
        number: 1,
        previous_failure: None,
    };
    let run = RunContext::new(client, Observer::default());
    let operation = Operation::upsert();
    request(client, &run, &operation, attempt, lease, |sdk| async move {
        sdk.list_attribute_values().send().await
    })
    .await
}

fn one_at_a_time() -> Limits {
    Limits::default().max_in_flight(1)
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_task_never_runs_again_expires() {
    let client = client("http://127.0.0.1:1/forgotten", one_at_a_time(), quick());
    let forgotten = lease_for(&client, &[7]).await;
    std::mem::forget(forgotten);
    assert!(client.is_held(7) && !client.is_held(8));
    let began = Instant::now();
    let end = client.next_hold_end().expect("a hold");
    lease(&client).await;
    let waited = began.elapsed();
    assert!(
        (34_900..=35_100).contains(&waited.as_millis()),
        "{waited:?}"
    );
    assert!(end.duration_since(began).abs_diff(waited) < 100 * MS);
    assert!(!client.is_held(7));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_suspended_past_its_lease_does_not_send() {
    let server = Server::start(|_| ok()).await;
    let client = client(&server.base_url, one_at_a_time(), quick());
    let late = lease(&client).await;
    advance(Duration::from_secs(31)).await;
    let outcome = attempt(&client, late).await;
    let failure = outcome.result.expect_err("a failure");
    assert!(failure.never_sent && !failure.is_ambiguous && !failure.is_bad);
    assert_eq!(outcome.requests, 0);
    assert!(failure.retry.is_some());
    assert_eq!(server.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_tickets_are_woken_in_turn() {
    let client = client("http://127.0.0.1:1/turns", one_at_a_time(), quick());
    let first = lease(&client).await;
    let waiters: Vec<_> = (0..3)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                // The order in which the tickets ask does not matter.
                let mut ticket = client.ticket();
                sleep(MS * (5 - number)).await;
                let lease = poll_fn(|cx| ticket.poll_lease(cx, Vec::new)).await;
                let at = Instant::now();
                sleep(50 * MS).await;
                drop(lease);
                at
            })
        })
        .collect();
    sleep(10 * MS).await;
    drop(first);
    let mut last = Instant::now();
    for waiter in waiters {
        let at = waiter.await.expect("no panic");
        assert!(at.duration_since(last) <= 55 * MS, "{:?}", at - last);
        last = at;
    }
}

#[tokio::test(start_paused = true)]
async fn stores_built_separately_share_limits_and_health() {
    let url = "http://127.0.0.1:1/shared";
    let (one, other) = (
        client(url, one_at_a_time(), quick()),
        client(url, one_at_a_time(), quick()),
    );
    let elsewhere = client("http://127.0.0.1:1/else", one_at_a_time(), quick());
    let held = lease_for(&one, &[7]).await;
    assert!(other.is_held(7) && !elsewhere.is_held(7));
    assert!(timeout(1000 * MS, lease(&other)).await.is_err());
    lease(&elsewhere).await;
    let mut watch = other.watch_availability();
    drop(held);
    timeout(MS, watch.changed())
        .await
        .expect("a release is a change");
    lease(&other).await;
}

#[tokio::test]
async fn a_body_that_stalls_keeps_its_place_and_its_customers() {
    let stalled = || {
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            .to_owned()
    };
    let server = Server::start(move |_| stalled()).await;
    let policy = quick().attempt_timeout(200 * MS);
    let client = client(
        &server.base_url,
        one_at_a_time().grace_period(600 * MS),
        policy,
    );
    let first = lease_for(&client, &[7]).await;
    let outcome = attempt(&client, first).await;
    assert_eq!((outcome.requests, outcome.status), (1, Some(200)));
    let failure = outcome.result.expect_err("a failure");
    assert_eq!(failure.error.kind(), ErrorKind::Timeout);
    assert!(failure.is_ambiguous && failure.is_bad);
    assert!(client.is_held(7));
    let began = Instant::now();
    lease(&client).await;
    assert!(began.elapsed() >= 550 * MS, "{:?}", began.elapsed());
    assert!(!client.is_held(7));
}

#[tokio::test]
async fn an_outage_is_waited_out_without_spending_attempts() {
    let server = Server::start(|number| match number {
        ..=6 => response("503 Service Unavailable", "application/json", "{}"),
        _ => ok(),
    })
    .await;
    // Five failures are an outage; its probes fail once.
    let policy = quick().max_attempts(6).retry_timeout(500 * MS);
    let client = client(&server.base_url, Limits::default(), policy);
    let began = Instant::now();
    let run = RunContext::new(&client, Observer::default());
    let outcome = list(&client, &run).await;
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.requests, 7);
    // 1 s and 2 s, less up to a tenth.
    let waited = began.elapsed();
    assert!((2_600..4_000).contains(&waited.as_millis()), "{waited:?}");
    assert!(client.availability().is_up());
}

#[tokio::test]
async fn an_outage_ends_calls_after_the_time_that_was_set() {
    let unavailable = || response("503 Service Unavailable", "application/json", "{}");
    let server = Server::start(move |_| unavailable()).await;
    let client = client(&server.base_url, Limits::default(), quick());
    let run = RunContext::new(&client, Observer::default())
        .with_on_outage(OnOutage::WaitUpTo(1_500 * MS));
    let began = Instant::now();
    let outcome = list(&client, &run).await;
    let error = outcome.result.expect_err("an outage").error;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().contains("has been down for 1.5 s"),
        "{error}"
    );
    assert!(began.elapsed() < 2_000 * MS, "{:?}", began.elapsed());
    assert_eq!(outcome.requests, 6);
    // The next call may not wait, and no probe is due.
    let run = RunContext::new(&client, Observer::default()).with_on_outage(OnOutage::Stop);
    let outcome = list(&client, &run).await;
    let failure = outcome.result.expect_err("an outage");
    assert!(failure.never_sent);
    assert!(
        failure.error.to_string().contains("has been down"),
        "{}",
        failure.error
    );
    assert_eq!(server.requests(), 6);
}

#[tokio::test]
async fn calls_take_turns_at_probing() {
    let unavailable = || response("503 Service Unavailable", "application/json", "{}");
    let server = Server::start(move |_| unavailable()).await;
    let client = client(&server.base_url, Limits::default(), quick());
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            let run = RunContext::new(&client, Observer::default())
                .with_on_outage(OnOutage::WaitUpTo(1_500 * MS));
            list(&client, &run).await.requests
        })
    });
    let calls: Vec<_> = calls.collect();
    let mut requests = 0;
    for call in calls {
        requests += call.await.expect("no panic");
    }
    assert_eq!(requests, server.requests());
    // Five, two more that were in flight, and one probe.
    assert!((6..=8).contains(&requests), "{requests}");
}

#[tokio::test]
async fn a_429_of_a_millisecond_is_no_storm() {
    let server = Server::start(|number| match number {
        ..=3 => {
            let reset = "Connection: close\r\nX-Rate-Limit-Time-Reset-Ms: 1";
            let response = response("429 Too Many Requests", "application/json", "{}");
            response.replace("Connection: close", reset)
        }
        _ => ok(),
    })
    .await;
    let policy = RetryPolicy::default().initial_backoff(100 * MS);
    let client = client(&server.base_url, Limits::default(), policy);
    let began = Instant::now();
    assert!(
        list(&client, &RunContext::new(&client, Observer::default()))
            .await
            .result
            .is_ok()
    );
    // At least half of 100, 200 and 400 ms.
    assert!(began.elapsed() >= 350 * MS, "{:?}", began.elapsed());
}

#[tokio::test]
async fn redirects_are_counted() {
    let server = Server::start(|number| match number {
        1 | 2 => {
            let location = format!("Connection: close\r\nLocation: /v3/{number}");
            let response = response("307 Temporary Redirect", "text/plain", "");
            response.replace("Connection: close", &location)
        }
        _ => ok(),
    })
    .await;
    let client = client(&server.base_url, Limits::default(), quick());
    let outcome = list(&client, &RunContext::new(&client, Observer::default())).await;
    assert!(outcome.result.is_ok());
    assert_eq!((outcome.requests, server.requests()), (3, 3));
}

/// What a failed attempt is to show.
struct Expected<'a> {
    kind: ErrorKind,
    text: &'a str,
    retry: Option<WaitReason>,
    ends_run: bool,
    requests: u32,
}

async fn assert_failure(client: &Client, expected: Expected<'_>) {
    let first = lease(client).await;
    let outcome = attempt(client, first).await;
    let failure = outcome.result.expect_err("a failure");
    let error = failure.error;
    assert_eq!(error.kind(), expected.kind, "{error}");
    assert!(error.to_string().contains(expected.text), "{error}");
    assert_eq!(failure.retry, expected.retry, "{error}");
    assert_eq!(failure.ends_run, expected.ends_run, "{error}");
    assert_eq!(error.ends_run(), expected.ends_run, "{error}");
    assert_eq!(outcome.requests, expected.requests, "{error}");
}

#[tokio::test]
async fn failures_name_the_host_and_the_cause() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let refused = client(&format!("http://{address}/v3"), Limits::default(), quick());
    let expected = Expected {
        kind: ErrorKind::ConnectionRefused,
        text: &format!("{address} refused the connection (Connection refused"),
        retry: Some(WaitReason::Connection),
        ends_run: false,
        requests: 0,
    };
    assert_failure(&refused, expected).await;

    let unknown = client("http://store.invalid/v3", Limits::default(), quick());
    let expected = Expected {
        kind: ErrorKind::Dns,
        text: "the host name of store.invalid does not resolve (",
        retry: None,
        ends_run: true,
        requests: 0,
    };
    assert_failure(&unknown, expected).await;

    let lost = Server::start(|_| String::new()).await;
    let host = lost.base_url.replace("http://", "").replace("/v3", "");
    let expected = Expected {
        kind: ErrorKind::Connection,
        text: &format!("the connection to {host} failed ("),
        retry: Some(WaitReason::Connection),
        ends_run: false,
        requests: 1,
    };
    assert_failure(
        &client(&lost.base_url, Limits::default(), quick()),
        expected,
    )
    .await;

    for (status, content_type, body, kind, text, retry, ends_run) in [
        (
            "200 OK",
            "text/html; charset=utf-8",
            "<html>Log in</html>",
            ErrorKind::InvalidResponse,
            "sent an HTML page",
            Some(WaitReason::Server),
            false,
        ),
        (
            "200 OK",
            "application/json",
            " <html>Log in</html>",
            ErrorKind::InvalidResponse,
            "sent an HTML page",
            Some(WaitReason::Server),
            false,
        ),
        (
            "403 Forbidden",
            "text/html",
            "<html>Blocked</html>",
            ErrorKind::Forbidden,
            "sent an HTML page",
            None,
            true,
        ),
        (
            "407 Proxy Authentication Required",
            "text/html",
            "<html>Who?</html>",
            ErrorKind::Proxy,
            "asks for a password",
            None,
            true,
        ),
        (
            "413 Content Too Large",
            "text/html",
            "<html>413</html>",
            ErrorKind::TooLarge,
            "larger than the endpoint accepts",
            None,
            false,
        ),
    ] {
        let server = Server::start(move |_| response(status, content_type, body)).await;
        let expected = Expected {
            kind,
            text,
            retry,
            ends_run,
            requests: 1,
        };
        assert_failure(
            &client(&server.base_url, Limits::default(), quick()),
            expected,
        )
        .await;
    }
}

#[tokio::test]
async fn an_html_403_after_a_success_is_temporary() {
    let server = Server::start(|number| match number {
        1 | 3 => ok(),
        _ => response("403 Forbidden", "text/html", "<html>Maintenance</html>"),
    })
    .await;
    let client = client(&server.base_url, Limits::default(), quick());
    let run = RunContext::new(&client, Observer::default());
    assert!(list(&client, &run).await.result.is_ok());
    let outcome = list(&client, &run).await;
    assert!(outcome.result.is_ok());
    assert_eq!((outcome.requests, client.successes()), (2, 2));
}

#[tokio::test]
async fn a_batch_that_fails_while_others_succeed_is_no_sign_of_an_outage() {
    let server = Server::start(|number| match number % 2 {
        0 => ok(),
        _ => response("500 Internal Server Error", "application/json", "{}"),
    })
    .await;
    let client = client(&server.base_url, Limits::default(), quick());
    let run = RunContext::new(&client, Observer::default());
    let operation = Operation::upsert();
    let mut previous_failure = None;
    for number in 1..=3 {
        let info = AttemptInfo {
            call: 0,
            number,
            previous_failure,
        };
        let lease = lease(&client).await;
        let send = |sdk: sdk::Client| async move { sdk.list_attribute_values().send().await };
        let outcome = request(&client, &run, &operation, info, lease, send).await;
        let failure = outcome.result.expect_err("a failure");
        assert_eq!(failure.is_bad, number == 1);
        previous_failure = Some(failure.successes);
        assert!(list(&client, &run).await.result.is_ok());
    }
}
