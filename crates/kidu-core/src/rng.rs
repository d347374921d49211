//! Random streams that depend only on a seed and a path of numbers, never on thread or order.

use rand::{Rng, SeedableRng};
pub use rand_chacha::ChaCha8Rng;

use crate::hash::ContentHasher;

/// The stream for `(seed, domain, keys)`, for example `stream(seed, "augment", &[epoch, image])`. ChaCha8 is
/// specified, so the numbers are the same on every machine and with every version of this project.
pub fn stream(seed: u64, domain: &str, keys: &[u64]) -> ChaCha8Rng {
    let mut hasher = ContentHasher::new(domain).field("seed", seed.to_le_bytes());
    for key in keys {
        hasher = hasher.field("key", key.to_le_bytes());
    }
    let digest = hasher.finish();
    let mut bytes = [0u8; 32];
    for (i, byte) in bytes.iter_mut().enumerate() {
        // 64 hexadecimal digits by construction.
        *byte = u8::from_str_radix(&digest.as_str()[2 * i..2 * i + 2], 16).unwrap_or(0);
    }
    ChaCha8Rng::from_seed(bytes)
}

/// A standard normal number (Box and Muller 1958).
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let mut unit = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    // In (0, 1], so that the logarithm is finite.
    let radius = (-2.0 * (1.0 - unit()).ln()).sqrt();
    radius * (2.0 * std::f64::consts::PI * unit()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_every_part_and_repeat() {
        let first = |seed, domain, keys: &[u64]| stream(seed, domain, keys).next_u64();
        assert_eq!(first(1, "a", &[2]), first(1, "a", &[2]));
        let all =
            [first(1, "a", &[2]), first(2, "a", &[2]), first(1, "b", &[2]), first(1, "a", &[3]), first(1, "a", &[])];
        for (i, a) in all.iter().enumerate() {
            assert!(!all[..i].contains(a));
        }
    }
}
