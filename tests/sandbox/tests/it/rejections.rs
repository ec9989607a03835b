//! Requests that are rejected before their rows are read.

use std::time::Duration;

use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};
use hyper::header::HeaderValue;
use hyper::{Method, Request};
use serde_json::json;

use crate::client::{PATH, delete, get, get_attributes, post_attributes, put, request, row, send};

#[tokio::test(start_paused = true)]
async fn a_token_is_required() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let url = format!("{}{PATH}", sandbox.base_url());
    let with_token = async |token: Option<&'static str>| {
        let mut request = request(Method::GET, &url, "");
        request.headers_mut().remove("X-Auth-Token");
        if let Some(token) = token {
            let token = HeaderValue::from_static(token);
            request.headers_mut().insert("X-Auth-Token", token);
        }
        send(request).await
    };
    assert_eq!(with_token(Some("any")).await.status, 200);
    assert_eq!(with_token(Some("")).await.status, 401);
    let rejected = with_token(None).await;
    assert_eq!(rejected.status, 401);
    assert_eq!(rejected.errors(), json!({}));
}

#[tokio::test(start_paused = true)]
async fn only_the_configured_token_is_accepted_and_it_is_never_shown() {
    let builder = Sandbox::builder().token("secret");
    assert!(!format!("{builder:?}").contains("secret"));
    let sandbox = builder.start().await.unwrap();
    assert!(!format!("{sandbox:?}").contains("secret"));
    let url = format!("{}{PATH}", sandbox.base_url());
    assert_eq!(send(request(Method::GET, &url, "")).await.status, 401);
    let mut authorized = request(Method::GET, &url, "");
    let token = HeaderValue::from_static("secret");
    authorized.headers_mut().insert("X-Auth-Token", token);
    assert_eq!(send(authorized).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_read_only_token_can_not_write() {
    let sandbox = Sandbox::builder()
        .read_only()
        .quota(150, Duration::from_secs(30))
        .faults(FaultPlan::script([None, None, Some(Fault::Busy)]))
        .start()
        .await
        .unwrap();
    let base_url = sandbox.base_url();
    let id = sandbox.insert(1, 1, "v");
    let definition = json!([{"name": "Tier", "type": "string"}]);
    for rejected in [
        put(base_url, json!([row(1, 1, "new")])).await,
        delete(base_url, &format!("id:in={id}")).await,
        post_attributes(base_url, definition).await,
    ] {
        assert_eq!((rejected.status, rejected.errors()), (403, json!({})));
        assert_eq!(rejected.rate_limit("Requests-Left"), Some(150));
    }
    assert_eq!(get(base_url, "").await.status, 200);
    let read = get_attributes(base_url, "").await;
    assert_eq!(read.rate_limit("Requests-Left"), Some(148));
    // The rejected requests had no number in the plan, so the fault comes third.
    assert_eq!(get(base_url, "").await.status, 429);
    assert_eq!(sandbox.value(1, 1).unwrap().value, "v");
    assert_eq!(sandbox.attributes(), []);

    // A missing token is a 401 here too.
    let mut no_token = request(Method::PUT, &format!("{base_url}{PATH}"), "[]");
    no_token.headers_mut().remove("X-Auth-Token");
    assert_eq!(send(no_token).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn other_stores_paths_and_methods_are_rejected() {
    let sandbox = Sandbox::builder().store_hash("abc").start().await.unwrap();
    let base_url = sandbox.base_url();
    let other_store = base_url.replace("abc", "xyz") + PATH;
    assert_eq!(
        send(request(Method::GET, &other_store, "")).await.status,
        404
    );
    let other_path = format!("{base_url}/customers/addresses");
    assert_eq!(
        send(request(Method::GET, &other_path, "")).await.status,
        404
    );
    let url = format!("{base_url}{PATH}");
    let rejected = send(request(Method::POST, &url, "[]")).await;
    assert_eq!(rejected.status, 405);
    assert_eq!(rejected.headers["allow"], "GET, PUT, DELETE");

    let counts = sandbox.counts();
    assert_eq!(
        (counts.requests, counts.puts, counts.gets, counts.deletes),
        (3, 0, 0, 0)
    );

    let hash = Sandbox::builder().store_hash("a/b").start().await;
    assert_eq!(hash.err().unwrap().kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn a_body_must_be_a_json_array_with_its_content_type() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let url = format!("{}{PATH}", sandbox.base_url());
    let rows = json!([row(1, 1, "v")]).to_string();
    let put_as = async |content_type: Option<&'static str>, body: &str| {
        let mut request: Request<_> = request(Method::PUT, &url, body.to_owned());
        request.headers_mut().remove("Content-Type");
        if let Some(content_type) = content_type {
            let content_type = HeaderValue::from_static(content_type);
            request.headers_mut().insert("Content-Type", content_type);
        }
        send(request).await.status
    };
    assert_eq!(put_as(None, &rows).await, 415);
    assert_eq!(put_as(Some("text/plain"), &rows).await, 415);
    assert_eq!(put_as(Some("application/jsonp"), &rows).await, 415);
    assert_eq!(
        put_as(Some("Application/JSON; charset=utf-8"), &rows).await,
        200
    );
    let json = Some("application/json");
    assert_eq!(put_as(json, "[{").await, 400);
    assert_eq!(put_as(json, "").await, 400);
    assert_eq!(put_as(json, "{}").await, 422);
    assert_eq!(put_as(json, "[]").await, 422);
    assert_eq!(sandbox.counts().values, 1);
    assert_eq!(sandbox.counts().rejected, 2);
}
