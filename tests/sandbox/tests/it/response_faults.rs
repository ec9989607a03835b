//! Faults that leave the response of a PUT or a list well-formed, but wrong or incomplete.

use bigcommerce_sandbox::{
    BatchRejection, Duplicates, Fault, FaultPlan, ListMeta, Sandbox, SandboxBuilder,
};
use serde_json::{Value, json};

use crate::client::{TestResponse, get, put, row};

/// Applies the fault to every request, with different random choices for each.
fn always(fault: Fault) -> SandboxBuilder {
    let plan = FaultPlan::seeded(5).rate(1.0).only([fault]);
    Sandbox::builder().faults(plan)
}

fn rows(customers: i64) -> Value {
    (1..=customers).map(|n| row(n, 1, &n.to_string())).collect()
}

#[derive(Debug, PartialEq)]
struct Pages {
    total: u64,
    count: u64,
    per_page: u64,
    total_pages: u64,
    has_next: bool,
}

fn pages(response: &TestResponse) -> Pages {
    let number = |field| response.pagination(field).as_u64().unwrap();
    Pages {
        total: number("total"),
        count: number("count"),
        per_page: number("per_page"),
        total_pages: number("total_pages"),
        has_next: response.pagination("links")["next"] != "",
    }
}

/// The pagination of a response that claims to show everything.
fn single_page(count: u64) -> Pages {
    Pages {
        total: count,
        count,
        per_page: 10,
        total_pages: 1,
        has_next: false,
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_rows_are_neither_stored_nor_shown() {
    let mut outcomes = Vec::new();
    for seed in 0..30 {
        let plan = FaultPlan::seeded(seed).rate(1.0).only([Fault::DroppedRows]);
        let sandbox = Sandbox::builder().faults(plan).start().await.unwrap();
        let response = put(sandbox.base_url(), rows(5)).await;
        assert_eq!(response.status, 200);
        let stored: Vec<i64> = sandbox.values().iter().map(|v| v.customer_id).collect();
        assert_eq!(response.column("customer_id"), stored);
        let shown = stored.len() as u64;
        assert_eq!(pages(&response), single_page(shown));
        assert_eq!(sandbox.counts().rows_stored, shown);
        assert!(stored.len() < 5);
        outcomes.push(stored);
    }
    // Different seeds drop different rows.
    outcomes.sort_unstable();
    outcomes.dedup();
    assert!(outcomes.len() > 8, "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn at_least_one_row_is_dropped() {
    let sandbox = always(Fault::DroppedRows).start().await.unwrap();
    for faults in 1..=20 {
        let response = put(sandbox.base_url(), rows(1)).await;
        assert_eq!(response.column("id"), Vec::<i64>::new());
        assert_eq!(sandbox.counts().faults, faults);
    }
    assert_eq!(sandbox.values(), []);
}

#[tokio::test(start_paused = true)]
async fn duplicate_rows_are_dropped_together() {
    let rows = json!([row(1, 1, "a"), row(1, 1, "b")]);
    for duplicates in [Duplicates::LastWins, Duplicates::FirstWins] {
        let builder = always(Fault::DroppedRows).duplicates(duplicates);
        let sandbox = builder.start().await.unwrap();
        let response = put(sandbox.base_url(), rows.clone()).await;
        assert_eq!(response.column("id"), Vec::<i64>::new());
        assert_eq!(pages(&response), single_page(0));
        assert_eq!(sandbox.values(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn hidden_rows_are_stored_but_not_shown() {
    let sandbox = always(Fault::HiddenRows).start().await.unwrap();
    for customers in 1..=10 {
        let response = put(sandbox.base_url(), rows(customers)).await;
        assert_eq!(response.status, 200);
        assert_eq!(sandbox.counts().values as i64, customers);
        let shown = response.column("customer_id");
        assert!((shown.len() as i64) < customers);
        let count = shown.len() as u64;
        assert_eq!(pages(&response), single_page(count));
    }
    assert_eq!(sandbox.counts().faults, 10);
}

#[tokio::test(start_paused = true)]
async fn a_partial_page_shows_the_first_values_and_the_total() {
    let sandbox = always(Fault::PartialPage).start().await.unwrap();
    for customers in 2..=10 {
        let response = put(sandbox.base_url(), rows(customers)).await;
        let shown = response.column("customer_id");
        let count = shown.len() as i64;
        assert!((1..customers).contains(&count));
        assert!(shown.into_iter().eq(1..=count));
        let (total, count) = (customers as u64, count as u64);
        let expected = Pages {
            total,
            count,
            per_page: count,
            total_pages: total.div_ceil(count),
            has_next: true,
        };
        assert_eq!(pages(&response), expected);
        assert_eq!(sandbox.counts().values as u64, total);
    }
    assert_eq!(sandbox.counts().faults, 9);

    // A single value is left as it is.
    let response = put(sandbox.base_url(), rows(1)).await;
    assert_eq!(pages(&response), single_page(1));
    assert_eq!(sandbox.counts().faults, 9);
}

#[tokio::test(start_paused = true)]
async fn normalized_values_are_stored_and_shown() {
    let sandbox = always(Fault::Normalized).start().await.unwrap();
    let values = ["1.0", " Blue ", "Yes", "2024-06-10", ""];
    let rows = (1..).zip(values).map(|(n, value)| row(n, 1, value));
    let response = put(sandbox.base_url(), rows.collect()).await;
    let expected = ["1", "Blue", "Yes", "2024-06-10", ""];
    for (index, value) in expected.into_iter().enumerate() {
        assert_eq!(response.json()["data"][index]["attribute_value"], value);
        let stored = sandbox.value(index as i64 + 1, 1).unwrap();
        assert_eq!(stored.value, value);
    }
    assert_eq!(sandbox.counts().faults, 1);

    // A value that does not change is not counted as a fault.
    put(sandbox.base_url(), json!([row(1, 1, "1")])).await;
    assert_eq!(sandbox.counts().faults, 1);
}

/// Starts a sandbox with this fault and 30 values of attribute 1.
async fn list_with(fault: Fault) -> Sandbox {
    let sandbox = always(fault).start().await.unwrap();
    for customer in 1..=30 {
        sandbox.insert(customer, 1, "x");
    }
    sandbox
}

#[tokio::test(start_paused = true)]
async fn a_short_page_lacks_values_that_no_other_page_shows() {
    let sandbox = list_with(Fault::ShortPage).await;
    let mut shown = Vec::new();
    for page in 1..=3 {
        let query = format!("limit=10&page={page}");
        let response = get(sandbox.base_url(), &query).await;
        let customers = response.column("customer_id");
        assert!((1..10).contains(&customers.len()));
        let expected = Pages {
            total: 30,
            count: customers.len() as u64,
            per_page: 10,
            total_pages: 3,
            has_next: page < 3,
        };
        assert_eq!(pages(&response), expected);
        let of_page = page * 10 - 9..=page * 10;
        assert!(customers.iter().all(|customer| of_page.contains(customer)));
        shown.extend(customers);
    }
    assert!(shown.is_sorted() && shown.len() < 28);
    assert_eq!(sandbox.counts().faults, 3);
    // A page with one value or none is left as it is.
    for query in ["limit=1", "limit=10&page=4"] {
        get(sandbox.base_url(), query).await;
    }
    assert_eq!(sandbox.counts().faults, 3);
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_has_the_usual_total() {
    let sandbox = list_with(Fault::EmptyPage).await;
    let response = get(sandbox.base_url(), "limit=10&page=2").await;
    assert_eq!(response.column("id"), Vec::<i64>::new());
    let expected = Pages {
        total: 30,
        count: 0,
        per_page: 10,
        total_pages: 3,
        has_next: true,
    };
    assert_eq!(pages(&response), expected);
    get(sandbox.base_url(), "limit=10&page=4").await;
    assert_eq!(sandbox.counts().faults, 1);
}

#[tokio::test(start_paused = true)]
async fn a_total_that_lies_leaves_the_values_of_a_list() {
    for (fault, possible) in [
        (Fault::TotalTooLarge, 31..=60),
        (Fault::TotalTooSmall, 0..=29),
    ] {
        let sandbox = list_with(fault).await;
        for _ in 0..200 {
            let response = get(sandbox.base_url(), "limit=10&page=2").await;
            assert!(response.column("customer_id").into_iter().eq(11..=20));
            let pages = pages(&response);
            assert!(possible.contains(&pages.total), "{fault}: {pages:?}");
            assert_ne!(pages.total, 20);
            assert_eq!(pages.total_pages, pages.total.div_ceil(10));
            assert_eq!(pages.has_next, pages.total > 20);
        }
        assert_eq!(sandbox.counts().faults, 200);
        // Without totals, nothing can lie.
        let sandbox = always(fault).list_meta(ListMeta::NoTotals).start().await;
        let sandbox = sandbox.unwrap();
        sandbox.insert(1, 1, "x");
        get(sandbox.base_url(), "").await;
        assert_eq!(sandbox.counts().faults, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_total_that_is_too_large_hides_that_rows_of_a_put_were_dropped() {
    let sandbox = always(Fault::TotalTooLarge).start().await.unwrap();
    for _ in 0..20 {
        let before = sandbox.counts().rows_stored;
        let response = put(sandbox.base_url(), rows(5)).await;
        let shown = response.column("customer_id").len() as u64;
        assert!(shown < 5);
        assert_eq!(sandbox.counts().rows_stored - before, shown);
        assert!((6..=10).contains(&pages(&response).total));
    }
    assert_eq!(sandbox.counts().faults, 20);
}

#[tokio::test(start_paused = true)]
async fn ignored_filters_list_every_value() {
    let sandbox = list_with(Fault::IgnoredFilters).await;
    let response = get(
        sandbox.base_url(),
        "customer_id:in=3&date_created:max=2001-01-01",
    )
    .await;
    assert!(response.column("customer_id").into_iter().eq(1..=30));
    assert_eq!(pages(&response).total, 30);
    // Without a filter there is nothing to ignore.
    get(sandbox.base_url(), "limit=10").await;
    assert_eq!(sandbox.counts().faults, 1);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_request_stays_rejected() {
    for fault in [
        Fault::HtmlSuccess,
        Fault::DroppedRows,
        Fault::HiddenRows,
        Fault::PartialPage,
        Fault::Normalized,
        Fault::Oversized,
        Fault::TotalTooLarge,
    ] {
        for rejection in [BatchRejection::Atomic, BatchRejection::Partial] {
            let builder = always(fault).batch_rejection(rejection);
            let sandbox = builder.start().await.unwrap();
            let rows = json!([row(1, 1, "1.0"), row(2, 1, "1.0"), row(-1, 1, "v")]);
            let response = put(sandbox.base_url(), rows).await;
            assert_eq!(response.status, 422, "{fault}");
            assert!(response.errors()["2.customer_id"].is_string());
            let counts = sandbox.counts();
            assert_eq!((counts.rejected, counts.faults), (1, 0), "{fault}");
            let stored = if rejection == BatchRejection::Partial {
                2
            } else {
                0
            };
            assert_eq!(counts.values, stored, "{fault}");
            assert!(sandbox.values().iter().all(|value| value.value == "1.0"));
        }
    }
    // Faults of any response apply to a rejection too.
    let sandbox = always(Fault::ErrorAfterWork).start().await.unwrap();
    assert!(get(sandbox.base_url(), "limit=0").await.status >= 500);
    assert_eq!((sandbox.counts().rejected, sandbox.counts().faults), (1, 1));
}
