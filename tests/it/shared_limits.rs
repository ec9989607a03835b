//! Concurrent operations on one store share its limits.

use std::time::Duration;

use bigcommerce_ext::{Limits, Store, UpsertRow};
use bigcommerce_sandbox::Sandbox;
use futures::{StreamExt, TryStreamExt, stream};

use crate::support::TOKEN;

async fn sandbox_with_values(max_in_flight: usize, quota: Option<u64>) -> (Sandbox, Store) {
    let mut builder = Sandbox::builder().latency(Duration::from_millis(20));
    if let Some(requests) = quota {
        builder = builder.quota(requests, Duration::from_secs(1));
    }
    let sandbox = builder.start().await.expect("a sandbox");
    for customer in 1..=1000 {
        for attribute in 1..=3 {
            sandbox.insert(customer, attribute, "old");
        }
    }
    let store = Store::builder_with_base_url(sandbox.base_url(), TOKEN)
        .limits(Limits::default().max_in_flight(max_in_flight))
        .build()
        .expect("a store");
    (sandbox, store)
}

#[tokio::test(start_paused = true)]
async fn a_list_a_delete_and_an_upsert_share_the_limits() {
    for (max_in_flight, quota) in [(3, None), (1, None), (3, Some(20))] {
        let (sandbox, store) = sandbox_with_values(max_in_flight, quota).await;
        let to_delete: Vec<_> = sandbox.values().into_iter().map(|value| value.id).collect();
        let to_delete: Vec<_> = to_delete.into_iter().filter(|id| id % 2 == 0).collect();
        let count = to_delete.len() as u64;
        let list = store.clone().list().page_size(50).stream();
        let delete = store.clone().delete().stream(stream::iter(to_delete));
        let rows = (2001..=2500).map(|customer| UpsertRow::new(customer, 1, "new"));
        let upsert = store.clone().upsert().skip_unchanged().rows(rows);
        let (listed, deleted, upserted) = tokio::join!(
            list.try_collect::<Vec<_>>(),
            delete.collect::<Vec<_>>(),
            upsert.send()
        );
        let mut listed: Vec<_> = listed.expect("a list").into_iter().map(|v| v.id).collect();
        let listed_count = listed.len();
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), listed_count, "each value once");
        assert_eq!(deleted.len() as u64, count);
        assert_eq!(upserted.expect("a report").summary().stored, 500);
        assert_eq!(sandbox.values().len() as u64, 3000 - count + 500);
        let counts = sandbox.counts();
        assert_eq!(counts.peak_in_flight, max_in_flight);
        assert_eq!((counts.in_flight_429s, counts.quota_429s), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_feeds_an_upsert_on_the_same_store() {
    for max_in_flight in [3, 1] {
        let (sandbox, store) = sandbox_with_values(max_in_flight, None).await;
        let values = store.list().attributes([1]).stream();
        let rows = values.map_ok(|value| {
            let text = format!("{} and new", value.attribute_value);
            UpsertRow::new(value.customer_id, 9, text)
        });
        let mut outcomes = store.upsert().window(100).stream(rows);
        while let Some(outcome) = outcomes.next().await {
            assert!(outcome.error().is_none(), "{:?}", outcome.error());
        }
        assert_eq!(outcomes.summary().stored, 1000);
        let value = sandbox.value(1000, 9).expect("a value");
        assert_eq!(value.value, "old and new");
        assert!(sandbox.counts().peak_in_flight <= max_in_flight);
    }
}
