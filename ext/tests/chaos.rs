//! A smaller run of the `chaos` example.

#[path = "../examples/chaos/chaos.rs"]
mod chaos;

#[tokio::test(start_paused = true)]
async fn every_fault_leaves_the_store_and_the_accounts_right() {
    // With a small window, rows arrive while their customers are in flight.
    for (seed, window) in (1..=12).zip([None, Some(60)].into_iter().cycle()) {
        let verdict = chaos::run(seed, 300, window).await.expect("a verdict");
        let failed: Vec<_> = verdict.checks.iter().filter(|(_, holds)| !holds).collect();
        assert!(verdict.holds(), "seed {seed}: {failed:#?}\n{verdict}");
    }
}
