//! Pages of customers, by number and by cursor.

use bigcommerce_sandbox::{Cursors, ListMeta, Sandbox, SandboxBuilder, SandboxCustomer};
use serde_json::{Value, json};

use crate::client::{CUSTOMERS, TestResponse, get_customers};

/// Starts a store with customers 1 to 7, the odd ones in group 1.
async fn start(builder: SandboxBuilder) -> Sandbox {
    let customer = |id| SandboxCustomer::new(id, format!("{id}@example.com")).group(id % 2);
    let builder = builder.customers((1..=7).map(customer));
    builder.start().await.unwrap()
}

/// Returns a cursor of the page as a client encodes it, or `None` if it is empty.
fn cursor(response: &TestResponse, name: &str) -> Option<String> {
    let json = response.json();
    let cursor = json["meta"]["cursor_pagination"][name].as_str().unwrap();
    let encoded = cursor.replace('+', "%2B").replace('=', "%3D");
    (!cursor.is_empty()).then_some(encoded)
}

fn meta_keys(response: &TestResponse) -> Vec<String> {
    match &response.json()["meta"] {
        Value::Object(meta) => meta.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_by_number_has_both_kinds_of_meta() {
    let sandbox = start(Sandbox::builder()).await;
    let base_url = sandbox.base_url();
    let response = get_customers(base_url, "limit=2&page=2&customer_group_id:in=1").await;
    assert_eq!(response.column("id"), [5, 7]);
    assert_eq!(meta_keys(&response), ["cursor_pagination", "pagination"]);
    let link = |page| format!("{base_url}{CUSTOMERS}?page={page}&limit=2&customer_group_id%3Ain=1");
    let expected = json!({
        "total": 4, "count": 2, "per_page": 2, "current_page": 2, "total_pages": 2,
        "links": {"previous": link(1), "current": link(2), "next": ""},
    });
    assert_eq!(response.json()["meta"]["pagination"], expected);
}

#[tokio::test(start_paused = true)]
async fn following_the_cursors_lists_each_customer_once() {
    let sandbox = start(Sandbox::builder()).await;
    for (filter, expected) in [
        ("", &[1, 2, 3, 4, 5, 6, 7][..]),
        ("customer_group_id:in=1", &[1, 3, 5, 7]),
    ] {
        let mut seen = Vec::new();
        let mut query = format!("limit=3&{filter}");
        loop {
            let response = get_customers(sandbox.base_url(), &query).await;
            assert_eq!(response.status, 200);
            seen.extend(response.column("id"));
            // A customer who comes or goes before the cursor shifts nothing.
            sandbox.insert_customer((-(seen.len() as i64), "new@example.com"));
            let Some(end) = cursor(&response, "end_cursor") else {
                break;
            };
            // A number of a page has no effect beside a cursor.
            query = format!("limit=3&page=9&{filter}&after={end}");
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_selects_the_page_after_or_before_it() {
    let sandbox = start(Sandbox::builder()).await;
    let base_url = sandbox.base_url();
    let first = get_customers(base_url, "limit=3&page=2").await;
    assert_eq!(first.column("id"), [4, 5, 6]);
    let (start, end) = (cursor(&first, "start_cursor"), cursor(&first, "end_cursor"));
    let (start, end) = (start.unwrap(), end.unwrap());

    let last = get_customers(base_url, &format!("limit=3&after={end}")).await;
    assert_eq!(last.column("id"), [7]);
    assert_eq!(meta_keys(&last), ["cursor_pagination"]);
    assert_eq!(cursor(&last, "start_cursor"), cursor(&last, "end_cursor"));
    let empty = cursor(&last, "end_cursor").unwrap();
    let empty = get_customers(base_url, &format!("after={empty}")).await;
    assert_eq!(empty.column("id"), [0; 0]);
    assert_eq!(cursor(&empty, "end_cursor"), None);

    let before = get_customers(base_url, &format!("limit=2&before={start}")).await;
    assert_eq!(before.column("id"), [2, 3]);
    let of_group = format!("limit=2&customer_group_id:in=1&before={start}");
    assert_eq!(
        get_customers(base_url, &of_group).await.column("id"),
        [1, 3]
    );
    let by_email = format!("email:in=7@example.com,2@example.com&after={start}");
    assert_eq!(get_customers(base_url, &by_email).await.column("id"), [7]);

    // The cursor of a customer who is gone still has its place.
    assert!(sandbox.remove_customer(6));
    let after = get_customers(base_url, &format!("after={end}")).await;
    assert_eq!(after.column("id"), [7]);

    for query in [
        "after=".to_owned(),
        "after=6".to_owned(),
        "before=x".to_owned(),
        // `+` is a space.
        format!("after={}", end.replace("%2B", "+")),
        format!("after={end}&before={start}"),
    ] {
        let response = get_customers(base_url, &query).await;
        assert_eq!(response.status, 422, "{query}");
        assert_eq!(response.error_keys().len(), 1, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_may_have_no_cursors() {
    let supported = start(Sandbox::builder()).await;
    let page = get_customers(supported.base_url(), "limit=2").await;
    let after = format!("limit=2&after={}", cursor(&page, "end_cursor").unwrap());
    for (cursors, status) in [(Cursors::Rejected, 422), (Cursors::Ignored, 200)] {
        let sandbox = start(Sandbox::builder().cursors(cursors)).await;
        let base_url = sandbox.base_url();
        let page = get_customers(base_url, "limit=2&page=2").await;
        assert_eq!(page.column("id"), [3, 4]);
        assert_eq!(meta_keys(&page), ["pagination"]);
        let page = get_customers(base_url, &format!("{after}&page=2")).await;
        assert_eq!(page.status, status);
        if status == 200 {
            assert_eq!(page.column("id"), [3, 4]);
            assert_eq!(meta_keys(&page), ["pagination"]);
            assert_eq!(page.pagination("total"), 7);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn meta_can_lack_totals_or_be_absent() {
    let sandbox = start(Sandbox::builder().list_meta(ListMeta::NoTotals)).await;
    let page = get_customers(sandbox.base_url(), "limit=2").await;
    assert_eq!(page.pagination("total"), json!(null));
    assert_eq!(page.pagination("count"), 2);
    assert!(cursor(&page, "end_cursor").is_some());

    let sandbox = start(Sandbox::builder().list_meta(ListMeta::None)).await;
    let page = get_customers(sandbox.base_url(), "limit=2").await;
    assert_eq!(page.json().as_object().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn pages_by_cursor_of_a_large_store_are_complete() {
    let customers = (1..=100_000).map(|id| (id, format!("{id}@example.com")));
    let sandbox = Sandbox::builder()
        .customers(customers)
        .start()
        .await
        .unwrap();
    let mut query = "limit=250".to_owned();
    let mut seen = 0;
    loop {
        let response = get_customers(sandbox.base_url(), &query).await;
        seen += response.column("id").len();
        let Some(end) = cursor(&response, "end_cursor") else {
            break;
        };
        query = format!("limit=250&after={end}");
    }
    assert_eq!((seen, sandbox.counts().customer_gets), (100_000, 401));
}
