//! Hue, saturation and value, in OpenCV's 8 bits: hue in 0..180 (two degrees each), the others in 0..=255.

use image::RgbImage;

use super::{
    pool,
    simd::{Vectors, pixels, planes, round_i32, with_vectors},
};

/// Pixels that are worked on together.
const LANES: usize = 16;

/// Shifts hue (in units of two degrees, around the circle), saturation and value (cut to 0..=255), as albumentations'
/// `shift_hsv` does with `cv2.cvtColor` there and back. Grey pixels stay grey.
pub fn shift_hsv(image: &RgbImage, hue: i32, saturation: i32, value: i32) -> RgbImage {
    let mut out = pool::image(image.width(), image.height());
    let hue = hue.rem_euclid(180) as f32;
    let (saturation, value) = (saturation as f32, value as f32);
    let shift = [hue, saturation, value];
    let (blocks, rest) = image.as_raw().as_chunks::<3>().0.as_chunks::<LANES>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<3>().0.as_chunks_mut::<LANES>();
    with_vectors(
        #[inline(always)]
        |vectors| {
            for (pixels, out) in blocks.iter().zip(out_blocks) {
                block(vectors, pixels, out, shift);
            }
            let (mut last, mut out_last) = ([[0; 3]; LANES], [[0; 3]; LANES]);
            last[..rest.len()].copy_from_slice(rest);
            block(vectors, &last, &mut out_last, shift);
            out_rest.copy_from_slice(&out_last[..rest.len()]);
        },
    );
    out
}

#[inline(always)]
fn block(vectors: Vectors, image: &[[u8; 3]; LANES], out: &mut [[u8; 3]; LANES], shift: [f32; 3]) {
    let [red, green, blue] = planes(vectors, image);
    let mut changed = [[0; LANES]; 3];
    for i in 0..LANES {
        let rgb = shifted([red[i], green[i], blue[i]], shift);
        // Between 0 and 255 already; see `round_u8`.
        [changed[0][i], changed[1][i], changed[2][i]] = rgb.map(|v| (v + 12_582_912.0).to_bits());
    }
    pixels(vectors, &changed, out);
}

/// `numerator` (whole) times the rounded `factor`, divided by 4096 and rounded.
#[inline(always)]
fn divided(numerator: f32, factor: f32) -> f32 {
    ((round_i32(numerator).wrapping_mul(round_i32(factor)) + 2048) >> 12) as f32
}

/// The larger of two numbers. `f32::max` looks for NaN besides, of which there are none here.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The smaller of two numbers.
#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn shifted([r, g, b]: [f32; 3], [hue, saturation, value]: [f32; 3]) -> [f32; 3] {
    let v = larger(larger(r, g), b);
    let range = v - smaller(smaller(r, g), b);
    // OpenCV's fixed point of 12 bits, so that halves are rounded as there.
    let s = divided(range, 255.0 * 4096.0 / larger(v, 1.0));
    let turned = if v == r {
        g - b
    } else if v == g {
        b - r + 2.0 * range
    } else {
        r - g + 4.0 * range
    };
    let h = divided(turned, 30.0 * 4096.0 / larger(range, 1.0));
    let h = if h < 0.0 { h + 180.0 } else { h } + hue;
    let h = if h >= 180.0 { h - 180.0 } else { h };
    let s = if s > 0.0 { smaller(larger(s + saturation, 0.0), 255.0) } else { 0.0 };
    let v = smaller(larger(v + value, 0.0), 255.0);
    // Each channel is v, less the range times its distance from the hue's sector (Smith 1978).
    let (sextant, chroma) = (h * (1.0 / 30.0), v * s * (1.0 / 255.0));
    let channel = |offset: f32| {
        let k = sextant + offset;
        let k = if k >= 6.0 { k - 6.0 } else { k };
        v - chroma * larger(smaller(smaller(k, 4.0 - k), 1.0), 0.0)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn pure_colours_turn_and_grey_stays() {
        let one = |rgb, hue, saturation, value| {
            shift_hsv(&RgbImage::from_pixel(1, 1, Rgb(rgb)), hue, saturation, value).get_pixel(0, 0).0
        };
        assert_eq!(one([255, 0, 0], 60, 0, 0), [0, 255, 0]);
        assert_eq!(one([255, 0, 0], -60, 0, 0), [0, 0, 255]);
        assert_eq!(one([255, 0, 0], 30, 0, 0), [255, 255, 0]);
        assert_eq!(one([255, 0, 0], 0, -255, 0), [255; 3]);
        assert_eq!(one([90; 3], 17, 30, 20), [110; 3]);
        assert_eq!(one([0; 3], 17, 30, -20), [0; 3]);
        for rgb in [[255, 0, 0], [10, 200, 90], [255, 254, 253], [128, 127, 0]] {
            let back = one(rgb, 0, 0, 0);
            assert!(back.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 3), "{rgb:?} {back:?}");
        }
    }
}
