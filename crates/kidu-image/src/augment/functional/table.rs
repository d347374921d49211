//! Changes that are a table of 256 values.

use image::RgbImage;

use super::pool;

/// `alpha` times each value plus `beta`, cut to 0..=255 and truncated (albucore's `multiply_add`).
pub fn brightness_contrast(image: &RgbImage, alpha: f32, beta: f32) -> RgbImage {
    let table: [u8; 256] = std::array::from_fn(|value| (value as f32 * alpha + beta) as u8);
    let mut out = pool::image(image.width(), image.height());
    out.iter_mut().zip(image.as_raw()).for_each(|(out, value)| *out = table[usize::from(*value)]);
    out
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn values_are_cut_off() {
        let image = RgbImage::from_pixel(1, 1, Rgb([10, 100, 250]));
        assert_eq!(brightness_contrast(&image, 1.2, -20.0).get_pixel(0, 0).0, [0, 100, 255]);
        assert_eq!(brightness_contrast(&image, 1.0, 0.0), image);
    }
}
