//! How many requests a mirror makes.

use futures::stream;

use super::*;

/// What a mirror is to do, and the requests that it makes.
struct Case {
    /// The number of customers with a value.
    listed: i64,
    /// How many of them the input has another value for.
    changed: i64,
    /// How many the input lacks.
    lacking: i64,
    /// How many the input has beside them.
    created: i64,
    gets: u64,
    puts: u64,
    deletes: u64,
}

#[tokio::test(start_paused = true)]
async fn requests_are_as_few_as_the_sizes_allow() {
    let case = |listed, changed, lacking, created, gets, puts, deletes| Case {
        listed,
        changed,
        lacking,
        created,
        gets,
        puts,
        deletes,
    };
    for case in [
        case(0, 0, 0, 0, 1, 0, 0),
        case(0, 0, 0, 95, 1, 10, 0),
        case(250, 0, 0, 0, 1, 0, 0),
        case(251, 0, 0, 0, 2, 0, 0),
        case(1_000, 95, 0, 0, 4, 10, 0),
        // The look shows what the mirror has changed.
        case(1_000, 95, 5, 0, 4 + 1, 10, 1),
        case(1_000, 1, 1, 0, 4 + 1, 1, 1),
        case(1_000, 0, 5, 95, 4 + 1, 10, 1),
        case(1_000, 251, 5, 0, 4 + 2, 26, 1),
        // Nothing is changed that the look could show: the values are read again.
        case(1_000, 0, 5, 0, 4 + 1 + 1, 0, 1),
        case(1_000, 1, 1_000 - 1, 0, 4 + 1, 1, 4),
    ] {
        let Case {
            listed,
            changed,
            lacking,
            created,
            gets,
            puts,
            deletes,
        } = case;
        let (sandbox, store) = filled(builder(), listed).await;
        let rows = (1..=listed - lacking).map(move |customer| {
            let text = if customer <= changed {
                "Silver"
            } else {
                "Gold"
            };
            UpsertRow::new(customer, TIER, text)
        });
        let news = (1..=created).map(|customer| UpsertRow::new(10_000 + customer, TIER, "Gold"));
        let mirror = store.mirror(["Tier"]).max_deletes(1_000);
        let (_, summary) = run(mirror.stream(stream::iter(rows.chain(news)))).await;
        let name = format!("{listed} {changed} {lacking} {created}");
        assert!(summary.is_exact(), "{name} {summary:?}");
        let counts = sandbox.counts();
        assert_eq!(counts.attribute_gets, 1, "{name}");
        assert_eq!(
            (counts.gets, counts.puts, counts.deletes),
            (gets, puts, deletes),
            "{name}"
        );
        assert_eq!(summary.requests, counts.requests, "{name}");
        assert_eq!(
            tiers(&sandbox).len() as i64,
            listed - lacking + created,
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn several_attributes_are_one_list_and_one_change_per_customer() {
    let sandbox = builder().start().await.expect("a sandbox");
    for customer in 1..=100 {
        sandbox.insert(customer, TIER, "Gold");
        sandbox.insert(customer, POINTS, "1");
        sandbox.insert(customer, SINCE, "2024-06-10");
    }
    sandbox.advance(HOUR);
    let store = store(sandbox.base_url());
    let rows = (1..=100).flat_map(|customer| {
        [
            UpsertRow::new(customer, TIER, "Silver"),
            UpsertRow::new(customer, POINTS, "2"),
        ]
    });
    let mirror = store.mirror(["Tier", "Points", "Since"]).max_deletes(100);
    let (_, summary) = run(mirror.stream(stream::iter(rows))).await;
    assert!(summary.is_exact());
    let counts = sandbox.counts();
    // 300 values listed, and 200 looked at.
    assert_eq!((counts.gets, counts.puts, counts.deletes), (2 + 1, 10, 1));
}

#[tokio::test(start_paused = true)]
async fn a_second_mirror_changes_nothing() {
    let (sandbox, store) = filled(builder(), 300).await;
    let rows = || stream::iter(gold(1..=290)).chain(stream::iter([UpsertRow::new(1, TIER, "New")]));
    let (_, first) = run(store.mirror(["Tier"]).stream(rows())).await;
    assert!(first.is_exact());
    let before = sandbox.counts();
    let rows = stream::iter(gold(2..=290)).chain(stream::iter([UpsertRow::new(1, TIER, "New")]));
    let (_, second) = run(store.mirror(["Tier"]).stream(rows)).await;
    assert!(second.is_exact());
    let after = sandbox.counts();
    assert_eq!((after.puts, after.deletes), (before.puts, before.deletes));
    assert_eq!(after.requests - before.requests, 1 + 2);
}
