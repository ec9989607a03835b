//! What is refused before it comes to rows, and the DELETE.

use std::time::Duration;

use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox, TooLarge, UnknownId};
use hyper::header::HeaderValue;
use hyper::{Method, Request};
use serde_json::json;

use crate::client::{PATH, delete, get, get_attributes, post_attributes, put, request, row, send};

#[tokio::test(start_paused = true)]
async fn a_token_is_needed() {
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
    let refused = with_token(None).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.errors(), json!({}));
    assert_eq!(sandbox.counts().unauthorized, 2);
}

#[tokio::test(start_paused = true)]
async fn a_set_token_is_the_only_one() {
    let builder = Sandbox::builder().token("secret");
    assert!(!format!("{builder:?}").contains("secret"));
    let sandbox = builder.start().await.unwrap();
    assert!(!format!("{sandbox:?}").contains("secret"));
    let url = format!("{}{PATH}", sandbox.base_url());
    assert_eq!(send(request(Method::GET, &url, "")).await.status, 401);
    let mut right = request(Method::GET, &url, "");
    let token = HeaderValue::from_static("secret");
    right.headers_mut().insert("X-Auth-Token", token);
    assert_eq!(send(right).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_token_to_read_does_not_write() {
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
    for refused in [
        put(base_url, json!([row(1, 1, "new")])).await,
        delete(base_url, &format!("id:in={id}")).await,
        post_attributes(base_url, definition).await,
    ] {
        assert_eq!((refused.status, refused.errors()), (403, json!({})));
        assert_eq!(refused.rate_limit("Requests-Left"), Some(150));
    }
    assert_eq!(get(base_url, "").await.status, 200);
    let read = get_attributes(base_url, "").await;
    assert_eq!(read.rate_limit("Requests-Left"), Some(148));
    // Only now it is the fault's turn.
    assert_eq!(get(base_url, "").await.status, 429);
    assert_eq!(sandbox.value(1, 1).unwrap().value, "v");
    assert_eq!(sandbox.attributes(), []);
    let counts = sandbox.counts();
    assert_eq!((counts.forbidden, counts.unauthorized), (3, 0));

    // Without a token it is a 401 all the same.
    let mut no_token = request(Method::PUT, &format!("{base_url}{PATH}"), "[]");
    no_token.headers_mut().remove("X-Auth-Token");
    assert_eq!(send(no_token).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn other_stores_paths_and_methods_are_refused() {
    let sandbox = Sandbox::builder().store_hash("abc").start().await.unwrap();
    let base_url = sandbox.base_url();
    let other_store = base_url.replace("abc", "xyz") + PATH;
    assert_eq!(
        send(request(Method::GET, &other_store, "")).await.status,
        404
    );
    let other_path = format!("{base_url}/customers");
    assert_eq!(
        send(request(Method::GET, &other_path, "")).await.status,
        404
    );
    let url = format!("{base_url}{PATH}");
    let refused = send(request(Method::POST, &url, "[]")).await;
    assert_eq!(refused.status, 405);
    assert_eq!(refused.headers["allow"], "GET, PUT, DELETE");

    let counts = sandbox.counts();
    assert_eq!(
        (counts.requests, counts.puts, counts.gets, counts.deletes),
        (3, 0, 0, 0)
    );

    let hash = Sandbox::builder().store_hash("a/b").start().await;
    assert_eq!(hash.err().unwrap().kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn a_body_must_be_a_json_array_and_say_so() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let url = format!("{}{PATH}", sandbox.base_url());
    let rows = json!([row(1, 1, "v")]).to_string();
    let typed = async |content_type: Option<&'static str>, body: &str| {
        let mut request: Request<_> = request(Method::PUT, &url, body.to_owned());
        request.headers_mut().remove("Content-Type");
        if let Some(content_type) = content_type {
            let content_type = HeaderValue::from_static(content_type);
            request.headers_mut().insert("Content-Type", content_type);
        }
        send(request).await.status
    };
    assert_eq!(typed(None, &rows).await, 415);
    assert_eq!(typed(Some("text/plain"), &rows).await, 415);
    assert_eq!(typed(Some("application/jsonp"), &rows).await, 415);
    assert_eq!(
        typed(Some("Application/JSON; charset=utf-8"), &rows).await,
        200
    );
    let json = Some("application/json");
    assert_eq!(typed(json, "[{").await, 400);
    assert_eq!(typed(json, "").await, 400);
    assert_eq!(typed(json, "{}").await, 422);
    assert_eq!(typed(json, "[]").await, 422);
    assert_eq!(sandbox.counts().values, 1);
    assert_eq!(sandbox.counts().refused, 2);
}

#[tokio::test(start_paused = true)]
async fn a_delete_takes_the_ids_it_is_given() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let ids: Vec<i64> = (1..=4).map(|n| sandbox.insert(n, 1, "v")).collect();
    let query = format!("id%3Ain={}%2C{}", ids[0], ids[2]);
    let deleted = delete(sandbox.base_url(), &query).await;
    assert_eq!(deleted.status, 204);
    assert!(deleted.body.is_empty());
    let left: Vec<i64> = sandbox.values().iter().map(|value| value.id).collect();
    assert_eq!(left, [ids[1], ids[3]]);

    // Unknown, and twice the same: ignored by default. Of a repeated parameter the last counts.
    let query = format!("id:in={}&id:in={2},{2},{1}", ids[3], ids[0], ids[1]);
    assert_eq!(delete(sandbox.base_url(), &query).await.status, 204);
    assert_eq!(sandbox.value(4, 1).unwrap().id, ids[3]);
    assert_eq!(sandbox.counts().values, 1);

    for bad in ["", "id:in=", "id:in=x", "id:in[]=5001", "id:in=5001&page=1"] {
        assert_eq!(delete(sandbox.base_url(), bad).await.status, 422, "{bad:?}");
    }
    assert_eq!(sandbox.counts().values, 1);
    assert_eq!(sandbox.counts().deletes, 7);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_can_sink_a_delete() {
    for (unknown, status) in [(UnknownId::NotFound, 404), (UnknownId::Unprocessable, 422)] {
        let builder = Sandbox::builder().unknown_id(unknown);
        let sandbox = builder.start().await.unwrap();
        let id = sandbox.insert(1, 1, "v");
        let refused = delete(sandbox.base_url(), &format!("id:in={id},{}", id + 1)).await;
        assert_eq!(refused.status, status);
        assert_eq!(sandbox.values().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_can_be_limited() {
    let builder = Sandbox::builder()
        .delete_limit(2)
        .too_large(TooLarge::Status413);
    let sandbox = builder.start().await.unwrap();
    put(
        sandbox.base_url(),
        json!([row(1, 1, "v"), row(1, 2, "v"), row(1, 3, "v")]),
    )
    .await;
    let base_url = sandbox.base_url();
    assert_eq!(delete(base_url, "id:in=5001,5002,5003").await.status, 413);
    assert_eq!(delete(base_url, "id:in=5001,5002").await.status, 204);
    assert_eq!(sandbox.counts().values, 1);
}
