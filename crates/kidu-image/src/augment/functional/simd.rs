//! Loops that the compiler vectorises, for whatever the processor has.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use pulp::{cast, x86::V3};

/// Runs a loop compiled for the widest vectors of this processor. Sums in floating point are not reordered and nothing is
/// contracted: results are the same on all of them. What the loop calls must be inlined.
#[inline]
pub(super) fn vectorize<R>(work: impl FnOnce() -> R) -> R {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    ARCH.get_or_init(pulp::Arch::new).dispatch(work)
}

/// What the processor has beyond what the compiler knows how to use.
#[derive(Clone, Copy)]
pub(super) enum Vectors {
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    V3(V3),
    /// Nothing.
    Any,
}

/// Like [`vectorize`], for work that has a way of its own for some vectors. Both ways give the same.
#[inline]
pub(super) fn with_vectors<R>(work: impl FnOnce(Vectors) -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = V3::try_new() {
        return pulp::Simd::vectorize(
            simd,
            #[inline(always)]
            || work(Vectors::V3(simd)),
        );
    }
    vectorize(
        #[inline(always)]
        || work(Vectors::Any),
    )
}

/// Red, green and blue of `N` pixels (a multiple of 8), as numbers.
#[inline(always)]
pub(super) fn planes<const N: usize>(vectors: Vectors, pixels: &[[u8; 3]; N]) -> [[f32; N]; 3] {
    let mut out = [[0.0; N]; 3];
    #[cfg(target_arch = "x86_64")]
    if let Vectors::V3(simd) = vectors {
        let [red, green, blue] = &mut out;
        let outs = red.as_chunks_mut::<8>().0.iter_mut().zip(green.as_chunks_mut::<8>().0);
        let outs = outs.zip(blue.as_chunks_mut::<8>().0);
        for (((red, green), blue), bytes) in outs.zip(pixels.as_flattened().as_chunks::<24>().0) {
            (*red, *green, *blue) = (channel::<0>(simd, bytes), channel::<1>(simd, bytes), channel::<2>(simd, bytes));
        }
        return out;
    }
    let _ = vectors;
    let [red, green, blue] = &mut out;
    for i in 0..N {
        let [r, g, b] = pixels[i];
        (red[i], green[i], blue[i]) = (f32::from(r), f32::from(g), f32::from(b));
    }
    out
}

/// One channel of eight pixels.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn channel<const C: u8>(simd: V3, bytes: &[u8; 24]) -> [f32; 8] {
    // Of the first 16 bytes, and of the last 16, each 32-bit number takes one.
    const Z: u8 = 128;
    let low = [C, Z, Z, Z, C + 3, Z, Z, Z, C + 6, Z, Z, Z, C + 9, Z, Z, Z];
    let high = [C + 4, Z, Z, Z, C + 7, Z, Z, Z, C + 10, Z, Z, Z, C + 13, Z, Z, Z];
    let first = bytes.first_chunk::<16>().copied().unwrap_or_default();
    let last = bytes.last_chunk::<16>().copied().unwrap_or_default();
    let whole = simd.avx2._mm256_shuffle_epi8(cast([first, last]), cast([low, high]));
    cast(simd.avx._mm256_cvtepi32_ps(whole))
}

/// Pixels of the lowest bytes of red, green and blue; `N` is a multiple of 8.
#[inline(always)]
pub(super) fn pixels<const N: usize>(vectors: Vectors, [red, green, blue]: &[[u32; N]; 3], out: &mut [[u8; 3]; N]) {
    #[cfg(target_arch = "x86_64")]
    if let Vectors::V3(simd) = vectors {
        let planes = red.as_chunks::<8>().0.iter().zip(green.as_chunks::<8>().0).zip(blue.as_chunks::<8>().0);
        for (out, ((red, green), blue)) in out.as_flattened_mut().as_chunks_mut::<24>().0.iter_mut().zip(planes) {
            let s = simd.avx2;
            let byte = simd.avx._mm256_set1_epi32(255);
            let red = s._mm256_and_si256(cast(*red), byte);
            let green = s._mm256_slli_epi32::<8>(s._mm256_and_si256(cast(*green), byte));
            let blue = s._mm256_slli_epi32::<16>(cast(*blue));
            *out = without_fourth(simd, s._mm256_or_si256(s._mm256_or_si256(red, green), blue));
        }
        return;
    }
    let _ = vectors;
    for i in 0..N {
        out[i] = [red[i] as u8, green[i] as u8, blue[i] as u8];
    }
}

/// The lower three of each four bytes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn without_fourth(simd: V3, fours: std::arch::x86_64::__m256i) -> [u8; 24] {
    const THREES: [u8; 16] = [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 128, 128, 128, 128];
    let s = simd.avx2;
    let packed = s._mm256_shuffle_epi8(fours, cast([THREES; 2]));
    let bytes: [u8; 32] = cast(s._mm256_permutevar8x32_epi32(packed, cast([0, 1, 2, 4, 5, 6, 7, 7])));
    let mut out = [0; 24];
    out.copy_from_slice(&bytes[..24]);
    out
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
    fn all_vectors_take_pixels_apart_and_put_them_together() {
        let image: [[u8; 3]; 24] = std::array::from_fn(|i| [i as u8, 255 - 7 * i as u8, (i * i) as u8]);
        let split = planes(Vectors::Any, &image);
        assert!((0..24).all(|i| [0, 1, 2].map(|c| split[c][i]) == image[i].map(f32::from)));
        assert_eq!(with_vectors(|vectors| planes(vectors, &image)), split);
        // What lies above the lowest byte does not count.
        let values = split.map(|plane| plane.map(|value| value as u32 | 0x4B40_0100));
        for vectors in [Vectors::Any, with_vectors(|vectors| vectors)] {
            let mut out = [[0; 3]; 24];
            pixels(vectors, &values, &mut out);
            assert_eq!(out, image);
        }
    }

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
