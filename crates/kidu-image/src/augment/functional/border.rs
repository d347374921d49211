//! What lies beyond the edge of an image.

use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::pool;

/// What is taken for pixels beyond the edge, under OpenCV's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BorderMode {
    /// One colour: `iiiiii|abcdefgh|iiiiiii`.
    Constant,
    /// The nearest pixel: `aaaaaa|abcdefgh|hhhhhhh`.
    Replicate,
    /// The mirror image: `fedcba|abcdefgh|hgfedcb`.
    Reflect,
    /// The mirror image without the edge itself: `gfedcb|abcdefgh|gfedcba`.
    #[default]
    #[serde(rename = "reflect_101")]
    Reflect101,
    /// The image again: `cdefgh|abcdefgh|abcdefg`.
    Wrap,
}

impl BorderMode {
    /// The index that stands for `at` among `len` ones, at least 1; `None` is the constant colour.
    #[inline]
    pub(super) fn index(self, at: i32, len: i32) -> Option<usize> {
        let inside = match self {
            _ if (0..len).contains(&at) => at,
            Self::Constant => return None,
            Self::Replicate => at.clamp(0, len - 1),
            Self::Wrap => at.rem_euclid(len),
            Self::Reflect => {
                let at = at.rem_euclid(2 * len);
                at.min(2 * len - 1 - at)
            }
            Self::Reflect101 if len == 1 => 0,
            Self::Reflect101 => {
                let period = 2 * (len - 1);
                let at = at.rem_euclid(period);
                at.min(period - at)
            }
        };
        Some(inside as usize)
    }
}

/// An image with `radius` more pixels on each side.
pub(super) struct Padded {
    pixels: Vec<u8>,
    /// Bytes of a row.
    pub(super) stride: usize,
}

impl Padded {
    /// Copies the image and fills the frame; `mode` is not [`BorderMode::Constant`].
    pub(super) fn new(image: &RgbImage, radius: usize, mode: BorderMode) -> Self {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let stride = 3 * (width + 2 * radius);
        let mut pixels = pool::take(stride * (height + 2 * radius));
        let frame = |at: usize, len: usize| mode.index(at as i32 - radius as i32, len as i32).unwrap_or(0);
        let left: Vec<usize> = (0..radius).map(|x| 3 * frame(x, width)).collect();
        let right: Vec<usize> = (0..radius).map(|x| 3 * frame(x + radius + width, width)).collect();
        for (y, out) in pixels.chunks_exact_mut(stride.max(1)).enumerate() {
            let from = frame(y, height) * 3 * width;
            let row = &image.as_raw()[from..from + 3 * width];
            out[3 * radius..3 * (radius + width)].copy_from_slice(row);
            for (out, from) in out[..3 * radius].chunks_exact_mut(3).zip(&left) {
                out.copy_from_slice(&row[*from..from + 3]);
            }
            for (out, from) in out[3 * (radius + width)..].chunks_exact_mut(3).zip(&right) {
                out.copy_from_slice(&row[*from..from + 3]);
            }
        }
        Self { pixels, stride }
    }

    /// A row, counted from the frame's first.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        &self.pixels[y * self.stride..(y + 1) * self.stride]
    }
}

impl Drop for Padded {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.pixels));
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn indices_are_opencvs() {
        let row = |mode: BorderMode| (-4..8).map(|at| mode.index(at, 4)).collect::<Option<Vec<usize>>>();
        assert_eq!(row(BorderMode::Reflect101).unwrap(), [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!(row(BorderMode::Reflect).unwrap(), [3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0]);
        assert_eq!(row(BorderMode::Replicate).unwrap(), [0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 3]);
        assert_eq!(row(BorderMode::Wrap).unwrap(), [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(row(BorderMode::Constant), None);
        assert_eq!(BorderMode::Reflect101.index(-7, 1), Some(0));
    }

    #[test]
    fn the_frame_mirrors_even_when_it_is_wider_than_the_image() {
        let image = RgbImage::from_fn(2, 1, |x, _| Rgb([10 + x as u8, 0, 0]));
        let padded = Padded::new(&image, 3, BorderMode::Reflect101);
        let reds: Vec<u8> = padded.row(5).chunks(3).map(|p| p[0]).collect();
        assert_eq!(reds, [11, 10, 11, 10, 11, 10, 11, 10]);
    }
}
