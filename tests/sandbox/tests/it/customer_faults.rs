//! Faults that leave the response to a GET of customers well-formed, but wrong or incomplete.

use bigcommerce_sandbox::{Fault, FaultPlan, ListMeta, Operation, Sandbox, SandboxBuilder};
use serde_json::{Value, json};

use crate::client::{TestResponse, get, get_customers};

/// Starts a sandbox with this fault of every GET of customers, and customers 1 to 30.
async fn start(builder: SandboxBuilder, fault: Fault) -> Sandbox {
    let plan = FaultPlan::seeded(5).rate(1.0).only([fault]);
    let builder = builder.faults(plan.operations([Operation::ListCustomers]));
    let customers = (1..=30).map(|id| (id, format!("{id}@example.com")));
    builder.customers(customers).start().await.unwrap()
}

fn cursors(response: &TestResponse) -> Value {
    response.json()["meta"]["cursor_pagination"].clone()
}

/// Returns the cursor that leads to the next page, as a client encodes it.
fn next(response: &TestResponse) -> String {
    let end = cursors(response)["end_cursor"].as_str().unwrap().to_owned();
    end.replace('+', "%2B").replace('=', "%3D")
}

#[tokio::test(start_paused = true)]
async fn short_and_empty_pages_have_the_usual_cursors() {
    for (fault, shown) in [(Fault::ShortPage, 1..10), (Fault::EmptyPage, 0..1)] {
        let sandbox = start(Sandbox::builder(), fault).await;
        let usual = start(Sandbox::builder(), Fault::DroppedRows).await;
        let mut query = "limit=10".to_owned();
        for page in 1..=3 {
            let response = get_customers(sandbox.base_url(), &query).await;
            assert!(shown.contains(&response.column("id").len()), "{fault}");
            let usual = get_customers(usual.base_url(), &query).await;
            assert_eq!(cursors(&response), cursors(&usual), "{fault}");
            if page == 1 {
                assert_eq!(response.pagination("total"), 30);
                let count = response.column("id").len();
                assert_eq!(response.pagination("count"), count);
            }
            query = format!("limit=10&after={}", next(&response));
        }
        assert_eq!(sandbox.counts().faults, 3);
        // The page after the last one is empty anyway.
        get_customers(sandbox.base_url(), &query).await;
        assert_eq!(sandbox.counts().faults, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_totals_need_a_pagination_with_totals() {
    for (fault, wrong) in [
        (Fault::TotalTooLarge, 31..61),
        (Fault::TotalTooSmall, 0..30),
    ] {
        let sandbox = start(Sandbox::builder(), fault).await;
        let response = get_customers(sandbox.base_url(), "limit=10").await;
        assert_eq!(response.column("id").len(), 10);
        let total = response.pagination("total").as_u64().unwrap();
        assert!(wrong.contains(&total), "{fault} {total}");
        let after = format!("after={}", next(&response));
        get_customers(sandbox.base_url(), &after).await;
        // Other operations have no faults.
        get(sandbox.base_url(), "").await;
        assert_eq!(sandbox.counts().faults, 1, "{fault}");

        let builder = Sandbox::builder().list_meta(ListMeta::NoTotals);
        let sandbox = start(builder, fault).await;
        get_customers(sandbox.base_url(), "limit=10").await;
        assert_eq!(sandbox.counts().faults, 0, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn ignored_filters_list_every_customer() {
    let sandbox = start(Sandbox::builder(), Fault::IgnoredFilters).await;
    let base_url = sandbox.base_url();
    let response = get_customers(base_url, "limit=10&email:in=7@example.com").await;
    assert_eq!(response.column("id"), (1..=10).collect::<Vec<i64>>());
    assert_eq!(response.pagination("total"), 30);
    let query = format!("limit=10&id:in=7&after={}", next(&response));
    let response = get_customers(base_url, &query).await;
    assert_eq!(response.column("id"), (11..=20).collect::<Vec<i64>>());
    assert_eq!(sandbox.counts().faults, 2);
    get_customers(base_url, "limit=10&sort=date_created:asc").await;
    assert_eq!(sandbox.counts().faults, 2);
    assert_eq!(
        get_customers(base_url, "color=blue").await.errors(),
        json!({"color": "is not a parameter of this endpoint"})
    );
}
