//! Lists: their query parameters, the order of pages, and changes of the store while it is read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bigcommerce_ext::chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use bigcommerce_ext::{ErrorKind, Event, Limits, List, RetryPolicy, Store, UpsertRow};
use bigcommerce_sandbox::{
    Fault, FaultPlan, LimitTooLarge, ListMeta, ListOrder, Operation, Sandbox, StoredValue,
};
use futures::{StreamExt, TryStreamExt};
use httpmock::{HttpMockRequest, HttpMockResponse, Method, MockServer};
use tokio::time::{Instant, advance, sleep};

use crate::support::{TOKEN, sandbox, store};

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2024, 6, 10).expect("a date")
}

/// Returns 16:22:59.001 at UTC+2.
fn time() -> DateTime<FixedOffset> {
    let east = FixedOffset::east_opt(2 * 3600).expect("an offset");
    let time = day().and_hms_milli_opt(16, 22, 59, 1).expect("a time");
    time.and_local_timezone(east).single().expect("one time")
}

/// Each case is a filter, and the query parameter that the endpoint documents for it.
#[test]
fn each_filter_becomes_its_query_parameter() {
    type Case = (fn(List) -> List, &'static str, &'static str);
    let cases: [Case; 17] = [
        (
            |list| list.customers([55, 23, 23]),
            "customer_id:in",
            "23,55",
        ),
        (|list| list.attributes([101]), "attribute_id:in", "101"),
        (|list| list.attribute_name("Tier"), "name", "Tier"),
        (
            |list| list.attribute_name("a+b & c:d=100%é/?#"),
            "name",
            "a+b & c:d=100%é/?#",
        ),
        (|list| list.created_on(day()), "date_created", "2024-06-10"),
        (
            |list| list.created_since(day()),
            "date_created:min",
            "2024-06-10",
        ),
        (
            |list| list.created_until(day()),
            "date_created:max",
            "2024-06-10",
        ),
        (
            |list| list.modified_on(day()),
            "date_modified",
            "2024-06-10",
        ),
        (
            |list| list.modified_since(day()),
            "date_modified:min",
            "2024-06-10",
        ),
        (
            |list| list.modified_until(day()),
            "date_modified:max",
            "2024-06-10",
        ),
        (
            |list| list.created_on(time()),
            "date_created",
            "2024-06-10T14:22:59Z",
        ),
        (
            |list| list.created_since(time()),
            "date_created:min",
            "2024-06-10T14:22:59Z",
        ),
        (
            |list| list.created_until(time()),
            "date_created:max",
            "2024-06-10T14:23:00Z",
        ),
        (
            |list| list.modified_on(time()),
            "date_modified",
            "2024-06-10T14:22:59Z",
        ),
        (
            |list| list.modified_since(time()),
            "date_modified:min",
            "2024-06-10T14:22:59Z",
        ),
        (
            |list| list.modified_until(time()),
            "date_modified:max",
            "2024-06-10T14:23:00Z",
        ),
        (|list| list.page_size(77), "limit", "77"),
    ];
    let server = MockServer::start();
    let store = store(&server.base_url());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    for (filter, name, value) in cases {
        let mut mock = server.mock(|when, then| {
            when.method(Method::GET)
                .path("/customers/attribute-values")
                .query_param("page", "1")
                .query_param("limit", if name == "limit" { value } else { "250" })
                .query_param(name, value)
                // All other characters must be percent-encoded.
                .is_true(|request: &HttpMockRequest| {
                    let uri = request.uri_str().to_owned();
                    let query = uri.split_once('?').map_or("", |(_, query)| query);
                    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._*%=&+".contains(c);
                    query.chars().all(is_allowed)
                });
            then.status(200)
                .json_body(serde_json::json!({"data": [], "meta": {
                    "pagination": {"total": 0, "total_pages": 0},
                }}));
        });
        let values = runtime.block_on(filter(store.list()).stream().try_collect::<Vec<_>>());
        assert_eq!(values.expect("a list"), [], "{name}={value}");
        assert_eq!(mock.calls(), 1, "{name}={value}");
        mock.delete();
    }
}

fn ids(values: &[StoredValue]) -> Vec<i64> {
    values.iter().map(|value| value.id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_is_complete_for_any_filter_page_size_and_server() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let between: DateTime<Utc> = "2024-06-10T14:22:00Z".parse().expect("a time");
        let orders = [
            ListOrder::ById,
            ListOrder::ByCustomer,
            ListOrder::NewestFirst,
        ];
        let metas = [ListMeta::Full, ListMeta::NoTotals, ListMeta::None];
        let refusals = [
            LimitTooLarge::Status422,
            LimitTooLarge::Status413,
            LimitTooLarge::Clamped,
        ];
        let refusal = refusals[rng.usize(..3)];
        // A server that rejects page sizes accepts at least the documented default of 50.
        let min_page_size = if matches!(refusal, LimitTooLarge::Clamped) {
            7
        } else {
            50
        };
        let builder = Sandbox::builder()
            .starts_at(between - Duration::from_secs(3600))
            .attribute(101, "A + B")
            .attribute(102, "Points")
            .list_order(orders[rng.usize(..3)])
            .list_meta(metas[rng.usize(..3)])
            .limit_too_large(refusal)
            .page_limit(rng.usize(min_page_size..260));
        let sandbox = builder.start().await.expect("a sandbox");
        let store = store(sandbox.base_url());
        for _ in 0..rng.usize(0..400) {
            sandbox.insert(rng.i64(1..=90), rng.i64(101..=104), "x");
            advance(Duration::from_secs(rng.u64(0..40))).await;
        }
        let mut list = store.list();
        let mut expected = sandbox.values();
        if rng.bool() {
            let ids: Vec<_> = (0..rng.usize(0..60)).map(|_| rng.i64(1..=90)).collect();
            expected.retain(|value| ids.contains(&value.customer_id));
            list = list.customers(ids);
        }
        if rng.bool() {
            let ids: Vec<_> = (0..rng.usize(0..4)).map(|_| rng.i64(101..=104)).collect();
            expected.retain(|value| ids.contains(&value.attribute_id));
            list = list.attributes(ids);
        }
        if rng.u8(..4) == 0 {
            expected.retain(|value| value.attribute_id == 101);
            list = list.attribute_name("A + B");
        }
        if rng.u8(..4) == 0 {
            expected.retain(|value| value.date_modified >= between);
            list = list.modified_since(between);
        }
        if rng.u8(..4) == 0 {
            expected.retain(|value| value.date_created <= between);
            list = list.created_until(between);
        }
        if rng.bool() {
            list = list.page_size(rng.u64(1..=260).max(5));
        }
        let mut values = list.stream();
        let listed: Vec<_> = values.by_ref().try_collect().await.expect("a list");
        let mut listed: Vec<_> = listed.iter().filter_map(|value| value.id).collect();
        listed.sort_unstable();
        assert_eq!(listed, ids(&expected), "{seed}");
        assert!(!values.changed_during_read(), "{seed}");
        assert_eq!(values.requests(), sandbox.counts().requests, "{seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_of_ids_or_an_invalid_filter_sends_nothing() {
    let sandbox = Sandbox::builder().start().await.expect("a sandbox");
    sandbox.insert(1, 1, "x");
    let store = store(sandbox.base_url());
    let empty: [fn(List) -> List; 3] = [
        |list| list.customers([0_i64; 0]),
        |list| list.attributes([0_i64; 0]),
        |list| list.customers([1]).attributes([0_i64; 0]),
    ];
    for filter in empty {
        let values = filter(store.list()).stream().try_collect::<Vec<_>>().await;
        assert_eq!(values.expect("a list"), []);
    }
    for filter in [
        |list: List| list.attribute_name(""),
        |list: List| list.customers([-1]),
    ] {
        let mut values = filter(store.list()).stream();
        let error = values.try_next().await.expect_err("an error");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(values.next().await.is_none());
    }
    assert_eq!(sandbox.counts().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn no_value_is_delivered_twice_while_the_store_changes() {
    let mut runs_with_missing_values = 0;
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let orders = [
            ListOrder::ById,
            ListOrder::ByCustomer,
            ListOrder::NewestFirst,
        ];
        let builder = Sandbox::builder().list_order(orders[rng.usize(..3)]);
        let builder = builder.latency(Duration::from_millis(5));
        let sandbox = builder.start().await.expect("a sandbox");
        for customer in 1..=300 {
            sandbox.insert(rng.i64(1..=customer), rng.i64(1..=3), "x");
        }
        let initial: BTreeSet<_> = ids(&sandbox.values()).into_iter().collect();
        let changes = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&changes);
        let list = store(sandbox.base_url()).list().page_size(20);
        let list = list.observe(move |event| {
            if let Event::TotalChanged { .. } = event {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut pages = list.pages();
        let (mut delivered, mut numbers) = (Vec::new(), Vec::new());
        let (mut removed, mut has_changed) = (BTreeSet::new(), false);
        while let Some(page) = pages.try_next().await.expect("a page") {
            numbers.push(page.number);
            delivered.extend(page.values.iter().filter_map(|value| value.id));
            for _ in 0..rng.usize(0..3) {
                let id = rng.i64(5001..5300);
                let is_removed = rng.bool() && sandbox.remove(id);
                removed.extend(is_removed.then_some(id));
                if !is_removed && rng.bool() {
                    sandbox.insert(rng.i64(1..400), 4, "new");
                }
            }
            has_changed |= sandbox.values().len() != initial.len();
        }
        let distinct: BTreeSet<_> = delivered.iter().copied().collect();
        assert_eq!(distinct.len(), delivered.len(), "{seed}");
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        let is_observed = changes.load(Ordering::Relaxed) > 0;
        assert!(!is_observed || pages.changed_during_read(), "{seed}");
        assert!(!pages.changed_during_read() || has_changed, "{seed}");
        let missing = initial
            .difference(&distinct)
            .filter(|id| !removed.contains(id));
        if missing.count() > 0 {
            runs_with_missing_values += u64::from(pages.changed_during_read());
        }
    }
    assert!(runs_with_missing_values > 0, "some values are missed");
}

#[tokio::test(start_paused = true)]
async fn pages_are_requested_three_at_a_time_and_delivered_in_order() {
    let latency = Duration::from_millis(20);
    let sandbox = Sandbox::builder().latency(latency).start().await;
    let sandbox = sandbox.expect("a sandbox");
    for customer in 1..=2500 {
        sandbox.insert(customer, 1, "x");
    }
    let began = Instant::now();
    let list = store(sandbox.base_url()).list().page_size(25);
    let listed: Vec<_> = list.stream().try_collect().await.expect("a list");
    let customers: Vec<_> = listed.iter().map(|value| value.customer_id).collect();
    assert_eq!(customers, (1..=2500).collect::<Vec<_>>());
    let counts = sandbox.counts();
    assert_eq!((counts.gets, counts.peak_in_flight), (100, 3));
    // One round for the first page, and 33 for the other 99.
    assert_eq!(began.elapsed(), latency * 34);
}

#[tokio::test(start_paused = true)]
async fn the_largest_accepted_page_size_is_learned() {
    let (sandbox, store) = sandbox().await;
    for customer in 1..=500 {
        sandbox.insert(customer, 101, "x");
    }
    let too_large = store.list().page_size(1000);
    for (list, gets) in [(too_large, 3), (store.list(), 5)] {
        let values: Vec<_> = list.stream().try_collect().await.expect("all pages");
        assert_eq!(values.len(), 500);
        assert_eq!(sandbox.counts().gets, gets);
    }
}

#[tokio::test(start_paused = true)]
async fn many_ids_are_split_over_urls_of_at_most_2000_bytes() {
    let sandbox = Sandbox::builder()
        .latency(Duration::from_millis(20))
        .start()
        .await;
    let sandbox = sandbox.expect("a sandbox");
    let first = 9_000_000_000_000_000_000;
    let customers: Vec<_> = (first..first + 3000).collect();
    for &customer in &customers {
        sandbox.insert(customer, 101, "x");
        sandbox.insert(customer, 102, "y");
    }
    sandbox.insert(1, 101, "not selected");
    let list = store(sandbox.base_url())
        .list()
        .customers(customers)
        .attributes([101]);
    let mut values = list.stream();
    let listed: Vec<_> = values.by_ref().try_collect().await.expect("a list");
    assert_eq!((listed.len(), values.total()), (3000, Some(3000)));
    let counts = sandbox.counts();
    assert!(
        (1_800..=2_000).contains(&counts.longest_url),
        "{}",
        counts.longest_url
    );
    assert_eq!(
        counts.peak_in_flight, 3,
        "pages of different queries are requested concurrently"
    );
    assert!(counts.gets <= 40, "{counts}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_ends_the_list_after_the_pages_before_it() {
    let sandbox = Sandbox::builder().start().await.expect("a sandbox");
    for customer in 1..=100 {
        sandbox.insert(customer, 1, "x");
    }
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .retry(RetryPolicy::default().max_attempts(3))
        .limits(Limits::default().max_in_flight(1))
        .build()
        .expect("a store");
    let fails = std::iter::repeat_n(Some(Fault::Unavailable), 3);
    sandbox.set_faults(FaultPlan::script([None; 4].into_iter().chain(fails)));
    let mut pages = store.list().page_size(10).pages();
    for number in 1..=4 {
        let page = pages
            .try_next()
            .await
            .expect("a page")
            .expect("not the end");
        assert_eq!((page.number, page.values.len()), (number, 10));
    }
    let error = pages.try_next().await.expect_err("page 5 fails");
    let text = error.to_string();
    assert!(
        text.starts_with("GET /customers/attribute-values, page 5, returned 503"),
        "{text}"
    );
    assert!(!text.contains("may have executed"), "{text}");
    assert_eq!(
        (error.kind(), error.attempts()),
        (ErrorKind::Unavailable, 3)
    );
    let sent = sandbox.counts().requests;
    assert!(pages.next().await.is_none());
    sleep(Duration::from_secs(60)).await;
    assert_eq!(sandbox.counts().requests, sent);
}

#[tokio::test(start_paused = true)]
async fn a_slow_or_dropped_reader_holds_no_permit() {
    let sandbox = Sandbox::builder().start().await.expect("a sandbox");
    for customer in 1..=100 {
        sandbox.insert(customer, 1, "x");
    }
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .limits(Limits::default().max_in_flight(1))
        .build()
        .expect("a store");
    let mut pages = store.list().page_size(10).pages();
    pages.try_next().await.expect("a page");
    let rows = (1..=50).map(|customer| UpsertRow::new(customer, 2, "y"));
    let report = store.upsert().rows(rows).send().await.expect("a report");
    assert_eq!(report.summary().stored, 50);
    sleep(Duration::from_secs(3600)).await;
    let rest: Vec<_> = pages.try_collect().await.expect("the rest");
    assert!(rest.len() >= 9);
    // A list that is dropped during a request releases its permit after the grace period.
    sandbox.set_latency(Duration::from_secs(1));
    let mut values = store.list().stream();
    tokio::select! {
        _ = values.next() => panic!("the latency is 1 s"),
        () = sleep(Duration::from_millis(100)) => drop(values),
    }
    let began = Instant::now();
    store.list().stream().try_next().await.expect("a value");
    assert!(
        began.elapsed() <= Duration::from_secs(7),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_keeps_to_the_quota_and_needs_only_the_read_scope() {
    let builder = Sandbox::builder()
        .quota(10, Duration::from_secs(1))
        .read_only();
    let sandbox = builder.start().await.expect("a sandbox");
    for customer in 1..=1000 {
        sandbox.insert(customer, 1, "x");
    }
    let list = store(sandbox.base_url()).list().page_size(10);
    let listed: Vec<_> = list.stream().try_collect().await.expect("a list");
    assert_eq!((listed.len(), sandbox.counts().quota_429s), (1000, 0));

    let sandbox = Sandbox::builder()
        .token("other")
        .start()
        .await
        .expect("a sandbox");
    let mut values = store(sandbox.base_url()).list().stream();
    let error = values.try_next().await.expect_err("an error");
    assert_eq!(
        (error.kind(), error.attempts()),
        (ErrorKind::Unauthorized, 1)
    );
    assert!(!format!("{error} {error:?} {values:?}").contains(TOKEN));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_complete_with_faults_of_every_kind() {
    for seed in 1..=8 {
        let plan = FaultPlan::seeded(seed)
            .rate(0.2)
            .operations([Operation::List]);
        let sandbox = Sandbox::builder().faults(plan).start().await;
        let sandbox = sandbox.expect("a sandbox");
        for customer in 1..=2000 {
            sandbox.insert(customer, 1, "x");
        }
        let list = store(sandbox.base_url()).list().page_size(50);
        let listed: Vec<_> = list.stream().try_collect().await.expect("a list");
        let listed: Vec<_> = listed.iter().filter_map(|value| value.id).collect();
        assert_eq!(listed, ids(&sandbox.values()), "{seed}");
        assert!(sandbox.counts().faults > 0 && sandbox.counts().peak_in_flight <= 3);
    }
}

/// Starts a server with pages of 250 values, of which all after the second page are empty.
async fn with_offset_limit(total: u64) -> MockServer {
    let server = MockServer::start_async().await;
    server
        .mock_async(move |when, then| {
            when.method(Method::GET).path("/customers/attribute-values");
            then.respond_with(move |request: &HttpMockRequest| {
                let params = request.query_params();
                let page = params.iter().find(|(name, _)| name == "page");
                let page: i64 = page
                    .and_then(|(_, page)| page.parse().ok())
                    .expect("a page");
                let ids = (page - 1) * 250 + 1..=page * 250;
                let ids = ids.filter(|&id| id <= 500);
                let data: Vec<_> = ids
                    .map(|id| {
                        serde_json::json!({
                            "id": id, "customer_id": id, "attribute_id": 1, "attribute_value": "x",
                        })
                    })
                    .collect();
                let meta = serde_json::json!({"pagination": {
                    "total": total, "count": data.len(), "per_page": 250, "current_page": page,
                    "total_pages": total.div_ceil(250),
                }});
                let body = serde_json::json!({"data": data, "meta": meta}).to_string();
                HttpMockResponse::builder().status(200).body(body).build()
            });
        })
        .await;
    server
}

#[tokio::test]
async fn a_list_that_lacks_values_ends_with_an_error_after_them() {
    for (total, is_complete) in [(500, true), (25_000, false)] {
        let server = with_offset_limit(total).await;
        let store = store(&server.base_url());
        let mut values = store.list().stream();
        let (mut delivered, mut error) = (0, None);
        while let Some(value) = values.next().await {
            assert!(error.is_none(), "the error is the last item");
            match value {
                Ok(_) => delivered += 1,
                Err(last) => error = Some(last),
            }
        }
        assert_eq!(delivered, 500);
        // Two pages, two empty ones that are requested twice each, and two that were fetched ahead.
        assert!(values.requests() <= 8, "{} requests", values.requests());
        assert_eq!(error.is_none(), is_complete, "{error:?}");
        if let Some(error) = error {
            assert_eq!(error.kind(), ErrorKind::InvalidResponse);
            let text = error.to_string();
            let expected = "the list of values is incomplete: the server showed 500 of 25000: read \
                            it again; if the server's total counts other values too, use \
                            allow_incomplete()";
            assert_eq!(text, expected);
        }
        let allowed = store.list().allow_incomplete().stream();
        let values: Vec<_> = allowed.try_collect().await.expect("no error");
        assert_eq!(values.len(), 500);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_ends_with_an_error_if_the_server_ignores_its_filter() {
    let written: DateTime<Utc> = "2024-06-10T14:22:00Z".parse().expect("a time");
    let builder = Sandbox::builder().ignore_filters(true).starts_at(written);
    let sandbox = builder.start().await.expect("a sandbox");
    for customer in 1..=50 {
        sandbox.insert(customer, 101, "x");
    }
    let store = store(sandbox.base_url());
    let second = Duration::from_secs(1);
    type Select = Box<dyn Fn(List) -> List>;
    let cases: [(Select, bool); 6] = [
        (Box::new(|list| list), true),
        (Box::new(|list| list.customers([1])), false),
        (Box::new(|list| list.attributes([102])), false),
        (Box::new(move |list| list.modified_until(written)), true),
        (
            Box::new(move |list| list.modified_until(written - second)),
            false,
        ),
        (
            Box::new(move |list| list.created_since(written + second)),
            false,
        ),
    ];
    for (number, (select, is_met)) in cases.iter().enumerate() {
        let values = select(store.list()).stream().try_collect::<Vec<_>>().await;
        match values {
            Ok(values) => assert!(*is_met && values.len() == 50, "{number}"),
            Err(error) => {
                assert!(!is_met, "{number}");
                let text = error.to_string();
                assert!(text.contains("values that the filter excludes"), "{text}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_page_size_is_requested_again_after_ten_minutes() {
    let (sandbox, store) = sandbox().await;
    sandbox.insert(1, 101, "x");
    for (wait, gets) in [(0, 2), (599, 1), (1, 2)] {
        advance(Duration::from_secs(wait)).await;
        let before = sandbox.counts().gets;
        let list = store.list().page_size(1000);
        let values: Vec<_> = list.stream().try_collect().await.expect("a list");
        assert_eq!((values.len(), sandbox.counts().gets - before), (1, gets));
    }
}
