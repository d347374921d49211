//! CIE L*a*b* with D65 white, from and to sRGB: only what changing the lightness needs.

use std::sync::LazyLock;

use super::simd::vectorize;

/// Pixels that are worked on together.
pub(super) const LANES: usize = 64;
/// Steps of the table from linear light in [0, 1] to sRGB.
const STEPS: usize = 1 << 14;
/// Steps of the tables from sRGB to linear light, and from Y to lightness, in [0, 1]: OpenCV's.
const Y_STEPS: usize = 255 * 8;
/// The weights of Y in 1/4096.
const Y_WEIGHTS: [i32; 3] = [871, 2929, 296];

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
    /// The same in whole steps.
    steps: [i32; 256],
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
    lightness.iter_mut().enumerate().for_each(|(i, l)| *l = lightness_of(i as f64 / Y_STEPS as f64));
    let linear: [f32; 256] = std::array::from_fn(|v| {
        let v = v as f32 / 255.0;
        if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    });
    Lab {
        linear,
        steps: linear.map(|linear| (linear * Y_STEPS as f32).round_ties_even() as i32),
        encoded,
        lightness,
        root: std::array::from_fn(|l| (l as f32 * 100.0 / 255.0 + 16.0) / 116.0),
    }
});

fn encode(linear: f32) -> u8 {
    let v = if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
    (v * 255.0 + 0.5) as u8
}

/// 116 f(Y) - 16 on the scale 0..=255, in OpenCV's fixed point of 15 bits.
fn lightness_of(y: f64) -> u8 {
    let root = if y < 0.008_856 { 7.787 * y + 16.0 / 116.0 } else { y.cbrt() };
    let fixed = (32_768.0 * root).round_ties_even() as i32;
    ((296 * fixed - 1_336_934 + 16_384) >> 15).clamp(0, 255) as u8
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
        let [red, green, blue] = Y_WEIGHTS;
        for (out, [r, g, b]) in out.iter_mut().zip(pixels) {
            let step = |value: &u8| self.steps[usize::from(*value)];
            let y = (red * step(r) + green * step(g) + blue * step(b) + 2048) >> 12;
            *out = self.lightness[(y as usize).min(Y_STEPS)];
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
            let [red, green, blue] = pixels[i];
            r[i] = self.linear[usize::from(red)];
            g[i] = self.linear[usize::from(green)];
            b[i] = self.linear[usize::from(blue)];
            root[i] = self.root[usize::from(lightness[i])];
        }
        let mut steps = [[0_u32; LANES]; 3];
        vectorize(
            #[inline(always)]
            || relight([&r, &g, &b], &root, &mut steps),
        );
        let [r, g, b] = &steps;
        for i in 0..LANES {
            let encoded = |step: u32| self.encoded[(step as usize).min(STEPS)];
            out[i] = [encoded(r[i]), encoded(g[i]), encoded(b[i])];
        }
    }
}

/// Linear light of three channels to that of another lightness, of which f(Y) is given, in steps of the table.
#[inline(always)]
fn relight([r, g, b]: [&[f32; LANES]; 3], root: &[f32; LANES], steps: &mut [[u32; LANES]; 3]) {
    let [mut x, mut y, mut z] = [[0.0_f32; LANES]; 3];
    for (out, row) in [&mut x, &mut y, &mut z].into_iter().zip(TO_XYZ) {
        for i in 0..LANES {
            out[i] = root_of(row[0] * r[i] + row[1] * g[i] + row[2] * b[i]);
        }
    }
    for i in 0..LANES {
        let up = root[i] - y[i];
        (x[i], y[i], z[i]) = (x[i] + up, root[i], z[i] + up);
    }
    for values in [&mut x, &mut y, &mut z] {
        for f in values.iter_mut() {
            // The inverse of f; 0.2069 is f(0.008856).
            let (cube, line) = (*f * *f * *f, (*f - 16.0 / 116.0) * (1.0 / 7.787));
            *f = if *f > 0.206_893 { cube } else { line };
        }
    }
    for (steps, row) in steps.iter_mut().zip(FROM_XYZ) {
        for i in 0..LANES {
            let linear = (row[0] * x[i] + row[1] * y[i] + row[2] * z[i]).max(0.0).min(1.0);
            // The rounded number in the lowest bits; see `round_u8`.
            steps[i] = (linear * STEPS as f32 + 12_582_912.0).to_bits() & (2 * STEPS as u32 - 1);
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
