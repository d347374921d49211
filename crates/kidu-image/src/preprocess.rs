//! From decoded pixels to a network's input.

use image::RgbImage;
use kidu_core::ImageSpec;

use crate::{
    decode::decode,
    error::DecodeError,
    limits::Limits,
    resize::{self, Rect},
};

/// The order of the values of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Channels, rows, columns (PyTorch's and Burn's order).
    Chw,
    /// Rows, columns, channels (channels last).
    Hwc,
}

/// Resizes and normalises as an [`ImageSpec`] says.
#[derive(Clone, Debug)]
pub struct Preprocessor {
    spec: ImageSpec,
    /// `(value / 255 - mean) / std` for each channel and value.
    table: [[f32; 256]; 3],
}

impl Preprocessor {
    /// Takes a valid specification (see [`ImageSpec::validate`]; bundles and model records hold no others).
    pub fn new(spec: &ImageSpec) -> Self {
        let table = std::array::from_fn(|channel| {
            std::array::from_fn(|value| (value as f32 / 255.0 - spec.mean[channel]) / spec.std[channel])
        });
        Self { spec: spec.clone(), table }
    }

    /// What it was made from.
    pub fn spec(&self) -> &ImageSpec {
        &self.spec
    }

    /// The image at the specified size, resampled with the specified filter and crop. An image that has the size
    /// already is not resampled, unless a share is to be cut off.
    pub fn resize(&self, image: &RgbImage) -> RgbImage {
        let target = (self.spec.width, self.spec.height);
        let part = resize::source_part(image.dimensions(), target, self.spec.crop);
        resize::resize_part(image, part, target.0, target.1, self.spec.filter)
    }

    /// Cuts a rectangle out of the image, then resizes it to the specified size.
    ///
    /// # Panics
    /// When the rectangle does not lie inside the image ([`Rect::is_inside`]).
    pub fn resize_crop(&self, image: &RgbImage, rect: Rect) -> RgbImage {
        resize::resize_rect(image, rect, self.spec.width, self.spec.height, self.spec.filter)
    }

    /// Writes `(value / 255 - mean) / std` of every pixel of an image of any size to `out`.
    ///
    /// # Panics
    /// When `out` does not hold exactly 3 * height * width values of this image.
    pub fn normalize_into(&self, image: &RgbImage, layout: Layout, out: &mut [f32]) {
        let pixels = image.as_raw().chunks_exact(3);
        assert_eq!(out.len(), 3 * pixels.len(), "the output holds another number of values than the image");
        let [red, green, blue] = &self.table;
        match layout {
            Layout::Hwc => {
                for (pixel, out) in pixels.zip(out.chunks_exact_mut(3)) {
                    out[0] = red[usize::from(pixel[0])];
                    out[1] = green[usize::from(pixel[1])];
                    out[2] = blue[usize::from(pixel[2])];
                }
            }
            Layout::Chw => {
                let (out_red, rest) = out.split_at_mut(pixels.len());
                let (out_green, out_blue) = rest.split_at_mut(pixels.len());
                for (((pixel, r), g), b) in pixels.zip(out_red).zip(out_green).zip(out_blue) {
                    *r = red[usize::from(pixel[0])];
                    *g = green[usize::from(pixel[1])];
                    *b = blue[usize::from(pixel[2])];
                }
            }
        }
    }

    /// From encoded bytes to one input: 3 * height * width values in the order [`Layout::Chw`].
    ///
    /// # Errors
    /// What [`decode`] finds.
    pub fn preprocess(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<f32>, DecodeError> {
        Ok(self.input(&decode(bytes, limits)?))
    }

    /// From an image to one input: 3 * height * width values in the order [`Layout::Chw`].
    pub fn input(&self, image: &RgbImage) -> Vec<f32> {
        let mut out = vec![0.0; self.spec.values()];
        self.normalize_into(&self.resize(image), Layout::Chw, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use kidu_core::{Crop, Filter};

    use super::*;

    fn spec(width: u32, height: u32, crop: Crop) -> ImageSpec {
        ImageSpec {
            width,
            height,
            filter: Filter::Bilinear,
            crop,
            mean: [0.0, 0.5, 1.0 / 255.0],
            std: [1.0, 0.5, 2.0 / 255.0],
        }
    }

    #[test]
    fn normalising_is_the_formula_in_both_layouts() {
        let image = RgbImage::from_fn(2, 1, |x, _| if x == 0 { Rgb([0, 255, 5]) } else { Rgb([255, 0, 1]) });
        let preprocessor = Preprocessor::new(&spec(2, 1, Crop::Squash));
        let close = |found: [f32; 6], expected: [f32; 6]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        };
        let mut out = [0.0; 6];
        preprocessor.normalize_into(&image, Layout::Chw, &mut out);
        close(out, [0.0, 1.0, 1.0, -1.0, 2.0, 0.0]);
        preprocessor.normalize_into(&image, Layout::Hwc, &mut out);
        close(out, [0.0, 1.0, 2.0, 1.0, -1.0, 0.0]);
    }

    #[test]
    fn the_target_size_is_met_and_kept() {
        let image = RgbImage::from_fn(12, 9, |x, y| Rgb([(x * 20) as u8, (y * 20) as u8, 7]));
        assert_eq!(Preprocessor::new(&spec(12, 9, Crop::Squash)).resize(&image), image);
        assert_eq!(Preprocessor::new(&spec(10, 20, Crop::Squash)).resize(&image).dimensions(), (10, 20));
        let crop = Crop::Center { pct: 0.5 };
        assert_eq!(Preprocessor::new(&spec(10, 10, crop)).resize(&image).dimensions(), (10, 10));
        let rect = Rect { left: 11, top: 8, width: 1, height: 1 };
        let corner = Preprocessor::new(&spec(8, 8, Crop::Squash)).resize_crop(&image, rect);
        assert!(corner.pixels().all(|p| p == image.get_pixel(11, 8)));
    }

    #[test]
    fn a_full_centre_crop_of_a_square_is_the_squash() {
        let image = RgbImage::from_fn(40, 40, |x, y| Rgb([(x * y) as u8, x as u8, y as u8]));
        let crop = Preprocessor::new(&spec(16, 16, Crop::Center { pct: 1.0 })).resize(&image);
        assert_eq!(crop, Preprocessor::new(&spec(16, 16, Crop::Squash)).resize(&image));
    }
}
