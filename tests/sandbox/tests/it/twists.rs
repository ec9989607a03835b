//! Faults that leave a PUT's answer well-formed, but not true or not whole.

use bigcommerce_sandbox::{BatchRejection, Duplicates, Fault, FaultPlan, Sandbox, SandboxBuilder};
use serde_json::{Value, json};

use crate::client::{Answer, get, put, row};

/// Each request meets the fault; the seed makes the difference between one and the next.
fn always(fault: Fault) -> SandboxBuilder {
    let plan = FaultPlan::seeded(5).rate(1.0).only([fault]);
    Sandbox::builder().faults(plan)
}

fn rows(customers: i64) -> Value {
    (1..=customers).map(|n| row(n, 1, &n.to_string())).collect()
}

/// Total, count, per page, pages, and whether there is a link to the next one.
fn pages(answer: &Answer) -> (u64, u64, u64, u64, bool) {
    let number = |field| answer.pagination(field).as_u64().unwrap();
    (
        number("total"),
        number("count"),
        number("per_page"),
        number("total_pages"),
        answer.pagination("links")["next"] != "",
    )
}

#[tokio::test(start_paused = true)]
async fn some_rows_are_neither_stored_nor_shown() {
    let mut left_out = Vec::new();
    for seed in 0..30 {
        let plan = FaultPlan::seeded(seed).rate(1.0).only([Fault::LeavesOut]);
        let sandbox = Sandbox::builder().faults(plan).start().await.unwrap();
        let answer = put(sandbox.base_url(), rows(5)).await;
        assert_eq!(answer.status, 200);
        let stored: Vec<i64> = sandbox.values().iter().map(|v| v.customer_id).collect();
        assert_eq!(answer.column("customer_id"), stored);
        let shown = stored.len() as u64;
        assert_eq!(pages(&answer), (shown, shown, 10, 1, false));
        assert_eq!(sandbox.counts().rows_stored, shown);
        assert!(stored.len() < 5);
        left_out.push(stored);
    }
    // Now these, now those.
    left_out.sort_unstable();
    left_out.dedup();
    assert!(left_out.len() > 8, "{left_out:?}");
}

#[tokio::test(start_paused = true)]
async fn at_least_one_row_is_left_out() {
    let sandbox = always(Fault::LeavesOut).start().await.unwrap();
    for faults in 1..=20 {
        let answer = put(sandbox.base_url(), rows(1)).await;
        assert_eq!(answer.column("id"), Vec::<i64>::new());
        assert_eq!(sandbox.counts().faults, faults);
    }
    assert_eq!(sandbox.values(), []);
}

#[tokio::test(start_paused = true)]
async fn a_value_is_left_out_with_all_its_rows() {
    let rows = json!([row(1, 1, "a"), row(1, 1, "b")]);
    for duplicates in [Duplicates::LastWins, Duplicates::FirstWins] {
        let builder = always(Fault::LeavesOut).duplicates(duplicates);
        let sandbox = builder.start().await.unwrap();
        let answer = put(sandbox.base_url(), rows.clone()).await;
        assert_eq!(answer.column("id"), Vec::<i64>::new());
        assert_eq!(pages(&answer), (0, 0, 10, 1, false));
        assert_eq!(sandbox.values(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn stored_rows_are_hidden() {
    let sandbox = always(Fault::HidesRows).start().await.unwrap();
    for customers in 1..=10 {
        let answer = put(sandbox.base_url(), rows(customers)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(sandbox.counts().values as i64, customers);
        let shown = answer.column("customer_id");
        assert!((shown.len() as i64) < customers);
        let count = shown.len() as u64;
        assert_eq!(pages(&answer), (count, count, 10, 1, false));
    }
    assert_eq!(sandbox.counts().faults, 10);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_what_was_stored_says_so() {
    let sandbox = always(Fault::PartialPage).start().await.unwrap();
    for customers in 2..=10 {
        let answer = put(sandbox.base_url(), rows(customers)).await;
        let shown = answer.column("customer_id");
        let count = shown.len() as i64;
        assert!((1..customers).contains(&count));
        assert!(shown.into_iter().eq(1..=count));
        let (total, count) = (customers as u64, count as u64);
        let expected = (total, count, count, total.div_ceil(count), true);
        assert_eq!(pages(&answer), expected);
        assert_eq!(sandbox.counts().values as u64, total);
    }
    assert_eq!(sandbox.counts().faults, 9);

    // One value has no pages.
    let answer = put(sandbox.base_url(), rows(1)).await;
    assert_eq!(pages(&answer), (1, 1, 10, 1, false));
    assert_eq!(sandbox.counts().faults, 9);
}

#[tokio::test(start_paused = true)]
async fn values_are_normalised_where_they_can_be() {
    let sandbox = always(Fault::Normalised).start().await.unwrap();
    let values = ["1.0", " Blue ", "Yes", "2024-06-10", ""];
    let rows = (1..).zip(values).map(|(n, value)| row(n, 1, value));
    let answer = put(sandbox.base_url(), rows.collect()).await;
    let expected = ["1", "Blue", "Yes", "2024-06-10", ""];
    for (place, value) in expected.into_iter().enumerate() {
        assert_eq!(answer.json()["data"][place]["attribute_value"], value);
        let stored = sandbox.value(place as i64 + 1, 1).unwrap();
        assert_eq!(stored.value, value);
    }
    assert_eq!(sandbox.counts().faults, 1);

    // Where there is nothing to change, nothing was played.
    put(sandbox.base_url(), json!([row(1, 1, "1")])).await;
    assert_eq!(sandbox.counts().faults, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_made_a_success() {
    for fault in [
        Fault::HtmlSuccess,
        Fault::LeavesOut,
        Fault::HidesRows,
        Fault::PartialPage,
        Fault::Normalised,
        Fault::Oversized,
    ] {
        for rejection in [BatchRejection::Atomic, BatchRejection::Partial] {
            let builder = always(fault).batch_rejection(rejection);
            let sandbox = builder.start().await.unwrap();
            let rows = json!([row(1, 1, "1.0"), row(2, 1, "1.0"), row(-1, 1, "v")]);
            let answer = put(sandbox.base_url(), rows).await;
            assert_eq!(answer.status, 422, "{fault}");
            assert!(answer.errors()["2.customer_id"].is_string());
            let counts = sandbox.counts();
            assert_eq!((counts.refused, counts.faults), (1, 0), "{fault}");
            let stored = if rejection == BatchRejection::Partial {
                2
            } else {
                0
            };
            assert_eq!(counts.values, stored, "{fault}");
            assert!(sandbox.values().iter().all(|value| value.value == "1.0"));
        }
    }
    // But it meets what does not care for a success.
    let sandbox = always(Fault::ErrorAfterWork).start().await.unwrap();
    assert!(get(sandbox.base_url(), "limit=0").await.status >= 500);
    assert_eq!((sandbox.counts().refused, sandbox.counts().faults), (1, 1));
}
