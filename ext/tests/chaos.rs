//! A smaller run of the `chaos` example.

#[path = "../examples/chaos/chaos.rs"]
mod chaos;

#[tokio::test(start_paused = true)]
async fn the_store_and_the_outcomes_match_the_model_after_every_kind_of_fault() {
    // With a small window, rows arrive while requests for their customers are in flight.
    for (seed, window) in (1..=12).zip([None, Some(60)].into_iter().cycle()) {
        let naming = match seed % 4 {
            0 | 1 => chaos::Naming::ById,
            _ => chaos::Naming::ByEmail,
        };
        let verdict = chaos::run(seed, 300, window, naming).await;
        let verdict = verdict.expect("a verdict");
        let failed: Vec<_> = verdict
            .checks
            .iter()
            .filter(|(_, passed)| !passed)
            .collect();
        assert!(verdict.passed(), "seed {seed}: {failed:#?}\n{verdict}");
    }
}
