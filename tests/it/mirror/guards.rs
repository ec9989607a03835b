//! Each guard holds the deletes back. Without it, the same mirror deletes.

use bigcommerce_ext::Mirror;
use bigcommerce_sandbox::{ListMeta, SandboxCustomer};
use futures::stream;

use super::*;

/// Mirrors an input that has the tiers of the customers 1 to 19 of 20, and these items.
async fn mirror_with(
    set: impl FnOnce(Mirror) -> Mirror,
    items: impl IntoIterator<Item = Item>,
) -> (Arc<Sandbox>, Vec<MirrorOutcome>, MirrorSummary) {
    let accounts = [1, 2].map(|id| SandboxCustomer::from((id, "jane@example.com")));
    let (sandbox, store) = filled(builder().customers(accounts), 20).await;
    let rows = gold(1..=19).into_iter().map(Ok).chain(items);
    let mirror = set(store.mirror(["Tier"]));
    let (outcomes, summary) = run(mirror.stream(stream::iter(rows.collect::<Vec<Item>>()))).await;
    (sandbox, outcomes, summary)
}

/// Checks that one of the 20 values was a candidate, and was not deleted.
fn assert_held_back(sandbox: &Sandbox, summary: &MirrorSummary, reason: &str) {
    assert_eq!(tiers(sandbox).len(), 20, "{reason}");
    assert_eq!(sandbox.counts().deletes, 0, "{reason}");
    assert_eq!(summary.not_in_input, 1, "{reason}");
    assert_eq!(summary.deletes.rows(), 0, "{reason}");
    assert!(
        held_back(summary).contains(reason),
        "{}",
        held_back(summary)
    );
    assert!(!summary.is_exact(), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn without_a_reason_to_keep_it_a_value_that_the_input_lacks_is_deleted() {
    let (sandbox, outcomes, summary) = mirror_with(|mirror| mirror, []).await;
    assert_eq!(deletes(&outcomes), [(20, "deleted")]);
    assert!(!tiers(&sandbox).contains_key(&20));
    assert!(summary.is_exact(), "{summary:?}");
    assert!(summary.held_back().is_none());
    assert_eq!((summary.listed, summary.not_in_input), (20, 1));
    assert_eq!(summary.rows.unchanged, 19);
}

#[tokio::test(start_paused = true)]
async fn an_empty_input_deletes_nothing() {
    let (sandbox, store) = filled(builder(), 20).await;
    let mirror = store.mirror(["Tier"]).max_deletes(20);
    let rows = stream::iter(Vec::<UpsertRow>::new());
    let report = mirror.stream(rows).finish().await.expect("a report");
    let summary = report.summary();
    assert_eq!(tiers(&sandbox).len(), 20);
    assert_eq!(
        held_back(summary),
        "no value was deleted, because the input is empty: all 20 values would be: check the input; to \
         delete all values, use a delete"
    );
    assert!(!report.is_exact());
    check_failures(&report);
}

#[tokio::test(start_paused = true)]
async fn an_input_of_rows_without_a_value_is_not_empty() {
    let (sandbox, store) = filled(builder(), 3).await;
    let rows = (1..=3).map(|customer| UpsertRow::absent(customer, TIER));
    let mirror = store.mirror(["Tier"]).max_deletes(3);
    let (outcomes, summary) = run(mirror.stream(stream::iter(rows))).await;
    assert_eq!(row_kinds(&outcomes), ["deleted"; 3]);
    assert!(tiers(&sandbox).is_empty());
    assert!(summary.is_exact(), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_could_not_be_read_deletes_nothing() {
    let (sandbox, outcomes, summary) = mirror_with(|mirror| mirror, [Err("line 20 is odd")]).await;
    assert_held_back(&sandbox, &summary, "line 20 is odd");
    assert_eq!(row_kinds(&outcomes).len(), 20);
    let (sandbox, outcomes, summary) =
        mirror_with(Mirror::stop_on_input_error, [Err("line 20 is odd")]).await;
    assert_held_back(&sandbox, &summary, "the run ended early");
    assert_eq!(row_kinds(&outcomes).len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_does_not_tell_which_value_it_means_deletes_nothing() {
    for (row, reason) in [
        (UpsertRow::new(0, TIER, "Gold"), "row 19"),
        (UpsertRow::new(3, 0, "Gold"), "row 19"),
        (UpsertRow::new("joe@example.com", TIER, "Gold"), "row 19"),
        (UpsertRow::absent("joe@example.com", TIER), "row 19"),
        (UpsertRow::new(3, "Teir", "Gold"), "Teir"),
        (UpsertRow::absent(3, "Teir"), "Teir"),
        (UpsertRow::new("jane@example.com", "Teir", "Gold"), "Teir"),
    ] {
        let (sandbox, outcomes, summary) = mirror_with(|mirror| mirror, [Ok(row)]).await;
        assert_held_back(
            &sandbox,
            &summary,
            "it is not known which value a row means",
        );
        assert!(
            held_back(&summary).contains(reason),
            "{}",
            held_back(&summary)
        );
        assert!(
            !held_back(&summary).contains('@'),
            "{}",
            held_back(&summary)
        );
        assert_eq!(row_kinds(&outcomes)[19], "rejected");
    }
}

#[tokio::test(start_paused = true)]
async fn a_customer_who_could_not_be_looked_up_deletes_nothing() {
    let (server, memory, store) = scripted(20, |request, _| {
        request
            .is("GET", "/customers")
            .then(|| Response::error(422))
    })
    .await;
    let mut rows = scripted_gold(1..=19);
    rows.push(UpsertRow::new("jane@example.com", 1, "Gold"));
    let (_, summary) = run(store.mirror([1]).stream(stream::iter(rows))).await;
    assert_eq!(memory.ids().len(), 20);
    assert!(
        !server
            .exchanges()
            .iter()
            .any(|exchange| exchange.request.method == "DELETE")
    );
    assert_eq!(summary.not_in_input, 1);
    assert!(!held_back(&summary).is_empty(), "{summary:?}");
    assert!(!summary.is_exact());
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_address_keeps_the_values_of_all_its_accounts() {
    for row in [
        UpsertRow::new("jane@example.com", TIER, "Gold"),
        UpsertRow::absent("jane@example.com", TIER),
    ] {
        let accounts = [1, 2].map(|id| SandboxCustomer::from((id, "jane@example.com")));
        let (sandbox, store) = filled(builder().customers(accounts), 20).await;
        // Without the address, three values would be deleted.
        let rows = gold(3..=19).into_iter().chain([row]);
        let mirror = store.mirror(["Tier"]).max_deletes(20);
        let (outcomes, summary) = run(mirror.stream(stream::iter(rows))).await;
        assert_eq!(deletes(&outcomes), [(20, "deleted")]);
        assert_eq!(row_kinds(&outcomes)[17], "rejected");
        assert_eq!(tiers(&sandbox).len(), 19);
        assert!(!summary.is_exact());
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_row_keeps_its_value() {
    let long = "x".repeat(256);
    for (row, is_sent) in [
        (UpsertRow::new(20, POINTS, "many"), false),
        (UpsertRow::new(20, "Points", "many"), false),
        (UpsertRow::new(20, SINCE, "soon"), false),
        (UpsertRow::new(20, TIER, long.as_str()), false),
        // A delete sends no fields.
        (
            UpsertRow::absent(20, TIER).customize(|record| record.id(1)),
            false,
        ),
        (UpsertRow::new(20, TIER, "Lead"), true),
    ] {
        let reject = |_, _, value: &str| (value == "Lead").then(|| "is no tier".to_owned());
        let sandbox = builder().reject(reject).start().await.expect("a sandbox");
        let attribute = row.attribute().id().unwrap_or(POINTS);
        let kept = sandbox.insert(20, attribute, "1");
        let lost = sandbox.insert(21, attribute, "1");
        sandbox.advance(HOUR);
        let store = store(sandbox.base_url());
        let mirror = store.mirror(["Tier", "Points", "Since"]).max_deletes(2);
        let (outcomes, summary) = run(mirror.stream(stream::iter([row]))).await;
        assert_eq!(row_kinds(&outcomes), ["rejected"]);
        assert_eq!(deletes(&outcomes), [(21, "deleted")]);
        let ids: Vec<_> = sandbox.values().iter().map(|value| value.id).collect();
        assert_eq!(ids, [kept], "{lost} is deleted");
        assert_eq!(sandbox.counts().puts > 0, is_sent);
        assert!(!summary.is_exact());
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_of_an_attribute_that_is_not_mirrored_is_rejected() {
    let row = UpsertRow::new(3, POINTS, 7);
    let (sandbox, outcomes, summary) = mirror_with(|mirror| mirror, [Ok(row)]).await;
    assert_eq!(row_kinds(&outcomes)[19], "rejected");
    assert_eq!(deletes(&outcomes), [(20, "deleted")]);
    assert_eq!(sandbox.counts().puts, 0);
    assert!(!summary.is_exact());
}

#[tokio::test(start_paused = true)]
async fn more_deletes_than_allowed_delete_nothing() {
    // The number of customers, how many of them the input lacks, and the setting.
    type Set = fn(Mirror) -> Mirror;
    let cases: [(i64, i64, Set, bool); 12] = [
        (20, 2, |mirror| mirror, true),
        (20, 3, |mirror| mirror, false),
        (21, 3, |mirror| mirror, true),
        (21, 4, |mirror| mirror, false),
        // 0.1 * 70.0 is more than 7.
        (70, 7, |mirror| mirror, true),
        (70, 8, |mirror| mirror, false),
        (20, 3, |mirror| mirror.max_deletes(3), true),
        (20, 4, |mirror| mirror.max_deletes(3), false),
        (20, 1, |mirror| mirror.max_deletes(0), false),
        (20, 5, |mirror| mirror.max_delete_share(0.25), true),
        (20, 6, |mirror| mirror.max_delete_share(0.25), false),
        (20, 1, |mirror| mirror.max_delete_share(0.0), false),
    ];
    for (customers, lacking, set, are_deleted) in cases {
        let (sandbox, store) = filled(builder(), customers).await;
        let rows = gold(1..=customers - lacking);
        let (_, summary) = run(set(store.mirror(["Tier"])).stream(stream::iter(rows))).await;
        let left = tiers(&sandbox).len() as i64;
        let case = format!("{lacking} of {customers}: {}", held_back(&summary));
        assert_eq!(
            left,
            if are_deleted {
                customers - lacking
            } else {
                customers
            },
            "{case}"
        );
        assert_eq!(summary.held_back().is_none(), are_deleted, "{case}");
        assert_eq!(summary.is_exact(), are_deleted, "{case}");
        if !are_deleted {
            let counts = format!("because {lacking} of the {customers} values would be");
            assert!(case.contains(&counts), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_impossible_share_is_an_error_before_anything_is_sent() {
    let (sandbox, store) = filled(builder(), 1).await;
    for share in [-0.1, 1.5, f64::NAN] {
        let mirror = store.mirror(["Tier"]).max_delete_share(share);
        let result = mirror.stream(stream::iter(gold(1..=1))).finish().await;
        let error = result.expect_err("an impossible share").to_string();
        assert!(error.contains("a share is from 0 to 1"), "{error}");
    }
    assert_eq!(sandbox.counts().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_may_lack_values_deletes_nothing_if_a_complete_one_is_required() {
    for is_required in [false, true] {
        let (sandbox, store) = filled(builder().list_meta(ListMeta::NoTotals), 20).await;
        let mut mirror = store.mirror(["Tier"]);
        if is_required {
            mirror = mirror.require_complete_list();
        }
        let (_, summary) = run(mirror.stream(stream::iter(gold(1..=19)))).await;
        assert!(summary.list_doubt().is_some());
        assert!(!summary.is_exact());
        if is_required {
            assert_held_back(&sandbox, &summary, "a complete list is required");
        } else {
            assert_eq!(tiers(&sandbox).len(), 19);
        }
    }
    let (sandbox, store) = filled(builder(), 20).await;
    let mirror = store.mirror(["Tier"]).require_complete_list();
    let (_, summary) = run(mirror.stream(stream::iter(gold(1..=19)))).await;
    assert!(summary.is_exact(), "{summary:?}");
    assert_eq!(tiers(&sandbox).len(), 19);
}

#[tokio::test(start_paused = true)]
async fn customers_whom_the_input_does_not_name_keep_their_values() {
    let (sandbox, store) = filled(builder(), 20).await;
    for customer in 1..=20 {
        sandbox.insert(customer, POINTS, "7");
    }
    sandbox.advance(HOUR);
    // A tenth of the 20 values of ten customers, not of the 40 of all.
    for (lacking, are_deleted) in [(3, false), (2, true)] {
        let mut rows = gold(1..=10);
        rows.extend((1..=10 - lacking).map(|customer| UpsertRow::new(customer, POINTS, 7)));
        let mirror = store.mirror(["Tier", "Points"]).customers_in_input();
        let (outcomes, summary) = run(mirror.stream(stream::iter(rows))).await;
        assert_eq!(summary.not_in_input, lacking as u64);
        assert_eq!(summary.is_exact(), are_deleted, "{summary:?}");
        let expected: &[_] = if are_deleted {
            &[(9, "deleted"), (10, "deleted")]
        } else {
            &[]
        };
        assert_eq!(deletes(&outcomes), expected);
    }
    assert_eq!(tiers(&sandbox).len(), 20);
    assert_eq!(sandbox.values().len(), 38);
}
