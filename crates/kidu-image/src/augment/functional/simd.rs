//! Loops that the compiler vectorises, for whatever the processor has.

use std::sync::OnceLock;

/// Runs a loop compiled for the widest vectors of this processor. Sums in floating point are not reordered and nothing is
/// contracted: results are the same on all of them. What the loop calls must be inlined.
#[inline]
pub(super) fn vectorize<R>(work: impl FnOnce() -> R) -> R {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    ARCH.get_or_init(pulp::Arch::new).dispatch(work)
}

/// The nearest whole number, halves to even (OpenCV's `saturate_cast`), cut to 0..=255.
#[inline(always)]
pub(super) fn round_u8(value: f32) -> u8 {
    // Adding 1.5 * 2^23 leaves the rounded number in the lowest bits; unlike a cast, this vectorises.
    (value.max(0.0).min(255.0) + 12_582_912.0).to_bits() as u8
}

/// The nearest whole number, halves to even, of a value between -2^22 and 2^22.
#[inline(always)]
pub(super) fn round_i32(value: f32) -> i32 {
    ((value + 12_582_912.0).to_bits() as i32) - 0x4B40_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_even_and_saturates() {
        for (value, expected) in [(-3.0, 0), (0.5, 0), (1.5, 2), (2.5, 2), (254.5, 254), (254.6, 255), (900.0, 255)] {
            assert_eq!(round_u8(value), expected, "{value}");
        }
        for (value, expected) in [(-3.0, -3), (-0.5, 0), (-1.5, -2), (2.5, 2), (100_000.4, 100_000)] {
            assert_eq!(round_i32(value), expected, "{value}");
        }
    }
}
