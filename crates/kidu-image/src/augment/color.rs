//! Changes of colour and sharpness. Each blends the image with a degenerate version of itself, as Pillow's
//! `ImageEnhance` does: factor 0 gives the degenerate one, 1 the image, above 1 goes beyond it.

use image::RgbImage;

/// Blends with black.
pub(super) fn brightness(image: &mut RgbImage, factor: f32) {
    let table: [u8; 256] = std::array::from_fn(|value| blend(0, value as u8, factor));
    image.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// Blends with the greyscale image.
pub(super) fn saturation(image: &mut RgbImage, factor: f32) {
    for pixel in image.pixels_mut() {
        let grey = luma(pixel.0);
        pixel.0 = pixel.0.map(|value| blend(grey, value, factor));
    }
}

/// Blends with the mean of the greyscale image.
pub(super) fn contrast(image: &mut RgbImage, factor: f32) {
    let count = f64::from(image.width()) * f64::from(image.height());
    let sum: u64 = image.pixels().map(|pixel| u64::from(luma(pixel.0))).sum();
    let mean = (sum as f64 / count.max(1.0) + 0.5) as u8;
    let table: [u8; 256] = std::array::from_fn(|value| blend(mean, value as u8, factor));
    image.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// Blends with a smoothed image: the 3x3 mean with weight 5 in the middle. The outermost pixels stay.
pub(super) fn sharpness(image: &mut RgbImage, factor: f32) {
    let source = image.clone();
    let stride = 3 * source.width() as usize;
    let rows: Vec<&[u8]> = source.as_raw().chunks_exact(stride.max(1)).collect();
    let out = image.as_mut().chunks_exact_mut(stride.max(1)).skip(1);
    for (window, out) in rows.windows(3).zip(out) {
        for at in 3..stride.saturating_sub(3) {
            let sum: u32 = window.iter().flat_map(|row| [row[at - 3], row[at], row[at + 3]]).map(u32::from).sum();
            let middle = window[1][at];
            let smooth = (sum + 4 * u32::from(middle) + 6) / 13;
            out[at] = blend(smooth as u8, middle, factor);
        }
    }
}

/// ITU-R 601 luma in Pillow's fixed point.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + 0x8000) >> 16) as u8
}

/// `from + factor * (to - from)`, cut to 0..=255 and truncated.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    (f32::from(from) + factor * (f32::from(to) - f32::from(from))) as u8
}

#[cfg(test)]
mod tests {
    use super::{super::histogram::samples::SOURCE, *};

    // What Pillow's ImageEnhance makes of SOURCE.
    const BRIGHTNESS_0_37: [u8; 48] = [
        49, 29, 76, 80, 58, 27, 8, 55, 52, 39, 18, 60, 64, 69, 60, 76, 37, 83, 10, 52, 36, 33, 67, 27, 39, 72, 59, 58,
        24, 28, 31, 24, 11, 61, 72, 30, 22, 29, 72, 22, 56, 75, 41, 59, 56, 18, 34, 7,
    ];
    const BRIGHTNESS_1_63: [u8; 48] = [
        218, 130, 255, 255, 255, 118, 39, 246, 231, 174, 83, 255, 255, 255, 255, 255, 163, 255, 45, 229, 159, 146, 255,
        120, 174, 255, 255, 255, 107, 123, 140, 105, 50, 255, 255, 133, 101, 128, 255, 99, 247, 255, 182, 255, 247, 83,
        151, 32,
    ];
    const COLOR_0_37: [u8; 48] = [
        119, 99, 146, 185, 164, 132, 79, 126, 123, 90, 69, 111, 178, 183, 174, 169, 129, 175, 74, 116, 100, 123, 157,
        117, 143, 176, 163, 117, 83, 87, 74, 66, 53, 171, 183, 140, 77, 84, 127, 105, 138, 157, 132, 150, 147, 64, 79,
        52,
    ];
    const COLOR_1_63: [u8; 48] = [
        148, 60, 255, 250, 153, 13, 0, 175, 160, 123, 32, 216, 169, 192, 153, 246, 70, 255, 0, 165, 95, 56, 208, 30,
        70, 213, 156, 196, 48, 64, 97, 63, 8, 160, 210, 23, 46, 73, 255, 16, 165, 248, 91, 171, 156, 37, 106, 0,
    ];
    const CONTRAST_0_37: [u8; 48] = [
        127, 107, 155, 158, 136, 105, 87, 133, 130, 117, 96, 138, 142, 147, 138, 155, 115, 161, 88, 130, 114, 111, 145,
        105, 117, 150, 137, 136, 102, 106, 109, 102, 89, 139, 151, 108, 101, 107, 151, 100, 134, 153, 119, 137, 134,
        96, 112, 85,
    ];
    const CONTRAST_1_63: [u8; 48] = [
        140, 52, 255, 255, 181, 40, 0, 168, 153, 96, 5, 189, 205, 228, 189, 255, 84, 255, 0, 151, 81, 68, 220, 42, 96,
        239, 182, 177, 29, 45, 62, 27, 0, 192, 242, 55, 22, 50, 242, 21, 169, 252, 104, 184, 169, 5, 73, 0,
    ];
    const SHARPNESS_0_37: [u8; 48] = [
        134, 80, 208, 218, 159, 73, 24, 151, 142, 107, 51, 164, 174, 188, 164, 172, 111, 184, 68, 133, 101, 90, 183,
        74, 107, 195, 160, 136, 93, 106, 94, 92, 63, 166, 197, 82, 62, 79, 197, 61, 152, 203, 112, 161, 152, 51, 93,
        20,
    ];
    const SHARPNESS_1_63: [u8; 48] = [
        134, 80, 208, 218, 159, 73, 24, 151, 142, 107, 51, 164, 174, 188, 164, 243, 88, 255, 0, 148, 94, 90, 183, 74,
        107, 195, 160, 177, 38, 45, 77, 37, 0, 166, 197, 82, 62, 79, 197, 61, 152, 203, 112, 161, 152, 51, 93, 20,
    ];

    fn changed(op: fn(&mut RgbImage, f32), factor: f32) -> Vec<u8> {
        let mut image = RgbImage::from_raw(4, 4, SOURCE.to_vec()).unwrap();
        op(&mut image, factor);
        image.into_raw()
    }

    #[test]
    fn all_agree_with_pillow() {
        assert_eq!(changed(brightness, 0.37), BRIGHTNESS_0_37);
        assert_eq!(changed(brightness, 1.63), BRIGHTNESS_1_63);
        assert_eq!(changed(saturation, 0.37), COLOR_0_37);
        assert_eq!(changed(saturation, 1.63), COLOR_1_63);
        assert_eq!(changed(contrast, 0.37), CONTRAST_0_37);
        assert_eq!(changed(contrast, 1.63), CONTRAST_1_63);
        assert_eq!(changed(sharpness, 0.37), SHARPNESS_0_37);
        assert_eq!(changed(sharpness, 1.63), SHARPNESS_1_63);
    }

    #[test]
    fn factor_one_changes_nothing() {
        for op in [brightness, saturation, contrast, sharpness] {
            assert_eq!(changed(op, 1.0), SOURCE);
        }
    }

    #[test]
    fn factor_zero_is_the_degenerate_image() {
        assert!(changed(brightness, 0.0).iter().all(|v| *v == 0));
        assert!(changed(contrast, 0.0).windows(2).all(|w| w[0] == w[1]));
        assert!(changed(saturation, 0.0).chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
    }

    #[test]
    fn images_without_an_inside_stay() {
        for (width, height) in [(1, 1), (2, 5), (5, 2)] {
            let mut image = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8 * 50, y as u8 * 50, 9]));
            let before = image.clone();
            sharpness(&mut image, 1.9);
            assert_eq!(image, before);
        }
    }
}
