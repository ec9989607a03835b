//! Which requests a fault plan affects.

use std::collections::BTreeMap;
use std::time::Duration;

use bigcommerce_sandbox::{Fault, FaultPlan, Operation, Sandbox};
use hyper::Method;
use serde_json::json;
use tokio::time::advance;

use crate::client::{PATH, delete, get, put, request, row, send};
use crate::raw_client::{insert_old_values, send_operation};

#[tokio::test(start_paused = true)]
async fn a_script_affects_the_first_requests_in_order() {
    let script = [
        None,
        Some(Fault::Busy),
        Some(Fault::DroppedRows),
        Some(Fault::Unavailable),
    ];
    let builder = Sandbox::builder().faults(FaultPlan::script(script));
    let sandbox = builder.start().await.unwrap();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(get(sandbox.base_url(), "").await.status);
    }
    // A fault that does not apply to a GET is skipped.
    assert_eq!(statuses, [200, 429, 200, 503, 200, 200]);
    let fault_counts = BTreeMap::from([(Fault::Busy, 1), (Fault::Unavailable, 1)]);
    assert_eq!(sandbox.fault_counts(), fault_counts);
    assert_eq!(sandbox.counts().faults, 2);
}

#[tokio::test(start_paused = true)]
async fn requests_that_the_store_rejects_are_not_numbered() {
    let sandbox = Sandbox::builder()
        .quota(2, Duration::from_secs(30))
        .faults(FaultPlan::script([None, Some(Fault::InternalError)]))
        .start()
        .await
        .unwrap();
    let base_url = sandbox.base_url();
    let url = format!("{base_url}{PATH}");
    let mut no_token = request(Method::GET, &url, "");
    no_token.headers_mut().remove("X-Auth-Token");
    assert_eq!(send(no_token).await.status, 401);
    assert_eq!(get(base_url, "").await.status, 200);
    // An unsupported method uses quota, but is not numbered either.
    assert_eq!(send(request(Method::POST, &url, "")).await.status, 405);
    assert_eq!(get(base_url, "").await.status, 429);
    assert_eq!(sandbox.counts().quota_429s, 1);
    advance(Duration::from_secs(30)).await;
    assert_eq!(get(base_url, "").await.status, 500);
    assert_eq!(sandbox.counts().faults, 1);
}

#[tokio::test(start_paused = true)]
async fn a_seeded_plan_matches_its_prediction() {
    let plan = FaultPlan::seeded(11).rate(0.5);
    let sandbox = Sandbox::builder()
        .faults(plan.clone())
        .in_flight(100)
        .start()
        .await
        .unwrap();
    insert_old_values(&sandbox);
    let mut expected = BTreeMap::new();
    for number in 0..200 {
        if let Some(fault) = plan.fault_for(number, Operation::List) {
            *expected.entry(fault).or_insert(0) += 1;
        }
        send_operation(&sandbox, Operation::List).await;
    }
    assert_eq!(sandbox.fault_counts(), expected);
    assert!((80..120).contains(&sandbox.counts().faults));
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_and_the_script_starts() {
    let script = [Some(Fault::Busy)];
    let plan = FaultPlan::script(script).outage(Duration::from_secs(60));
    let sandbox = Sandbox::builder().faults(plan).start().await.unwrap();
    let base_url = sandbox.base_url();
    for _ in 0..3 {
        let put = put(base_url, json!([row(1, 1, "v")])).await;
        assert_eq!(
            (put.status, put.json()["status"].as_u64()),
            (503, Some(503))
        );
        assert_eq!(get(base_url, "").await.status, 503);
        assert_eq!(delete(base_url, "id:in=5001").await.status, 503);
        advance(Duration::from_millis(19_999)).await;
    }
    assert_eq!(sandbox.counts().values, 0);
    // The outage has 3 ms left.
    assert_eq!(get(base_url, "").await.status, 503);
    advance(Duration::from_millis(3)).await;
    // The script starts only now.
    assert_eq!(get(base_url, "").await.status, 429);
    assert_eq!(get(base_url, "").await.status, 200);
    assert_eq!(sandbox.fault_counts()[&Fault::Unavailable], 10);
}

#[tokio::test(start_paused = true)]
async fn an_outage_can_begin_later_and_interrupts_the_script() {
    let script = [None, Some(Fault::Busy)];
    let plan = FaultPlan::script(script)
        .outage_after(Duration::from_secs(10))
        .outage(Duration::from_secs(60));
    let sandbox = Sandbox::builder().faults(plan).start().await.unwrap();
    let base_url = sandbox.base_url();
    assert_eq!(get(base_url, "").await.status, 200);
    advance(Duration::from_secs(11)).await;
    for _ in 0..3 {
        assert_eq!(get(base_url, "").await.status, 503);
    }
    advance(Duration::from_secs(60)).await;
    assert_eq!(get(base_url, "").await.status, 429);
    assert_eq!(get(base_url, "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_plan_can_be_replaced_and_ended() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let base_url = sandbox.base_url();
    assert_eq!(get(base_url, "").await.status, 200);
    let outage = FaultPlan::none().outage(Duration::from_secs(60));
    advance(Duration::from_secs(100)).await;
    sandbox.set_faults(outage);
    advance(Duration::from_secs(59)).await;
    assert_eq!(get(base_url, "").await.status, 503);
    let always = FaultPlan::seeded(1).rate(1.0).only([Fault::Busy]);
    sandbox.set_faults(always);
    assert_eq!(get(base_url, "").await.status, 429);
    sandbox.set_faults(FaultPlan::none());
    assert_eq!(get(base_url, "").await.status, 200);
    // The faults of earlier plans stay counted.
    assert_eq!(sandbox.counts().faults, 2);
}
