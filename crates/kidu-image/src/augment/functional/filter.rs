//! Small kernels: sharpening, embossing, motion.

use image::RgbImage;

use super::{
    border::{BorderMode, Padded},
    pool,
    simd::{round_u8, vectorize},
};

/// albumentations' `Sharpen` with its kernel: `1 - alpha` of the image and `alpha` of a Laplacian with `8 + lightness` in
/// the middle (`cv2.filter2D`), mirrored at the edges. `alpha` is in [0, 1], `lightness` at least 0.
pub fn sharpen(image: &RgbImage, alpha: f32, lightness: f32) -> RgbImage {
    // With the middle counted among the nine, its own weight is one more.
    let middle = 1.0 - alpha + alpha * (9.0 + lightness);
    windows(
        image,
        #[inline(always)]
        |rows, out| {
            let len = out.len();
            let [above, centre, below] = rows.map(|row| &row[..len + 6]);
            let (a0, a1, a2) = (&above[..len], &above[3..len + 3], &above[6..len + 6]);
            let (b0, b1, b2) = (&centre[..len], &centre[3..len + 3], &centre[6..len + 6]);
            let (c0, c1, c2) = (&below[..len], &below[3..len + 3], &below[6..len + 6]);
            for (i, out) in out.iter_mut().enumerate() {
                let value = |row: &[u8]| u16::from(row[i]);
                let sides = value(a0) + value(a1) + value(a2) + value(c0) + value(c1) + value(c2);
                let sum = sides + value(b0) + value(b1) + value(b2);
                *out = round_u8(middle * f32::from(b1[i]) - alpha * f32::from(sum));
            }
        },
    )
}

/// albumentations' `Emboss`: `1 - alpha` of the image and `alpha` of a kernel that is bright towards the lower right
/// (`cv2.filter2D`), mirrored at the edges. `alpha` is in [0, 1], `strength` at least 0.
pub fn emboss(image: &RgbImage, alpha: f32, strength: f32) -> RgbImage {
    let (corner, side) = (alpha * (1.0 + strength), alpha * strength);
    windows(
        image,
        #[inline(always)]
        |rows, out| {
            let len = out.len();
            let part = |row: usize, at: usize| &rows[row][at..at + len];
            let (p00, p01, p10, p11) = (part(0, 0), part(0, 3), part(1, 0), part(1, 3));
            let (p12, p21, p22) = (part(1, 6), part(2, 3), part(2, 6));
            for (i, out) in out.iter_mut().enumerate() {
                let value = |row: &[u8]| i16::from(row[i]);
                let corners = value(p22) - value(p00);
                let sides = value(p21) + value(p12) - value(p01) - value(p10);
                *out = round_u8(f32::from(p11[i]) + corner * f32::from(corners) + side * f32::from(sides));
            }
        },
    )
}

/// Runs a 3x3 kernel: three rows with a pixel more on each side, and the row to write.
fn windows(image: &RgbImage, kernel: impl Fn([&[u8]; 3], &mut [u8])) -> RgbImage {
    let padded = Padded::new(image, 1, BorderMode::Reflect101);
    let mut out = pool::image(image.width(), image.height());
    let stride = (3 * image.width() as usize).max(1);
    for (y, out) in out.chunks_exact_mut(stride).enumerate() {
        let rows = [0, 1, 2].map(|k| padded.row(y + k));
        vectorize(
            #[inline(always)]
            || kernel(rows, out),
        );
    }
    out
}

/// The pixels, as (row, column), that albumentations' `create_motion_kernel` sets in a kernel of `ksize` (odd) rows and
/// columns: a line through the middle at `angle` degrees, clockwise on the screen. `direction` in [-1, 1] moves it
/// backward or forward, `shift` (columns, rows) moves it aside. Each counts the same.
pub fn motion_kernel(ksize: u32, angle: f64, direction: f64, shift: [f64; 2]) -> Vec<(usize, usize)> {
    let size = (ksize as usize) | 1;
    let centre = (size / 2) as f64;
    let (dy, dx) = angle.to_radians().sin_cos();
    let direction = direction.clamp(-1.0, 1.0);
    let start = -centre * (1.0 - direction.max(0.0));
    let end = centre * (1.0 + direction.min(0.0));
    let cell = |position: f64| position.round_ties_even().clamp(0.0, (size - 1) as f64) as usize;
    let mut cells: Vec<(usize, usize)> = (0..size)
        .map(|i| start + (end - start) * i as f64 / (size - 1).max(1) as f64)
        .map(|t| (cell(centre + dy * t + shift[1]), cell(centre + dx * t + shift[0])))
        .collect();
    cells.sort_unstable();
    cells.dedup();
    cells
}

/// The mean of the pixels that a kernel of `ksize` rows and columns sets (`cv2.filter2D`), mirrored at the edges.
pub fn motion_blur(image: &RgbImage, ksize: u32, cells: &[(usize, usize)]) -> RgbImage {
    let radius = (ksize / 2) as usize;
    let padded = Padded::new(image, radius, BorderMode::Reflect101);
    let mut out = pool::image(image.width(), image.height());
    let stride = (3 * image.width() as usize).max(1);
    let weight = 1.0 / cells.len().max(1) as f32;
    let mut sums = vec![0_u16; stride];
    for (y, out) in out.chunks_exact_mut(stride).enumerate() {
        vectorize(
            #[inline(always)]
            || {
                sums.fill(0);
                for (row, column) in cells {
                    let row = &padded.row(y + row)[3 * column..3 * column + stride];
                    for (sum, value) in sums.iter_mut().zip(row) {
                        *sum += u16::from(*value);
                    }
                }
                for (out, sum) in out.iter_mut().zip(&sums) {
                    *out = round_u8(f32::from(*sum) * weight);
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
    fn lines_lie_where_they_should() {
        assert_eq!(motion_kernel(3, 0.0, 0.0, [0.0; 2]), [(1, 0), (1, 1), (1, 2)]);
        assert_eq!(motion_kernel(5, 90.0, 0.0, [0.0; 2]), [(0, 2), (1, 2), (2, 2), (3, 2), (4, 2)]);
        assert_eq!(motion_kernel(5, 0.0, 1.0, [0.0; 2]), [(2, 2), (2, 3), (2, 4)]);
        assert_eq!(motion_kernel(5, 0.0, -1.0, [0.0; 2]), [(2, 0), (2, 1), (2, 2)]);
        assert_eq!(motion_kernel(3, 0.0, 0.0, [0.0, 9.0]), [(2, 0), (2, 1), (2, 2)]);
    }

    #[test]
    fn flat_images_stay_and_nothing_is_done_at_zero() {
        let flat = RgbImage::from_pixel(6, 5, Rgb([9, 100, 255]));
        assert_eq!(motion_blur(&flat, 5, &motion_kernel(5, 30.0, 0.2, [0.5, 0.1])), flat);
        assert_eq!(emboss(&flat, 0.5, 0.7), flat);
        let image = RgbImage::from_fn(9, 7, |x, y| Rgb([(x * 40) as u8, (y * 30) as u8, (x * y) as u8]));
        assert_eq!(sharpen(&image, 0.0, 1.0), image);
        assert_eq!(emboss(&image, 0.0, 1.0), image);
    }
}
