//! Means of neighbours: the box and the Gaussian.

use image::RgbImage;

use super::{
    border::{BorderMode, Padded},
    pool,
    simd::{round_u8, vectorize},
};

/// The mean of the `ksize` x `ksize` neighbours (`cv2.blur`), mirrored at the edges; `ksize` is odd, 1..=255.
pub fn box_blur(image: &RgbImage, ksize: u32) -> RgbImage {
    let ksize = (ksize as usize) | 1;
    let padded = Padded::new(image, ksize / 2, BorderMode::Reflect101);
    let mut out = pool::image(image.width(), image.height());
    let stride = (3 * image.width() as usize).max(1);
    let mut columns = vec![0_u16; padded.stride];
    let mut sums = vec![0_i32; stride];
    let share = 1.0 / (ksize * ksize) as f32;
    for y in 0..ksize - 1 {
        columns.iter_mut().zip(padded.row(y)).for_each(|(sum, v)| *sum += u16::from(*v));
    }
    for (y, out) in out.chunks_exact_mut(stride).enumerate() {
        vectorize(
            #[inline(always)]
            || {
                let (entering, leaving) = (padded.row(y + ksize - 1), padded.row(y));
                for (sum, value) in columns.iter_mut().zip(entering) {
                    *sum += u16::from(*value);
                }
                if ksize == 3 {
                    let (a, b, c) = (&columns[..stride], &columns[3..3 + stride], &columns[6..6 + stride]);
                    for (i, out) in out[..stride].iter_mut().enumerate() {
                        // The nearest whole number of a ninth, exact for sums up to 2,295.
                        *out = ((u32::from(a[i] + b[i] + c[i] + 4) * 7282) >> 16) as u8;
                    }
                } else {
                    sums.fill(0);
                    for k in 0..ksize {
                        for (sum, column) in sums.iter_mut().zip(&columns[3 * k..3 * k + stride]) {
                            *sum += i32::from(*column);
                        }
                    }
                    for (out, sum) in out.iter_mut().zip(&sums) {
                        *out = round_u8(*sum as f32 * share);
                    }
                }
                for (sum, value) in columns.iter_mut().zip(leaving) {
                    *sum -= u16::from(*value);
                }
            },
        );
    }
    out
}

/// A Gaussian of standard deviation `sigma` in pixels (albumentations' `create_gaussian_kernel_1d`): `ksize` weights,
/// or 2 * floor(3.5 sigma) + 1 of them for `ksize` 0, with the sum 1.
pub fn gaussian_kernel(sigma: f64, ksize: u32) -> Vec<f32> {
    let radius = if ksize == 0 { (3.5 * sigma) as i32 } else { (ksize / 2) as i32 };
    let weights: Vec<f64> = (-radius..=radius).map(|x| (-0.5 * (f64::from(x) / sigma).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| (w / sum) as f32).collect()
}

/// Smooths along both axes with the same kernel of odd length (`cv2.sepFilter2D`), mirrored at the edges.
pub fn gaussian_blur(image: &RgbImage, kernel: &[f32]) -> RgbImage {
    let radius = kernel.len() / 2;
    let padded = Padded::new(image, radius, BorderMode::Reflect101);
    let mut out = pool::image(image.width(), image.height());
    let stride = (3 * image.width() as usize).max(1);
    let mut columns = vec![0.0_f32; padded.stride];
    let mut sums = vec![0.0_f32; stride];
    for (y, out) in out.chunks_exact_mut(stride).enumerate() {
        vectorize(
            #[inline(always)]
            || {
                columns.fill(0.0);
                for (k, weight) in kernel.iter().enumerate() {
                    for (sum, value) in columns.iter_mut().zip(padded.row(y + k)) {
                        *sum += weight * f32::from(*value);
                    }
                }
                sums.fill(0.0);
                for (k, weight) in kernel.iter().enumerate() {
                    for (sum, column) in sums.iter_mut().zip(&columns[3 * k..3 * k + stride]) {
                        *sum += weight * column;
                    }
                }
                for (out, sum) in out.iter_mut().zip(&sums) {
                    *out = round_u8(*sum);
                }
            },
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_box_is_the_rounded_mean() {
        let image = RgbImage::from_fn(23, 17, |x, y| Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, 200]));
        for ksize in [1, 3, 5, 7, 15] {
            let out = box_blur(&image, ksize);
            let r = ksize as i32 / 2;
            for (x, y, pixel) in out.enumerate_pixels() {
                for c in 0..3 {
                    let mut sum = 0_u32;
                    for (dx, dy) in (-r..=r).flat_map(|dx| (-r..=r).map(move |dy| (dx, dy))) {
                        let at = |v: u32, d, len| BorderMode::Reflect101.index(v as i32 + d, len).unwrap() as u32;
                        sum += u32::from(image.get_pixel(at(x, dx, 23), at(y, dy, 17)).0[c]);
                    }
                    let area = ksize * ksize;
                    assert_eq!(u32::from(pixel.0[c]), (sum + area / 2) / area, "{ksize} {x} {y}");
                }
            }
        }
    }

    #[test]
    fn kernels_sum_to_one_and_flat_images_stay() {
        let kernel = gaussian_kernel(1.3, 0);
        assert_eq!(kernel.len(), 9);
        assert!((kernel.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(gaussian_kernel(0.8, 5).len(), 5);
        let flat = RgbImage::from_pixel(5, 4, Rgb([7, 255, 0]));
        assert_eq!(gaussian_blur(&flat, &kernel), flat);
        assert_eq!(box_blur(&flat, 11), flat);
    }
}
