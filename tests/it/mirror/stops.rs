//! A stopped mirror deletes nothing any more, and accounts for all rows.

use std::pin::pin;

use bigcommerce_ext::{ErrorKind, Event, OnOutage, RetryPolicy};
use bigcommerce_sandbox::{Fault, FaultPlan, Operation};
use futures::future;
use futures::stream;
use tokio::sync::oneshot;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_stop_while_rows_are_sent_deletes_nothing() {
    let (sandbox, store) = filled(builder(), 20).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let rows = (1..=10).map(|customer| UpsertRow::new(customer, TIER, "Silver"));
    let rest = stream::once(async move {
        stop.send(()).expect("a mirror that waits");
        future::pending().await
    });
    let rows = stream::iter(rows.chain([UpsertRow::absent(11, TIER)])).chain(rest);
    let mirror = store.mirror(["Tier"]).max_deletes(20);
    let mirror = mirror.stop_when(async { stopped.await.unwrap_or_default() });
    let (outcomes, summary) = run(mirror.stream(rows)).await;
    assert_eq!(sandbox.counts().deletes, 0);
    assert_eq!(tiers(&sandbox).len(), 20);
    assert_eq!(row_kinds(&outcomes).len(), 11);
    assert_eq!(row_kinds(&outcomes)[10], "not_sent");
    assert_eq!(summary.rows.rows(), 11);
    assert!(
        held_back(&summary).contains("the run ended early"),
        "{summary:?}"
    );
    assert_eq!(
        summary.stopped_by().map(Error::kind),
        Some(ErrorKind::Stopped)
    );
    assert!(!summary.is_exact());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_while_the_input_pauses_deletes_nothing() {
    let (sandbox, store) = filled(builder(), 20).await;
    let rows = stream::iter(gold(1..=19)).chain(stream::pending());
    let mirror = store.mirror(["Tier"]).deadline(HOUR);
    let (outcomes, summary) = run(mirror.stream(rows)).await;
    assert_eq!(tiers(&sandbox).len(), 20);
    assert_eq!(row_kinds(&outcomes), ["unchanged"; 19]);
    assert!(
        held_back(&summary).contains("the run ended early"),
        "{summary:?}"
    );
    assert!(!summary.is_exact());
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_first_row_is_an_error() {
    let (sandbox, store) = filled(builder(), 20).await;
    let mirror = store.mirror(["Tier"]).stop_when(future::ready(()));
    let result = mirror.stream(stream::iter(gold(1..=19))).finish().await;
    assert_eq!(result.expect_err("a stop").kind(), ErrorKind::Stopped);
    assert_eq!(sandbox.counts().requests, 0);
}

/// Stops a mirror at the first request to delete, to look at the changes, or to read values again.
/// Returns the outcomes, and the number of values that are left.
async fn stop_at(
    method: &'static str,
    is_at: fn(&Request) -> bool,
) -> (Vec<MirrorOutcome>, MirrorSummary, usize) {
    let (stop, stopped) = oneshot::channel::<()>();
    let stop = std::sync::Mutex::new(Some(stop));
    let (_server, memory, store) = scripted(20, move |request, memory| {
        if request.method == method && is_at(request) {
            let stop = stop.lock().ok().and_then(|mut stop| stop.take());
            stop.map(|stop| stop.send(()));
            // The response comes after the stop.
            return Some(memory.respond(request).after(Duration::from_secs(1)));
        }
        let response = memory.respond(request);
        Some(response.header("date", "Mon, 01 Jun 2026 13:00:00 GMT"))
    })
    .await;
    let mut rows = scripted_gold(1..=18);
    rows.push(UpsertRow::absent(19, 1));
    let mirror = store
        .mirror([1])
        .stop_when(async { stopped.await.unwrap_or_default() });
    let (outcomes, summary) = run(mirror.stream(stream::iter(rows))).await;
    (outcomes, summary, memory.ids().len())
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_changes_are_looked_for_deletes_nothing() {
    for is_at in [is_look, is_read] {
        let (outcomes, summary, left) = stop_at("GET", is_at).await;
        assert_eq!(left, 20);
        assert_eq!(row_kinds(&outcomes)[18], "not_sent");
        assert!(deletes(&outcomes).is_empty());
        assert_eq!(
            summary.stopped_by().map(Error::kind),
            Some(ErrorKind::Stopped)
        );
        assert!(
            held_back(&summary).contains("could not be read"),
            "{}",
            held_back(&summary)
        );
        assert!(!summary.is_exact());
    }
}

#[tokio::test(start_paused = true)]
async fn deletes_in_flight_at_a_stop_get_their_outcomes() {
    let (outcomes, summary, left) = stop_at("DELETE", |_| true).await;
    assert_eq!(left, 18);
    assert_eq!(row_kinds(&outcomes)[18], "deleted");
    assert_eq!(deletes(&outcomes), [(19, "deleted"), (20, "deleted")]);
    assert_eq!(summary.deletes.deleted, 2);
}

#[tokio::test(start_paused = true)]
async fn deletes_that_wait_at_a_stop_are_not_sent() {
    let (sandbox, store) = filled(builder().delete_limit(50), 3_000).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let stop = std::sync::Mutex::new(Some(stop));
    sandbox.set_latency(Duration::from_millis(100));
    let mirror = store
        .mirror(["Tier"])
        .max_deletes(3_000)
        .observe(move |event| {
            // The calls that are larger than the limit are rejected first.
            if let Event::Progress { summary, .. } = event
                && summary.deleted > 0
            {
                let stop = stop.lock().ok().and_then(|mut stop| stop.take());
                stop.map(|stop| stop.send(()));
            }
        });
    let mirror = mirror.stop_when(async { stopped.await.unwrap_or_default() });
    let (outcomes, summary) = run(mirror.stream(stream::iter(gold(1..=10)))).await;
    let left = tiers(&sandbox).len();
    assert!((1_000..3_000).contains(&left), "{left}");
    assert_eq!(summary.deletes.deleted as usize, 3_000 - left);
    assert_eq!(summary.deletes.rows(), 2_990);
    assert_eq!(deletes(&outcomes).len(), 2_990);
    assert!(summary.stopped_by().is_some());
    assert!(!summary.is_exact());
}

#[tokio::test(start_paused = true)]
async fn an_outage_before_the_first_row_is_an_error() {
    let (sandbox, store) = filled(builder(), 20).await;
    let plan = FaultPlan::seeded(1).rate(1.0).only([Fault::Unavailable]);
    sandbox.set_faults(plan.operations([Operation::List]));
    let mirror = store.mirror(["Tier"]).on_outage(OnOutage::Stop);
    let result = mirror.stream(stream::iter(gold(1..=19))).finish().await;
    result.expect_err("an outage");
}

#[tokio::test(start_paused = true)]
async fn a_mirror_can_be_polled_by_another_task_each_time() {
    let (sandbox, store) = filled(builder(), 20).await;
    sandbox.set_latency(Duration::from_millis(50));
    let retry = RetryPolicy::default();
    let mirroring = store
        .mirror(["Tier"])
        .retry(retry)
        .stream(stream::iter(gold(1..=19)));
    let mut mirroring = pin!(mirroring);
    let mut count = 0;
    loop {
        // Dropped at each point at which it may wait.
        let next = tokio::time::timeout(Duration::from_millis(7), mirroring.next()).await;
        match next {
            Ok(Some(_)) => count += 1,
            Ok(None) => break,
            Err(_) => {}
        }
    }
    assert_eq!(count, 20);
    assert!(mirroring.summary().is_exact());
}
