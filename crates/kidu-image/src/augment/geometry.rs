//! Changes of place: each output pixel takes the source pixel that its centre falls on, black outside the image
//! (torchvision's default for RandAugment: nearest, no fill).

use image::{Rgb, RgbImage};

/// The affine map from output to source coordinates: `x' = m[0] x + m[1] y + m[2]`, `y' = m[3] x + m[4] y + m[5]`.
type Matrix = [f64; 6];

/// Row `y` takes its pixels from `level * y` further right.
pub(super) fn shear_x(image: &RgbImage, level: f64) -> RgbImage {
    transform(image, [1.0, level, 0.0, 0.0, 1.0, 0.0])
}

/// Column `x` takes its pixels from `level * x` further down.
pub(super) fn shear_y(image: &RgbImage, level: f64) -> RgbImage {
    transform(image, [1.0, 0.0, 0.0, level, 1.0, 0.0])
}

/// Moves the content right by whole pixels.
pub(super) fn translate_x(image: &RgbImage, pixels: i32) -> RgbImage {
    transform(image, [1.0, 0.0, -f64::from(pixels), 0.0, 1.0, 0.0])
}

/// Moves the content down by whole pixels.
pub(super) fn translate_y(image: &RgbImage, pixels: i32) -> RgbImage {
    transform(image, [1.0, 0.0, 0.0, 0.0, 1.0, -f64::from(pixels)])
}

/// Turns the content counter-clockwise about the centre.
pub(super) fn rotate(image: &RgbImage, degrees: f64) -> RgbImage {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (x, y) = (f64::from(image.width()) / 2.0, f64::from(image.height()) / 2.0);
    transform(image, [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y])
}

fn transform(image: &RgbImage, m: Matrix) -> RgbImage {
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let (x, y) = (f64::from(x) + 0.5, f64::from(y) + 0.5);
        let (from_x, from_y) = (m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]);
        if (0.0..width).contains(&from_x) && (0.0..height).contains(&from_y) {
            *image.get_pixel(from_x as u32, from_y as u32)
        } else {
            Rgb([0; 3])
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // What torchvision makes of a 6x6 image of the values 1 to 36, with Pillow.
    const SHEAR_X_27: [u8; 36] = [
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 0, 20, 21, 22, 23, 24, 0, 26, 27, 28, 29, 30, 0, 32,
        33, 34, 35, 36, 0,
    ];
    const SHEAR_Y_MINUS_27: [u8; 36] = [
        1, 2, 0, 0, 0, 0, 7, 8, 3, 4, 5, 6, 13, 14, 9, 10, 11, 12, 19, 20, 15, 16, 17, 18, 25, 26, 21, 22, 23, 24, 31,
        32, 27, 28, 29, 30,
    ];
    const TRANSLATE_X_2: [u8; 36] = [
        0, 0, 1, 2, 3, 4, 0, 0, 7, 8, 9, 10, 0, 0, 13, 14, 15, 16, 0, 0, 19, 20, 21, 22, 0, 0, 25, 26, 27, 28, 0, 0,
        31, 32, 33, 34,
    ];
    const TRANSLATE_Y_MINUS_1: [u8; 36] = [
        7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
        35, 36, 0, 0, 0, 0, 0, 0,
    ];
    const ROTATE_27: [u8; 36] = [
        0, 3, 4, 5, 12, 0, 2, 3, 10, 11, 18, 18, 7, 8, 15, 16, 23, 24, 13, 14, 21, 22, 29, 30, 19, 19, 26, 27, 34, 35,
        0, 25, 32, 33, 34, 0,
    ];
    const ROTATE_MINUS_13: [u8; 36] = [
        7, 1, 2, 3, 4, 5, 13, 8, 9, 10, 11, 6, 19, 14, 15, 16, 17, 12, 25, 20, 21, 22, 23, 18, 31, 26, 27, 28, 29, 24,
        32, 33, 34, 35, 36, 30,
    ];

    fn numbered() -> RgbImage {
        RgbImage::from_fn(6, 6, |x, y| Rgb([(1 + x + 6 * y) as u8; 3]))
    }

    fn values(image: &RgbImage) -> Vec<u8> {
        image.pixels().map(|pixel| pixel.0[0]).collect()
    }

    #[test]
    fn all_agree_with_torchvision() {
        let image = numbered();
        assert_eq!(values(&shear_x(&image, 0.27)), SHEAR_X_27);
        assert_eq!(values(&shear_y(&image, -0.27)), SHEAR_Y_MINUS_27);
        assert_eq!(values(&translate_x(&image, 2)), TRANSLATE_X_2);
        assert_eq!(values(&translate_y(&image, -1)), TRANSLATE_Y_MINUS_1);
        assert_eq!(values(&rotate(&image, 27.0)), ROTATE_27);
        assert_eq!(values(&rotate(&image, -13.0)), ROTATE_MINUS_13);
    }

    #[test]
    fn nothing_moves_at_zero() {
        let image = numbered();
        for moved in [
            shear_x(&image, 0.0),
            shear_y(&image, 0.0),
            translate_x(&image, 0),
            translate_y(&image, 0),
            rotate(&image, 0.0),
        ] {
            assert_eq!(moved, image);
        }
    }

    #[test]
    fn a_quarter_turn_is_exact_and_far_moves_are_black() {
        let image = RgbImage::from_fn(7, 7, |x, y| Rgb([x as u8 + 1, y as u8 + 1, 9]));
        assert_eq!(rotate(&image, 90.0), image::imageops::rotate270(&image));
        assert!(translate_x(&image, -7).pixels().all(|p| p.0 == [0; 3]));
    }
}
