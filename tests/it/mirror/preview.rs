//! The differences between the store and an input.

use bigcommerce_ext::{Difference, Differences, IntoRow};
use futures::{TryStreamExt, future, stream};

use super::*;

/// Returns the differences, one line each, in the order of the text.
async fn lines<S>(mut differences: Differences<S>) -> (Vec<String>, MirrorSummary)
where
    S: Stream,
    S::Item: IntoRow<UpsertRow>,
{
    let mut lines = Vec::new();
    while let Some(difference) = differences.try_next().await.expect("a difference") {
        lines.push(line(difference));
    }
    lines.sort_unstable();
    (lines, differences.summary())
}

fn line(difference: Difference) -> String {
    let text = |row: &UpsertRow| {
        let customer = row.customer_id().unwrap_or_default();
        let attribute = row.attribute().id().unwrap_or_default();
        format!("{customer} {attribute} {:?}", row.value())
    };
    match difference {
        Difference::Create { row, .. } => format!("+ {}", text(&row)),
        Difference::Change { row, old, .. } => format!("~ {} was {old:?}", text(&row)),
        Difference::Unchanged { row, .. } => format!("= {}", text(&row)),
        Difference::Delete {
            customer_id,
            attribute_id,
            attribute,
            old,
            ..
        } => format!("- {customer_id} {attribute_id} {attribute} {old:?}"),
        Difference::Other(outcome) => format!("! {} {}", outcome.index, outcome.kind.as_str()),
        _ => "?".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn each_difference_has_both_values_and_nothing_is_changed() {
    let sandbox = builder().start().await.expect("a sandbox");
    for (customer, attribute, value) in [
        (1, TIER, "Gold"),
        (1, POINTS, "1"),
        (1, SINCE, "2024-06-10"),
        (2, TIER, "Gold"),
        (2, POINTS, "5"),
        (3, TIER, "Bronze"),
        (4, TIER, "Lead"),
    ] {
        sandbox.insert(customer, attribute, value);
    }
    let before = sandbox.values();
    let store = store(sandbox.base_url());
    let rows = [
        UpsertRow::new(1, TIER, "Silver"),
        UpsertRow::new(1, POINTS, "1.0"),
        UpsertRow::new(1, SINCE, "2024-06-10T00:00:00Z"),
        UpsertRow::new(2, TIER, "Gold"),
        UpsertRow::new(2, POINTS, "6"),
        UpsertRow::absent(3, TIER),
        UpsertRow::absent(5, TIER),
        UpsertRow::new(6, TIER, "Gold"),
        UpsertRow::new(7, POINTS, "many"),
    ];
    let mirror = store.mirror(["Tier", "Points", "Since"]).max_deletes(9);
    let (lines, summary) = lines(mirror.preview(stream::iter(rows))).await;
    assert_eq!(
        lines,
        [
            "! 8 rejected",
            "+ 6 101 Some(\"Gold\")",
            "- 3 101 Tier Some(\"Bronze\")",
            "- 4 101 Tier Some(\"Lead\")",
            "= 1 102 Some(\"1.0\")",
            "= 1 103 Some(\"2024-06-10T00:00:00Z\")",
            "= 2 101 Some(\"Gold\")",
            "= 5 101 None",
            "~ 1 101 Some(\"Silver\") was Some(\"Gold\")",
            "~ 2 102 Some(\"6\") was Some(\"5\")",
        ]
    );
    assert!(summary.held_back().is_none());
    assert!(!summary.is_exact());
    let counts = sandbox.counts();
    assert_eq!((counts.puts, counts.deletes), (0, 0));
    assert_eq!(sandbox.values(), before);
    // The attributes, the list, and the old texts.
    assert_eq!(counts.requests, 3);
}

#[tokio::test(start_paused = true)]
async fn old_texts_are_read_in_bulk() {
    let (sandbox, store) = filled(builder(), 1_000).await;
    let rows = (1..=900).map(|customer| UpsertRow::new(customer, TIER, "Silver"));
    let (lines, summary) = lines(store.mirror(["Tier"]).preview(stream::iter(rows))).await;
    assert_eq!(lines.len(), 1_000);
    assert!(lines.iter().all(|line| line.contains("Some(\"Gold\")")));
    assert_eq!(summary.deletes.planned, 100);
    let counts = sandbox.counts();
    assert_eq!((counts.puts, counts.deletes), (0, 0));
    // The attributes, four pages, and four reads of 250 values.
    assert_eq!(counts.requests, 1 + 4 + 4);
    assert_eq!(summary.requests, counts.requests);
}

#[tokio::test(start_paused = true)]
async fn a_preview_tells_what_would_hold_the_deletes_back() {
    let (sandbox, store) = filled(builder(), 20).await;
    let (lines, summary) = lines(store.mirror(["Tier"]).preview(stream::iter(gold(1..=10)))).await;
    assert_eq!(
        lines.iter().filter(|line| line.starts_with('-')).count(),
        10
    );
    assert!(
        held_back(&summary).contains("10 of the 20 values"),
        "{summary:?}"
    );
    assert_eq!(sandbox.counts().deletes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_preview_that_is_stopped_calls_no_value_a_delete() {
    let (_sandbox, store) = filled(builder(), 20).await;
    let rows = stream::iter(gold(1..=10)).chain(stream::iter([UpsertRow::absent(11, TIER)]));
    let mirror = store.mirror(["Tier"]).deadline(Duration::from_secs(10));
    let mut differences = mirror.preview(rows.chain(stream::pending()));
    let mut lines = Vec::new();
    let error = loop {
        match differences.try_next().await {
            Ok(Some(difference)) => lines.push(line(difference)),
            Ok(None) => panic!("no error"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), bigcommerce_ext::ErrorKind::Stopped);
    assert_eq!(lines.len(), 11);
    assert_eq!(lines.last().map(String::as_str), Some("! 10 not_sent"));
    assert!(differences.try_next().await.expect("the end").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_preview_stopped_before_its_first_row_is_an_error() {
    let (_sandbox, store) = filled(builder(), 1).await;
    let mirror = store.mirror(["Tier"]).stop_when(future::ready(()));
    let mut differences = mirror.preview(stream::iter(gold(1..=1)));
    differences.try_next().await.expect_err("a stop");
}

#[tokio::test(start_paused = true)]
async fn a_row_with_fields_of_its_own_is_a_change() {
    let (sandbox, store) = filled(builder(), 1).await;
    let id = sandbox.values()[0].id;
    let row = UpsertRow::new(1, TIER, "Gold").customize(|record| record.id(id));
    let (lines, _) = lines(store.mirror(["Tier"]).preview(stream::iter([row]))).await;
    assert_eq!(lines, ["~ 1 101 Some(\"Gold\") was Some(\"Gold\")"]);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_changed_since_the_list_has_its_present_text() {
    let (sandbox, store) = filled(builder(), 3).await;
    let rows = [
        UpsertRow::new(1, TIER, "Silver"),
        UpsertRow::new(2, TIER, "Silver"),
        UpsertRow::new(3, TIER, "Silver"),
    ];
    let rows = {
        let sandbox = Arc::clone(&sandbox);
        then(rows.into(), move || {
            sandbox.insert(1, TIER, "Silver");
            sandbox.insert(2, TIER, "Bronze");
            let third = sandbox.value(3, TIER).expect("a value");
            sandbox.remove(third.id);
        })
    };
    let (lines, _) = lines(store.mirror(["Tier"]).preview(rows)).await;
    assert_eq!(
        lines,
        [
            "= 1 101 Some(\"Silver\")",
            "~ 2 101 Some(\"Silver\") was Some(\"Bronze\")",
            "~ 3 101 Some(\"Silver\") was None",
        ]
    );
}
