//! The GET of values: filters, pages, links.

use std::time::Duration;

use bigcommerce_sandbox::{LimitTooLarge, ListMeta, ListOrder, Sandbox, SandboxBuilder};
use hyper::Method;
use serde_json::json;

use crate::client::{PATH, get, get_attributes, get_customers, put, request, row, send};
use crate::raw_client::RawClient;

/// Starts a store with three customers, a day apart, and three values for each.
async fn start_filled() -> Sandbox {
    let sandbox = Sandbox::builder()
        .starts_at("2024-06-10T14:22:00Z".parse().unwrap())
        .attribute(1, "Tier")
        .attribute(2, "Last order")
        .start()
        .await
        .unwrap();
    for customer in 1..=3 {
        for attribute in 1..=3 {
            sandbox.insert(customer, attribute, "v");
        }
        tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
    }
    // Created on the 10th, modified on the 13th.
    sandbox.insert(1, 1, "w");
    sandbox
}

#[tokio::test(start_paused = true)]
async fn each_filter_selects_its_values() {
    let sandbox = start_filled().await;
    for (query, expected) in [
        (
            "",
            &[5001, 5002, 5003, 5004, 5005, 5006, 5007, 5008, 5009][..],
        ),
        ("customer_id:in=2", &[5004, 5005, 5006]),
        (
            "customer_id%3Ain=3%2C1",
            &[5001, 5002, 5003, 5007, 5008, 5009],
        ),
        ("attribute_id:in=2", &[5002, 5005, 5008]),
        (
            "customer_id:in=2,3&attribute_id:in=1,2",
            &[5004, 5005, 5007, 5008],
        ),
        ("customer_id:in=1&customer_id:in=9", &[]),
        ("name=Tier", &[5001, 5004, 5007]),
        ("name=Last+order&customer_id:in=3", &[5008]),
        ("name=unknown", &[]),
        ("date_created=2024-06-11", &[5004, 5005, 5006]),
        ("date_created=2024-06-11T14:22:00Z", &[5004, 5005, 5006]),
        ("date_created=2024-06-11T14:22:01Z", &[]),
        ("date_created:min=2024-06-12", &[5007, 5008, 5009]),
        ("date_created:min=2024-06-12T14:22:00Z", &[5007, 5008, 5009]),
        ("date_created:min=2024-06-12T14:22:01Z", &[]),
        ("date_created:max=2024-06-10", &[5001, 5002, 5003]),
        (
            "date_created:max=2024-06-10T16:22:00%2B02:00",
            &[5001, 5002, 5003],
        ),
        ("date_created:max=2024-06-10T14:21:59Z", &[]),
        ("date_modified=2024-06-13", &[5001]),
        (
            "date_modified:min=2024-06-12&date_modified:max=2024-06-12",
            &[5007, 5008, 5009],
        ),
        (
            "date_modified:max=2024-06-11",
            &[5002, 5003, 5004, 5005, 5006],
        ),
        ("date_modified:min=2024-06-13&attribute_id:in=1", &[5001]),
    ] {
        let response = get(sandbox.base_url(), query).await;
        assert_eq!(response.status, 200, "{query}");
        assert_eq!(response.column("id"), expected, "{query}");
        assert_eq!(response.pagination("total"), expected.len(), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_and_malformed_filters_are_rejected() {
    let sandbox = start_filled().await;
    for query in [
        "color=blue",
        "id:in=5001",
        "customer_id=1",
        "customer_id:in[]=1",
        "customer_id:in=",
        "customer_id:in=1.0",
        "attribute_id:in=x",
        "date_created=yesterday",
        "date_modified:min=2024-13-01",
        "page=0",
        "page=1.0",
        "limit=0",
        "limit=50.0",
        "limit=251",
    ] {
        let response = get(sandbox.base_url(), query).await;
        assert_eq!(response.status, 422, "{query}");
        assert_eq!(response.errors().as_object().unwrap().len(), 1, "{query}");
    }
    assert_eq!(sandbox.counts().rejected, 14);
}

#[tokio::test(start_paused = true)]
async fn pages_are_linked() {
    let sandbox = start_filled().await;
    let url = format!("{}/customers/attribute-values", sandbox.base_url());
    let filter = "limit=2&customer_id%3Ain=1%2C2";
    for (page, ids, previous, next) in [
        (1, &[5001, 5002][..], None, Some(2)),
        (2, &[5003, 5004], Some(1), Some(3)),
        (3, &[5005, 5006], Some(2), None),
        (4, &[], Some(3), None),
    ] {
        let response = get(sandbox.base_url(), &format!("{filter}&page={page}")).await;
        assert_eq!(response.column("id"), ids);
        let link = |page: Option<u64>| match page {
            Some(page) => format!("{url}?page={page}&{filter}"),
            None => String::new(),
        };
        let expected = json!({
            "total": 6, "count": ids.len(), "per_page": 2, "current_page": page,
            "total_pages": 3,
            "links": {"previous": link(previous), "current": link(Some(page)), "next": link(next)},
        });
        assert_eq!(response.json()["meta"]["pagination"], expected);
    }
    let far = get(sandbox.base_url(), "page=18446744073709551615").await;
    assert_eq!(far.column("id"), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn following_the_links_lists_each_value_once() {
    let sandbox = Sandbox::builder()
        .customers_per_call(1000)
        .start()
        .await
        .unwrap();
    let rows = (1..=520).map(|customer| row(customer, 1, "v")).collect();
    put(sandbox.base_url(), rows).await;
    let mut seen = Vec::new();
    let mut query = "limit=250".to_owned();
    loop {
        let response = get(sandbox.base_url(), &query).await;
        seen.extend(response.column("customer_id"));
        let next = response.pagination("links")["next"]
            .as_str()
            .unwrap()
            .to_owned();
        let Some((_, next)) = next.split_once('?') else {
            break;
        };
        query = next.to_owned();
    }
    assert_eq!(seen, (1..=520).collect::<Vec<i64>>());
    assert_eq!(sandbox.counts().gets, 3);
}

#[tokio::test(start_paused = true)]
async fn an_empty_store_has_no_pages() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let response = get(sandbox.base_url(), "").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.pagination("total_pages"), 0);
    assert_eq!(response.pagination("links")["next"], "");
}

#[tokio::test(start_paused = true)]
async fn values_are_listed_in_the_configured_order() {
    struct Case {
        order: ListOrder,
        all: [i64; 4],
        /// The values of attribute 7.
        of_tier: [i64; 2],
    }
    for Case {
        order,
        all,
        of_tier,
    } in [
        Case {
            order: ListOrder::ById,
            all: [5001, 5002, 5003, 5004],
            of_tier: [5001, 5004],
        },
        Case {
            order: ListOrder::ByCustomer,
            all: [5002, 5003, 5001, 5004],
            of_tier: [5001, 5004],
        },
        Case {
            order: ListOrder::NewestFirst,
            all: [5004, 5003, 5002, 5001],
            of_tier: [5004, 5001],
        },
        Case {
            order: ListOrder::ByModified,
            all: [5002, 5003, 5004, 5001],
            of_tier: [5004, 5001],
        },
    ] {
        let builder = Sandbox::builder().list_order(order).attribute(7, "Tier");
        let sandbox = builder.start().await.unwrap();
        for (customer, attribute) in [(2, 7), (1, 8), (1, 9), (2, 7), (3, 7)] {
            sandbox.insert(customer, attribute, "v");
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        sandbox.insert(2, 7, "w");
        for page in 0..2 {
            let query = format!("limit=2&page={}", page + 1);
            let response = get(sandbox.base_url(), &query).await;
            assert_eq!(response.column("id"), all[2 * page..][..2], "{order:?}");
            assert_eq!(response.pagination("total"), 4, "{order:?}");
        }
        for query in ["name=Tier", "attribute_id:in=7", "customer_id:in=3,2"] {
            let response = get(sandbox.base_url(), query).await;
            assert_eq!(response.column("id"), of_tier, "{order:?} {query}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_reflects_the_current_store() {
    struct Case {
        order: ListOrder,
        before: [i64; 2],
        after_removal: [i64; 2],
        after_insertion: [i64; 2],
    }
    for case in [
        Case {
            order: ListOrder::ById,
            before: [5003, 5004],
            after_removal: [5004, 5005],
            after_insertion: [5004, 5005],
        },
        Case {
            order: ListOrder::NewestFirst,
            before: [5004, 5003],
            after_removal: [5004, 5003],
            after_insertion: [5005, 5004],
        },
    ] {
        for filter in ["", "&attribute_id:in=1", "&customer_id:in=1,2,3,4,5,6,7"] {
            let sandbox = Sandbox::builder()
                .list_order(case.order)
                .start()
                .await
                .unwrap();
            for customer in 1..=6 {
                sandbox.insert(customer, 1, "v");
            }
            let second_page = async || {
                let query = format!("limit=2&page=2{filter}");
                get(sandbox.base_url(), &query).await.column("id")
            };
            assert_eq!(second_page().await, case.before);
            // Later values move up, so a client that lists page by page misses one.
            assert!(sandbox.remove(5001));
            assert!(!sandbox.remove(5001));
            assert_eq!(second_page().await, case.after_removal);
            sandbox.insert(7, 1, "v");
            assert_eq!(second_page().await, case.after_insertion);
            assert_eq!(sandbox.value(1, 1), None);
            assert_eq!(sandbox.counts().values, 6);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn interleaved_lists_do_not_mix() {
    let sandbox = start_filled().await;
    for page in 1..=3 {
        for (attribute, expected) in [(1, 5001), (2, 5002)] {
            let query = format!("limit=1&page={page}&attribute_id:in={attribute}");
            let response = get(sandbox.base_url(), &query).await;
            assert_eq!(response.column("id"), [expected + 3 * (page - 1)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_too_large_is_rejected_or_clamped() {
    let started = async |too_large| {
        let builder = Sandbox::builder().page_limit(2).limit_too_large(too_large);
        let builder = builder
            .attribute(1, "a")
            .attribute(2, "b")
            .attribute(3, "c");
        let sandbox = builder.start().await.unwrap();
        for customer in 1..=3 {
            sandbox.insert(customer, 1, "v");
        }
        sandbox
    };
    for (too_large, status) in [
        (LimitTooLarge::Status422, 422),
        (LimitTooLarge::Status413, 413),
    ] {
        let sandbox = started(too_large).await;
        let base_url = sandbox.base_url();
        for rejected in [
            get(base_url, "limit=3").await,
            get_attributes(base_url, "limit=3").await,
        ] {
            assert_eq!(rejected.status, status);
            assert!(rejected.errors()["limit"].is_string());
        }
        assert_eq!(get(base_url, "limit=2").await.status, 200);
        assert_eq!(get(base_url, "limit=0").await.status, 422);
        assert_eq!(sandbox.counts().rejected, 3);
    }
    let sandbox = started(LimitTooLarge::Clamped).await;
    let base_url = sandbox.base_url();
    for response in [
        get(base_url, "limit=99").await,
        get_attributes(base_url, "limit=99").await,
    ] {
        assert_eq!(response.status, 200);
        assert_eq!(response.column("id").len(), 2);
        assert_eq!(response.pagination("per_page"), 2);
        assert_eq!(response.pagination("total_pages"), 2);
    }
    let rest = get(base_url, "limit=99&page=2").await;
    assert_eq!(rest.column("id"), [5003]);
    assert_eq!(get(base_url, "limit=1").await.pagination("per_page"), 1);
    assert_eq!(get(base_url, "limit=0").await.status, 422);
}

#[tokio::test(start_paused = true)]
async fn meta_can_lack_totals_or_be_absent() {
    let started = async |meta| {
        let builder = Sandbox::builder().list_meta(meta).attribute(1, "Tier");
        let sandbox = builder.start().await.unwrap();
        sandbox.insert(1, 1, "v");
        sandbox.insert(2, 1, "v");
        sandbox
    };
    let sandbox = started(ListMeta::NoTotals).await;
    let base_url = sandbox.base_url();
    let response = get(base_url, "limit=1").await;
    let next = format!("{base_url}{PATH}?page=2&limit=1");
    let current = format!("{base_url}{PATH}?page=1&limit=1");
    let expected = json!({
        "count": 1, "per_page": 1, "current_page": 1,
        "links": {"previous": "", "current": current, "next": next},
    });
    assert_eq!(response.json()["meta"], json!({"pagination": expected}));
    let attributes = get_attributes(base_url, "").await;
    assert_eq!(attributes.pagination("count"), 1);
    assert_eq!(attributes.pagination("total"), json!(null));

    let sandbox = started(ListMeta::None).await;
    let base_url = sandbox.base_url();
    for response in [
        get(base_url, "limit=1").await,
        get_attributes(base_url, "").await,
    ] {
        assert_eq!(response.column("id").len(), 1);
        assert_eq!(response.json().as_object().unwrap().len(), 1);
    }
    // The setting applies to lists only.
    let written = put(base_url, json!([row(1, 1, "v")])).await;
    assert_eq!(written.pagination("total"), 1);
}

#[tokio::test(start_paused = true)]
async fn ignored_filters_select_every_value() {
    let builder = Sandbox::builder().ignore_filters(true).attribute(1, "Tier");
    let sandbox = builder.start().await.unwrap();
    let base_url = sandbox.base_url();
    for customer in 1..=3 {
        sandbox.insert(customer, 1, "v");
    }
    for query in [
        "customer_id:in=1",
        "attribute_id:in=x&name=none",
        "date_modified:min=2999-01-01&color=blue",
    ] {
        let response = get(base_url, query).await;
        assert_eq!(
            (response.status, response.column("id").len()),
            (200, 3),
            "{query}"
        );
        assert_eq!(response.pagination("total"), 3, "{query}");
    }
    let page = get(base_url, "customer_id:in=1&limit=2&page=2").await;
    assert_eq!(page.column("id"), [5003]);
    assert_eq!(get(base_url, "limit=x").await.status, 422);
    assert_eq!(
        get_attributes(base_url, "name=none").await.column("id"),
        [1]
    );
}

#[tokio::test(start_paused = true)]
async fn a_named_filter_can_be_ignored() {
    let sandbox = Sandbox::builder()
        .ignore_filter("customer_id:in")
        .ignore_filter("email:in")
        .customer(1, "jane@example.com")
        .customer(2, "joe@example.com")
        .start()
        .await
        .unwrap();
    let base_url = sandbox.base_url();
    for customer in 1..=3 {
        sandbox.insert(customer, customer, "v");
    }
    for (query, expected) in [
        ("customer_id:in=1", &[5001, 5002, 5003][..]),
        ("customer_id:in=x", &[5001, 5002, 5003]),
        ("customer_id:in=1&attribute_id:in=2,3", &[5002, 5003]),
        ("limit=1&page=2&customer_id:in=1", &[5002]),
    ] {
        let response = get(base_url, query).await;
        assert_eq!(response.column("id"), expected, "{query}");
    }
    assert_eq!(get(base_url, "color=blue").await.status, 422);
    for (query, expected) in [
        ("email:in=jane@example.com", &[1, 2][..]),
        ("email:in=", &[1, 2]),
        ("email:in=jane@example.com&id:in=2", &[2]),
    ] {
        let response = get_customers(base_url, query).await;
        assert_eq!(response.column("id"), expected, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_url_that_is_too_long_is_rejected() {
    /// Requests a list with a path and query of this many bytes, and returns the status.
    async fn status_of_url(sandbox: &Sandbox, bytes: usize) -> u16 {
        let url = format!("{}{PATH}?customer_id:in=", sandbox.base_url());
        let path = url.find("/stores").unwrap();
        let ids = "1".repeat(18) + ",";
        let rest = bytes - (url.len() - path);
        let mut ids = ids.repeat(rest / ids.len() + 1);
        ids.truncate(rest - 1);
        send(request(Method::GET, &format!("{url}{ids}1"), ""))
            .await
            .status
    }
    let started = async |builder: SandboxBuilder| {
        let builder = builder.quota(150, Duration::from_secs(30));
        builder.start().await.unwrap()
    };
    let sandbox = started(Sandbox::builder()).await;
    assert_eq!(status_of_url(&sandbox, 8192).await, 200);
    assert_eq!(sandbox.counts().longest_url, 8192);
    assert_eq!(status_of_url(&sandbox, 8193).await, 414);
    let counts = sandbox.counts();
    assert_eq!(
        (counts.longest_url, counts.requests, counts.gets),
        (8193, 2, 2)
    );
    // The rejected request used no quota.
    let next = get(sandbox.base_url(), "").await;
    assert_eq!(next.rate_limit("Requests-Left"), Some(148));

    let sandbox = started(Sandbox::builder().url_limit(200)).await;
    assert_eq!(status_of_url(&sandbox, 200).await, 200);
    assert_eq!(status_of_url(&sandbox, 201).await, 414);

    // The HTTP library has its own limit.
    let sandbox = started(Sandbox::builder().url_limit(usize::MAX)).await;
    let path = sandbox.base_url().find("/stores").unwrap();
    let used = sandbox.base_url().len() - path + PATH.len() + "?customer_id:in=".len();
    for (bytes, status, requests) in [(65_534, 422, 1), (65_535, 414, 1)] {
        let mut client = RawClient::connect(&sandbox).await;
        let query = format!("customer_id:in={}", "1".repeat(bytes - used));
        client.send("GET", &query, "").await;
        assert_eq!(client.read_response().await.status(), Some(status));
        let counts = sandbox.counts();
        assert_eq!((counts.longest_url, counts.requests), (65_534, requests));
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_large_list_are_complete() {
    for order in [ListOrder::ById, ListOrder::ByCustomer] {
        let sandbox = Sandbox::builder().list_order(order).start().await.unwrap();
        for customer in 1..=50_000 {
            sandbox.insert(customer, 1, "v");
            sandbox.insert(customer, 2, "v");
        }
        for (query, expected) in [("", 100_000), ("&attribute_id:in=2", 50_000)] {
            let mut seen = 0;
            for page in (1..).step_by(20) {
                let query = format!("limit=250&page={page}{query}");
                let response = get(sandbox.base_url(), &query).await;
                assert_eq!(response.pagination("total"), expected);
                let ids = response.column("id");
                if ids.is_empty() {
                    break;
                }
                seen += ids.len();
            }
            assert_eq!(seen, expected / 20);
        }
    }
}
