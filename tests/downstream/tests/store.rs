//! Bulk runs against a store that enforces the limits, and has the fields of this crate's document.

use std::collections::BTreeMap;

use bigcommerce_ext::Store;
use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};
use downstream::{TIER, Tier, sync, tiers_of_channel};

const CHANNELS: [i64; 2] = [7, 8];

fn tier(customer: i64) -> Tier {
    let channel = CHANNELS[usize::from(customer % 4 == 0)];
    Tier {
        customer,
        name: format!("Tier {}", customer % 3),
        channel,
        source: "crm".to_owned(),
    }
}

async fn start(faults: FaultPlan) -> (Sandbox, Store) {
    let sandbox = Sandbox::builder()
        .extra_field("channel_id")
        .extra_field("source")
        .extra_filter("channel_id")
        .faults(faults)
        .start()
        .await
        .expect("a sandbox");
    let store = Store::builder_with_base_url(sandbox.base_url(), "any token")
        .build()
        .expect("a store");
    (sandbox, store)
}

#[tokio::test]
async fn every_tier_is_stored() {
    let (sandbox, store) = start(FaultPlan::none()).await;
    let synced = sync(&store, (1..=1000).map(tier)).await.expect("a summary");
    let summary = synced.summary;
    assert_eq!((summary.stored, summary.requests), (1000, 100));
    assert_eq!(sandbox.values().len(), 1000);
    let value = sandbox.value(4, TIER).expect("a value");
    assert_eq!(value.value, "Tier 1");
    assert!(sandbox.counts().peak_in_flight <= 3);
}

#[tokio::test(start_paused = true)]
async fn the_fields_of_the_document_survive_a_run_with_faults() {
    let faults = FaultPlan::seeded(11).rate(0.25).only([
        Fault::Busy,
        Fault::InternalError,
        Fault::BadGateway,
        Fault::ClosedBeforeWork,
        Fault::ClosedAfterWork,
        Fault::ErrorAfterWork,
        Fault::Truncated,
        Fault::DroppedRows,
        Fault::HiddenRows,
    ]);
    let (sandbox, store) = start(faults).await;
    let mut tiers: Vec<_> = (1..=1000).map(tier).collect();
    tiers[499].source = "longer than sixteen".to_owned();
    let synced = sync(&store, tiers).await.expect("a summary");
    assert_eq!((synced.summary.stored, synced.summary.rejected), (999, 1));
    let error = synced.rejected[0].to_string();
    assert!(
        error.contains("row 499") && error.contains("longer than 16"),
        "{error}"
    );
    let faults = sandbox.fault_counts();
    assert!(faults.len() > 5, "{faults:?}");

    // The store has the fields, and its responses gave them back.
    let values = sandbox.values();
    assert_eq!(values.len(), 999);
    for value in &values {
        let sent = tier(value.customer_id);
        assert_eq!(value.value, sent.name);
        assert_eq!(
            value.extra_field("channel_id"),
            Some(sent.channel.to_string())
        );
        assert_eq!(value.extra_field("source"), Some(sent.source));
    }
    let shown: u64 = synced.channels.values().sum();
    assert!(shown > 900, "{shown}");
    assert!(!synced.channels.contains_key(&None));

    // The list is filtered by the field.
    for channel in CHANNELS {
        let expected = values.iter().map(|value| tier(value.customer_id));
        let expected = expected.filter(|tier| tier.channel == channel);
        let expected: BTreeMap<_, _> = expected.map(|tier| (tier.customer, tier.name)).collect();
        assert!(!expected.is_empty());
        let listed = tiers_of_channel(&store, channel).await.expect("a list");
        assert_eq!(listed, expected);
    }
}
