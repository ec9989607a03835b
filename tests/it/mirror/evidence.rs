//! A value is deleted only if the server shows that nobody else has changed it since the list began.

use std::sync::Mutex;

use bigcommerce_sandbox::{Fault, FaultPlan, Operation};
use futures::stream;
use serde_json::json;

use super::*;
use crate::support::scripted_store::{Page, record};

/// The time of the scripted server, an hour after its values were changed.
const DATE: &str = "Mon, 01 Jun 2026 13:00:00 GMT";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Clock {
    Plain,
    /// The server sends no `Date`.
    NoDate,
    /// The server ignores the filter by time.
    NoFilter,
}

const CLOCKS: [Clock; 3] = [Clock::Plain, Clock::NoDate, Clock::NoFilter];

impl Clock {
    fn builder(self) -> SandboxBuilder {
        match self {
            Self::Plain => builder(),
            Self::NoDate => builder().date_header(false),
            Self::NoFilter => builder().ignore_filter("date_modified:min"),
        }
    }
}

/// Mirrors an input that has the tiers of the customers 1 to 8 of 10, and that of customer 1 is another
/// one if `is_changing`. At the end of the input, somebody else makes a change.
async fn mirror_while(
    clock: Clock,
    is_changing: bool,
    change: impl FnOnce(&Sandbox) + Send + 'static,
) -> (Arc<Sandbox>, Vec<MirrorOutcome>, MirrorSummary) {
    let (sandbox, store) = filled(clock.builder(), 10).await;
    let mut rows = gold(1..=8);
    if is_changing {
        rows[0] = UpsertRow::new(1, TIER, "Silver");
    }
    let rows = {
        let sandbox = Arc::clone(&sandbox);
        then(rows, move || change(&sandbox))
    };
    let (outcomes, summary) = run(store.mirror(["Tier"]).max_deletes(2).stream(rows)).await;
    (sandbox, outcomes, summary)
}

#[tokio::test(start_paused = true)]
async fn a_value_that_somebody_else_changes_during_the_run_is_kept() {
    for clock in CLOCKS {
        for is_changing in [false, true] {
            // Within the second in which the list was read.
            let (sandbox, outcomes, summary) = mirror_while(clock, is_changing, |sandbox| {
                sandbox.insert(9, TIER, "Bronze");
            })
            .await;
            let case = format!("{clock:?} {is_changing}");
            assert_eq!(
                deletes(&outcomes),
                [(9, "not_sent"), (10, "deleted")],
                "{case}"
            );
            assert_eq!(tiers(&sandbox)[&9], "Bronze", "{case}");
            assert_eq!(summary.kept, 1, "{case}");
            assert!(!summary.is_exact(), "{case}");
            assert!(outcomes.iter().any(|outcome| match outcome {
                MirrorOutcome::Delete(value) => value.customer_id == 9 && is_kept(&value.kind),
                _ => false,
            }));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_somebody_else_writes_again_as_it_is_is_kept() {
    for clock in CLOCKS {
        let (sandbox, outcomes, summary) = mirror_while(clock, true, |sandbox| {
            sandbox.insert(9, TIER, "Gold");
        })
        .await;
        assert_eq!(
            deletes(&outcomes),
            [(9, "not_sent"), (10, "deleted")],
            "{clock:?}"
        );
        assert_eq!(tiers(&sandbox)[&9], "Gold", "{clock:?}");
        assert!(!summary.is_exact(), "{clock:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_somebody_else_creates_during_the_run_is_kept() {
    for clock in CLOCKS {
        let (sandbox, outcomes, summary) = mirror_while(clock, true, |sandbox| {
            sandbox.insert(11, TIER, "Bronze");
            // Customer 9's value is another one than was listed.
            let listed = sandbox.value(9, TIER).expect("a value");
            sandbox.remove(listed.id);
            sandbox.insert(9, TIER, "Gold");
        })
        .await;
        assert_eq!(
            deletes(&outcomes),
            [(9, "not_sent"), (10, "deleted")],
            "{clock:?}"
        );
        assert_eq!(tiers(&sandbox)[&9], "Gold", "{clock:?}");
        assert_eq!(tiers(&sandbox)[&11], "Bronze", "{clock:?}");
        assert!(!summary.is_exact(), "{clock:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_somebody_else_deletes_during_the_run_is_gone() {
    for clock in CLOCKS {
        let (sandbox, outcomes, summary) = mirror_while(clock, true, |sandbox| {
            let listed = sandbox.value(9, TIER).expect("a value");
            sandbox.remove(listed.id);
        })
        .await;
        let nine = if clock == Clock::Plain {
            "deleted"
        } else {
            "unchanged"
        };
        assert_eq!(
            deletes(&outcomes),
            [(9, nine), (10, "deleted")],
            "{clock:?}"
        );
        assert_eq!(tiers(&sandbox).len(), 8, "{clock:?}");
        assert!(summary.is_exact(), "{clock:?} {summary:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_values_that_the_input_has_are_counted() {
    for clock in [Clock::Plain, Clock::NoFilter] {
        let (_, outcomes, summary) = mirror_while(clock, true, |sandbox| {
            sandbox.insert(2, TIER, "Bronze");
            // As the input has it.
            sandbox.insert(3, TIER, "Gold");
            sandbox.insert(12, TIER, "Bronze");
        })
        .await;
        assert_eq!(deletes(&outcomes), [(9, "deleted"), (10, "deleted")]);
        assert_eq!(summary.changed_by_others, 2);
        assert!(!summary.is_exact());
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_value_that_the_run_has_created_or_changed_is_counted() {
    let (sandbox, store) = filled(builder(), 10).await;
    let mut rows = gold(1..=8);
    rows.push(UpsertRow::new(11, TIER, "Gold"));
    rows.push(UpsertRow::new(12, TIER, "Gold"));
    rows.push(UpsertRow::new(1, TIER, "Silver"));
    let last = {
        let sandbox = Arc::clone(&sandbox);
        stream::once(async move {
            // All rows are stored by then.
            tokio::time::sleep(Duration::from_secs(5)).await;
            sandbox.insert(11, TIER, "Bronze");
            sandbox.insert(1, TIER, "Bronze");
            UpsertRow::new(2, TIER, "Gold")
        })
    };
    let mirror = store.mirror(["Tier"]).max_deletes(2);
    let (outcomes, summary) = run(mirror.stream(stream::iter(rows).chain(last))).await;
    assert_eq!(deletes(&outcomes), [(9, "deleted"), (10, "deleted")]);
    assert_eq!(summary.rows.stored, 3);
    assert_eq!(summary.changed_by_others, 2);
    assert!(!summary.is_exact());
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_changed_in_the_minute_before_the_list_is_kept() {
    for (seconds, is_kept) in [(0, true), (58, true), (62, false)] {
        let (sandbox, store) = filled(builder(), 10).await;
        sandbox.insert(9, TIER, "Gold");
        sandbox.advance(Duration::from_secs(seconds));
        let mirror = store.mirror(["Tier"]).max_deletes(2);
        let (outcomes, summary) = run(mirror.stream(stream::iter(gold(1..=8)))).await;
        let nine = if is_kept { "not_sent" } else { "deleted" };
        assert_eq!(
            deletes(&outcomes),
            [(9, nine), (10, "deleted")],
            "{seconds}"
        );
        assert_eq!(summary.is_exact(), !is_kept, "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_the_run_itself_has_written_can_be_deleted() {
    let (sandbox, store) = filled(builder(), 10).await;
    let rows = stream::iter([UpsertRow::new(9, TIER, "Silver")]);
    let pause = stream::once(async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        UpsertRow::absent(9, TIER)
    });
    let rows = rows.chain(pause).chain(stream::iter(gold(1..=8)));
    let mirror = store.mirror(["Tier"]).max_deletes(2);
    let (outcomes, summary) = run(mirror.stream(rows)).await;
    assert_eq!(row_kinds(&outcomes)[..2], ["stored", "deleted"]);
    assert_eq!(deletes(&outcomes), [(9, "deleted"), (10, "deleted")]);
    assert_eq!(tiers(&sandbox).len(), 8);
    assert!(summary.is_exact(), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_value_that_an_abandoned_request_may_still_write_is_kept() {
    let (sandbox, store) = filled(builder(), 10).await;
    let late = FaultPlan::script([None, None, Some(Fault::LateBehindGateway)]);
    sandbox.set_faults(late.late_by(Duration::from_secs(4)));
    let rows = stream::iter([UpsertRow::new(9, TIER, "Silver")]);
    let pause = stream::once(async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        UpsertRow::absent(9, TIER)
    });
    let rows = rows.chain(pause).chain(stream::iter(gold(1..=8)));
    let mirror = store
        .mirror(["Tier"])
        .max_deletes(2)
        .retry(bigcommerce_ext::RetryPolicy::default().max_attempts(1));
    let (outcomes, summary) = run(mirror.stream(rows)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let kinds = deletes(&outcomes);
    // Whatever the mirror says of the value is so after the request was executed, too.
    match kinds[0] {
        (9, "deleted") => assert!(!tiers(&sandbox).contains_key(&9), "{outcomes:?}"),
        (9, _) => assert!(!summary.is_exact()),
        other => panic!("{other:?}"),
    }
}

/// Mirrors an input that has the values of the customers 1 to 8 of 10, of which `changed` are other
/// ones. Returns the requests, by kind: look, read, delete.
async fn mirror_scripted(
    changed: i64,
    change: impl Fn(&Request, &ScriptedStore) -> Option<Response> + Send + Sync + 'static,
) -> (ScriptedStore, Vec<MirrorOutcome>, MirrorSummary, [usize; 3]) {
    let (server, memory, store) = scripted(10, change).await;
    let mut rows = scripted_gold(1..=8);
    for row in rows
        .iter_mut()
        .take(usize::try_from(changed).expect("a small number"))
    {
        *row = UpsertRow::new(row.customer().clone(), 1, "Silver");
    }
    let mirror = store.mirror([1]).max_deletes(2);
    let (outcomes, summary) = run(mirror.stream(stream::iter(rows))).await;
    let requests: Vec<_> = server
        .exchanges()
        .into_iter()
        .map(|exchange| exchange.request)
        .collect();
    let count =
        |is: &dyn Fn(&Request) -> bool| requests.iter().filter(|request| is(request)).count();
    let counts = [
        count(&is_look),
        count(&is_read),
        count(&|request| request.method == "DELETE"),
    ];
    assert_eq!(summary.requests, requests.len() as u64);
    (memory, outcomes, summary, counts)
}

/// Returns a response with a date, in which PUT and the look show the time 13:00 for what was written.
fn dated(request: &Request, memory: &ScriptedStore, date: &str) -> Response {
    let now = "2026-06-01T13:00:00Z";
    if request.is("PUT", VALUES) {
        let mut records = memory.upsert(request);
        for record in &mut records {
            record["date_modified"] = json!(now);
        }
        return Page::whole(records).response().header("date", date);
    }
    if is_look(request) {
        let since = request.query["date_modified:min"].as_str();
        let mut records = memory.records();
        records.retain(|record| record["attribute_value"] == "Silver" && since <= now);
        for record in &mut records {
            record["date_modified"] = json!(now);
        }
        return Page::whole(records).response().header("date", date);
    }
    memory.respond(request).header("date", date)
}

#[tokio::test(start_paused = true)]
async fn a_look_that_shows_the_runs_own_change_is_enough() {
    let (memory, outcomes, summary, counts) =
        mirror_scripted(1, |request, memory| Some(dated(request, memory, DATE))).await;
    assert_eq!(deletes(&outcomes), [(9, "deleted"), (10, "deleted")]);
    assert_eq!(memory.ids().len(), 8);
    assert_eq!(counts, [1, 0, 1]);
    assert!(summary.is_exact(), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn without_evidence_that_the_look_shows_changes_the_values_are_read_again() {
    type Script = fn(&Request, &ScriptedStore) -> Option<Response>;
    let scripts: [(&str, i64, usize, Script); 7] = [
        // Nothing was changed that the look could show.
        ("no change of its own", 0, 1, |request, memory| {
            Some(dated(request, memory, DATE))
        }),
        ("an empty look", 1, 1, |request, memory| {
            Some(match is_look(request) {
                true => Page::whole(Vec::new()).response(),
                false => dated(request, memory, DATE),
            })
        }),
        ("a clock that is ahead", 1, 1, |request, memory| {
            Some(dated(request, memory, "Tue, 02 Jun 2026 13:00:00 GMT"))
        }),
        ("a date that is none", 1, 0, |request, memory| {
            Some(dated(request, memory, "yesterday"))
        }),
        ("no date", 1, 0, |request, memory| {
            Some(memory.respond(request))
        }),
        ("a look without a total", 1, 1, |request, memory| {
            Some(match is_look(request) {
                true if request.query["page"] == "1" => {
                    let records: Vec<_> = memory.records().into_iter().take(1).collect();
                    Response::json(200, &json!({"data": records}))
                }
                true => Response::json(200, &json!({"data": []})),
                false => dated(request, memory, DATE),
            })
        }),
        ("a look that ignores the filter", 1, 1, |request, memory| {
            Some(match is_look(request) {
                true => memory.list_everything(request).response(),
                false => dated(request, memory, DATE),
            })
        }),
    ];
    for (name, changed, looks, script) in scripts {
        let (memory, outcomes, summary, counts) = mirror_scripted(changed, script).await;
        assert_eq!(
            deletes(&outcomes),
            [(9, "deleted"), (10, "deleted")],
            "{name}"
        );
        assert_eq!(counts[1], 1, "{name}");
        assert!(counts[0] >= looks, "{name} {counts:?}");
        assert_eq!(memory.ids().len(), 8, "{name}");
        assert!(summary.is_exact(), "{name} {summary:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_such_a_look_does_not_show_is_seen_by_the_read() {
    for date in [DATE, "Tue, 02 Jun 2026 13:00:00 GMT", "yesterday"] {
        let (_, outcomes, summary, _) = mirror_scripted(0, move |request, memory| {
            // Somebody else has changed the value of customer 9 after the list.
            Some(match (is_look(request), is_read(request)) {
                (true, _) => Page::whole(Vec::new()).response(),
                (_, true) => {
                    let mut changed = record(9, 9, 1, "Gold");
                    changed["date_modified"] = json!("2026-06-01T12:59:59Z");
                    Page::whole(vec![changed, record(10, 10, 1, "Gold")]).response()
                }
                _ => memory.respond(request).header("date", date),
            })
        })
        .await;
        assert_eq!(
            deletes(&outcomes),
            [(9, "not_sent"), (10, "deleted")],
            "{date}"
        );
        assert!(!summary.is_exact(), "{date}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_does_not_show_a_value_is_no_evidence_that_it_is_gone() {
    // The read shows customer 10 only, and how many values it has.
    for (total, nine) in [
        (Some(1), "unchanged"),
        (Some(2), "not_sent"),
        (None, "not_sent"),
    ] {
        let (memory, outcomes, summary, _) = mirror_scripted(0, move |request, _| {
            is_read(request).then(|| {
                let records = match request.query["page"].as_str() {
                    "1" => vec![record(10, 10, 1, "Gold")],
                    _ => Vec::new(),
                };
                match total {
                    Some(total) => {
                        let page = Page {
                            total,
                            ..Page::whole(records)
                        };
                        page.response()
                    }
                    None => Response::json(200, &json!({"data": records})),
                }
            })
        })
        .await;
        assert_eq!(
            deletes(&outcomes),
            [(9, nine), (10, "deleted")],
            "{total:?}"
        );
        assert_eq!(memory.ids().len(), 9, "{total:?}");
        assert_eq!(summary.is_exact(), nine == "unchanged", "{total:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_without_a_time_of_change_is_kept() {
    let (memory, outcomes, summary, _) = mirror_scripted(1, |request, memory| {
        if request.is("GET", VALUES) && !is_look(request) {
            let mut page = memory.list(request);
            for record in &mut page.records {
                if record["customer_id"] == 9 {
                    record["date_modified"] = json!(null);
                }
            }
            return Some(page.response().header("date", DATE));
        }
        Some(dated(request, memory, DATE))
    })
    .await;
    assert_eq!(deletes(&outcomes), [(9, "not_sent"), (10, "deleted")]);
    assert_eq!(memory.ids().len(), 9);
    assert!(!summary.is_exact());
}

#[tokio::test(start_paused = true)]
async fn if_the_changes_cannot_be_read_nothing_is_deleted() {
    // The look, and the read that follows if the run has no change of its own.
    for (changed, is_failing) in [(1, is_look as fn(&Request) -> bool), (0, is_read)] {
        for status in [401, 403, 422, 500] {
            let (memory, outcomes, summary, counts) =
                mirror_scripted(changed, move |request, memory| {
                    Some(match is_failing(request) {
                        true => Response::error(status),
                        false => dated(request, memory, DATE),
                    })
                })
                .await;
            assert_eq!(memory.ids().len(), 10, "{status}");
            assert_eq!(counts[2], 0, "{status}");
            assert!(deletes(&outcomes).is_empty(), "{status}");
            assert!(
                held_back(&summary).contains("could not be read"),
                "{status}"
            );
            assert!(!summary.is_exact(), "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_during_the_look_deletes_nothing() {
    let (sandbox, store) = filled(builder(), 10).await;
    let down = FaultPlan::seeded(1).rate(1.0).only([Fault::Unavailable]);
    let down = Mutex::new(Some(down.operations([Operation::List])));
    let rows = {
        let sandbox = Arc::clone(&sandbox);
        then(gold(1..=8), move || {
            let down = down.lock().ok().and_then(|mut down| down.take());
            sandbox.set_faults(down.expect("once"));
        })
    };
    let (_, summary) = run(store.mirror(["Tier"]).max_deletes(2).stream(rows)).await;
    assert_eq!(tiers(&sandbox).len(), 10);
    assert!(
        held_back(&summary).contains("could not be read"),
        "{summary:?}"
    );
    assert!(!summary.is_exact());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_ignores_all_filters_loses_no_value() {
    let (sandbox, store) = filled(builder().ignore_filters(true), 10).await;
    sandbox.insert(1, POINTS, "7");
    sandbox.advance(HOUR);
    let mirror = store.mirror(["Tier"]).max_deletes(2);
    let (outcomes, summary) = run(mirror.stream(stream::iter(gold(1..=8)))).await;
    assert_eq!(sandbox.values().len(), 11);
    assert_eq!(row_kinds(&outcomes), ["unchanged"; 8]);
    assert!(
        held_back(&summary).contains("could not be read"),
        "{summary:?}"
    );
    assert_eq!(summary.listed, 10);
}
