//! A bulk run against a store that enforces the limits.

use bigcommerce_ext::Store;
use bigcommerce_sandbox::Sandbox;
use downstream::{TIER, sync};

#[tokio::test]
async fn every_tier_is_stored() {
    let sandbox = Sandbox::builder().start().await.expect("a sandbox");
    let store = Store::builder_with_base_url(sandbox.base_url(), "any token")
        .build()
        .expect("a store");
    let tiers = (1..=1000).map(|customer| (customer, format!("Tier {}", customer % 3)));
    let summary = sync(&store, tiers).await.expect("a summary");
    assert_eq!((summary.stored, summary.requests), (1000, 100));
    assert_eq!(sandbox.values().len(), 1000);
    let value = sandbox.value(4, TIER).expect("a value");
    assert_eq!(value.value, "Tier 1");
    assert!(sandbox.counts().peak_in_flight <= 3);
}
