//! Turning, scaling and shifting as a whole.

use image::RgbImage;

use super::{border::BorderMode, remap};

/// OpenCV's fixed point of affine maps: 10 fractional bits.
const SCALE: f64 = 1024.0;

/// `cv2.getRotationMatrix2D` about the middle of an image of `width` x `height` pixels, then a shift in pixels: from
/// source to output coordinates `x' = m[0] x + m[1] y + m[2]`, `y' = m[3] x + m[4] y + m[5]`. `degrees` are
/// counter-clockwise.
pub fn rotation_matrix(width: u32, height: u32, degrees: f64, scale: f64, shift: [f64; 2]) -> [f64; 6] {
    let (cx, cy) = (f64::from(width) / 2.0 - 0.5, f64::from(height) / 2.0 - 0.5);
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (a, b) = (scale * cos, scale * sin);
    [a, b, (1.0 - a) * cx - b * cy + shift[0], -b, a, b * cx + (1.0 - a) * cy + shift[1]]
}

/// Moves each source pixel to where `matrix` says (`cv2.warpAffine`, `INTER_LINEAR`), in an image of the same size. A
/// matrix that cannot be inverted leaves the colour of the upper left corner everywhere, as OpenCV does.
pub fn warp_affine(image: &RgbImage, matrix: [f64; 6], mode: BorderMode, fill: [u8; 3]) -> RgbImage {
    let m = inverse(matrix);
    let width = image.width() as usize;
    let fixed = |value: f64| (value * SCALE).round_ties_even().clamp(-1.0e9, 1.0e9) as i32;
    let steps_x: Vec<i32> = (0..width).map(|x| fixed(m[0] * x as f64)).collect();
    let steps_y: Vec<i32> = (0..width).map(|x| fixed(m[3] * x as f64)).collect();
    remap::remap(image, mode, fill, |y, row| {
        let y = y as f64;
        let half = 16;
        let (start_x, start_y) = (fixed(m[1] * y + m[2]) + half, fixed(m[4] * y + m[5]) + half);
        for ((x, y), (dx, dy)) in row.x.iter_mut().zip(&mut row.y).zip(steps_x.iter().zip(&steps_y)) {
            (*x, *y) = ((start_x + dx) >> 5, (start_y + dy) >> 5);
        }
    })
}

fn inverse([a, b, c, d, e, f]: [f64; 6]) -> [f64; 6] {
    let determinant = a * e - b * d;
    let r = if determinant == 0.0 { 0.0 } else { 1.0 / determinant };
    let (ia, ib, id, ie) = (e * r, -b * r, -d * r, a * r);
    [ia, ib, -ia * c - ib * f, id, ie, -id * c - ie * f]
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::{super::Dihedral, *};

    #[test]
    fn quarter_turns_and_whole_shifts_are_exact() {
        let image = RgbImage::from_fn(9, 9, |x, y| Rgb([(x * 25) as u8, (y * 20) as u8, (x * y) as u8]));
        let turned =
            |degrees| warp_affine(&image, rotation_matrix(9, 9, degrees, 1.0, [0.0; 2]), BorderMode::Replicate, [0; 3]);
        assert_eq!(turned(0.0), image);
        assert_eq!(turned(90.0), Dihedral::rot90(1).apply(&image));
        assert_eq!(turned(-180.0), Dihedral::rot90(2).apply(&image));
        let shifted =
            warp_affine(&image, rotation_matrix(9, 9, 0.0, 1.0, [2.0, -1.0]), BorderMode::Constant, [1, 2, 3]);
        assert_eq!(shifted.get_pixel(5, 4), image.get_pixel(3, 5));
        assert_eq!(shifted.get_pixel(1, 4).0, [1, 2, 3]);
        let flat = warp_affine(&image, [0.0; 6], BorderMode::Replicate, [0; 3]);
        assert!(flat.pixels().all(|p| p == image.get_pixel(0, 0)));
    }
}
