//! CIE L*a*b* with D65 white, from and to sRGB: only what changing the lightness needs.

use std::sync::LazyLock;

use super::simd::vectorize;

/// Pixels that are worked on together.
pub(super) const LANES: usize = 64;
/// Steps of the table from linear light in [0, 1] to sRGB.
const STEPS: usize = 1 << 14;
/// Steps of the table from Y in [0, 1] to lightness.
const Y_STEPS: usize = 1 << 13;

/// From linear sRGB to XYZ divided by the white point (IEC 61966-2-1).
const TO_XYZ: [[f32; 3]; 3] = [
    [0.412_453 / 0.950_456, 0.357_580 / 0.950_456, 0.180_423 / 0.950_456],
    [0.212_671, 0.715_160, 0.072_169],
    [0.019_334 / 1.088_754, 0.119_193 / 1.088_754, 0.950_227 / 1.088_754],
];
/// And back.
const FROM_XYZ: [[f32; 3]; 3] = [
    [3.240_479 * 0.950_456, -1.537_15, -0.498_535 * 1.088_754],
    [-0.969_256 * 0.950_456, 1.875_991, 0.041_556 * 1.088_754],
    [0.055_648 * 0.950_456, -0.204_043, 1.057_311 * 1.088_754],
];

/// Tables of the curves.
pub(super) struct Lab {
    /// Linear light of each sRGB value.
    linear: [f32; 256],
    /// sRGB value of linear light.
    encoded: Box<[u8; STEPS + 1]>,
    /// Lightness, 0..=255, of Y.
    lightness: Box<[u8; Y_STEPS + 1]>,
    /// f(Y) of each lightness 0..=255.
    root: [f32; 256],
}

pub(super) static LAB: LazyLock<Lab> = LazyLock::new(|| {
    let mut encoded = Box::new([0; STEPS + 1]);
    encoded.iter_mut().enumerate().for_each(|(i, v)| *v = encode(i as f32 / STEPS as f32));
    let mut lightness = Box::new([0; Y_STEPS + 1]);
    lightness.iter_mut().enumerate().for_each(|(i, l)| *l = lightness_of(i as f32 / Y_STEPS as f32));
    Lab {
        linear: std::array::from_fn(|v| {
            let v = v as f32 / 255.0;
            if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        }),
        encoded,
        lightness,
        root: std::array::from_fn(|l| (l as f32 * 100.0 / 255.0 + 16.0) / 116.0),
    }
});

fn encode(linear: f32) -> u8 {
    let v = if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
    (v * 255.0 + 0.5) as u8
}

fn lightness_of(y: f32) -> u8 {
    let root = if y > 0.008_856 { y.cbrt() } else { 7.787 * y + 16.0 / 116.0 };
    ((116.0 * root - 16.0) * 2.55 + 0.5) as u8
}

/// L*a*b*'s f: the cube root, but a line near 0. From a guess by the exponent, two steps of Halley's method come within
/// 1e-6.
#[inline(always)]
fn root_of(t: f32) -> f32 {
    let guess = f32::from_bits((t.to_bits() / 3).wrapping_add(0x2A51_37A0));
    let step = |r: f32| {
        let cube = r * r * r;
        r * (cube + t + t) / (cube + cube + t)
    };
    let root = step(step(guess));
    if t > 0.008_856 { root } else { 7.787 * t + 16.0 / 116.0 }
}

impl Lab {
    /// The lightness of each pixel, on the scale 0..=255.
    pub(super) fn lightness(&self, pixels: &[[u8; 3]], out: &mut [u8]) {
        let steps = Y_STEPS as f32;
        let weights: [[f32; 256]; 3] = std::array::from_fn(|c| self.linear.map(|linear| linear * TO_XYZ[1][c] * steps));
        for (out, [r, g, b]) in out.iter_mut().zip(pixels) {
            let y = weights[0][usize::from(*r)] + weights[1][usize::from(*g)] + weights[2][usize::from(*b)];
            *out = self.lightness[((y + 0.5) as usize).min(Y_STEPS)];
        }
    }

    /// The colours of the same a* and b* with other lightnesses.
    pub(super) fn with_lightness(
        &self,
        pixels: &[[u8; 3]; LANES],
        lightness: &[u8; LANES],
        out: &mut [[u8; 3]; LANES],
    ) {
        let [mut r, mut g, mut b, mut root] = [[0.0_f32; LANES]; 4];
        for i in 0..LANES {
            [r[i], g[i], b[i]] = pixels[i].map(|v| self.linear[usize::from(v)]);
            root[i] = self.root[usize::from(lightness[i])];
        }
        let mut steps = [[0_u32; LANES]; 3];
        vectorize(
            #[inline(always)]
            || {
                for i in 0..LANES {
                    let [fx, fy, fz] = TO_XYZ.map(|row| root_of(row[0] * r[i] + row[1] * g[i] + row[2] * b[i]));
                    let up = root[i] - fy;
                    let [x, y, z] = [fx + up, root[i], fz + up].map(|f| {
                        // The inverse of f; 0.2069 is f(0.008856).
                        if f > 0.206_893 { f * f * f } else { (f - 16.0 / 116.0) * (1.0 / 7.787) }
                    });
                    for (steps, row) in steps.iter_mut().zip(FROM_XYZ) {
                        let linear = (row[0] * x + row[1] * y + row[2] * z).max(0.0).min(1.0);
                        // The rounded number in the lowest bits; see `round_u8`.
                        steps[i] = (linear * STEPS as f32 + 12_582_912.0).to_bits() & (2 * STEPS as u32 - 1);
                    }
                }
            },
        );
        for i in 0..LANES {
            out[i] = [0, 1, 2].map(|c| self.encoded[(steps[c][i] as usize).min(STEPS)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_near_enough() {
        for i in 0..=10_000 {
            let t = i as f32 / 10_000.0;
            let exact = if t > 0.008_856 { f64::from(t).cbrt() } else { 7.787 * f64::from(t) + 16.0 / 116.0 };
            assert!((f64::from(root_of(t)) - exact).abs() < 2e-6, "{t}");
        }
    }

    #[test]
    fn the_same_lightness_is_nearly_the_same_colour() {
        let pixels: [[u8; 3]; LANES] = std::array::from_fn(|i| [(i * 4) as u8, (i * 91) as u8, (255 - i * 3) as u8]);
        let (mut lightness, mut out) = ([0; LANES], [[0; 3]; LANES]);
        LAB.lightness(&pixels, &mut lightness);
        LAB.with_lightness(&pixels, &lightness, &mut out);
        for (back, pixel) in out.iter().zip(pixels) {
            assert!(back.iter().zip(pixel).all(|(a, b)| a.abs_diff(b) <= 3), "{pixel:?} {back:?}");
        }
        // OpenCV's cvtColor gives these.
        let mut known = [0; 3];
        LAB.lightness(&[[255; 3], [255, 0, 0], [0, 255, 0]], &mut known);
        assert_eq!(known, [255, 136, 224]);
    }
}
