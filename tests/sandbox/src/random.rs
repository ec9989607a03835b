use std::time::Duration;

use fastrand::Rng;

/// Returns a generator that depends on the seed and the number alone. Neighbouring numbers get
/// unrelated generators.
pub(crate) fn generator(seed: u64, number: u64) -> Rng {
    Rng::with_seed(scramble(seed ^ scramble(number)))
}

/// The finalizer of SplitMix64: flipping one bit of the input flips half the bits of the output.
fn scramble(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Returns a duration between `min` and `max`, both included.
pub(crate) fn duration(rng: &mut Rng, min: Duration, max: Duration) -> Duration {
    // Saturates at 584 years.
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let min = nanos(min);
    Duration::from_nanos(rng.u64(min..=nanos(max).max(min)))
}
