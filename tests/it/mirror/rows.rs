//! What becomes of the rows of the input.

use bigcommerce_ext::CustomerKey;
use bigcommerce_sandbox::{Fault, FaultPlan, ListMeta};
use futures::stream;
use serde_json::json;

use super::*;
use crate::support::scripted_store::Page;

#[tokio::test(start_paused = true)]
async fn values_compare_by_the_type_of_their_attribute() {
    for (attribute, stored, row, kind) in [
        (TIER, "Gold", "Gold", "unchanged"),
        (TIER, "Gold", "gold", "stored"),
        (TIER, "1", "1.0", "stored"),
        (POINTS, "1", "1.0", "unchanged"),
        (POINTS, "1000", "1e3", "unchanged"),
        (POINTS, "1", "2", "stored"),
        (POINTS, "9007199254740993", "9007199254740992", "stored"),
        (SINCE, "2024-06-10", "2024-06-10T00:00:00Z", "unchanged"),
        (
            SINCE,
            "2024-06-10",
            "2024-06-10T02:00:00+02:00",
            "unchanged",
        ),
        (SINCE, "2024-06-10", "2024-06-11", "stored"),
    ] {
        let sandbox = builder().start().await.expect("a sandbox");
        sandbox.insert(1, attribute, stored);
        let store = store(sandbox.base_url());
        let mirror = store.mirror([attribute]);
        let rows = stream::iter([UpsertRow::new(1, attribute, row)]);
        let (outcomes, summary) = run(mirror.stream(rows)).await;
        assert_eq!(row_kinds(&outcomes), [kind], "{stored} {row}");
        assert!(summary.is_exact(), "{stored} {row}");
        assert_eq!(
            sandbox.counts().puts,
            u64::from(kind == "stored"),
            "{stored} {row}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_row_of_a_customer_and_attribute_wins() {
    let (sandbox, store) = filled(builder(), 10).await;
    let rows = [
        // Unchanged, and then not there.
        UpsertRow::new(1, TIER, "Gold"),
        UpsertRow::absent(1, TIER),
        // Not there twice, and then as it is.
        UpsertRow::absent(2, TIER),
        UpsertRow::absent(2, TIER),
        UpsertRow::new(2, TIER, "Gold"),
        // Another value, and then as it was.
        UpsertRow::new(3, TIER, "Silver"),
        UpsertRow::new(3, TIER, "Gold"),
        // A value that was not there, and then is not.
        UpsertRow::new(11, TIER, "Gold"),
        UpsertRow::absent(11, TIER),
        UpsertRow::absent(12, TIER),
    ];
    let rows = rows.into_iter().chain(gold(4..=10));
    let mirror = store.mirror(["Tier"]);
    let (outcomes, summary) = run(mirror.stream(stream::iter(rows))).await;
    assert_eq!(
        row_kinds(&outcomes)[..10],
        [
            "unchanged",
            "deleted",
            "superseded",
            "superseded",
            "unchanged",
            "superseded",
            "stored",
            "stored",
            "not_sent",
            "unchanged"
        ]
    );
    assert_eq!(deletes(&outcomes), [(1, "deleted")]);
    assert_eq!(tiers(&sandbox)[&3], "Gold");
    assert_eq!(tiers(&sandbox)[&11], "Gold");
    assert!(
        !summary.is_exact(),
        "customer 11 has a value that the input takes away"
    );
    assert_eq!(summary.rows.rows(), 17);
}

#[tokio::test(start_paused = true)]
async fn customers_are_found_by_their_addresses_and_external_ids() {
    let accounts = (1..=4).map(|id| (id, format!("customer{id}@example.com")));
    let (sandbox, store) = filled(builder().attribute(104, "ERP").customers(accounts), 4).await;
    for customer in 1..=4 {
        sandbox.insert(customer, 104, format!("E{customer}"));
    }
    sandbox.advance(HOUR);
    let rows = [
        UpsertRow::new("Customer1@example.com", "Tier", "Gold"),
        UpsertRow::new("customer2@example.com", "Tier", "Silver"),
        UpsertRow::new(CustomerKey::external("E3"), "Tier", "Gold"),
    ];
    let mirror = store.mirror(["Tier"]).external_id("ERP");
    let (outcomes, summary) = run(mirror.stream(stream::iter(rows))).await;
    assert_eq!(row_kinds(&outcomes), ["unchanged", "stored", "unchanged"]);
    assert_eq!(deletes(&outcomes), [(4, "deleted")]);
    assert!(summary.is_exact(), "{summary:?}");
    assert_eq!(sandbox.values().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_undefined_attribute_is_an_error_before_a_row_is_read() {
    let (sandbox, store) = filled(builder(), 1).await;
    for mirror in [
        store.mirror(["Teir"]),
        store.mirror([999]),
        store.mirror(Vec::<i64>::new()),
    ] {
        let rows =
            stream::poll_fn(|_| -> std::task::Poll<Option<UpsertRow>> { panic!("a row was read") });
        mirror
            .stream(rows)
            .finish()
            .await
            .expect_err("an undefined attribute");
    }
    assert_eq!(sandbox.counts().gets, 0);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_may_lack_a_value_does_not_show_that_it_is_not_there() {
    let (_sandbox, store) = filled(builder().list_meta(ListMeta::NoTotals), 3).await;
    let rows = [UpsertRow::absent(4, TIER)].into_iter().chain(gold(1..=3));
    let (outcomes, summary) = run(store.mirror(["Tier"]).stream(stream::iter(rows))).await;
    assert_eq!(row_kinds(&outcomes)[0], "not_sent");
    assert!(!summary.is_exact());
}

#[tokio::test(start_paused = true)]
async fn a_short_page_of_the_list_is_said() {
    // The list is of two pages, of which one is short.
    for script in [
        [
            None,
            Some(Fault::ShortPage),
            Some(Fault::ShortPage),
            None,
            None,
        ],
        [
            None,
            None,
            Some(Fault::ShortPage),
            Some(Fault::ShortPage),
            None,
        ],
    ] {
        let (sandbox, store) = filled(builder(), 300).await;
        sandbox.set_faults(FaultPlan::script(script));
        let (_, summary) = run(store.mirror(["Tier"]).stream(stream::iter(gold(1..=300)))).await;
        assert_eq!(tiers(&sandbox).len(), 300);
        assert_eq!(sandbox.counts().deletes, 0);
        if summary.listed < 300 {
            assert!(summary.list_doubt().is_some(), "{summary:?}");
            assert!(!summary.is_exact());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_stored_as_another_text_is_not_exact() {
    for (text, stored, is_exact) in [
        ("Silver", "SILVER", false),
        ("Silver", "Sil", false),
        (" Silver ", "Silver", true),
    ] {
        // A new value, and one that is changed.
        for customer in [1, 2] {
            let (_server, _, store) = scripted(1, move |request, memory| {
                request.is("PUT", VALUES).then(|| {
                    let mut records = memory.upsert(request);
                    records[0]["attribute_value"] = json!(stored);
                    Page::whole(records).response()
                })
            })
            .await;
            let mut rows = vec![UpsertRow::new(customer, 1, text)];
            rows.extend(scripted_gold((customer == 2).then_some(1)));
            let (outcomes, summary) = run(store.mirror([1]).stream(stream::iter(rows))).await;
            assert_eq!(row_kinds(&outcomes)[0], "stored", "{text:?} {stored:?}");
            assert_eq!(summary.is_exact(), is_exact, "{text:?} {stored:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_not_confirmed_keeps_its_value_and_is_not_exact() {
    // The PUT of customer 1 is not confirmed, whatever is read.
    let (_server, memory, store) = scripted(10, |request, memory| match request.method.as_str() {
        "PUT" => Some(Response::empty(500).close_before_headers()),
        _ => Some(memory.respond(request)),
    })
    .await;
    let mut rows = vec![UpsertRow::new(1, 1, "Silver")];
    rows.extend(scripted_gold(2..=9));
    let mirror = store.mirror([1]).on_outage(bigcommerce_ext::OnOutage::Stop);
    let (outcomes, summary) = run(mirror.stream(stream::iter(rows))).await;
    assert_eq!(row_kinds(&outcomes).len(), 9);
    assert!(memory.ids().contains(&1));
    assert!(!summary.is_exact());
}

#[tokio::test(start_paused = true)]
async fn payloads_come_back_with_their_rows() {
    let (_sandbox, store) = filled(builder(), 3).await;
    let rows = [
        UpsertRow::new(1, TIER, "Silver").with_payload(10),
        UpsertRow::absent(2, TIER).with_payload(20),
        UpsertRow::new(3, TIER, "Gold").with_payload(30),
    ];
    let (outcomes, _) = run(store.mirror(["Tier"]).stream(stream::iter(rows))).await;
    let mut payloads: Vec<_> = outcomes
        .into_iter()
        .filter_map(|outcome| match outcome {
            MirrorOutcome::Row(outcome) => outcome.into_payload(),
            _ => None,
        })
        .collect();
    payloads.sort_unstable();
    assert_eq!(payloads, [10, 20, 30]);
}
