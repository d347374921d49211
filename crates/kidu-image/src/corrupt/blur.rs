//! Blur of lens, glass and motion.

use image::RgbImage;
use kidu_core::rng::ChaCha8Rng;
use rand::RngExt;

use super::{
    Severity,
    float::{Edge, Float},
};

/// skimage's `filters.gaussian`.
pub(super) fn gaussian(image: &RgbImage, severity: Severity, scale: f64) -> RgbImage {
    let sigma = severity.of([1.0, 2.0, 3.0, 4.0, 6.0]) * scale;
    Float::new(image).gaussian(sigma, 4.0, Edge::Nearest).finish()
}

/// A disc with a softened rim.
pub(super) fn defocus(image: &RgbImage, severity: Severity, scale: f64) -> RgbImage {
    let (radius, rim) = severity.of([(3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5)]);
    let (half, kernel) = disc(radius * scale, rim);
    let image = Float::new(image);
    let mut out = image.like();
    let side = 2 * half + 1;
    // What of the kernel is not zero, with the offset of each part.
    let taps: Vec<(i64, i64, f32)> = (0..side * side)
        .filter(|at| kernel[*at] > 0.0)
        .map(|at| ((at % side) as i64 - half as i64, (at / side) as i64 - half as i64, kernel[at] as f32))
        .collect();
    let columns: Vec<usize> =
        (0..image.width + 2 * half).map(|x| Edge::Reflect101.index(x as i64 - half as i64, image.width)).collect();
    for y in 0..image.height {
        let line = &mut out.data[3 * y * image.width..3 * (y + 1) * image.width];
        for (dx, dy, weight) in &taps {
            let from = 3 * Edge::Reflect101.index(y as i64 + dy, image.height) * image.width;
            let row = &image.data[from..from + 3 * image.width];
            let first = (half as i64 + dx) as usize;
            add_row(line, row, &columns[first..first + image.width], *weight);
        }
    }
    out.finish()
}

/// Adds the pixels of a row that `columns` names, weighted. The middle, where columns follow each other, is one slice.
fn add_row(line: &mut [f32], row: &[f32], columns: &[usize], weight: f32) {
    let follows = |pair: &[usize]| pair[1] == pair[0] + 1;
    let start = columns.windows(2).position(follows).unwrap_or(columns.len());
    let run = columns.get(start..).map_or(0, |rest| 1 + rest.windows(2).take_while(|pair| follows(pair)).count());
    let end = (start + run).min(columns.len());
    for x in (0..start).chain(end..columns.len()) {
        for c in 0..3 {
            line[3 * x + c] += weight * row[3 * columns[x] + c];
        }
    }
    if start < end {
        let from = &row[3 * columns[start]..][..3 * (end - start)];
        line[3 * start..3 * end].iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
    }
}

/// Half the side of a disc's kernel, and the kernel: a disc of ones, blurred by a small normal kernel against aliasing.
fn disc(radius: f64, rim: f64) -> (usize, Vec<f64>) {
    let (half, blur) = if radius <= 8.0 { (8i64, 1i64) } else { (radius.ceil() as i64, 2) };
    let side = (2 * half + 1) as usize;
    let inside = |x: i64, y: i64| if (x * x + y * y) as f64 <= radius * radius { 1.0 } else { 0.0 };
    let offsets: Vec<i64> = (-half..=half).collect();
    let flat: Vec<f64> = offsets.iter().flat_map(|y| offsets.iter().map(move |x| inside(*x, *y))).collect();
    let sum: f64 = flat.iter().sum();
    let soft: Vec<f64> = (-blur..=blur).map(|i| (-0.5 * (i as f64 / rim).powi(2)).exp()).collect();
    let soft_sum: f64 = soft.iter().sum();
    let across = |data: &[f64], step: (i64, i64)| -> Vec<f64> {
        (0..side * side)
            .map(|at| {
                let (x, y) = ((at % side) as i64, (at / side) as i64);
                let tap = |(i, weight): (i64, &f64)| {
                    let column = Edge::Reflect101.index(x + i * step.0, side);
                    let row = Edge::Reflect101.index(y + i * step.1, side);
                    weight / soft_sum * data[row * side + column]
                };
                (-blur..=blur).zip(&soft).map(tap).sum()
            })
            .collect()
    };
    let kernel = across(&across(&flat, (1, 0)), (0, 1));
    (half as usize, kernel.iter().map(|v| v / sum).collect())
}

/// Blurred, pixels replaced by near ones, blurred. The paper's code means to exchange two pixels, but its views of one NumPy
/// array copy the second over the first; so was the data set made.
pub(super) fn glass(image: &RgbImage, severity: Severity, scale: f64, rng: &mut ChaCha8Rng) -> RgbImage {
    let (sigma, shift, rounds) = severity.of([(0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2)]);
    let sigma = sigma * scale;
    let shift = ((f64::from(shift) * scale).round() as i64).max(1);
    let mut pixels = Float::new(image).gaussian(sigma, 4.0, Edge::Nearest);
    // The paper's code keeps whole levels between the two blurs.
    pixels.data.iter_mut().for_each(|v| *v = (*v * 255.0 + 1e-3).floor() / 255.0);
    let (width, height) = (pixels.width as i64, pixels.height as i64);
    for _ in 0..rounds {
        for y in (shift + 1..=height - shift).rev() {
            for x in (shift + 1..=width - shift).rev() {
                let (to_x, to_y) = (x + rng.random_range(-shift..shift), y + rng.random_range(-shift..shift));
                let [a, b] = [(x, y), (to_x, to_y)].map(|(x, y)| 3 * (y * width + x) as usize);
                pixels.data.copy_within(b..b + 3, a);
            }
        }
    }
    pixels.gaussian(sigma, 4.0, Edge::Nearest).finish()
}

/// ImageMagick's motion blur: a one-sided normal kernel along a direction between -45 and 45 degrees.
pub(super) fn motion(image: &RgbImage, severity: Severity, scale: f64, rng: &mut ChaCha8Rng) -> RgbImage {
    let (radius, sigma) = severity.of([(10.0, 3.0), (15.0, 5.0), (15.0, 8.0), (15.0, 12.0), (20.0, 15.0)]);
    let angle: f64 = rng.random_range(-45.0..45.0);
    streak(&Float::new(image), radius * scale, sigma * scale, angle).finish()
}

/// `radius`, `sigma` in pixels, `angle` in degrees.
fn streak(image: &Float, radius: f64, sigma: f64, angle: f64) -> Float {
    let width = 2 * (radius.ceil() as usize).max(1) + 1;
    let weights: Vec<f64> = (0..width).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let (sin, cos) = angle.to_radians().sin_cos();
    let offset = |length: f64| (length - 0.5).ceil() as i64;
    let mut out = image.like();
    for (i, weight) in weights.iter().enumerate() {
        let (dx, dy) = (offset(i as f64 * cos), offset(i as f64 * sin));
        let weight = (weight / sum) as f32;
        let columns: Vec<usize> = (0..image.width).map(|x| Edge::Nearest.index(x as i64 + dx, image.width)).collect();
        for y in 0..image.height {
            let from = 3 * Edge::Nearest.index(y as i64 + dy, image.height) * image.width;
            let line = &mut out.data[3 * y * image.width..3 * (y + 1) * image.width];
            add_row(line, &image.data[from..from + 3 * image.width], &columns, weight);
        }
    }
    out
}

/// The mean of the image and of it enlarged step by step about its middle.
pub(super) fn zoom(image: &RgbImage, severity: Severity) -> RgbImage {
    let (steps, step) = severity.of([(12, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03)]);
    let image = Float::new(image);
    // The factors of `numpy.arange`, to the last bit: they decide how many pixels are cut off. The first severity's end,
    // 1.11, is among them by its rounding.
    let step = (1.0 + step) - 1.0;
    let mut sum = image.clone();
    for factor in (0..steps).map(|i| 1.0 + f64::from(i) * step) {
        let (columns, rows) = (enlarged(image.width, factor), enlarged(image.height, factor));
        let near = image.warp(Edge::Nearest, |x, y| (columns[x], rows[y]));
        sum.data.iter_mut().zip(&near.data).for_each(|(sum, value)| *sum += value);
    }
    let n = steps as f32 + 1.0;
    sum.map(|v| v / n).finish()
}

/// Where the places of a side come from when its middle part is enlarged to it, as the paper's code does: whole pixels
/// are cut off, the rest is resampled so that its corners stay (`scipy.ndimage.zoom`), and whole pixels are cut off again.
fn enlarged(length: usize, factor: f64) -> Vec<f32> {
    let part = ((length as f64 / factor).ceil() as usize).clamp(1, length);
    let first = (length - part) / 2;
    let after = ((part as f64 * factor).round_ties_even() as usize).max(length);
    let trim = (after - length) / 2;
    let scale = (part - 1) as f64 / (after - 1).max(1) as f64;
    (0..length).map(|at| (first as f64 + (at + trim) as f64 * scale) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disc_sums_to_one_and_is_round() {
        for (radius, rim) in [(3.0, 0.1), (10.0, 0.5), (0.4, 0.1), (12.3, 0.5)] {
            let (half, kernel) = disc(radius, rim);
            // The rim is softened within the kernel's square, as in the paper's code, which adds a little at its sides.
            assert!((kernel.iter().sum::<f64>() - 1.0).abs() < 3e-2, "{radius}");
            let side = 2 * half + 1;
            assert!((0..side * side).all(|at| (kernel[at] - kernel[(at % side) * side + at / side]).abs() < 1e-12));
        }
        // 29 pixels lie within a radius of 3.
        assert!((disc(3.0, 0.1).1[8 * 17 + 8] - 1.0 / 29.0).abs() < 1e-9);
    }

    #[test]
    fn a_streak_goes_one_way() {
        let mut dot = Float { width: 41, height: 41, data: vec![0.0; 41 * 41 * 3] };
        dot.data[3 * (20 * 41 + 20)] = 1.0;
        let level = streak(&dot, 5.0, 3.0, 0.0);
        // Each pixel takes from its right: the dot's light lies to its left.
        assert!(level.pixel(20, 20)[0] > level.pixel(15, 20)[0] && level.pixel(15, 20)[0] > 0.0);
        assert!(level.pixel(22, 20)[0] == 0.0 && level.pixel(20, 19)[0] == 0.0);
        assert!((level.data.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_zoom_keeps_the_middle() {
        let mut image = RgbImage::from_pixel(31, 31, image::Rgb([50; 3]));
        image.put_pixel(0, 0, image::Rgb([250; 3]));
        let zoomed = zoom(&image, Severity::ALL[4]);
        assert_eq!(zoomed.get_pixel(15, 15).0, [50; 3]);
        assert!(zoomed.get_pixel(0, 0).0[0] < 250);
    }
}
