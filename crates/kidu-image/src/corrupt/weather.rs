//! Fog and light.

use image::RgbImage;
use kidu_core::rng::ChaCha8Rng;
use rand::RngExt;

use super::{Severity, float::Float};

/// A plasma fractal is added; the image's brightest value stays what it was.
pub(super) fn fog(image: &RgbImage, severity: Severity, rng: &mut ChaCha8Rng) -> RgbImage {
    let (amount, decay) = severity.of([(1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)]);
    let mut out = Float::new(image);
    let side = out.width.max(out.height).next_power_of_two().max(2);
    let plasma = plasma(side, decay, rng);
    let brightest = out.data.iter().copied().fold(0.0f32, f32::max);
    let share = brightest / (brightest + amount);
    for y in 0..out.height {
        for x in 0..out.width {
            let at = 3 * (y * out.width + x);
            let fog = amount * plasma[y * side + x];
            out.data[at..at + 3].iter_mut().for_each(|v| *v = (*v + fog) * share);
        }
    }
    out.finish()
}

/// Clouds in [0, 1], `side` x `side` (a power of two), by diamond and square on a torus: each value is the mean of its
/// four neighbours and noise that shrinks by `decay` with each halving.
fn plasma(side: usize, decay: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut map = vec![0.0f32; side * side];
    let mut step = side;
    let mut wibble = 100.0f32;
    while step >= 2 {
        let half = step / 2;
        let grid = |start: usize| (start..side).step_by(step);
        let mut fill = |map: &mut [f32], (x, y): (usize, usize), offsets: [(usize, usize); 4]| {
            let sum: f32 = offsets.iter().map(|(dx, dy)| map[(y + dy) % side * side + (x + dx) % side]).sum();
            map[y * side + x] = sum / 4.0 + wibble * rng.random_range(-wibble..wibble);
        };
        let back = side - half;
        for y in grid(half) {
            for x in grid(half) {
                fill(&mut map, (x, y), [(half, half), (back, half), (half, back), (back, back)]);
            }
        }
        let cross = [(half, 0), (back, 0), (0, half), (0, back)];
        for (first_x, first_y) in [(half, 0), (0, half)] {
            for y in grid(first_y) {
                for x in grid(first_x) {
                    fill(&mut map, (x, y), cross);
                }
            }
        }
        step = half;
        wibble /= decay;
    }
    let least = map.iter().copied().fold(f32::INFINITY, f32::min);
    let range = map.iter().map(|v| v - least).fold(f32::MIN_POSITIVE, f32::max);
    map.iter().map(|v| (v - least) / range).collect()
}

/// More of HSV's value at the same hue and saturation.
pub(super) fn brightness(image: &RgbImage, severity: Severity) -> RgbImage {
    let more = severity.of([0.1, 0.2, 0.3, 0.4, 0.5]);
    let mut out = Float::new(image);
    for pixel in out.data.chunks_exact_mut(3) {
        let value = pixel.iter().copied().fold(0.0f32, f32::max);
        let brighter = (value + more).min(1.0);
        // Black has no hue: it turns grey.
        pixel.iter_mut().for_each(|v| *v = if value > 0.0 { *v * (brighter / value) } else { brighter });
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use kidu_core::rng::stream;

    use super::*;

    #[test]
    fn clouds_fill_their_range_and_are_smooth() {
        let side = 128;
        let clouds = plasma(side, 2.0, &mut stream(1, "fog", &[]));
        let (least, most) = clouds.iter().fold((1.0f32, 0.0f32), |(l, m), v| (l.min(*v), m.max(*v)));
        assert_eq!((least, most), (0.0, 1.0));
        let next: f32 = clouds.windows(2).map(|p| (p[0] - p[1]).abs()).sum::<f32>() / clouds.len() as f32;
        assert!(next < 0.05, "{next}");
    }

    #[test]
    fn fog_keeps_the_brightest_and_lifts_the_dark() {
        let image = RgbImage::from_fn(64, 48, |x, _| Rgb([if x < 32 { 10 } else { 240 }; 3]));
        let foggy = fog(&image, Severity::ALL[4], &mut stream(1, "fog", &[2]));
        let (min, max) = foggy.iter().fold((255, 0), |(l, m), v| (l.min(*v), m.max(*v)));
        assert!(max <= 240 && min < 200, "{min} {max}");
        let dark: f64 =
            foggy.enumerate_pixels().filter(|p| p.0 < 32).map(|p| f64::from(p.2.0[0])).sum::<f64>() / (32.0 * 48.0);
        assert!(dark > 30.0, "{dark}");
    }

    #[test]
    fn brightness_keeps_the_hue() {
        let image = RgbImage::from_pixel(1, 1, Rgb([100, 50, 0]));
        assert_eq!(brightness(&image, Severity::ALL[4]).get_pixel(0, 0).0, [227, 113, 0]);
        let black = RgbImage::new(1, 1);
        assert_eq!(brightness(&black, Severity::ALL[1]).get_pixel(0, 0).0, [51; 3]);
    }
}
