//! Settings of one run, calls of any operation, and tokens that are replaced.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bigcommerce_ext::sdk::types::AttributeType;
use bigcommerce_ext::{
    Error, ErrorKind, Event, Idempotent, OnOutage, OutcomeKind, RetryPolicy, Store, UpsertRow,
};
use bigcommerce_sandbox::{FaultPlan, Sandbox};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep};

use crate::support::scripted_server::{Response, ScriptedServer};
use crate::support::scripted_store::ScriptedStore;
use crate::support::{TOKEN, cdnow, sandbox, store};

const SECOND: Duration = Duration::from_secs(1);

fn once() -> RetryPolicy {
    RetryPolicy::default().max_attempts(1)
}

#[tokio::test(start_paused = true)]
async fn a_run_has_a_retry_policy_of_its_own() {
    let server = ScriptedServer::start(|_| Response::error(503)).await;
    let store = store(&server.base_url());
    let error = store
        .list()
        .retry(once())
        .on_outage(OnOutage::Stop)
        .stream();
    let error = error.try_collect::<Vec<_>>().await.expect_err("a 503");
    assert_eq!((error.attempts(), server.requests()), (1, 1), "{error}");
    let error = store.attributes().retry(once()).list().await;
    assert_eq!(error.expect_err("a 503").attempts(), 1);

    // An invalid policy is an error that names the setting, and nothing is sent.
    let requests = server.requests();
    let invalid = || RetryPolicy::default().jitter(2.0);
    let upsert = store.upsert().customer(1, [(1, "x")]).retry(invalid());
    let errors = [
        upsert.send().await.map(drop).expect_err("upsert"),
        store
            .delete()
            .ids([1])
            .retry(invalid())
            .send()
            .await
            .map(drop)
            .expect_err("delete"),
        store
            .list()
            .retry(invalid())
            .stream()
            .try_collect::<Vec<_>>()
            .await
            .expect_err("list"),
        store
            .attributes()
            .retry(invalid())
            .list()
            .await
            .expect_err("attributes"),
        {
            let mut outcomes = store
                .upsert()
                .retry(invalid())
                .stream(stream::empty::<UpsertRow>());
            assert!(outcomes.next().await.is_none());
            outcomes.stopped_by().cloned().expect("stream")
        },
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("jitter is 2"), "{error}");
    }
    assert_eq!(server.requests(), requests);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_stops_what_is_not_done_by_then() {
    let sandbox = Sandbox::builder().latency(SECOND).start().await;
    let sandbox = sandbox.expect("a sandbox");
    for customer in 1..=2_000 {
        sandbox.insert(customer, 101, "x");
    }
    let store = store(sandbox.base_url());
    let is_deadline = |error: &Error| {
        error.kind() == ErrorKind::Stopped && error.to_string().contains("at its deadline, after 3")
    };

    let began = Instant::now();
    let run = store
        .upsert()
        .rows(cdnow())
        .deadline(3 * SECOND + SECOND / 2);
    let report = run.send().await.expect("a report");
    assert!(began.elapsed() < 5 * SECOND);
    assert!(
        report.stopped_by().is_some_and(is_deadline),
        "{:?}",
        report.stopped_by()
    );
    let summary = report.summary();
    assert!(summary.stored > 0 && summary.not_sent > 0, "{summary}");
    assert_eq!(summary.stored + summary.not_sent, 7071);

    let deadline = 3 * SECOND + SECOND / 2;
    let mut values = store.list().page_size(10).deadline(deadline).stream();
    let mut listed = 0;
    let error = loop {
        match values.next().await.expect("an error before the end") {
            Ok(_) => listed += 1,
            Err(error) => break error,
        }
    };
    assert!(is_deadline(&error) && listed > 0, "{error}");
    assert!(values.next().await.is_none());

    sandbox.set_faults(FaultPlan::none());
    let server = ScriptedServer::start(|_| Response::error(503)).await;
    let down = self::store(&server.base_url());
    let error = down.attributes().deadline(deadline).list().await;
    let error = error.expect_err("a deadline");
    assert!(is_deadline(&error), "{error}");
    let error = down.delete().customers([1]).deadline(deadline).send().await;
    assert!(is_deadline(&error.expect_err("a deadline")));
}

#[tokio::test(start_paused = true)]
async fn attributes_are_observed_and_stopped() {
    let (_sandbox, store) = sandbox().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observe = {
        let seen = Arc::clone(&seen);
        move |event: &Event| {
            if let Event::RequestFinished {
                operation, status, ..
            } = event
            {
                seen.lock().expect("no panic").push((*operation, *status));
            }
        }
    };
    let wanted = [("Points", AttributeType::Number)];
    let ensured = store.attributes().observe(observe).ensure(wanted).await;
    assert_eq!(ensured.expect("an attribute").len(), 1);
    assert_eq!(
        *seen.lock().expect("no panic"),
        [
            ("list_attributes", Some(200)),
            ("create_attributes", Some(200)),
            ("list_attributes", Some(200))
        ]
    );
    let server = ScriptedServer::start(|_| Response::error(503)).await;
    let down = self::store(&server.base_url());
    let began = Instant::now();
    let stopped = down.attributes().stop_when(sleep(2 * SECOND)).list().await;
    assert_eq!(stopped.expect_err("stopped").kind(), ErrorKind::Stopped);
    assert!(began.elapsed() < 4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_input_error_can_end_a_run() {
    let (sandbox, store) = sandbox().await;
    let rows = |ends: bool| {
        let rows = stream::iter((0..50).map(move |number| match number {
            25 => Err("the cursor broke"),
            _ => Ok(UpsertRow::new(number + 1, 101, "x")),
        }));
        let run = store.upsert();
        let run = if ends { run.stop_on_input_error() } else { run };
        run.stream(rows)
    };
    let mut outcomes = rows(true);
    let kinds: Vec<_> = outcomes
        .by_ref()
        .map(|outcome| outcome.kind)
        .collect()
        .await;
    assert_eq!(kinds.len(), 26);
    let error = outcomes.stopped_by().expect("the input's error");
    assert_eq!(
        (error.kind(), &*error.to_string()),
        (ErrorKind::Input, "the cursor broke")
    );
    let rejected = kinds
        .iter()
        .filter(|kind| matches!(kind, OutcomeKind::Rejected(_)));
    assert_eq!(rejected.count(), 1);
    let stored = sandbox.counts().values;

    let mut outcomes = rows(false);
    let count = outcomes.by_ref().count().await;
    assert_eq!((count, outcomes.summary().stored), (50, 49));
    assert!(outcomes.stopped_by().is_none() && stored <= 49);
}

#[tokio::test(start_paused = true)]
async fn lists_and_deletes_take_attribute_names() {
    let sandbox = Sandbox::builder()
        .attribute(101, "Tier")
        .attribute(102, "Points");
    let sandbox = sandbox.start().await.expect("a sandbox");
    for customer in 1..=10 {
        for attribute in 101..=103 {
            sandbox.insert(customer, attribute, "x");
        }
    }
    let store = store(sandbox.base_url());
    let listed = store.list().attributes(["Tier", "Points"]).stream();
    let listed: Vec<_> = listed.try_collect().await.expect("values");
    assert_eq!(listed.len(), 20);
    assert!(listed.iter().all(|value| value.attribute_id < 103));

    for result in [
        store
            .list()
            .attributes(["Tier", "Tear"])
            .stream()
            .try_collect::<Vec<_>>()
            .await
            .map(drop),
        store.delete().attributes(["Tear"]).send().await.map(drop),
    ] {
        let error = result.expect_err("an unknown name");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.to_string().contains("\"Tear\" is not defined"),
            "{error}"
        );
    }
    let report = store
        .delete()
        .attributes(["Tier"])
        .send()
        .await
        .expect("a report");
    assert_eq!(report.summary().deleted, 10);
    assert_eq!(sandbox.counts().deletes, 1);
    let empty: Vec<_> = store
        .list()
        .attributes(["Tier"])
        .stream()
        .try_collect()
        .await
        .expect("none");
    assert!(empty.is_empty());
}

#[tokio::test(start_paused = true)]
async fn any_operation_runs_within_the_limits_and_with_retries() {
    let memory = ScriptedStore::new();
    let server = ScriptedServer::start({
        let memory = memory.clone();
        move |request| match request.number_of_kind {
            1 => Response::error(503),
            _ => memory.respond(request).after(SECOND),
        }
    })
    .await;
    let started = Arc::new(AtomicU32::new(0));
    let observe = {
        let started = Arc::clone(&started);
        move |event: &Event| {
            if let Event::RequestStarted { operation, .. } = event {
                assert_eq!(*operation, "call");
                started.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let store = Store::builder_with_base_url(server.base_url(), TOKEN).observe(observe);
    let store = store.build().expect("a store");
    // In tasks, so the future must be `Send`.
    let calls = (0..12).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .call(Idempotent::Yes, async |sdk| {
                    sdk.list_attributes().send().await
                })
                .await
        })
    });
    for call in futures::future::join_all(calls).await {
        assert_eq!(call.expect("no panic").expect("a page").data.len(), 1);
    }
    assert_eq!(server.most_in_flight(), 3);
    assert_eq!(started.load(Ordering::Relaxed), 13);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_idempotent_is_not_repeated_when_in_doubt() {
    for (response, requests, text) in [
        (
            Response::error(500),
            1,
            "it was not repeated, because the server may have executed it",
        ),
        (
            Response::empty(200).close_before_headers(),
            1,
            "it was not repeated",
        ),
        (
            Response::error(429).header("x-retry-after", 1),
            2,
            "the last",
        ),
    ] {
        let memory = ScriptedStore::new();
        let server = ScriptedServer::start(move |request| match request.number_of_kind {
            1 => response.clone(),
            _ => memory.respond(request),
        })
        .await;
        let store = store(&server.base_url());
        let body: Vec<_> = bigcommerce_ext::sdk::types::AttributeCreate::builder()
            .name("Points")
            .type_(AttributeType::Number)
            .try_into()
            .into_iter()
            .collect();
        let send = |sdk: bigcommerce_ext::sdk::Client| {
            let body = body.clone();
            async move { sdk.create_attributes().body(body).send().await }
        };
        let result = store.call(Idempotent::No, send).await;
        assert_eq!(server.requests(), requests);
        match result {
            Ok(_) => assert_eq!(requests, 2),
            Err(error) => {
                let message = error.to_string();
                assert!(message.contains(text), "{error}");
                assert!(message.starts_with("POST /customers/attributes"), "{error}");
            }
        }
    }
}

/// A store that accepts one token at a time.
async fn guarded(memory: &ScriptedStore, accepted: &Arc<Mutex<String>>) -> ScriptedServer {
    let (memory, accepted) = (memory.clone(), Arc::clone(accepted));
    ScriptedServer::start(move |request| {
        let sent = request.headers.get("x-auth-token");
        match sent == Some(&*accepted.lock().expect("no panic")) {
            true => memory.respond(request).after(SECOND / 10),
            // It repeats the token.
            false => Response::json(
                401,
                &serde_json::json!({"status": 401, "title": format!("unknown token {sent:?}")}),
            )
            .after(SECOND),
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_replaced_token_reaches_a_running_store() {
    const NEW: &str = "n3w-s3cr3t-t0ken";
    let accepted = Arc::new(Mutex::new(TOKEN.to_owned()));
    let memory = ScriptedStore::new();
    let server = guarded(&memory, &accepted).await;
    let store = store(&server.base_url());
    let rows = stream::iter((1..=600).map(|customer| UpsertRow::new(customer, 1, "x")));
    let mut outcomes = store.upsert().stream(rows);
    let mut stored = 0;
    while let Some(outcome) = outcomes.next().await {
        assert!(
            matches!(outcome.kind, OutcomeKind::Stored(_)),
            "{outcome:?}"
        );
        stored += 1;
        if stored == 200 {
            // The old token is revoked, and replaced while requests are on their way.
            NEW.clone_into(&mut accepted.lock().expect("no panic"));
            let store = store.clone();
            tokio::spawn(async move {
                sleep(SECOND / 2).await;
                store.set_access_token(NEW).expect("a token");
            });
        }
    }
    assert_eq!(stored, 600);
    assert!(outcomes.stopped_by().is_none());
    // It reaches the generated client.
    assert!(store.sdk().list_attributes().send().await.is_ok());
    let shown = format!("{store:?} {outcomes:?}");
    for secret in [TOKEN, NEW] {
        assert!(!shown.contains(secret), "{shown}");
    }

    // A token that is wrong ends the run, and neither token is shown.
    "another".clone_into(&mut accepted.lock().expect("no panic"));
    let error = store.attributes().list().await.expect_err("401");
    assert_eq!(
        (error.kind(), error.attempts()),
        (ErrorKind::Unauthorized, 1)
    );
    let replaced = store.clone();
    let late = tokio::spawn(async move {
        sleep(SECOND / 2).await;
        replaced
            .set_access_token("th1rd-s3cr3t-t0ken")
            .expect("a token");
    });
    let requests = server.requests();
    let error = store.attributes().list().await.expect_err("401 twice");
    late.await.expect("no panic");
    // It is sent once more, not for ever.
    assert_eq!(server.requests() - requests, 2);
    for secret in [TOKEN, NEW, "th1rd-s3cr3t-t0ken"] {
        assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    }
    assert!(error.to_string().contains("REDACTED"), "{error}");
    let error = store
        .set_access_token("bad\ntoken")
        .expect_err("a line break");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(!format!("{error:?}").contains("bad"));
}
