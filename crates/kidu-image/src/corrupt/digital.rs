//! Contrast, bends, coarse pixels and compression.

use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::jpeg::JpegEncoder};
use kidu_core::rng::ChaCha8Rng;
use rand::RngExt;

use super::{
    Severity,
    float::{self, Edge, Float},
};
use crate::{Limits, decode, resize};

/// Nearer to each channel's mean.
pub(super) fn contrast(image: &RgbImage, severity: Severity) -> RgbImage {
    let kept = severity.of([0.4, 0.3, 0.2, 0.1, 0.05]);
    let mut out = Float::new(image);
    let n = (out.width * out.height) as f64;
    let mut means = [0.0f64; 3];
    for pixel in out.data.chunks_exact(3) {
        (0..3).for_each(|c| means[c] += f64::from(pixel[c]) / n);
    }
    for pixel in out.data.chunks_exact_mut(3) {
        (0..3).for_each(|c| pixel[c] = (pixel[c] - means[c] as f32) * kept + means[c] as f32);
    }
    out.finish()
}

/// A random affine map, then random shifts that change smoothly over the image (Simard 2003).
pub(super) fn elastic(image: &RgbImage, severity: Severity, scale: f64, rng: &mut ChaCha8Rng) -> RgbImage {
    // The paper's constants are multiples of 244.
    let (alpha, sigma, affine) =
        severity.of([(2.0, 0.7, 0.1), (2.0, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)]);
    let [alpha, sigma, affine] = [alpha, sigma, affine].map(|constant| 244.0 * constant * scale);
    // The mean over a neighbourhood takes less from the shifts the smaller it is: they too must shrink with the image.
    let alpha = alpha * scale;
    let image = Float::new(image);
    let (width, height) = (image.width, image.height);
    let map = backwards((width, height), affine, rng);
    let bent = image.warp(Edge::Reflect101, |x, y| {
        let at = |row: [f64; 3]| (row[0] * x as f64 + row[1] * y as f64 + row[2]) as f32;
        (at(map[0]), at(map[1]))
    });
    let mut shifts = || {
        let random: Vec<f32> = (0..width * height).map(|_| rng.random_range(-1.0..1.0f32)).collect();
        let mut smooth = float::gaussian(&random, (width, height, 1), sigma, 3.0, Edge::Reflect);
        smooth.iter_mut().for_each(|v| *v *= alpha as f32);
        smooth
    };
    let (dx, dy) = (shifts(), shifts());
    let at = |x: usize, y: usize| y * width + x;
    bent.warp(Edge::Reflect, |x, y| (x as f32 + dx[at(x, y)], y as f32 + dy[at(x, y)])).finish()
}

/// Where the pixels of an image come from after a map that moves three points about its middle by up to `most` pixels:
/// two rows of a 2x3 matrix.
fn backwards((width, height): (usize, usize), most: f64, rng: &mut ChaCha8Rng) -> [[f64; 3]; 2] {
    let (x, y) = ((width / 2) as f64, (height / 2) as f64);
    let reach = ((width.min(height) / 3) as f64).max(1.0);
    let from = [[x + reach, y + reach], [x + reach, y - reach], [x - reach, y - reach]];
    let to = from.map(|point| point.map(|v| v + if most > 0.0 { rng.random_range(-most..most) } else { 0.0 }));
    // The map from the moved points back to the first ones. The moves are far smaller than the triangle.
    let [u, v] = [[0, 1], [2, 1]].map(|[a, b]: [usize; 2]| [to[a][0] - to[b][0], to[a][1] - to[b][1]]);
    let determinant = u[0] * v[1] - u[1] * v[0];
    [0, 1].map(|axis| {
        if determinant.abs() < 1e-9 {
            return if axis == 0 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] };
        }
        let (du, dv) = (from[0][axis] - from[1][axis], from[2][axis] - from[1][axis]);
        let (a, b) = ((du * v[1] - dv * u[1]) / determinant, (dv * u[0] - du * v[0]) / determinant);
        [a, b, from[1][axis] - a * to[1][0] - b * to[1][1]]
    })
}

/// Made smaller and larger again by Pillow's box filter.
pub(super) fn pixelate(image: &RgbImage, severity: Severity) -> RgbImage {
    let share = severity.of([0.6, 0.5, 0.4, 0.3, 0.25]);
    let side = |length: u32| ((f64::from(length) * share) as u32).max(1);
    let small = resize::resize_box(image, side(image.width()), side(image.height()));
    resize::resize_box(&small, image.width(), image.height())
}

/// Compressed and read back.
pub(super) fn jpeg(image: &RgbImage, severity: Severity) -> RgbImage {
    let quality = severity.of([25, 18, 15, 10, 7]);
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    let written = encoder.write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8);
    let limits = Limits { max_bytes: usize::MAX, max_pixels: u64::MAX, max_side: u32::MAX };
    match written.ok().and_then(|()| decode(&bytes, &limits).ok()) {
        Some(read) => read,
        // JPEG knows no side longer than 65,535 pixels.
        None => image.clone(),
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use kidu_core::rng::stream;

    use super::*;

    #[test]
    fn contrast_keeps_the_mean() {
        let image = RgbImage::from_fn(10, 10, |x, _| Rgb([if x < 5 { 0 } else { 200 }, 7, 255]));
        let out = contrast(&image, Severity::ALL[4]);
        assert_eq!(out.get_pixel(0, 0).0, [95, 7, 255]);
        assert_eq!(out.get_pixel(9, 0).0, [105, 7, 255]);
    }

    #[test]
    fn the_map_takes_moved_points_back() {
        let mut rng = stream(3, "affine", &[]);
        let still = backwards((100, 80), 0.0, &mut rng);
        for (got, expected) in still.iter().flatten().zip([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]) {
            assert!((got - expected).abs() < 1e-12, "{still:?}");
        }
        let map = backwards((100, 80), 5.0, &mut rng);
        let at = |row: [f64; 3]| row[0] * 50.0 + row[1] * 40.0 + row[2];
        assert!((at(map[0]) - 50.0).abs() < 15.0 && (at(map[1]) - 40.0).abs() < 15.0);
    }

    #[test]
    fn coarse_pixels_are_means() {
        let image = RgbImage::from_fn(8, 8, |x, _| Rgb([if x % 2 == 0 { 0 } else { 100 }; 3]));
        let out = pixelate(&image, Severity::ALL[4]);
        assert!(out.pixels().all(|p| p.0 == [50; 3]), "{:?}", out.get_pixel(0, 0));
    }
}
