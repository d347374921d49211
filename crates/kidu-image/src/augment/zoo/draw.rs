//! Random numbers for parameters.

use kidu_core::rng::ChaCha8Rng;
use rand::{Rng, RngExt};

/// Uniform in `[low, high]`.
pub(super) fn uniform([low, high]: [f64; 2], rng: &mut ChaCha8Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// An odd number, uniform among those from `low` (or the next odd one) to `high` (likewise).
pub(super) fn odd([low, high]: [u32; 2], rng: &mut ChaCha8Rng) -> u32 {
    let (low, high) = (low | 1, high | 1);
    low + 2 * rng.random_range(0..=(high - low) / 2)
}

/// Whether something of probability `p` happens.
pub(in super::super) fn happens(p: f64, rng: &mut ChaCha8Rng) -> bool {
    rng.random::<f64>() < p
}

/// A generator of its own for many numbers at once.
pub(super) fn fork(rng: &mut ChaCha8Rng) -> ChaCha8Rng {
    use rand::SeedableRng;
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    ChaCha8Rng::from_seed(seed)
}
