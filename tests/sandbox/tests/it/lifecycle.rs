//! Clients that disconnect, and the sandbox's shutdown.

use std::time::Duration;

use bigcommerce_sandbox::Sandbox;
use hyper::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::client::{PATH, connect, get, request, row};

#[tokio::test(start_paused = true)]
async fn an_abandoned_request_is_still_executed() {
    let latency = Duration::from_millis(20);
    let sandbox = Sandbox::builder().latency(latency).start().await.unwrap();
    let body = json!([row(1, 1, "v")]).to_string();
    let url = format!("{}{PATH}", sandbox.base_url());
    let mut request = request(Method::PUT, &url, body);
    let mut connection = connect(&mut request).await;
    let exchange = tokio::spawn(async move { connection.send_request(request).await });
    while sandbox.counts().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    exchange.abort();
    assert!(exchange.await.unwrap_err().is_cancelled());
    // Gives the server time to notice the disconnect, while the clock stands still.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        (sandbox.counts().in_flight, sandbox.counts().values),
        (1, 0)
    );

    tokio::time::sleep(latency).await;
    while sandbox.counts().in_flight == 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sandbox.value(1, 1).unwrap().value, "v");
}

#[tokio::test(start_paused = true)]
async fn a_panicking_rule_fails_only_its_request() {
    let builder = Sandbox::builder().reject(|_, _, value| match value {
        "bad" => panic!("on purpose"),
        _ => None,
    });
    let sandbox = builder.start().await.unwrap();
    let url = format!("{}{PATH}", sandbox.base_url());
    let mut request = request(Method::PUT, &url, json!([row(1, 1, "bad")]).to_string());
    let mut connection = connect(&mut request).await;
    assert!(connection.send_request(request).await.is_err());
    assert_eq!(get(sandbox.base_url(), "").await.status, 200);
    assert_eq!(sandbox.counts().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_latency_can_be_changed_later() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    sandbox.set_latency(Duration::from_secs(5));
    let before = tokio::time::Instant::now();
    get(sandbox.base_url(), "").await;
    assert_eq!(before.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn shutdown_and_drop_free_the_port() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    get(sandbox.base_url(), "").await;
    let authority = sandbox.base_url().split('/').nth(2).unwrap().to_owned();
    let taken = TcpListener::bind(&authority).await;
    assert!(taken.is_err());
    let counts = sandbox.shutdown().await;
    assert_eq!(counts.gets, 1);

    let port = authority.rsplit(':').next().unwrap().parse().unwrap();
    let again = Sandbox::builder().port(port).start().await.unwrap();
    assert!(again.base_url().contains(&authority));
    drop(again);
    while TcpListener::bind(&authority).await.is_err() {
        tokio::task::yield_now().await;
    }
}
