//! Changes that map each value of a channel to another one.

use image::RgbImage;

/// Keeps the `bits` highest bits of each value; 8 or more keep all.
pub(super) fn posterize(image: &mut RgbImage, bits: u32) {
    let mask = 0xFF_u8.checked_shl(8_u32.saturating_sub(bits)).unwrap_or(0);
    image.iter_mut().for_each(|value| *value &= mask);
}

/// Inverts the values from `threshold` on.
pub(super) fn solarize(image: &mut RgbImage, threshold: f32) {
    for value in image.iter_mut().filter(|value| f32::from(**value) >= threshold) {
        *value = 255 - *value;
    }
}

/// Stretches each channel to the whole range.
pub(super) fn autocontrast(image: &mut RgbImage) {
    map_channels(image, |histogram| {
        let low = histogram.iter().position(|n| *n > 0)?;
        let high = histogram.iter().rposition(|n| *n > 0)?;
        let scale = 255.0 / (high.checked_sub(low).filter(|range| *range > 0)? as f64);
        let offset = -(low as f64) * scale;
        Some(std::array::from_fn(|value| (value as f64 * scale + offset) as u8))
    });
}

/// Equalises the histogram of each channel, by Pillow's `ImageOps.equalize`.
pub(super) fn equalize(image: &mut RgbImage) {
    map_channels(image, |histogram| {
        let last = histogram.iter().rfind(|n| **n > 0)?;
        let step = (histogram.iter().sum::<u32>() - last) / 255;
        // Too few pixels, or a single value: there is nothing to spread.
        if step == 0 {
            return None;
        }
        let mut below = step / 2;
        Some(histogram.map(|n| {
            let value = (below / step).min(255) as u8;
            below += n;
            value
        }))
    });
}

/// Replaces each value by the table that `table` makes of its channel's histogram; none leaves the channel alone.
fn map_channels(image: &mut RgbImage, table: impl Fn(&[u32; 256]) -> Option<[u8; 256]>) {
    let mut histograms = [[0_u32; 256]; 3];
    for pixel in image.pixels() {
        for (histogram, value) in histograms.iter_mut().zip(pixel.0) {
            histogram[usize::from(value)] += 1;
        }
    }
    let identity = || std::array::from_fn(|value| value as u8);
    let tables = histograms.map(|histogram| table(&histogram).unwrap_or_else(identity));
    for pixel in image.pixels_mut() {
        for (value, table) in pixel.0.iter_mut().zip(&tables) {
            *value = table[usize::from(*value)];
        }
    }
}

#[cfg(test)]
pub(super) mod samples {
    /// 4x4 pixels of noise.
    pub(in super::super) const SOURCE: [u8; 48] = [
        134, 80, 208, 218, 159, 73, 24, 151, 142, 107, 51, 164, 174, 188, 164, 208, 100, 225, 28, 141, 98, 90, 183, 74,
        107, 195, 160, 157, 66, 76, 86, 65, 31, 166, 197, 82, 62, 79, 197, 61, 152, 203, 112, 161, 152, 51, 93, 20,
    ];
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::{samples::SOURCE, *};

    // What Pillow's ImageOps makes of SOURCE.
    const AUTOCONTRAST: [u8; 48] = [
        144, 50, 233, 255, 188, 65, 0, 174, 151, 109, 0, 179, 197, 239, 179, 241, 85, 255, 5, 157, 97, 86, 230, 67,
        109, 251, 174, 174, 26, 69, 81, 24, 13, 186, 255, 77, 49, 48, 220, 48, 176, 227, 115, 192, 164, 35, 73, 0,
    ];
    const POSTERIZE_3: [u8; 48] = [
        128, 64, 192, 192, 128, 64, 0, 128, 128, 96, 32, 160, 160, 160, 160, 192, 96, 224, 0, 128, 96, 64, 160, 64, 96,
        192, 160, 128, 64, 64, 64, 64, 0, 160, 192, 64, 32, 64, 192, 32, 128, 192, 96, 160, 128, 32, 64, 0,
    ];
    const SOLARIZE_100_5: [u8; 48] = [
        121, 80, 47, 37, 96, 73, 24, 104, 113, 148, 51, 91, 81, 67, 91, 47, 100, 30, 28, 114, 98, 90, 72, 74, 148, 60,
        95, 98, 66, 76, 86, 65, 31, 89, 58, 82, 62, 79, 58, 61, 103, 52, 143, 94, 103, 51, 93, 20,
    ];

    fn changed(op: impl Fn(&mut RgbImage)) -> Vec<u8> {
        let mut image = RgbImage::from_raw(4, 4, SOURCE.to_vec()).unwrap();
        op(&mut image);
        image.into_raw()
    }

    #[test]
    fn all_agree_with_pillow() {
        assert_eq!(changed(autocontrast), AUTOCONTRAST);
        assert_eq!(changed(|image| posterize(image, 3)), POSTERIZE_3);
        assert_eq!(changed(|image| solarize(image, 100.5)), SOLARIZE_100_5);
        // Sixteen pixels are too few to spread over 256 values.
        assert_eq!(changed(equalize), SOURCE);
    }

    #[test]
    fn equalizing_agrees_with_pillow() {
        let mut image = RgbImage::from_fn(32, 16, |x, y| {
            let v = (x * y + x) & 127;
            Rgb([v as u8, 255 - v as u8, (v * v) as u8])
        });
        equalize(&mut image);
        let row: Vec<[u8; 3]> = (0..8).map(|i| image.get_pixel(4 * i, 5).0).collect();
        let expected = [
            [0, 255, 0],
            [70, 255, 209],
            [124, 252, 0],
            [173, 159, 209],
            [211, 80, 0],
            [245, 15, 209],
            [48, 255, 0],
            [108, 255, 209],
        ];
        assert_eq!(row, expected);
    }

    #[test]
    fn a_full_range_ramp_is_left_alone_and_a_narrow_one_is_spread() {
        let ramp = RgbImage::from_fn(256, 4, |x, _| Rgb([x as u8; 3]));
        let mut image = ramp.clone();
        equalize(&mut image);
        assert_eq!(image, ramp);
        autocontrast(&mut image);
        assert_eq!(image, ramp);
        let mut narrow = RgbImage::from_fn(3, 1, |x, _| Rgb([100 + x as u8 * 10; 3]));
        autocontrast(&mut narrow);
        assert_eq!([0, 1, 2].map(|x| narrow.get_pixel(x, 0).0[0]), [0, 127, 255]);
    }

    #[test]
    fn limits_of_the_parameters() {
        assert_eq!(changed(|image| posterize(image, 8)), SOURCE);
        assert_eq!(changed(|image| posterize(image, 9)), SOURCE);
        assert!(changed(|image| posterize(image, 0)).iter().all(|v| *v == 0));
        assert_eq!(changed(|image| solarize(image, 256.0)), SOURCE);
        let inverted: Vec<u8> = SOURCE.iter().map(|v| 255 - v).collect();
        assert_eq!(changed(|image| solarize(image, 0.0)), inverted);
        let mut flat = RgbImage::from_pixel(20, 20, Rgb([5, 6, 7]));
        autocontrast(&mut flat);
        equalize(&mut flat);
        assert!(flat.pixels().all(|p| p.0 == [5, 6, 7]));
    }
}
