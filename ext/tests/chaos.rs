//! A smaller run of the `chaos` example.

#[path = "../examples/chaos/chaos.rs"]
mod chaos;

#[tokio::test(start_paused = true)]
async fn every_fault_leaves_the_store_and_the_accounts_right() {
    for seed in 1..=6 {
        let verdict = chaos::run(seed, 300).await.expect("a verdict");
        let failed: Vec<_> = verdict.checks.iter().filter(|(_, holds)| !holds).collect();
        assert!(verdict.holds(), "seed {seed}: {failed:#?}\n{verdict}");
    }
}
