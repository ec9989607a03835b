//! PUTs in progress that name the same customer.

use std::time::Duration;

use bigcommerce_sandbox::{Fault, FaultPlan, Operation, Sandbox};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::{put, row};
use crate::raw_client::RawClient;

const LATENCY: Duration = Duration::from_secs(1);

fn spawn(sandbox: &Sandbox, rows: Value) -> JoinHandle<u16> {
    let base_url = sandbox.base_url().to_owned();
    tokio::spawn(async move { put(&base_url, rows).await.status })
}

#[tokio::test(start_paused = true)]
async fn overlaps_are_counted_once_per_put() {
    let sandbox = Sandbox::builder().latency(LATENCY).start().await.unwrap();
    let first = spawn(
        &sandbox,
        json!([row(1, 1, "a"), row(2, 1, "a"), row(2, 2, "a")]),
    );
    tokio::time::sleep(LATENCY / 4).await;
    let second = spawn(
        &sandbox,
        json!([row(2, 1, "b"), row(1, 1, "b"), row(3, 1, "b")]),
    );
    let apart = spawn(&sandbox, json!([row(4, 1, "b"), row(5, 1, "b")]));
    tokio::time::sleep(LATENCY / 4).await;
    assert_eq!(sandbox.counts().customer_overlaps, 1);
    assert_eq!(first.await.unwrap(), 200);
    // The second PUT still holds customers 1 and 2.
    let third = spawn(&sandbox, json!([row(2, 2, "c")]));
    for put in [second, apart, third] {
        assert_eq!(put.await.unwrap(), 200);
    }
    assert_eq!(sandbox.counts().customer_overlaps, 2);

    // No customer is busy any more.
    let rows = (1..=5).map(|customer| row(customer, 1, "d")).collect();
    assert_eq!(put(sandbox.base_url(), rows).await.status, 200);
    let counts = sandbox.counts();
    assert_eq!(counts.customer_overlaps, 2);
    assert!(
        counts
            .to_string()
            .ends_with("values stored, 2 customer overlaps")
    );
}

#[tokio::test(start_paused = true)]
async fn a_put_after_the_response_does_not_overlap() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    for _ in 0..100 {
        assert_eq!(
            put(sandbox.base_url(), json!([row(1, 1, "v")]))
                .await
                .status,
            200
        );
        // The same after a rejection.
        assert_eq!(
            put(sandbox.base_url(), json!([row(1, -1, "v")]))
                .await
                .status,
            422
        );
    }
    assert_eq!(sandbox.counts().customer_overlaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_put_after_a_fault_does_not_overlap() {
    let late = [Fault::LateExecution, Fault::LateBehindGateway];
    let others = Fault::ALL.iter().filter(|fault| !late.contains(fault));
    for fault in others.filter(|fault| fault.applies_to(Operation::Upsert)) {
        let plan = FaultPlan::seeded(1).rate(1.0).only([*fault]);
        let builder = Sandbox::builder().faults(plan).latency(LATENCY);
        let sandbox = builder.start().await.unwrap();
        for _ in 0..3 {
            let mut client = RawClient::connect(&sandbox).await;
            let rows = json!([row(1, 1, "1.0"), row(2, 1, "1.0")]).to_string();
            client.send("PUT", "", &rows).await;
            client.read_response().await;
        }
        let counts = sandbox.counts();
        assert_eq!((counts.faults, counts.customer_overlaps), (3, 0), "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_is_not_admitted_does_not_overlap() {
    let builder = Sandbox::builder().latency(LATENCY).in_flight(1);
    let sandbox = builder.start().await.unwrap();
    let first = spawn(&sandbox, json!([row(1, 1, "a")]));
    tokio::time::sleep(LATENCY / 2).await;
    assert_eq!(
        put(sandbox.base_url(), json!([row(1, 1, "b")]))
            .await
            .status,
        429
    );
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(sandbox.counts().customer_overlaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_trickling_put_no_longer_overlaps() {
    let plan = FaultPlan::script([Some(Fault::Trickle)]).trickle_over(LATENCY);
    let sandbox = Sandbox::builder().faults(plan).start().await.unwrap();
    let slow = spawn(&sandbox, json!([row(1, 1, "a")]));
    tokio::time::sleep(LATENCY / 2).await;
    assert_eq!(
        put(sandbox.base_url(), json!([row(1, 1, "b")]))
            .await
            .status,
        200
    );
    assert_eq!(
        (
            sandbox.counts().customer_overlaps,
            sandbox.counts().in_flight
        ),
        (0, 1)
    );
    assert_eq!(slow.await.unwrap(), 200);
    assert_eq!(sandbox.value(1, 1).unwrap().value, "b");
}
