//! Customers who are given by e-mail address or external ID.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use bigcommerce_ext::reqwest::Url;
use bigcommerce_ext::{
    CustomerKey, ErrorKind, Event, Outcome, OutcomeKind, RetryPolicy, Store, UpsertRow,
};
use bigcommerce_sandbox::{
    Cursors, EmailListSplit, Fault, FaultPlan, Operation, Sandbox, SandboxCustomer,
};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use crate::support::scripted_server::{Response, ScriptedServer};
use crate::support::{TOKEN, cdnow, store};

/// Returns an address for a customer of the CDNOW data: with a plus sign, capitals, umlauts and others.
fn address(customer: i64) -> String {
    match customer % 5 {
        0 => format!("jane.doe+{customer}@example.com"),
        1 => format!("Jane.Doe{customer}@Example.com"),
        2 => format!("jörg.müller{customer}@example.de"),
        3 => format!("o'hara&sons{customer}%@example.org"),
        _ => format!("customer_{customer}@shop.example.net"),
    }
}

/// Returns how the source of rows writes the address.
fn written(customer: i64) -> String {
    match customer % 3 {
        0 => format!(" {}", address(customer)),
        1 => format!("{}\t", address(customer)),
        _ => address(customer),
    }
}

/// Returns the length of an address in a query.
fn encoded_len(address: &str) -> usize {
    let url = Url::parse_with_params("http://localhost/", [("a", address)]);
    url.expect("a URL").query().map_or(0, str::len) - "a=".len()
}

fn values(sandbox: &Sandbox) -> BTreeMap<(i64, i64), String> {
    let values = sandbox.values().into_iter();
    let values = values.map(|value| ((value.customer_id, value.attribute_id), value.value));
    values.collect()
}

/// Returns the addresses of each lookup, decoded.
fn lookups(sandbox: &Sandbox) -> Vec<Vec<String>> {
    let queries = sandbox.customer_queries();
    let decoded = queries.iter().filter_map(|query| {
        let url = Url::parse(&format!("http://localhost/?{query}")).expect("a URL");
        let mut pairs = url.query_pairs();
        let (_, list) = pairs.find(|(name, _)| name == "email:in")?;
        Some(list.split(',').map(str::to_owned).collect())
    });
    decoded.collect()
}

async fn start(customers: impl IntoIterator<Item = (i64, String)>) -> (Sandbox, Store) {
    let customers = customers.into_iter();
    let customers = customers.map(|(id, email)| SandboxCustomer::new(id, email));
    let sandbox = Sandbox::builder().customers(customers).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = store(sandbox.base_url());
    (sandbox, store)
}

fn error_text<R>(outcome: &Outcome<R>) -> String {
    outcome.error().map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn the_bundled_customers_are_found_by_their_addresses() {
    let mut rows = cdnow();
    fastrand::Rng::with_seed(7).shuffle(&mut rows);
    let customers: BTreeSet<_> = rows.iter().filter_map(UpsertRow::customer_id).collect();
    let expected: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            let key = row.customer_id().zip(row.attribute().id());
            (key.expect("IDs"), row.value().expect("a value").to_owned())
        })
        .collect();
    let by_address: Vec<_> = rows
        .iter()
        .map(|row| {
            let customer = row.customer_id().expect("an ID");
            let value = row.value().expect("a value");
            UpsertRow::new(written(customer), row.attribute().clone(), value)
        })
        .collect();
    let all = customers.iter().map(|&id| (id, address(id)));
    for distinguishes_case in [false, true] {
        let builder = Sandbox::builder().customers(
            all.clone()
                .map(|(id, email)| SandboxCustomer::new(id, email)),
        );
        let builder = match distinguishes_case {
            true => builder.distinguish_email_case(true),
            false => builder,
        };
        let sandbox = builder.start().await.expect("a sandbox");
        let store = store(sandbox.base_url());
        let rows = stream::iter(by_address.clone());
        let mut outcomes = store.upsert().stream(rows);
        let mut stored = 0;
        while let Some(outcome) = outcomes.next().await {
            assert!(
                matches!(outcome.kind, OutcomeKind::Stored(_)),
                "{outcome:?}"
            );
            let row = outcome.row.expect("a row");
            let id = row.customer_id().expect("an ID");
            assert_eq!(row.customer(), &CustomerKey::from(written(id)));
            stored += 1;
        }
        assert_eq!(stored, expected.len());
        assert_eq!(values(&sandbox), expected);
        let counts = sandbox.counts();
        assert_eq!(counts.puts, customers.len().div_ceil(10) as u64);
        let lookups = lookups(&sandbox);
        let asked: Vec<_> = lookups.iter().flatten().collect();
        let distinct: HashSet<_> = asked.iter().collect();
        assert_eq!(asked.len(), distinct.len(), "an address is asked for twice");
        assert_eq!(asked.len(), customers.len());
        let room = 2_000 - sandbox.base_url().len() - 100;
        let len: usize = customers
            .iter()
            .map(|&id| encoded_len(&address(id)) + 3)
            .sum();
        let most = (len as f64 * 1.05 / room as f64).ceil() as u64 + 1;
        assert!(
            counts.customer_gets <= most,
            "{} of {most}",
            counts.customer_gets
        );
        assert!(counts.longest_url <= 2_000);
        assert!(counts.peak_in_flight <= 3);
        assert_eq!(outcomes.summary().requests, counts.requests);
    }
}

#[tokio::test]
async fn a_run_that_knows_all_rows_lists_the_customers_if_that_takes_fewer_requests() {
    let addresses = |ids: std::ops::Range<i64>| ids.map(|id| (id, address(id)));
    for (customers, named, is_explicit, expected_lists, expected_lookups) in [
        // 1,500 customers are six pages, 600 addresses about ten lookups.
        (1..1501, 1..601, false, 6, 0),
        // One request shows that 40 pages are more than ten lookups.
        (1..10_001, 1..601, false, 1, 10),
        (1..5_001, 1..601, true, 20, 0),
        (1..1501, 1..61, false, 0, 1),
    ] {
        let (sandbox, store) = start(addresses(customers)).await;
        let rows = named.clone().map(|id| UpsertRow::new(address(id), 1, "x"));
        let upsert = store.upsert().rows(rows);
        let upsert = match is_explicit {
            true => upsert.resolve_by_listing(),
            false => upsert,
        };
        let report = upsert.send().await.expect("a report");
        let count = named.end - named.start;
        assert_eq!(
            report.summary().stored,
            count as u64,
            "{:?}",
            report.summary()
        );
        let lookups = lookups(&sandbox).len();
        let lists = sandbox.customer_queries().len() - lookups;
        assert_eq!(lists, expected_lists);
        assert!(lookups.abs_diff(expected_lookups) <= 1, "{lookups}");
    }
}

#[tokio::test]
async fn a_stream_can_resolve_by_listing() {
    let (sandbox, store) = start((1..=600).map(|id| (id, address(id)))).await;
    let rows = (1..=700).map(|id| UpsertRow::new(written(id), 1, "x"));
    let upsert = store.upsert().resolve_by_listing();
    let outcomes: Vec<_> = upsert.stream(stream::iter(rows)).collect().await;
    for outcome in &outcomes {
        let is_known = outcome.index < 600;
        let is_right = match &outcome.kind {
            OutcomeKind::Stored(Some(record)) => {
                is_known && record.customer_id == outcome.index as i64 + 1
            }
            OutcomeKind::Rejected(_) => !is_known,
            _ => false,
        };
        assert!(is_right, "{outcome:?}");
    }
    assert_eq!(lookups(&sandbox).len(), 0);
    assert_eq!(sandbox.counts().customer_gets, 3);
}

#[tokio::test]
async fn an_unknown_or_ambiguous_address_costs_its_row() {
    let day = |day: i64| chrono::DateTime::from_timestamp(day * 86_400, 0).expect("a date");
    let customers = [
        SandboxCustomer::new(1, "jane@example.com"),
        SandboxCustomer::new(2, "bob@example.com")
            .in_channels([1])
            .created(day(9)),
        SandboxCustomer::new(3, "Bob@example.com")
            .in_channels([2])
            .created(day(8)),
        SandboxCustomer::new(4, "eve@example.com").in_channels([3]),
    ];
    let sandbox = Sandbox::builder().customers(customers).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = store(sandbox.base_url());
    let rows = || {
        [
            "jane@example.com",
            "bob@example.com",
            "nobody@example.com",
            "eve@example.com",
            "jane,doe@example.com",
            "2048",
        ]
        .map(|address| UpsertRow::new(address, 1, "x"))
    };
    let report = store.upsert().rows(rows()).send().await.expect("a report");
    let texts: Vec<_> = report.outcomes().iter().map(error_text).collect();
    let starts = [
        "",
        "customer is ambiguous: 2 customers have this e-mail address (IDs 2, 3): choose one",
        "customer is unknown: no customer with this e-mail address",
        "",
        "customer contains a comma",
        "customer is not an e-mail address",
    ];
    for (outcome, start) in report.outcomes().iter().zip(starts) {
        let text = error_text(outcome);
        let text = text
            .strip_prefix(&format!("row {}: ", outcome.index))
            .unwrap_or(&text);
        assert!(text.starts_with(start), "{texts:?}");
        assert!(!text.contains("example.com"), "{text}");
        let is_rejected = matches!(outcome.kind, OutcomeKind::Rejected(_));
        assert_eq!(is_rejected, !start.is_empty());
        if is_rejected {
            let error = outcome.error().expect("an error");
            assert_eq!(
                (error.kind(), error.row()),
                (ErrorKind::InvalidRow, Some(outcome.index))
            );
        }
    }
    let stored = |sandbox: &Sandbox| {
        values(sandbox)
            .into_keys()
            .map(|(id, _)| id)
            .collect::<Vec<_>>()
    };
    assert_eq!(stored(&sandbox), [1, 4]);
    let upsert = store.upsert().rows(rows()).in_channel(2);
    let report = upsert.send().await.expect("a report");
    assert_eq!(stored(&sandbox), [1, 3, 4]);
    assert!(error_text(&report.outcomes()[3]).contains("in channel 2"));
    let upsert = store.upsert().rows(rows()).newest_account();
    let report = upsert.send().await.expect("a report");
    assert_eq!(report.summary().stored, 3);
    assert_eq!(stored(&sandbox), [1, 2, 3, 4]);
}

#[tokio::test]
async fn rows_for_one_customer_end_in_the_state_of_the_last_whatever_their_keys() {
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (sandbox, store) = start((1..=40).map(|id| (id, address(id)))).await;
        for id in 1..=40 {
            sandbox.insert(id, EXTERNAL, format!("ERP {id}"));
        }
        let mut expected = BTreeMap::new();
        let rows: Vec<_> = (0..400)
            .map(|n| {
                let customer = rng.i64(1..=45);
                let attribute = rng.i64(1..=2);
                let key = match rng.u8(..4) {
                    0 => CustomerKey::Id(customer),
                    1 => CustomerKey::external(format!("ERP {customer}")),
                    2 => CustomerKey::from(written(customer).to_uppercase()),
                    _ => CustomerKey::from(written(customer)),
                };
                let exists = customer <= 40 || key == CustomerKey::Id(customer);
                if exists {
                    expected.insert((customer, attribute), n.to_string());
                }
                (exists, UpsertRow::new(key, attribute, n.to_string()))
            })
            .collect();
        let upsert = store
            .upsert()
            .external_id(EXTERNAL)
            .window(rng.usize(1..200));
        let input: Vec<_> = rows.iter().map(|(_, row)| row.clone()).collect();
        let outcomes: Vec<_> = upsert.stream(stream::iter(input)).collect().await;
        assert_eq!(outcomes.len(), rows.len());
        for outcome in outcomes {
            let index = usize::try_from(outcome.index).expect("an index");
            let (exists, row) = &rows[index];
            let found = outcome.row.as_ref().expect("a row");
            assert_eq!(found.customer(), row.customer());
            let is_right = match outcome.kind {
                OutcomeKind::Stored(_) | OutcomeKind::Superseded { .. } => *exists,
                OutcomeKind::Rejected(_) => !exists,
                _ => false,
            };
            assert!(is_right, "seed {seed}: {outcome:?}");
        }
        let mut stored = values(&sandbox);
        stored.retain(|(_, attribute), _| *attribute != EXTERNAL);
        assert_eq!(stored, expected, "seed {seed}");
    }
}

/// What a row is for: the customers who have its key, and its attribute.
struct Target {
    customers: Vec<i64>,
    attribute: i64,
}

/// Returns rows with keys of all kinds, and what each is for. Customers 1 to 40 have an address and an
/// external ID each, 41 and 42 share those of 1 and 2, and nobody has those from 43 on.
fn mixed_rows(rng: &mut fastrand::Rng) -> Vec<(Target, UpsertRow)> {
    let rows = (0..300).map(|n| {
        let customer = rng.i64(1..=46);
        let attribute = rng.i64(1..=2);
        let mut customers = match customer {
            1 | 2 => vec![customer, customer + 40],
            3..=40 => vec![customer],
            _ => Vec::new(),
        };
        let key = match rng.u8(..4) {
            0 => {
                customers = vec![customer];
                CustomerKey::Id(customer)
            }
            1 => CustomerKey::external(format!("ERP {customer}")),
            2 => CustomerKey::from(written(customer).to_uppercase()),
            _ => CustomerKey::from(written(customer)),
        };
        let target = Target {
            customers,
            attribute,
        };
        (target, UpsertRow::new(key, attribute, n.to_string()))
    });
    rows.collect()
}

/// The attribute of the external IDs.
const EXTERNAL: i64 = 9;

#[tokio::test(start_paused = true)]
async fn with_any_faults_each_row_reaches_its_customer_or_none() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let shared = |id: i64| address(if id > 40 { id - 40 } else { id });
        let customers = (1..=42).map(|id| SandboxCustomer::new(id, shared(id)));
        let plan = FaultPlan::seeded(seed)
            .rate(*rng.choice(&[0.0, 0.1, 0.4]).expect("a rate"))
            .operations([Operation::ListCustomers, Operation::Upsert, Operation::List]);
        let builder = Sandbox::builder().customers(customers).faults(plan);
        let sandbox = builder.start().await.expect("a sandbox");
        for id in 1..=42 {
            sandbox.insert(
                id,
                EXTERNAL,
                format!("ERP {}", if id > 40 { id - 40 } else { id }),
            );
        }
        let store = store(sandbox.base_url());
        let rows = mixed_rows(&mut rng);
        let input: Vec<_> = rows.iter().map(|(_, row)| row.clone()).collect();
        let upsert = store.upsert().external_id(EXTERNAL);
        let upsert = match rng.u8(..3) {
            0 => upsert.resolve_by_listing(),
            1 => upsert.skip_unchanged(),
            _ => upsert,
        };
        let upsert = upsert.window(rng.usize(1..400));
        let mut run = upsert.stream(stream::iter(input));
        let outcomes: Vec<_> = run.by_ref().collect().await;
        let indexes: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.index).collect();
        // A run that stops leaves the rest of its input unread.
        let read = match run.stopped_by() {
            Some(_) => outcomes.len() as u64,
            None => 300,
        };
        assert!(
            indexes.into_iter().eq(0..read),
            "seed {seed}: one outcome per row"
        );
        // The latest row in effect of each customer and attribute.
        let mut latest = BTreeMap::new();
        for outcome in &outcomes {
            let (target, row) = &rows[outcome.index as usize];
            let found = outcome.row.as_ref().expect("a row");
            assert_eq!(found.customer(), row.customer());
            let text = format!("seed {seed}: {outcome:?}");
            match (&outcome.kind, &*target.customers) {
                (OutcomeKind::Stored(_) | OutcomeKind::Unchanged, &[customer]) => {
                    assert_eq!(found.customer_id(), Some(customer), "{text}");
                    let latest = latest.entry((customer, target.attribute)).or_insert(0);
                    *latest = outcome.index.max(*latest);
                }
                (OutcomeKind::Superseded { .. }, [_]) => {}
                (OutcomeKind::Rejected(_), []) | (OutcomeKind::Rejected(_), [_, _]) => {}
                (OutcomeKind::NotSent(_) | OutcomeKind::Unknown(_), _) => {}
                _ => panic!("{text}"),
            }
        }
        for ((customer, attribute), value) in values(&sandbox) {
            if attribute == EXTERNAL {
                continue;
            }
            let index: u64 = value.trim().parse().expect("an index");
            let (target, _) = &rows[index as usize];
            assert_eq!(target.customers, [customer], "seed {seed}: row {index}");
            assert_eq!(target.attribute, attribute);
            let latest = latest
                .get(&(customer, attribute))
                .copied()
                .unwrap_or_default();
            assert!(
                latest <= index,
                "seed {seed}: row {index} undoes row {latest}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_ignores_the_filter_gets_no_value_for_an_address() {
    let customers = (1..=600).map(|id| SandboxCustomer::new(id, address(id)));
    let builder = Sandbox::builder()
        .customers(customers)
        .ignore_filter("email:in");
    let sandbox = builder.start().await.expect("a sandbox");
    let store = store(sandbox.base_url());
    let rows = (1..=50).map(|id| UpsertRow::new(address(id), 1, "x"));
    let report = store.upsert().rows(rows).send().await.expect("a report");
    assert_eq!(report.summary().not_sent, 50);
    assert!(error_text(&report.outcomes()[7]).contains("ignore"));
    assert!(sandbox.values().is_empty());
    let listed: Result<Vec<_>, _> = store
        .customers()
        .emails([address(1)])
        .stream()
        .try_collect()
        .await;
    assert!(listed.expect_err("an error").to_string().contains("ignore"));
    // A list of all customers needs no filter.
    let rows = (1..=50).map(|id| UpsertRow::new(address(id), 1, "x"));
    let upsert = store.upsert().rows(rows).resolve_by_listing();
    assert_eq!(upsert.send().await.expect("a report").summary().stored, 50);
}

#[tokio::test]
async fn a_response_that_does_not_show_the_whole_truth_sends_nothing() {
    let record = |id: i64, email: &str| json!({"id": id, "email": email});
    let page = |data: &[serde_json::Value], total: Option<i64>| {
        let mut pagination = json!({"count": data.len(), "current_page": 1});
        if let Some(total) = total {
            pagination["total"] = total.into();
            pagination["total_pages"] = 1.into();
        }
        json!({"data": data, "meta": {"pagination": pagination}})
    };
    let jane = record(1, "jane@example.com");
    for (name, first, expected) in [
        (
            "a page short",
            page(std::slice::from_ref(&jane), Some(2)),
            ["not_sent"; 2],
        ),
        (
            "no total",
            page(std::slice::from_ref(&jane), None),
            ["not_sent"; 2],
        ),
        ("no meta", json!({"data": [jane.clone()]}), ["not_sent"; 2]),
        (
            "meta is a list",
            json!({"data": [jane.clone()], "meta": []}),
            ["not_sent"; 2],
        ),
        (
            "another customer's record",
            page(&[jane.clone(), record(2, "eve@example.com")], Some(2)),
            ["stored", "not_sent"],
        ),
        (
            "an unreadable record",
            page(&[jane.clone(), json!({"id": "x", "email": null})], Some(2)),
            ["not_sent"; 2],
        ),
        (
            "complete",
            page(std::slice::from_ref(&jane), Some(1)),
            ["stored", "rejected"],
        ),
        ("an empty list", page(&[], Some(0)), ["rejected"; 2]),
        (
            "a total of nothing",
            page(std::slice::from_ref(&jane), Some(0)),
            ["not_sent"; 2],
        ),
        (
            "a negative total",
            page(std::slice::from_ref(&jane), Some(-1)),
            ["not_sent"; 2],
        ),
        (
            "one record twice",
            page(&[jane.clone(), jane.clone()], Some(1)),
            ["stored", "rejected"],
        ),
    ] {
        let empty = json!({"data": [], "meta": {"pagination": first["meta"]["pagination"]}});
        let server = ScriptedServer::start(move |request| {
            if request.method == "PUT" {
                let row = &request.body[0];
                let data = json!([{
                    "attribute_id": row["attribute_id"], "attribute_value": row["value"],
                    "customer_id": row["customer_id"], "id": 5001,
                }]);
                return Response::json(200, &json!({"data": data}));
            }
            let is_first = request.query.get("page").is_none_or(|page| page == "1");
            Response::json(200, if is_first { &first } else { &empty })
        })
        .await;
        let store = store(&server.base_url());
        let rows = ["jane@example.com", "bob@example.com"];
        let rows = rows.map(|address| UpsertRow::new(address, 1, "x"));
        let report = store.upsert().rows(rows).send().await.expect("a report");
        let kinds: Vec<_> = report.outcomes().iter().map(|o| o.kind.as_str()).collect();
        assert_eq!(kinds, expected, "{name}: {report:?}");
    }
}

#[tokio::test]
async fn an_address_that_the_server_refuses_costs_its_row() {
    for status in [400, 422, 500] {
        let server = ScriptedServer::start(move |request| {
            if request.method == "PUT" {
                let rows = request.body.as_array().cloned().unwrap_or_default();
                let data: Vec<_> = rows
                    .iter()
                    .map(|row| {
                        json!({
                            "attribute_id": row["attribute_id"], "attribute_value": row["value"],
                            "customer_id": row["customer_id"], "id": 5001,
                        })
                    })
                    .collect();
                return Response::json(200, &json!({"data": data}));
            }
            let addresses = request.query.get("email:in").cloned().unwrap_or_default();
            if addresses.contains("bad") {
                return Response::json(
                    status,
                    &json!({"status": status, "title": format!("no such {addresses}")}),
                );
            }
            let data: Vec<_> = addresses
                .split(',')
                .map(|address| {
                    let id: String = address.chars().filter(char::is_ascii_digit).collect();
                    json!({"id": id.parse::<i64>().unwrap_or(1), "email": address})
                })
                .collect();
            let total = data.len();
            Response::json(
                200,
                &json!({"data": data, "meta": {"pagination": {"total": total}}}),
            )
        })
        .await;
        let policy = RetryPolicy::default().initial_backoff(Duration::from_millis(1));
        let store = Store::builder_with_base_url(server.base_url(), TOKEN)
            .retry(policy)
            .build()
            .expect("a store");
        let addresses = (1..=40).map(|id| match id {
            17 => "bad17@example.com".to_owned(),
            id => format!("good{id}@example.com"),
        });
        let rows = addresses.map(|address| UpsertRow::new(address, 1, "x"));
        let report = store.upsert().rows(rows).send().await.expect("a report");
        let summary = report.summary();
        assert_eq!(
            (summary.stored, summary.not_sent),
            (39, 1),
            "{status}: {summary}"
        );
        let error = report.outcomes()[16].error().expect("an error");
        assert_eq!(error.status(), Some(status));
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains("example.com") && text.contains("REDACTED"),
            "{text}"
        );
        assert!(server.requests() < 60, "{}", server.requests());
    }
}

#[tokio::test]
async fn lists_of_addresses_arrive_as_meant_whenever_the_server_splits_them() {
    for split in [
        EmailListSplit::AfterDecoding,
        EmailListSplit::BeforeDecoding,
    ] {
        let customers = (1..=20).map(|id| SandboxCustomer::new(id, address(id)));
        let builder = Sandbox::builder()
            .customers(customers)
            .email_list_split(split);
        let sandbox = builder.start().await.expect("a sandbox");
        let store = store(sandbox.base_url());
        let rows = (1..=20).map(|id| UpsertRow::new(written(id), 1, id.to_string()));
        let report = store.upsert().rows(rows).send().await.expect("a report");
        assert_eq!(report.summary().stored, 20, "{split:?}");
        for value in sandbox.values() {
            assert_eq!(value.value, value.customer_id.to_string());
        }
    }
}

#[tokio::test]
async fn a_url_that_the_server_finds_too_long_is_shortened() {
    let customers = (1..=300).map(|id| SandboxCustomer::new(id, address(id)));
    let builder = Sandbox::builder().customers(customers).url_limit(700);
    let sandbox = builder.start().await.expect("a sandbox");
    let store = store(sandbox.base_url());
    let rows = (1..=300).map(|id| UpsertRow::new(address(id), 1, "x"));
    let mut outcomes = store.upsert().stream(stream::iter(rows));
    while outcomes.next().await.is_some() {}
    assert_eq!(outcomes.summary().stored, 300);
    assert!(sandbox.counts().customer_gets < 40, "{}", sandbox.counts());
}

#[tokio::test]
async fn external_ids_are_read_once() {
    let sandbox = Sandbox::builder()
        .attribute(101, "ERP number")
        .attribute(102, "Tier")
        .start()
        .await
        .expect("a sandbox");
    for customer in 1..=600 {
        sandbox.insert(customer, 101, format!("D-{customer}"));
        sandbox.insert(customer, 102, "old");
    }
    sandbox.insert(601, 101, "D-7");
    let store = store(sandbox.base_url());
    let row = |external: &str| UpsertRow::new(CustomerKey::external(external), "Tier", "Gold");
    let rows = || {
        let numbers = (1..=600).map(|id| format!("D-{id}"));
        numbers.chain(["unknown".to_owned()]).map(|id| row(&id))
    };
    let upsert = store.upsert().external_id("ERP number").rows(rows());
    let report = upsert.send().await.expect("a report");
    let summary = report.summary();
    assert_eq!((summary.stored, summary.rejected), (599, 2), "{summary}");
    assert_eq!(
        error_text(&report.outcomes()[6]),
        "row 6: customer is ambiguous: 2 customers have this external ID (IDs 7, 601)"
    );
    assert_eq!(
        error_text(&report.outcomes()[600]),
        "row 600: customer is unknown: no customer with this external ID"
    );
    // Three pages of external IDs, and the attributes.
    assert_eq!(sandbox.counts().gets, 3);
    assert_eq!(sandbox.counts().attribute_gets, 1);
    let report = store
        .upsert()
        .rows([row("D-1")])
        .send()
        .await
        .expect("a report");
    let text = error_text(&report.outcomes()[0]);
    assert!(
        text.contains("name its attribute with external_id()"),
        "{text}"
    );
    let upsert = store.upsert().external_id("ERP").rows([row("D-1")]);
    let report = upsert.send().await.expect("a report");
    let outcome = &report.outcomes()[0];
    assert!(
        matches!(outcome.kind, OutcomeKind::NotSent(_)),
        "{outcome:?}"
    );
    assert!(error_text(outcome).contains("\"ERP\" is not defined"));
}

#[tokio::test]
async fn lists_and_deletes_take_customers_by_any_key() {
    let (sandbox, store) = start((1..=30).map(|id| (id, address(id)))).await;
    for customer in 1..=30 {
        sandbox.insert(customer, 1, "x");
        sandbox.insert(customer, 9, format!("D-{customer}"));
    }
    let keys = || {
        [
            CustomerKey::Id(3),
            CustomerKey::from(written(4)),
            CustomerKey::external("D-5"),
        ]
    };
    let list = store
        .list()
        .customers(keys())
        .external_id(9)
        .attributes([1]);
    let values: Vec<_> = list.stream().try_collect().await.expect("values");
    let ids: Vec<_> = values.iter().map(|value| value.customer_id).collect();
    assert_eq!(ids, [3, 4, 5]);
    let delete = store
        .delete()
        .customers(keys())
        .external_id(9)
        .attributes([1]);
    let report = delete.send().await.expect("a report");
    assert_eq!(report.summary().deleted, 3);
    assert_eq!(report.summary().requests + 3, sandbox.counts().requests);
    for bad in [
        CustomerKey::from("nobody@example.com"),
        CustomerKey::external("D-99"),
        CustomerKey::from("no address"),
    ] {
        let delete = store.delete().customers([bad]).external_id(9);
        let error = delete.send().await.expect_err("an error");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(!error.to_string().contains("example.com"));
    }
    let delete = store.delete().customers([CustomerKey::external("D-6")]);
    assert!(delete.send().await.is_err());
    assert_eq!(sandbox.values().len(), 57);
}

#[tokio::test]
async fn customers_are_listed_by_cursor_or_by_number() {
    for has_cursors in [true, false] {
        let customers = (1..=620).map(|id| SandboxCustomer::new(id, address(id)).group(id % 2));
        let builder = Sandbox::builder().customers(customers);
        let builder = match has_cursors {
            true => builder,
            false => builder.cursors(Cursors::Rejected),
        };
        let sandbox = builder.start().await.expect("a sandbox");
        let store = store(sandbox.base_url());
        let all: Vec<_> = store
            .customers()
            .stream()
            .try_collect()
            .await
            .expect("customers");
        assert!(all.iter().map(|customer| customer.id).eq(1..=620));
        let queries = sandbox.customer_queries();
        assert_eq!(queries.len(), 3);
        assert!(queries[0].contains("page=1") && queries[0].contains("limit=250"));
        assert_eq!(queries[1].contains("after="), has_cursors, "{queries:?}");
        let odd: Vec<_> = store
            .customers()
            .groups([1])
            .stream()
            .try_collect()
            .await
            .expect("customers");
        assert_eq!(odd.len(), 310);
        let some: Vec<_> = store
            .customers()
            .ids([5, 7, 999])
            .stream()
            .try_collect()
            .await
            .expect("customers");
        assert_eq!(some.len(), 2);
        let found = store
            .customers()
            .find(&written(11).to_uppercase())
            .await
            .expect("a customer");
        assert_eq!(found[0].id, 11);
        assert_eq!(
            store
                .customers()
                .find("nobody@example.com")
                .await
                .expect("an answer"),
            []
        );
        let many = store.customers().emails((1..=700).map(address));
        let many: Vec<_> = many.stream().try_collect().await.expect("customers");
        assert_eq!(many.len(), 620);
    }
}

#[tokio::test]
async fn a_customer_who_is_deleted_while_the_list_is_read_is_no_reason_to_fail() {
    let (sandbox, store) = start((1..=620).map(|id| (id, address(id)))).await;
    let mut customers = store.customers().stream();
    let mut ids = Vec::new();
    while let Some(customer) = customers.next().await {
        ids.push(customer.expect("a customer").id);
        if ids.len() == 10 {
            for id in [1, 2, 600] {
                sandbox.remove_customer(id);
            }
        }
    }
    assert_eq!(ids.len(), 619);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_customers_that_is_incomplete_says_so() {
    let customers = (1..=600).map(|id| SandboxCustomer::new(id, address(id)));
    let plan = FaultPlan::seeded(1)
        .rate(1.0)
        .only([Fault::EmptyPage])
        .operations([Operation::ListCustomers]);
    let builder = Sandbox::builder().customers(customers).faults(plan);
    let sandbox = builder.start().await.expect("a sandbox");
    let store = store(sandbox.base_url());
    let listed: Result<Vec<_>, _> = store.customers().stream().try_collect().await;
    let error = listed.expect_err("an error").to_string();
    assert!(
        error.contains("the list of customers is incomplete"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lookup_goes_when_the_input_is_idle_or_its_oldest_row_has_waited() {
    let (sandbox, store) = start((1..=100).map(|id| (id, address(id)))).await;
    let (sender, receiver) = futures::channel::mpsc::unbounded();
    let mut outcomes = store.upsert().stream(receiver);
    sender
        .unbounded_send(UpsertRow::new(address(1), 1, "x"))
        .expect("sent");
    let began = tokio::time::Instant::now();
    let outcome = outcomes.next().await.expect("an outcome");
    assert!(matches!(outcome.kind, OutcomeKind::Stored(_)));
    // The linger time, and no more: the row is sent as soon as its customer is known.
    let waited = began.elapsed();
    assert!(waited < Duration::from_millis(250), "{waited:?}");
    // A row every 60 ms: the input is never idle.
    let rows = stream::iter(2..=40).then(|id| async move {
        tokio::time::sleep(Duration::from_millis(60)).await;
        UpsertRow::new(address(id), 1, "x")
    });
    let before = lookups(&sandbox).len();
    let mut outcomes = store.upsert().stream(Box::pin(rows));
    while outcomes.next().await.is_some() {}
    assert_eq!(outcomes.summary().stored, 39);
    let lookups = lookups(&sandbox).len() - before;
    assert!((4..=6).contains(&lookups), "{lookups}");
}

#[tokio::test(start_paused = true)]
async fn a_run_can_be_stopped_while_it_looks_customers_up() {
    let server = ScriptedServer::start(|_| {
        Response::empty(200).stall_before_headers(Duration::from_secs(1))
    })
    .await;
    let store = store(&server.base_url());
    let rows = (1..=200).map(|id| UpsertRow::new(address(id), 1, "x"));
    let upsert = store.upsert().deadline(Duration::from_secs(5));
    let mut outcomes = upsert.stream(stream::iter(rows));
    let all: Vec<_> = outcomes.by_ref().collect().await;
    assert_eq!(all.len(), 200);
    assert!(
        all.iter()
            .all(|outcome| matches!(outcome.kind, OutcomeKind::NotSent(_)))
    );
    assert_eq!(
        outcomes.stopped_by().map(|error| error.kind()),
        Some(ErrorKind::Stopped)
    );
    assert!(outcomes.may_resend(7));
}

#[tokio::test]
async fn no_event_holds_an_address() {
    let (_sandbox, store) = start((1..=20).map(|id| (id, address(id)))).await;
    let (sender, events) = std::sync::mpsc::channel();
    let rows = (1..=20).map(|id| UpsertRow::new(written(id), 1, "x"));
    let upsert = store.upsert().rows(rows).observe(move |event: &Event| {
        let _ = sender.send(format!("{event:?}"));
    });
    assert_eq!(upsert.send().await.expect("a report").summary().stored, 20);
    let events: Vec<_> = events.try_iter().collect();
    assert!(events.iter().any(|event| event.contains("list_customers")));
    for event in events {
        assert!(
            !event.contains('@') && !event.contains("example"),
            "{event}"
        );
    }
}

#[tokio::test]
async fn access_that_is_refused_stops_the_run() {
    let server = ScriptedServer::start(|_| Response::error(403)).await;
    let store = store(&server.base_url());
    let rows = (1..=20).map(|id| UpsertRow::new(address(id), 1, "x"));
    let report = store.upsert().rows(rows).send().await.expect("a report");
    assert_eq!(report.summary().not_sent, 20);
    let error = report.stopped_by().expect("an error");
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.to_string().contains("GET /customers"), "{error}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn second_looks_in_lower_case_fill_their_urls_too() {
    let customers = (1..=200).map(|id| SandboxCustomer::new(id, address(id).to_lowercase()));
    let builder = Sandbox::builder().customers(customers);
    let sandbox = builder.distinguish_email_case(true).start().await;
    let sandbox = sandbox.expect("a sandbox");
    let store = store(sandbox.base_url());
    let rows = (1..=200).map(|id| UpsertRow::new(address(id).to_uppercase(), 1, "x"));
    let mut outcomes = store.upsert().stream(stream::iter(rows));
    while outcomes.next().await.is_some() {}
    assert_eq!(outcomes.summary().stored, 200);
    let lookups = lookups(&sandbox);
    let asked: HashSet<_> = lookups.iter().flatten().collect();
    assert_eq!(
        (asked.len(), lookups.iter().map(Vec::len).sum()),
        (400, 400)
    );
    assert!(lookups.len() <= 12, "{}", lookups.len());
}

#[tokio::test]
async fn a_lookup_on_the_wire() {
    let sandbox = Sandbox::builder()
        .customers([(1, "jane+x@example.com"), (2, "j\u{f6}rg&co@example.com")])
        .start()
        .await
        .expect("a sandbox");
    sandbox.insert(3, EXTERNAL, "D-7");
    let store = store(sandbox.base_url());
    let rows = [
        UpsertRow::new(" jane+x@example.com", 1, "x"),
        UpsertRow::new("j\u{f6}rg&co@example.com", 1, "x"),
        UpsertRow::new(CustomerKey::external("D-7"), 1, "x"),
        UpsertRow::new("50%@example.com", 1, "x"),
    ];
    let upsert = store.upsert().external_id(EXTERNAL).rows(rows);
    let report = upsert.send().await.expect("a report");
    assert_eq!((report.summary().stored, report.summary().rejected), (3, 1));
    assert_eq!(
        sandbox.customer_queries(),
        [
            "email%3Ain=jane%2Bx%40example.com,j%C3%B6rg%26co%40example.com,50%25%40example.com\
             &limit=250&page=1"
        ]
    );
    assert_eq!(sandbox.counts().gets, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_lookups_all_fail_stops_after_a_hundred_rows() {
    for status in [400, 422] {
        let server = ScriptedServer::start(move |request| match request.method.as_str() {
            "GET" => Response::error(status),
            _ => Response::json(200, &json!({"data": []})),
        })
        .await;
        let store = store(&server.base_url());
        // Behind the rows by address, rows by ID wait for their turn.
        let rows = (1..=400).map(|id| match id % 3 {
            0 => UpsertRow::new(id, 1, "x"),
            _ => UpsertRow::new(address(id), 1, "x"),
        });
        let mut outcomes = store.upsert().stream(stream::iter(rows));
        let all: Vec<_> = outcomes.by_ref().collect().await;
        assert_eq!(all.len(), 400);
        let unsent = all
            .iter()
            .filter(|outcome| outcome.kind.as_str() == "not_sent");
        assert_eq!(unsent.count(), 400, "{status}");
        let error = outcomes.stopped_by().expect("an error");
        assert!(
            error.to_string().contains("any of the first 100 rows"),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_stops_a_run_instead_of_failing_all_lookups() {
    let server = ScriptedServer::start(|request| {
        let response = match request.number {
            1 => Response::json(
                200,
                &json!({"data": [], "meta": {"pagination": {"total": 0}}}),
            ),
            _ => Response::error(429),
        };
        response
            .header("X-Rate-Limit-Requests-Quota", 100)
            .header("X-Rate-Limit-Requests-Left", 0)
            .header("X-Rate-Limit-Time-Window-Ms", 3_600_000)
            .header("X-Rate-Limit-Time-Reset-Ms", 3_600_000)
    })
    .await;
    let store = store(&server.base_url());
    let rows = stream::iter((1..=100_000).map(|id| UpsertRow::new(address(id), 1, "x")));
    let mut outcomes = store.upsert().stream(rows);
    while outcomes.next().await.is_some() {}
    let error = outcomes.stopped_by().expect("an error");
    assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
    // The rest of the input is left unread.
    assert!(
        outcomes.summary().rows() <= 20_000,
        "{}",
        outcomes.summary()
    );
    assert!(server.requests() < 5, "{}", server.requests());
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_given_up_even_if_its_first_page_had_to_be_requested_again() {
    let customers = (1..=10_000).map(|id| SandboxCustomer::new(id, address(id)));
    let plan = FaultPlan::script([Some(Fault::Unavailable)]);
    let plan = plan.operations([Operation::ListCustomers]);
    let builder = Sandbox::builder().customers(customers).faults(plan);
    let sandbox = builder.start().await.expect("a sandbox");
    let store = store(sandbox.base_url());
    let rows = (1..=600).map(|id| UpsertRow::new(address(id), 1, "x"));
    let report = store.upsert().rows(rows).send().await.expect("a report");
    assert_eq!(report.summary().stored, 600);
    let gets = sandbox.counts().customer_gets;
    assert!(gets < 16, "{gets}");
}

#[tokio::test(start_paused = true)]
async fn external_ids_that_could_not_be_read_are_read_again_for_later_rows() {
    let plan = FaultPlan::seeded(1).rate(1.0).only([Fault::Unavailable]);
    let plan = plan.operations([Operation::List]);
    let sandbox = Sandbox::builder().faults(plan).start().await;
    let sandbox = sandbox.expect("a sandbox");
    for customer in 1..=3 {
        sandbox.insert(customer, EXTERNAL, format!("D-{customer}"));
    }
    let retry = RetryPolicy::default().max_attempts(2);
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN).retry(retry);
    let store = store.build().expect("a store");
    let (sender, rows) = futures::channel::mpsc::unbounded();
    let mut outcomes = store.upsert().external_id(EXTERNAL).stream(rows);
    let mut send = async |customer: i64| {
        let key = CustomerKey::external(format!("D-{customer}"));
        sender
            .unbounded_send(UpsertRow::new(key, 1, "x"))
            .expect("sent");
        let outcome = outcomes.next().await.expect("an outcome");
        outcome.kind.as_str()
    };
    assert_eq!(send(1).await, "not_sent");
    sandbox.set_faults(FaultPlan::none());
    assert_eq!((send(2).await, send(3).await), ("stored", "stored"));
}

#[tokio::test(start_paused = true)]
async fn a_redirect_of_a_few_attempts_does_not_end_the_run() {
    let plan = FaultPlan::script(vec![Some(Fault::Redirect); 3]);
    let plan = plan.operations([Operation::ListCustomers]);
    let customers = (1..=20).map(|id| SandboxCustomer::new(id, address(id)));
    let builder = Sandbox::builder().customers(customers).faults(plan);
    let sandbox = builder.start().await.expect("a sandbox");
    let store = store(sandbox.base_url());
    let rows = (1..=20).map(|id| UpsertRow::new(address(id), 1, "x"));
    let report = store.upsert().rows(rows).send().await.expect("a report");
    assert_eq!(report.summary().stored, 20, "{report:?}");
    // Three attempts for all, and one for each half.
    assert_eq!(sandbox.counts().customer_gets, 5);
}
