use std::time::Duration;

use fastrand::Rng;

/// A generator for the `number`th of something, the same in each run and unlike its neighbours'.
pub(crate) fn generator(seed: u64, number: u64) -> Rng {
    Rng::with_seed(scramble(seed ^ scramble(number)))
}

/// The finalizer of SplitMix64: of two seeds that differ in one bit, half the bits differ after.
fn scramble(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// From `from` to `to`, both included.
pub(crate) fn duration(rng: &mut Rng, from: Duration, to: Duration) -> Duration {
    // 584 years are enough.
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let from = nanos(from);
    Duration::from_nanos(rng.u64(from..=nanos(to).max(from)))
}
